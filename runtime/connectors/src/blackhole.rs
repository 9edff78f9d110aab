//! The `blackhole` connector: takes every row and keeps none.

use crate::connector::{Connector, Environment, not_readable};
use crate::options::TableOptions;
use crate::{Committable, Committer, ConnectorError, Sink, SinkWriter, Source, WriterContext};
use async_trait::async_trait;
use std::sync::Arc;
use weir_types::{
    ChangelogBatch, ChangelogMode, CheckpointId, OptionError, SinkSpec, SourceSpec, TableCapabilities,
    TableDescriptor,
};

pub(crate) struct Blackhole;

impl Connector for Blackhole {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let options = TableOptions::new(table, "blackhole");
        options.finish()?;
        Ok(TableCapabilities {
            scan: None,
            bounded: false,
            // What an update replaces is of no use to a sink that keeps nothing.
            sink: Some(ChangelogMode::UPSERT),
            sink_by_key: true,
            metadata: Vec::new(),
            lookup: None,
        })
    }

    fn source(&self, spec: &SourceSpec, _: &Environment) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(not_readable(&spec.table))
    }

    fn sink(&self, _: &SinkSpec, _: &Environment) -> Result<Arc<dyn Sink>, ConnectorError> {
        Ok(Arc::new(BlackholeSink))
    }
}

struct BlackholeSink;

#[async_trait]
impl Sink for BlackholeSink {
    async fn writer(&self, _: WriterContext) -> Result<Box<dyn SinkWriter>, ConnectorError> {
        Ok(Box::new(BlackholeSink))
    }

    fn committer(&self) -> Option<Box<dyn Committer>> {
        None
    }
}

#[async_trait]
impl SinkWriter for BlackholeSink {
    async fn write(&mut self, _: &ChangelogBatch) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn prepare_commit(&mut self, _: Option<CheckpointId>) -> Result<Vec<Committable>, ConnectorError> {
        Ok(Vec::new())
    }
}
