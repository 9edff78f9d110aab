//! The connectors that exist, by the name in `'connector' = '..'`.

use crate::blackhole::Blackhole;
use crate::connector::{Connector, Environment, not_readable, not_writable};
use crate::datagen::Datagen;
use crate::filesystem::Filesystem;
use crate::limited::LimitedSource;
use crate::nexmark::Nexmark;
use crate::print::Print;
use crate::socket::Socket;
use crate::{ConnectorError, Sink, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    ConnectorCatalog, LookupSource, OptionError, RuntimeEnv, SinkSpec, SourceSpec, TableCapabilities,
    TableDescriptor,
};

const CONNECTORS: &[&dyn Connector] = &[&Blackhole, &Datagen, &Filesystem, &Nexmark, &Print, &Socket];

/// Checks tables and opens them.
#[derive(Clone, Default)]
pub struct Connectors {
    environment: Arc<Environment>,
}

impl Connectors {
    /// Connectors that know nothing of the process's environment: local files, generators, sockets, printing.
    pub fn new() -> Self {
        Connectors::default()
    }

    /// `environment` has the variables that configure object stores: `AWS_*`, `GOOGLE_*`, `AZURE_*`, as the
    /// cloud's own tools read them.
    pub fn with_environment(environment: BTreeMap<String, String>) -> Self {
        Connectors { environment: Arc::new(environment) }
    }

    /// Opens a table for reading. Options were checked when the statement was planned; what depends on the
    /// world (does the file exist) is checked when the source is asked for its splits or a reader.
    pub fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError> {
        let connector = find(&spec.table)?;
        if connector.check(&spec.table)?.scan.is_none() {
            return Err(not_readable(&spec.table));
        }
        let source = connector.source(spec, &self.environment)?;
        Ok(match spec.limit {
            Some(rows) => Arc::new(LimitedSource { source, rows }),
            None => source,
        })
    }

    /// Opens a table to be asked for rows by the columns at `keys`, which are places in the projection of `spec`.
    pub fn lookup(
        &self,
        spec: &SourceSpec,
        keys: &[usize],
        env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError> {
        let connector = find(&spec.table)?;
        connector.check(&spec.table)?;
        connector.lookup(spec, keys, &self.environment, env)
    }

    /// Opens a table for writing.
    pub fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError> {
        let connector = find(&spec.table)?;
        if connector.check(&spec.table)?.sink.is_none() {
            return Err(not_writable(&spec.table));
        }
        if spec.overwrite {
            return Err(ConnectorError::Options(format!(
                "INSERT OVERWRITE into table {} is not supported: write INSERT INTO, and empty the target \
                 before if it must \
                 hold nothing else",
                spec.table.name
            )));
        }
        connector.sink(spec, &self.environment)
    }
}

impl ConnectorCatalog for Connectors {
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        find(table)?.check(table)
    }
}

fn find(table: &TableDescriptor) -> Result<&'static dyn Connector, OptionError> {
    let names = || CONNECTORS.iter().map(|connector| connector.name());
    let error = |message| OptionError {
        option: Some("connector".into()),
        message: format!("table {}: {message}", table.name),
    };
    let Some(name) = table.option("connector") else {
        if let Some(meant) = weir_types::nearest("connector", table.options.keys().map(String::as_str)) {
            let message =
                format!("table {}: unknown option '{meant}', did you mean 'connector'?", table.name);
            return Err(OptionError { option: Some(meant.into()), message });
        }
        let all = names().collect::<Vec<_>>().join(", ");
        return Err(error(format!("option 'connector' is missing: it is one of {all}")));
    };
    let found = CONNECTORS.iter().copied().find(|connector| connector.name() == name);
    found.ok_or_else(|| match weir_types::nearest(name, names()) {
        Some(nearest) => error(format!("there is no connector '{name}', did you mean '{nearest}'?")),
        None => {
            let all = names().collect::<Vec<_>>().join(", ");
            error(format!("there is no connector '{name}'; there are {all}"))
        }
    })
}

#[cfg(test)]
mod tests;
