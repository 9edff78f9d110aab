//! Decides about checkpoints: when to ask for one, when it is complete, when it has failed.
//!
//! [`CheckpointCoordinator::step`] takes an event and the time and says what to do. Whoever runs it executes the actions and
//! reports back; it has no clock, lock or I/O of its own. Rules are Flink's: one checkpoint at a time, an interval, a
//! pause between two, a timeout, a number of failures that are tolerated.

use crate::CheckpointError;
use crate::permit::{CommitPermit, Committables};
use crate::snapshot::{CompletedCheckpoint, PendingCheckpoint, SubtaskSnapshot, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::{Barrier, CheckpointId, CheckpointKind};

/// Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// `execution.checkpointing.interval`; `None`: no checkpoints, and the end of the job commits by itself
    pub interval_ms: Option<u64>,
    /// `execution.checkpointing.timeout`
    pub timeout_ms: u64,
    /// `execution.checkpointing.min-pause`: between the end of one and the start of the next
    pub min_pause_ms: u64,
    /// `execution.checkpointing.tolerable-failed-checkpoints`, in a row
    pub tolerable_failures: u32,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        CoordinatorConfig {
            interval_ms: None,
            timeout_ms: 10 * 60 * 1000,
            min_pause_ms: 0,
            tolerable_failures: 0,
        }
    }
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// The time of [`CheckpointCoordinator::next_deadline`] has come.
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
        snapshot: SubtaskSnapshot,
    },
    /// A task could not take its snapshot.
    Declined {
        task: TaskId,
        checkpoint: CheckpointId,
        reason: String,
    },
    /// A task has processed all its input and has sent all its output.
    TaskFinished {
        task: TaskId,
    },
    /// Storage has taken the checkpoint.
    Stored {
        checkpoint: CheckpointId,
    },
    StoreFailed {
        checkpoint: CheckpointId,
        reason: String,
    },
    /// What the last permit covered is visible.
    Committed,
}

/// What came of an acknowledgement.
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
    /// Ask these tasks, all that run, for a snapshot.
    Trigger { barrier: Barrier, tasks: Vec<TaskId> },
    /// Write the checkpoint down, then say `Stored` or `StoreFailed`.
    Store(Arc<CompletedCheckpoint>),
    /// Make the covered output visible, then say `Committed`. A failure to do so fails the job; the committables belong
    /// to a complete checkpoint then and are committed again after a restore.
    Commit(CommitPermit),
    /// A snapshot that no checkpoint takes: its files can go.
    Discard { task: TaskId, checkpoint: CheckpointId, snapshot: SubtaskSnapshot, outcome: Outcome },
    /// The checkpoint did not come about; the job goes on.
    Abandoned(CheckpointError),
    /// Too many checkpoints have failed.
    FailJob(CheckpointError),
    /// All tasks have finished and all output is visible.
    Finished,
}

/// See the module's text.
#[derive(Debug)]
pub struct CheckpointCoordinator {
    config: CoordinatorConfig,
    /// tasks that have not finished
    running: BTreeSet<TaskId>,
    finished: BTreeSet<TaskId>,
    phase: Phase,
    next_id: CheckpointId,
    next_trigger_ms: Option<u64>,
    /// prepared and not yet covered by a complete checkpoint
    prepared: BTreeMap<CheckpointId, Vec<Committables>>,
    /// failures since the last checkpoint that completed
    failures: u32,
    committing: bool,
    /// permits that wait for the one before them
    permits: Vec<CommitPermit>,
    completed: Option<Arc<CompletedCheckpoint>>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// Waits for tasks.
    Collecting(PendingCheckpoint),
    /// Waits for storage.
    Storing(Arc<CompletedCheckpoint>),
    /// The job has finished or failed.
    Ended,
}

impl CheckpointCoordinator {
    /// A coordinator of a job of `tasks`, from `now_ms` on (milliseconds of any clock that never goes back). The
    /// first checkpoint gets the number `first`.
    pub fn new(
        config: CoordinatorConfig,
        tasks: impl IntoIterator<Item = TaskId>,
        first: CheckpointId,
        now_ms: u64,
    ) -> Self {
        let next_trigger_ms = config.interval_ms.map(|interval| now_ms + interval);
        CheckpointCoordinator {
            config,
            running: tasks.into_iter().collect(),
            finished: BTreeSet::new(),
            phase: Phase::Idle,
            next_id: first,
            next_trigger_ms,
            prepared: BTreeMap::new(),
            failures: 0,
            committing: false,
            permits: Vec::new(),
            completed: None,
        }
    }

    /// When a `Tick` is wanted next.
    pub fn next_deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Idle if self.running.is_empty() => None,
            Phase::Idle => self.next_trigger_ms,
            Phase::Collecting(pending) => Some(pending.triggered_ms() + self.config.timeout_ms),
            Phase::Storing(_) | Phase::Ended => None,
        }
    }

    /// True while storage or a committer has been asked and has not answered: a job that fails waits for this before
    /// it aborts what was not committed.
    pub fn is_waiting_for_answer(&self) -> bool {
        self.committing || matches!(self.phase, Phase::Storing(_))
    }

    /// The newest checkpoint that completed.
    pub fn completed(&self) -> Option<&Arc<CompletedCheckpoint>> {
        self.completed.as_ref()
    }

    /// What no complete checkpoint covers: when the job has failed, it is to be aborted.
    pub fn into_uncommitted(self) -> Vec<Committables> {
        self.prepared.into_values().flatten().collect()
    }

    pub fn step(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Prepared { covered_by, committables } => {
                self.prepared.entry(covered_by).or_default().push(committables);
            }
            Event::Acknowledged { task, checkpoint, snapshot } => {
                self.acknowledged(task, checkpoint, snapshot, &mut actions);
            }
            Event::Declined { task, checkpoint, reason } => {
                if matches!(&self.phase, Phase::Collecting(pending) if pending.id() == checkpoint) {
                    let reason = format!("task {}: {reason}", task.0);
                    self.failed(CheckpointError::Failed { checkpoint, reason }, now_ms, &mut actions);
                }
            }
            Event::TaskFinished { task } => {
                if self.running.remove(&task) {
                    self.finished.insert(task);
                }
                if let Phase::Collecting(pending) = &mut self.phase {
                    pending.finished(task);
                }
            }
            Event::Stored { checkpoint } => self.stored(checkpoint, now_ms),
            Event::StoreFailed { checkpoint, reason } => {
                if matches!(&self.phase, Phase::Storing(stored) if stored.id == checkpoint) {
                    self.failed(CheckpointError::Failed { checkpoint, reason }, now_ms, &mut actions);
                }
            }
            Event::Committed => self.committing = false,
        }
        self.expire(now_ms, &mut actions);
        self.complete(&mut actions);
        self.trigger(now_ms, &mut actions);
        self.end(now_ms, &mut actions);
        if !self.committing && !self.permits.is_empty() {
            self.committing = true;
            actions.push(Action::Commit(self.permits.remove(0)));
        }
        actions
    }

    fn acknowledged(
        &mut self,
        task: TaskId,
        checkpoint: CheckpointId,
        snapshot: SubtaskSnapshot,
        actions: &mut Vec<Action>,
    ) {
        let known = self.running.contains(&task) || self.finished.contains(&task);
        let outcome = match &mut self.phase {
            _ if !known || checkpoint >= self.next_id => Outcome::Unknown,
            Phase::Collecting(pending) if pending.id() == checkpoint => {
                match pending.acknowledge(task, snapshot) {
                    Ok(()) => return,
                    Err(snapshot) => {
                        let outcome = Outcome::Duplicate;
                        actions.push(Action::Discard { task, checkpoint, snapshot, outcome });
                        return;
                    }
                }
            }
            _ => Outcome::Stale,
        };
        actions.push(Action::Discard { task, checkpoint, snapshot, outcome });
    }

    fn failed(&mut self, error: CheckpointError, now_ms: u64, actions: &mut Vec<Action>) {
        self.failures += 1;
        if self.failures > self.config.tolerable_failures {
            self.phase = Phase::Ended;
            actions.push(Action::FailJob(error));
        } else {
            self.phase = Phase::Idle;
            self.pause(now_ms);
            actions.push(Action::Abandoned(error));
        }
    }

    fn expire(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let timeout_ms = self.config.timeout_ms;
        if let Phase::Collecting(pending) = &self.phase
            && now_ms >= pending.triggered_ms() + timeout_ms
            && !pending.is_complete()
        {
            let waiting = pending.waiting().map(|task| task.0).collect();
            let error = CheckpointError::Expired { checkpoint: pending.id(), timeout_ms, waiting };
            self.failed(error, now_ms, actions);
        }
    }

    /// A checkpoint that every task has answered goes to storage.
    fn complete(&mut self, actions: &mut Vec<Action>) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Collecting(pending) if pending.is_complete() => {
                let covered = self.prepared.range(..=pending.id()).flat_map(|(_, list)| list.clone());
                let completed = Arc::new(pending.complete(covered.collect()));
                actions.push(Action::Store(completed.clone()));
                Phase::Storing(completed)
            }
            phase => phase,
        };
    }

    fn stored(&mut self, checkpoint: CheckpointId, now_ms: u64) {
        let Phase::Storing(stored) = &self.phase else { return };
        if stored.id != checkpoint {
            return;
        }
        let completed = stored.clone();
        self.phase = Phase::Idle;
        self.failures = 0;
        let later = self.prepared.split_off(&CheckpointId(checkpoint.0 + 1));
        self.prepared = later;
        if !completed.committables.is_empty() {
            self.permits.push(CommitPermit::new(Some(checkpoint), completed.committables.clone()));
        }
        self.completed = Some(completed);
        self.pause(now_ms);
    }

    /// No trigger before the pause is over.
    fn pause(&mut self, now_ms: u64) {
        let earliest_ms = now_ms + self.config.min_pause_ms;
        self.next_trigger_ms = self.next_trigger_ms.map(|at| at.max(earliest_ms));
    }

    fn trigger(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let due = self.next_trigger_ms.is_some_and(|at| now_ms >= at);
        if !due || !matches!(self.phase, Phase::Idle) || self.running.is_empty() {
            return;
        }
        let tasks: Vec<TaskId> = self.running.iter().copied().collect();
        let barrier = self.begin(now_ms);
        self.next_trigger_ms = self.next_trigger_ms.zip(self.config.interval_ms).map(|(at, interval)| {
            let interval = interval.max(1);
            at + ((now_ms - at) / interval + 1) * interval
        });
        actions.push(Action::Trigger { barrier, tasks });
    }

    fn begin(&mut self, now_ms: u64) -> Barrier {
        let id = self.next_id;
        self.next_id = CheckpointId(id.0 + 1);
        self.phase = Phase::Collecting(PendingCheckpoint::new(
            id,
            now_ms,
            self.running.clone(),
            self.finished.clone(),
        ));
        Barrier { id, kind: CheckpointKind::Checkpoint }
    }

    /// After the last task: with checkpoints a last one, of finished tasks only, covers what is left; without, the end
    /// itself does.
    fn end(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if !self.running.is_empty() || !matches!(self.phase, Phase::Idle) {
            return;
        }
        let left: Vec<Committables> = std::mem::take(&mut self.prepared).into_values().flatten().collect();
        if left.is_empty() {
            if !self.committing && self.permits.is_empty() {
                self.phase = Phase::Ended;
                actions.push(Action::Finished);
            }
        } else if self.config.interval_ms.is_none() {
            self.permits.push(CommitPermit::new(None, left));
        } else {
            let barrier = self.begin(now_ms);
            // whatever a sink said would cover it: this checkpoint is the last
            self.prepared.insert(barrier.id, left);
            self.complete(actions);
        }
    }
}

#[cfg(test)]
mod tests;
