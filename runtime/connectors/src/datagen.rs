//! The `datagen` connector: random values and sequences, with Flink's options.
//!
//! Values are functions of the table's and column's name and the row's number: a table gives the same rows in
//! every run, but for timestamps, which are counted back from the clock as Flink does.

mod field;
mod values;

#[cfg(test)]
mod tests;

use crate::connector::{Connector, Environment, not_writable};
use crate::generator::{GeneratorSource, Rate, RowGenerator};
use crate::options::TableOptions;
use crate::projection::{projected, scan_schema};
use crate::{ConnectorError, Sink, Source};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use field::FieldSpec;
use std::sync::Arc;
use weir_types::{
    ChangelogMode, ColumnKind, OptionError, RuntimeEnv, SinkSpec, SourceSpec, TableCapabilities,
    TableDescriptor,
};

pub(crate) struct Datagen;

/// A table's options: fields by the place of their column, `None` for computed ones.
struct DatagenTable {
    rows_per_second: u64,
    /// the smallest of `number-of-rows` and the lengths of sequences
    rows: Option<u64>,
    fields: Vec<Option<FieldSpec>>,
}

fn read(table: &TableDescriptor) -> Result<DatagenTable, OptionError> {
    let options = TableOptions::new(table, "datagen");
    options.scan()?;
    let rows_per_second = options.parsed("rows-per-second", "a whole number")?.unwrap_or(10_000);
    if rows_per_second == 0 {
        return Err(options.malformed("rows-per-second", "it must be at least 1".into()));
    }
    let mut rows: Option<u64> = options.parsed("number-of-rows", "a whole number")?;
    let mut fields = Vec::new();
    for column in &table.columns {
        let field = match &column.kind {
            ColumnKind::Physical => Some(FieldSpec::read(table, column, &options)?),
            ColumnKind::Computed { .. } => None,
            ColumnKind::Metadata { key, .. } => {
                let message =
                    format!("connector 'datagen' has no metadata, column {} asks for '{key}'", column.name);
                return Err(options.table_error(message));
            }
        };
        if let Some(length) = field.as_ref().and_then(FieldSpec::sequence_length) {
            rows = Some(rows.map_or(length, |rows| rows.min(length)));
        }
        fields.push(field);
    }
    options.finish()?;
    Ok(DatagenTable { rows_per_second, rows, fields })
}

impl Connector for Datagen {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let datagen = read(table)?;
        Ok(TableCapabilities {
            scan: Some(ChangelogMode::INSERT_ONLY),
            bounded: datagen.rows.is_some(),
            sink: None,
            sink_by_key: false,
            metadata: Vec::new(),
            lookup: None,
        })
    }

    fn source(&self, spec: &SourceSpec, _: &Environment) -> Result<Arc<dyn Source>, ConnectorError> {
        let datagen = read(&spec.table)?;
        let fields = spec.projection.iter().map(|column| datagen.fields[*column].clone());
        let generator = DatagenGenerator {
            fields: fields.collect::<Option<_>>().ok_or_else(|| {
                ConnectorError::Internal(format!("table {}: a computed column is asked for", spec.table.name))
            })?,
            schema: scan_schema(spec),
            rows: datagen.rows,
            rows_per_second: datagen.rows_per_second,
        };
        debug_assert_eq!(projected(spec).count(), generator.fields.len());
        Ok(Arc::new(GeneratorSource { table: spec.table.name.clone(), generator: Arc::new(generator) }))
    }

    fn sink(&self, spec: &SinkSpec, _: &Environment) -> Result<Arc<dyn Sink>, ConnectorError> {
        Err(not_writable(&spec.table))
    }
}

struct DatagenGenerator {
    fields: Vec<FieldSpec>,
    schema: SchemaRef,
    rows: Option<u64>,
    rows_per_second: u64,
}

impl RowGenerator for DatagenGenerator {
    fn rows(&self) -> Option<u64> {
        self.rows
    }

    fn rate(&self) -> Option<Rate> {
        Some(Rate { rows: self.rows_per_second, seconds: 1 })
    }

    fn generate(
        &self,
        first: u64,
        step: u64,
        count: usize,
        env: &RuntimeEnv,
    ) -> Result<RecordBatch, ConnectorError> {
        let numbers: Vec<u64> = (0..count as u64).map(|k| first + k * step).collect();
        let now_ms = env.clock.now_ms();
        let columns = self.fields.iter().map(|field| values::generate(field, &numbers, now_ms));
        let row_count = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect(), &row_count)
            .map_err(|error| ConnectorError::Internal(format!("datagen: {error}")))
    }
}
