//! Errors of this room.

use weir_state::StateError;
use weir_types::{CheckpointId, Classify, ErrorKind};

/// Why a checkpoint did not come about, or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("checkpoint {checkpoint} expired after {timeout_ms} ms: no answer came from {}", some(waiting))]
    Expired { checkpoint: CheckpointId, timeout_ms: u64, waiting: Vec<String> },
    #[error("checkpoint {checkpoint} failed: {reason}")]
    Failed { checkpoint: CheckpointId, reason: String },
    /// Storage did not do as asked.
    #[error("{what}: {reason}")]
    Storage { what: String, reason: String },
    /// The manifest was to be written, that failed, and so did taking it away: the checkpoint may be there.
    #[error("it is in doubt whether checkpoint {checkpoint} is complete: {reason}")]
    InDoubt { checkpoint: CheckpointId, reason: String },
    /// A directory that cannot be one of checkpoints.
    #[error("{0}")]
    Location(String),
    /// A file that a checkpoint consists of is not there.
    #[error("{file}: there is no such file{needed_by}")]
    Missing { file: String, needed_by: String },
    /// A stored file ends before what it announces.
    #[error("{file}: truncated at offset {offset}: {what}")]
    Truncated { file: String, offset: u64, what: String },
    /// Stored bytes that cannot be what was written.
    #[error("{file}: corrupt at offset {offset}: {what}")]
    Corrupt { file: String, offset: u64, what: String },
}

/// Tasks that are named in one error.
const NAMED: usize = 3;

/// Some of the names, and how many others there are.
fn some(names: &[String]) -> String {
    let named = names[..names.len().min(NAMED)].join("; ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        1 => format!("{named}; and another"),
        others => format!("{named}; and {others} others"),
    }
}

impl Classify for CheckpointError {
    fn kind(&self) -> ErrorKind {
        match self {
            CheckpointError::Expired { .. }
            | CheckpointError::Failed { .. }
            | CheckpointError::InDoubt { .. }
            | CheckpointError::Storage { .. } => ErrorKind::Unavailable,
            CheckpointError::Location(_) => ErrorKind::UserInput,
            CheckpointError::Missing { .. }
            | CheckpointError::Truncated { .. }
            | CheckpointError::Corrupt { .. } => ErrorKind::Data,
        }
    }
}

impl From<StateError> for CheckpointError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Truncated { file, offset, what } => CheckpointError::Truncated { file, offset, what },
            StateError::Corrupt { file, offset, what } => CheckpointError::Corrupt { file, offset, what },
            StateError::Descriptor(what) | StateError::Value(what) => CheckpointError::Location(what),
            StateError::Storage(reason) => {
                CheckpointError::Storage { what: "the files of a state backend".to_string(), reason }
            }
        }
    }
}
