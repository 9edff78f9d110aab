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

/// What a barrier asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointKind {
    Checkpoint,
    Savepoint,
}

/// Separates the elements before a checkpoint from those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Barrier {
    pub id: CheckpointId,
    pub kind: CheckpointKind,
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
