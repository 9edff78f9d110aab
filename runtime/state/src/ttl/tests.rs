use crate::test_backends::{Kind, stored};
use crate::*;
use arrow::array::{ArrayRef, Int64Array};
use std::sync::Arc;
use weir_types::{CheckpointId, EncodedKeys, SqlField, SqlType};

struct Fixture {
    backend: KeyedStateBackend,
    state: StateId,
    list: StateId,
}

fn fixture(mut backend: KeyedStateBackend) -> Fixture {
    backend.set_time(1_000);
    with_ttl(backend, Some(100))
}

fn with_ttl(mut backend: KeyedStateBackend, ttl_ms: Option<u64>) -> Fixture {
    let field = |name| SqlField::new(name, SqlType::BigInt, false);
    let descriptor = StateDescriptor::value("a/b", vec![field("k")], NamespaceKind::Void, vec![field("v")]);
    let state = backend.register(descriptor.with_ttl_ms(ttl_ms)).unwrap();
    let list = backend.register_under(state, StateDescriptor::list("a/l", vec![field("v")])).unwrap();
    Fixture { backend, state, list }
}

impl Fixture {
    fn keys(&self, keys: &[i64]) -> EncodedKeys {
        let column: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
        self.backend.encoder(self.state).encode(&[column], keys.len()).unwrap()
    }

    /// Adds 1 to each key, and an entry to its list; returns the positions of new keys.
    fn add(&mut self, keys: &[i64]) -> Vec<u32> {
        self.backend.trim();
        let (encoded, mut found) = (self.keys(keys), Slots::default());
        self.backend.resolve(self.state, Namespace::Void, &encoded, &mut found);
        let values = self.backend.rows(self.state, Namespace::Void).column::<i64>(0);
        found.slots.iter().for_each(|&slot| values.update(slot, |value| value + 1));
        self.backend.append_under(self.list, Namespace::Void, &found.slots, &mut Vec::new());
        found.created
    }

    /// Value and length of the list of a key.
    fn get(&mut self, key: i64) -> Option<(i64, usize)> {
        self.backend.check().unwrap();
        self.backend.trim();
        let (encoded, mut slots, mut entries) = (self.keys(&[key]), Vec::new(), Vec::new());
        self.backend.lookup(self.state, Namespace::Void, &encoded, &mut slots);
        let slot = slots[0];
        if slot == NO_SLOT {
            return None;
        }
        self.backend.entries_under(self.list, Namespace::Void, slot, &mut entries);
        Some((self.backend.rows(self.state, Namespace::Void).column::<i64>(0).get(slot), entries.len()))
    }
}

#[test]
fn idle_entries_are_as_new() {
    Kind::ALL.into_iter().for_each(idle_entries_are_as_new_on);
}

fn idle_entries_are_as_new_on(kind: Kind) {
    let mut state = fixture(kind.whole());
    assert_eq!(state.add(&[1, 2]), [0, 1]);
    state.backend.set_time(1_099);
    assert!(state.add(&[1]).is_empty());
    state.backend.set_time(1_100);
    assert_eq!(state.get(2), None, "expired at 1100");
    assert_eq!(state.get(1), Some((2, 2)), "accessed at 1099");
    assert_eq!(state.add(&[2, 1, 2]), [0], "the first of two equal expired keys is new");
    assert_eq!(state.get(2), Some((2, 2)));
    assert_eq!(state.get(1), Some((3, 3)));
}

#[test]
fn the_sweep_frees_what_expired() {
    Kind::ALL.into_iter().for_each(the_sweep_frees_what_expired_on);
}

fn the_sweep_frees_what_expired_on(kind: Kind) {
    let mut state = fixture(kind.whole());
    state.add(&(0..5000).collect::<Vec<_>>());
    state.backend.set_time(1_050);
    state.add(&(0..1000).collect::<Vec<_>>());
    state.backend.set_time(1_120);
    let (mut cursor, mut swept, mut scanned, mut slots) = (ScanCursor::default(), 0, 0, Vec::new());
    let mut scan = ScanCursor::default();
    while state.backend.scan(state.state, Namespace::Void, &mut scan, 300, &mut slots) {
        scanned += slots.len();
    }
    assert_eq!(scanned, 1000, "a scan does not see what expired");
    for _ in 0..10 {
        swept += state.backend.sweep(state.state, Namespace::Void, &mut cursor, 777);
    }
    assert_eq!(swept, 4000);
    assert_eq!(state.backend.len(state.state, Namespace::Void), 1000);
    assert_eq!(state.backend.len(state.list, Namespace::Void), 2000);
    assert_eq!(state.get(7), Some((2, 2)));
    assert_eq!(state.add(&[4000]), [0]);
}

#[test]
fn the_time_of_access_is_restored() {
    Kind::ALL.into_iter().for_each(the_time_of_access_is_restored_on);
}

fn the_time_of_access_is_restored_on(kind: Kind) {
    let mut state = fixture(kind.whole());
    state.add(&[1]);
    state.backend.set_time(1_080);
    state.add(&[2]);
    let snapshot = state.backend.snapshot(CheckpointId(1), SnapshotMode::Full);
    let (_store, restored) = stored(snapshot);
    let mut backend = kind.whole();
    backend.restore(vec![restored]).unwrap();
    let mut state = fixture(backend);
    state.backend.set_time(1_110);
    assert_eq!(state.get(1), None);
    assert_eq!(state.get(2), Some((1, 1)));
}

/// What was written without a time to live counts as accessed when it is restored with one.
#[test]
fn a_time_to_live_that_comes_with_a_restore_begins_then() {
    const NOW_MS: i64 = 1_000_000_000_000;
    for (kind, onto) in Kind::ALL.into_iter().flat_map(|kind| Kind::ALL.map(|onto| (kind, onto))) {
        let mut state = with_ttl(kind.whole(), None);
        state.add(&(0..300).collect::<Vec<_>>());
        let snapshot = state.backend.snapshot(CheckpointId(1), SnapshotMode::Full);
        let (_store, restored) = stored(snapshot);
        let mut backend = onto.whole();
        backend.restore(vec![restored]).unwrap();
        backend.open_at(NOW_MS);
        let mut state = with_ttl(backend, Some(100));
        state.backend.set_time(NOW_MS + 90);
        assert_eq!(state.get(7), Some((1, 1)), "{kind:?} onto {onto:?}");
        assert!(state.add(&[7, 299]).is_empty(), "{kind:?} onto {onto:?}");
        state.backend.set_time(NOW_MS + 110);
        assert_eq!(state.get(7), Some((2, 2)), "{kind:?} onto {onto:?}");
        assert_eq!(state.get(8), None, "{kind:?} onto {onto:?}");
    }
}

/// While states are registered nobody knows yet what hangs under an idle entry of a file.
#[test]
fn files_keep_what_expired_until_all_states_are_there() {
    let mut state = fixture(Kind::Disk(0).whole());
    state.add(&(0..100).collect::<Vec<_>>());
    state.backend.trim();
    let (_store, restored) = stored(state.backend.snapshot(CheckpointId(1), SnapshotMode::Full));
    let mut backend = Kind::Disk(0).whole();
    backend.restore(vec![restored]).unwrap();
    backend.open_at(5_000);
    let field = |name| SqlField::new(name, SqlType::BigInt, false);
    let descriptor = StateDescriptor::value("a/b", vec![field("k")], NamespaceKind::Void, vec![field("v")]);
    let parent = backend.register(descriptor.with_ttl_ms(Some(100))).unwrap();
    backend.disk.as_ref().unwrap().store.compact("a/b");
    assert_eq!(backend.len(parent, Namespace::Void), 100);
    backend.register_under(parent, StateDescriptor::list("a/l", vec![field("v")])).unwrap();
    backend.set_time(5_000);
    backend.disk.as_ref().unwrap().store.compact("a/b");
    assert_eq!(backend.len(parent, Namespace::Void), 100);
}

/// Merging files drops idle entries of a state that nothing hangs under.
#[test]
fn files_lose_what_expired() {
    let kind = Kind::Disk(0);
    for below in [false, true] {
        let mut backend = kind.whole();
        backend.set_time(1_000);
        let field = |name| SqlField::new(name, SqlType::BigInt, false);
        let descriptor =
            StateDescriptor::value("a/b", vec![field("k")], NamespaceKind::Void, vec![field("v")]);
        let state = backend.register(descriptor.with_ttl_ms(Some(100))).unwrap();
        if below {
            backend.register_under(state, StateDescriptor::list("a/l", vec![field("v")])).unwrap();
        }
        for (now_ms, range) in [(1_000, 0..100), (1_080, 100..300)] {
            backend.set_time(now_ms);
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(range));
            let keys = backend.encoder(state).encode(std::slice::from_ref(&column), column.len()).unwrap();
            backend.resolve(state, Namespace::Void, &keys, &mut Slots::default());
            backend.trim();
        }
        assert_eq!(backend.len(state, Namespace::Void), 300);
        backend.set_time(1_120);
        backend.disk.as_ref().unwrap().store.compact("a/b");
        assert_eq!(backend.len(state, Namespace::Void), if below { 300 } else { 200 });
    }
}
