//! One running job: starts its tasks, listens to them, executes what the checkpoint coordinator decides, and ends it
//! once, with the first error if there is one.

use crate::RuntimeError;
use crate::alarm::Alarm;
use crate::handle::{JobOutcome, JobShared, JobSummary};
use crate::job_event::{JobEvent, TaskOutcome};
use crate::mailbox::Mailbox;
use crate::task::{HeadPlan, TaskPlan, message_of};
use futures::FutureExt;
use futures::future::{Either, select};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use weir_checkpoint::{
    Action, CheckpointCoordinator, CheckpointStorage, CommitPermit, Committables, CompletedCheckpoint, Event,
};
use weir_connectors::{Committable, Committer, ConnectorError, SplitState};
use weir_types::{BoxFuture, Classify, JobError, OperatorId, RuntimeEnv};

pub(crate) struct Job {
    pub env: RuntimeEnv,
    pub coordinator: CheckpointCoordinator,
    pub storage: Arc<dyn CheckpointStorage>,
    pub mailboxes: Vec<Arc<Mailbox>>,
    pub committers: BTreeMap<OperatorId, Arc<dyn Committer>>,
    pub shared: Arc<JobShared>,
    pub sender: mpsc::Sender<JobEvent>,
    pub receiver: mpsc::Receiver<JobEvent>,
    pub stop: Arc<watch::Sender<bool>>,
    pub state: JobState,
}

#[derive(Default)]
pub(crate) struct JobState {
    running: usize,
    /// storage and committers that have not answered
    in_flight: usize,
    /// why the job ends before its input does
    ending: Option<Ending>,
    finished: bool,
    checkpoints: u64,
}

enum Ending {
    Cancelled,
    Failed(JobError),
}

/// Stops the tasks of a job whose manager goes, however it goes.
struct StopOnDrop(Arc<watch::Sender<bool>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Job {
    /// Runs the job to its end.
    pub(crate) async fn run(mut self, mut tasks: Vec<TaskPlan>) -> Result<JobSummary, JobError> {
        let _stop = StopOnDrop(self.stop.clone());
        let mut stopped = self.stop.subscribe();
        let assigned = {
            let assign = pin!(assign_splits(&mut tasks));
            match select(pin!(stopped.wait_for(|stop| *stop)), assign).await {
                Either::Left(_) => None,
                Either::Right((assigned, _)) => Some(assigned),
            }
        };
        match assigned {
            None => return Ok(self.summary(JobOutcome::Cancelled)),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(())) => {}
        }
        self.state.running = tasks.len();
        for task in tasks {
            let name = format!("task {}", task.task.0);
            let supervised = task.supervise(self.sender.clone(), self.stop.subscribe());
            self.env.spawner.spawn(&name, Box::pin(supervised));
        }
        self.listen().await;
        self.end().await
    }

    async fn listen(&mut self) {
        let mut alarm = Alarm::default();
        while !self.is_over() {
            let deadline = self.coordinator.next_deadline().filter(|_| self.state.ending.is_none());
            alarm.set(deadline.map(Duration::from_millis), &*self.env.clock);
            let receiver = &mut self.receiver;
            let event = poll_fn(|cx| match receiver.poll_recv(cx) {
                Poll::Ready(event) => Poll::Ready(event),
                Poll::Pending => alarm.poll(cx).map(|()| None),
            });
            match event.await {
                Some(event) => self.on_event(event),
                None if self.state.ending.is_none() => self.decide(Event::Tick),
                None => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        let decided = self.state.finished || self.state.ending.is_some();
        decided && self.state.running == 0 && self.state.in_flight == 0
    }

    fn on_event(&mut self, event: JobEvent) {
        let ending = self.state.ending.is_some();
        match event {
            JobEvent::Prepared { covered_by, operator, committables } => {
                let committables = committables.into_iter().map(|committable| committable.0).collect();
                let committables = Committables { operator, committables };
                self.decide(Event::Prepared { covered_by, committables });
            }
            JobEvent::Acknowledged { task, checkpoint, snapshot } if !ending => {
                self.decide(Event::Acknowledged { task, checkpoint, snapshot });
            }
            JobEvent::Declined { task, checkpoint, reason } if !ending => {
                self.decide(Event::Declined { task, checkpoint, reason });
            }
            JobEvent::Acknowledged { .. } | JobEvent::Declined { .. } => {}
            JobEvent::Ended { task, outcome } => {
                self.state.running -= 1;
                match outcome {
                    TaskOutcome::Finished if !ending => self.decide(Event::TaskFinished { task }),
                    TaskOutcome::Finished => {}
                    TaskOutcome::Cancelled if !ending => self.state.ending = Some(Ending::Cancelled),
                    TaskOutcome::Cancelled => {}
                    TaskOutcome::Failed(error) => self.fail(error.into()),
                }
            }
            JobEvent::Stored { checkpoint } => {
                self.state.in_flight -= 1;
                self.state.checkpoints += 1;
                self.mailboxes.iter().for_each(|mailbox| mailbox.completed(checkpoint));
                self.decide(Event::Stored { checkpoint });
            }
            JobEvent::StoreFailed { checkpoint, reason } => {
                self.state.in_flight -= 1;
                self.decide(Event::StoreFailed { checkpoint, reason });
            }
            JobEvent::Committed { result } => {
                self.state.in_flight -= 1;
                match result {
                    Ok(()) => self.decide(Event::Committed),
                    Err(error) => self.fail(error),
                }
            }
        }
    }

    /// The first error is the job's; the others come of stopping.
    fn fail(&mut self, error: JobError) {
        if !matches!(self.state.ending, Some(Ending::Failed(_))) {
            self.state.ending = Some(Ending::Failed(error));
        }
        self.stop.send_replace(true);
    }

    fn decide(&mut self, event: Event) {
        let now_ms = self.env.clock.monotonic().as_millis() as u64;
        for action in self.coordinator.step(event, now_ms) {
            match action {
                // complete is complete, however the job goes on
                Action::Commit(permit) => self.commit(permit),
                Action::FailJob(error) => self.fail(RuntimeError::from(error).into()),
                _ if self.state.ending.is_some() => {}
                Action::Trigger { barrier, tasks } => {
                    for task in tasks {
                        self.mailboxes[task.0].trigger(barrier);
                    }
                }
                Action::Store(checkpoint) => self.store(checkpoint),
                // snapshots in memory go when they are dropped
                Action::Discard { .. } | Action::Abandoned(_) => {}
                Action::Finished => self.state.finished = true,
            }
        }
    }

    fn store(&mut self, checkpoint: Arc<CompletedCheckpoint>) {
        let id = checkpoint.id;
        let store = AssertUnwindSafe(self.storage.store(checkpoint)).catch_unwind();
        self.ask("store", async move {
            let reason = match store.await {
                Ok(Ok(())) => return JobEvent::Stored { checkpoint: id },
                Ok(Err(error)) => error.to_string(),
                Err(panic) => message_of(&*panic),
            };
            JobEvent::StoreFailed { checkpoint: id, reason }
        });
    }

    fn commit(&mut self, permit: CommitPermit) {
        let committers = self.committers.clone();
        let commit = AssertUnwindSafe(commit(committers, permit)).catch_unwind();
        self.ask("commit", async move {
            let result = commit.await.unwrap_or_else(|panic| Err(JobError::internal(message_of(&*panic))));
            JobEvent::Committed { result: result.map_err(|error| error.context("commit output")) }
        });
    }

    /// Asks storage or a committer, beside the job; the answer comes as an event.
    fn ask(&mut self, name: &str, question: impl Future<Output = JobEvent> + Send + 'static) {
        self.state.in_flight += 1;
        let sender = self.sender.clone();
        let task: BoxFuture<()> = Box::pin(async move {
            // without a job nobody waits for the answer
            let _ = sender.send(question.await).await;
        });
        self.env.spawner.spawn(name, task);
    }

    async fn end(mut self) -> Result<JobSummary, JobError> {
        let outcome = match self.state.ending.take() {
            None => return Ok(self.summary(JobOutcome::Finished)),
            Some(Ending::Cancelled) => Ok(self.summary(JobOutcome::Cancelled)),
            Some(Ending::Failed(error)) => Err(error),
        };
        for Committables { operator, committables } in self.coordinator.into_uncommitted() {
            if let Some(committer) = self.committers.get(&operator) {
                let committables: Vec<Committable> = committables.into_iter().map(Committable).collect();
                // what cannot be removed stays invisible; the job's own outcome is what counts
                let _ = AssertUnwindSafe(committer.abort(&committables)).catch_unwind().await;
            }
        }
        outcome
    }

    fn summary(&self, outcome: JobOutcome) -> JobSummary {
        JobSummary { outcome, operators: self.shared.report(), checkpoints: self.state.checkpoints }
    }
}

/// Makes output visible: the only place that does, and it takes a permit.
async fn commit(
    committers: BTreeMap<OperatorId, Arc<dyn Committer>>,
    permit: CommitPermit,
) -> Result<(), JobError> {
    let mut of_operator: BTreeMap<OperatorId, Vec<Committable>> = BTreeMap::new();
    for Committables { operator, committables } in permit.into_committables() {
        of_operator.entry(operator).or_default().extend(committables.into_iter().map(Committable));
    }
    for (operator, committables) in of_operator {
        let Some(committer) = committers.get(&operator) else {
            return Err(JobError::internal(format!(
                "{operator}: the sink has no committer for what it wrote"
            )));
        };
        let committed = committer.commit(&committables).await;
        committed.map_err(|error| JobError::new(error.kind(), format!("{operator}: {error}")))?;
    }
    Ok(())
}

/// Deals the splits of each source out to its subtasks: split i to subtask i modulo the parallelism.
async fn assign_splits(tasks: &mut [TaskPlan]) -> Result<(), RuntimeError> {
    let mut dealt: BTreeMap<OperatorId, Vec<SplitState>> = BTreeMap::new();
    for task in tasks {
        let HeadPlan::Source { operator, label, source, context, splits } = &mut task.head else { continue };
        if !dealt.contains_key(operator) {
            let all = source.splits(context.parallelism).await;
            let all = all.map_err(|source: ConnectorError| RuntimeError::Connector {
                operator: label.to_string(),
                source,
            })?;
            let from_the_beginning = |split| SplitState { split, position: None };
            dealt.insert(operator.clone(), all.into_iter().map(from_the_beginning).collect());
        }
        let all = dealt.get(operator).into_iter().flatten().cloned();
        *splits = all.skip(context.subtask.0 as usize).step_by(context.parallelism as usize).collect();
    }
    Ok(())
}
