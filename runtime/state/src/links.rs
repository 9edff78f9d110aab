//! Which entries of a Map or List state belong to which parent: doubly linked lists over slots. Derived from
//! the rows; not persisted.

use crate::huge;
use crate::resolve::NO_SLOT;

#[derive(Default)]
pub(crate) struct Links {
    /// first and last entry of each parent slot
    ends: Vec<[u32; 2]>,
    /// the entries before and after each entry
    neighbours: Vec<[u32; 2]>,
}

fn grow_to(list: &mut Vec<[u32; 2]>, slot: u32) {
    if list.len() <= slot as usize {
        let needed = slot as usize + 1;
        if list.capacity() < needed {
            // By half: in large tables what is not used yet would be the most of it.
            list.reserve_exact((list.len() + list.len() / 2).max(needed).max(64) - list.len());
            huge::advise(list.as_mut_ptr().cast(), 8 * list.capacity());
        }
        list.resize(needed, [NO_SLOT; 2]);
    }
}

impl Links {
    pub(crate) fn bytes(&self) -> usize {
        8 * (self.ends.len() + self.neighbours.len())
    }

    /// Adds `entry` behind the others of `parent`.
    pub(crate) fn append(&mut self, parent: u32, entry: u32) {
        assert!(parent != NO_SLOT, "an entry is added under a parent that does not exist");
        grow_to(&mut self.ends, parent);
        grow_to(&mut self.neighbours, entry);
        let ends = &mut self.ends[parent as usize];
        let last = ends[1];
        ends[1] = entry;
        if last == NO_SLOT {
            ends[0] = entry;
        } else {
            self.neighbours[last as usize][1] = entry;
        }
        self.neighbours[entry as usize] = [last, NO_SLOT];
    }

    /// [`Links::append`] for each of `parents`, one after the other, with the entry of the same position.
    ///
    /// In large tables parents and their last entries are anywhere in memory: they are loaded some steps ahead.
    pub(crate) fn append_all(&mut self, parents: &[u32], entries: &[u32]) {
        const AHEAD: usize = 16;
        for (position, (&parent, &entry)) in parents.iter().zip(entries).enumerate() {
            if let Some(&parent) = parents.get(position + 2 * AHEAD) {
                huge::prefetch(self.ends.as_ptr().wrapping_add(parent as usize));
            }
            let ahead = parents.get(position + AHEAD).and_then(|&parent| self.ends.get(parent as usize));
            if let Some(&[_, last]) = ahead {
                huge::prefetch(self.neighbours.as_ptr().wrapping_add(last as usize));
            }
            self.append(parent, entry);
        }
    }

    /// Takes `entry` out; false if it is not there.
    pub(crate) fn remove(&mut self, parent: u32, entry: u32) -> bool {
        let [before, after] = std::mem::replace(&mut self.neighbours[entry as usize], [NO_SLOT; 2]);
        let ends = &mut self.ends[parent as usize];
        if before == NO_SLOT && ends[0] != entry {
            return false;
        }
        match before {
            NO_SLOT => ends[0] = after,
            before => self.neighbours[before as usize][1] = after,
        }
        match after {
            NO_SLOT => ends[1] = before,
            after => self.neighbours[after as usize][0] = before,
        }
        true
    }

    /// Replaces the entries of `parent`.
    pub(crate) fn replace(&mut self, parent: u32, entries: impl Iterator<Item = u32>) {
        grow_to(&mut self.ends, parent);
        self.ends[parent as usize] = [NO_SLOT; 2];
        entries.for_each(|entry| self.append(parent, entry));
    }

    /// The entries of `parent`, in the order in which they were appended.
    pub(crate) fn entries(&self, parent: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.ends.get(parent as usize).map_or(NO_SLOT, |ends| ends[0]);
        let next = |&entry: &u32| Some(self.neighbours[entry as usize][1]).filter(|&next| next != NO_SLOT);
        std::iter::successors(Some(first).filter(|&first| first != NO_SLOT), next)
    }

    pub(crate) fn first(&self, parent: u32) -> Option<u32> {
        self.entries(parent).next()
    }
}
