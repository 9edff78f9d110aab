//! What stands in WHERE, HAVING and ON is a condition over rows.

use crate::PlanError;
use crate::query::aggregates::is_aggregate;
use crate::query::locate::{condition, without_conditions};
use crate::query::syntax::function_name;
use crate::walk::walk;
use arrow::datatypes::SchemaRef;
use sqlparser::ast::{Expr, GroupByExpr, Query, Select, Spanned, TableWithJoins, Visitor};
use std::ops::ControlFlow;
use weir_types::SqlType;

/// Refuses aggregations and OVER where rows are chosen, joined or grouped: neither is there yet.
pub(super) fn check_conditions(select: &Select) -> Result<(), PlanError> {
    let joins = select.from.iter().flat_map(|table| &table.joins).filter_map(condition);
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => &keys[..],
        GroupByExpr::All(_) => &[],
    };
    let conditions = select.selection.iter().map(|expr| ("WHERE", expr));
    let conditions = conditions.chain(joins.map(|expr| ("ON", expr)));
    for (clause, expr) in conditions.chain(keys.iter().map(|expr| ("GROUP BY", expr))) {
        walk(expr, &mut Finder { clause, depth: 0 })?;
    }
    Ok(())
}

/// Breaks at what is not known yet where `clause` is evaluated.
struct Finder {
    clause: &'static str,
    /// queries around this place
    depth: usize,
}

impl Visitor for Finder {
    type Break = PlanError;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<PlanError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<PlanError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<PlanError> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function_name(function);
        let clause = self.clause;
        let message = match () {
            () if self.depth > 0 => return ControlFlow::Continue(()),
            () if function.over.is_some() && name != "$TABLE" => {
                format!("{clause} takes no OVER: compute {name} .. OVER in a query below, and name it here")
            }
            () if is_aggregate(&name) && clause == "WHERE" => {
                format!(
                    "WHERE takes no aggregate, such as {name}: write HAVING, or aggregate in a query below"
                )
            }
            () if is_aggregate(&name) => {
                format!("{clause} takes no aggregate, such as {name}: aggregate in a query below")
            }
            () => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(PlanError::invalid(message).at(expr.span()))
    }
}

/// True for what DataFusion says of a condition that is not BOOLEAN.
pub(super) fn is_about_condition(message: &str) -> bool {
    ["cannot create filter with non-boolean predicate", "join condition must be boolean type"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// The condition of `select` that is none. `typed` plans an expression over tables and gives the columns of the plan.
pub(super) fn wrong_condition(
    select: &Select,
    typed: &dyn Fn(&[TableWithJoins], &Expr) -> Option<SchemaRef>,
) -> Option<PlanError> {
    let free: Vec<TableWithJoins> = select.from.iter().map(without_conditions).collect();
    let joins = select.from.iter().flat_map(|table| &table.joins).filter_map(condition);
    let conditions = joins.map(|expr| ("ON", &free[..], expr));
    let conditions = conditions.chain(select.selection.iter().map(|expr| ("WHERE", &select.from[..], expr)));
    let mut conditions =
        conditions.chain(select.having.iter().map(|expr| ("HAVING", &select.from[..], expr)));
    conditions.find_map(|(clause, from, expr)| {
        let schema = typed(from, expr)?;
        let found = SqlType::of_field(schema.fields().first()?)?;
        if matches!(found, SqlType::Boolean | SqlType::Null) {
            return None;
        }
        let message = format!("{clause} takes a condition, not a value of type {found}");
        Some(PlanError::invalid(message).at(expr.span()))
    })
}
