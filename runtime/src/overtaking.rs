//! Barriers that overtake: what was before them becomes part of the snapshot.
//!
//! A subtask that may overtake takes its snapshot at once and forwards the barrier. The batches that stand before the
//! barrier in its queues are copied; from channels whose barrier has not come yet, batches are copied as they are
//! read, until it has. The end of a channel is as good as its barrier: a producer that has finished ends again
//! after a restore. Processing goes on meanwhile. Only channels whose rows can be dealt out anew at any parallelism
//! are overtaken in; the others align.

use crate::head::GateHead;
use weir_types::{Barrier, BarrierMode, ChangelogBatch, CheckpointId};

/// A snapshot that has been taken and waits for what it overtook.
pub(crate) struct Overtaking {
    pub barrier: Barrier,
    /// per channel: its barrier has not come yet
    waiting: Vec<bool>,
    /// by the input that they are on their way to
    pub batches: Vec<(usize, ChangelogBatch)>,
    /// when the first barrier came, milliseconds of the monotonic clock
    pub first_ms: u64,
}

impl GateHead {
    /// The barrier whose snapshot is to be taken now although channels have not delivered it; `allowed` is the newest
    /// checkpoint that may overtake though it began as an aligned one.
    pub(crate) fn begin_overtaking(
        &mut self,
        last: Option<Barrier>,
        allowed: Option<CheckpointId>,
        now_ms: u64,
    ) -> Option<Barrier> {
        let may = |barrier: &Barrier| match barrier.mode {
            BarrierMode::Unaligned { after_ms } => {
                after_ms == 0 || allowed.is_some_and(|id| id >= barrier.id)
            }
            BarrierMode::Aligned | BarrierMode::AtLeastOnce => false,
        };
        let announced = self.reader.newest_overtaker();
        let asked = self.requested.back().copied().filter(|_| self.reader.all_end());
        let known = [announced, self.alignment.newest(), asked].into_iter().flatten();
        let newest = known.max_by_key(|barrier| barrier.id);
        let barrier = newest.filter(may).filter(|barrier| last.is_none_or(|last| barrier.id > last.id))?;
        let channels = self.reader.channels();
        let has_come = |channel: usize| {
            self.ended[channel]
                || self.reader.is_at_end(channel)
                || self.alignment.has_delivered(channel, barrier.id)
        };
        if (0..channels).any(|channel| !self.overtakable[channel] && !has_come(channel)) {
            return None;
        }
        let mut overtaking = Overtaking {
            barrier,
            waiting: (0..channels).map(|channel| !has_come(channel)).collect(),
            batches: Vec::new(),
            first_ms: self.alignment.first_ms(barrier.id).unwrap_or(now_ms),
        };
        for channel in 0..channels {
            if overtaking.waiting[channel]
                && let Some(before) = self.reader.overtake(channel, barrier.id)
            {
                let input = self.inputs[channel];
                overtaking.batches.extend(before.into_iter().map(|batch| (input, batch)));
                overtaking.waiting[channel] = false;
            }
        }
        self.alignment.forget_until(barrier.id);
        self.requested.retain(|requested| requested.id > barrier.id);
        self.block();
        self.overtaking = Some(overtaking);
        Some(barrier)
    }

    /// Takes barriers out of queues that came after the snapshot was taken, and copies what stands before them: nobody
    /// waits until that has been worked on.
    pub(crate) fn catch_up_overtaking(&mut self) {
        let Some(overtaking) = &mut self.overtaking else { return };
        for (channel, waiting) in overtaking.waiting.iter_mut().enumerate().filter(|(_, waiting)| **waiting) {
            if let Some(before) = self.reader.overtake(channel, overtaking.barrier.id) {
                let input = self.inputs[channel];
                overtaking.batches.extend(before.into_iter().map(|batch| (input, batch)));
                *waiting = false;
            }
        }
    }

    /// A batch is about to be processed.
    pub(crate) fn copy_overtaken(&mut self, channel: usize, batch: &ChangelogBatch) {
        if let Some(overtaking) = &mut self.overtaking
            && overtaking.waiting[channel]
        {
            overtaking.batches.push((self.inputs[channel], batch.clone()));
        }
    }

    /// A barrier, or the end (`None`), has come through a channel; true if that is all there is to it.
    pub(crate) fn overtaken_arrived(&mut self, channel: usize, barrier: Option<Barrier>) -> bool {
        let Some(overtaking) = &mut self.overtaking else { return false };
        match barrier {
            None => {
                overtaking.waiting[channel] = false;
                false
            }
            Some(barrier) if barrier.id == overtaking.barrier.id => {
                overtaking.waiting[channel] = false;
                true
            }
            Some(barrier) => {
                if barrier.id > overtaking.barrier.id {
                    // nobody waits for the older one any more
                    self.overtaking = None;
                }
                false
            }
        }
    }

    /// What was overtaken, once all of it has been seen.
    pub(crate) fn take_overtaken(&mut self) -> Option<Overtaking> {
        let reader = &self.reader;
        let complete = |overtaking: &mut Overtaking| {
            let waits = |(channel, waiting): (usize, &bool)| *waiting && !reader.is_at_end(channel);
            !overtaking.waiting.iter().enumerate().any(waits)
        };
        self.overtaking.take_if(complete)
    }
}
