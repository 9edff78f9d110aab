//! Second copies on this machine of files that are elsewhere.
//!
//! Files of state never change, so a copy is as good as the file. Manifests have none. Nothing depends on copies: one that cannot be
//! written is not there, and one that is not there, or is short, is read where the file is.

use super::{FileError, local};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the copies of the files below `base` are.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    root: Arc<Path>,
    /// a path as [`super::Directory`] has them
    base: Arc<str>,
}

impl Mirror {
    pub(super) fn new(root: &Path, base: &str) -> Self {
        Mirror { root: root.into(), base: base.into() }
    }

    /// Where the copy of the file at `path` is; `None` for files elsewhere.
    pub(super) fn copy(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(&*self.base)?.strip_prefix('/')?;
        Some(self.root.join(below))
    }

    pub(super) async fn take(&self, path: &str, from: &Path) {
        if let Some(copy) = self.copy(path) {
            let from = from.to_path_buf();
            let _ = local::blocking(move || local::link(&from, &copy)).await;
        }
    }

    /// `None` also if the copy is shorter than that.
    pub(super) async fn read_range(&self, path: &str, offset: u64, length: u64) -> Option<Bytes> {
        let copy = self.copy(path)?;
        let bytes = local::blocking(move || local::read_range(&copy, offset, length)).await.ok()?;
        (bytes.len() as u64 == length).then_some(bytes)
    }

    pub(super) async fn download(&self, path: &str, to: &Path) -> Option<u64> {
        let (copy, to) = (self.copy(path)?, to.to_path_buf());
        local::blocking(move || local::link(&copy, &to)).await.ok()
    }

    pub(super) async fn delete(&self, path: &str) {
        if let Some(copy) = self.copy(path) {
            let _ = local::blocking(move || local::delete(&copy)).await;
        }
    }

    /// All copies go.
    pub(super) async fn clear(&self) {
        let root = self.root.clone();
        let _ = local::blocking(move || std::fs::remove_dir_all(root).map_err(FileError::from)).await;
    }
}
