use super::*;
use crate::{NamespaceKind, Slots, StateDescriptor};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::{KeyGroupRange, SqlField, SqlType};

/// Keys of three namespaces of very different sizes, NULL in two of them.
fn keys_of(namespace: i64, scale: u64) -> Vec<Option<i64>> {
    let mut state = namespace as u64 * 77 + 1;
    let mut keys: Vec<Option<i64>> = (0..scale * [700, 40, 5][namespace as usize])
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some((state >> 33) as i64 % (1000 * scale as i64))
        })
        .collect();
    if namespace != 1 {
        keys.push(None);
    }
    keys
}

fn column(keys: &[Option<i64>], text: bool) -> ArrayRef {
    match text {
        false => Arc::new(Int64Array::from(keys.to_vec())),
        true => {
            let texts = keys.iter().map(|key| key.map(|key| format!("a key that is long enough: {key}")));
            Arc::new(StringArray::from(texts.collect::<Vec<_>>()))
        }
    }
}

/// What each step brings, as the slots of each key by namespace.
fn walk(
    backend: &KeyedStateBackend,
    state: StateId,
    namespaces: &[Namespace],
    limit: usize,
) -> BTreeMap<Option<String>, Vec<(i64, u32)>> {
    let (mut cursor, mut side) = (StepCursor::default(), SideBySide::default());
    let mut entries = BTreeMap::new();
    while backend.step(state, namespaces, &mut cursor, limit, &mut side) {
        let mut names: Vec<Option<String>> = Vec::new();
        let mut step: Vec<Vec<(i64, u32)>> = vec![Vec::new(); side.keys];
        for (part, namespace) in side.parts.iter().zip(namespaces) {
            let Namespace::Window(number) = namespace else { panic!("a window") };
            if !part.first.is_empty() {
                let keys = backend.keys(state, *namespace, &part.first);
                let column = backend.encoder(state).decode(&keys).unwrap().remove(0);
                names.extend((0..column.len()).map(|row| match column.as_string_opt::<i32>() {
                    _ if column.is_null(row) => None,
                    Some(texts) => Some(texts.value(row).to_string()),
                    None => Some(column.as_primitive::<Int64Type>().value(row).to_string()),
                }));
            }
            for (slot, key) in part.slots.iter().zip(&part.keys) {
                step[*key as usize].push((*number, *slot));
            }
        }
        assert_eq!(names.len(), side.keys);
        for (name, slots) in names.into_iter().zip(step) {
            assert!(entries.insert(name.clone(), slots).is_none(), "{name:?} came in two steps");
        }
    }
    entries
}

#[test]
fn every_key_comes_once_with_all_its_entries() {
    for (text, scale) in [(false, 1), (true, 1), (false, 60)] {
        let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
        let sql_type = if text { SqlType::STRING } else { SqlType::BigInt };
        let state = backend
            .register(StateDescriptor::value(
                "agg/slices",
                vec![SqlField::new("k", sql_type, true)],
                NamespaceKind::Window,
                vec![SqlField::new("v", SqlType::BigInt, false)],
            ))
            .unwrap();
        let mut expected: BTreeMap<Option<String>, Vec<(i64, u32)>> = BTreeMap::new();
        let mut found = Slots::default();
        for number in 0..3 {
            let column = column(&keys_of(number, scale), text);
            let keys = backend.encoder(state).encode(std::slice::from_ref(&column), column.len()).unwrap();
            backend.resolve(state, Namespace::Window(number), &keys, &mut found);
            let mut slots = BTreeSet::new();
            for (row, slot) in found.slots.iter().enumerate().filter(|(_, slot)| slots.insert(**slot)) {
                let name = (!column.is_null(row)).then(|| match column.as_string_opt::<i32>() {
                    Some(texts) => texts.value(row).to_string(),
                    None => column.as_primitive::<Int64Type>().value(row).to_string(),
                });
                expected.entry(name).or_default().push((number, *slot));
            }
        }
        // A namespace that has no entries, and one that does not exist.
        let namespaces: Vec<Namespace> = (0..4).map(Namespace::Window).collect();
        for limit in [1, 10, 100, 2048, 1 << 20] {
            assert!(walk(&backend, state, &namespaces, limit) == expected, "steps of {limit} entries");
        }
        // Entries that were drained are not there.
        let mut drained = Vec::new();
        backend.drain(state, Namespace::Window(0), 100, &mut drained);
        for slots in expected.values_mut() {
            slots.retain(|(number, slot)| *number != 0 || !drained.contains(slot));
        }
        expected.retain(|_, slots| !slots.is_empty());
        assert!(walk(&backend, state, &namespaces, 64) == expected, "after {} were drained", drained.len());
    }
}
