//! What a backend with a disk notes of the rows in a table: which of them the disk has, and which were used lately.

use crate::bits::Bits;
use crate::disk::walk::Walk;

/// In the place of the key group of a slot without an entry, or whose entry nobody has looked at.
pub(crate) const NO_GROUP: u16 = u16::MAX;

#[derive(Default)]
pub(crate) struct Marks {
    /// the disk has entries of this namespace
    pub(crate) on_disk: bool,
    /// the disk has entries that are not in memory
    pub(crate) partly: bool,
    /// slots whose entry the disk has, maybe in an older version
    pub(crate) stored: Bits,
    /// slots used since the clock's hand passed them
    pub(crate) recent: Bits,
    /// of Map and List states: slots of parents all of whose entries are in memory; counts only where the table is
    /// `partly` there
    pub(crate) complete: Bits,
    /// of tables by key: of slots with entries the key group, counted from the first of the backend, as far as known
    pub(crate) groups: Vec<u16>,
    /// where eviction goes on
    pub(crate) hand: u32,
    /// somebody goes over the entries slot by slot: none may leave
    pub(crate) scanned: bool,
    /// a walk in the order of keys
    pub(crate) walk: Option<Box<Walk>>,
    /// slots below it have been drained and are dead on disk
    pub(crate) settled: u32,
}

impl Marks {
    pub(crate) fn bytes(&self) -> usize {
        let groups = size_of::<u16>() * self.groups.len();
        self.stored.bytes() + self.recent.bytes() + self.complete.bytes() + groups
    }

    /// The slot no longer holds an entry.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.stored.unset(slot);
        self.recent.unset(slot);
        if let Some(group) = self.groups.get_mut(slot as usize) {
            *group = NO_GROUP;
        }
    }

    /// Whether all entries under `parent` that exist are in memory.
    pub(crate) fn has_all_of(&self, parent: u32) -> bool {
        !self.partly || self.complete.get(parent)
    }
}
