//! Which row kinds each edge carries: what sources produce, what operators make of it, what sinks accept, and who needs
//! `-U`.

use crate::PlanError;
use crate::query::lower::{Facts, join_key, lookup_key};
use crate::query::materialize::{Materializing, drop_update_before, insert_materializers};
use crate::query::monotonic::rank_update_key;
use crate::query::not_null::NOT_NULL;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use std::sync::Arc;
use weir_types::{
    CalcSpec, ChangelogMode, Exchange, GroupAggregateSpec, JoinKind, NodeIndex, OperatorNode, OperatorSpec,
    RankSpec, RowKind, SourceSpec, TimedJoinBy, WindowProperty, WindowSpec,
};

/// Settles the modes of all nodes, which are in topological order.
pub(super) fn infer_changelog(
    nodes: &mut Vec<OperatorNode>,
    facts: &mut Vec<Facts>,
    materializing: Materializing,
) -> Result<(), PlanError> {
    settle(nodes, facts)?;
    for node in 0..nodes.len() {
        let inputs: Vec<_> = nodes[node].inputs.iter().map(|input| input.node.0).collect();
        if let OperatorSpec::Join(spec) = &mut nodes[node].spec {
            spec.left_unique = facts[inputs[0]].upsert_key.clone();
            spec.right_unique = facts[inputs[1]].upsert_key.clone();
        }
        facts[node].upsert_key = upsert_key(nodes, facts, node);
    }
    for node in 0..nodes.len() {
        let key = rank_update_key(nodes, facts, node);
        if let OperatorSpec::Rank(spec) = &mut nodes[node].spec {
            spec.update_key = key;
        }
    }
    settle(nodes, facts)?;
    insert_materializers(nodes, facts, materializing)?;
    leave_out_update_before(nodes, facts)?;
    settle(nodes, facts)?;
    drop_update_before(nodes, facts);
    let check =
        |node: usize| check_sink(nodes, facts, node).map_err(|error| error.at_position(facts[node].place));
    (0..nodes.len()).try_for_each(check)
}

fn settle(nodes: &mut [OperatorNode], facts: &[Facts]) -> Result<(), PlanError> {
    for node in 0..nodes.len() {
        let input = input_mode(nodes, node);
        let retracts: Vec<bool> =
            nodes[node].inputs.iter().map(|input| !nodes[input.node.0].changelog.is_insert_only()).collect();
        if let (OperatorSpec::Join(spec), [left, right]) = (&mut nodes[node].spec, &retracts[..]) {
            (spec.left_retracts, spec.right_retracts) = (*left, *right);
        }
        let partial = nodes[node].inputs.first().map(|input| &nodes[input.node.0].spec);
        let partial_retracts =
            matches!(partial, Some(OperatorSpec::LocalAggregate(spec)) if spec.input_retracts);
        let left_mode = nodes[node].inputs.first().map(|input| nodes[input.node.0].changelog);
        let left_mode = left_mode.unwrap_or(ChangelogMode::INSERT_ONLY);
        // Accumulators are only added, whatever rows they have seen.
        let input = if partial_retracts { ChangelogMode::ALL } else { input };
        nodes[node].changelog = produced(&mut nodes[node], &facts[node], input, left_mode)?;
    }
    Ok(())
}

/// All that comes in; `[I]` without inputs.
pub(super) fn input_mode(nodes: &[OperatorNode], node: usize) -> ChangelogMode {
    let inputs = nodes[node].inputs.iter().map(|input| nodes[input.node.0].changelog);
    inputs.fold(ChangelogMode::INSERT_ONLY, ChangelogMode::union)
}

/// What a node makes of its input.
fn produced(
    node: &mut OperatorNode,
    facts: &Facts,
    input: ChangelogMode,
    left_mode: ChangelogMode,
) -> Result<ChangelogMode, PlanError> {
    let retracts = !input.is_insert_only();
    match &mut node.spec {
        OperatorSpec::Source(_) => Ok(facts.connector.unwrap_or(ChangelogMode::INSERT_ONLY)),
        OperatorSpec::ChangelogNormalize(spec) => {
            Ok(updates(spec.emit_update_before).union(ChangelogMode::of(&[RowKind::Delete])))
        }
        OperatorSpec::SinkMaterialize(_) => Ok(ChangelogMode::UPSERT),
        OperatorSpec::Values(_) => Ok(ChangelogMode::INSERT_ONLY),
        OperatorSpec::WindowAggregate(spec) => {
            spec.input_retracts = retracts;
            Ok(ChangelogMode::INSERT_ONLY)
        }
        OperatorSpec::LocalAggregate(spec) => {
            spec.input_retracts = retracts;
            Ok(ChangelogMode::INSERT_ONLY)
        }
        OperatorSpec::GroupAggregate(spec) => {
            spec.input_retracts = retracts;
            Ok(group_mode(spec))
        }
        OperatorSpec::Rank(spec) => {
            spec.input_retracts = retracts && spec.update_key.is_none();
            Ok(rank_mode(spec))
        }
        OperatorSpec::OverAnyOrder(spec) => {
            spec.input_retracts = retracts;
            Ok(over_mode(spec.emit_update_before, retracts))
        }
        OperatorSpec::OverPartition(spec) => {
            spec.input_retracts = retracts;
            Ok(over_mode(spec.emit_update_before, retracts))
        }
        OperatorSpec::Deduplicate(spec) => Ok(match spec.keep_last {
            true => updates(spec.emit_update_before),
            false => ChangelogMode::INSERT_ONLY,
        }),
        OperatorSpec::TimedJoin(spec) if retracts && spec.by != TimedJoinBy::Version => {
            Err(PlanError::not_supported(format!("{} over updates {input}", node.label)))
        }
        // What a version was before is known: only changes of the left come out. Of an update the row before may find a version,
        // and the row after none.
        OperatorSpec::TimedJoin(_) => Ok(match left_mode.is_insert_only() {
            true => left_mode,
            false => left_mode.union(ChangelogMode::of(&[RowKind::Delete])),
        }),
        OperatorSpec::Join(spec) => match spec.kind {
            JoinKind::Inner | JoinKind::LeftSemi => Ok(input),
            // What stands beside NULLs is taken back by a match.
            _ => Ok(ChangelogMode::ALL),
        },
        OperatorSpec::Limit(_) | OperatorSpec::Match(_) if retracts => {
            Err(PlanError::not_supported(format!("{} over updates {input}", node.label)))
        }
        _ => Ok(input),
    }
}

fn updates(with_before: bool) -> ChangelogMode {
    let mode = ChangelogMode::of(&[RowKind::Insert, RowKind::UpdateAfter]);
    if with_before { mode.union(ChangelogMode::of(&[RowKind::UpdateBefore])) } else { mode }
}

/// OVER whose results are updated: rows go where they go in the input.
fn over_mode(with_before: bool, retracts: bool) -> ChangelogMode {
    let mode = updates(with_before);
    if retracts { mode.union(ChangelogMode::of(&[RowKind::Delete])) } else { mode }
}

fn rank_mode(spec: &RankSpec) -> ChangelogMode {
    let replaces_one = spec.end == 1 && !spec.input_retracts;
    let mut mode = match spec.shows_ranks() || replaces_one {
        true => updates(spec.emit_update_before),
        false => ChangelogMode::of(&[RowKind::Insert, RowKind::Delete]),
    };
    if spec.update_key.is_some() {
        mode = mode.union(updates(spec.emit_update_before));
    }
    if spec.input_retracts {
        mode = mode.union(ChangelogMode::of(&[RowKind::Delete]));
    }
    mode
}

/// True if no row of a node is ever taken back, as far as can be told while the job is built.
pub(super) fn is_insert_only(nodes: &[OperatorNode], facts: &[Facts], node: NodeIndex) -> bool {
    let below = || nodes[node.0].inputs.iter().all(|input| is_insert_only(nodes, facts, input.node));
    match &nodes[node.0].spec {
        OperatorSpec::Source(_) => facts[node.0].connector.is_none_or(|mode| mode.is_insert_only()),
        OperatorSpec::WindowAggregate(_) => true,
        OperatorSpec::GroupAggregate(spec) => spec.aggregates.is_empty() && below(),
        OperatorSpec::Join(spec) => matches!(spec.kind, JoinKind::Inner | JoinKind::LeftSemi) && below(),
        OperatorSpec::Rank(_)
        | OperatorSpec::OverAnyOrder(_)
        | OperatorSpec::OverPartition(_)
        | OperatorSpec::ChangelogNormalize(_)
        | OperatorSpec::SinkMaterialize(_)
        | OperatorSpec::DropUpdateBefore { .. } => false,
        OperatorSpec::TimedJoin(_) => {
            nodes[node.0].inputs.first().is_none_or(|left| is_insert_only(nodes, facts, left.node))
        }
        OperatorSpec::Deduplicate(spec) => !spec.keep_last,
        _ => below(),
    }
}

fn group_mode(spec: &GroupAggregateSpec) -> ChangelogMode {
    let mut mode = ChangelogMode::INSERT_ONLY;
    if spec.input_retracts {
        mode = mode.union(ChangelogMode::of(&[RowKind::Delete]));
    }
    // A group without aggregates is its key, which never changes.
    if !spec.aggregates.is_empty() {
        mode = mode.union(ChangelogMode::of(&[RowKind::UpdateAfter]));
        if spec.emit_update_before {
            mode = mode.union(ChangelogMode::of(&[RowKind::UpdateBefore]));
        }
    }
    mode
}

/// The columns by which updates of a node are told apart.
fn upsert_key(nodes: &[OperatorNode], facts: &[Facts], node: usize) -> Option<Vec<usize>> {
    if nodes[node].changelog.is_insert_only() {
        return None;
    }
    let through = |input: usize| {
        key_through(
            &nodes[node].inputs.get(input)?.exchange,
            facts[nodes[node].inputs[input].node.0].upsert_key.clone()?,
        )
    };
    let below = || through(0);
    match &nodes[node].spec {
        OperatorSpec::GroupAggregate(spec) => Some((0..spec.keys.len()).collect()),
        OperatorSpec::Rank(spec) => rank_key(spec, below),
        OperatorSpec::Source(spec) => source_key(spec),
        OperatorSpec::ChangelogNormalize(spec) => Some(spec.keys.clone()),
        OperatorSpec::SinkMaterialize(spec) => Some(spec.keys.clone()),
        OperatorSpec::Deduplicate(spec) => places_of(&spec.keys, &spec.columns),
        OperatorSpec::OverAnyOrder(spec) => places_of(&below()?, &spec.columns),
        OperatorSpec::OverPartition(spec) => places_of(&below()?, &spec.columns),
        OperatorSpec::Join(spec) => join_key(spec, through(0).as_deref(), through(1).as_deref()),
        OperatorSpec::LookupJoin(spec) => lookup_key(spec, below()),
        OperatorSpec::Calc(CalcSpec { projection: Some(projection), .. }) => projected(below()?, projection),
        OperatorSpec::Calc(_) | OperatorSpec::Watermark(_) | OperatorSpec::Sink(_) => below(),
        _ => None,
    }
}

/// Sets of columns whose values no two rows of a node share, whose rows are only inserted: its groups and windows are final.
pub(super) fn unique_keys(nodes: &[OperatorNode], node: usize) -> Vec<Vec<usize>> {
    let below = || nodes[node].inputs.first().map_or_else(Vec::new, |input| unique_keys(nodes, input.node.0));
    match &nodes[node].spec {
        OperatorSpec::WindowAggregate(spec) => {
            let first = spec.keys.len() + spec.aggregates.len();
            let tells = |property: &WindowProperty| match property {
                WindowProperty::End => true,
                // Those of CUMULATE begin together.
                WindowProperty::Start => !matches!(spec.window, WindowSpec::Cumulate { .. }),
                WindowProperty::RowTime | WindowProperty::ProcTime => false,
            };
            let edges = (0..spec.properties.len()).filter(|place| tells(&spec.properties[*place]));
            edges.map(|place| (0..spec.keys.len()).chain([first + place]).collect()).collect()
        }
        OperatorSpec::GroupAggregate(spec) => vec![(0..spec.keys.len()).collect()],
        OperatorSpec::Deduplicate(spec) => places_of(&spec.keys, &spec.columns).into_iter().collect(),
        OperatorSpec::Calc(CalcSpec { projection: Some(projection), .. }) => {
            below().into_iter().filter_map(|key| projected(key, projection)).collect()
        }
        OperatorSpec::Calc(_) | OperatorSpec::Watermark(_) => below(),
        _ => vec![],
    }
}

/// The key by which rows are told apart behind an exchange. A row whose columns change by which rows are distributed goes from
/// one subtask, and comes to another: what these give meets in any order, so that the old and the new row are two.
fn key_through(exchange: &Exchange, key: Vec<usize>) -> Option<Vec<usize>> {
    match exchange {
        Exchange::Hash(columns) => {
            let more: Vec<usize> = columns.iter().copied().filter(|column| !key.contains(column)).collect();
            Some(key.into_iter().chain(more).collect())
        }
        Exchange::Forward | Exchange::Broadcast => Some(key),
        Exchange::Rebalance => None,
    }
}

/// The primary key of a table of changes among the columns that are read.
fn source_key(spec: &SourceSpec) -> Option<Vec<usize>> {
    let key = &spec.table.primary_key;
    let place =
        |name: &String| spec.projection.iter().position(|column| spec.table.columns[*column].name == *name);
    if key.is_empty() { None } else { key.iter().map(place).collect() }
}

/// Where a projection hands the columns of a key on; `None` if it leaves one out.
fn projected(key: Vec<usize>, projection: &[Arc<dyn PhysicalExpr>]) -> Option<Vec<usize>> {
    let place = |key: usize| projection.iter().position(|expr| handed_on(expr) == Some(key));
    key.into_iter().map(place).collect()
}

/// Where `columns` of an input are among those that are given.
fn places_of(columns: &[usize], given: &[usize]) -> Option<Vec<usize>> {
    columns.iter().map(|column| given.iter().position(|given| given == column)).collect()
}

fn rank_key(spec: &RankSpec, input: impl FnOnce() -> Option<Vec<usize>>) -> Option<Vec<usize>> {
    if spec.start > 1 && !spec.outputs_rank {
        // An update puts another row in the place of one that has moved to a rank that is not shown.
        return None;
    }
    let partition = || places_of(&spec.partition, &spec.columns);
    if spec.end == 1 && partition().is_some() {
        return partition();
    }
    if spec.outputs_rank {
        return partition().map(|key| key.into_iter().chain([spec.columns.len()]).collect());
    }
    places_of(&input()?, &spec.columns)
}

/// The column that `expr` hands on unchanged.
pub(super) fn handed_on(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    if let Some(column) = expr.as_ref().downcast_ref::<Column>() {
        return Some(column.index());
    }
    let call = expr.as_ref().downcast_ref::<ScalarFunctionExpr>()?;
    (call.fun().name() == NOT_NULL).then(|| handed_on(&call.args()[0])).flatten()
}

/// Aggregations emit `-U` only if somebody downstream needs it.
fn leave_out_update_before(nodes: &mut [OperatorNode], facts: &[Facts]) -> Result<(), PlanError> {
    let mut needed = vec![false; nodes.len()];
    for node in (0..nodes.len()).rev() {
        let wants = match &nodes[node].spec {
            OperatorSpec::Sink(_) => {
                sink_wants(nodes, facts, node).map_err(|error| error.at_position(facts[node].place))?
            }
            // A condition judges the row before an update by itself: without it a row that no longer fits would stay.
            OperatorSpec::Calc(calc) => calc.filter.is_some() || needed[node],
            // A row that is to be updated is known by its key.
            OperatorSpec::ChangelogNormalize(_) => false,
            OperatorSpec::Rank(rank) => rank.update_key.is_none(),
            OperatorSpec::Watermark(_) | OperatorSpec::Expand(_) | OperatorSpec::Union => needed[node],
            _ => true,
        };
        for input in nodes[node].inputs.clone() {
            needed[input.node.0] |= wants;
        }
        match &mut nodes[node].spec {
            OperatorSpec::GroupAggregate(spec) => spec.emit_update_before = needed[node],
            OperatorSpec::Rank(spec) => spec.emit_update_before = needed[node],
            OperatorSpec::OverAnyOrder(spec) => spec.emit_update_before = needed[node],
            OperatorSpec::OverPartition(spec) => spec.emit_update_before = needed[node],
            OperatorSpec::Deduplicate(spec) => spec.emit_update_before = needed[node],
            OperatorSpec::ChangelogNormalize(spec) => spec.emit_update_before = needed[node],
            _ => {}
        }
    }
    Ok(())
}

fn sink_wants(nodes: &[OperatorNode], facts: &[Facts], node: usize) -> Result<bool, PlanError> {
    let accepts = facts[node].connector.unwrap_or(ChangelogMode::ALL);
    let input = input_mode(nodes, node);
    if accepts.contains(RowKind::UpdateBefore) || !input.contains(RowKind::UpdateAfter) {
        return Ok(true);
    }
    if !accepts.contains(RowKind::UpdateAfter) {
        return Ok(true);
    }
    let OperatorSpec::Sink(sink) = &nodes[node].spec else { return Ok(true) };
    let name = &sink.table.name;
    // A sink that keeps nothing by a key needs none.
    let needs_key = !facts[node].keyed_sink;
    if sink.table.primary_key.is_empty() && needs_key {
        return Err(PlanError::invalid(format!(
            "table sink '{name}' takes updates by key: declare its PRIMARY KEY (..) NOT ENFORCED"
        )));
    }
    let key = facts[nodes[node].inputs[0].node.0].upsert_key.clone();
    let columns = |places: Vec<usize>| -> Vec<String> {
        places.into_iter().map(|place| nodes[node].schema.field(place).name().clone()).collect()
    };
    let by_key = key.map(columns);
    // A key that is only a part of the primary key would leave the row under its former primary key behind.
    let primary = &sink.table.primary_key;
    let matches = by_key.as_ref().is_some_and(|key| {
        key.iter().all(|column| primary.contains(column)) && primary.iter().all(|column| key.contains(column))
    });
    if matches || !needs_key {
        return Ok(false);
    }
    let by = by_key.map_or_else(|| "no key".to_string(), |key| format!("({})", key.join(", ")));
    Err(PlanError::not_supported(format!(
        "writing updates to table sink '{name}' by its primary key ({}), while the query updates rows by {by}: make \
         them the same, or set 'table.exec.sink.upsert-materialize' to 'AUTO'",
        sink.table.primary_key.join(", ")
    )))
}

fn check_sink(nodes: &[OperatorNode], facts: &[Facts], node: usize) -> Result<(), PlanError> {
    let OperatorSpec::Sink(sink) = &nodes[node].spec else { return Ok(()) };
    let accepts = facts[node].connector.unwrap_or(ChangelogMode::ALL);
    let input = input_mode(nodes, node);
    if accepts.contains_all(input) {
        return Ok(());
    }
    let lacks = |kind| input.contains(kind) && !accepts.contains(kind);
    let changes = match (lacks(RowKind::UpdateAfter), lacks(RowKind::Delete)) {
        (true, true) => "update and delete changes",
        (false, true) => "delete changes",
        _ => "update changes",
    };
    let label = &nodes[producer(nodes, node)].label;
    Err(PlanError::invalid(format!(
        "table sink '{}' doesn't support consuming {changes} which is produced by node {label}: group by a window, \
         whose result is final, or write to a sink that takes changes",
        sink.table.name
    )))
}

/// The nearest node above which rows are only inserted.
fn producer(nodes: &[OperatorNode], node: usize) -> usize {
    let changing = nodes[node].inputs.iter().find(|input| !nodes[input.node.0].changelog.is_insert_only());
    match changing {
        Some(input) => producer(nodes, input.node.0),
        None => node,
    }
}
