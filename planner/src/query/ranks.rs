//! The functions that only OVER has, and the conditions that make a Top-N of ROW_NUMBER.

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Column, DFSchema, Result, ScalarValue, not_impl_err, plan_err};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, Operator, PartitionEvaluator, Signature, Volatility, Window,
    WindowUDF, WindowUDFImpl,
};
use std::sync::Arc;
use weir_types::SqlType;

const ROW_NUMBER: &str = "ROW_NUMBER";
const LAG: &str = "LAG";

/// Functions that only OVER has. None of them is ever executed by DataFusion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OverFunction {
    name: &'static str,
    signature: Signature,
}

/// The window function of that name, in any case.
pub(super) fn window_function(name: &str) -> Option<Arc<WindowUDF>> {
    let known = [ROW_NUMBER, "RANK", "DENSE_RANK", LAG];
    let name = known.into_iter().find(|known| name.eq_ignore_ascii_case(known))?;
    let signature = Signature::user_defined(Volatility::Immutable);
    Some(Arc::new(WindowUDF::new_from_impl(OverFunction { name, signature })))
}

impl WindowUDFImpl for OverFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn partition_evaluator(&self, _args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        not_impl_err!("{} is executed by the operators", self.name)
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let given = args.input_fields();
        if self.name != LAG {
            return match given {
                [] => Ok(Arc::new(SqlType::BigInt.to_field(args.name(), false))),
                _ => plan_err!("{} takes no argument", self.name),
            };
        }
        let (value, default) = match given {
            [value] | [value, _] => (value, None),
            [value, _, default] => (value, Some(default)),
            _ => {
                return plan_err!(
                    "LAG takes a value, how many rows before, and a value where there is no such row"
                );
            }
        };
        let Some(sql_type) = SqlType::of_field(value) else {
            return plan_err!("LAG has no argument of type {}", value.data_type());
        };
        let nullable = value.is_nullable() || default.is_none_or(|default| default.is_nullable());
        Ok(Arc::new(sql_type.to_field(args.name(), nullable)))
    }
}

/// How many rows LAG looks back; `None` for other functions. `input` are the rows that it is over, whose types are settled.
pub(super) fn lag_rows(call: &WindowFunction, input: &DFSchema) -> Result<Option<u32>> {
    if call.fun.name() != LAG {
        return Ok(None);
    }
    let arguments = &call.params.args;
    let rows = match arguments.get(1) {
        None => Some(1),
        Some(Expr::Literal(ScalarValue::Int32(Some(rows)), _)) => u32::try_from(*rows).ok(),
        Some(Expr::Literal(ScalarValue::Int64(Some(rows)), _)) => u32::try_from(*rows).ok(),
        Some(_) => None,
    };
    let Some(rows) = rows else {
        return plan_err!(
            "the second argument of LAG is how many rows before, as a number that is not negative"
        );
    };
    let of = |place: usize| -> Result<Option<SqlType>> {
        let field = arguments.get(place).map(|expr| expr.to_field(input)).transpose()?;
        Ok(field.and_then(|(_, field)| SqlType::of_field(&field)))
    };
    if let (Some(value), Some(default)) = (of(0)?, of(2)?) {
        let same = default == value || default == SqlType::Null || (default.is_string() && value.is_string());
        if !same {
            return plan_err!(
                "the third argument of LAG is {default}, and the first {value}: CAST(.. AS {value})"
            );
        }
    }
    Ok(Some(rows))
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

/// The function of `window` and its column, if there is but one.
fn only_function(window: &Window) -> Option<(WindowFunction, Column)> {
    let [expr] = &window.window_expr[..] else { return None };
    let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else { return None };
    let place = window.schema.fields().len() - 1;
    Some((*function, Column::from(window.schema.qualified_field(place))))
}

/// The ROW_NUMBER of `window` as a column, if it is all that there is.
pub(super) fn row_number(window: &Window) -> Option<Column> {
    only_function(window).filter(|(function, _)| is_row_number(function)).map(|(_, number)| number)
}

/// The same for RANK and DENSE_RANK, with which of them it is.
pub(super) fn rank_with_ties(window: &Window) -> Option<(&'static str, Column)> {
    let (function, rank) = only_function(window)?;
    let name = ["RANK", "DENSE_RANK"].into_iter().find(|name| function.fun.name() == *name)?;
    Some((name, rank))
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
