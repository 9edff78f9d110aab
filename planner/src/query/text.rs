//! Expressions as people read them in plans: without tables and types.

use crate::query::aggregates::TypedAggregate;
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{AggregateFunction as AggregateExpr, ScalarFunction};
use datafusion_expr::{Between, BinaryExpr, Case, Expr, Operator};

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
        Expr::Cast(cast) => format!("CAST({} AS {})", expr_text(&cast.expr), cast.field.data_type()),
        Expr::TryCast(cast) => format!("TRY_CAST({} AS {})", expr_text(&cast.expr), cast.field.data_type()),
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
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        ScalarValue::Boolean(Some(value)) => value.to_string(),
        ScalarValue::Decimal128(Some(value), _, scale) => decimal_text(*value, *scale),
        value => value.to_string(),
    }
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
