//! What two rows must fulfil beside their keys to be joined.

use crate::OperatorError;
use crate::calc::{batch_of, move_columns};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::utils::collect_columns;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pairs whose condition is evaluated together, about.
pub(crate) const CANDIDATES: usize = 1 << 16;

pub(crate) struct JoinCondition {
    /// over the columns in `used`
    expression: Arc<dyn PhysicalExpr>,
    /// columns of left and right, one behind the other, ascending
    used: Vec<usize>,
    schema: SchemaRef,
    left_columns: usize,
}

impl JoinCondition {
    pub(crate) fn new(
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
        Ok(JoinCondition { expression, used, schema, left_columns })
    }

    /// The columns that are read, in the order in which [`JoinCondition::holds`] takes them: whether of the left, and which.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (bool, usize)> + '_ {
        self.used.iter().map(|column| match column.checked_sub(self.left_columns) {
            None => (true, *column),
            Some(column) => (false, column),
        })
    }

    /// For each of `pairs` pairs, whose columns these are, whether the condition is TRUE.
    pub(crate) fn holds(&self, columns: Vec<ArrayRef>, pairs: usize) -> Result<Vec<bool>, OperatorError> {
        let together = batch_of(self.schema.clone(), columns, pairs)?;
        let answers = self.expression.evaluate(&together)?.into_array(pairs)?;
        let answers = answers
            .as_boolean_opt()
            .ok_or_else(|| OperatorError::internal("the condition of a join is not BOOLEAN"))?;
        Ok((0..answers.len()).map(|pair| answers.is_valid(pair) && answers.value(pair)).collect())
    }
}
