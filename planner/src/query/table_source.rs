//! Tables and views as DataFusion sees them.

use crate::catalog::CatalogTable;
use arrow::datatypes::SchemaRef;
use datafusion_expr::{LogicalPlan, TableSource, TableType};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A table with all of its columns. Computed columns and the watermark belong to the scan until the plan is lowered:
/// so nothing but the columns that a query needs is ever computed, and no filter slips below the watermark.
pub(super) struct TableScanSource {
    table: Arc<CatalogTable>,
}

impl TableScanSource {
    pub fn new(table: Arc<CatalogTable>) -> Self {
        TableScanSource { table }
    }

    pub fn table(&self) -> &Arc<CatalogTable> {
        &self.table
    }

    /// The table behind a scan.
    pub fn of(source: &Arc<dyn TableSource>) -> Option<&TableScanSource> {
        (source.as_ref() as &dyn Any).downcast_ref()
    }
}

impl fmt::Debug for TableScanSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table.descriptor.name)
    }
}

impl TableSource for TableScanSource {
    fn schema(&self) -> SchemaRef {
        self.table.schema.clone()
    }
}

/// A view: its plan takes its place.
#[derive(Debug)]
pub(super) struct ViewSource {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl ViewSource {
    pub fn new(plan: LogicalPlan) -> Self {
        let schema = plan.schema().inner().clone();
        ViewSource { plan, schema }
    }
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}
