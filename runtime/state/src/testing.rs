//! A backend with states of every kind and fields of every type, for tests of what reads and writes them.

use crate::*;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow::datatypes::Int32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{CheckpointId, EncodedKeys, KeyGroupRange, SqlField, SqlType};

pub(crate) struct AllKinds {
    backend: KeyedStateBackend,
    windows: StateId,
    keys: StateId,
    map: StateId,
    list: StateId,
    timers: StateId,
    idle: StateId,
}

fn field(name: &str, sql_type: SqlType) -> SqlField {
    SqlField::new(name, sql_type, true)
}

fn row_type() -> SqlType {
    SqlType::Row(vec![field("x", SqlType::Int), field("y", SqlType::STRING)])
}

fn numbers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

impl AllKinds {
    fn new(mut backend: KeyedStateBackend) -> AllKinds {
        let key = || vec![field("k", SqlType::BigInt)];
        let windows = StateDescriptor::value(
            "w/windows",
            vec![field("k", SqlType::BigInt), field("s", SqlType::STRING)],
            NamespaceKind::Window,
            vec![SqlField::new("COUNT(*)", SqlType::BigInt, false), field("MAX(t)", SqlType::Timestamp(3))],
        );
        let windows = backend.register(windows.with_window_ms(Some(10_000))).unwrap();
        let keys = StateDescriptor::value("a/keys", key(), NamespaceKind::Void, vec![]);
        let keys = backend.register(keys).unwrap();
        let map = vec![field("m", SqlType::STRING)];
        let map = backend
            .register_under(keys, StateDescriptor::map("a/map", map, vec![field("v", SqlType::Int)]))
            .unwrap();
        let list = StateDescriptor::list("a/list", vec![field("row", row_type())]);
        let list = backend.register_under(map, list).unwrap();
        let timers = backend.register_timers("a/timers", key(), TimeDomain::EventTime).unwrap();
        let values = vec![
            field("k", SqlType::Decimal { precision: 10, scale: 2 }),
            field("b", SqlType::Boolean),
            field("f", SqlType::Float),
            field("d", SqlType::Date),
            field("bytes", SqlType::BYTES),
            field("items", SqlType::Array(Box::new(field("item", SqlType::Int)))),
        ];
        let idle = StateDescriptor::value("t/idle", key(), NamespaceKind::Void, values);
        let idle = backend.register(idle.with_ttl_ms(Some(3_600_000))).unwrap();
        AllKinds { backend, windows, keys, map, list, timers, idle }
    }

    fn empty_backend() -> KeyedStateBackend {
        KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128)
    }

    pub(crate) fn restored(snapshots: Vec<RestoredSnapshot>) -> AllKinds {
        let mut backend = AllKinds::empty_backend();
        backend.restore(snapshots).unwrap();
        AllKinds::new(backend)
    }

    pub(crate) fn filled() -> AllKinds {
        let mut all = AllKinds::new(AllKinds::empty_backend());
        all.fill_windows();
        all.fill_children();
        all.fill_idle();
        all
    }

    fn encode(&self, state: StateId, columns: &[ArrayRef]) -> EncodedKeys {
        self.backend.encoder(state).encode(columns, columns[0].len()).unwrap()
    }

    fn fill_windows(&mut self) {
        let rows = [
            (Some(1), "a", 10_000, 1, Some(7)),
            (Some(1), "a", 20_000, 2, None),
            (None, "b", 10_000, 3, Some(9)),
        ];
        for (key, text, end_ms, count, max) in rows {
            let keys = self.encode(self.windows, &[numbers(&[key]), texts(&[text])]);
            let (mut found, window) = (Slots::default(), Namespace::Window(end_ms));
            self.backend.resolve(self.windows, window, &keys, &mut found);
            let mut rows = self.backend.rows(self.windows, window);
            rows.scatter(0, &found.slots, &numbers(&[Some(count)]));
            let max: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![max]));
            rows.scatter(1, &found.slots, &max);
        }
    }

    fn fill_children(&mut self) {
        let void = Namespace::Void;
        let mut found = Slots::default();
        let keys = self.encode(self.keys, &[numbers(&[Some(1), Some(1), Some(2)])]);
        self.backend.resolve(self.keys, void, &keys, &mut found);
        let parents = found.slots.clone();
        let map_keys = self.encode(self.map, &[texts(&["x", "y", "x"])]);
        self.backend.resolve_under(self.map, void, &parents, &map_keys, &mut found);
        let values: ArrayRef = Arc::new(Int32Array::from(vec![10, 11, 12]));
        self.backend.rows(self.map, void).scatter(0, &found.slots, &values);
        let mut slots = Vec::new();
        let parents = [found.slots[0], found.slots[0], found.slots[2]];
        self.backend.append_under(self.list, void, &parents, &mut slots);
        let fields = match row_type().data_type() {
            arrow::datatypes::DataType::Struct(fields) => fields,
            other => panic!("a ROW is {other}"),
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(5), None, Some(6)])),
            Arc::new(StringArray::from(vec![Some("five"), None, None])),
        ];
        let nulls = arrow::buffer::NullBuffer::from(vec![true, false, true]);
        let row: ArrayRef = Arc::new(StructArray::new(fields, columns, Some(nulls)));
        self.backend.rows(self.list, void).scatter(0, &slots, &row);
        let (one, two) = (
            self.encode(self.timers, &[numbers(&[Some(1)])]),
            self.encode(self.timers, &[numbers(&[Some(2)])]),
        );
        self.backend.add_timers(self.timers, &one, &[70], void);
        self.backend.add_timers(self.timers, &two, &[80], Namespace::Window(20_000));
    }

    fn fill_idle(&mut self) {
        self.backend.set_time(1000);
        let mut found = Slots::default();
        let keys = self.encode(self.idle, &[numbers(&[Some(5), Some(6)])]);
        self.backend.resolve(self.idle, Namespace::Void, &keys, &mut found);
        let decimals = Decimal128Array::from(vec![Some(1234), None]).with_precision_and_scale(10, 2).unwrap();
        let items = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)]), None]);
        let columns: [ArrayRef; 6] = [
            Arc::new(decimals),
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            Arc::new(Float32Array::from(vec![Some(1.5), None])),
            Arc::new(Date32Array::from(vec![Some(1), None])),
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0, 255]), None])),
            Arc::new(items),
        ];
        let mut rows = self.backend.rows(self.idle, Namespace::Void);
        columns.iter().enumerate().for_each(|(field, column)| rows.scatter(field, &found.slots, column));
    }

    pub(crate) fn snapshot(self) -> RestoredSnapshot {
        self.snapshot_at(CheckpointId(3))
    }

    pub(crate) fn snapshot_at(mut self, checkpoint: CheckpointId) -> RestoredSnapshot {
        let mut snapshot = self.backend.snapshot(checkpoint, SnapshotMode::Full);
        let mut segments = BTreeMap::new();
        while let Some(segment) = snapshot.next_segment() {
            segments.insert(segment.id, segment.bytes);
        }
        RestoredSnapshot::new(snapshot.finish(), segments, "memory")
    }
}

/// All entries of a state, segment by segment.
pub(crate) fn entries(snapshot: &RestoredSnapshot, name: &str) -> Vec<RecordBatch> {
    let state = snapshot.index.states.iter().find(|state| state.name == name).unwrap();
    let layout = EntryLayout::new(&snapshot.index, state).unwrap();
    let batch = |segment: &SegmentIndex| layout.batch(&snapshot.segments[&segment.id], "memory").unwrap();
    state.segments.iter().map(batch).collect()
}

/// The rows of batches without their key groups, sorted.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default();
    let mut lines = Vec::new();
    for batch in batches {
        let columns =
            batch.columns()[1..].iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap());
        let columns: Vec<_> = columns.collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join(", "));
        }
    }
    lines.sort();
    lines
}
