//! The heap backend: keys to slots, accumulators at slots, snapshots while updates go on.

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use weir_state::{
    CACHED_ROWS, KeyedStateBackend, Namespace, NamespaceKind, PinBuffer, Slots, SnapshotMode,
    StateDescriptor, StateId,
};
use weir_types::{CheckpointId, KeyEncoder, KeyGroupRange, SqlField, SqlType};

const ROWS: usize = 8192;
const BATCHES: usize = 128;

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> i64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as i64
    }
}

fn column(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn random_batches(keys: u64) -> Vec<ArrayRef> {
    let mut random = Random(keys);
    (0..BATCHES).map(|_| column((0..ROWS).map(|_| random.below(keys)))).collect()
}

fn big_int(name: &str, nullable: bool) -> SqlField {
    SqlField::new(name, SqlType::BigInt, nullable)
}

/// COUNT(*), SUM(v), MAX(v) by k.
struct Job {
    backend: KeyedStateBackend,
    state: StateId,
    encoder: KeyEncoder,
    found: Slots,
    buffer: PinBuffer,
    values: Vec<i64>,
}

impl Job {
    fn new(namespace: NamespaceKind) -> Self {
        let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
        let fields = vec![big_int("count", false), big_int("sum", true), big_int("max", true)];
        let descriptor = StateDescriptor::value("agg/acc", vec![big_int("k", true)], namespace, fields);
        let state = backend.register(descriptor).expect("a new state");
        let encoder = backend.encoder(state).clone();
        let values = (0..ROWS as i64).collect();
        Job { backend, state, encoder, found: Slots::default(), buffer: PinBuffer::default(), values }
    }

    /// With an entry for each of `keys` keys.
    fn filled(keys: u64) -> Self {
        let mut job = Job::new(NamespaceKind::Void);
        for start in (0..keys).step_by(ROWS) {
            let end = keys.min(start + ROWS as u64);
            // In an order that has nothing to do with the keys, as keys arrive.
            let shuffled = (start..end).map(|key| (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys) as i64);
            job.aggregate(Namespace::Void, &column(shuffled));
        }
        job
    }

    /// One batch through the whole path: encode, hash, resolve, three accumulators.
    fn aggregate(&mut self, namespace: Namespace, keys: &ArrayRef) {
        let keys = self.encoder.encode(std::slice::from_ref(keys), keys.len()).expect("a BIGINT key");
        for start in (0..keys.len()).step_by(CACHED_ROWS) {
            let part = start..keys.len().min(start + CACHED_ROWS);
            self.backend.resolve_range(self.state, namespace, &keys, part.clone(), &mut self.found);
            let rows = self.backend.rows(self.state, namespace);
            let pinned = rows.pin(&self.found.slots, &mut self.buffer);
            let values = &self.values[part];
            pinned.column::<i64>(0).fold(std::iter::repeat(1), |count, one| count + one);
            let sum = pinned.column::<i64>(1);
            sum.fold_option(values.iter(), |sum, &value| sum.map_or(value, |sum| sum.wrapping_add(value)));
            let max = pinned.column::<i64>(2);
            max.fold_option(values.iter(), |max, &value| max.map_or(value, |max| max.max(value)));
        }
    }
}

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("keys");
    group.throughput(Throughput::Elements(ROWS as u64));
    let encoder = KeyEncoder::new(&[SqlType::BigInt.data_type()]).expect("BIGINT is a key");
    let batch = column(0..ROWS as i64);
    group.bench_function("encode and hash bigint", |b| {
        b.iter(|| encoder.encode(black_box(std::slice::from_ref(&batch)), ROWS));
    });
    let two = [batch.clone(), batch.clone()];
    let encoder = KeyEncoder::new(&[two[0].data_type().clone(), two[1].data_type().clone()]).expect("keys");
    group.bench_function("encode and hash bigint, bigint", |b| {
        b.iter(|| encoder.encode(black_box(&two), ROWS))
    });
    let text: arrow::array::StringArray = (0..ROWS).map(|row| Some(format!("channel-{row}"))).collect();
    let mixed: [ArrayRef; 2] = [batch, Arc::new(text)];
    let encoder =
        KeyEncoder::new(&[mixed[0].data_type().clone(), mixed[1].data_type().clone()]).expect("keys");
    group.bench_function("encode and hash bigint, string", |b| {
        b.iter(|| encoder.encode(black_box(&mixed), ROWS))
    });
    group.finish();
}

fn updates(c: &mut Criterion) {
    let mut group = c.benchmark_group("count sum max by bigint");
    group.throughput(Throughput::Elements((ROWS * BATCHES) as u64));
    for keys in [1_000, 100_000, 1_000_000, 10_000_000] {
        let mut job = Job::filled(keys);
        let batches = random_batches(keys);
        group.bench_function(format!("{keys} keys"), |b| {
            b.iter(|| batches.iter().for_each(|batch| job.aggregate(Namespace::Void, batch)));
        });
    }
    group.finish();
}

/// A tumbling window of so many keys, filled and drained, with the memory of the one before.
fn windows(c: &mut Criterion) {
    let mut group = c.benchmark_group("fill and fire a window");
    for keys in [1_000_u64, 1_000_000] {
        group.throughput(Throughput::Elements(keys));
        let mut job = Job::new(NamespaceKind::Window);
        let ranges = (0..keys).step_by(ROWS).map(|start| start as i64..keys.min(start + ROWS as u64) as i64);
        let batches: Vec<ArrayRef> = ranges.map(column).collect();
        let (mut slots, mut end) = (Vec::new(), 0);
        group.bench_function(format!("{keys} keys"), |b| {
            b.iter(|| {
                end += 10_000;
                let window = Namespace::Window(end);
                batches.iter().for_each(|batch| job.aggregate(window, batch));
                let mut rows = 0;
                while job.backend.drain(job.state, window, ROWS, &mut slots) {
                    black_box(job.backend.keys(job.state, window, &slots));
                    let count = job.backend.rows(job.state, window).gather(0, &slots).expect("counts");
                    rows += count.len();
                }
                rows
            });
        });
    }
    group.finish();
}

/// COUNT(DISTINCT v) by k, half of the values new.
fn distinct(c: &mut Criterion) {
    let mut group = c.benchmark_group("map entry by bigint");
    group.throughput(Throughput::Elements((ROWS * BATCHES) as u64));
    for (keys, values) in [(1_000, 100), (1_000, 1_000)] {
        let Job { mut backend, state, encoder, .. } = Job::filled(keys);
        let descriptor =
            StateDescriptor::map("agg/distinct", vec![big_int("v", true)], vec![big_int("n", false)]);
        let map = backend.register_under(state, descriptor).expect("a new state");
        let (batches, others) = (random_batches(keys), random_batches(values));
        let (mut found, mut entries) = (Slots::default(), Slots::default());
        group.bench_function(format!("{keys} keys of {values} values"), |b| {
            b.iter(|| {
                for (batch, values) in batches.iter().zip(&others) {
                    let keys = encoder.encode(std::slice::from_ref(batch), ROWS).expect("a BIGINT key");
                    backend.resolve(state, Namespace::Void, &keys, &mut found);
                    let values = encoder.encode(std::slice::from_ref(values), ROWS).expect("a BIGINT key");
                    backend.resolve_under(map, Namespace::Void, &found.slots, &values, &mut entries);
                    let count = backend.rows(map, Namespace::Void).column::<i64>(0);
                    for &slot in &entries.slots {
                        count.update(slot, |count| count + 1);
                    }
                }
            });
        });
    }
    group.finish();
}

/// A million updates of a state of ten million keys, most of them of few keys.
fn skewed_batches(keys: u64) -> Vec<ArrayRef> {
    let mut random = Random(1);
    let mut key = || {
        let share = random.below(1 << 20) as f64 / f64::from(1 << 20);
        (share.powi(8) * keys as f64) as i64
    };
    (0..BATCHES).map(|_| column((0..ROWS).map(|_| key()))).collect()
}

/// What a snapshot costs the processing beside it: pages are copied on their first write after it.
fn snapshots(c: &mut Criterion) {
    let mut group = c.benchmark_group("10 M keys");
    let mut job = Job::filled(SNAPSHOT_KEYS);
    let mut checkpoint = 0;
    let mut snapshot = |job: &mut Job, mode: SnapshotMode| {
        checkpoint += 1;
        job.backend.snapshot(CheckpointId(checkpoint), mode)
    };
    group.bench_function("snapshot, synchronous part", |b| {
        b.iter_custom(|rounds| {
            (0..rounds).map(|_| timed(|| snapshot(&mut job, SnapshotMode::Incremental)).1).sum()
        });
    });
    group.throughput(Throughput::Elements((ROWS * BATCHES) as u64));
    for (name, batches) in mixes() {
        for held in [false, true] {
            let when = if held { "while a snapshot is held" } else { "without a snapshot" };
            group.bench_function(format!("1 M {name} updates {when}"), |b| {
                b.iter_custom(|rounds| {
                    let round = |_| {
                        let snapshot = held.then(|| snapshot(&mut job, SnapshotMode::Incremental));
                        let updates =
                            || batches.iter().for_each(|batch| job.aggregate(Namespace::Void, batch));
                        let took = timed(updates).1;
                        drop(snapshot);
                        took
                    };
                    (0..rounds).map(round).sum()
                });
            });
        }
    }
    group.throughput(Throughput::Elements(SNAPSHOT_KEYS));
    group.bench_function("serialise all", |b| {
        let mut round = || {
            let mut snapshot = snapshot(&mut job, SnapshotMode::Full);
            timed(|| while black_box(snapshot.next_segment()).is_some() {}).1
        };
        b.iter_custom(|rounds| (0..rounds).map(|_| round()).sum());
    });
    group.finish();
}

const SNAPSHOT_KEYS: u64 = 10_000_000;

fn mixes() -> [(&'static str, Vec<ArrayRef>); 2] {
    [("uniform", random_batches(SNAPSHOT_KEYS)), ("skewed", skewed_batches(SNAPSHOT_KEYS))]
}

/// The alternative to shared pages: a bit set per update, and a copy of the slots that changed since the last
/// snapshot in its synchronous part.
fn dirty_slots(c: &mut Criterion) {
    let mut group = c.benchmark_group("10 M keys");
    let rows = vec![[0_u64; 5]; SNAPSHOT_KEYS as usize];
    let mut dirty = vec![0_u64; SNAPSHOT_KEYS as usize / 64 + 1];
    for (name, batches) in mixes() {
        group.bench_function(format!("dirty slots: mark and copy after 1 M {name} updates"), |b| {
            b.iter(|| {
                for &key in batches.iter().flat_map(|batch| batch.as_primitive::<Int64Type>().values()) {
                    dirty[key as usize / 64] |= 1 << (key % 64);
                }
                let mut copy = Vec::new();
                for (index, word) in dirty.iter_mut().enumerate() {
                    let mut bits = std::mem::take(word);
                    while bits != 0 {
                        let slot = index * 64 + bits.trailing_zeros() as usize;
                        copy.push((slot as u32, rows[slot]));
                        bits &= bits - 1;
                    }
                }
                copy
            });
        });
    }
    group.finish();
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = keys, updates, windows, distinct, snapshots, dirty_slots
}
criterion_main!(benches);
