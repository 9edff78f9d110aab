//! Jobs with a lookup join whose table answers late: rows that wait for an answer survive a checkpoint.

use super::restores::{FailOnce, cancelled, from, in_directory};
use crate::testing::{GraphBuilder, Step, TestComponents, schema, wait_ms};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use weir_types::{
    Exchange, JobGraph, LookupJoinSpec, LookupMode, LookupRetry, OperatorSpec, RestartStrategy,
};

const ROWS: i64 = 200;
const SPLITS: i64 = 2;
/// What the table's answers take, in turn.
const DELAYS_MS: [u64; 5] = [7, 1, 23, 0, 12];

const MODES: [LookupMode; 4] = [
    LookupMode::Blocking,
    LookupMode::Async { capacity: 1, ordered: true, timeout_ms: 1000 },
    LookupMode::Async { capacity: 5, ordered: true, timeout_ms: 1000 },
    LookupMode::Async { capacity: 5, ordered: false, timeout_ms: 1000 },
];

/// Rows `(n % 7, n)`, some at a time.
fn numbers(endless: bool) -> Vec<Vec<Step>> {
    let split = |split: i64| {
        let own: Vec<i64> = (0..ROWS).filter(|n| n % SPLITS == split).collect();
        let mut steps = Vec::new();
        for some in own.chunks(4) {
            steps.push(Step::Rows(some.iter().map(|n| (n % 7, *n)).collect()));
            steps.push(wait_ms(1 + split as u64));
        }
        steps.extend(endless.then_some(Step::Forever));
        steps
    };
    (0..SPLITS).map(split).collect()
}

fn test(endless: bool, fail_after: i64) -> TestComponents {
    let left = Arc::new(AtomicI64::new(fail_after));
    let mut test = TestComponents::default()
        .source("numbers", numbers(endless))
        .operator("fragile", move || FailOnce { left: left.clone() });
    test.lookups.insert("dim".to_string(), DELAYS_MS.to_vec());
    test
}

fn spec(mode: LookupMode) -> LookupJoinSpec {
    let OperatorSpec::Source(source) = crate::testing::source_of("dim") else { unreachable!() };
    LookupJoinSpec {
        outer: false,
        source,
        source_schema: schema(),
        calcs: Vec::new(),
        left_keys: vec![0],
        right_keys: vec![0],
        condition: None,
        left_columns: vec![1],
        right_columns: vec![1],
        mode,
        retry: Some(LookupRetry { attempts: 50, delay_ms: 2 }),
    }
}

/// Two lookups in a row, so that one of them waits while the other has rows for it: `(k, n)` becomes `(n, 100 * k)`, then
/// `(n, 100 * n)`.
fn graph(parallelism: u32, mode: LookupMode, change: impl FnOnce(&mut GraphBuilder)) -> JobGraph {
    let mut graph = GraphBuilder::new(parallelism);
    graph.settings.checkpointing.interval_ms = Some(10);
    graph.settings.exchange_bytes = 1500;
    let source = graph.source("numbers");
    let fragile = graph.operator("fragile", source, Exchange::Rebalance);
    let first = graph.node("first", OperatorSpec::LookupJoin(spec(mode)), &[(fragile, Exchange::Forward)]);
    let second = LookupJoinSpec { left_columns: vec![0], ..spec(mode) };
    let second = graph.node("second", OperatorSpec::LookupJoin(second), &[(first, Exchange::Forward)]);
    graph.sink("sink", second);
    change(&mut graph);
    graph.build()
}

/// Every row came once, with what the table has for it.
fn assert_exactly_once(test: &TestComponents, context: &str) {
    let mut rows = test.log.lock().visible.clone();
    rows.sort_unstable();
    let expected: Vec<(i64, i64)> = (0..ROWS).map(|n| (n, 100 * n)).collect();
    assert_eq!(rows, expected, "{context}");
}

#[test]
fn rows_come_once_and_in_order_where_that_is_asked_for() {
    for mode in MODES {
        for seed in 0..5 {
            let test = test(false, -1);
            test.run(seed, graph(1, mode, |_| {})).expect("the job ends well");
            let rows = test.log.lock().visible.clone();
            let of_split = |split: i64| -> Vec<i64> {
                rows.iter().map(|(n, _)| *n).filter(|n| n % SPLITS == split).collect()
            };
            let in_order = (0..SPLITS).all(|split| of_split(split).is_sorted());
            let may_differ = matches!(mode, LookupMode::Async { ordered: false, .. });
            assert!(in_order || may_differ, "{mode:?}: {rows:?}");
            assert_exactly_once(&test, &format!("{mode:?}, seed {seed}"));
        }
    }
}

#[test]
fn rows_that_wait_for_an_answer_survive_a_failure() {
    for mode in MODES {
        for parallelism in [1, 2] {
            for seed in 0..10 {
                let test = test(false, 1 + seed as i64 * 19);
                let graph = graph(parallelism, mode, |graph| {
                    graph.settings.restart = RestartStrategy::FixedDelay { attempts: 1, delay_ms: 5 };
                });
                test.run(seed, graph).expect("the second attempt ends well");
                assert_exactly_once(&test, &format!("{mode:?}, seed {seed}, parallelism {parallelism}"));
            }
        }
    }
}

#[test]
fn rows_that_wait_for_an_answer_go_on_at_another_parallelism() {
    let (mut persisted, mut restored) = (0, 0);
    for mode in MODES {
        for unaligned in [false, true] {
            for (seed, (before, after)) in [(1, 1), (1, 3), (3, 1), (2, 3)].into_iter().enumerate() {
                for run_ms in [50, 100, 190] {
                    let overtaking =
                        |graph: &mut GraphBuilder| graph.settings.checkpointing.unaligned = unaligned;
                    let folder = tempfile::tempdir().expect("a directory");
                    let test = test(true, -1);
                    let first = graph(before, mode, |graph| {
                        in_directory(graph, &folder);
                        overtaking(graph);
                    });
                    let path = cancelled(&test, seed as u64, first, run_ms);
                    // the first answers may take longer than that
                    let Some(last) = test.seen().last().cloned() else { continue };
                    restored += 1;
                    let in_flight = last.manifest.statistics.in_flight_bytes;
                    if !unaligned {
                        persisted += in_flight;
                        assert!(mode != LookupMode::Blocking || in_flight == 0, "its answer comes first");
                    }
                    let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
                    let second = graph(after, mode, |graph| {
                        from(graph, &path);
                        overtaking(graph);
                    });
                    test.run(seed as u64, second).expect("the second job ends well");
                    let context =
                        format!("{mode:?}, unaligned {unaligned}, {before} to {after} after {run_ms} ms");
                    assert_exactly_once(&test, &context);
                }
            }
        }
    }
    assert!(restored > 60, "{restored} of 96 jobs had a checkpoint");
    assert!(persisted > 1000, "{persisted} bytes waited for answers at barriers");
}
