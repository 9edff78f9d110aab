//! Which rows of a batch match which rows of the other side.

use super::side::{NO_KEY, Side};
use crate::OperatorError;
use crate::join_condition::{CANDIDATES, JoinCondition};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use weir_state::KeyedStateBackend;

/// Rows of a batch beside rows of the other side that they match: those of one row of the batch follow one another, in
/// the order of the batch.
#[derive(Default)]
pub(super) struct Pairs {
    /// rows of the batch
    pub(super) rows: Vec<u32>,
    /// slots of the other side's rows
    pub(super) others: Vec<u32>,
}

/// The rows under the keys that a batch meets.
pub(super) struct Groups {
    /// for each key that was met its slot and where its rows end in `slots`
    ends: Vec<(u32, usize)>,
    slots: Vec<u32>,
    /// for each row of the batch the place of its key in `ends`
    of_row: Vec<u32>,
}

impl Groups {
    /// `keys`: for each row of the batch the slot of its key on the other side, or [`NO_KEY`].
    pub(super) fn new(
        keys: &[u32],
        other: &Side,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Self, OperatorError> {
        let mut grouping = crate::grouping::Grouping::default();
        grouping.group(keys);
        let mut groups = Groups { ends: Vec::new(), slots: Vec::new(), of_row: grouping.groups };
        let known: Vec<u32> = grouping.slots.iter().copied().filter(|key| *key != NO_KEY).collect();
        other.prefetch(&known, keyed)?;
        for key in grouping.slots {
            if key != NO_KEY {
                other.rows_of(key, keyed, &mut groups.slots)?;
            }
            groups.ends.push((key, groups.slots.len()));
        }
        Ok(groups)
    }

    fn rows_of(&self, row: usize) -> &[u32] {
        let group = self.of_row[row] as usize;
        let start = if group == 0 { 0 } else { self.ends[group - 1].1 };
        &self.slots[start..self.ends[group].1]
    }

    /// The end of the rows from `start` that meet about [`CANDIDATES`] rows of the other side: one at least.
    pub(super) fn step(&self, start: usize) -> usize {
        let mut candidates = 0;
        for row in start..self.of_row.len() {
            candidates += self.rows_of(row).len();
            if candidates > CANDIDATES && row > start {
                return row;
            }
        }
        self.of_row.len()
    }

    fn candidates(&self, start: usize, end: usize) -> Pairs {
        let mut pairs = Pairs::default();
        for row in start..end {
            let others = self.rows_of(row);
            pairs.others.extend_from_slice(others);
            pairs.rows.extend(std::iter::repeat_n(row as u32, others.len()));
        }
        pairs
    }

    /// The pairs of rows `start..end` for which `condition` is TRUE. `is_left` says on which side the batch is, whose
    /// join keys are `keys`.
    pub(super) fn pairs(
        &self,
        (start, end): (usize, usize),
        condition: Option<&JoinCondition>,
        batch: &RecordBatch,
        (is_left, keys): (bool, &[ArrayRef]),
        other: &Side,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Pairs, OperatorError> {
        let mut pairs = self.candidates(start, end);
        let Some(condition) = condition.filter(|_| !pairs.rows.is_empty()) else { return Ok(pairs) };
        let rows = UInt32Array::from(pairs.rows.clone());
        let others: Vec<usize> =
            condition.columns().filter(|(left, _)| *left != is_left).map(|(_, column)| column).collect();
        let mut others = other.gather(&pairs.others, &others, (keys, &rows), keyed)?.into_iter();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (left, column) in condition.columns() {
            if left == is_left {
                columns.push(take(batch.column(column), &rows, None)?);
            } else {
                columns.extend(others.next());
            }
        }
        let holds = condition.holds(columns, rows.len())?;
        let mut holding = holds.iter();
        pairs.rows.retain(|_| holding.next().is_some_and(|holds| *holds));
        let mut holding = holds.iter();
        pairs.others.retain(|_| holding.next().is_some_and(|holds| *holds));
        Ok(pairs)
    }
}
