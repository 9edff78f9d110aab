//! Segments that are compressed where they are stored: a frame of Zstandard instead of the segment. Which one it is says
//! its first word, whatever the settings say by now.

use crate::CheckpointError;
use bytes::Bytes;
use std::collections::BTreeMap;
use weir_state::SegmentId;

/// What a frame begins with; a segment begins with a word of its own.
const FRAME: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// Fast enough to stand beside the work: state is written again and again, and read once.
const LEVEL: i32 = 1;

/// `segment` as it is stored: compressed, if that makes it smaller.
pub(crate) fn compress(segment: Bytes) -> Bytes {
    match zstd::bulk::compress(&segment, LEVEL) {
        Ok(compressed) if compressed.len() < segment.len() => Bytes::from(compressed),
        _ => segment,
    }
}

pub(crate) fn is_compressed(stored: &Bytes) -> bool {
    stored.starts_with(&FRAME)
}

/// Segments as they were before they were stored; `file` names the place that they come from in errors.
///
/// # Errors
/// [`CheckpointError::Corrupt`] for a frame that is damaged.
pub(crate) fn expand_all(
    stored: BTreeMap<SegmentId, Bytes>,
    file: &str,
) -> Result<BTreeMap<SegmentId, Bytes>, CheckpointError> {
    let expand = |(id, bytes): (SegmentId, Bytes)| {
        if !is_compressed(&bytes) {
            return Ok((id, bytes));
        }
        let expanded = zstd::stream::decode_all(&bytes[..]).map_err(|error| CheckpointError::Corrupt {
            file: format!("{file}, segment {}/{}", id.checkpoint, id.number),
            offset: 0,
            what: format!("it cannot be expanded: {error}"),
        })?;
        Ok((id, Bytes::from(expanded)))
    };
    stored.into_iter().map(expand).collect()
}
