//! Expressions as people read them in plans: without tables and types.

use crate::query::aggregates::TypedAggregate;
use arrow::datatypes::Field;
use arrow::util::display::array_value_to_string;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, ScalarValue};
use datafusion_expr::expr::{AggregateFunction as AggregateExpr, ScalarFunction};
use datafusion_expr::{Between, BinaryExpr, Case, Expr, Operator, ReturnFieldArgs};
use weir_types::SqlType;

/// The text of an expression whose columns keep their tables.
pub(super) fn qualified_text(expr: &Expr) -> String {
    let flatten = |expr: Expr| match &expr {
        Expr::Column(column) => {
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.flat_name()))))
        }
        _ => Ok(Transformed::no(expr)),
    };
    // The closure does not fail.
    expr.clone().transform_up(flatten).map_or_else(|_| expr_text(expr), |flat| expr_text(&flat.data))
}

/// The text of an expression.
pub(super) fn expr_text(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => format!("{} AS {}", expr_text(&alias.expr), alias.name),
        Expr::Literal(value, _) => literal_text(value),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            format!("({} {} {})", expr_text(left), operator_text(*op), expr_text(right))
        }
        Expr::Not(inner) => format!("NOT({})", expr_text(inner)),
        Expr::IsNull(inner) => format!("{} IS NULL", expr_text(inner)),
        Expr::IsNotNull(inner) => format!("{} IS NOT NULL", expr_text(inner)),
        Expr::IsTrue(inner) => format!("{} IS TRUE", expr_text(inner)),
        Expr::IsFalse(inner) => format!("{} IS FALSE", expr_text(inner)),
        Expr::IsNotTrue(inner) => format!("{} IS NOT TRUE", expr_text(inner)),
        Expr::IsNotFalse(inner) => format!("{} IS NOT FALSE", expr_text(inner)),
        Expr::Negative(inner) => format!("-{}", expr_text(inner)),
        Expr::Between(Between { expr, negated, low, high }) => {
            let not = if *negated { " NOT" } else { "" };
            format!("({}{not} BETWEEN {} AND {})", expr_text(expr), expr_text(low), expr_text(high))
        }
        Expr::InList(list) => {
            let not = if list.negated { " NOT" } else { "" };
            format!("{}{not} IN ({})", expr_text(&list.expr), list_text(&list.list))
        }
        Expr::Case(case) => case_text(case),
        Expr::Cast(cast) => format!("CAST({} AS {})", expr_text(&cast.expr), type_text(&cast.field)),
        Expr::TryCast(cast) => format!("TRY_CAST({} AS {})", expr_text(&cast.expr), type_text(&cast.field)),
        Expr::ScalarFunction(call) => call_text(call),
        Expr::AggregateFunction(call) => aggregate_text(call),
        other => other.human_display().to_string(),
    }
}

pub(super) fn list_text(exprs: &[Expr]) -> String {
    exprs.iter().map(expr_text).collect::<Vec<_>>().join(", ")
}

fn literal_text(value: &ScalarValue) -> String {
    match value {
        value if value.is_null() => "NULL".to_string(),
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        ScalarValue::Decimal128(Some(value), _, scale) => decimal_text(*value, *scale),
        ScalarValue::DurationMillisecond(Some(ms)) => format!("{ms}:INTERVAL SECOND"),
        ScalarValue::IntervalYearMonth(Some(months)) => format!("{months}:INTERVAL MONTH"),
        ScalarValue::TimestampSecond(Some(_), zone)
        | ScalarValue::TimestampMillisecond(Some(_), zone)
        | ScalarValue::TimestampMicrosecond(Some(_), zone)
        | ScalarValue::TimestampNanosecond(Some(_), zone) => {
            let kind = if zone.is_some() { "TIMESTAMP_LTZ" } else { "TIMESTAMP" };
            format!("{kind} '{}'", arrow_text(value))
        }
        ScalarValue::Date32(Some(_)) => format!("DATE '{}'", arrow_text(value)),
        value => value.to_string(),
    }
}

/// The text that Arrow gives to a value.
fn arrow_text(value: &ScalarValue) -> String {
    let text = value.to_array().and_then(|array| Ok(array_value_to_string(&array, 0)?));
    text.map_or_else(|_| value.to_string(), |text| text.replace('T', " "))
}

fn type_text(field: &Field) -> String {
    SqlType::of_field(field).map_or_else(|| field.data_type().to_string(), |sql_type| sql_type.to_string())
}

fn decimal_text(value: i128, scale: i8) -> String {
    let Ok(scale) = usize::try_from(scale) else { return value.to_string() };
    if scale == 0 {
        return value.to_string();
    }
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
}

fn operator_text(op: Operator) -> String {
    match op {
        Operator::NotEq => "<>".to_string(),
        op => op.to_string(),
    }
}

fn case_text(case: &Case) -> String {
    let mut text = String::from("CASE");
    if let Some(expr) = &case.expr {
        text.push_str(&format!(" {}", expr_text(expr)));
    }
    for (when, then) in &case.when_then_expr {
        text.push_str(&format!(" WHEN {} THEN {}", expr_text(when), expr_text(then)));
    }
    if let Some(otherwise) = &case.else_expr {
        text.push_str(&format!(" ELSE {}", expr_text(otherwise)));
    }
    text + " END"
}

/// Calls that stand for syntax are written as that syntax.
fn call_text(call: &ScalarFunction) -> String {
    let name = call.func.name();
    match (name, &call.args[..]) {
        ("+" | "-" | "*" | "/" | "%" | "||", [left, right]) => {
            format!("({} {name} {})", expr_text(left), expr_text(right))
        }
        ("$NEGATE", [inner]) => format!("-{}", expr_text(inner)),
        ("$CAST" | "$TRY_CAST", [inner, Expr::Literal(ScalarValue::Utf8(Some(target)), _)]) => {
            format!("{}({} AS {target})", name.trim_start_matches('$'), expr_text(inner))
        }
        ("$CAST" | "$TRY_CAST", [inner]) => {
            // A bound cast knows its type without its argument.
            let bound = ReturnFieldArgs { arg_fields: &[], scalar_arguments: &[] };
            let target = call
                .func
                .return_field_from_args(bound)
                .map_or_else(|_| "?".to_string(), |field| type_text(&field));
            format!("{}({} AS {target})", name.trim_start_matches('$'), expr_text(inner))
        }
        ("$FIELD", [row, Expr::Literal(ScalarValue::Utf8(Some(field)), _)]) => {
            format!("{}.{field}", expr_text(row))
        }
        ("$ITEM", [items, key]) => format!("{}[{}]", expr_text(items), expr_text(key)),
        ("$LIKE", [value, pattern]) => format!("{} LIKE {}", expr_text(value), expr_text(pattern)),
        (name, arguments) => format!("{}({})", name.trim_start_matches('$'), list_text(arguments)),
    }
}

/// `COUNT(DISTINCT a) FILTER (WHERE b)`
fn aggregate_text(call: &AggregateExpr) -> String {
    let name = match call.func.inner().as_ref().downcast_ref::<TypedAggregate>() {
        Some(typed) => typed.function.name(),
        None => call.func.name(),
    };
    let arguments = if call.params.args.is_empty() { "*".to_string() } else { list_text(&call.params.args) };
    let distinct = if call.params.distinct { "DISTINCT " } else { "" };
    let filter = match &call.params.filter {
        Some(filter) => format!(" FILTER (WHERE {})", expr_text(filter)),
        None => String::new(),
    };
    format!("{name}({distinct}{arguments}){filter}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_expr::{col, lit};

    #[test]
    fn expressions_read_like_sql() {
        let expr = col("t.a").eq(lit("it's")).and(col("b").is_null());
        assert_eq!(expr_text(&expr), "((a = 'it''s') AND b IS NULL)");
        let decimal = Expr::Literal(ScalarValue::Decimal128(Some(-908), 3, 3), None);
        assert_eq!(expr_text(&decimal), "-0.908");
        let small = Expr::Literal(ScalarValue::Decimal128(Some(5), 3, 2), None);
        assert_eq!(expr_text(&small), "0.05");
    }
}
