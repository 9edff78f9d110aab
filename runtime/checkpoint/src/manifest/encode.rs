//! A manifest to bytes.
//!
//! `WEIRCHKP`, version u16, how the body is compressed u16 (0 not, 1 zstd), the body's length u64, the blobs' length
//! u64, the checksum of all before it; the body, which is JSON, and its checksum; the blobs, and theirs. Numbers are
//! little endian, checksums [`key_hash`].

use super::Manifest;
use bytes::Bytes;
use weir_types::key_hash;

pub(super) const MAGIC: &[u8; 8] = b"WEIRCHKP";
/// The version of a manifest in which keyed state is in segments or in files.
pub(super) const VERSION: u16 = 1;
/// The version of one with segments that lie on top of files: who looks at the files alone would see old entries.
pub(super) const ON_TOP: u16 = 2;
pub(super) const HEADER_BYTES: usize = 36;
pub(super) const CHECKSUM_BYTES: usize = 8;
pub(super) const PLAIN: u16 = 0;
pub(super) const ZSTD: u16 = 1;

/// Bytes of a body from which on it is compressed: smaller ones can be read with any pager.
const COMPRESS_FROM: usize = 16 << 10;
const ZSTD_LEVEL: i32 = 1;

fn version_of(manifest: &Manifest) -> u16 {
    let subtasks = manifest.operators.iter().flat_map(|operator| &operator.subtasks);
    let mut keyed = subtasks.filter_map(|subtask| subtask.keyed.as_ref());
    if keyed.any(|keyed| !keyed.files.is_empty() && !keyed.segments.is_empty()) { ON_TOP } else { VERSION }
}

/// The bytes of `_metadata`. `blobs` holds what places without a file refer to.
pub fn encode(manifest: &Manifest, blobs: &[u8]) -> Bytes {
    let json = serde_json::to_vec(manifest).expect("a manifest consists of strings and numbers");
    let compressed =
        if json.len() >= COMPRESS_FROM { zstd::bulk::compress(&json, ZSTD_LEVEL).ok() } else { None };
    let (compression, body) = match compressed {
        Some(compressed) => (ZSTD, compressed),
        None => (PLAIN, json),
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len() + blobs.len() + 2 * CHECKSUM_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&version_of(manifest).to_le_bytes());
    out.extend_from_slice(&compression.to_le_bytes());
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(&(blobs.len() as u64).to_le_bytes());
    let checksum = key_hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    debug_assert_eq!(out.len(), HEADER_BYTES);
    for part in [&body[..], blobs] {
        out.extend_from_slice(part);
        out.extend_from_slice(&key_hash(part).to_le_bytes());
    }
    Bytes::from(out)
}
