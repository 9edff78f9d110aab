//! Keys of the rows of a view, from the topmost parent's down.

use super::ByteStrings;
use crate::descriptor::StateKind;
use crate::row_keys::{keys_of_rows, parent_of_row};
use crate::snapshot::TableView;
use crate::timers::PREFIX_BYTES;

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
            let whole = ByteStrings::of_keys(&keys_of_rows(rows, view.shape, false, null_key, &view.arena));
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
