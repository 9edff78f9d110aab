//! The columns of a scan: some from the records of a file, some the same for all of its rows.

use super::listing::partition_values;
use super::partition::parse_value;
use super::store::FileEntry;
use super::table::FilesystemTable;
use crate::ConnectorError;
use crate::projection::{projected, scan_schema};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use weir_types::{ChangelogBatch, ColumnKind, SourceSpec, TableColumn};

/// Where a column of the scan comes from.
#[derive(Clone, Debug)]
enum Origin {
    /// the decoder's column at this place
    Record(usize),
    /// the table's partition key at this place
    Partition(usize),
    /// metadata under this key
    Metadata(String, TableColumn),
}

/// The columns that a scan is asked for.
#[derive(Clone, Debug)]
pub(super) struct ScanColumns {
    pub schema: SchemaRef,
    /// what a decoder is asked for, as places in the columns of the files
    pub decoded: Vec<usize>,
    origins: Vec<Origin>,
}

impl ScanColumns {
    pub fn new(spec: &SourceSpec, table: &FilesystemTable) -> Result<Self, ConnectorError> {
        let mut decoded = Vec::new();
        let mut origins = Vec::new();
        for column in projected(spec) {
            let partition = table.partition_keys.iter().position(|key| key.name == column.name);
            origins.push(match (&column.kind, partition) {
                (ColumnKind::Metadata { key, .. }, _) => Origin::Metadata(key.clone(), column.clone()),
                (_, Some(key)) => Origin::Partition(key),
                (_, None) => {
                    let place = table.file_schema.index_of(&column.name).map_err(|_| {
                        ConnectorError::Internal(format!(
                            "table {}: column {} is read, but no file has it",
                            table.name, column.name
                        ))
                    })?;
                    decoded.push(place);
                    Origin::Record(decoded.len() - 1)
                }
            });
        }
        Ok(ScanColumns { schema: scan_schema(spec), decoded, origins })
    }

    /// The columns for the rows of one file.
    pub fn of_file(&self, table: &FilesystemTable, file: &FileEntry) -> Result<FileColumns, ConnectorError> {
        let partition = partition_values(table, file).unwrap_or_default();
        let mut sources = Vec::with_capacity(self.origins.len());
        for origin in &self.origins {
            sources.push(match origin {
                Origin::Record(place) => Values::Record(*place),
                Origin::Partition(key) => {
                    let text = partition.get(*key).map_or("", String::as_str);
                    Values::Constant(parse_value(table, &table.partition_keys[*key], text)?)
                }
                Origin::Metadata(key, column) => Values::Constant(metadata(key, column, file)),
            });
        }
        Ok(FileColumns { schema: Arc::clone(&self.schema), sources })
    }
}

fn metadata(key: &str, column: &TableColumn, file: &FileEntry) -> ArrayRef {
    match key {
        "file.path" => Arc::new(StringArray::from(vec![file.path.as_str()])),
        "file.name" => Arc::new(StringArray::from(vec![file.name()])),
        "file.size" => Arc::new(Int64Array::from(vec![file.size as i64])),
        _ => crate::generator::timestamps(vec![file.modified_ms], &column.sql_type),
    }
}

#[derive(Clone, Debug)]
enum Values {
    Record(usize),
    /// one row
    Constant(ArrayRef),
}

/// [`ScanColumns`] for one file.
#[derive(Clone, Debug)]
pub(super) struct FileColumns {
    schema: SchemaRef,
    sources: Vec<Values>,
}

impl FileColumns {
    /// The columns of the scan for what was decoded.
    pub fn assemble(&self, decoded: ChangelogBatch) -> Result<ChangelogBatch, ConnectorError> {
        let internal = |error: arrow::error::ArrowError| ConnectorError::Internal(error.to_string());
        let (rows, kinds) = decoded.into_parts();
        let mut columns = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            columns.push(match source {
                Values::Record(place) => Arc::clone(rows.column(*place)),
                Values::Constant(one) => {
                    let first = UInt32Array::from(vec![0; rows.num_rows()]);
                    take(one, &first, None).map_err(internal)?
                }
            });
        }
        let row_count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &row_count);
        Ok(ChangelogBatch::new(rows.map_err(internal)?, kinds))
    }
}
