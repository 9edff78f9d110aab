//! Statements about checkpoints: what they hold, which there are, and their end.

use super::Session;
use crate::failure::Failure;
use crate::jobs::{CheckpointDetails, CheckpointsReport, Job};
use crate::render::{
    CHECKPOINT_COLUMNS, checkpoint_counts, checkpoint_details, checkpoint_report, checkpoint_row,
};
use std::io::Write;
use std::sync::Arc;
use weir_planner::TextTable;
use weir_runtime::{
    CheckpointEntry, CheckpointReport, CheckpointStatus, StoredCheckpoint, remove_checkpoint,
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
        let job = self.job("explain checkpoint for job", id)?;
        let overview = job.handle.checkpoints();
        let is_wanted = |entry: &&CheckpointEntry| match number {
            Some(number) => entry.id.0 == number,
            None => matches!(entry.status, CheckpointStatus::Completed { .. }),
        };
        let Some(entry) = overview.history.iter().rev().find(is_wanted) else {
            let problem = match number {
                Some(number) => format!("it remembers no checkpoint {number}"),
                None => "no checkpoint has completed".to_string(),
            };
            return Err(Failure::User(format!(
                "explain checkpoint for job '{id}': {problem}; SHOW CHECKPOINTS FOR JOB '{id}' lists them"
            )));
        };
        match &entry.status {
            CheckpointStatus::Completed { path: Some(path), .. } => self.explain_checkpoint(path),
            // What it holds is nobody's to read: how it came about is all there is to tell.
            _ => self.print_details(&CheckpointDetails::of_entry(job.id(), entry)),
        }
    }

    fn print_details(&self, details: &CheckpointDetails) -> Result<(), Failure> {
        let text = match self.json {
            true => serde_json::to_string_pretty(details).map_err(|error| Failure::Job(error.to_string()))?,
            false => checkpoint_details(details),
        };
        writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
        Ok(())
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
