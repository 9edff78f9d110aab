//! Regular joins.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::{Output, unaliased};
use super::relations::without_dependencies;
use super::state::hinted_state;
use crate::PlanError;
use crate::query::error::plan_error;
use crate::query::state_ttl::ttl_of;
use crate::query::text::expr_text;
use datafusion_common::{DFSchema, JoinType, NullEquality, Result, not_impl_err};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, Join, LogicalPlan, lit};
use std::sync::Arc;
use weir_types::{Exchange, JoinKind, JoinSpec, NodeIndex, OperatorSpec};

/// An input with its keys as columns.
pub(in crate::query) struct Side {
    pub node: NodeIndex,
    pub schema: Arc<DFSchema>,
    pub keys: Vec<usize>,
    /// columns of the plan, which come first
    pub columns: usize,
}

/// A join seen from the side that its kind is named after.
pub(super) struct Sides<'a> {
    pub kind: JoinKind,
    pub left: &'a LogicalPlan,
    pub right: &'a LogicalPlan,
    /// expressions of left and right that are equal
    pub on: Vec<(Expr, Expr)>,
    pub filter: Option<Expr>,
}

impl Lowering<'_> {
    pub fn join(&mut self, join: &Join) -> Result<Stream, PlanError> {
        if join.join_type == JoinType::LeftMark {
            return self.mark_join(join);
        }
        let sides = Sides::of(join).map_err(plan_error)?;
        let left = self.plan(sides.left)?;
        let right = self.plan(sides.right)?;
        self.join_rows(join, &sides, left, right).map_err(plan_error)
    }

    /// The rows of the left with whether they have a match: those that have one beside TRUE, the others beside FALSE.
    fn mark_join(&mut self, join: &Join) -> Result<Stream, PlanError> {
        if join.null_aware {
            return Err(PlanError::not_supported("NOT IN that is not joined by AND to the rest of WHERE"));
        }
        let mark = join.schema.fields().len() - 1;
        let (table, field) = join.schema.qualified_field(mark);
        let mut streams = vec![];
        for (join_type, matches) in [(JoinType::LeftSemi, true), (JoinType::LeftAnti, false)] {
            let one = Join { join_type, schema: join.left.schema().clone(), ..join.clone() };
            let stream = self.join(&one)?;
            let columns = join.left.schema().columns();
            let mut outputs: Vec<Output> = columns.into_iter().map(Output::column).collect();
            let mut output = Output::named(field.name().clone(), lit(matches));
            output.table = table.cloned();
            outputs.push(output);
            streams.push(self.calc(&stream, None, Some(outputs)).map_err(plan_error)?);
        }
        self.union_of(streams, &join.schema)
    }

    fn join_rows(&mut self, join: &Join, sides: &Sides<'_>, left: Stream, right: Stream) -> Result<Stream> {
        let (left_keys, right_keys): (Vec<&Expr>, Vec<&Expr>) = sides.on.iter().map(|(l, r)| (l, r)).unzip();
        let left = self.keyed_input(left, sides.left, &left_keys)?;
        let right = self.named_keys(right, sides.right, &right_keys, "$r")?;
        if let Some(timed) = self.timed(sides, &left, &right) {
            return self.bounded_join(join, sides, timed, left, right);
        }
        let together = left.schema.join(&right.schema)?;
        let condition = sides.filter.as_ref().map(|filter| self.physical(filter, &together)).transpose()?;
        let left_columns: Vec<usize> = (0..left.columns).collect();
        let right_columns = if sides.kind.is_left_only() { vec![] } else { (0..right.columns).collect() };
        let spec = JoinSpec {
            kind: sides.kind,
            left_keys: left.keys.clone(),
            right_keys: right.keys.clone(),
            nulls_match: join.null_equality == NullEquality::NullEqualsNull,
            condition,
            left_columns,
            right_columns,
            // Settled by the inference of changelog modes.
            left_retracts: false,
            right_retracts: false,
            left_unique: None,
            right_unique: None,
            left_ttl_ms: ttl_of(sides.left),
            right_ttl_ms: ttl_of(sides.right),
        };
        let text = sides.text();
        let schema = Arc::new(without_dependencies(&join.schema)?);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let label = format!(
            "Join(joinType=[{}], where=[{}], select=[{}])",
            spec.kind.name(),
            text.as_deref().unwrap_or("true"),
            names.join(", ")
        );
        let meaning = format!("{spec:?}");
        let hinted = [("left", spec.left_ttl_ms), ("right", spec.right_ttl_ms)];
        let single = left.keys.is_empty();
        let clause = text
            .clone()
            .map_or_else(|| "JOIN without a condition".to_string(), |text| format!("JOIN ON {text}"));
        let state = hinted_state("the rows of both inputs by their join key", clause, &hinted);
        let inputs = vec![(left.node, Exchange::Hash(left.keys)), (right.node, Exchange::Hash(right.keys))];
        let volatile = sides.filter.as_ref().is_some_and(Expr::is_volatile);
        Ok(self.builder.add(NewNode {
            kind: "join",
            clause: text.unwrap_or_default(),
            meaning,
            shareable: !volatile,
            label,
            spec: OperatorSpec::Join(spec),
            inputs,
            schema,
            state: Some(state),
            table: None,
            connector: None,
            single,
        }))
    }

    /// The input with the columns of its plan, then those of its keys that are expressions.
    pub fn keyed_input(&mut self, input: Stream, plan: &LogicalPlan, keys: &[&Expr]) -> Result<Side> {
        self.named_keys(input, plan, keys, "$k")
    }

    /// The same with names for the keys that start with `prefix`.
    pub fn named_keys(
        &mut self,
        input: Stream,
        plan: &LogicalPlan,
        keys: &[&Expr],
        prefix: &str,
    ) -> Result<Side> {
        let columns = plan.schema().columns();
        let mut outputs: Vec<Output> = columns.iter().cloned().map(Output::column).collect();
        let mut places = vec![];
        for key in keys {
            let key = unaliased(key);
            let known = outputs.iter().position(|output| output.expr == *key);
            places.push(known.unwrap_or_else(|| {
                let name = format!("{prefix}{}", outputs.len());
                outputs.push(Output::named(name, key.clone()).meaning(expr_text(key)));
                outputs.len() - 1
            }));
        }
        let input = match outputs.len() == columns.len() {
            true => self.conform(input, columns.clone())?,
            false => self.calc(&input, None, Some(outputs))?,
        };
        let (input, node) = self.settle(input)?;
        Ok(Side { node, schema: input.schema, keys: places, columns: columns.len() })
    }
}

impl<'a> Sides<'a> {
    fn of(join: &'a Join) -> Result<Sides<'a>> {
        let (kind, swapped) = match join.join_type {
            JoinType::Inner => (JoinKind::Inner, false),
            JoinType::Left => (JoinKind::Left, false),
            JoinType::Right => (JoinKind::Right, false),
            JoinType::Full => (JoinKind::Full, false),
            JoinType::LeftSemi => (JoinKind::LeftSemi, false),
            JoinType::LeftAnti => (JoinKind::LeftAnti, false),
            JoinType::RightSemi => (JoinKind::LeftSemi, true),
            JoinType::RightAnti => (JoinKind::LeftAnti, true),
            JoinType::LeftMark | JoinType::RightMark => {
                return not_impl_err!(
                    "not supported yet: IN and EXISTS that are not joined by AND to the rest of WHERE"
                );
            }
        };
        let mut on = join.on.clone();
        let mut filter = join.filter.clone();
        if join.null_aware && on.is_empty() {
            return not_impl_err!("not supported yet: NOT IN of a value that no column is compared with");
        }
        if join.null_aware {
            // NOT IN: a row is out if any comparison is not FALSE; it is the first, the others are of the subquery itself.
            let (value, other) = on.remove(0);
            filter = conjunction([Expr::IsNotFalse(Box::new(value.eq(other)))].into_iter().chain(filter));
        }
        let (left, right) = if swapped { (&join.right, &join.left) } else { (&join.left, &join.right) };
        if swapped {
            on.iter_mut().for_each(|(left, right)| std::mem::swap(left, right));
        }
        Ok(Sides { kind, left, right, on, filter })
    }

    /// The condition of the join, as EXPLAIN shows it.
    pub fn text(&self) -> Option<String> {
        let keys = self.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let all = conjunction(keys.chain(self.filter.clone()));
        all.map(|condition| expr_text(&condition))
    }
}

/// The key of a join's rows in its output, from those of its inputs.
pub(in crate::query) fn join_key(
    spec: &JoinSpec,
    left: Option<&[usize]>,
    right: Option<&[usize]>,
) -> Option<Vec<usize>> {
    let covers = |keys: &[usize], unique: Option<&[usize]>| {
        unique.is_some_and(|unique| unique.iter().all(|column| keys.contains(column)))
    };
    let left_places = || -> Option<Vec<usize>> {
        left?.iter().map(|column| spec.left_columns.iter().position(|known| known == column)).collect()
    };
    let right_places = || -> Option<Vec<usize>> {
        let place = |column: &usize| spec.right_columns.iter().position(|known| known == column);
        right?.iter().map(|column| Some(spec.left_columns.len() + place(column)?)).collect()
    };
    if spec.kind.is_left_only() {
        return left_places();
    }
    // A row that meets one row of the other side at most is told apart by its own key.
    if covers(&spec.right_keys, right) && !spec.kind.keeps_right() && left.is_some() {
        return left_places();
    }
    if covers(&spec.left_keys, left) && !spec.kind.keeps_left() && right.is_some() {
        return right_places();
    }
    Some(left_places()?.into_iter().chain(right_places()?).collect())
}
