//! How many checkpoints and snapshots refer to a file.

use crate::handle::StoredFile;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts references to files, by their paths.
#[derive(Debug, Default)]
pub(super) struct References(BTreeMap<String, usize>);

impl References {
    /// One more reference to each of `files`.
    pub(super) fn hold(&mut self, files: &[Arc<StoredFile>]) {
        for file in files {
            *self.0.entry(file.path()).or_insert(0) += 1;
        }
    }

    /// One reference less to each of `files`; those that have none left.
    pub(super) fn release(&mut self, files: &[Arc<StoredFile>]) -> Vec<Arc<StoredFile>> {
        let mut unused = Vec::new();
        for file in files {
            let path = file.path();
            let Some(count) = self.0.get_mut(&path) else { continue };
            *count -= 1;
            if *count == 0 {
                self.0.remove(&path);
                unused.push(file.clone());
            }
        }
        unused
    }
}
