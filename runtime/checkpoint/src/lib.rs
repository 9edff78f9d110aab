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

mod checksums;
mod compression;
mod convert;
mod coordinator;
mod directory;
mod error;
mod handle;
pub mod manifest;
mod pending;
mod permit;
mod snapshot;
mod store;
mod stored;
mod workspace;

pub use coordinator::{Action, CheckpointCoordinator, CoordinatorConfig, Event, Outcome, Stop};
pub use pending::{CompletedCheckpoint, RequestId};
pub use permit::{CommitPermit, Committables};

pub use snapshot::{OperatorSnapshot, SourceSnapshot, SplitPosition, SubtaskSnapshot, TaskId};
pub use store::{CheckpointStore, Garbage, Rewrite, StoreConfig, Stored};

pub use checksums::FileChecksums;
pub use directory::{CopiesRead, Directory, Environment, Occupied};
pub use handle::{KeyedHandle, Location, OperatorHandle, StoredFile, SubtaskHandle, UploadId};
pub use manifest::Manifest;
pub use stored::StoredCheckpoint;
pub use workspace::Workspace;

pub use convert::{SavepointFormat, convert};

pub use error::CheckpointError;
