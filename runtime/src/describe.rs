//! What a job keeps, seen without running it: every operator is opened on an empty backend and asked for a snapshot,
//! and what it registered on the way is what is told. Nothing is known here of any operator.

use crate::RuntimeError;
use crate::components::Components;
use crate::plan::ExecutionPlan;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_operators::OperatorContext;
use weir_state::{
    EntryColumn, EntryLayout, KeyedStateBackend, NamespaceKind, OperatorStateBackend, Redistribution,
    SnapshotIndex, StateError, StateIndex, StateKind,
};
use weir_types::{
    CheckpointId, Exchange, JobGraph, KeyGroupRange, Millis, OperatorMetrics, OperatorNode, OperatorSpec,
    RuntimeEnv, SqlType, StateNote, SubtaskIndex, column_text,
};

/// A job's operators and the state of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDescription {
    pub job: String,
    /// `pipeline.max-parallelism`
    pub key_groups: u32,
    /// in topological order, sources first
    pub operators: Vec<OperatorDescription>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorDescription {
    /// the stable name: its column families begin with it
    pub id: String,
    /// `GroupAggregate(groupBy=[k], select=[k, COUNT(*)])`
    pub label: String,
    pub inputs: Vec<InputDescription>,
    /// the number of subtasks
    pub parallelism: u32,
    /// what each subtask owns; empty without keyed state
    pub key_group_ranges: Vec<KeyGroupRange>,
    pub keyed_states: Vec<StateDescription>,
    pub operator_states: Vec<OperatorStateDescription>,
    /// what bounds all of it; `None` without keyed state and where nothing grows
    pub size: Option<SizeBound>,
}

/// A keyed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDescription {
    /// `<operator>/<state>`, the column family
    pub name: String,
    pub kind: StateKind,
    /// of Map and List states: the state that the entries hang under
    pub parent: Option<String>,
    pub namespace: NamespaceKind,
    /// from start to end of each window, where all are of one length
    pub window_ms: Option<u64>,
    /// the windows are slices, of which several make one
    #[serde(default)]
    pub slices: bool,
    pub ttl_ms: Option<u64>,
    /// those of an entry, the key first
    pub columns: Vec<ColumnDescription>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDescription {
    pub part: EntryColumn,
    pub name: String,
    pub sql_type: String,
    pub nullable: bool,
}

impl StateDescription {
    /// All states of one operator.
    ///
    /// Errors: `Data` for states that this version does not understand.
    pub(crate) fn of(index: &SnapshotIndex) -> Result<Vec<StateDescription>, StateError> {
        let describe = |state: &StateIndex| {
            let layout = EntryLayout::new(index, state)?;
            let columns = layout.columns().iter().zip(layout.schema().fields());
            let columns = columns.map(|(part, field)| ColumnDescription {
                part: *part,
                name: field.name().clone(),
                sql_type: SqlType::of_field(field).map_or(field.data_type().to_string(), |t| t.to_string()),
                nullable: field.is_nullable(),
            });
            Ok(StateDescription {
                name: state.name.clone(),
                kind: state.kind,
                parent: state.parent.clone(),
                namespace: state.namespace,
                window_ms: state.window_ms,
                slices: state.slices,
                ttl_ms: state.ttl_ms,
                columns: columns.collect(),
            })
        };
        index.states.iter().map(describe).collect()
    }
}

/// What bounds the state of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeBound {
    /// False if it grows for as long as the job runs.
    pub bounded: bool,
    /// `one row of accumulators per key, never dropped: GROUP BY auction has no window`
    pub sentence: String,
}

impl SizeBound {
    /// From what the states say of themselves, and the planner of the operator.
    pub(crate) fn of(states: &[StateDescription], note: Option<&StateNote>) -> Option<SizeBound> {
        let keeps = |otherwise: &str| note.map_or(otherwise.to_string(), |note| note.keeps.clone());
        let roots = states.iter().filter(|state| state.parent.is_none());
        let ttls: Option<BTreeSet<u64>> = roots.map(|state| state.ttl_ms).collect();
        // A note without a clause says itself what a hint bounds.
        let explains = note.is_some_and(|note| note.unbounded_clause.is_none());
        if let Some(ttls) = ttls.filter(|ttls| !ttls.is_empty() && !explains) {
            let after = |ttl_ms: u64| Millis(i64::try_from(ttl_ms).unwrap_or(i64::MAX)).to_string();
            let after = ttls.into_iter().map(after).collect::<Vec<_>>().join(" or ");
            let keeps = keeps("entries");
            let sentence = format!("{keeps}, dropped {after} after its last use: 'table.exec.state.ttl'");
            return Some(SizeBound { bounded: true, sentence });
        }
        let Some(note) = note else {
            // The planner notes what may grow: without a note only what the states say is known.
            let windowed = states.iter().all(|state| state.namespace == NamespaceKind::Window);
            let bound = if windowed { "gone with their window" } else { "never dropped" };
            let sentence = format!("entries, {bound}");
            return (!states.is_empty()).then_some(SizeBound { bounded: windowed, sentence });
        };
        let bounded = note.unbounded_clause.is_none();
        Some(SizeBound { bounded, sentence: format!("{}, {}", note.keeps, note.bound) })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputDescription {
    /// a place in [`JobDescription::operators`]
    pub operator: usize,
    /// `forward`, `hash[k]`, `single`, `rebalance`, `broadcast`
    pub exchange: String,
}

/// A state that belongs to subtasks and to no key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatorStateDescription {
    /// `<operator>/<state>`
    pub name: String,
    pub redistribution: Redistribution,
}

/// Errors: as for a deployment.
pub(crate) fn describe(
    graph: &JobGraph,
    components: &dyn Components,
    env: &RuntimeEnv,
) -> Result<JobDescription, RuntimeError> {
    let plan = ExecutionPlan::of(graph)?;
    let parallelism = plan.parallelism(graph);
    let mut operators = Vec::with_capacity(graph.nodes.len());
    for (node, parallelism) in graph.nodes.iter().zip(parallelism) {
        let (keyed_states, operator_states) = states(graph, node, parallelism, components, env)?;
        let max = graph.settings.max_parallelism;
        let ranges = (0..parallelism).map(|index| KeyGroupRange::of_subtask(max, parallelism, index));
        let inputs = node.inputs.iter().map(|input| InputDescription {
            operator: input.node.0,
            exchange: exchange_text(&input.exchange, &graph.nodes[input.node.0]),
        });
        operators.push(OperatorDescription {
            id: node.id.to_string(),
            label: node.label.clone(),
            inputs: inputs.collect(),
            parallelism,
            size: SizeBound::of(&keyed_states, node.state.as_ref()),
            key_group_ranges: if keyed_states.is_empty() { Vec::new() } else { ranges.collect() },
            keyed_states,
            operator_states,
        });
    }
    Ok(JobDescription { job: graph.name.clone(), key_groups: graph.settings.max_parallelism, operators })
}

type States = (Vec<StateDescription>, Vec<OperatorStateDescription>);

/// What the first subtask of `node` registers when it is opened, and writes when it is asked for a snapshot.
fn states(
    graph: &JobGraph,
    node: &OperatorNode,
    parallelism: u32,
    components: &dyn Components,
    env: &RuntimeEnv,
) -> Result<States, RuntimeError> {
    let list = |state: &str| OperatorStateDescription {
        name: format!("{}/{state}", node.id),
        redistribution: Redistribution::EvenSplit,
    };
    match &node.spec {
        OperatorSpec::Source(_) => return Ok((Vec::new(), vec![list("splits")])),
        // what it is asked for is no state: rows that wait for an answer are on their way to it
        OperatorSpec::LookupJoin(_) => return Ok((Vec::new(), Vec::new())),
        OperatorSpec::Collect => return Ok((Vec::new(), Vec::new())),
        OperatorSpec::Sink(spec) => {
            let sink = components.sink(spec);
            let sink =
                sink.map_err(|source| RuntimeError::Connector { operator: node.label.clone(), source })?;
            let committables = sink.committer().map(|_| list("committables"));
            return Ok((Vec::new(), committables.into_iter().collect()));
        }
        _ => {}
    }
    let fail = |source| RuntimeError::Operator { operator: node.label.clone(), source };
    let settings = &graph.settings;
    let inputs: Vec<SchemaRef> =
        node.inputs.iter().map(|input| graph.nodes[input.node.0].schema.clone()).collect();
    let mut operator = components.operator(node, &inputs, settings).map_err(fail)?;
    let range = KeyGroupRange::of_subtask(settings.max_parallelism, parallelism, 0);
    let mut context = OperatorContext {
        subtask: SubtaskIndex(0),
        parallelism,
        batch_rows: settings.batch_rows,
        clock: env.clock.clone(),
        metrics: Arc::new(OperatorMetrics::default()),
        keyed: KeyedStateBackend::new(range, settings.max_parallelism),
        operator_state: OperatorStateBackend::new(),
    };
    operator.open(&mut context).map_err(fail)?;
    operator.snapshot(&mut context).map_err(fail)?;
    let states = &context.operator_state;
    let operator_states = states.names().filter_map(|name| {
        let redistribution = states.redistribution(name)?;
        Some(OperatorStateDescription { name: name.to_string(), redistribution })
    });
    let index = SnapshotIndex {
        checkpoint: CheckpointId(0),
        key_groups: range,
        max_parallelism: settings.max_parallelism,
        states: context.keyed.describe(),
    };
    let keyed_states = StateDescription::of(&index).map_err(|error| fail(error.into()))?;
    Ok((keyed_states, operator_states.collect()))
}

/// The exchange of an input, with the columns of `producer` that it distributes by.
pub(crate) fn exchange_text(exchange: &Exchange, producer: &OperatorNode) -> String {
    match exchange {
        Exchange::Forward => "forward".to_string(),
        Exchange::Hash(keys) if keys.is_empty() => "single".to_string(),
        Exchange::Hash(keys) => {
            let keys: Vec<&str> = keys.iter().map(|key| column_text(producer.schema.field(*key))).collect();
            format!("hash[{}]", keys.join(", "))
        }
        Exchange::Rebalance => "rebalance".to_string(),
        Exchange::Broadcast => "broadcast".to_string(),
    }
}

#[cfg(test)]
mod tests;
