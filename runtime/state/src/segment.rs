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

mod packed;
mod part;

pub(crate) use part::{Part, PartKind, read_part};

use crate::StateError;
use crate::codec::{Reader, Writer, open_any, seal};
use crate::descriptor::{FieldKind, Namespace, StateKind};
use crate::page::Page;
use crate::row_keys::{keys_of_rows, parent_of_row};
use crate::row_layout::FieldPlace;
use crate::rows::read_handle;
use crate::snapshot::TableView;
use crate::timers::PREFIX_BYTES;
use bytes::Bytes;
use std::ops::RangeInclusive;
use std::sync::Arc;
use weir_types::{EncodedKeys, KeyShape, key_group_of, key_hash};

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
    pub(crate) fn end(&mut self) {
        self.offsets.push(self.bytes.len() as u32);
    }

    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.end();
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

/// A page that a segment is written from.
pub(crate) struct PagePart {
    pub(crate) page: Arc<Page>,
    /// its first slot
    pub(crate) first: u32,
    /// of a segment of changes: rows that were written after this interval
    pub(crate) since: u32,
}

/// What [`write`] wrote.
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    pub(crate) rows: u32,
    /// slots that are said to have no entry
    pub(crate) freed: u32,
}

/// The entries of `pages`, of which there is one unless `kind` is [`PartKind::Changes`]; those that the disk has as they are
/// are left out.
pub(crate) fn write(view: &TableView, pages: &[PagePart], kind: PartKind, max_parallelism: u32) -> Written {
    let (mut slots, mut freed) = (Vec::new(), Vec::new());
    let mut rows: Vec<*const u8> = Vec::new();
    for PagePart { page, first, since } in pages {
        for slot in *first..=*first | view.mask {
            let row = match kind {
                PartKind::Changes => view.changed_row_of(page, slot, *since),
                PartKind::Alone | PartKind::Page => view.live_row_of(page, slot),
            };
            match row {
                Some(row) if view.is_held(row) => {
                    rows.push(row);
                    slots.push(slot);
                }
                Some(_) => freed.push(slot),
                None => {}
            }
        }
    }
    let words = words(view, &rows);
    let keys = match (&words, &view.parent) {
        (Some(_), _) => Vec::new(),
        (None, None) => keys(view, &mut rows),
        (None, Some(_)) => {
            let all = rows.clone();
            let keys = keys(view, &mut rows);
            freed.extend(without(&all, &rows, &mut slots));
            keys
        }
    };
    let first = pages.first().map_or(0, |part| part.first);
    let part = Part::new(kind, first..=first | view.mask, view.drained, slots, freed);
    let mut out = Writer::new(MAGIC, PACKED);
    out.reserve(rows.len() * view.stride / 2);
    out.u8(view.kind as u8);
    write_namespace(view.namespace, &mut out);
    out.u32(rows.len() as u32);
    part.write(&mut out);
    out.u32(max_parallelism);
    match &words {
        Some((width, words)) => {
            out.u8(1);
            packed::write_words(*width, words, &mut out);
        }
        None => {
            out.u8(keys.len() as u8);
            keys.iter().for_each(|keys| keys.write_packed(&mut out));
        }
    }
    let mut numbers = Vec::with_capacity(rows.len());
    if view.kind == StateKind::List {
        // SAFETY: the number is behind the parent in a row of a list; so it is of all rows.
        unsafe { write_numbers::<i64>(&rows, 8, i64::from, &mut numbers, &mut out) };
    }
    out.u8(u8::from(view.layout.last_access.is_some()));
    if let Some(offset) = view.layout.last_access {
        // SAFETY: the time lies within the row.
        unsafe { write_numbers::<i64>(&rows, offset, i64::from, &mut numbers, &mut out) };
    }
    out.u16(view.layout.fields.len() as u16);
    for field in &view.layout.fields {
        write_field(view, field, &rows, &mut numbers, &mut out);
    }
    Written { bytes: seal(out), rows: rows.len() as u32, freed: part.freed() }
}

/// The keys of `rows` and the bytes of one, where each is a word that is not NULL.
fn words(view: &TableView, rows: &[*const u8]) -> Option<(usize, Vec<u64>)> {
    let KeyShape::Word { width, column: true } = view.shape else { return None };
    if view.kind != StateKind::Value {
        return None;
    }
    let flag = view.layout.null_key;
    // SAFETY: the rows are of this view's layout and nobody writes to them; the word is at their front.
    let word = |&row: &*const u8| unsafe {
        (*row.add(flag.offset) & flag.bit == 0).then(|| row.cast::<u64>().read_unaligned())
    };
    let words: Option<Vec<u64>> = rows.iter().map(word).collect();
    Some((usize::from(width), words?))
}

/// Takes the slots of the rows of `all` that are not among `left` out of `slots`, and returns them.
fn without(all: &[*const u8], left: &[*const u8], slots: &mut Vec<u32>) -> Vec<u32> {
    let (mut left, mut gone, mut place) = (left.iter().peekable(), Vec::new(), 0);
    slots.retain(|&slot| {
        let stays = left.next_if(|&&row| row == all[place]).is_some();
        place += 1;
        if !stays {
            gone.push(slot);
        }
        stays
    });
    gone
}

/// The keys of `rows`, from the topmost parent's down to their own; rows whose parents are gone are taken
/// out.
pub(crate) fn keys(view: &TableView, rows: &mut Vec<*const u8>) -> Vec<ByteStrings> {
    let is_list = view.kind == StateKind::List;
    let mut above = Vec::new();
    if let Some(parent) = &view.parent {
        let mut parent_rows = Vec::with_capacity(rows.len());
        // Parents may be gone at any height, so both lists are cut together.
        let mut height = Vec::new();
        let mut up = Some(parent);
        while let Some(ancestor) = up {
            height.push(ancestor);
            up = ancestor.parent.as_ref();
        }
        rows.retain(|&row| {
            let Some(found) = parent_row(view, row, parent) else { return false };
            let mut below = (parent.as_ref(), found);
            for ancestor in &height[1..] {
                let Some(next) = parent_row(below.0, below.1, ancestor) else { return false };
                below = (ancestor, next);
            }
            parent_rows.push(found);
            true
        });
        above = keys(parent, &mut parent_rows);
    }
    if is_list {
        return above;
    }
    let flag = view.layout.null_key;
    // SAFETY: the rows are of this view's layout and nobody writes to them; the flag lies within.
    let own = unsafe {
        let null_key = |row: *const u8| *row.add(flag.offset) & flag.bit != 0;
        if view.kind.is_timers() {
            let shape = weir_types::KeyShape::Bytes;
            let whole = ByteStrings::of_keys(&keys_of_rows(rows, shape, false, null_key, &view.arena));
            return split_timers(&whole, rows.len());
        }
        keys_of_rows(rows, view.shape, view.parent.is_some(), null_key, &view.arena)
    };
    above.push(ByteStrings::of_keys(&own));
    above
}

/// The hashes of the keys of `rows`, of a table by key.
pub(crate) fn hashes(view: &TableView, rows: &[*const u8]) -> Vec<u64> {
    let flag = view.layout.null_key;
    let mut hashes = Vec::with_capacity(rows.len());
    for rows in rows.chunks(HASHED_ROWS) {
        // SAFETY: the rows are of this view's layout and nobody writes to them; the flag lies within.
        let keys = unsafe {
            let null_key = |row: *const u8| *row.add(flag.offset) & flag.bit != 0;
            keys_of_rows(rows, view.shape, false, null_key, &view.arena)
        };
        hashes.extend_from_slice(keys.hashes());
    }
    hashes
}

/// Keys that are hashed at once.
const HASHED_ROWS: usize = 4096;

fn parent_row(view: &TableView, row: *const u8, parent: &TableView) -> Option<*const u8> {
    let is_list = view.kind == StateKind::List;
    // SAFETY: the row is of this view's layout, and nobody writes to it.
    parent.live_row(unsafe { parent_of_row(row, view.layout.key, is_list, &view.arena) })
}

/// `time and namespace ‖ key` as keys and the rest.
fn split_timers(whole: &ByteStrings, rows: usize) -> Vec<ByteStrings> {
    let (mut keys, mut times) = (ByteStrings::new(), ByteStrings::new());
    for row in 0..rows {
        let (time, key) = whole.get(row).split_at(PREFIX_BYTES);
        keys.bytes.extend_from_slice(key);
        keys.end();
        times.bytes.extend_from_slice(time);
        times.end();
    }
    vec![keys, times]
}

fn write_field(
    view: &TableView,
    field: &FieldPlace,
    rows: &[*const u8],
    numbers: &mut Vec<i64>,
    out: &mut Writer,
) {
    out.u8(field.kind as u8);
    out.u8(u8::from(field.null_flag.is_some()));
    if let Some(flag) = field.null_flag {
        for rows in rows.chunks(8) {
            let bits = rows.iter().enumerate().map(|(bit, &row)| {
                // SAFETY: the flag lies within the row, which nobody writes to.
                u8::from(unsafe { *row.add(flag.offset) } & flag.bit != 0) << bit
            });
            out.u8(bits.sum());
        }
    }
    if field.kind == FieldKind::Bytes {
        let mut strings = ByteStrings::new();
        for &row in rows {
            // SAFETY: the handle lies within the row, which nobody writes to.
            strings.bytes.extend_from_slice(&view.arena.get(unsafe { read_handle(row, field.offset) }));
            strings.end();
        }
        strings.write_packed(out);
        return;
    }
    let place = field.offset;
    // SAFETY: the field lies within the row, and any bytes are a number.
    unsafe {
        match field.kind.width() {
            1 => write_numbers::<i8>(rows, place, i64::from, numbers, out),
            2 => write_numbers::<i16>(rows, place, i64::from, numbers, out),
            4 => write_numbers::<i32>(rows, place, i64::from, numbers, out),
            8 => write_numbers::<i64>(rows, place, i64::from, numbers, out),
            _ => {
                let wide = |&row: &*const u8| row.add(place).cast::<i128>().read_unaligned();
                let wide: Vec<i128> = rows.iter().map(wide).collect();
                packed::write_wide_numbers(&wide, out);
            }
        }
    }
}

/// Appends the number at `offset` of each row; `numbers` is memory.
///
/// # Safety
/// The rows are readable there, and nobody writes to them.
unsafe fn write_numbers<T: Copy>(
    rows: &[*const u8],
    offset: usize,
    widen: impl Fn(T) -> i64,
    numbers: &mut Vec<i64>,
    out: &mut Writer,
) {
    numbers.clear();
    // SAFETY: the caller's promise.
    numbers.extend(rows.iter().map(|&row| widen(unsafe { row.add(offset).cast::<T>().read_unaligned() })));
    packed::write_numbers(size_of::<T>(), numbers, out);
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
