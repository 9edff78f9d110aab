//! Where the checkpoints of one job are kept: in memory, or in a directory.
//!
//! A task's snapshot is uploaded when it is taken; a checkpoint exists once its manifest does, which is written last.
//! Files that several checkpoints use lie in `shared/`, the others with their checkpoint in `chk-<n>/`. A file is deleted
//! when nothing that this process knows of refers to it, and for no other reason: a listing is never asked.

mod claim;
mod pack;
mod record;
mod references;
mod rewrite;
#[cfg(test)]
mod tests;
mod upload;

pub use rewrite::Rewrite;

use crate::CheckpointError;
use crate::convert::{SavepointFormat, convert};
use crate::directory::{Directory, Occupied, checkpoint_name};
use crate::handle::{Location, StoredFile, UploadId};
use crate::manifest::{JobRecord, MANIFEST, Manifest, encode};
use crate::pending::CompletedCheckpoint;
use crate::stored::StoredCheckpoint;
use crate::workspace::Workspace;
use bytes::Bytes;
use references::References;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_state::SegmentId;
use weir_types::{Barrier, CheckpointId, CheckpointKind, OperatorId, SubtaskIndex, failpoint};

/// How a [`CheckpointStore`] keeps checkpoints.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// of this job alone; `None`: nothing is written
    pub directory: Option<Directory>,
    /// state stays in memory, and goes into the metadata if that is written
    pub in_memory: bool,
    /// bytes up to which the new state of a subtask goes into the metadata
    pub inline_bytes: u64,
    /// bytes that are gathered before they are written to a file
    pub write_buffer_bytes: usize,
    /// segments are compressed
    pub compression: bool,
    /// the most that an operator may keep in one subtask if state stays in memory
    pub memory_state_bytes: u64,
    /// complete checkpoints that are kept, at least one
    pub retained: usize,
    /// for files of state
    pub workspace: Workspace,
}

/// The checkpoints of one job. See the module's text.
#[derive(Debug)]
pub struct CheckpointStore {
    config: StoreConfig,
    job: JobRecord,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    references: References,
    uploads: BTreeMap<UploadId, Vec<Arc<StoredFile>>>,
    next_upload: u64,
    /// the oldest first
    retained: VecDeque<Retained>,
    known: Known,
    /// where the snapshots of savepoints that have been asked for go
    savepoints: BTreeMap<CheckpointId, Directory>,
    /// where canonical savepoints go in the end
    canonical: BTreeMap<CheckpointId, Directory>,
    /// while the job runs
    occupied: Option<Occupied>,
}

/// A complete checkpoint that is kept.
#[derive(Debug)]
struct Retained {
    /// `None`: it is in memory only
    directory: Option<Directory>,
    files: Vec<Arc<StoredFile>>,
    /// as a restart finds it
    stored: StoredCheckpoint,
}

/// What the newest checkpoint holds and later ones may refer to.
#[derive(Debug, Default)]
struct Known {
    segments: BTreeMap<(OperatorId, SubtaskIndex), BTreeMap<SegmentId, Location>>,
    /// by the state backend's own names
    files: BTreeMap<String, Arc<StoredFile>>,
}

/// A checkpoint that was written down.
#[derive(Debug)]
pub struct Stored {
    pub manifest: Arc<Manifest>,
    /// the directory that holds it; `None`: it is in memory only
    pub path: Option<String>,
    /// what state backends are asked to write anew
    pub rewrites: Vec<Rewrite>,
    /// what nothing refers to any more
    pub garbage: Garbage,
}

/// Files that nothing refers to any more.
#[derive(Debug, Default)]
#[must_use]
pub struct Garbage {
    /// checkpoints whose manifests go first
    manifests: Vec<Directory>,
    files: Vec<Arc<StoredFile>>,
    /// removed if they are empty then
    directories: Vec<Directory>,
    /// of this one, second copies go
    mirrored: Option<Directory>,
}

impl CheckpointStore {
    /// A store without checkpoints. `job` is what every manifest says of the job.
    pub fn new(config: StoreConfig, job: JobRecord) -> Self {
        CheckpointStore { config, job, state: Mutex::default() }
    }

    /// The directory of this job; `None` if nothing is written.
    pub fn directory(&self) -> Option<&Directory> {
        self.config.directory.as_ref()
    }

    /// The job runs: nobody else is to write to its directory, and nobody to remove what is there.
    ///
    /// # Errors
    /// [`CheckpointError::Location`] if another job that runs has the directory.
    pub fn occupy(&self) -> Result<(), CheckpointError> {
        if let Some(directory) = &self.config.directory {
            self.state().occupied = directory.occupy()?;
        }
        Ok(())
    }

    /// Where a savepoint is to go, before tasks are asked for it. The directory must be its own. Tasks write segments: a
    /// canonical one is a native one beside it first, in a hidden directory.
    pub fn begin_savepoint(&self, checkpoint: CheckpointId, directory: Directory, format: SavepointFormat) {
        let mut state = self.state();
        let native = match format {
            SavepointFormat::Native => directory,
            SavepointFormat::Canonical => {
                let native = directory.join(&format!("../.{}-native", directory.name()));
                state.canonical.insert(checkpoint, directory);
                native
            }
        };
        state.savepoints.insert(checkpoint, native);
    }

    /// The newest complete checkpoint.
    pub fn latest(&self) -> Option<StoredCheckpoint> {
        self.state().retained.back().map(|retained| retained.stored.clone())
    }

    /// All that are kept, the oldest first.
    pub fn retained(&self) -> Vec<StoredCheckpoint> {
        self.state().retained.iter().map(|retained| retained.stored.clone()).collect()
    }

    /// Tasks begin anew: what they wrote before is not referred to by segments any more.
    pub fn forget_segments(&self) {
        self.state().known.segments.clear();
    }

    /// Writes a checkpoint down, as of `triggered_at_ms` since the epoch. It is complete when this returns.
    ///
    /// # Errors
    /// [`CheckpointError`] of the directory; then there is no such checkpoint, and its snapshots are to be
    /// discarded. After [`CheckpointError::InDoubt`] somebody may find it, and neither its snapshots nor what it was to
    /// commit may go.
    pub async fn store(
        &self,
        completed: &CompletedCheckpoint,
        triggered_at_ms: i64,
    ) -> Result<Stored, CheckpointError> {
        let directory = self.directory_of(completed.barrier);
        let record = record::record(&self.job, completed, triggered_at_ms, directory.as_ref());
        let blobs = Bytes::from(record.blobs);
        failpoint("before-manifest");
        if let Some(directory) = &directory {
            let written = directory.create(MANIFEST, encode(&record.manifest, &blobs)).await;
            if let Err(error) = written {
                // it may be there all the same: a checkpoint whose files are about to go must not be
                let gone = directory.delete(MANIFEST).await;
                let (checkpoint, reason) = (completed.id(), error.to_string());
                return Err(gone.map_or(CheckpointError::InDoubt { checkpoint, reason }, |()| error));
            }
        }
        failpoint("after-manifest");
        let place = directory.clone().unwrap_or_else(|| Directory::nowhere(completed.id()));
        let stored = StoredCheckpoint::of_parts(record.manifest, place, blobs);
        let stored = stored.with_workspace(self.config.workspace.clone());
        let canonical = self.state().canonical.remove(&completed.id());
        let whole = directory.as_ref().is_none_or(|own| record.files.iter().all(|file| file.is_in(own)));
        match (canonical, &directory) {
            (Some(target), _) => {
                self.rewritten(completed, stored, record.files, target, SavepointFormat::Canonical).await
            }
            // tasks that had finished wrote their last snapshots for the checkpoints of the job
            (None, Some(own)) if !whole && completed.barrier.kind == CheckpointKind::Savepoint => {
                let target = own.join(&format!("../{}-whole", own.name()));
                self.rewritten(completed, stored, record.files, target, SavepointFormat::Native).await
            }
            _ => Ok(self.keep(completed, stored, directory, record.files)),
        }
    }

    /// Rewrites a savepoint that has just been written, and lets go of what was written for it.
    async fn rewritten(
        &self,
        completed: &CompletedCheckpoint,
        first: StoredCheckpoint,
        files: Vec<Arc<StoredFile>>,
        target: Directory,
        format: SavepointFormat,
    ) -> Result<Stored, CheckpointError> {
        let converted = convert(&first, &target, format).await;
        let directory = first.directory.clone();
        let manifest = match converted {
            Ok(manifest) => manifest,
            Err(error @ CheckpointError::InDoubt { .. }) => return Err(error),
            Err(error) => {
                let gone = directory.delete(MANIFEST).await;
                let (checkpoint, reason) = (completed.id(), error.to_string());
                return Err(gone.map_or(CheckpointError::InDoubt { checkpoint, reason }, |()| error));
            }
        };
        let stored = self.keep(completed, first, Some(directory.clone()), files.clone());
        // last snapshots are of later checkpoints as well
        let own: Vec<Arc<StoredFile>> = files.into_iter().filter(|file| file.is_in(&directory)).collect();
        let garbage = Garbage {
            files: self.state().references.release(&own),
            manifests: vec![directory.clone()],
            directories: vec![directory],
            mirrored: None,
        };
        Ok(Stored { manifest: Arc::new(manifest), path: Some(target.show("")), garbage, ..stored })
    }

    fn directory_of(&self, barrier: Barrier) -> Option<Directory> {
        match barrier.kind {
            CheckpointKind::Savepoint => self.state().savepoints.get(&barrier.id).cloned(),
            _ => {
                self.config.directory.as_ref().map(|directory| directory.join(&checkpoint_name(barrier.id.0)))
            }
        }
    }

    /// Takes note of a checkpoint that exists now, and lets go of what it replaces.
    fn keep(
        &self,
        completed: &CompletedCheckpoint,
        stored: StoredCheckpoint,
        directory: Option<Directory>,
        files: Vec<Arc<StoredFile>>,
    ) -> Stored {
        let path = directory.as_ref().map(|directory| directory.show(""));
        let manifest = Arc::new(stored.manifest.clone());
        let mut guard = self.state();
        let state = &mut *guard;
        // a savepoint is not ours to delete: its files are held for ever
        state.references.hold(&files);
        let uploads = completed.handles.values().filter_map(|handle| state.uploads.remove(&handle.upload));
        for written in uploads.collect::<Vec<_>>() {
            let unused = state.references.release(&written);
            debug_assert!(unused.is_empty(), "every file of a snapshot is part of its checkpoint");
        }
        let mut garbage = Garbage::default();
        let mut rewrites = Vec::new();
        if completed.barrier.kind == CheckpointKind::Savepoint {
            state.savepoints.remove(&completed.id());
            return Stored { manifest, path, rewrites, garbage };
        }
        if completed.barrier.kind == CheckpointKind::Incremental {
            state.known = Known::of(completed);
            rewrites = rewrite::advice(completed, manifest.statistics.new_bytes);
        }
        state.retained.push_back(Retained { directory, files, stored });
        while state.retained.len() > self.config.retained.max(1) {
            state.drop_oldest(&mut garbage);
        }
        Stored { manifest, path, rewrites, garbage }
    }

    /// No checkpoint takes the snapshot.
    pub fn discard(&self, upload: UploadId) -> Garbage {
        let mut state = self.state();
        let written = state.uploads.remove(&upload).unwrap_or_default();
        Garbage { files: state.references.release(&written), ..Garbage::default() }
    }

    /// The job has ended. Its checkpoints go, unless `keep`; so do snapshots that no checkpoint took.
    pub fn end(&self, keep: bool) -> Garbage {
        let mut guard = self.state();
        let state = &mut *guard;
        state.occupied = None;
        let mut garbage = Garbage::default();
        while !keep && !state.retained.is_empty() {
            state.drop_oldest(&mut garbage);
        }
        for written in std::mem::take(&mut state.uploads).into_values() {
            garbage.files.extend(state.references.release(&written));
        }
        garbage.mirrored = self.config.directory.clone();
        if let Some(directory) = &self.config.directory
            && !keep
        {
            garbage.directories.push(directory.join("shared"));
            garbage.directories.push(directory.clone());
        }
        garbage
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_oldest(&mut self, garbage: &mut Garbage) {
        let Some(oldest) = self.retained.pop_front() else { return };
        garbage.files.extend(self.references.release(&oldest.files));
        garbage.directories.extend(oldest.directory.clone());
        garbage.manifests.extend(oldest.directory);
    }
}

impl Known {
    fn of(completed: &CompletedCheckpoint) -> Known {
        let mut known = Known::default();
        for handle in completed.handles.values() {
            for (operator, kept) in &handle.operators {
                let Some(keyed) = &kept.keyed else { continue };
                let place = (operator.clone(), handle.subtask);
                known.segments.insert(place, keyed.segments.clone());
                known.files.extend(keyed.files.iter().cloned());
            }
        }
        known
    }
}

impl Garbage {
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.files.is_empty() && self.directories.is_empty()
    }

    /// Deletes it: manifests first, so that no checkpoint is there without its files. What cannot be deleted is
    /// left lying; the first failure is the error.
    ///
    /// # Errors
    /// [`CheckpointError::Storage`].
    pub async fn delete(self) -> Result<(), CheckpointError> {
        failpoint("before-delete");
        // the newest goes last: whoever goes on after this was cut short goes on from there. What is left needs its files
        for manifest in self.manifests {
            manifest.delete(MANIFEST).await?;
        }
        let mut result = Ok(());
        for file in self.files {
            result = result.and(file.directory.delete(&file.name).await);
        }
        for directory in self.directories {
            directory.remove_if_empty().await;
        }
        if let Some(mirrored) = self.mirrored {
            mirrored.clear_mirror().await;
        }
        result
    }
}
