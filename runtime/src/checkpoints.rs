//! What a job remembers of its checkpoints, for people.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use weir_checkpoint::manifest::{SnapshotStatistics, TaskStatistics};
use weir_checkpoint::{Manifest, TaskId};
use weir_types::{CheckpointId, OperatorId, SubtaskIndex};

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
    /// of one that is not complete: what its tasks have answered
    parts: Vec<CheckpointPart>,
}

/// What one subtask of a chain of operators has to do with a checkpoint.
#[derive(Clone, Debug)]
pub struct CheckpointPart {
    /// the chain, its root first
    pub operators: Arc<[OperatorId]>,
    pub subtask: SubtaskIndex,
    pub answer: PartAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartAnswer {
    None,
    /// It had nothing more to do.
    Finished,
    Snapshot(SnapshotStatistics),
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
pub(crate) struct CheckpointHistory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    overview: CheckpointOverview,
    /// the tasks of the attempt: what each has to do with a checkpoint that begins now
    tasks: Vec<CheckpointPart>,
}

impl CheckpointHistory {
    pub(crate) fn overview(&self) -> CheckpointOverview {
        self.0.lock().overview.clone()
    }

    /// An attempt begins, with these subtasks of chains as its tasks.
    pub(crate) fn begin(&self, tasks: impl Iterator<Item = (Arc<[OperatorId]>, SubtaskIndex)>) {
        let part = |(operators, subtask)| CheckpointPart { operators, subtask, answer: PartAnswer::None };
        self.0.lock().tasks = tasks.map(part).collect();
    }

    pub(crate) fn triggered(&self, id: CheckpointId, savepoint: bool, now_ms: i64) {
        let State { overview, tasks } = &mut *self.0.lock();
        overview.triggered += 1;
        overview.in_progress += 1;
        let (status, parts) = (CheckpointStatus::InProgress, tasks.clone());
        overview.history.push_back(CheckpointEntry { id, savepoint, triggered_at_ms: now_ms, status, parts });
        if overview.history.len() > HISTORY {
            overview.history.pop_front();
        }
    }

    /// A task has taken its snapshot.
    pub(crate) fn acknowledged(&self, id: CheckpointId, task: TaskId, times: SnapshotStatistics) {
        let State { overview, .. } = &mut *self.0.lock();
        let part = overview.open(id).and_then(|entry| entry.parts.get_mut(task.0));
        if let Some(part) = part {
            part.answer = PartAnswer::Snapshot(times);
        }
    }

    /// A task has nothing more to do: it is not asked any more, and what it leaves behind is its answer.
    pub(crate) fn task_finished(&self, task: TaskId) {
        let State { overview, tasks } = &mut *self.0.lock();
        let open = overview.history.iter_mut().filter(|entry| entry.is_open());
        let parts = open.filter_map(|entry| entry.parts.get_mut(task.0)).chain(tasks.get_mut(task.0));
        for part in parts.filter(|part| part.answer == PartAnswer::None) {
            part.answer = PartAnswer::Finished;
        }
    }

    /// When a checkpoint was triggered.
    pub(crate) fn triggered_at_ms(&self, id: CheckpointId) -> Option<i64> {
        let overview = &self.0.lock().overview;
        overview.history.iter().find(|entry| entry.id == id).map(|entry| entry.triggered_at_ms)
    }

    pub(crate) fn completed(
        &self,
        id: CheckpointId,
        path: Option<String>,
        manifest: Arc<Manifest>,
        now_ms: i64,
    ) {
        let overview = &mut self.0.lock().overview;
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
        let overview = &mut self.0.lock().overview;
        overview.failed += 1;
        let entry = overview.end(id, |started_ms| {
            let duration_ms = u64::try_from(now_ms - started_ms).unwrap_or(0);
            CheckpointStatus::Failed { duration_ms, reason }
        });
        overview.latest_failed = entry.or(overview.latest_failed.take());
    }

    /// An attempt has ended: what it had begun does not come about.
    pub(crate) fn abandon_all(&self, reason: &str, now_ms: i64) {
        let open = |entry: &CheckpointEntry| entry.is_open().then_some(entry.id);
        let open: Vec<CheckpointId> = self.0.lock().overview.history.iter().filter_map(open).collect();
        open.into_iter().for_each(|id| self.failed(id, reason.to_string(), now_ms));
    }

    pub(crate) fn restored(&self, id: CheckpointId, path: String, now_ms: i64) {
        let overview = &mut self.0.lock().overview;
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
        let entry = self.open(id)?;
        entry.status = status(entry.triggered_at_ms);
        if let CheckpointStatus::Completed { .. } = entry.status {
            entry.parts = Vec::new();
        }
        let entry = entry.clone();
        self.in_progress -= 1;
        Some(entry)
    }

    /// A checkpoint that is in progress.
    fn open(&mut self, id: CheckpointId) -> Option<&mut CheckpointEntry> {
        self.history.iter_mut().find(|entry| entry.id == id && entry.is_open())
    }
}

impl CheckpointEntry {
    fn is_open(&self) -> bool {
        matches!(self.status, CheckpointStatus::InProgress)
    }

    /// What each subtask has to do with it, in the order of the chains.
    pub fn parts(&self) -> Vec<CheckpointPart> {
        let CheckpointStatus::Completed { manifest, .. } = &self.status else { return self.parts.clone() };
        let tasks = manifest.statistics.tasks.iter();
        let part = |task: &TaskStatistics| CheckpointPart {
            operators: task.operators.clone().into(),
            subtask: task.subtask,
            answer: match task.finished {
                true => PartAnswer::Finished,
                false => PartAnswer::Snapshot(task.times),
            },
        };
        tasks.map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(entry: &CheckpointEntry) -> Vec<PartAnswer> {
        entry.parts().iter().map(|part| part.answer).collect()
    }

    /// Who has answered is known of each checkpoint by itself; a task that has ended is asked no more.
    #[test]
    fn answers_are_kept_of_what_fails() {
        let history = CheckpointHistory::default();
        let chain: Arc<[OperatorId]> = Arc::from([OperatorId::new("source:t")]);
        history.begin((0..3).map(|subtask| (chain.clone(), SubtaskIndex(subtask))));
        let times = SnapshotStatistics { sync_ms: 7, ..SnapshotStatistics::default() };
        history.triggered(CheckpointId(1), false, 0);
        history.acknowledged(CheckpointId(1), TaskId(1), times);
        history.triggered(CheckpointId(2), false, 10);
        history.task_finished(TaskId(1));
        history.task_finished(TaskId(2));
        history.failed(CheckpointId(1), "lost".to_string(), 20);
        // too late for both
        history.acknowledged(CheckpointId(1), TaskId(0), times);
        history.acknowledged(CheckpointId(9), TaskId(0), times);
        history.triggered(CheckpointId(3), false, 30);
        let entries = history.overview().history;
        let (none, finished, given) = (PartAnswer::None, PartAnswer::Finished, PartAnswer::Snapshot(times));
        assert_eq!(answers(&entries[0]), [none, given, finished]);
        assert_eq!(answers(&entries[1]), [none, finished, finished]);
        assert_eq!(answers(&entries[2]), [none, finished, finished]);
        assert_eq!(
            history.overview().latest_failed.map(|entry| answers(&entry)),
            Some(vec![none, given, finished])
        );
    }
}
