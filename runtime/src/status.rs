//! What is told of a job while it runs.

use std::fmt;
use weir_types::CheckpointId;

/// Something that happened to a job that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It goes on from a checkpoint.
    Restored {
        path: String,
        checkpoint: CheckpointId,
        /// that have their state again
        operators: usize,
        /// of all state of the checkpoint
        bytes: u64,
        /// files that were not fetched, since their second copies on this machine were read
        local_files: u64,
    },
    /// A sentence.
    Warning(String),
}

/// What a job is about. Its text is Flink's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Operators get their state.
    Initializing,
    Running,
    /// It has failed, and starts again after a pause.
    Restarting,
    /// It has been told to stop.
    Cancelling,
    /// Well, to its end or with a savepoint.
    Finished,
    Cancelled,
    Failed,
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobStatus::Initializing => "INITIALIZING",
            JobStatus::Running => "RUNNING",
            JobStatus::Restarting => "RESTARTING",
            JobStatus::Cancelling => "CANCELLING",
            JobStatus::Finished => "FINISHED",
            JobStatus::Cancelled => "CANCELED",
            JobStatus::Failed => "FAILED",
        })
    }
}
