//! How far around a row that comes or goes results change, and how far around a row its results look.

use crate::over::traced::is_rank;
use weir_types::{AggregateFunction, Frame, FrameUnits, FramedCall};

/// How far it is to one side of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) rows: u64,
    /// rows whose key is at most so far away; 0: peers
    pub(super) key: Option<i128>,
    pub(super) all: bool,
}

impl Extent {
    const ALL: Extent = Extent { rows: 0, key: None, all: true };
    const PEERS: Extent = Extent::key(0);

    fn rows(rows: u64) -> Extent {
        Extent { rows, ..Extent::default() }
    }

    const fn key(distance: i128) -> Extent {
        Extent { rows: 0, key: Some(distance), all: false }
    }

    fn add(&mut self, other: Extent) {
        self.rows = self.rows.max(other.rows);
        self.key = self.key.max(other.key);
        self.all |= other.all;
    }
}

/// Both sides: before the row, and behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) before: Extent,
    pub(super) behind: Extent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// where results change when a row comes or goes
    pub(super) changes: Sides,
    /// what the results of a row look at, beside what is kept of the rows before
    pub(super) reads: Sides,
    /// Accumulators that are kept have to know whether the first row that they count in is ordered like the one before.
    pub(super) looks_back: bool,
}

impl Reach {
    /// `keeps_running`: accumulators of all rows before are kept here and there.
    pub(super) fn of(calls: &[FramedCall], keeps_running: bool) -> Reach {
        let looks_back = calls.iter().any(|framed| is_rank(framed.call.function));
        let mut reach = Reach { looks_back, ..Reach::default() };
        calls.iter().for_each(|call| reach.add(call, keeps_running));
        reach
    }

    fn add(&mut self, FramedCall { call, frame }: &FramedCall, keeps_running: bool) {
        let Reach { changes, reads, .. } = self;
        let before_all = if keeps_running { Extent::default() } else { Extent::ALL };
        match call.function {
            AggregateFunction::Lag { rows } => {
                changes.behind.add(Extent::rows(u64::from(rows)));
                reads.before.add(Extent::rows(u64::from(rows)));
            }
            AggregateFunction::Lead { rows } => {
                changes.before.add(Extent::rows(u64::from(rows)));
                reads.behind.add(Extent::rows(u64::from(rows)));
            }
            AggregateFunction::Ntile { .. }
            | AggregateFunction::PercentRank
            | AggregateFunction::CumeDist => {
                changes.before.add(Extent::ALL);
                changes.behind.add(Extent::ALL);
                reads.before.add(Extent::PEERS);
                reads.behind.add(Extent::PEERS);
            }
            AggregateFunction::Rank | AggregateFunction::DenseRank => {
                changes.behind.add(Extent::ALL);
                reads.before.add(before_all);
            }
            _ => {
                match frame.start {
                    None => {
                        changes.behind.add(Extent::ALL);
                        reads.before.add(before_all);
                    }
                    Some(start) => {
                        changes.behind.add(side(*frame, -start));
                        reads.before.add(side(*frame, -start));
                    }
                }
                match frame.end {
                    None => {
                        changes.before.add(Extent::ALL);
                        reads.behind.add(Extent::ALL);
                    }
                    Some(end) => {
                        changes.before.add(side(*frame, end));
                        reads.behind.add(side(*frame, end));
                        reads.before.add(side(*frame, -end));
                    }
                }
            }
        }
    }
}

/// To a bound that is so far away on this side; behind it there are peers at most.
fn side(frame: Frame, distance: i128) -> Extent {
    let distance = distance.max(0);
    match frame.units {
        FrameUnits::Rows => Extent::rows(u64::try_from(distance).unwrap_or(u64::MAX)),
        FrameUnits::Range => Extent::key(distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::call;
    use weir_types::SqlType;

    fn reach(
        function: AggregateFunction,
        units: FrameUnits,
        start: Option<i128>,
        end: Option<i128>,
    ) -> Reach {
        let call = call(function, &[0], SqlType::Int);
        Reach::of(&[FramedCall { call, frame: Frame { units, start, end } }], true)
    }

    #[test]
    fn a_frame_reaches_to_the_other_side_of_what_it_looks_at() {
        let of = reach(AggregateFunction::Sum, FrameUnits::Rows, Some(-3), Some(2));
        assert_eq!((of.changes.before, of.changes.behind), (Extent::rows(2), Extent::rows(3)));
        assert_eq!((of.reads.before, of.reads.behind), (Extent::rows(3), Extent::rows(2)));
        let running = reach(AggregateFunction::Sum, FrameUnits::Rows, None, Some(-2));
        assert_eq!((running.changes.before, running.changes.behind.all), (Extent::rows(0), true));
        assert_eq!(running.reads.before, Extent::rows(2));
        let lead = reach(AggregateFunction::Lead { rows: 4 }, FrameUnits::Rows, None, Some(0));
        assert_eq!((lead.changes.before, lead.changes.behind), (Extent::rows(4), Extent::default()));
    }
}
