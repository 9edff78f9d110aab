//! Decides about checkpoints: when to ask for one, when it is complete, when it has failed.
//!
//! [`CheckpointCoordinator::step`] takes an event and the time and says what to do. Whoever runs it executes the actions and
//! reports back; it has no clock, lock or I/O of its own. Rules are Flink's: an interval, a pause between two, a
//! timeout, how many at a time, how many failures are tolerated; a checkpoint that completes makes older ones void.

mod config;
mod events;
mod stopping;

pub use config::CoordinatorConfig;
pub use events::{Action, Event, Outcome};
pub use stopping::Stop;

use crate::CheckpointError;
use crate::handle::SubtaskHandle;
use crate::pending::{CompletedCheckpoint, PendingCheckpoint, RequestId};
use crate::permit::{CommitPermit, Committables};
use crate::snapshot::TaskId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use stopping::Stopping;
use weir_types::{Barrier, BarrierMode, CheckpointId, CheckpointKind};

/// See the module's text.
#[derive(Debug)]
pub struct CheckpointCoordinator {
    config: CoordinatorConfig,
    /// what errors call tasks
    names: BTreeMap<TaskId, String>,
    /// tasks that have not finished
    running: BTreeSet<TaskId>,
    /// the others, with the last snapshots that they gave
    finished: BTreeMap<TaskId, Option<SubtaskHandle>>,
    /// wait for tasks
    collecting: BTreeMap<CheckpointId, PendingCheckpoint>,
    /// every task has answered; wait for storage
    ready: VecDeque<PendingCheckpoint>,
    /// storage has been asked
    storing: Option<Arc<CompletedCheckpoint>>,
    /// savepoints that nobody has been asked for yet
    wishes: VecDeque<Wish>,
    /// somebody has asked for a checkpoint, which has not begun
    asked: bool,
    stopping: Stopping,
    next_id: CheckpointId,
    next_trigger_ms: Option<u64>,
    /// prepared and not yet covered by a complete checkpoint
    prepared: BTreeMap<CheckpointId, Vec<Prepared>>,
    /// failures since the last checkpoint that completed
    failures: u32,
    /// what the permit that is being used covers
    committing: Option<Vec<Committables>>,
    /// permits that wait for the one before them
    permits: VecDeque<CommitPermit>,
    ended: bool,
}

/// A savepoint that somebody has asked for.
#[derive(Debug)]
struct Wish {
    request: RequestId,
    stop: Option<Stop>,
}

#[derive(Debug)]
struct Prepared {
    committables: Committables,
    /// a savepoint has it on record, or a checkpoint that may be there; whoever restores that will want to commit it
    recorded: bool,
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
            names: BTreeMap::new(),
            running: tasks.into_iter().collect(),
            finished: BTreeMap::new(),
            collecting: BTreeMap::new(),
            ready: VecDeque::new(),
            storing: None,
            wishes: VecDeque::new(),
            asked: false,
            stopping: Stopping::No,
            next_id: first,
            next_trigger_ms,
            prepared: BTreeMap::new(),
            failures: 0,
            committing: None,
            permits: VecDeque::new(),
            ended: false,
        }
    }

    /// The same, and errors call tasks by these names.
    pub fn with_names(self, names: BTreeMap<TaskId, String>) -> Self {
        CheckpointCoordinator { names, ..self }
    }

    fn name(&self, task: TaskId) -> String {
        self.names.get(&task).cloned().unwrap_or_else(|| format!("task {}", task.0))
    }

    /// When a `Tick` is wanted next.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.ended {
            return None;
        }
        let expiries =
            self.collecting.values().map(|pending| pending.triggered_ms() + self.config.timeout_ms);
        let trigger = self.next_trigger_ms.filter(|_| self.may_trigger());
        let overtaking = self.collecting.values().filter_map(PendingCheckpoint::overtakes_ms);
        expiries.chain(overtaking).chain(trigger).min()
    }

    /// True while storage or a committer has been asked and has not answered: a job that fails waits for this before
    /// it aborts what was not committed.
    pub fn is_waiting_for_answer(&self) -> bool {
        self.committing.is_some() || self.storing.is_some()
    }

    /// The number of the next checkpoint.
    pub fn next_id(&self) -> CheckpointId {
        self.next_id
    }

    /// What no complete checkpoint covers and no savepoint has on record: when the job has failed, it is to be aborted.
    pub fn into_uncommitted(self) -> Vec<Committables> {
        let prepared = self.prepared.into_values().flatten();
        prepared.filter(|prepared| !prepared.recorded).map(|prepared| prepared.committables).collect()
    }

    pub fn step(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Prepared { covered_by, committables } => {
                let prepared = Prepared { committables, recorded: false };
                self.prepared.entry(covered_by).or_default().push(prepared);
            }
            Event::Acknowledged { task, checkpoint, handle } => {
                self.acknowledged(task, checkpoint, handle, &mut actions);
            }
            Event::Declined { task, checkpoint, reason } => {
                if let Some(pending) = self.collecting.remove(&checkpoint) {
                    let reason = format!("{}: {reason}", self.name(task));
                    self.failed(
                        pending,
                        CheckpointError::Failed { checkpoint, reason },
                        now_ms,
                        &mut actions,
                    );
                }
            }
            Event::TaskFinished { task, last, passed } => {
                self.give_up_unanswered(task, passed, &mut actions);
                self.task_finished(task, last.map(|last| *last), &mut actions);
            }
            Event::Stored { checkpoint } => self.stored(checkpoint, now_ms, &mut actions),
            Event::StoreFailed { checkpoint, reason, in_doubt } => {
                self.store_failed(checkpoint, reason, in_doubt, now_ms, &mut actions);
            }
            Event::Committed => self.committing = None,
            Event::Checkpoint => self.asked = self.config.interval_ms.is_some(),
            Event::Savepoint { request, stop } => self.wishes.push_back(Wish { request, stop }),
        }
        if !self.ended {
            self.overtake(now_ms, &mut actions);
            self.expire(now_ms, &mut actions);
            self.complete(now_ms, &mut actions);
            self.trigger(now_ms, &mut actions);
            self.end(now_ms, &mut actions);
        }
        self.use_permits(&mut actions);
        self.stop_if_done(&mut actions);
        actions
    }

    fn acknowledged(
        &mut self,
        task: TaskId,
        checkpoint: CheckpointId,
        handle: SubtaskHandle,
        actions: &mut Vec<Action>,
    ) {
        let known = self.running.contains(&task) || self.finished.contains_key(&task);
        let (handle, outcome) = match self.collecting.get_mut(&checkpoint) {
            _ if !known || checkpoint >= self.next_id => (Box::new(handle), Outcome::Unknown),
            Some(pending) => match pending.acknowledge(task, handle) {
                Ok(()) => return,
                Err(handle) => (handle, Outcome::Duplicate),
            },
            None => (Box::new(handle), Outcome::Stale),
        };
        actions.push(Action::Discard { task, checkpoint, handle, outcome });
    }

    fn task_finished(&mut self, task: TaskId, last: Option<SubtaskHandle>, actions: &mut Vec<Action>) {
        if self.running.remove(&task) {
            for pending in self.collecting.values_mut() {
                pending.finished(task, last.as_ref());
            }
            if last.is_none() {
                self.fail_incomplete_savepoints(task, actions);
            }
            self.finished.insert(task, last);
        } else if let Some(handle) = last {
            let (handle, checkpoint) = (Box::new(handle), self.next_id);
            actions.push(Action::Discard { task, checkpoint, handle, outcome: Outcome::Duplicate });
        }
    }

    /// A task has ended: it will not answer for barriers that it has let pass and not answered for, and its last
    /// snapshot is a later one. As in Flink that is nobody's failure.
    fn give_up_unanswered(&mut self, task: TaskId, passed: Option<CheckpointId>, actions: &mut Vec<Action>) {
        let unanswered = |(id, pending): &(&CheckpointId, &PendingCheckpoint)| {
            Some(**id) <= passed && pending.waiting().any(|waiting| waiting == task)
        };
        let lost: Vec<CheckpointId> = self.collecting.iter().filter(unanswered).map(|(id, _)| *id).collect();
        for checkpoint in lost {
            let Some(pending) = self.collecting.remove(&checkpoint) else { continue };
            let request = pending.request();
            self.discard(pending, actions);
            let reason = format!("{} has ended without an answer", self.name(task));
            let error = CheckpointError::Failed { checkpoint, reason };
            match request {
                Some(request) => self.savepoint_failed(checkpoint, request, error, actions),
                None => actions.push(Action::Abandoned { checkpoint, error }),
            }
        }
    }

    /// A checkpoint does not come about.
    fn failed(
        &mut self,
        pending: PendingCheckpoint,
        error: CheckpointError,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let (checkpoint, request) = (pending.id(), pending.request());
        self.discard(pending, actions);
        if let Some(request) = request {
            self.savepoint_failed(checkpoint, request, error, actions);
            return;
        }
        self.failures += 1;
        if self.failures > self.config.tolerable_failures {
            self.ended = true;
            actions.push(Action::FailJob(error));
        } else {
            self.pause(now_ms);
            actions.push(Action::Abandoned { checkpoint, error });
        }
    }

    fn discard(&self, pending: PendingCheckpoint, actions: &mut Vec<Action>) {
        let checkpoint = pending.id();
        for (task, handle) in pending.into_answers() {
            let handle = Box::new(handle);
            actions.push(Action::Discard { task, checkpoint, handle, outcome: Outcome::Stale });
        }
    }

    /// A checkpoint that takes long is not to wait for alignment any more.
    fn overtake(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        for (checkpoint, pending) in &mut self.collecting {
            if pending.overtakes_ms().is_some_and(|at| now_ms >= at) {
                pending.set_overtaking();
                let tasks = pending.waiting().collect();
                actions.push(Action::Overtake { checkpoint: *checkpoint, tasks });
            }
        }
    }

    fn expire(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let timeout_ms = self.config.timeout_ms;
        let expired = |pending: &PendingCheckpoint| {
            now_ms >= pending.triggered_ms() + timeout_ms && !pending.is_complete()
        };
        let late: Vec<CheckpointId> =
            self.collecting.iter().filter(|(_, pending)| expired(pending)).map(|(id, _)| *id).collect();
        for checkpoint in late {
            let Some(pending) = self.collecting.remove(&checkpoint) else { continue };
            let waiting = pending.waiting().map(|task| self.name(task)).collect();
            let error = CheckpointError::Expired { checkpoint, timeout_ms, waiting };
            self.failed(pending, error, now_ms, actions);
        }
    }

    /// Checkpoints that every task has answered go to storage, one after the other; older ones are void then.
    fn complete(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let complete: Vec<CheckpointId> =
            self.collecting.iter().filter(|(_, pending)| pending.is_complete()).map(|(id, _)| *id).collect();
        for id in complete {
            if let Some(pending) = self.collecting.remove(&id) {
                if pending.request().is_none() {
                    self.void_before(id, actions);
                }
                self.ready.push_back(pending);
            }
        }
        if self.storing.is_none()
            && let Some(pending) = self.ready.pop_front()
        {
            let covered = self.prepared.range(..=pending.id()).flat_map(|(_, list)| list);
            let covered = covered.map(|prepared| prepared.committables.clone()).collect();
            let completed = Arc::new(pending.complete(now_ms, covered, self.uncommitted()));
            actions.push(Action::Store(completed.clone()));
            self.storing = Some(completed);
        }
    }

    fn void_before(&mut self, id: CheckpointId, actions: &mut Vec<Action>) {
        let void: Vec<CheckpointId> = self.collecting.range(..id).map(|(id, _)| *id).collect();
        for checkpoint in void {
            if self.collecting[&checkpoint].request().is_some() {
                continue;
            }
            let Some(pending) = self.collecting.remove(&checkpoint) else { continue };
            self.discard(pending, actions);
            let reason = format!("checkpoint {id} was complete before it");
            actions.push(Action::Abandoned {
                checkpoint,
                error: CheckpointError::Failed { checkpoint, reason },
            });
        }
    }

    /// What has a permit and is not known to be visible.
    fn uncommitted(&self) -> Vec<Committables> {
        let waiting = self.permits.iter().flat_map(CommitPermit::committables);
        self.committing.iter().flatten().chain(waiting).cloned().collect()
    }

    fn stored(&mut self, checkpoint: CheckpointId, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(completed) = self.storing.take_if(|stored| stored.id() == checkpoint) else { return };
        if let Some(request) = completed.request
            && !self.stopping.is_for(request)
        {
            for prepared in self.prepared.range_mut(..=checkpoint).flat_map(|(_, list)| list) {
                prepared.recorded = true;
            }
            actions.push(Action::SavepointDone { request });
            return;
        }
        let later = self.prepared.split_off(&CheckpointId(checkpoint.0 + 1));
        self.prepared = later;
        if !completed.committables.is_empty() {
            self.permits.push_back(CommitPermit::new(Some(checkpoint), completed.committables.clone()));
        }
        match completed.request {
            Some(request) => self.stopping = Stopping::Stored(request),
            None => {
                self.failures = 0;
                self.pause(now_ms);
            }
        }
    }

    fn store_failed(
        &mut self,
        checkpoint: CheckpointId,
        reason: String,
        in_doubt: bool,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let Some(completed) = self.storing.take_if(|stored| stored.id() == checkpoint) else { return };
        let completed = Arc::unwrap_or_clone(completed);
        let mut pending = PendingCheckpoint::new(
            completed.barrier,
            completed.request,
            now_ms,
            completed.handles.keys().copied().collect(),
            &BTreeMap::new(),
        );
        if in_doubt {
            // whoever finds it needs its files, and commits what it has on record
            for prepared in self.prepared.range_mut(..=checkpoint).flat_map(|(_, list)| list) {
                prepared.recorded = true;
            }
        }
        for (task, handle) in completed.handles {
            if !in_doubt && !completed.finished.contains(&task) {
                // all wait for an answer
                let _ = pending.acknowledge(task, handle);
            }
        }
        self.failed(pending, CheckpointError::Failed { checkpoint, reason }, now_ms, actions);
    }

    /// No trigger before the pause is over.
    fn pause(&mut self, now_ms: u64) {
        let earliest_ms = now_ms + self.config.min_pause_ms;
        self.next_trigger_ms = self.next_trigger_ms.map(|at| at.max(earliest_ms));
    }

    /// True if one more checkpoint may be in progress.
    fn may_trigger(&self) -> bool {
        let in_progress = self.collecting.len() + self.ready.len() + usize::from(self.storing.is_some());
        in_progress < self.config.concurrent() && !self.running.is_empty() && self.stopping == Stopping::No
    }

    fn trigger(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        while self.may_trigger()
            && let Some(wish) = self.wishes.pop_front()
        {
            self.grant(wish, now_ms, actions);
        }
        let due = self.next_trigger_ms.is_some_and(|at| now_ms >= at);
        // as in Flink, who asks does not wait for a pause
        if !(due || self.asked) || !self.may_trigger() {
            return;
        }
        self.asked = false;
        if due {
            self.next_trigger_ms = self.next_trigger_ms.zip(self.config.interval_ms).map(|(at, interval)| {
                let interval = interval.max(1);
                at + ((now_ms - at) / interval + 1) * interval
            });
        }
        let kind = if self.config.incremental { CheckpointKind::Incremental } else { CheckpointKind::Full };
        let barrier = self.barrier(kind, self.config.mode, now_ms);
        self.ask(barrier, None, false, actions);
    }

    fn barrier(&mut self, kind: CheckpointKind, mode: BarrierMode, now_ms: u64) -> Barrier {
        let id = self.next_id;
        self.next_id = CheckpointId(id.0 + 1);
        Barrier { id, kind, mode, triggered_ms: now_ms }
    }

    /// Asks all tasks that run.
    fn ask(&mut self, barrier: Barrier, request: Option<RequestId>, stop: bool, actions: &mut Vec<Action>) {
        self.begin(barrier, request);
        let tasks: Vec<TaskId> = self.running.iter().copied().collect();
        actions.push(Action::Trigger { barrier, tasks, stop });
    }

    fn begin(&mut self, barrier: Barrier, request: Option<RequestId>) {
        let running = self.running.clone();
        let pending = PendingCheckpoint::new(barrier, request, barrier.triggered_ms, running, &self.finished);
        self.collecting.insert(barrier.id, pending);
    }

    /// After the last task: with checkpoints a last one, of finished tasks only, covers what is left; without, the end
    /// itself does. A job that drains ends with its savepoint.
    fn end(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if !self.running.is_empty()
            || !self.collecting.is_empty()
            || !self.ready.is_empty()
            || self.storing.is_some()
        {
            return;
        }
        if let Stopping::Draining { request, barrier } = self.stopping {
            self.stopping = Stopping::Waiting(request);
            self.last(barrier, Some(request), now_ms, actions);
            return;
        }
        if !self.prepared.is_empty() && self.config.interval_ms.is_some() {
            let barrier = self.barrier(CheckpointKind::Incremental, self.config.mode, now_ms);
            self.last(barrier, None, now_ms, actions);
            return;
        }
        let left = std::mem::take(&mut self.prepared).into_values().flatten();
        let left: Vec<Committables> = left.map(|prepared| prepared.committables).collect();
        if !left.is_empty() {
            self.permits.push_back(CommitPermit::new(None, left));
        } else if self.committing.is_none() && self.permits.is_empty() && self.stopping == Stopping::No {
            self.ended = true;
            self.refuse_wishes(actions);
            actions.push(Action::Finished);
        }
    }

    /// A checkpoint of finished tasks only.
    fn last(&mut self, barrier: Barrier, request: Option<RequestId>, now_ms: u64, actions: &mut Vec<Action>) {
        // whatever a sink said would cover it: this checkpoint is the last
        let left = std::mem::take(&mut self.prepared).into_values().flatten().collect();
        self.prepared.insert(barrier.id, left);
        self.begin(barrier, request);
        self.complete(now_ms, actions);
    }

    fn use_permits(&mut self, actions: &mut Vec<Action>) {
        if self.committing.is_none()
            && let Some(permit) = self.permits.pop_front()
        {
            self.committing = Some(permit.committables().to_vec());
            actions.push(Action::Commit(permit));
        }
    }
}

#[cfg(test)]
mod tests;
