//! CASE, COALESCE, IF and their like: typed as calls, executed as DataFusion's CASE.

use super::analyzer::null_of;
use super::analyzer::{coerce, coerce_comparison, is_fallible};
use super::arguments::Inputs;
use super::coercion::common_type;
use super::definition::{Call, Function, Typed, Typing};
use super::registry::FunctionRegistry;
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::kernels::zip::zip;
use datafusion_common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion_expr::expr::Case;
use datafusion_expr::{Expr, ExprSchemable, Operator};
use weir_types::SqlType;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("$CASE", Typing::Custom(type_case), expanded, "CASE"),
    Function::new("COALESCE", Typing::Custom(type_coalesce), coalesce, "the first argument that is not NULL"),
    Function::new(
        "IFNULL",
        Typing::Custom(type_ifnull),
        coalesce,
        "the first argument, or the second if it is NULL",
    ),
    Function::new(
        "NULLIF",
        Typing::Custom(type_nullif),
        expanded,
        "NULL if both arguments are equal, else the first",
    ),
    Function::new(
        "IF",
        Typing::Custom(type_if),
        expanded,
        "the second argument if the first is TRUE, else the third",
    ),
    Function::new(
        "GREATEST",
        Typing::Custom(type_extreme),
        greatest,
        "the largest argument; NULL if one is NULL",
    ),
    Function::new("LEAST", Typing::Custom(type_extreme), least, "the smallest argument; NULL if one is NULL"),
];

/// The kernel of calls that never run: they become CASE when they are bound.
pub(super) fn expanded(_: &Inputs<'_>) -> Result<ArrayRef> {
    internal_err!("a conditional call was not expanded")
}

fn common(call: &Call<'_>, types: &[SqlType]) -> Result<SqlType> {
    match common_type(types) {
        Some(common) => Ok(common),
        None => call.refuse("results whose types go together"),
    }
}

/// `$CASE(condition, value, .., otherwise)`
fn type_case(call: &Call<'_>) -> Result<Typed> {
    let last = call.types.len() - 1;
    let is_value = |index: usize| index % 2 == 1 || index == last;
    let values: Vec<_> = (0..=last).filter(|i| is_value(*i)).map(|i| call.types[i].clone()).collect();
    let result = common(call, &values)?;
    let argument = |i| if is_value(i) { result.clone() } else { SqlType::Boolean };
    for (index, found) in call.types.iter().enumerate() {
        if !is_value(index) && !matches!(found, SqlType::Boolean | SqlType::Null) {
            return call.refuse("a BOOLEAN after each WHEN");
        }
    }
    let nullable = (0..=last).any(|index| is_value(index) && call.nullable[index]);
    Ok(Typed { arguments: (0..=last).map(argument).collect(), result, nullable })
}

/// As [`common`], but that FLOAT and DOUBLE meet in DOUBLE, and a FLOAT behind a DECIMAL wins: Flink types these calls
/// itself, CASE after Calcite.
fn widest(call: &Call<'_>) -> Result<SqlType> {
    let mut widest = SqlType::Null;
    for next in call.types {
        widest = match (&widest, next) {
            (SqlType::Decimal { .. }, SqlType::Float) => SqlType::Float,
            (SqlType::Float, SqlType::Double) => SqlType::Double,
            (so_far, next) => common(call, &[so_far.clone(), next.clone()])?,
        };
    }
    Ok(widest)
}

fn type_coalesce(call: &Call<'_>) -> Result<Typed> {
    if call.types.is_empty() {
        return call.refuse("COALESCE(value, ..)");
    }
    let result = widest(call)?;
    let nullable = call.nullable.iter().all(|nullable| *nullable);
    Ok(Typed { arguments: vec![result.clone(); call.types.len()], result, nullable })
}

fn type_ifnull(call: &Call<'_>) -> Result<Typed> {
    if call.types.len() != 2 {
        return call.refuse("IFNULL(value, instead)");
    }
    type_coalesce(call)
}

fn type_nullif(call: &Call<'_>) -> Result<Typed> {
    if call.types.len() != 2 {
        return call.refuse("NULLIF(value, other)");
    }
    Ok(Typed { arguments: call.types.to_vec(), result: call.types[0].clone(), nullable: true })
}

fn type_if(call: &Call<'_>) -> Result<Typed> {
    let [SqlType::Boolean | SqlType::Null, yes, no] = call.types else {
        return call.refuse("IF(BOOLEAN, value, value)");
    };
    let result = common(call, &[yes.clone(), no.clone()])?;
    let arguments = vec![SqlType::Boolean, result.clone(), result.clone()];
    Ok(Typed { arguments, result, nullable: call.nullable[1] || call.nullable[2] })
}

fn type_extreme(call: &Call<'_>) -> Result<Typed> {
    if call.types.is_empty() {
        return call.refuse("at least one value");
    }
    let result = widest(call)?;
    if matches!(result, SqlType::Array(_) | SqlType::Map(..) | SqlType::Multiset(_) | SqlType::Row(_)) {
        return call.refuse("values that can be compared");
    }
    Ok(Typed { arguments: vec![result.clone(); call.types.len()], result, nullable: call.any_nullable() })
}

/// What a conditional call becomes when it is bound; `None` for any other call.
pub(super) fn expand(
    registry: &FunctionRegistry,
    name: &str,
    arguments: &[Expr],
    typed: &Typed,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    let case = |branches: Vec<(Expr, Expr)>, otherwise: Expr| {
        let branches = branches.into_iter().map(|(when, then)| (Box::new(when), Box::new(then))).collect();
        Ok(Some(Expr::Case(Case::new(None, branches, Some(Box::new(otherwise))))))
    };
    match name {
        "$CASE" => {
            let Some((otherwise, pairs)) = arguments.split_last() else { return Ok(None) };
            let branches = pairs.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            case(branches, otherwise.clone())
        }
        "IF" => case(vec![(arguments[0].clone(), arguments[1].clone())], arguments[2].clone()),
        "NULLIF" => {
            let (value, other) = (arguments[0].clone(), arguments[1].clone());
            let equal = coerce_comparison(registry, value.clone(), Operator::Eq, other, schema)?;
            let null = null_of(&typed.result.data_type())?;
            case(vec![(equal, null)], coerce(registry, value, schema, &typed.result)?)
        }
        "TYPEOF" => {
            let null = if arguments[0].nullable(schema)? { "" } else { " NOT NULL" };
            let text = format!("{}{null}", typed.arguments[0]);
            Ok(Some(Expr::Literal(ScalarValue::from(text), None)))
        }
        "COALESCE" | "IFNULL" if arguments[1..].iter().any(is_fallible) => {
            let Some((last, others)) = arguments.split_last() else { return Ok(None) };
            let branches = others.iter().map(|value| (value.clone().is_not_null(), value.clone())).collect();
            case(branches, last.clone())
        }
        _ => Ok(None),
    }
}

fn coalesce(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let mut result = inputs.expanded(0)?;
    for index in 1..inputs.len() {
        if result.null_count() == 0 {
            break;
        }
        let present = arrow::compute::is_not_null(&result)?;
        let next = inputs.expanded(index)?;
        result = zip(&present, &result, &next)?;
    }
    Ok(result)
}

fn greatest(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    extreme(inputs, arrow::compute::kernels::cmp::gt_eq)
}

fn least(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    extreme(inputs, arrow::compute::kernels::cmp::lt_eq)
}

type Comparison =
    fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> Result<BooleanArray, arrow::error::ArrowError>;

fn extreme(inputs: &Inputs<'_>, keeps_first: Comparison) -> Result<ArrayRef> {
    let mut result = inputs.expanded(0)?;
    for index in 1..inputs.len() {
        let next = inputs.expanded(index)?;
        // NULL where one side is NULL: such rows take the side that is NULL.
        let keep = keeps_first(&result, &next)?;
        let keep: BooleanArray = (0..keep.len())
            .map(|row| Some(if keep.is_null(row) { result.is_null(row) } else { keep.value(row) }))
            .collect();
        result = zip(&keep, &result, &next)?;
    }
    Ok(result)
}
