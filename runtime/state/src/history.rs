//! Which incremental snapshots a backend has taken, and which of them later ones may refer to.

use std::collections::BTreeMap;
use weir_types::CheckpointId;

/// Time is cut into *intervals* by snapshots: rows that are written are stamped with the present one, and
/// what a snapshot wrote holds everything up to the interval that it ended. Intervals are counted from 1 and belong to
/// this process; nothing of them is persisted.
#[derive(Debug)]
pub(crate) struct History {
    interval: u32,
    /// incremental snapshots that may still be heard of, and the intervals that they ended
    taken: BTreeMap<CheckpointId, u32>,
    completed: u32,
    pub(crate) limits: Limits,
}

/// When changes are written instead of pages, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// tables whose pages take less than this, as they were written, are written page by page: changes of a few
    /// entries are hardly smaller. Changes that take less are joined
    pub(crate) table_bytes: u64,
    /// changes that lie on top of each other
    pub(crate) links: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { table_bytes: 64 << 10, links: 64 }
    }
}

impl Default for History {
    fn default() -> Self {
        History { interval: 1, taken: BTreeMap::new(), completed: 0, limits: Limits::default() }
    }
}

impl History {
    /// The present one.
    pub(crate) fn interval(&self) -> u32 {
        self.interval
    }

    /// What was written up to the end of this interval may be referred to; 0 if nothing may.
    pub(crate) fn completed(&self) -> u32 {
        self.completed
    }

    /// An incremental snapshot ends the present interval. The next one has the number that is returned.
    pub(crate) fn take(&mut self, checkpoint: CheckpointId) -> u32 {
        self.taken.insert(checkpoint, self.interval);
        self.pass()
    }

    /// A snapshot that is never referred to ends it: what is written from now on is not in that either.
    pub(crate) fn pass(&mut self) -> u32 {
        self.interval += 1;
        assert!(self.interval < 1 << 31, "a backend takes fewer than 2^31 snapshots");
        self.interval
    }

    /// The checkpoint is complete. One that is not known is older than another that is complete, or was full.
    pub(crate) fn complete(&mut self, checkpoint: CheckpointId) {
        if let Some(&interval) = self.taken.get(&checkpoint) {
            self.completed = interval;
            self.taken = self.taken.split_off(&CheckpointId(checkpoint.0 + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_checkpoint_counts() {
        let mut history = History::default();
        for checkpoint in 1..=4 {
            assert_eq!(history.take(CheckpointId(10 * checkpoint)), checkpoint as u32 + 1);
        }
        assert_eq!(history.completed(), 0);
        history.complete(CheckpointId(30));
        assert_eq!(history.completed(), 3);
        // Of one that was overtaken, and of a full one.
        history.complete(CheckpointId(20));
        history.complete(CheckpointId(35));
        assert_eq!(history.completed(), 3);
        history.complete(CheckpointId(40));
        assert_eq!((history.completed(), history.interval()), (4, 5));
    }
}
