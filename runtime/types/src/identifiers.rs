//! Newtypes for the coordinates of a job.

use std::fmt;
use std::sync::Arc;

/// The number of a checkpoint of one job; rises by one, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct CheckpointId(pub u64);

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The place of a subtask among those of its operator, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SubtaskIndex(pub u32);

/// The stable name of an operator: it derives from what the operator means (its kind, its clause, the tables and
/// columns it reads), never from its position, so that state finds its home again when the query around it changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct OperatorId(pub Arc<str>);

impl OperatorId {
    pub fn new(name: &str) -> Self {
        OperatorId(name.into())
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stable name of a part of a source that is read in order: a file, a generator's share, a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SplitId(pub Arc<str>);

impl SplitId {
    pub fn new(name: &str) -> Self {
        SplitId(name.into())
    }
}

impl fmt::Display for SplitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
