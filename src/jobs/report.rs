//! What is told of a job, within this process and to others. Times are milliseconds, dates milliseconds since
//! 1970-01-01T00:00:00Z.

use super::Job;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use weir_runtime::{
    CheckpointEntry, CheckpointOverview, CheckpointPart, CheckpointStatus, PartAnswer, RestoreEntry,
    SnapshotStatistics,
};

/// A job as of now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobReport {
    pub id: String,
    pub name: String,
    /// of the process that runs it
    pub pid: u32,
    /// Flink's word
    pub status: String,
    pub parallelism: u32,
    pub since_ms: i64,
    /// that sources have read since it began here
    pub rows_in: u64,
    /// that sinks have taken
    pub rows_out: u64,
    pub watermark: Option<String>,
    /// what it began with, if that was a checkpoint
    pub restored: Option<RestoreLine>,
    /// its newest checkpoint, savepoints aside
    pub checkpoint: Option<CheckpointLine>,
    pub savepoint: Option<CheckpointLine>,
}

/// The checkpoints of a job so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointsReport {
    pub job: String,
    pub triggered: u64,
    pub in_progress: u64,
    pub completed: u64,
    pub failed: u64,
    pub restored: u64,
    pub latest_completed: Option<CheckpointLine>,
    pub latest_failed: Option<CheckpointLine>,
    pub latest_savepoint: Option<CheckpointLine>,
    pub latest_restore: Option<RestoreLine>,
    /// the oldest first
    pub history: Vec<CheckpointLine>,
}

/// A checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointLine {
    pub id: u64,
    pub savepoint: bool,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED`
    pub status: String,
    pub triggered_at_ms: i64,
    pub duration_ms: Option<u64>,
    pub sizes: Option<CheckpointSizes>,
    /// `None` if it is in memory, or not complete
    pub path: Option<String>,
    /// why it failed
    pub reason: Option<String>,
}

/// A checkpoint, and what each subtask has to do with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointDetails {
    pub job: String,
    pub checkpoint: CheckpointLine,
    pub subtasks: Vec<PartLine>,
}

/// One subtask of a chain of operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartLine {
    /// the chain, its root first
    pub operators: Vec<String>,
    pub subtask: u32,
    /// it had nothing more to do
    pub finished: bool,
    /// how it took its snapshot; `None`: it has not, or has nothing to
    pub times: Option<SnapshotStatistics>,
}

/// In bytes, of a checkpoint that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSizes {
    pub new_bytes: u64,
    pub state_bytes: u64,
    /// that waited for barriers
    pub buffered_bytes: u64,
    pub in_flight_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreLine {
    pub id: u64,
    pub path: String,
    pub restored_at_ms: i64,
}

impl JobReport {
    pub fn of(job: &Job) -> JobReport {
        let progress = job.progress(Duration::ZERO);
        let checkpoints = job.handle.checkpoints();
        JobReport {
            id: job.id().to_string(),
            name: job.name.clone(),
            pid: std::process::id(),
            status: job.handle.status().to_string(),
            parallelism: job.parallelism,
            since_ms: job.since_ms,
            rows_in: progress.rows_in,
            rows_out: progress.rows_out,
            watermark: progress.watermark,
            restored: checkpoints.latest_restore.as_ref().map(RestoreLine::of),
            checkpoint: checkpoints.latest_completed.as_ref().map(CheckpointLine::of),
            savepoint: checkpoints.latest_savepoint.as_ref().map(CheckpointLine::of),
        }
    }
}

impl CheckpointsReport {
    pub fn of(job: &Job) -> CheckpointsReport {
        let overview: CheckpointOverview = job.handle.checkpoints();
        let line = |entry: &Option<CheckpointEntry>| entry.as_ref().map(CheckpointLine::of);
        CheckpointsReport {
            job: job.id().to_string(),
            triggered: overview.triggered,
            in_progress: overview.in_progress,
            completed: overview.completed,
            failed: overview.failed,
            restored: overview.restored,
            latest_completed: line(&overview.latest_completed),
            latest_failed: line(&overview.latest_failed),
            latest_savepoint: line(&overview.latest_savepoint),
            latest_restore: overview.latest_restore.as_ref().map(RestoreLine::of),
            history: overview.history.iter().map(CheckpointLine::of).collect(),
        }
    }
}

impl CheckpointDetails {
    /// `None`: the job does not remember such a checkpoint.
    pub fn of(job: &Job, id: u64) -> Option<CheckpointDetails> {
        let overview = job.handle.checkpoints();
        let entry = overview.history.iter().find(|entry| entry.id.0 == id)?;
        Some(CheckpointDetails::of_entry(job.id(), entry))
    }

    pub fn of_entry(job: &str, entry: &CheckpointEntry) -> CheckpointDetails {
        let line = |part: CheckpointPart| PartLine {
            operators: part.operators.iter().map(ToString::to_string).collect(),
            subtask: part.subtask.0,
            finished: part.answer == PartAnswer::Finished,
            times: match part.answer {
                PartAnswer::Snapshot(times) => Some(times),
                PartAnswer::None | PartAnswer::Finished => None,
            },
        };
        let subtasks = entry.parts().into_iter().map(line).collect();
        CheckpointDetails { job: job.to_string(), checkpoint: CheckpointLine::of(entry), subtasks }
    }
}

impl RestoreLine {
    fn of(entry: &RestoreEntry) -> RestoreLine {
        RestoreLine { id: entry.id.0, path: entry.path.clone(), restored_at_ms: entry.restored_at_ms }
    }
}

impl CheckpointLine {
    fn of(entry: &CheckpointEntry) -> CheckpointLine {
        let line = CheckpointLine {
            id: entry.id.0,
            savepoint: entry.savepoint,
            status: "IN_PROGRESS".to_string(),
            triggered_at_ms: entry.triggered_at_ms,
            duration_ms: None,
            sizes: None,
            path: None,
            reason: None,
        };
        match &entry.status {
            CheckpointStatus::InProgress => line,
            CheckpointStatus::Failed { duration_ms, reason } => CheckpointLine {
                status: "FAILED".to_string(),
                duration_ms: Some(*duration_ms),
                reason: Some(reason.clone()),
                ..line
            },
            CheckpointStatus::Completed { duration_ms, path, manifest } => {
                let statistics = &manifest.statistics;
                let sizes = CheckpointSizes {
                    new_bytes: statistics.new_bytes,
                    state_bytes: statistics.state_bytes,
                    buffered_bytes: statistics.tasks.iter().map(|task| task.times.alignment_bytes).sum(),
                    in_flight_bytes: statistics.in_flight_bytes,
                };
                CheckpointLine {
                    status: "COMPLETED".to_string(),
                    duration_ms: Some(*duration_ms),
                    sizes: Some(sizes),
                    path: path.clone(),
                    ..line
                }
            }
        }
    }
}
