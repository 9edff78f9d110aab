//! Comparisons of floating-point numbers: as in Java, NaN compares with nothing, and -0.0 equals 0.0.

use super::arguments::Inputs;
use super::decimal::nulls_of;
use super::definition::{Function, Parameter as P, Returns as R, Typed, Typing, call};
use super::registry::FunctionRegistry;
use super::udf::FlinkFunction;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use datafusion_common::{DFSchema, Result, internal_datafusion_err};
use datafusion_expr::{Expr, ExprSchemable, Operator, ScalarUDF};
use std::sync::Arc;
use weir_types::SqlType;

const TYPING: Typing = Typing::Signatures(&[call(&[P::Double, P::Double], R::Boolean)]);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("$EQ", TYPING, |i| compare(i, |a, b| a == b, |a, b| a == b), "="),
    Function::new("$NE", TYPING, |i| compare(i, |a, b| a != b, |a, b| a != b), "<>"),
    Function::new("$LT", TYPING, |i| compare(i, |a, b| a < b, |a, b| a < b), "<"),
    Function::new("$LE", TYPING, |i| compare(i, |a, b| a <= b, |a, b| a <= b), "<="),
    Function::new("$GT", TYPING, |i| compare(i, |a, b| a > b, |a, b| a > b), ">"),
    Function::new("$GE", TYPING, |i| compare(i, |a, b| a >= b, |a, b| a >= b), ">="),
];

/// The function that stands for an operator between floating-point numbers.
pub(super) fn of_floats(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::Eq => "$EQ",
        Operator::NotEq => "$NE",
        Operator::Lt => "$LT",
        Operator::LtEq => "$LE",
        Operator::Gt => "$GT",
        Operator::GtEq => "$GE",
        _ => return None,
    })
}

/// A function handle that can be bound, and the types to bind it to.
pub(super) struct Comparison(Arc<ScalarUDF>);

impl Comparison {
    pub fn bind(&self, typed: Typed) -> Arc<ScalarUDF> {
        FlinkFunction::of(&self.0).map_or_else(|| self.0.clone(), |function| function.bind(typed))
    }
}

pub(super) fn bound(
    registry: &FunctionRegistry,
    name: &str,
    target: &DataType,
    arguments: &[Expr],
    schema: &DFSchema,
) -> Result<(Comparison, Typed)> {
    let function = registry.get(name).ok_or_else(|| internal_datafusion_err!("no {name}"))?;
    let operand = if *target == DataType::Float32 { SqlType::Float } else { SqlType::Double };
    let mut nullable = false;
    for argument in arguments {
        nullable |= argument.nullable(schema)?;
    }
    let typed = Typed { arguments: vec![operand.clone(), operand], result: SqlType::Boolean, nullable };
    Ok((Comparison(function), typed))
}

fn compare(
    inputs: &Inputs<'_>,
    float: impl Fn(f32, f32) -> bool,
    double: impl Fn(f64, f64) -> bool,
) -> Result<ArrayRef> {
    match inputs.types[0] {
        SqlType::Float => each::<Float32Type>(inputs, float),
        _ => each::<Float64Type>(inputs, double),
    }
}

fn each<T: ArrowPrimitiveType>(
    inputs: &Inputs<'_>,
    f: impl Fn(T::Native, T::Native) -> bool,
) -> Result<ArrayRef> {
    let (left, right) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
    let nulls = nulls_of(&left, &right, inputs.rows);
    let (a, b) = (left.array.values(), right.array.values());
    let values = BooleanBuffer::collect_bool(inputs.rows, |row| f(a[left.index(row)], b[right.index(row)]));
    Ok(Arc::new(BooleanArray::new(values, nulls)))
}
