//! One file that is being written.
//!
//! A local part is a hidden file beside its target until it is committed; an object is a multipart upload that
//! has not been completed. Nobody who lists the directory sees either.

use super::commit::Pending;
use super::store::{Objects, io_error, object_error};
use crate::ConnectorError;
use object_store::path::Path as ObjectPath;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that are gathered before they go to a local file.
const LOCAL_WRITE: usize = 1 << 20;
/// Bytes of a part of an upload: stores want at least 5 MiB, and the same size for all but the last.
const UPLOAD_PART: usize = 8 << 20;

pub(super) struct Part {
    target: Target,
    /// encoded and not yet handed on
    pub buffer: Vec<u8>,
    written: u64,
    pub opened: Duration,
    pub last_write: Duration,
}

enum Target {
    Local(LocalPart),
    Objects { objects: Objects, url: String, key: ObjectPath, upload: Option<String>, parts: Vec<String> },
}

impl Part {
    /// `target` must not exist.
    pub fn create_local(target: PathBuf, now: Duration) -> Result<Part, ConnectorError> {
        let local = LocalPart::create(target)?;
        Ok(Part::new(Target::Local(local), now))
    }

    pub fn create_object(objects: &Objects, url: String, now: Duration) -> Result<Part, ConnectorError> {
        let key = objects.key(&url)?;
        let objects = objects.clone();
        Ok(Part::new(Target::Objects { objects, url, key, upload: None, parts: Vec::new() }, now))
    }

    fn new(target: Target, now: Duration) -> Part {
        Part { target, buffer: Vec::new(), written: 0, opened: now, last_write: now }
    }

    /// Bytes so far, handed on or not.
    pub fn size(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Hands on what is worth it.
    pub async fn drain(&mut self) -> Result<(), ConnectorError> {
        match &self.target {
            Target::Local(_) if self.buffer.len() >= LOCAL_WRITE => self.hand_on(self.buffer.len()).await,
            Target::Objects { .. } => {
                while self.buffer.len() >= UPLOAD_PART {
                    self.hand_on(UPLOAD_PART).await?;
                }
                Ok(())
            }
            Target::Local(_) => Ok(()),
        }
    }

    /// Hands on all that can be: a local file gets everything, an upload only whole parts.
    pub async fn flush(&mut self) -> Result<(), ConnectorError> {
        match &self.target {
            Target::Local(_) => self.hand_on(self.buffer.len()).await,
            Target::Objects { .. } => self.drain().await,
        }
    }

    async fn hand_on(&mut self, count: usize) -> Result<(), ConnectorError> {
        match &mut self.target {
            Target::Local(local) => {
                local.write(&self.buffer)?;
                self.buffer.clear();
            }
            Target::Objects { objects, url, key, upload, parts } => {
                let failed = |error| object_error("write", &url, error);
                let id = match upload {
                    Some(id) => id,
                    None => upload.insert(objects.uploads.create_multipart(key).await.map_err(failed)?),
                };
                let rest = self.buffer.split_off(count);
                let payload = std::mem::replace(&mut self.buffer, rest);
                let put = objects.uploads.put_part(key, id, parts.len(), payload.into()).await;
                parts.push(put.map_err(failed)?.content_id);
            }
        }
        self.written += count as u64;
        Ok(())
    }

    /// Makes everything durable and says how to make it visible.
    pub async fn close(mut self) -> Result<ClosedPart, ConnectorError> {
        // An upload whose parts are all handed on gets no empty one.
        if !self.buffer.is_empty() {
            self.hand_on(self.buffer.len()).await?;
        }
        match self.target {
            Target::Local(local) => {
                local.file.sync_all().map_err(|error| io_error("write", local.hidden.display(), &error))?;
                sync_directory(&local.target)?;
                let (hidden, target) = (text(&local.hidden)?, text(&local.target)?);
                let pending = Pending::Rename { hidden, target, size: self.written };
                Ok(ClosedPart { pending, _local: Some(local) })
            }
            Target::Objects { url, upload, parts, .. } => {
                let upload = upload.unwrap_or_default();
                let pending = Pending::Upload { target: url, upload, parts, size: self.written };
                Ok(ClosedPart { pending, _local: None })
            }
        }
    }
}

fn text(path: &Path) -> Result<String, ConnectorError> {
    let text = path.to_str().map(String::from);
    text.ok_or_else(|| ConnectorError::Internal(format!("{} is not UTF-8", path.display())))
}

/// A directory remembers new names only when it is synced itself.
pub(super) fn sync_directory(file: &Path) -> Result<(), ConnectorError> {
    let Some(directory) = file.parent() else { return Ok(()) };
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| io_error("write", directory.display(), &error))
}

/// A part that waits for a checkpoint. Dropped, it is gone: nobody was told of it.
pub(super) struct ClosedPart {
    pending: Pending,
    _local: Option<LocalPart>,
}

impl ClosedPart {
    /// From here on the part lives until it is committed or aborted.
    pub fn release(mut self) -> Pending {
        if let Some(local) = &mut self._local {
            local.keep = true;
        }
        self.pending.clone()
    }
}

/// A hidden file, removed when it is dropped unless somebody else answers for it.
struct LocalPart {
    file: File,
    hidden: PathBuf,
    target: PathBuf,
    keep: bool,
}

impl LocalPart {
    fn create(target: PathBuf) -> Result<LocalPart, ConnectorError> {
        let directory = target.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(directory)
            .map_err(|error| io_error("create", directory.display(), &error))?;
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let hidden = directory.join(format!(".{name}.inprogress"));
        let file = OpenOptions::new().write(true).create_new(true).open(&hidden);
        let file = file.map_err(|error| io_error("create", hidden.display(), &error))?;
        Ok(LocalPart { file, hidden, target, keep: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ConnectorError> {
        self.file.write_all(bytes).map_err(|error| io_error("write", self.hidden.display(), &error))
    }
}

impl Drop for LocalPart {
    fn drop(&mut self) {
        if !self.keep {
            // A hidden file that stays is litter, not a wrong result.
            let _ = std::fs::remove_file(&self.hidden);
        }
    }
}
