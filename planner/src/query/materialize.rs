//! Where the primary key of a sink is not the key by which the query updates rows.

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
    for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if input.node.0 >= place {
            input.node.0 += 1;
        }
    }
    let sink = &mut nodes[place];
    let from = NodeIndex(sink.inputs[0].node.0);
    sink.inputs[0] = Input { node: NodeIndex(place), exchange: Exchange::Forward };
    let name = |column: &usize| nodes[place].schema.field(*column).name().clone();
    let names: Vec<String> = spec.keys.iter().map(name).collect();
    let table = match &nodes[place].spec {
        OperatorSpec::Sink(sink) => sink.table.name.clone(),
        _ => String::new(),
    };
    let clause = format!("PRIMARY KEY ({}) of {table}", names.join(", "));
    let node = OperatorNode {
        id: OperatorId::new(""),
        label: format!("SinkUpsertMaterializer(primaryKey=[{}], reason=[{reason}])", names.join(", ")),
        inputs: vec![Input { node: from, exchange: Exchange::Hash(spec.keys.clone()) }],
        schema: nodes[from.0].schema.clone(),
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
    nodes.insert(place, node);
    facts.insert(place, known);
}
