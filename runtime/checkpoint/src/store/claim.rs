//! A job takes over the checkpoint that it was restored from.

use super::{CheckpointStore, Retained};
use crate::handle::StoredFile;
use crate::stored::StoredCheckpoint;
use std::sync::Arc;

impl CheckpointStore {
    /// The checkpoint counts as this job's own: it may refer to its files, and deletes it when newer ones replace it.
    pub fn claim(&self, stored: StoredCheckpoint) {
        let mut guard = self.state();
        let state = &mut *guard;
        let directory = stored.directory.clone();
        let of_record = |record: &crate::manifest::FileRecord| {
            let (above, name) = record.path.rsplit_once('/').unwrap_or(("", &record.path));
            let (directory, name) = (directory.join(above), name.to_string());
            Arc::new(StoredFile { directory, name, bytes: record.bytes })
        };
        let files: Vec<Arc<StoredFile>> = stored.manifest.files.iter().map(of_record).collect();
        state.references.hold(&files);
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
