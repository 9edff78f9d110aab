//! Entries that change while they are on their way to the disk, and what of it is in checkpoints.

use super::*;

const WINDOW: i64 = 10;
/// Some of them stay in memory.
const SOME: Kind = Kind::Disk(200_000);

/// `change` comes while entries of a window leave. Whenever they have left, the job and its checkpoint are as expected.
fn while_entries_leave(change: impl Fn(&mut Job, &mut Model, i64)) {
    for landed in [false, true] {
        let mut job = Job::new(Keys::BigInt, SOME.whole()).unwrap();
        job.turns = None;
        let (mut model, mut store, mut keys) = (Model::new(), Store::default(), 0);
        while !job.backend.is_leaving() {
            let rows: Vec<_> = (keys..keys + 20).map(|key| (Some(key), key % 7)).collect();
            job.add(WINDOW, &rows, &mut model);
            job.begin();
            keys += 20;
        }
        change(&mut job, &mut model, keys);
        if landed {
            job.backend.write_now();
            job.begin();
        }
        let snapshot = job.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental);
        let expected = model.clone();
        change(&mut job, &mut model, keys);
        let stored = store.write(0, snapshot);
        job.begin();
        assert_same(&job.read(), &model, || format!("the job, landed: {landed}"));
        assert_eq!(counts(store.fetch(&stored)), counts_of(&expected), "landed: {landed}");
        for (kind, parallelism) in [(Kind::Heap, 1), (Kind::Disk(0), 1), (SOME, 3)] {
            let mut restored = restore(kind, Keys::BigInt, parallelism, &[store.fetch(&stored)]);
            let mut found = Model::new();
            restored.iter_mut().for_each(|part| found.append(&mut part.read()));
            assert_same(&found, &expected, || format!("{kind:?} at {parallelism}, landed: {landed}"));
        }
    }
}

/// Late rows come for a window that was dropped.
#[test]
fn a_window_is_dropped_and_has_late_rows() {
    while_entries_leave(|job, model, keys| {
        job.drop_window(WINDOW, model);
        let late: Vec<_> = (0..keys).step_by(3).map(|key| (Some(key), 1)).collect();
        job.add(WINDOW, &late, model);
    });
}

/// Others get the slots of those that are gone, and some of these come again.
#[test]
fn keys_are_deleted_and_come_again() {
    while_entries_leave(|job, model, keys| {
        let gone: Vec<_> = (0..keys).step_by(2).map(Some).collect();
        job.delete(WINDOW, &gone, model);
        let again: Vec<_> = (0..keys).step_by(4).chain(keys..keys + 9).map(|key| (Some(key), 5)).collect();
        job.add(WINDOW, &again, model);
    });
}

#[test]
fn entries_are_drained() {
    while_entries_leave(|job, model, _| job.drain(WINDOW, 3, model));
}

/// Files that overlap, with deletions of ranges between them, are taken over as they are, in parts, and together.
#[test]
fn overlapping_files_with_deleted_ranges_are_restored() {
    let kind = Kind::Disk(0);
    let mut job = Job::new(Keys::BigInt, kind.whole()).unwrap();
    let (mut model, mut store) = (Model::new(), Store::default());
    for round in 0..6 {
        for window in [10, 20] {
            let rows: Vec<_> = (0..200).map(|key| (Some(key * (1 + round) % 300), round)).collect();
            job.add(window, &rows, &mut model);
            let gone: Vec<_> = (0..300).skip(round as usize).step_by(5).map(Some).collect();
            job.delete(window, &gone, &mut model);
        }
        if round % 3 == 1 {
            job.drop_window(20, &mut model);
        }
    }
    job.begin();
    let first = store.write(0, job.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental));
    let mut parts = vec![store.fetch(&first)];
    // Of one by one, by three, of those by two, and of all by one again.
    for (step, parallelism) in [1, 3, 2, 1].into_iter().enumerate() {
        let mut jobs = restore(kind, Keys::BigInt, parallelism, &parts);
        let mut found = Model::new();
        parts.clear();
        for (subtask, job) in jobs.iter_mut().enumerate() {
            found.append(&mut job.read());
            let checkpoint = CheckpointId(2 + step as u64);
            let subtask = 10 * (1 + step) + subtask;
            let stored = store.write(subtask, job.backend.snapshot(checkpoint, SnapshotMode::Incremental));
            parts.push(store.fetch(&stored));
        }
        assert_same(&found, &model, || format!("at {parallelism}"));
    }
}
