//! A manifest from bytes. Bytes that cannot be what was written are errors with the file and the offset.

use super::encode::{CHECKSUM_BYTES, HEADER_BYTES, MAGIC, ON_TOP, PLAIN, VERSION, ZSTD};
use super::{CanonicalFile, Manifest, Place};
use crate::CheckpointError;
use bytes::Bytes;
use weir_types::key_hash;

/// More than a body ever has: a length beyond it is no length.
const BODY_LIMIT: usize = 4 << 30;

/// Reads a manifest and its blobs; `file` names the place they come from in errors.
///
/// # Errors
/// [`CheckpointError::Truncated`] and [`CheckpointError::Corrupt`].
pub fn decode(bytes: &Bytes, file: &str) -> Result<(Manifest, Bytes), CheckpointError> {
    let reader = Reader { bytes, file };
    let (compression, body_length, blobs_length) = reader.header()?;
    let body_end = body_length.checked_add(HEADER_BYTES as u64);
    let blobs_start = body_end.and_then(|end| end.checked_add(CHECKSUM_BYTES as u64));
    let end =
        blobs_start.and_then(|start| start.checked_add(blobs_length)?.checked_add(CHECKSUM_BYTES as u64));
    let (Some(blobs_start), Some(end)) = (blobs_start, end) else {
        return Err(reader.corrupt(12, "lengths beyond all measure"));
    };
    let body = reader.section(HEADER_BYTES as u64, body_length, "the body")?;
    let blobs = reader.section(blobs_start, blobs_length, "the blobs")?;
    if (bytes.len() as u64) > end {
        return Err(reader.corrupt(end, "more contents than announced"));
    }
    let json = match compression {
        PLAIN => body.to_vec(),
        ZSTD => zstd::stream::decode_all(&body[..])
            .map_err(|error| reader.corrupt(HEADER_BYTES as u64, &format!("decompress the body: {error}")))?,
        other => return Err(reader.corrupt(10, &format!("compression {other} is not known here"))),
    };
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|error| reader.corrupt(HEADER_BYTES as u64, &format!("read the body: {error}")))?;
    check(&manifest, blobs.len() as u64).map_err(|what| reader.corrupt(HEADER_BYTES as u64, &what))?;
    Ok((manifest, blobs))
}

struct Reader<'a> {
    bytes: &'a Bytes,
    file: &'a str,
}

impl Reader<'_> {
    fn truncated(&self, what: &str) -> CheckpointError {
        let offset = self.bytes.len() as u64;
        CheckpointError::Truncated { file: self.file.to_string(), offset, what: what.to_string() }
    }

    fn corrupt(&self, offset: u64, what: &str) -> CheckpointError {
        CheckpointError::Corrupt { file: self.file.to_string(), offset, what: what.to_string() }
    }

    /// How the body is compressed, and the lengths of body and blobs.
    fn header(&self) -> Result<(u16, u64, u64), CheckpointError> {
        let known = self.bytes.len().min(MAGIC.len());
        if self.bytes[..known] != MAGIC[..known] {
            return Err(self.corrupt(0, "not the metadata of a checkpoint of weir"));
        }
        if self.bytes.len() < HEADER_BYTES {
            return Err(self.truncated("the header"));
        }
        let version = u16::from_le_bytes([self.bytes[8], self.bytes[9]]);
        if !(VERSION..=ON_TOP).contains(&version) {
            let what = format!(
                "format {version}, and this version of weir reads {VERSION} to {ON_TOP}: open it with the version that wrote it"
            );
            return Err(self.corrupt(8, &what));
        }
        let checksum_at = HEADER_BYTES - CHECKSUM_BYTES;
        if key_hash(&self.bytes[..checksum_at]) != self.number(checksum_at) {
            return Err(self.corrupt(checksum_at as u64, "the checksum is not that of the header"));
        }
        let compression = u16::from_le_bytes([self.bytes[10], self.bytes[11]]);
        Ok((compression, self.number(12), self.number(20)))
    }

    /// The eight bytes at `at`, which are there.
    fn number(&self, at: usize) -> u64 {
        let mut number = [0; 8];
        number.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(number)
    }

    fn section(&self, start: u64, length: u64, what: &str) -> Result<Bytes, CheckpointError> {
        let end = start + length;
        if length > BODY_LIMIT as u64 || end + CHECKSUM_BYTES as u64 > self.bytes.len() as u64 {
            return Err(self.truncated(what));
        }
        let section = self.bytes.slice(start as usize..end as usize);
        if key_hash(&section) != self.number(end as usize) {
            return Err(self.corrupt(end, &format!("the checksum is not that of {what}")));
        }
        Ok(section)
    }
}

/// Whether everything that refers to something refers to what is there.
fn check(manifest: &Manifest, blobs: u64) -> Result<(), String> {
    let files = manifest.files.len() as u64;
    let place = |place: &Place| {
        let room = match place.file {
            None => Some(blobs),
            Some(file) => manifest.files.get(file as usize).map(|file| file.bytes),
        };
        match (room, place.offset.checked_add(place.length)) {
            (Some(room), Some(end)) if end <= room => Ok(()),
            _ => Err(format!("a place beyond its file: {place:?}, of {files} files")),
        }
    };
    for operator in &manifest.operators {
        for subtask in &operator.subtasks {
            subtask.operator_state.iter().try_for_each(&place)?;
            subtask.in_flight.iter().try_for_each(|in_flight| place(&in_flight.place))?;
            let Some(keyed) = &subtask.keyed else { continue };
            keyed.segments.check(keyed.states.len()).map_err(|what| format!("{}: {what}", operator.id))?;
            keyed.segments.iter().try_for_each(|segment| place(&segment.place))?;
            let beyond = |canonical: &&CanonicalFile| {
                u64::from(canonical.file) >= files || canonical.state as usize >= keyed.states.len()
            };
            if let Some(canonical) = keyed.canonical.iter().find(beyond) {
                return Err(format!("{}: a state or file that is not there: {canonical:?}", operator.id));
            }
            if let Some(named) = keyed.files.iter().find(|named| u64::from(named.file) >= files) {
                return Err(format!(
                    "{}: file {} is the {}th of {files}",
                    operator.id, named.name, named.file
                ));
            }
        }
    }
    Ok(())
}
