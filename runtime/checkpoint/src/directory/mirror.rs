//! Second copies on this machine of files of state, for restarts that need not fetch them.
//!
//! Files of state never change, so a copy is as good as the file, as long as its checksums say so. Manifests have none. Nothing depends on
//! copies: one that cannot be written is not there, and for one that is not there, or is damaged, the file is read; whoever is
//! restored is told.

use super::{FileError, local};
use crate::manifest::FileRecord;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_types::key_hash;

/// Where the copies of the files below `base` are.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    /// the files are dealt out to these directories by their names; at least one
    roots: Arc<[PathBuf]>,
    /// a path as [`super::Directory`] has them
    base: Arc<str>,
    account: Arc<Mutex<Account>>,
}

/// What a restore has found, for as long as it lasts.
#[derive(Debug, Default)]
struct Account {
    /// copies that were looked at, and whether they are whole
    whole: BTreeMap<PathBuf, bool>,
    read: CopiesRead,
}

/// What was read of second copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopiesRead {
    /// whose copies were read
    pub files: u64,
    pub bytes: u64,
    /// copies that were not, and why not: the files themselves were read
    pub passed_over: Vec<String>,
}

impl Mirror {
    pub(super) fn new(roots: &[PathBuf], base: &str) -> Self {
        Mirror { roots: roots.into(), base: base.into(), account: Arc::default() }
    }

    /// Where the copy of the file at `path` is; `None` for files elsewhere.
    pub(super) fn copy(&self, path: &str) -> Option<PathBuf> {
        let below = path.strip_prefix(&*self.base)?.strip_prefix('/')?;
        let root = key_hash(below.as_bytes()) % self.roots.len() as u64;
        Some(self.roots[root as usize].join(below))
    }

    pub(super) async fn take(&self, path: &str, from: &Path) {
        if let Some(copy) = self.copy(path) {
            let from = from.to_path_buf();
            let _ = local::blocking(move || local::link(&from, &copy)).await;
        }
    }

    /// Where the copy of the file at `path` is, if it is what `file` says. It is read to see that, once in a restore.
    pub(super) async fn whole(&self, path: &str, file: &FileRecord) -> Option<PathBuf> {
        let copy = self.copy(path)?;
        let known = self.account().whole.get(&copy).copied();
        if let Some(whole) = known {
            return whole.then_some(copy);
        }
        let read = copy.clone();
        let shown = copy.display().to_string();
        let reason = match local::blocking(move || local::checksums(&read)).await {
            Ok((bytes, checksums)) => {
                file.check(bytes, &checksums, &shown).err().map(|error| error.to_string())
            }
            Err(FileError::NotFound) => Some(format!("{shown}: there is no such copy")),
            Err(FileError::Other(reason)) => Some(format!("{shown}: {reason}")),
        };
        let mut account = self.account();
        let Account { whole, read } = &mut *account;
        // several subtasks may have looked at it
        if whole.insert(copy.clone(), reason.is_none()).is_none() {
            match &reason {
                None => (read.files, read.bytes) = (read.files + 1, read.bytes + file.bytes),
                Some(reason) => read.passed_over.push(reason.clone()),
            }
        }
        reason.is_none().then_some(copy)
    }

    /// `None` if the copy does not have so much, any more.
    pub(super) async fn read_range(copy: PathBuf, offset: u64, length: u64) -> Option<Bytes> {
        let bytes = local::blocking(move || local::read_range(&copy, offset, length)).await.ok()?;
        (bytes.len() as u64 == length).then_some(bytes)
    }

    /// What was read of copies since the last call; copies are looked at anew from now on.
    pub(super) fn settle(&self) -> CopiesRead {
        std::mem::take(&mut *self.account()).read
    }

    pub(super) async fn delete(&self, path: &str) {
        if let Some(copy) = self.copy(path) {
            let _ = local::blocking(move || local::delete(&copy)).await;
        }
    }

    /// All copies go.
    pub(super) async fn clear(&self) {
        for root in self.roots.iter().cloned() {
            let _ = local::blocking(move || std::fs::remove_dir_all(root).map_err(FileError::from)).await;
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
