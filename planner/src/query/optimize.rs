//! The rules of DataFusion's optimiser that are right for a stream; `docs/0001-optimizer-rules.md` says why the others
//! are not.

use crate::query::error::{external, position_of};
use crate::query::lateral::LateralToJoin;
use crate::{PlanError, Position};
use datafusion_common::Result;
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, LogicalPlan};
use datafusion_optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion_optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion_optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion_optimizer::eliminate_duplicated_expr::EliminateDuplicatedExpr;
use datafusion_optimizer::eliminate_filter::EliminateFilter;
use datafusion_optimizer::eliminate_limit::EliminateLimit;
use datafusion_optimizer::eliminate_outer_join::EliminateOuterJoin;
use datafusion_optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion_optimizer::optimize_projections::OptimizeProjections;
use datafusion_optimizer::optimize_unions::OptimizeUnions;
use datafusion_optimizer::push_down_filter::PushDownFilter;
use datafusion_optimizer::push_down_limit::PushDownLimit;
use datafusion_optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion_optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion_optimizer::simplify_expressions::SimplifyExpressions;
use datafusion_optimizer::{Optimizer, OptimizerContext, OptimizerRule};
use std::sync::Arc;

fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(OptimizeUnions::new()),
        Arc::new(SimplifyExpressions::new()),
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(LateralToJoin),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateDuplicatedExpr::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(EliminateLimit::new()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(PushDownLimit::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(CommonSubexprEliminate::new()),
        Arc::new(OptimizeProjections::new()),
    ]
}

/// The same result with less work. Time stands still for no rule: nothing that depends on the clock is folded.
pub(super) fn optimize(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut options = ConfigOptions::default();
    options.optimizer.skip_failed_rules = false;
    options.optimizer.enable_distinct_aggregation_soft_limit = false;
    // Nothing is executed before the job is: scalar subqueries are joins.
    options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    let context =
        OptimizerContext::new_with_config_options(Arc::new(options)).without_query_execution_start_time();
    let plan = Optimizer::with_rules(rules()).optimize(plan, &context, |_, _| {})?;
    check_subqueries(&plan)?;
    Ok(plan)
}

/// A subquery that no rule has made a join of reads columns of the query around it where that cannot be done.
fn check_subqueries(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let (what, subquery, place) = match expr {
                    Expr::InSubquery(found) => ("IN", &found.subquery, place_of(&found.expr)),
                    Expr::Exists(found) => ("EXISTS", &found.subquery, None),
                    Expr::ScalarSubquery(found) => ("a scalar subquery", found, None),
                    Expr::SetComparison(found) => ("ANY or ALL", &found.subquery, place_of(&found.expr)),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                let place = place.or_else(|| place_in(&subquery.subquery));
                if subquery.outer_ref_columns.is_empty() {
                    let error = PlanError::not_supported(format!("{what} in this place"));
                    return Err(external(error.at_position(place)));
                }
                let message = format!(
                    "{what} whose query reads the query around it below LIMIT, a set operation or the like: write a join, \
                     or rank the rows by ROW_NUMBER"
                );
                Err(external(PlanError::not_supported(message).at_position(place)))
            })
        })
    })?;
    Ok(())
}

/// Where the first column of a plan stands that the text has.
fn place_in(plan: &LogicalPlan) -> Option<Position> {
    let mut place = None;
    let looked = plan.apply(|node| {
        node.apply_expressions(|expr| {
            place = place.or(place_of(expr));
            Ok(if place.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    });
    place.filter(|_| looked.is_ok())
}

fn place_of(expr: &Expr) -> Option<Position> {
    let mut place = None;
    let looked = expr.apply(|expr| {
        if let Expr::Column(column) = expr {
            place = place.or(column.spans.first().map(position_of));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    place.filter(|_| looked.is_ok())
}
