//! Several namespaces of one state, walked through together.
//!
//! The index of every table is ordered by the same hash. Walking through several of them in step meets all entries of
//! a key in the same step, and what is to be known about the keys of one step stays in the first-level caches. So
//! combining namespaces takes one pass over each and no look-up in a large table.

use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::{Namespace, StateKind};
use crate::row_layout::RowKey;
use crate::slot_table::SlotTable;
use std::ops::Range;

/// The tag of the entry whose key is NULL; those of others are odd.
const NULL_KEY: u32 = 0;
const NONE: u32 = u32::MAX;

/// Where a walk through several namespaces stands. Starts at the beginning; not part of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCursor {
    /// a position of the smallest index
    next: usize,
}

/// The entries of some keys in several namespaces. Reuse it from step to step.
#[derive(Debug, Default)]
pub struct SideBySide {
    /// for each namespace its entries
    pub parts: Vec<Part>,
    /// the number of keys, which are numbered from 0
    pub keys: usize,
    found: Vec<(u32, u32)>,
    /// for each key its tag, and the namespace and slot where it came first
    tags: Vec<u32>,
    owners: Vec<(u32, u32)>,
    /// from hash to key
    places: Vec<u32>,
}

/// What one of the namespaces has.
#[derive(Debug, Default)]
pub struct Part {
    pub slots: Vec<u32>,
    /// for each slot the number of its key
    pub keys: Vec<u32>,
    /// slots of the keys that no earlier namespace has: their numbers follow those of the earlier ones, in this order
    pub first: Vec<u32>,
}

impl SideBySide {
    fn clear(&mut self, parts: usize) {
        self.parts.resize_with(parts, Part::default);
        for part in &mut self.parts {
            part.slots.clear();
            part.keys.clear();
            part.first.clear();
        }
        self.keys = 0;
        self.tags.clear();
        self.owners.clear();
    }

    /// Sorts by keys what was found in namespace `part`.
    fn add(&mut self, part: usize, found: Range<usize>, tables: &[Option<&SlotTable>]) {
        let Some(table) = tables[part] else { return };
        let shift = 32 - self.places.len().ilog2();
        for &(tag, slot) in &self.found[found] {
            // Tags of one step agree in some bits; a product's high bits spread all the same.
            let mut place = (tag.wrapping_mul(0x9e37_79b9) >> shift) as usize;
            let key = loop {
                let key = self.places[place];
                if key == NONE {
                    break NONE;
                }
                let (owner, first) = self.owners[key as usize];
                if self.tags[key as usize] == tag
                    && tables[owner as usize].is_some_and(|owner| same_key(tag, owner, first, table, slot))
                {
                    break key;
                }
                place = (place + 1) & (self.places.len() - 1);
            };
            let key = if key == NONE {
                let key = self.keys as u32;
                self.places[place] = key;
                self.keys += 1;
                self.tags.push(tag);
                self.owners.push((part as u32, slot));
                self.parts[part].first.push(slot);
                key
            } else {
                key
            };
            self.parts[part].slots.push(slot);
            self.parts[part].keys.push(key);
        }
    }
}

/// Whether two entries with the same tag have the same key.
#[inline]
fn same_key(tag: u32, left: &SlotTable, left_slot: u32, right: &SlotTable, right_slot: u32) -> bool {
    if tag == NULL_KEY {
        return true;
    }
    match left.layout().key {
        RowKey::Words(1) => left.key_word(left_slot, 0) == right.key_word(right_slot, 0),
        RowKey::Words(words) => {
            (0..words).all(|word| left.key_word(left_slot, word) == right.key_word(right_slot, word))
        }
        RowKey::Bytes => *left.key_bytes(left_slot) == *right.key_bytes(right_slot),
    }
}

impl SlotTable {
    /// Appends tags and slots of the entries that lie at `count` positions from `start` on in an index of `of`
    /// positions.
    fn entries_between(&self, start: usize, count: usize, of: usize, found: &mut Vec<(u32, u32)>) {
        let first = found.len();
        self.index.entries_at(start, count, of, found);
        if start + count == of
            && let Some(slot) = self.null_slot
        {
            found.push((NULL_KEY, slot));
        }
        if self.rows.drained() > 0 {
            let drained = self.rows.drained();
            let mut kept = first;
            for place in first..found.len() {
                if found[place].1 >= drained {
                    found[kept] = found[place];
                    kept += 1;
                }
            }
            found.truncate(kept);
        }
    }
}

impl KeyedStateBackend {
    /// Keeps the entries of `namespaces` in memory for [`KeyedStateBackend::step`], until `held` is false or they are
    /// dropped. False if some of them are on disk alone: they cannot be walked through in step.
    pub fn hold(&mut self, state: StateId, namespaces: &[Namespace], held: bool) -> bool {
        let in_memory = |namespace: &Namespace| self.entries_in_memory(state, *namespace).is_some();
        if held && !namespaces.iter().all(in_memory) {
            return false;
        }
        for namespace in namespaces {
            if let Some(table) = self.state_mut(state).tables.get_mut(namespace) {
                table.marks.scanned = held;
            }
        }
        true
    }

    /// Goes on to the next keys of a Value state that have entries in some of `namespaces`, which are held: about as many as have
    /// `limit` entries together. False once there are no more.
    ///
    /// Each key comes in one step with all its entries. The namespaces must not change from step to step.
    /// Entries of a state with a time to live come until they are swept.
    ///
    /// Up to `limit` entries come in one step, in the order of their slots.
    pub fn step(
        &self,
        state: StateId,
        namespaces: &[Namespace],
        cursor: &mut StepCursor,
        limit: usize,
        out: &mut SideBySide,
    ) -> bool {
        let kind = self.descriptor(state).kind;
        assert!(kind == StateKind::Value, "a walk by keys through a {kind:?} state");
        out.clear(namespaces.len());
        let tables: Vec<Option<&SlotTable>> = namespaces
            .iter()
            .map(|namespace| self.table(state, *namespace).map(|table| &table.slots))
            .collect();
        let of = tables.iter().flatten().map(|table| table.index.positions()).min().unwrap_or(0);
        if cursor.next >= of {
            return false;
        }
        let entries: usize = tables.iter().flatten().map(|table| table.rows.live()).sum();
        let all = entries <= limit;
        let count = if all { of } else { (of * limit / entries).max(1) }.min(of - cursor.next);
        let places = (4 * limit.min(entries)).next_power_of_two().max(64);
        out.places.clear();
        out.places.resize(places, NONE);
        // The rows of all are on their way before the first is looked at.
        out.found.clear();
        let mut ends = Vec::with_capacity(tables.len());
        for table in &tables {
            if let Some(table) = table {
                let first = out.found.len();
                table.entries_between(cursor.next, count, of, &mut out.found);
                let found = &mut out.found[first..];
                if all {
                    found.sort_unstable_by_key(|(_, slot)| *slot);
                }
                found.iter().for_each(|(_, slot)| table.rows.prefetch(*slot));
            }
            ends.push(out.found.len());
        }
        let mut first = 0;
        for (part, end) in ends.into_iter().enumerate() {
            // A step holds about `limit` entries, but nothing says that it cannot hold more.
            if 2 * (out.keys + end - first) > out.places.len() {
                out.grow(end - first);
            }
            out.add(part, first..end, &tables);
            first = end;
        }
        cursor.next += count;
        true
    }
}

impl SideBySide {
    #[cold]
    fn grow(&mut self, more: usize) {
        let size = (4 * (self.keys + more)).next_power_of_two();
        self.places.clear();
        self.places.resize(size, NONE);
        let shift = 32 - size.ilog2();
        for (key, tag) in self.tags.iter().enumerate() {
            let mut place = (tag.wrapping_mul(0x9e37_79b9) >> shift) as usize;
            while self.places[place] != NONE {
                place = (place + 1) & (size - 1);
            }
            self.places[place] = key as u32;
        }
    }
}

#[cfg(test)]
mod tests;
