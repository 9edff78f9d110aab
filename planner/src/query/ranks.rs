//! ROW_NUMBER, and the conditions that make a Top-N of it.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Column, Result, ScalarValue, not_impl_err};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{
    Between, BinaryExpr, Expr, Operator, PartitionEvaluator, Signature, Volatility, Window, WindowUDF,
    WindowUDFImpl,
};
use std::sync::Arc;
use weir_types::SqlType;

const ROW_NUMBER: &str = "ROW_NUMBER";

/// The number of a row in its partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RowNumber {
    signature: Signature,
}

/// The window function of that name, in any case.
pub(super) fn window_function(name: &str) -> Option<Arc<WindowUDF>> {
    let signature = Signature::user_defined(Volatility::Immutable);
    name.eq_ignore_ascii_case(ROW_NUMBER).then(|| Arc::new(WindowUDF::new_from_impl(RowNumber { signature })))
}

impl WindowUDFImpl for RowNumber {
    fn name(&self) -> &str {
        ROW_NUMBER
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn partition_evaluator(&self, _args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        not_impl_err!("{ROW_NUMBER} is executed by the operators")
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(SqlType::BigInt.to_field(args.name(), false)))
    }
}

/// Ranks that a condition lets through: `start..=end`, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranks {
    pub start: u64,
    pub end: u64,
    /// the rest of the condition
    pub rest: Option<Expr>,
}

pub(super) fn is_row_number(call: &WindowFunction) -> bool {
    call.fun.name() == ROW_NUMBER
}

/// The ROW_NUMBER of `window` as a column, if it is all that there is.
pub(super) fn row_number(window: &Window) -> Option<Column> {
    let [expr] = &window.window_expr[..] else { return None };
    let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else { return None };
    let place = window.schema.fields().len() - 1;
    is_row_number(&function).then(|| Column::from(window.schema.qualified_field(place)))
}

/// The ranks of `number` that `condition` lets through; `None` if it sets no end.
pub(super) fn ranks(number: &Column, condition: &Expr) -> Option<Ranks> {
    let (mut start, mut end) = (1_i64, i64::MAX);
    let mut rest = vec![];
    for part in split_conjunction(condition) {
        match bounds(number, part) {
            Some((from, to)) => (start, end) = (start.max(from), end.min(to)),
            None => rest.push(part.clone()),
        }
    }
    let bounded = end != i64::MAX;
    bounded.then(|| Ranks { start: start.max(1) as u64, end: end.max(0) as u64, rest: conjunction(rest) })
}

fn bounds(number: &Column, part: &Expr) -> Option<(i64, i64)> {
    let is_number = |expr: &Expr| expr.try_as_col() == Some(number);
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (op, value) = match (is_number(left), is_number(right)) {
                (true, _) => (*op, constant(right)?),
                (_, true) => (op.swap()?, constant(left)?),
                _ => return None,
            };
            match op {
                Operator::Lt => Some((1, value - 1)),
                Operator::LtEq => Some((1, value)),
                Operator::Gt => Some((value + 1, i64::MAX)),
                Operator::GtEq => Some((value, i64::MAX)),
                Operator::Eq => Some((value, value)),
                _ => None,
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) if is_number(expr) => {
            Some((constant(low)?, constant(high)?))
        }
        _ => None,
    }
}

/// The value of a literal integer, well within what BIGINT holds.
fn constant(expr: &Expr) -> Option<i64> {
    let value = match expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => *value,
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => i64::from(*value),
        _ => return None,
    };
    (value.abs() < i64::MAX / 2).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_expr::{col, lit};

    #[test]
    fn conditions_bound_ranks() {
        let number = Column::new_unqualified("n");
        let of = |condition: Expr| {
            ranks(&number, &condition).map(|ranks| (ranks.start, ranks.end, ranks.rest.is_some()))
        };
        assert_eq!(of(col("n").lt_eq(lit(3_i64))), Some((1, 3, false)));
        assert_eq!(of(lit(3_i64).gt(col("n"))), Some((1, 2, false)));
        assert_eq!(of(col("n").eq(lit(2_i64)).and(col("x").gt(lit(1)))), Some((2, 2, true)));
        assert_eq!(of(col("n").between(lit(2_i64), lit(4_i64))), Some((2, 4, false)));
        assert_eq!(of(col("n").gt(lit(2_i64))), None);
        assert_eq!(of(col("n").lt_eq(lit(0_i64))), Some((1, 0, false)));
        assert_eq!(of(col("n").lt_eq(col("x"))), None);
    }
}
