//! The `socket` connector: records from a TCP server, such as `nc -lk 9000`, separated by a byte.
//!
//! What a server has sent cannot be asked for again: rows that were in flight when a job failed are lost.

mod reader;
#[cfg(test)]
mod tests;

use crate::connector::{Connector, Environment, not_writable};
use crate::options::TableOptions;
use crate::projection::{field, scan_schema};
use crate::{ConnectorError, ReaderContext, Sink, Source, SourceReader, SplitState};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use reader::SocketReader;
use std::sync::Arc;
use weir_formats::Format;
use weir_types::{
    ColumnKind, OptionError, SinkSpec, SourceSpec, SplitId, TableCapabilities, TableDescriptor,
};

pub(crate) struct Socket;

#[derive(Clone, Debug)]
pub(super) struct SocketTable {
    pub name: String,
    pub hostname: String,
    pub port: u16,
    pub delimiter: u8,
    pub format: Format,
    /// attempts after the first to reach the server, each time that it cannot be reached or has gone
    pub max_retries: u64,
    pub retry_delay_ms: u64,
    pub columns: SchemaRef,
}

fn read(table: &TableDescriptor) -> Result<SocketTable, OptionError> {
    let options = TableOptions::new(table, "socket");
    options.scan()?;
    let name = options.required("format", &format!("one of {}", Format::NAMES.join(", ")))?;
    for option in Format::options(name).unwrap_or_default() {
        options.know(&format!("{name}.{}", option.key));
    }
    let format = Format::of_table(table)?;
    for column in &table.columns {
        if let ColumnKind::Metadata { key, .. } = &column.kind {
            let message =
                format!("connector 'socket' has no metadata, column {} asks for '{key}'", column.name);
            return Err(options.table_error(message));
        }
    }
    options.required("port", "the server's port")?;
    let socket = SocketTable {
        name: table.name.clone(),
        hostname: options.required("hostname", "the server's name or address")?.to_string(),
        port: options.parsed("port", "a port from 0 to 65535")?.unwrap_or(0),
        delimiter: options.parsed("byte-delimiter", "the number of a byte, from 0 to 255")?.unwrap_or(b'\n'),
        max_retries: options.parsed("max-retries", "a whole number")?.unwrap_or(0),
        retry_delay_ms: options.duration_ms("retry-delay")?.unwrap_or(500),
        columns: Arc::new(Schema::new(table.physical_columns().map(field).collect::<Vec<_>>())),
        format,
    };
    if socket.columns.fields().is_empty() {
        return Err(options.table_error("it needs a physical column"));
    }
    socket.format.check_columns(&socket.columns).map_err(|error| options.table_error(error))?;
    options.finish()?;
    Ok(socket)
}

impl Connector for Socket {
    fn name(&self) -> &'static str {
        "socket"
    }

    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let socket = read(table)?;
        Ok(TableCapabilities {
            scan: Some(socket.format.changelog_mode()),
            bounded: false,
            sink: None,
            sink_by_key: false,
            metadata: Vec::new(),
            lookup: None,
        })
    }

    fn source(&self, spec: &SourceSpec, _: &Environment) -> Result<Arc<dyn Source>, ConnectorError> {
        let table = read(&spec.table)?;
        let place = |column: &usize| table.columns.index_of(&spec.table.columns[*column].name);
        let projection = spec.projection.iter().map(place).collect::<Result<Vec<_>, _>>();
        Ok(Arc::new(SocketSource {
            projection: projection.map_err(|error| ConnectorError::Internal(error.to_string()))?,
            schema: scan_schema(spec),
            table,
        }))
    }

    fn sink(&self, spec: &SinkSpec, _: &Environment) -> Result<Arc<dyn Sink>, ConnectorError> {
        Err(not_writable(&spec.table))
    }
}

struct SocketSource {
    table: SocketTable,
    projection: Vec<usize>,
    schema: SchemaRef,
}

#[async_trait]
impl Source for SocketSource {
    async fn splits(&self, _: u32) -> Result<Vec<SplitId>, ConnectorError> {
        Ok(vec![SplitId::new("socket")])
    }

    async fn reader(
        &self,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError> {
        let split = splits.into_iter().next().map(|state| state.split);
        let reader = SocketReader::new(&self.table, &self.projection, &self.schema, context, split)?;
        Ok(Box::new(reader))
    }
}
