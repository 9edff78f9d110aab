//! Where the primary key of a sink is not the key by which the query updates rows, or the sink takes no `-U`.

use crate::PlanError;
use crate::query::changelog::{input_mode, unique_keys};
use crate::query::lower::{Facts, plain_name};
use weir_types::{
    ChangelogMode, Exchange, Input, NodeIndex, OnConflict, OperatorId, OperatorNode, OperatorSpec, RowKind,
    SinkMaterializeSpec, StateNote,
};

/// `table.exec.sink.upsert-materialize`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Materialize {
    Auto,
    Never,
    Always,
}

impl Materialize {
    pub fn of(setting: Option<&str>) -> Materialize {
        match setting {
            Some("NONE") => Materialize::Never,
            Some("FORCE") => Materialize::Always,
            _ => Materialize::Auto,
        }
    }
}

/// What settings say of materialisers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Materializing {
    pub when: Materialize,
    /// `table.exec.sink.require-on-conflict`
    pub require_on_conflict: bool,
}

/// Puts a materialiser in front of each sink that needs one. Upsert keys and modes of the nodes are known.
pub(super) fn insert_materializers(
    nodes: &mut Vec<OperatorNode>,
    facts: &mut Vec<Facts>,
    settings: Materializing,
) -> Result<(), PlanError> {
    let mut place = 0;
    while place < nodes.len() {
        if let Some((spec, reason)) = materializer(nodes, facts, place, settings)? {
            insert(nodes, facts, place, spec, &reason);
            place += 1;
        }
        place += 1;
    }
    Ok(())
}

/// What is to stand in front of node `node`, and why; `None` if nothing is.
fn materializer(
    nodes: &[OperatorNode],
    facts: &[Facts],
    node: usize,
    settings: Materializing,
) -> Result<Option<(SinkMaterializeSpec, String)>, PlanError> {
    let OperatorSpec::Sink(sink) = &nodes[node].spec else { return Ok(None) };
    let keys: Option<Vec<usize>> =
        sink.table.primary_key.iter().map(|name| nodes[node].schema.index_of(name).ok()).collect();
    let keys = keys.unwrap_or_default();
    let accepts = facts[node].connector.unwrap_or(ChangelogMode::ALL);
    let takes_upserts = accepts.contains(RowKind::UpdateAfter) && !accepts.contains(RowKind::UpdateBefore);
    let replaces = !keys.is_empty() && (takes_upserts || facts[node].keyed_sink);
    if let Some((action, place)) = facts[node].conflict {
        check_clause(nodes, node, action, replaces, settings).map_err(|error| error.at_position(place))?;
    }
    if !replaces || settings.when == Materialize::Never {
        return Ok(None);
    }
    let conflict = facts[node].conflict.map(|(action, _)| action);
    let input = nodes[node].inputs[0].node.0;
    let insert_only = input_mode(nodes, node).is_insert_only();
    let unique = match insert_only {
        true => {
            let found = unique_keys(nodes, input);
            let within = found.iter().find(|unique| unique.iter().all(|column| keys.contains(column)));
            within.or(found.first()).cloned()
        }
        false => facts[input].upsert_key.clone(),
    };
    let spec = SinkMaterializeSpec {
        sink: plain_name(&sink.table.name).to_string(),
        keys,
        on_conflict: conflict.unwrap_or(OnConflict::Deduplicate),
        unique,
    };
    if settings.when == Materialize::Always {
        return Ok(Some((spec, "'table.exec.sink.upsert-materialize' is 'FORCE'".to_string())));
    }
    let names = |columns: &[usize]| {
        let names: Vec<&str> =
            columns.iter().map(|column| nodes[node].schema.field(*column).name().as_str()).collect();
        names.join(", ")
    };
    let verb = if insert_only { "tells rows apart" } else { "updates rows" };
    let reason = match &spec.unique {
        None => format!("the query has no key by which it {verb}"),
        Some(unique) => {
            let held = unique.iter().all(|column| spec.keys.contains(column));
            // A row whose primary key changes while its own key stays is first taken back, which takes `-U`.
            if held && (!takes_upserts || insert_only || unique.len() == spec.keys.len()) {
                return Ok(None);
            }
            let (own, primary) = (names(unique), names(&spec.keys));
            format!("the query {verb} by ({own}), the sink has them by PRIMARY KEY ({primary})")
        }
    };
    if settings.require_on_conflict && conflict.is_none() && (takes_upserts || !insert_only) {
        let message = format!(
            "rows of the query may have one primary key in '{}': {reason}; say behind the query what becomes of them, \
             ON CONFLICT DO DEDUPLICATE (the last is written, all are kept in the state), DO NOTHING (the first is written) \
             or DO ERROR, or set 'table.exec.sink.require-on-conflict' to 'false'",
            spec.sink
        );
        return Err(PlanError::invalid(message).at_position(facts[node].place));
    }
    // The last row that is inserted replaces the others in the sink itself.
    let replaced_there = insert_only && !spec.on_conflict.waits();
    Ok((!replaced_there).then_some((spec, reason)))
}

/// ON CONFLICT for a sink that it can say nothing of, or whose sources do not tell when changes are complete.
fn check_clause(
    nodes: &[OperatorNode],
    node: usize,
    action: OnConflict,
    replaces: bool,
    settings: Materializing,
) -> Result<(), PlanError> {
    let OperatorSpec::Sink(sink) = &nodes[node].spec else { return Ok(()) };
    let name = plain_name(&sink.table.name);
    if sink.table.primary_key.is_empty() {
        let message =
            format!("ON CONFLICT is about rows of one primary key: '{name}' declares no PRIMARY KEY");
        return Err(PlanError::invalid(message));
    }
    if !replaces {
        let connector = sink.table.option("connector").unwrap_or_default();
        return Err(PlanError::invalid(format!(
            "ON CONFLICT is only for sinks whose rows replace each other by primary key: those of '{name}' \
             (connector '{connector}') do not"
        )));
    }
    if settings.when == Materialize::Never {
        return Err(PlanError::invalid(
            "ON CONFLICT needs what 'table.exec.sink.upsert-materialize' = 'NONE' leaves out: set it to 'AUTO'",
        ));
    }
    let mut without = vec![];
    if action.waits() {
        sources_without_watermark(nodes, node, &mut without);
    }
    match without.is_empty() {
        true => Ok(()),
        false => Err(PlanError::invalid(format!(
            "ON CONFLICT DO {} waits for watermarks, and {} has none: declare WATERMARK FOR .. in each source, or say \
             ON CONFLICT DO DEDUPLICATE",
            action.word(),
            without.join(", ")
        ))),
    }
}

fn sources_without_watermark(nodes: &[OperatorNode], node: usize, found: &mut Vec<String>) {
    if let OperatorSpec::Source(source) = &nodes[node].spec {
        let name = format!("table '{}'", plain_name(&source.table.name));
        if source.table.watermark.is_none() && !found.contains(&name) {
            found.push(name);
        }
    }
    nodes[node].inputs.iter().for_each(|input| sources_without_watermark(nodes, input.node.0, found));
}

/// Puts a materialiser in front of the sink at `place`; nodes from there on move by one.
fn insert(
    nodes: &mut Vec<OperatorNode>,
    facts: &mut Vec<Facts>,
    place: usize,
    spec: SinkMaterializeSpec,
    reason: &str,
) {
    let name = |column: &usize| nodes[place].schema.field(*column).name().clone();
    let names: Vec<String> = spec.keys.iter().map(name).collect();
    let table = match &nodes[place].spec {
        OperatorSpec::Sink(sink) => sink.table.name.clone(),
        _ => String::new(),
    };
    let clause = format!("PRIMARY KEY ({}) of {table}", names.join(", "));
    let exchange = Exchange::Hash(spec.keys.clone());
    let action = facts[place].conflict.map(|(action, _)| format!("onConflict=[{}], ", action.word()));
    let action = action.unwrap_or_default();
    let keeps = match spec.on_conflict.waits() {
        true => "the row of each primary key, and what has changed since the last watermark",
        false => "the rows of each primary key in the order of their arrival",
    };
    let new = Before {
        kind: "sink-materialize",
        label: format!(
            "SinkUpsertMaterializer(primaryKey=[{}], {action}reason=[{reason}])",
            names.join(", ")
        ),
        changelog: ChangelogMode::UPSERT,
        state: Some(StateNote {
            keeps: keeps.into(),
            bound: format!("never dropped: {clause} bounds no time"),
            unbounded_clause: Some(clause),
        }),
        upsert_key: Some(spec.keys.clone()),
        exchange,
        spec: OperatorSpec::SinkMaterialize(spec),
    };
    put_before(nodes, facts, place, new);
}

/// What is put in front of a sink.
struct Before {
    kind: &'static str,
    label: String,
    spec: OperatorSpec,
    changelog: ChangelogMode,
    state: Option<StateNote>,
    upsert_key: Option<Vec<usize>>,
    /// by which its input reaches it
    exchange: Exchange,
}

/// Puts it between the sink at `place` and its input; nodes from there on move by one.
fn put_before(nodes: &mut Vec<OperatorNode>, facts: &mut Vec<Facts>, place: usize, new: Before) {
    for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if input.node.0 >= place {
            input.node.0 += 1;
        }
    }
    let new_input = Input { node: NodeIndex(place), exchange: Exchange::Forward };
    let from = std::mem::replace(&mut nodes[place].inputs[0], new_input).node;
    let node = OperatorNode {
        id: OperatorId::new(""),
        label: new.label,
        inputs: vec![Input { node: from, exchange: new.exchange }],
        schema: nodes[from.0].schema.clone(),
        changelog: new.changelog,
        parallelism: nodes[place].parallelism,
        state: new.state,
        spec: new.spec,
    };
    let known = Facts {
        kind: new.kind,
        upsert_key: new.upsert_key,
        connector: None,
        keyed_sink: false,
        conflict: None,
        ..facts[place].clone()
    };
    nodes.insert(place, node);
    facts.insert(place, known);
}

/// Leaves `-U` out in front of each sink that does not take it and is given it nevertheless: a join or a table of changes has
/// it whether it is wanted or not. Modes of the nodes are settled.
pub(super) fn drop_update_before(nodes: &mut Vec<OperatorNode>, facts: &mut Vec<Facts>) {
    let mut place = 0;
    while place < nodes.len() {
        let input = input_mode(nodes, place);
        let accepts = facts[place].connector.unwrap_or(ChangelogMode::ALL);
        let drops = accepts.contains(RowKind::UpdateAfter) && !accepts.contains(RowKind::UpdateBefore);
        if matches!(nodes[place].spec, OperatorSpec::Sink(_))
            && drops
            && input.contains(RowKind::UpdateBefore)
        {
            let from = nodes[place].inputs[0].node.0;
            let as_deletes = !facts[place].keyed_sink && !updates_in_pairs(nodes, from);
            let kept = [RowKind::Insert, RowKind::UpdateAfter, RowKind::Delete];
            let is_kept = |kind: &RowKind| input.contains(*kind) || (as_deletes && *kind == RowKind::Delete);
            let kept: Vec<RowKind> = kept.into_iter().filter(is_kept).collect();
            let exchange = nodes[place].inputs[0].exchange.clone();
            let new = Before {
                kind: "drop-update-before",
                label: if as_deletes { "UpdateBeforeAsDelete" } else { "DropUpdateBefore" }.to_string(),
                spec: OperatorSpec::DropUpdateBefore { as_deletes },
                changelog: ChangelogMode::of(&kept),
                state: None,
                upsert_key: facts[from].upsert_key.clone(),
                exchange,
            };
            put_before(nodes, facts, place, new);
            place += 1;
        }
        place += 1;
    }
}

/// True if a `+U` of the same key comes behind each `-U` of a node: a condition or a join may let one of them through alone.
fn updates_in_pairs(nodes: &[OperatorNode], node: usize) -> bool {
    let below = || nodes[node].inputs.first().is_some_and(|input| updates_in_pairs(nodes, input.node.0));
    match &nodes[node].spec {
        OperatorSpec::Source(_)
        | OperatorSpec::ChangelogNormalize(_)
        | OperatorSpec::GroupAggregate(_)
        | OperatorSpec::Deduplicate(_) => true,
        OperatorSpec::Calc(calc) => calc.filter.is_none() && below(),
        OperatorSpec::Watermark(_) => below(),
        _ => false,
    }
}
