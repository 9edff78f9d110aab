//! Rows of the input beside those that were found for them.

use crate::calc::{batch_of, evaluate_filter};
use crate::{OperatorError, Output};
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use std::sync::Arc;
use weir_types::{ChangelogBatch, LookupJoinSpec, RowKinds};

pub(super) struct Pairs {
    outer: bool,
    condition: Option<Arc<dyn PhysicalExpr>>,
    left_columns: Vec<usize>,
    right_columns: Vec<usize>,
    schema: SchemaRef,
}

/// Row `left[i]` of the input beside row `right[i]` of those found, or beside NULLs.
struct Places {
    left: Vec<u32>,
    right: Vec<Option<u32>>,
}

impl Pairs {
    pub fn new(spec: &LookupJoinSpec, schema: SchemaRef) -> Self {
        Pairs {
            outer: spec.outer,
            condition: spec.condition.clone(),
            left_columns: spec.left_columns.clone(),
            right_columns: spec.right_columns.clone(),
            schema,
        }
    }

    /// Emits the rows of `batch`, in their order, beside `found`, whose rows were found for the rows at `keys`.
    pub fn emit(
        &self,
        batch: &ChangelogBatch,
        keys: &[u32],
        found: &RecordBatch,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let places = self.places(batch, keys, found)?;
        let all = places.left.len();
        let step = batch_rows.max(1);
        for start in (0..all).step_by(step) {
            let len = step.min(all - start);
            output.batch(self.rows(batch, found, &places, (start, len))?);
        }
        Ok(())
    }

    fn places(
        &self,
        batch: &ChangelogBatch,
        keys: &[u32],
        found: &RecordBatch,
    ) -> Result<Places, OperatorError> {
        let matches = match &self.condition {
            Some(condition) if !keys.is_empty() => {
                let left = UInt32Array::from(keys.to_vec());
                let left = batch.rows().columns().iter().map(|column| take(column, &left, None));
                let mut columns = left.collect::<Result<Vec<ArrayRef>, _>>()?;
                columns.extend(found.columns().iter().cloned());
                let (left, right) = (batch.rows().schema(), found.schema());
                let fields: Vec<_> = left.fields().iter().chain(right.fields()).cloned().collect();
                let pairs = batch_of(Arc::new(Schema::new(fields)), columns, keys.len())?;
                Some(evaluate_filter(condition, &pairs)?)
            }
            _ => None,
        };
        let matched = (0..keys.len()).filter(|pair| matches.as_ref().is_none_or(|all| all.value(*pair)));
        let mut places =
            Places { left: Vec::with_capacity(keys.len()), right: Vec::with_capacity(keys.len()) };
        // the first row of the input that is not done with
        let mut next = 0;
        for pair in matched {
            if self.outer {
                places.alone(next, keys[pair]);
                next = keys[pair] + 1;
            }
            places.left.push(keys[pair]);
            places.right.push(Some(pair as u32));
        }
        if self.outer {
            places.alone(next, batch.num_rows() as u32);
        }
        Ok(places)
    }

    /// The output rows of `places` from `start`, `len` of them.
    fn rows(
        &self,
        batch: &ChangelogBatch,
        found: &RecordBatch,
        places: &Places,
        (start, len): (usize, usize),
    ) -> Result<ChangelogBatch, OperatorError> {
        let left = &places.left[start..start + len];
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        // often each row has found one: the rows are as they were
        let same = len == batch.num_rows() && (0..).zip(left).all(|(row, place)| row == *place);
        let taken = UInt32Array::from(left.to_vec());
        for column in &self.left_columns {
            let column = batch.rows().column(*column);
            columns.push(if same { column.clone() } else { take(column, &taken, None)? });
        }
        let right: UInt32Array = places.right[start..start + len].iter().copied().collect();
        let all = right.null_count() == 0
            && len == found.num_rows()
            && (0..).zip(right.values()).all(|(row, place)| row == *place);
        for column in &self.right_columns {
            let column = found.column(*column);
            columns.push(if all { column.clone() } else { take(column, &right, None)? });
        }
        let kinds: Option<RowKinds> =
            batch.kinds().map(|kinds| left.iter().map(|row| kinds.get(*row as usize)).collect());
        Ok(ChangelogBatch::new(batch_of(self.schema.clone(), columns, len)?, kinds))
    }
}

impl Places {
    /// Rows of the input from `from` to before `to`, beside NULLs.
    fn alone(&mut self, from: u32, to: u32) {
        if from < to {
            self.left.extend(from..to);
            self.right.extend(std::iter::repeat_n(None, (to - from) as usize));
        }
    }
}
