//! The tables and views of a session.
//!
//! `session` finds them by name, `definition` makes a table of a CREATE TABLE, `like` merges another table into one.

mod definition;
mod like;
mod session;
mod table;

pub(crate) use definition::{TableDefinition, define_table, new_name};
pub(crate) use like::merge_like;
pub(crate) use session::{CATALOG, DATABASE, check_database, local_name};
pub use session::{CatalogEntry, Session};
pub use table::{CatalogTable, CatalogView, ColumnSource, TableWatermark};
