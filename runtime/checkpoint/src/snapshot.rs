//! What a checkpoint consists of.

use crate::permit::Committables;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use weir_state::{SegmentId, SnapshotIndex};
use weir_types::{CheckpointId, OperatorId, SplitId, SubtaskIndex};

/// A subtask of a chain of operators: the unit that acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub usize);

/// How far a split has been read; `position` is the connector's own encoding, `None` the beginning.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SplitPosition {
    pub split: SplitId,
    pub position: Option<String>,
}

/// Positions of one subtask of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceSnapshot {
    pub splits: Vec<SplitPosition>,
    /// read to their ends: not to be read again
    pub finished: Vec<SplitId>,
}

/// The keyed state of one operator in one subtask.
#[derive(Clone, Debug)]
pub struct KeyedSnapshot {
    pub index: SnapshotIndex,
    /// those that no complete checkpoint before it holds; storage has the others
    pub segments: BTreeMap<SegmentId, Bytes>,
}

/// The snapshot of one operator in one subtask.
#[derive(Clone, Debug, Default)]
pub struct OperatorSnapshot {
    pub source: Option<SourceSnapshot>,
    /// `None` without keyed state
    pub keyed: Option<KeyedSnapshot>,
    /// [`weir_state::OperatorStateBackend::snapshot`]; `None` without operator state
    pub operator_state: Option<Bytes>,
}

/// What one task hands in for a checkpoint.
#[derive(Clone, Debug)]
pub struct SubtaskSnapshot {
    pub subtask: SubtaskIndex,
    pub operators: BTreeMap<OperatorId, OperatorSnapshot>,
}

/// A checkpoint that waits for tasks.
#[derive(Debug)]
pub struct PendingCheckpoint {
    id: CheckpointId,
    triggered_ms: u64,
    waiting: BTreeSet<TaskId>,
    snapshots: BTreeMap<TaskId, SubtaskSnapshot>,
    /// finished before they could answer: they have no state that anybody needs
    finished: BTreeSet<TaskId>,
}

/// A checkpoint that every task has answered. It counts once storage has taken it.
#[derive(Clone, Debug)]
pub struct CompletedCheckpoint {
    pub id: CheckpointId,
    pub snapshots: BTreeMap<TaskId, SubtaskSnapshot>,
    /// tasks that had nothing more to do
    pub finished: BTreeSet<TaskId>,
    /// to be committed, and committed again after a restore
    pub committables: Vec<Committables>,
}

impl PendingCheckpoint {
    pub(crate) fn new(
        id: CheckpointId,
        triggered_ms: u64,
        running: BTreeSet<TaskId>,
        finished: BTreeSet<TaskId>,
    ) -> Self {
        PendingCheckpoint { id, triggered_ms, waiting: running, snapshots: BTreeMap::new(), finished }
    }

    pub fn id(&self) -> CheckpointId {
        self.id
    }

    pub(crate) fn triggered_ms(&self) -> u64 {
        self.triggered_ms
    }

    /// Takes the answer of a task, or gives it back if the task has answered before or need not.
    pub(crate) fn acknowledge(
        &mut self,
        task: TaskId,
        snapshot: SubtaskSnapshot,
    ) -> Result<(), SubtaskSnapshot> {
        if !self.waiting.remove(&task) {
            return Err(snapshot);
        }
        self.snapshots.insert(task, snapshot);
        Ok(())
    }

    /// A task finished: if it has not answered, it never will.
    pub(crate) fn finished(&mut self, task: TaskId) {
        if self.waiting.remove(&task) {
            self.finished.insert(task);
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.waiting.iter().copied()
    }

    pub(crate) fn complete(self, committables: Vec<Committables>) -> CompletedCheckpoint {
        assert!(self.is_complete(), "checkpoint {} still waits for tasks", self.id);
        let PendingCheckpoint { id, snapshots, finished, .. } = self;
        CompletedCheckpoint { id, snapshots, finished, committables }
    }
}
