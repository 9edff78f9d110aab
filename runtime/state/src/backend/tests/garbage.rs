//! Memory of values that were replaced.

use super::*;

/// Few entries that stay among many that go take about twice their memory, and a snapshot keeps its own.
#[test]
fn garbage_is_collected() {
    let text = vec![field("text", SqlType::STRING, true)];
    let descriptor = |text| StateDescriptor::value("a/b", Keys::Text.fields(), NamespaceKind::Void, text);
    let mut backend = Kind::Heap.whole();
    let state = backend.register(descriptor(text.clone())).unwrap();
    let encoder = backend.encoder(state).clone();
    let encode = |keys: &[Option<i64>]| encoder.encode(&Keys::Text.columns(keys), keys.len()).unwrap();
    let value = |key: i64| format!("{key} ").repeat(300 + key as usize % 50);
    let stays = |key: &Option<i64>| key.is_some_and(|key| key % 7 == 0);
    let (mut store, mut snapshot, mut found, mut slots) =
        (Store::default(), None, Slots::default(), Vec::new());
    for round in 0..40 {
        let keys: Vec<Option<i64>> = (round * 1000..(round + 1) * 1000).map(Some).collect();
        backend.resolve(state, Namespace::Void, &encode(&keys), &mut found);
        let mut rows = backend.rows(state, Namespace::Void);
        for (&slot, key) in found.slots.iter().zip(&keys) {
            rows.set_bytes(slot, 0, Some(value(key.unwrap()).as_bytes()));
        }
        let gone: Vec<Option<i64>> = keys.into_iter().filter(|key| !stays(key)).collect();
        backend.lookup(state, Namespace::Void, &encode(&gone), &mut slots);
        backend.delete(state, Namespace::Void, &slots);
        if round == 20 {
            snapshot = Some(backend.snapshot(CheckpointId(1), SnapshotMode::Full));
        }
    }
    let live: usize = (0..40_000).filter(|key| stays(&Some(*key))).map(|key| value(key).len()).sum();
    let bytes = backend.memory_bytes(state);
    assert!(live > 8_000_000 && bytes < 2 * live + (8 << 20), "{bytes} bytes are held for {live}");
    let read = |backend: &mut KeyedStateBackend, end: i64| {
        let keys: Vec<Option<i64>> = (0..end).map(Some).filter(stays).collect();
        let mut slots = Vec::new();
        backend.lookup(state, Namespace::Void, &encode(&keys), &mut slots);
        assert_eq!(backend.len(state, Namespace::Void), keys.len());
        let texts = backend.rows(state, Namespace::Void).gather(0, &slots).unwrap();
        for (key, text) in keys.iter().zip(texts.as_string::<i32>().iter()) {
            assert_eq!(text, Some(value(key.unwrap()).as_str()), "{key:?}");
        }
    };
    read(&mut backend, 40_000);
    let index = store.write(0, snapshot.unwrap());
    let mut restored = Kind::Heap.whole();
    restored.restore(vec![store.fetch(&index)]).unwrap();
    restored.register(descriptor(text)).unwrap();
    read(&mut restored, 21_000);
}
