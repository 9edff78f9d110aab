//! The files of a backend with a disk in its snapshots: what is dead is taken note of at once, written beside processing,
//! and then the files of the database are linked. Entries that differ from what these hold are in segments, as on the heap.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;
use crate::disk::flush::StateWrites;
use crate::disk::home::Scratch;
use crate::disk::jobs::{Job, Jobs, LinkPlace};
use crate::disk::keys::after;
use crate::disk::shared::storage;
use crate::disk::store::Store;
use crate::disk::stored::{Access, StoredSnapshot};
use crate::snapshot::{LocalFile, SegmentId, SnapshotIndex};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::CheckpointId;

/// The files of one snapshot, once they are there.
pub(crate) struct DiskSnapshot {
    checkpoint: CheckpointId,
    /// where the job puts the files, as long as this is here; it goes before the links
    place: Arc<LinkPlace>,
    files: Vec<LocalFile>,
    job: u64,
    jobs: Arc<Jobs>,
    /// goes with the snapshot, and before the store whose directory it is in
    _links: Scratch,
    store: Arc<Store>,
}

impl DiskSnapshot {
    /// Carries out what is on its way up to this snapshot, unless somebody else has.
    pub(crate) fn prepare(&mut self) -> Result<(), StateError> {
        self.jobs.run_until(self.job, &self.store)?;
        self.place.made()?;
        let path = &self.place.path;
        let entries = std::fs::read_dir(path).map_err(|error| storage("list", path, &error))?;
        self.files.clear();
        for entry in entries {
            let entry = entry.map_err(|error| storage("list", path, &error))?;
            let bytes = entry.metadata().map_err(|error| storage("look at", &entry.path(), &error))?.len();
            let local = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = self.name_of(&local) {
                let shared = local.ends_with(TABLE);
                self.files.push(LocalFile { name, path: entry.path(), bytes, shared });
            }
        }
        self.files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// A name that tells the file from all others that any store ever makes; `None` for what restoring does not need.
    ///
    /// Tables never change, and their numbers are not used again. Of the list of tables each checkpoint has its own.
    fn name_of(&self, local: &str) -> Option<String> {
        let (store, checkpoint) = (&self.store.name, self.checkpoint);
        if local.ends_with(TABLE) {
            return Some(format!("{store}_{local}"));
        }
        // Which one is current is known where there is only one.
        local.starts_with(MANIFEST).then(|| format!("{store}_{checkpoint}_{local}"))
    }

    pub(crate) fn files(&self) -> &[LocalFile] {
        &self.files
    }

    /// The entries that are in the files alone as segments, once the files are there, and `index` with these; `segments` are
    /// at least those that it names.
    pub(crate) fn in_segments(
        &self,
        index: &SnapshotIndex,
        segments: &BTreeMap<SegmentId, Bytes>,
    ) -> Result<(SnapshotIndex, BTreeMap<SegmentId, Bytes>), StateError> {
        let directory = self.store.scratch("read");
        let stored = StoredSnapshot::open(&self.files, directory, None, Access::Read, "a snapshot")?;
        stored.in_segments(index, segments, None)
    }
}

/// What the names of tables end with, and those of RocksDB's list of them begin with; the file that names the list.
pub(crate) const TABLE: &str = ".sst";
pub(crate) const MANIFEST: &str = "MANIFEST-";
pub(crate) const CURRENT: &str = "CURRENT";

/// What RocksDB calls a file of a snapshot.
pub(crate) fn local_name(name: &str) -> &str {
    name.rsplit('_').next().unwrap_or(name)
}

impl KeyedStateBackend {
    /// The synchronous part: takes what is dead, and asks for a link to every file once that is written. What is in memory
    /// and newer than the files is not part of it. `None` if nothing ever left memory.
    pub(crate) fn snapshot_disk(&mut self, checkpoint: CheckpointId) -> Option<DiskSnapshot> {
        self.disk.as_ref()?;
        self.settle_all();
        for index in 0..self.states.len() {
            let id = StateId(index as u32);
            for namespace in self.namespaces(id).collect::<Vec<_>>() {
                self.bury_drained(id, namespace);
            }
        }
        self.land();
        let mut states = Vec::new();
        for state in self.states.iter_mut().filter(|state| !state.disk.dead.is_empty()) {
            let dead = Arc::new(std::mem::take(&mut state.disk.dead));
            state.disk.in_flight.push(dead.clone());
            states.push(StateWrites {
                family: state.descriptor.name.clone(),
                dead,
                runs: Vec::new(),
                next_sequence: None,
            });
        }
        let disk = self.disk.as_mut()?;
        if states.is_empty() && !disk.store.is_written() {
            return None;
        }
        let place = Arc::new(LinkPlace::new(disk.store.scratch("checkpoint")));
        let job = Job { states, checkpoint: Arc::downgrade(&place) };
        let job = disk.jobs.push(job);
        disk.flight = Some(job);
        Some(DiskSnapshot {
            checkpoint,
            files: Vec::new(),
            job,
            jobs: disk.jobs.clone(),
            _links: Scratch::of(place.path.clone()),
            place,
            store: disk.store.clone(),
        })
    }

    /// Entries that were drained slot by slot and that the disk has are dead, with what hangs under them.
    pub(crate) fn bury_drained(&mut self, id: StateId, namespace: Namespace) {
        let (Some(_), Some(table)) = (&self.disk, self.table(id, namespace)) else { return };
        let (from, to) = (table.marks.settled, table.slots.rows.drained());
        if from >= to {
            return;
        }
        let gone: Vec<u32> = (from..to).filter(|&slot| table.slots.was_live(slot)).collect();
        let stored: Vec<bool> = gone.iter().map(|&slot| table.marks.stored.get(slot)).collect();
        let keys = self.prefixes(id, namespace, &gone);
        let below = self.states[id.0 as usize].children.clone();
        for (row, stored) in stored.into_iter().enumerate() {
            if stored {
                self.states[id.0 as usize].disk.dead.insert(keys.get(row));
            }
            // The disk may have what hangs under an entry that it does not have itself.
            for &child in &below {
                let range = (keys.get(row).to_vec(), after(keys.get(row)));
                self.bury_range(child, namespace, &range);
            }
        }
        let table = self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there");
        table.marks.settled = to;
    }
}
