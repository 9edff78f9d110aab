//! Where the primary key of a sink is not the key by which the query updates rows, or the sink takes no `-U`.

use crate::query::changelog::input_mode;
use crate::query::lower::Facts;
use weir_types::{
    ChangelogMode, Exchange, Input, NodeIndex, OperatorId, OperatorNode, OperatorSpec, RowKind,
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

/// Puts a materialiser in front of each sink that needs one. Upsert keys and modes of the nodes are known.
pub(super) fn insert_materializers(
    nodes: &mut Vec<OperatorNode>,
    facts: &mut Vec<Facts>,
    materialize: Materialize,
) {
    let mut place = 0;
    while place < nodes.len() {
        if let Some((spec, reason)) = materializer(nodes, facts, place, materialize) {
            insert(nodes, facts, place, spec, &reason);
            place += 1;
        }
        place += 1;
    }
}

/// What is to stand in front of node `node`, and why; `None` if nothing is.
fn materializer(
    nodes: &[OperatorNode],
    facts: &[Facts],
    node: usize,
    materialize: Materialize,
) -> Option<(SinkMaterializeSpec, String)> {
    let OperatorSpec::Sink(sink) = &nodes[node].spec else { return None };
    let keys: Option<Vec<usize>> =
        sink.table.primary_key.iter().map(|name| nodes[node].schema.index_of(name).ok()).collect();
    let keys = keys.filter(|keys| !keys.is_empty())?;
    let accepts = facts[node].connector.unwrap_or(ChangelogMode::ALL);
    let takes_upserts = accepts.contains(RowKind::UpdateAfter) && !accepts.contains(RowKind::UpdateBefore);
    if !takes_upserts && !facts[node].keyed_sink || materialize == Materialize::Never {
        return None;
    }
    let unique = facts[nodes[node].inputs[0].node.0].upsert_key.clone();
    let spec = SinkMaterializeSpec { keys, unique };
    let names = |columns: &[usize]| {
        let names: Vec<&str> =
            columns.iter().map(|column| nodes[node].schema.field(*column).name().as_str()).collect();
        names.join(", ")
    };
    if materialize == Materialize::Always {
        return Some((spec, "'table.exec.sink.upsert-materialize' is 'FORCE'".to_string()));
    }
    if input_mode(nodes, node).is_insert_only() {
        return None;
    }
    let Some(unique) = &spec.unique else {
        return Some((spec, "the query has no key by which it updates rows".to_string()));
    };
    let held = unique.iter().all(|column| spec.keys.contains(column));
    // A row whose primary key changes while its own key stays is first taken back, which takes `-U`.
    let fits = held && (!takes_upserts || unique.len() == spec.keys.len());
    let reason = format!(
        "the query updates rows by ({}), the sink has them by PRIMARY KEY ({})",
        names(unique),
        names(&spec.keys)
    );
    (!fits).then_some((spec, reason))
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
    let node = OperatorNode {
        id: OperatorId::new(""),
        label: format!("SinkUpsertMaterializer(primaryKey=[{}], reason=[{reason}])", names.join(", ")),
        inputs: vec![],
        schema: nodes[place].schema.clone(),
        changelog: ChangelogMode::UPSERT,
        parallelism: nodes[place].parallelism,
        state: Some(StateNote {
            keeps: "the rows of each primary key in the order of their arrival".into(),
            bound: format!("never dropped: {clause} bounds no time"),
            unbounded_clause: Some(clause),
        }),
        spec: OperatorSpec::SinkMaterialize(spec.clone()),
    };
    let known = Facts {
        kind: "sink-materialize",
        upsert_key: Some(spec.keys),
        connector: None,
        keyed_sink: false,
        ..facts[place].clone()
    };
    put_before(nodes, facts, place, (node, known, exchange));
}

/// Puts `node` between the sink at `place` and its input, which reaches it by the exchange; nodes from there on move by one.
fn put_before(
    nodes: &mut Vec<OperatorNode>,
    facts: &mut Vec<Facts>,
    place: usize,
    (mut node, known, exchange): (OperatorNode, Facts, Exchange),
) {
    for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if input.node.0 >= place {
            input.node.0 += 1;
        }
    }
    let sink = &mut nodes[place];
    let from = NodeIndex(sink.inputs[0].node.0);
    sink.inputs[0] = Input { node: NodeIndex(place), exchange: Exchange::Forward };
    node.schema = nodes[from.0].schema.clone();
    node.inputs = vec![Input { node: from, exchange }];
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
            let node = OperatorNode {
                id: OperatorId::new(""),
                label: if as_deletes { "UpdateBeforeAsDelete" } else { "DropUpdateBefore" }.to_string(),
                inputs: vec![],
                schema: nodes[place].schema.clone(),
                changelog: ChangelogMode::of(&kept),
                parallelism: nodes[place].parallelism,
                state: None,
                spec: OperatorSpec::DropUpdateBefore { as_deletes },
            };
            let known = Facts {
                kind: "drop-update-before",
                upsert_key: facts[from].upsert_key.clone(),
                connector: None,
                keyed_sink: false,
                ..facts[place].clone()
            };
            put_before(nodes, facts, place, (node, known, exchange));
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
