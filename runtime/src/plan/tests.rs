use super::*;
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;
use weir_types::{CalcSpec, ChangelogMode, Input, JobSettings, LimitSpec, NodeIndex, OperatorId};

fn node(name: &str, spec: OperatorSpec, inputs: &[(usize, Exchange)]) -> OperatorNode {
    OperatorNode {
        id: OperatorId::new(name),
        label: name.to_string(),
        spec,
        inputs: inputs
            .iter()
            .map(|(node, exchange)| Input { node: NodeIndex(*node), exchange: exchange.clone() })
            .collect(),
        schema: Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true)])),
        changelog: ChangelogMode::INSERT_ONLY,
        parallelism: Parallelism::Default,
        state: None,
    }
}

fn calc() -> OperatorSpec {
    OperatorSpec::Calc(CalcSpec { filter: None, projection: None, reads_watermark: false })
}

fn source(name: &str) -> OperatorNode {
    node(name, crate::testing::source_spec(), &[])
}

fn graph(parallelism: u32, nodes: Vec<OperatorNode>) -> JobGraph {
    let settings = JobSettings { parallelism, ..JobSettings::default() };
    JobGraph { name: "test".into(), nodes, settings, sql: String::new() }
}

fn chains(graph: &JobGraph) -> Vec<Vec<usize>> {
    ExecutionPlan::of(graph).expect("a plan").chains.into_iter().map(|chain| chain.nodes).collect()
}

fn pipeline(parallelism: u32) -> JobGraph {
    graph(
        parallelism,
        vec![
            source("source"),
            node("calc", calc(), &[(0, Exchange::Forward)]),
            node("agg", calc(), &[(1, Exchange::Hash(vec![0]))]),
            node("collect", OperatorSpec::Collect, &[(2, Exchange::Forward)]),
        ],
    )
}

#[test]
fn one_subtask_is_one_chain_and_several_are_cut_at_keyed_exchanges() {
    assert_eq!(chains(&pipeline(1)), [vec![0, 1, 2, 3]]);
    assert_eq!(chains(&pipeline(4)), [vec![0, 1], vec![2, 3]]);
    let plan = ExecutionPlan::of(&pipeline(4)).expect("a plan");
    assert_eq!(plan.exchanges[0].kind, ExchangeKind::Hash(vec![0]));
    assert_eq!((plan.exchanges[0].producer, plan.exchanges[0].consumer_chain), (1, 1));
}

#[test]
fn outputs_with_two_readers_are_chained_and_two_inputs_are_not() {
    let shared = graph(
        2,
        vec![
            source("source"),
            node("a", calc(), &[(0, Exchange::Forward)]),
            node("b", calc(), &[(0, Exchange::Forward)]),
            node("union", OperatorSpec::Union, &[(1, Exchange::Forward), (2, Exchange::Forward)]),
        ],
    );
    let plan = ExecutionPlan::of(&shared).expect("a plan");
    assert_eq!(chains(&shared), [vec![0, 1, 2], vec![3]]);
    let inputs: Vec<_> = plan.exchanges.iter().map(|exchange| (exchange.producer, exchange.input)).collect();
    assert_eq!(inputs, [(1, 0), (2, 1)]);
    assert!(plan.exchanges.iter().all(|exchange| exchange.kind == ExchangeKind::Forward));
}

#[test]
fn a_limit_runs_once_and_changes_are_not_dealt_out_in_turn() {
    let limit = OperatorSpec::Limit(LimitSpec { offset: 0, fetch: Some(1) });
    let mut nodes = vec![
        source("source"),
        node("limit", limit, &[(0, Exchange::Forward)]),
        node("wide", calc(), &[(1, Exchange::Forward)]),
    ];
    let kinds = |nodes: &[OperatorNode]| -> Vec<ExchangeKind> {
        let plan = ExecutionPlan::of(&graph(3, nodes.to_vec())).expect("a plan");
        plan.exchanges.into_iter().map(|exchange| exchange.kind).collect()
    };
    assert_eq!(kinds(&nodes), [ExchangeKind::One, ExchangeKind::RoundRobin]);
    nodes[1].changelog = ChangelogMode::ALL;
    assert_eq!(kinds(&nodes), [ExchangeKind::One, ExchangeKind::One]);
}

#[test]
fn graphs_that_cannot_run_are_refused() {
    let message = |graph: JobGraph| ExecutionPlan::of(&graph).expect_err("refused").to_string();
    assert!(message(graph(1, vec![])).contains("no operator"));
    assert!(message(graph(129, vec![source("source")])).contains("parallelism is 129"));
    assert!(message(graph(1, vec![source("a"), source("a")])).contains("two operators have the id a"));
    let calc_of = |place, exchange| vec![source("a"), node("b", calc(), &[(place, exchange)])];
    assert!(message(graph(1, calc_of(1, Exchange::Forward))).contains("does not come before"));
    assert!(message(graph(1, calc_of(0, Exchange::Hash(vec![3])))).contains("column 3"));
}

/// What errors of checkpoints call a task is what EXPLAIN shows.
#[test]
fn tasks_are_named_by_their_operators() {
    let mut graph = pipeline(2);
    let long = format!("agg({})", "x".repeat(200));
    for (node, label) in graph.nodes.iter_mut().zip(["Scan(t)", "Calc(select=[k])", &long, "Sink(s)"]) {
        node.label = label.to_string();
    }
    let names = |graph: &JobGraph| -> Vec<String> {
        let plan = ExecutionPlan::of(graph).expect("a plan");
        plan.chains.iter().map(|chain| chain.name(graph, SubtaskIndex(1))).collect()
    };
    let two = names(&graph);
    assert_eq!(two[0], "Scan(t) -> Calc(select=[k]) (2/2)");
    assert_eq!(two[1], format!("agg({}... -> Sink(s) (2/2)", "x".repeat(96)));
    graph.settings.parallelism = 1;
    assert_eq!(
        names(&graph),
        ["Scan(t) -> Calc -> agg -> Sink(s)"],
        "what keeps nothing is named by its kind"
    );
}
