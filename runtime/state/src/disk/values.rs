//! Rows as they are on disk, and back.
//!
//! `[last access i64] ‖ fields of fixed width, the widest first ‖ a bit per nullable field, set for NULL ‖ for each
//! string its length u32 and its bytes`; numbers are little endian. The bits begin at bit 2 of their first byte. It is
//! the row as it lies in memory, without its key and with strings for handles.

use crate::arena::{HANDLE_BYTES, Handle};
use crate::descriptor::FieldKind;
use crate::row_keys::Values;
use crate::row_layout::RowLayout;
use crate::rows::read_handle;
use crate::slot_table::SlotTable;
use std::ops::Range;

/// The bits of the first byte of flags that are not persisted: live, and that the key is NULL.
const OWN_FLAGS: u8 = 0b11;

/// Which bytes of a row go to disk.
#[derive(Clone, Debug)]
pub(crate) struct ValueLayout {
    spans: Vec<Range<usize>>,
    flags: Range<usize>,
    /// fields of variable width: their places in the row
    strings: Vec<(u32, usize)>,
    /// bytes without the strings
    fixed: usize,
}

impl ValueLayout {
    pub(crate) fn new(layout: &RowLayout) -> Self {
        let is_string = |kind: FieldKind| kind == FieldKind::Bytes;
        let nullable = layout.fields.iter().filter(|place| place.null_flag.is_some()).count();
        let flags = layout.live.offset..layout.live.offset + (2 + nullable).div_ceil(8);
        let strings = layout.fields.iter().enumerate().filter(|(_, place)| is_string(place.kind));
        let strings: Vec<(u32, usize)> = strings.map(|(field, place)| (field as u32, place.offset)).collect();
        let mut handles: Vec<usize> = strings.iter().map(|&(_, offset)| offset).collect();
        handles.sort_unstable();
        let (mut spans, mut start) = (Vec::new(), layout.key.width());
        for handle in handles {
            spans.push(start..handle);
            start = handle + HANDLE_BYTES;
        }
        spans.push(start..flags.start);
        spans.retain(|span| !span.is_empty());
        let fixed = spans.iter().map(ExactSizeIterator::len).sum::<usize>() + flags.len();
        ValueLayout { spans, flags, strings, fixed }
    }

    /// Appends the value of `row` to `out`.
    ///
    /// # Safety
    /// The row is readable in the layout that this one was made for, and its handles are those of `values`.
    pub(crate) unsafe fn write(&self, row: *const u8, values: &impl Values, out: &mut Vec<u8>) {
        for span in &self.spans {
            // SAFETY: the caller's promise.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(row.add(span.start), span.len()) });
        }
        let first_flags = out.len();
        // SAFETY: as above.
        out.extend_from_slice(unsafe {
            std::slice::from_raw_parts(row.add(self.flags.start), self.flags.len())
        });
        out[first_flags] &= !OWN_FLAGS;
        for &(_, offset) in &self.strings {
            // SAFETY: as above.
            let value = values.value(unsafe { read_handle(row, offset) });
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(&value);
        }
    }

    /// Sets the fields of `slot`, a fresh row with a key, to `value`; says what is wrong if it is none.
    pub(crate) fn read(&self, value: &[u8], table: &mut SlotTable, slot: u32) -> Result<(), &'static str> {
        let (fixed, mut rest) = value.split_at_checked(self.fixed).ok_or("a value that ends early")?;
        let row = table.rows.row_mut(slot);
        let mut from = 0;
        for span in &self.spans {
            // SAFETY: the span lies within the row, and all spans together are no longer than `fixed`.
            unsafe { std::ptr::copy_nonoverlapping(fixed[from..].as_ptr(), row.add(span.start), span.len()) };
            from += span.len();
        }
        for (index, &flags) in fixed[from..].iter().enumerate() {
            let own = if index == 0 { OWN_FLAGS } else { 0 };
            // SAFETY: the flags lie within the row.
            unsafe {
                let place = row.add(self.flags.start + index);
                *place = *place & own | flags & !own;
            }
        }
        for &(field, offset) in &self.strings {
            let (length, after) = rest.split_first_chunk::<4>().ok_or("a string without a length")?;
            let length = u32::from_le_bytes(*length) as usize;
            let (string, after) = after.split_at_checked(length).ok_or("a string that ends early")?;
            rest = after;
            let Handle(handle) = table.arena.insert(slot, field, string);
            // SAFETY: the handle lies within the row, which inserting has not moved.
            unsafe { row.add(offset).cast::<[u8; HANDLE_BYTES]>().write_unaligned(handle) };
        }
        if rest.is_empty() { Ok(()) } else { Err("a value that is too long") }
    }

    /// Milliseconds of the last access of a state with a time to live.
    pub(crate) fn last_access(value: &[u8]) -> Option<i64> {
        value.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes))
    }
}
