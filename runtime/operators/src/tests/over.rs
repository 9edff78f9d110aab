//! OVER: exact output of small cases, and random rows against frames computed anew.

use super::call;
use crate::event_script::{Harness, batch, run_script, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::AggregateFunction::*;
use weir_types::{
    ChangelogMode, Exchange, Input, JobSettings, NodeIndex, OperatorId, OperatorNode, OperatorSpec,
    OverFrame, OverSpec, Parallelism, RowKind, SortKey, SqlType, Watermark,
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
    }
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

fn events() -> impl Strategy<Value = Vec<Event>> {
    let row = (0_u8..3, 0_i64..30, proptest::option::weighted(0.9, -3_i32..4));
    let event = prop_oneof![
        5 => vec(row, 1..12).prop_map(Event::Rows),
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
            format!("{} {} {} {}", text(rows[place].2), to - from, text(sum), text(values.iter().max()))
        };
        (0..rows.len()).map(result).collect()
    };
    rows.into_iter().map(|(key, rows)| (key, results(rows))).collect()
}

fn check(frame: OverFrame, batch_rows: usize, events: &[Event]) {
    let input = schema("k STRING, ts TIMESTAMP(3), v INT");
    let for_harness = input.clone();
    let mut harness = Harness::new(batch_rows, move || create(&for_harness, spec(frame, true)));
    for event in events.iter().cloned().chain([Event::Watermark(i64::MAX)]) {
        match event {
            Event::Rows(rows) => {
                let texts: Vec<[String; 3]> = rows
                    .iter()
                    .map(|(key, time, value)| [format!("k{key}"), time.to_string(), text(*value)])
                    .collect();
                let rows: Vec<(RowKind, Vec<&str>)> = texts
                    .iter()
                    .map(|row| (RowKind::Insert, row.iter().map(String::as_str).collect()))
                    .collect();
                harness.batch(batch(&input, &rows));
            }
            Event::Watermark(watermark) => harness.watermark(Watermark(watermark)),
            Event::Recover => harness.recover(),
        }
    }
    let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for line in harness.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let key = words[1][1..].parse().unwrap();
        found.entry(key).or_default().push(words[3..].join(" "));
    }
    assert_eq!(found, model(frame, events), "{frame:?}, batches of {batch_rows}");
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn each_row_has_its_frame(events in events(), batch_rows in 1_usize..5) {
        let frames = [
            OverFrame::Unbounded { peers: false },
            OverFrame::Unbounded { peers: true },
            OverFrame::Rows(0),
            OverFrame::Rows(2),
            OverFrame::Range(0),
            OverFrame::Range(7),
        ];
        for frame in frames {
            check(frame, batch_rows, &events);
        }
    }
}
