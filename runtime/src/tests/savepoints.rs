//! Savepoints, and jobs that stop with one.

use super::restores::{assert_exactly_once, graph, test};
use crate::simulation::Simulation;
use crate::testing::TestComponents;
use crate::{CheckpointStatus, JobOutcome, JobStatus, Notice, SavepointFormat, Stop, StoredCheckpoint};
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
    (stop, format): (Stop, SavepointFormat),
) -> String {
    let simulation = Simulation::new(seed);
    let job = test.submit(simulation.env(), graph(parallelism, |graph| savepoints_in(graph, folder)));
    let clock = simulation.env().clock;
    simulation.run(async move {
        clock.sleep(Duration::from_millis(33 + seed * 7)).await;
        let path = job.savepoint(None, format, Some(stop)).await.expect("a savepoint");
        let summary = job.wait().await.expect("it ends well");
        assert_eq!(summary.outcome, JobOutcome::Stopped);
        path
    })
}

#[test]
fn a_job_stops_with_a_savepoint_and_another_goes_on_from_it() {
    use SavepointFormat::{Canonical, Native};
    for stop in [(Stop::Suspend, Native), (Stop::Drain, Native), (Stop::Suspend, Canonical)] {
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
            let beside = std::fs::read_dir(folder.path()).expect("it is there").count();
            assert_eq!(beside, 1, "nothing lies beside it");
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
            let path = job.savepoint(None, SavepointFormat::Native, None).await.expect("a savepoint");
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
        let error = job.savepoint(None, SavepointFormat::Native, None).await.expect_err("no directory");
        job.cancel();
        job.wait().await.expect("it is cancelled");
        error
    });
    assert!(error.message.contains("'execution.checkpointing.savepoint-dir'"), "{error}");
}

/// Whoever asks gets the number of a checkpoint that is there then, and jobs that take none say so.
#[test]
fn a_checkpoint_that_is_asked_for() {
    for seed in 0..5 {
        let test = test(false, -1);
        let simulation = Simulation::new(seed);
        let rare = graph(2, |graph| graph.settings.checkpointing.interval_ms = Some(100_000));
        let job = test.submit(simulation.env(), rare);
        let clock = simulation.env().clock;
        simulation.run(async move {
            clock.sleep(Duration::from_millis(20)).await;
            assert_eq!(job.status(), JobStatus::Running);
            let (id, path) = job.checkpoint().await.expect("a checkpoint");
            let latest = job.checkpoints().latest_completed.expect("it is remembered");
            assert_eq!((latest.id, path), (id, None));
            job.wait().await.expect("it ends well");
            assert_eq!(job.status(), JobStatus::Finished);
            job.checkpoint().await.expect_err("it has ended");
        });
        assert_exactly_once(&test, &format!("seed {seed}"));
    }
    let test = test(false, -1);
    let simulation = Simulation::new(1);
    let without = graph(1, |graph| graph.settings.checkpointing.interval_ms = None);
    let job = test.submit(simulation.env(), without);
    let error = simulation.run(async move { job.checkpoint().await.expect_err("it takes none") });
    assert!(error.message.contains("'execution.checkpointing.interval'"), "{error}");
}

/// Who ends the process means to go on: checkpoints stay, though they would go if the job was cancelled.
#[test]
fn checkpoints_of_a_suspended_job_stay() {
    for suspend in [true, false] {
        let folder = tempfile::tempdir().expect("a directory");
        let test = test(true, -1);
        let simulation = Simulation::new(3);
        let job = test.submit(
            simulation.env(),
            graph(2, |graph| {
                graph.settings.checkpointing.dir = folder.path().to_str().map(str::to_string);
            }),
        );
        let clock = simulation.env().clock;
        let directory = job.checkpoint_directory().expect("a directory").to_string();
        simulation.run(async move {
            clock.sleep(Duration::from_millis(60)).await;
            match suspend {
                true => job.suspend(),
                false => job.cancel(),
            }
            assert_eq!(job.status(), JobStatus::Cancelling);
            let summary = job.wait().await.expect("it ends well");
            assert_eq!((summary.outcome, job.status()), (JobOutcome::Cancelled, JobStatus::Cancelled));
        });
        assert_eq!(std::path::Path::new(&directory).exists(), suspend);
        if !suspend {
            continue;
        }
        let second = graph(1, |graph| graph.settings.recovery.path = Some(directory.clone()));
        let test = TestComponents { log: test.log.clone(), ..self::test(false, -1) };
        let simulation = Simulation::new(4);
        let job = test.submit(simulation.env(), second);
        let notices = simulation.run(async move {
            job.wait().await.expect("the second job ends well");
            job.take_notices()
        });
        assert_exactly_once(&test, "suspended");
        let [Notice::Restored { path, operators, bytes, .. }] = notices.as_slice() else {
            panic!("{notices:?}")
        };
        assert!(path.starts_with(&directory) && *operators >= 2 && *bytes > 0, "{notices:?}");
    }
}
