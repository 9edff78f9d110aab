//! Checksums of a whole file, piece by piece, so that damage has a place.
//!
//! They are made of bytes that pass through anyway, when a file is written or copied; a file that becomes part of a checkpoint
//! as a link is read for them.

use crate::CheckpointError;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;
use weir_types::key_hash;

/// Bytes that have one checksum. It is persisted, in that checksums in manifests are of pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// Digits of a checksum in a manifest.
const DIGITS: usize = 16;

/// The [`key_hash`] of each MiB of a file, and of what is left at its end. In a manifest they are digits, sixteen of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChecksums(Arc<[u64]>);

/// Gathers the checksums of bytes that come one after the other.
#[derive(Debug, Default)]
pub(crate) struct Summing {
    piece: Vec<u8>,
    checksums: Vec<u64>,
}

impl FileChecksums {
    /// Of a file with these contents.
    pub(crate) fn of(contents: &[u8]) -> FileChecksums {
        let mut summing = Summing::default();
        summing.add(contents);
        summing.finish()
    }

    /// What is wrong with `file` of `bytes`, which should have these checksums and has those of `found`.
    ///
    /// # Errors
    /// [`CheckpointError::Corrupt`] with the offset of the first piece that is not what was written.
    pub(crate) fn check(&self, found: &FileChecksums, bytes: u64, file: &str) -> Result<(), CheckpointError> {
        let pieces = self.0.iter().zip(found.0.iter());
        let wrong: Vec<usize> =
            pieces.enumerate().filter(|(_, (was, is))| was != is).map(|(place, _)| place).collect();
        let (first, pieces) = match wrong.first() {
            Some(first) => (*first, self.0.len()),
            None if self.0.len() == found.0.len() => return Ok(()),
            None => (self.0.len().min(found.0.len()), self.0.len()),
        };
        let (file, offset) = (file.to_string(), (first * PIECE_BYTES) as u64);
        let length = bytes.saturating_sub(offset).min(PIECE_BYTES as u64);
        let mut what =
            format!("the {length} bytes from there on are not what was written, by their checksum");
        if wrong.len() > 1 {
            what = format!("{what}; {} of {pieces} such pieces are not", wrong.len());
        }
        Err(CheckpointError::Corrupt { file, offset, what })
    }
}

impl Summing {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        if !self.piece.is_empty() {
            let (filling, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.piece.len()));
            self.piece.extend_from_slice(filling);
            bytes = rest;
            if self.piece.len() == PIECE_BYTES {
                self.checksums.push(key_hash(&self.piece));
                self.piece.clear();
            }
        }
        let whole = bytes.chunks_exact(PIECE_BYTES);
        self.piece.extend_from_slice(whole.remainder());
        self.checksums.extend(whole.map(key_hash));
    }

    pub(crate) fn finish(mut self) -> FileChecksums {
        if !self.piece.is_empty() {
            self.checksums.push(key_hash(&self.piece));
        }
        FileChecksums(self.checksums.into())
    }
}

impl Serialize for FileChecksums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|checksum| format!("{checksum:016x}")).collect();
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for FileChecksums {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        if !digits.len().is_multiple_of(DIGITS) || !digits.is_ascii() {
            return Err(D::Error::custom("checksums of a file without sixteen digits each"));
        }
        let places = (0..digits.len()).step_by(DIGITS);
        let checksums = places.map(|at| u64::from_str_radix(&digits[at..at + DIGITS], 16));
        checksums
            .collect::<Result<Vec<u64>, _>>()
            .map(|all| FileChecksums(all.into()))
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at % 251) as u8).collect()
    }

    /// In whatever portions the bytes come.
    #[test]
    fn portions_do_not_matter() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7] {
            let whole = contents(length);
            let expected = FileChecksums::of(&whole);
            assert_eq!(expected.0.len(), length.div_ceil(PIECE_BYTES));
            for portion in [999, 4096, PIECE_BYTES - 3, PIECE_BYTES + 3, 2 * PIECE_BYTES] {
                let mut summing = Summing::default();
                whole.chunks(portion).for_each(|part| summing.add(part));
                assert_eq!(summing.finish(), expected, "{length} bytes in portions of {portion}");
            }
        }
    }

    #[test]
    fn the_piece_that_differs_is_named() {
        let whole = contents(3 * PIECE_BYTES + 7);
        let expected = FileChecksums::of(&whole);
        assert_eq!(expected.check(&expected.clone(), whole.len() as u64, "f"), Ok(()));
        for (at, piece) in [(0, 0), (PIECE_BYTES - 1, 0), (PIECE_BYTES, 1), (3 * PIECE_BYTES + 6, 3)] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            let error = expected.check(&FileChecksums::of(&damaged), whole.len() as u64, "f");
            let error = error.expect_err("it differs");
            let CheckpointError::Corrupt { file, offset, .. } = &error else { panic!("{error}") };
            assert_eq!((file.as_str(), *offset), ("f", (piece * PIECE_BYTES) as u64), "byte {at}");
        }
        let longer = FileChecksums::of(&contents(4 * PIECE_BYTES + 7));
        assert!(
            FileChecksums::of(&contents(4 * PIECE_BYTES)).check(&longer, 9, "f").is_err(),
            "it is longer"
        );
    }

    /// They are in manifests, so they are what they are.
    #[test]
    fn they_are_kept_as_digits() {
        let checksums = FileChecksums::of(b"a");
        let text = serde_json::to_string(&checksums).expect("text");
        assert_eq!(text, "\"844abc8094d5f4ef\"");
        assert_eq!(serde_json::from_str::<FileChecksums>(&text).expect("what was written"), checksums);
        for wrong in [
            "\"844abc8094d5f4e\"",
            "\"844abc8094d5f4eg\"",
            "7",
            "\"\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\"",
        ] {
            assert!(serde_json::from_str::<FileChecksums>(wrong).is_err(), "{wrong}");
        }
    }
}
