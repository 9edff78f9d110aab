//! Statements about checkpoints: what they hold, which there are, and their end.

use super::{BackgroundJob, Session};
use crate::failure::Failure;
use crate::render::{bytes, checkpoint_report, millis, timestamp};
use std::io::Write;
use weir_planner::TextTable;
use weir_runtime::{
    CheckpointEntry, CheckpointOverview, CheckpointReport, CheckpointStatus, RestoreEntry, StoredCheckpoint,
    remove_checkpoint,
};

/// Entries of each state that are shown.
const SAMPLES: usize = 3;

impl Session {
    /// `EXPLAIN CHECKPOINT 'path'`
    pub(super) fn explain_checkpoint(&self, path: &str) -> Result<(), Failure> {
        let environment = self.engine.environment().clone();
        let report = self.production.block_on(async {
            let stored = StoredCheckpoint::open(path, &environment).await?;
            CheckpointReport::of(&stored, SAMPLES).await
        })?;
        let text = match self.json {
            true => serde_json::to_string_pretty(&report).map_err(|error| Failure::Job(error.to_string()))?,
            false => checkpoint_report(&report),
        };
        writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
        Ok(())
    }

    /// `EXPLAIN CHECKPOINT FOR JOB 'id' [number]`
    pub(super) fn explain_checkpoint_of_job(&self, id: &str, number: Option<u64>) -> Result<(), Failure> {
        let overview = self.job("explain checkpoint for job", id)?.handle.checkpoints();
        let completed = overview.history.iter().rev().filter_map(|entry| match &entry.status {
            CheckpointStatus::Completed { path, .. } => Some((entry.id.0, path.clone())),
            _ => None,
        });
        let found = completed.into_iter().find(|(found, _)| number.is_none_or(|number| number == *found));
        let Some((found, path)) = found else {
            let which = number.map_or("a checkpoint".to_string(), |number| format!("checkpoint {number}"));
            return Err(Failure::User(format!(
                "explain checkpoint for job '{id}': {which} has not completed; SHOW CHECKPOINTS FOR JOB '{id}' lists them"
            )));
        };
        match path {
            Some(path) => self.explain_checkpoint(&path),
            None => Err(Failure::User(format!(
                "explain checkpoint {found} of job '{id}': it is kept in memory, where only the job reads it; set \
                 'execution.checkpointing.dir' before the job starts"
            ))),
        }
    }

    /// `SHOW CHECKPOINTS [FOR JOB 'id']`
    pub(super) fn show_checkpoints(&self, id: Option<&str>) -> Result<(), Failure> {
        let jobs: Vec<&BackgroundJob> = match id {
            Some(id) => vec![self.job("show checkpoints for job", id)?],
            None => self.jobs.iter().collect(),
        };
        let columns = [
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
        // Asked once, so that rows and counts are of the same moment.
        let overviews: Vec<(&BackgroundJob, CheckpointOverview)> =
            jobs.into_iter().map(|job| (job, job.handle.checkpoints())).collect();
        let rows = overviews.iter().flat_map(|(job, overview)| {
            overview.history.iter().map(|entry| row(job, entry)).collect::<Vec<_>>()
        });
        let rows = rows.map(|row| row.into_iter().map(Some).collect()).collect();
        self.print_rows(&TextTable { columns: columns.map(str::to_string).to_vec(), rows })?;
        if !self.json {
            let mut out = std::io::stdout().lock();
            for (job, overview) in &overviews {
                writeln!(out, "{}", counts(job.handle.job_id(), overview))?;
            }
        }
        Ok(())
    }

    /// `DROP CHECKPOINT 'path'`
    pub(super) fn drop_checkpoint(&self, path: &str) -> Result<(), Failure> {
        let environment = self.engine.environment().clone();
        let files = self.production.block_on(remove_checkpoint(path, &environment))?;
        if self.interactive {
            println!("[INFO] Checkpoint has been dropped: {files} files.");
        }
        Ok(())
    }
}

/// How many checkpoints a job has had, and which was the latest of each kind.
fn counts(job: &str, overview: &CheckpointOverview) -> String {
    let CheckpointOverview { triggered, in_progress, completed, failed, restored, .. } = overview;
    let mut text = format!(
        "{job}: {triggered} triggered, {in_progress} in progress, {completed} completed, {failed} failed, \
         {restored} restored"
    );
    let latest = [
        ("completed", &overview.latest_completed),
        ("failed", &overview.latest_failed),
        ("savepoint", &overview.latest_savepoint),
    ];
    for (what, entry) in latest {
        if let Some(entry) = entry {
            text += &format!("; latest {what} {} at {}", entry.id, timestamp(entry.triggered_at_ms));
        }
    }
    if let Some(restore) = &overview.latest_restore {
        let RestoreEntry { id, path, restored_at_ms } = restore;
        text += &format!("; latest restore of {id} from {path} at {}", timestamp(*restored_at_ms));
    }
    text
}

fn row(job: &BackgroundJob, entry: &CheckpointEntry) -> Vec<String> {
    let none = || "-".to_string();
    let kind = if entry.savepoint { "SAVEPOINT" } else { "CHECKPOINT" };
    let mut row = vec![job.handle.job_id().to_string(), entry.id.to_string(), kind.to_string()];
    let (status, rest) = match &entry.status {
        CheckpointStatus::InProgress => ("IN_PROGRESS", [none(), none(), none(), none(), none(), none()]),
        CheckpointStatus::Failed { duration_ms, reason } => {
            ("FAILED", [millis(*duration_ms), none(), none(), none(), none(), reason.clone()])
        }
        CheckpointStatus::Completed { duration_ms, path, manifest } => {
            let sizes = &manifest.statistics;
            let path = path.clone().unwrap_or_else(|| "in memory".to_string());
            let buffered = sizes.tasks.iter().map(|task| task.times.alignment_bytes).sum();
            let of = [sizes.new_bytes, sizes.state_bytes, buffered, sizes.in_flight_bytes].map(bytes);
            let [new, full, buffered, in_flight] = of;
            ("COMPLETED", [millis(*duration_ms), new, full, buffered, in_flight, path])
        }
    };
    row.push(status.to_string());
    row.push(timestamp(entry.triggered_at_ms));
    row.extend(rest);
    row
}
