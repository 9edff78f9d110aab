use crate::test_backends::{Kind, stored};
use crate::*;
use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{CheckpointId, EncodedKeys, KeyGroupRange, SqlField, SqlType};

fn new_timers(mut backend: KeyedStateBackend) -> (KeyedStateBackend, StateId) {
    let keys = vec![SqlField::new("k", SqlType::STRING, true)];
    let timers = backend.register_timers("over/timers", keys, TimeDomain::EventTime).unwrap();
    (backend, timers)
}

fn encode(backend: &KeyedStateBackend, timers: StateId, keys: &[&str]) -> EncodedKeys {
    let column: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
    backend.encoder(timers).encode(&[column], keys.len()).unwrap()
}

type Model = BTreeSet<(i64, String, Namespace)>;

fn pop(
    backend: &mut KeyedStateBackend,
    timers: StateId,
    until_ms: i64,
    limit: usize,
) -> Vec<(i64, String, Namespace)> {
    backend.check().unwrap();
    backend.trim();
    let Some(due) = backend.pop_timers(timers, until_ms, limit) else { return Vec::new() };
    let keys = backend.encoder(timers).decode(&due.keys).unwrap();
    let keys = keys[0].as_string::<i32>().iter().map(|key| key.unwrap().to_string());
    let times = due.times_ms.iter().copied();
    times.zip(keys).zip(due.namespaces).map(|((time_ms, key), namespace)| (time_ms, key, namespace)).collect()
}

#[test]
fn due_in_order_and_once() {
    Kind::ALL.into_iter().for_each(due_in_order_and_once_on);
}

fn due_in_order_and_once_on(kind: Kind) {
    let (mut backend, timers) = new_timers(kind.whole());
    assert_eq!(backend.next_timer_ms(timers), None);
    let keys = encode(&backend, timers, &["b", "a", "b", "c"]);
    backend.add_timers(timers, &keys, &[20, -5, 20, 30], Namespace::Void);
    backend.add_timers(timers, &keys, &[20, 7, 21, 30], Namespace::Void);
    backend.delete_timers(timers, &keys, &[0, 7, 0, 0], Namespace::Void);
    assert_eq!(backend.next_timer_ms(timers), Some(-5));
    let timer = |time_ms, key: &str| (time_ms, key.to_string(), Namespace::Void);
    assert_eq!(pop(&mut backend, timers, 20, 1), [timer(-5, "a")]);
    assert_eq!(pop(&mut backend, timers, 20, 10), [timer(20, "b")]);
    assert_eq!(pop(&mut backend, timers, 20, 10), []);
    assert_eq!(pop(&mut backend, timers, i64::MAX, 10), [timer(21, "b"), timer(30, "c")]);
    assert_eq!(backend.next_timer_ms(timers), None);
}

/// The earliest timer goes, so the next one is the earliest, also when its slot is taken over at once.
#[test]
fn deleted_and_added_again() {
    Kind::ALL.into_iter().for_each(deleted_and_added_again_on);
}

fn deleted_and_added_again_on(kind: Kind) {
    let (mut backend, timers) = new_timers(kind.whole());
    let key = encode(&backend, timers, &["a"]);
    for _ in 0..3 {
        backend.add_timers(timers, &key, &[10], Namespace::Window(3));
        backend.delete_timers(timers, &key, &[10], Namespace::Window(3));
        assert_eq!(backend.next_timer_ms(timers), None);
        backend.add_timers(timers, &key, &[10], Namespace::Window(3));
        backend.add_timers(timers, &key, &[11], Namespace::Window(3));
        backend.delete_timers(timers, &key, &[11], Namespace::Window(3));
    }
    assert_eq!(pop(&mut backend, timers, 100, 10), [(10, "a".to_string(), Namespace::Window(3))]);
}

/// One that is deleted while another is due before it, and added again, is queued twice and due once.
#[test]
fn deleted_behind_another_and_added_again() {
    for kind in Kind::ALL {
        let (mut backend, timers) = new_timers(kind.whole());
        let [first, second] = ["b", "a"].map(|key| encode(&backend, timers, &[key]));
        backend.add_timers(timers, &first, &[5], Namespace::Void);
        for _ in 0..3 {
            backend.add_timers(timers, &second, &[10], Namespace::Void);
            backend.delete_timers(timers, &second, &[10], Namespace::Void);
        }
        backend.add_timers(timers, &second, &[10], Namespace::Void);
        let due = backend.pop_timers(timers, 100, 10).unwrap();
        assert_eq!(due.times_ms, [5, 10], "{kind:?}");
        assert_eq!(pop(&mut backend, timers, 100, 10), [], "{kind:?}");
    }
}

/// Timers on disk that are deleted stay away, and those of them that are added again stay, wherever they are by then.
#[test]
fn deleted_where_nobody_has_looked() {
    for kind in Kind::ALL {
        for leave in [false, true] {
            let (mut backend, timers) = new_timers(kind.whole());
            let names: Vec<String> =
                (0..3000).map(|number| format!("a key that is not short {number}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let times: Vec<i64> = (0..3000).collect();
            let add = |backend: &mut KeyedStateBackend, range: std::ops::Range<usize>| {
                let keys = encode(backend, timers, &names[range.clone()]);
                backend.add_timers(timers, &keys, &times[range], Namespace::Void);
            };
            add(&mut backend, 0..3000);
            backend.trim();
            let keys = encode(&backend, timers, &names[2500..2900]);
            backend.delete_timers(timers, &keys, &times[2500..2900], Namespace::Void);
            add(&mut backend, 2600..2650);
            if leave {
                backend.trim();
            }
            let expected: Vec<i64> = (0..2500).chain(2600..2650).chain(2900..3000).collect();
            let due = backend.pop_timers(timers, i64::MAX, usize::MAX).unwrap();
            backend.check().unwrap();
            assert_eq!(due.times_ms, expected, "{kind:?}, {leave}");
        }
    }
}

/// More timers of one time and one key group than are loaded at once.
#[test]
fn many_at_one_time() {
    for kind in Kind::ALL {
        let (mut backend, timers) = new_timers(kind.whole());
        let key = encode(&backend, timers, &["a"]);
        let windows: Vec<Namespace> = (0..300).map(Namespace::Window).collect();
        for time_ms in [7, 8] {
            windows.iter().for_each(|window| backend.add_timers(timers, &key, &[time_ms], *window));
            backend.trim();
        }
        for time_ms in [7, 8] {
            let found = pop(&mut backend, timers, time_ms, usize::MAX);
            let mut found: Vec<Namespace> = found.into_iter().map(|(_, _, window)| window).collect();
            found.sort();
            assert_eq!(found, windows, "{kind:?}");
        }
    }
}

/// Rows of timers are found by bytes, whatever the keys are: one that was taken out can come again.
#[test]
fn taken_out_and_added_again_with_keys_of_each_shape() {
    let bigint = |name: &str| SqlField::new(name, SqlType::BigInt, true);
    let shapes = [
        vec![],
        vec![SqlField::new("a", SqlType::Int, true)],
        vec![bigint("a")],
        vec![bigint("a"), bigint("b")],
        vec![bigint("a"), bigint("b"), bigint("c")],
        vec![SqlField::new("a", SqlType::STRING, true)],
    ];
    for kind in Kind::ALL {
        for fields in &shapes {
            taken_out_and_added_again(kind, fields);
        }
    }
}

fn taken_out_and_added_again(kind: Kind, fields: &[SqlField]) {
    const KEYS: usize = 300;
    let mut backend = kind.whole();
    let timers = backend.register_timers("over/timers", fields.to_vec(), TimeDomain::EventTime).unwrap();
    let keys = if fields.is_empty() { 1 } else { KEYS };
    let numbers = Int64Array::from_iter_values(0..keys as i64);
    let columns: Vec<ArrayRef> = fields
        .iter()
        .map(|field| arrow::compute::cast(&numbers, &field.sql_type.data_type()).unwrap())
        .collect();
    let encoded = backend.encoder(timers).encode(&columns, keys).unwrap();
    for round in 0..20 {
        // At the same time as before, too.
        let time_ms = 10 + round / 2;
        let times = vec![time_ms; keys];
        backend.add_timers(timers, &encoded, &times, Namespace::Void);
        if round % 3 == 0 {
            backend.delete_timers(timers, &encoded, &times, Namespace::Void);
            assert_eq!(backend.next_timer_ms(timers), None, "round {round} of {fields:?}");
            backend.add_timers(timers, &encoded, &times, Namespace::Void);
        }
        assert_eq!(backend.next_timer_ms(timers), Some(time_ms), "round {round} of {fields:?}");
        let due = backend.pop_timers(timers, time_ms, usize::MAX).unwrap();
        assert_eq!(due.times_ms, times, "round {round} of {fields:?}");
        assert_eq!(backend.next_timer_ms(timers), None, "round {round} of {fields:?}");
        backend.check().unwrap();
        backend.trim();
    }
}

#[test]
fn behaves_as_an_ordered_set_does_and_survives_rescaling() {
    Kind::ALL.into_iter().for_each(behaves_as_an_ordered_set_does_and_survives_rescaling_on);
}

fn behaves_as_an_ordered_set_does_and_survives_rescaling_on(kind: Kind) {
    let mut seed = 3_u64;
    let mut random = |end: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % end
    };
    let (mut backend, timers) = new_timers(kind.whole());
    let mut model = Model::new();
    let mut popped = 0;
    backend.hold_writes();
    let mut pending: Option<(Snapshot, Model)> = None;
    for step in 0..600 {
        if random(4) == 0 {
            backend.write_now();
        }
        match pending.take() {
            None if random(30) == 0 => {
                let checkpoint = CheckpointId(1 + step);
                pending = Some((backend.snapshot(checkpoint, SnapshotMode::Incremental), model.clone()));
            }
            Some((snapshot, expected)) if random(10) == 0 => {
                let (_store, restored) = stored(snapshot);
                let mut onto = kind.whole();
                onto.restore(vec![restored]).unwrap();
                let (mut onto, timers) = new_timers(onto);
                let found = pop(&mut onto, timers, i64::MAX, usize::MAX).into_iter();
                assert_eq!(found.collect::<Model>(), expected, "step {step}");
            }
            other => pending = other,
        }
        let key = format!("a key that is not short {}", random(50));
        let time_ms = random(1000) as i64 - 500;
        let namespace = [Namespace::Void, Namespace::Window(random(3) as i64)][random(2) as usize];
        let keys = encode(&backend, timers, &[&key]);
        backend.trim();
        match random(8) {
            0..=4 => {
                backend.add_timers(timers, &keys, &[time_ms], namespace);
                model.insert((time_ms, key, namespace));
            }
            5 | 6 => {
                let (time_ms, key, namespace) = match model.iter().nth(random(10) as usize) {
                    Some(timer) => timer.clone(),
                    None => (time_ms, key, namespace),
                };
                let keys = encode(&backend, timers, &[&key]);
                backend.delete_timers(timers, &keys, &[time_ms], namespace);
                model.remove(&(time_ms, key, namespace));
            }
            _ => {
                let until = random(700) as i64 - 500;
                let found = pop(&mut backend, timers, until, 4);
                assert!(found.is_sorted_by_key(|(time_ms, ..)| *time_ms));
                popped += found.len();
                for timer in found {
                    assert!(timer.0 <= until && model.remove(&timer), "{timer:?}");
                }
            }
        }
        assert_eq!(backend.next_timer_ms(timers), model.first().map(|(time_ms, ..)| *time_ms), "step {step}");
    }
    assert!(popped > 50 && model.len() > 50, "{popped} popped, {} left", model.len());

    let snapshot = backend.snapshot(CheckpointId(1_000), SnapshotMode::Full);
    let (_store, restored) = stored(snapshot);
    let mut found = Model::new();
    for subtask in 0..3 {
        let mut backend = kind.backend(KeyGroupRange::of_subtask(128, 3, subtask));
        backend.restore(vec![restored.clone()]).unwrap();
        let (mut backend, timers) = new_timers(backend);
        let part = pop(&mut backend, timers, i64::MAX, usize::MAX);
        assert!(!part.is_empty() && part.is_sorted_by_key(|(time_ms, ..)| *time_ms));
        found.extend(part);
    }
    assert_eq!(found, model);
}
