//! An aggregation takes over the window of the table function below it, so that rows need not be copied into windows
//! before they are aggregated.

use crate::query::expand::Expand;
use crate::query::origin::WindowKeys;
use crate::query::window_function::WindowFunction;
use datafusion_common::{Column, Result};
use datafusion_expr::logical_plan::{Extension, Filter, SubqueryAlias};
use datafusion_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;
use weir_types::{TimeAttribute, WindowSpec};

/// What becomes of the window of an aggregation.
pub(super) enum Fused {
    /// The aggregation assigns windows itself, over `plan`; `time` is the rowtime column there.
    Into { plan: LogicalPlan, time: Option<Column> },
    /// A session whose partition is not what is grouped by, or whose rows are touched in between.
    SessionOf { partition: String },
    /// Rows carry their windows.
    Attached,
}

/// A plan without the window function, and what became of its columns.
struct Stripped {
    plan: LogicalPlan,
    time: Column,
    /// columns of the window function's input, and what they are called here
    renamed: Vec<(Column, Column)>,
}

pub(super) fn fuse(aggregate: &Aggregate, window: &WindowKeys<'_>) -> Result<Fused> {
    let session = matches!(window.node.spec, WindowSpec::Session { .. });
    let refused = || {
        let names: Vec<&str> = window.node.partition.iter().map(|column| column.name.as_str()).collect();
        Ok(if session { Fused::SessionOf { partition: names.join(", ") } } else { Fused::Attached })
    };
    if !reaches(&aggregate.input, window.node) {
        // The windows come from an aggregation below: they are what they are.
        return Ok(Fused::Attached);
    }
    let Some(stripped) = strip(&aggregate.input, window.node)? else { return refused() };
    let is_bound = |place: usize| place == window.start || place == window.end || window.times.contains(&place);
    let keys = aggregate.group_expr.iter().enumerate().filter(|(place, _)| !is_bound(*place)).map(|(_, key)| key);
    let read = keys.clone().chain(&aggregate.aggr_expr);
    if !read.clone().all(|expr| readable(expr, &stripped.plan)) {
        return refused();
    }
    if session {
        let mut partition: Vec<Option<&Column>> = vec![];
        for column in &window.node.partition {
            partition.push(stripped.renamed.iter().find(|(from, _)| from == column).map(|(_, to)| to));
        }
        let keys: Vec<Option<&Column>> = keys.map(|key| key.try_as_col()).collect();
        let same = keys.iter().all(|key| key.is_some() && partition.contains(key))
            && partition.iter().all(|column| column.is_some() && keys.contains(column));
        if !same {
            return refused();
        }
    }
    let time = (window.node.attribute == TimeAttribute::RowTime).then_some(stripped.time);
    Ok(Fused::Into { plan: stripped.plan, time })
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
        LogicalPlan::Extension(_) => Expand::of(plan).is_some_and(|expand| reaches(&expand.input, node)),
        _ => false,
    }
}

/// True if `plan` has all columns that `expr` reads.
fn readable(expr: &Expr, plan: &LogicalPlan) -> bool {
    expr.column_refs().iter().all(|column| plan.schema().has_column(column))
}

/// `plan` without `node`; `None` if something in between needs the window's columns, or changes a session's rows.
fn strip(plan: &LogicalPlan, node: &WindowFunction) -> Result<Option<Stripped>> {
    if WindowFunction::of(plan).is_some() {
        let input = node.input.as_ref().clone();
        let renamed = input.schema().columns().into_iter().map(|column| (column.clone(), column)).collect();
        return Ok(Some(Stripped { plan: input, time: node.time.clone(), renamed }));
    }
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(below) = strip(&alias.input, node)? else { return Ok(None) };
            let table = &alias.alias;
            let rename = |column: Column| Column::new(Some(table.clone()), column.name);
            let renamed = below.renamed.into_iter().map(|(from, to)| (from, rename(to))).collect();
            let plan = SubqueryAlias::try_new(Arc::new(below.plan), table.clone())?;
            Ok(Some(Stripped { plan: LogicalPlan::SubqueryAlias(plan), time: rename(below.time), renamed }))
        }
        LogicalPlan::Filter(filter) => {
            let Some(below) = strip(&filter.input, node)? else { return Ok(None) };
            let partition = |column: &&Column| {
                let from = below.renamed.iter().find(|(_, to)| to == *column).map(|(from, _)| from);
                from.is_some_and(|from| node.partition.contains(from))
            };
            let session = matches!(node.spec, WindowSpec::Session { .. });
            let harmless = !session || filter.predicate.column_refs().iter().all(partition);
            if !harmless || !readable(&filter.predicate, &below.plan) || filter.predicate.is_volatile() {
                return Ok(None);
            }
            let plan = LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(below.plan))?);
            Ok(Some(Stripped { plan, ..below }))
        }
        LogicalPlan::Projection(projection) => strip_projection(&projection.expr, &projection.input, node),
        LogicalPlan::Extension(_) => match Expand::of(plan) {
            Some(expand) => strip_expand(expand, node),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Drops the window's own columns, and keeps the time column.
fn strip_projection(exprs: &[Expr], input: &LogicalPlan, node: &WindowFunction) -> Result<Option<Stripped>> {
    let Some(below) = strip(input, node)? else { return Ok(None) };
    let mut kept = vec![];
    let mut renamed: Vec<(Column, Column)> = vec![];
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
        } else if !matches!(inner, Expr::Column(_)) {
            return Ok(None);
        }
    }
    let time = match time {
        Some(time) => time,
        None if node.attribute == TimeAttribute::ProcTime => below.time.clone(),
        None => {
            kept.push(Expr::Column(below.time.clone()).alias("$rowtime"));
            Column::new_unqualified("$rowtime")
        }
    };
    let plan = LogicalPlanBuilder::from(below.plan).project(kept)?.build()?;
    Ok(Some(Stripped { plan, time, renamed }))
}

/// The window's bounds are in every set: they leave the sets with the window.
fn strip_expand(expand: &Expand, node: &WindowFunction) -> Result<Option<Stripped>> {
    let Some(below) = strip(&expand.input, node)? else { return Ok(None) };
    let gone = |key: usize| !below.plan.schema().has_column(&expand.keys[key]);
    if (0..expand.keys.len()).any(|key| gone(key) && !expand.always(key)) || expand.keys.contains(&below.time) {
        return Ok(None);
    }
    let kept: Vec<usize> = (0..expand.keys.len()).filter(|key| !gone(*key)).collect();
    let plan = expand.without_keys(&kept, below.plan)?;
    let plan = LogicalPlan::Extension(Extension { node: Arc::new(plan) });
    // A key that some sets leave out is no longer the column that it was.
    let renamed = below.renamed.into_iter().filter(|(_, to)| !expand.keys.contains(to)).collect();
    Ok(Some(Stripped { plan, time: below.time, renamed }))
}
