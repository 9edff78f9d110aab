//! Snapshots that are written while entries of tables of many pages come, change and go.

use super::*;

/// How many of the keys there are, so that each table has several pages.
const KEYS: u64 = 5000;

fn random_rows(random: &mut Random, most: u64) -> Vec<(Option<i64>, i64)> {
    let count = random.below(most);
    (0..count).map(|_| (random_key(random, KEYS), random.below(20) as i64)).collect()
}

fn change(job: &mut Job, random: &mut Random, most: u64, model: &mut Model) {
    let window = 10 + 10 * random.below(2) as i64;
    match random.below(8) {
        0..=5 => job.add(window, &random_rows(random, most), model),
        6 => {
            let gone: Vec<_> = random_rows(random, most / 4 + 1).into_iter().map(|(key, _)| key).collect();
            job.delete(window, &gone, model);
        }
        // Rows at the front of the table are gone without having been written.
        _ => job.drain(20, random.below(60), model),
    }
}

fn assert_restores(fetched: RestoredSnapshot, expected: &Model, keys: Keys, when: &str) {
    assert_eq!(counts(fetched.clone()), counts_of(expected), "{when}");
    assert_same(&restore(Kind::Heap, keys, 1, &[fetched])[0].read(), expected, || when.to_string());
}

fn filled(keys: Keys, model: &mut Model) -> Job {
    let mut job = Job::new(keys, Kind::Heap.whole()).unwrap();
    job.backend.history.limits = Limits { table_bytes: 0, links: 4 };
    for window in [10, 20] {
        for start in (0..KEYS as i64).step_by(500) {
            let rows: Vec<_> = (start..start + 500).map(|key| (Some(key + 1), key % 7)).collect();
            job.add(window, &rows, model);
        }
    }
    job
}

/// One snapshot after the other, each with changes at every point of its writing; some are written late, some never, some
/// fail.
fn run(keys: Keys, seed: u64) {
    let mut random = Random(seed);
    let mut model = Model::new();
    let mut job = filled(keys, &mut model);
    let mut store = Store::default();
    let mut pending: Vec<(Snapshot, Model, u64)> = Vec::new();
    for checkpoint in 1..=8 {
        let mode = if random.below(5) == 0 { SnapshotMode::Full } else { SnapshotMode::Incremental };
        pending.push((job.backend.snapshot(CheckpointId(checkpoint), mode), model.clone(), checkpoint));
        change(&mut job, &mut random, 300, &mut model);
        if random.below(3) == 0 {
            continue;
        }
        let (snapshot, expected, id) = pending.swap_remove(random.below(pending.len() as u64) as usize);
        let index = store.write_while(0, snapshot, || change(&mut job, &mut random, 30, &mut model));
        let when = format!("{keys:?}, seed {seed}, checkpoint {id} at {checkpoint}");
        assert_restores(store.fetch(&index), &expected, keys, &when);
        if random.below(4) > 0 {
            job.backend.notify_complete(CheckpointId(id));
        }
        if random.below(4) == 0 {
            pending.clear();
        }
    }
    assert_same(&job.read(), &model, || format!("{keys:?}, seed {seed}"));
}

#[test]
fn a_snapshot_is_what_was_there_when_it_was_taken() {
    for (seed, keys) in (0..).zip([Keys::BigInt, Keys::TwoBigInts, Keys::Text]) {
        run(keys, seed);
    }
}

#[test]
#[ignore = "takes minutes"]
fn a_snapshot_is_what_was_there_when_it_was_taken_for_long() {
    for seed in 100..160 {
        run([Keys::BigInt, Keys::TwoBigInts, Keys::Text][seed as usize % 3], seed);
    }
}

/// The writer of the snapshot and that of the rows come to the pages at the same time.
#[test]
fn a_snapshot_is_written_beside_changes() {
    let mut random = Random(3);
    let mut model = Model::new();
    let mut job = filled(Keys::BigInt, &mut model);
    for checkpoint in 1..=6 {
        let mode = if checkpoint % 3 == 0 { SnapshotMode::Full } else { SnapshotMode::Incremental };
        let snapshot = job.backend.snapshot(CheckpointId(checkpoint), mode);
        let expected = model.clone();
        let fetched = std::thread::scope(|scope| {
            let writer = scope.spawn(move || crate::test_backends::stored(snapshot).1);
            for _ in 0..20 {
                change(&mut job, &mut random, 100, &mut model);
            }
            writer.join().unwrap()
        });
        assert_restores(fetched, &expected, Keys::BigInt, &format!("checkpoint {checkpoint}"));
    }
}
