//! What is in files and what lies on top of them, in snapshots of a backend with a disk.

mod budget;
mod flights;

use crate::history::Limits;
use crate::test_backends::{Kind, Store, Stored, work_directory};
use crate::*;
use arrow::array::{Array, ArrayRef, Int64Array};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{CheckpointId, EncodedKeys, SqlField, SqlType};

const ROOM: Kind = Kind::Disk(1 << 30);
/// Nothing stays in memory from one call to the next.
const NO_ROOM: Kind = Kind::Disk(0);

struct Counts {
    backend: KeyedStateBackend,
    state: StateId,
    timers: StateId,
    store: Store,
    checkpoint: u64,
}

impl Counts {
    fn new(mut backend: KeyedStateBackend) -> Counts {
        backend.history.limits = Limits { table_bytes: 0, links: 64 };
        let field = |name| SqlField::new(name, SqlType::BigInt, false);
        let fields = vec![field("n"), field("last")];
        let descriptor = StateDescriptor::value("c/counts", vec![field("k")], NamespaceKind::Void, fields);
        let state = backend.register(descriptor).unwrap();
        let timers = backend.register_timers("c/timers", vec![field("k")], TimeDomain::EventTime).unwrap();
        Counts { backend, state, timers, store: Store::default(), checkpoint: 0 }
    }

    fn keys(&self, keys: impl Iterator<Item = i64>) -> EncodedKeys {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
        self.backend.encoder(self.state).encode(std::slice::from_ref(&column), column.len()).unwrap()
    }

    fn add(&mut self, keys: impl Iterator<Item = i64>) {
        let (encoded, mut found) = (self.keys(keys), Slots::default());
        self.backend.resolve(self.state, Namespace::Void, &encoded, &mut found);
        let counts = self.backend.rows(self.state, Namespace::Void).column::<i64>(0);
        found.slots.iter().for_each(|&slot| counts.update(slot, |count| count + 1));
        self.backend.check().unwrap();
    }

    fn get(&mut self, key: i64) -> Option<i64> {
        let (encoded, mut slots) = (self.keys(std::iter::once(key)), Vec::new());
        self.backend.lookup(self.state, Namespace::Void, &encoded, &mut slots);
        self.backend.check().unwrap();
        let counts = self.backend.rows(self.state, Namespace::Void).column::<i64>(0);
        (slots[0] != NO_SLOT).then(|| counts.get(slots[0]))
    }

    /// Entries in memory.
    fn live(&self, state: StateId) -> usize {
        self.backend.table(state, Namespace::Void).unwrap().slots.rows.live()
    }

    fn delete(&mut self, key: i64) {
        let (encoded, mut slots) = (self.keys(std::iter::once(key)), Vec::new());
        self.backend.lookup(self.state, Namespace::Void, &encoded, &mut slots);
        self.backend.delete(self.state, Namespace::Void, &slots);
    }

    /// A complete checkpoint, and bytes of segments and of tables that are new in it.
    fn checkpoint(&mut self) -> (Stored, u64, u64) {
        self.checkpoint += 1;
        let id = CheckpointId(self.checkpoint);
        let snapshot = self.backend.snapshot(id, SnapshotMode::Incremental);
        let before = self.store.new_files.len();
        let stored = self.store.write(0, snapshot);
        self.backend.notify_complete(id);
        let own = stored.index.segments().filter(|segment| segment.id.checkpoint == id);
        let new = self.store.new_files[before..].iter().filter(|file| file.name.ends_with(".sst"));
        let bytes = (own.map(|segment| segment.bytes).sum(), new.map(|file| file.bytes).sum());
        (stored, bytes.0, bytes.1)
    }

    /// Of each key its count, as who looks at a checkpoint sees it.
    fn seen(&self, stored: &Stored) -> BTreeMap<i64, i64> {
        let (fetched, _) = self.store.fetch(stored).into_segments(&work_directory(), None).unwrap();
        let mut seen = BTreeMap::new();
        for batch in crate::testing::entries(&fetched, "c/counts") {
            let column = |index: usize| {
                let column = batch.column(index).as_any().downcast_ref::<Int64Array>();
                column.expect("BIGINT").values().to_vec()
            };
            for (key, count) in column(1).into_iter().zip(column(2)) {
                assert!(seen.insert(key, count).is_none(), "{key} comes twice");
            }
        }
        seen
    }

    fn restored(&self, stored: &Stored, kind: Kind) -> Counts {
        let mut backend = kind.whole();
        backend.restore(vec![self.store.fetch(stored)]).unwrap();
        Counts::new(backend)
    }
}

/// While all of it fits, a checkpoint writes no tables, and of entries those that changed.
#[test]
fn what_fits_into_memory_is_written_as_on_the_heap() {
    let (mut disk, mut heap) = (Counts::new(ROOM.whole()), Counts::new(Kind::Heap.whole()));
    let mut sizes = Vec::new();
    for keys in [(0..50_000).collect::<Vec<_>>(), (0..50_000).step_by(100).collect(), vec![]] {
        let [(_, of_disk, files), (_, of_heap, _)] = [&mut disk, &mut heap].map(|counts| {
            counts.backend.trim();
            counts.add(keys.iter().copied());
            counts.checkpoint()
        });
        assert_eq!((of_disk, files), (of_heap, 0));
        sizes.push(of_disk);
    }
    assert!(sizes[1] < sizes[0] / 20 && sizes[2] == 0, "{sizes:?}");
}

/// An entry that leaves memory is in a file, and the segments that had it do not have it any more; one that comes back is
/// on top again only once it has changed.
#[test]
fn the_newest_version_counts_wherever_it_is() {
    let mut counts = Counts::new(ROOM.whole());
    counts.add(0..100);
    let (first, ..) = counts.checkpoint();
    assert_eq!(counts.seen(&first), (0..100).map(|key| (key, 1)).collect());
    counts.add(0..50);
    // The last ones stay: the pages of a table that is empty go, and with them what segments said of their places.
    let leave: Vec<u32> = (0..90).collect();
    counts.backend.evict_slots(counts.state, Namespace::Void, &leave).unwrap();
    assert_eq!(counts.live(counts.state), 10);
    // Other entries get the slots of those that left.
    counts.add(200..220);
    // All come back, to places of others.
    for key in 0..100 {
        assert_eq!(counts.get(key), Some(1 + i64::from(key < 50)), "read, and not changed");
    }
    counts.add(60..61);
    counts.delete(70);
    let (second, segments, files) = counts.checkpoint();
    assert!(segments > 0 && files > 0, "{segments} bytes in segments, {files} in files");
    let mut expected: BTreeMap<i64, i64> = (0..100).map(|key| (key, 1 + i64::from(key < 50))).collect();
    expected.extend((200..220).map(|key| (key, 1)));
    expected.insert(60, 2);
    expected.remove(&70);
    assert_eq!(counts.seen(&second), expected);
    for kind in Kind::ALL {
        let mut restored = counts.restored(&second, kind);
        for key in [3, 49, 50, 60, 70, 210, 300] {
            assert_eq!(restored.get(key), expected.get(&key).copied(), "{key} on {kind:?}");
        }
        // What is deleted is deleted below as well, and what changes covers what is below.
        restored.backend.trim();
        restored.delete(60);
        restored.add(49..51);
        restored.backend.trim();
        assert_eq!([60, 49, 50].map(|key| restored.get(key)), [None, Some(3), Some(2)], "on {kind:?}");
        let (third, ..) = restored.checkpoint();
        let mut seen = expected.clone();
        seen.remove(&60);
        seen.extend([(49, 3), (50, 2)]);
        assert_eq!(restored.seen(&third), seen, "on {kind:?}");
    }
    // What is in no file any more and in no segment that counts is not in the one before.
    assert_eq!(counts.seen(&first).len(), 100);
}

/// Timers beyond those that are due first are in files, and some of them in memory too.
#[test]
fn timers_in_files_and_in_memory_are_one_set() {
    for kind in Kind::ALL {
        let mut counts = Counts::new(kind.whole());
        let mut times: Vec<i64> = (0..500).map(|number| number * 7919 % 1000).collect();
        for (round, times) in times.chunks(50).enumerate() {
            counts.backend.trim();
            let keys = counts.keys((0..times.len() as i64).map(|key| key + 100 * round as i64));
            counts.backend.add_timers(counts.timers, &keys, times, Namespace::Void);
            // Again, whether they are in memory or not.
            counts.backend.add_timers(counts.timers, &keys, times, Namespace::Void);
        }
        let (stored, ..) = counts.checkpoint();
        times.sort_unstable();
        for onto in Kind::ALL {
            let mut restored = counts.restored(&stored, onto);
            let mut found = Vec::new();
            while let Some(due) = restored.backend.pop_timers(restored.timers, i64::MAX, 30) {
                found.extend(due.times_ms);
                restored.backend.trim();
            }
            restored.backend.check().unwrap();
            assert_eq!(found, times, "{kind:?} onto {onto:?}");
        }
    }
}

/// A state without a home keeps no file open for longer than it takes to tell of it.
#[test]
fn files_of_states_without_a_home_are_let_go_of() {
    let mut counts = Counts::new(NO_ROOM.whole());
    counts.add(0..100);
    counts.backend.trim();
    let (stored, ..) = counts.checkpoint();
    let mut backend = NO_ROOM.whole();
    backend.restore(vec![counts.store.fetch(&stored)]).unwrap();
    let fields = vec![SqlField::new("k", SqlType::BigInt, false)];
    backend.register_timers("c/timers", fields, TimeDomain::EventTime).unwrap();
    assert_eq!(backend.unclaimed_states().collect::<Vec<_>>(), ["c/counts"]);
    let path = backend.disk.as_ref().unwrap().store.scratch("any");
    let entries = || std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(entries(), 2, "the database and what it was restored from");
    backend.forget_unclaimed();
    assert_eq!(backend.unclaimed_states().count(), 0);
    assert_eq!(entries(), 1);
}

/// Numbers of lists go on behind those in files that nobody has read yet.
#[test]
fn lists_in_files_go_on_at_their_end() {
    let list_of = |kind: Kind, snapshots: Vec<RestoredSnapshot>| {
        let mut backend = kind.whole();
        backend.restore(snapshots).unwrap();
        let counts = Counts::new(backend);
        let Counts { mut backend, state, .. } = counts;
        let value = vec![SqlField::new("v", SqlType::BigInt, false)];
        let list = backend.register_under(state, StateDescriptor::list("c/list", value)).unwrap();
        (backend, state, list)
    };
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let (mut store, mut last, mut expected) = (Store::default(), Vec::new(), Vec::new());
    for round in 0..4 {
        let (mut backend, state, list) = list_of(NO_ROOM, last);
        let keys = backend.encoder(state).encode(std::slice::from_ref(&column), 1).unwrap();
        let (mut found, mut slots) = (Slots::default(), Vec::new());
        if round != 2 {
            backend.trim();
            backend.resolve(state, Namespace::Void, &keys, &mut found);
            backend.append_under(list, Namespace::Void, &[found.slots[0]; 3], &mut slots);
            let values: Vec<i64> = (0..3).map(|value| 10 * round + value).collect();
            expected.extend(values.clone());
            let values: ArrayRef = Arc::new(Int64Array::from(values));
            backend.rows(list, Namespace::Void).scatter(0, &slots, &values);
        }
        backend.trim();
        // Everything is in files by now, or, of the last round, on top of them.
        if round == 3 {
            backend.resolve(state, Namespace::Void, &keys, &mut found);
            backend.append_under(list, Namespace::Void, &found.slots, &mut slots);
            backend.rows(list, Namespace::Void).column::<i64>(0).set(slots[0], 99);
            expected.push(99);
        }
        let stored =
            store.write(0, backend.snapshot(CheckpointId(1 + round as u64), SnapshotMode::Incremental));
        last = vec![store.fetch(&stored)];
        for kind in Kind::ALL {
            let (mut backend, state, list) = list_of(kind, last.clone());
            backend.resolve(state, Namespace::Void, &keys, &mut found);
            slots.clear();
            backend.entries_under(list, Namespace::Void, found.slots[0], &mut slots);
            let values = backend.rows(list, Namespace::Void).gather(0, &slots).unwrap();
            let values = values.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec();
            assert_eq!(values, expected, "round {round} on {kind:?}");
        }
    }
}

/// A place without files gets what is in them as segments, with those that earlier snapshots wrote.
#[test]
fn a_place_without_files_gets_all_in_segments() {
    let mut counts = Counts::new(ROOM.whole());
    counts.add(0..300);
    let mut known = BTreeMap::new();
    for checkpoint in 1..=4_u64 {
        let mut snapshot = counts.backend.snapshot(CheckpointId(checkpoint), SnapshotMode::Incremental);
        snapshot.prepare().unwrap();
        let (index, new) = snapshot.finish_in_segments(known.clone()).unwrap();
        known.extend(new.into_iter().map(|segment| (segment.id, segment.bytes)));
        let named = index.segments().map(|segment| (segment.id, known[&segment.id].clone())).collect();
        counts.backend.notify_complete(CheckpointId(checkpoint));
        let fetched = RestoredSnapshot::new(index, named, "memory");
        let mut backend = Kind::Heap.whole();
        backend.restore(vec![fetched]).unwrap();
        let mut restored = Counts::new(backend);
        let all: Vec<Option<i64>> = (0..300).map(|key| restored.get(key)).collect();
        let expected: Vec<Option<i64>> = (0..300).map(|key| counts.get(key)).collect();
        assert_eq!(all, expected, "checkpoint {checkpoint}");
        counts.add(0..10 * checkpoint as i64);
        let slots: Vec<u32> = (20..120).collect();
        counts.backend.evict_slots(counts.state, Namespace::Void, &slots).unwrap();
        counts.add(15..25);
    }
}
