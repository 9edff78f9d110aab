//! What a job's settings say about checkpoints, restarts, and the state it begins with.

use std::fmt;

/// `execution.checkpointing.*`; defaults are Flink's, but for `incremental`. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// `interval`; `None`: no checkpoints
    pub interval_ms: Option<u64>,
    /// `mode`
    pub mode: CheckpointMode,
    /// `timeout`: after so long a checkpoint has failed
    pub timeout_ms: u64,
    /// `min-pause`: from the end of one to the start of the next
    pub min_pause_ms: u64,
    /// `max-concurrent-checkpoints`
    pub max_concurrent: u32,
    /// `tolerable-failed-checkpoints`, in a row
    pub tolerable_failures: u32,
    /// `unaligned.enabled`: barriers overtake elements
    pub unaligned: bool,
    /// `aligned-checkpoint-timeout`: how long an unaligned checkpoint tries to be an aligned one; 0: not at all
    pub aligned_timeout_ms: u64,
    /// `incremental`: what is unchanged since the last checkpoint is not written again
    pub incremental: bool,
    /// `num-retained`
    pub num_retained: u32,
    /// `externalized-checkpoint-retention`
    pub retention: Retention,
    /// `storage`; `None`: files if there is a directory, otherwise memory
    pub storage: Option<StorageKind>,
    /// `dir`: a path or URL
    pub dir: Option<String>,
    /// `create-subdir`: a directory for each job below `dir`
    pub create_subdir: bool,
    /// `savepoint-dir`
    pub savepoint_dir: Option<String>,
    /// `data-inline-threshold`: state of a subtask up to this size goes into the metadata
    pub inline_bytes: u64,
    /// `write-buffer-size` of files of state
    pub write_buffer_bytes: u64,
    /// `snapshot-compression`: of entries that a backend hands on in memory
    pub compression: bool,
    /// the most that a subtask's state may be if it is kept in memory
    pub memory_state_bytes: u64,
    /// `local-backup.enabled` and `local-backup.dirs`: the directories in which copies of state are kept for a fast restart; none
    /// if there are to be copies and nobody said where
    pub local_backup: Option<Vec<String>>,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        CheckpointSettings {
            interval_ms: None,
            mode: CheckpointMode::ExactlyOnce,
            timeout_ms: 10 * 60 * 1000,
            min_pause_ms: 0,
            max_concurrent: 1,
            tolerable_failures: 0,
            unaligned: false,
            aligned_timeout_ms: 0,
            incremental: true,
            num_retained: 1,
            retention: Retention::None,
            storage: None,
            dir: None,
            create_subdir: true,
            savepoint_dir: None,
            inline_bytes: 20 << 10,
            write_buffer_bytes: 4096,
            compression: false,
            memory_state_bytes: 5 << 20,
            local_backup: None,
        }
    }
}

/// What a checkpoint promises about each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointMode {
    ExactlyOnce,
    /// Channels do not wait for each other: rows behind a barrier may be in the checkpoint, and come again.
    AtLeastOnce,
}

/// Which checkpoints outlive their job. Those of a job that finished never do, as in Flink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// `NO_EXTERNALIZED_CHECKPOINTS`
    None,
    /// `DELETE_ON_CANCELLATION`: those of a job that failed
    OnFailure,
    /// `RETAIN_ON_CANCELLATION`: those of a job that failed or was cancelled
    OnCancellation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// `jobmanager`: in this process's memory
    Memory,
    /// `filesystem`
    Files,
}

/// `execution.state-recovery.*`: what a job begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverySettings {
    /// `path` of a checkpoint or savepoint
    pub path: Option<String>,
    /// `ignore-unclaimed-state`: state that the job has no operator for is left behind
    pub ignore_unclaimed: bool,
    /// `without-channel-state.checkpoint-id`: the checkpoint whose rows on their way are left behind
    pub without_in_flight: Option<u64>,
    /// `claim-mode`
    pub claim: ClaimMode,
}

/// Whose the files are that a job was restored from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimMode {
    /// The job never deletes or refers to them.
    #[default]
    NoClaim,
    /// The job may refer to them, and deletes them like its own checkpoints.
    Claim,
}

/// `restart-strategy.*`: what happens to a job that failed. Times are milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartStrategy {
    Never,
    FixedDelay {
        /// restarts after which a failure is the last
        attempts: u64,
        delay_ms: u64,
    },
    FailureRate {
        /// failures within `interval_ms` beyond which one is the last
        failures: u64,
        interval_ms: u64,
        delay_ms: u64,
    },
    ExponentialDelay {
        initial_ms: u64,
        max_ms: u64,
        /// by which the delay grows with each failure
        multiplier: f64,
        /// after so long without a failure the delay is the initial one again
        reset_after_ms: u64,
        /// share of the delay by which it is made longer or shorter at random
        jitter: f64,
        /// failures without such a pause after which one is the last; `None`: any number
        attempts: Option<u64>,
    },
}

impl RestartStrategy {
    /// Flink's where nothing is set and the job has checkpoints.
    pub const DEFAULT_WITH_CHECKPOINTS: RestartStrategy = RestartStrategy::ExponentialDelay {
        initial_ms: 1000,
        max_ms: 60_000,
        multiplier: 1.5,
        reset_after_ms: 60 * 60 * 1000,
        jitter: 0.1,
        attempts: None,
    };
}

impl fmt::Display for CheckpointMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckpointMode::ExactlyOnce => "EXACTLY_ONCE",
            CheckpointMode::AtLeastOnce => "AT_LEAST_ONCE",
        })
    }
}
