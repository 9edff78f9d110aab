//! The engine: deploys a job graph, runs it, checkpoints it, and ends it.
//!
//! Read first: [`Engine`] (takes jobs), [`JobHandle`] (what one holds of a job that runs), and the driver loop in
//! `subtask.rs`, which owns the protocol for every operator, source and sink.
//!
//! From a graph to a run: `plan.rs` cuts the graph into chains and exchanges, `deploy.rs` makes the subtasks, `task.rs`
//! runs one and says how it ended, `attempt.rs` listens to all of them and executes what the coordinator decides, and
//! `job.rs` restores the job and starts it again after a failure. Inside a subtask, `head.rs` is where input comes
//! from, `chain.rs` the operators, `edge.rs` the ways out.
//!
//! Invariants:
//! - Operators are called from one place, and never while a batch is on its way between two of them and a barrier passes.
//! - Awaits stand at the edges only: sources, exchanges, sinks, storage. What is awaited may be dropped: that is how a
//!   job is cancelled.
//! - A job ends once. Its first error wins; every other task is stopped, and output that no checkpoint covers is
//!   removed. Output becomes visible only with a [`weir_checkpoint::CommitPermit`].
//!
//! This room deliberately does not know SQL, and no operator, connector or state backend by name.

mod engine;
mod handle;
mod status;

mod components;
mod deploy;
mod describe;
mod inspect;
mod plan;

mod attempt;
mod checkpoints;
mod commit;
mod job;
mod job_event;
mod request;
mod restarts;
mod restore;
mod snapshot;
mod state;
mod storage;
mod sweep;
mod task;

mod alarm;
mod alignment;
mod chain;
mod edge;
mod exchange;
mod flag;
mod head;
mod in_flight;
mod mailbox;
mod overtaking;
mod partition;
mod subtask;
mod valve;

mod env;
mod error;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;

pub use engine::Engine;
pub use handle::{JobHandle, JobOutcome, JobSummary, OperatorReport, ResultReceiver};
pub use status::{JobStatus, Notice};

pub use components::Components;
pub use describe::{
    ColumnDescription, InputDescription, JobDescription, OperatorDescription, OperatorStateDescription,
    SizeBound, StateDescription,
};
pub use inspect::{
    CheckSummary, CheckpointReport, CommittableReport, FoundCheckpoint, FoundContents, KeyGroupReport,
    KeyReport, NamespaceReport, OperatorMeasure, OperatorStateReport, PositionReport, Removed, StateReport,
    SubtaskReport, check_checkpoints, list_checkpoints, remove_checkpoint,
};

pub use env::ProductionEnv;
pub use error::RuntimeError;

pub use checkpoints::{
    CheckpointEntry, CheckpointOverview, CheckpointPart, CheckpointStatus, PartAnswer, RestoreEntry,
};
pub use weir_checkpoint::manifest::{ManifestKind, SnapshotStatistics, TaskStatistics};
pub use weir_checkpoint::{CheckpointError, Environment, Manifest, Stop, StoredCheckpoint, manifest};
pub use weir_checkpoint::{Directory, SavepointFormat, convert as convert_savepoint};
pub use weir_connectors::{Connectors, JsonRows};
pub use weir_state::{EntryColumn, EntryCount, NamespaceKind, Redistribution, StateKind};
pub use weir_types::{
    ChangelogBatch, ConnectorCatalog, ErrorKind, JobError, JobGraph, JobSettings, OperatorMetricsSnapshot,
    RowKind, RowKinds, RuntimeEnv, SqlField, SqlType,
};

/// The shared vocabulary, for those who depend on this room alone.
pub use weir_types as types;

#[cfg(test)]
mod sabotage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
