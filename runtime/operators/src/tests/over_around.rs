//! OVER that looks at any rows of a partition: exact changes of a small case, and random changes against results that are
//! computed anew.

use super::call;
use crate::event_script::{Backing, Harness, Saved, batch, owns, schema};
use crate::over::OverPartition;
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::AggregateFunction::*;
use weir_types::{
    AggregateCall, Frame, FrameUnits, FramedCall, JobSettings, OperatorId, OverPartitionSpec, RowKind,
    SortKey, SqlField, SqlType,
};

const ROWS: FrameUnits = FrameUnits::Rows;
const RANGE: FrameUnits = FrameUnits::Range;

fn create(input: &SchemaRef, spec: &OverPartitionSpec, run_rows: usize) -> OverPartition {
    let given = spec.columns.iter().map(|column| input.fields()[*column].clone());
    let fields: Vec<_> = given.chain(spec.calls.iter().map(|framed| framed.call.output.clone())).collect();
    let (id, schema) = (OperatorId::new("over"), Arc::new(Schema::new(fields)));
    let operator = OverPartition::new(&id, spec, input.clone(), schema, &JobSettings::default()).unwrap();
    operator.in_runs_of(run_rows)
}

/// Over `id INT, k STRING, v INT, f BOOLEAN`: by k, in the order of v.
fn spec(descending: bool, calls: Vec<FramedCall>, input_retracts: bool) -> OverPartitionSpec {
    OverPartitionSpec {
        partition: vec![1],
        order: vec![SortKey { column: 2, descending, nulls_first: !descending }],
        calls,
        columns: vec![0, 1, 2, 3],
        input_retracts,
        emit_update_before: true,
    }
}

fn framed(call: AggregateCall, units: FrameUnits, start: Option<i128>, end: Option<i128>) -> FramedCall {
    FramedCall { call, frame: Frame { units, start, end } }
}

fn ints() -> SqlType {
    SqlType::Array(Box::new(SqlField::new("item", SqlType::Int, true)))
}

fn neighbours() -> Vec<FramedCall> {
    let alone =
        |function, arguments: &[usize]| framed(call(function, arguments, SqlType::Int), ROWS, None, Some(0));
    vec![
        alone(Lag { rows: 1 }, &[2]),
        alone(Lag { rows: 3 }, &[2, 0]),
        alone(Lead { rows: 1 }, &[0]),
        alone(Lead { rows: 2 }, &[2, 0]),
    ]
}

fn numbers() -> Vec<FramedCall> {
    let of = |function, sql_type| framed(call(function, &[], sql_type), RANGE, None, Some(0));
    vec![
        of(Ntile { parts: 3 }, SqlType::BigInt),
        of(PercentRank, SqlType::Double),
        of(CumeDist, SqlType::Double),
    ]
}

fn running() -> Vec<FramedCall> {
    vec![
        framed(call(Sum, &[2], SqlType::Int), RANGE, None, Some(0)),
        framed(call(Count, &[], SqlType::BigInt), ROWS, None, Some(0)),
        framed(call(Max, &[0], SqlType::Int), ROWS, None, Some(2)),
        framed(call(Sum, &[0], SqlType::Int), ROWS, None, Some(-2)),
        framed(call(Sum, &[0], SqlType::Int), RANGE, None, Some(-2)),
        framed(call(Rank, &[], SqlType::BigInt), RANGE, None, Some(0)),
        framed(call(DenseRank, &[], SqlType::BigInt), RANGE, None, Some(0)),
        framed(call(NthValue { n: 2 }, &[2], SqlType::Int), ROWS, None, Some(0)),
    ]
}

fn whole() -> Vec<FramedCall> {
    let mut distinct = call(Count, &[2], SqlType::BigInt);
    distinct.distinct = true;
    vec![
        framed(call(ArrayAgg, &[0], ints()), ROWS, None, Some(0)),
        framed(distinct, RANGE, None, Some(0)),
        framed(call(Sum, &[0], SqlType::Int), ROWS, None, None),
    ]
}

fn moving() -> Vec<FramedCall> {
    let mut distinct = call(Count, &[2], SqlType::BigInt);
    distinct.distinct = true;
    let mut filtered = call(Sum, &[0], SqlType::Int);
    filtered.filter = Some(3);
    vec![
        framed(call(ArrayAgg, &[0], ints()), ROWS, Some(-2), Some(1)),
        framed(call(Sum, &[0], SqlType::Int), ROWS, Some(-2), Some(1)),
        framed(call(Count, &[], SqlType::BigInt), ROWS, Some(1), Some(3)),
        framed(call(Max, &[2], SqlType::Int), ROWS, Some(-3), Some(-1)),
        framed(call(ArrayAgg, &[0], ints()), RANGE, Some(-2), Some(2)),
        framed(distinct, RANGE, Some(-2), Some(1)),
        framed(filtered, RANGE, Some(0), Some(0)),
        framed(call(NthValue { n: 2 }, &[0], SqlType::Int), ROWS, Some(-1), Some(1)),
        framed(call(LastValue, &[0], SqlType::Int), RANGE, Some(1), Some(2)),
    ]
}

fn to_the_end() -> Vec<FramedCall> {
    let mut distinct = call(Count, &[2], SqlType::BigInt);
    distinct.distinct = true;
    let mut filtered = call(Sum, &[0], SqlType::Int);
    filtered.filter = Some(3);
    vec![
        framed(call(Min, &[0], SqlType::Int), ROWS, Some(0), None),
        framed(call(ArrayAgg, &[0], ints()), RANGE, Some(-1), None),
        framed(call(Max, &[2], SqlType::Int), RANGE, Some(-1), None),
        framed(call(Count, &[], SqlType::BigInt), ROWS, Some(2), None),
        framed(filtered, RANGE, Some(1), None),
        framed(distinct, ROWS, Some(-1), None),
        framed(call(LastValue, &[0], SqlType::Int), ROWS, Some(0), None),
    ]
}

/// An operator for measuring.
pub(super) fn around(input: &SchemaRef, what: &str) -> Box<dyn crate::Operator> {
    let calls = match what {
        "neighbours" => neighbours(),
        "moving" => moving(),
        "running" => running(),
        _ => numbers(),
    };
    Box::new(create(input, &spec(false, calls, false), 256))
}

/// id, key, value
type Row = (usize, u8, Option<i32>);

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

fn passes(row: &Row) -> bool {
    row.0.is_multiple_of(2)
}

/// The rows of a partition in their order.
fn in_order(descending: bool, rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| directed(descending, row));
    rows
}

/// NULL is before all others, or behind them.
fn directed(descending: bool, row: &Row) -> i64 {
    match (row.2, descending) {
        (None, false) => i64::MIN,
        (None, true) => i64::MAX,
        (Some(value), false) => i64::from(value),
        (Some(value), true) => -i64::from(value),
    }
}

fn frame_of(frame: &Frame, descending: bool, rows: &[Row], place: usize) -> Vec<Row> {
    let key = directed(descending, &rows[place]);
    let bound = |offset: i128| match key {
        i64::MIN | i64::MAX => key,
        key => key + offset as i64,
    };
    let within = |other: usize| {
        let key = directed(descending, &rows[other]);
        let away = other as i128 - place as i128;
        let starts = frame.start.is_none_or(|start| match frame.units {
            ROWS => away >= start,
            RANGE => key >= bound(start),
        });
        let ends = frame.end.is_none_or(|end| match frame.units {
            ROWS => away <= end,
            RANGE => key <= bound(end),
        });
        starts && ends
    };
    (0..rows.len()).filter(|other| within(*other)).map(|other| rows[other]).collect()
}

fn argument(row: &Row, column: usize) -> Option<i32> {
    if column == 0 { Some(row.0 as i32) } else { row.2 }
}

fn aggregate(FramedCall { call, .. }: &FramedCall, frame: &[Row]) -> String {
    let counted = frame.iter().filter(|row| call.filter.is_none() || passes(row));
    let values: Vec<Option<i32>> = match call.arguments.first() {
        Some(column) => counted.map(|row| argument(row, *column)).collect(),
        None => return counted.count().to_string(),
    };
    let mut known: Vec<i32> = values.iter().copied().flatten().collect();
    match call.function {
        Sum => text((!known.is_empty()).then(|| known.iter().sum::<i32>())),
        Max => text(known.iter().max()),
        Min => text(known.iter().min()),
        LastValue => text(known.last()),
        NthValue { n } => text(values.get(n as usize - 1).copied().flatten()),
        Count => {
            known.sort_unstable();
            known.dedup();
            known.len().to_string()
        }
        ArrayAgg if values.is_empty() => "NULL".to_string(),
        ArrayAgg => {
            let texts: Vec<String> = values.into_iter().map(text).collect();
            format!("[{}]", texts.join(", "))
        }
        other => panic!("{other:?} has no model"),
    }
}

fn result(framed: &FramedCall, descending: bool, rows: &[Row], place: usize) -> String {
    let key = |place: usize| directed(descending, &rows[place]);
    let before = (0..rows.len()).filter(|other| key(*other) < key(place)).count();
    let until = (0..rows.len()).filter(|other| key(*other) <= key(place)).count();
    let neighbour = |other: Option<usize>| match other.and_then(|other| rows.get(other)) {
        Some(row) => text(argument(row, framed.call.arguments[0])),
        None => text(framed.call.arguments.get(1).and_then(|column| argument(&rows[place], *column))),
    };
    match framed.call.function {
        Lag { rows } => neighbour(place.checked_sub(rows as usize)),
        Lead { rows } => neighbour(Some(place + rows as usize)),
        Rank => (before + 1).to_string(),
        DenseRank => {
            let mut less: Vec<i64> = rows.iter().map(|row| directed(descending, row)).collect();
            less.dedup();
            (less.iter().filter(|other| **other < key(place)).count() + 1).to_string()
        }
        PercentRank if rows.len() == 1 => "0.0".to_string(),
        PercentRank => format!("{:?}", before as f64 / (rows.len() - 1) as f64),
        CumeDist => format!("{:?}", until as f64 / rows.len() as f64),
        Ntile { parts } => {
            let parts = parts as usize;
            let sizes = (0..parts).map(|part| rows.len() / parts + usize::from(part < rows.len() % parts));
            let ends = sizes.scan(0, |end, size| {
                *end += size;
                Some(*end)
            });
            (ends.filter(|end| *end <= place).count() + 1).to_string()
        }
        _ => aggregate(framed, &frame_of(&framed.frame, descending, rows, place)),
    }
}

/// All rows with their results.
fn model(calls: &[FramedCall], descending: bool, rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for key in 0..8 {
        let of_key: Vec<Row> = rows.iter().filter(|row| row.1 == key).copied().collect();
        let of_key = in_order(descending, &of_key);
        for (place, row) in of_key.iter().enumerate() {
            let results: Vec<String> =
                calls.iter().map(|call| result(call, descending, &of_key, place)).collect();
            found.push(format!("{} k{} {} {} {}", row.0, row.1, text(row.2), passes(row), results.join(" ")));
        }
    }
    found.sort();
    found
}

/// Folds changes into the rows that are there, and sees that each makes sense.
fn fold(lines: Vec<String>, there: &mut BTreeMap<String, i32>) {
    let mut before: Option<String> = None;
    for line in lines {
        let (kind, row) = line.split_once(' ').unwrap();
        let change = if kind.starts_with('-') { -1 } else { 1 };
        let count = there.entry(row.to_string()).or_default();
        *count += change;
        assert!(*count >= 0, "{line} takes back what is not there");
        match kind {
            "-U" => before = Some(row.to_string()),
            "+U" => {
                let before = before.take().expect("a row before the update");
                assert_ne!(before, row, "a result that is what it was");
                let id = |row: &str| row.split(' ').next().map(str::to_string);
                assert_eq!(id(&before), id(row), "an update is of one row");
            }
            _ => assert_eq!(before, None, "a row that is not updated"),
        }
    }
    there.retain(|_, count| *count > 0);
}

fn lines_of(there: &BTreeMap<String, i32>) -> Vec<String> {
    there.iter().flat_map(|(row, count)| std::iter::repeat_n(row.clone(), *count as usize)).collect()
}

type Change = (bool, u8, Option<i32>);

fn steps() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let row = (proptest::bool::weighted(0.35), 0_u8..3, proptest::option::weighted(0.9, 0_i32..9));
    vec(vec(row, 1..14), 1..10)
}

fn input() -> SchemaRef {
    schema("id INT, k STRING, v INT, f BOOLEAN")
}

fn rows_of(changes: &[(RowKind, Row)]) -> Vec<(RowKind, [String; 4])> {
    let row = |(kind, row): &(RowKind, Row)| {
        (*kind, [row.0.to_string(), format!("k{}", row.1), text(row.2), passes(row).to_string()])
    };
    changes.iter().map(row).collect()
}

fn give(harness: &mut Harness, changes: &[(RowKind, Row)]) {
    let texts = rows_of(changes);
    let rows: Vec<(RowKind, Vec<&str>)> =
        texts.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
    harness.batch(batch(&input(), &rows));
}

fn check(calls: &[FramedCall], descending: bool, retracts: bool, run_rows: usize, steps: &[Vec<Change>]) {
    let for_harness = spec(descending, calls.to_vec(), retracts);
    let mut harness = Harness::new(4, move || Box::new(create(&input(), &for_harness, run_rows)));
    let mut rows: Vec<Row> = Vec::new();
    let mut there = BTreeMap::new();
    let mut next = 0;
    for (index, step) in steps.iter().enumerate() {
        let mut changes = Vec::new();
        for (takes_back, key, value) in step {
            let known = rows.iter().position(|row| row.1 == *key && row.2 == *value);
            match known.filter(|_| *takes_back && retracts) {
                Some(place) => changes.push((RowKind::Delete, rows.remove(place))),
                None => {
                    next += 1;
                    rows.push((next, *key, *value));
                    changes.push((RowKind::Insert, (next, *key, *value)));
                }
            }
        }
        if index % 3 == 2 {
            harness.recover();
        }
        give(&mut harness, &changes);
        fold(harness.lines(), &mut there);
        let expected = model(calls, descending, &rows);
        assert_eq!(lines_of(&there), expected, "descending {descending}, step {index}: {changes:?}");
    }
}

fn all_sets() -> Vec<Vec<FramedCall>> {
    let sets = vec![neighbours(), numbers(), running(), whole(), moving(), to_the_end()];
    let mut all = sets.clone();
    all.push(sets.concat());
    all
}

/// `LEAD(id)` and `SUM(id) ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING`: a row changes its neighbours alone.
#[test]
fn only_what_is_around_a_change_is_given_again() {
    let calls = vec![
        framed(call(Lead { rows: 1 }, &[0], SqlType::Int), ROWS, None, Some(0)),
        framed(call(Sum, &[0], SqlType::Int), ROWS, Some(-1), Some(1)),
    ];
    let for_harness = spec(false, calls, true);
    let mut harness = Harness::new(100, move || Box::new(create(&input(), &for_harness, 2)));
    let insert = |id: usize, value: i32| (RowKind::Insert, (id, 0, Some(value)));
    give(&mut harness, &[insert(1, 10), insert(2, 20), insert(3, 30), insert(4, 40), insert(5, 50)]);
    let lines = harness.lines();
    assert_eq!(lines[0], "+I 1 k0 10 false 2 3");
    assert_eq!(lines.len(), 5);
    give(&mut harness, &[insert(6, 25)]);
    let expected = [
        "-U 2 k0 20 true 3 6",
        "+U 2 k0 20 true 6 9",
        "-U 3 k0 30 false 4 9",
        "+U 3 k0 30 false 4 13",
        "+I 6 k0 25 true 3 11",
    ];
    assert_eq!(harness.lines(), expected);
    give(&mut harness, &[(RowKind::Delete, (6, 0, Some(25))), (RowKind::Delete, (1, 0, Some(10)))]);
    let expected = [
        "-D 1 k0 10 false 2 3",
        "-D 6 k0 25 true 3 11",
        "-U 2 k0 20 true 6 9",
        "+U 2 k0 20 true 3 5",
        "-U 3 k0 30 false 4 13",
        "+U 3 k0 30 false 4 9",
    ];
    assert_eq!(harness.lines(), expected);
    // What a batch undoes itself is not seen; what is not there cannot go.
    give(
        &mut harness,
        &[insert(7, 35), (RowKind::Delete, (7, 0, Some(35))), (RowKind::Delete, (9, 0, Some(1)))],
    );
    assert_eq!(harness.lines(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn results_are_those_of_the_rows_that_are_there(steps in steps(), descending: bool, run_rows in 1_usize..6) {
        for calls in all_sets() {
            check(&calls, descending, true, run_rows, &steps);
            check(&calls, descending, false, run_rows, &steps);
        }
    }

    #[test]
    fn rows_may_be_on_disk(steps in steps(), run_rows in 1_usize..6) {
        let calls = all_sets().pop().unwrap();
        Backing::Disk(5_000).with(|| check(&calls, false, true, run_rows, &steps));
        Backing::Disk(0).with(|| check(&neighbours(), true, true, run_rows, &steps));
    }

    /// Rows in their order, and in the reverse: runs are cut again and again at one end.
    #[test]
    fn runs_grow_at_their_ends(sizes in vec(1_usize..9, 1..8), falls: bool) {
        let mut value = 0;
        let mut next = |_: usize| {
            value += if falls { -1 } else { 1 };
            (false, 0, Some(value))
        };
        let steps: Vec<Vec<Change>> = sizes.iter().map(|size| (0..*size).map(&mut next).collect()).collect();
        for calls in [neighbours(), running(), moving()] {
            check(&calls, false, false, 3, &steps);
        }
    }

    #[test]
    fn partitions_survive_a_change_of_parallelism(
        before in vec((0_u8..6, proptest::option::weighted(0.9, 0_i32..6)), 1..40),
        after in vec((0_u8..6, proptest::option::weighted(0.9, 0_i32..6)), 1..40),
        from in 1_u32..4,
        to in 1_u32..4,
    ) {
        let calls = all_sets().pop().unwrap();
        let of_spec = spec(false, calls.clone(), false);
        let mut there = BTreeMap::new();
        let mut rows: Vec<Row> = Vec::new();
        let mut part = |keys: &[(u8, Option<i32>)], saved: &[Saved], parallelism: u32| -> Vec<Saved> {
            let first = rows.len();
            rows.extend(keys.iter().zip(first + 1..).map(|((key, value), id)| (id, *key, *value)));
            let mut new = Vec::new();
            for index in 0..parallelism {
                let subtask = (index, parallelism);
                let spec = of_spec.clone();
                let make = move || -> Box<dyn crate::Operator> { Box::new(create(&input(), &spec, 3)) };
                let mut harness = Harness::restored(2, make, saved, subtask);
                let own = rows[first..].iter().filter(|row| owns(&format!("k{}", row.1), subtask));
                let own: Vec<(RowKind, Row)> = own.map(|row| (RowKind::Insert, *row)).collect();
                if !own.is_empty() {
                    give(&mut harness, &own);
                }
                fold(harness.lines(), &mut there);
                new.push(harness.snapshot());
            }
            new
        };
        let saved = part(&before, &[], from);
        part(&after, &saved, to);
        prop_assert_eq!(lines_of(&there), model(&calls, false, &rows), "from {} to {} subtasks", from, to);
    }
}

/// `CUME_DIST() OVER (PARTITION BY cat ORDER BY cat)`: nothing is kept of a row but that it is there.
#[test]
fn rows_of_which_the_partition_alone_is_read() {
    let input = schema("cat STRING");
    let spec = OverPartitionSpec {
        partition: vec![0],
        order: vec![SortKey { column: 0, descending: false, nulls_first: true }],
        calls: vec![
            framed(call(Ntile { parts: 2 }, &[], SqlType::BigInt), RANGE, None, Some(0)),
            framed(call(CumeDist, &[], SqlType::Double), RANGE, None, Some(0)),
        ],
        columns: vec![0],
        input_retracts: true,
        emit_update_before: true,
    };
    let for_harness = input.clone();
    let mut harness = Harness::new(100, move || Box::new(create(&for_harness, &spec, 2)));
    let mut send = |kinds: &[RowKind]| {
        let rows: Vec<(RowKind, Vec<&str>)> = kinds.iter().map(|kind| (*kind, vec!["a"])).collect();
        harness.batch(batch(&input, &rows));
        harness.recover();
        harness.lines()
    };
    assert_eq!(send(&[RowKind::Insert; 3]), ["+I a 1 1.0", "+I a 1 1.0", "+I a 2 1.0"]);
    assert_eq!(send(&[RowKind::Delete]), ["-D a 1 1.0"]);
    let moved = ["-D a 1 1.0", "-U a 2 1.0", "+U a 1 1.0", "+I a 2 1.0"];
    assert_eq!(send(&[RowKind::UpdateBefore, RowKind::UpdateAfter]), moved);
    assert_eq!(send(&[RowKind::Delete; 3]), ["-D a 1 1.0", "-D a 2 1.0"]);
}

/// Over `id INT, d DOUBLE`, all rows one partition in the order of id.
fn rounded(
    function: weir_types::AggregateFunction,
    units: FrameUnits,
    start: i128,
    end: Option<i128>,
) -> OverPartitionSpec {
    OverPartitionSpec {
        partition: vec![],
        order: vec![SortKey { column: 0, descending: false, nulls_first: true }],
        calls: vec![framed(call(function, &[1], SqlType::Double), units, Some(start), end)],
        columns: vec![0],
        input_retracts: true,
        emit_update_before: true,
    }
}

fn doubles(rows: &[(RowKind, i32, &str)]) -> weir_types::ChangelogBatch {
    let ids: Vec<String> = rows.iter().map(|(_, id, _)| id.to_string()).collect();
    let rows: Vec<(RowKind, Vec<&str>)> =
        rows.iter().zip(&ids).map(|((kind, _, d), id)| (*kind, vec![id.as_str(), *d])).collect();
    batch(&schema("id INT, d DOUBLE"), &rows)
}

fn results_of(spec: &OverPartitionSpec, batches: &[Vec<(RowKind, i32, &str)>]) -> Vec<String> {
    let spec = spec.clone();
    let mut harness = Harness::new(100, move || Box::new(create(&schema("id INT, d DOUBLE"), &spec, 2)));
    let mut there = BTreeMap::new();
    for rows in batches {
        harness.batch(doubles(rows));
        fold(harness.lines(), &mut there);
    }
    lines_of(&there)
}

#[test]
fn rounded_sums_are_those_of_the_rows_of_the_frame() {
    let add = |id: i32, d: &'static str| (RowKind::Insert, id, d);
    let sums = rounded(Sum, ROWS, -1, Some(0));
    let batches = [vec![add(10, "0.1"), add(20, "0.2"), add(30, "0.5")], vec![add(25, "1.0")]];
    assert_eq!(results_of(&sums, &batches), ["10 0.1", "20 0.30000000000000004", "25 1.2", "30 1.5"]);
    let large = [vec![add(1, "1e20"), add(2, "1"), add(3, "2")]];
    assert_eq!(results_of(&sums, &large), ["1 1e20", "2 1e20", "3 3.0"]);
    let endless = [vec![add(1, "inf"), add(2, "1"), add(3, "2"), add(4, "NULL")]];
    assert_eq!(results_of(&sums, &endless), ["1 inf", "2 inf", "3 3.0", "4 2.0"]);
}

#[test]
fn a_decimal_sum_that_was_out_of_range_is_right_again_once_the_values_have_left() {
    let input = schema("id INT, d DECIMAL(38,0)");
    let sum = call(Sum, &[1], SqlType::Decimal { precision: 38, scale: 0 });
    let mut of_decimals = rounded(Sum, ROWS, -1, Some(0));
    of_decimals.calls = vec![framed(sum, ROWS, Some(-1), Some(0))];
    let for_harness = input.clone();
    let mut harness = Harness::new(100, move || Box::new(create(&for_harness, &of_decimals, 2)));
    let large = "9".repeat(38);
    let rows = [["1", &large], ["2", "1"], ["3", "2"], ["4", "3"]];
    harness.batch(batch(&input, &rows.map(|row| (RowKind::Insert, row.to_vec()))));
    let expected = [format!("+I 1 {large}"), "+I 2 NULL".into(), "+I 3 3".into(), "+I 4 5".into()];
    assert_eq!(harness.lines(), expected);
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    /// However rows came and went, what stands is what it would be had they come at once; and what is taken back was given.
    #[test]
    fn rounded_results_depend_on_rows_alone(
        steps in vec(vec((proptest::bool::weighted(0.4), 0_i32..12, 0_usize..6), 1..6), 1..8),
        start in -3_i128..2,
        length in 0_i128..4,
        units in proptest::sample::select(vec![ROWS, RANGE]),
        distinct: bool,
        to_the_end: bool,
    ) {
        const VALUES: [&str; 6] = ["0.1", "0.2", "0.7", "1e20", "-1e20", "NULL"];
        for function in [Sum, Avg, VarPop] {
            let mut spec = rounded(function, units, start, (!to_the_end).then_some(start + length));
            spec.calls[0].call.distinct = distinct;
            let mut there: Vec<(i32, &str)> = Vec::new();
            let mut batches = Vec::new();
            for step in &steps {
                let mut rows = Vec::new();
                for (takes_back, id, value) in step {
                    match there.iter().position(|(known, _)| known == id) {
                        Some(place) if *takes_back => {
                            let (id, value) = there.remove(place);
                            rows.push((RowKind::Delete, id, value));
                        }
                        Some(_) => {}
                        None => {
                            there.push((*id, VALUES[*value]));
                            rows.push((RowKind::Insert, *id, VALUES[*value]));
                        }
                    }
                }
                if !rows.is_empty() {
                    batches.push(rows);
                }
            }
            let at_once: Vec<_> = there.iter().map(|(id, d)| (RowKind::Insert, *id, *d)).collect();
            let at_once = if at_once.is_empty() { vec![] } else { vec![at_once] };
            prop_assert_eq!(results_of(&spec, &batches), results_of(&spec, &at_once));
        }
    }
}
