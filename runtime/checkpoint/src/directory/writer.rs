//! A file that is written piece by piece.

use super::{Directory, Store, local, objects};
use crate::CheckpointError;
use crate::checksums::{FileChecksums, Summing};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Stores take parts of this size at least, but for the last.
const OBJECT_PART: usize = 8 << 20;

/// Files of this machine are written in pieces of this size at least: each takes a thread of its own a moment.
const LOCAL_PART: usize = 1 << 20;
/// Of blocks of this size, so that none is begun twice.
const BLOCK: usize = 4096;

/// Writes one file. Nobody knows of it before [`FileWriter::finish`]; one that is dropped before is gone.
pub(crate) struct FileWriter {
    directory: Directory,
    name: String,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    written: u64,
    summing: Summing,
    target: Target,
    /// the second copy
    copy: Option<LocalFile>,
}

enum Target {
    Local(LocalFile),
    Objects { store: Arc<dyn ObjectStore>, path: String, upload: Option<Box<dyn MultipartUpload>> },
}

/// Removed when it is dropped, unless it was finished.
struct LocalFile {
    path: PathBuf,
    file: Option<File>,
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // a file that stays is never referred to
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Directory {
    /// Begins a file that is not there yet, and gathers `buffer_bytes` before each write.
    pub(crate) async fn writer(
        &self,
        relative: &str,
        buffer_bytes: usize,
    ) -> Result<FileWriter, CheckpointError> {
        let path = self.resolve(relative);
        let copy = match self.mirror.as_ref().and_then(|mirror| mirror.copy(&path)) {
            Some(path) => {
                let begun = path.clone();
                let file = local::blocking(move || local::begin(&begun)).await.ok();
                file.map(|file| LocalFile { path, file: Some(file) })
            }
            None => None,
        };
        let (target, buffer_bytes) = match &self.store {
            Store::Local => {
                let path = local::absolute(&path);
                let begun = path.clone();
                let file = local::blocking(move || local::begin(&begun)).await;
                let file = file.map_err(|error| self.error("write", relative, error))?;
                (Target::Local(LocalFile { path, file: Some(file) }), buffer_bytes.max(LOCAL_PART))
            }
            Store::Objects(store, _) => {
                let target = Target::Objects { store: store.clone(), path, upload: None };
                (target, buffer_bytes.max(OBJECT_PART))
            }
        };
        let (directory, name) = (self.clone(), relative.to_string());
        let (buffer, summing) = (Vec::new(), Summing::default());
        Ok(FileWriter { directory, name, buffer, buffer_bytes, written: 0, summing, target, copy })
    }
}

impl FileWriter {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.written += bytes.len() as u64;
        self.summing.add(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < self.buffer_bytes {
            return Ok(());
        }
        let rest = self.buffer.split_off(self.buffer.len() / BLOCK * BLOCK);
        self.flush().await?;
        self.buffer.extend_from_slice(&rest);
        Ok(())
    }

    /// Makes the file durable; its size and its checksums.
    pub(crate) async fn finish(mut self) -> Result<(u64, FileChecksums), CheckpointError> {
        let summed = (self.written, std::mem::take(&mut self.summing).finish());
        if let Target::Objects { store, path, upload: None } = &self.target {
            // small enough for one request
            let (store, path) = (store.clone(), path.clone());
            let contents = std::mem::take(&mut self.buffer);
            self.write_copy(&contents);
            let created = objects::create(&store, &path, contents.into()).await;
            return match created {
                Ok(()) => {
                    self.keep_copy();
                    Ok(summed)
                }
                Err(error) => Err(self.directory.error("write", &self.name, error)),
            };
        }
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        let finished = match &mut self.target {
            Target::Local(local) => {
                let (file, path) = (local.file.take(), local.path.clone());
                local::blocking(move || local::end(file, &path)).await
            }
            Target::Objects { upload, .. } => match upload {
                Some(upload) => upload.complete().await.map(|_| ()).map_err(Into::into),
                None => Ok(()),
            },
        };
        finished.map_err(|error| self.directory.error("write", &self.name, error))?;
        self.keep_copy();
        Ok(summed)
    }

    /// A copy that cannot be written goes; the file is what counts.
    fn write_copy(&mut self, bytes: &[u8]) {
        let written =
            self.copy.as_mut().and_then(|copy| copy.file.as_mut()).map(|file| file.write_all(bytes));
        if matches!(written, Some(Err(_))) {
            self.copy = None;
        }
    }

    fn keep_copy(&mut self) {
        if let Some(copy) = &mut self.copy {
            copy.file = None;
        }
    }

    async fn flush(&mut self) -> Result<(), CheckpointError> {
        let bytes = std::mem::take(&mut self.buffer);
        self.write_copy(&bytes);
        let written = match &mut self.target {
            Target::Local(local) => {
                let file = local.file.take();
                let done = local::blocking(move || {
                    let mut file = file;
                    if let Some(file) = &mut file {
                        file.write_all(&bytes)?;
                    }
                    Ok((file, bytes))
                })
                .await;
                done.map(|(file, mut bytes)| {
                    local.file = file;
                    bytes.clear();
                    self.buffer = bytes;
                })
            }
            Target::Objects { store, path, upload } => {
                let part = put_part(store, path, upload, bytes);
                part.await.map_err(Into::into)
            }
        };
        written.map_err(|error| self.directory.error("write", &self.name, error))
    }
}

async fn put_part(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    upload: &mut Option<Box<dyn MultipartUpload>>,
    bytes: Vec<u8>,
) -> object_store::Result<()> {
    let upload = match upload {
        Some(upload) => upload,
        None => upload.insert(store.put_multipart(&objects::key(path)).await?),
    };
    let put = upload.put_part(bytes.into()).await;
    if put.is_err() {
        // the error of the part is what counts
        let _ = upload.abort().await;
    }
    put
}
