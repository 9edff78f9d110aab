//! MIN and MAX over rows that are taken back, in groups of more values than are kept in order.

use super::{call, output_schema};
use crate::Operator;
use crate::event_script::{Backing, Harness, batch, schema};
use crate::group_aggregate::GroupAggregate;
use arrow::datatypes::SchemaRef;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use weir_types::AggregateFunction::{Count, Max, Min};
use weir_types::{AggregateCall, GroupAggregateSpec, JobSettings, OperatorId, RowKind, SqlType};

const COLUMNS: &str = "k STRING, v INT, s STRING, f BOOLEAN";

fn calls() -> Vec<AggregateCall> {
    vec![
        call(Count, &[], SqlType::BigInt),
        call(Min, &[1], SqlType::Int),
        call(Max, &[1], SqlType::Int),
        call(Min, &[2], SqlType::STRING),
        AggregateCall { filter: Some(3), ..call(Max, &[2], SqlType::STRING) },
        AggregateCall { distinct: true, ..call(Max, &[1], SqlType::Int) },
    ]
}

fn operator(input: &SchemaRef, keys: &[usize], bundles: bool) -> Box<dyn Operator> {
    let aggregates = calls();
    let schema = output_schema(input, keys, &aggregates, Vec::new());
    let spec = GroupAggregateSpec {
        keys: keys.to_vec(),
        aggregates,
        input_retracts: true,
        emit_update_before: true,
        ttl_ms: None,
        bundles,
        merges: None,
    };
    let (id, settings) = (OperatorId::new("agg"), JobSettings::default());
    Box::new(GroupAggregate::new(&id, &spec, input.clone(), schema, &settings).unwrap())
}

/// A row of the input.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    key: u8,
    value: Option<i32>,
    text: Option<u16>,
    flag: bool,
}

impl Row {
    fn texts(&self) -> [String; 4] {
        let null = || "NULL".to_string();
        [
            format!("k{}", self.key),
            self.value.map_or_else(null, |value| value.to_string()),
            self.text.map_or_else(null, text),
            self.flag.to_string(),
        ]
    }
}

/// Texts of different lengths, in the order of their numbers.
fn text(number: u16) -> String {
    format!("t{number:03}{}", "x".repeat(usize::from(number % 7)))
}

/// What the results over `rows` are; none without rows.
fn results(rows: &[&Row]) -> Option<String> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
    let values = || rows.iter().filter_map(|row| row.value);
    let texts = || rows.iter().filter_map(|row| row.text);
    let flagged = rows.iter().filter(|row| row.flag).filter_map(|row| row.text).max();
    let [least, most] =
        [values().min(), values().max()].map(|value| shown(value.map(|value| value.to_string())));
    let [first, last] = [texts().min(), flagged].map(|number| shown(number.map(text)));
    (!rows.is_empty()).then(|| format!("{} {least} {most} {first} {last} {most}", rows.len()))
}

/// takes back which row, or what comes
type Step = (Option<prop::sample::Index>, u8, Option<i32>, Option<u16>, bool);

/// Many values, few keys; now and then much is taken back.
fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = |back: f64| {
        let back = proptest::option::weighted(back, any::<prop::sample::Index>());
        let value = proptest::option::weighted(0.9, -30_i32..30);
        let text = proptest::option::weighted(0.9, 0_u16..40);
        (back, 0_u8..2, value, text, any::<bool>())
    };
    vec(prop_oneof![vec(step(0.3), 1..30), vec(step(0.9), 1..30)], 1..12)
}

fn check(steps: &[Vec<Step>], keys: &[usize], bundles: bool) {
    let input = schema(COLUMNS);
    let of = input.clone();
    let keys = keys.to_vec();
    let is_keyed = !keys.is_empty();
    let mut harness = Harness::new(16, move || operator(&of, &keys, bundles));
    let mut there: Vec<Row> = Vec::new();
    let mut folded: BTreeMap<String, i64> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        let (mut changes, mut expected) = (Vec::new(), Vec::new());
        for (back, key, value, text, flag) in step {
            let group = |row: &Row| if is_keyed { format!("k{} ", row.key) } else { String::new() };
            let of_group = |there: &[Row], row: &Row| {
                results(&there.iter().filter(|other| !is_keyed || other.key == row.key).collect::<Vec<_>>())
            };
            let takes_back = back.as_ref().filter(|_| !there.is_empty());
            let (kind, row, before) = match takes_back {
                Some(back) => {
                    let place = back.index(there.len());
                    let before = of_group(&there, &there[place]);
                    (RowKind::Delete, there.remove(place), before)
                }
                None => {
                    let row = Row { key: *key, value: *value, text: *text, flag: *flag };
                    let before = of_group(&there, &row);
                    there.push(row.clone());
                    (RowKind::Insert, row, before)
                }
            };
            let (after, group) = (of_group(&there, &row), group(&row));
            match (before, after) {
                (Some(before), Some(after)) if before != after => {
                    expected.push(format!("-U {group}{before}"));
                    expected.push(format!("+U {group}{after}"));
                }
                (None, Some(after)) => expected.push(format!("+I {group}{after}")),
                (Some(before), None) => expected.push(format!("-D {group}{before}")),
                _ => {}
            }
            changes.push((kind, row.texts()));
        }
        let changes: Vec<(RowKind, Vec<&str>)> =
            changes.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
        if index % 3 == 2 {
            harness.recover();
        }
        harness.batch(batch(&input, &changes));
        let found = harness.lines();
        if !bundles {
            assert_eq!(found, expected, "batch {index}");
            continue;
        }
        for (lines, change) in [(found, 1), (expected, -1)] {
            for line in lines {
                let (kind, row) = line.split_once(' ').unwrap();
                let sign = if kind == "-U" || kind == "-D" { -1 } else { 1 };
                *folded.entry(row.to_string()).or_default() += sign * change;
            }
        }
        folded.retain(|_, count| *count != 0);
        assert!(folded.is_empty(), "batch {index}: {folded:?}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn many_values_are_what_a_model_has(steps in steps(), keyed in any::<bool>(), on_disk in any::<bool>()) {
        let backing = if on_disk { Backing::Disk(0) } else { Backing::Heap };
        let keys: &[usize] = if keyed { &[0] } else { &[] };
        backing.with(|| {
            check(&steps, keys, false);
            check(&steps, keys, true);
        });
    }
}

/// Updates that are split may take back before they give, and what has expired is taken back without having been there.
#[test]
fn values_may_be_taken_back_before_they_come() {
    [false, true].into_iter().for_each(check_early);
}

fn check_early(bundles: bool) {
    let input = schema(COLUMNS);
    let of = input.clone();
    let mut harness = Harness::new(64, move || operator(&of, &[0], bundles));
    let row = |value: i32| ["k0".to_string(), value.to_string(), text(value as u16), "true".to_string()];
    let mut push = |changes: Vec<(RowKind, i32)>| {
        let rows: Vec<_> = changes.into_iter().map(|(kind, value)| (kind, row(value))).collect();
        let rows: Vec<(RowKind, Vec<&str>)> =
            rows.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
        harness.batch(batch(&input, &rows));
        harness.lines().pop()
    };
    let result = |count: i32, least: i32, most: i32| {
        let (first, last) = (text(least as u16), text(most as u16));
        Some(format!("+U k0 {count} {least} {most} {first} {last} {most}"))
    };
    push(vec![(RowKind::Insert, 0)]);
    assert_eq!(push((1..20).map(|value| (RowKind::Insert, value)).collect()), result(20, 0, 19));
    // All of these are behind the first ones for MIN, and ahead of them for MAX, and not there yet.
    let early = (30..36).map(|value| (RowKind::Delete, value)).collect();
    assert_eq!(push(early), result(20 - 6, 0, 19));
    assert_eq!(push(vec![(RowKind::Insert, 5)]), result(20 - 6 + 1, 0, 19));
    assert_eq!(push((30..36).map(|value| (RowKind::Insert, value)).collect()), result(21, 0, 19));
    push((0..18).map(|value| (RowKind::Delete, value)).collect());
    // 5 was there twice.
    assert_eq!(push(vec![(RowKind::Insert, 40)]), result(4, 5, 40));
    push(vec![(RowKind::Delete, 5)]);
    assert_eq!(push(vec![(RowKind::Delete, 40)]), result(2, 18, 19));
}
