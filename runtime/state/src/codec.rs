//! Bytes that are persisted: a magic word, a version, contents, a checksum. Numbers are little endian.

use crate::StateError;
use bytes::Bytes;
use std::ops::RangeInclusive;
use weir_types::key_hash;

const HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

/// Collects contents behind the magic word and the version.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(magic: [u8; 4], version: u16) -> Self {
        Writer::within(Vec::new(), magic, version)
    }

    /// The same in memory that had other contents.
    pub(crate) fn within(mut memory: Vec<u8>, magic: [u8; 4], version: u16) -> Self {
        memory.clear();
        memory.extend_from_slice(&magic);
        memory.extend_from_slice(&version.to_le_bytes());
        Writer(memory)
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends `length` bytes, which `write` sets to zeros or else; it may write `more` bytes behind them, which are cut
    /// off.
    pub(crate) fn overlapped(&mut self, length: usize, more: usize, write: impl FnOnce(&mut [u8])) {
        let start = self.0.len();
        self.0.resize(start + length + more, 0);
        write(&mut self.0[start..]);
        self.0.truncate(start + length);
    }

    /// Makes room for `bytes` more.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// A length of four bytes, and the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.raw(bytes);
    }
}

/// Ends contents with their checksum: [`key_hash`] of all before it.
pub(crate) fn seal(writer: Writer) -> Bytes {
    let mut bytes = writer.0;
    let checksum = key_hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Bytes::from(bytes)
}

/// A reader of the contents, whose magic word, version and checksum have been checked.
pub(crate) fn open<'a>(
    bytes: &'a Bytes,
    magic: [u8; 4],
    version: u16,
    file: &'a str,
) -> Result<Reader<'a>, StateError> {
    open_any(bytes, magic, version..=version, file).map(|(_, reader)| reader)
}

/// The same for any of `versions`, and which it is.
pub(crate) fn open_any<'a>(
    bytes: &'a Bytes,
    magic: [u8; 4],
    versions: RangeInclusive<u16>,
    file: &'a str,
) -> Result<(u16, Reader<'a>), StateError> {
    let mut reader = Reader { bytes, offset: 0, end: bytes.len(), file };
    if reader.take(4, "the kind of file")? != magic {
        return Err(StateError::Corrupt {
            file: file.to_string(),
            offset: 0,
            what: format!("not a file that begins with {}", magic.escape_ascii()),
        });
    }
    let found = reader.u16("the version")?;
    if !versions.contains(&found) {
        let newest = versions.end();
        let what =
            format!("version {found}, of which this version of weir knows nothing (it writes {newest})");
        return Err(StateError::Corrupt { file: file.to_string(), offset: 4, what });
    }
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES {
        reader.offset = bytes.len();
        return Err(reader.truncated("the checksum"));
    }
    reader.end = bytes.len() - CHECKSUM_BYTES;
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&bytes[reader.end..]);
    if key_hash(&bytes[..reader.end]) != u64::from_le_bytes(checksum) {
        let what = "the checksum is not that of the contents".to_string();
        return Err(StateError::Corrupt { file: file.to_string(), offset: reader.end as u64, what });
    }
    Ok((found, reader))
}

/// Reads contents and never beyond them.
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    offset: usize,
    end: usize,
    file: &'a str,
}

impl<'a> Reader<'a> {
    pub(crate) fn truncated(&self, what: &str) -> StateError {
        StateError::Truncated {
            file: self.file.to_string(),
            offset: self.offset as u64,
            what: what.to_string(),
        }
    }

    pub(crate) fn corrupt(&self, what: &str) -> StateError {
        StateError::Corrupt {
            file: self.file.to_string(),
            offset: self.offset as u64,
            what: what.to_string(),
        }
    }

    pub(crate) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], StateError> {
        let end = self.offset.checked_add(length).filter(|&end| end <= self.end);
        let end = end.ok_or_else(|| self.truncated(what))?;
        let bytes = &self.bytes[self.offset..end];
        self.offset = end;
        Ok(bytes)
    }

    /// `count` items of `width` bytes.
    pub(crate) fn items(&mut self, count: usize, width: usize, what: &str) -> Result<&'a [u8], StateError> {
        let length = count.checked_mul(width).ok_or_else(|| self.truncated(what))?;
        self.take(length, what)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], StateError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &str) -> Result<u8, StateError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u16(&mut self, what: &str) -> Result<u16, StateError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Bytes behind their length; shares the memory.
    pub(crate) fn bytes(&mut self, what: &str) -> Result<Bytes, StateError> {
        let length = self.u32(what)? as usize;
        let start = self.offset;
        self.take(length, what)?;
        Ok(self.bytes.slice(start..start + length))
    }

    /// # Errors
    /// [`StateError::Corrupt`] if contents are left.
    pub(crate) fn finish(self) -> Result<(), StateError> {
        if self.offset == self.end { Ok(()) } else { Err(self.corrupt("more contents than announced")) }
    }
}
