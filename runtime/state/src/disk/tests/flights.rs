//! Writes on their way: what fails there, what is given up, and what is left behind.

use super::*;
use crate::disk::jobs::Jobs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many counts of one, of which some are on their way to the disk and wait for [`fly`].
fn about_to_leave() -> (Counts, usize) {
    let mut counts = Counts::new(Kind::Disk(200_000).whole());
    counts.backend.hold_writes();
    let mut keys = 0;
    while counts.backend.disk.as_ref().unwrap().leaving.is_none() {
        counts.add(keys..keys + 50);
        counts.backend.trim();
        counts.backend.check().unwrap();
        keys += 50;
    }
    (counts, keys as usize)
}

/// Carries out what is on its way on a thread of its own, as writers do, and waits for that.
fn fly(counts: &Counts) {
    std::thread::scope(|scope| scope.spawn(|| counts.backend.write_now()).join().unwrap());
}

fn meanwhile(counts: &Counts, what: impl FnOnce() + Send + 'static) {
    let jobs: &Jobs = &counts.backend.disk.as_ref().unwrap().jobs;
    *jobs.switches.meanwhile.lock() = Some(Box::new(what));
}

/// The directory of the database.
fn directory(counts: &Counts) -> PathBuf {
    let path = counts.backend.disk.as_ref().unwrap().store.scratch("any");
    path.parent().unwrap().to_path_buf()
}

/// What it would have written is in no file, and rows must not leave for it.
#[test]
fn a_write_that_panics_is_not_taken_for_done() {
    let (mut counts, _) = about_to_leave();
    meanwhile(&counts, || panic!("a defect"));
    let mut snapshot = counts.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental);
    fly(&counts);
    let told = snapshot.prepare().expect_err("a job before it has failed");
    assert!(told.to_string().contains("panicked: a defect"), "{told}");
    let rows = counts.backend.memory_bytes(counts.state);
    counts.backend.trim();
    assert!(counts.backend.check().expect_err("told at once").to_string().contains("a defect"));
    assert!(counts.backend.memory_bytes(counts.state) >= rows);
}

#[test]
fn a_write_that_fails_is_told_of_at_the_next_call() {
    let (mut counts, _) = about_to_leave();
    let directory = directory(&counts);
    std::fs::remove_dir_all(&directory).unwrap();
    std::fs::write(&directory, "").unwrap();
    fly(&counts);
    for _ in 0..2 {
        counts.backend.trim();
        let told = counts.backend.check().expect_err("told at once, and every time");
        assert!(matches!(told, StateError::Storage(_)), "{told}");
    }
}

/// Links that cannot be made are the snapshot's loss alone.
#[test]
fn without_links_a_snapshot_fails_and_nothing_else() {
    let (mut counts, keys) = about_to_leave();
    let mut snapshot = counts.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental);
    let there = directory(&counts).join("checkpoint-0");
    assert!(!there.exists());
    let taken = there.clone();
    meanwhile(&counts, || ());
    fly_one(&counts);
    meanwhile(&counts, move || std::fs::create_dir_all(taken.join("in the way")).unwrap());
    fly(&counts);
    assert!(matches!(snapshot.prepare(), Err(StateError::Storage(_))));
    drop(snapshot);
    counts.backend.trim();
    assert_eq!(counts.get(7), Some(1));
    let (stored, ..) = counts.checkpoint();
    assert_eq!(counts.seen(&stored).len(), keys);
}

/// Carries out the first of two jobs.
fn fly_one(counts: &Counts) {
    let disk = counts.backend.disk.as_ref().unwrap();
    disk.jobs.run_until(disk.flight.unwrap() - 1, &disk.store).unwrap();
}

#[test]
fn what_nobody_waits_for_is_not_written_when_a_backend_goes() {
    let (counts, _) = about_to_leave();
    let (written, directory) = (Arc::new(AtomicBool::new(false)), directory(&counts));
    let note = written.clone();
    meanwhile(&counts, move || note.store(true, Ordering::Relaxed));
    drop(counts);
    assert!(!written.load(Ordering::Relaxed) && !directory.exists());
}

/// What a snapshot waits for is written by itself, and what was begun before it as well.
#[test]
fn a_snapshot_outlives_its_backend() {
    let (mut counts, keys) = about_to_leave();
    let snapshot = counts.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental);
    let Counts { mut store, backend, .. } = counts;
    drop(backend);
    let stored = store.write(0, snapshot);
    let mut after = Counts::new(Kind::Heap.whole());
    after.store = store;
    assert_eq!(after.seen(&stored).len(), keys);
}

/// A snapshot that goes while its links are made cannot remove them.
#[test]
fn links_that_nobody_wants_any_more_are_removed() {
    let (mut counts, _) = about_to_leave();
    let snapshot = counts.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental);
    fly_one(&counts);
    meanwhile(&counts, || drop(snapshot));
    fly(&counts);
    let left = std::fs::read_dir(directory(&counts)).unwrap();
    let left: Vec<String> =
        left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(left, ["db"]);
}
