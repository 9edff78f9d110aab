//! How jobs end that do not come to their end.

use super::operators::Probe;
use crate::simulation::Simulation;
use crate::testing::{GraphBuilder, Step, TestComponents, wait_ms};
use crate::{ErrorKind, JobOutcome};
use weir_types::{Exchange, JobGraph, OperatorSpec};

fn endless() -> Vec<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for value in 0..50 {
        steps.push(Step::Rows(vec![(value, value)]));
        steps.push(wait_ms(1));
    }
    steps.push(Step::Forever);
    vec![steps.clone(), steps]
}

fn graph(parallelism: u32) -> JobGraph {
    let mut graph = GraphBuilder::new(parallelism);
    graph.settings.checkpointing.interval_ms = Some(10);
    let source = graph.source("numbers");
    let probe = graph.operator("probe", source, Exchange::Hash(vec![0]));
    graph.sink("sink", probe);
    graph.build()
}

#[test]
fn a_panic_fails_the_job_with_the_operators_name_and_stops_the_others() {
    for parallelism in [1, 4] {
        for seed in 0..10 {
            let probe = || Probe { panic_at: Some(7), ..Probe::default() };
            let test = TestComponents::default().source("numbers", endless()).operator("probe", probe);
            let error = test.run(seed, graph(parallelism)).expect_err("the job fails");
            assert_eq!(error.kind, ErrorKind::Internal);
            assert!(error.message.starts_with("probe: panicked: row "), "{error}");
        }
    }
}

#[test]
fn an_error_fails_the_job_and_what_no_checkpoint_covers_is_aborted() {
    for seed in 0..20 {
        let probe = || Probe { fail_at: Some(30), ..Probe::default() };
        let test = TestComponents::default().source("numbers", endless()).operator("probe", probe);
        let error = test.run(seed, graph(2)).expect_err("the job fails");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Data, "probe: division by zero"));
        let log = test.log.lock();
        assert!(!log.commits.is_empty(), "checkpoints before the error are complete");
        let left: Vec<&String> = log.prepared.keys().collect();
        assert!(left.is_empty(), "{left:?} are neither committed nor aborted");
        assert!(log.commits.iter().all(|name| !log.aborts.contains(name)));
    }
}

#[test]
fn a_source_that_fails_and_a_sink_that_cannot_commit_fail_the_job() {
    let failing = vec![vec![wait_ms(5), Step::Fail("line 7 of a.json is no object")]];
    let test = TestComponents::default().source("numbers", failing).operator("probe", Probe::default);
    let error = test.run(1, graph(2)).expect_err("the job fails");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Data, "numbers: line 7 of a.json is no object")
    );

    let mut test = TestComponents::default().source("numbers", endless()).operator("probe", Probe::default);
    test.fail_commit = true;
    let error = test.run(1, graph(2)).expect_err("the job fails");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(error.message, "commit output: sink: commit: the disk is full");
    let aborts = test.log.lock().aborts.clone();
    assert!(!aborts.iter().any(|name| name.starts_with("chk-1-")), "it belongs to a complete checkpoint");
}

#[test]
fn a_cancelled_job_ends_at_once() {
    for parallelism in [1, 3] {
        for seed in 0..10 {
            let test =
                TestComponents::default().source("numbers", endless()).operator("probe", Probe::default);
            let simulation = Simulation::new(seed);
            let clock = simulation.env().clock;
            let job = test.submit(simulation.env(), graph(parallelism));
            let summary = simulation.run(async move {
                clock.sleep(std::time::Duration::from_millis(25)).await;
                job.cancel();
                let summary = job.wait().await.expect("cancelled");
                assert_eq!(clock.monotonic().as_millis(), 25);
                summary
            });
            assert_eq!((summary.outcome, summary.checkpoints), (JobOutcome::Cancelled, 2));
        }
    }
}

#[test]
fn a_job_cancelled_before_it_starts_ends_too() {
    let test = TestComponents::default().source("numbers", endless()).operator("probe", Probe::default);
    let simulation = Simulation::new(1);
    let job = test.submit(simulation.env(), graph(1));
    job.cancel();
    let summary = simulation.run(async move { job.wait().await }).expect("cancelled");
    assert_eq!(summary.outcome, JobOutcome::Cancelled);
}

#[test]
fn a_select_that_nobody_reads_any_more_ends() {
    for parallelism in [1, 2] {
        let mut graph = GraphBuilder::new(parallelism);
        let source = graph.source("numbers");
        let probe = graph.operator("probe", source, Exchange::Hash(vec![0]));
        graph.node("collect", OperatorSpec::Collect, &[(probe, Exchange::Forward)]);
        let test = TestComponents::default().source("numbers", endless()).operator("probe", Probe::default);
        let simulation = Simulation::new(1);
        let mut job = test.submit(simulation.env(), graph.build());
        let mut results = job.results().expect("a collector");
        simulation.run(async move {
            results.next().await.expect("a row");
            drop(results);
            assert_eq!(job.wait().await.expect("ends").outcome, JobOutcome::Finished);
        });
    }
}

#[test]
fn a_reader_of_results_slows_the_job() {
    let mut graph = GraphBuilder::new(1);
    let source = graph.source("numbers");
    graph.node("collect", OperatorSpec::Collect, &[(source, Exchange::Forward)]);
    let splits = vec![(0..1000).map(|value| Step::Rows(vec![(value, value)])).collect()];
    let test = TestComponents::default().source("numbers", splits);
    let simulation = Simulation::new(1);
    let clock = simulation.env().clock;
    let mut job = test.submit(simulation.env(), graph.build());
    let mut results = job.results().expect("a collector");
    simulation.run(async move {
        clock.sleep(std::time::Duration::from_millis(1)).await;
        assert!(job.metrics()[0].metrics.rows_out < 50, "the source waits for the reader");
        let mut rows = 0;
        while let Some(batch) = results.next().await {
            rows += batch.num_rows();
        }
        assert_eq!(rows, 1000);
        job.wait().await.expect("the job ends well");
    });
}
