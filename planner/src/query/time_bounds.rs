//! Joins that time bounds: of the same window, and of times that are near each other.

use crate::query::origin::{Origin, origin};
use crate::query::window_function::WindowFunction;
use datafusion_common::{Column, ScalarValue};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{Between, BinaryExpr, Expr, Join, LogicalPlan, Operator};
use weir_types::{SqlType, TimeAttribute};

/// The ends of the windows in which rows meet, if both bounds of the same windows are compared.
pub(super) fn same_window<'a>(
    left: &'a LogicalPlan,
    right: &'a LogicalPlan,
    on: &[(Expr, Expr)],
) -> Option<(Column, Column, &'a WindowFunction)> {
    let mut found: [Option<(Column, Column, &WindowFunction)>; 2] = [None, None];
    for (one, other) in on {
        let (Some(one), Some(other)) = (one.try_as_col(), other.try_as_col()) else { continue };
        if let (
            Some(Origin::Window { part, node }),
            Some(Origin::Window { part: other_part, node: other_node }),
        ) = (origin(left, one), origin(right, other))
            && part == other_part
            && part < 2
            && node.spec == other_node.spec
            && [node, other_node]
                .iter()
                .all(|node| node.attribute == TimeAttribute::RowTime && !node.group_window)
        {
            found[part] = Some((one.clone(), other.clone(), node));
        }
    }
    let [Some(_), end] = found else { return None };
    end
}

/// Milliseconds that right rows may be before and behind left ones, and the times that are compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interval {
    pub lower_ms: i64,
    pub upper_ms: i64,
    pub left_time: Column,
    pub right_time: Column,
}

/// The interval that comparisons of event times give, if they give both ends of one.
pub(super) fn interval<'a>(
    left: &LogicalPlan,
    right: &LogicalPlan,
    conditions: impl Iterator<Item = &'a Expr>,
) -> Option<Interval> {
    interval_of(TimeAttribute::RowTime, left, right, conditions)
}

/// The interval that comparisons of processing times give, and what else `condition` says: when a row comes nobody can ask for
/// again.
pub(super) fn clock_interval(
    left: &LogicalPlan,
    right: &LogicalPlan,
    condition: &Expr,
) -> Option<(Interval, Option<Expr>)> {
    let found = interval_of(TimeAttribute::ProcTime, left, right, std::iter::once(condition))?;
    let by_clock = |part: &Expr| {
        let compared = comparisons(part);
        let of_both = |(one, _, other): &(Expr, Operator, Expr)| {
            let columns = [shifted(one), shifted(other)].map(|side| side.map(|(column, _)| column));
            matches!(columns, [Some(one), Some(other)] if [&found.left_time, &found.right_time].contains(&&one)
                && [&found.left_time, &found.right_time].contains(&&other))
        };
        !compared.is_empty() && compared.iter().all(of_both)
    };
    let rest = split_conjunction(condition).into_iter().filter(|part| !by_clock(part)).cloned();
    let rest = conjunction(rest);
    Some((found, rest))
}

fn interval_of<'a>(
    attribute: TimeAttribute,
    left: &LogicalPlan,
    right: &LogicalPlan,
    conditions: impl Iterator<Item = &'a Expr>,
) -> Option<Interval> {
    let is_time = |plan: &LogicalPlan, column: &Column| is_time_of(attribute, plan, column);
    let (mut lower, mut upper) = (None::<i64>, None::<i64>);
    let mut times: Option<(Column, Column)> = None;
    for (one, op, other) in conditions.flat_map(split_conjunction).flat_map(comparisons) {
        let (Some(one), Some(other)) = (shifted(&one), shifted(&other)) else { continue };
        // left + a op right + b
        let (op, (left_time, a), (right_time, b)) = match (is_time(left, &one.0), is_time(right, &other.0)) {
            (true, true) => (op, one, other),
            _ if is_time(left, &other.0) && is_time(right, &one.0) => match op.swap() {
                Some(op) => (op, other, one),
                None => continue,
            },
            _ => continue,
        };
        let pair = (left_time, right_time);
        if times.as_ref().is_some_and(|times| *times != pair) {
            continue;
        }
        times = Some(pair);
        let distance = a - b;
        let at_least = |lower: Option<i64>, ms: i64| Some(lower.map_or(ms, |lower| lower.max(ms)));
        let at_most = |upper: Option<i64>, ms: i64| Some(upper.map_or(ms, |upper| upper.min(ms)));
        match op {
            Operator::LtEq => lower = at_least(lower, distance),
            Operator::Lt => lower = at_least(lower, distance + 1),
            Operator::GtEq => upper = at_most(upper, distance),
            Operator::Gt => upper = at_most(upper, distance - 1),
            Operator::Eq => (lower, upper) = (at_least(lower, distance), at_most(upper, distance)),
            _ => {}
        }
    }
    let (left_time, right_time) = times?;
    Some(Interval { lower_ms: lower?, upper_ms: upper?, left_time, right_time })
}

fn is_time(plan: &LogicalPlan, column: &Column) -> bool {
    is_time_of(TimeAttribute::RowTime, plan, column)
}

fn is_time_of(wanted: TimeAttribute, plan: &LogicalPlan, column: &Column) -> bool {
    if !plan.schema().has_column(column) {
        return false;
    }
    match origin(plan, column) {
        Some(Origin::Time(attribute)) => attribute == wanted,
        Some(Origin::Window { part: 2, node }) => node.attribute == wanted,
        _ => false,
    }
}

/// The comparisons that a condition makes.
fn comparisons(condition: &Expr) -> Vec<(Expr, Operator, Expr)> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq};
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if matches!(op, Eq | Lt | LtEq | Gt | GtEq) => {
            vec![(left.as_ref().clone(), *op, right.as_ref().clone())]
        }
        Expr::Between(Between { expr, negated: false, low, high }) => vec![
            (expr.as_ref().clone(), Operator::GtEq, low.as_ref().clone()),
            (expr.as_ref().clone(), Operator::LtEq, high.as_ref().clone()),
        ],
        _ => vec![],
    }
}

/// A column and how many milliseconds are added to it.
fn shifted(expr: &Expr) -> Option<(Column, i64)> {
    match expr {
        Expr::Alias(alias) => shifted(&alias.expr),
        Expr::Column(column) => Some((column.clone(), 0)),
        Expr::ScalarFunction(call) => {
            let [one, other] = &call.args[..] else { return None };
            shifted_by(call.func.name(), one, other)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => shifted_by("+", left, right),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => shifted_by("-", left, right),
        _ => None,
    }
}

fn shifted_by(function: &str, one: &Expr, other: &Expr) -> Option<(Column, i64)> {
    match (function, constant_ms(one), constant_ms(other)) {
        ("+", None, Some(ms)) => shifted(one).map(|(column, by)| (column, by + ms)),
        ("+", Some(ms), None) => shifted(other).map(|(column, by)| (column, by + ms)),
        ("-", None, Some(ms)) => shifted(one).map(|(column, by)| (column, by - ms)),
        _ => None,
    }
}

fn constant_ms(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Alias(alias) => constant_ms(&alias.expr),
        Expr::Literal(ScalarValue::DurationMillisecond(Some(ms)), _) => Some(*ms),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) if interval.months == 0 => {
            Some(i64::from(interval.days) * 86_400_000 + interval.nanoseconds / 1_000_000)
        }
        _ => None,
    }
}

/// True if a join compares both bounds of windows, or times of both sides, whatever else it does. Before types are settled
/// its intervals cannot be read.
pub(super) fn compares_times(join: &Join) -> bool {
    if same_window(&join.left, &join.right, &equalities(join)).is_some() {
        return true;
    }
    let on: Vec<Expr> = join.on.iter().map(|(left, right)| left.clone().eq(right.clone())).collect();
    let conditions = on.iter().chain(&join.filter);
    conditions.flat_map(split_conjunction).flat_map(comparisons).any(|(one, _, other)| {
        let has_time = |plan: &LogicalPlan, expr: &Expr| {
            expr.column_refs().into_iter().any(|column| is_time(plan, column))
        };
        (has_time(&join.left, &one) && has_time(&join.right, &other))
            || (has_time(&join.right, &one) && has_time(&join.left, &other))
    })
}

/// Columns of left and right that a join says are equal.
fn equalities(join: &Join) -> Vec<(Expr, Expr)> {
    let mut pairs = join.on.clone();
    for part in join.filter.iter().flat_map(split_conjunction) {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { continue };
        let of_left =
            |expr: &Expr| expr.try_as_col().is_some_and(|column| join.left.schema().has_column(column));
        match of_left(left) {
            true => pairs.push((left.as_ref().clone(), right.as_ref().clone())),
            false => pairs.push((right.as_ref().clone(), left.as_ref().clone())),
        }
    }
    pairs
}

/// True where windows of this time have bounds that are the instants themselves.
pub(super) fn has_plain_bounds(node: &WindowFunction, zone: &str) -> bool {
    matches!(node.time_type, SqlType::Timestamp(_)) || zone == "UTC"
}
