//! Barriers, snapshots and commits of whole jobs.

use super::operators::{Burst, LastValue, Probe};
use crate::StoredCheckpoint;
use crate::testing::{GraphBuilder, Step, TestComponents, wait_ms};
use arrow::datatypes::{DataType, Field, Schema};
use futures::executor::block_on;
use std::sync::Arc;
use weir_state::{KeyedStateBackend, OperatorStateBackend};
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, GroupAggregateSpec, JobGraph, KeyGroupRange, OperatorId,
    OperatorSpec, RocksDbSettings, StateBackendSettings,
};

/// `steps` batches of `rows` rows, `pause_ms` apart.
fn paced(steps: i64, rows: i64, pause_ms: u64) -> Vec<Step> {
    let mut all = Vec::new();
    for step in 0..steps {
        all.push(Step::Rows((0..rows).map(|row| (row, step * rows + row)).collect()));
        if pause_ms > 0 {
            all.push(wait_ms(pause_ms));
        }
    }
    all
}

/// True if all tasks of an operator still ran.
fn all_run(checkpoint: &StoredCheckpoint, operator: &str) -> bool {
    let tasks = &checkpoint.manifest.statistics.tasks;
    let of_operator =
        |task: &&crate::manifest::TaskStatistics| task.operators.contains(&OperatorId::new(operator));
    tasks.iter().filter(of_operator).all(|task| !task.finished)
}

/// The numbers that the subtasks of an operator keep as state.
fn numbers(checkpoint: &StoredCheckpoint, operator: &str) -> Vec<i64> {
    let Some(operator) = checkpoint.manifest.operator(&OperatorId::new(operator)) else { return Vec::new() };
    let number = |subtask: &crate::manifest::SubtaskManifest| {
        let place = subtask.operator_state.as_ref().expect("operator state");
        let bytes = block_on(checkpoint.bytes(place)).expect("it is in memory");
        let state = OperatorStateBackend::restore(&[bytes], 0, 1, "memory").expect("what was written");
        let entry: [u8; 8] = state.entries("rows")[0].as_ref().try_into().expect("eight bytes");
        i64::from_be_bytes(entry)
    };
    operator.subtasks.iter().map(number).collect()
}

/// Rows that a source has handed out, by its positions; `rows_of_step` is what each of its batches holds.
fn rows_read(checkpoint: &StoredCheckpoint, source: &str, splits: &[Vec<Step>]) -> i64 {
    let rows = |steps: &[Step]| -> i64 {
        let rows = steps.iter().map(|step| if let Step::Rows(rows) = step { rows.len() as i64 } else { 0 });
        rows.sum()
    };
    let mut unread: i64 = 0;
    let operator = checkpoint.manifest.operator(&OperatorId::new(source)).expect("positions");
    for subtask in &operator.subtasks {
        for split in &subtask.source.as_ref().expect("positions").splits {
            let done: usize = split.position.as_ref().expect("a position").parse().expect("a number");
            let steps = &splits[split.split.0.parse::<usize>().expect("a number")];
            unread += rows(&steps[done..]);
        }
    }
    splits.iter().map(|steps| rows(steps)).sum::<i64>() - unread
}

fn two_inputs(parallelism: u32, interval_ms: u64) -> JobGraph {
    let mut graph = GraphBuilder::new(parallelism);
    graph.settings.checkpointing.interval_ms = Some(interval_ms);
    graph.settings.exchange_bytes = 3000;
    let fast = graph.source("fast");
    let slow = graph.source("slow");
    let inputs = [(fast, Exchange::Hash(vec![0])), (slow, Exchange::Hash(vec![0]))];
    let union = graph.node("union", OperatorSpec::Union, &inputs);
    graph.sink("sink", union);
    graph.build()
}

/// A checkpoint is a consistent cut: what the union had seen is what the sources had handed out, though one is much
/// faster than the other and ends long before it.
#[test]
fn inputs_of_different_speed_are_aligned_and_one_may_end_early() {
    for parallelism in [1, 2, 4] {
        for seed in 0..10 {
            let fast = vec![paced(60, 10, 0), paced(20, 10, 1), paced(60, 10, 0)];
            let slow = vec![paced(20, 1, 7), paced(20, 1, 3)];
            let test = TestComponents::default()
                .source("fast", fast.clone())
                .source("slow", slow.clone())
                .operator("union", Probe::default);
            test.run(seed, two_inputs(parallelism, 5)).expect("the job ends well");
            let checkpoints = test.seen();
            assert!(checkpoints.len() > 10, "{} checkpoints", checkpoints.len());
            let (mut compared, mut after_the_fast) = (0, 0);
            for checkpoint in &checkpoints {
                let seen = numbers(checkpoint, "union");
                assert_eq!(seen.len(), parallelism as usize, "finished or not");
                let fast = rows_read(checkpoint, "fast", &fast);
                let seen: i64 = seen.iter().sum();
                assert_eq!(
                    seen,
                    fast + rows_read(checkpoint, "slow", &slow),
                    "checkpoint {}",
                    checkpoint.manifest.checkpoint
                );
                compared += 1;
                after_the_fast += i64::from(fast == 1400);
            }
            assert!(compared > 10, "{compared} checkpoints while the union ran");
            assert!(after_the_fast > 3, "checkpoints complete after a source has finished");
            assert_eq!(test.log.lock().visible.len(), 1440, "each row once");
            assert!(test.log.lock().prepared.is_empty());
        }
    }
}

#[test]
fn a_barrier_passes_while_a_firing_is_pending() {
    for seed in 0..10 {
        let mut graph = GraphBuilder::new(2);
        graph.settings.checkpointing.interval_ms = Some(10);
        graph.settings.exchange_bytes = 600;
        graph.settings.batch_rows = 1;
        let source = graph.source("numbers");
        let time = graph.operator("time", source, Exchange::Forward);
        let burst = graph.operator("burst", time, Exchange::Hash(vec![0]));
        let slow = graph.operator("after", burst, Exchange::Hash(vec![0]));
        graph.node("collect", OperatorSpec::Collect, &[(slow, Exchange::Forward)]);
        let test = TestComponents::default()
            .source(
                "numbers",
                vec![vec![Step::Rows(vec![(1, 5)]), wait_ms(100)], vec![Step::Rows(vec![(2, 5)])]],
            )
            .operator("time", || LastValue)
            .operator("burst", || Burst { owed: 50, left: 0 })
            .operator("after", Probe::default);
        let simulation = crate::simulation::Simulation::new(seed);
        let clock = simulation.env().clock;
        let mut job = test.submit(simulation.env(), graph.build());
        let mut results = job.results().expect("a collector");
        simulation.run(async move {
            // a slow reader: 100 batches at 1 ms each, with a checkpoint every 10 ms
            while results.next().await.is_some() {
                clock.sleep(std::time::Duration::from_millis(1)).await;
            }
            job.wait().await.expect("the job ends well");
        });
        let owed: Vec<i64> = test.seen().iter().map(|c| numbers(c, "burst").iter().sum()).collect();
        assert!(owed.iter().any(|owed| (1..100).contains(owed)), "{owed:?} owed at checkpoints");
    }
}

#[test]
fn output_is_committed_once_with_checkpoints_and_without() {
    for interval in [None, Some(4)] {
        for seed in 0..10 {
            let mut graph = GraphBuilder::new(2);
            graph.settings.checkpointing.interval_ms = interval;
            let source = graph.source("numbers");
            graph.sink("sink", source);
            let test = TestComponents::default()
                .source("numbers", vec![paced(10, 3, 2), paced(10, 3, 1), paced(5, 3, 1)]);
            let summary = test.run(seed, graph.build()).expect("the job ends well");
            let log = test.log.lock();
            assert_eq!(log.visible.len(), 75);
            assert!(log.prepared.is_empty() && log.aborts.is_empty());
            assert_eq!(interval.is_some(), log.commits.iter().any(|name| name.starts_with("chk-")));
            assert_eq!(summary.checkpoints, test.seen().len() as u64);
            assert_eq!(interval.is_none(), summary.checkpoints == 0);
        }
    }
}

/// VALUES and a whole chain of finished sources: triggers reach tasks that no barrier can reach.
#[test]
fn a_task_whose_inputs_have_all_ended_still_answers() {
    for seed in 0..10 {
        let mut graph = GraphBuilder::new(1);
        graph.settings.checkpointing.interval_ms = Some(10);
        let a = graph.source("a");
        let b = graph.source("b");
        let time = graph.operator("time", a, Exchange::Forward);
        let inputs = [(time, Exchange::Forward), (b, Exchange::Forward)];
        let union = graph.node("burst", OperatorSpec::Union, &inputs);
        graph.node("collect", OperatorSpec::Collect, &[(union, Exchange::Forward)]);
        let test = TestComponents::default()
            .source("a", vec![vec![Step::Rows(vec![(1, 5)])]])
            .source("b", vec![vec![]])
            .operator("time", || LastValue)
            .operator("burst", || Burst { owed: 100, left: 0 });
        let simulation = crate::simulation::Simulation::new(seed);
        let clock = simulation.env().clock;
        let mut job = test.submit(simulation.env(), graph.build());
        let mut results = job.results().expect("a collector");
        simulation.run(async move {
            while results.next().await.is_some() {
                clock.sleep(std::time::Duration::from_millis(1)).await;
            }
            job.wait().await.expect("the job ends well");
        });
        let checkpoints = test.seen();
        assert!(checkpoints.len() >= 2, "{} checkpoints while the union alone ran", checkpoints.len());
        assert!(checkpoints.iter().all(|checkpoint| !all_run(checkpoint, "a") && !all_run(checkpoint, "b")));
    }
}

/// The real aggregation: what a checkpoint holds of it is restored, and equals what the sources had handed out. A checkpoint
/// in memory has no place for files: state that is in RocksDB is part of it as segments.
#[test]
fn keyed_state_is_in_the_checkpoint_and_comes_back() {
    let small = RocksDbSettings { memory_bytes: 10_000, ..RocksDbSettings::default() };
    let rocksdb = StateBackendSettings::RocksDb(Box::new(small));
    for (parallelism, backend) in
        [(1, &StateBackendSettings::Heap), (2, &StateBackendSettings::Heap), (1, &rocksdb), (2, &rocksdb)]
    {
        let mut graph = GraphBuilder::new(parallelism);
        graph.settings.checkpointing.interval_ms = Some(5);
        graph.settings.state_backend = backend.clone();
        let source = graph.source("numbers");
        let sum = AggregateCall {
            function: AggregateFunction::Sum,
            arguments: vec![1],
            distinct: false,
            filter: None,
            output: Arc::new(Field::new("v", DataType::Int64, true)),
        };
        let spec = GroupAggregateSpec {
            keys: vec![0],
            aggregates: vec![sum],
            input_retracts: false,
            emit_update_before: true,
            ttl_ms: None,
            bundles: false,
            merges: None,
        };
        let aggregate =
            graph.node("agg", OperatorSpec::GroupAggregate(spec), &[(source, Exchange::Hash(vec![0]))]);
        graph.nodes[aggregate].schema = Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, false),
            Field::new("v", DataType::Int64, true),
        ]));
        graph.sink("sink", aggregate);
        let splits = vec![paced(40, 50, 1), paced(40, 50, 2)];
        let test = TestComponents::default().source("numbers", splits.clone());
        test.run(7, graph.build()).expect("the job ends well");
        let mut restored = 0;
        for checkpoint in test.seen() {
            let read = rows_read(&checkpoint, "numbers", &splits);
            let operator = checkpoint.manifest.operator(&OperatorId::new("agg")).expect("state");
            let keyed = operator.subtasks.iter().map(|subtask| subtask.keyed.as_ref().expect("keyed state"));
            let snapshots: Vec<_> =
                keyed.map(|keyed| block_on(checkpoint.keyed(keyed)).expect("it is in memory")).collect();
            assert_eq!(snapshots.len(), parallelism as usize);
            let entries: u64 = snapshots
                .iter()
                .flat_map(|snapshot| snapshot.index.segments())
                .map(|segment| u64::from(segment.rows))
                .sum();
            assert_eq!(
                entries,
                if read == 0 { 0 } else { 50 },
                "checkpoint {}",
                checkpoint.manifest.checkpoint
            );
            let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
            backend.restore(snapshots).expect("what was written");
            assert!(backend.unclaimed_states().next().is_some());
            restored += 1;
        }
        assert!(restored > 5, "{restored} checkpoints while the aggregation ran");
    }
}
