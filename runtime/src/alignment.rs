//! Alignment: when have all channels of a subtask delivered a barrier, and which of them wait until then.

use std::collections::BTreeMap;
use weir_types::{Barrier, BarrierMode, CheckpointId};

/// What a subtask's channels have delivered of the checkpoints in progress.
#[derive(Default)]
pub(crate) struct Alignment {
    pending: BTreeMap<CheckpointId, Pending>,
}

struct Pending {
    barrier: Barrier,
    /// per channel: the barrier has come
    delivered: Vec<bool>,
    /// when the first one came, milliseconds of the monotonic clock
    first_ms: u64,
}

/// A barrier that all channels have delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aligned {
    pub barrier: Barrier,
    pub first_ms: u64,
}

impl Alignment {
    /// A channel has delivered a barrier; false if it belongs to a checkpoint that a newer one has replaced. Older
    /// checkpoints whose barriers the channel has not delivered will never be complete here, and are forgotten.
    pub(crate) fn arrived(
        &mut self,
        channel: usize,
        channels: usize,
        barrier: Barrier,
        last: Option<Barrier>,
        now_ms: u64,
    ) -> bool {
        if last.is_some_and(|last| barrier.id <= last.id) {
            return false;
        }
        self.pending.retain(|id, pending| *id >= barrier.id || pending.delivered[channel]);
        let pending = self.pending.entry(barrier.id).or_insert_with(|| Pending {
            barrier,
            delivered: vec![false; channels],
            first_ms: now_ms,
        });
        pending.delivered[channel] = true;
        true
    }

    /// True while the channel has delivered a barrier for which it waits for the others.
    pub(crate) fn blocks(&self, channel: usize) -> bool {
        #[cfg(test)]
        if crate::sabotage::is(crate::sabotage::Sabotage::NoAlignment) {
            return false;
        }
        let waits = |pending: &Pending| {
            pending.barrier.mode != BarrierMode::AtLeastOnce && pending.delivered[channel]
        };
        self.pending.values().any(waits)
    }

    /// The newest barrier that any channel has delivered.
    pub(crate) fn newest(&self) -> Option<Barrier> {
        self.pending.values().next_back().map(|pending| pending.barrier)
    }

    pub(crate) fn has_delivered(&self, channel: usize, checkpoint: CheckpointId) -> bool {
        self.pending.get(&checkpoint).is_some_and(|pending| pending.delivered[channel])
    }

    /// When the first barrier of `checkpoint` came.
    pub(crate) fn first_ms(&self, checkpoint: CheckpointId) -> Option<u64> {
        self.pending.get(&checkpoint).map(|pending| pending.first_ms)
    }

    /// Nobody waits for `checkpoint`, or for those before it.
    pub(crate) fn forget_until(&mut self, checkpoint: CheckpointId) {
        self.pending.retain(|id, _| *id > checkpoint);
    }

    pub(crate) fn is_flowing(&self) -> bool {
        self.pending.is_empty()
    }

    /// The oldest barrier that every channel has delivered, but for those that ended. It, and those before it, are
    /// done with.
    pub(crate) fn complete(&mut self, ended: &[bool]) -> Option<Aligned> {
        let is_complete = |pending: &Pending| {
            pending.delivered.iter().zip(ended).all(|(delivered, ended)| *delivered || *ended)
        };
        let id = *self.pending.iter().find(|(_, pending)| is_complete(pending))?.0;
        let pending = self.pending.remove(&id)?;
        self.pending.retain(|other, _| *other > id);
        Some(Aligned { barrier: pending.barrier, first_ms: pending.first_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(id: u64) -> Barrier {
        Barrier::of(CheckpointId(id))
    }

    fn loose(id: u64) -> Barrier {
        Barrier { mode: BarrierMode::AtLeastOnce, ..barrier(id) }
    }

    /// Among the first two channels.
    fn blocked(alignment: &Alignment) -> Vec<usize> {
        (0..2).filter(|channel| alignment.blocks(*channel)).collect()
    }

    fn id(aligned: Option<Aligned>) -> Option<u64> {
        aligned.map(|aligned| aligned.barrier.id.0)
    }

    #[test]
    fn waits_for_all_that_have_not_ended() {
        let mut alignment = Alignment::default();
        assert!(alignment.arrived(0, 3, barrier(1), None, 5));
        assert_eq!(alignment.complete(&[false; 3]), None);
        assert!(alignment.arrived(1, 3, barrier(1), None, 7));
        assert_eq!(blocked(&alignment), [0, 1]);
        let aligned = alignment.complete(&[false, false, true]);
        assert_eq!(aligned, Some(Aligned { barrier: barrier(1), first_ms: 5 }));
        assert!(alignment.is_flowing() && blocked(&alignment).is_empty());
    }

    #[test]
    fn a_newer_barrier_replaces_an_older_one_that_its_channel_left_out() {
        let mut alignment = Alignment::default();
        alignment.arrived(0, 3, barrier(1), None, 0);
        assert!(alignment.arrived(1, 3, barrier(2), None, 0));
        assert_eq!(blocked(&alignment), [1], "channel 0 owes barrier 2");
        assert_eq!(alignment.complete(&[false; 3]), None);
        alignment.arrived(0, 3, barrier(2), None, 0);
        alignment.arrived(2, 3, barrier(2), None, 0);
        assert_eq!(id(alignment.complete(&[false; 3])), Some(2));
        assert!(!alignment.arrived(0, 3, barrier(2), Some(barrier(2)), 0), "done with");
    }

    #[test]
    fn nobody_waits_at_least_once() {
        let mut alignment = Alignment::default();
        alignment.arrived(0, 2, loose(1), None, 0);
        alignment.arrived(0, 2, loose(2), None, 0);
        assert!(blocked(&alignment).is_empty());
        alignment.arrived(1, 2, loose(1), None, 0);
        assert_eq!(id(alignment.complete(&[false; 2])), Some(1));
        assert_eq!(id(alignment.complete(&[false; 2])), None);
        alignment.arrived(1, 2, loose(2), Some(loose(1)), 0);
        assert_eq!(id(alignment.complete(&[false; 2])), Some(2));
    }

    #[test]
    fn a_savepoint_blocks_even_so() {
        let mut alignment = Alignment::default();
        alignment.arrived(0, 2, loose(1), None, 0);
        alignment.arrived(0, 2, barrier(2), None, 0);
        assert_eq!(blocked(&alignment), [0]);
        alignment.arrived(1, 2, loose(1), None, 0);
        assert_eq!(id(alignment.complete(&[false; 2])), Some(1));
        assert_eq!(blocked(&alignment), [0], "still");
    }
}
