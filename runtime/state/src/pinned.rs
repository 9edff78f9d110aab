//! Rows whose addresses have been looked up once, for several columns of one batch.

use crate::row_layout::{Flag, RowLayout};
use crate::rows::{FieldValue, Rows};
use std::marker::PhantomData;

/// Memory for [`Rows::pin`]. Reuse it from batch to batch.
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
        let bytes = self.byte_column();
        buffer.0.clear();
        buffer.0.extend(slots.iter().map(|&slot| bytes.row_mut(slot)));
        Pinned { rows: &buffer.0, layout: self.table().layout() }
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
