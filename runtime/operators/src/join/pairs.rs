//! Which rows of a batch match which rows of the other side.

use super::side::{NO_KEY, Side};
use crate::OperatorError;
use crate::calc::{batch_of, move_columns};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::utils::collect_columns;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_state::KeyedStateBackend;

/// What beside the keys must hold.
pub(super) struct Condition {
    /// over the columns in `used`
    expression: Arc<dyn PhysicalExpr>,
    /// columns of left and right, one behind the other, ascending
    used: Vec<usize>,
    schema: SchemaRef,
    left_columns: usize,
}

impl Condition {
    pub(super) fn new(
        expression: &Arc<dyn PhysicalExpr>,
        left: &Schema,
        right: &Schema,
    ) -> Result<Self, OperatorError> {
        let used: BTreeSet<usize> = collect_columns(expression).iter().map(|column| column.index()).collect();
        let used: Vec<usize> = used.into_iter().collect();
        let left_columns = left.fields().len();
        let field = |column: &usize| match column.checked_sub(left_columns) {
            Some(column) => right.fields()[column].clone(),
            None => left.fields()[*column].clone(),
        };
        let schema = Arc::new(Schema::new(used.iter().map(field).collect::<Vec<_>>()));
        let expression = move_columns(expression.clone(), &used)?;
        Ok(Condition { expression, used, schema, left_columns })
    }
}

/// Rows of a batch beside rows of the other side that they match: those of one row of the batch follow one another, in
/// the order of the batch.
#[derive(Default)]
pub(super) struct Pairs {
    /// rows of the batch
    pub(super) rows: Vec<u32>,
    /// slots of the other side's rows
    pub(super) others: Vec<u32>,
}

/// Pairs that are looked at together, about.
pub(super) const CANDIDATES: usize = 1 << 16;

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
        condition: Option<&Condition>,
        batch: &RecordBatch,
        (is_left, keys): (bool, &[ArrayRef]),
        other: &Side,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Pairs, OperatorError> {
        let mut pairs = self.candidates(start, end);
        let Some(condition) = condition.filter(|_| !pairs.rows.is_empty()) else { return Ok(pairs) };
        let rows = UInt32Array::from(pairs.rows.clone());
        let side = |column: usize| match column.checked_sub(condition.left_columns) {
            None => (true, column),
            Some(column) => (false, column),
        };
        let others: Vec<usize> = condition
            .used
            .iter()
            .map(|column| side(*column))
            .filter(|(left, _)| *left != is_left)
            .map(|(_, c)| c)
            .collect();
        let mut others = other.gather(&pairs.others, &others, (keys, &rows), keyed)?.into_iter();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(condition.used.len());
        for (left, column) in condition.used.iter().map(|column| side(*column)) {
            if left == is_left {
                columns.push(take(batch.column(column), &rows, None)?);
            } else {
                columns.extend(others.next());
            }
        }
        let together = batch_of(condition.schema.clone(), columns, rows.len())?;
        let answers = condition.expression.evaluate(&together)?.into_array(rows.len())?;
        let answers = answers
            .as_boolean_opt()
            .ok_or_else(|| OperatorError::internal("the condition of a join is not BOOLEAN"))?;
        let holds: Vec<bool> =
            (0..answers.len()).map(|pair| answers.is_valid(pair) && answers.value(pair)).collect();
        let mut holding = holds.iter();
        pairs.rows.retain(|_| holding.next().is_some_and(|holds| *holds));
        let mut holding = holds.iter();
        pairs.others.retain(|_| holding.next().is_some_and(|holds| *holds));
        Ok(pairs)
    }
}
