//! Savepoints, and the end of a job with one.

use super::{Action, CheckpointCoordinator, Wish};
use crate::CheckpointError;
use crate::pending::{PendingCheckpoint, RequestId};
use crate::snapshot::TaskId;
use weir_types::{Barrier, BarrierMode, CheckpointId, CheckpointKind};

/// How a job stops with a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Where it is: what is open stays open, and goes on after a restore.
    Suspend,
    /// As if its input had ended: windows fire, and are gone after a restore.
    Drain,
}

/// How far a job has come that stops with a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    /// Sources stand still behind the savepoint's barrier, or all tasks have finished for it.
    Waiting(RequestId),
    /// Tasks come to their ends.
    Draining {
        request: RequestId,
        barrier: Barrier,
    },
    /// The savepoint is there; what it covers is being committed.
    Stored(RequestId),
    Done,
}

impl Stopping {
    pub(super) fn is_for(self, wanted: RequestId) -> bool {
        matches!(self, Stopping::Waiting(request) if request == wanted)
    }
}

fn without_snapshot(task: &str) -> CheckpointError {
    let reason = format!(
        "{task} has finished, and the job takes no checkpoints: set 'execution.checkpointing.interval'"
    );
    CheckpointError::Storage { what: "take a savepoint".to_string(), reason }
}

impl CheckpointCoordinator {
    /// Begins a savepoint that somebody asked for.
    pub(super) fn grant(&mut self, wish: Wish, now_ms: u64, actions: &mut Vec<Action>) {
        let Wish { request, stop } = wish;
        if let Some((task, _)) = self.finished.iter().find(|(_, last)| last.is_none()) {
            let error = without_snapshot(&self.name(*task));
            actions.push(Action::SavepointFailed { request, error });
            return;
        }
        let barrier = self.barrier(CheckpointKind::Savepoint, BarrierMode::Aligned, now_ms);
        match stop {
            None => self.ask(barrier, Some(request), false, actions),
            Some(Stop::Suspend) => {
                self.stopping = Stopping::Waiting(request);
                self.ask(barrier, Some(request), true, actions);
            }
            Some(Stop::Drain) => {
                self.stopping = Stopping::Draining { request, barrier };
                // last snapshots will be the savepoint's, which no checkpoint may refer to
                for (checkpoint, pending) in std::mem::take(&mut self.collecting) {
                    self.discard(pending, actions);
                    let reason = "the job stops with a savepoint".to_string();
                    let error = CheckpointError::Failed { checkpoint, reason };
                    actions.push(Action::Abandoned { checkpoint, error });
                }
                actions.push(Action::Drain { barrier });
            }
        }
    }

    /// A task has finished and gave no snapshot, which a savepoint cannot do without.
    pub(super) fn fail_incomplete_savepoints(&mut self, task: TaskId, actions: &mut Vec<Action>) {
        let lacks = |pending: &PendingCheckpoint| pending.lacks(task);
        let incomplete: Vec<CheckpointId> =
            self.collecting.iter().filter(|(_, pending)| lacks(pending)).map(|(id, _)| *id).collect();
        for id in incomplete {
            let Some(pending) = self.collecting.remove(&id) else { continue };
            let Some(request) = pending.request() else { continue };
            self.discard(pending, actions);
            self.savepoint_failed(id, request, without_snapshot(&self.name(task)), actions);
        }
    }

    /// A savepoint that was begun does not come about.
    pub(super) fn savepoint_failed(
        &mut self,
        checkpoint: CheckpointId,
        request: RequestId,
        error: CheckpointError,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::Abandoned { checkpoint, error: error.clone() });
        let stopping = self.stopping.is_for(request);
        if stopping && self.running.is_empty() {
            // its input cannot be given back to it
            self.ended = true;
            actions.push(Action::FailJob(error.clone()));
        } else if stopping {
            self.stopping = Stopping::No;
            actions.push(Action::Resume);
        }
        actions.push(Action::SavepointFailed { request, error });
    }

    /// Ends the job once its savepoint is there and committed.
    pub(super) fn stop_if_done(&mut self, actions: &mut Vec<Action>) {
        if let Stopping::Stored(request) = self.stopping
            && self.committing.is_none()
            && self.permits.is_empty()
        {
            self.stopping = Stopping::Done;
            self.ended = true;
            actions.push(Action::Stopped { request });
            self.refuse_wishes(actions);
        }
    }

    pub(super) fn refuse_wishes(&mut self, actions: &mut Vec<Action>) {
        for Wish { request, .. } in self.wishes.drain(..) {
            let reason = "the job has ended before it could begin".to_string();
            let error = CheckpointError::Storage { what: "take a savepoint".to_string(), reason };
            actions.push(Action::SavepointFailed { request, error });
        }
    }
}
