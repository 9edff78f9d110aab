//! What one task hands in for a checkpoint.

use crate::manifest::SnapshotStatistics;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_state::Snapshot;
use weir_types::{OperatorId, SplitId, SubtaskIndex};

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

/// The snapshot of one operator in one subtask, before it is written anywhere.
#[derive(Default)]
pub struct OperatorSnapshot {
    pub source: Option<SourceSnapshot>,
    /// `None` without keyed state
    pub keyed: Option<Snapshot>,
    /// [`weir_state::OperatorStateBackend::snapshot`]; `None` without operator state
    pub operator_state: Option<Bytes>,
    /// elements that the barrier overtook, by the operator's input
    pub in_flight: Vec<(u32, Bytes)>,
}

/// The snapshot of one task, before it is written anywhere.
pub struct SubtaskSnapshot {
    pub subtask: SubtaskIndex,
    /// all operators of the task, the root of the chain first
    pub chain: Arc<[OperatorId]>,
    /// those that keep something
    pub operators: BTreeMap<OperatorId, OperatorSnapshot>,
    /// as far as they are known before the snapshot is written
    pub times: SnapshotStatistics,
}
