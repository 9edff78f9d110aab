//! Keyed state, operator state and timers of one subtask.
//!
//! Read first: [`KeyedStateBackend`] (states, and whole batches of keys to slots), [`Rows`] (typed fields at
//! slots), [`StateDescriptor`] (what a state is).
//!
//! Invariants:
//! - A snapshot sees nothing that is written after it: pages are shared with it, and a row that it has yet to read is
//!   copied before it is written.
//! - What is persisted is canonical: keys as the key codec writes them, never a slot, a hash table's order or
//!   a machine's.
//!
//! The room knows snapshots, never whether a checkpoint completed before it is told, nor where bytes are
//! stored.

mod arena;
mod backend;
mod bits;
mod canonical;
mod chain;
mod children;
mod codec;
mod columns;
mod descriptor;
mod disk;
mod entries;
mod error;
mod held;
mod history;
mod huge;
mod key_index;
mod links;
mod operator_state;
mod overlay;
mod page;
mod pinned;
mod raw;
mod resolve;
mod restore;
mod row_keys;
mod row_layout;
mod row_store;
mod rows;
mod scan;
mod segment;
mod side_by_side;
mod slot_table;
mod snapshot;
mod timers;
mod ttl;

pub use arena::ValueBytes;
pub use backend::{CACHED_ROWS, KeyedStateBackend, StateId};
pub use descriptor::{FieldKind, Namespace, NamespaceKind, StateDescriptor, StateKind};
pub use disk::{RocksDb, StateFile, WorkDirectory};
pub use pinned::{PinBuffer, Pinned, PinnedColumn, Viewed};
pub use raw::RawState;
pub use resolve::{NO_SLOT, Slots};
pub use rows::{Column, FieldValue, Nulls, Rows};
pub use scan::ScanCursor;
pub use side_by_side::{Part, SideBySide, StepCursor};
pub use timers::{DueTimers, TimeDomain};

pub use restore::RestoredSnapshot;
pub use segment::check_segment;
pub use snapshot::{
    FieldIndex, LocalFile, Segment, SegmentId, SegmentIndex, Snapshot, SnapshotIndex, SnapshotMode,
    StateIndex,
};

pub use entries::{EntryColumn, EntryCount, EntryLayout, EntrySegment, Measurer, StateMeasure};

pub use canonical::{CanonicalState, CanonicalWriter, read_canonical, snapshot_of_canonical};

pub use operator_state::{OperatorStateBackend, Redistribution};

pub use error::StateError;

#[cfg(test)]
mod test_backends;
#[cfg(test)]
mod testing;
