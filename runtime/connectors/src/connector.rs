//! What the registry asks of a connector.

use crate::{ConnectorError, Sink, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    LookupSource, OptionError, RuntimeEnv, SinkSpec, SourceSpec, TableCapabilities, TableDescriptor,
};

/// Variables of the environment that object stores are configured by (`AWS_ACCESS_KEY_ID` and so on). They are
/// handed in: nothing in this room reads the process's own.
pub(crate) type Environment = BTreeMap<String, String>;

/// One value of `'connector' = '..'`. `source` and `sink` are called with tables that `check` has passed and
/// said to be readable or writable.
pub(crate) trait Connector: Send + Sync {
    fn name(&self) -> &'static str;

    /// Checks every option and the types of all columns.
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError>;

    fn source(&self, spec: &SourceSpec, environment: &Environment)
    -> Result<Arc<dyn Source>, ConnectorError>;

    fn sink(&self, spec: &SinkSpec, environment: &Environment) -> Result<Arc<dyn Sink>, ConnectorError>;

    /// The table to be asked for rows by the columns at `keys`, which are places in the projection of `spec`. Called with
    /// tables that `check` has said to be able to.
    fn lookup(
        &self,
        spec: &SourceSpec,
        _keys: &[usize],
        _environment: &Environment,
        _env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError> {
        Err(ConnectorError::Options(format!(
            "table {} cannot be looked up: its connector has no lookups",
            spec.table.name
        )))
    }
}

/// The answer of a connector that cannot be read, when it is asked nevertheless.
pub(crate) fn not_readable(table: &TableDescriptor) -> ConnectorError {
    ConnectorError::Options(format!("table {} can only be written: its connector has no source", table.name))
}

/// The answer of a connector that cannot be written, when it is asked nevertheless.
pub(crate) fn not_writable(table: &TableDescriptor) -> ConnectorError {
    ConnectorError::Options(format!("table {} can only be read: its connector has no sink", table.name))
}
