//! A filesystem table opened for writing.

use super::commit::FilesystemCommitter;
use super::listing::named;
use super::part::{ClosedPart, Part};
use super::partition::Partitioner;
use super::store::{Store, locate};
use super::table::FilesystemTable;
use crate::connector::Environment;
use crate::projection::{conform, persisted_schema};
use crate::{Committable, Committer, ConnectorError, Sink, SinkWriter, WriterContext};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir_formats::Encoder;
use weir_types::{ChangelogBatch, CheckpointId, SinkSpec, TableColumn, TableDescriptor};

pub(super) struct FilesystemSink {
    pub(super) table: FilesystemTable,
    descriptor: Arc<TableDescriptor>,
    schema: SchemaRef,
    pub(super) store: Store,
    pub(super) root: String,
}

impl FilesystemSink {
    pub fn open(spec: &SinkSpec, environment: &Environment) -> Result<Self, ConnectorError> {
        let table = FilesystemTable::read(&spec.table)?;
        let (store, root) = locate(&table.path, environment).map_err(|reason| {
            ConnectorError::Options(format!("table {}: option 'path': {reason}", table.name))
        })?;
        if root.contains(['*', '?']) {
            return Err(ConnectorError::Options(format!(
                "table {}: option 'path': '{root}' is a pattern; rows are written to one directory",
                table.name
            )));
        }
        let schema = persisted_schema(&spec.table);
        Ok(FilesystemSink { table, descriptor: Arc::clone(&spec.table), schema, store, root })
    }
}

#[async_trait]
impl Sink for FilesystemSink {
    async fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter>, ConnectorError> {
        if matches!(self.store, Store::Local) && Path::new(&self.root).is_file() {
            return Err(ConnectorError::Options(format!(
                "table {}: option 'path': {} is a file, and rows are written to files in a directory; \
                 name a directory",
                self.table.name, self.root
            )));
        }
        let columns: Vec<&TableColumn> = self.descriptor.physical_columns().collect();
        let encoder = self.table.format.encoder(&self.table.file_schema);
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        // The number of this attempt at the job: an earlier one may have left files under the same job and count.
        let attempt = context.env.random.next_u64() & u64::from(u32::MAX);
        let job: String = context.job_id.chars().map(plain).collect();
        Ok(Box::new(FilesystemWriter {
            partitioner: Partitioner::new(&self.table, &columns)?,
            encoder: encoder.map_err(|error| ConnectorError::Options(error.to_string()))?,
            table: self.table.clone(),
            schema: Arc::clone(&self.schema),
            store: self.store.clone(),
            root: self.root.clone(),
            name: format!("part-{job}-{attempt:08x}-{}", context.subtask.0),
            files: 0,
            open: BTreeMap::new(),
            closed: Vec::new(),
            context,
        }))
    }

    fn committer(&self) -> Option<Box<dyn Committer>> {
        Some(Box::new(FilesystemCommitter { store: self.store.clone() }))
    }
}

struct FilesystemWriter {
    table: FilesystemTable,
    schema: SchemaRef,
    context: WriterContext,
    store: Store,
    root: String,
    /// `part-<job>-<attempt>-<subtask>`
    name: String,
    /// files begun so far
    files: u64,
    partitioner: Partitioner,
    encoder: Box<dyn Encoder>,
    /// by the partition's directory
    open: BTreeMap<String, Part>,
    /// rolled since the last checkpoint
    closed: Vec<ClosedPart>,
}

impl FilesystemWriter {
    fn now(&self) -> Duration {
        self.context.env.clock.monotonic()
    }

    fn create(&mut self, directory: &str) -> Result<Part, ConnectorError> {
        let slash = if directory.is_empty() { "" } else { "/" };
        let path = format!("{}{slash}{directory}/{}-{}", self.root, self.name, self.files);
        self.files += 1;
        match &self.store {
            Store::Local => Part::create_local(path.into(), self.now()),
            Store::Objects(objects) => Part::create_object(objects, path, self.now()),
        }
    }

    async fn write_partition(
        &mut self,
        directory: String,
        rows: &ChangelogBatch,
    ) -> Result<(), ConnectorError> {
        let mut part = match self.open.remove(&directory) {
            Some(part) => part,
            None => self.create(&directory)?,
        };
        part.last_write = self.now();
        self.encoder
            .encode(rows, &mut part.buffer)
            .map_err(|error| ConnectorError::Record(error.to_string()))?;
        part.drain().await?;
        self.open.insert(directory, part);
        Ok(())
    }

    /// Closes what has become too large or too old.
    async fn roll(&mut self) -> Result<(), ConnectorError> {
        let (now, policy) = (self.now(), self.table.rolling);
        let due = |part: &Part| {
            part.size() >= policy.file_size
                || now.saturating_sub(part.opened) >= Duration::from_millis(policy.rollover_interval_ms)
                || now.saturating_sub(part.last_write) >= Duration::from_millis(policy.inactivity_interval_ms)
        };
        let rolled: Vec<String> =
            self.open.iter().filter(|(_, part)| due(part)).map(|(directory, _)| directory.clone()).collect();
        for directory in rolled {
            if let Some(part) = self.open.remove(&directory) {
                self.closed.push(part.close().await?);
            }
        }
        Ok(())
    }

    async fn write_rows(&mut self, batch: &ChangelogBatch) -> Result<(), ConnectorError> {
        let batch = conform(batch, &self.schema)?;
        for (directory, rows) in self.partitioner.split(&batch)? {
            self.write_partition(directory, &rows).await?;
        }
        self.roll().await
    }

    async fn flush_parts(&mut self) -> Result<(), ConnectorError> {
        for part in self.open.values_mut() {
            part.flush().await?;
        }
        self.roll().await
    }

    async fn close_parts(&mut self) -> Result<(), ConnectorError> {
        while let Some((_, part)) = self.open.pop_first() {
            self.closed.push(part.close().await?);
        }
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for FilesystemWriter {
    async fn write(&mut self, batch: &ChangelogBatch) -> Result<(), ConnectorError> {
        self.write_rows(batch).await.map_err(|error| named(&self.table, error))
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        self.flush_parts().await.map_err(|error| named(&self.table, error))
    }

    async fn prepare_commit(&mut self, _: Option<CheckpointId>) -> Result<Vec<Committable>, ConnectorError> {
        self.close_parts().await.map_err(|error| named(&self.table, error))?;
        self.closed.drain(..).map(|part| part.release().committable()).collect()
    }
}
