//! A checkpoint from its trigger to its completion.

use crate::handle::SubtaskHandle;
use crate::permit::Committables;
use crate::snapshot::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use weir_types::{Barrier, BarrierMode, CheckpointId};

/// Names a wish for a savepoint, so that whoever has it hears what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A checkpoint that waits for tasks.
#[derive(Debug)]
pub struct PendingCheckpoint {
    barrier: Barrier,
    request: Option<RequestId>,
    triggered_ms: u64,
    /// its barriers overtake, or never will
    overtaking: bool,
    waiting: BTreeSet<TaskId>,
    handles: BTreeMap<TaskId, SubtaskHandle>,
    finished: BTreeSet<TaskId>,
}

/// A checkpoint that every task has answered. It counts once storage has taken it.
#[derive(Clone, Debug)]
pub struct CompletedCheckpoint {
    pub barrier: Barrier,
    /// who asked for it; `None`: the interval did
    pub request: Option<RequestId>,
    /// from the trigger to the last answer
    pub duration_ms: u64,
    /// of all tasks; those that had finished without checkpoints gave none
    pub handles: BTreeMap<TaskId, SubtaskHandle>,
    /// tasks that had nothing more to do
    pub finished: BTreeSet<TaskId>,
    /// what it makes visible
    pub committables: Vec<Committables>,
    /// what checkpoints before it make visible, and which nobody knows to be
    pub uncommitted: Vec<Committables>,
}

impl CompletedCheckpoint {
    pub fn id(&self) -> CheckpointId {
        self.barrier.id
    }
}

impl PendingCheckpoint {
    /// `finished` has the tasks that have finished, with the last snapshots that they gave.
    pub(crate) fn new(
        barrier: Barrier,
        request: Option<RequestId>,
        triggered_ms: u64,
        running: BTreeSet<TaskId>,
        finished: &BTreeMap<TaskId, Option<SubtaskHandle>>,
    ) -> Self {
        let last = finished.iter().filter_map(|(task, last)| Some((*task, last.clone()?)));
        PendingCheckpoint {
            barrier,
            request,
            triggered_ms,
            overtaking: !matches!(barrier.mode, BarrierMode::Unaligned { after_ms: 1.. }),
            waiting: running,
            handles: last.collect(),
            finished: finished.keys().copied().collect(),
        }
    }

    pub fn id(&self) -> CheckpointId {
        self.barrier.id
    }

    pub(crate) fn request(&self) -> Option<RequestId> {
        self.request
    }

    pub(crate) fn triggered_ms(&self) -> u64 {
        self.triggered_ms
    }

    /// When its barriers are to overtake that have not until now.
    pub(crate) fn overtakes_ms(&self) -> Option<u64> {
        match self.barrier.mode {
            BarrierMode::Unaligned { after_ms } if !self.overtaking => Some(self.triggered_ms + after_ms),
            _ => None,
        }
    }

    pub(crate) fn set_overtaking(&mut self) {
        self.overtaking = true;
    }

    /// Takes the answer of a task, or gives it back if the task has answered before or need not.
    pub(crate) fn acknowledge(
        &mut self,
        task: TaskId,
        handle: SubtaskHandle,
    ) -> Result<(), Box<SubtaskHandle>> {
        if !self.waiting.remove(&task) {
            return Err(Box::new(handle));
        }
        self.handles.insert(task, handle);
        Ok(())
    }

    /// A task finished: if it has not answered, its last snapshot is its answer.
    pub(crate) fn finished(&mut self, task: TaskId, last: Option<&SubtaskHandle>) {
        if self.waiting.remove(&task) {
            self.finished.insert(task);
            if let Some(last) = last {
                self.handles.insert(task, last.clone());
            }
        }
    }

    /// True if the task has finished and gave no snapshot.
    pub(crate) fn lacks(&self, task: TaskId) -> bool {
        self.finished.contains(&task) && !self.handles.contains_key(&task)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.waiting.iter().copied()
    }

    /// The answers of tasks that run: of no use if the checkpoint does not come about.
    pub(crate) fn into_answers(self) -> impl Iterator<Item = (TaskId, SubtaskHandle)> {
        let finished = self.finished;
        self.handles.into_iter().filter(move |(task, _)| !finished.contains(task))
    }

    pub(crate) fn complete(
        self,
        now_ms: u64,
        committables: Vec<Committables>,
        uncommitted: Vec<Committables>,
    ) -> CompletedCheckpoint {
        assert!(self.is_complete(), "checkpoint {} still waits for tasks", self.barrier.id);
        let PendingCheckpoint { barrier, request, triggered_ms, handles, finished, .. } = self;
        let duration_ms = now_ms.saturating_sub(triggered_ms);
        CompletedCheckpoint { barrier, request, duration_ms, handles, finished, committables, uncommitted }
    }
}
