//! Entries as batches and back, for every kind of state and every type of value.

use crate::testing::{AllKinds, entries, lines};
use crate::*;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use std::sync::Arc;
use weir_types::{CheckpointId, SqlField, SqlType};

#[test]
fn columns_have_sql_names_and_types() {
    let snapshot = AllKinds::filled().snapshot();
    let columns = |name: &str| {
        let state = snapshot.index.states.iter().find(|state| state.name == name).unwrap();
        let layout = EntryLayout::new(&snapshot.index, state).unwrap();
        let text = |field: &Arc<arrow::datatypes::Field>| {
            format!("{} {}", field.name(), SqlType::of_field(field).unwrap())
        };
        layout.schema().fields().iter().map(text).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        columns("w/windows"),
        "key_group INT, k BIGINT, s STRING, window_start TIMESTAMP(3), window_end TIMESTAMP(3), COUNT(*) BIGINT, \
         MAX(t) TIMESTAMP(3)"
    );
    assert_eq!(
        columns("a/list"),
        "key_group INT, k BIGINT, m STRING, sequence BIGINT, row ROW<`x` INT, `y` STRING>"
    );
    assert_eq!(columns("a/timers"), "key_group INT, time TIMESTAMP(3), k BIGINT, window_end TIMESTAMP(3)");
    assert_eq!(
        columns("t/idle"),
        "key_group INT, k BIGINT, last_access TIMESTAMP_LTZ(3), k#2 DECIMAL(10, 2), b BOOLEAN, f FLOAT, d DATE, \
         bytes BYTES, items ARRAY<INT>"
    );
}

#[test]
fn values_read_as_they_were_written() {
    let snapshot = AllKinds::filled().snapshot();
    assert_eq!(
        lines(&entries(&snapshot, "w/windows")),
        [
            ", b, 1970-01-01T00:00:00, 1970-01-01T00:00:10, 3, 1970-01-01T00:00:00.009",
            "1, a, 1970-01-01T00:00:00, 1970-01-01T00:00:10, 1, 1970-01-01T00:00:00.007",
            "1, a, 1970-01-01T00:00:10, 1970-01-01T00:00:20, 2, ",
        ]
    );
    assert_eq!(lines(&entries(&snapshot, "a/map")), ["1, x, 10", "1, y, 11", "2, x, 12"]);
    assert_eq!(
        lines(&entries(&snapshot, "a/list")),
        ["1, x, 0, {x: 5, y: five}", "1, x, 1, ", "2, x, 2, {x: 6, y: }"]
    );
    assert_eq!(
        lines(&entries(&snapshot, "a/timers")),
        ["1970-01-01T00:00:00.070, 1, ", "1970-01-01T00:00:00.080, 2, 1970-01-01T00:00:20"]
    );
    assert_eq!(
        lines(&entries(&snapshot, "t/idle")),
        [
            "5, 1970-01-01T00:00:01Z, 12.34, true, 1.5, 1970-01-02, 00ff, [1, 2]",
            "6, 1970-01-01T00:00:01Z, , , , , , ",
        ]
    );
}

#[test]
fn batches_become_segments_that_hold_the_same() {
    let snapshot = AllKinds::filled().snapshot();
    for state in &snapshot.index.states {
        let layout = EntryLayout::new(&snapshot.index, state).unwrap();
        for batch in entries(&snapshot, &state.name) {
            let mut back = Vec::new();
            for segment in layout.segments(&batch).unwrap() {
                assert!(segment.rows > 0);
                back.push(layout.batch(&segment.bytes, "memory").unwrap());
            }
            assert_eq!(lines(&back), lines(&[batch]), "{}", state.name);
        }
    }
}

#[test]
fn foreign_batches_are_refused() {
    let snapshot = AllKinds::filled().snapshot();
    let state = snapshot.index.states.iter().find(|state| state.name == "a/keys").unwrap();
    let layout = EntryLayout::new(&snapshot.index, state).unwrap();
    let batch = |group: i32, key: ArrayRef| {
        let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![group])), key];
        let fields = layout.schema().fields().iter().zip(&columns);
        let fields: Vec<_> = fields
            .map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()))
            .collect();
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap()
    };
    let wrong_type = batch(0, Arc::new(Int32Array::from(vec![1])));
    assert!(layout.segments(&wrong_type).unwrap_err().to_string().contains("columns"));
    let key: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let fits = (0..128).filter(|group| layout.segments(&batch(*group, key.clone())).is_ok()).count();
    assert_eq!(fits, 1, "one key group is the key's own");
    let error = (0..2).find_map(|group| layout.segments(&batch(group, key.clone())).err()).unwrap();
    assert!(error.to_string().contains("belongs to key group"), "{error}");
}

#[test]
fn a_segment_of_another_state_is_corrupt() {
    let snapshot = AllKinds::filled().snapshot();
    let state = |name: &str| snapshot.index.states.iter().find(|state| state.name == name).unwrap();
    let layout = EntryLayout::new(&snapshot.index, state("a/keys")).unwrap();
    let segment = &snapshot.segments[&state("t/idle").segments[0].id];
    assert!(matches!(layout.batch(segment, "file"), Err(StateError::Corrupt { .. })));
}

#[test]
fn a_type_of_the_future_is_named() {
    let mut snapshot = AllKinds::filled().snapshot();
    snapshot.index.states[0].value_fields.push(FieldIndex {
        name: "v".into(),
        sql_type: "VARIANT".into(),
        nullable: true,
    });
    let error = EntryLayout::new(&snapshot.index, &snapshot.index.states[0]).unwrap_err();
    assert!(error.to_string().contains("column v of state"), "{error}");
}

/// The expected texts above would not notice a namespace or a key that got lost on the way through a restore.
#[test]
fn a_restored_snapshot_has_the_same_entries() {
    let snapshot = AllKinds::filled().snapshot();
    let restored = AllKinds::restored(vec![snapshot.clone()]).snapshot_at(CheckpointId(9));
    for state in &snapshot.index.states {
        let (before, after) = (entries(&snapshot, &state.name), entries(&restored, &state.name));
        assert_eq!(lines(&before), lines(&after), "{}", state.name);
        assert!(!lines(&before).is_empty(), "{}", state.name);
    }
    assert_eq!(SqlField::new("k", SqlType::BigInt, true).to_string(), "BIGINT");
}

/// A scan counts what the index says, and finds where it lies.
#[test]
fn a_measure_counts_every_entry_once() {
    let snapshot = AllKinds::filled().snapshot();
    for state in &snapshot.index.states {
        let layout = EntryLayout::new(&snapshot.index, state).unwrap();
        let mut measurer = Measurer::new(layout, 2);
        for segment in &state.segments {
            measurer.add(&snapshot.segments[&segment.id], "memory").unwrap();
        }
        let measure = measurer.finish().unwrap();
        let indexed: u64 = state.segments.iter().map(|segment| u64::from(segment.rows)).sum();
        let scanned: usize = entries(&snapshot, &state.name).iter().map(RecordBatch::num_rows).sum();
        assert_eq!((measure.total.entries, scanned as u64), (indexed, indexed), "{}", state.name);
        let sum = |counts: &mut dyn Iterator<Item = &EntryCount>| {
            counts.fold((0, 0), |(entries, bytes), count| (entries + count.entries, bytes + count.bytes))
        };
        let total = (measure.total.entries, measure.total.bytes);
        assert_eq!(sum(&mut measure.key_groups.values()), total, "{}", state.name);
        if state.namespace == NamespaceKind::Window {
            assert_eq!(sum(&mut measure.windows.values()), total, "{}", state.name);
        } else {
            assert!(measure.windows.is_empty(), "{}", state.name);
        }
        let keys = measure.largest_counts.len();
        assert!(keys <= 2 && measure.largest_keys.iter().all(|column| column.len() == keys));
        assert!(measure.largest_counts.windows(2).all(|pair| pair[0].bytes >= pair[1].bytes));
    }
}

#[test]
fn the_largest_key_is_the_one_with_the_most_under_it() {
    let snapshot = AllKinds::filled().snapshot();
    let state = snapshot.index.states.iter().find(|state| state.name == "a/map").unwrap();
    let mut measurer = Measurer::new(EntryLayout::new(&snapshot.index, state).unwrap(), 1);
    for segment in &state.segments {
        measurer.add(&snapshot.segments[&segment.id], "memory").unwrap();
    }
    let measure = measurer.finish().unwrap();
    let key: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert_eq!(&measure.largest_keys[0], &key);
    assert_eq!(measure.largest_counts[0].entries, 2);
}
