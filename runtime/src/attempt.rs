//! One attempt at a job: starts its tasks, listens to them, executes what the checkpoint coordinator decides, and ends
//! once, with the first error if there is one.

use crate::RuntimeError;
use crate::alarm::Alarm;
use crate::checkpoints::CheckpointHistory;
use crate::commit::{Committers, commit};
use crate::flag::Flag;
use crate::handle::JobShared;
use crate::job_event::{JobEvent, TaskOutcome};
use crate::mailbox::{Mail, Mailbox, Trigger};
use crate::request::{Request, Requests};
use crate::restore::{Restore, Unclaimed};
#[cfg(test)]
use crate::sabotage::{self, Sabotage};
use crate::status::{JobStatus, Notice};
use crate::task::{TaskPlan, message_of};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_checkpoint::{
    Action, CheckpointCoordinator, CheckpointError, CheckpointStore, CommitPermit, Committables,
    CompletedCheckpoint, Event, Garbage, Stored, SubtaskHandle, TaskId,
};
use weir_connectors::Committable;
use weir_types::{
    Barrier, BarrierMode, BoxFuture, CheckpointId, CheckpointKind, JobError, RuntimeEnv, failpoint,
};

/// Events that wait for a job; tasks wait when there are more.
const JOB_EVENTS: usize = 256;

pub(crate) struct Attempt {
    pub env: RuntimeEnv,
    pub coordinator: CheckpointCoordinator,
    pub store: Arc<CheckpointStore>,
    pub history: Arc<CheckpointHistory>,
    pub shared: Arc<JobShared>,
    pub mailboxes: Vec<Arc<Mailbox>>,
    pub committers: Committers,
    pub links: Links,
    pub state: AttemptState,
    #[cfg(test)]
    pub observer: Option<crate::job::Observer>,
}

/// How an attempt and its tasks hear of each other.
pub(crate) struct Links {
    sender: mpsc::Sender<JobEvent>,
    receiver: mpsc::Receiver<JobEvent>,
    /// tasks are to stop
    stop: Flag,
    /// tasks whose state has been restored may begin
    start: Flag,
}

#[derive(Default)]
pub(crate) struct AttemptState {
    running: usize,
    /// tasks that have not opened their operators yet
    opening: usize,
    unclaimed: Vec<Unclaimed>,
    /// storage and committers that have not answered
    in_flight: usize,
    /// why the attempt ends before its input does
    ending: Option<Ending>,
    finished: bool,
    /// what tasks leave behind that are about to end
    last: BTreeMap<TaskId, (Box<SubtaskHandle>, Option<CheckpointId>)>,
}

enum Ending {
    Cancelled,
    Stopped,
    Failed(JobError),
}

/// How an attempt ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished,
    Cancelled,
    Stopped,
}

/// Stops the tasks of an attempt whose manager goes, however it goes.
struct StopOnDrop(Flag);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// What an attempt waited for.
enum Happening {
    Event(JobEvent),
    Request(Request),
    /// somebody stops the job
    Cancel,
    Alarm,
}

impl Links {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(JOB_EVENTS);
        Links { sender, receiver, stop: Flag::default(), start: Flag::default() }
    }
}

impl Attempt {
    /// Runs the tasks to their ends; gives the outcome and the number of the next checkpoint.
    pub(crate) async fn run(
        mut self,
        tasks: Vec<TaskPlan>,
        restore: Option<(&Restore, Notice)>,
        requests: &mut Requests,
    ) -> (Result<Ended, JobError>, CheckpointId) {
        let _stop = StopOnDrop(self.links.stop.clone());
        self.state.running = tasks.len();
        self.state.opening = tasks.len();
        self.history.begin(tasks.iter().map(|task| (task.snapshots.chain.clone(), task.snapshots.subtask)));
        for task in tasks {
            let name = format!("task {}", task.task.0);
            let (stop, start) = (self.links.stop.clone(), self.links.start.clone());
            let supervised = task.supervise(self.links.sender.clone(), stop, start);
            self.env.spawner.spawn(&name, Box::pin(supervised));
        }
        self.listen(requests, |attempt| attempt.state.opening == 0).await;
        if self.state.ending.is_none() {
            self.begin(restore).await;
        }
        self.listen(requests, |_| false).await;
        requests.refuse_open("the job has ended, or has to start again, before it was complete");
        let next_id = self.coordinator.next_id();
        (self.end().await, next_id)
    }

    /// All tasks have their state: what the checkpoint has prepared becomes visible, and input flows.
    async fn begin(&mut self, restore: Option<(&Restore, Notice)>) {
        if let Some((restore, restored)) = restore {
            match restore.judge(std::mem::take(&mut self.state.unclaimed)) {
                Ok(left_behind) => self.shared.notify(left_behind.map(Notice::Warning)),
                Err(error) => return self.fail(error.into()),
            }
            let permit = restore.permit();
            #[cfg(test)]
            let permit = permit.filter(|_| !sabotage::is(Sabotage::NoSecondCommit));
            if let Some(permit) = permit {
                failpoint("before-restore-commit");
                let committed =
                    AssertUnwindSafe(commit(self.committers.clone(), permit)).catch_unwind().await;
                failpoint("after-restore-commit");
                let committed =
                    committed.unwrap_or_else(|panic| Err(JobError::internal(message_of(&*panic))));
                if let Err(error) = committed {
                    self.fail(error.context(format!("commit the output of {}", restore.path())));
                    return;
                }
            }
            restore.notices(restored).into_iter().for_each(|notice| self.shared.notify(notice));
        }
        self.shared.set_status(JobStatus::Running);
        self.links.start.raise();
    }

    /// Works on what comes until the attempt is over or `enough` says so.
    async fn listen(&mut self, requests: &mut Requests, enough: impl Fn(&Attempt) -> bool) {
        let mut alarm = Alarm::default();
        while !self.is_over() && !enough(self) {
            let quiet = self.state.ending.is_some();
            let deadline = self.coordinator.next_deadline().filter(|_| !quiet);
            alarm.set(deadline.map(Duration::from_millis), &*self.env.clock);
            let receiver = &mut self.links.receiver;
            let happening = poll_fn(|cx| {
                if let Poll::Ready(Some(event)) = receiver.poll_recv(cx) {
                    return Poll::Ready(Happening::Event(event));
                }
                if let Poll::Ready(request) = requests.poll(cx, quiet) {
                    return Poll::Ready(request.map_or(Happening::Cancel, Happening::Request));
                }
                alarm.poll(cx).map(|()| Happening::Alarm)
            });
            match happening.await {
                Happening::Event(event) => self.on_event(event, requests),
                Happening::Request(request) => self.on_request(request, requests),
                Happening::Cancel => self.stop(Ending::Cancelled),
                Happening::Alarm if self.state.ending.is_none() => self.decide(Event::Tick, requests),
                Happening::Alarm => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        let decided = self.state.finished || self.state.ending.is_some();
        decided && self.state.running == 0 && self.state.in_flight == 0
    }

    fn on_request(&mut self, request: Request, requests: &mut Requests) {
        match request {
            Request::Savepoint(request) => {
                let stop = request.stop;
                let request = requests.open(request);
                self.decide(Event::Savepoint { request, stop }, requests);
            }
            Request::Checkpoint(request) => {
                requests.open_checkpoint(request);
                self.decide(Event::Checkpoint, requests);
            }
        }
    }

    fn on_event(&mut self, event: JobEvent, requests: &mut Requests) {
        let ending = self.state.ending.is_some();
        match event {
            JobEvent::Opened { unclaimed } => {
                self.state.opening -= 1;
                self.state.unclaimed.extend(unclaimed);
            }
            JobEvent::Prepared { covered_by, operator, committables } => {
                let committables = committables.into_iter().map(|committable| committable.0).collect();
                let committables = Committables { operator, committables };
                #[cfg(test)]
                if sabotage::is(Sabotage::CommitEarly) {
                    self.commit(CommitPermit::for_sabotage(vec![committables.clone()]));
                }
                self.decide(Event::Prepared { covered_by, committables }, requests);
            }
            JobEvent::Acknowledged { task, checkpoint, handle } if !ending => {
                self.history.acknowledged(checkpoint, task, handle.times);
                self.decide(Event::Acknowledged { task, checkpoint, handle: *handle }, requests);
            }
            JobEvent::Declined { task, checkpoint, reason } if !ending => {
                self.decide(Event::Declined { task, checkpoint, reason }, requests);
            }
            JobEvent::Acknowledged { .. } | JobEvent::Declined { .. } => {}
            JobEvent::Last { task, handle, passed } => {
                self.state.last.insert(task, (handle, passed));
            }
            JobEvent::Ended { task, outcome } => self.task_ended(task, outcome, requests),
            JobEvent::Stored { checkpoint, stored } => self.stored(checkpoint, *stored, requests),
            JobEvent::StoreFailed { checkpoint, reason, in_doubt } => {
                self.state.in_flight -= 1;
                self.decide(Event::StoreFailed { checkpoint, reason, in_doubt }, requests);
            }
            JobEvent::Committed { result } => {
                self.state.in_flight -= 1;
                match result {
                    Ok(()) => self.decide(Event::Committed, requests),
                    Err(error) => self.fail(error),
                }
            }
            JobEvent::Tidied => self.state.in_flight -= 1,
        }
    }

    fn task_ended(&mut self, task: TaskId, outcome: TaskOutcome, requests: &mut Requests) {
        self.state.running -= 1;
        match outcome {
            TaskOutcome::Finished if self.state.ending.is_none() => {
                let (last, passed) = match self.state.last.remove(&task) {
                    Some((handle, passed)) => (Some(handle), passed),
                    None => (None, None),
                };
                self.decide(Event::TaskFinished { task, last, passed }, requests);
                self.history.task_finished(task);
            }
            TaskOutcome::Cancelled if self.state.ending.is_none() => self.stop(Ending::Cancelled),
            TaskOutcome::Finished | TaskOutcome::Cancelled => {}
            TaskOutcome::Failed(error) => self.fail(error.into()),
        }
    }

    /// A checkpoint is complete.
    fn stored(&mut self, checkpoint: CheckpointId, stored: Stored, requests: &mut Requests) {
        self.state.in_flight -= 1;
        let Stored { manifest, path, rewrites, garbage } = stored;
        self.history.completed(checkpoint, path.clone(), manifest.clone(), self.env.clock.now_ms());
        if manifest.kind == weir_checkpoint::manifest::ManifestKind::Checkpoint {
            for mailbox in &self.mailboxes {
                mailbox.post(|mail| {
                    mail.completed = Some(checkpoint);
                    mail.rewrites.extend(
                        rewrites
                            .iter()
                            .map(|rewrite| (rewrite.operator.clone(), rewrite.checkpoints.clone())),
                    );
                });
            }
        }
        #[cfg(test)]
        if let Some((observer, latest)) = self.observer.as_ref().zip(self.store.latest()) {
            observer(&latest);
        }
        requests.stored(checkpoint, path);
        self.tidy(garbage);
        self.decide(Event::Stored { checkpoint }, requests);
    }

    /// The first error is the job's; the others come of stopping.
    fn fail(&mut self, error: JobError) {
        if !matches!(self.state.ending, Some(Ending::Failed(_))) {
            self.state.ending = Some(Ending::Failed(error));
        }
        self.links.stop.raise();
    }

    fn stop(&mut self, ending: Ending) {
        self.state.ending.get_or_insert(ending);
        self.links.stop.raise();
    }

    fn decide(&mut self, event: Event, requests: &mut Requests) {
        let now_ms = self.env.clock.monotonic().as_millis() as u64;
        for action in self.coordinator.step(event, now_ms) {
            match action {
                // complete is complete, however the job goes on
                Action::Commit(permit) => self.commit(permit),
                Action::FailJob(error) => self.fail(RuntimeError::from(error).into()),
                Action::SavepointDone { request } => requests.done(request),
                Action::SavepointFailed { request, error } => requests.failed(request, error),
                Action::Discard { handle, .. } => {
                    let garbage = self.store.discard(handle.upload);
                    self.tidy(garbage);
                }
                Action::Stopped { request } => {
                    requests.done(request);
                    self.stop(Ending::Stopped);
                }
                _ if self.state.ending.is_some() => {}
                Action::Trigger { barrier, tasks, stop } => {
                    self.announce(barrier, requests);
                    let urgent = matches!(barrier.mode, BarrierMode::Unaligned { after_ms: 0 });
                    for task in tasks {
                        let ask = |mail: &mut Mail| mail.triggers.push_back(Trigger { barrier, stop });
                        match urgent {
                            true => self.mailboxes[task.0].post_urgently(ask),
                            false => self.mailboxes[task.0].post(ask),
                        }
                    }
                }
                Action::Overtake { checkpoint, tasks } => {
                    for task in tasks {
                        self.mailboxes[task.0].post_urgently(|mail| mail.overtake = Some(checkpoint));
                    }
                }
                Action::Drain { barrier } => {
                    self.announce(barrier, requests);
                    self.mailboxes.iter().for_each(|mailbox| mailbox.post(|mail| mail.drain = Some(barrier)));
                }
                Action::Resume => {
                    self.mailboxes.iter().for_each(|mailbox| mailbox.post(|mail| mail.resume = true));
                }
                Action::Store(completed) => self.store(completed),
                Action::Abandoned { checkpoint, error } => {
                    requests.abandoned(checkpoint, &error);
                    self.history.failed(checkpoint, error.to_string(), self.env.clock.now_ms());
                }
                Action::Finished => self.state.finished = true,
            }
        }
    }

    /// Takes note of a checkpoint that begins.
    fn announce(&mut self, barrier: Barrier, requests: &mut Requests) {
        let savepoint = barrier.kind == CheckpointKind::Savepoint;
        self.history.triggered(barrier.id, savepoint, self.env.clock.now_ms());
        match savepoint {
            true => {
                let (directory, format) = requests.begin(barrier.id);
                self.store.begin_savepoint(barrier.id, directory, format);
            }
            false => requests.begin_checkpoint(barrier.id),
        }
    }

    fn store(&mut self, completed: Arc<CompletedCheckpoint>) {
        let id = completed.id();
        let now_ms = self.env.clock.now_ms();
        if self.history.triggered_at_ms(id).is_none() {
            // the last one, which nobody had to be asked for
            self.history.triggered(id, false, now_ms);
        }
        let triggered_at_ms = self.history.triggered_at_ms(id).unwrap_or(now_ms);
        let store = self.store.clone();
        let write = async move { store.store(&completed, triggered_at_ms).await };
        let write = AssertUnwindSafe(write).catch_unwind();
        self.ask("store", async move {
            let (reason, in_doubt) = match write.await {
                Ok(Ok(stored)) => return JobEvent::Stored { checkpoint: id, stored: Box::new(stored) },
                Ok(Err(error)) => (error.to_string(), matches!(error, CheckpointError::InDoubt { .. })),
                Err(panic) => (message_of(&*panic), true),
            };
            JobEvent::StoreFailed { checkpoint: id, reason, in_doubt }
        });
    }

    fn commit(&mut self, permit: CommitPermit) {
        let commit = AssertUnwindSafe(commit(self.committers.clone(), permit)).catch_unwind();
        self.ask("commit", async move {
            let result = commit.await.unwrap_or_else(|panic| Err(JobError::internal(message_of(&*panic))));
            JobEvent::Committed { result: result.map_err(|error| error.context("commit output")) }
        });
    }

    /// Deletes what nobody needs. What cannot be deleted stays, and harms nobody.
    fn tidy(&mut self, garbage: Garbage) {
        if !garbage.is_empty() {
            self.ask("delete", async move {
                let _ = garbage.delete().await;
                JobEvent::Tidied
            });
        }
    }

    /// Asks storage or a committer, beside the job; the answer comes as an event.
    fn ask(&mut self, name: &str, question: impl Future<Output = JobEvent> + Send + 'static) {
        self.state.in_flight += 1;
        let sender = self.links.sender.clone();
        let task: BoxFuture<()> = Box::pin(async move {
            // without a job nobody waits for the answer
            let _ = sender.send(question.await).await;
        });
        self.env.spawner.spawn(name, task);
    }

    async fn end(mut self) -> Result<Ended, JobError> {
        let ended = match self.state.ending.take() {
            None => return Ok(Ended::Finished),
            Some(Ending::Cancelled) => Ok(Ended::Cancelled),
            Some(Ending::Stopped) => Ok(Ended::Stopped),
            Some(Ending::Failed(error)) => Err(error),
        };
        let reason = match &ended {
            Ok(_) => "the job was stopped".to_string(),
            Err(error) => format!("the job failed: {error}"),
        };
        self.history.abandon_all(&reason, self.env.clock.now_ms());
        for Committables { operator, committables } in self.coordinator.into_uncommitted() {
            if let Some(committer) = self.committers.get(&operator) {
                let committables: Vec<Committable> = committables.into_iter().map(Committable).collect();
                // what cannot be removed stays invisible; the job's own outcome is what counts
                let _ = AssertUnwindSafe(committer.abort(&committables)).catch_unwind().await;
            }
        }
        ended
    }
}
