//! Mini-batches: what becomes of each group with all rows of a batch, and accumulators that come instead of rows.

use super::behind::Call;
use super::{GroupAggregate, Plan, Scratch, States};
use crate::accumulators::{AccumulatorSet, Changes, GroupRows, Retractions, and};
use crate::calc::{batch_of, changes_of};
use crate::grouping::Grouping;
use crate::{OperatorContext, OperatorError, Output};
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{interleave, take};
use weir_state::{Namespace, StateId};
use weir_types::{ChangelogBatch, RowKind};

const VOID: Namespace = Namespace::Void;

/// The groups of a batch before and after it.
struct Bundle {
    existed: Vec<bool>,
    exists: Vec<bool>,
    before: Vec<ArrayRef>,
    after: Vec<ArrayRef>,
}

impl GroupAggregate {
    /// Counts all of `batch` in, and emits once what has become of each group: `+I` for a new one, `-U` and `+U` where
    /// results differ, `-D` for one that is gone.
    pub(super) fn count_bundle(
        &mut self,
        batch: &ChangelogBatch,
        groups: StateId,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        self.resolve(batch.rows(), context, groups)?;
        let Scratch { found, grouping, rows, pins, .. } = &mut self.scratch;
        match self.spec.keys.is_empty() {
            true => grouping.all_in_one(found.slots[0], batch.num_rows()),
            false => grouping.group(&found.slots),
        }
        self.set.load(&context.keyed.rows(groups, VOID), &grouping.slots, pins, rows);
        let existed: Vec<bool> = match self.spec.input_retracts {
            true => (0..rows.len()).map(|row| rows.part(row, 0, 1)[0] != 0).collect(),
            false => grouping.existing(&found.created, 0),
        };
        let before = self.set.emit(&self.scratch.rows)?;
        let exists = match self.spec.merges.is_some() {
            true => self.merge_in(batch, &existed)?,
            false => self.count_rows(batch, existed.clone(), context)?,
        };
        let after = self.set.emit(&self.scratch.rows)?;
        let Scratch { grouping, rows, pins, .. } = &mut self.scratch;
        self.set.store(rows, &grouping.slots, pins, &mut context.keyed.rows(groups, VOID));
        let gone = grouping.slots.iter().zip(&exists).filter(|(_, exists)| !**exists);
        let gone: Vec<u32> = gone.map(|(slot, _)| *slot).collect();
        context.keyed.delete(groups, VOID, &gone);
        self.emit_bundle(batch, Bundle { existed, exists, before, after }, context.batch_rows, output)
    }

    /// Counts rows in; whether each group is there afterwards.
    fn count_rows(
        &mut self,
        batch: &ChangelogBatch,
        mut exists: Vec<bool>,
        context: &mut OperatorContext,
    ) -> Result<Vec<bool>, OperatorError> {
        let States { distincts, behind, .. } =
            self.states.as_mut().ok_or_else(|| OperatorError::internal("an operator was not opened"))?;
        let Scratch { found, grouping, rows, .. } = &mut self.scratch;
        let plan = match self.spec.input_retracts {
            true => Plan::with_retractions(batch, &grouping.groups, &mut exists, rows),
            false => Plan::append_only(&grouping.groups, &mut exists),
        };
        let retractions = self
            .spec
            .input_retracts
            .then_some(Retractions { retracts: &plan.retracts, resets: &plan.resets });
        let (considered, keyed) = (plan.considered.as_ref(), &mut context.keyed);
        let fresh = distincts.note(keyed, VOID, &found.slots, batch.rows(), considered, retractions)?;
        for (index, member) in self.set.members().iter().enumerate() {
            let selected = match member.distinct {
                Some((map, bit)) => Some(fresh[map][bit].clone()),
                None => and(AccumulatorSet::selection(member, batch.rows())?, plan.considered.clone()),
            };
            let mut changes = Changes { groups: &grouping.groups, selected, retractions };
            let arguments = AccumulatorSet::arguments(member, batch.rows());
            let call = Call { index, member, slots: &grouping.slots };
            changes.selected = behind.divide(&call, rows, &arguments, &changes, keyed)?;
            member.accumulator.update(member.place, rows, &arguments, &changes)?;
            behind.settle(&call, rows, keyed)?;
        }
        Ok(exists)
    }

    /// Adds accumulators to those of their groups; whether each group is there afterwards. What takes back from a group
    /// that is not there is dropped: the group's state has expired.
    fn merge_in(&mut self, batch: &ChangelogBatch, existed: &[bool]) -> Result<Vec<bool>, OperatorError> {
        let Scratch { grouping, rows, partial, .. } = &mut self.scratch;
        read_partial(batch, partial)?;
        for member in self.set.members() {
            member.accumulator.merge(member.place, rows, &grouping.groups, partial)?;
        }
        if !self.spec.input_retracts {
            return Ok(vec![true; existed.len()]);
        }
        for (row, group) in grouping.groups.iter().enumerate() {
            let added = partial.part(row, 0, 1)[0];
            let count = &mut rows.part_mut(*group as usize, 0, 1)[0];
            *count = count.wrapping_add(added);
        }
        Ok((0..existed.len()).map(|group| rows.part(group, 0, 1)[0] as i64 > 0).collect())
    }

    fn emit_bundle(
        &self,
        batch: &ChangelogBatch,
        bundle: Bundle,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Bundle { existed, exists, before, after } = bundle;
        let groups = existed.len();
        let firsts = first_rows(&self.scratch.grouping);
        let results_before = self.results.of(groups, |column| Ok(before[column].clone()))?;
        let results_after = self.results.of(groups, |column| Ok(after[column].clone()))?;
        let (mut kinds, mut rows, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut push = |kind: RowKind, side: usize, group: usize| {
            kinds.push(kind);
            rows.push(firsts[group]);
            places.push((side, group));
        };
        for group in 0..groups {
            let same = || results_before.get(group) == results_after.get(group);
            match (existed[group], exists[group]) {
                (false, true) => push(RowKind::Insert, 1, group),
                (true, false) => push(RowKind::Delete, 0, group),
                (true, true) if self.ttl_ms.is_some() || !same() => {
                    if self.spec.emit_update_before {
                        push(RowKind::UpdateBefore, 0, group);
                    }
                    push(RowKind::UpdateAfter, 1, group);
                }
                _ => {}
            }
        }
        for start in (0..kinds.len()).step_by(batch_rows.max(1)) {
            let end = (start + batch_rows.max(1)).min(kinds.len());
            let at = UInt32Array::from(rows[start..end].to_vec());
            let mut columns = Vec::with_capacity(self.schema.fields().len());
            for key in &self.spec.keys {
                columns.push(take(batch.rows().column(*key), &at, None)?);
            }
            for (before, after) in before.iter().zip(&after) {
                let both: [&dyn Array; 2] = [before.as_ref(), after.as_ref()];
                columns.push(interleave(&both, &places[start..end])?);
            }
            let rows = batch_of(self.schema.clone(), columns, end - start)?;
            output.batch(changes_of(rows, &kinds[start..end]));
        }
        Ok(())
    }
}

/// The first row of each group.
fn first_rows(grouping: &Grouping) -> Vec<u32> {
    let mut firsts = Vec::with_capacity(grouping.slots.len());
    for (row, group) in (0..).zip(&grouping.groups) {
        // Groups are numbered by their first rows.
        if *group as usize == firsts.len() {
            firsts.push(row);
        }
    }
    firsts
}

/// Reads the accumulators, which are the last column.
fn read_partial(batch: &ChangelogBatch, partial: &mut GroupRows) -> Result<(), OperatorError> {
    let unreadable = || OperatorError::internal("what came instead of rows are no accumulators");
    let column = batch.rows().columns().last().and_then(|column| column.as_binary_opt::<i32>());
    let column = column.ok_or_else(unreadable)?;
    partial.reset(batch.num_rows());
    (0..batch.num_rows()).try_for_each(|row| partial.read_row(row, column.value(row))).ok_or_else(unreadable)
}
