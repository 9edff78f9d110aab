//! Jobs and their checkpoints as rows of tables.

use super::{bytes, millis, timestamp};
use crate::jobs::{CheckpointLine, CheckpointsReport, JobReport, RestoreLine};

/// What stands where there is nothing to say.
const NONE: &str = "-";

/// The columns of [`job_row`].
pub const JOB_COLUMNS: [&str; 10] = [
    "job id",
    "job name",
    "pid",
    "status",
    "parallelism",
    "start time",
    "rows in",
    "rows out",
    "checkpoint",
    "path",
];

pub fn job_row(job: &JobReport) -> Vec<String> {
    let checkpoint = job.checkpoint.as_ref();
    let path =
        checkpoint.map(|checkpoint| checkpoint.path.clone().unwrap_or_else(|| "in memory".to_string()));
    vec![
        job.id.clone(),
        job.name.clone(),
        job.pid.to_string(),
        job.status.clone(),
        job.parallelism.to_string(),
        timestamp(job.since_ms),
        job.rows_in.to_string(),
        job.rows_out.to_string(),
        checkpoint.map_or(NONE.to_string(), |checkpoint| checkpoint.id.to_string()),
        path.unwrap_or_else(|| NONE.to_string()),
    ]
}

/// The columns of [`checkpoint_row`].
pub const CHECKPOINT_COLUMNS: [&str; 11] = [
    "job id",
    "id",
    "kind",
    "status",
    "trigger time",
    "duration",
    "new size",
    "full size",
    "buffered",
    "in-flight",
    "path",
];

pub fn checkpoint_row(job: &str, line: &CheckpointLine) -> Vec<String> {
    let kind = if line.savepoint { "SAVEPOINT" } else { "CHECKPOINT" };
    let mut row = vec![job.to_string(), line.id.to_string(), kind.to_string(), line.status.clone()];
    row.push(timestamp(line.triggered_at_ms));
    row.push(line.duration_ms.map_or(NONE.to_string(), millis));
    match line.sizes {
        Some(sizes) => {
            let of = [sizes.new_bytes, sizes.state_bytes, sizes.buffered_bytes, sizes.in_flight_bytes];
            row.extend(of.map(bytes));
            row.push(line.path.clone().unwrap_or_else(|| "in memory".to_string()));
        }
        None => {
            row.extend([NONE; 4].map(str::to_string));
            row.push(line.reason.clone().unwrap_or_else(|| NONE.to_string()));
        }
    }
    row
}

/// How many checkpoints a job has had, and which was the latest of each kind.
pub fn checkpoint_counts(report: &CheckpointsReport) -> String {
    let CheckpointsReport { job, triggered, in_progress, completed, failed, restored, .. } = report;
    let mut text = format!(
        "{job}: {triggered} triggered, {in_progress} in progress, {completed} completed, {failed} failed, \
         {restored} restored"
    );
    let latest = [
        ("completed", &report.latest_completed),
        ("failed", &report.latest_failed),
        ("savepoint", &report.latest_savepoint),
    ];
    for (what, line) in latest {
        if let Some(line) = line {
            text += &format!("; latest {what} {} at {}", line.id, timestamp(line.triggered_at_ms));
        }
    }
    if let Some(RestoreLine { id, path, restored_at_ms }) = &report.latest_restore {
        text += &format!("; latest restore of {id} from {path} at {}", timestamp(*restored_at_ms));
    }
    text
}
