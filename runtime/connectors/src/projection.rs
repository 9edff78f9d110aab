//! The columns that a scan is asked for.

use crate::ConnectorError;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use std::sync::Arc;
use weir_types::{ChangelogBatch, ColumnKind, SourceSpec, TableColumn, TableDescriptor};

/// The schema of the columns at `projection`, without time attributes.
pub(crate) fn scan_schema(spec: &SourceSpec) -> SchemaRef {
    let fields: Vec<_> = projected(spec).map(field).collect();
    Arc::new(Schema::new(fields))
}

/// The columns at `projection`, in its order.
pub(crate) fn projected(spec: &SourceSpec) -> impl Iterator<Item = &TableColumn> {
    spec.projection.iter().map(|index| &spec.table.columns[*index])
}

/// The schema of what a sink is given: physical and non-virtual metadata columns in declared order.
pub(crate) fn persisted_schema(table: &TableDescriptor) -> SchemaRef {
    let persisted = table.columns.iter().filter(|column| match &column.kind {
        ColumnKind::Physical => true,
        ColumnKind::Metadata { is_virtual, .. } => !is_virtual,
        ColumnKind::Computed { .. } => false,
    });
    Arc::new(Schema::new(persisted.map(field).collect::<Vec<_>>()))
}

pub(crate) fn field(column: &TableColumn) -> arrow::datatypes::Field {
    column.sql_type.to_field(&column.name, column.nullable)
}

/// `batch` with the fields of `schema`: names and metadata of the declared table, not those of the query. Types
/// must be the same.
pub(crate) fn conform(batch: &ChangelogBatch, schema: &SchemaRef) -> Result<ChangelogBatch, ConnectorError> {
    let rows = batch.rows();
    let row_count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let conformed = RecordBatch::try_new_with_options(
        Arc::clone(schema),
        rows.columns().to_vec(),
        &row_count,
    )
    .map_err(|error| {
        ConnectorError::Internal(format!("the rows are not those of the table that is written: {error}"))
    })?;
    Ok(ChangelogBatch::new(conformed, batch.kinds().cloned()))
}
