//! What tasks tell their job.

use crate::RuntimeError;
use crate::restore::Unclaimed;
use tokio::sync::oneshot;
use weir_checkpoint::{Stored, SubtaskHandle, TaskId};
use weir_connectors::Committable;
use weir_types::{CheckpointId, JobError, OperatorId};

pub(crate) enum JobEvent {
    /// The task's operators have their state, and wait for the start.
    Opened {
        /// restored state that they did not ask for
        unclaimed: Vec<Unclaimed>,
    },
    /// A sink has closed what it wrote.
    Prepared {
        covered_by: CheckpointId,
        operator: OperatorId,
        committables: Vec<Committable>,
    },
    Acknowledged {
        task: TaskId,
        checkpoint: CheckpointId,
        handle: Box<SubtaskHandle>,
    },
    /// The asynchronous part of a snapshot failed.
    Declined {
        task: TaskId,
        checkpoint: CheckpointId,
        reason: String,
    },
    /// What a task leaves behind that is about to end.
    Last {
        task: TaskId,
        handle: Box<SubtaskHandle>,
        /// the newest checkpoint whose barrier it has let pass
        passed: Option<CheckpointId>,
    },
    /// The last word of a task.
    Ended {
        task: TaskId,
        outcome: TaskOutcome,
    },
    Stored {
        checkpoint: CheckpointId,
        stored: Box<Stored>,
    },
    StoreFailed {
        checkpoint: CheckpointId,
        reason: String,
        in_doubt: bool,
    },
    Committed {
        result: Result<(), JobError>,
    },
    /// Something that nobody waits for is done.
    Tidied,
}

#[derive(Debug)]
pub(crate) enum TaskOutcome {
    Finished,
    Cancelled,
    Failed(RuntimeError),
}

/// An answer to a checkpoint that is on its way.
pub(crate) struct Acknowledgement(oneshot::Receiver<()>);

impl Acknowledgement {
    pub(crate) fn new(sent: oneshot::Receiver<()>) -> Self {
        Acknowledgement(sent)
    }

    pub(crate) fn is_pending(&self) -> bool {
        !self.0.is_terminated() && self.0.is_empty()
    }

    /// Waits until the job has the answer, or until it is clear that none comes.
    pub(crate) async fn done(self) {
        let _ = self.0.await;
    }
}
