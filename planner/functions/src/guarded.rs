//! AND and OR whose right side may fail: SQL does not evaluate it for rows that the left side decides.
//!
//! The optimiser moves and splits conditions as plain ANDs and ORs, and finds keys of joins in them. Only what is executed
//! keeps the order of both sides: DataFusion's own kernel evaluates the right side for all rows of a batch.

use super::udf::FlinkFunction;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, is_null, not, or, or_kleene, prep_null_mask_filter};
use arrow::datatypes::{DataType, Schema};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion_physical_expr::utils::collect_columns;
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// `expr` with the right sides of AND and OR evaluated only for rows that their left sides leave open, where they may fail.
pub fn guard(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let guarded = |expr: Arc<dyn PhysicalExpr>| match expr.downcast_ref::<BinaryExpr>() {
        Some(binary) if matches!(binary.op(), Operator::And | Operator::Or) && may_fail(binary.right())? => {
            let is_and = *binary.op() == Operator::And;
            let guarded = Guarded::new(binary.left().clone(), is_and, binary.right().clone())?;
            Ok(Transformed::yes(Arc::new(guarded) as Arc<dyn PhysicalExpr>))
        }
        _ => Ok(Transformed::no(expr)),
    };
    Ok(expr.transform_up(guarded)?.data)
}

/// True if evaluating `expr` may fail the job.
fn may_fail(expr: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let mut fails = false;
    expr.apply(|expr| {
        let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let second =
            call.args().get(1).and_then(|second| second.downcast_ref::<Literal>()).map(Literal::value);
        let reads_columns = || call.args().iter().any(|argument| !collect_columns(argument).is_empty());
        fails = FlinkFunction::of(call.fun()).is_some_and(|called| called.may_fail(second, reads_columns));
        Ok(if fails { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(fails)
}

#[derive(Debug)]
struct Guarded {
    left: Arc<dyn PhysicalExpr>,
    is_and: bool,
    right: Arc<dyn PhysicalExpr>,
    /// the columns that the right side reads, in the order of their places
    columns: Vec<usize>,
    /// the right side over these columns alone, so that no others are copied
    narrow: Arc<dyn PhysicalExpr>,
}

impl Guarded {
    fn new(left: Arc<dyn PhysicalExpr>, is_and: bool, right: Arc<dyn PhysicalExpr>) -> Result<Self> {
        let columns: BTreeSet<usize> = collect_columns(&right).iter().map(Column::index).collect();
        let columns = Vec::from_iter(columns);
        let moved = |expr: Arc<dyn PhysicalExpr>| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let Ok(place) = columns.binary_search(&column.index()) else {
                return internal_err!("{column} is not among the columns of its condition");
            };
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
        };
        let narrow = right.clone().transform_up(moved)?.data;
        Ok(Guarded { left, is_and, right, columns, narrow })
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, _schema: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        Ok(self.left.nullable(schema)? || self.right.nullable(schema)?)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let left = self.left.evaluate(batch)?.into_array(batch.num_rows())?;
        let left = left.as_boolean();
        let continues = if self.is_and { left.clone() } else { not(left)? };
        let open = match left.null_count() {
            0 => continues,
            _ => or(&is_null(left)?, &prep_null_mask_filter(&continues))?,
        };
        if !open.has_true() {
            return Ok(ColumnarValue::Array(Arc::new(left.clone())));
        }
        let right = self.narrow.evaluate_selection(&batch.project(&self.columns)?, &open)?;
        let right = match right {
            // One value for all open rows, and for the others, which are decided.
            ColumnarValue::Scalar(ScalarValue::Boolean(value)) => BooleanArray::from(vec![value; left.len()]),
            right => right.into_array(left.len())?.as_boolean().clone(),
        };
        let both = if self.is_and { and_kleene(left, &right)? } else { or_kleene(left, &right)? };
        Ok(ColumnarValue::Array(Arc::new(both) as ArrayRef))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.left, &self.right]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let Ok([left, right]) = <[_; 2]>::try_from(children) else {
            return internal_err!("AND and OR have two sides");
        };
        Ok(Arc::new(Guarded::new(left, self.is_and, right)?))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.left, if self.is_and { "AND" } else { "OR" }, self.right)
    }
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.is_and == other.is_and && self.left.eq(&other.left) && self.right.eq(&other.right)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.left.hash(state);
        self.is_and.hash(state);
        self.right.hash(state);
    }
}
