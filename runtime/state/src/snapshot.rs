//! Snapshots.

use weir_types::CheckpointId;

/// Names a segment: unique among all snapshots of one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SegmentId {
    /// the checkpoint that wrote it
    pub checkpoint: CheckpointId,
    pub number: u32,
}
