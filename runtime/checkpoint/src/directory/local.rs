//! Files of this machine, written so that they survive its loss of power.

use super::FileError;
use crate::checksums::{FileChecksums, Summing};
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of a file that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// Runs `work` where it may block: beside the tasks if there is a runtime for that, right here in a simulation.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(FileError::Other(error.to_string())),
    }
}

pub(super) fn absolute(path: &str) -> PathBuf {
    Path::new("/").join(path)
}

/// Writes beside the target and then links it there: whoever sees the file sees all of it, and one that exists is
/// not overwritten.
pub(super) fn create(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let parent = make_parent(path)?;
    let staged = staged(path);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&staged)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    drop(file);
    let placed = written.map_err(FileError::from).and_then(|()| place(&staged, path));
    // what could not be placed is of no use, and what was is there under its own name
    let _ = std::fs::remove_file(&staged);
    placed?;
    sync_directory(&parent)
}

/// Begins a file that is not there yet.
pub(super) fn begin(path: &Path) -> Result<File, FileError> {
    make_parent(path)?;
    Ok(OpenOptions::new().write(true).create_new(true).open(path)?)
}

/// Makes a file durable that has been written.
pub(super) fn end(file: Option<File>, path: &Path) -> Result<(), FileError> {
    if let Some(file) = file {
        file.sync_all()?;
    }
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Two names for one file where that can be, otherwise two files; its bytes, and their checksums unless they are `known`.
pub(super) fn link_or_copy(
    from: &Path,
    to: &Path,
    known: Option<FileChecksums>,
) -> Result<(u64, FileChecksums), FileError> {
    let parent = make_parent(to)?;
    match std::fs::hard_link(from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(FileError::Other("it exists already".to_string()));
        }
        Err(_) => return copy(from, to),
    }
    let mut file = File::open(to)?;
    file.sync_all()?;
    sync_directory(&parent)?;
    match known {
        Some(known) => Ok((file.metadata()?.len(), known)),
        // it has been written just now, and mostly comes from memory
        None => read_through(&mut file, |_| Ok(())),
    }
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(u64, FileChecksums), FileError> {
    let parent = make_parent(to)?;
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    let copied = read_through(&mut source, |bytes| target.write_all(bytes))?;
    target.sync_all()?;
    sync_directory(&parent)?;
    Ok(copied)
}

/// The bytes of a file and their checksums.
pub(super) fn checksums(path: &Path) -> Result<(u64, FileChecksums), FileError> {
    read_through(&mut File::open(path)?, |_| Ok(()))
}

/// Reads a file to its end, some bytes at a time.
fn read_through(
    file: &mut File,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(u64, FileChecksums), FileError> {
    let (mut summing, mut bytes) = (Summing::default(), 0);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, summing.finish())),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        summing.add(&buffer[..read]);
        take(&buffer[..read])?;
        bytes += read as u64;
    }
}

/// The same contents under another name, without copying them where the file system can.
pub(super) fn link(from: &Path, to: &Path) -> Result<u64, FileError> {
    make_parent(to)?;
    match std::fs::hard_link(from, to) {
        Ok(()) => size(to),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error.into()),
        Err(_) => copy(from, to).map(|(bytes, _)| bytes),
    }
}

pub(super) fn read(path: &Path) -> Result<Bytes, FileError> {
    Ok(Bytes::from(std::fs::read(path)?))
}

/// Fewer bytes than asked for at the end of the file.
pub(super) fn read_range(path: &Path, offset: u64, length: u64) -> Result<Bytes, FileError> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    // a length that is wrong must not take all memory before it is found to be
    let mut bytes = Vec::with_capacity(length.min(64 << 20) as usize);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(Bytes::from(bytes))
}

pub(super) fn size(path: &Path) -> Result<u64, FileError> {
    Ok(std::fs::metadata(path)?.len())
}

pub(super) fn delete(path: &Path) -> Result<(), FileError> {
    Ok(std::fs::remove_file(path)?)
}

pub(super) fn list(path: &Path) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.extend(entry?.file_name().to_str().map(str::to_string));
    }
    Ok(names)
}

/// `.name.tmp` beside `path`.
fn staged(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.tmp"))
}

fn place(staged: &Path, path: &Path) -> Result<(), FileError> {
    match std::fs::hard_link(staged, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(FileError::Other("it exists already".to_string()))
        }
        // a file system without links
        Err(_) if !path.exists() => Ok(std::fs::rename(staged, path)?),
        Err(error) => Err(error.into()),
    }
}

/// Makes the directory of `path`, durably, with those above it.
fn make_parent(path: &Path) -> Result<PathBuf, FileError> {
    let parent = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let missing: Vec<&Path> = parent.ancestors().take_while(|directory| !directory.is_dir()).collect();
    for directory in missing.into_iter().rev() {
        match std::fs::create_dir(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        if let Some(above) = directory.parent() {
            sync_directory(above)?;
        }
    }
    Ok(parent)
}

fn sync_directory(path: &Path) -> Result<(), FileError> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        // some file systems cannot, and need not
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        result => Ok(result?),
    }
}
