//! What flows between operators.

use crate::{ChangelogBatch, CheckpointId};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00 of the event-time axis: of UTC for TIMESTAMP_LTZ, of no zone for TIMESTAMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime(pub i64);

/// A promise that no row at or before this time follows; rows that break it are late.
///
/// [`Watermark::NONE`] is the state before the first one, [`Watermark::MAX`] the end of a bounded input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Watermark(pub i64);

impl Watermark {
    /// No watermark yet (Flink's `Long.MIN_VALUE`).
    pub const NONE: Watermark = Watermark(i64::MIN);
    /// The end of event time (Flink's `Long.MAX_VALUE`).
    pub const MAX: Watermark = Watermark(i64::MAX);
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Watermark::NONE => f.write_str("none"),
            Watermark::MAX => f.write_str("end of input"),
            Watermark(ms) => write!(f, "{ms}"),
        }
    }
}

/// What a barrier asks for. The names are persisted nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointKind {
    /// may leave out what an earlier one holds
    Incremental,
    /// complete in itself
    Full,
    /// complete in itself, and somebody else's
    Savepoint,
}

/// What a subtask with several inputs does until all of them have delivered the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BarrierMode {
    /// Inputs that have delivered it wait.
    Aligned,
    /// Nobody waits: rows behind the barrier may be part of the checkpoint, and come again.
    AtLeastOnce,
    /// The barrier overtakes what is before it, once it is so many milliseconds old.
    Unaligned { after_ms: u64 },
}

/// Separates the elements before a checkpoint from those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Barrier {
    pub id: CheckpointId,
    pub kind: CheckpointKind,
    pub mode: BarrierMode,
    /// milliseconds of the monotonic clock at which the checkpoint was asked for
    pub triggered_ms: u64,
}

impl Barrier {
    /// An aligned barrier of an incremental checkpoint.
    pub fn of(id: CheckpointId) -> Self {
        Barrier { id, kind: CheckpointKind::Incremental, mode: BarrierMode::Aligned, triggered_ms: 0 }
    }
}

/// What an edge of the running job carries, in order.
#[derive(Clone, Debug)]
pub enum StreamElement {
    Batch(ChangelogBatch),
    Watermark(Watermark),
    /// The channel has no input for now (`true`: left out of the minimum watermark) or has some again (`false`).
    Idle(bool),
    Barrier(Barrier),
    /// Nothing follows on this channel.
    EndOfInput,
}
