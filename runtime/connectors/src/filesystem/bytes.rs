//! The bytes of one file, decompressed.

use super::compression::Decompressor;
use super::store::{FileEntry, RawBytes, Store};
use crate::ConnectorError;

/// Reads one file from a position on.
pub(super) struct FileBytes {
    path: String,
    raw: RawBytes,
    decompressor: Decompressor,
    /// compressed bytes that were read and not yet decompressed; empty between calls
    compressed: Vec<u8>,
    /// decompressed bytes still to pass over
    skip: u64,
    ended: bool,
}

impl FileBytes {
    /// `offset` counts decompressed bytes. A compressed file is decompressed from its beginning to get there.
    pub async fn open(store: &Store, file: &FileEntry, offset: u64) -> Result<Self, ConnectorError> {
        let decompressor = Decompressor::of_name(file.name()).map_err(|extension| {
            ConnectorError::Options(format!(
                "cannot read {}: compression '.{extension}' is not supported; use .gz or .zst, or \
                 decompress it",
                file.path
            ))
        })?;
        let plain = decompressor.is_plain();
        if plain && offset > file.size {
            return Err(ConnectorError::Record(format!(
                "cannot resume {} at byte {offset}: it has only {} bytes; it was cut or replaced since \
                 the checkpoint",
                file.path, file.size
            )));
        }
        Ok(FileBytes {
            path: file.path.clone(),
            raw: store.read(file, if plain { offset } else { 0 }).await?,
            decompressor,
            compressed: Vec::new(),
            skip: if plain { 0 } else { offset },
            ended: false,
        })
    }

    /// True if [`FileBytes::append`] may wait for a network.
    pub fn may_wait(&self) -> bool {
        self.raw.may_wait()
    }

    /// What is wrong with the rest of a compressed file; `None` if nothing is, or if it is not compressed. To be asked when
    /// what it stands for cannot be read: a checksum stands behind the data. The rest is then read.
    pub async fn damage(&mut self) -> Option<ConnectorError> {
        let mut rest = Vec::new();
        while !self.decompressor.is_plain() {
            rest.clear();
            match self.append(&mut rest).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Some(error),
            }
        }
        None
    }

    /// Appends the next bytes to `out`; false at the end of the file. A call that is given up loses nothing.
    pub async fn append(&mut self, out: &mut Vec<u8>) -> Result<bool, ConnectorError> {
        let start = out.len();
        while !self.ended && out.len() == start {
            if self.decompressor.is_plain() {
                self.ended = self.raw.append(&self.path, out).await? == 0;
                continue;
            }
            let read = self.raw.append(&self.path, &mut self.compressed).await?;
            self.ended = read == 0;
            let plain = match self.ended {
                true => self.decompressor.finish(out),
                false => self.decompressor.push(&self.compressed, out),
            };
            self.compressed.clear();
            plain.map_err(|damage| {
                ConnectorError::Record(format!("cannot decompress {}: {damage}", self.path))
            })?;
            let passed = self.skip.min((out.len() - start) as u64);
            out.drain(start..start + passed as usize);
            self.skip -= passed;
        }
        if self.ended && self.skip > 0 {
            return Err(ConnectorError::Record(format!(
                "cannot resume {}: it is {} decompressed bytes shorter than at the checkpoint; it was cut \
                 or replaced",
                self.path, self.skip
            )));
        }
        Ok(out.len() > start)
    }
}
