//! Jobs that go on from a checkpoint: after a failure, or as another job, at another parallelism.

use super::operators::Probe;
use crate::simulation::Simulation;
use crate::testing::{GraphBuilder, Step, TestComponents, rows_of, wait_ms};
use crate::{ErrorKind, JobError, JobOutcome, Notice};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use weir_operators::{Operator, OperatorContext, OperatorError, Output};
use weir_types::{
    AggregateCall, AggregateFunction, ChangelogBatch, Exchange, GroupAggregateSpec, JobGraph, OperatorSpec,
    RestartStrategy, Retention,
};

/// Keys of the test data, and rows of each.
pub(super) const KEYS: i64 = 7;
const ROUNDS: i64 = 60;
const SPLITS: i64 = 3;

/// Each split has each key once a round, with the value 1.
fn splits(endless: bool) -> Vec<Vec<Step>> {
    let split = |split: i64| {
        let mut steps = Vec::new();
        for _ in 0..ROUNDS {
            steps.push(Step::Rows((0..KEYS).map(|key| (key, 1)).collect()));
            steps.push(wait_ms(1 + split as u64));
        }
        steps.extend(endless.then_some(Step::Forever));
        steps
    };
    (0..SPLITS).map(split).collect()
}

/// Fails once when it has seen so many rows, in whichever subtask.
pub(super) struct FailOnce {
    pub left: Arc<AtomicI64>,
}

impl Operator for FailOnce {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let rows = rows_of(&batch).len() as i64;
        let before = self.left.fetch_sub(rows, Ordering::Relaxed);
        assert!(!(1..=rows).contains(&before), "a defect that shows once");
        output.batch(batch);
        Ok(())
    }
}

/// Sums by key, and what fails in front of it. Each update of a sum goes to the sink.
pub(super) fn graph(parallelism: u32, change: impl FnOnce(&mut GraphBuilder)) -> JobGraph {
    let mut graph = GraphBuilder::new(parallelism);
    graph.settings.checkpointing.interval_ms = Some(10);
    graph.settings.exchange_bytes = 2000;
    let source = graph.source("numbers");
    let fragile = graph.operator("fragile", source, Exchange::Rebalance);
    let sum = AggregateCall {
        function: AggregateFunction::Sum,
        arguments: vec![1],
        distinct: false,
        filter: None,
        output: Arc::new(arrow::datatypes::Field::new("v", arrow::datatypes::DataType::Int64, true)),
    };
    let spec = GroupAggregateSpec {
        keys: vec![0],
        aggregates: vec![sum],
        input_retracts: false,
        emit_update_before: false,
        ttl_ms: None,
        bundles: false,
        merges: None,
    };
    let aggregate =
        graph.node("sums", OperatorSpec::GroupAggregate(spec), &[(fragile, Exchange::Hash(vec![0]))]);
    graph.sink("sink", aggregate);
    change(&mut graph);
    graph.build()
}

pub(super) fn test(endless: bool, fail_after: i64) -> TestComponents {
    let left = Arc::new(AtomicI64::new(fail_after));
    TestComponents::default()
        .source("numbers", splits(endless))
        .operator("fragile", move || FailOnce { left: left.clone() })
        .operator("probe", Probe::default)
}

/// Every sum came once, and the last is the right one.
pub(super) fn assert_exactly_once(test: &TestComponents, context: &str) {
    let log = test.log.lock();
    let mut sums: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    log.visible.iter().for_each(|(key, sum)| sums.entry(*key).or_default().push(*sum));
    assert_eq!(sums.len() as i64, KEYS, "{context}");
    for (key, mut of_key) in sums {
        of_key.sort_unstable();
        assert!(of_key.windows(2).all(|pair| pair[0] < pair[1]), "{context}: key {key} twice: {of_key:?}");
        assert_eq!(of_key.last(), Some(&(ROUNDS * SPLITS)), "{context}: key {key}");
    }
    assert!(
        log.prepared.is_empty(),
        "{context}: {:?} was neither committed nor aborted",
        log.prepared.keys()
    );
}

fn fixed(attempts: u64) -> RestartStrategy {
    RestartStrategy::FixedDelay { attempts, delay_ms: 5 }
}

#[test]
fn a_job_that_fails_goes_on_from_its_last_checkpoint() {
    let mut repeated = 0;
    for parallelism in [1, 3] {
        for seed in 0..30 {
            let test = test(false, 1 + seed as i64 * 40);
            let graph = graph(parallelism, |graph| graph.settings.restart = fixed(1));
            let summary = test.run(seed, graph).expect("the second attempt ends well");
            assert_eq!(summary.outcome, JobOutcome::Finished);
            assert_exactly_once(&test, &format!("seed {seed}, parallelism {parallelism}"));
            repeated += test.log.lock().repeated;
        }
    }
    assert!(repeated > 0, "what a checkpoint has prepared is committed again");
}

#[test]
fn a_job_that_always_fails_gives_up() {
    let test = TestComponents::default()
        .source("numbers", splits(false))
        .operator("fragile", || Probe { panic_at: Some(30), ..Probe::default() });
    let error = test.run(1, graph(2, |graph| graph.settings.restart = fixed(3))).expect_err("it gives up");
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(error.message.contains("is too many"), "{error}");
}

/// Runs a job in a directory until it is cancelled after `run_ms`; gives the directory of its checkpoints.
pub(super) fn cancelled(test: &TestComponents, seed: u64, graph: JobGraph, run_ms: u64) -> String {
    let simulation = Simulation::new(seed);
    let job = test.submit(simulation.env(), graph);
    let clock = simulation.env().clock;
    simulation.run(async move {
        clock.sleep(std::time::Duration::from_millis(run_ms)).await;
        job.cancel();
        assert_eq!(job.wait().await.expect("it is cancelled").outcome, JobOutcome::Cancelled);
        job.checkpoint_directory().expect("in files").to_string()
    })
}

pub(super) fn in_directory(graph: &mut GraphBuilder, folder: &tempfile::TempDir) {
    let settings = &mut graph.settings.checkpointing;
    settings.dir = folder.path().to_str().map(str::to_string);
    settings.retention = Retention::OnCancellation;
    settings.inline_bytes = 100;
}

pub(super) fn from(graph: &mut GraphBuilder, path: &str) {
    graph.settings.recovery.path = Some(path.to_string());
}

#[test]
fn another_job_goes_on_at_another_parallelism() {
    for (seed, (before, after)) in [(1, 1), (1, 4), (4, 1), (2, 3), (5, 2)].into_iter().enumerate() {
        for run_ms in [15, 47, 111, 180] {
            let folder = tempfile::tempdir().expect("a directory");
            let test = test(true, -1);
            let first = graph(before, |graph| in_directory(graph, &folder));
            let path = cancelled(&test, seed as u64, first, run_ms);
            let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
            let second = graph(after, |graph| {
                in_directory(graph, &folder);
                from(graph, &path);
            });
            test.run(seed as u64, second).expect("the second job ends well");
            assert_exactly_once(&test, &format!("{before} to {after} after {run_ms} ms"));
            let retained = std::fs::read_dir(&path).expect("it is there").count();
            assert!(retained > 0, "the first job's checkpoint is not the second's to delete");
        }
    }
}

fn restored(seed: u64, test: &TestComponents, graph: JobGraph) -> Result<(), JobError> {
    test.run(seed, graph).map(|_| ())
}

#[test]
fn state_without_a_home_is_refused_and_nothing_is_touched() {
    let folder = tempfile::tempdir().expect("a directory");
    let test = test(true, -1);
    let path = cancelled(&test, 3, graph(2, |graph| in_directory(graph, &folder)), 50);
    let other = |ignore: bool| {
        graph(2, |graph| {
            let nodes = std::mem::take(&mut graph.nodes);
            graph.nodes.extend(nodes.into_iter().filter(|node| node.label != "sums"));
            let sink = graph.nodes.last_mut().expect("a sink");
            sink.inputs[0].node.0 = 1;
            from(graph, &path);
            graph.settings.recovery.ignore_unclaimed = ignore;
        })
    };
    let before = test.log.lock().commits.len();
    let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
    let error = restored(3, &test, other(false)).expect_err("refused");
    assert_eq!(error.kind, ErrorKind::UserInput);
    let expected = "the job has no place for\n  sums, sums: state sums/accumulators with 7 entries\n";
    assert!(error.message.contains(expected) && error.message.contains(&path), "{error}");
    assert!(error.message.contains("'execution.state-recovery.ignore-unclaimed-state'"), "{error}");
    assert_eq!(test.log.lock().commits.len(), before, "nothing of the target is touched");
    let simulation = Simulation::new(3);
    let job = test.submit(simulation.env(), other(true));
    let notices = simulation.run(async move {
        job.wait().await.expect("it is left behind");
        job.take_notices()
    });
    let [Notice::Warning(warning), Notice::Restored { .. }] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert!(
        warning.ends_with("no place for\n  sums, sums: state sums/accumulators with 7 entries"),
        "{warning}"
    );
}

#[test]
fn damaged_checkpoints_are_named_and_nothing_is_touched() {
    let folder = tempfile::tempdir().expect("a directory");
    let test = test(true, -1);
    let path = cancelled(&test, 5, graph(2, |graph| in_directory(graph, &folder)), 50);
    let shared = format!("{path}/shared");
    let file =
        std::fs::read_dir(&shared).expect("it is there").next().expect("a file").expect("a file").path();
    let whole = std::fs::read(&file).expect("read");
    let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
    let before = test.log.lock().commits.len();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (contents, expected) in [
        (Some(&whole[..whole.len() - 10]), ": truncated at offset "),
        (Some(&flipped[..]), ": corrupt at offset "),
        (None, ": there is no such file, and "),
    ] {
        match contents {
            Some(contents) => std::fs::write(&file, contents).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let error = restored(5, &test, graph(3, |graph| from(graph, &path))).expect_err("damaged");
        assert_eq!(error.kind, ErrorKind::Data, "{error}");
        let name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        assert!(error.message.contains(name) && error.message.contains(expected), "{error}");
        assert_eq!(test.log.lock().commits.len(), before);
    }
}

/// A slow sink: rows pile up in the channels in front of it.
fn slow(test: TestComponents, pause_ms: u64) -> TestComponents {
    TestComponents { write_pause: std::time::Duration::from_millis(pause_ms), ..test }
}

/// The checkpoint with rows on their way is restored at another parallelism, and nothing is lost or doubled.
#[test]
fn rows_that_a_barrier_overtook_flow_again() {
    let mut persisted = 0;
    for after_ms in [0, 3] {
        for (seed, (before, after)) in [(2, 2), (2, 3), (3, 1), (1, 2), (4, 2)].into_iter().enumerate() {
            for run_ms in [60, 140, 230] {
                let unaligned = |graph: &mut GraphBuilder| {
                    graph.settings.checkpointing.unaligned = true;
                    graph.settings.checkpointing.aligned_timeout_ms = after_ms;
                };
                let folder = tempfile::tempdir().expect("a directory");
                let test = slow(test(true, -1), 7);
                let first = graph(before, |graph| {
                    in_directory(graph, &folder);
                    unaligned(graph);
                });
                let path = cancelled(&test, seed as u64, first, run_ms);
                let bytes =
                    |checkpoint: &crate::StoredCheckpoint| checkpoint.manifest.statistics.in_flight_bytes;
                persisted += test.seen().last().map_or(0, bytes);
                let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
                let second = graph(after, |graph| {
                    in_directory(graph, &folder);
                    unaligned(graph);
                    from(graph, &path);
                });
                test.run(seed as u64, second).expect("the second job ends well");
                assert_exactly_once(&test, &format!("{before} to {after} after {run_ms} ms, {after_ms} ms"));
            }
        }
    }
    assert!(persisted > 0, "rows were on their way at the checkpoints that were restored");
}

/// Somebody may say of one checkpoint that the rows on their way at it are to be left behind. Of others they flow.
#[test]
fn rows_on_their_way_can_be_left_behind() {
    let totals = [1, 0].map(|beside| {
        let folder = tempfile::tempdir().expect("a directory");
        let unaligned = |graph: &mut GraphBuilder| {
            in_directory(graph, &folder);
            graph.settings.checkpointing.unaligned = true;
        };
        let first = slow(test(true, -1), 7);
        let path = cancelled(&first, 0, graph(2, unaligned), 140);
        let last = first.seen().pop().expect("a checkpoint").manifest;
        assert!(last.statistics.in_flight_bytes > 0, "rows were on their way");
        let second = TestComponents { log: first.log.clone(), ..test(false, -1) };
        let job = graph(2, |graph| {
            unaligned(graph);
            from(graph, &path);
            graph.settings.recovery.without_in_flight = Some(last.checkpoint.0 + beside);
        });
        second.run(0, job).expect("the second job ends well");
        let mut counted: BTreeMap<i64, i64> = BTreeMap::new();
        for (key, sum) in &second.log.lock().visible {
            let most = counted.entry(*key).or_default();
            *most = (*most).max(*sum);
        }
        counted.values().sum::<i64>()
    });
    assert_eq!(totals[0], KEYS * ROUNDS * SPLITS, "those of another checkpoint flow");
    assert!(totals[1] < totals[0] && totals[1] > 0, "{totals:?}");
}

/// Behind a slow sink an aligned checkpoint takes as long as the rows before the barrier; an unaligned one does not.
#[test]
fn overtaking_makes_checkpoints_short() {
    let longest = |unaligned: bool| {
        let test = slow(test(false, -1), 40);
        let graph = graph(2, |graph| {
            graph.settings.checkpointing.unaligned = unaligned;
            graph.settings.exchange_bytes = 20_000;
            // each batch by itself
            graph.settings.batch_rows = 8;
        });
        test.run(5, graph).expect("the job ends well");
        assert_exactly_once(&test, "slow");
        let seen = test.seen();
        let statistics = seen.iter().map(|checkpoint| checkpoint.manifest.statistics.clone());
        statistics.max_by_key(|statistics| statistics.duration_ms).expect("a checkpoint")
    };
    let (aligned, unaligned) = (longest(false), longest(true));
    let (of_aligned, of_unaligned) = (aligned.duration_ms, unaligned.duration_ms);
    assert!(
        of_unaligned * 3 < of_aligned,
        "{of_unaligned} ms unaligned, {of_aligned} ms aligned: {unaligned:#?}"
    );
}
