//! Rows of two batches side by side.

use crate::calc::{batch_of, move_columns};
use crate::{OperatorError, Output};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::utils::collect_columns;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{ChangelogBatch, RowKind, RowKinds};

/// Pairs whose condition is evaluated together, about.
pub(super) const CANDIDATES: usize = 1 << 16;

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

/// What pairs must fulfil beside their keys.
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

    /// For each pair whether the condition is TRUE.
    pub(super) fn holds(
        &self,
        left: &RecordBatch,
        right: &RecordBatch,
        pairs: &Pairs,
    ) -> Result<Vec<bool>, OperatorError> {
        if pairs.len() == 0 {
            return Ok(Vec::new());
        }
        let (lefts, rights) = (UInt32Array::from(pairs.left.clone()), UInt32Array::from(pairs.right.clone()));
        let column = |column: &usize| match column.checked_sub(self.left_columns) {
            Some(column) => take(right.column(column), &rights, None),
            None => take(left.column(*column), &lefts, None),
        };
        let columns = self.used.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let together = batch_of(self.schema.clone(), columns, pairs.len())?;
        let answers = self.expression.evaluate(&together)?.into_array(pairs.len())?;
        let answers = answers
            .as_boolean_opt()
            .ok_or_else(|| OperatorError::internal("the condition of a join is not BOOLEAN"))?;
        Ok((0..answers.len()).map(|pair| answers.is_valid(pair) && answers.value(pair)).collect())
    }
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
            let kinds = &self.kinds[range];
            let all_inserts = kinds.iter().all(|kind| *kind == RowKind::Insert);
            let row_kinds = (!all_inserts).then(|| RowKinds::from(kinds.to_vec()));
            let rows = batch_of(schema.clone(), columns, kinds.len())?;
            output.batch(ChangelogBatch::new(rows, row_kinds));
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
