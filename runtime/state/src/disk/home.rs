//! Directories for files of state while a process runs. They are removed at its end; those of processes that ended
//! without doing so are removed by the next one that works in the same place.

use crate::StateError;
use crate::disk::shared::storage;
use std::fs::{File, Metadata, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "weir-rocksdb-";
/// Locked as long as the process lives that works in the directory.
const LOCK: &str = "LOCK";
/// Its name until it is locked.
const UNSEEN_LOCK: &str = "LOCK.new";

/// A directory for files of state while this process runs. It goes when this is dropped, or when the next process works in
/// the same place.
#[derive(Debug)]
pub struct WorkDirectory {
    path: PathBuf,
    /// the lock goes with it
    _lock: File,
}

impl WorkDirectory {
    /// Makes a directory in `base`, and `base` too if need be. What processes that crashed have left there is removed.
    ///
    /// # Errors
    /// [`StateError::Storage`]
    pub fn create(base: &Path) -> Result<WorkDirectory, StateError> {
        std::fs::create_dir_all(base).map_err(|error| storage("create directory", base, &error))?;
        remove_abandoned(base);
        let process = std::process::id();
        for number in 0_u64.. {
            let path = base.join(format!("{PREFIX}{process}-{number}"));
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(storage("create directory", &path, &error)),
                Ok(()) => {}
            }
            // Whoever finds the lock finds it locked.
            let unseen = path.join(UNSEEN_LOCK);
            let lock = File::create(&unseen).and_then(|file| {
                file.lock()?;
                std::fs::rename(&unseen, path.join(LOCK))?;
                Ok(file)
            });
            let lock = lock.map_err(|error| storage("lock", &path, &error))?;
            return Ok(WorkDirectory { path, _lock: lock });
        }
        unreachable!("some number is free")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDirectory {
    fn drop(&mut self) {
        // what cannot be removed is removed by the next process
        let _ = remove(&self.path);
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    remove_by(path, |entry| match entry.symlink_metadata()?.is_dir() {
        true => std::fs::remove_dir_all(entry),
        false => std::fs::remove_file(entry),
    })
}

/// Removes a directory, its lock last: whoever finds what is left of it has to know that nobody is there any more.
fn remove_by(path: &Path, remove: impl Fn(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            remove(&entry.path())?;
        }
    }
    remove(&path.join(LOCK))?;
    std::fs::remove_dir(path)
}

/// Removes the directories whose processes are gone. What fails is left for the next time.
fn remove_abandoned(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Without a lock it is one that is being made or removed at this moment.
        if let Ok(lock) = File::open(entry.path().join(LOCK)) {
            remove_if_abandoned(&entry.path(), &lock);
        }
    }
}

/// Removes the directory if nobody holds `lock`, which was its lock a moment ago. By now another process may have removed
/// it and made one of the same name, with a lock of its own: then the one that we got tells nothing.
fn remove_if_abandoned(path: &Path, lock: &File) {
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return,
    }
    let same = |ours: Metadata, there: Metadata| (ours.dev(), ours.ino()) == (there.dev(), there.ino());
    if let (Ok(ours), Ok(there)) = (lock.metadata(), std::fs::metadata(path.join(LOCK)))
        && same(ours, there)
    {
        let _ = remove(path);
    }
}

/// A directory that goes when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a directory that is not there yet.
    pub(crate) fn create(path: PathBuf) -> Result<Scratch, StateError> {
        std::fs::create_dir(&path).map_err(|error| storage("create directory", &path, &error))?;
        Ok(Scratch(path))
    }

    /// Takes over a directory that is there, or will be.
    pub(crate) fn of(path: PathBuf) -> Scratch {
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // it lies in the working directory, which goes too
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock is the open file's, so one process can play two.
    #[test]
    fn what_a_crash_left_is_removed_and_what_is_in_use_is_not() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("not/there/yet");
        let first = WorkDirectory::create(&base).unwrap();
        let crashed = base.join(format!("{PREFIX}1-0"));
        std::fs::create_dir(&crashed).unwrap();
        std::fs::write(crashed.join(LOCK), "").unwrap();
        std::fs::write(crashed.join("000012.sst"), "x").unwrap();
        std::fs::create_dir(base.join("something else")).unwrap();
        let second = WorkDirectory::create(&base).unwrap();
        assert!(first.path().exists() && second.path().exists() && first.path() != second.path());
        assert!(!crashed.exists());
        assert!(base.join("something else").exists());
        let path = first.path().to_path_buf();
        drop(first);
        assert!(!path.exists());
    }

    /// The lock stays with what cannot be removed, whatever comes first in the directory.
    #[test]
    fn what_was_removed_in_part_is_found_again() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join(format!("{PREFIX}1-0"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(LOCK), "").unwrap();
        std::fs::create_dir(path.join("A")).unwrap();
        std::fs::write(path.join("Z"), "").unwrap();
        for stays in ["A", "Z"] {
            let busy = |entry: &Path| match entry.ends_with(stays) {
                true => Err(ErrorKind::ResourceBusy.into()),
                false => Ok(()),
            };
            remove_by(&path, busy).unwrap_err();
            assert!(path.join(LOCK).exists());
        }
        let order = std::cell::RefCell::new(Vec::new());
        remove_by(&path, |entry| {
            order.borrow_mut().push(entry.to_path_buf());
            Ok(())
        })
        .unwrap_err();
        assert_eq!(order.into_inner().last(), Some(&path.join(LOCK)));
        drop(WorkDirectory::create(base.path()).unwrap());
        assert!(!path.exists());
    }

    /// One process reads a lock; its owner goes, and the next owner of the same name comes, before it is tried.
    #[test]
    fn a_lock_of_an_earlier_owner_tells_nothing() {
        let base = tempfile::tempdir().unwrap();
        let first = WorkDirectory::create(base.path()).unwrap();
        let stale = File::open(first.path().join(LOCK)).unwrap();
        let path = first.path().to_path_buf();
        drop(first);
        let second = WorkDirectory::create(base.path()).unwrap();
        assert_eq!(second.path(), path);
        remove_if_abandoned(&path, &stale);
        assert!(second.path().join(LOCK).exists());
    }
}
