//! Scalar subqueries that compare with the rows around them otherwise than by `=`.
//!
//! The optimiser makes a join of an aggregation whose rows are chosen by `inner = outer`: it groups by the inner column. For
//! others the values that the rows around have are put among the tables of the subquery, once each, and the aggregation is
//! by them:
//!
//! ```text
//! SELECT COUNT(*) FROM d WHERE d.id <= outer.id
//! SELECT COUNT(*) FROM d JOIN (SELECT DISTINCT id FROM o) AS $outer ON d.id <= $outer.id WHERE $outer.id = outer.id
//! ```

use crate::query::outer::read_outside;
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, Result, not_impl_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::logical_plan::Subquery;
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{BinaryExpr, Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion_optimizer::decorrelate::PullUpCorrelatedExpr;
use std::sync::Arc;

/// Rewrites all of them. Errors: a subquery that reads columns of the query around it where that cannot be done.
pub(super) fn rewrite_correlated(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut count = 0;
    plan.transform_down_with_subqueries(|plan| {
        let (LogicalPlan::Filter(_) | LogicalPlan::Projection(_)) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let around = plan.inputs()[0].clone();
        plan.map_expressions(|expr| expr.transform_up(|expr| rewrite(expr, &around, &mut count)))
    })
    .data()
}

fn rewrite(expr: Expr, around: &LogicalPlan, count: &mut usize) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
    let is_handled = subquery.outer_ref_columns.is_empty() || is_pulled_up(&subquery.subquery);
    if is_handled && !is_renamed(&subquery.subquery) {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    *count += 1;
    let Some(plan) = rewritten(&subquery.subquery, around, *count)?.filter(is_pulled_up) else {
        if is_handled {
            return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
        }
        return not_impl_err!(
            "not supported yet: a subquery that reads the query around it elsewhere than in conditions of its WHERE that \
             are FALSE or NULL for NULL: write a join, and aggregate above it"
        );
    };
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery })))
}

/// True if the optimiser makes a join of the subquery.
fn is_pulled_up(plan: &LogicalPlan) -> bool {
    let mut pull_up = PullUpCorrelatedExpr::new().with_need_handle_count_bug(true);
    match plan.clone().rewrite(&mut pull_up).data() {
        Ok(plan) => pull_up.can_pull_up && !reads_outer(&plan),
        Err(_) => false,
    }
}

/// True if a condition that reads columns around stands below a name for its rows: the optimiser loses its columns there.
fn is_renamed(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => reads_outer(&alias.input),
        _ => plan.inputs().into_iter().any(is_renamed),
    }
}

fn reads_outer(plan: &LogicalPlan) -> bool {
    read_outside(plan).map_or(true, |columns| !columns.is_empty())
}

/// The values around a subquery.
struct Outer {
    /// each once
    plan: LogicalPlan,
    /// columns of the query around
    columns: Vec<Column>,
}

/// A plan that has the values among its columns.
struct Carried {
    plan: LogicalPlan,
    /// what stands for [`Outer::columns`]
    values: Vec<Column>,
}

fn rewritten(plan: &LogicalPlan, around: &LogicalPlan, number: usize) -> Result<Option<LogicalPlan>> {
    let mut columns: Vec<Column> = vec![];
    for expr in outer_columns(plan)? {
        if !around.schema().has_column(&expr) {
            return Ok(None);
        }
        if !columns.contains(&expr) {
            columns.push(expr);
        }
    }
    // What a query inside the subquery reads of the query around both is not replaced.
    if read_outside(plan)?.iter().any(|column| !columns.contains(column)) {
        return Ok(None);
    }
    let conditions = conditions(plan)?;
    let rejected = |column: &Column| conditions.iter().any(|condition| rejects_null(condition, column));
    // NULL would have no group of its own, for `=` finds none.
    if !columns.iter().all(rejected) {
        return Ok(None);
    }
    let named = |(place, column): (usize, &Column)| {
        Expr::Column(column.clone()).alias(format!("$outer{number}_{place}"))
    };
    let values: Vec<Expr> = columns.iter().enumerate().map(named).collect();
    let values = LogicalPlanBuilder::from(around.clone()).project(values)?.build()?;
    let once: Vec<Expr> = values.schema().columns().into_iter().map(Expr::Column).collect();
    let values = LogicalPlanBuilder::from(values).aggregate(once, Vec::<Expr>::new())?.build()?;
    at_aggregation(plan, &Outer { plan: values, columns })
}

/// The columns of the query around, without those that only queries inside the subquery read.
fn outer_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut columns = vec![];
    plan.apply(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    columns.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(columns)
}

/// The conditions that all rows of a subquery have passed, where [`carry`] can go.
fn conditions(plan: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut found = vec![];
    plan.apply(|plan| {
        if let LogicalPlan::Filter(filter) = plan {
            found.push(filter.predicate.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Goes down to the aggregation that makes one row of all.
fn at_aggregation(plan: &LogicalPlan, outer: &Outer) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_)
            if !plan.contains_outer_reference() =>
        {
            let Some(input) = at_aggregation(plan.inputs()[0], outer)? else { return Ok(None) };
            plan.with_new_exprs(plan.expressions(), vec![input]).map(Some)
        }
        LogicalPlan::Aggregate(aggregate)
            if aggregate.group_expr.is_empty() && !plan.contains_outer_reference() =>
        {
            let Some(Carried { plan: input, values }) = carry(&aggregate.input, outer)? else {
                return Ok(None);
            };
            let same = values.iter().zip(&outer.columns).map(|(value, column)| -> Result<Expr> {
                let field = input.schema().qualified_field_from_column(value)?.1;
                let around = Expr::OuterReferenceColumn(field.clone(), column.clone());
                Ok(Expr::Column(value.clone()).eq(around))
            });
            let same = same.collect::<Result<Vec<_>>>()?;
            let Some(same) = conjunction(same) else { return Ok(None) };
            let input = LogicalPlanBuilder::from(input).filter(same)?.build()?;
            plan.with_new_exprs(plan.expressions(), vec![input]).map(Some)
        }
        _ => Ok(None),
    }
}

/// Puts the values beside the rows whose conditions read them, and hands them on.
fn carry(plan: &LogicalPlan, outer: &Outer) -> Result<Option<Carried>> {
    let below = |input: &LogicalPlan| if reads_outer(input) { carry(input, outer) } else { Ok(None) };
    Ok(match plan {
        LogicalPlan::Filter(filter) if reads_outer(&filter.input) => {
            let Some(Carried { plan: input, values }) = below(&filter.input)? else { return Ok(None) };
            let condition = with_values(&filter.predicate, outer, &values)?;
            Some(Carried { plan: LogicalPlanBuilder::from(input).filter(condition)?.build()?, values })
        }
        LogicalPlan::Filter(filter) => {
            let values = outer.plan.schema().columns();
            let condition = with_values(&filter.predicate, outer, &values)?;
            let joined = LogicalPlanBuilder::from(filter.input.as_ref().clone());
            let joined = joined.join_on(outer.plan.clone(), JoinType::Inner, Some(condition))?;
            Some(Carried { plan: joined.build()?, values })
        }
        LogicalPlan::Projection(projection) => {
            let Some(Carried { plan: input, values }) = below(&projection.input)? else { return Ok(None) };
            let own = projection.expr.iter().map(|expr| with_values(expr, outer, &values));
            let mut exprs = own.collect::<Result<Vec<_>>>()?;
            exprs.extend(values.iter().cloned().map(Expr::Column));
            Some(Carried { plan: LogicalPlanBuilder::from(input).project(exprs)?.build()?, values })
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(Carried { plan: input, values }) = below(&alias.input)? else { return Ok(None) };
            let plan = LogicalPlanBuilder::from(input).alias(alias.alias.clone())?.build()?;
            let values = values.into_iter().map(|value| Column::new(Some(alias.alias.clone()), value.name));
            Some(Carried { plan, values: values.collect() })
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner && !plan.contains_outer_reference() => {
            let (left, right) = (below(&join.left)?, below(&join.right)?);
            let (left, right, values) = match (left, right) {
                (Some(left), None) if !reads_outer(&join.right) => {
                    (left.plan, join.right.as_ref().clone(), left.values)
                }
                (None, Some(right)) if !reads_outer(&join.left) => {
                    (join.left.as_ref().clone(), right.plan, right.values)
                }
                _ => return Ok(None),
            };
            let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
            let condition = conjunction(on.chain(join.filter.clone()));
            let plan = LogicalPlanBuilder::from(left).join_on(right, JoinType::Inner, condition)?.build()?;
            Some(Carried { plan, values })
        }
        _ => None,
    })
}

fn with_values(expr: &Expr, outer: &Outer, values: &[Column]) -> Result<Expr> {
    let replace = |expr: Expr| match &expr {
        Expr::OuterReferenceColumn(_, column) => {
            let place = outer.columns.iter().position(|known| known == column);
            match place.and_then(|place| values.get(place)) {
                Some(value) => Ok(Transformed::yes(Expr::Column(value.clone()))),
                None => Ok(Transformed::no(expr)),
            }
        }
        _ => Ok(Transformed::no(expr)),
    };
    expr.clone().transform(replace).data()
}

/// True if a condition holds for no row where `column` of the query around is NULL: such a value has no group then.
fn rejects_null(condition: &Expr, column: &Column) -> bool {
    let of = |expr: &Expr| {
        let mut found = false;
        let looked = expr.apply(|expr| {
            found |= matches!(expr, Expr::OuterReferenceColumn(_, read) if read == column);
            Ok(TreeNodeRecursion::Continue)
        });
        found && looked.is_ok()
    };
    split_conjunction(condition).into_iter().any(|part| of(part) && is_comparison(part))
}

/// A comparison of what is NULL if one of its columns is.
fn is_comparison(expr: &Expr) -> bool {
    let compares = |function: &ScalarFunction| {
        ["$EQ", "$NE", "$LT", "$LE", "$GT", "$GE"].contains(&function.func.name())
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
            matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) && is_strict(left) && is_strict(right)
        }
        Expr::ScalarFunction(function) => compares(function) && function.args.iter().all(is_strict),
        _ => false,
    }
}

fn is_strict(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::Literal(..) => true,
        Expr::Cast(cast) => is_strict(&cast.expr),
        Expr::Alias(alias) => is_strict(&alias.expr),
        Expr::ScalarFunction(function) => {
            ["+", "-", "*", "/", "%", "||", "$CAST", "$NEGATE"].contains(&function.func.name())
                && function.args.iter().all(is_strict)
        }
        _ => false,
    }
}
