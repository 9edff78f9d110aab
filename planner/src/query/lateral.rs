//! LATERAL: queries in FROM that read the rows on their left become joins.
//!
//! As in Flink conditions are pulled out of the query, and an aggregation without keys becomes one by the columns that they
//! compare: a row that finds none has no aggregate then, and an INNER join leaves it out; a LEFT join gives it a COUNT of 0.

use crate::query::outer::read_outside;
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion_common::{Column, Result, TableReference, not_impl_err};
use datafusion_expr::logical_plan::{Join, JoinType, Subquery, SubqueryAlias};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion_optimizer::decorrelate::PullUpCorrelatedExpr;
use datafusion_optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion_optimizer::optimizer::ApplyOrder;
use datafusion_optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct LateralToJoin;

impl OptimizerRule for LateralToJoin {
    fn name(&self) -> &str {
        "lateral_to_join"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
        let Some((subquery, alias)) = lateral(&join.right) else { return Ok(Transformed::no(plan)) };
        if join.join_type != JoinType::Left {
            return Ok(Transformed::yes(joined(join, subquery, alias)?));
        }
        // A row without any others has its COUNT of 0 here.
        let rewritten = DecorrelateLateralJoin::new().rewrite(plan, config)?;
        if rewritten.transformed { Ok(rewritten) } else { refused() }
    }
}

fn refused<T>() -> Result<T> {
    not_impl_err!(
        "not supported yet: LATERAL of a query that reads other tables elsewhere than in conditions, or below ORDER BY .. \
         LIMIT: write a join, or number its rows by ROW_NUMBER() OVER (PARTITION BY ..)"
    )
}

/// The query on the right of a join that reads the rows on its left, and what it is called.
fn lateral(plan: &LogicalPlan) -> Option<(&Subquery, Option<&TableReference>)> {
    match plan {
        LogicalPlan::Subquery(subquery) => Some((subquery, None)),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(subquery) => Some((subquery, Some(&alias.alias))),
            _ => None,
        },
        _ => None,
    }
}

fn joined(join: &Join, subquery: &Subquery, alias: Option<&TableReference>) -> Result<LogicalPlan> {
    if join.join_type != JoinType::Inner {
        return not_impl_err!("not supported yet: {} JOIN LATERAL, LEFT and CROSS are", join.join_type);
    }
    let mut pull_up = PullUpCorrelatedExpr::new();
    let right = subquery.subquery.as_ref().clone().rewrite(&mut pull_up).data()?;
    let reads_others = !read_outside(&right)?.is_empty();
    if !pull_up.can_pull_up || pull_up.pull_up_having_expr.is_some() || reads_others {
        return refused();
    }
    let requalify = |expr: Expr| -> Result<Expr> {
        let Some(alias) = alias else { return Ok(expr) };
        let rename = |expr: Expr| match &expr {
            Expr::Column(column) if right.schema().has_column(column) => {
                Ok(Transformed::yes(Expr::Column(Column::new(Some(alias.clone()), &column.name))))
            }
            _ => Ok(Transformed::no(expr)),
        };
        expr.transform(rename).data()
    };
    let conditions = pull_up.join_filters.iter().cloned().map(requalify).collect::<Result<Vec<_>>>()?;
    let right = match alias {
        Some(alias) => {
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(right.clone()), alias.clone())?)
        }
        None => right.clone(),
    };
    let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let condition = conjunction(conditions.into_iter().chain(on).chain(join.filter.clone()));
    let plan =
        LogicalPlanBuilder::from(join.left.as_ref().clone()).join_on(right, join.join_type, condition)?;
    let plan = plan.build()?;
    // What was pulled out of the query may have added columns to it.
    let columns = join.schema.columns();
    if plan.schema().columns() == columns {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?.build()
}
