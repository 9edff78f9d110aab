//! What the watermark brings about.

use super::pairs::{Emission, Pairs, holding};
use super::rows::{Loaded, VOID};
use super::{States, TimedJoin};
use crate::grouping::Grouping;
use crate::{OperatorContext, OperatorError, Output, Progress};
use std::ops::Range;
use weir_state::StateId;
use weir_types::{JoinKind, RowKind, TimedJoinBy};

/// Pairs of a window that are looked at in one call, about.
fn pairs_at_once(batch_rows: usize) -> usize {
    batch_rows.max(1).saturating_mul(8)
}

/// Keys that are looked at together as long as nothing is known of how many rows they have.
pub(super) const FEW_KEYS: usize = 64;

/// Keys with their rows that are due, and the versions that these may ask for.
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
        let limit = self.keys_at_once.min(context.batch_rows).max(1);
        let Some(popped) = context.keyed.pop_timers(timers, self.progress, limit) else {
            return Ok(self.done(output));
        };
        let until = popped.times_ms.iter().copied().max().unwrap_or(self.progress);
        let mut slots = Vec::new();
        context.keyed.lookup(keys, VOID, &popped.keys, &mut slots);
        slots.retain(|slot| *slot != weir_state::NO_SLOT);
        let mut grouping = Grouping::default();
        grouping.group(&slots);
        let keys = grouping.slots;
        // Versions are looked up by rows that are due, and are wanted as they are; of other rows those that are due.
        let versions = self.spec.by == TimedJoinBy::Version;
        let is_due = |side: usize, time: i64| match versions && side == 1 {
            true => time <= until,
            false => self.due_at(side, time) <= until,
        };
        let right =
            self.sides[1].load(&keys, (|time| is_due(1, time), |_| usize::MAX), &mut context.keyed)?;
        // Left rows of a window that are too many for one call wait for the next: one more than there is room for says so.
        let budget = pairs_at_once(context.batch_rows);
        let most = |group: usize| match self.spec.by {
            TimedJoinBy::Window => budget / right.of(group).len().max(1) + 2,
            _ => usize::MAX,
        };
        let left = self.sides[0].load(&keys, (|time| is_due(0, time), most), &mut context.keyed)?;
        let rows = left.slots.len() + right.slots.len();
        let due = Due { keys, until, left, right };
        let (keys, per_key) = (due.keys.len().max(1), rows.div_ceil(due.keys.len().max(1)));
        self.keys_at_once = match rows > context.batch_rows {
            true => (context.batch_rows / per_key.max(1)).max(1),
            false => (self.keys_at_once.max(keys) * 2).min(context.batch_rows.max(1)),
        };
        match self.spec.by {
            TimedJoinBy::Window => self.close_windows(&due, timers, context, output)?,
            TimedJoinBy::Interval { .. } => self.expire(&due, context, output)?,
            TimedJoinBy::Version => self.look_up(&due, context, output)?,
        }
        self.forget(&due.keys, &mut context.keyed)?;
        Ok(Progress::More)
    }

    /// The rows of the windows that have passed, joined: about as many pairs as are looked at together. What is left then
    /// stays due.
    fn close_windows(
        &self,
        due: &Due,
        timers: StateId,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut emission = Emission::default();
        let mut gone = [Vec::new(), Vec::new()];
        let mut matched = Vec::new();
        let mut left_over: (Vec<u32>, Vec<i64>) = Default::default();
        let (budget, mut candidates) = (pairs_at_once(context.batch_rows), 0);
        for (group, key) in due.keys.iter().enumerate() {
            let (lefts, rights) = (due.left.of(group), due.right.of(group));
            let room = (budget.saturating_sub(candidates) / rights.len().max(1)).max(1);
            let now = match candidates < budget {
                true => lefts.start..lefts.end.min(lefts.start + room),
                false => lefts.start..lefts.start,
            };
            let closes = candidates < budget && now.end == lefts.end;
            candidates += (now.len() * rights.len()).max(now.len() + rights.len());
            gone[0].extend_from_slice(&due.left.slots[now.clone()]);
            let met = self.close_window(due, now, rights.clone(), closes, &mut emission)?;
            if closes {
                gone[1].extend_from_slice(&due.right.slots[rights]);
                continue;
            }
            matched
                .extend(rights.clone().zip(met).filter(|(_, met)| *met).map(|(row, _)| due.right.slots[row]));
            // All rows of a key and window are due at the same time.
            let time = due.left.times[lefts].first().or(due.right.times[rights].first());
            left_over.0.push(*key);
            left_over.1.push(time.copied().unwrap_or(due.until));
        }
        self.flush(&mut emission, &due.left.rows, &due.right.rows, context.batch_rows, output)?;
        let keyed = &mut context.keyed;
        self.sides[1].mark(&matched, keyed)?;
        self.sides[0].delete(&gone[0], keyed)?;
        self.sides[1].delete(&gone[1], keyed)?;
        let keys = keyed.keys(self.states()?.keys, VOID, &left_over.0);
        keyed.add_timers(timers, &keys, &left_over.1, VOID);
        Ok(())
    }

    /// Left rows of one window and key with its right rows; tells which of these were met, now or before. `closes`: they are
    /// the last left rows.
    fn close_window(
        &self,
        due: &Due,
        lefts: Range<usize>,
        rights: Range<usize>,
        closes: bool,
        emission: &mut Emission,
    ) -> Result<Vec<bool>, OperatorError> {
        let kind = self.spec.kind;
        let mut met: Vec<bool> = due.right.marks[rights.clone()].iter().map(|mark| *mark != 0).collect();
        let mut pairs = Pairs::default();
        for left in lefts.clone().filter(|left| !self.meets_nothing(0, &due.left.rows, *left)) {
            rights.clone().for_each(|right| pairs.push(left as u32, right as u32));
        }
        let holds = holding(self.condition.as_ref(), &due.left.rows, &due.right.rows, &pairs)?;
        let mut pair = 0;
        for left in lefts {
            let mut any = false;
            while pair < pairs.len() && pairs.left[pair] as usize == left {
                if holds[pair] {
                    any = true;
                    met[pairs.right[pair] as usize - rights.start] = true;
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
                emission.push(RowKind::Insert, Some(left as u32), None);
            }
        }
        if closes && kind.keeps_right() {
            let alone = rights.zip(&met).filter(|(_, met)| !**met);
            alone.for_each(|(right, _)| emission.push(RowKind::Insert, None, Some(right as u32)));
        }
        Ok(met)
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
                for row in rows.of(group) {
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
            for left in due.left.of(group) {
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
        let holds = holding(self.condition.as_ref(), &due.left.rows, &due.right.rows, &pairs)?;
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
