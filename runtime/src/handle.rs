//! What the one who submitted a job holds.

use crate::mailbox::Mailbox;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use weir_types::{ChangelogBatch, JobError, OperatorId, OperatorMetrics, OperatorMetricsSnapshot};

/// A running job. Dropping it leaves the job running.
pub struct JobHandle {
    pub(crate) job_id: Arc<str>,
    pub(crate) shared: Arc<JobShared>,
    pub(crate) stop: Arc<watch::Sender<bool>>,
    pub(crate) result: watch::Receiver<Option<Result<JobSummary, JobError>>>,
    pub(crate) results: Option<ResultReceiver>,
}

/// What the job's tasks and its owner both see.
pub(crate) struct JobShared {
    /// in the graph's order; one entry a subtask
    pub operators: Vec<(OperatorId, Arc<str>, Vec<Arc<OperatorMetrics>>)>,
}

/// How a job came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// All input was processed (or no more was wanted), and all output is visible.
    Finished,
    /// It was cancelled: output that no checkpoint covered is gone.
    Cancelled,
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
    /// who sends, or somebody before them: they hear when nobody reads any more
    pub(crate) senders: Vec<Arc<Mailbox>>,
}

impl Drop for ResultReceiver {
    fn drop(&mut self) {
        self.receiver.close();
        self.senders.iter().for_each(|sender| sender.output_closed());
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

    /// Stops all tasks without waiting for their input to end. Output that no checkpoint covers is removed. Does
    /// nothing to a job that has ended.
    pub fn cancel(&self) {
        self.stop.send_replace(true);
    }

    /// Something that cancels the job from elsewhere: a signal handler.
    pub fn canceller(&self) -> impl Fn() + Send + Sync + Clone + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(true);
        }
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
