//! Writing a segment: the rows of its pages are gathered column by column, one page after the other, and the columns are
//! written once the pages are let go of.

use super::part::{Part, PartKind};
use super::{ByteStrings, MAGIC, PACKED, keys, packed, write_namespace};
use crate::codec::{Writer, seal};
use crate::descriptor::{FieldKind, StateKind};
use crate::held::{Held, Selected};
use crate::row_layout::{FieldPlace, Flag};
use crate::rows::read_handle;
use crate::snapshot::TableView;
use arrow::buffer::NullBuffer;
use bytes::Bytes;
use weir_types::{EncodedKeys, KeyData, KeyShape};

/// What [`write`] wrote.
pub(crate) struct Written {
    pub(crate) bytes: Bytes,
    pub(crate) rows: u32,
    /// slots that are said to have no entry
    pub(crate) freed: u32,
}

/// The rows of a segment, column by column. Reuse it from segment to segment.
#[derive(Default)]
pub(crate) struct Gathered {
    /// of the rows
    slots: Vec<u32>,
    /// slots that have no entry any more
    freed: Vec<u32>,
    /// where keys are words of one column: these, and which of them are NULL
    words: Vec<u64>,
    null_words: Vec<u32>,
    /// elsewhere: the keys, from the topmost parent's down
    keys: Vec<ByteStrings>,
    sequence: Vec<i64>,
    last_access: Vec<i64>,
    fields: Vec<Values>,
    /// memory for the segment
    memory: Vec<u8>,
}

/// The values of a field: one of these, and which of them are NULL.
#[derive(Default)]
struct Values {
    nulls: Vec<u8>,
    numbers: Vec<i64>,
    wide: Vec<i128>,
    strings: ByteStrings,
}

/// The entries of `pages`, of which there is one unless `kind` is [`PartKind::Changes`]; those that the disk has as they are
/// are left out.
pub(crate) fn write(
    view: &TableView,
    held: &Held,
    pages: &[u32],
    kind: PartKind,
    max_parallelism: u32,
    gathered: &mut Gathered,
) -> Written {
    gathered.begin(view);
    let mut selected = Selected::default();
    for &page in pages {
        held.read(page, &mut selected, |selected| gathered.add(view, kind, selected));
    }
    let first = pages.first().map_or(0, |page| page << view.shift);
    gathered.write(view, kind, first, max_parallelism)
}

/// How many bytes a key takes that is a word of one column; `None` for other keys.
fn word_width(view: &TableView) -> Option<usize> {
    match view.shape {
        KeyShape::Word { width, column: true } if view.kind == StateKind::Value => Some(usize::from(width)),
        _ => None,
    }
}

impl Gathered {
    /// A segment is needed no more: the next one may have its memory.
    pub(crate) fn reuse(&mut self, segment: Bytes) {
        if segment.is_unique() {
            self.memory = Vec::from(segment);
        }
    }

    fn begin(&mut self, view: &TableView) {
        self.slots.clear();
        self.freed.clear();
        self.words.clear();
        self.null_words.clear();
        self.sequence.clear();
        self.last_access.clear();
        self.keys = match word_width(view) {
            Some(_) => Vec::new(),
            None => keys(view, &mut Vec::new()),
        };
        self.fields.resize_with(view.layout.fields.len(), Values::default);
        self.fields.iter_mut().for_each(Values::clear);
    }

    /// Adds rows of one page.
    fn add(&mut self, view: &TableView, kind: PartKind, selected: &mut Selected) {
        if kind == PartKind::Changes {
            selected.retain(|row| view.is_held(row), &mut self.freed);
        }
        let before = self.slots.len();
        match word_width(view) {
            Some(_) => self.add_words(view, &selected.rows),
            None => self.add_keys(view, selected),
        }
        let rows = &selected.rows;
        self.slots.extend_from_slice(&selected.slots);
        // SAFETY: numbers, times and fields lie within the rows, which are readable, and any bytes are a number; the
        // number of a list's entry is behind its parent.
        unsafe {
            if view.kind == StateKind::List {
                add_numbers::<i64>(rows, 8, i64::from, &mut self.sequence);
            }
            if let Some(offset) = view.layout.last_access {
                add_numbers::<i64>(rows, offset, i64::from, &mut self.last_access);
            }
            for (field, values) in view.layout.fields.iter().zip(&mut self.fields) {
                values.add(view, field, rows, before);
            }
        }
    }

    fn add_words(&mut self, view: &TableView, rows: &[*const u8]) {
        let (flag, before) = (view.layout.null_key, self.words.len() as u32);
        // SAFETY: the rows are of this view's layout and nobody writes to them; the word is at their front.
        let (word, is_null) = unsafe {
            let word = |row: &*const u8| row.cast::<u64>().read_unaligned();
            (word, |row: &*const u8| *row.add(flag.offset) & flag.bit != 0)
        };
        self.words.extend(rows.iter().map(word));
        // There is one NULL at most.
        if rows.iter().fold(false, |any, row| any | is_null(row)) {
            let nulls = (before..).zip(rows).filter(|(_, row)| is_null(row));
            self.null_words.extend(nulls.map(|(place, _)| place));
        }
    }

    fn add_keys(&mut self, view: &TableView, selected: &mut Selected) {
        // Rows whose parents are gone are taken out.
        let all = view.parent.is_some().then(|| selected.rows.clone());
        let found = keys(view, &mut selected.rows);
        self.keys.iter_mut().zip(&found).for_each(|(keys, more)| keys.append(more));
        let Some(all) = all else { return };
        let left = std::mem::replace(&mut selected.rows, all);
        let mut left = left.iter().peekable();
        selected.retain(|row| left.next_if(|&&next| next == row).is_some(), &mut self.freed);
    }

    fn write(&mut self, view: &TableView, kind: PartKind, first: u32, max_parallelism: u32) -> Written {
        let rows = self.slots.len();
        let (slots, freed) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.freed));
        let part = Part::new(kind, first..=first | view.mask, view.drained, slots, freed);
        let mut out = Writer::within(std::mem::take(&mut self.memory), MAGIC, PACKED);
        out.reserve(rows * view.stride / 2);
        out.u8(view.kind as u8);
        write_namespace(view.namespace, &mut out);
        out.u32(rows as u32);
        part.write(&mut out);
        out.u32(max_parallelism);
        self.write_keys(view, &mut out);
        if view.kind == StateKind::List {
            packed::write_numbers(8, self.sequence.iter().copied(), &mut out);
        }
        out.u8(u8::from(view.layout.last_access.is_some()));
        if view.layout.last_access.is_some() {
            packed::write_numbers(8, self.last_access.iter().copied(), &mut out);
        }
        out.u16(view.layout.fields.len() as u16);
        for (field, values) in view.layout.fields.iter().zip(&self.fields) {
            values.write(field, &mut out);
        }
        let freed = part.freed();
        (self.slots, self.freed) = part.into_memory();
        Written { bytes: seal(out), rows: rows as u32, freed }
    }

    fn write_keys(&mut self, view: &TableView, out: &mut Writer) {
        let Some(width) = word_width(view) else {
            out.u8(self.keys.len() as u8);
            self.keys.iter().for_each(|keys| keys.write_packed(out));
            return;
        };
        out.u8(1);
        if self.null_words.is_empty() {
            packed::write_words(width, &self.words, out);
            return;
        }
        let mut valid = vec![true; self.words.len()];
        self.null_words.iter().for_each(|&place| valid[place as usize] = false);
        let words = std::mem::take(&mut self.words);
        let nulls = Some(NullBuffer::from(valid));
        let keys = EncodedKeys::new(KeyData::Word { width: width as u8, column: true, words, nulls });
        ByteStrings::of_keys(&keys).write_packed(out);
    }
}

impl Selected {
    /// Takes out the rows of which `stays` says no, and adds their slots to `gone`. It is asked in the rows' order.
    fn retain(&mut self, mut stays: impl FnMut(*const u8) -> bool, gone: &mut Vec<u32>) {
        let mut left = 0;
        for place in 0..self.rows.len() {
            let (row, slot) = (self.rows[place], self.slots[place]);
            if stays(row) {
                (self.rows[left], self.slots[left]) = (row, slot);
                left += 1;
            } else {
                gone.push(slot);
            }
        }
        self.rows.truncate(left);
        self.slots.truncate(left);
    }
}

impl Values {
    fn clear(&mut self) {
        self.nulls.clear();
        self.numbers.clear();
        self.wide.clear();
        self.strings.clear();
    }

    /// Adds the values of `field` in `rows`, before which there were `before`.
    ///
    /// # Safety
    /// The rows are of the view's layout, and nobody writes to them.
    unsafe fn add(&mut self, view: &TableView, field: &FieldPlace, rows: &[*const u8], before: usize) {
        let (place, numbers) = (field.offset, &mut self.numbers);
        // SAFETY: the field and its flag lie within the row, and any bytes are a number.
        unsafe {
            if let Some(flag) = field.null_flag {
                add_bits(rows, flag, before, &mut self.nulls);
            }
            match field.kind {
                FieldKind::Bytes => {
                    for &row in rows {
                        let value = view.arena.get(read_handle(row, place));
                        self.strings.push(&value);
                    }
                }
                kind => match kind.width() {
                    1 => add_numbers::<i8>(rows, place, i64::from, numbers),
                    2 => add_numbers::<i16>(rows, place, i64::from, numbers),
                    4 => add_numbers::<i32>(rows, place, i64::from, numbers),
                    8 => add_numbers::<i64>(rows, place, i64::from, numbers),
                    _ => {
                        let wide = |row: &*const u8| row.add(place).cast::<i128>().read_unaligned();
                        self.wide.extend(rows.iter().map(wide));
                    }
                },
            }
        }
    }

    fn write(&self, field: &FieldPlace, out: &mut Writer) {
        out.u8(field.kind as u8);
        out.u8(u8::from(field.null_flag.is_some()));
        out.raw(&self.nulls);
        match (field.kind, field.kind.width()) {
            (FieldKind::Bytes, _) => self.strings.write_packed(out),
            (_, 16) => packed::write_wide_numbers(&self.wide, out),
            (_, width) => packed::write_numbers(width, self.numbers.iter().copied(), out),
        }
    }
}

/// Appends the number at `offset` of each row.
///
/// # Safety
/// The rows are readable there, and nobody writes to them.
unsafe fn add_numbers<T: Copy>(
    rows: &[*const u8],
    offset: usize,
    widen: impl Fn(T) -> i64,
    numbers: &mut Vec<i64>,
) {
    // SAFETY: the caller's promise.
    numbers.extend(rows.iter().map(|&row| widen(unsafe { row.add(offset).cast::<T>().read_unaligned() })));
}

/// Appends the flag of each row to `bits`, which has `before`.
///
/// # Safety
/// The rows are readable there, and nobody writes to them.
unsafe fn add_bits(rows: &[*const u8], flag: Flag, before: usize, bits: &mut Vec<u8>) {
    bits.resize((before + rows.len()).div_ceil(8), 0);
    for (place, &row) in (before..).zip(rows) {
        // SAFETY: the caller's promise.
        let set = u8::from(unsafe { *row.add(flag.offset) } & flag.bit != 0);
        bits[place / 8] |= set << (place % 8);
    }
}
