//! Subqueries in expressions, before the optimiser makes joins of them.

use crate::query::aggregates::single_value;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result, plan_err};
use datafusion_expr::expr::InSubquery;
use datafusion_expr::logical_plan::Subquery;
use datafusion_expr::utils::merge_schema;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
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
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let around = merge_schema(&plan.inputs());
        plan.map_expressions(|expr| {
            expr.transform_up(|expr| match expr {
                Expr::InSubquery(found) => in_other_type(found, &around),
                // An aggregate of all rows, even of none, is a row.
                Expr::Exists(exists) if always_has_a_row(&exists.subquery.subquery) => {
                    Ok(Transformed::yes(lit(!exists.negated)))
                }
                expr => single(expr),
            })
        })
    })?;
    Ok(rewritten.data)
}

/// The column of a correlated IN's query under a name of its own, where it is of another type than the value: the cast to
/// come has the column's name, and the optimiser puts the columns that conditions read beside it.
fn in_other_type(found: InSubquery, around: &DFSchema) -> Result<Transformed<Expr>> {
    let plan = &found.subquery.subquery;
    let correlated = !found.subquery.outer_ref_columns.is_empty();
    let [column] = &plan.schema().columns()[..] else {
        return Ok(Transformed::no(Expr::InSubquery(found)));
    };
    let same = found.expr.get_type(around).is_ok_and(|value| value == *plan.schema().field(0).data_type());
    if same || !correlated {
        return Ok(Transformed::no(Expr::InSubquery(found)));
    }
    let named = vec![Expr::Column(column.clone()).alias("$in")];
    let plan = LogicalPlanBuilder::from(plan.as_ref().clone()).project(named)?.build()?;
    let subquery = Subquery { subquery: Arc::new(plan), ..found.subquery };
    Ok(Transformed::yes(Expr::InSubquery(InSubquery { subquery, ..found })))
}

fn aggregated(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let [column] = &plan.schema().columns()[..] else {
        return plan_err!("a scalar subquery has one column, not {}", plan.schema().fields().len());
    };
    let value = single_value().call(vec![Expr::Column(column.clone())]).alias(&column.name);
    LogicalPlanBuilder::from(plan.clone()).aggregate(Vec::<Expr>::new(), vec![value])?.build()
}

/// True if `plan` has a row whatever is in its tables.
fn always_has_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => always_has_a_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => always_has_a_row(&alias.input),
        _ => false,
    }
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
