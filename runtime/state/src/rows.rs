//! Typed access to the rows of one table.

use crate::arena::{Handle, ValueBytes};
use crate::descriptor::FieldKind;
use crate::row_layout::Flag;
use crate::row_store::{RowStore, stamp};
use crate::slot_table::SlotTable;
use std::marker::PhantomData;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a field of fixed width is read and written as.
pub trait FieldValue: Copy + sealed::Sealed {
    /// The kind that a field must have.
    const KIND: FieldKind;
}

macro_rules! field_values {
    ($($type:ty => $kind:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl FieldValue for $type {
            const KIND: FieldKind = FieldKind::$kind;
        }
    )*};
}
field_values!(i8 => I8, i16 => I16, i32 => I32, i64 => I64, i128 => I128, f32 => F32, f64 => F64, u8 => Bool);

/// The rows of one namespace of one state, as columns that are read and written at slots.
///
/// A slot is valid from the call that returned it until its entry is deleted, expires, or its namespace is
/// dropped. Reading a slot that is not valid gives some value, writing it changes what nobody sees or another
/// entry: wrong, but memory-safe. A slot beyond the table panics.
pub struct Rows<'a> {
    table: *mut SlotTable,
    lifetime: PhantomData<&'a mut SlotTable>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(table: &'a mut SlotTable) -> Self {
        Rows { table, lifetime: PhantomData }
    }

    pub(crate) fn table(&self) -> &SlotTable {
        // SAFETY: `Rows` borrows the table; columns made from it write rows only through raw pointers and
        // change the page table only within one call.
        unsafe { &*self.table }
    }

    /// Field `field` of all rows. Columns are like `Cell`: several may be used at once, and they hand out
    /// values, never references.
    ///
    /// # Panics
    /// If the field is of another kind than `T`.
    pub fn column<T: FieldValue>(&self, field: usize) -> Column<'a, T> {
        let place = &self.table().layout().fields[field];
        assert!(place.kind == T::KIND, "field {field} is of kind {:?}, not {:?}", place.kind, T::KIND);
        Column { bytes: self.byte_column(), offset: place.offset, flag: place.null_flag, kind: PhantomData }
    }

    /// Whether field `field`, of any kind, is NULL.
    pub fn nulls(&self, field: usize) -> Nulls<'a> {
        Nulls { bytes: self.byte_column(), flag: self.table().layout().fields[field].null_flag }
    }

    pub(crate) fn byte_column(&self) -> ByteColumn<'a> {
        // SAFETY: as in `table`.
        let store = unsafe { &raw mut (*self.table).rows };
        // SAFETY: as above.
        let pages = unsafe { &*store };
        let (shift, mask, stride) = pages.shape();
        ByteColumn {
            store,
            read: pages.read_pages().as_ptr(),
            write: pages.write_pages().as_ptr(),
            interval: pages.interval(),
            capacity: pages.capacity(),
            shift,
            mask,
            stride,
            lifetime: PhantomData,
        }
    }

    /// The value of a field of kind [`FieldKind::Bytes`]; `None` if it is NULL.
    ///
    /// # Panics
    /// If the field is of another kind.
    pub fn bytes(&self, slot: u32, field: usize) -> Option<ValueBytes<'_>> {
        self.table().value_bytes(slot, field)
    }

    /// Sets a field of kind [`FieldKind::Bytes`].
    ///
    /// # Panics
    /// If the field is of another kind, or `None` is set where the field is NOT NULL.
    pub fn set_bytes(&mut self, slot: u32, field: usize, value: Option<&[u8]>) {
        // SAFETY: `&mut self` says that no value borrowed from the arena is in use; columns hold none.
        unsafe { (*self.table).set_value_bytes(slot, field, value) };
    }

    /// True if an entry is at `slot`.
    pub fn is_live(&self, slot: u32) -> bool {
        self.table().is_live(slot)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct ByteColumn<'a> {
    store: *mut RowStore,
    read: *const *mut u8,
    write: *const *mut u8,
    /// what rows that are written are stamped with
    interval: u32,
    capacity: u32,
    shift: u32,
    mask: u32,
    stride: usize,
    lifetime: PhantomData<&'a mut SlotTable>,
}

impl ByteColumn<'_> {
    #[inline(always)]
    pub(crate) fn row(&self, slot: u32) -> *const u8 {
        if slot >= self.capacity {
            beyond(slot);
        }
        // SAFETY: a slot below the capacity has a row in a page.
        unsafe {
            (*self.read.add((slot >> self.shift) as usize)).add((slot & self.mask) as usize * self.stride)
        }
    }

    /// The row of `slot`, to write until the next snapshot.
    #[inline(always)]
    pub(crate) fn row_mut(&self, slot: u32) -> *mut u8 {
        if slot >= self.capacity {
            beyond(slot);
        }
        // SAFETY: a slot below the capacity has a row in a page.
        let start = unsafe { *self.write.add((slot >> self.shift) as usize) };
        if start.is_null() {
            // SAFETY: the store is borrowed for the column's lifetime, on one thread, and no reference into
            // it is held across this call. It replaces pointers in place: the tables that `read` and `write`
            // point to stay.
            return unsafe { (*self.store).write_row(slot, self.interval) };
        }
        // SAFETY: as above, and it ends with a stamp.
        unsafe {
            let row = start.add((slot & self.mask) as usize * self.stride);
            stamp(row, self.stride, self.interval);
            row
        }
    }
}

#[cold]
#[inline(never)]
fn beyond(slot: u32) -> ! {
    panic!("slot {slot} lies beyond its table")
}

/// One field of all rows.
#[derive(Clone, Copy)]
pub struct Column<'a, T> {
    bytes: ByteColumn<'a>,
    offset: usize,
    flag: Option<Flag>,
    kind: PhantomData<T>,
}

impl<T: FieldValue> Column<'_, T> {
    /// The value at `slot`, whether or not it is marked as NULL.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> T {
        // SAFETY: the field lies within the row, and any bytes are a value of `T`.
        unsafe { self.bytes.row(slot).add(self.offset).cast::<T>().read_unaligned() }
    }

    /// Sets the value at `slot`; says nothing about NULL.
    #[inline(always)]
    pub fn set(&self, slot: u32, value: T) {
        // SAFETY: the field lies within the row.
        unsafe { self.bytes.row_mut(slot).add(self.offset).cast::<T>().write_unaligned(value) };
    }

    /// Replaces the value at `slot` by `change` of it; says nothing about NULL.
    #[inline(always)]
    pub fn update(&self, slot: u32, change: impl FnOnce(T) -> T) {
        // SAFETY: the field lies within the row, and any bytes are a value of `T`.
        unsafe {
            let place = self.bytes.row_mut(slot).add(self.offset).cast::<T>();
            place.write_unaligned(change(place.read_unaligned()));
        }
    }

    /// The value at `slot`, `None` if it is NULL.
    #[inline(always)]
    pub fn get_option(&self, slot: u32) -> Option<T> {
        (!self.is_null(slot)).then(|| self.get(slot))
    }

    /// Sets the value at `slot` or makes it NULL.
    ///
    /// # Panics
    /// If it is `None` where the field is NOT NULL.
    #[inline(always)]
    pub fn set_option(&self, slot: u32, value: Option<T>) {
        if let Some(value) = value {
            self.set(slot, value);
        }
        self.set_null(slot, value.is_none());
    }

    /// Replaces the value at `slot`, where `None` stands for NULL, by `change` of it, which is never NULL.
    /// With one look at the row: what MIN, MAX and a nullable SUM do.
    #[inline(always)]
    pub fn update_option(&self, slot: u32, change: impl FnOnce(Option<T>) -> T) {
        crate::pinned::update_option(self.bytes.row_mut(slot), self.offset, self.flag, change);
    }

    #[inline(always)]
    pub fn is_null(&self, slot: u32) -> bool {
        Nulls { bytes: self.bytes, flag: self.flag }.is_null(slot)
    }

    /// # Panics
    /// If `null` is set where the field is NOT NULL.
    #[inline(always)]
    pub fn set_null(&self, slot: u32, null: bool) {
        Nulls { bytes: self.bytes, flag: self.flag }.set_null(slot, null);
    }
}

/// Whether one field is NULL, of all rows.
#[derive(Clone, Copy)]
pub struct Nulls<'a> {
    bytes: ByteColumn<'a>,
    flag: Option<Flag>,
}

impl Nulls<'_> {
    #[inline(always)]
    pub fn is_null(&self, slot: u32) -> bool {
        // SAFETY: the flag lies within the row.
        self.flag.is_some_and(|flag| unsafe { *self.bytes.row(slot).add(flag.offset) } & flag.bit != 0)
    }

    /// # Panics
    /// If `null` is set where the field is NOT NULL.
    #[inline(always)]
    pub fn set_null(&self, slot: u32, null: bool) {
        let Some(flag) = self.flag else {
            assert!(!null, "a field that is NOT NULL was set to NULL");
            return;
        };
        // SAFETY: the flag lies within the row.
        unsafe {
            let byte = self.bytes.row_mut(slot).add(flag.offset);
            byte.write(if null { byte.read() | flag.bit } else { byte.read() & !flag.bit });
        }
    }
}

/// Reads a handle that lies at `offset` of `row`.
///
/// # Safety
/// Sixteen readable bytes.
#[inline(always)]
pub(crate) unsafe fn read_handle(row: *const u8, offset: usize) -> Handle {
    // SAFETY: the caller's promise.
    Handle(unsafe { row.add(offset).cast::<[u8; 16]>().read_unaligned() })
}
