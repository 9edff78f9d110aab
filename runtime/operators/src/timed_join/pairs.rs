//! Rows of two batches side by side.

use crate::calc::{batch_of, changes_of};
use crate::join_condition::JoinCondition;
use crate::{OperatorError, Output};
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_types::RowKind;

/// Places of rows of the left and of the right.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) left: Vec<u32>,
    pub(super) right: Vec<u32>,
}

impl Pairs {
    pub(super) fn push(&mut self, left: u32, right: u32) {
        self.left.push(left);
        self.right.push(right);
    }

    pub(super) fn len(&self) -> usize {
        self.left.len()
    }
}

/// For each pair of rows of `left` and `right` whether `condition` is TRUE; without one all are joined.
pub(super) fn holding(
    condition: Option<&JoinCondition>,
    left: &RecordBatch,
    right: &RecordBatch,
    pairs: &Pairs,
) -> Result<Vec<bool>, OperatorError> {
    let Some(condition) = condition.filter(|_| pairs.len() > 0) else { return Ok(vec![true; pairs.len()]) };
    let (lefts, rights) = (UInt32Array::from(pairs.left.clone()), UInt32Array::from(pairs.right.clone()));
    let column = |(is_left, column): (bool, usize)| match is_left {
        true => take(left.column(column), &lefts, None),
        false => take(right.column(column), &rights, None),
    };
    condition.holds(condition.columns().map(column).collect::<Result<Vec<_>, _>>()?, pairs.len())
}

/// Rows to be emitted: of the left, of the right, or of both.
#[derive(Default)]
pub(super) struct Emission {
    kinds: Vec<RowKind>,
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
}

impl Emission {
    pub(super) fn push(&mut self, kind: RowKind, left: Option<u32>, right: Option<u32>) {
        self.kinds.push(kind);
        self.left.push(left);
        self.right.push(right);
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Emits what is there as batches of `schema`, from the columns of either side that are given.
    pub(super) fn flush(
        &mut self,
        (left, left_columns): (&RecordBatch, &[usize]),
        (right, right_columns): (&RecordBatch, &[usize]),
        (schema, batch_rows): (&SchemaRef, usize),
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let step = batch_rows.max(1);
        for start in (0..self.len()).step_by(step) {
            let range = start..self.len().min(start + step);
            let mut columns = picked(left, left_columns, &self.left[range.clone()])?;
            columns.extend(picked(right, right_columns, &self.right[range.clone()])?);
            let rows = batch_of(schema.clone(), columns, range.len())?;
            output.batch(changes_of(rows, &self.kinds[range]));
        }
        *self = Emission::default();
        Ok(())
    }
}

/// Columns of the rows at `places`, NULL where there is none.
fn picked(
    rows: &RecordBatch,
    columns: &[usize],
    places: &[Option<u32>],
) -> Result<Vec<ArrayRef>, OperatorError> {
    let nothing = places.iter().all(Option::is_none);
    let places: UInt32Array = places.iter().copied().collect();
    let column = |column: &usize| -> Result<ArrayRef, OperatorError> {
        let column = rows.column(*column);
        Ok(match nothing {
            true => new_null_array(column.data_type(), places.len()),
            false => take(column, &places, None)?,
        })
    };
    columns.iter().map(column).collect()
}
