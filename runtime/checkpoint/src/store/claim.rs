//! A job takes over the checkpoint that it was restored from.

use super::{CheckpointStore, Retained};
use crate::handle::StoredFile;
use crate::manifest::FileRecord;
use crate::stored::StoredCheckpoint;
use std::sync::Arc;

impl CheckpointStore {
    /// The checkpoint counts as this job's own: it may refer to its files, and deletes it when newer ones replace it. What
    /// `beside` needs, other checkpoints of the earlier job, stays.
    pub fn claim(&self, stored: StoredCheckpoint, beside: &[StoredCheckpoint]) {
        let mut guard = self.state();
        let state = &mut *guard;
        let directory = stored.directory.clone();
        let files = files_of(&stored);
        state.references.hold(&files);
        // for ever: they are not ours to delete
        beside.iter().for_each(|other| state.references.hold(&files_of(other)));
        let same_store = self.config.directory.as_ref().is_some_and(|own| own.same_store(&directory));
        for operator in stored.manifest.operators.iter().filter(|_| same_store) {
            for keyed in operator.subtasks.iter().filter_map(|subtask| subtask.keyed.as_ref()) {
                for named in &keyed.files {
                    if let Some(file) = files.get(named.file as usize) {
                        state.known.files.insert(named.name.clone(), file.clone());
                    }
                }
            }
        }
        state.retained.push_front(Retained { directory: Some(directory), files, stored });
    }
}

fn files_of(stored: &StoredCheckpoint) -> Vec<Arc<StoredFile>> {
    let of_record = |record: &FileRecord| {
        let (above, name) = record.path.rsplit_once('/').unwrap_or(("", &record.path));
        let (directory, name) = (stored.directory.join(above), name.to_string());
        let FileRecord { bytes, checksums, .. } = record.clone();
        Arc::new(StoredFile { directory, name, bytes, checksums })
    };
    stored.manifest.files.iter().map(of_record).collect()
}
