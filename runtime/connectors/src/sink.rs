//! What a connector does to be written.

use crate::ConnectorError;
use async_trait::async_trait;
use std::sync::Arc;
use weir_types::{ChangelogBatch, CheckpointId, OperatorMetrics, RuntimeEnv, SubtaskIndex};

/// What a writer is told when it is opened.
#[derive(Clone)]
pub struct WriterContext {
    /// names what the job writes so that two jobs never write the same file
    pub job_id: Arc<str>,
    pub subtask: SubtaskIndex,
    pub parallelism: u32,
    pub env: RuntimeEnv,
    pub metrics: Arc<OperatorMetrics>,
}

/// Something written but not yet visible; the connector's own, versioned encoding. Committing makes it visible.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Committable(pub String);

/// A table opened for writing.
#[async_trait]
pub trait Sink: Send + Sync {
    async fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter>, ConnectorError>;

    /// Commits what writers prepared; `None` for a sink whose writes are visible at once.
    fn committer(&self) -> Option<Box<dyn Committer>>;
}

/// Writes the rows of one subtask.
#[async_trait]
pub trait SinkWriter: Send {
    /// Columns as in `SinkSpec`.
    async fn write(&mut self, batch: &ChangelogBatch) -> Result<(), ConnectorError>;

    /// Hands buffered rows on to where they go; called when the input is quiet for `pipeline.batch-timeout`.
    async fn flush(&mut self) -> Result<(), ConnectorError>;

    /// Closes what belongs to the checkpoint (`None`: to the end of input) and says what is to be committed
    /// once that is complete. Everything written before is durable when this returns.
    async fn prepare_commit(
        &mut self,
        checkpoint: Option<CheckpointId>,
    ) -> Result<Vec<Committable>, ConnectorError>;
}

/// Makes committables visible. The runtime calls it only when their checkpoint is complete.
#[async_trait]
pub trait Committer: Send + Sync {
    /// Idempotent: a committable that is already committed is left as it is.
    async fn commit(&self, committables: &[Committable]) -> Result<(), ConnectorError>;

    /// Removes what was written for a checkpoint that never completed.
    async fn abort(&self, committables: &[Committable]) -> Result<(), ConnectorError>;
}
