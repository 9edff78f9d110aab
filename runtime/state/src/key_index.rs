//! From the hash of a key to its slot: open addressing, one word an entry.
//!
//! An entry is `low 32 bits of the hash << 32 | slot + 1`; 0 is empty. The bits kept tell both the entry's
//! home and most keys that differ, so growing and deleting never touch a row.

use crate::huge;

const SMALLEST: usize = 64;

pub(crate) struct KeyIndex {
    entries: Vec<u64>,
    mask: usize,
    used: usize,
}

impl KeyIndex {
    pub(crate) fn new() -> Self {
        KeyIndex { entries: vec![0; SMALLEST], mask: SMALLEST - 1, used: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * 8
    }

    /// Removes all entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        if self.used > 0 {
            self.entries.fill(0);
            self.used = 0;
        }
    }

    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64) {
        // SAFETY: the mask keeps the position within the entries.
        huge::prefetch(unsafe { self.entries.as_ptr().add(hash as usize & self.mask) });
    }

    #[inline(always)]
    fn entry(&self, position: usize) -> u64 {
        debug_assert!(position <= self.mask);
        // SAFETY: every position is masked, and there are `mask + 1` entries.
        unsafe { *self.entries.get_unchecked(position) }
    }

    /// The first slot whose kept hash equals that of `hash`: the key's, if it is there at all, but for one in
    /// 2^32.
    #[inline(always)]
    pub(crate) fn candidate(&self, hash: u64) -> Option<u32> {
        let mut position = hash as usize & self.mask;
        loop {
            let entry = self.entry(position);
            if (entry >> 32) as u32 == hash as u32 && entry != 0 {
                return Some(entry as u32 - 1);
            }
            if entry == 0 {
                return None;
            }
            position = (position + 1) & self.mask;
        }
    }

    /// The slot with this hash for which `is_key` holds.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut position = hash as usize & self.mask;
        loop {
            let entry = self.entry(position);
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == hash as u32 && is_key(entry as u32 - 1) {
                return Some(entry as u32 - 1);
            }
            position = (position + 1) & self.mask;
        }
    }

    /// Adds a key that is not there.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, slot: u32) {
        // At most 5/8 full; while the index is small, memory is cheaper than the mispredicted branches of
        // longer probes.
        let eighths = if self.entries.len() < 1 << 16 { 2 } else { 5 };
        if (self.used + 1) * 8 > self.entries.len() * eighths {
            self.grow();
        }
        self.used += 1;
        self.place((hash << 32) | u64::from(slot + 1));
    }

    #[inline]
    fn place(&mut self, entry: u64) {
        let mut position = (entry >> 32) as usize & self.mask;
        while self.entry(position) != 0 {
            position = (position + 1) & self.mask;
        }
        self.entries[position] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let capacity = self.entries.len() * 2;
        let mut entries = vec![0; capacity];
        huge::advise(entries.as_mut_ptr().cast(), capacity * 8);
        let old = std::mem::replace(&mut self.entries, entries);
        self.mask = capacity - 1;
        // In the order of the old table both halves of the new one are filled from front to back.
        old.into_iter().filter(|&entry| entry != 0).for_each(|entry| self.place(entry));
    }

    /// Removes the entry of `slot`, whose key has `hash`.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        let wanted = (hash << 32) | u64::from(slot + 1);
        let mut hole = hash as usize & self.mask;
        loop {
            let entry = self.entry(hole);
            if entry == wanted {
                break;
            }
            if entry == 0 {
                debug_assert!(false, "slot {slot} is not in the index");
                return;
            }
            hole = (hole + 1) & self.mask;
        }
        self.used -= 1;
        // Entries behind the hole move up unless that would bring them before their home.
        let mut position = hole;
        loop {
            position = (position + 1) & self.mask;
            let entry = self.entry(position);
            if entry == 0 {
                break;
            }
            let home = (entry >> 32) as usize & self.mask;
            if position.wrapping_sub(home) & self.mask >= position.wrapping_sub(hole) & self.mask {
                self.entries[hole] = entry;
                hole = position;
            }
        }
        self.entries[hole] = 0;
    }
}

#[cfg(test)]
mod tests;
