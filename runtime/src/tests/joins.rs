//! A job with two inputs: what waits or is overtaken in front of a join comes back on its own side.

use super::restores::{FailOnce, cancelled, from, in_directory};
use crate::testing::{GraphBuilder, Step, TestComponents, wait_ms};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;
use weir_types::{Exchange, JobGraph, JoinKind, JoinSpec, OperatorSpec};

const KEYS: i64 = 5;
/// Rows of each side.
const ROWS: i64 = 120;
const SPLITS: i64 = 2;

/// Rows `(n % KEYS, n)`, some at a time.
fn side(pause_ms: u64, endless: bool) -> Vec<Vec<Step>> {
    let split = |split: i64| {
        let own: Vec<i64> = (0..ROWS).filter(|n| n % SPLITS == split).collect();
        let mut steps = Vec::new();
        for some in own.chunks(6) {
            steps.push(Step::Rows(some.iter().map(|n| (n % KEYS, *n)).collect()));
            steps.push(wait_ms(pause_ms + split as u64));
        }
        steps.extend(endless.then_some(Step::Forever));
        steps
    };
    (0..SPLITS).map(split).collect()
}

pub(super) fn test(endless: bool, fail_after: i64) -> TestComponents {
    let left = Arc::new(AtomicI64::new(fail_after));
    TestComponents::default()
        .source("left", side(2, endless))
        .source("right", side(5, endless))
        .operator("fragile", move || FailOnce { left: left.clone() })
}

/// Pairs of the two sides by key: each pair of their numbers goes to the sink once.
pub(super) fn graph(parallelism: u32, change: impl FnOnce(&mut GraphBuilder)) -> JobGraph {
    let mut graph = GraphBuilder::new(parallelism);
    graph.settings.checkpointing.interval_ms = Some(10);
    graph.settings.exchange_bytes = 1500;
    graph.settings.batch_rows = 8;
    let (left, right) = (graph.source("left"), graph.source("right"));
    let fragile = graph.operator("fragile", left, Exchange::Rebalance);
    let spec = JoinSpec {
        kind: JoinKind::Inner,
        left_keys: vec![0],
        right_keys: vec![0],
        nulls_match: false,
        condition: None,
        left_columns: vec![1],
        right_columns: vec![1],
        left_retracts: false,
        right_retracts: false,
        left_unique: None,
        right_unique: None,
        left_ttl_ms: None,
        right_ttl_ms: None,
    };
    let inputs = [(fragile, Exchange::Hash(vec![0])), (right, Exchange::Hash(vec![0]))];
    let join = graph.node("pairs", OperatorSpec::Join(spec), &inputs);
    graph.sink("sink", join);
    change(&mut graph);
    graph.build()
}

/// Every pair came once.
pub(super) fn assert_exactly_once(test: &TestComponents, context: &str) {
    let log = test.log.lock();
    let mut pairs: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    log.visible.iter().for_each(|pair| *pairs.entry(*pair).or_default() += 1);
    let all =
        (0..ROWS).flat_map(|left| (left % KEYS..ROWS).step_by(KEYS as usize).map(move |right| (left, right)));
    let expected: BTreeMap<(i64, i64), u64> = all.map(|pair| (pair, 1)).collect();
    let count = |pairs: &BTreeMap<(i64, i64), u64>, pair: &(i64, i64)| pairs.get(pair).copied().unwrap_or(0);
    let of = |pair: &(i64, i64)| (*pair, count(&pairs, pair));
    let differs = |pair: &&(i64, i64)| count(&pairs, pair) != count(&expected, pair);
    let wrong: Vec<_> = pairs.keys().chain(expected.keys()).filter(differs).map(of).collect();
    let some = &wrong[..wrong.len().min(9)];
    assert!(wrong.is_empty(), "{context}: {} pairs do not come once: {some:?}", wrong.len());
    assert!(
        log.prepared.is_empty(),
        "{context}: {:?} was neither committed nor aborted",
        log.prepared.keys()
    );
}

#[test]
fn both_sides_of_a_join_survive() {
    let mut persisted = 0;
    for (unaligned, after_ms) in [(false, 0), (true, 0), (true, 3)] {
        for (seed, (before, after)) in [(1, 3), (2, 2), (3, 1), (4, 2)].into_iter().enumerate() {
            for run_ms in [200, 350, 500] {
                let overtaking = |graph: &mut GraphBuilder| {
                    graph.settings.checkpointing.unaligned = unaligned;
                    graph.settings.checkpointing.aligned_timeout_ms = after_ms;
                };
                let folder = tempfile::tempdir().expect("a directory");
                let test = TestComponents { write_pause: Duration::from_millis(4), ..test(true, -1) };
                let first = graph(before, |graph| {
                    in_directory(graph, &folder);
                    overtaking(graph);
                });
                let path = cancelled(&test, seed as u64, first, run_ms);
                let seen = test.seen();
                let last = seen.last().expect("a checkpoint");
                persisted += last.manifest.statistics.in_flight_bytes;
                assert!(unaligned || last.manifest.statistics.in_flight_bytes == 0, "nothing was overtaken");
                let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
                let second = graph(after, |graph| {
                    from(graph, &path);
                    overtaking(graph);
                });
                test.run(seed as u64, second).expect("the second job ends well");
                let context =
                    format!("unaligned {unaligned}, {after_ms} ms, {before} to {after}, {run_ms} ms");
                assert_exactly_once(&test, &context);
            }
        }
    }
    assert!(persisted > 1000, "{persisted} bytes were on their way");
}
