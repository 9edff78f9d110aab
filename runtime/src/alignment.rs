//! Exactly-once alignment: when have all channels delivered a barrier.

use weir_types::Barrier;

/// What a subtask's channels have delivered of a checkpoint.
pub(crate) enum Alignment {
    Flowing,
    Aligning {
        barrier: Barrier,
        /// per channel: the barrier has come
        delivered: Vec<bool>,
    },
}

/// What to do about a barrier that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Of a checkpoint that a newer one has replaced.
    Stale,
    /// Block the channel and wait for the others.
    Wait,
    /// As `Wait`, but first unblock all: an older checkpoint will never be complete here.
    Restart,
}

impl Alignment {
    pub(crate) fn arrived(
        &mut self,
        channel: usize,
        channels: usize,
        barrier: Barrier,
        last: Option<Barrier>,
    ) -> Arrival {
        if last.is_some_and(|last| barrier.id <= last.id) {
            return Arrival::Stale;
        }
        let arrival = match self {
            Alignment::Aligning { barrier: current, .. } if barrier.id < current.id => return Arrival::Stale,
            Alignment::Aligning { barrier: current, delivered } if barrier.id == current.id => {
                delivered[channel] = true;
                return Arrival::Wait;
            }
            Alignment::Aligning { .. } => Arrival::Restart,
            Alignment::Flowing => Arrival::Wait,
        };
        let mut delivered = vec![false; channels];
        delivered[channel] = true;
        *self = Alignment::Aligning { barrier, delivered };
        arrival
    }

    /// The barrier that every channel has delivered, but for those that ended; flowing again then.
    pub(crate) fn complete(&mut self, ended: &[bool]) -> Option<Barrier> {
        let Alignment::Aligning { barrier, delivered } = self else { return None };
        if delivered.iter().zip(ended).any(|(delivered, ended)| !delivered && !ended) {
            return None;
        }
        let barrier = *barrier;
        *self = Alignment::Flowing;
        Some(barrier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::{CheckpointId, CheckpointKind};

    fn barrier(id: u64) -> Barrier {
        Barrier { id: CheckpointId(id), kind: CheckpointKind::Checkpoint }
    }

    #[test]
    fn waits_for_all_that_have_not_ended() {
        let mut alignment = Alignment::Flowing;
        assert_eq!(alignment.arrived(0, 3, barrier(1), None), Arrival::Wait);
        assert_eq!(alignment.complete(&[false; 3]), None);
        assert_eq!(alignment.arrived(1, 3, barrier(1), None), Arrival::Wait);
        assert_eq!(alignment.complete(&[false, false, true]), Some(barrier(1)));
        assert_eq!(alignment.complete(&[false; 3]), None, "flowing again");
    }

    #[test]
    fn a_newer_barrier_replaces_an_older_one() {
        let mut alignment = Alignment::Flowing;
        alignment.arrived(0, 2, barrier(1), None);
        assert_eq!(alignment.arrived(1, 2, barrier(2), None), Arrival::Restart);
        assert_eq!(alignment.complete(&[false; 2]), None, "channel 0 owes barrier 2");
        assert_eq!(alignment.arrived(0, 2, barrier(1), None), Arrival::Stale);
        alignment.arrived(0, 2, barrier(2), None);
        assert_eq!(alignment.complete(&[false; 2]), Some(barrier(2)));
        assert_eq!(alignment.arrived(0, 2, barrier(2), Some(barrier(2))), Arrival::Stale);
    }
}
