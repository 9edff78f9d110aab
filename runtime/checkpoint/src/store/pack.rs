//! Bytes that are gathered in memory while they are few, and in one file once they are many.

use crate::CheckpointError;
use crate::directory::{Directory, FileWriter};
use crate::handle::{Location, StoredFile};
use bytes::Bytes;
use std::sync::Arc;

/// Where a pack goes if it becomes large.
#[derive(Clone, Debug)]
pub(super) struct PackFile {
    pub directory: Directory,
    pub name: String,
    pub inline_bytes: u64,
    pub buffer_bytes: usize,
}

/// Gathers bytes; all of them end in the same place.
pub(super) struct Pack {
    /// `None`: memory only
    file: Option<PackFile>,
    gathered: Vec<Bytes>,
    writer: Option<FileWriter>,
    bytes: u64,
    ranges: Vec<(u64, u64)>,
    /// bytes that were written to the file
    spent: Option<Bytes>,
}

/// Says which of the bytes of a pack are meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed(usize);

/// A pack that is complete.
pub(super) struct Places {
    locations: Vec<Location>,
    pub written: Option<Arc<StoredFile>>,
}

impl Pack {
    pub(super) fn new(file: Option<PackFile>) -> Self {
        Pack { file, gathered: Vec::new(), writer: None, bytes: 0, ranges: Vec::new(), spent: None }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True if `more` bytes would not be inlined.
    pub(super) fn overflows(&self, more: u64) -> bool {
        self.file.as_ref().is_some_and(|file| self.bytes + more > file.inline_bytes)
    }

    pub(super) async fn add(&mut self, bytes: Bytes) -> Result<Packed, CheckpointError> {
        if self.writer.is_none()
            && self.overflows(bytes.len() as u64)
            && let Some(file) = &self.file
        {
            let mut writer = file.directory.writer(&file.name, file.buffer_bytes).await?;
            for gathered in self.gathered.drain(..) {
                writer.write(&gathered).await?;
            }
            self.writer = Some(writer);
        }
        self.ranges.push((self.bytes, bytes.len() as u64));
        self.bytes += bytes.len() as u64;
        match &mut self.writer {
            Some(writer) => {
                writer.write(&bytes).await?;
                self.spent = Some(bytes);
            }
            None => self.gathered.push(bytes),
        }
        Ok(Packed(self.ranges.len() - 1))
    }

    /// What was added last, if its memory is of use to somebody else again.
    pub(super) fn spent(&mut self) -> Option<Bytes> {
        self.spent.take()
    }

    pub(super) async fn finish(self) -> Result<Places, CheckpointError> {
        let (Some(writer), Some(file)) = (self.writer, self.file) else {
            let locations = self.gathered.into_iter().map(Location::Inline).collect();
            return Ok(Places { locations, written: None });
        };
        let (bytes, checksums) = writer.finish().await?;
        let PackFile { directory, name, .. } = file;
        let file = Arc::new(StoredFile { directory, name, bytes, checksums: Some(checksums) });
        let location = |(offset, length)| Location::File { file: file.clone(), offset, length };
        let locations = self.ranges.into_iter().map(location).collect();
        Ok(Places { locations, written: Some(file) })
    }
}

impl Places {
    pub(super) fn of(&self, packed: Packed) -> Location {
        self.locations[packed.0].clone()
    }
}
