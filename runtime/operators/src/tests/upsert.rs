//! Changelogs that are made whole, and those of a sink's primary key: exact changelogs of small cases, and random ones
//! against what is left of each key.

use crate::event_script::{Backing, Harness, batch, run_script, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::SchemaRef;
use datafusion_common::ScalarValue;
use datafusion_expr::Operator as Comparison;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Column, Literal};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    ChangelogMode, ChangelogNormalizeSpec, Exchange, Input, JobSettings, KeyEncoder, KeyGroupRange,
    NodeIndex, OnConflict, OperatorId, OperatorNode, OperatorSpec, Parallelism, RowKind, SinkMaterializeSpec,
    Watermark,
};

fn create(input: &SchemaRef, spec: OperatorSpec, ttl_ms: u64) -> Box<dyn Operator> {
    let node = OperatorNode {
        id: OperatorId::new("upsert"),
        label: "Upsert".to_string(),
        spec,
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema: input.clone(),
        changelog: ChangelogMode::ALL,
        parallelism: Parallelism::Default,
        state: None,
    };
    let settings = JobSettings { state_ttl_ms: ttl_ms, ..JobSettings::default() };
    create_operator(&node, std::slice::from_ref(input), &settings).unwrap()
}

/// By the first column; rows whose second one is greater than `above` count.
fn normalize(input: &SchemaRef, above: Option<i32>, emit_update_before: bool) -> Box<dyn Operator> {
    let filter = above.map(|above| -> Arc<dyn PhysicalExpr> {
        let literal = Arc::new(Literal::new(ScalarValue::Int32(Some(above))));
        Arc::new(BinaryExpr::new(Arc::new(Column::new("v", 1)), Comparison::Gt, literal))
    });
    let spec = ChangelogNormalizeSpec { keys: vec![0], filter, emit_update_before };
    create(input, OperatorSpec::ChangelogNormalize(spec), 0)
}

fn materialize(input: &SchemaRef, unique: Option<Vec<usize>>) -> Box<dyn Operator> {
    create(input, OperatorSpec::SinkMaterialize(sink_spec(OnConflict::Deduplicate, unique)), 0)
}

fn sink_spec(on_conflict: OnConflict, unique: Option<Vec<usize>>) -> SinkMaterializeSpec {
    SinkMaterializeSpec { sink: "t".to_string(), keys: vec![0], on_conflict, unique }
}

fn compact(input: &SchemaRef, on_conflict: OnConflict, unique: Option<Vec<usize>>) -> Box<dyn Operator> {
    create(input, OperatorSpec::SinkMaterialize(sink_spec(on_conflict, unique)), 0)
}

#[test]
fn the_last_row_of_a_key_is_told_whole() {
    run_script("normalize", |input| normalize(input, None, true));
    run_script("normalize_filter", |input| normalize(input, Some(3), true));
}

#[test]
fn a_sink_has_the_last_row_of_its_key() {
    run_script("materialize", |input| materialize(input, Some(vec![1])));
    run_script("materialize_whole", |input| materialize(input, None));
}

#[test]
fn the_first_row_of_a_key_is_written_when_its_changes_are_complete() {
    run_script("compact", |input| compact(input, OnConflict::Nothing, Some(vec![1])));
    run_script("compact_whole", |input| compact(input, OnConflict::Nothing, None));
}

#[test]
fn rows_in_conflict_fail_the_job_once_the_watermark_rises() {
    let input = schema("k STRING, id INT, v INT");
    let fails = |unique: Option<Vec<usize>>, rows: &[(RowKind, Vec<&str>)]| {
        let for_harness = input.clone();
        let mut harness = Harness::new(8, move || compact(&for_harness, OnConflict::Error, unique.clone()));
        harness.batch(batch(&input, rows));
        harness.recover();
        harness.watermark_error(Watermark(5))
    };
    use RowKind::{Delete, Insert, UpdateAfter};
    let conflict = "cannot write to 't': several rows of the query have the primary key k = x";
    let two = [(Insert, vec!["a", "1", "1"]), (Insert, vec!["x", "1", "1"]), (Insert, vec!["x", "2", "2"])];
    assert!(fails(Some(vec![1]), &two).starts_with(conflict));
    // Rows that nothing tells apart are two as well.
    assert!(
        fails(None, &[(Insert, vec!["x", "1", "1"]), (Insert, vec!["x", "1", "1"])]).starts_with(conflict)
    );
    let for_harness = input.clone();
    let make = move || compact(&for_harness, OnConflict::Error, Some(vec![1]));
    let mut harness = Harness::new(8, make);
    harness.batch(batch(&input, &[two[1].clone(), two[2].clone(), (Delete, vec!["x", "1", "1"])]));
    harness.batch(batch(&input, &[(UpdateAfter, vec!["x", "2", "3"])]));
    assert_eq!(harness.lines(), Vec::<String>::new());
    harness.watermark(Watermark(5));
    assert_eq!(harness.lines(), ["+I x 2 3"]);
}

fn lines(harness: &mut Harness, input: &SchemaRef, rows: &[(RowKind, Vec<&str>)]) -> Vec<String> {
    harness.batch(batch(input, rows));
    harness.lines()
}

#[test]
fn with_a_time_to_live_a_row_that_comes_again_lives_on() {
    let input = schema("k STRING, v INT");
    let for_harness = input.clone();
    let spec = ChangelogNormalizeSpec { keys: vec![0], filter: None, emit_update_before: true };
    let spec = OperatorSpec::ChangelogNormalize(spec);
    let mut harness = Harness::new(8, move || create(&for_harness, spec.clone(), 1_000));
    let row = (RowKind::Insert, vec!["a", "1"]);
    assert_eq!(lines(&mut harness, &input, std::slice::from_ref(&row)), ["+I a 1"]);
    harness.time(900);
    assert_eq!(lines(&mut harness, &input, std::slice::from_ref(&row)), ["-U a 1", "+U a 1"]);
    harness.time(1_800);
    assert_eq!(lines(&mut harness, &input, std::slice::from_ref(&row)), ["-U a 1", "+U a 1"]);
    harness.time(3_000);
    assert_eq!(lines(&mut harness, &input, &[row]), ["+I a 1"]);
}

/// The first of two subtasks has the rows of a key, or the second one.
fn subtask_of(input: &SchemaRef, key: &str, row: &[&str]) -> u32 {
    let one = batch(input, &[(RowKind::Insert, row.to_vec())]);
    let column = one.rows().column_by_name(key).unwrap().clone();
    let keys = KeyEncoder::new(&[column.data_type().clone()]).unwrap().encode(&[column], 1).unwrap();
    let group = keys.key_groups(128)[0];
    (0..2).find(|index| KeyGroupRange::of_subtask(128, 2, *index).contains(group)).unwrap()
}

/// What `after` brings about in two subtasks that are restored from one that has seen `before`.
fn rescaled(
    input: &SchemaRef,
    make: impl Fn(&SchemaRef) -> Box<dyn Operator> + Clone + 'static,
    before: &[(RowKind, Vec<&str>)],
    after: &[(RowKind, Vec<&str>)],
) -> Vec<String> {
    let (schema, make_one) = (input.clone(), make.clone());
    let mut one = Harness::new(3, move || make_one(&schema));
    one.batch(batch(input, before));
    let saved = one.snapshot();
    let mut lines = Vec::new();
    for index in 0..2 {
        let (schema, make) = (input.clone(), make.clone());
        let saved = std::slice::from_ref(&saved);
        let mut harness = Harness::restored(3, move || make(&schema), saved, (index, 2));
        let rows: Vec<_> =
            after.iter().filter(|(_, row)| subtask_of(input, "k", row) == index).cloned().collect();
        assert!(!rows.is_empty(), "rows for both subtasks");
        harness.batch(batch(input, &rows));
        lines.extend(harness.lines());
    }
    lines.sort();
    lines
}

#[test]
fn state_is_dealt_out_to_more_subtasks() {
    let keys = ["a", "b", "c", "d", "e", "f"];
    let rows = |kind: RowKind, id: &'static str, value: &'static str| {
        let row = move |key: &&'static str| (kind, vec![*key, id, value]);
        keys.iter().map(row).collect::<Vec<_>>()
    };
    let input = schema("k STRING, id INT, v INT");
    let before = [rows(RowKind::Insert, "1", "10"), rows(RowKind::Insert, "2", "20")].concat();
    let gone = rows(RowKind::Delete, "2", "20");
    let expected = |line: &str| keys.iter().map(|key| line.replace('k', key)).collect::<Vec<_>>();
    let by_id = |input: &SchemaRef| materialize(input, Some(vec![1]));
    assert_eq!(rescaled(&input, by_id, &before, &gone), expected("+U k 1 10"));
    let last = |input: &SchemaRef| normalize(input, None, true);
    assert_eq!(rescaled(&input, last, &before, &gone), expected("-D k 2 20"));
}

/// kind, key, number, value
type Event = (RowKind, u8, u8, Option<i32>);

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        4 => Just(RowKind::Insert),
        2 => Just(RowKind::UpdateAfter),
        1 => Just(RowKind::UpdateBefore),
        2 => Just(RowKind::Delete),
    ];
    (kind, 0_u8..4, 0_u8..3, proptest::option::weighted(0.8, 0_i32..6))
}

fn text(value: Option<i32>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

/// Applies lines to the rows that are there; panics if one takes back what is not.
fn apply(lines: Vec<String>, table: &mut BTreeMap<String, String>, with_before: bool) {
    for line in lines {
        let (kind, row) = line.split_once(' ').unwrap();
        let (key, rest) = row.split_once(' ').unwrap();
        let before = match kind {
            "-U" | "-D" => table.remove(key),
            _ => table.insert(key.to_string(), rest.to_string()),
        };
        match (kind, before) {
            // Of a deletion by key the rest of the row does not matter.
            ("-U" | "-D", Some(before)) => assert!(!with_before || before == rest, "{line}"),
            ("+I", None) => {}
            ("+U", before) => assert_eq!(before.is_some(), !with_before, "{line}"),
            (_, before) => panic!("{line} where there is {before:?}"),
        }
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<Event>>> {
    vec(vec(event(), 1..8), 1..10)
}

/// Gives `events` to an operator, which is restored from time to time, and compares what is left with `expect`.
fn check(
    columns: &str,
    make: impl Fn(&SchemaRef) -> Box<dyn Operator> + 'static,
    with_before: bool,
    events: &[Vec<Event>],
    row: impl Fn(&Event) -> Vec<String>,
    mut expect: impl FnMut(&Event) -> BTreeMap<String, String>,
) {
    let input = schema(columns);
    let for_harness = input.clone();
    let mut harness = Harness::new(3, move || make(&for_harness));
    let mut table = BTreeMap::new();
    for (index, events) in events.iter().enumerate() {
        if index % 3 == 2 {
            harness.recover();
        }
        let rows: Vec<(RowKind, Vec<String>)> = events.iter().map(|event| (event.0, row(event))).collect();
        let rows: Vec<(RowKind, Vec<&str>)> =
            rows.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
        apply(lines(&mut harness, &input, &rows), &mut table, with_before);
        let expected = events.iter().map(&mut expect).last().unwrap();
        assert_eq!(table, expected, "after {index}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_last_rows_are_left(
        events in batches(),
        above in proptest::option::of(0_i32..5),
        with_before in any::<bool>(),
        on_disk in any::<bool>(),
    ) {
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        let expect = move |(kind, key, _, value): &Event| {
            let counts = above.is_none_or(|above| value.is_some_and(|value| value > above));
            match kind {
                RowKind::UpdateBefore => {}
                RowKind::Delete => drop(last.remove(&format!("k{key}"))),
                _ if counts => drop(last.insert(format!("k{key}"), text(*value))),
                _ => drop(last.remove(&format!("k{key}"))),
            }
            last.clone()
        };
        let backing = if on_disk { Backing::Disk(0) } else { Backing::Heap };
        backing.with(|| check(
            "k STRING, v INT",
            move |input| normalize(input, above, with_before),
            with_before,
            &events,
            |(_, key, _, value)| vec![format!("k{key}"), text(*value)],
            expect,
        ));
    }

    #[test]
    fn a_sink_has_one_row_of_those_of_its_key(
        events in batches(),
        by_number in any::<bool>(),
        on_disk in any::<bool>(),
    ) {
        // Of each key number and value, as they came.
        let mut rows: BTreeMap<String, Vec<(u8, Option<i32>)>> = BTreeMap::new();
        let expect = move |(kind, key, number, value): &Event| {
            let rows_of_key = rows.entry(format!("k{key}")).or_default();
            let new = (*number, *value);
            let same = |row: &(u8, Option<i32>)| if by_number { row.0 == new.0 } else { *row == new };
            match (rows_of_key.iter().position(same), kind.is_retraction()) {
                (Some(place), true) => drop(rows_of_key.remove(place)),
                (None, true) => {}
                (found, false) => {
                    found.filter(|_| by_number).map(|place| rows_of_key.remove(place));
                    rows_of_key.push(new);
                }
            }
            let left = rows.iter().filter_map(|(key, rows)| {
                let (number, value) = rows.last()?;
                Some((key.clone(), format!("{number} {}", text(*value))))
            });
            left.collect()
        };
        let backing = if on_disk { Backing::Disk(0) } else { Backing::Heap };
        let unique = by_number.then(|| vec![1]);
        backing.with(|| check(
            "k STRING, id INT, v INT",
            move |input| materialize(input, unique.clone()),
            false,
            &events,
            |(_, key, number, value)| vec![format!("k{key}"), number.to_string(), text(*value)],
            expect,
        ));
    }

    #[test]
    fn what_is_left_at_a_watermark_is_written(
        events in batches(),
        by_number in any::<bool>(),
        on_disk in any::<bool>(),
    ) {
        let backing = if on_disk { Backing::Disk(0) } else { Backing::Heap };
        backing.with(|| check_compact(&events, by_number));
    }
}

/// What a key has at the end of a batch: the row that was written, then rows that have come and were not taken back.
fn first_left(
    written: Option<(u8, Option<i32>)>,
    events: &[&Event],
    by_number: bool,
) -> Option<(u8, Option<i32>)> {
    let row = |event: &Event| (event.2, event.3);
    // A change that another takes back, whichever comes first, is none.
    let mut changes: Vec<&Event> = vec![];
    for event in events {
        let undone =
            |other: &&Event| other.0.is_retraction() != event.0.is_retraction() && row(other) == row(event);
        match changes.iter().rposition(undone) {
            Some(place) => drop(changes.remove(place)),
            None => changes.push(event),
        }
    }
    let mut rows: Vec<(u8, Option<i32>)> = written.into_iter().collect();
    for event in changes {
        let same =
            |other: &(u8, Option<i32>)| if by_number { other.0 == event.2 } else { *other == row(event) };
        match (rows.iter().position(same), event.0.is_retraction()) {
            (Some(place), true) => drop(rows.remove(place)),
            (None, true) => {}
            (Some(place), false) if by_number => rows[place] = row(event),
            (_, false) => rows.push(row(event)),
        }
    }
    rows.first().copied()
}

fn check_compact(events: &[Vec<Event>], by_number: bool) {
    let input = schema("k STRING, id INT, v INT");
    let for_harness = input.clone();
    let unique = by_number.then(|| vec![1]);
    let mut harness = Harness::new(3, move || compact(&for_harness, OnConflict::Nothing, unique.clone()));
    let (mut told, mut expected) = (BTreeMap::new(), BTreeMap::new());
    for (index, events) in events.iter().enumerate() {
        for half in events.chunks(events.len().div_ceil(2)) {
            let row = |event: &Event| vec![format!("k{}", event.1), event.2.to_string(), text(event.3)];
            let rows: Vec<(RowKind, Vec<String>)> = half.iter().map(|event| (event.0, row(event))).collect();
            let rows: Vec<(RowKind, Vec<&str>)> =
                rows.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
            assert_eq!(lines(&mut harness, &input, &rows), Vec::<String>::new());
            if index % 2 == 0 {
                harness.recover();
            }
        }
        harness.watermark(Watermark(index as i64));
        apply(harness.lines(), &mut told, false);
        for key in 0..4 {
            let of_key: Vec<&Event> = events.iter().filter(|event| event.1 == key).collect();
            let left = first_left(expected.remove(&key), &of_key, by_number);
            expected.extend(left.map(|row| (key, row)));
        }
        let lines = expected.iter().map(|(key, (id, v))| (format!("k{key}"), format!("{id} {}", text(*v))));
        assert_eq!(told, lines.collect(), "after {index}");
    }
}
