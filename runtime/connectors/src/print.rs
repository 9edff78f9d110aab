//! The `print` connector: rows as text on standard output or standard error, as Flink's print connector writes
//! them.

use crate::connector::{Connector, Environment, not_readable};
use crate::options::TableOptions;
use crate::projection::{conform, persisted_schema};
use crate::{Committable, Committer, ConnectorError, Sink, SinkWriter, Source, WriterContext};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use std::io::Write;
use std::sync::Arc;
use weir_types::text::RowWriter;
use weir_types::{
    ChangelogBatch, ChangelogMode, CheckpointId, OptionError, SinkSpec, SourceSpec, TableCapabilities,
    TableDescriptor,
};

pub(crate) struct Print;

#[derive(Clone, Debug, PartialEq, Eq)]
struct PrintOptions {
    identifier: String,
    standard_error: bool,
}

fn read(table: &TableDescriptor) -> Result<PrintOptions, OptionError> {
    let options = TableOptions::new(table, "print");
    options.sink()?;
    if !table.partition_keys.is_empty() {
        return Err(options.table_error("connector 'print' has no partitions: leave PARTITIONED BY out"));
    }
    let print = PrintOptions {
        identifier: options.text("print-identifier").unwrap_or("").into(),
        standard_error: options.boolean("standard-error")?.unwrap_or(false),
    };
    options.finish()?;
    Ok(print)
}

impl Connector for Print {
    fn name(&self) -> &'static str {
        "print"
    }

    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        read(table)?;
        Ok(TableCapabilities {
            scan: None,
            bounded: false,
            sink: Some(ChangelogMode::ALL),
            sink_by_key: true,
            metadata: Vec::new(),
            lookup: None,
        })
    }

    fn source(&self, spec: &SourceSpec, _: &Environment) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(not_readable(&spec.table))
    }

    fn sink(&self, spec: &SinkSpec, _: &Environment) -> Result<Arc<dyn Sink>, ConnectorError> {
        let options = read(&spec.table)?;
        Ok(Arc::new(PrintSink { options, schema: persisted_schema(&spec.table) }))
    }
}

struct PrintSink {
    options: PrintOptions,
    schema: SchemaRef,
}

#[async_trait]
impl Sink for PrintSink {
    async fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter>, ConnectorError> {
        let out = if self.options.standard_error { Stream::Error } else { Stream::Output };
        let prefix = prefix(&self.options.identifier, context.subtask.0, context.parallelism);
        Ok(Box::new(PrintWriter { prefix, out, schema: Arc::clone(&self.schema), text: Vec::new() }))
    }

    fn committer(&self) -> Option<Box<dyn Committer>> {
        None
    }
}

/// `identifier:2> `: what stands before each row. The number of the subtask, from 1, only where there are several.
fn prefix(identifier: &str, subtask: u32, parallelism: u32) -> String {
    match (identifier.is_empty(), parallelism > 1) {
        (true, false) => String::new(),
        (false, false) => format!("{identifier}> "),
        (true, true) => format!("{}> ", subtask + 1),
        (false, true) => format!("{identifier}:{}> ", subtask + 1),
    }
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

struct PrintWriter {
    prefix: String,
    out: Stream,
    schema: SchemaRef,
    /// the text of the last batch, kept for its capacity
    text: Vec<u8>,
}

impl PrintWriter {
    /// A line for each row of `batch`.
    fn render(&mut self, batch: &ChangelogBatch) -> Result<(), ConnectorError> {
        let batch = conform(batch, &self.schema)?;
        let rows = RowWriter::new(&batch).map_err(|error| ConnectorError::Internal(error.to_string()))?;
        self.text.clear();
        for row in 0..batch.num_rows() {
            self.text.extend_from_slice(self.prefix.as_bytes());
            rows.append(row, &mut self.text);
            self.text.push(b'\n');
        }
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for PrintWriter {
    /// The stream is locked once a batch, so that subtasks do not cut each other's lines.
    async fn write(&mut self, batch: &ChangelogBatch) -> Result<(), ConnectorError> {
        self.render(batch)?;
        let written = match self.out {
            Stream::Output => {
                let mut out = std::io::stdout().lock();
                out.write_all(&self.text).and_then(|()| out.flush())
            }
            Stream::Error => std::io::stderr().lock().write_all(&self.text),
        };
        written.map_err(|error| {
            let stream = if matches!(self.out, Stream::Output) { "output" } else { "error" };
            let message = format!("cannot print rows: standard {stream}: {error}");
            match error.kind() {
                std::io::ErrorKind::BrokenPipe => ConnectorError::ReaderGone(message),
                _ => ConnectorError::Unavailable(message),
            }
        })
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn prepare_commit(&mut self, _: Option<CheckpointId>) -> Result<Vec<Committable>, ConnectorError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connectors;
    use crate::testing::table;
    use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
    use weir_types::{ConnectorCatalog, RowKind, SqlType};

    #[test]
    fn prefixes_as_flink_writes_them() {
        assert_eq!(prefix("", 0, 1), "");
        assert_eq!(prefix("", 1, 2), "2> ");
        assert_eq!(prefix("out", 0, 1), "out> ");
        assert_eq!(prefix("out", 0, 2), "out:1> ");
    }

    #[test]
    fn rows_as_flink_writes_them() {
        let columns = [("a", SqlType::Int), ("b", SqlType::STRING), ("t", SqlType::Timestamp(3))];
        let table = table("out", &columns, &[("connector", "print")]);
        let schema = persisted_schema(&table);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec!["a", "b, c"])),
            crate::generator::timestamps(vec![1_704_067_200_500, 1_704_067_200_000], &SqlType::Timestamp(3)),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        let batch = ChangelogBatch::new(rows, Some(vec![RowKind::Insert, RowKind::UpdateBefore].into()));
        let mut writer = PrintWriter { prefix: "p> ".into(), out: Stream::Output, schema, text: Vec::new() };
        writer.render(&batch).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&writer.text),
            "p> +I[1, a, 2024-01-01T00:00:00.500]\np> -U[null, b, c, 2024-01-01T00:00]\n"
        );
    }

    #[test]
    fn takes_every_row_kind_and_only_its_options() {
        let connectors = Connectors::new();
        let good = table("out", &[("a", SqlType::Int)], &[("connector", "print"), ("print-identifier", "x")]);
        assert_eq!(connectors.check(&good).unwrap().sink, Some(ChangelogMode::ALL));
        assert_eq!(connectors.check(&good).unwrap().scan, None);
        let wrong = table("out", &[], &[("connector", "print"), ("standard-eror", "true")]);
        let message = connectors.check(&wrong).unwrap_err().message;
        assert!(message.ends_with("did you mean 'standard-error'?"), "{message}");
    }
}
