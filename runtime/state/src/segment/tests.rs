use crate::*;
use arrow::array::{ArrayRef, Int64Array};
use std::sync::Arc;
use weir_types::{CheckpointId, KeyGroupRange, SqlField, SqlType};

/// The bytes of version 1, part by part: what was stored by earlier versions, and what stands alone in memory.
#[test]
fn golden_bytes() {
    let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
    let key = vec![SqlField::new("k", SqlType::BigInt, true)];
    let fields = vec![SqlField::new("n", SqlType::Int, false), SqlField::new("s", SqlType::STRING, true)];
    let acc = StateDescriptor::value("a/acc", key, NamespaceKind::Window, fields);
    let acc = backend.register(acc.with_ttl_ms(Some(60_000))).unwrap();
    let list = StateDescriptor::list("a/list", vec![SqlField::new("d", SqlType::Boolean, true)]);
    let list = backend.register_under(acc, list).unwrap();
    backend.set_time(7);
    let namespace = Namespace::Window(256);
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let (keys, mut found) = (backend.encoder(acc).encode(&[keys], 2).unwrap(), Slots::default());
    backend.resolve(acc, namespace, &keys, &mut found);
    let mut rows = backend.rows(acc, namespace);
    rows.column::<i32>(0).set(found.slots[1], 3);
    rows.set_bytes(found.slots[1], 1, Some(b"xy"));
    backend.append_under(list, namespace, &found.slots[..1], &mut Vec::new());
    let mut snapshot = backend.snapshot(CheckpointId(1), SnapshotMode::Full);
    let mut next = |kind: StateKind| -> String {
        let segment = snapshot.next_segment().unwrap();
        let rows = super::read(&segment.bytes, kind, "test").unwrap();
        rows.to_bytes(kind).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let head = "575345470100";
    let key_columns = "01 09000000 12000000 12000000 01 8000000000000001 00 0000000000000000";
    let times = "01 0700000000000000 0700000000000000";
    let fields = "0200 03 00 00000000 03000000 08 01 01 00000000 02000000 02000000 7879";
    let groups = GOLDEN[0];
    let namespace = "01 0001000000000000";
    let text =
        format!("{head} 00 {namespace} 02000000 {groups} {key_columns} {times} {fields} {}", GOLDEN[1]);
    assert_eq!(next(StateKind::Value), text.replace(' ', ""));
    let (group, key) = (&groups[..4], "01 09000000 09000000 01 8000000000000001");
    let fields = "0100 00 01 01 00";
    let text =
        format!("{head} 02 {namespace} 01000000 {group} {key} 0000000000000000 00 {fields} {}", GOLDEN[2]);
    assert_eq!(next(StateKind::List), text.replace(' ', ""));
}

/// The bytes of version 3, part by part.
#[test]
fn golden_bytes_of_packed_columns() {
    let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
    let key = vec![SqlField::new("k", SqlType::BigInt, true)];
    let fields = vec![SqlField::new("n", SqlType::BigInt, false), SqlField::new("m", SqlType::Int, true)];
    let acc = StateDescriptor::value("a/acc", key, NamespaceKind::Void, fields);
    let acc = backend.register(acc).unwrap();
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![1, 300, 2]));
    let (keys, mut found) = (backend.encoder(acc).encode(&[keys], 3).unwrap(), Slots::default());
    backend.resolve(acc, Namespace::Void, &keys, &mut found);
    let numbers = backend.rows(acc, Namespace::Void).column::<i64>(0);
    found.slots.iter().zip([-1, 254, 7]).for_each(|(&slot, number)| numbers.set(slot, number));
    let mut snapshot = backend.snapshot(CheckpointId(1), SnapshotMode::Full);
    let bytes = snapshot.next_segment().unwrap().bytes;
    let bytes: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let head = "575345470300 00 00 0000000000000000 03000000 00 80000000";
    let keys = "01 01 09 018000000000000001 8001 0001 012c 0002";
    let numbers = "04 00 ffffffffffffffff 01 00ff08";
    let nulls = "03 01 07 00000000 00";
    let text = format!("{head} {keys} 00 0200 {numbers} {nulls} defe262d8cedd2d3");
    assert_eq!(bytes, text.replace(' ', ""));
}

/// Key groups of the two keys, checksums of the two segments.
const GOLDEN: [&str; 3] = ["4f002a00", "00f2dcc5efdd482f", "0044e0406377e752"];
