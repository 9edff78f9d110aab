//! Sessions: a directory of keys, the sessions of a key in a Map state under it, and what belongs to a
//! session under that.

use crate::test_backends::{Kind, stored};
use crate::*;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use std::sync::Arc;
use weir_types::{CheckpointId, EncodedKeys, KeyGroupRange, SqlField, SqlType};

struct Sessions {
    backend: KeyedStateBackend,
    keys: StateId,
    sessions: StateId,
    distinct: StateId,
}

fn field(name: &str, sql_type: SqlType) -> SqlField {
    SqlField::new(name, sql_type, true)
}

impl Sessions {
    fn new(mut backend: KeyedStateBackend) -> Self {
        let key = vec![field("user", SqlType::BigInt)];
        let keys =
            backend.register(StateDescriptor::value("s/keys", key, NamespaceKind::Void, vec![])).unwrap();
        let (end, start) =
            (vec![field("end", SqlType::Timestamp(3))], vec![field("start", SqlType::Timestamp(3))]);
        let sessions = backend.register_under(keys, StateDescriptor::map("s/sessions", end, start)).unwrap();
        let page = vec![field("page", SqlType::STRING)];
        let distinct =
            backend.register_under(sessions, StateDescriptor::map("s/distinct", page, vec![])).unwrap();
        Sessions { backend, keys, sessions, distinct }
    }

    fn encode(&self, state: StateId, column: ArrayRef) -> EncodedKeys {
        let rows = column.len();
        self.backend.encoder(state).encode(&[column], rows).unwrap()
    }

    fn slots_of(&mut self, users: &[Option<i64>]) -> Vec<u32> {
        let (keys, mut found) =
            (self.encode(self.keys, Arc::new(Int64Array::from(users.to_vec()))), Slots::default());
        self.backend.resolve(self.keys, Namespace::Void, &keys, &mut found);
        found.slots
    }

    fn add(&mut self, users: &[Option<i64>], ends: &[Option<i64>], pages: &[&str]) {
        self.backend.trim();
        let parents = self.slots_of(users);
        let ends: ArrayRef = Arc::new(arrow::array::TimestampMillisecondArray::from(ends.to_vec()));
        let (keys, mut found) = (self.encode(self.sessions, ends.clone()), Slots::default());
        self.backend.resolve_under(self.sessions, Namespace::Void, &parents, &keys, &mut found);
        self.backend.rows(self.sessions, Namespace::Void).scatter(0, &found.slots, &ends);
        let (keys, parents) =
            (self.encode(self.distinct, Arc::new(StringArray::from(pages.to_vec()))), found.slots);
        self.backend.resolve_under(self.distinct, Namespace::Void, &parents, &keys, &mut Slots::default());
    }

    /// Ends, starts and pages of the sessions of a user, in order.
    fn read(&mut self, user: Option<i64>) -> Vec<(Option<i64>, Option<i64>, Vec<String>)> {
        self.backend.check().unwrap();
        self.backend.trim();
        let parent = self.slots_of(&[user])[0];
        let mut slots = Vec::new();
        self.backend.sorted_entries_under(self.sessions, Namespace::Void, parent, &mut slots);
        let ends = self.backend.keys(self.sessions, Namespace::Void, &slots);
        let ends = self.backend.encoder(self.sessions).decode(&ends).unwrap()[0].clone();
        let starts = self.backend.rows(self.sessions, Namespace::Void).gather(0, &slots).unwrap();
        let numbers = |array: &ArrayRef, row: usize| {
            let array = array.as_primitive::<arrow::datatypes::TimestampMillisecondType>();
            array.is_valid(row).then(|| array.value(row))
        };
        let mut read = Vec::new();
        for (row, &slot) in slots.iter().enumerate() {
            let mut pages = Vec::new();
            self.backend.sorted_entries_under(self.distinct, Namespace::Void, slot, &mut pages);
            let pages = self.backend.keys(self.distinct, Namespace::Void, &pages);
            let pages = self.backend.encoder(self.distinct).decode(&pages).unwrap()[0].clone();
            let pages = pages.as_string::<i32>().iter().map(|page| page.unwrap().to_string()).collect();
            read.push((numbers(&ends, row), numbers(&starts, row), pages));
        }
        read
    }
}

#[test]
fn sessions_and_what_hangs_under_them() {
    Kind::ALL.into_iter().for_each(sessions_and_what_hangs_under_them_on);
}

fn sessions_and_what_hangs_under_them_on(kind: Kind) {
    let mut job = Sessions::new(kind.whole());
    let users = [Some(1), Some(2), Some(1), None, Some(1), None];
    let ends = [Some(30), Some(30), Some(-10), Some(5), Some(30), None];
    let pages = ["a page with a long name", "b", "c", "d", "", "a page with a long name"];
    job.add(&users, &ends, &pages);
    let text = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let first = vec![
        (Some(-10), Some(-10), text(&["c"])),
        (Some(30), Some(30), text(&["", "a page with a long name"])),
    ];
    let of_null = vec![(None, None, text(&["a page with a long name"])), (Some(5), Some(5), text(&["d"]))];
    assert_eq!(job.read(Some(1)), first);
    assert_eq!(job.read(None), of_null);

    let snapshot = job.backend.snapshot(CheckpointId(1), SnapshotMode::Full);
    // Gone with all that hangs under them, at both depths; the snapshot has them still.
    job.backend.trim();
    let slots = job.slots_of(&[Some(1)]);
    job.backend.delete(job.keys, Namespace::Void, &slots);
    assert_eq!(job.read(Some(1)), []);
    assert_eq!(job.backend.len(job.sessions, Namespace::Void), 3);
    assert_eq!(job.backend.len(job.distinct, Namespace::Void), 3);
    assert_eq!(job.read(None), of_null);

    let (_store, restored) = stored(snapshot);
    let mut found = Vec::new();
    for subtask in 0..2 {
        let mut backend = kind.backend(KeyGroupRange::of_subtask(128, 2, subtask));
        backend.restore(vec![restored.clone()]).unwrap();
        let mut job = Sessions::new(backend);
        found.push([job.read(Some(1)), job.read(None)]);
    }
    let [with_first, with_null] = [0, 1].map(|which| {
        let read: Vec<_> =
            found.iter().map(|found| found[which].clone()).filter(|read| !read.is_empty()).collect();
        assert_eq!(read.len(), 1, "a key is in one subtask");
        read.into_iter().next().unwrap()
    });
    assert_eq!(with_first, first);
    assert_eq!(with_null, of_null);
}

#[test]
fn lists_keep_their_order_and_lose_what_is_deleted() {
    Kind::ALL.into_iter().for_each(lists_keep_their_order_and_lose_what_is_deleted_on);
}

fn lists_keep_their_order_and_lose_what_is_deleted_on(kind: Kind) {
    let mut backend = kind.whole();
    let key = vec![field("k", SqlType::BigInt)];
    let keys = backend.register(StateDescriptor::value("l/keys", key, NamespaceKind::Void, vec![])).unwrap();
    let value = vec![field("v", SqlType::BigInt)];
    let list = backend.register_under(keys, StateDescriptor::list("l/list", value)).unwrap();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let (encoded, mut found) = (backend.encoder(keys).encode(&[column], 2).unwrap(), Slots::default());
    backend.resolve(keys, Namespace::Void, &encoded, &mut found);
    let (one, two) = (found.slots[0], found.slots[1]);
    let mut slots = Vec::new();
    backend.append_under(list, Namespace::Void, &[one, two, one, one], &mut slots);
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), Some(20), None, Some(12)]));
    backend.rows(list, Namespace::Void).scatter(0, &slots, &values);
    backend.delete(list, Namespace::Void, &[slots[0], slots[0]]);
    let mut appended = Vec::new();
    backend.append_under(list, Namespace::Void, &[one], &mut appended);
    assert_eq!(appended[0], slots[0], "slots are used again");
    backend.rows(list, Namespace::Void).column::<i64>(0).set_option(appended[0], Some(13));
    let mut entries = Vec::new();
    backend.entries_under(list, Namespace::Void, one, &mut entries);
    let read = backend.rows(list, Namespace::Void).gather(0, &entries).unwrap();
    assert_eq!(read.as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(12), Some(13)]));
    backend.trim();
    backend.check().unwrap();
    backend.resolve(keys, Namespace::Void, &encoded, &mut found);
    assert!(found.created.is_empty());
    let one = found.slots[0];
    backend.append_under(list, Namespace::Void, &[one], &mut appended);
    backend.rows(list, Namespace::Void).column::<i64>(0).set_option(appended[0], Some(14));
    entries.clear();
    backend.entries_under(list, Namespace::Void, one, &mut entries);
    let read = backend.rows(list, Namespace::Void).gather(0, &entries).unwrap();
    let expected = Int64Array::from(vec![None, Some(12), Some(13), Some(14)]);
    assert_eq!(read.as_primitive::<Int64Type>(), &expected);
    backend.delete(list, Namespace::Void, &entries[2..3]);
    backend.trim();
    backend.lookup(keys, Namespace::Void, &encoded, &mut slots);
    let (one, two) = (slots[0], slots[1]);
    entries.clear();
    backend.entries_under(list, Namespace::Void, one, &mut entries);
    let read = backend.rows(list, Namespace::Void).gather(0, &entries).unwrap();
    assert_eq!(read.as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(12), Some(14)]));
    backend.clear_under(list, Namespace::Void, &[one]);
    assert!(!backend.has_entries_under(list, Namespace::Void, one));
    assert!(backend.has_entries_under(list, Namespace::Void, two));
    assert_eq!(backend.len(list, Namespace::Void), 1);
}
