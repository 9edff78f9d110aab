//! What the catalog knows of a table or a view.

use super::ObjectPath;
use arrow::datatypes::SchemaRef;
use sqlparser::ast;
use std::sync::Arc;
use weir_types::{ColumnKind, TableCapabilities, TableDescriptor};

/// Where a scan gets a column from.
#[derive(Clone, Debug)]
pub enum ColumnSource {
    /// A physical or metadata column: read by the connector.
    Connector,
    /// A computed column, over the physical and metadata columns of the table: Flink does not let it use another one.
    Computed(Box<ast::Expr>),
}

/// `WATERMARK FOR column AS expr`
#[derive(Clone, Debug)]
pub struct TableWatermark {
    /// place of the rowtime column in the table's columns
    pub column: usize,
    /// over all columns of the table
    pub expr: ast::Expr,
}

/// A table with its types resolved.
#[derive(Clone, Debug)]
pub struct CatalogTable {
    pub path: ObjectPath,
    /// its name is short: [`ObjectPath::short`]
    pub descriptor: Arc<TableDescriptor>,
    /// All columns in declared order, with types, nullability and time attributes (`TimeAttribute::of`): what a query
    /// sees.
    pub schema: SchemaRef,
    /// one entry a column
    pub sources: Vec<ColumnSource>,
    pub watermark: Option<TableWatermark>,
    /// what the connector can do with the table; options were checked
    pub capabilities: TableCapabilities,
    pub temporary: bool,
}

impl CatalogTable {
    /// Places of the columns that a sink takes: physical and non-virtual metadata columns, in declared order.
    pub fn persisted_columns(&self) -> Vec<usize> {
        self.columns_where(|kind| match kind {
            ColumnKind::Physical => true,
            ColumnKind::Metadata { is_virtual, .. } => !is_virtual,
            ColumnKind::Computed { .. } => false,
        })
    }

    /// Places of the columns that a scan reads from the connector: physical and metadata columns.
    pub fn scanned_columns(&self) -> Vec<usize> {
        self.columns_where(|kind| !matches!(kind, ColumnKind::Computed { .. }))
    }

    fn columns_where(&self, wanted: impl Fn(&ColumnKind) -> bool) -> Vec<usize> {
        let columns = self.descriptor.columns.iter().enumerate();
        columns.filter(|(_, column)| wanted(&column.kind)).map(|(index, _)| index).collect()
    }
}

/// A view with its types resolved.
#[derive(Clone, Debug)]
pub struct CatalogView {
    pub path: ObjectPath,
    pub query: Box<ast::Query>,
    /// catalog and database that were current when the query was written: what its names are in
    pub home: (String, String),
    /// the query as it was written
    pub query_text: String,
    /// the result's columns, with the names of the view's column list where it has one
    pub schema: SchemaRef,
    pub comment: Option<String>,
    pub temporary: bool,
}
