//! A directory of this machine in which a job that runs keeps its checkpoints.

use super::{Directory, Store, checkpoint_name, checkpoint_number};
use crate::CheckpointError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The file that is locked for as long as the job runs, and says which process does that.
const RUNNING: &str = ".running";

/// The right of a job to a directory; given back when it is dropped, or when the process ends, however it does.
#[derive(Debug)]
pub struct Occupied {
    file: PathBuf,
    /// holds the lock
    _locked: File,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        // one that stays is not locked, and harms nobody
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Directory {
    /// Takes the directory for a job that runs. `None` where that cannot be said: in an object store, or where no file can
    /// be made, of which the first checkpoint will tell.
    ///
    /// # Errors
    /// [`CheckpointError::Location`] if another job that runs has it.
    pub fn occupy(&self) -> Result<Option<Occupied>, CheckpointError> {
        let Store::Local = self.store else { return Ok(None) };
        let directory = Path::new("/").join(&self.path);
        let file = directory.join(RUNNING);
        let opened = std::fs::create_dir_all(&directory).and_then(|()| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file)
        });
        let Ok(mut opened) = opened else { return Ok(None) };
        match opened.try_lock() {
            Ok(()) => {
                // who it is helps people; the lock is what counts
                let _ = opened.set_len(0).and_then(|()| write!(opened, "{}", std::process::id()));
                Ok(Some(Occupied { file, _locked: opened }))
            }
            Err(TryLockError::WouldBlock) => Err(CheckpointError::Location(format!(
                "the checkpoints of a job that runs ({}) are in '{}': name another directory, or leave \
                 'execution.checkpointing.create-subdir' as it is",
                process(&mut opened),
                directory.display()
            ))),
            // a file system without locks
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// The process that runs the job whose checkpoints are here; `None` if there is none, as far as that can be told.
    pub fn occupied_by(&self) -> Option<String> {
        let Store::Local = self.store else { return None };
        let mut file = File::open(Path::new("/").join(&self.path).join(RUNNING)).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| process(&mut file))
    }

    /// The checkpoint with the highest number right in this directory of this machine, if there is one.
    pub fn newest_here(&self) -> Option<String> {
        let Store::Local = self.store else { return None };
        let entries = std::fs::read_dir(Path::new("/").join(&self.path)).ok()?;
        let number = |entry: std::fs::DirEntry| checkpoint_number(entry.file_name().to_str()?);
        let newest = entries.flatten().filter_map(number).max()?;
        Some(self.show(&checkpoint_name(newest)))
    }
}

fn process(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.is_empty() => format!("process {text}"),
        _ => "in another process".to_string(),
    }
}
