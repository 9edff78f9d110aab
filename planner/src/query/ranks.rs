//! The functions that only OVER has, and the conditions that make a Top-N of ROW_NUMBER.

use crate::query::over_windows::{call_of, is_aggregate, is_neighbour};
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
use weir_types::{AggregateFunction, SqlType};

const ROW_NUMBER: &str = "ROW_NUMBER";
const NTILE: &str = "NTILE";
const NTH_VALUE: &str = "NTH_VALUE";
const KNOWN: [&str; 9] =
    [ROW_NUMBER, "RANK", "DENSE_RANK", "LAG", "LEAD", NTILE, "PERCENT_RANK", "CUME_DIST", NTH_VALUE];

/// Functions that only OVER has. None of them is ever executed by DataFusion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OverFunction {
    name: &'static str,
    signature: Signature,
}

/// The window function of that name, in any case.
pub(super) fn window_function(name: &str) -> Option<Arc<WindowUDF>> {
    let name = KNOWN.into_iter().find(|known| name.eq_ignore_ascii_case(known))?;
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
        let name = self.name;
        let number = |sql_type: SqlType| Ok(Arc::new(sql_type.to_field(args.name(), false)));
        match (name, given) {
            (NTILE, [_]) => number(SqlType::BigInt),
            (NTILE, _) => plan_err!("NTILE takes how many parts there are"),
            (NTH_VALUE, [value, _]) => self.value(value, None, args.name()),
            (NTH_VALUE, _) => plan_err!("NTH_VALUE takes a value, and the number of a row of the frame"),
            (_, [value] | [value, _]) if is_neighbour(name) => self.value(value, None, args.name()),
            (_, [value, _, default]) if is_neighbour(name) => self.value(value, Some(default), args.name()),
            _ if is_neighbour(name) => plan_err!(
                "{name} takes a value, how many rows {}, and a value where there is no such row",
                if name == "LAG" { "before" } else { "behind" }
            ),
            ("PERCENT_RANK" | "CUME_DIST", []) => number(SqlType::Double),
            (_, []) => number(SqlType::BigInt),
            _ => plan_err!("{name} takes no argument"),
        }
    }
}

impl OverFunction {
    /// A value of another row, or `default`; NULL without.
    fn value(&self, value: &FieldRef, default: Option<&FieldRef>, name: &str) -> Result<FieldRef> {
        let Some(sql_type) = SqlType::of_field(value) else {
            return plan_err!("{} has no argument of type {}", self.name, value.data_type());
        };
        let nullable = value.is_nullable() || default.is_none_or(|default| default.is_nullable());
        Ok(Arc::new(sql_type.to_field(name, nullable)))
    }
}

/// A function that only OVER has, with its constant argument; `None` for aggregates. `input` are the rows that it is over,
/// whose types are settled.
pub(super) fn over_function(call: &WindowFunction, input: &DFSchema) -> Result<Option<AggregateFunction>> {
    if is_aggregate(call) {
        return Ok(None);
    }
    Ok(Some(match call.fun.name() {
        ROW_NUMBER => AggregateFunction::Count,
        "RANK" => AggregateFunction::Rank,
        "DENSE_RANK" => AggregateFunction::DenseRank,
        "PERCENT_RANK" => AggregateFunction::PercentRank,
        "CUME_DIST" => AggregateFunction::CumeDist,
        NTILE => match constant_argument(call, 0).filter(|parts| *parts > 0) {
            Some(parts) => AggregateFunction::Ntile { parts },
            None => {
                return plan_err!("the argument of NTILE is how many parts there are, as a number from 1 on");
            }
        },
        NTH_VALUE => match constant_argument(call, 1).filter(|n| *n > 0) {
            Some(n) => AggregateFunction::NthValue { n },
            None => {
                return plan_err!(
                    "the second argument of NTH_VALUE is which row of the frame, as a number from 1 on"
                );
            }
        },
        "LAG" => AggregateFunction::Lag { rows: neighbour_rows(call, input)? },
        "LEAD" => AggregateFunction::Lead { rows: neighbour_rows(call, input)? },
        _ => return Ok(None),
    }))
}

/// An argument that is a number, not negative.
fn constant_argument(call: &WindowFunction, place: usize) -> Option<u32> {
    match call.params.args.get(place)? {
        Expr::Literal(ScalarValue::Int32(Some(number)), _) => u32::try_from(*number).ok(),
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => u32::try_from(*number).ok(),
        _ => None,
    }
}

/// How many rows LAG looks back, or LEAD ahead.
fn neighbour_rows(call: &WindowFunction, input: &DFSchema) -> Result<u32> {
    let name = call.fun.name();
    let arguments = &call.params.args;
    let rows = if arguments.len() < 2 { Some(1) } else { constant_argument(call, 1) };
    let Some(rows) = rows else {
        return plan_err!(
            "the second argument of {name} is how many rows {}, as a number that is not negative",
            if name == "LAG" { "before" } else { "behind" }
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
                "the third argument of {name} is {default}, and the first {value}: CAST(.. AS {value})"
            );
        }
    }
    Ok(rows)
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

/// The ROW_NUMBER of `window` with its column, if it is all that there is.
pub(super) fn row_number(window: &Window) -> Option<(WindowFunction, Column)> {
    let [expr] = &window.window_expr[..] else { return None };
    let call = call_of(expr).filter(is_row_number)?;
    let place = window.schema.fields().len() - 1;
    Some((call, Column::from(window.schema.qualified_field(place))))
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
