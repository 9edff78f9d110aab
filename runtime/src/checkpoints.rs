//! What a job remembers of its checkpoints, for people.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use weir_checkpoint::Manifest;
use weir_types::CheckpointId;

/// Checkpoints that are remembered.
const HISTORY: usize = 100;

/// The checkpoints of one job so far.
#[derive(Clone, Debug, Default)]
pub struct CheckpointOverview {
    pub triggered: u64,
    pub in_progress: u64,
    pub completed: u64,
    pub failed: u64,
    /// attempts that began with a checkpoint
    pub restored: u64,
    pub latest_completed: Option<CheckpointEntry>,
    pub latest_failed: Option<CheckpointEntry>,
    pub latest_savepoint: Option<CheckpointEntry>,
    pub latest_restore: Option<RestoreEntry>,
    /// the newest, the oldest of them first
    pub history: VecDeque<CheckpointEntry>,
}

/// One checkpoint or savepoint.
#[derive(Clone, Debug)]
pub struct CheckpointEntry {
    pub id: CheckpointId,
    pub savepoint: bool,
    /// since 1970-01-01T00:00:00Z
    pub triggered_at_ms: i64,
    pub status: CheckpointStatus,
}

#[derive(Clone, Debug)]
pub enum CheckpointStatus {
    InProgress,
    Completed {
        /// from the trigger until it was written down
        duration_ms: u64,
        /// `None`: in memory only
        path: Option<String>,
        /// what it consists of, with all its times and sizes
        manifest: Arc<Manifest>,
    },
    Failed {
        duration_ms: u64,
        reason: String,
    },
}

/// A job began, or began again, with a checkpoint.
#[derive(Clone, Debug)]
pub struct RestoreEntry {
    pub id: CheckpointId,
    pub path: String,
    /// since 1970-01-01T00:00:00Z
    pub restored_at_ms: i64,
}

/// The overview of a running job.
#[derive(Debug, Default)]
pub(crate) struct CheckpointHistory(Mutex<CheckpointOverview>);

impl CheckpointHistory {
    pub(crate) fn overview(&self) -> CheckpointOverview {
        self.0.lock().clone()
    }

    pub(crate) fn triggered(&self, id: CheckpointId, savepoint: bool, now_ms: i64) {
        let mut overview = self.0.lock();
        overview.triggered += 1;
        overview.in_progress += 1;
        let status = CheckpointStatus::InProgress;
        overview.history.push_back(CheckpointEntry { id, savepoint, triggered_at_ms: now_ms, status });
        if overview.history.len() > HISTORY {
            overview.history.pop_front();
        }
    }

    /// When a checkpoint was triggered.
    pub(crate) fn triggered_at_ms(&self, id: CheckpointId) -> Option<i64> {
        self.0.lock().history.iter().find(|entry| entry.id == id).map(|entry| entry.triggered_at_ms)
    }

    pub(crate) fn completed(
        &self,
        id: CheckpointId,
        path: Option<String>,
        manifest: Arc<Manifest>,
        now_ms: i64,
    ) {
        let mut overview = self.0.lock();
        overview.completed += 1;
        let entry = overview.end(id, |started_ms| {
            let duration_ms = u64::try_from(now_ms - started_ms).unwrap_or(0);
            CheckpointStatus::Completed { duration_ms, path, manifest }
        });
        match entry {
            Some(entry) if entry.savepoint => overview.latest_savepoint = Some(entry),
            entry => overview.latest_completed = entry.or(overview.latest_completed.take()),
        }
    }

    pub(crate) fn failed(&self, id: CheckpointId, reason: String, now_ms: i64) {
        let mut overview = self.0.lock();
        overview.failed += 1;
        let entry = overview.end(id, |started_ms| {
            let duration_ms = u64::try_from(now_ms - started_ms).unwrap_or(0);
            CheckpointStatus::Failed { duration_ms, reason }
        });
        overview.latest_failed = entry.or(overview.latest_failed.take());
    }

    /// An attempt has ended: what it had begun does not come about.
    pub(crate) fn abandon_all(&self, reason: &str, now_ms: i64) {
        let open = |entry: &CheckpointEntry| {
            matches!(entry.status, CheckpointStatus::InProgress).then_some(entry.id)
        };
        let open: Vec<CheckpointId> = self.0.lock().history.iter().filter_map(open).collect();
        open.into_iter().for_each(|id| self.failed(id, reason.to_string(), now_ms));
    }

    pub(crate) fn restored(&self, id: CheckpointId, path: String, now_ms: i64) {
        let mut overview = self.0.lock();
        overview.restored += 1;
        overview.latest_restore = Some(RestoreEntry { id, path, restored_at_ms: now_ms });
    }
}

impl CheckpointOverview {
    /// Ends a checkpoint that is in progress.
    fn end(
        &mut self,
        id: CheckpointId,
        status: impl FnOnce(i64) -> CheckpointStatus,
    ) -> Option<CheckpointEntry> {
        let is_open = |entry: &&mut CheckpointEntry| {
            entry.id == id && matches!(entry.status, CheckpointStatus::InProgress)
        };
        let entry = self.history.iter_mut().find(is_open)?;
        self.in_progress -= 1;
        entry.status = status(entry.triggered_at_ms);
        Some(entry.clone())
    }
}
