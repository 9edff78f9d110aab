//! Subqueries in expressions, before the optimiser makes joins of them.

use crate::query::aggregates::single_value;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Result, plan_err};
use datafusion_expr::logical_plan::Subquery;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// Scalar subqueries that may have several rows fail when they do: SINGLE_VALUE sees to it, as in Flink.
pub(super) fn single_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    let single = |expr: Expr| match expr {
        Expr::ScalarSubquery(subquery) if !has_one_row(&subquery.subquery) => {
            let plan = Arc::new(aggregated(&subquery.subquery)?);
            Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: plan, ..subquery })))
        }
        expr => Ok(Transformed::no(expr)),
    };
    let rewritten =
        plan.transform_up_with_subqueries(|plan| plan.map_expressions(|expr| expr.transform_up(single)))?;
    Ok(rewritten.data)
}

fn aggregated(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let [column] = &plan.schema().columns()[..] else {
        return plan_err!("a scalar subquery has one column, not {}", plan.schema().fields().len());
    };
    let value = single_value().call(vec![Expr::Column(column.clone())]).alias(&column.name);
    LogicalPlanBuilder::from(plan.clone()).aggregate(Vec::<Expr>::new(), vec![value])?.build()
}

/// True if `plan` never has more than one row.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::Filter(filter) => has_one_row(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        _ => plan.max_rows().is_some_and(|rows| rows <= 1),
    }
}
