//! The right to commit.

use weir_types::{CheckpointId, OperatorId};

/// What one sink operator's subtask has written and nobody sees yet; in the connector's own encoding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Committables {
    pub operator: OperatorId,
    pub committables: Vec<String>,
}

/// Says that a checkpoint is complete and what it covers. The coordinator makes one after storage has taken the
/// checkpoint (or when the job has come to its end), and a checkpoint that was opened gives one; nobody else does.
/// Committing consumes it.
#[derive(Debug, PartialEq, Eq)]
pub struct CommitPermit {
    checkpoint: Option<CheckpointId>,
    committables: Vec<Committables>,
}

impl CommitPermit {
    pub(crate) fn new(checkpoint: Option<CheckpointId>, committables: Vec<Committables>) -> Self {
        CommitPermit { checkpoint, committables }
    }

    /// A right that nobody has: for tests that break the protocol and want to be caught.
    #[cfg(feature = "sabotage")]
    pub fn for_sabotage(committables: Vec<Committables>) -> Self {
        CommitPermit { checkpoint: None, committables }
    }

    /// The checkpoint that is complete; `None` at the end of a job without checkpoints.
    pub fn checkpoint(&self) -> Option<CheckpointId> {
        self.checkpoint
    }

    pub(crate) fn committables(&self) -> &[Committables] {
        &self.committables
    }

    /// What may be committed now.
    pub fn into_committables(self) -> Vec<Committables> {
        self.committables
    }
}
