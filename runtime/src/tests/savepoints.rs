//! Savepoints, and jobs that stop with one.

use super::restores::{assert_exactly_once, graph, test};
use crate::simulation::Simulation;
use crate::testing::TestComponents;
use crate::{CheckpointStatus, JobOutcome, Stop, StoredCheckpoint};
use std::time::Duration;

fn savepoints_in(graph: &mut crate::testing::GraphBuilder, folder: &tempfile::TempDir) {
    graph.settings.checkpointing.savepoint_dir = folder.path().to_str().map(str::to_string);
}

/// Runs a job that never ends until `stop` ends it with a savepoint, whose path it gives.
fn stopped(
    test: &TestComponents,
    seed: u64,
    parallelism: u32,
    folder: &tempfile::TempDir,
    stop: Stop,
) -> String {
    let simulation = Simulation::new(seed);
    let job = test.submit(simulation.env(), graph(parallelism, |graph| savepoints_in(graph, folder)));
    let clock = simulation.env().clock;
    simulation.run(async move {
        clock.sleep(Duration::from_millis(33 + seed * 7)).await;
        let path = job.savepoint(None, Some(stop)).await.expect("a savepoint");
        let summary = job.wait().await.expect("it ends well");
        assert_eq!(summary.outcome, JobOutcome::Stopped);
        path
    })
}

#[test]
fn a_job_stops_with_a_savepoint_and_another_goes_on_from_it() {
    for stop in [Stop::Suspend, Stop::Drain] {
        for (seed, (before, after)) in [(1, 1), (1, 3), (3, 2), (2, 2)].into_iter().enumerate() {
            let folder = tempfile::tempdir().expect("a directory");
            let test = test(true, -1);
            let path = stopped(&test, seed as u64, before, &folder, stop);
            assert!(test.log.lock().prepared.is_empty(), "all its output is visible");
            let second = graph(after, |graph| graph.settings.recovery.path = Some(path.clone()));
            let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
            test.run(seed as u64, second).expect("the second job ends well");
            assert_exactly_once(&test, &format!("{stop:?}, {before} to {after}"));
            assert!(std::path::Path::new(&path).join("_metadata").is_file(), "it stays");
        }
    }
}

#[test]
fn a_savepoint_beside_a_running_job() {
    for seed in 0..10 {
        let folder = tempfile::tempdir().expect("a directory");
        let test = test(false, -1);
        let simulation = Simulation::new(seed);
        let job = test.submit(simulation.env(), graph(2, |graph| savepoints_in(graph, &folder)));
        let clock = simulation.env().clock;
        let path = simulation.run(async move {
            clock.sleep(Duration::from_millis(25)).await;
            let path = job.savepoint(None, None).await.expect("a savepoint");
            let overview = job.checkpoints();
            let latest = overview.latest_savepoint.expect("it is remembered");
            let CheckpointStatus::Completed { path: known, manifest, .. } = latest.status else {
                panic!("{latest:?}");
            };
            assert_eq!((known.as_deref(), manifest.checkpoint), (Some(path.as_str()), latest.id));
            job.wait().await.expect("it ends well");
            path
        });
        assert_exactly_once(&test, &format!("seed {seed}"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let opened = runtime.block_on(StoredCheckpoint::open(&path, &Default::default())).expect("it opens");
        assert!(opened.manifest.files.iter().all(|file| !file.path.contains('/')));
    }
}

#[test]
fn a_savepoint_needs_a_place() {
    let test = test(true, -1);
    let simulation = Simulation::new(1);
    let job = test.submit(simulation.env(), graph(1, |_| {}));
    let error = simulation.run(async move {
        let error = job.savepoint(None, None).await.expect_err("no directory");
        job.cancel();
        job.wait().await.expect("it is cancelled");
        error
    });
    assert!(error.message.contains("'execution.checkpointing.savepoint-dir'"), "{error}");
}
