//! Keys of slots, read back from their rows.

use crate::arena::{ArenaView, Handle, ValueBytes};
use crate::resolve::child_hash;
use crate::row_layout::RowKey;
use crate::slot_table::SlotTable;
use arrow::buffer::NullBuffer;
use weir_types::{EncodedKeys, KeyData, KeyShape};

/// Whose arena a handle belongs to.
pub(crate) trait Values {
    fn value(&self, handle: Handle) -> ValueBytes<'_>;
}

impl Values for ArenaView {
    fn value(&self, handle: Handle) -> ValueBytes<'_> {
        self.get(handle)
    }
}

impl Values for crate::arena::Arena {
    fn value(&self, handle: Handle) -> ValueBytes<'_> {
        self.get(handle)
    }
}

/// The keys in `rows`, of shape `shape`, without the parent if `under_parent`.
///
/// # Safety
/// Each row is readable in the layout of a table whose keys have this shape; `null_key` says whether its key
/// is NULL.
pub(crate) unsafe fn keys_of_rows(
    rows: &[*const u8],
    shape: KeyShape,
    under_parent: bool,
    null_key: impl Fn(*const u8) -> bool,
    values: &impl Values,
) -> EncodedKeys {
    // SAFETY: the caller's promise; words and handles are at the front of a row.
    let word = |row: *const u8, index: usize| unsafe { row.cast::<u64>().add(index).read_unaligned() };
    EncodedKeys::new(match shape {
        KeyShape::Word { width, column } => {
            let words = rows.iter().map(|&row| word(row, 0)).collect();
            let is_null = |row: *const u8| match under_parent {
                true => word(row, 1) >> 32 != 0,
                false => null_key(row),
            };
            let nulls = NullBuffer::from_iter(rows.iter().map(|&row| !is_null(row)));
            let nulls = Some(nulls).filter(|nulls| column && nulls.null_count() > 0);
            KeyData::Word { width, column, words, nulls }
        }
        KeyShape::Fixed2 { width } => {
            let words = rows.iter().map(|&row| [word(row, 0), word(row, 1)]).collect();
            KeyData::Fixed2 { width, words }
        }
        KeyShape::Fixed3 { width } => {
            let words = rows.iter().map(|&row| [word(row, 0), word(row, 1), word(row, 2)]).collect();
            KeyData::Fixed3 { width, words }
        }
        KeyShape::Bytes => {
            let (mut offsets, mut bytes) = (vec![0], Vec::new());
            let skip = if under_parent { 4 } else { 0 };
            for &row in rows {
                // SAFETY: the caller's promise.
                let handle = unsafe { crate::rows::read_handle(row, 0) };
                bytes.extend_from_slice(values.value(handle).get(skip..).unwrap_or(&[]));
                offsets.push(bytes.len() as u32);
            }
            KeyData::Bytes { offsets, bytes }
        }
    })
}

/// The slot of the parent of the entry in `row`, whose key has the form `key` in a table of a Map or List
/// state.
///
/// # Safety
/// The row is readable in the layout of such a table.
pub(crate) unsafe fn parent_of_row(row: *const u8, key: RowKey, is_list: bool, values: &impl Values) -> u32 {
    match key {
        RowKey::Words(words) => {
            let index = if is_list { 0 } else { words - 1 };
            // SAFETY: the caller's promise.
            unsafe { row.cast::<u64>().add(index).read_unaligned() as u32 }
        }
        RowKey::Bytes => {
            // SAFETY: the caller's promise.
            let value = values.value(unsafe { crate::rows::read_handle(row, 0) });
            let mut bytes = [0; 4];
            bytes.copy_from_slice(value.get(..4).unwrap_or(&[0; 4]));
            u32::from_le_bytes(bytes)
        }
    }
}

impl SlotTable {
    /// The keys of `slots`, of shape `shape`; map keys, if the table's entries are under a parent.
    pub(crate) fn keys(&self, slots: &[u32], shape: KeyShape, under_parent: bool) -> EncodedKeys {
        let rows: Vec<*const u8> = slots.iter().map(|&slot| self.rows.row(slot)).collect();
        let flag = self.layout().null_key;
        // SAFETY: the rows are this table's, and the flag lies within a row.
        unsafe {
            let null_key = |row: *const u8| *row.add(flag.offset) & flag.bit != 0;
            keys_of_rows(&rows, shape, under_parent, null_key, &self.arena)
        }
    }

    /// The slot of the parent of `slot`.
    pub(crate) fn parent(&self, slot: u32, is_list: bool) -> u32 {
        // SAFETY: the row is this table's.
        unsafe { parent_of_row(self.rows.row(slot), self.layout().key, is_list, &self.arena) }
    }

    /// Deletes the entries at `slots`: keys of shape `shape`, under a parent if `under_parent`.
    pub(crate) fn delete(&mut self, slots: &[u32], shape: KeyShape, under_parent: bool) {
        let keys = self.keys(slots, shape, under_parent);
        for (&slot, &hash) in slots.iter().zip(keys.hashes()) {
            if !self.is_live(slot) {
                continue;
            }
            if self.null_slot == Some(slot) {
                self.null_slot = None;
            } else if under_parent {
                self.index.remove(child_hash(hash, self.parent(slot, false)), slot);
            } else {
                self.index.remove(hash, slot);
            }
            self.release(slot);
        }
    }
}
