//! What the one who submitted a job holds.

use crate::checkpoints::{CheckpointHistory, CheckpointOverview};
use crate::flag::Flag;
use crate::mailbox::Mailbox;
use crate::plan::ExecutionPlan;
use crate::request::{CheckpointRequest, Request, SavepointRequest};
use crate::restore::Restore;
use crate::status::{JobStatus, Notice};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot, watch};
use weir_checkpoint::{Directory, Environment, SavepointFormat, Stop};
use weir_types::{
    ChangelogBatch, CheckpointId, JobError, JobGraph, OperatorId, OperatorMetrics, OperatorMetricsSnapshot,
    RuntimeEnv,
};

/// A running job. Dropping it leaves the job running.
pub struct JobHandle {
    pub(crate) job_id: Arc<str>,
    pub(crate) env: RuntimeEnv,
    pub(crate) shared: Arc<JobShared>,
    pub(crate) history: Arc<CheckpointHistory>,
    pub(crate) savepoints: Savepoints,
    pub(crate) checkpoint_directory: Option<String>,
    /// there is an interval
    pub(crate) takes_checkpoints: bool,
    pub(crate) stop: Flag,
    pub(crate) result: watch::Receiver<Option<Result<JobSummary, JobError>>>,
    pub(crate) results: Option<ResultReceiver>,
}

/// Where a job's savepoints go, and whom to ask for them.
#[derive(Clone)]
pub(crate) struct Savepoints {
    pub requests: mpsc::Sender<Request>,
    /// `execution.checkpointing.savepoint-dir`
    pub directory: Option<String>,
    pub environment: Arc<Environment>,
}

/// What the job's tasks and its owner both see.
pub(crate) struct JobShared {
    /// in the graph's order; one entry a subtask
    pub operators: Vec<(OperatorId, Arc<str>, Vec<Arc<OperatorMetrics>>)>,
    /// the tasks of the current attempt: they hear when nobody reads a result any more
    pub result_senders: Mutex<Vec<Arc<Mailbox>>>,
    notices: Mutex<Vec<Notice>>,
    /// while it runs
    status: Mutex<JobStatus>,
    /// its checkpoints outlive its cancellation, whatever the settings say
    suspended: AtomicBool,
}

/// How a job came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// All input was processed (or no more was wanted), and all output is visible.
    Finished,
    /// It was cancelled: output that no checkpoint covered is gone.
    Cancelled,
    /// It was stopped with a savepoint, which covers all its output.
    Stopped,
}

#[derive(Clone, Debug)]
pub struct JobSummary {
    pub outcome: JobOutcome,
    pub operators: Vec<OperatorReport>,
    /// checkpoints that completed
    pub checkpoints: u64,
}

/// One operator's counters over all its subtasks.
#[derive(Clone, Debug)]
pub struct OperatorReport {
    pub id: OperatorId,
    pub label: Arc<str>,
    pub parallelism: u32,
    /// sums; the watermark is the minimum
    pub metrics: OperatorMetricsSnapshot,
}

/// The rows of a `Collect`, in order of each subtask. Dropping it ends the job early.
pub struct ResultReceiver {
    pub(crate) receiver: mpsc::Receiver<ChangelogBatch>,
    pub(crate) shared: Arc<JobShared>,
}

impl Drop for ResultReceiver {
    fn drop(&mut self) {
        self.receiver.close();
        self.shared.result_senders.lock().iter().for_each(|sender| sender.output_closed());
    }
}

impl ResultReceiver {
    /// The next batch; `None` when the job has ended, well or not: [`JobHandle::wait`] tells which.
    pub async fn next(&mut self) -> Option<ChangelogBatch> {
        self.receiver.recv().await
    }

    /// The next batch if one is there already.
    pub fn try_next(&mut self) -> Option<ChangelogBatch> {
        self.receiver.try_recv().ok()
    }
}

impl JobHandle {
    /// The name of this run: 32 hexadecimal digits.
    pub fn job_id(&self) -> &str {
        &self.job_id
    }

    /// Counters of each operator as of now, in the graph's order.
    pub fn metrics(&self) -> Vec<OperatorReport> {
        self.shared.report()
    }

    /// Where the job's checkpoints are written; `None` if they stay in memory, or if there are none.
    pub fn checkpoint_directory(&self) -> Option<&str> {
        self.checkpoint_directory.as_deref()
    }

    /// The checkpoints of the job so far.
    pub fn checkpoints(&self) -> CheckpointOverview {
        self.history.overview()
    }

    /// What happened to the job since the last call that its owner should know.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.shared.notices.lock())
    }

    /// What it is about as of now.
    pub fn status(&self) -> JobStatus {
        match self.outcome() {
            Some(Ok(summary)) if summary.outcome == JobOutcome::Cancelled => JobStatus::Cancelled,
            Some(Ok(_)) => JobStatus::Finished,
            Some(Err(_)) => JobStatus::Failed,
            None if self.stop.is_raised() => JobStatus::Cancelling,
            None => *self.shared.status.lock(),
        }
    }

    /// Has the job write a savepoint below `directory` (`None`: the one of the settings), and stop with it if `stop`
    /// says so. The path of the savepoint.
    ///
    /// Errors: `UserInput` without a directory, `Unavailable` if nothing came of it; the job goes on then.
    pub async fn savepoint(
        &self,
        directory: Option<&str>,
        format: SavepointFormat,
        stop: Option<Stop>,
    ) -> Result<String, JobError> {
        let Some(root) = directory.or(self.savepoints.directory.as_deref()) else {
            return Err(JobError::user_input(
                "take a savepoint: there is no directory for it: name one, or set \
                 'execution.checkpointing.savepoint-dir'",
            ));
        };
        let root = Directory::open(root, &self.savepoints.environment)?;
        let job = self.job_id.get(..6).unwrap_or(&self.job_id);
        let name = format!("savepoint-{job}-{:012x}", self.env.random.next_u64() >> 16);
        let (answer, answered) = oneshot::channel();
        root.can_be_made()?;
        let request = SavepointRequest { directory: root.join(&name), format, stop, answer };
        let over = || JobError::unavailable("take a savepoint: the job has ended");
        self.savepoints.requests.send(Request::Savepoint(request)).await.map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Has the job take a checkpoint now. Its number, and its path unless it is in memory.
    ///
    /// Errors: `UserInput` for a job that takes no checkpoints, `Unavailable` if nothing came of it.
    pub async fn checkpoint(&self) -> Result<(CheckpointId, Option<String>), JobError> {
        if !self.takes_checkpoints {
            return Err(JobError::user_input(
                "take a checkpoint: the job takes none, as 'execution.checkpointing.interval' is not set; a savepoint \
                 is possible",
            ));
        }
        let (answer, answered) = oneshot::channel();
        let request = Request::Checkpoint(CheckpointRequest { answer });
        let over = || JobError::unavailable("take a checkpoint: the job has ended");
        self.savepoints.requests.send(request).await.map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Stops all tasks without waiting for their input to end. Output that no checkpoint covers is removed. Does
    /// nothing to a job that has ended.
    pub fn cancel(&self) {
        self.stop.raise();
    }

    /// As [`JobHandle::cancel`], but the job's checkpoints stay, whatever the settings say: its process is ended by somebody
    /// who means the process and not the job, which is to go on later.
    pub fn suspend(&self) {
        self.shared.suspended.store(true, Ordering::Release);
        self.stop.raise();
    }

    /// Waits for the end: the summary, or the first error of any task. Can be called again.
    pub async fn wait(&self) -> Result<JobSummary, JobError> {
        let mut result = self.result.clone();
        let ended = result.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err(JobError::internal("run job: its manager has died")),
        }
    }

    /// How the job ended; `None` while it runs.
    pub fn outcome(&self) -> Option<Result<JobSummary, JobError>> {
        self.result.borrow().clone()
    }

    /// The rows of the graph's `Collect`, once; `None` if it has none.
    pub fn results(&mut self) -> Option<ResultReceiver> {
        self.results.take()
    }
}

impl JobShared {
    pub(crate) fn of(graph: &JobGraph, plan: &ExecutionPlan) -> JobShared {
        let operators = graph.nodes.iter().zip(plan.parallelism(graph)).map(|(node, parallelism)| {
            let metrics = (0..parallelism).map(|_| Arc::new(OperatorMetrics::default())).collect();
            (node.id.clone(), Arc::from(node.label.as_str()), metrics)
        });
        JobShared {
            operators: operators.collect(),
            result_senders: Mutex::default(),
            notices: Mutex::default(),
            status: Mutex::new(JobStatus::Initializing),
            suspended: AtomicBool::new(false),
        }
    }

    pub(crate) fn set_status(&self, status: JobStatus) {
        *self.status.lock() = status;
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    pub(crate) fn notify(&self, notice: Option<Notice>) {
        self.notices.lock().extend(notice);
    }

    /// Says that an attempt failed and another follows.
    pub(crate) fn restarting(&self, error: &JobError, delay_ms: u64, restore: Option<&Restore>) {
        let from = restore.map_or("from the beginning".to_string(), |restore| {
            format!("from checkpoint {}", restore.stored().manifest.checkpoint)
        });
        let notice = format!("the job failed and starts again in {delay_ms} ms, {from}: {error}");
        self.notify(Some(Notice::Warning(notice)));
    }

    pub(crate) fn report(&self) -> Vec<OperatorReport> {
        let report = |(id, label, subtasks): &(OperatorId, Arc<str>, Vec<Arc<OperatorMetrics>>)| {
            let snapshots = subtasks.iter().map(|metrics| metrics.snapshot());
            let metrics = snapshots.reduce(add).unwrap_or_else(|| OperatorMetrics::default().snapshot());
            OperatorReport {
                id: id.clone(),
                label: label.clone(),
                parallelism: subtasks.len() as u32,
                metrics,
            }
        };
        self.operators.iter().map(report).collect()
    }
}

fn add(a: OperatorMetricsSnapshot, b: OperatorMetricsSnapshot) -> OperatorMetricsSnapshot {
    OperatorMetricsSnapshot {
        rows_in: a.rows_in + b.rows_in,
        rows_out: a.rows_out + b.rows_out,
        bytes_in: a.bytes_in + b.bytes_in,
        late_rows: a.late_rows + b.late_rows,
        skipped_records: a.skipped_records + b.skipped_records,
        watermark: a.watermark.min(b.watermark),
    }
}
