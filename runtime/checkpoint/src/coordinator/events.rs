//! What the coordinator hears, and what it says.

use super::Stop;
use crate::CheckpointError;
use crate::handle::SubtaskHandle;
use crate::pending::{CompletedCheckpoint, RequestId};
use crate::permit::{CommitPermit, Committables};
use crate::snapshot::TaskId;
use std::sync::Arc;
use weir_types::{Barrier, CheckpointId};

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The time of [`super::CheckpointCoordinator::next_deadline`] has come.
    Tick,
    /// A sink has closed what it wrote; `covered_by` is the first checkpoint whose completion makes it visible. A task
    /// says so before it acknowledges that checkpoint.
    Prepared {
        covered_by: CheckpointId,
        committables: Committables,
    },
    Acknowledged {
        task: TaskId,
        checkpoint: CheckpointId,
        handle: SubtaskHandle,
    },
    /// A task could not take its snapshot.
    Declined {
        task: TaskId,
        checkpoint: CheckpointId,
        reason: String,
    },
    /// A task has processed all its input and has sent all its output. Its last snapshot is part of all checkpoints to
    /// come; a job without checkpoints needs none.
    TaskFinished {
        task: TaskId,
        last: Option<Box<SubtaskHandle>>,
        /// the newest checkpoint whose barrier it has let pass: what it gives as its last snapshot comes after that
        passed: Option<CheckpointId>,
    },
    /// Storage has taken the checkpoint.
    Stored {
        checkpoint: CheckpointId,
    },
    StoreFailed {
        checkpoint: CheckpointId,
        reason: String,
        /// the checkpoint may be there all the same
        in_doubt: bool,
    },
    /// What the last permit covered is visible.
    Committed,
    /// Somebody wants a checkpoint now, not at the next interval. It is like those of the interval; if one cannot begin
    /// yet, it does as soon as it can. A job without checkpoints takes none.
    Checkpoint,
    /// Somebody wants a savepoint, and perhaps that the job stops with it.
    Savepoint {
        request: RequestId,
        stop: Option<Stop>,
    },
}

/// What came of an acknowledgement that no checkpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task has acknowledged before.
    Duplicate,
    /// The checkpoint has completed, failed or been replaced.
    Stale,
    /// Nobody asked for this checkpoint, or there is no such task.
    Unknown,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Ask these tasks, all that run, for a snapshot. With `stop`, sources send nothing after the barrier until they
    /// hear otherwise.
    Trigger {
        barrier: Barrier,
        tasks: Vec<TaskId>,
        stop: bool,
    },
    /// Tell these tasks, which have not answered, that barriers of this checkpoint overtake from now on.
    Overtake {
        checkpoint: CheckpointId,
        tasks: Vec<TaskId>,
    },
    /// Tell all tasks that input ends here, and that their last snapshots belong to this barrier.
    Drain {
        barrier: Barrier,
    },
    /// Tell the sources to go on after a barrier with `stop`.
    Resume,
    /// Write the checkpoint down, then say `Stored` or `StoreFailed`.
    Store(Arc<CompletedCheckpoint>),
    /// Make the covered output visible, then say `Committed`. A failure to do so fails the job; the committables belong
    /// to a complete checkpoint then and are committed again after a restore.
    Commit(CommitPermit),
    /// A snapshot that no checkpoint takes: its files can go.
    Discard {
        task: TaskId,
        checkpoint: CheckpointId,
        handle: Box<SubtaskHandle>,
        outcome: Outcome,
    },
    /// The checkpoint did not come about; the job goes on.
    Abandoned {
        checkpoint: CheckpointId,
        error: CheckpointError,
    },
    /// Storage has the savepoint; the job goes on.
    SavepointDone {
        request: RequestId,
    },
    SavepointFailed {
        request: RequestId,
        error: CheckpointError,
    },
    /// Too many checkpoints have failed, or what cannot be undone has been done for a savepoint that failed.
    FailJob(CheckpointError),
    /// All tasks have finished and all output is visible.
    Finished,
    /// The savepoint is there, and what it covers is visible: the job is to end.
    Stopped {
        request: RequestId,
    },
}
