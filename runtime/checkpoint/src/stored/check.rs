//! Whether what a checkpoint consists of is what was written.

use super::StoredCheckpoint;
use crate::CheckpointError;
use crate::compression::expand_all;
use crate::directory::blocking;
use crate::manifest::{FileRecord, KeyedManifest, Place};
use std::collections::{BTreeMap, BTreeSet};
use weir_state::check_segment;

impl StoredCheckpoint {
    /// Whether a file of the manifest is what was written: all of its bytes, if the manifest has checksums of it, otherwise its
    /// length.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Truncated`], [`CheckpointError::Corrupt`] and
    /// [`CheckpointError::Storage`].
    pub async fn check_file(&self, file: &FileRecord) -> Result<(), CheckpointError> {
        let shown = self.directory.show(&file.path);
        match self.directory.checksums(&file.path).await? {
            Some((bytes, checksums)) => file.check(bytes, &checksums, &shown),
            None => Err(self.needed(CheckpointError::Missing { file: shown, needed_by: String::new() })),
        }
    }

    /// What is wrong with parts of a keyed state, by the checksum of each segment and by those that a state backend gave the blocks of
    /// its files: with parts in files of which it is known that they are `damaged`, and of those whose files have no checksums in the
    /// manifest, since an earlier version wrote them.
    pub async fn check_parts(
        &self,
        keyed: &KeyedManifest,
        damaged: impl Fn(u32) -> bool,
    ) -> Vec<CheckpointError> {
        let mut wrong = Vec::new();
        let doubtful = |file: Option<u32>| file.is_some_and(&damaged) || self.is_without_checksums(file);
        for entry in keyed.segments.iter().filter(|entry| doubtful(entry.place.file)) {
            let checked = async {
                let (id, file) = (entry.segment.id, self.show(&entry.place));
                let stored = BTreeMap::from([(id, self.bytes(&entry.place).await?)]);
                let name = format!("{file}, segment {}/{}", id.checkpoint, id.number);
                for bytes in expand_all(stored, &file)?.into_values() {
                    check_segment(&bytes, &name)?;
                }
                Ok::<_, CheckpointError>(())
            };
            wrong.extend(checked.await.err());
        }
        if keyed.files.iter().any(|file| self.is_without_checksums(Some(file.file))) {
            let base = self.workspace.directory.clone();
            let checked = async {
                let snapshot = self.keyed(keyed).await?;
                Ok::<_, CheckpointError>(blocking(move || snapshot.check_files(&base)).await??)
            };
            wrong.extend(checked.await.err());
        }
        wrong
    }

    /// The files that a keyed state lies in, by their places in the manifest.
    pub fn files_of(&self, keyed: &KeyedManifest) -> BTreeSet<u32> {
        let segments = keyed.segments.iter().filter_map(|entry| entry.place.file);
        let canonical = keyed.canonical.iter().map(|canonical| canonical.file);
        segments.chain(keyed.files.iter().map(|named| named.file)).chain(canonical).collect()
    }

    fn is_without_checksums(&self, file: Option<u32>) -> bool {
        let place = Place { file, offset: 0, length: 0 };
        matches!(self.file(&place), Ok(Some(FileRecord { checksums: None, .. })))
    }
}
