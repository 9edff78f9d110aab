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
fn new_backend(namespace: NamespaceKind) -> (KeyedStateBackend, StateId) {
    let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
    let fields = vec![big_int("count", false), big_int("sum", true), big_int("max", true)];
    let descriptor = StateDescriptor::value("agg/acc", vec![big_int("k", true)], namespace, fields);
    let state = backend.register(descriptor).expect("a new state");
    (backend, state)
}

/// One batch through the whole path: encode, hash, resolve, three accumulators.
fn aggregate(
    backend: &mut KeyedStateBackend,
    state: StateId,
    namespace: Namespace,
    encoder: &KeyEncoder,
    keys: &ArrayRef,
    values: &[i64],
    (found, buffer): &mut (Slots, PinBuffer),
) {
    let keys = encoder.encode(std::slice::from_ref(keys), keys.len()).expect("a BIGINT key");
    for start in (0..keys.len()).step_by(CACHED_ROWS) {
        let part = start..keys.len().min(start + CACHED_ROWS);
        backend.resolve_range(state, namespace, &keys, part.clone(), found);
        let rows = backend.rows(state, namespace);
        let pinned = rows.pin(&found.slots, buffer);
        let values = &values[part];
        pinned.column::<i64>(0).fold(std::iter::repeat(1), |count, one| count + one);
        let sum = pinned.column::<i64>(1);
        sum.fold_option(values.iter(), |sum, &value| sum.map_or(value, |sum| sum.wrapping_add(value)));
        let max = pinned.column::<i64>(2);
        max.fold_option(values.iter(), |max, &value| max.map_or(value, |max| max.max(value)));
    }
}

fn filled(keys: u64) -> (KeyedStateBackend, StateId, KeyEncoder) {
    let (mut backend, state) = new_backend(NamespaceKind::Void);
    let encoder = backend.encoder(state).clone();
    let mut found = <(Slots, PinBuffer)>::default();
    let values = vec![1; ROWS];
    // In an order that has nothing to do with the keys, as keys arrive.
    let odd = 0x9e37_79b9_7f4a_7c15_u64 | 1;
    for start in (0..keys).step_by(ROWS) {
        let end = keys.min(start + ROWS as u64);
        let shuffled = (start..end).map(|key| (key.wrapping_mul(odd) % keys) as i64);
        let batch = column(shuffled);
        let values = &values[..batch.len()];
        aggregate(&mut backend, state, Namespace::Void, &encoder, &batch, values, &mut found);
    }
    (backend, state, encoder)
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
    let values: Vec<i64> = (0..ROWS as i64).collect();
    for keys in [1_000, 100_000, 1_000_000, 10_000_000] {
        let (mut backend, state, encoder) = filled(keys);
        let batches = random_batches(keys);
        let mut found = <(Slots, PinBuffer)>::default();
        group.bench_function(format!("{keys} keys"), |b| {
            b.iter(|| {
                for batch in &batches {
                    aggregate(&mut backend, state, Namespace::Void, &encoder, batch, &values, &mut found);
                }
            });
        });
    }
    group.finish();
}

/// A tumbling window of so many keys, filled and drained, with the memory of the one before.
fn windows(c: &mut Criterion) {
    let mut group = c.benchmark_group("fill and fire a window");
    for keys in [1_000_u64, 1_000_000] {
        group.throughput(Throughput::Elements(keys));
        let (mut backend, state) = new_backend(NamespaceKind::Window);
        let encoder = backend.encoder(state).clone();
        let batches: Vec<ArrayRef> = (0..keys)
            .step_by(ROWS)
            .map(|start| column(start as i64..keys.min(start + ROWS as u64) as i64))
            .collect();
        let values = vec![7; ROWS];
        let (mut found, mut slots, mut end) = (<(Slots, PinBuffer)>::default(), Vec::new(), 0);
        group.bench_function(format!("{keys} keys"), |b| {
            b.iter(|| {
                end += 10_000;
                let window = Namespace::Window(end);
                for batch in &batches {
                    aggregate(&mut backend, state, window, &encoder, batch, &values, &mut found);
                }
                let mut rows = 0;
                while backend.drain(state, window, ROWS, &mut slots) {
                    black_box(backend.keys(state, window, &slots));
                    let count = backend.rows(state, window).gather(0, &slots).expect("counts");
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
        let (mut backend, state, encoder) = filled(keys);
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

/// What a snapshot costs the processing beside it. Pages are copied on their first write after it; the
/// alternative, a copy of the slots that changed since the last one, needs a bit set per update and the copy
/// in the synchronous part.
fn snapshots(c: &mut Criterion) {
    const KEYS: u64 = 10_000_000;
    let mut group = c.benchmark_group("10 M keys");
    let (mut backend, state, encoder) = filled(KEYS);
    let values: Vec<i64> = (0..ROWS as i64).collect();
    let mut found = <(Slots, PinBuffer)>::default();
    let mut checkpoint = 0;
    group.bench_function("snapshot, synchronous part", |b| {
        b.iter_custom(|rounds| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..rounds {
                checkpoint += 1;
                let (snapshot, took) =
                    timed(|| backend.snapshot(CheckpointId(checkpoint), SnapshotMode::Incremental));
                drop(snapshot);
                elapsed += took;
            }
            elapsed
        });
    });
    group.throughput(Throughput::Elements((ROWS * BATCHES) as u64));
    let mixes = [("uniform", random_batches(KEYS)), ("skewed", skewed_batches(KEYS))];
    for (name, batches) in &mixes {
        for held in [false, true] {
            let when = if held { "while a snapshot is held" } else { "without a snapshot" };
            group.bench_function(format!("1 M {name} updates {when}"), |b| {
                b.iter_custom(|rounds| {
                    let mut elapsed = Duration::ZERO;
                    for _ in 0..rounds {
                        checkpoint += 1;
                        let snapshot = held
                            .then(|| backend.snapshot(CheckpointId(checkpoint), SnapshotMode::Incremental));
                        let (_, took) = timed(|| {
                            for batch in batches {
                                let namespace = Namespace::Void;
                                aggregate(
                                    &mut backend,
                                    state,
                                    namespace,
                                    &encoder,
                                    batch,
                                    &values,
                                    &mut found,
                                );
                            }
                        });
                        elapsed += took;
                        drop(snapshot);
                    }
                    elapsed
                });
            });
        }
        group.bench_function(format!("dirty slots: mark and copy after 1 M {name} updates"), |b| {
            let rows = vec![[0_u64; 5]; KEYS as usize];
            let mut dirty = vec![0_u64; KEYS as usize / 64 + 1];
            b.iter(|| {
                for batch in batches {
                    for &key in batch.as_primitive::<Int64Type>().values() {
                        dirty[key as usize / 64] |= 1 << (key % 64);
                    }
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
    group.throughput(Throughput::Elements(KEYS));
    group.bench_function("serialise all", |b| {
        b.iter_custom(|rounds| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..rounds {
                checkpoint += 1;
                let mut snapshot = backend.snapshot(CheckpointId(checkpoint), SnapshotMode::Full);
                elapsed += timed(|| while black_box(snapshot.next_segment()).is_some() {}).1;
            }
            elapsed
        });
    });
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

criterion_group! { name = benches; config = settings(); targets = keys, updates, windows, distinct, snapshots }
criterion_main!(benches);
