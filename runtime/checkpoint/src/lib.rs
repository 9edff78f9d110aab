//! Decisions about, and records of, job-wide checkpoints.
//!
//! Read first: [`CheckpointCoordinator`] (decides, with no clock, lock or I/O), [`CompletedCheckpoint`] (what a job can
//! go back to) and [`CommitPermit`] (the right to make a sink's output visible).
//!
//! Invariants:
//! - A [`CommitPermit`] exists only for a checkpoint that storage has taken, or for the end of a job; nothing else can
//!   make one, and nothing commits without one.
//! - What a sink prepared is never lost with its checkpoint: it stays part of the stream, and the next checkpoint
//!   that completes covers it.
//!
//! This room deliberately does not know tasks, connectors or operators: it sees numbers and what they hand in.

mod coordinator;
mod error;
mod permit;
mod snapshot;
mod storage;

pub use coordinator::{Action, CheckpointCoordinator, CoordinatorConfig, Event, Outcome};
pub use error::CheckpointError;
pub use permit::{CommitPermit, Committables};
pub use snapshot::{
    CompletedCheckpoint, KeyedSnapshot, OperatorSnapshot, PendingCheckpoint, SourceSnapshot, SplitPosition,
    SubtaskSnapshot, TaskId,
};
pub use storage::{CheckpointStorage, InMemoryCheckpointStorage};
