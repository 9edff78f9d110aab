//! Statements about checkpoints: what they hold, which there are, and their end.

use super::Session;
use crate::failure::Failure;
use crate::jobs::{CheckpointsReport, Job};
use crate::render::{CHECKPOINT_COLUMNS, checkpoint_counts, checkpoint_report, checkpoint_row};
use std::io::Write;
use std::sync::Arc;
use weir_planner::TextTable;
use weir_runtime::{CheckpointReport, CheckpointStatus, StoredCheckpoint, remove_checkpoint};

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
        let jobs: Vec<Arc<Job>> = match id {
            Some(id) => vec![self.job("show checkpoints for job", id)?],
            None => self.jobs.all(),
        };
        // Asked once, so that rows and counts are of the same moment.
        let reports: Vec<CheckpointsReport> = jobs.iter().map(|job| CheckpointsReport::of(job)).collect();
        let rows = reports.iter().flat_map(|report| {
            report.history.iter().map(|line| checkpoint_row(&report.job, line)).collect::<Vec<_>>()
        });
        let rows = rows.map(|row| row.into_iter().map(Some).collect()).collect();
        self.print_rows(&TextTable { columns: CHECKPOINT_COLUMNS.map(str::to_string).to_vec(), rows })?;
        if !self.json {
            let mut out = std::io::stdout().lock();
            for report in &reports {
                writeln!(out, "{}", checkpoint_counts(report))?;
            }
        }
        Ok(())
    }

    /// `DROP CHECKPOINT 'path'`
    pub(super) fn drop_checkpoint(&self, path: &str) -> Result<(), Failure> {
        let environment = self.engine.environment().clone();
        let removed = self.production.block_on(remove_checkpoint(path, false, &environment))?;
        if self.interactive {
            println!("[INFO] Checkpoint has been dropped: {} files.", removed.files);
        }
        if let Some(left) = removed.left {
            say!("warning: {path}: {left}");
        }
        Ok(())
    }
}
