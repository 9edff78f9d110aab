//! The bytes of a segment: entries of one state, column by column, without anything that belongs to one machine or
//! process.
//!
//! `WSEG`, version, kind u8, namespace (tag u8, end i64), rows u32; what part of the state it is, see [`part`]; the number
//! of all key groups u32, from which a key's own follows; the number of keys u8, and for each key its column of strings: the
//! key, then the map keys on the way down; of a List the sequence numbers; whether there are times of last access u8, and
//! these; the number of fields u16, and for each: kind u8, whether it has NULLs u8, a bit a row that is set for NULL, its
//! values. Columns are packed, see [`packed`]. Of a timer the second key is its time and namespace.
//!
//! That is version 3. In versions 1 and 2 each row has its key group (u16) in the place of their number; numbers have
//! their full width, and a column of bytes is its end offsets (u32), its total length (u32), its bytes. Version 1, which
//! stands alone, does not say what part it is.

mod keys;
mod packed;
mod part;
mod write;

pub(crate) use keys::{hashes, keys};
pub(crate) use part::{Part, PartKind, read_part};
pub(crate) use write::{Gathered, write};

use crate::StateError;
use crate::codec::{Reader, Writer, open_any, seal};
use crate::descriptor::{FieldKind, Namespace, StateKind};
use bytes::Bytes;
use std::ops::RangeInclusive;
use weir_types::{EncodedKeys, key_group_of, key_hash};

#[cfg(target_endian = "big")]
compile_error!("fixed-width fields are persisted as they lie in memory, little endian");

const MAGIC: [u8; 4] = *b"WSEG";
/// Segments that stand alone.
const ALONE: u16 = 1;
/// Segments that are part of a whole.
const IN_PARTS: u16 = 2;
/// Segments whose columns are packed.
const PACKED: u16 = 3;
const VERSIONS: RangeInclusive<u16> = ALONE..=PACKED;

/// Byte strings, one after the other: string `i` is `bytes[offsets[i]..offsets[i + 1]]`.
pub(crate) struct ByteStrings {
    pub(crate) offsets: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

impl Default for ByteStrings {
    fn default() -> Self {
        ByteStrings::new()
    }
}

impl ByteStrings {
    pub(crate) fn new() -> Self {
        ByteStrings { offsets: vec![0], bytes: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn clear(&mut self) {
        self.offsets.truncate(1);
        self.bytes.clear();
    }

    pub(crate) fn of_keys(keys: &EncodedKeys) -> Self {
        let mut strings = ByteStrings::new();
        for row in 0..keys.len() {
            keys.write_canonical(row, &mut strings.bytes);
            strings.end();
        }
        strings
    }

    /// Ends the string that was appended to `bytes`.
    ///
    /// # Panics
    /// If they are 4 GiB together: whoever gathers so many splits them.
    pub(crate) fn end(&mut self) {
        self.offsets.push(u32::try_from(self.bytes.len()).expect("strings of less than 4 GiB together"));
    }

    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.end();
    }

    /// Appends all of `others`.
    fn append(&mut self, others: &ByteStrings) {
        let before = self.bytes.len() as u32;
        let all = self.bytes.len() + others.bytes.len();
        assert!(u32::try_from(all).is_ok(), "strings of less than 4 GiB together");
        self.bytes.extend_from_slice(&others.bytes);
        self.offsets.extend(others.offsets[1..].iter().map(|end| before + end));
    }

    pub(crate) fn get(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    fn write(&self, out: &mut Writer) {
        self.offsets[1..].iter().for_each(|&end| out.u32(end));
        out.bytes(&self.bytes);
    }

    fn read(reader: &mut Reader, rows: usize, what: &str) -> Result<Self, StateError> {
        let ends = reader.items(rows, 4, what)?;
        let ends = ends.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end));
        let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
        let bytes = reader.bytes(what)?;
        if !offsets.is_sorted() || offsets[rows] as usize != bytes.len() {
            return Err(reader.corrupt("offsets out of order"));
        }
        Ok(ByteStrings { offsets, bytes: bytes.to_vec() })
    }
}

/// Whether the bytes of a segment are those that were written, by their checksum.
///
/// # Errors
/// [`StateError::Truncated`] and [`StateError::Corrupt`], with an offset in `bytes`.
pub fn check_segment(bytes: &Bytes, file: &str) -> Result<(), StateError> {
    open_any(bytes, MAGIC, VERSIONS, file).map(|_| ())
}

/// A segment that was read: its structure has been checked, its values have not.
pub(crate) struct SegmentRows {
    pub(crate) namespace: Namespace,
    pub(crate) rows: usize,
    pub(crate) key_groups: Vec<u16>,
    pub(crate) keys: Vec<ByteStrings>,
    pub(crate) sequence: Vec<u64>,
    pub(crate) last_access: Option<Vec<u64>>,
    pub(crate) fields: Vec<FieldRows>,
}

pub(crate) struct FieldRows {
    pub(crate) kind: FieldKind,
    /// a bit a row, set for NULL
    pub(crate) nulls: Option<Vec<u8>>,
    pub(crate) values: FieldBytes,
}

pub(crate) enum FieldBytes {
    Fixed(Vec<u8>),
    Strings(ByteStrings),
}

impl SegmentRows {
    /// As bytes that [`read`] reads, of a segment that stands alone.
    pub(crate) fn to_bytes(&self, kind: StateKind) -> Bytes {
        let mut out = Writer::new(MAGIC, ALONE);
        out.u8(kind as u8);
        write_namespace(self.namespace, &mut out);
        out.u32(self.rows as u32);
        self.key_groups.iter().for_each(|group| out.u16(*group));
        out.u8(self.keys.len() as u8);
        self.keys.iter().for_each(|keys| keys.write(&mut out));
        if kind == StateKind::List {
            self.sequence.iter().for_each(|number| out.u64(*number));
        }
        out.u8(u8::from(self.last_access.is_some()));
        self.last_access.iter().flatten().for_each(|time_ms| out.u64(*time_ms));
        out.u16(self.fields.len() as u16);
        for field in &self.fields {
            out.u8(field.kind as u8);
            out.u8(u8::from(field.nulls.is_some()));
            field.nulls.iter().for_each(|bits| out.raw(bits));
            match &field.values {
                FieldBytes::Fixed(values) => out.raw(values),
                FieldBytes::Strings(strings) => strings.write(&mut out),
            }
        }
        seal(out)
    }
}

fn write_namespace(namespace: Namespace, out: &mut Writer) {
    let (tag, end_ms) = match namespace {
        Namespace::Void => (0, 0),
        Namespace::Window(end_ms) => (1, end_ms),
    };
    out.u8(tag);
    out.u64(end_ms as u64);
}

impl FieldRows {
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls[row / 8] >> (row % 8) & 1 != 0)
    }
}

/// Reads the beginning of a segment: version, kind, namespace and number of rows.
fn read_head<'a>(
    bytes: &'a Bytes,
    file: &'a str,
) -> Result<(Reader<'a>, u16, u8, Namespace, usize), StateError> {
    let (version, mut reader) = open_any(bytes, MAGIC, VERSIONS, file)?;
    let kind = reader.u8("the kind of state")?;
    let tag = reader.u8("the namespace")?;
    let end_ms = reader.u64("the namespace")? as i64;
    let namespace = match tag {
        0 => Namespace::Void,
        1 => Namespace::Window(end_ms),
        _ => return Err(reader.corrupt("an unknown kind of namespace")),
    };
    let rows = reader.u32("the number of rows")? as usize;
    if version == PACKED && rows > packed::MOST_ROWS {
        return Err(reader.corrupt("more rows than a segment has"));
    }
    Ok((reader, version, kind, namespace, rows))
}

/// Reads what [`write`] wrote for a state of `kind`.
pub(crate) fn read(bytes: &Bytes, kind: StateKind, file: &str) -> Result<SegmentRows, StateError> {
    let (mut reader, version, found, namespace, rows) = read_head(bytes, file)?;
    if found != kind as u8 {
        return Err(reader.corrupt("another kind of state than the index says"));
    }
    Part::read(&mut reader, version, rows)?;
    let columns = Columns { packed: version == PACKED, rows };
    let (mut key_groups, mut all_groups) = (Vec::new(), 0);
    if columns.packed {
        all_groups = reader.u32("the number of key groups")?;
    } else {
        let groups = reader.items(rows, 2, "key groups")?;
        key_groups.extend(groups.as_chunks::<2>().0.iter().map(|group| u16::from_le_bytes(*group)));
    }
    let count = reader.u8("the number of keys")?;
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(columns.strings(&mut reader, "keys")?);
    }
    if let (true, Some(keys)) = (columns.packed, keys.first()) {
        key_groups.extend((0..rows).map(|row| key_group_of(key_hash(keys.get(row)), all_groups).0));
    } else if columns.packed {
        return Err(reader.corrupt("entries without a key"));
    }
    let sequence = match kind {
        StateKind::List => columns.numbers(&mut reader, "sequence numbers")?,
        _ => Vec::new(),
    };
    let last_access = match reader.u8("times of last access")? {
        0 => None,
        1 => Some(columns.numbers(&mut reader, "times of last access")?),
        _ => return Err(reader.corrupt("neither with nor without times of last access")),
    };
    let count = reader.u16("the number of fields")?;
    let mut fields = Vec::new();
    for _ in 0..count {
        fields.push(columns.field(&mut reader)?);
    }
    reader.finish()?;
    Ok(SegmentRows { namespace, rows, key_groups, keys, sequence, last_access, fields })
}

/// How the columns of a segment are written.
struct Columns {
    packed: bool,
    rows: usize,
}

impl Columns {
    fn strings(&self, reader: &mut Reader, what: &str) -> Result<ByteStrings, StateError> {
        match self.packed {
            true => ByteStrings::read_packed(reader, self.rows, what),
            false => ByteStrings::read(reader, self.rows, what),
        }
    }

    fn numbers(&self, reader: &mut Reader, what: &str) -> Result<Vec<u64>, StateError> {
        if self.packed {
            return packed::read_u64s(reader, self.rows, what);
        }
        let bytes = reader.items(self.rows, 8, what)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)).collect())
    }

    fn field(&self, reader: &mut Reader) -> Result<FieldRows, StateError> {
        let kind = FieldKind::from_u8(reader.u8("the kind of a field")?);
        let kind = kind.ok_or_else(|| reader.corrupt("an unknown kind of field"))?;
        let nulls = match reader.u8("whether a field has NULLs")? {
            0 => None,
            1 => Some(reader.take(self.rows.div_ceil(8), "NULLs of a field")?.to_vec()),
            _ => return Err(reader.corrupt("a field neither with nor without NULLs")),
        };
        let what = "values of a field";
        let values = match (kind, self.packed) {
            (FieldKind::Bytes, _) => FieldBytes::Strings(self.strings(reader, what)?),
            (_, true) => FieldBytes::Fixed(packed::read_numbers(reader, kind.width(), self.rows, what)?),
            (_, false) => FieldBytes::Fixed(reader.items(self.rows, kind.width(), what)?.to_vec()),
        };
        Ok(FieldRows { kind, nulls, values })
    }
}

#[cfg(test)]
mod tests;
