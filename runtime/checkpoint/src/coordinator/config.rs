//! What the coordinator goes by.

use weir_types::{BarrierMode, CheckpointMode, CheckpointSettings};

/// Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// `execution.checkpointing.interval`; `None`: no checkpoints, and the end of the job commits by itself
    pub interval_ms: Option<u64>,
    /// `execution.checkpointing.timeout`
    pub timeout_ms: u64,
    /// `execution.checkpointing.min-pause`: between the end of one and the start of the next
    pub min_pause_ms: u64,
    /// `execution.checkpointing.max-concurrent-checkpoints`
    pub max_concurrent: u32,
    /// `execution.checkpointing.tolerable-failed-checkpoints`, in a row
    pub tolerable_failures: u32,
    /// `execution.checkpointing.incremental`
    pub incremental: bool,
    /// of checkpoints; savepoints are aligned
    pub mode: BarrierMode,
}

impl CoordinatorConfig {
    pub fn of(settings: &CheckpointSettings) -> Self {
        let mode = match settings.mode {
            CheckpointMode::AtLeastOnce => BarrierMode::AtLeastOnce,
            CheckpointMode::ExactlyOnce if settings.unaligned => {
                BarrierMode::Unaligned { after_ms: settings.aligned_timeout_ms }
            }
            CheckpointMode::ExactlyOnce => BarrierMode::Aligned,
        };
        CoordinatorConfig {
            interval_ms: settings.interval_ms,
            timeout_ms: settings.timeout_ms,
            min_pause_ms: settings.min_pause_ms,
            max_concurrent: settings.max_concurrent,
            tolerable_failures: settings.tolerable_failures,
            incremental: settings.incremental,
            mode,
        }
    }

    /// Checkpoints in progress at a time. A pause between two leaves room for one only, as in Flink.
    pub(super) fn concurrent(&self) -> usize {
        if self.min_pause_ms > 0 { 1 } else { self.max_concurrent.max(1) as usize }
    }
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        CoordinatorConfig::of(&CheckpointSettings::default())
    }
}
