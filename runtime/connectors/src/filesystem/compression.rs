//! Decompression by the name of a file.

use flate2::write::GzDecoder;
use std::io::Write;
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// Room for what one step of zstd brings.
const STEP: usize = 128 << 10;

/// What a member of gzip begins with.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Compressed bytes in, plain bytes out.
pub(super) enum Decompressor {
    Plain,
    /// any number of members
    Gzip(Box<Gzip>),
    /// any number of frames
    Zstd(Box<Zstd>),
}

/// What is wrong with a compressed file. Places are bytes of the file as it is, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("it is not {format}: take the extension off its name if it is not compressed")]
    Other { format: &'static str },
    #[error("from byte {from} on it is not {format}: something else stands behind the compressed data")]
    Trailing { format: &'static str, from: u64 },
    #[error("its compressed data is damaged near byte {near}")]
    Data { near: u64 },
    #[error("bytes {from} to {to} do not stand for what their checksum says: one of them is damaged")]
    Checksum { from: u64, to: u64 },
    #[error("it ends at byte {at} in the middle of the compressed data: it is cut, or still being written")]
    Cut { at: u64 },
}

impl Decompressor {
    /// By the extension of `name`; the error is the extension of a compression that is not built.
    pub fn of_name(name: &str) -> Result<Decompressor, String> {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Ok(Decompressor::Gzip(Box::new(Gzip::new()))),
            "zst" => {
                let decoder = ZstdDecoder::new().map_err(|error| format!("zst ({error})"))?;
                let zstd = Zstd { decoder, inside_frame: false, frame_start: 0, taken: 0 };
                Ok(Decompressor::Zstd(Box::new(zstd)))
            }
            known @ ("bz2" | "xz" | "deflate" | "lz4" | "snappy" | "zip") => Err(known.to_string()),
            _ => Ok(Decompressor::Plain),
        }
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Decompressor::Plain)
    }

    /// Appends what `input`, the next bytes of the file, stands for.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
        match self {
            Decompressor::Plain => {
                out.extend_from_slice(input);
                Ok(())
            }
            Decompressor::Gzip(gzip) => gzip.push(input, out),
            Decompressor::Zstd(zstd) => zstd.push(input, out),
        }
    }

    /// The file has ended: appends what was held back, and fails if it ended in the middle.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Damage> {
        match self {
            Decompressor::Plain => Ok(()),
            Decompressor::Gzip(gzip) => gzip.finish(out),
            Decompressor::Zstd(zstd) if zstd.inside_frame => Err(Damage::Cut { at: zstd.taken }),
            Decompressor::Zstd(_) => Ok(()),
        }
    }
}

/// Members of gzip, one after another. flate2's decoder of many members does not say where one begins.
pub(super) struct Gzip {
    decoder: GzDecoder<Vec<u8>>,
    member_start: u64,
    /// bytes of the file
    taken: u64,
}

impl Gzip {
    fn new() -> Gzip {
        Gzip { decoder: GzDecoder::new(Vec::new()), member_start: 0, taken: 0 }
    }

    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
        let mut rest = input;
        while !rest.is_empty() {
            let in_header = self.decoder.header().is_none();
            // The decoder looks at a header when it has all of it, which what is none may never have.
            let seen = (self.taken - self.member_start) as usize;
            let magic = GZIP_MAGIC.get(seen..).filter(|_| in_header).unwrap_or_default();
            if magic.iter().zip(rest).any(|(expected, found)| expected != found) {
                return Err(other("gzip", self.member_start));
            }
            match self.decoder.write(rest) {
                // The member has ended, and there is more.
                Ok(0) if !in_header => {
                    self.end_member(out)?;
                    self.decoder = GzDecoder::new(Vec::new());
                    self.member_start = self.taken;
                }
                Ok(taken) => {
                    self.taken += taken as u64;
                    rest = &rest[taken..];
                }
                Err(_) => return Err(Damage::Data { near: self.taken }),
            }
        }
        out.append(self.decoder.get_mut());
        Ok(())
    }

    fn end_member(&mut self, out: &mut Vec<u8>) -> Result<(), Damage> {
        let checksum = Damage::Checksum { from: self.member_start, to: self.taken };
        self.decoder.try_finish().map_err(|_| checksum)?;
        out.append(self.decoder.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Damage> {
        if self.taken == 0 {
            return Ok(());
        }
        // A member that is whole takes no further byte.
        let is_whole = self.decoder.header().is_some() && matches!(self.decoder.write(&[0]), Ok(0));
        if !is_whole {
            return Err(Damage::Cut { at: self.taken });
        }
        self.end_member(out)
    }
}

/// Frames of zstd, one after another.
pub(super) struct Zstd {
    decoder: ZstdDecoder<'static>,
    inside_frame: bool,
    frame_start: u64,
    /// bytes of the file
    taken: u64,
}

impl Zstd {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
        let mut input = InBuffer::around(input);
        loop {
            let start = out.len();
            out.reserve(STEP);
            let room = out.capacity();
            let mut output = OutBuffer::around_pos(out, start);
            let before = input.pos();
            let left = self.decoder.run(&mut input, &mut output).map_err(|error| self.damage(&error))?;
            let filled = output.pos() == room;
            let moved = input.pos() > before || output.pos() > start;
            self.taken += (input.pos() - before) as u64;
            if moved {
                self.inside_frame = left != 0;
            }
            if left == 0 && moved {
                self.decoder.reinit().map_err(|_| Damage::Data { near: self.taken })?;
                self.frame_start = self.taken;
            }
            // All input is taken, and what it stands for fitted.
            if input.pos() == input.src.len() && !filled {
                return Ok(());
            }
        }
    }

    /// By zstd's own words: there is nothing else to tell the kinds apart.
    fn damage(&self, error: &std::io::Error) -> Damage {
        let message = error.to_string();
        match () {
            () if message.contains("Unknown frame descriptor") => other("zstd", self.frame_start),
            () if message.contains("checksum") => Damage::Checksum { from: self.frame_start, to: self.taken },
            () => Damage::Data { near: self.taken },
        }
    }
}

/// What is not of this format from byte `from` on.
fn other(format: &'static str, from: u64) -> Damage {
    if from == 0 { Damage::Other { format } } else { Damage::Trailing { format, from } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decompress(name: &str, bytes: &[u8], chunk: usize) -> Result<Vec<u8>, Damage> {
        let mut decompressor = Decompressor::of_name(name).unwrap();
        let mut out = Vec::new();
        for piece in bytes.chunks(chunk) {
            decompressor.push(piece, &mut out)?;
        }
        decompressor.finish(&mut out)?;
        Ok(out)
    }

    /// Larger than any buffer, and not all the same.
    fn text() -> Vec<u8> {
        (0..60_000)
            .flat_map(|n: u32| format!("line {}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect()
    }

    #[test]
    fn several_members_and_frames_are_one_text() {
        let (left, right) = (text(), b"the end\n".to_vec());
        let whole = [left.clone(), right.clone()].concat();
        let gz = [gzip(&left), gzip(&right)].concat();
        let zst =
            [zstd::encode_all(&left[..], 3).unwrap(), zstd::encode_all(&right[..], 3).unwrap()].concat();
        for chunk in [1, 7, 4096, usize::MAX / 2] {
            assert!(decompress("a.gz", &gz, chunk).unwrap() == whole, "gz in chunks of {chunk}");
            assert!(decompress("a.json.ZST", &zst, chunk).unwrap() == whole, "zst in chunks of {chunk}");
        }
        assert_eq!(decompress("a.json", b"plain", 2).unwrap(), b"plain");
    }

    #[test]
    fn empty_files_and_empty_contents_are_empty() {
        let zst = zstd::encode_all(&b""[..], 3).unwrap();
        for (name, bytes) in
            [("a.gz", gzip(b"")), ("a.gz", vec![]), ("a.zst", zst), ("a.zst", vec![]), ("a", vec![])]
        {
            assert_eq!(decompress(name, &bytes, 5).unwrap(), b"", "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let mut zst = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        zst.include_checksum(true).unwrap();
        zst.write_all(&text()).unwrap();
        for (name, format, bytes) in
            [("a.gz", "gzip", gzip(&text())), ("a.zst", "zstd", zst.finish().unwrap())]
        {
            let size = bytes.len() as u64;
            for chunk in [1, 1000, usize::MAX / 2] {
                for cut in [3, 20, bytes.len() / 2, bytes.len() - 1] {
                    let found = decompress(name, &bytes[..cut], chunk);
                    assert_eq!(found, Err(Damage::Cut { at: cut as u64 }), "{name} cut at {cut}");
                }
                let found = decompress(name, b"this is not compressed at all", chunk);
                assert_eq!(found, Err(Damage::Other { format }));
                let trailing = [&bytes[..], b"and more"].concat();
                let found = decompress(name, &trailing, chunk);
                assert_eq!(found, Err(Damage::Trailing { format, from: size }));
                let mut checksum = bytes.clone();
                let last = if name == "a.gz" { bytes.len() - 8 } else { bytes.len() - 1 };
                checksum[last] ^= 1;
                let found = decompress(name, &checksum, chunk);
                assert!(matches!(found, Err(Damage::Checksum { from: 0, .. })), "{name}: {:?}", found.err());
            }
            let mut flipped = bytes.clone();
            flipped[bytes.len() / 2] ^= 0x40;
            let found = decompress(name, &flipped, 1000);
            assert!(matches!(found, Err(Damage::Data { .. } | Damage::Checksum { .. })), "{name}");
        }
        assert_eq!(Decompressor::of_name("a.bz2").err().as_deref(), Some("bz2"));
    }
}
