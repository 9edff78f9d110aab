//! The connectors that exist, by the name in `'connector' = '..'`.

use crate::{ConnectorError, Sink, Source};
use std::sync::Arc;
use weir_types::{ConnectorCatalog, OptionError, SinkSpec, SourceSpec, TableCapabilities, TableDescriptor};

/// Checks tables and opens them.
#[derive(Clone, Default)]
pub struct Connectors {}

impl Connectors {
    pub fn new() -> Self {
        Connectors {}
    }

    /// Opens a table for reading. Options were checked when the statement was planned; what depends on the world (does
    /// the file exist) is checked here.
    pub fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(ConnectorError::Internal(format!("no connector reads table {}", spec.table.name)))
    }

    /// Opens a table for writing.
    pub fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError> {
        Err(ConnectorError::Internal(format!("no connector writes table {}", spec.table.name)))
    }
}

impl ConnectorCatalog for Connectors {
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        Err(OptionError { option: None, message: format!("no connector for table {}", table.name) })
    }
}
