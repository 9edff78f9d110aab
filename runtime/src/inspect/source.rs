//! Reads a part of a checkpoint as the source of a job.

use super::table::{CONNECTOR, CheckpointTable, PATH, STATE};
use crate::components::Components;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::Arc;
use weir_checkpoint::Environment;
use weir_connectors::{ConnectorError, ReaderContext, Sink, Source, SourceEvent, SourceReader, SplitState};
use weir_operators::{Operator, OperatorError};
use weir_types::{
    ChangelogBatch, ErrorKind, JobError, JobSettings, LookupSource, OperatorNode, RuntimeEnv, SinkSpec,
    SourceSpec, SplitId,
};

/// Components that know checkpoints as tables besides their own.
pub(crate) struct WithCheckpoints {
    pub components: Arc<dyn Components>,
    pub environment: Arc<Environment>,
}

impl Components for WithCheckpoints {
    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError> {
        match spec.table.option("connector") {
            Some(CONNECTOR) => open_source(spec, &self.environment),
            _ => self.components.source(spec),
        }
    }

    fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError> {
        self.components.sink(spec)
    }

    fn lookup(
        &self,
        spec: &SourceSpec,
        keys: &[usize],
        env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError> {
        self.components.lookup(spec, keys, env)
    }

    fn operator(
        &self,
        node: &OperatorNode,
        inputs: &[SchemaRef],
        settings: &JobSettings,
    ) -> Result<Box<dyn Operator>, OperatorError> {
        self.components.operator(node, inputs, settings)
    }
}

struct CheckpointSource {
    path: String,
    state: String,
    environment: Arc<Environment>,
    spec: SourceSpec,
}

struct CheckpointReader {
    table: CheckpointTable,
    projection: Vec<usize>,
    splits: VecDeque<(SplitId, usize)>,
    /// the batches of the split in front, and how many of them are still to be handed out
    open: Option<Vec<RecordBatch>>,
}

/// Errors: `Options` for a table that lacks an option.
fn open_source(spec: &SourceSpec, environment: &Arc<Environment>) -> Result<Arc<dyn Source>, ConnectorError> {
    let option = |key: &str| {
        let value = spec.table.option(key).map(str::to_string);
        value.ok_or_else(|| {
            ConnectorError::Options(format!("table {}: option '{key}' is missing", spec.table.name))
        })
    };
    Ok(Arc::new(CheckpointSource {
        path: option(PATH)?,
        state: option(STATE)?,
        environment: environment.clone(),
        spec: spec.clone(),
    }))
}

fn connector_error(error: JobError) -> ConnectorError {
    match error.kind {
        ErrorKind::UserInput => ConnectorError::Options(error.message),
        ErrorKind::Data => ConnectorError::Record(error.message),
        ErrorKind::Unavailable => ConnectorError::Unavailable(error.message),
        ErrorKind::ReaderGone => ConnectorError::ReaderGone(error.message),
        ErrorKind::Internal => ConnectorError::Internal(error.message),
    }
}

impl CheckpointSource {
    async fn open(&self) -> Result<CheckpointTable, ConnectorError> {
        let table = CheckpointTable::open(&self.path, &self.state, &self.environment).await;
        let table = table.map_err(connector_error)?;
        let found = table.descriptor(&self.path, &self.state);
        let declared = &self.spec.table.columns;
        let same = found.columns.len() == declared.len()
            && found
                .columns
                .iter()
                .zip(declared)
                .all(|(found, declared)| found.sql_type == declared.sql_type);
        match same {
            true => Ok(table),
            false => Err(ConnectorError::Options(format!(
                "table {}: '{}' of checkpoint '{}' has other columns than the table: leave them to CHECKPOINT('{}', '{}')",
                self.spec.table.name, self.state, self.path, self.path, self.state
            ))),
        }
    }
}

#[async_trait]
impl Source for CheckpointSource {
    async fn splits(&self, _parallelism: u32) -> Result<Vec<SplitId>, ConnectorError> {
        let splits = self.open().await?.splits();
        Ok((0..splits).map(|split| SplitId(split.to_string().into())).collect())
    }

    async fn reader(
        &self,
        _context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError> {
        let table = self.open().await?;
        let place = |state: SplitState| {
            let position = state.position.as_deref().unwrap_or("0").parse();
            let position = position.map_err(|_| {
                ConnectorError::Record(format!(
                    "checkpoint '{}': {:?} is no position",
                    self.path, state.position
                ))
            });
            Ok((state.split, position?))
        };
        let splits = splits.into_iter().map(place).collect::<Result<_, ConnectorError>>()?;
        Ok(Box::new(CheckpointReader { table, projection: self.spec.projection.clone(), splits, open: None }))
    }
}

#[async_trait]
impl SourceReader for CheckpointReader {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError> {
        let Some((split, position)) = self.splits.front_mut() else { return Ok(SourceEvent::EndOfInput) };
        if self.open.is_none() {
            let number = split.0.parse();
            let number = number
                .map_err(|_| ConnectorError::Internal(format!("a checkpoint has no part {}", split.0)))?;
            self.open = Some(self.table.read(number).await.map_err(connector_error)?);
        }
        let batch = self.open.as_ref().and_then(|batches| batches.get(*position));
        let Some(batch) = batch else {
            let finished = split.clone();
            self.splits.pop_front();
            self.open = None;
            return Ok(SourceEvent::SplitFinished(finished));
        };
        let rows =
            batch.project(&self.projection).map_err(|error| ConnectorError::Internal(error.to_string()))?;
        *position += 1;
        Ok(SourceEvent::Rows { split: split.clone(), batch: ChangelogBatch::insert_only(rows) })
    }

    fn snapshot(&self) -> Vec<SplitState> {
        let state = |(split, position): &(SplitId, usize)| SplitState {
            split: split.clone(),
            position: (*position > 0).then(|| position.to_string()),
        };
        self.splits.iter().map(state).collect()
    }
}
