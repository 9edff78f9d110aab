//! Which rows each row is aggregated with.

use weir_types::OverFrame;

/// A row that is due, or one before it that is still in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameRow {
    /// its place among the rows that are at hand
    pub(super) place: u32,
    pub(super) time: i64,
}

/// Rows that are counted in and out, one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    /// places of rows
    pub(super) rows: Vec<u32>,
    /// the row is counted out
    pub(super) retracts: Vec<bool>,
    /// nothing is counted any more behind the row
    pub(super) resets: Vec<bool>,
    pub(super) groups: Vec<u32>,
    /// for each row that is due, in the order in which they were given: after which step its result stands
    pub(super) results: Vec<u32>,
    /// the same for functions that have no frame: with which step the row itself comes
    pub(super) own: Vec<u32>,
}

impl Sequence {
    fn step(&mut self, row: FrameRow, retracts: bool, group: u32) {
        self.count(row.place, retracts, group);
    }

    /// Counts the row at `place` in, or out.
    pub(super) fn count(&mut self, place: u32, retracts: bool, group: u32) {
        self.rows.push(place);
        self.retracts.push(retracts);
        self.resets.push(false);
        self.groups.push(group);
    }

    /// What was counted for the group of the last row is forgotten.
    pub(super) fn forget(&mut self) {
        if let Some(last) = self.resets.last_mut() {
            *last = true;
        }
    }

    fn last(&self) -> u32 {
        self.rows.len() as u32 - 1
    }

    /// Appends the rows of one group: those that were in its frame before, then those that are due, both in order of time.
    /// Rows to come are later than `until`. `counted`: so many rows of its frame are counted in already, `kept` among
    /// them, and those that will be in the next row's stay so; else a frame of some rows is counted anew. Where a frame has
    /// no rows any more, what was counted is forgotten: results do not depend on how far time has come between two rows.
    /// Returns how many of the rows, from the front, are in the frame of none of them.
    pub(super) fn push(
        &mut self,
        frame: OverFrame,
        kept: &[FrameRow],
        due: &[FrameRow],
        group: u32,
        until: i64,
        counted: Option<usize>,
    ) -> usize {
        match frame {
            OverFrame::Unbounded { peers } => self.unbounded(peers, due, group),
            OverFrame::Rows(before) => self.rows_before(before, kept, due, group, counted.is_some()),
            OverFrame::Range(before_ms) => {
                self.range_before(before_ms, kept, due, (group, counted.unwrap_or(0)), until)
            }
        }
    }

    fn unbounded(&mut self, peers: bool, due: &[FrameRow], group: u32) -> usize {
        for same_time in due.chunk_by(|a, b| peers && a.time == b.time) {
            let first = self.rows.len() as u32;
            same_time.iter().for_each(|row| self.step(*row, false, group));
            let result = self.last();
            self.own.extend(first..=result);
            self.results.extend(same_time.iter().map(|_| result));
        }
        due.len()
    }

    fn rows_before(
        &mut self,
        before: u64,
        kept: &[FrameRow],
        due: &[FrameRow],
        group: u32,
        goes_on: bool,
    ) -> usize {
        let limit = usize::try_from(before).unwrap_or(usize::MAX);
        let all: Vec<FrameRow> = kept.iter().chain(due).copied().collect();
        if !goes_on {
            kept.iter().for_each(|row| self.step(*row, false, group));
        }
        let mut first = 0;
        for place in kept.len()..=all.len() {
            while place - first > limit && (goes_on || place < all.len()) {
                self.step(all[first], true, group);
                first += 1;
                if first == place {
                    self.forget();
                }
            }
            if let Some(row) = all.get(place) {
                self.step(*row, false, group);
                self.results.push(self.last());
            }
        }
        all.len().saturating_sub(limit).max(first)
    }

    /// The rows that were in the frame before are counted in already, and those that stay remain so.
    fn range_before(
        &mut self,
        before_ms: i64,
        kept: &[FrameRow],
        due: &[FrameRow],
        (group, mut counted): (u32, usize),
        until: i64,
    ) -> usize {
        let mut leaving = kept.iter().chain(due).peekable();
        for same_time in due.chunk_by(|a, b| a.time == b.time) {
            let from = same_time[0].time.saturating_sub(before_ms);
            while let Some(row) = leaving.next_if(|row| row.time < from) {
                self.leave(*row, &mut counted, group);
            }
            same_time.iter().for_each(|row| self.step(*row, false, group));
            counted += same_time.len();
            let result = self.last();
            self.results.extend(same_time.iter().map(|_| result));
        }
        while let Some(row) = leaving.next_if(|row| row.time.saturating_add(before_ms) <= until) {
            self.leave(*row, &mut counted, group);
        }
        kept.len() + due.len() - leaving.count()
    }

    /// One of the `counted` rows goes.
    fn leave(&mut self, row: FrameRow, counted: &mut usize, group: u32) {
        self.step(row, true, group);
        *counted -= 1;
        if *counted == 0 {
            self.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(times: &[i64], from: u32) -> Vec<FrameRow> {
        times.iter().zip(from..).map(|(time, place)| FrameRow { place, time: *time }).collect()
    }

    fn steps(frame: OverFrame, kept: &[i64], due: &[i64]) -> (Vec<String>, Vec<u32>, usize) {
        let mut sequence = Sequence::default();
        let until = due.last().copied().unwrap_or(i64::MAX - 1);
        let counted = (!matches!(frame, OverFrame::Rows(_))).then_some(kept.len());
        let stays = sequence.push(frame, &rows(kept, 0), &rows(due, kept.len() as u32), 0, until, counted);
        let step = |(row, retracts): (&u32, &bool)| format!("{}{row}", if *retracts { '-' } else { '+' });
        (sequence.rows.iter().zip(&sequence.retracts).map(step).collect(), sequence.results, stays)
    }

    #[test]
    fn frames_move_with_the_rows() {
        let (all, results, _) = steps(OverFrame::Unbounded { peers: true }, &[], &[1, 1, 2]);
        assert_eq!((all.join(" "), results), ("+0 +1 +2".into(), vec![1, 1, 2]));
        let (some, results, stays) = steps(OverFrame::Rows(1), &[1], &[2, 3]);
        assert_eq!((some.join(" "), results, stays), ("+0 +1 -0 +2".into(), vec![1, 3], 2));
        let (some, results, stays) = steps(OverFrame::Range(10), &[1], &[11, 12, 12, 30]);
        assert_eq!((some.join(" "), results, stays), ("+1 -0 +2 +3 -1 -2 -3 +4".into(), vec![0, 3, 3, 7], 4));
        // Once time has passed them no row is left.
        let (none, results, stays) = steps(OverFrame::Range(10), &[1, 2], &[]);
        assert_eq!((none.join(" "), results, stays), ("-0 -1".into(), vec![], 2));
    }
}
