//! What the watermark brings about.

use super::pairs::{CANDIDATES, Emission, Pairs};
use super::rows::{Loaded, VOID};
use super::{States, TimedJoin};
use crate::grouping::Grouping;
use crate::{OperatorContext, OperatorError, Output, Progress};
use weir_types::{JoinKind, RowKind, TimedJoinBy};

/// Keys whose rows are due.
struct Due {
    keys: Vec<u32>,
    until: i64,
    left: Loaded,
    right: Loaded,
}

impl TimedJoin {
    /// Emits what the watermark has reached, a part at a time.
    pub(super) fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let States { keys, timers } = self.states()?;
        let Some(popped) = context.keyed.pop_timers(timers, self.progress, context.batch_rows.max(1)) else {
            return Ok(self.done(output));
        };
        let until = popped.times_ms.iter().copied().max().unwrap_or(self.progress);
        let mut slots = Vec::new();
        context.keyed.lookup(keys, VOID, &popped.keys, &mut slots);
        slots.retain(|slot| *slot != weir_state::NO_SLOT);
        let mut grouping = Grouping::default();
        grouping.group(&slots);
        let keys = grouping.slots;
        let left = self.sides[0].load(&keys, &mut context.keyed)?;
        let right = self.sides[1].load(&keys, &mut context.keyed)?;
        let due = Due { keys, until, left, right };
        match self.spec.by {
            TimedJoinBy::Window => self.close_windows(&due, context, output)?,
            TimedJoinBy::Interval { .. } => self.expire(&due, context, output)?,
            TimedJoinBy::Version => self.look_up(&due, context, output)?,
        }
        self.forget(&due.keys, &mut context.keyed)?;
        Ok(Progress::More)
    }

    /// The rows of `rows` that are due, key by key.
    fn is_due(&self, side: usize, rows: &Loaded, row: usize, until: i64) -> bool {
        self.due_at(side, rows.times[row]) <= until
    }

    /// All rows of the windows that have passed, joined.
    fn close_windows(
        &self,
        due: &Due,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut emission = Emission::default();
        let (mut left_gone, mut right_gone) = (Vec::new(), Vec::new());
        for group in 0..due.keys.len() {
            let of = |side: usize, rows: &Loaded| -> Vec<usize> {
                rows.of(group).filter(|row| self.is_due(side, rows, *row, due.until)).collect()
            };
            let (lefts, rights) = (of(0, &due.left), of(1, &due.right));
            left_gone.extend(lefts.iter().map(|row| due.left.slots[*row]));
            right_gone.extend(rights.iter().map(|row| due.right.slots[*row]));
            self.close_window(due, &lefts, &rights, &mut emission)?;
            if emission.len() >= context.batch_rows {
                self.flush(&mut emission, &due.left.rows, &due.right.rows, context.batch_rows, output)?;
            }
        }
        self.flush(&mut emission, &due.left.rows, &due.right.rows, context.batch_rows, output)?;
        self.sides[0].delete(&left_gone, &mut context.keyed)?;
        self.sides[1].delete(&right_gone, &mut context.keyed)
    }

    /// The rows of one window and key.
    fn close_window(
        &self,
        due: &Due,
        lefts: &[usize],
        rights: &[usize],
        emission: &mut Emission,
    ) -> Result<(), OperatorError> {
        let kind = self.spec.kind;
        let mut right_matched = vec![false; rights.len()];
        let rows_at_once = (CANDIDATES / rights.len().max(1)).max(1);
        for part in lefts.chunks(rows_at_once) {
            let mut pairs = Pairs::default();
            for left in part {
                let nothing = self.meets_nothing(0, &due.left.rows, *left);
                rights.iter().filter(|_| !nothing).for_each(|right| pairs.push(*left as u32, *right as u32));
            }
            let holds = match &self.condition {
                Some(condition) => condition.holds(&due.left.rows, &due.right.rows, &pairs)?,
                None => vec![true; pairs.len()],
            };
            let mut pair = 0;
            for left in part {
                let mut any = false;
                while pair < pairs.len() && pairs.left[pair] as usize == *left {
                    if holds[pair] {
                        any = true;
                        right_matched[pair % rights.len().max(1)] = true;
                        if !kind.is_left_only() {
                            emission.push(RowKind::Insert, Some(pairs.left[pair]), Some(pairs.right[pair]));
                        }
                    }
                    pair += 1;
                }
                let alone = match kind {
                    JoinKind::LeftSemi => any,
                    JoinKind::LeftAnti => !any,
                    _ => kind.keeps_left() && !any,
                };
                if alone {
                    emission.push(RowKind::Insert, Some(*left as u32), None);
                }
            }
        }
        let unmatched = rights.iter().zip(&right_matched).filter(|(_, matched)| !**matched);
        for (right, _) in unmatched.filter(|_| kind.keeps_right()) {
            emission.push(RowKind::Insert, None, Some(*right as u32));
        }
        Ok(())
    }

    /// Rows that can meet nothing more go; those that met nothing are given where the join keeps them.
    fn expire(
        &self,
        due: &Due,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut emission = Emission::default();
        let mut gone = [Vec::new(), Vec::new()];
        for group in 0..due.keys.len() {
            for (side, rows) in [&due.left, &due.right].into_iter().enumerate() {
                let keeps =
                    if side == 0 { self.spec.kind.keeps_left() } else { self.spec.kind.keeps_right() };
                for row in rows.of(group).filter(|row| self.is_due(side, rows, *row, due.until)) {
                    gone[side].push(rows.slots[row]);
                    match (keeps && rows.marks[row] == 0, side) {
                        (true, 0) => emission.push(RowKind::Insert, Some(row as u32), None),
                        (true, _) => emission.push(RowKind::Insert, None, Some(row as u32)),
                        (false, _) => {}
                    }
                }
            }
        }
        self.flush(&mut emission, &due.left.rows, &due.right.rows, context.batch_rows, output)?;
        self.sides[0].delete(&gone[0], &mut context.keyed)?;
        self.sides[1].delete(&gone[1], &mut context.keyed)
    }

    /// Left rows with the versions of their times.
    fn look_up(
        &self,
        due: &Due,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (mut left_gone, mut right_gone) = (Vec::new(), Vec::new());
        // The left rows that are due, each with its version.
        let mut found: Vec<(usize, Option<usize>)> = Vec::new();
        for group in 0..due.keys.len() {
            let mut versions: Vec<usize> = due.right.of(group).collect();
            // Of versions of the same time the one that came last.
            versions.sort_by_key(|row| due.right.times[*row]);
            let last_at =
                |time: i64| versions.partition_point(|row| due.right.times[*row] <= time).checked_sub(1);
            for left in due.left.of(group).filter(|row| self.is_due(0, &due.left, *row, due.until)) {
                let version = last_at(due.left.times[left]).map(|place| versions[place]);
                let version = version.filter(|row| due.right.marks[*row] == 0);
                found.push((left, version.filter(|_| !self.meets_nothing(0, &due.left.rows, left))));
                left_gone.push(due.left.slots[left]);
            }
            // Left rows behind the part that is due may still ask for versions below the watermark.
            let outlived = last_at(due.until).unwrap_or(0);
            right_gone.extend(versions[..outlived].iter().map(|row| due.right.slots[*row]));
        }
        let mut pairs = Pairs::default();
        found.iter().for_each(|(left, version)| {
            if let Some(version) = version {
                pairs.push(*left as u32, *version as u32);
            }
        });
        let holds = match &self.condition {
            Some(condition) => condition.holds(&due.left.rows, &due.right.rows, &pairs)?,
            None => vec![true; pairs.len()],
        };
        let mut emission = Emission::default();
        let mut pair = 0;
        for (left, version) in found {
            let kind = if due.left.marks[left] == 0 { RowKind::Insert } else { RowKind::Delete };
            let matched = version.filter(|_| {
                pair += 1;
                holds[pair - 1]
            });
            if matched.is_some() || self.spec.kind.keeps_left() {
                emission.push(kind, Some(left as u32), matched.map(|row| row as u32));
            }
        }
        self.flush(&mut emission, &due.left.rows, &due.right.rows, context.batch_rows, output)?;
        self.sides[0].delete(&left_gone, &mut context.keyed)?;
        self.sides[1].delete(&right_gone, &mut context.keyed)
    }
}
