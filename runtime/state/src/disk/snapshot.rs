//! Snapshots of a backend with a disk: what changed in the tables is taken note of at once, written beside processing,
//! and then the files of the database are linked.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::{Namespace, StateKind};
use crate::disk::flush::{Job, Jobs, StateWrites};
use crate::disk::home::Scratch;
use crate::disk::keys::after;
use crate::disk::shared::storage;
use crate::disk::store::Store;
use crate::disk::stored::{Access, StoredSnapshot, segments_of};
use crate::snapshot::{LocalFile, SegmentId, SnapshotIndex};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use weir_types::CheckpointId;

/// The files of one snapshot, once they are there.
pub(crate) struct DiskSnapshot {
    checkpoint: CheckpointId,
    /// where the job puts the files, as long as this is here
    path: Arc<PathBuf>,
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
        let entries = std::fs::read_dir(&*self.path).map_err(|error| storage("list", &self.path, &error))?;
        self.files.clear();
        for entry in entries {
            let entry = entry.map_err(|error| storage("list", &self.path, &error))?;
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

    /// The entries as segments, once the files are there.
    pub(crate) fn segments(
        &self,
        index: &SnapshotIndex,
    ) -> Result<(SnapshotIndex, BTreeMap<SegmentId, Bytes>), StateError> {
        let directory = self.store.scratch("read");
        let stored = StoredSnapshot::open(&self.files, directory, None, Access::Read, "a snapshot")?;
        segments_of(&stored, index, None)
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
    /// The synchronous part: shares the pages of tables with entries that changed.
    pub(crate) fn snapshot_disk(&mut self, checkpoint: CheckpointId) -> Option<DiskSnapshot> {
        self.settle_all();
        for index in 0..self.states.len() {
            let id = StateId(index as u32);
            for namespace in self.namespaces(id).collect::<Vec<_>>() {
                self.bury_drained(id, namespace);
            }
        }
        let mut states = Vec::with_capacity(self.states.len());
        for index in 0..self.states.len() {
            let id = StateId(index as u32);
            let mut tables = Vec::new();
            for namespace in self.namespaces(id).collect::<Vec<_>>() {
                if self.states[index].tables[&namespace].slots.rows.has_changes() {
                    self.freeze(id, namespace);
                    let view = self.view(id, namespace);
                    let table = self.states[index].tables.get_mut(&namespace).expect("it is there");
                    let changed = table.slots.rows.take_changes();
                    table.marks.stored.add(&changed);
                    table.marks.in_flight.add(&changed);
                    table.marks.on_disk = true;
                    tables.push((view, changed));
                }
            }
            let state = &mut self.states[index];
            let dead = Arc::new(std::mem::take(&mut state.disk.dead));
            state.disk.in_flight.push(dead.clone());
            states.push(StateWrites {
                family: state.descriptor.name.clone(),
                values: state.disk.values.clone(),
                dead,
                tables,
                next_sequence: (state.descriptor.kind == StateKind::List).then_some(state.next_sequence),
            });
        }
        let disk = self.disk.as_mut()?;
        let path = Arc::new(disk.store.scratch("checkpoint"));
        let job = Job { states, max_parallelism: self.max_parallelism, checkpoint: Arc::downgrade(&path) };
        let job = disk.jobs.push(job);
        disk.flight = Some(job);
        Some(DiskSnapshot {
            checkpoint,
            files: Vec::new(),
            job,
            jobs: disk.jobs.clone(),
            _links: Scratch::of(path.to_path_buf()),
            path,
            store: disk.store.clone(),
        })
    }

    /// The pages of a table and of those that it hangs under are copied on their next write.
    fn freeze(&mut self, id: StateId, namespace: Namespace) {
        let mut next = Some(id);
        while let Some(id) = next {
            let state = &mut self.states[id.0 as usize];
            if let Some(table) = state.tables.get_mut(&namespace) {
                table.slots.rows.freeze();
            }
            next = state.parent;
        }
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
