//! What is told of a job is what its operators registered.

use super::{JobDescription, describe};
use crate::simulation::Simulation;
use crate::testing::{GraphBuilder, TestComponents};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, GroupAggregateSpec, KeyGroupRange, OperatorSpec, StateNote,
};

fn call(function: AggregateFunction, arguments: &[usize]) -> AggregateCall {
    let output = Arc::new(Field::new("x", DataType::Int64, true));
    AggregateCall { function, arguments: arguments.to_vec(), distinct: false, filter: None, output }
}

fn described(ttl_ms: u64) -> JobDescription {
    let mut graph = GraphBuilder::new(3);
    graph.settings.state_ttl_ms = ttl_ms;
    let source = graph.source("numbers");
    let mut distinct = call(AggregateFunction::Count, &[1]);
    distinct.distinct = true;
    let spec = GroupAggregateSpec {
        keys: vec![0],
        aggregates: vec![call(AggregateFunction::Count, &[]), call(AggregateFunction::Max, &[1]), distinct],
        input_retracts: false,
        emit_update_before: true,
        ttl_ms: None,
        bundles: false,
        merges: None,
    };
    let aggregate =
        graph.node("agg", OperatorSpec::GroupAggregate(spec), &[(source, Exchange::Hash(vec![0]))]);
    graph.nodes[aggregate].schema = Arc::new(Schema::new(
        ["k", "c", "m", "d"].map(|name| Field::new(name, DataType::Int64, true)).to_vec(),
    ));
    graph.nodes[aggregate].state = Some(StateNote {
        keeps: "one row per key".into(),
        bound: "never dropped: GROUP BY k has no window".into(),
        unbounded_clause: Some("GROUP BY k".into()),
    });
    graph.sink("sink", aggregate);
    let components = TestComponents::default().source("numbers", Vec::new());
    describe(&graph.build(), &components, &Simulation::new(1).env()).expect("a job that can be deployed")
}

#[test]
fn states_are_those_that_operators_register() {
    let job = described(0);
    assert_eq!((job.key_groups, job.operators.len()), (128, 3));
    let [source, aggregate, sink] = &job.operators[..] else { unreachable!("counted above") };
    assert!(source.keyed_states.is_empty() && source.key_group_ranges.is_empty());
    assert_eq!(source.operator_states[0].name, "numbers/splits");
    assert_eq!(sink.operator_states[0].name, "sink/committables");
    assert_eq!(aggregate.inputs[0].exchange, "hash[k]");
    assert_eq!(aggregate.parallelism, 3);
    assert_eq!(aggregate.key_group_ranges.len(), 3);
    assert_eq!(aggregate.key_group_ranges[2], KeyGroupRange { start: 86, end: 128 });
    let states: Vec<(&str, Option<&str>)> =
        aggregate.keyed_states.iter().map(|state| (state.name.as_str(), state.parent.as_deref())).collect();
    assert_eq!(states, [("agg/accumulators", None), ("agg/distinct(v)", Some("agg/accumulators"))]);
    let columns = &aggregate.keyed_states[0].columns;
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
    let expected =
        ["key_group INT", "k BIGINT", "COUNT(*) BIGINT", "MAX(v) BIGINT", "COUNT(DISTINCT v) BIGINT"];
    assert_eq!(columns, expected);
}

#[test]
fn the_bound_names_the_clause_or_the_time_to_live() {
    let size = |ttl_ms| described(ttl_ms).operators[1].size.clone().expect("it keeps something");
    assert!(!size(0).bounded);
    assert_eq!(size(0).sentence, "one row per key, never dropped: GROUP BY k has no window");
    assert!(size(90_000).bounded);
    assert_eq!(
        size(90_000).sentence,
        "one row per key, dropped 1 min 30 s after its last use: 'table.exec.state.ttl'"
    );
}

#[test]
fn a_description_survives_json() {
    let job = described(0);
    let json = serde_json::to_string(&job).expect("strings and numbers");
    assert_eq!(serde_json::from_str::<JobDescription>(&json).expect("what was written"), job);
}
