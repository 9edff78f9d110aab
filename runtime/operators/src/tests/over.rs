//! OVER: exact output of small cases, and random rows against frames computed anew.

use super::call;
use crate::event_script::{Harness, Saved, batch, owns, run_script, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::AggregateFunction::*;
use weir_types::{
    ChangelogBatch, ChangelogMode, Exchange, Input, JobSettings, NodeIndex, OperatorId, OperatorNode,
    OperatorSpec, OverFrame, OverSpec, Parallelism, RowKind, SortKey, SqlType, Watermark,
};

fn create(input: &SchemaRef, spec: OverSpec) -> Box<dyn Operator> {
    let given = spec.columns.iter().map(|column| input.fields()[*column].clone());
    let fields: Vec<_> = given.chain(spec.aggregates.iter().map(|call| call.output.clone())).collect();
    let node = OperatorNode {
        id: OperatorId::new("over"),
        label: "Over".to_string(),
        spec: OperatorSpec::Over(spec),
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema: Arc::new(Schema::new(fields)),
        changelog: ChangelogMode::INSERT_ONLY,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, std::slice::from_ref(input), &JobSettings::default()).unwrap()
}

/// COUNT(*), SUM(v), MAX(v) of `k STRING, ts TIMESTAMP(3), v INT` by `k`.
fn spec(frame: OverFrame, rowtime: bool) -> OverSpec {
    OverSpec {
        partition: vec![0],
        rowtime: rowtime.then_some(1),
        order: vec![],
        frame,
        aggregates: vec![
            call(Count, &[], SqlType::BigInt),
            call(Sum, &[2], SqlType::Int),
            call(Max, &[2], SqlType::Int),
        ],
        columns: vec![0, 1, 2],
        ends: false,
        last_first: false,
    }
}

/// The same with COUNT(DISTINCT v), and LAG(v) where no frame is bounded.
fn more(frame: OverFrame) -> OverSpec {
    let mut spec = spec(frame, true);
    let mut distinct = call(Count, &[2], SqlType::BigInt);
    distinct.distinct = true;
    spec.aggregates.push(distinct);
    if let OverFrame::Unbounded { .. } = frame {
        spec.aggregates.push(call(Lag { rows: 2 }, &[2], SqlType::Int));
        spec.aggregates.push(call(Rank, &[1], SqlType::BigInt));
    }
    spec
}

#[test]
fn frames_of_event_time() {
    run_script("over_rows", |input| create(input, spec(OverFrame::Unbounded { peers: false }, true)));
    run_script("over_range", |input| create(input, spec(OverFrame::Unbounded { peers: true }, true)));
    run_script("over_rows_bounded", |input| create(input, spec(OverFrame::Rows(1), true)));
    run_script("over_range_bounded", |input| create(input, spec(OverFrame::Range(1_000), true)));
}

#[test]
fn frames_of_processing_time() {
    run_script("over_arrival", |input| create(input, spec(OverFrame::Unbounded { peers: false }, false)));
    run_script("over_arrival_bounded", |input| create(input, spec(OverFrame::Rows(1), false)));
}

#[test]
fn a_frame_of_the_clock() {
    run_script("over_clock_range", |input| create(input, spec(OverFrame::Range(1_000), false)));
}

#[test]
fn functions_without_a_frame_and_distinct() {
    run_script("over_lag_rank", |input| {
        let mut distinct = call(Count, &[2], SqlType::BigInt);
        distinct.distinct = true;
        let aggregates = vec![
            call(Lag { rows: 1 }, &[2], SqlType::Int),
            call(Lag { rows: 2 }, &[2, 3], SqlType::Int),
            call(Rank, &[1], SqlType::BigInt),
            call(DenseRank, &[1], SqlType::BigInt),
            distinct,
            call(Sum, &[2], SqlType::Int),
        ];
        let spec = spec(OverFrame::Unbounded { peers: true }, true);
        create(input, OverSpec { aggregates, columns: vec![3], ..spec })
    });
}

/// ORDER BY ts, v DESC
#[test]
fn rows_in_order_of_time() {
    run_script("temporal_sort", |input| {
        let order = vec![SortKey { column: 2, descending: true, nulls_first: false }];
        let sort = OverSpec {
            partition: vec![],
            order,
            aggregates: vec![],
            ..spec(OverFrame::Unbounded { peers: false }, true)
        };
        create(input, sort)
    });
}

/// key, time, value
type Row = (u8, i64, Option<i32>);

#[derive(Clone, Debug)]
enum Event {
    Rows(Vec<Row>),
    Watermark(i64),
    Recover,
}

fn row() -> impl Strategy<Value = Row> {
    (0_u8..3, 0_i64..30, proptest::option::weighted(0.9, -3_i32..4))
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        5 => vec(row(), 1..12).prop_map(Event::Rows),
        3 => (0_i64..30).prop_map(Event::Watermark),
        1 => Just(Event::Recover),
    ];
    vec(event, 1..20)
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

/// The results of all rows that are in time, each in the order of its partition.
fn model(frame: OverFrame, events: &[Event]) -> BTreeMap<u8, Vec<String>> {
    let mut progress = i64::MIN;
    let mut rows: BTreeMap<u8, Vec<Row>> = BTreeMap::new();
    for event in events {
        match event {
            Event::Rows(new) => {
                for row in new.iter().filter(|row| row.1 > progress) {
                    rows.entry(row.0).or_default().push(*row);
                }
            }
            Event::Watermark(watermark) => progress = progress.max(*watermark),
            Event::Recover => {}
        }
    }
    let results = |mut rows: Vec<Row>| -> Vec<String> {
        rows.sort_by_key(|row| row.1);
        let result = |place: usize| {
            let time = rows[place].1;
            let of_time = rows.partition_point(|row| row.1 <= time);
            let (from, to) = match frame {
                OverFrame::Unbounded { peers: false } => (0, place + 1),
                OverFrame::Unbounded { peers: true } => (0, of_time),
                OverFrame::Rows(before) => (place.saturating_sub(before as usize), place + 1),
                OverFrame::Range(before) => (rows.partition_point(|row| row.1 < time - before), of_time),
            };
            let values: Vec<i32> = rows[from..to].iter().filter_map(|row| row.2).collect();
            let sum = (!values.is_empty()).then(|| values.iter().sum::<i32>());
            let most = text(values.iter().max());
            let distinct: BTreeSet<&i32> = values.iter().collect();
            let mut line =
                format!("{} {} {} {most} {}", text(rows[place].2), to - from, text(sum), distinct.len());
            if let OverFrame::Unbounded { .. } = frame {
                let lag = place.checked_sub(2).and_then(|place| rows[place].2);
                let rank = rows.partition_point(|row| row.1 < time) + 1;
                line.push_str(&format!(" {} {rank}", text(lag)));
            }
            line
        };
        (0..rows.len()).map(result).collect()
    };
    rows.into_iter().map(|(key, rows)| (key, results(rows))).collect()
}

fn to_batch(input: &SchemaRef, rows: &[Row]) -> ChangelogBatch {
    let texts: Vec<[String; 3]> =
        rows.iter().map(|(key, time, value)| [format!("k{key}"), time.to_string(), text(*value)]).collect();
    let rows: Vec<(RowKind, Vec<&str>)> =
        texts.iter().map(|row| (RowKind::Insert, row.iter().map(String::as_str).collect())).collect();
    batch(input, &rows)
}

/// The results of each key, in the order in which they came.
fn by_key(lines: Vec<String>, found: &mut BTreeMap<u8, Vec<String>>) {
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let key = words[1][1..].parse().unwrap();
        found.entry(key).or_default().push(words[3..].join(" "));
    }
}

fn check(frame: OverFrame, batch_rows: usize, events: &[Event]) {
    let input = schema("k STRING, ts TIMESTAMP(3), v INT");
    let for_harness = input.clone();
    let mut harness = Harness::new(batch_rows, move || create(&for_harness, more(frame)));
    for event in events.iter().cloned().chain([Event::Watermark(i64::MAX)]) {
        match event {
            Event::Rows(rows) => {
                harness.batch(to_batch(&input, &rows));
            }
            Event::Watermark(watermark) => harness.watermark(Watermark(watermark)),
            Event::Recover => harness.recover(),
        }
    }
    let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    by_key(harness.lines(), &mut found);
    assert_eq!(found, model(frame, events), "{frame:?}, batches of {batch_rows}");
}

const FRAMES: [OverFrame; 6] = [
    OverFrame::Unbounded { peers: false },
    OverFrame::Unbounded { peers: true },
    OverFrame::Rows(0),
    OverFrame::Rows(2),
    OverFrame::Range(0),
    OverFrame::Range(7),
];

/// Runs at one parallelism up to a snapshot in the middle of what a watermark emits, goes on at another.
fn check_rescaling(
    frame: OverFrame,
    (before, watermark, after): (&[Row], i64, &[Row]),
    steps: usize,
    (from, to): (u32, u32),
) {
    let input = schema("k STRING, ts TIMESTAMP(3), v INT");
    let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    let harness = |saved: &[Saved], rows: &[Row], subtask: (u32, u32)| {
        let for_harness = input.clone();
        let make = move || create(&for_harness, more(frame));
        let mut harness = Harness::restored(2, make, saved, subtask);
        let own = rows.iter().filter(|row| owns(&format!("k{}", row.0), subtask));
        let own: Vec<Row> = own.copied().collect();
        if !own.is_empty() {
            harness.batch(to_batch(&input, &own));
        }
        harness
    };
    let mut saved = Vec::new();
    for index in 0..from {
        let mut harness = harness(&[], before, (index, from));
        harness.watermark_in_part(Watermark(watermark), steps * (1 + index as usize));
        by_key(harness.lines(), &mut found);
        saved.push(harness.snapshot());
    }
    for index in 0..to {
        let mut harness = harness(&saved, after, (index, to));
        harness.watermark(Watermark::MAX);
        by_key(harness.lines(), &mut found);
    }
    let events = [Event::Rows(before.to_vec()), Event::Watermark(watermark), Event::Rows(after.to_vec())];
    assert_eq!(found, model(frame, &events), "{frame:?} from {from} to {to} subtasks");
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn each_row_has_its_frame(events in events(), batch_rows in 1_usize..5) {
        for frame in FRAMES {
            check(frame, batch_rows, &events);
        }
    }

    #[test]
    fn frames_survive_a_change_of_parallelism(
        before in vec(row(), 1..40),
        watermark in 0_i64..30,
        after in vec(row(), 0..20),
        steps in 0_usize..8,
        from in 1_u32..4,
        to in 1_u32..4,
    ) {
        for frame in FRAMES {
            check_rescaling(frame, (&before, watermark, &after), steps, (from, to));
        }
    }
}

/// AVG and SUM of doubles over the row before and the row: the last bits do not depend on when the frame was counted.
#[test]
fn rounded_sums_do_not_depend_on_watermarks() {
    let input = schema("k STRING, ts TIMESTAMP(3), v DOUBLE");
    let values = ["0.1", "0.2", "0.7", "0.3", "1e17", "0.9", "NULL", "0.4"];
    for frame in [OverFrame::Rows(0), OverFrame::Rows(1), OverFrame::Rows(2), OverFrame::Range(1_500)] {
        let lines = |cut: usize, rowtime: bool| {
            let mut distinct = call(Sum, &[2], SqlType::Double);
            distinct.distinct = true;
            let aggregates =
                vec![call(Sum, &[2], SqlType::Double), call(Avg, &[2], SqlType::Double), distinct];
            let spec = OverSpec { aggregates, columns: vec![1], ..spec(frame, rowtime) };
            let for_harness = input.clone();
            let mut harness = Harness::new(100, move || create(&for_harness, spec.clone()));
            let mut lines = Vec::new();
            for part in (0..values.len()).collect::<Vec<_>>().chunks(cut) {
                let texts: Vec<String> = part.iter().map(|row| (row * 1_000).to_string()).collect();
                let row = |(row, time): (&usize, &String)| {
                    (RowKind::Insert, ["k".into(), time.clone(), values[*row].to_string()])
                };
                let rows: Vec<_> = part.iter().zip(&texts).map(row).collect();
                let rows: Vec<(RowKind, Vec<&str>)> = rows
                    .iter()
                    .map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect()))
                    .collect();
                harness.batch(batch(&input, &rows));
                harness.watermark(Watermark(part[part.len() - 1] as i64 * 1_000));
                lines.extend(harness.lines());
                harness.recover();
            }
            lines
        };
        for rowtime in [true, false] {
            if !rowtime && matches!(frame, OverFrame::Range(_)) {
                continue;
            }
            let at_once = lines(values.len(), rowtime);
            assert_eq!(at_once.len(), values.len());
            for cut in 1..4 {
                assert_eq!(
                    lines(cut, rowtime),
                    at_once,
                    "{frame:?}, {cut} rows at a time, by event time: {rowtime}"
                );
            }
        }
    }
}

/// ARRAY_AGG of all rows up to one: results come in parts, as each is longer than the one before.
#[test]
fn long_results_come_in_parts() {
    let input = schema("k STRING, ts TIMESTAMP(3), v INT");
    let ints = SqlType::Array(Box::new(weir_types::SqlField::new("item", SqlType::Int, true)));
    for rowtime in [true, false] {
        let aggregates = vec![call(Count, &[], SqlType::BigInt), call(ArrayAgg, &[2], ints.clone())];
        let frame = OverFrame::Unbounded { peers: false };
        let spec = OverSpec { aggregates, columns: vec![0, 2], ..spec(frame, rowtime) };
        let for_harness = input.clone();
        let mut harness = Harness::new(100, move || create(&for_harness, spec.clone()));
        let (mut expected, mut values) = (Vec::new(), vec![Vec::new(); 2]);
        let rows: Vec<[String; 3]> =
            (0..150).map(|row| [format!("k{}", row % 2), row.to_string(), row.to_string()]).collect();
        for (row, [key, _, value]) in rows.iter().enumerate() {
            let values: &mut Vec<String> = &mut values[row % 2];
            values.push(value.clone());
            expected.push(format!("+I {key} {value} {} [{}]", values.len(), values.join(", ")));
        }
        for part in rows.chunks(60) {
            let rows: Vec<(RowKind, Vec<&str>)> =
                part.iter().map(|row| (RowKind::Insert, row.iter().map(String::as_str).collect())).collect();
            harness.batch(batch(&input, &rows));
        }
        harness.watermark(Watermark(1_000));
        assert_eq!(harness.lines(), expected);
    }
}
