//! What flows: results, order, watermarks, time.

use super::operators::{LastValue, Log, Probe, Sum};
use crate::simulation::Simulation;
use crate::testing::{GraphBuilder, Step, TestComponents, rows_of, wait_ms};
use crate::{JobOutcome, ProductionEnv};
use std::collections::BTreeMap;
use weir_types::{Exchange, LimitSpec, OperatorSpec};

/// 2,000 rows of 40 keys in `splits` splits, and their sums.
fn input(splits: usize) -> (Vec<Vec<Step>>, Vec<(i64, i64)>) {
    let mut steps = vec![Vec::new(); splits];
    let mut sums = BTreeMap::new();
    for batch in 0..100 {
        let rows: Vec<(i64, i64)> =
            (0..20).map(|row| ((batch * 7 + row * 3) % 40, batch * 20 + row)).collect();
        for (key, value) in &rows {
            *sums.entry(*key).or_default() += value;
        }
        let split = batch as usize % splits;
        steps[split].push(Step::Rows(rows));
        if batch % 10 == 0 {
            steps[split].push(wait_ms(3));
        }
    }
    (steps, sums.into_iter().collect())
}

fn sums_graph(parallelism: u32, interval_ms: Option<u64>) -> weir_types::JobGraph {
    let mut graph = GraphBuilder::new(parallelism);
    graph.settings.checkpointing.interval_ms = interval_ms;
    graph.settings.batch_rows = 16;
    graph.settings.exchange_bytes = 2000;
    let source = graph.source("numbers");
    let sum = graph.operator("sum", source, Exchange::Hash(vec![0]));
    graph.sink("sink", sum);
    graph.build()
}

#[test]
fn results_are_the_same_at_any_parallelism_and_in_any_order_of_tasks() {
    for parallelism in [1, 2, 4] {
        for (seed, interval) in [(1, None), (2, Some(2)), (3, Some(1)), (4, None), (5, Some(7))] {
            let (splits, expected) = input(3);
            let test = TestComponents::default().source("numbers", splits).operator("sum", Sum::default);
            let summary = test.run(seed, sums_graph(parallelism, interval)).expect("the job ends well");
            assert_eq!(summary.outcome, JobOutcome::Finished);
            let mut visible = std::mem::take(&mut test.log.lock().visible);
            visible.sort_unstable();
            assert_eq!(visible, expected, "parallelism {parallelism}, seed {seed}");
            assert!(test.log.lock().prepared.is_empty(), "all that was written is visible");
            assert_eq!(interval.is_some(), summary.checkpoints > 0);
        }
    }
}

#[test]
fn the_same_job_runs_on_threads() {
    let (splits, expected) = input(3);
    let test = TestComponents::default().source("numbers", splits).operator("sum", Sum::default);
    let production = ProductionEnv::default();
    let job = test.submit(production.env(), sums_graph(2, Some(1)));
    let summary = production.block_on(job.wait()).expect("the job ends well");
    let mut visible = std::mem::take(&mut test.log.lock().visible);
    visible.sort_unstable();
    assert_eq!(visible, expected);
    let source = &summary.operators[0];
    assert_eq!((source.metrics.rows_out, source.parallelism), (2000, 2));
    assert_eq!(summary.operators[1].metrics.rows_in, 2000);
    assert_eq!(summary.operators[2].metrics.rows_in, 40);
    assert_eq!(summary.operators[2].metrics.watermark, i64::MAX);
}

#[test]
fn the_end_comes_after_all_rows_and_the_last_watermark() {
    for seed in 0..20 {
        let log = Log::default();
        let mut graph = GraphBuilder::new(1);
        let sources: Vec<_> = ["a", "b"].iter().map(|name| graph.source(name)).collect();
        let inputs: Vec<_> = sources.iter().map(|node| (*node, Exchange::Forward)).collect();
        let union = graph.node("union", OperatorSpec::Union, &inputs);
        graph.sink("sink", union);
        let probe = Probe::logging(&log);
        let test = TestComponents::default()
            .source("a", vec![vec![Step::Rows(vec![(1, 1)]), wait_ms(5), Step::Rows(vec![(1, 2)])]])
            .source("b", vec![vec![Step::Rows(vec![(2, 1)])]])
            .operator("union", move || probe.clone());
        test.run(seed, graph.build()).expect("the job ends well");
        let log = log.lock().clone();
        assert_eq!(log[2..], ["0: [(1, 2)]", "watermark end of input", "end"], "seed {seed}");
        assert!(
            log[..2].contains(&"0: [(1, 1)]".to_string()) && log[..2].contains(&"1: [(2, 1)]".to_string())
        );
    }
}

#[test]
fn the_watermark_is_the_minimum_over_inputs_until_one_ends() {
    for seed in 0..20 {
        let log = Log::default();
        let mut graph = GraphBuilder::new(1);
        let mut inputs = Vec::new();
        for name in ["a", "b"] {
            let source = graph.source(name);
            let time = graph.operator(&format!("time {name}"), source, Exchange::Forward);
            inputs.push((time, Exchange::Forward));
        }
        let union = graph.node("union", OperatorSpec::Union, &inputs);
        graph.sink("sink", union);
        let probe = Probe::logging(&log);
        let at = |key, value| Step::Rows(vec![(key, value)]);
        let test = TestComponents::default()
            .source("a", vec![vec![at(1, 10), wait_ms(20), at(1, 30), wait_ms(100), at(1, 50), wait_ms(1)]])
            .source("b", vec![vec![wait_ms(10), at(2, 5), wait_ms(20), at(2, 20), wait_ms(20)]])
            .operator("time a", || LastValue)
            .operator("time b", || LastValue)
            .operator("union", move || probe.clone());
        test.run(seed, graph.build()).expect("the job ends well");
        let watermarks: Vec<String> = log
            .lock()
            .iter()
            .filter_map(|line| line.strip_prefix("watermark ").map(str::to_string))
            .collect();
        assert_eq!(watermarks, ["5", "20", "30", "50", "end of input"], "seed {seed}");
    }
}

#[test]
fn a_lone_row_is_not_held_longer_than_the_batch_timeout() {
    let mut graph = GraphBuilder::new(2);
    let source = graph.source("numbers");
    let hashed = graph.operator("hashed", source, Exchange::Hash(vec![0]));
    graph.node("collect", OperatorSpec::Collect, &[(hashed, Exchange::Forward)]);
    let test = TestComponents::default()
        .source("numbers", vec![vec![wait_ms(7), Step::Rows(vec![(1, 1)]), Step::Forever]])
        .operator("hashed", Probe::default);
    let simulation = Simulation::new(3);
    let clock = simulation.env().clock;
    let mut job = test.submit(simulation.env(), graph.build());
    let mut results = job.results().expect("a collector");
    simulation.run(async move {
        let batch = results.next().await.expect("a row");
        assert_eq!(rows_of(&batch), [(1, 1)]);
        assert_eq!(clock.monotonic().as_millis(), 107);
        job.cancel();
        assert_eq!(job.wait().await.expect("cancelled").outcome, JobOutcome::Cancelled);
        assert!(results.next().await.is_none());
    });
}

#[test]
fn a_full_limit_ends_the_job_whatever_its_sources_do() {
    for parallelism in [1, 2] {
        for seed in 0..10 {
            let mut graph = GraphBuilder::new(parallelism);
            let source = graph.source("numbers");
            let middle = graph.operator("middle", source, Exchange::Hash(vec![0]));
            let limit = OperatorSpec::Limit(LimitSpec { offset: 1, fetch: Some(3) });
            let limit = graph.node("limit", limit, &[(middle, Exchange::Forward)]);
            graph.sink("sink", limit);
            let rows = Step::Rows(vec![(1, 1), (2, 2)]);
            let splits = vec![vec![rows.clone(), rows.clone(), rows, Step::Forever], vec![Step::Forever]];
            let test = TestComponents::default().source("numbers", splits).operator("middle", Probe::default);
            let summary = test.run(seed, graph.build()).expect("the job ends well");
            assert_eq!(summary.outcome, JobOutcome::Finished);
            assert_eq!(test.log.lock().visible.len(), 3);
            let left = test.log.lock().prepared.len();
            assert_eq!(left, 0, "all that was written is visible");
        }
    }
}

#[test]
fn a_limit_of_nothing_reads_nothing() {
    let mut graph = GraphBuilder::new(1);
    let source = graph.source("numbers");
    let limit = OperatorSpec::Limit(LimitSpec { offset: 0, fetch: Some(0) });
    let limit = graph.node("limit", limit, &[(source, Exchange::Forward)]);
    graph.sink("sink", limit);
    let test = TestComponents::default().source("numbers", vec![vec![Step::Forever]]);
    test.run(1, graph.build()).expect("the job ends well");
    assert!(test.log.lock().visible.is_empty());
}

#[test]
fn a_limit_of_one_sink_does_not_end_another() {
    let mut graph = GraphBuilder::new(1);
    let source = graph.source("numbers");
    let limit = OperatorSpec::Limit(LimitSpec { offset: 0, fetch: Some(1) });
    let limit = graph.node("limit", limit, &[(source, Exchange::Forward)]);
    graph.sink("limited", limit);
    graph.sink("whole", source);
    let splits = vec![(0..5).map(|value| Step::Rows(vec![(value, value)])).collect()];
    let test = TestComponents::default().source("numbers", splits);
    test.run(1, graph.build()).expect("the job ends well");
    let mut visible = test.log.lock().visible.clone();
    visible.sort_unstable();
    assert_eq!(visible, [(0, 0), (0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
}
