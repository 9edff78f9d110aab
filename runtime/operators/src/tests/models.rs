//! Operators against models that keep all rows and compute everything anew, with random rows, cuts and
//! restarts.

use super::window_aggregate::{CUMULATE, HOP, TUMBLE, bounds, spec};
use super::{call, output_schema};
use crate::Operator;
use crate::event_script::{Backing, Harness, Saved, batch, schema};
use crate::group_aggregate::GroupAggregate;
use crate::session_aggregate::SessionAggregate;
use crate::window_aggregate::WindowAggregate;
use arrow::datatypes::SchemaRef;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use weir_types::AggregateFunction::*;
use weir_types::{
    AggregateCall, ChangelogBatch, GroupAggregateSpec, JobSettings, KeyEncoder, KeyGroupRange, OperatorId,
    RowKind, SqlType, Watermark, WindowAggregateSpec, WindowSpec,
};

/// time, key, value
pub(super) type Row = (i64, Option<u8>, Option<i32>);

#[derive(Clone, Debug)]
enum Event {
    Rows(Vec<Row>),
    Watermark(i64),
    Recover,
}

fn row() -> impl Strategy<Value = Row> {
    (0_i64..60_000, proptest::option::weighted(0.9, 0_u8..6), proptest::option::weighted(0.9, -3_i32..4))
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => vec(row(), 1..20).prop_map(Event::Rows),
        3 => (0_i64..60_000).prop_map(Event::Watermark),
        1 => Just(Event::Recover),
    ];
    vec(event, 1..25)
}

pub(super) fn backing() -> impl Strategy<Value = Backing> {
    prop_oneof![2 => Just(Backing::Heap), 1 => Just(Backing::Disk(0)), 1 => Just(Backing::Disk(5_000))]
}

pub(super) fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

pub(super) fn to_batch(input: &SchemaRef, rows: &[(RowKind, Row)]) -> ChangelogBatch {
    let texts: Vec<(RowKind, [String; 3])> = rows
        .iter()
        .map(|(kind, (time, key, value))| {
            (*kind, [time.to_string(), text(key.map(|key| format!("k{key}"))), text(*value)])
        })
        .collect();
    let rows: Vec<(RowKind, Vec<&str>)> =
        texts.iter().map(|(kind, values)| (*kind, values.iter().map(String::as_str).collect())).collect();
    batch(input, &rows)
}

fn inserts(input: &SchemaRef, rows: &[Row]) -> ChangelogBatch {
    let rows: Vec<(RowKind, Row)> = rows.iter().map(|row| (RowKind::Insert, *row)).collect();
    to_batch(input, &rows)
}

pub(super) fn window_calls() -> Vec<AggregateCall> {
    let mut distinct = call(Count, &[2], SqlType::BigInt);
    distinct.distinct = true;
    vec![
        call(Count, &[], SqlType::BigInt),
        call(Sum, &[2], SqlType::Int),
        call(Max, &[2], SqlType::Int),
        distinct,
    ]
}

/// COUNT(*), SUM(v), MAX(v), COUNT(DISTINCT v)
pub(super) fn results(values: &[Option<i32>]) -> String {
    let mut some: Vec<i32> = values.iter().flatten().copied().collect();
    let sum = (!some.is_empty()).then(|| some.iter().sum::<i32>());
    some.sort_unstable();
    let max = some.last().copied();
    some.dedup();
    format!("{} {} {} {}", values.len(), text(sum), text(max), some.len())
}

fn clock(ms: i64) -> String {
    let ms = ms.rem_euclid(86_400_000);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// All windows that hold `time`, by their definitions.
pub(super) fn windows_of(window: WindowSpec, time: i64) -> Vec<(i64, i64)> {
    match window {
        WindowSpec::Tumble { size_ms, .. } => {
            let start = time / size_ms * size_ms;
            vec![(start, start + size_ms)]
        }
        WindowSpec::Hop { size_ms, slide_ms, .. } => (-10..10)
            .map(|index| (time / slide_ms + index) * slide_ms)
            .filter(|start| (*start..start + size_ms).contains(&time))
            .map(|start| (start, start + size_ms))
            .collect(),
        WindowSpec::Cumulate { max_size_ms, step_ms, .. } => {
            let start = time / max_size_ms * max_size_ms;
            let ends = (1..=max_size_ms / step_ms).map(|step| start + step * step_ms);
            ends.filter(|end| time < *end).map(|end| (start, end)).collect()
        }
        WindowSpec::Session { .. } => Vec::new(),
    }
}

/// What each watermark emits, ordered, and the number of late rows.
fn window_model(window: WindowSpec, events: &[Event]) -> (Vec<Vec<String>>, u64) {
    let mut rows: BTreeMap<(i64, i64, Option<u8>), Vec<Option<i32>>> = BTreeMap::new();
    let (mut emitted, mut progress, mut late) = (Vec::new(), i64::MIN, 0);
    for event in events.iter().cloned().chain([Event::Watermark(i64::MAX)]) {
        match event {
            Event::Recover => {}
            Event::Rows(new) => {
                for (time, key, value) in new {
                    let windows = windows_of(window, time);
                    late +=
                        u64::from(!windows.is_empty() && windows.iter().all(|(_, end)| end - 1 <= progress));
                    for (start, end) in windows.into_iter().filter(|(_, end)| end - 1 > progress) {
                        rows.entry((end, start, key)).or_default().push(value);
                    }
                }
            }
            Event::Watermark(watermark) => {
                progress = progress.max(watermark);
                let later = rows.split_off(&(progress.saturating_add(1), i64::MIN, None));
                let due = std::mem::replace(&mut rows, later);
                // split_off keeps windows that end at progress + 1: they are due too.
                let (more, later) = rows.into_iter().partition(|((end, ..), _)| end - 1 <= progress);
                rows = later;
                let mut lines: Vec<String> = due
                    .into_iter()
                    .chain::<BTreeMap<_, Vec<Option<i32>>>>(more)
                    .map(|((end, start, key), values)| window_line(key, &values, start, end))
                    .collect();
                lines.sort();
                emitted.push(lines);
            }
        }
    }
    (emitted, late)
}

pub(super) fn window_line(key: Option<u8>, values: &[Option<i32>], start: i64, end: i64) -> String {
    let key = text(key.map(|key| format!("k{key}")));
    format!("+I {key} {} {} {}", results(values), clock(start), clock(end))
}

/// The same for sessions.
fn session_model(gap: i64, events: &[Event]) -> (Vec<Vec<String>>, u64) {
    type Open = Vec<(i64, i64, Vec<Option<i32>>)>;
    let mut open: BTreeMap<Option<u8>, Open> = BTreeMap::new();
    let (mut emitted, mut progress, mut late) = (Vec::new(), i64::MIN, 0);
    for event in events.iter().cloned().chain([Event::Watermark(i64::MAX)]) {
        match event {
            Event::Recover => {}
            Event::Rows(new) => {
                for (time, key, value) in new {
                    let sessions = open.entry(key).or_default();
                    let (joined, mut apart): (Open, Open) = std::mem::take(sessions)
                        .into_iter()
                        .partition(|(start, end, _)| *start <= time + gap && time <= *end);
                    if joined.is_empty() && time + gap - 1 <= progress {
                        late += 1;
                        *sessions = apart;
                        continue;
                    }
                    let mut merged = (time, time + gap, vec![value]);
                    for (start, end, values) in joined {
                        merged.0 = merged.0.min(start);
                        merged.1 = merged.1.max(end);
                        merged.2.extend(values);
                    }
                    apart.push(merged);
                    *sessions = apart;
                }
            }
            Event::Watermark(watermark) => {
                progress = progress.max(watermark);
                let mut lines = Vec::new();
                for (key, sessions) in &mut open {
                    sessions.retain(|(start, end, values)| {
                        let due = end - 1 <= progress;
                        if due {
                            lines.push(window_line(*key, values, *start, *end));
                        }
                        !due
                    });
                }
                lines.sort();
                emitted.push(lines);
            }
        }
    }
    (emitted, late)
}

fn make_windows(window: WindowSpec, input: &SchemaRef) -> Box<dyn Operator> {
    window_operator(&spec(window, &[1], window_calls()), input)
}

pub(super) fn window_operator(spec: &WindowAggregateSpec, input: &SchemaRef) -> Box<dyn Operator> {
    let schema = output_schema(input, &spec.keys, &spec.aggregates, bounds());
    let id = OperatorId::new("window");
    match spec.window {
        WindowSpec::Session { gap_ms } => {
            Box::new(SessionAggregate::new(&id, spec, gap_ms, input.clone(), schema).unwrap())
        }
        _ => Box::new(WindowAggregate::new(&id, spec, input.clone(), schema).unwrap()),
    }
}

pub(super) fn window_input() -> SchemaRef {
    schema("ts TIMESTAMP(3), k STRING, v INT")
}

pub(super) fn emitted_by(harness: &mut Harness) -> Vec<String> {
    let mut lines = harness.lines();
    lines.sort();
    lines
}

fn check_windows(window: WindowSpec, events: &[Event], batch_rows: usize) {
    let input = window_input();
    let (expected, late) = match window {
        WindowSpec::Session { gap_ms } => session_model(gap_ms, events),
        _ => window_model(window, events),
    };
    let for_operator = input.clone();
    let mut harness = Harness::new(batch_rows, move || make_windows(window, &for_operator));
    let mut actual = Vec::new();
    let mut late_rows = 0;
    for event in events {
        match event {
            Event::Rows(rows) => harness.batch(inserts(&input, rows)),
            Event::Watermark(watermark) => {
                harness.watermark(Watermark(*watermark));
                actual.push(emitted_by(&mut harness));
            }
            Event::Recover => {
                late_rows += harness.context.metrics.snapshot().late_rows;
                harness.recover();
            }
        }
    }
    harness.watermark(Watermark::MAX);
    actual.push(emitted_by(&mut harness));
    assert_eq!(actual, expected, "{window}");
    assert_eq!(late_rows + harness.context.metrics.snapshot().late_rows, late, "late rows of {window}");
}

const WINDOWS: [WindowSpec; 7] = [
    TUMBLE,
    HOP,
    CUMULATE,
    WindowSpec::Hop { size_ms: 10_000, slide_ms: 4_000, offset_ms: 0 },
    WindowSpec::Hop { size_ms: 3_000, slide_ms: 5_000, offset_ms: 0 },
    WindowSpec::Cumulate { max_size_ms: 20_000, step_ms: 4_000, offset_ms: 0 },
    WindowSpec::Session { gap_ms: 2_500 },
];

/// The rows of `rows` that subtask `index` of `parallelism` gets.
fn share(rows: &[Row], index: u32, parallelism: u32) -> Vec<Row> {
    let range = KeyGroupRange::of_subtask(128, parallelism, index);
    let input = window_input();
    let encoder = KeyEncoder::new(&[SqlType::STRING.data_type()]).unwrap();
    if rows.is_empty() {
        return Vec::new();
    }
    let keys = encoder.encode(&[inserts(&input, rows).rows().column(1).clone()], rows.len()).unwrap();
    let groups = keys.key_groups(128);
    rows.iter().zip(groups).filter(|(_, group)| range.contains(*group)).map(|(row, _)| *row).collect()
}

/// Runs at one parallelism up to a snapshot in the middle of what a watermark emits, goes on at another.
fn check_rescaling(
    window: WindowSpec,
    before: &[Row],
    after: &[Row],
    watermark: i64,
    steps: usize,
    (from, to): (u32, u32),
    (backing, then): (Backing, Backing),
) {
    let input = window_input();
    let (expected, _) = match window {
        WindowSpec::Session { gap_ms } => session_model(
            gap_ms,
            &[Event::Rows(before.to_vec()), Event::Watermark(watermark), Event::Rows(after.to_vec())],
        ),
        _ => window_model(
            window,
            &[Event::Rows(before.to_vec()), Event::Watermark(watermark), Event::Rows(after.to_vec())],
        ),
    };
    let mut expected: Vec<String> = expected.into_iter().flatten().collect();
    expected.sort();
    let mut actual = Vec::new();
    let first = |index: u32| {
        let for_operator = input.clone();
        let make = move || make_windows(window, &for_operator);
        let mut harness = Harness::restored(2, make, &[], (index, from));
        let rows = share(before, index, from);
        if !rows.is_empty() {
            harness.batch(inserts(&input, &rows));
        }
        // Subtasks are at different places when the barrier passes.
        harness.watermark_in_part(Watermark(watermark), steps * (1 + index as usize));
        (harness.lines(), harness.snapshot())
    };
    let (lines, saved): (Vec<_>, Vec<Saved>) = (0..from).map(|index| backing.with(|| first(index))).unzip();
    actual.extend(lines.into_iter().flatten());
    for index in 0..to {
        let for_operator = input.clone();
        let make = move || make_windows(window, &for_operator);
        let mut harness = then.with(|| Harness::restored(2, make, &saved, (index, to)));
        let rows = share(after, index, to);
        if !rows.is_empty() {
            harness.batch(inserts(&input, &rows));
        }
        harness.watermark(Watermark::MAX);
        actual.extend(harness.lines());
    }
    actual.sort();
    assert_eq!(actual, expected, "{window} from {from} to {to} subtasks");
}

fn group_calls() -> Vec<AggregateCall> {
    let mut calls = window_calls();
    calls.push(call(Min, &[2], SqlType::Int));
    calls
}

/// The changelog of one group's rows, by computing all results anew before and after each change.
fn group_model(changes: &[(RowKind, Row)]) -> Vec<String> {
    let mut groups: BTreeMap<Option<u8>, Vec<Option<i32>>> = BTreeMap::new();
    let line = |kind: RowKind, key: Option<u8>, values: &[Option<i32>]| {
        let min = text(values.iter().flatten().min());
        format!("{kind} {} {} {min}", text(key.map(|key| format!("k{key}"))), results(values))
    };
    let mut lines = Vec::new();
    for (kind, (_, key, value)) in changes {
        let group = groups.entry(*key).or_default();
        let before = line(RowKind::UpdateBefore, *key, group);
        let was_empty = group.is_empty();
        match kind.is_retraction() {
            true => drop(group.remove(group.iter().position(|held| held == value).unwrap())),
            false => group.push(*value),
        }
        let after = line(RowKind::UpdateAfter, *key, group);
        if was_empty {
            lines.push(after.replacen("+U", "+I", 1));
        } else if group.is_empty() {
            lines.push(before.replacen("-U", "-D", 1));
        } else if before[2..] != after[2..] {
            lines.extend([before, after]);
        }
    }
    lines
}

proptest! {
    #![proptest_config(Config { cases: 150, failure_persistence: None, ..Config::default() })]

    #[test]
    fn windows_equal_their_definition(
        window in 0..WINDOWS.len(),
        events in events(),
        batch_rows in 1_usize..40,
        backing in backing(),
    ) {
        backing.with(|| check_windows(WINDOWS[window], &events, batch_rows));
    }

    #[test]
    fn windows_survive_a_change_of_parallelism(
        window in 0..WINDOWS.len(),
        before in vec(row(), 1..60),
        after in vec(row(), 0..20),
        watermark in prop_oneof![0_i64..60_000, Just(i64::MAX)],
        steps in 0_usize..12,
        from in 1_u32..4,
        to in 1_u32..4,
        backings in (backing(), backing()),
    ) {
        check_rescaling(WINDOWS[window], &before, &after, watermark, steps, (from, to), backings);
    }

    /// `choices` picks the rows that are taken back among those that are there.
    #[test]
    fn group_changelogs_equal_their_definition(
        rows in vec((row(), any::<bool>(), any::<prop::sample::Index>()), 1..80),
        cuts in vec(1_usize..20, 1..10),
        backing in backing(),
    ) {
        let input = window_input();
        let mut live: Vec<Row> = Vec::new();
        let mut changes = Vec::new();
        for (row, retract, choice) in rows {
            if retract && !live.is_empty() {
                changes.push((RowKind::Delete, live.remove(choice.index(live.len()))));
            } else {
                live.push(row);
                changes.push((RowKind::Insert, row));
            }
        }
        let spec = GroupAggregateSpec {
            keys: vec![1],
            aggregates: group_calls(),
            input_retracts: true,
            emit_update_before: true, ttl_ms: None, bundles: false, merges: None,
        };
        let schema = output_schema(&input, &spec.keys, &spec.aggregates, Vec::new());
        let for_operator = input.clone();
        let make = move || -> Box<dyn Operator> {
            let (id, settings) = (OperatorId::new("agg"), JobSettings::default());
            Box::new(GroupAggregate::new(&id, &spec, for_operator.clone(), schema.clone(), &settings).unwrap())
        };
        let lines = backing.with(|| {
            let mut harness = Harness::new(8192, make);
            let mut rest = &changes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, later) = rest.split_at((*cut).min(rest.len()));
                harness.batch(to_batch(&input, part));
                harness.recover();
                rest = later;
            }
            harness.lines()
        });
        prop_assert_eq!(lines, group_model(&changes));
    }
}
