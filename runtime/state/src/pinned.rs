//! Rows whose addresses have been looked up once, for several columns of one batch.

use crate::row_layout::{Flag, RowLayout};
use crate::rows::{FieldValue, Rows};
use std::marker::PhantomData;

/// Calls a function for rows of `count` words, compiled for each count that is common.
macro_rules! by_count {
    ($count:expr, $function:ident($($argument:expr),*)) => {
        match $count {
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            3 => $function::<3>($($argument),*),
            4 => $function::<4>($($argument),*),
            5 => $function::<5>($($argument),*),
            6 => $function::<6>($($argument),*),
            7 => $function::<7>($($argument),*),
            8 => $function::<8>($($argument),*),
            _ => $function::<0>($($argument),*),
        }
    };
}

/// Memory for [`Rows::pin`] and [`Rows::view`]. Reuse it from batch to batch.
#[derive(Default)]
pub struct PinBuffer(Vec<*mut u8>);

// SAFETY: the pointers are followed only while a `Pinned` borrows both the buffer and the rows.
unsafe impl Send for PinBuffer {}
unsafe impl Sync for PinBuffer {}

impl Rows<'_> {
    /// Looks up the rows of `slots`, one for each position of a batch, so that several columns can be updated
    /// without looking them up again. The rows count as changed.
    ///
    /// # Panics
    /// If a slot lies beyond the table.
    pub fn pin<'p>(&'p self, slots: &[u32], buffer: &'p mut PinBuffer) -> Pinned<'p> {
        self.table().rows.prefetch_held(slots);
        let bytes = self.byte_column();
        buffer.0.clear();
        buffer.0.extend(slots.iter().map(|&slot| bytes.row_mut(slot)));
        Pinned { rows: &buffer.0, layout: self.table().layout() }
    }

    /// Looks up the rows of `slots`, one for each position of a batch, to read several columns of them.
    ///
    /// # Panics
    /// If a slot lies beyond the table.
    pub fn view<'p>(&'p self, slots: &[u32], buffer: &'p mut PinBuffer) -> Viewed<'p> {
        let bytes = self.byte_column();
        buffer.0.clear();
        buffer.0.extend(slots.iter().map(|&slot| bytes.row(slot).cast_mut()));
        Viewed(Pinned { rows: &buffer.0, layout: self.table().layout() })
    }
}

/// The rows of a batch of slots, by position in the batch, to read.
pub struct Viewed<'p>(Pinned<'p>);

impl Viewed<'_> {
    /// Field `field` of the row at each position.
    ///
    /// # Panics
    /// If the field is of another kind than `T`.
    pub fn values<'v, T: FieldValue + 'v>(&'v self, field: usize) -> impl Iterator<Item = T> + 'v {
        let column = self.0.column::<T>(field);
        (0..self.0.len()).map(move |position| column.get(position))
    }

    /// [`Viewed::values`], `None` for NULL.
    ///
    /// # Panics
    /// As there.
    pub fn options<'v, T: FieldValue + 'v>(&'v self, field: usize) -> impl Iterator<Item = Option<T>> + 'v {
        let column = self.0.column::<T>(field);
        (0..self.0.len()).map(move |position| column.get_option(position))
    }

    /// Reads all fields of each row as words, one for each field, row after row; false, and nothing is read, if
    /// not every field is a number of 64 bits that cannot be NULL.
    ///
    /// # Panics
    /// If `words` is not as long as that takes.
    pub fn read_words(&self, words: &mut [u64]) -> bool {
        let Some(run) = self.0.layout.words else { return false };
        assert!(words.len() == run.count * self.0.len(), "room for {} words", words.len());
        by_count!(run.count, read_words(self.0.rows, run.offset, run.count, words));
        true
    }
}

/// `N` words from each row, or `count` if that is 0.
fn read_words<const N: usize>(rows: &[*mut u8], offset: usize, count: usize, words: &mut [u64]) {
    let count = if N == 0 { count } else { N };
    for (row, words) in rows.iter().zip(words.chunks_exact_mut(count.max(1))) {
        // SAFETY: the run of words lies within the row, and any bytes are words.
        unsafe {
            let from = row.add(offset);
            std::ptr::copy_nonoverlapping(from, words.as_mut_ptr().cast::<u8>(), 8 * count);
        }
    }
}

/// `N` words to each row, or `count` if that is 0.
fn write_words<const N: usize>(rows: &[*mut u8], offset: usize, count: usize, words: &[u64]) {
    let count = if N == 0 { count } else { N };
    for (row, words) in rows.iter().zip(words.chunks_exact(count.max(1))) {
        // SAFETY: pinned rows are writable, and the run of words lies within the row.
        unsafe {
            std::ptr::copy_nonoverlapping(words.as_ptr().cast::<u8>(), row.add(offset), 8 * count);
        }
    }
}

/// The rows of a batch of slots, by position in the batch.
pub struct Pinned<'p> {
    rows: &'p [*mut u8],
    layout: &'p RowLayout,
}

impl<'p> Pinned<'p> {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes what [`Viewed::read_words`] reads; false, and nothing is written, where that reads nothing.
    ///
    /// # Panics
    /// If `words` is not as long as that takes.
    pub fn write_words(&self, words: &[u64]) -> bool {
        let Some(run) = self.layout.words else { return false };
        assert!(words.len() == run.count * self.rows.len(), "{} words to write", words.len());
        by_count!(run.count, write_words(self.rows, run.offset, run.count, words));
        true
    }

    /// Field `field` of these rows. Columns are like `Cell`: several may be used at once.
    ///
    /// # Panics
    /// If the field is of another kind than `T`.
    pub fn column<T: FieldValue>(&self, field: usize) -> PinnedColumn<'p, T> {
        let place = &self.layout.fields[field];
        assert!(place.kind == T::KIND, "field {field} is of kind {:?}, not {:?}", place.kind, T::KIND);
        PinnedColumn { rows: self.rows, offset: place.offset, flag: place.null_flag, kind: PhantomData }
    }
}

/// One field of the rows of a batch of slots, by position in the batch.
///
/// The rows are those of one table, none of which can be replaced while they are pinned: they were made
/// writable then.
#[derive(Clone, Copy)]
pub struct PinnedColumn<'p, T> {
    rows: &'p [*mut u8],
    offset: usize,
    flag: Option<Flag>,
    kind: PhantomData<T>,
}

impl<T: FieldValue> PinnedColumn<'_, T> {
    /// # Panics
    /// If `position` is not in the batch; so do all methods with a position.
    #[inline(always)]
    pub fn get(&self, position: usize) -> T {
        // SAFETY: the field lies within the row, and any bytes are a value of `T`.
        unsafe { self.rows[position].add(self.offset).cast::<T>().read_unaligned() }
    }

    /// Sets the value; says nothing about NULL.
    #[inline(always)]
    pub fn set(&self, position: usize, value: T) {
        // SAFETY: the field lies within the row.
        unsafe { self.rows[position].add(self.offset).cast::<T>().write_unaligned(value) };
    }

    /// The value, `None` if it is NULL.
    #[inline(always)]
    pub fn get_option(&self, position: usize) -> Option<T> {
        let row = self.rows[position];
        // SAFETY: the flag lies within the row.
        let null = self.flag.is_some_and(|flag| unsafe { *row.add(flag.offset) } & flag.bit != 0);
        (!null).then(|| self.get(position))
    }

    /// Sets the value or makes it NULL.
    ///
    /// # Panics
    /// Also if it is `None` where the field is NOT NULL.
    #[inline(always)]
    pub fn set_option(&self, position: usize, value: Option<T>) {
        if let Some(value) = value {
            self.set(position, value);
        }
        match self.flag {
            Some(flag) => {
                // SAFETY: the flag lies within the row.
                unsafe {
                    let byte = self.rows[position].add(flag.offset);
                    byte.write(if value.is_none() {
                        byte.read() | flag.bit
                    } else {
                        byte.read() & !flag.bit
                    });
                }
            }
            None => assert!(value.is_some(), "a field that is NOT NULL was set to NULL"),
        }
    }

    /// Replaces the value by `change` of it; says nothing about NULL.
    #[inline(always)]
    pub fn update(&self, position: usize, change: impl FnOnce(T) -> T) {
        update(self.rows[position], self.offset, change);
    }

    /// Replaces the value, where `None` stands for NULL, by `change` of it, which is never NULL.
    #[inline(always)]
    pub fn update_option(&self, position: usize, change: impl FnOnce(Option<T>) -> T) {
        update_option(self.rows[position], self.offset, self.flag, change);
    }

    /// [`PinnedColumn::update`] for each row of the batch, with the value that `values` gives for it. Stops
    /// with the shorter of both.
    #[inline(always)]
    pub fn fold<V>(&self, values: impl Iterator<Item = V>, mut change: impl FnMut(T, V) -> T) {
        for (&row, value) in self.rows.iter().zip(values) {
            update(row, self.offset, |old| change(old, value));
        }
    }

    /// [`PinnedColumn::update_option`] for each row of the batch, with the value that `values` gives for it.
    /// Stops with the shorter of both.
    #[inline(always)]
    pub fn fold_option<V>(&self, values: impl Iterator<Item = V>, mut change: impl FnMut(Option<T>, V) -> T) {
        for (&row, value) in self.rows.iter().zip(values) {
            update_option(row, self.offset, self.flag, |old| change(old, value));
        }
    }
}

#[inline(always)]
fn update<T: FieldValue>(row: *mut u8, offset: usize, change: impl FnOnce(T) -> T) {
    // SAFETY: pinned rows are writable, the field lies within the row, and any bytes are a value of `T`.
    unsafe {
        let place = row.add(offset).cast::<T>();
        place.write_unaligned(change(place.read_unaligned()));
    }
}

#[inline(always)]
pub(crate) fn update_option<T: FieldValue>(
    row: *mut u8,
    offset: usize,
    flag: Option<Flag>,
    change: impl FnOnce(Option<T>) -> T,
) {
    let Some(flag) = flag else { return update(row, offset, |old| change(Some(old))) };
    // SAFETY: the row is writable, field and flag lie within it, and any bytes are a value of `T`.
    unsafe {
        let (place, byte) = (row.add(offset).cast::<T>(), row.add(flag.offset));
        let flags = byte.read();
        if flags & flag.bit == 0 {
            place.write_unaligned(change(Some(place.read_unaligned())));
        } else {
            byte.write(flags & !flag.bit);
            place.write_unaligned(change(None));
        }
    }
}
