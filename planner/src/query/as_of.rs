//! `FOR SYSTEM_TIME AS OF`: joins with the version of a row that was valid at a time.
//!
//! While a FROM is planned, the versioned table is a relation of its own that notes the time. Once the join stands, the two
//! become one node, through which the optimiser pushes nothing: a condition on a version must not pick another version.

use crate::PlanError;
use crate::parser::{LookupHint, split_lookup};
use crate::query::error::{external, plan_error};
use crate::query::lookup::lookup_join;
use crate::query::nodes::{joined_schema, needed_of_both, node_of, unordered};
use crate::query::origin::{Origin, origin, time_attribute_of};
use crate::query::ranks::row_number;
use crate::query::table_source::TableScanSource;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchemaRef, Result, TableReference, internal_err, plan_err};
use datafusion_expr::logical_plan::{Extension, Join, UserDefinedLogicalNodeCore};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{BinaryExpr, Expr, JoinType, LogicalPlan, Operator, lit};
use sqlparser::ast::{self, Spanned, TableFactor, TableVersion};
use sqlparser::tokenizer::Span;
use std::fmt;
use std::sync::Arc;
use weir_types::TimeAttribute;

/// A table as of a time of the rows that it is joined with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Snapshot {
    input: Arc<LogicalPlan>,
    time: Column,
    hint: Option<LookupHint>,
    /// where it is written
    span: Span,
}

unordered!(Snapshot);

impl UserDefinedLogicalNodeCore for Snapshot {
    fn name(&self) -> &str {
        "FOR SYSTEM_TIME AS OF elsewhere than on the right of a JOIN"
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

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Snapshot: {}", self.time)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let Some(input) = inputs.into_iter().next() else { return internal_err!("a snapshot of nothing") };
        Ok(Snapshot { input: Arc::new(input), ..self.clone() })
    }
}

/// Plans `t FOR SYSTEM_TIME AS OF time`.
#[derive(Debug)]
pub(super) struct SnapshotPlanner {
    /// The text is a view's: its places mean nothing to the statement.
    pub in_view: bool,
}

impl RelationPlanner for SnapshotPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let span = if self.in_view { Span::empty() } else { relation.span() };
        let mut relation = relation;
        let TableFactor::Table { version, alias, .. } = &mut relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let Some(TableVersion::ForSystemTimeAsOf(time)) = version.take() else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let alias = alias.take();
        let (time, hint) = match split_lookup(&time) {
            Some((time, hint)) => (time, Some(hint)),
            None => (time, None),
        };
        let time = match &time {
            ast::Expr::Identifier(name) => Column::new_unqualified(&name.value),
            ast::Expr::CompoundIdentifier(parts) if parts.len() == 2 => {
                // as it is written: a text would be read as a name that may be in any case
                Column::new(Some(TableReference::bare(parts[0].value.as_str())), &parts[1].value)
            }
            other => {
                let message = format!(
                    "FOR SYSTEM_TIME AS OF takes a time attribute of the table that is joined, not {other}"
                );
                return Err(external(PlanError::invalid(message).at(span)));
            }
        };
        let input = context.plan(relation).map_err(|error| external(plan_error(error).at(span)))?;
        let node = Arc::new(Snapshot { input: Arc::new(input), time, hint, span });
        let plan = LogicalPlan::Extension(Extension { node });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// Each row of the left with the version of the right that was valid at its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AsOf {
    pub left: Arc<LogicalPlan>,
    pub right: Arc<LogicalPlan>,
    /// LEFT JOIN
    pub outer: bool,
    pub left_time: Column,
    pub right_time: Column,
    /// equalities of the keys, and what else is asked of a version
    pub condition: Expr,
    schema: DFSchemaRef,
}

impl AsOf {
    fn try_new(
        left: Arc<LogicalPlan>,
        right: Arc<LogicalPlan>,
        outer: bool,
        (left_time, right_time): (Column, Column),
        condition: Expr,
    ) -> Result<Self> {
        let schema = joined_schema(&left, &right, outer)?;
        Ok(AsOf { left, right, outer, left_time, right_time, condition, schema })
    }

    pub fn of(plan: &LogicalPlan) -> Option<&AsOf> {
        node_of(plan)
    }

    /// The keys, as expressions of left and right that are equal, and what is left of the condition.
    pub fn keys(&self) -> (Vec<(Expr, Expr)>, Option<Expr>) {
        let mut keys = vec![];
        let mut rest = vec![];
        for part in split_conjunction(&self.condition) {
            match compared(part, &self.left, &self.right) {
                Some(key) => keys.push(key),
                None if *part == lit(true) => {}
                None => rest.push(part.clone()),
            }
        }
        (keys, conjunction(rest))
    }
}

unordered!(AsOf);

impl UserDefinedLogicalNodeCore for AsOf {
    fn name(&self) -> &str {
        "TemporalJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let times = [&self.left_time, &self.right_time].map(|time| Expr::Column(time.clone()));
        times.into_iter().chain([self.condition.clone()]).collect()
    }

    #[allow(clippy::disallowed_types, reason = "the type that DataFusion asks for")]
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.outer { "left" } else { "inner" };
        write!(f, "TemporalJoin: {}, as of {}, join={kind}", self.condition, self.left_time)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let exprs = exprs.into_iter().map(|expr| Ok(expr.unalias_nested().data));
        let exprs = exprs.collect::<Result<Vec<Expr>>>()?;
        let (Ok([left, right]), Ok([Expr::Column(left_time), Expr::Column(right_time), condition])) =
            (<[LogicalPlan; 2]>::try_from(inputs), <[Expr; 3]>::try_from(exprs))
        else {
            return internal_err!("a temporal join has two inputs, two times and a condition");
        };
        AsOf::try_new(Arc::new(left), Arc::new(right), self.outer, (left_time, right_time), condition)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        needed_of_both(&self.schema, width, &self.expressions(), output_columns)
    }
}

/// Expressions of `left` and of `right` that `part` of a condition says are equal.
pub(super) fn compared(part: &Expr, left: &LogicalPlan, right: &LogicalPlan) -> Option<(Expr, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left: one, op: Operator::Eq, right: other }) = part else {
        return None;
    };
    let within = |expr: &Expr, plan: &LogicalPlan| {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|column| plan.schema().has_column(column))
    };
    match (within(one, left), within(one, right)) {
        (true, _) if within(other, right) => Some((one.as_ref().clone(), other.as_ref().clone())),
        (_, true) if within(other, left) => Some((other.as_ref().clone(), one.as_ref().clone())),
        _ => None,
    }
}

/// The snapshot on the right of a join, below names only.
fn snapshot(plan: &LogicalPlan) -> Option<&Snapshot> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => snapshot(&alias.input),
        LogicalPlan::Projection(projection) => snapshot(&projection.input),
        plan => node_of(plan),
    }
}

/// The join with a versioned table on its right as one node; `None` for other joins.
pub(super) fn rewrite_as_of(join: &Join) -> Result<Option<LogicalPlan>> {
    let Some(found) = snapshot(&join.right) else { return Ok(None) };
    let joined = as_of(join, found);
    joined.map(Some).map_err(|error| external(plan_error(error).at(found.span)))
}

fn as_of(join: &Join, found: &Snapshot) -> Result<LogicalPlan> {
    let left_time = found.time.clone();
    let without = join.right.as_ref().clone().transform_down(|plan| {
        Ok(match snapshot(&plan) {
            Some(found) if matches!(plan, LogicalPlan::Extension(_)) => {
                Transformed::yes(found.input.as_ref().clone())
            }
            _ => Transformed::no(plan),
        })
    })?;
    let right = Arc::new(without.data.recompute_schema()?);
    let outer = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left => true,
        other => return plan_err!("a temporal join is INNER or LEFT, not {other}"),
    };
    let place = join.left.schema().index_of_column(&left_time)?;
    let left_time = Column::from(join.left.schema().qualified_field(place));
    match time_attribute_of(&join.left, &left_time) {
        Some(TimeAttribute::RowTime) if found.hint.is_some() => {
            return plan_err!("hint LOOKUP is for a join by processing time, and this one is by event time");
        }
        Some(TimeAttribute::RowTime) => {}
        Some(TimeAttribute::ProcTime) => {
            return lookup_join(join, right, (outer, found.hint.clone().unwrap_or_default()));
        }
        None => {
            return plan_err!("FOR SYSTEM_TIME AS OF takes a time attribute, '{}' is none", left_time.name);
        }
    }
    let is_time =
        |column: &Column| matches!(origin(&right, column), Some(Origin::Time(TimeAttribute::RowTime)));
    let Some(right_time) = right.schema().columns().into_iter().find(is_time) else {
        return plan_err!("a versioned table needs an event time: declare WATERMARK FOR it");
    };
    let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let condition = conjunction(keys.chain(join.filter.clone())).unwrap_or_else(|| lit(true));
    let Some(version_key) = version_key(&right) else {
        return plan_err!(
            "a versioned table needs a primary key: declare PRIMARY KEY (..) NOT ENFORCED, or join a view that keeps the \
             last row of each key by ROW_NUMBER"
        );
    };
    let node = AsOf::try_new(join.left.clone(), right, outer, (left_time, right_time), condition)?;
    let joined = node.keys().0;
    let joined: Vec<&Column> = joined.iter().filter_map(|(_, key)| key.try_as_col()).collect();
    if let Some(missing) = version_key.iter().find(|key| !joined.contains(key)) {
        return plan_err!(
            "a temporal join is by the primary key of the versioned table: its column '{}' is not compared",
            missing.name
        );
    }
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// The columns by which versions of a row are known to be of the same row.
fn version_key(plan: &LogicalPlan) -> Option<Vec<Column>> {
    let at = |place: usize| Column::from(plan.schema().qualified_field(place));
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = TableScanSource::of(&scan.source)?.table();
            let key = &table.descriptor.primary_key;
            let column =
                |name: &String| plan.schema().columns().into_iter().find(|column| column.name == *name);
            (!key.is_empty()).then(|| key.iter().map(column).collect())?
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let key = version_key(&alias.input)?;
            key.iter().map(|column| Some(at(alias.input.schema().maybe_index_of_column(column)?))).collect()
        }
        LogicalPlan::Projection(projection) => {
            let key = version_key(&projection.input)?;
            let place = |key: &Column| {
                let is_key = |expr: &Expr| expr.clone().unalias_nested().data.try_as_col() == Some(key);
                projection.expr.iter().position(is_key)
            };
            key.iter().map(|key| Some(at(place(key)?))).collect()
        }
        LogicalPlan::Filter(filter) => version_key(&filter.input),
        LogicalPlan::Window(window) => {
            let (call, _) = row_number(window)?;
            call.params.partition_by.iter().map(|key| key.try_as_col().cloned()).collect()
        }
        _ => None,
    }
}
