//! OVER that is not ordered by time: changelogs as Flink gives them, and random changes against partitions that are
//! aggregated anew.

use super::call;
use crate::event_script::{Backing, Harness, Saved, batch, owns, run_script, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::AggregateFunction::*;
use weir_types::{
    AggregateCall, ChangelogMode, Exchange, Input, JobSettings, NodeIndex, OperatorId, OperatorNode,
    OperatorSpec, OverAnyOrderSpec, Parallelism, RowKind, SortKey, SqlType,
};

fn create(input: &SchemaRef, spec: OverAnyOrderSpec) -> Box<dyn Operator> {
    let given = spec.columns.iter().map(|column| input.fields()[*column].clone());
    let fields: Vec<_> = given.chain(spec.aggregates.iter().map(|call| call.output.clone())).collect();
    let node = OperatorNode {
        id: OperatorId::new("over"),
        label: "Over".to_string(),
        spec: OperatorSpec::OverAnyOrder(spec),
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema: Arc::new(Schema::new(fields)),
        changelog: ChangelogMode::ALL,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, std::slice::from_ref(input), &JobSettings::default()).unwrap()
}

/// Over `id INT, k STRING, v INT`: by k, in the order of v.
fn spec(peers: bool, aggregates: Vec<AggregateCall>, input_retracts: bool) -> OverAnyOrderSpec {
    OverAnyOrderSpec {
        partition: vec![1],
        order: vec![SortKey { column: 2, descending: false, nulls_first: true }],
        peers,
        aggregates,
        columns: vec![0, 1, 2],
        input_retracts,
        emit_update_before: true,
    }
}

/// The operator for measuring.
pub(super) fn in_any_order(input: &SchemaRef) -> Box<dyn Operator> {
    create(input, spec(true, vec![call(Sum, &[2], SqlType::Int), call(Count, &[], SqlType::BigInt)], false))
}

#[test]
fn a_row_changes_those_after_it() {
    run_script("over_any_order_range", |input| {
        let calls = vec![call(Sum, &[2], SqlType::Int), call(Count, &[], SqlType::BigInt)];
        create(input, spec(true, calls, false))
    });
}

#[test]
fn changes_go_on_to_the_rows_after_them() {
    run_script("over_any_order_changes", |input| {
        create(input, spec(false, vec![call(Count, &[], SqlType::BigInt)], true))
    });
}

/// id, key, value
type Row = (usize, u8, Option<i32>);

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

fn calls(peers: bool) -> Vec<AggregateCall> {
    let mut calls = vec![
        call(Sum, &[2], SqlType::Int),
        call(Count, &[], SqlType::BigInt),
        call(Max, &[0], SqlType::Int),
        call(ArrayAgg, &[0], SqlType::Array(Box::new(weir_types::SqlField::new("item", SqlType::Int, true)))),
    ];
    if peers {
        calls.push(call(Rank, &[], SqlType::BigInt));
        calls.push(call(DenseRank, &[], SqlType::BigInt));
    }
    calls
}

/// What is given for each row of a partition, in its order: rows are ordered by value, then by arrival.
fn results(peers: bool, rows: &[Row]) -> Vec<(usize, String)> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.2);
    let result = |place: usize| {
        let value = rows[place].2;
        let before = rows.partition_point(|row| row.2 < value);
        let end = if peers { rows.partition_point(|row| row.2 <= value) } else { place + 1 };
        let frame = &rows[..end];
        let values: Vec<i32> = frame.iter().filter_map(|row| row.2).collect();
        let sum = (!values.is_empty()).then(|| values.iter().sum::<i32>());
        let ids: Vec<String> = frame.iter().map(|row| row.0.to_string()).collect();
        let most = frame.iter().map(|row| row.0).max();
        let mut line = format!("{} {end} {} [{}]", text(sum), text(most), ids.join(", "));
        if peers {
            let mut less: Vec<_> = rows[..before].iter().map(|row| row.2).collect();
            less.dedup();
            line.push_str(&format!(" {} {}", before + 1, less.len() + 1));
        }
        line
    };
    (0..rows.len()).map(|place| (rows[place].0, result(place))).collect()
}

/// The lines that a row brings about.
fn lines_of(peers: bool, kind: RowKind, row: Row, rows: &mut Vec<Row>) -> Vec<String> {
    let of_key = |rows: &[Row]| rows.iter().filter(|known| known.1 == row.1).copied().collect::<Vec<_>>();
    let before: BTreeMap<usize, String> = results(peers, &of_key(rows)).into_iter().collect();
    let mut lines = Vec::new();
    let line = |kind: RowKind, id: usize, value: Option<i32>, result: &str| {
        format!("{kind} {id} k{} {} {result}", row.1, text(value))
    };
    if kind.is_retraction() {
        lines.push(line(RowKind::Delete, row.0, row.2, &before[&row.0]));
        rows.retain(|known| known.0 != row.0);
    } else {
        rows.push(row);
    }
    for (id, after) in results(peers, &of_key(rows)) {
        let value = rows.iter().find(|known| known.0 == id).and_then(|known| known.2);
        match before.get(&id) {
            None => lines.push(line(kind, id, value, &after)),
            Some(before) if *before != after => {
                lines.push(line(RowKind::UpdateBefore, id, value, before));
                lines.push(line(RowKind::UpdateAfter, id, value, &after));
            }
            Some(_) => {}
        }
    }
    lines
}

fn steps() -> impl Strategy<Value = Vec<Vec<(bool, u8, Option<i32>)>>> {
    let row = (proptest::bool::weighted(0.3), 0_u8..3, proptest::option::weighted(0.9, 0_i32..6));
    vec(vec(row, 1..10), 1..10)
}

fn check(peers: bool, retracts: bool, batch_rows: usize, steps: &[Vec<(bool, u8, Option<i32>)>]) {
    let input = schema("id INT, k STRING, v INT");
    let for_harness = input.clone();
    let spec = spec(peers, calls(peers), retracts);
    let mut harness = Harness::new(batch_rows, move || create(&for_harness, spec.clone()));
    let mut rows: Vec<Row> = Vec::new();
    let mut next = 0;
    for (index, step) in steps.iter().enumerate() {
        let (mut changes, mut expected) = (Vec::new(), Vec::new());
        for (takes_back, key, value) in step {
            let there = rows.iter().find(|row| row.1 == *key && row.2 == *value).copied();
            let (kind, row) = match there.filter(|_| *takes_back && retracts) {
                Some(row) => (RowKind::Delete, row),
                None => {
                    next += 1;
                    (RowKind::Insert, (next, *key, *value))
                }
            };
            changes.push((kind, [row.0.to_string(), format!("k{key}"), text(*value)]));
            expected.extend(lines_of(peers, kind, row, &mut rows));
        }
        let changes: Vec<(RowKind, Vec<&str>)> =
            changes.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
        if index % 3 == 2 {
            harness.recover();
        }
        harness.batch(batch(&input, &changes));
        assert_eq!(harness.lines(), expected, "peers {peers}, retracts {retracts}, step {index}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, failure_persistence: None, ..Config::default() })]

    #[test]
    fn each_change_is_given_row_by_row(steps in steps(), batch_rows in 1_usize..5) {
        for (peers, retracts) in [(false, false), (true, false), (false, true), (true, true)] {
            check(peers, retracts, batch_rows, &steps);
            Backing::Disk(5_000).with(|| check(peers, retracts, batch_rows, &steps));
        }
    }

    /// Rows that rise go on from what is kept, whatever came before.
    #[test]
    fn rows_that_rise_need_no_others(gaps in vec(vec(0_i32..3, 1..6), 1..8)) {
        let mut value = 0;
        let rise = |gap: &i32| {
            value += gap;
            (false, 0, Some(value))
        };
        let mut rise = rise;
        let steps: Vec<Vec<_>> = gaps.iter().map(|gaps| gaps.iter().map(&mut rise).collect()).collect();
        check(true, false, 3, &steps);
        check(false, false, 3, &steps);
    }

    #[test]
    fn partitions_survive_a_change_of_parallelism(
        before in vec((0_u8..6, proptest::option::weighted(0.9, 0_i32..6)), 1..30),
        after in vec((0_u8..6, proptest::option::weighted(0.9, 0_i32..6)), 1..30),
        from in 1_u32..4,
        to in 1_u32..4,
    ) {
        let input = schema("id INT, k STRING, v INT");
        let harness = |saved: &[Saved], subtask: (u32, u32)| {
            let for_harness = input.clone();
            Harness::restored(2, move || create(&for_harness, spec(true, calls(true), false)), saved, subtask)
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut expected = Vec::new();
        let mut found = Vec::new();
        let mut next = 0;
        let mut part = |keys: &[(u8, Option<i32>)], saved: &[Saved], parallelism: u32| -> Vec<Saved> {
            let first = next;
            for (key, value) in keys {
                next += 1;
                expected.extend(lines_of(true, RowKind::Insert, (next, *key, *value), &mut rows));
            }
            let texts: Vec<[String; 3]> = keys
                .iter()
                .enumerate()
                .map(|(place, (key, value))| [(first + place + 1).to_string(), format!("k{key}"), text(*value)])
                .collect();
            let all: Vec<Saved> = (0..parallelism)
                .map(|index| {
                    let mut harness = harness(saved, (index, parallelism));
                    let own = texts.iter().filter(|row| owns(&row[1], (index, parallelism)));
                    let own: Vec<(RowKind, Vec<&str>)> =
                        own.map(|row| (RowKind::Insert, row.iter().map(String::as_str).collect())).collect();
                    if !own.is_empty() {
                        harness.batch(batch(&input, &own));
                    }
                    found.extend(harness.lines());
                    harness.snapshot()
                })
                .collect();
            all
        };
        let saved = part(&before, &[], from);
        part(&after, &saved, to);
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected, "from {} to {} subtasks", from, to);
    }
}
