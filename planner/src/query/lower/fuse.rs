//! An aggregation takes over the window of the table function below it, so that rows need not be copied into windows
//! before they are aggregated.

use crate::query::expand::Expand;
use crate::query::origin::WindowKeys;
use crate::query::unnest::Unnest;
use crate::query::window_function::WindowFunction;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, Result};
use datafusion_expr::logical_plan::{Extension, Filter, SubqueryAlias};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;
use weir_types::{TimeAttribute, WindowSpec};

/// What becomes of the window of an aggregation.
pub(super) enum Fused {
    /// The aggregation assigns windows itself, over `plan`; `time` is the rowtime column there. Conditions on the
    /// window's bounds are left for after it, over [`bound_column`]s.
    Into { plan: Box<LogicalPlan>, time: Option<Column>, after: Vec<Expr> },
    /// Rows carry their windows.
    Attached,
    /// Rows carry sessions, and what is grouped by is not what they were partitioned by. Their bounds are keys like
    /// others then, as in Flink: sessions of different partitions may have the same bounds.
    Ungrouped,
}

/// A plan without the window function, and what became of its columns.
struct Stripped {
    plan: LogicalPlan,
    time: Column,
    /// columns of the window function's input, and what they are called here
    renamed: Vec<(Column, Column)>,
    /// the window's own columns as they are called here, which the plan does not have: part, name
    bounds: Vec<(usize, Column)>,
    /// conditions over [`bound_column`]s
    after: Vec<Expr>,
}

/// Stands for a column of the window in a condition that comes after the aggregation: 0 start, 1 end, 2 time.
pub(super) fn bound_column(part: usize) -> Column {
    Column::new_unqualified(format!("$window{part}"))
}

pub(super) fn fuse(aggregate: &Aggregate, window: &WindowKeys<'_>) -> Result<Fused> {
    let session = matches!(window.node.spec, WindowSpec::Session { .. });
    if !reaches(&aggregate.input, window.node) {
        // The windows come from an aggregation below: they are what they are.
        return Ok(Fused::Attached);
    }
    let is_bound =
        |place: usize| place == window.start || place == window.end || window.times.contains(&place);
    let keys =
        aggregate.group_expr.iter().enumerate().filter(|(place, _)| !is_bound(*place)).map(|(_, key)| key);
    let partitions: Vec<Option<Column>> =
        keys.clone().map(|key| source(&aggregate.input, key.try_as_col()?, window.node)).collect();
    let same_partitions =
        partitions.iter().all(|key| key.as_ref().is_some_and(|key| window.node.partition.contains(key)))
            && window
                .node
                .partition
                .iter()
                .all(|column| partitions.iter().any(|key| key.as_ref() == Some(column)));
    let refused = || Ok(if session && !same_partitions { Fused::Ungrouped } else { Fused::Attached });
    if session && !same_partitions {
        return refused();
    }
    let Some(stripped) = strip(&aggregate.input, window.node)? else { return refused() };
    let read = keys.clone().chain(&aggregate.aggr_expr);
    if !read.clone().all(|expr| readable(expr, &stripped.plan)) {
        return refused();
    }
    // A condition on the window's time needs it among the keys.
    if window.times.is_empty()
        && stripped.after.iter().any(|expr| expr.column_refs().contains(&bound_column(2)))
    {
        return refused();
    }
    let time = (window.node.attribute == TimeAttribute::RowTime).then_some(stripped.time);
    Ok(Fused::Into { plan: Box::new(stripped.plan), time, after: stripped.after })
}

/// True if nothing but projections, filters and the like stands between `plan` and `node`.
fn reaches(plan: &LogicalPlan, node: &WindowFunction) -> bool {
    if let Some(found) = WindowFunction::of(plan) {
        return std::ptr::eq(found, node);
    }
    match plan {
        LogicalPlan::Projection(projection) => reaches(&projection.input, node),
        LogicalPlan::SubqueryAlias(alias) => reaches(&alias.input, node),
        LogicalPlan::Filter(filter) => reaches(&filter.input, node),
        LogicalPlan::Extension(_) => {
            Expand::of(plan).is_some_and(|expand| reaches(&expand.input, node))
                || Unnest::of(plan).is_some_and(|unnest| reaches(&unnest.input, node))
        }
        _ => false,
    }
}

/// The column of the input of `node` that `column` of `plan` hands on unchanged.
fn source(plan: &LogicalPlan, column: &Column, node: &WindowFunction) -> Option<Column> {
    if WindowFunction::of(plan).is_some() {
        return node.appended(column).is_none().then(|| column.clone());
    }
    match plan {
        LogicalPlan::Projection(projection) => {
            let place = projection.schema.maybe_index_of_column(column)?;
            let inner = projection.expr[place].clone().unalias_nested().data;
            source(&projection.input, inner.try_as_col()?, node)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let place = alias.schema.maybe_index_of_column(column)?;
            source(&alias.input, &Column::from(alias.input.schema().qualified_field(place)), node)
        }
        LogicalPlan::Filter(filter) => source(&filter.input, column, node),
        LogicalPlan::Extension(_) => match (Expand::of(plan), Unnest::of(plan)) {
            (Some(expand), _) => source(&expand.input, &expand.passes(column)?, node),
            (_, Some(unnest)) if !unnest.appended().contains(column) => source(&unnest.input, column, node),
            _ => None,
        },
        _ => None,
    }
}

/// True if `plan` has all columns that `expr` reads.
fn readable(expr: &Expr, plan: &LogicalPlan) -> bool {
    expr.column_refs().iter().all(|column| plan.schema().has_column(column))
}

/// `plan` without `node`; `None` if something in between needs the window's columns.
fn strip(plan: &LogicalPlan, node: &WindowFunction) -> Result<Option<Stripped>> {
    if WindowFunction::of(plan).is_some() {
        let input = node.input.as_ref().clone();
        let renamed = input.schema().columns().into_iter().map(|column| (column.clone(), column)).collect();
        let bounds = node.names.iter().enumerate().map(|(part, name)| (part, Column::new_unqualified(name)));
        let (time, bounds, after) = (node.time.clone(), bounds.collect(), vec![]);
        return Ok(Some(Stripped { plan: input, time, renamed, bounds, after }));
    }
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(below) = strip(&alias.input, node)? else { return Ok(None) };
            let table = &alias.alias;
            let rename = |column: Column| Column::new(Some(table.clone()), column.name);
            let renamed = below.renamed.into_iter().map(|(from, to)| (from, rename(to))).collect();
            let bounds = below.bounds.into_iter().map(|(part, to)| (part, rename(to))).collect();
            let plan = SubqueryAlias::try_new(Arc::new(below.plan), table.clone())?;
            let (plan, time) = (LogicalPlan::SubqueryAlias(plan), rename(below.time));
            Ok(Some(Stripped { plan, time, renamed, bounds, after: below.after }))
        }
        LogicalPlan::Filter(filter) => match strip(&filter.input, node)? {
            Some(below) => strip_filter(&filter.predicate, below),
            None => Ok(None),
        },
        LogicalPlan::Projection(projection) => strip_projection(&projection.expr, &projection.input, node),
        LogicalPlan::Extension(_) => match Expand::of(plan) {
            Some(expand) => strip_expand(expand, node),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Conditions on rows go below the window, those on its bounds behind the aggregation. Rows that fail are in no session
/// then: a session that is aggregated as it was partitioned is one of the rows that pass, as in Flink.
fn strip_filter(predicate: &Expr, mut below: Stripped) -> Result<Option<Stripped>> {
    if predicate.is_volatile() {
        return Ok(None);
    }
    let mut before = vec![];
    for part in split_conjunction(predicate) {
        let columns = part.column_refs();
        if readable(part, &below.plan) {
            before.push(part.clone());
        } else if columns.iter().all(|column| below.bounds.iter().any(|(_, bound)| bound == *column)) {
            below.after.push(on_bounds(part, &below.bounds)?);
        } else {
            return Ok(None);
        }
    }
    if let Some(condition) = conjunction(before) {
        below.plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(below.plan))?);
    }
    Ok(Some(below))
}

/// A condition on columns of the window, in terms of [`bound_column`]s.
fn on_bounds(expr: &Expr, bounds: &[(usize, Column)]) -> Result<Expr> {
    let replace = |expr: Expr| {
        let part = expr.try_as_col().and_then(|column| bounds.iter().find(|(_, bound)| bound == column));
        Ok(match part {
            Some((part, _)) => Transformed::yes(Expr::Column(bound_column(*part))),
            None => Transformed::no(expr),
        })
    };
    Ok(expr.clone().transform_up(replace)?.data)
}

/// Drops the window's own columns, and keeps the time column.
fn strip_projection(exprs: &[Expr], input: &LogicalPlan, node: &WindowFunction) -> Result<Option<Stripped>> {
    let Some(below) = strip(input, node)? else { return Ok(None) };
    let mut kept = vec![];
    let mut renamed: Vec<(Column, Column)> = vec![];
    let mut bounds: Vec<(usize, Column)> = vec![];
    let mut time = None;
    for expr in exprs {
        let inner = expr.clone().unalias_nested().data;
        if readable(&inner, &below.plan) {
            if let Expr::Column(column) = &inner {
                let (table, name) = expr.qualified_name();
                let here = Column::new(table, name);
                let from = below.renamed.iter().find(|(_, to)| to == column).map(|(from, _)| from.clone());
                renamed.extend(from.map(|from| (from, here.clone())));
                time = time.or_else(|| (*column == below.time).then_some(here));
            }
            kept.push(expr.clone());
        } else {
            let part =
                inner.try_as_col().and_then(|column| below.bounds.iter().find(|(_, bound)| bound == column));
            let Some((part, _)) = part else { return Ok(None) };
            let (table, name) = expr.qualified_name();
            bounds.push((*part, Column::new(table, name)));
        }
    }
    let time = match time {
        Some(time) => time,
        None if node.attribute == TimeAttribute::ProcTime => below.time.clone(),
        None => keep_time(&below.time, &mut kept),
    };
    let plan = LogicalPlanBuilder::from(below.plan).project(kept)?.build()?;
    Ok(Some(Stripped { plan, time, renamed, bounds, after: below.after }))
}

/// Adds the time column, under its own name unless another column is called so.
fn keep_time(time: &Column, kept: &mut Vec<Expr>) -> Column {
    let clashes = kept.iter().any(|expr| expr.qualified_name().1 == time.name);
    if !clashes {
        kept.push(Expr::Column(time.clone()));
        return time.clone();
    }
    let name = "$rowtime";
    kept.push(Expr::Column(time.clone()).alias(name));
    Column::new_unqualified(name)
}

/// The window's bounds are in every set: they leave the sets with the window.
fn strip_expand(expand: &Expand, node: &WindowFunction) -> Result<Option<Stripped>> {
    let Some(below) = strip(&expand.input, node)? else { return Ok(None) };
    let gone = |key: usize| !below.plan.schema().has_column(&expand.keys[key]);
    if (0..expand.keys.len()).any(|key| gone(key) && !expand.always(key)) || expand.keys.contains(&below.time)
    {
        return Ok(None);
    }
    let kept: Vec<usize> = (0..expand.keys.len()).filter(|key| !gone(*key)).collect();
    let plan = expand.without_keys(&kept, below.plan)?;
    let plan = LogicalPlan::Extension(Extension { node: Arc::new(plan) });
    // A key that some sets leave out is no longer the column that it was.
    let renamed = below.renamed.into_iter().filter(|(_, to)| !expand.keys.contains(to)).collect();
    let bounds = below.bounds.into_iter().filter(|(_, bound)| !expand.keys.contains(bound)).collect();
    Ok(Some(Stripped { plan, time: below.time, renamed, bounds, after: below.after }))
}
