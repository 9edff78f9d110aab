//! The groups of a batch, numbered by their first row.

use std::ops::Range;
use weir_state::CACHED_ROWS;

const NONE: u32 = u32::MAX;
/// Slots below are looked up in a plain table.
const DIRECT: u32 = 1 << 14;

/// States of fewer entries stay in the second-level cache by themselves.
const CACHED_ENTRIES: usize = 1 << 14;

/// The parts of a batch of `rows` rows that are resolved and counted in one after the other: so small, if the
/// state has many `entries`, that what resolving has loaded is still cached when it is updated.
pub(crate) fn parts(entries: usize, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let step = if entries < CACHED_ENTRIES { rows.max(1) } else { CACHED_ROWS };
    (0..rows).step_by(step).map(move |start| start..rows.min(start + step))
}

/// For the slots of a batch's rows: each slot once, and for each row the place of its slot among them. Reuse
/// it from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    /// the slots, each once, in the order of their first rows
    pub(crate) slots: Vec<u32>,
    /// for each row the place of its slot in `slots`
    pub(crate) groups: Vec<u32>,
    table: Vec<u32>,
}

impl Grouping {
    pub(crate) fn group(&mut self, slots: &[u32]) {
        self.slots.clear();
        self.groups.clear();
        self.table.clear();
        self.groups.reserve(slots.len());
        let largest = slots.iter().copied().max().unwrap_or(0);
        if largest < DIRECT {
            self.table.resize(largest as usize + 1, NONE);
            for slot in slots {
                let group = &mut self.table[*slot as usize];
                if *group == NONE {
                    *group = self.slots.len() as u32;
                    self.slots.push(*slot);
                }
                self.groups.push(*group);
            }
            return;
        }
        let size = (slots.len() * 2).next_power_of_two().max(2);
        let shift = 32 - size.ilog2();
        self.table.resize(size, NONE);
        for slot in slots {
            // Fibonacci hashing: slots are dense, so their product's high bits spread well.
            let mut place = (slot.wrapping_mul(0x9e37_79b9) >> shift) as usize;
            let group = loop {
                let group = self.table[place];
                if group == NONE {
                    let group = self.slots.len() as u32;
                    self.table[place] = group;
                    self.slots.push(*slot);
                    break group;
                }
                if self.slots[group as usize] == *slot {
                    break group;
                }
                place = (place + 1) & (size - 1);
            };
            self.groups.push(group);
        }
    }

    /// For each group whether its entry was there before, when the rows from `start` of a batch were grouped
    /// and `created` are the rows of the batch, rising, that made entries.
    pub(crate) fn existing(&self, created: &[u32], start: usize) -> Vec<bool> {
        let mut existing = vec![true; self.slots.len()];
        let first = created.partition_point(|position| (*position as usize) < start);
        for position in &created[first..] {
            let Some(group) = self.groups.get(*position as usize - start) else { break };
            existing[*group as usize] = false;
        }
        existing
    }

    /// One group of `rows` rows.
    pub(crate) fn all_in_one(&mut self, slot: u32, rows: usize) {
        self.slots.clear();
        self.slots.push(slot);
        self.groups.clear();
        self.groups.resize(rows, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_numbered_by_their_first_row() {
        let mut grouping = Grouping::default();
        for scale in [1, 100_000, 400_000_000] {
            let slots: Vec<u32> = [5, 3, 5, 9, 3, 3].iter().map(|slot| slot * scale).collect();
            grouping.group(&slots);
            assert_eq!(grouping.slots, [5 * scale, 3 * scale, 9 * scale]);
            assert_eq!(grouping.groups, [0, 1, 0, 2, 1, 1]);
        }
        grouping.group(&[]);
        assert!(grouping.slots.is_empty() && grouping.groups.is_empty());
    }
}
