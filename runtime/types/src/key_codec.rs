//! The key codec: columns of SQL values as bytes that are persisted, compared and hashed.
//!
//! The canonical bytes of a key are the encodings of its columns, one after the other. They are
//! order-preserving (`memcmp` orders keys as SQL orders their columns, NULL first) and self-delimiting (no
//! key is a prefix of another of the same types). All numbers are big endian:
//!
//! | type | not NULL | NULL |
//! | --- | --- | --- |
//! | BOOLEAN, integers, DATE, TIME, TIMESTAMP, intervals | `01`, the value with its sign bit flipped | `00`, then zeros of the same width |
//! | FLOAT, DOUBLE | `01`, the bits with the sign flipped, all flipped if negative; one NaN, above all; -0 below 0 | as above |
//! | DECIMAL | `01`, the unscaled value in 16 bytes with its sign bit flipped | as above |
//! | strings, bytes | `01`, the bytes with `00` written as `00 FF`, then `00 00` | `00` |
//! | ROW | `01`, its fields | `00` |
//! | ARRAY | `01`, each element behind `01`, then `00` | `00` |
//! | MAP, MULTISET | as an ARRAY of ROW(key, value), ordered by its elements' bytes | `00` |
//!
//! A key of fixed-width columns therefore has a fixed width, and its in-memory form is a few machine words;
//! hashes are those of the canonical bytes whatever form is used, so that a key's group never depends on the
//! path taken.

mod decode;
mod encode;
mod hash;
mod nested;
#[cfg(test)]
mod tests;

use crate::{Classify, ErrorKind, KeyGroup, key_group_of};
use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, IntervalUnit};

/// Why keys could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A column of a type that has no encoding.
    #[error("cannot use a value of type {0} as a key")]
    Unsupported(String),
    /// Columns other than those that the encoder was made for.
    #[error("cannot encode a key: {0}")]
    Columns(String),
    /// Bytes that are not the encoding of any key of these types; the offset is within the key.
    #[error("cannot decode a key: corrupt at offset {offset}: {what}")]
    Corrupt { offset: usize, what: &'static str },
}

impl Classify for KeyError {
    fn kind(&self) -> ErrorKind {
        match self {
            KeyError::Unsupported(_) => ErrorKind::UserInput,
            KeyError::Columns(_) => ErrorKind::Internal,
            KeyError::Corrupt { .. } => ErrorKind::Data,
        }
    }
}

/// The in-memory form of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShape {
    /// One column whose value has `width` <= 8 bytes (canonical width `1 + width`), or no column at all
    /// (`width` 0, canonical width 0): the value as a word; NULL is told apart beside it.
    Word { width: u8, column: bool },
    /// Canonical bytes of `width` <= 16, in two words.
    Fixed2 { width: u8 },
    /// Canonical bytes of `width` <= 24, in three words.
    Fixed3 { width: u8 },
    /// Canonical bytes of any length.
    Bytes,
}

/// The keys of one batch in the form that [`KeyShape`] names, with their hashes.
#[derive(Clone, Debug)]
pub struct EncodedKeys {
    pub(crate) data: KeyData,
    pub(crate) hashes: Vec<u64>,
}

/// The keys themselves. Words are ordered as the canonical bytes are: the first byte is the highest of the
/// first word.
#[derive(Clone, Debug)]
pub enum KeyData {
    /// `words[i]` holds the `width` bytes of the value in its low bytes; of a NULL it is 0.
    Word {
        width: u8,
        column: bool,
        words: Vec<u64>,
        nulls: Option<NullBuffer>,
    },
    /// `width` canonical bytes, then zeros.
    Fixed2 {
        width: u8,
        words: Vec<[u64; 2]>,
    },
    Fixed3 {
        width: u8,
        words: Vec<[u64; 3]>,
    },
    /// Key `i` is `bytes[offsets[i]..offsets[i + 1]]`.
    Bytes {
        offsets: Vec<u32>,
        bytes: Vec<u8>,
    },
}

impl EncodedKeys {
    /// Keys in one of the in-memory forms; computes the hashes.
    pub fn new(data: KeyData) -> Self {
        let hashes = hash::hash_keys(&data);
        EncodedKeys { data, hashes }
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub fn data(&self) -> &KeyData {
        &self.data
    }

    /// [`crate::key_hash`] of the canonical bytes of each key.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    pub fn shape(&self) -> KeyShape {
        match &self.data {
            KeyData::Word { width, column, .. } => KeyShape::Word { width: *width, column: *column },
            KeyData::Fixed2 { width, .. } => KeyShape::Fixed2 { width: *width },
            KeyData::Fixed3 { width, .. } => KeyShape::Fixed3 { width: *width },
            KeyData::Bytes { .. } => KeyShape::Bytes,
        }
    }

    /// The key group of each key.
    pub fn key_groups(&self, max_parallelism: u32) -> Vec<KeyGroup> {
        self.hashes.iter().map(|&hash| key_group_of(hash, max_parallelism)).collect()
    }

    /// The keys at `rows`, in that order; rows may repeat.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn take(&self, rows: &[u32]) -> EncodedKeys {
        fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| values[row as usize]).collect()
        }
        let data = match &self.data {
            KeyData::Word { width, column, words, nulls } => KeyData::Word {
                width: *width,
                column: *column,
                words: pick(words, rows),
                nulls: nulls
                    .as_ref()
                    .map(|nulls| NullBuffer::from_iter(rows.iter().map(|&row| nulls.is_valid(row as usize)))),
            },
            KeyData::Fixed2 { width, words } => KeyData::Fixed2 { width: *width, words: pick(words, rows) },
            KeyData::Fixed3 { width, words } => KeyData::Fixed3 { width: *width, words: pick(words, rows) },
            KeyData::Bytes { offsets, bytes } => {
                let mut taken = Vec::new();
                let mut ends = Vec::with_capacity(rows.len() + 1);
                ends.push(0);
                for &row in rows {
                    let row = row as usize;
                    taken.extend_from_slice(&bytes[offsets[row] as usize..offsets[row + 1] as usize]);
                    ends.push(taken.len() as u32);
                }
                KeyData::Bytes { offsets: ends, bytes: taken }
            }
        };
        EncodedKeys { data, hashes: pick(&self.hashes, rows) }
    }

    /// Appends the canonical bytes of key `row` to `out`.
    pub fn write_canonical(&self, row: usize, out: &mut Vec<u8>) {
        fn words(words: &[u64], width: u8, out: &mut Vec<u8>) {
            let mut bytes = [0; 24];
            for (index, word) in words.iter().enumerate() {
                bytes[index * 8..index * 8 + 8].copy_from_slice(&word.to_be_bytes());
            }
            out.extend_from_slice(&bytes[..usize::from(width)]);
        }
        match &self.data {
            KeyData::Word { column: false, .. } => {}
            KeyData::Word { width, words, nulls, .. } => {
                let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                out.push(u8::from(valid));
                out.extend_from_slice(&words[row].to_be_bytes()[8 - usize::from(*width)..]);
            }
            KeyData::Fixed2 { width, words: keys } => words(&keys[row], *width, out),
            KeyData::Fixed3 { width, words: keys } => words(&keys[row], *width, out),
            KeyData::Bytes { offsets, bytes } => {
                out.extend_from_slice(&bytes[offsets[row] as usize..offsets[row + 1] as usize]);
            }
        }
    }
}

/// Encodes and decodes keys of given column types.
///
/// ```
/// # use arrow::array::{ArrayRef, Int64Array};
/// # use arrow::datatypes::DataType;
/// # use std::sync::Arc;
/// # use weir_types::KeyEncoder;
/// let encoder = KeyEncoder::new(&[DataType::Int64])?;
/// let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
/// let keys = encoder.encode(&[column.clone()], 2)?;
/// assert_eq!(&encoder.decode(&keys)?[0], &column);
/// # Ok::<_, weir_types::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyEncoder {
    columns: Vec<DataType>,
    shape: KeyShape,
}

impl KeyEncoder {
    /// An encoder for columns of these types; none at all is the key of a global aggregate.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for a type outside of [`crate::SqlType`].
    pub fn new(columns: &[DataType]) -> Result<Self, KeyError> {
        let mut width = Some(0);
        for column in columns {
            nested::check(column)?;
            width = width.zip(fixed_width(column)).map(|(sum, width)| sum + 1 + width);
        }
        let shape = match (columns, width) {
            ([], _) => KeyShape::Word { width: 0, column: false },
            ([_], Some(width @ ..=9)) => KeyShape::Word { width: width as u8 - 1, column: true },
            (_, Some(width @ ..=16)) => KeyShape::Fixed2 { width: width as u8 },
            (_, Some(width @ ..=24)) => KeyShape::Fixed3 { width: width as u8 },
            _ => KeyShape::Bytes,
        };
        Ok(KeyEncoder { columns: columns.to_vec(), shape })
    }

    pub fn columns(&self) -> &[DataType] {
        &self.columns
    }

    pub fn shape(&self) -> KeyShape {
        self.shape
    }

    /// The keys of `rows` rows, whose columns are `columns`, with hashes.
    ///
    /// # Errors
    /// [`KeyError::Columns`] for columns of other types, number or length; for more than 4 GiB of keys.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<EncodedKeys, KeyError> {
        encode::encode(self, columns, rows).map(EncodedKeys::new)
    }

    /// The columns of `keys`.
    ///
    /// # Errors
    /// [`KeyError::Columns`] for keys of another shape, [`KeyError::Corrupt`] for keys of other types.
    pub fn decode(&self, keys: &EncodedKeys) -> Result<Vec<ArrayRef>, KeyError> {
        decode::decode(self, keys)
    }

    /// The length of the canonical key that `bytes` begin with; they may go on behind it.
    ///
    /// # Errors
    /// [`KeyError::Corrupt`] if they begin with none.
    pub fn canonical_len(&self, bytes: &[u8]) -> Result<usize, KeyError> {
        decode::canonical_len(self, bytes)
    }

    /// Keys from their canonical bytes, key `i` being `bytes[offsets[i]..offsets[i + 1]]`, in this encoder's
    /// shape.
    ///
    /// # Errors
    /// [`KeyError::Corrupt`] for offsets or lengths that cannot be. The bytes of keys of shape
    /// [`KeyShape::Bytes`] are checked when they are decoded.
    pub fn from_canonical(&self, offsets: &[u32], bytes: &[u8]) -> Result<EncodedKeys, KeyError> {
        decode::from_canonical(self.shape, offsets, bytes).map(EncodedKeys::new)
    }
}

/// Bytes of a not NULL value, without its marker; `None` where they vary.
pub(crate) fn fixed_width(data_type: &DataType) -> Option<usize> {
    Some(match data_type {
        DataType::Null => 0,
        DataType::Boolean | DataType::Int8 => 1,
        DataType::Int16 => 2,
        DataType::Int32
        | DataType::Float32
        | DataType::Date32
        | DataType::Time32(_)
        | DataType::Interval(IntervalUnit::YearMonth) => 4,
        DataType::Int64 | DataType::Float64 | DataType::Timestamp(_, _) | DataType::Duration(_) => 8,
        DataType::Decimal128(_, _) => 16,
        _ => return None,
    })
}
