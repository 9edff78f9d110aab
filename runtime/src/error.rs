//! Errors of this room.

use weir_checkpoint::CheckpointError;
use weir_connectors::ConnectorError;
use weir_operators::OperatorError;
use weir_state::StateError;
use weir_types::{Classify, ErrorKind};

/// Why a job could not start or go on. `operator` is the label of the operator that was at work.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A graph that cannot be deployed: a defect of whoever built it.
    #[error("deploy job: {0}")]
    Graph(String),
    /// A setting that contradicts the job or another setting.
    #[error("{0}")]
    Settings(String),
    #[error("{operator}: {source}")]
    Connector { operator: String, source: ConnectorError },
    #[error("{operator}: {source}")]
    Operator { operator: String, source: OperatorError },
    #[error("{operator}: {source}")]
    State { operator: String, source: StateError },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint has state that the job has no operator for.
    #[error(
        "cannot begin with {path}: the job has no place for{list}\nwrite the query so that it has these clauses again, \
         or set 'execution.state-recovery.ignore-unclaimed-state' = 'true' to leave this state behind"
    )]
    Unclaimed { path: String, list: String },
    /// A defect of Weir or of a connector, caught where the task runs.
    #[error("{operator}: panicked: {message}")]
    Panic { operator: String, message: String },
    /// Rows that could not be sent to the next operator.
    #[error("{operator}: send rows on: {message}")]
    Exchange { operator: String, kind: ErrorKind, message: String },
}

impl Classify for RuntimeError {
    fn kind(&self) -> ErrorKind {
        match self {
            RuntimeError::Settings(_) | RuntimeError::Unclaimed { .. } => ErrorKind::UserInput,
            RuntimeError::Connector { source, .. } => source.kind(),
            RuntimeError::Operator { source, .. } => source.kind(),
            RuntimeError::State { source, .. } => source.kind(),
            RuntimeError::Checkpoint(error) => error.kind(),
            RuntimeError::Exchange { kind, .. } => *kind,
            RuntimeError::Graph(_) | RuntimeError::Panic { .. } => ErrorKind::Internal,
        }
    }
}
