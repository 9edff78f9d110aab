//! Joins whose state time bounds.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::join::{Side, Sides};
use super::relations::without_dependencies;
use crate::PlanError;
use crate::query::as_of::AsOf;
use crate::query::changelog::is_insert_only;
use crate::query::error::plan_error;
use crate::query::text::expr_text;
use crate::query::time_bounds::{clock_interval, has_plain_bounds, interval, same_window};
use datafusion_common::{Column, DFSchema, NullEquality, Result};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, Join, UserDefinedLogicalNodeCore};
use std::cmp::Ordering;
use std::sync::Arc;
use weir_types::{Exchange, JoinKind, Millis, OperatorSpec, StateNote, TimedJoinBy, TimedJoinSpec};

/// A join that is to be added.
pub(super) struct Timed {
    by: TimedJoinBy,
    left_time: Column,
    right_time: Column,
    name: &'static str,
    kind: &'static str,
    bound: String,
    /// the interval is of processing time
    by_clock: bool,
    /// what is left to check of pairs that the bound lets meet
    condition: Option<Expr>,
}

/// What all kinds of timed joins share.
struct Parts<'a> {
    timed: Timed,
    kind: JoinKind,
    nulls_match: bool,
    text: String,
    schema: &'a DFSchema,
    left: Side,
    right: Side,
}

impl Lowering<'_> {
    /// What bounds a join by event time, if something does.
    pub(super) fn timed(&self, sides: &Sides<'_>, left: &Side, right: &Side) -> Option<Timed> {
        let inserts = |side: &Side| is_insert_only(&self.builder.nodes, &self.builder.facts, side.node);
        if !inserts(left) || !inserts(right) {
            return None;
        }
        if let Some((left_time, right_time, node)) = same_window(sides.left, sides.right, &sides.on)
            && has_plain_bounds(node, self.session.settings.time_zone())
        {
            let bound = format!("bounded by window {}", node.spec);
            let by = TimedJoinBy::Window;
            return Some(Timed {
                by,
                left_time,
                right_time,
                name: "WindowJoin",
                kind: "window-join",
                bound,
                by_clock: false,
                condition: sides.filter.clone(),
            });
        }
        if sides.kind.is_left_only() {
            return None;
        }
        let on: Vec<Expr> = sides.on.iter().map(|(left, right)| left.clone().eq(right.clone())).collect();
        let by_time = interval(sides.left, sides.right, on.iter().chain(&sides.filter));
        let by_clock = by_time.is_none();
        let (found, condition) = match by_time {
            Some(found) => (found, sides.filter.clone()),
            None => clock_interval(sides.left, sides.right, sides.filter.as_ref()?)?,
        };
        Some(Timed {
            by_clock,
            condition,
            by: TimedJoinBy::Interval { lower_ms: found.lower_ms, upper_ms: found.upper_ms },
            left_time: found.left_time,
            right_time: found.right_time,
            name: "IntervalJoin",
            kind: "interval-join",
            bound: format!(
                "bounded by the times that are joined: {}",
                match (beside(found.lower_ms), beside(found.upper_ms)) {
                    (lower, upper) if lower == upper => lower,
                    (lower, upper) => format!("from {lower} to {upper}"),
                }
            ),
        })
    }

    pub(super) fn bounded_join(
        &mut self,
        join: &Join,
        sides: &Sides<'_>,
        timed: Timed,
        left: Side,
        right: Side,
    ) -> Result<Stream> {
        self.add_timed(Parts {
            timed,
            kind: sides.kind,
            nulls_match: join.null_equality == NullEquality::NullEqualsNull,
            text: sides.text().unwrap_or_default(),
            schema: &join.schema,
            left,
            right,
        })
    }

    /// `FOR SYSTEM_TIME AS OF` by event time.
    pub fn as_of(&mut self, join: &AsOf) -> Result<Stream, PlanError> {
        let left = self.plan(&join.left)?;
        let right = self.plan(&join.right)?;
        self.as_of_rows(join, left, right).map_err(plan_error)
    }

    fn as_of_rows(&mut self, join: &AsOf, left: Stream, right: Stream) -> Result<Stream> {
        let (keys, rest) = join.keys();
        let (left_keys, right_keys): (Vec<&Expr>, Vec<&Expr>) = keys.iter().map(|(l, r)| (l, r)).unzip();
        let left = self.named_keys(left, &join.left, &left_keys, "$k")?;
        let right = self.named_keys(right, &join.right, &right_keys, "$r")?;
        let compared = keys.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let text = conjunction(compared.chain(rest.clone())).map(|all| expr_text(&all)).unwrap_or_default();
        let timed = Timed {
            by: TimedJoinBy::Version,
            left_time: join.left_time.clone(),
            right_time: join.right_time.clone(),
            name: "TemporalJoin",
            kind: "temporal-join",
            by_clock: false,
            condition: rest,
            bound: format!("never dropped: the last version of each key of JOIN ON {text}"),
        };
        self.add_timed(Parts {
            timed,
            kind: if join.outer { JoinKind::Left } else { JoinKind::Inner },
            nulls_match: false,
            text,
            schema: join.schema(),
            left,
            right,
        })
    }

    fn add_timed(&mut self, parts: Parts<'_>) -> Result<Stream> {
        let Parts { timed, kind, nulls_match, text, schema, left, right } = parts;
        let condition = timed.condition.as_ref();
        let together = left.schema.join(&right.schema)?;
        let physical = condition.map(|condition| self.physical(condition, &together)).transpose()?;
        let spec = TimedJoinSpec {
            kind,
            by: timed.by,
            left_keys: left.keys.clone(),
            right_keys: right.keys.clone(),
            nulls_match,
            left_time: left.schema.index_of_column(&timed.left_time)?,
            right_time: right.schema.index_of_column(&timed.right_time)?,
            by_clock: timed.by_clock,
            condition: physical,
            left_columns: (0..left.columns).collect(),
            right_columns: if kind.is_left_only() { vec![] } else { (0..right.columns).collect() },
        };
        let schema = Arc::new(without_dependencies(schema)?);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let label = format!(
            "{}(joinType=[{}], where=[{text}], select=[{}])",
            timed.name,
            kind.name(),
            names.join(", ")
        );
        let meaning = format!("{spec:?}");
        let single = left.keys.is_empty();
        let inputs = vec![(left.node, Exchange::Hash(left.keys)), (right.node, Exchange::Hash(right.keys))];
        let is_version = timed.by == TimedJoinBy::Version;
        let keeps = match timed.by {
            TimedJoinBy::Window => "the rows of both inputs until their window has passed",
            TimedJoinBy::Interval { .. } => "the rows of both inputs until none can meet them any more",
            TimedJoinBy::Version => "left rows until the watermark reaches them, and versions of the right",
        };
        Ok(self.builder.add(NewNode {
            kind: timed.kind,
            clause: text.clone(),
            meaning,
            shareable: !condition.is_some_and(Expr::is_volatile),
            label,
            spec: OperatorSpec::TimedJoin(spec),
            inputs,
            schema,
            state: Some(StateNote {
                keeps: keeps.into(),
                bound: timed.bound,
                unbounded_clause: is_version.then(|| format!("JOIN .. FOR SYSTEM_TIME AS OF ON {text}")),
            }),
            table: None,
            connector: None,
            single,
        }))
    }
}

/// A time as people say where it lies beside another.
fn beside(ms: i64) -> String {
    match ms.cmp(&0) {
        Ordering::Less => format!("{} before", Millis(-ms)),
        Ordering::Equal => "the same time".to_string(),
        Ordering::Greater => format!("{} after", Millis(ms)),
    }
}
