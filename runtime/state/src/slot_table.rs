//! The entries of one namespace of one state: rows, the index over their keys, and their values of variable
//! width.

use crate::arena::{Arena, Handle, KEY_FIELD, ValueBytes};
use crate::descriptor::FieldKind;
use crate::key_index::KeyIndex;
use crate::row_layout::{Flag, RowKey, RowLayout};
use crate::row_store::{PagePools, RowStore};
use crate::rows::read_handle;
use std::sync::Arc;

pub(crate) struct SlotTable {
    layout: Arc<RowLayout>,
    pub(crate) rows: RowStore,
    pub(crate) index: KeyIndex,
    /// the entry whose key is NULL, where a key is one word
    pub(crate) null_slot: Option<u32>,
    pub(crate) arena: Arena,
}

impl SlotTable {
    pub(crate) fn new(layout: Arc<RowLayout>, pools: Arc<PagePools>) -> Self {
        SlotTable {
            rows: RowStore::new(layout.stride, pools),
            layout,
            index: KeyIndex::new(),
            null_slot: None,
            arena: Arena::default(),
        }
    }

    /// A table for another namespace that takes over the memory of this one's index; its pages go back to the
    /// pool.
    pub(crate) fn recycle(mut self, pools: Arc<PagePools>) -> Self {
        self.index.clear();
        self.arena.clear();
        self.rows = RowStore::new(self.layout.stride, pools);
        self.null_slot = None;
        self
    }

    pub(crate) fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.index.bytes() + self.arena.bytes()
    }

    #[inline]
    pub(crate) fn flag(&self, slot: u32, flag: Flag) -> bool {
        // SAFETY: the flag lies within the row.
        unsafe { *self.rows.row(slot).add(flag.offset) & flag.bit != 0 }
    }

    pub(crate) fn set_flag(&mut self, slot: u32, flag: Flag) {
        // SAFETY: the flag lies within the row.
        unsafe { *self.rows.row_mut(slot).add(flag.offset) |= flag.bit };
    }

    pub(crate) fn is_live(&self, slot: u32) -> bool {
        slot >= self.rows.drained() && self.was_live(slot)
    }

    /// As [`SlotTable::is_live`], and also true if the entry was drained.
    pub(crate) fn was_live(&self, slot: u32) -> bool {
        slot < self.rows.len() && self.flag(slot, self.layout.live)
    }

    /// Gives the memory of a table without entries back.
    pub(crate) fn shrink(&mut self, pools: Arc<PagePools>) {
        debug_assert!(self.rows.live() == 0 && self.rows.drained() == 0);
        *self = SlotTable::new(self.layout.clone(), pools);
    }

    /// A fresh row: live, nullable fields NULL, all others zero. Its key is still to be written.
    #[inline]
    pub(crate) fn new_row(&mut self) -> (u32, *mut u8) {
        let (slot, row) = self.rows.allocate();
        let template = &self.layout.template;
        // SAFETY: a row has more bytes than the template.
        unsafe { std::ptr::copy_nonoverlapping(template.as_ptr(), row, template.len()) };
        (slot, row)
    }

    /// A fresh row of a List state: its key is its parent's slot and its number.
    pub(crate) fn new_list_row(&mut self, parent: u32, sequence: u64) -> u32 {
        assert!(self.layout.key == RowKey::Words(2));
        let (slot, row) = self.new_row();
        // SAFETY: the key of two words is at the front of the row.
        unsafe { row.cast::<[u64; 2]>().write_unaligned([u64::from(parent), sequence]) };
        slot
    }

    /// Word `index` of the key of `slot`.
    #[inline]
    pub(crate) fn key_word(&self, slot: u32, index: usize) -> u64 {
        debug_assert!(8 * index < self.layout.key.width());
        // SAFETY: the key is at the front of the row.
        unsafe { self.rows.row(slot).cast::<u64>().add(index).read_unaligned() }
    }

    #[inline]
    pub(crate) fn key_handle(&self, slot: u32) -> Handle {
        debug_assert!(self.layout.key == RowKey::Bytes);
        // SAFETY: the handle is at the front of the row, which is longer.
        unsafe { read_handle(self.rows.row(slot), 0) }
    }

    /// The key of `slot`, where keys are bytes.
    #[inline]
    pub(crate) fn key_bytes(&self, slot: u32) -> ValueBytes<'_> {
        self.arena.get(self.key_handle(slot))
    }

    /// Adds an entry with a key of bytes that is not there.
    pub(crate) fn insert_bytes(&mut self, key: &[u8], hash: u64) -> u32 {
        let (slot, row) = self.new_row();
        let handle = self.arena.insert(slot, KEY_FIELD, key);
        // SAFETY: the handle is at the front of the row.
        unsafe { row.cast::<[u8; 16]>().write_unaligned(handle.0) };
        self.index.insert(hash, slot);
        slot
    }

    pub(crate) fn value_bytes(&self, slot: u32, field: usize) -> Option<ValueBytes<'_>> {
        let place = &self.layout.fields[field];
        assert!(place.kind == FieldKind::Bytes, "field {field} is of kind {:?}, not Bytes", place.kind);
        if place.null_flag.is_some_and(|flag| self.flag(slot, flag)) {
            return None;
        }
        // SAFETY: the handle lies within the row.
        Some(self.arena.get(unsafe { read_handle(self.rows.row(slot), place.offset) }))
    }

    pub(crate) fn set_value_bytes(&mut self, slot: u32, field: usize, value: Option<&[u8]>) {
        let place = self.layout.fields[field];
        assert!(place.kind == FieldKind::Bytes, "field {field} is of kind {:?}, not Bytes", place.kind);
        assert!(
            value.is_some() || place.null_flag.is_some(),
            "field {field} is NOT NULL and was set to NULL"
        );
        // SAFETY: the handle lies within the row.
        let old = unsafe { read_handle(self.rows.row(slot), place.offset) };
        self.arena.remove(old);
        let handle = match value {
            Some(value) => self.arena.insert(slot, field as u32, value),
            None => Handle::EMPTY,
        };
        let row = self.rows.row_mut(slot);
        // SAFETY: handle and flag lie within the row.
        unsafe {
            row.add(place.offset).cast::<[u8; 16]>().write_unaligned(handle.0);
            if let Some(flag) = place.null_flag {
                let flags = row.add(flag.offset);
                *flags = if value.is_none() { *flags | flag.bit } else { *flags & !flag.bit };
            }
        }
        self.compact();
    }

    /// Frees everything that `slot` keeps in the arena, and the slot itself. The index no longer knows it.
    pub(crate) fn release(&mut self, slot: u32) {
        let layout = self.layout.clone();
        if layout.key == RowKey::Bytes {
            self.arena.remove(self.key_handle(slot));
        }
        self.release_values(slot);
        let live = layout.live;
        // SAFETY: the flag lies within the row.
        unsafe { *self.rows.row_mut(slot).add(live.offset) &= !live.bit };
        self.rows.release(slot);
    }

    /// Frees what the fields of `slot` keep in the arena.
    fn release_values(&mut self, slot: u32) {
        if self.layout.fields.iter().all(|place| place.kind != FieldKind::Bytes) {
            return;
        }
        let row = self.rows.row_mut(slot);
        for place in self.layout.fields.iter().filter(|place| place.kind == FieldKind::Bytes) {
            // SAFETY: the handle lies within the row. It is emptied so that a slot that is no longer valid
            // frees nothing that belongs to another.
            unsafe {
                self.arena.remove(read_handle(row, place.offset));
                row.add(place.offset).cast::<[u8; 16]>().write_unaligned(Handle::EMPTY.0);
            }
        }
    }

    /// Makes `slot` as a new entry with the same key.
    pub(crate) fn reset(&mut self, slot: u32) {
        self.release_values(slot);
        let null_key = self.flag(slot, self.layout.null_key);
        let (row, start) = (self.rows.row_mut(slot), self.layout.key.width());
        let template = &self.layout.template[start..];
        // SAFETY: a row has more bytes than the template.
        unsafe { std::ptr::copy_nonoverlapping(template.as_ptr(), row.add(start), template.len()) };
        if null_key {
            self.set_flag(slot, self.layout.null_key);
        }
    }

    /// Empties one chunk of the arena that is mostly garbage, if there is one: values that rows still point
    /// to are appended anew.
    pub(crate) fn compact(&mut self) {
        let Some(chunk) = self.arena.sparse_chunk() else { return };
        for (slot, field, handle) in self.arena.contents(chunk) {
            if slot >= self.rows.len() {
                continue;
            }
            let offset = match field {
                KEY_FIELD => 0,
                field => self.layout.fields[field as usize].offset,
            };
            // SAFETY: the handle lies within the row.
            let held = unsafe { read_handle(self.rows.row(slot), offset) };
            if held != handle || !self.is_live(slot) {
                continue;
            }
            let value = self.arena.get(handle).to_vec();
            let moved = self.arena.insert(slot, field, &value);
            // SAFETY: as above.
            unsafe { self.rows.row_moved(slot).add(offset).cast::<[u8; 16]>().write_unaligned(moved.0) };
        }
        // Nothing that exists is left in it.
        self.arena.forget_chunk(chunk);
    }
}
