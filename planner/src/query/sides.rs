//! The sides of a set operation that do not go together, in the text.

use crate::PlanError;
use crate::query::locate::Plan;
use sqlparser::ast::{Expr, Query, SelectItem, SetExpr, SetOperator, Spanned};
use sqlparser::tokenizer::Span;
use weir_functions::common_type;
use weir_types::SqlType;

/// True for what DataFusion says of sides with other numbers of columns; it points at both.
pub(super) fn is_about_widths(message: &str) -> bool {
    message.contains("queries have different number of columns")
}

/// Why the two sides of the set operation that `query` is cannot be put together; `None` if they can, or if one of them
/// is wrong by itself.
pub(super) fn wrong_sides(query: &Query, plan: Plan) -> Option<PlanError> {
    let SetExpr::SetOperation { op, left, right, .. } = &*query.body else { return None };
    let side = |body: &SetExpr| Query {
        body: Box::new(body.clone()),
        order_by: None,
        limit_clause: None,
        fetch: None,
        ..query.clone()
    };
    let Ok(left_schema) = plan(&side(left)) else { return wrong_sides(&side(left), plan) };
    let Ok(right_schema) = plan(&side(right)) else { return wrong_sides(&side(right), plan) };
    let widths = (left_schema.fields().len(), right_schema.fields().len());
    if widths.0 != widths.1 {
        let message = format!("{op} of queries with {} and {} columns", widths.0, widths.1);
        return Some(PlanError::invalid(message).at(right.span()));
    }
    let columns = left_schema.fields().iter().zip(right_schema.fields());
    for (place, (left, other)) in columns.enumerate() {
        let (left, other) = (SqlType::of_field(left)?, SqlType::of_field(other)?);
        if common_type([&left, &other]).is_none() {
            let article = if *op == SetOperator::Union { "a" } else { "an" };
            let message = format!(
                "column {} of {article} {op} has types that do not go together: {left}, {other}",
                place + 1
            );
            return Some(PlanError::invalid(message).at(column_span(right, place)));
        }
    }
    None
}

/// Where a column of `body` is written, or the whole where that cannot be told.
fn column_span(body: &SetExpr, place: usize) -> Span {
    let column = match body {
        SetExpr::Select(select) => {
            let exprs = select.projection.iter().map(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
                _ => None,
            });
            exprs.collect::<Option<Vec<&Expr>>>().and_then(|exprs| exprs.get(place).copied())
        }
        SetExpr::Values(values) => values.rows.first().and_then(|row| row.content.get(place)),
        _ => None,
    };
    column.map_or_else(|| body.span(), Spanned::span)
}
