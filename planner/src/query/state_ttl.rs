//! What the hint STATE_TTL says of an input.

use crate::parser::ttl_relation;
use crate::query::expand::Expand;
use crate::query::nodes::{node_of, unordered};
use datafusion_common::{DFSchemaRef, Result, internal_err};
use datafusion_expr::logical_plan::Extension;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use sqlparser::ast::TableFactor;
use std::fmt;
use std::sync::Arc;

/// Rows of which an operator above keeps what it keeps for `ttl_ms` milliseconds; 0: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StateTtl {
    pub input: Arc<LogicalPlan>,
    pub ttl_ms: u64,
}

unordered!(StateTtl);

impl StateTtl {
    pub fn of(plan: &LogicalPlan) -> Option<&StateTtl> {
        node_of(plan)
    }
}

/// What a hint says of the rows of `plan`, if it is of them and not of those that went into a join or an aggregation.
pub(super) fn ttl_of(plan: &LogicalPlan) -> Option<u64> {
    match plan {
        LogicalPlan::Projection(projection) => ttl_of(&projection.input),
        LogicalPlan::Filter(filter) => ttl_of(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => ttl_of(&alias.input),
        plan => match StateTtl::of(plan) {
            Some(node) => Some(node.ttl_ms),
            None => ttl_of(&Expand::of(plan)?.input),
        },
    }
}

impl UserDefinedLogicalNodeCore for StateTtl {
    fn name(&self) -> &str {
        "StateTtl"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    #[allow(clippy::disallowed_types, reason = "the type that DataFusion asks for")]
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        std::collections::HashSet::default()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "StateTtl: {} ms", self.ttl_ms)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.into_iter().next() {
            Some(input) => Ok(StateTtl { input: Arc::new(input), ttl_ms: self.ttl_ms }),
            None => internal_err!("a hint is of one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// Plans tables that a hint names.
#[derive(Debug)]
pub(super) struct StateTtlPlanner;

impl RelationPlanner for StateTtlPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (ttl_ms, relation) = match ttl_relation(relation) {
            Ok(found) => found,
            Err(relation) => return Ok(RelationPlanning::Original(relation)),
        };
        let input = Arc::new(context.plan(relation)?);
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(StateTtl { input, ttl_ms }) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}
