//! Entries on disk, in RocksDB, behind the tables that cache them.
//!
//! Read first: [`Disk`] (what a backend has besides its tables), `load` (what is missing in the tables), `evict` (what
//! leaves them), `flush` (what is written), `marks` (what is noted of each row), `snapshot` (the files in a snapshot).
//!
//! Invariants:
//! - The tables hold the newest version of every entry that they hold. The disk holds every entry that the tables do
//!   not, in its newest version.
//! - An entry that is gone and still on disk is in its state's [`Dead`]; what is dead is written before any entry of
//!   the same state is.
//! - A row in memory is clean if the disk has it as it is, or will have before any snapshot's files are linked; a snapshot
//!   holds the others in segments, and the disk's files without what is dead. Until these are linked nothing else is begun
//!   to be written: both are of one moment.

mod bury;
mod dead;
mod evict;
mod flush;
mod groups;
mod home;
mod import;
mod jobs;
mod keys;
mod load;
pub(crate) mod marks;
mod on_top;
mod shared;
mod snapshot;
mod store;
mod stored;
mod stored_db;
mod sweep;
#[cfg(test)]
mod tests;
mod timers;
mod values;
pub(crate) mod walk;
mod writers;

pub(crate) use dead::Dead;
pub use home::WorkDirectory;
pub(crate) use keys::after;
pub(crate) use on_top::OnTop;
pub use shared::RocksDb;
pub(crate) use snapshot::DiskSnapshot;
pub use stored::StateFile;
pub(crate) use stored::{EntryShape, StoredSnapshot};
pub(crate) use values::ValueLayout;

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;
use crate::row_layout::RowLayout;
use evict::Leaving;
use jobs::Jobs;
use load::LoadScratch;
use shared::RowShare;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::Store;
use weir_types::KeyGroupRange;

/// What a backend with a disk has besides its tables.
pub(crate) struct Disk {
    pub(crate) store: Arc<Store>,
    pub(crate) jobs: Arc<Jobs>,
    share: RowShare,
    scratch: LoadScratch,
    /// the number of the last job that may still be on its way
    flight: Option<u64>,
    /// rows that are written by one of these jobs
    leaving: Option<Leaving>,
    /// of memory for indexes and filters, when rows left last
    index_bytes: usize,
    failure: Option<StateError>,
    /// namespaces that somebody goes through in the order of keys
    walking: BTreeSet<(StateId, Namespace)>,
    /// the key group, counted from the first of the backend, whose rows leave next
    next_group: usize,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever carries a job out holds the store, whose directory is to be gone with this.
        self.jobs.abandon();
    }
}

/// What a state of a backend with a disk has besides its tables.
pub(crate) struct StateDisk {
    pub(crate) values: ValueLayout,
    /// what is to be deleted with the next writes
    pub(crate) dead: Dead,
    /// what is deleted by writes on their way
    in_flight: Vec<Arc<Dead>>,
    /// of timers: those at or after this time may be on disk alone
    pub(crate) horizon_ms: Option<i64>,
    /// of timers: how many could not be parted into those that are due first and others, when that was tried last
    pub(crate) inseparable: usize,
    /// whether merging files may drop idle entries
    pub(crate) may_drop: Arc<AtomicBool>,
}

impl StateDisk {
    pub(crate) fn new(layout: &RowLayout) -> Self {
        StateDisk {
            values: ValueLayout::new(layout),
            dead: Dead::default(),
            in_flight: Vec::new(),
            horizon_ms: None,
            inseparable: 0,
            may_drop: Arc::new(AtomicBool::new(true)),
        }
    }

    /// True if what the disk has under `key` is gone.
    pub(crate) fn is_dead(&self, key: &[u8]) -> bool {
        self.dead.contains(key) || self.in_flight.iter().any(|dead| dead.contains(key))
    }
}

impl KeyedStateBackend {
    /// A backend without states for the keys of `range` among `max_parallelism` key groups, whose entries are on disk
    /// and in memory as far as that goes. `unique` differs from those of all other backends of the job and its
    /// predecessors. The database is created with the first state.
    pub fn on_disk(range: KeyGroupRange, max_parallelism: u32, shared: &Arc<RocksDb>, unique: u64) -> Self {
        KeyedStateBackend {
            disk_to_be: Some((shared.clone(), unique)),
            ..KeyedStateBackend::new(range, max_parallelism)
        }
    }

    /// Creates the database of a backend that is to have one.
    ///
    /// # Errors
    /// [`StateError::Storage`]
    pub(crate) fn create_disk(&mut self) -> Result<(), StateError> {
        let Some((shared, unique)) = &self.disk_to_be else { return Ok(()) };
        let disk = Disk {
            store: Arc::new(Store::create(shared, *unique)?),
            jobs: Arc::default(),
            share: shared.share(),
            scratch: LoadScratch::default(),
            flight: None,
            leaving: None,
            index_bytes: 0,
            failure: None,
            walking: BTreeSet::new(),
            next_group: 0,
        };
        self.disk = Some(Box::new(disk));
        self.disk_to_be = None;
        Ok(())
    }

    /// Keeps an error for the driver to ask for.
    pub(crate) fn note(&mut self, result: Result<(), StateError>) {
        if let (Err(error), Some(disk)) = (result, &mut self.disk) {
            disk.failure.get_or_insert(error);
        }
    }

    /// Between two calls of an operator: nobody holds slots.
    pub(crate) fn trim_disk(&mut self) {
        self.settle_all();
        self.release_walked();
        let result = self.evict();
        self.note(result);
    }

    /// Entries that were handed out are gone for good.
    pub(crate) fn settle_all(&mut self) {
        let walking = self.disk.as_ref().map(|disk| disk.walking.clone()).unwrap_or_default();
        for (id, namespace) in walking {
            self.settle_handed(id, namespace);
        }
    }

    pub(crate) fn take_failure(&mut self) -> Result<(), StateError> {
        match self.disk.as_mut().and_then(|disk| disk.failure.take()) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    pub(crate) fn set_disk_time(&self) {
        if let Some(disk) = &self.disk {
            disk.store.now_ms.store(self.now_ms, Ordering::Relaxed);
        }
    }

    /// Takes note of writes that have arrived: rows that waited for it leave memory. No slots are in use.
    pub(crate) fn land(&mut self) {
        let Some(disk) = &mut self.disk else { return };
        let Some(flight) = disk.flight else { return };
        if disk.jobs.done() < flight {
            // What was to be written may never be, and what depends on it has to stop before long.
            if let Some(failure) = disk.jobs.failure() {
                disk.failure.get_or_insert(failure);
            }
            return;
        }
        disk.flight = None;
        let leaving = disk.leaving.take();
        self.states.iter_mut().for_each(|state| state.disk.in_flight.clear());
        let Some(leaving) = leaving else { return };
        self.release_left(leaving);
        if let Some(disk) = &mut self.disk {
            disk.index_bytes = disk.store.index_bytes(self.states.iter().map(|state| &state.descriptor.name));
        }
    }

    /// Writes stay on their way until [`KeyedStateBackend::write_now`], or until somebody cannot wait.
    #[cfg(test)]
    pub(crate) fn hold_writes(&self) {
        if let Some(disk) = &self.disk {
            disk.jobs.switches.held.store(true, Ordering::Relaxed);
        }
    }

    /// Rows are on their way to the disk.
    #[cfg(test)]
    pub(crate) fn is_leaving(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.leaving.is_some())
    }

    /// As a thread of the writers does: nobody else knows yet.
    #[cfg(test)]
    pub(crate) fn write_now(&self) {
        if let Some(disk) = &self.disk
            && let Some(flight) = disk.flight
        {
            disk.jobs.run_beside(flight, &Arc::downgrade(&disk.store));
        }
    }

    /// Waits for writes that are on their way, or carries them out.
    pub(crate) fn wait_for_flight(&mut self) -> Result<(), StateError> {
        if let Some(disk) = &self.disk
            && let Some(flight) = disk.flight
        {
            disk.jobs.run_until(flight, &disk.store)?;
        }
        self.land();
        Ok(())
    }
}
