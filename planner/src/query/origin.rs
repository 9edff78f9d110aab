//! Where a column comes from, as far as time and windows are concerned.
//!
//! Metadata of fields would survive expressions that it no longer describes; the plan itself does not lie.

use crate::query::as_of::AsOf;
use crate::query::expand::Expand;
use crate::query::lookup::Lookup;
use crate::query::match_recognize::MatchRecognize;
use crate::query::state_ttl::StateTtl;
use crate::query::table_source::TableScanSource;
use crate::query::time_bounds::compares_times;
use crate::query::unnest::Unnest;
use crate::query::window_function::WindowFunction;
use datafusion_common::Column;
use datafusion_expr::{Aggregate, Expr, LogicalPlan};
use weir_types::TimeAttribute;

/// What a column carries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// The time of the rows.
    Time(TimeAttribute),
    /// A bound of the window of the row: 0 its start, 1 its end, 2 its time. The node is the one that assigned it.
    Window { part: usize, node: &'a WindowFunction },
}

/// What `column` of `plan` carries; `None` for ordinary data.
pub(super) fn origin<'a>(plan: &'a LogicalPlan, column: &Column) -> Option<Origin<'a>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let place = projection.schema.maybe_index_of_column(column)?;
            expr_origin(&projection.input, &projection.expr[place])
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let place = alias.schema.maybe_index_of_column(column)?;
            origin(&alias.input, &column_at(&alias.input, place))
        }
        LogicalPlan::Filter(filter) => origin(&filter.input, column),
        LogicalPlan::Limit(limit) => origin(&limit.input, column),
        LogicalPlan::Window(window) => {
            window.input.schema().has_column(column).then(|| origin(&window.input, column)).flatten()
        }
        LogicalPlan::Sort(sort) => origin(&sort.input, column),
        LogicalPlan::Join(join) => {
            let side = if join.left.schema().has_column(column) { &join.left } else { &join.right };
            // In this order: asking each join what it compares, down to the first, would take twice as long with each.
            origin(side, column).filter(|_| compares_times(join))
        }
        LogicalPlan::TableScan(scan) => {
            let source = TableScanSource::of(&scan.source)?;
            let field = source.table().schema.field_with_name(&column.name).ok()?;
            TimeAttribute::of(field).map(Origin::Time)
        }
        LogicalPlan::Union(union) => union_origin(plan, &union.inputs, column),
        LogicalPlan::Aggregate(aggregate) => aggregate_origin(aggregate, column),
        LogicalPlan::Distinct(datafusion_expr::Distinct::All(input)) => {
            let windowed = window_columns(input, &input.schema().columns());
            windowed.and_then(|_| origin(input, column)).filter(is_window)
        }
        LogicalPlan::Extension(_) => {
            if let Some(node) = WindowFunction::of(plan) {
                return match node.appended(column) {
                    Some(part) => Some(Origin::Window { part, node }),
                    None => origin(&node.input, column),
                };
            }
            if let Some(node) = StateTtl::of(plan) {
                return origin(&node.input, column);
            }
            if let Some(join) = AsOf::of(plan) {
                return join.left.schema().has_column(column).then(|| origin(&join.left, column)).flatten();
            }
            if let Some(join) = Lookup::of(plan) {
                return join.left.schema().has_column(column).then(|| origin(&join.left, column)).flatten();
            }
            if let Some(unnest) = Unnest::of(plan) {
                return origin(&unnest.input, column).filter(|_| !unnest.appended().contains(column));
            }
            if let Some(node) = MatchRecognize::of(plan) {
                return node.time_of(column).map(Origin::Time);
            }
            let expand = Expand::of(plan)?;
            expand.passes(column).and_then(|column| origin(&expand.input, &column))
        }
        _ => None,
    }
}

/// What the value of `expr` over `plan` carries.
pub(super) fn expr_origin<'a>(plan: &'a LogicalPlan, expr: &Expr) -> Option<Origin<'a>> {
    match expr {
        Expr::Alias(alias) => expr_origin(plan, &alias.expr),
        Expr::Column(column) => origin(plan, column),
        Expr::ScalarFunction(call) if call.func.name().eq_ignore_ascii_case("PROCTIME") => {
            Some(Origin::Time(TimeAttribute::ProcTime))
        }
        _ => None,
    }
}

/// The attribute of a column for whoever reads the result.
pub(super) fn time_attribute_of(plan: &LogicalPlan, column: &Column) -> Option<TimeAttribute> {
    match origin(plan, column)? {
        Origin::Time(attribute) => Some(attribute),
        Origin::Window { part: 2, node } => Some(node.attribute),
        Origin::Window { .. } => None,
    }
}

fn is_window(origin: &Origin<'_>) -> bool {
    matches!(origin, Origin::Window { .. })
}

fn column_at(plan: &LogicalPlan, place: usize) -> Column {
    Column::from(plan.schema().qualified_field(place))
}

/// A union keeps a time attribute that all of its inputs have; windows of different inputs are different windows.
fn union_origin<'a>(
    plan: &LogicalPlan,
    inputs: &'a [std::sync::Arc<LogicalPlan>],
    column: &Column,
) -> Option<Origin<'a>> {
    let place = plan.schema().maybe_index_of_column(column)?;
    let mut attributes = inputs.iter().map(|input| time_attribute_of(input, &column_at(input, place)));
    let first = attributes.next()??;
    attributes.all(|other| other == Some(first)).then_some(Origin::Time(first))
}

/// An aggregation by window keeps what its keys say of the window; any other materialises time.
fn aggregate_origin<'a>(aggregate: &'a Aggregate, column: &Column) -> Option<Origin<'a>> {
    let place = aggregate.schema.maybe_index_of_column(column)?;
    window_keys(aggregate)?;
    let key = aggregate.group_expr.get(place)?;
    expr_origin(&aggregate.input, key).filter(is_window)
}

/// Places among the keys of an aggregation by window: of the start, of the end, of times (any number of them).
pub(super) struct WindowKeys<'a> {
    pub node: &'a WindowFunction,
    pub start: usize,
    pub end: usize,
    pub times: Vec<usize>,
}

/// The window that `aggregate` groups by: both its bounds are among the keys.
pub(super) fn window_keys(aggregate: &Aggregate) -> Option<WindowKeys<'_>> {
    let origins = aggregate.group_expr.iter().map(|key| expr_origin(&aggregate.input, key));
    window_of(origins)
}

/// The same for columns that are taken as keys all together.
pub(super) fn window_columns<'a>(plan: &'a LogicalPlan, columns: &[Column]) -> Option<WindowKeys<'a>> {
    window_of(columns.iter().map(|column| origin(plan, column)))
}

fn window_of<'a>(origins: impl Iterator<Item = Option<Origin<'a>>>) -> Option<WindowKeys<'a>> {
    let (mut start, mut end, mut times) = (None, None, vec![]);
    for (place, origin) in origins.enumerate() {
        match origin {
            Some(Origin::Window { part: 0, node }) => start = start.or(Some((place, node))),
            Some(Origin::Window { part: 1, node }) => end = end.or(Some((place, node))),
            Some(Origin::Window { node, .. }) => times.push((place, node)),
            _ => {}
        }
    }
    let ((start, node), (end, other)) = (start?, end?);
    if !std::ptr::eq(node, other) {
        return None;
    }
    let times = times.into_iter().filter(|(_, other)| std::ptr::eq(node, *other)).map(|(place, _)| place);
    Some(WindowKeys { node, start, end, times: times.collect() })
}
