//! A table of a hundred thousand entries through many checkpoints: how much each writes, how much one restores from.

use crate::test_backends::{Kind, Store};
use crate::*;
use arrow::array::{ArrayRef, Int64Array};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{CheckpointId, KeyGroupRange, SqlField, SqlType};

const KEYS: i64 = 100_000;

struct Counter {
    backend: KeyedStateBackend,
    counts: StateId,
    timers: StateId,
    store: Store,
    checkpoint: u64,
}

/// What a snapshot wrote, and what it consists of.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    new: u64,
    pages: u64,
    changes: u64,
    links: usize,
}

impl Counter {
    fn new(backend: KeyedStateBackend) -> Counter {
        Counter::with(backend, Store::default())
    }

    fn with(mut backend: KeyedStateBackend, store: Store) -> Counter {
        let key = || vec![SqlField::new("k", SqlType::BigInt, true)];
        let fields =
            vec![SqlField::new("n", SqlType::BigInt, false), SqlField::new("s", SqlType::STRING, true)];
        let counts = StateDescriptor::value("c/counts", key(), NamespaceKind::Void, fields);
        let counts = backend.register(counts).unwrap();
        let timers = backend.register_timers("c/timers", key(), TimeDomain::EventTime).unwrap();
        Counter { backend, counts, timers, store, checkpoint: 0 }
    }

    fn add(&mut self, keys: impl Iterator<Item = i64>) {
        let numbers = Int64Array::from_iter_values(keys);
        let keys: ArrayRef = Arc::new(numbers.clone());
        let keys = self.backend.encoder(self.counts).encode(std::slice::from_ref(&keys), keys.len()).unwrap();
        let mut found = Slots::default();
        self.backend.resolve(self.counts, Namespace::Void, &keys, &mut found);
        let mut rows = self.backend.rows(self.counts, Namespace::Void);
        let counts = rows.column::<i64>(0);
        for (&slot, key) in found.slots.iter().zip(numbers.values()) {
            counts.update(slot, |count| count + 1);
            // of each key another one
            let noise = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
            let text = format!("count {} {noise:016x}", counts.get(slot));
            rows.set_bytes(slot, 1, Some(text.as_bytes()));
        }
        self.backend.add_timers(self.timers, &keys, &vec![7; keys.len()], Namespace::Void);
    }

    fn checkpoint(&mut self, completes: bool) -> (crate::test_backends::Stored, Sizes) {
        self.checkpoint += 1;
        let id = CheckpointId(self.checkpoint);
        let stored = self.store.write(0, self.backend.snapshot(id, SnapshotMode::Incremental));
        if completes {
            self.backend.notify_complete(id);
        }
        let bytes = |wanted: &dyn Fn(&&SegmentIndex) -> bool| -> u64 {
            stored.index.segments().filter(wanted).map(|segment| segment.bytes).sum()
        };
        let changes = stored.index.segments().filter(|segment| segment.changes);
        let sizes = Sizes {
            new: bytes(&|segment| segment.id.checkpoint == id),
            pages: bytes(&|segment| !segment.changes),
            changes: bytes(&|segment| segment.changes),
            links: changes.map(|segment| segment.id.checkpoint).collect::<BTreeSet<_>>().len(),
        };
        (stored, sizes)
    }

    /// The sum of all counts, and the number of timers.
    fn total(&mut self) -> (i64, usize) {
        let (mut cursor, mut slots, mut sum) = (ScanCursor::default(), Vec::new(), 0);
        while self.backend.scan(self.counts, Namespace::Void, &mut cursor, 1000, &mut slots) {
            let rows = self.backend.rows(self.counts, Namespace::Void);
            let counts = rows.column::<i64>(0);
            for &slot in &slots {
                sum += counts.get(slot);
                let text = format!("count {} ", counts.get(slot));
                assert!(rows.bytes(slot, 1).unwrap().starts_with(text.as_bytes()));
            }
        }
        (sum, self.backend.len(self.timers, Namespace::Void))
    }

    fn restored(self, stored: &crate::test_backends::Stored) -> Counter {
        let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
        backend.restore(vec![self.store.fetch(stored)]).unwrap();
        Counter::with(backend, self.store)
    }
}

/// One key in a hundred, spread evenly, other ones each time.
fn spread(round: i64) -> impl Iterator<Item = i64> {
    (0..KEYS / 100).map(move |key| key * 100 + round % 100)
}

#[test]
fn what_changes_is_what_is_written() {
    let mut counter = Counter::new(Kind::Heap.whole());
    counter.add(0..KEYS);
    let full = counter.checkpoint(true).1.new;
    let (mut largest, mut sum, mut expected) = (0, 0, KEYS);
    let rounds = 150;
    let mut last = None;
    for round in 0..rounds {
        counter.add(spread(round * 7));
        expected += KEYS / 100;
        let (stored, sizes) = counter.checkpoint(true);
        let now = sizes.pages + sizes.changes;
        assert!(sizes.links <= 80, "{sizes:?}");
        assert!(
            sizes.changes * 10 < sizes.pages * 11,
            "what lies on top is about the table at most: {sizes:?}"
        );
        assert!(now < 5 * full / 2, "{sizes:?} of {full}");
        largest = largest.max(sizes.new);
        sum += sizes.new;
        last = Some(stored);
    }
    assert!(largest * 20 < full, "at most {largest} of {full} in a checkpoint");
    assert!(sum / rounds as u64 * 25 < full, "{sum} in {rounds} checkpoints of {full}");
    let mut restored = counter.restored(&last.unwrap());
    assert_eq!(restored.total(), (expected, KEYS as usize));
}

/// A failed checkpoint holds changes that the next one must hold too.
#[test]
fn changes_stay_until_a_checkpoint_is_complete() {
    let mut counter = Counter::new(Kind::Heap.whole());
    counter.add(0..KEYS);
    counter.checkpoint(true);
    let mut sizes = Vec::new();
    for round in 0..4 {
        counter.add(spread(round));
        sizes.push(counter.checkpoint(false).1.new);
    }
    assert!(sizes.windows(2).all(|pair| pair[0] * 5 / 4 < pair[1]), "they add up: {sizes:?}");
    counter.add(spread(4));
    let (stored, last) = counter.checkpoint(true);
    assert!(last.new > sizes[3] && last.links == 1, "{last:?}");
    counter.add(0..1);
    let after = counter.checkpoint(true).1;
    assert!(after.new * 100 < last.new && after.links == 2, "{after:?} behind {last:?}");
    let mut restored = counter.restored(&stored);
    assert_eq!(restored.total(), (KEYS + 5 * KEYS / 100, KEYS as usize));
}

/// The same few keys again and again: what lies on top stays small however often, and is joined.
#[test]
fn many_small_changes_are_joined() {
    let mut counter = Counter::new(Kind::Heap.whole());
    counter.add(0..KEYS);
    let full = counter.checkpoint(true).1.new;
    for _ in 0..300 {
        counter.add(0..20);
        let (_, sizes) = counter.checkpoint(true);
        assert!(sizes.links <= 65 && sizes.new * 1000 < full, "{sizes:?} of {full}");
    }
}

#[test]
fn a_table_that_changes_altogether_is_not_written_twice() {
    let mut counter = Counter::new(Kind::Heap.whole());
    counter.add(0..KEYS);
    let full = counter.checkpoint(true).1.new;
    for _ in 0..6 {
        counter.add(0..KEYS);
        let (_, sizes) = counter.checkpoint(true);
        assert!(sizes.new * 10 < full * 13, "{sizes:?} of {full}");
        assert!((sizes.pages + sizes.changes) * 10 < full * 26, "{sizes:?} of {full}");
    }
}

/// Storage asks for what lies in sparse files to be written anew, again and again until it is done.
#[test]
fn what_storage_asks_for_is_written_anew_bit_by_bit() {
    let mut counter = Counter::new(Kind::Heap.whole());
    counter.add(0..KEYS);
    counter.checkpoint(true);
    counter.add(spread(1));
    counter.checkpoint(true);
    for _ in 0..40 {
        counter.backend.rewrite(&BTreeSet::from([CheckpointId(1), CheckpointId(2)]));
        let (stored, _) = counter.checkpoint(true);
        if stored.index.segments().all(|segment| segment.id.checkpoint > CheckpointId(2)) {
            let mut restored = counter.restored(&stored);
            assert_eq!(restored.total(), (KEYS + KEYS / 100, KEYS as usize));
            return;
        }
    }
    panic!("something of the first two checkpoints is still needed");
}
