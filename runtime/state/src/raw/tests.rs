use crate::test_backends::{Kind, MAX_PARALLELISM, Store};
use crate::*;
use std::collections::BTreeMap;
use weir_types::{CheckpointId, KeyGroup, KeyGroupRange};

type Streams = BTreeMap<u16, Vec<u8>>;

fn read(backend: &mut KeyedStateBackend, raw: &RawState) -> Streams {
    let range = backend.key_groups();
    let stream = |group: u16| {
        let stream = backend.raw_stream(raw, KeyGroup(group)).unwrap();
        stream.map(|stream| (group, stream))
    };
    (range.start..range.end).filter_map(stream).collect()
}

fn set(
    backend: &mut KeyedStateBackend,
    raw: &RawState,
    streams: &mut Streams,
    group: u16,
    stream: Option<&[u8]>,
) {
    backend.set_raw_stream(raw, KeyGroup(group), stream).unwrap();
    match stream {
        Some(stream) => drop(streams.insert(group, stream.to_vec())),
        None => drop(streams.remove(&group)),
    }
}

/// A stream for two key groups in three, one of them empty and one large.
fn fill(backend: &mut KeyedStateBackend, raw: &RawState) -> Streams {
    let mut streams = Streams::new();
    for group in (0..MAX_PARALLELISM as u16).filter(|group| group % 3 != 1) {
        let length = [0, 5, 30_000][usize::from(group) % 3 * usize::from(group != 0)];
        let stream: Vec<u8> = (0..length).map(|byte: usize| (byte + usize::from(group)) as u8).collect();
        set(backend, raw, &mut streams, group, Some(&stream));
    }
    set(backend, raw, &mut streams, 2, Some(b"two"));
    streams
}

/// Streams stay with their key groups at any parallelism, between any two backends.
#[test]
fn streams_go_with_their_key_groups() {
    for from in [Kind::Heap, Kind::Disk(0)] {
        let mut backend = from.whole();
        let raw = backend.register_raw("mine/raw").unwrap();
        let streams = fill(&mut backend, &raw);
        assert_eq!(read(&mut backend, &raw), streams);
        backend.check().unwrap();
        let mut store = Store::default();
        let stored = store.write(0, backend.snapshot(CheckpointId(1), SnapshotMode::Incremental));
        for (onto, parallelism) in
            [(Kind::Heap, 1), (Kind::Heap, 3), (Kind::Disk(0), 2), (Kind::Disk(1 << 30), 5)]
        {
            let mut found = Streams::new();
            for subtask in 0..parallelism {
                let range = KeyGroupRange::of_subtask(MAX_PARALLELISM, parallelism, subtask);
                let mut part = onto.backend(range);
                part.restore(vec![store.fetch(&stored)]).unwrap();
                let raw = part.register_raw("mine/raw").unwrap();
                let own = read(&mut part, &raw);
                assert!(!own.is_empty() && own.keys().all(|group| range.contains(KeyGroup(*group))));
                found.extend(own);
                part.check().unwrap();
            }
            assert!(found == streams, "{from:?} onto {onto:?} at {parallelism}");
        }
    }
}

#[test]
fn what_changed_since_a_checkpoint_is_in_the_next() {
    let mut backend = Kind::Heap.whole();
    let raw = backend.register_raw("mine/raw").unwrap();
    let mut streams = fill(&mut backend, &raw);
    let mut store = Store::default();
    let full = store.write(0, backend.snapshot(CheckpointId(1), SnapshotMode::Incremental));
    backend.notify_complete(CheckpointId(1));
    for (&group, stream) in &streams.clone() {
        set(&mut backend, &raw, &mut streams, group, Some(stream));
    }
    set(&mut backend, &raw, &mut streams, 2, None);
    set(&mut backend, &raw, &mut streams, 3, None);
    set(&mut backend, &raw, &mut streams, 5, Some(b"five"));
    let stored = store.write(0, backend.snapshot(CheckpointId(2), SnapshotMode::Incremental));
    let bytes = |stored: &SnapshotIndex, id: u64| -> u64 {
        let segments = stored.segments().filter(|segment| segment.id.checkpoint.0 == id);
        segments.map(|segment| segment.bytes).sum()
    };
    let (first, second) = (bytes(&full.index, 1), bytes(&stored.index, 2));
    assert!(first > 1_000_000 && second < 1000, "{second} of {first} are new");
    let mut restored = Kind::Heap.whole();
    restored.restore(vec![store.fetch(&stored)]).unwrap();
    let raw = restored.register_raw("mine/raw").unwrap();
    assert!(read(&mut restored, &raw) == streams);
}

/// Who looks at a checkpoint sees a row for each key group that has a stream.
#[test]
fn streams_can_be_looked_at() {
    let mut backend = Kind::Heap.whole();
    let raw = backend.register_raw("mine/raw").unwrap();
    let streams = fill(&mut backend, &raw);
    let mut store = Store::default();
    let stored = store.write(0, backend.snapshot(CheckpointId(1), SnapshotMode::Incremental));
    let batches = crate::testing::entries(&store.fetch(&stored), "mine/raw");
    let names: Vec<String> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["key_group", "of_key_group", "stream"]);
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    assert_eq!(rows, streams.len());
}

#[test]
fn others_key_groups_are_refused() {
    let mut backend = Kind::Heap.backend(KeyGroupRange { start: 10, end: 20 });
    let raw = backend.register_raw("mine/raw").unwrap();
    let error = backend.set_raw_stream(&raw, KeyGroup(20), Some(b"x")).unwrap_err().to_string();
    assert!(error.contains("asked for key group 20, and this subtask has 10..20"), "{error}");
    assert!(backend.raw_stream(&raw, KeyGroup(9)).is_err());
    assert!(backend.register_raw("mine/raw").is_err());
}
