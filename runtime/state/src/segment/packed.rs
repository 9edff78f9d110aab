//! Columns in as few bytes as their values differ in: counters are small, keys of one table begin alike, and what is not
//! written need not be summed, copied or uploaded either.
//!
//! *Numbers* of a width of 1, 2, 4, 8 or 16 bytes: the least of them in that width, as signed numbers are compared; how
//! many bytes a number takes, u8; of each number what it is above the least.
//!
//! *Strings*: tag u8; 1 if all have one length of at most [`LONGEST`]: the length u8, the first string, a bit a byte
//! that is set where any other string differs from it, and of each string the bytes of these places; otherwise 0, the
//! lengths as numbers of 4 bytes, the bytes.

use super::ByteStrings;
use crate::StateError;
use crate::codec::{Reader, Writer};

const OF_ONE_LENGTH: u8 = 1;
const OF_ANY_LENGTH: u8 = 0;
/// Bytes of strings whose places are told apart.
const LONGEST: usize = 64;
/// A segment has no more rows than this: a larger number is damage.
pub(super) const MOST_ROWS: usize = 1 << 22;

/// Appends numbers of `width` bytes, 8 at most.
pub(super) fn write_numbers(
    width: usize,
    values: impl ExactSizeIterator<Item = i64> + Clone,
    out: &mut Writer,
) {
    let least = values.clone().min().unwrap_or(0);
    let span = values.clone().max().unwrap_or(0).wrapping_sub(least) as u64;
    out.raw(&least.to_le_bytes()[..width]);
    let bytes = (64 - span.leading_zeros()).div_ceil(8) as usize;
    out.u8(bytes as u8);
    let count = values.len();
    let above = values.map(|value| value.wrapping_sub(least) as u64);
    write_low_bytes(bytes, above.map(u64::to_le_bytes), count, out);
}

/// The same of 16 bytes.
pub(super) fn write_wide_numbers(values: &[i128], out: &mut Writer) {
    let least = values.iter().copied().min().unwrap_or(0);
    let span = values.iter().copied().max().unwrap_or(0).wrapping_sub(least) as u128;
    out.raw(&least.to_le_bytes());
    let bytes = (128 - span.leading_zeros()).div_ceil(8) as usize;
    out.u8(bytes as u8);
    let above = values.iter().map(|value| value.wrapping_sub(least) as u128);
    above.for_each(|above| out.raw(&above.to_le_bytes()[..bytes]));
}

/// Appends the first `bytes` of each of `count` words.
fn write_low_bytes(bytes: usize, words: impl Iterator<Item = [u8; 8]>, count: usize, out: &mut Writer) {
    /// Writes each word whole, and the next one over what is too much of it.
    fn write<const N: usize>(words: impl Iterator<Item = [u8; 8]>, count: usize, out: &mut Writer) {
        out.overlapped(count * N, 8 - N, |target| {
            for (place, word) in words.enumerate() {
                target[place * N..place * N + 8].copy_from_slice(&word);
            }
        });
    }
    match bytes {
        0 => {}
        1 => write::<1>(words, count, out),
        2 => write::<2>(words, count, out),
        3 => write::<3>(words, count, out),
        4 => write::<4>(words, count, out),
        5 => write::<5>(words, count, out),
        6 => write::<6>(words, count, out),
        7 => write::<7>(words, count, out),
        _ => write::<8>(words, count, out),
    }
}

/// The bytes of `rows` numbers of `width` bytes, little endian.
pub(super) fn read_numbers(
    reader: &mut Reader,
    width: usize,
    rows: usize,
    what: &str,
) -> Result<Vec<u8>, StateError> {
    let mut word = [0; 16];
    word[..width].copy_from_slice(reader.take(width, what)?);
    let least = u128::from_le_bytes(word);
    let bytes = usize::from(reader.u8(what)?);
    if bytes > width {
        return Err(reader.corrupt("numbers that are wider than their column"));
    }
    let above = reader.items(rows, bytes, what)?;
    let mut values = Vec::with_capacity(rows * width);
    if width == 8 {
        let least = least as u64;
        for row in 0..rows {
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(&above[row * bytes..(row + 1) * bytes]);
            values.extend_from_slice(&least.wrapping_add(u64::from_le_bytes(word)).to_le_bytes());
        }
        return Ok(values);
    }
    for row in 0..rows {
        let mut word = [0; 16];
        word[..bytes].copy_from_slice(&above[row * bytes..(row + 1) * bytes]);
        let value = least.wrapping_add(u128::from_le_bytes(word));
        values.extend_from_slice(&value.to_le_bytes()[..width]);
    }
    Ok(values)
}

/// As words, of numbers of four bytes.
pub(super) fn read_u32s(reader: &mut Reader, rows: usize, what: &str) -> Result<Vec<u32>, StateError> {
    let bytes = read_numbers(reader, 4, rows, what)?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

/// As words, of numbers of eight bytes.
pub(super) fn read_u64s(reader: &mut Reader, rows: usize, what: &str) -> Result<Vec<u64>, StateError> {
    let bytes = read_numbers(reader, 8, rows, what)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).collect())
}

/// Appends strings that are a 1 and then the `width` low bytes of a word, the highest first: keys of one column.
pub(super) fn write_words(width: usize, words: &[u64], out: &mut Writer) {
    let first = words.first().copied().unwrap_or(0);
    let different = words.iter().fold(0, |different, word| different | (word ^ first));
    let bytes = (64 - different.leading_zeros()).div_ceil(8) as usize;
    out.u8(OF_ONE_LENGTH);
    out.u8(1 + width as u8);
    out.u8(1);
    out.raw(&first.to_be_bytes()[8 - width..]);
    let mut places = [0; LONGEST / 8];
    (1 + width - bytes..1 + width).for_each(|place| places[place / 8] |= 1 << (place % 8));
    out.raw(&places[..(1 + width).div_ceil(8)]);
    let low = words.iter().map(|word| (word << ((64 - 8 * bytes as u32) % 64)).to_be_bytes());
    write_low_bytes(bytes, low, words.len(), out);
}

impl ByteStrings {
    pub(super) fn write_packed(&self, out: &mut Writer) {
        let strings = self.len();
        let length = if strings == 0 { 0 } else { self.get(0).len() };
        let of_one_length = (0..strings).all(|row| self.offsets[row + 1] as usize == (row + 1) * length);
        if !of_one_length || length > LONGEST {
            out.u8(OF_ANY_LENGTH);
            let lengths = self.offsets.windows(2).map(|ends| i64::from(ends[1] - ends[0]));
            write_numbers(4, lengths, out);
            out.raw(&self.bytes);
            return;
        }
        out.u8(OF_ONE_LENGTH);
        out.u8(length as u8);
        let first = &self.bytes[..length];
        out.raw(first);
        let mut different = [0_u8; LONGEST];
        for row in 1..strings {
            let string = &self.bytes[row * length..(row + 1) * length];
            let pairs = string.iter().zip(first);
            different.iter_mut().zip(pairs).for_each(|(different, (one, other))| *different |= one ^ other);
        }
        let mut bits = [0_u8; LONGEST / 8];
        let places: Vec<usize> = (0..length).filter(|&place| different[place] != 0).collect();
        places.iter().for_each(|place| bits[place / 8] |= 1 << (place % 8));
        out.raw(&bits[..length.div_ceil(8)]);
        for row in 0..strings {
            let string = &self.bytes[row * length..(row + 1) * length];
            places.iter().for_each(|&place| out.u8(string[place]));
        }
    }

    pub(super) fn read_packed(reader: &mut Reader, rows: usize, what: &str) -> Result<Self, StateError> {
        match reader.u8(what)? {
            OF_ANY_LENGTH => {
                let lengths = read_u32s(reader, rows, what)?;
                let mut offsets = Vec::with_capacity(rows + 1);
                let mut end = 0_u32;
                offsets.push(end);
                for length in lengths {
                    end =
                        end.checked_add(length).ok_or_else(|| reader.corrupt("strings that are too long"))?;
                    offsets.push(end);
                }
                let bytes = reader.take(end as usize, what)?.to_vec();
                Ok(ByteStrings { offsets, bytes })
            }
            OF_ONE_LENGTH => read_of_one_length(reader, rows, what),
            _ => Err(reader.corrupt("strings neither of one length nor of any")),
        }
    }
}

fn read_of_one_length(reader: &mut Reader, rows: usize, what: &str) -> Result<ByteStrings, StateError> {
    let length = usize::from(reader.u8(what)?);
    let first = reader.take(length, what)?;
    let bits = reader.take(length.div_ceil(8), what)?;
    let places: Vec<usize> = (0..length).filter(|place| bits[place / 8] >> (place % 8) & 1 != 0).collect();
    let different = reader.items(rows, places.len(), what)?;
    let mut bytes = Vec::with_capacity(rows * length);
    for row in 0..rows {
        let start = bytes.len();
        bytes.extend_from_slice(first);
        let own = &different[row * places.len()..(row + 1) * places.len()];
        own.iter().zip(&places).for_each(|(byte, place)| bytes[start + place] = *byte);
    }
    let offsets = (0..=rows).map(|row| (row * length) as u32).collect();
    Ok(ByteStrings { offsets, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{open, seal};

    const MAGIC: [u8; 4] = *b"TEST";

    fn again<T>(
        write: impl FnOnce(&mut Writer),
        read: impl FnOnce(&mut Reader) -> Result<T, StateError>,
    ) -> (usize, T) {
        let mut out = Writer::new(MAGIC, 1);
        write(&mut out);
        let bytes = seal(out);
        let mut reader = open(&bytes, MAGIC, 1, "test").unwrap();
        let value = read(&mut reader).unwrap();
        reader.finish().unwrap();
        (bytes.len() - 14, value)
    }

    #[test]
    fn numbers_come_back_and_take_the_bytes_that_they_differ_in() {
        let cases: [(&[i64], usize); 7] = [
            (&[], 9),
            (&[7, 7, 7], 9),
            (&[-1, 254], 9 + 2),
            (&[0, 256], 9 + 4),
            (&[i64::MIN, i64::MAX, 0], 9 + 24),
            (&[1 << 40, (1 << 40) + 70_000], 9 + 6),
            (&[i64::MAX - 1, i64::MAX], 9 + 2),
        ];
        for (values, length) in cases {
            let of_reader = |reader: &mut Reader| read_u64s(reader, values.len(), "numbers");
            let (bytes, read) = again(|out| write_numbers(8, values.iter().copied(), out), of_reader);
            assert_eq!((bytes, read), (length, values.iter().map(|value| *value as u64).collect()));
        }
        for width in [1, 2, 4] {
            let top = (1_i64 << (8 * width - 1)) - 1;
            let values = [-top - 1, top, 0, -1];
            let of_reader = |reader: &mut Reader| read_numbers(reader, width, 4, "numbers");
            let (_, read) = again(|out| write_numbers(width, values.into_iter(), out), of_reader);
            let same: Vec<u8> =
                values.iter().flat_map(|value| value.to_le_bytes()[..width].to_vec()).collect();
            assert_eq!(read, same);
        }
        let wide = [i128::MIN, 0, i128::MAX];
        let of_reader = |reader: &mut Reader| read_numbers(reader, 16, 3, "numbers");
        let (bytes, read) = again(|out| write_wide_numbers(&wide, out), of_reader);
        assert_eq!(bytes, 17 + 48);
        assert_eq!(read, wide.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    }

    #[test]
    fn strings_come_back() {
        let long = "x".repeat(LONGEST + 1);
        let cases: [(&[&str], usize); 6] = [
            (&[], 2),
            (&["", ""], 2),
            (&["abc", "abd", "aee"], 2 + 3 + 1 + 2 * 3),
            (&["same", "same"], 2 + 4 + 1),
            (&["a", "", "bcd"], 1 + 5 + 3 + 4),
            (&[&long, &long], 1 + 5 + 2 * (LONGEST + 1)),
        ];
        for (strings, length) in cases {
            let mut written = ByteStrings::new();
            strings.iter().for_each(|string| written.push(string.as_bytes()));
            let of_reader = |reader: &mut Reader| ByteStrings::read_packed(reader, strings.len(), "strings");
            let (bytes, read) = again(|out| written.write_packed(out), of_reader);
            assert_eq!(bytes, length, "{strings:?}");
            assert_eq!((read.offsets, read.bytes), (written.offsets, written.bytes));
        }
    }

    #[test]
    fn words_are_strings_of_one_length() {
        let top = 1_u64 << 63;
        let cases: [(usize, &[u64]); 6] = [
            (8, &[]),
            (8, &[5]),
            (8, &[top + 1, top + 258, top]),
            (8, &[0, u64::MAX]),
            (4, &[0x8000_0001, 0x7fff_ffff]),
            (1, &[1, 0]),
        ];
        for (width, words) in cases {
            let mut strings = ByteStrings::new();
            for word in words {
                strings.bytes.push(1);
                strings.bytes.extend_from_slice(&word.to_be_bytes()[8 - width..]);
                strings.end();
            }
            let of_reader = |reader: &mut Reader| ByteStrings::read_packed(reader, words.len(), "words");
            let (_, read) = again(|out| write_words(width, words, out), of_reader);
            assert_eq!((read.offsets, read.bytes), (strings.offsets, strings.bytes), "{words:?}");
        }
    }
}
