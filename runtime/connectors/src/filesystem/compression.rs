//! Decompression by the name of a file.

use flate2::write::MultiGzDecoder;
use std::io::{self, Write};
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// Room for what one step of zstd brings.
const STEP: usize = 128 << 10;

/// Compressed bytes in, plain bytes out.
pub(super) enum Decompressor {
    Plain,
    /// any number of members
    Gzip {
        decoder: Box<MultiGzDecoder<Vec<u8>>>,
        any: bool,
    },
    /// any number of frames
    Zstd {
        decoder: ZstdDecoder<'static>,
        inside_frame: bool,
    },
}

impl Decompressor {
    /// By the extension of `name`; the error is the extension of a compression that is not built.
    pub fn of_name(name: &str) -> Result<Decompressor, String> {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => {
                Ok(Decompressor::Gzip { decoder: Box::new(MultiGzDecoder::new(Vec::new())), any: false })
            }
            "zst" => {
                let decoder = ZstdDecoder::new().map_err(|error| format!("zst ({error})"))?;
                Ok(Decompressor::Zstd { decoder, inside_frame: false })
            }
            known @ ("bz2" | "xz" | "deflate" | "lz4" | "snappy" | "zip") => Err(known.to_string()),
            _ => Ok(Decompressor::Plain),
        }
    }

    pub fn is_plain(&self) -> bool {
        matches!(self, Decompressor::Plain)
    }

    /// Appends what `input`, the next bytes of the file, stands for.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Decompressor::Plain => out.extend_from_slice(input),
            Decompressor::Gzip { decoder, any } => {
                *any |= !input.is_empty();
                decoder.write_all(input)?;
                out.append(decoder.get_mut());
            }
            Decompressor::Zstd { decoder, inside_frame } => {
                let mut input = InBuffer::around(input);
                loop {
                    let start = out.len();
                    out.reserve(STEP);
                    let room = out.capacity();
                    let mut output = OutBuffer::around_pos(out, start);
                    let before = input.pos();
                    let left = decoder.run(&mut input, &mut output)?;
                    let filled = output.pos() == room;
                    let moved = input.pos() > before || output.pos() > start;
                    if moved {
                        *inside_frame = left != 0;
                    }
                    if left == 0 && moved {
                        decoder.reinit()?;
                    }
                    // All input is taken, and what it stands for fitted.
                    if input.pos() == input.src.len() && !filled {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The file has ended: appends what was held back, and fails if it ended in the middle.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Decompressor::Plain => Ok(()),
            Decompressor::Gzip { any: false, .. } => Ok(()),
            Decompressor::Gzip { decoder, .. } => {
                decoder.try_finish()?;
                out.append(decoder.get_mut());
                Ok(())
            }
            Decompressor::Zstd { inside_frame: false, .. } => Ok(()),
            Decompressor::Zstd { .. } => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last frame is cut"))
            }
        }
    }
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

    fn decompress(name: &str, bytes: &[u8], chunk: usize) -> io::Result<Vec<u8>> {
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
    fn cut_and_corrupt_files_fail() {
        let (gz, zst) = (gzip(&text()), zstd::encode_all(&text()[..], 3).unwrap());
        for (name, bytes) in [("a.gz", gz), ("a.zst", zst)] {
            for cut in [3, 20, bytes.len() / 2, bytes.len() - 1] {
                assert!(decompress(name, &bytes[..cut], 1000).is_err(), "{name} cut at {cut}");
            }
            assert!(decompress(name, b"this is not compressed at all", 1000).is_err(), "{name}");
        }
        assert_eq!(Decompressor::of_name("a.bz2").err().as_deref(), Some("bz2"));
    }
}
