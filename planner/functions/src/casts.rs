//! CAST and TRY_CAST.

mod collections;
mod numbers;
mod texts;
mod times;

pub(super) use numbers::double_of_decimal;

use super::analyzer::type_of;
use super::arguments::Inputs;
use super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use super::registry::FunctionRegistry;
use super::udf::FlinkFunction;
use arrow::array::{ArrayRef, new_null_array};
use datafusion_common::{DFSchema, Result, internal_err, plan_datafusion_err, plan_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Cast, Expr, ExprSchemable};
use weir_types::SqlType;
use weir_types::text::TimeZone;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("$CAST", Typing::Custom(type_cast), |inputs| run(inputs, false), "CAST(x AS type)")
        .fallible(),
    Function::new("$TRY_CAST", Typing::Custom(type_cast), |inputs| run(inputs, true), "TRY_CAST(x AS type)"),
    Function::new(
        "$TIME",
        Typing::Signatures(&[call(&[P::Text], R::Time)]),
        texts::time_literal,
        "TIME '..' with a fraction",
    )
    .fallible(),
];

fn type_cast(call: &Call<'_>) -> Result<Typed> {
    let (Some(text), [from, _]) = (call.literal_text(1), call.types) else {
        return call.refuse("a value and a type");
    };
    let target = match type_of_text(text)? {
        // A TIME in a query has no fraction, whatever its type says.
        SqlType::Time(_) => SqlType::Time(0),
        target => target,
    };
    if !is_castable(from, &target) {
        return plan_err!("cannot cast {from} to {target}{}", advice(from, &target));
    }
    let nullable = call.nullable[0] || call.name == "$TRY_CAST";
    Ok(Typed { arguments: vec![from.clone(), SqlType::STRING], result: target, nullable })
}

fn advice(from: &SqlType, to: &SqlType) -> &'static str {
    match to {
        SqlType::Timestamp(_) | SqlType::TimestampLtz(_) if from.is_numeric() => {
            ": use TO_TIMESTAMP_LTZ(number, precision)"
        }
        _ if to.is_numeric() && matches!(from, SqlType::Timestamp(_) | SqlType::TimestampLtz(_)) => {
            ": use UNIX_TIMESTAMP(CAST(.. AS STRING)) or EXTRACT"
        }
        _ => "",
    }
}

/// True if there is a CAST between the types.
fn is_castable(from: &SqlType, to: &SqlType) -> bool {
    use SqlType as T;
    let is_binary = |t: &SqlType| matches!(t, T::Binary(_) | T::Varbinary(_));
    let is_point = |t: &SqlType| matches!(t, T::Date | T::Time(_) | T::Timestamp(_) | T::TimestampLtz(_));
    match (from, to) {
        (T::Null, _) => true,
        (_, text) if text.is_string() => true,
        (text, _) if text.is_string() => {
            *to == T::Boolean || to.is_numeric() || is_binary(to) || is_point(to)
        }
        (a, b) if is_binary(a) || is_binary(b) => is_binary(a) && is_binary(b),
        (T::Boolean, b) => *b == T::Boolean || b.is_numeric(),
        (a, T::Boolean) => a.is_numeric(),
        (a, b) if a.is_numeric() || b.is_numeric() => a.is_numeric() && b.is_numeric(),
        (T::Date, T::Time(_)) | (T::Time(_), T::Date) => false,
        (a, b) if is_point(a) && is_point(b) => true,
        (T::IntervalYearMonth, T::IntervalYearMonth) | (T::IntervalDayTime, T::IntervalDayTime) => true,
        (T::Array(a), T::Array(b)) | (T::Multiset(a), T::Multiset(b)) => {
            is_castable(&a.sql_type, &b.sql_type)
        }
        (T::Map(k1, v1), T::Map(k2, v2)) => {
            is_castable(&k1.sql_type, &k2.sql_type) && is_castable(&v1.sql_type, &v2.sql_type)
        }
        (T::Row(a), T::Row(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_castable(&a.sql_type, &b.sql_type))
        }
        _ => false,
    }
}

/// `expr`, analyzed over `schema`, as a value of `target`: a CAST as Flink does it, or none where the type is the same.
/// Errors: there is no such cast.
pub fn cast_expr(
    registry: &FunctionRegistry,
    expr: Expr,
    schema: &DFSchema,
    target: &SqlType,
) -> Result<Expr> {
    let from = type_of(&expr, schema)?;
    if from == *target {
        return Ok(expr);
    }
    if is_lossless(&from, target) {
        return Ok(Expr::Cast(Cast::new(Box::new(expr), target.data_type())));
    }
    if !is_castable(&from, target) {
        return plan_err!("cannot cast {from} to {target}{}", advice(&from, target));
    }
    let nullable = expr.nullable(schema)?;
    let Some(function) = registry.get("$CAST") else { return internal_err!("no $CAST") };
    let Some(unbound) = FlinkFunction::of(&function) else { return internal_err!("no $CAST") };
    let bound = unbound.bind(Typed { arguments: vec![from], result: target.clone(), nullable });
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(bound, vec![expr])))
}

/// Casts in which Arrow and Flink agree and that the optimizer may look through.
fn is_lossless(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::{BigInt, Double, Float, Int, SmallInt, TinyInt};
    matches!(
        (from, to),
        (TinyInt, SmallInt | Int | BigInt | Float | Double)
            | (SmallInt, Int | BigInt | Float | Double)
            | (Int, BigInt | Double)
            | (Float, Double)
    )
}

fn run(inputs: &Inputs<'_>, lenient: bool) -> Result<ArrayRef> {
    let cast = CastStep { zone: inputs.context.time_zone, lenient };
    let array = cast.array(&inputs.columns[0].array, &inputs.types[0], inputs.result)?;
    match inputs.columns[0].constant && inputs.rows != 1 {
        true => {
            let places = arrow::array::UInt32Array::from_value(0, inputs.rows);
            Ok(arrow::compute::take(&array, &places, None)?)
        }
        false => Ok(array),
    }
}

/// How values are cast.
#[derive(Clone, Copy)]
struct CastStep {
    /// `table.local-time-zone`
    zone: TimeZone,
    /// TRY_CAST: what cannot be cast is NULL
    lenient: bool,
}

impl CastStep {
    fn array(&self, array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
        use SqlType as T;
        let is_point = |t: &SqlType| matches!(t, T::Date | T::Time(_) | T::Timestamp(_) | T::TimestampLtz(_));
        match (from, to) {
            (T::Null, _) => Ok(new_null_array(&to.data_type(), array.len())),
            (_, to) if to.is_string() => texts::to_text(array, from, to, self.zone),
            (_, T::Binary(_) | T::Varbinary(_)) => texts::to_bytes(array, from, to),
            (text, _) if text.is_string() => self.parse(array, to),
            (a, b) if is_point(a) && is_point(b) => times::cast(array, from, to, self.zone),
            (T::Array(_), _) | (T::Map(..), _) | (T::Multiset(_), _) | (T::Row(_), _) => {
                self.collection(array, from, to)
            }
            (T::IntervalYearMonth | T::IntervalDayTime, _) => Ok(array.clone()),
            _ => numbers::cast(array, from, to),
        }
    }
}

/// The type that `text` names, as the type's `Display` writes it: the argument of `$CAST(x, 'DECIMAL(10, 2)')`.
pub(crate) fn type_of_text(text: &str) -> Result<SqlType> {
    text.parse().map_err(|error| plan_datafusion_err!("{error}"))
}
