//! The tables and views of a session.

mod session;
mod table;

pub use session::{Catalog, CatalogEntry, Session};
pub use table::{CatalogTable, CatalogView, ColumnSource, TableWatermark};
