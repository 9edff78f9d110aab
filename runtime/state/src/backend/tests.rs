//! The backend against maps of the standard library: random operations, snapshots at random points, restores
//! at other parallelisms.

mod flights;
mod garbage;
mod progress;

use crate::history::Limits;
use crate::test_backends::{Kind, MAX_PARALLELISM, Store, work_directory};
use crate::*;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::{CheckpointId, EncodedKeys, KeyGroupRange, SqlField, SqlType};

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn field(name: &str, sql_type: SqlType, nullable: bool) -> SqlField {
    SqlField::new(name, sql_type, nullable)
}

/// How keys look: one word, canonical words, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Keys {
    BigInt,
    TwoBigInts,
    Text,
}

impl Keys {
    fn fields(self) -> Vec<SqlField> {
        match self {
            Keys::BigInt => vec![field("k", SqlType::BigInt, true)],
            Keys::TwoBigInts => vec![field("k", SqlType::BigInt, true), field("l", SqlType::BigInt, true)],
            Keys::Text => vec![field("k", SqlType::STRING, true)],
        }
    }

    /// `None` is NULL.
    fn columns(self, keys: &[Option<i64>]) -> Vec<ArrayRef> {
        let numbers: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
        match self {
            Keys::BigInt => vec![numbers],
            Keys::TwoBigInts => vec![numbers.clone(), numbers],
            Keys::Text => {
                let text = |key: &Option<i64>| key.map(|key| format!("a key of some length, number {key}"));
                vec![Arc::new(keys.iter().map(text).collect::<StringArray>())]
            }
        }
    }

    fn read(self, columns: &[ArrayRef]) -> Vec<Option<i64>> {
        match self {
            Keys::Text => {
                let number = |text: &str| text.rsplit(' ').next().unwrap().parse().unwrap();
                columns[0].as_string::<i32>().iter().map(|text| text.map(number)).collect()
            }
            _ => columns[0].as_primitive::<Int64Type>().iter().collect(),
        }
    }
}

/// COUNT, SUM, a note; a multiset of values; a list of values.
struct Job {
    keys: Keys,
    backend: KeyedStateBackend,
    acc: StateId,
    multiset: StateId,
    log: StateId,
    /// decides when what is on its way to the disk is written; `None`: the test says when
    turns: Option<Random>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    count: i64,
    sum: Option<i64>,
    note: Option<String>,
    multiset: BTreeMap<i64, i64>,
    log: Vec<String>,
}

type Model = BTreeMap<(i64, Option<i64>), Entry>;

impl Job {
    fn new(keys: Keys, mut backend: KeyedStateBackend) -> Result<Job, StateError> {
        let fields = vec![
            field("count", SqlType::BigInt, false),
            field("sum", SqlType::BigInt, true),
            field("note", SqlType::STRING, true),
        ];
        let acc = StateDescriptor::value("agg/acc", keys.fields(), NamespaceKind::Window, fields);
        let acc = backend.register(acc)?;
        let value = vec![field("v", SqlType::BigInt, false)];
        let count = vec![field("n", SqlType::BigInt, false)];
        let multiset = backend.register_under(acc, StateDescriptor::map("agg/multiset", value, count))?;
        let text = vec![field("text", SqlType::STRING, false)];
        let log = backend.register_under(acc, StateDescriptor::list("agg/log", text))?;
        backend.hold_writes();
        Ok(Job { keys, backend, acc, multiset, log, turns: Some(Random(7)) })
    }

    /// At any moment writes may be done.
    fn may_write(&mut self) {
        if self.turns.as_mut().is_some_and(|turns| turns.below(4) == 0) {
            self.backend.write_now();
        }
    }

    /// As the driver does before each call of an operator.
    fn begin(&mut self) {
        self.backend.check().unwrap();
        self.may_write();
        self.backend.trim();
        self.may_write();
    }

    fn encode(&self, keys: &[Option<i64>]) -> EncodedKeys {
        self.backend.encoder(self.acc).encode(&self.keys.columns(keys), keys.len()).unwrap()
    }

    fn encode_values(&self, values: &[i64]) -> EncodedKeys {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        self.backend.encoder(self.multiset).encode(&[column], values.len()).unwrap()
    }

    fn add(&mut self, window: i64, rows: &[(Option<i64>, i64)], model: &mut Model) {
        self.begin();
        let (keys, values): (Vec<Option<i64>>, Vec<i64>) = rows.iter().copied().unzip();
        let namespace = Namespace::Window(window);
        let mut found = Slots::default();
        let encoded = self.encode(&keys);
        // In two parts, whose positions count from their own start.
        let half = keys.len() / 3;
        self.backend.resolve_range(self.acc, namespace, &encoded, half..half, &mut found);
        assert!(found.is_empty() && found.created.is_empty());
        self.backend.resolve_range(self.acc, namespace, &encoded, 0..half, &mut found);
        let mut rest = Slots::default();
        self.backend.resolve_range(self.acc, namespace, &encoded, half..keys.len(), &mut rest);
        found.slots.append(&mut rest.slots);
        found.created.extend(rest.created.iter().map(|position| position + half as u32));
        let created = rows
            .iter()
            .enumerate()
            .filter(|(row, (key, _))| !model.contains_key(&(window, *key)) && !keys[..*row].contains(key));
        assert_eq!(found.created, created.map(|(row, _)| row as u32).collect::<Vec<_>>());
        let mut rows_of = self.backend.rows(self.acc, namespace);
        let (count, sum) = (rows_of.column::<i64>(0), rows_of.column::<i64>(1));
        for (&slot, &value) in found.slots.iter().zip(&values) {
            count.update(slot, |count| count + 1);
            sum.update_option(slot, |sum| sum.unwrap_or(0).wrapping_add(value));
            let note = format!("last value was {value}");
            rows_of.set_bytes(slot, 2, (value % 3 != 0).then_some(note.as_bytes()));
        }
        let mut entries = Slots::default();
        let encoded = self.encode_values(&values);
        self.backend.resolve_under(self.multiset, namespace, &found.slots, &encoded, &mut entries);
        let mut buffer = PinBuffer::default();
        let rows_of = self.backend.rows(self.multiset, namespace);
        rows_of
            .pin(&entries.slots, &mut buffer)
            .column::<i64>(0)
            .fold(std::iter::repeat(1), |n, one| n + one);
        let mut appended = Vec::new();
        self.backend.append_under(self.log, namespace, &found.slots, &mut appended);
        let texts: ArrayRef =
            Arc::new(values.iter().map(|value| Some(format!("{value}"))).collect::<StringArray>());
        self.backend.rows(self.log, namespace).scatter(0, &appended, &texts);
        for (key, value) in rows {
            let entry = model.entry((window, *key)).or_default();
            entry.count += 1;
            entry.sum = Some(entry.sum.unwrap_or(0).wrapping_add(*value));
            entry.note = (value % 3 != 0).then(|| format!("last value was {value}"));
            *entry.multiset.entry(*value).or_default() += 1;
            entry.log.push(value.to_string());
        }
    }

    fn delete(&mut self, window: i64, keys: &[Option<i64>], model: &mut Model) {
        self.begin();
        let mut slots = Vec::new();
        let encoded = self.encode(keys);
        self.backend.lookup(self.acc, Namespace::Window(window), &encoded, &mut slots);
        for (slot, key) in slots.iter().zip(keys) {
            assert_eq!(*slot != NO_SLOT, model.contains_key(&(window, *key)), "look-up of {key:?}");
        }
        slots.retain(|&slot| slot != NO_SLOT);
        self.backend.delete(self.acc, Namespace::Window(window), &slots);
        keys.iter().for_each(|key| drop(model.remove(&(window, *key))));
    }

    fn drop_window(&mut self, window: i64, model: &mut Model) {
        self.begin();
        self.backend.drop_namespace(self.acc, Namespace::Window(window));
        model.retain(|(end, _), _| *end != window);
    }

    fn drain(&mut self, window: i64, steps: u64, model: &mut Model) {
        let mut slots = Vec::new();
        for _ in 0..steps {
            self.begin();
            if !self.backend.drain(self.acc, Namespace::Window(window), 7, &mut slots) {
                break;
            }
            let gone = self.read_slots(window, &slots);
            for (key, entry) in gone {
                assert_eq!(model.remove(&key), Some(entry), "drained {key:?}");
            }
        }
    }

    /// What the entries at `slots` hold.
    fn read_slots(&mut self, window: i64, slots: &[u32]) -> Model {
        let namespace = Namespace::Window(window);
        self.may_write();
        let keys = self.backend.keys(self.acc, namespace, slots);
        let keys = self.keys.read(&self.backend.encoder(self.acc).decode(&keys).unwrap());
        let rows = self.backend.rows(self.acc, namespace);
        let columns = [0, 1, 2].map(|field| rows.gather(field, slots).unwrap());
        let mut model = Model::new();
        for (row, (&slot, &key)) in slots.iter().zip(&keys).enumerate() {
            let sum = columns[1].as_primitive::<Int64Type>();
            let note = columns[2].as_string::<i32>();
            let (mut entries, mut sorted, mut list) = (Vec::new(), Vec::new(), Vec::new());
            self.backend.entries_under(self.multiset, namespace, slot, &mut entries);
            self.backend.sorted_entries_under(self.multiset, namespace, slot, &mut sorted);
            self.backend.entries_under(self.log, namespace, slot, &mut list);
            assert_eq!(entries.iter().collect::<BTreeSet<_>>(), sorted.iter().collect::<BTreeSet<_>>());
            let values = self.backend.keys(self.multiset, namespace, &sorted);
            let values = self.backend.encoder(self.multiset).decode(&values).unwrap();
            let values: Vec<i64> = values[0].as_primitive::<Int64Type>().values().to_vec();
            assert!(values.is_sorted());
            let counts = self.backend.rows(self.multiset, namespace).gather(0, &sorted).unwrap();
            let log = self.backend.rows(self.log, namespace).gather(0, &list).unwrap();
            assert!(self.backend.parents(self.log, namespace, &list).iter().all(|&parent| parent == slot));
            let entry = Entry {
                count: columns[0].as_primitive::<Int64Type>().value(row),
                sum: sum.is_valid(row).then(|| sum.value(row)),
                note: note.is_valid(row).then(|| note.value(row).to_string()),
                multiset: values
                    .into_iter()
                    .zip(counts.as_primitive::<Int64Type>().values().iter().copied())
                    .collect(),
                log: log.as_string::<i32>().iter().map(|text| text.unwrap().to_string()).collect(),
            };
            assert!(model.insert((window, key), entry).is_none());
        }
        model
    }

    fn read(&mut self) -> Model {
        let mut model = Model::new();
        for namespace in self.backend.namespaces(self.acc).collect::<Vec<_>>() {
            let Namespace::Window(window) = namespace else { panic!("a window") };
            let (mut cursor, mut slots) = (ScanCursor::default(), Vec::new());
            while self.backend.scan(self.acc, namespace, &mut cursor, 10, &mut slots) {
                model.append(&mut self.read_slots(window, &slots));
                self.begin();
            }
        }
        model
    }
}

fn restore(kind: Kind, keys: Keys, parallelism: u32, snapshots: &[RestoredSnapshot]) -> Vec<Job> {
    let subtasks = 0..parallelism;
    let jobs = subtasks.map(|subtask| {
        let range = KeyGroupRange::of_subtask(MAX_PARALLELISM, parallelism, subtask);
        let mut backend = kind.backend(range);
        backend.restore(snapshots.to_vec()).unwrap();
        Job::new(keys, backend).unwrap()
    });
    jobs.collect()
}

fn random_key(random: &mut Random, keys: u64) -> Option<i64> {
    let key = random.below(keys) as i64;
    (key != 0).then_some(key)
}

fn assert_same(found: &Model, expected: &Model, when: impl Fn() -> String) {
    if found == expected {
        return;
    }
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let first = keys.into_iter().find(|key| found.get(key) != expected.get(key)).unwrap();
    panic!("{}: {first:?} is {:?} instead of {:?}", when(), found.get(first), expected.get(first));
}

/// The entries of each state, as who looks at a checkpoint sees them.
fn counts(fetched: RestoredSnapshot) -> [usize; 3] {
    let (fetched, _) = fetched.into_segments(&work_directory(), None).unwrap();
    let of_state = |name: &str| {
        let batches = crate::testing::entries(&fetched, name);
        let state = fetched.index.states.iter().find(|state| state.name == name).unwrap();
        let said = state.segments.iter().map(|segment| segment.rows as usize);
        assert!(said.eq(batches.iter().map(arrow::array::RecordBatch::num_rows)));
        let rows = crate::testing::lines(&batches);
        let distinct: BTreeSet<_> = rows.iter().collect();
        assert_eq!(distinct.len(), rows.len(), "an entry comes twice in {name}");
        rows.len()
    };
    ["agg/acc", "agg/multiset", "agg/log"].map(of_state)
}

fn counts_of(model: &Model) -> [usize; 3] {
    let entries = || model.values();
    let values = entries().map(|entry| entry.multiset.len()).sum();
    [model.len(), values, entries().map(|entry| entry.log.len()).sum()]
}

fn run(kind: Kind, keys: Keys, seed: u64) {
    let mut random = Random(seed);
    // Changes of tables of any size, and few of them on top of each other.
    let table_bytes = [0, 0, 3000][seed as usize % 3];
    let small = Limits { table_bytes, links: 2 * seed as usize % 8 };
    let limits = if seed.is_multiple_of(4) { Limits::default() } else { small };
    let mut job = Job::new(keys, kind.whole()).unwrap();
    job.backend.history.limits = limits;
    job.turns = Some(Random(seed + 1000));
    let (mut model, mut store, mut checkpoint) = (Model::new(), Store::default(), 0);
    let mut pending: Vec<(Snapshot, Model, u64)> = Vec::new();
    let mut key_count = 30;
    for step in 0..400 {
        let window = random.below(3) as i64 * 10;
        match random.below(20) {
            0..=9 => {
                let rows = (0..random.below(60))
                    .map(|_| (random_key(&mut random, key_count), random.below(20) as i64));
                let rows: Vec<_> = rows.collect();
                job.add(window, &rows, &mut model);
            }
            10..=12 => {
                let keys: Vec<_> =
                    (0..random.below(20)).map(|_| random_key(&mut random, key_count)).collect();
                job.delete(window, &keys, &mut model);
            }
            13 => job.drop_window(window, &mut model),
            14 => job.drain(window, random.below(8), &mut model),
            15 => key_count = 30 + random.below(3000),
            16 | 17 if pending.len() < 3 => {
                checkpoint += 1;
                let mode = if random.below(4) == 0 { SnapshotMode::Full } else { SnapshotMode::Incremental };
                pending.push((
                    job.backend.snapshot(CheckpointId(checkpoint), mode),
                    model.clone(),
                    checkpoint,
                ));
            }
            _ => {
                let Some((snapshot, expected, id)) = pending.pop() else { continue };
                if random.below(8) == 0 {
                    // Nobody wants it any more.
                    continue;
                }
                let index = store.write(0, snapshot);
                if random.below(3) > 0 {
                    job.backend.notify_complete(CheckpointId(id));
                }
                let fetched = store.fetch(&index);
                assert_eq!(
                    counts(fetched.clone()),
                    counts_of(&expected),
                    "{kind:?}, {keys:?}, seed {seed}, step {step}"
                );
                let go_on = random.below(4) == 0;
                let parallelism = if go_on { 1 } else { 1 + random.below(4) as u32 };
                let others = [Kind::Heap, Kind::Heap, Kind::Heap, Kind::ALL[random.below(4) as usize]];
                let onto = if go_on { kind } else { others[random.below(4) as usize] };
                let mut restored = restore(onto, keys, parallelism, &[fetched]);
                let mut found = Model::new();
                restored.iter_mut().for_each(|part| found.append(&mut part.read()));
                assert_same(&found, &expected, || {
                    format!(
                        "{kind:?}, {keys:?}, seed {seed}, step {step}: checkpoint {id} at {parallelism} on {onto:?}"
                    )
                });
                if go_on {
                    // The job has failed.
                    pending.clear();
                    (job, model) = (restored.remove(0), expected);
                    job.backend.history.limits = limits;
                }
            }
        }
        if step % 16 == 0 {
            assert_same(&job.read(), &model, || format!("{kind:?}, {keys:?}, seed {seed}, step {step}"));
        }
    }
    assert_same(&job.read(), &model, || format!("{kind:?}, {keys:?}, seed {seed}"));
}

#[test]
fn behaves_as_maps_do() {
    for keys in [Keys::BigInt, Keys::TwoBigInts, Keys::Text] {
        for seed in 0..16 {
            run(Kind::Heap, keys, seed);
        }
    }
}

#[test]
fn behaves_as_maps_do_on_disk() {
    for (round, kind) in Kind::ALL[1..].iter().cycle().take(12).enumerate() {
        run(*kind, [Keys::BigInt, Keys::TwoBigInts, Keys::Text][round / 3 % 3], round as u64);
    }
}

#[test]
#[ignore = "takes minutes"]
fn behaves_as_maps_do_on_disk_for_long() {
    for seed in 100..160 {
        for (kind, keys) in Kind::ALL[1..]
            .iter()
            .zip([Keys::BigInt, Keys::TwoBigInts, Keys::Text].iter().cycle().skip(seed as usize))
        {
            run(*kind, *keys, seed);
        }
    }
}

/// Down to one and up to three, from what three wrote.
#[test]
fn restores_what_several_subtasks_wrote() {
    for kind in Kind::ALL {
        restores_what_several_wrote(kind);
    }
}

fn restores_what_several_wrote(kind: Kind) {
    let mut random = Random(5);
    let mut model = Model::new();
    let mut single = Job::new(Keys::BigInt, kind.whole()).unwrap();
    for window in [10, 20] {
        let rows: Vec<_> =
            (0..5000).map(|_| (random_key(&mut random, 900), random.below(9) as i64)).collect();
        single.add(window, &rows, &mut model);
    }
    let mut store = Store::default();
    let first = store.write(0, single.backend.snapshot(CheckpointId(1), SnapshotMode::Full));
    let mut three = restore(kind, Keys::BigInt, 3, &[store.fetch(&first)]);
    assert!(three.iter_mut().all(|job| !job.read().is_empty()), "keys are spread over the subtasks");
    let mut stores = Store::default();
    let mut fetched = Vec::new();
    for (subtask, job) in three.iter_mut().enumerate() {
        let index = stores.write(subtask, job.backend.snapshot(CheckpointId(2), SnapshotMode::Incremental));
        fetched.push(stores.fetch(&index));
    }
    for parallelism in [1, 2, 5] {
        let mut found = Model::new();
        let mut jobs = restore(kind, Keys::BigInt, parallelism, &fetched);
        jobs.iter_mut().for_each(|job| found.append(&mut job.read()));
        assert_same(&found, &model, || format!("{kind:?} at {parallelism}"));
    }
}

#[test]
fn an_unchanged_page_is_not_written_again() {
    let mut model = Model::new();
    let mut job = Job::new(Keys::BigInt, Kind::Heap.whole()).unwrap();
    let rows: Vec<_> = (0..20_000).map(|key| (Some(key), key)).collect();
    job.add(10, &rows, &mut model);
    let mut store = Store::default();
    let index = store.write(0, job.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental));
    let all = store.segments.len();
    assert!(all > 20 && index.index.segments().count() == all);
    // Not known to be complete: everything again.
    store.write(0, job.backend.snapshot(CheckpointId(2), SnapshotMode::Incremental));
    assert_eq!(store.segments.len(), 2 * all);
    job.backend.notify_complete(CheckpointId(2));
    job.add(10, &[(Some(5), 1)], &mut model);
    let index = store.write(0, job.backend.snapshot(CheckpointId(3), SnapshotMode::Incremental));
    // One page each of accumulators and multiset, and up to two of the list.
    let new = store.segments.len() - 2 * all;
    assert!((3..=4).contains(&new), "{new} segments were written");
    assert!(index.index.segments().all(|segment| segment.id.checkpoint >= CheckpointId(2)));
    let mut restored = restore(Kind::Heap, Keys::BigInt, 1, &[store.fetch(&index)]);
    assert_same(&restored[0].read(), &model, || "restored".into());
}

/// What is written after a snapshot does not show in it, even while it is written on another thread.
#[test]
fn snapshots_are_isolated() {
    Kind::ALL.into_iter().for_each(snapshot_is_isolated);
}

fn snapshot_is_isolated(kind: Kind) {
    let mut model = Model::new();
    let mut job = Job::new(Keys::Text, kind.whole()).unwrap();
    let rows: Vec<_> = (0..3000).map(|key| (Some(key), key % 7)).collect();
    job.add(10, &rows, &mut model);
    let snapshot = job.backend.snapshot(CheckpointId(1), SnapshotMode::Incremental);
    let expected = model.clone();
    let (store, index) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut store = Store::default();
            let index = store.write(0, snapshot);
            (store, index)
        });
        for round in 0..20 {
            let rows: Vec<_> = (0..3000).map(|key| (Some(key * 3 % 4000), round)).collect();
            job.add(10, &rows, &mut model);
            let gone: Vec<_> = (0..500).map(|key| Some(key * 7 + round)).collect();
            job.delete(10, &gone, &mut model);
        }
        writer.join().unwrap()
    });
    let restored = restore(kind, Keys::Text, 1, &[store.fetch(&index)])[0].read();
    assert_same(&restored, &expected, || "the snapshot".into());
    assert_same(&job.read(), &model, || "the backend".into());
}

/// Any change of a byte is noticed, and nothing panics.
#[test]
fn damaged_segments_are_refused() {
    let mut model = Model::new();
    let mut job = Job::new(Keys::Text, Kind::Heap.whole()).unwrap();
    job.add(10, &[(Some(1), 2), (None, 3), (Some(4), 4)], &mut model);
    let mut store = Store::default();
    let index = store.write(0, job.backend.snapshot(CheckpointId(1), SnapshotMode::Full));
    let good = store.fetch(&index);
    let attempt = |snapshot: RestoredSnapshot| {
        let mut backend = Kind::Heap.whole();
        backend.restore(vec![snapshot])?;
        Job::new(Keys::Text, backend).map(drop)
    };
    attempt(good.clone()).unwrap();
    for (id, bytes) in &good.segments {
        for position in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[position] ^= 1 << (position % 8);
            let mut snapshot = good.clone();
            snapshot.segments.insert(*id, damaged.into());
            let error = attempt(snapshot).expect_err("a flipped bit");
            assert!(matches!(error, StateError::Corrupt { .. } | StateError::Truncated { .. }), "{error}");
            let mut snapshot = good.clone();
            snapshot.segments.insert(*id, bytes.slice(..position));
            attempt(snapshot).expect_err("a short segment");
        }
        let mut snapshot = good.clone();
        snapshot.segments.remove(id);
        assert!(matches!(attempt(snapshot), Err(StateError::Truncated { .. })));
    }
    let bytes = index.index.to_bytes();
    for position in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[position] ^= 1 << (position % 8);
        SnapshotIndex::from_bytes(&damaged.into(), "index").expect_err("a flipped bit");
    }
}

#[test]
fn can_go_to_another_thread() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<KeyedStateBackend>();
    send_and_sync::<Snapshot>();
    send_and_sync::<OperatorStateBackend>();
    send_and_sync::<PinBuffer>();
}

#[test]
fn a_state_of_another_shape_is_refused() {
    let mut job = Job::new(Keys::BigInt, Kind::Heap.whole()).unwrap();
    job.add(10, &[(Some(1), 2)], &mut Model::new());
    let mut store = Store::default();
    let index = store.write(0, job.backend.snapshot(CheckpointId(1), SnapshotMode::Full));
    let mut backend = Kind::Heap.whole();
    backend.restore(vec![store.fetch(&index)]).unwrap();
    let error = Job::new(Keys::Text, backend).map(drop).unwrap_err();
    assert!(
        error.to_string().contains("key (k BIGINT), map key (), fields (count BIGINT NOT NULL"),
        "{error}"
    );
    let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 64 }, 64);
    let error = backend.restore(vec![store.fetch(&index)]).unwrap_err();
    assert!(error.to_string().contains("pipeline.max-parallelism to 128"), "{error}");
    let mut backend = Kind::Heap.whole();
    backend.restore(vec![store.fetch(&index)]).unwrap();
    assert_eq!(backend.unclaimed_states().collect::<Vec<_>>(), ["agg/acc", "agg/log", "agg/multiset"]);
    let twice = StateDescriptor::value("a", Keys::BigInt.fields(), NamespaceKind::Void, vec![]);
    let mut backend = Kind::Heap.whole();
    backend.register(twice.clone()).unwrap();
    assert!(matches!(backend.register(twice), Err(StateError::Descriptor(_))));
}
