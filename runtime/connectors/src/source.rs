//! What a connector does to be read.

use crate::ConnectorError;
use async_trait::async_trait;
use std::sync::Arc;
use weir_types::{ChangelogBatch, OperatorMetrics, RuntimeEnv, SplitId, SubtaskIndex};

/// What a reader is told when it is opened.
#[derive(Clone)]
pub struct ReaderContext {
    pub subtask: SubtaskIndex,
    pub parallelism: u32,
    /// rows of a batch, at most about
    pub batch_rows: usize,
    /// how long a lone row may wait for others before its batch is handed out
    pub batch_timeout_ms: u64,
    pub env: RuntimeEnv,
    pub metrics: Arc<OperatorMetrics>,
}

/// A split and how far it has been read: everything before `position` has been handed out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SplitState {
    pub split: SplitId,
    /// The connector's own, versioned encoding; `None`: from the beginning.
    pub position: Option<String>,
}

/// What a reader has to say.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    /// Rows of one split, in its order; columns as in `SourceSpec::projection`. Never empty.
    Rows { split: SplitId, batch: ChangelogBatch },
    /// The split has been read to its end.
    SplitFinished(SplitId),
    /// All splits have been read to their ends; nothing follows.
    EndOfInput,
}

/// A table opened for reading: shared by the subtasks of one source operator.
#[async_trait]
pub trait Source: Send + Sync {
    /// The splits as of now, in a stable order. The runtime deals them out: split i goes to subtask i modulo the
    /// parallelism. A source whose data does not come in parts (a socket) has one.
    async fn splits(&self, parallelism: u32) -> Result<Vec<SplitId>, ConnectorError>;

    /// A reader of `splits`, each from its position.
    async fn reader(
        &self,
        context: ReaderContext,
        splits: Vec<SplitState>,
    ) -> Result<Box<dyn SourceReader>, ConnectorError>;
}

/// Reads the splits of one subtask.
///
/// Guarantees that the implementer gives and `tests` checks: `next` is cancel safe (a dropped future loses no
/// rows); a batch is handed out at the latest `batch_timeout_ms` after its first row arrived; after a restart
/// from `snapshot()` exactly the rows that had not been handed out follow. Not guaranteed: an order between
/// splits.
#[async_trait]
pub trait SourceReader: Send {
    async fn next(&mut self) -> Result<SourceEvent, ConnectorError>;

    /// Positions after the last event that `next` returned; finished splits are left out.
    fn snapshot(&self) -> Vec<SplitState>;
}
