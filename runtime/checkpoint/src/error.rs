//! Errors of this room.

use weir_types::{CheckpointId, Classify, ErrorKind};

/// Why a checkpoint did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("checkpoint {checkpoint} expired after {timeout_ms} ms: tasks {waiting:?} have not answered")]
    Expired { checkpoint: CheckpointId, timeout_ms: u64, waiting: Vec<usize> },
    #[error("checkpoint {checkpoint} failed: {reason}")]
    Failed { checkpoint: CheckpointId, reason: String },
    /// Storage did not take a checkpoint.
    #[error("store {what}: {reason}")]
    Storage { what: String, reason: String },
}

impl Classify for CheckpointError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unavailable
    }
}
