//! The tables and views of a session.
//!
//! `databases` has them, by `path`; `session` finds them by the names that statements use, `definition` makes a table of a
//! CREATE TABLE, `like` merges another table into one.

mod databases;
mod definition;
mod like;
mod path;
mod session;
mod table;

pub use databases::CatalogEntry;
pub(crate) use databases::{Databases, Description};
pub(crate) use definition::{TableDefinition, define_table};
pub(crate) use like::merge_like;
pub use path::ObjectPath;
pub use session::Session;
pub use table::{CatalogTable, CatalogView, ColumnSource, TableWatermark};
