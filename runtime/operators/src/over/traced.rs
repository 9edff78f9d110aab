//! Results after each of some steps, in parts that do not become too large: a result may be as long as all rows before it.

use super::distinct::fresh_in_frames;
use super::frame::Sequence;
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, Changes, GroupRows, Member, RESULT_BYTES, Retractions};
use crate::distinct::DistinctRows;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take_record_batch};
use weir_types::AggregateFunction;

/// Rows that are counted one after the other.
pub(super) struct Steps<'a> {
    /// the row of each step
    pub(super) rows: &'a RecordBatch,
    pub(super) groups: &'a [u32],
    /// of functions with DISTINCT: the steps that count
    pub(super) fresh: Option<&'a DistinctRows>,
    pub(super) retractions: Option<Retractions<'a>>,
    /// the number of the first peer of each row, if ranks are made of it
    pub(super) ordinals: Option<&'a ArrayRef>,
}

#[derive(Default)]
pub(super) struct Traced {
    /// of each call, part after part: the results before and after each step
    columns: Vec<Vec<ArrayRef>>,
    /// the first step of each part
    firsts: Vec<usize>,
}

impl Steps<'_> {
    /// Counts all rows into `rows`, with the results of the calls that are `wanted`; of others there are none.
    pub(super) fn trace(
        &self,
        set: &AccumulatorSet,
        wanted: impl Fn(&Member) -> bool,
        rows: &mut GroupRows,
    ) -> Result<Traced, OperatorError> {
        let mut traced = Traced { columns: vec![Vec::new(); set.members().len()], firsts: Vec::new() };
        let mut start = 0;
        loop {
            let len = set.steps_at_once(rows, &self.rows.slice(start, self.groups.len() - start));
            traced.firsts.push(start);
            self.part(start, len, set, &wanted, rows, &mut traced)?;
            start += len;
            if start >= self.groups.len() {
                return Ok(traced);
            }
        }
    }

    fn part(
        &self,
        start: usize,
        len: usize,
        set: &AccumulatorSet,
        wanted: &impl Fn(&Member) -> bool,
        rows: &mut GroupRows,
        traced: &mut Traced,
    ) -> Result<(), OperatorError> {
        let (steps, end) = (self.rows.slice(start, len), start + len);
        let retractions = self.retractions.map(|retractions| Retractions {
            retracts: &retractions.retracts[start..end],
            resets: &retractions.resets[start..end],
        });
        let mut changed = vec![false; len];
        for (member, column) in set.members().iter().zip(&mut traced.columns) {
            if !wanted(member) {
                continue;
            }
            let selected = match (member.distinct, self.fresh) {
                (Some((map, bit)), Some(fresh)) => Some(fresh[map][bit].slice(start, len)),
                _ => AccumulatorSet::selection(member, &steps)?,
            };
            let arguments = match self.ordinals {
                Some(ordinals) if is_rank(member.call.function) => vec![ordinals.slice(start, len)],
                _ => AccumulatorSet::arguments(member, &steps),
            };
            let changes = Changes { groups: &self.groups[start..end], selected, retractions };
            let Member { accumulator, place, .. } = member;
            column.push(accumulator.trace(*place, rows, &arguments, &changes, &mut changed)?);
        }
        Ok(())
    }
}

impl Traced {
    /// The parts of a call.
    pub(super) fn columns(&self, call: usize) -> &[ArrayRef] {
        self.columns.get(call).map_or(&[], Vec::as_slice)
    }

    /// In which part the result after `step` is, and where; the one before the step is just ahead of it.
    pub(super) fn after(&self, step: usize) -> (usize, usize) {
        let part = self.firsts.partition_point(|first| *first <= step).saturating_sub(1);
        (part, 2 * (step - self.firsts.get(part).copied().unwrap_or(0)) + 1)
    }

    /// The results of a call after `steps`.
    pub(super) fn gather(
        &self,
        call: usize,
        steps: impl Iterator<Item = u32>,
    ) -> Result<ArrayRef, OperatorError> {
        let arrays: Vec<&dyn Array> = self.columns[call].iter().map(AsRef::as_ref).collect();
        let places: Vec<(usize, usize)> = steps.map(|step| self.after(step as usize)).collect();
        Ok(interleave(&arrays, &places)?)
    }
}

/// Counts a sequence of rows of `table` into `rows`, as [`Steps::trace`] does; `retracts`: some of them out. What is DISTINCT is so
/// among these rows.
pub(super) fn trace(
    set: &AccumulatorSet,
    sequence: &Sequence,
    table: &RecordBatch,
    (retracts, ordinals): (bool, Option<&ArrayRef>),
    wanted: impl Fn(&Member) -> bool,
    rows: &mut GroupRows,
) -> Result<Traced, OperatorError> {
    let stepped = take_record_batch(table, &UInt32Array::from(sequence.rows.clone()))?;
    let fresh = fresh_in_frames(set.distincts(), sequence, &stepped)?;
    let retractions =
        retracts.then_some(Retractions { retracts: &sequence.retracts, resets: &sequence.resets });
    let (groups, fresh) = (&sequence.groups[..], Some(&fresh));
    Steps { rows: &stepped, groups, fresh, retractions, ordinals }.trace(set, wanted, rows)
}

/// True if the argument of the function is the number of a row's first peer.
pub(super) fn is_rank(function: AggregateFunction) -> bool {
    matches!(function, AggregateFunction::Rank | AggregateFunction::DenseRank)
}

/// How many rows with results of these columns go into one batch, at most `batch_rows`.
pub(super) fn rows_at_once<'a>(columns: impl Iterator<Item = &'a ArrayRef>, batch_rows: usize) -> usize {
    let of_fixed_width = |column: &&ArrayRef| column.data_type().primitive_width().is_none();
    let width = |column: &ArrayRef| column.get_array_memory_size() / column.len().max(1);
    let widest = columns.filter(of_fixed_width).map(width).max().unwrap_or(0);
    (RESULT_BYTES / widest.max(1)).clamp(1, batch_rows.max(1))
}
