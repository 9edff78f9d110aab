//! The `filesystem` connector: files and directories, local or in an object store.
//!
//! | module | what |
//! | --- | --- |
//! | `table` | the options and columns of a table |
//! | `store` | one way to list, read and write local files and objects |
//! | `listing` | which files a table has, and the values of their partitions |
//! | `bytes`, `compression` | the bytes of one file, decompressed, from any position on |
//! | `file_reader`, `columns` | rows of one file |
//! | `source`, `watch` | the files of a subtask: all there are, or all that ever come |
//! | `sink`, `part`, `partition`, `commit` | writing in two phases |
//!
//! Hidden files, whose names begin with `.` or `_`, are never read; what is being written is hidden until its
//! checkpoint is complete.

mod bytes;
mod columns;
mod commit;
mod compression;
mod file_reader;
mod listing;
mod part;
mod partition;
mod sink;
mod source;
mod store;
mod table;
mod watch;

#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod watch_tests;

use crate::connector::{Connector, Environment};
use crate::lookup::{LookupCache, scanned};
use crate::{ConnectorError, Sink, Source};
use sink::FilesystemSink;
use source::FilesystemSource;
use std::sync::Arc;
use table::{FilesystemTable, METADATA};
use weir_types::{
    LookupAbility, LookupSource, OptionError, RuntimeEnv, SinkSpec, SourceSpec, TableCapabilities,
    TableDescriptor,
};

pub(crate) struct Filesystem;

impl Connector for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let filesystem = FilesystemTable::read(table)?;
        let mode = filesystem.format.changelog_mode();
        Ok(TableCapabilities {
            scan: Some(mode),
            bounded: filesystem.monitor_interval_ms.is_none(),
            sink: filesystem.writable.then_some(mode),
            sink_by_key: false,
            lookup: filesystem
                .lookup
                .as_ref()
                .filter(|_| mode.is_insert_only())
                .map(|lookup| LookupAbility { constant: lookup.cache == LookupCache::Full { reload: None } }),
            metadata: METADATA.iter().map(|(key, sql_type)| (key.to_string(), sql_type.clone())).collect(),
        })
    }

    fn source(
        &self,
        spec: &SourceSpec,
        environment: &Environment,
    ) -> Result<Arc<dyn Source>, ConnectorError> {
        Ok(Arc::new(FilesystemSource::open(spec, environment)?))
    }

    fn lookup(
        &self,
        spec: &SourceSpec,
        keys: &[usize],
        environment: &Environment,
        env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError> {
        let Some(options) = FilesystemTable::read(&spec.table)?.lookup else {
            return Err(ConnectorError::Options(format!(
                "table {} cannot be looked up: it is watched for new files",
                spec.table.name
            )));
        };
        scanned(self.source(spec, environment)?, spec, keys, &options, env)
    }

    fn sink(&self, spec: &SinkSpec, environment: &Environment) -> Result<Arc<dyn Sink>, ConnectorError> {
        Ok(Arc::new(FilesystemSink::open(spec, environment)?))
    }
}
