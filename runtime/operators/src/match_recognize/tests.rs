//! MATCH_RECOGNIZE: exact output of small cases, and random rows against matches found by trying each row as a first one.

use crate::event_script::{Harness, Saved, batch, run_script, schema};
use crate::{Operator, create_operator};
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion_expr::Operator as Sign;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Column, lit};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    AfterMatch, AggregateCall, AggregateFunction, ChangelogMode, Exchange, Input, JobSettings, KeyEncoder,
    KeyGroupRange, MatchExpressions, MatchRow, MatchRows, MatchSpec, MatchValue, NodeIndex, OperatorId,
    OperatorNode, OperatorSpec, Parallelism, PatternVariable, RowKind, SortKey, SqlType, Watermark,
};

fn input() -> SchemaRef {
    schema("k STRING, ts TIMESTAMP(3), v INT")
}

fn create(spec: MatchSpec) -> Box<dyn Operator> {
    let input = input();
    let mut fields: Vec<Field> = spec.partition.iter().map(|column| input.field(*column).clone()).collect();
    fields.push(SqlType::Int.to_field("first", true));
    fields.push(SqlType::Int.to_field("last", true));
    fields.push(SqlType::BigInt.to_field("rows", true));
    fields.push(SqlType::Timestamp(3).to_field("at", true));
    let node = OperatorNode {
        id: OperatorId::new("match"),
        label: "Match".to_string(),
        spec: OperatorSpec::Match(spec),
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema: Arc::new(Schema::new(fields)),
        changelog: ChangelogMode::INSERT_ONLY,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, &[input], &JobSettings::default()).unwrap()
}

/// Column `v` of a row.
fn v(rows: MatchRows, from_first: bool, offset: u32) -> MatchValue {
    MatchValue::Row { row: MatchRow { rows, from_first, offset }, column: 2 }
}

fn column(place: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new("value", place))
}

fn compare(left: Arc<dyn PhysicalExpr>, sign: Sign, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, sign, right))
}

fn aggregate(function: AggregateFunction, rows: MatchRows, result: SqlType) -> MatchValue {
    let output = Arc::new(result.to_field("aggregate", true));
    let arguments = if function == AggregateFunction::Count { vec![] } else { vec![2] };
    MatchValue::Aggregate {
        rows,
        call: AggregateCall { function, arguments, distinct: false, filter: None, output },
    }
}

/// FIRST(v), LAST(v), COUNT(*), MATCH_ROWTIME()
fn measures() -> MatchExpressions {
    let at = Arc::new(SqlType::Timestamp(3).to_field("at", false));
    let values = vec![
        v(MatchRows::All, true, 0),
        v(MatchRows::All, false, 0),
        aggregate(AggregateFunction::Count, MatchRows::All, SqlType::BigInt),
        MatchValue::Time(at),
    ];
    MatchExpressions { values, expressions: (0..4).map(column).collect() }
}

/// What a variable of a test asks of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Anything,
    /// v > n
    Above(i32),
    /// v <= n
    UpTo(i32),
    /// v > the v of the row before, if the variable has one already
    Grows(usize),
    /// v < the last v of another variable
    Below(usize),
    /// SUM(v) of the variable, with this row, < n
    SumBelow(usize, i32),
}

fn condition(ask: Ask) -> Option<MatchExpressions> {
    let own = v(MatchRows::All, false, 0);
    let (values, expression) = match ask {
        Ask::Anything => return None,
        Ask::Above(n) => (vec![own], compare(column(0), Sign::Gt, lit(n))),
        Ask::UpTo(n) => (vec![own], compare(column(0), Sign::LtEq, lit(n))),
        Ask::Grows(variable) => {
            let before = v(MatchRows::Variable(variable), false, 1);
            let is_first: Arc<dyn PhysicalExpr> =
                datafusion_physical_expr::expressions::is_null(column(1)).unwrap();
            let grows = compare(column(0), Sign::Gt, column(1));
            (vec![own, before], compare(is_first, Sign::Or, grows))
        }
        Ask::Below(variable) => {
            let other = v(MatchRows::Variable(variable), false, 0);
            (vec![own, other], compare(column(0), Sign::Lt, column(1)))
        }
        Ask::SumBelow(variable, n) => {
            let sum = aggregate(AggregateFunction::Sum, MatchRows::Variable(variable), SqlType::Int);
            (vec![sum], compare(column(0), Sign::Lt, lit(n)))
        }
    };
    Some(MatchExpressions { values, expressions: vec![expression] })
}

/// A variable, its least and greatest number of rows, and what it asks.
type Part = (u32, Option<u32>, Ask);

fn spec(parts: &[Part], after: AfterMatch, within_ms: Option<i64>) -> MatchSpec {
    let variable = |(place, (min, max, ask)): (usize, &Part)| PatternVariable {
        name: char::from(b'A' + place as u8).to_string(),
        min: *min,
        max: *max,
        greedy: true,
        condition: condition(*ask),
    };
    MatchSpec {
        partition: vec![0],
        rowtime: Some(1),
        order: vec![],
        variables: parts.iter().enumerate().map(variable).collect(),
        after,
        within_ms,
        measures: measures(),
    }
}

const ONE: Option<u32> = Some(1);

#[test]
fn a_fall_and_a_rise() {
    // PATTERN (A B+ C), B falls: v < the last one of B, or of A; told here as v < 10 and above.
    let parts = [(1, ONE, Ask::Anything), (1, None, Ask::UpTo(10)), (1, ONE, Ask::Above(20))];
    run_script("match_past_last_row", move |_| create(spec(&parts, AfterMatch::SkipPastLastRow, None)));
    run_script("match_next_row", move |_| create(spec(&parts, AfterMatch::SkipToNextRow, None)));
    run_script("match_to_last", move |_| create(spec(&parts, AfterMatch::SkipToLast(1), None)));
}

#[test]
fn a_match_waits_for_an_earlier_one() {
    let parts = [(1, ONE, Ask::Above(5)), (0, None, Ask::Anything), (1, ONE, Ask::Below(0))];
    run_script("match_within", move |_| {
        let mut matches = spec(&parts, AfterMatch::SkipPastLastRow, Some(3_000));
        matches.variables[1].greedy = false;
        create(matches)
    });
}

#[test]
fn rows_of_the_same_time_have_an_order() {
    run_script("match_order", |_| {
        let order = vec![SortKey { column: 2, descending: true, nulls_first: false }];
        let parts = [(1, ONE, Ask::Anything), (1, ONE, Ask::Below(0))];
        let matches = spec(&parts, AfterMatch::SkipPastLastRow, None);
        create(MatchSpec { order, partition: vec![], ..matches })
    });
}

#[test]
fn by_processing_time_matches_come_with_their_last_rows() {
    run_script("match_proctime", |_| {
        let parts = [(1, ONE, Ask::Above(5)), (1, ONE, Ask::UpTo(5))];
        let matches = spec(&parts, AfterMatch::SkipPastLastRow, Some(1_000));
        create(MatchSpec { rowtime: None, partition: vec![], ..matches })
    });
}

fn fails(after: AfterMatch, parts: &[Part]) -> String {
    let (input, spec) = (input(), spec(parts, after, None));
    let mut harness = Harness::new(8, move || create(spec.clone()));
    let rows = [["a", "1", "9"], ["a", "2", "3"]];
    let rows: Vec<_> = rows.iter().map(|row| (RowKind::Insert, row.to_vec())).collect();
    harness.batch(batch(&input, &rows));
    harness.watermark_error(Watermark::MAX)
}

#[test]
fn a_match_that_leaves_no_place_to_go_on_fails() {
    let parts = [(1, ONE, Ask::Above(5)), (0, ONE, Ask::Above(5)), (1, ONE, Ask::UpTo(5))];
    let error = fails(AfterMatch::SkipToFirst(0), &parts);
    assert!(error.contains("SKIP TO FIRST A") && error.contains("began with"), "{error}");
    let error = fails(AfterMatch::SkipToLast(1), &parts);
    assert!(error.contains("SKIP TO LAST B") && error.contains("no row of B"), "{error}");
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
    let row = (0_u8..3, 0_i64..30, proptest::option::weighted(0.9, 0_i32..6));
    let event = prop_oneof![
        5 => vec(row, 1..12).prop_map(Event::Rows),
        3 => (0_i64..30).prop_map(Event::Watermark),
        1 => Just(Event::Recover),
    ];
    vec(event, 1..20)
}

/// Whether a variable takes a row, where `taken` are the rows of each variable so far.
fn takes(ask: Ask, taken: &[Vec<Option<i32>>], value: Option<i32>) -> bool {
    match ask {
        Ask::Anything => true,
        Ask::Above(n) => value.is_some_and(|value| value > n),
        Ask::UpTo(n) => value.is_some_and(|value| value <= n),
        Ask::Grows(variable) => match taken[variable].last() {
            None | Some(None) => true,
            Some(before) => value.is_some() && value > *before,
        },
        Ask::Below(variable) => match taken[variable].last() {
            Some(Some(other)) => value.is_some_and(|value| value < *other),
            _ => false,
        },
        Ask::SumBelow(variable, n) => {
            let values: Vec<i32> = taken[variable].iter().copied().chain([value]).flatten().collect();
            !values.is_empty() && values.iter().sum::<i32>() < n
        }
    }
}

/// What becomes of a match that begins with the first of `rows`.
#[derive(Debug, PartialEq)]
enum Fate {
    /// so many rows
    Complete(usize, Vec<usize>),
    /// at this time it is known that there is none
    Over(i64),
    /// rows that are yet to come would decide
    Open,
}

/// Greedy patterns go one way only: a row goes to the variable at hand if that takes it, else to the next one.
fn try_first(parts: &[Part], within: Option<i64>, rows: &[Row]) -> Fate {
    let mut taken: Vec<Vec<Option<i32>>> = vec![vec![]; parts.len()];
    let mut at = 0;
    let overdue = within.map(|within| rows[0].1 + within);
    for (number, (_, time, value)) in rows.iter().enumerate() {
        if overdue.is_some_and(|overdue| *time >= overdue) {
            return Fate::Over(*time);
        }
        let insists = |part: &Part| part.1 != Some(part.0);
        loop {
            let (min, max, ask) = parts[at];
            let count = taken[at].len() as u32;
            let takes_it = takes(ask, &taken, *value);
            if max.is_none_or(|max| count < max) && takes_it {
                taken[at].push(*value);
                break;
            }
            // A greedy variable that is full keeps its rows from the next one all the same.
            if count < min || at + 1 == parts.len() || (takes_it && insists(&parts[at])) {
                return Fate::Over(*time);
            }
            at += 1;
        }
        let (last_min, last_max, _) = parts[parts.len() - 1];
        let last = taken[parts.len() - 1].len() as u32;
        if last_max == Some(last_min) && last == last_min {
            return Fate::Complete(number + 1, taken.iter().map(Vec::len).collect());
        }
    }
    Fate::Open
}

/// `first last rows at` of each match, in order; rows come in order of time.
fn find(parts: &[Part], after: AfterMatch, within: Option<i64>, rows: &[Row]) -> Vec<String> {
    let mut found = vec![];
    let (mut start, mut known_at) = (0, i64::MIN);
    while start < rows.len() {
        match try_first(parts, within, &rows[start..]) {
            Fate::Over(time) => {
                known_at = known_at.max(time);
                start += 1;
            }
            // Without a bound it may yet become a match, and those behind it wait.
            Fate::Open if within.is_none() => break,
            Fate::Open => {
                known_at = i64::MAX;
                start += 1;
            }
            Fate::Complete(count, of) => {
                let all = &rows[start..start + count];
                known_at = known_at.max(all[count - 1].1);
                let text = |value: Option<i32>| value.map_or("NULL".to_string(), |value| value.to_string());
                let at = if known_at == i64::MAX { "end".to_string() } else { known_at.to_string() };
                found.push(format!("{} {} {count} {at}", text(all[0].2), text(all[count - 1].2)));
                start += match after {
                    AfterMatch::SkipPastLastRow => count,
                    AfterMatch::SkipToNextRow => 1,
                    AfterMatch::SkipToFirst(variable) => of[..variable].iter().sum(),
                    AfterMatch::SkipToLast(variable) => of[..=variable].iter().sum::<usize>() - 1,
                };
            }
        }
    }
    found
}

fn check(parts: &[Part], after: AfterMatch, within: Option<i64>, batch_rows: usize, events: &[Event]) {
    let input = input();
    let for_harness = spec(parts, after, within);
    let mut harness = Harness::new(batch_rows, move || create(for_harness.clone()));
    let mut progress = i64::MIN;
    let mut in_time: BTreeMap<u8, Vec<Row>> = BTreeMap::new();
    for event in events.iter().cloned().chain([Event::Watermark(i64::MAX)]) {
        match event {
            Event::Rows(rows) => {
                for row in rows.iter().filter(|row| row.1 > progress) {
                    in_time.entry(row.0).or_default().push(*row);
                }
                let texts: Vec<[String; 3]> = rows
                    .iter()
                    .map(|(key, time, value)| {
                        let value = value.map_or("NULL".to_string(), |value| value.to_string());
                        [format!("k{key}"), time.to_string(), value]
                    })
                    .collect();
                let rows: Vec<(RowKind, Vec<&str>)> = texts
                    .iter()
                    .map(|row| (RowKind::Insert, row.iter().map(String::as_str).collect()))
                    .collect();
                harness.batch(batch(&input, &rows));
            }
            Event::Watermark(watermark) => {
                progress = progress.max(watermark);
                harness.watermark(Watermark(watermark));
            }
            Event::Recover => harness.recover(),
        }
    }
    let mut found: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for line in harness.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        // A match that time alone sets free comes with the watermark, whose steps are none of the model's.
        found.entry(words[1][1..].parse().unwrap()).or_default().push(words[2..5].join(" "));
    }
    let mut expected: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for (key, mut rows) in in_time {
        rows.sort_by_key(|row| row.1);
        let matches = find(parts, after, within, &rows);
        let matches = matches.into_iter().map(|text| text.rsplit_once(' ').unwrap().0.to_string());
        let matches: Vec<String> = matches.collect();
        if !matches.is_empty() {
            expected.insert(key, matches);
        }
    }
    assert_eq!(found, expected, "{parts:?} {after:?} {within:?}, batches of {batch_rows}");
}

/// Patterns that match the same rows in one way only.
fn patterns() -> Vec<Vec<Part>> {
    use Ask::*;
    vec![
        vec![(1, ONE, Above(2))],
        vec![(1, ONE, Anything), (1, ONE, Below(0))],
        vec![(1, ONE, Anything), (1, None, Above(2)), (1, ONE, UpTo(2))],
        vec![(1, ONE, Anything), (0, None, Grows(1)), (1, ONE, Below(0))],
        vec![(1, ONE, UpTo(3)), (1, Some(3), Above(1)), (1, ONE, Anything)],
        vec![(1, None, Grows(0)), (1, ONE, Anything)],
        vec![(1, ONE, Anything), (2, None, Above(1)), (2, Some(2), UpTo(4))],
        vec![(1, ONE, Anything), (1, None, SumBelow(1, 9)), (1, ONE, Anything)],
        vec![(3, Some(3), Above(0))],
    ]
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn matches_are_those_of_trying_each_row(events in events(), batch_rows in 1_usize..5) {
        for parts in patterns() {
            for after in [AfterMatch::SkipPastLastRow, AfterMatch::SkipToNextRow] {
                check(&parts, after, None, batch_rows, &events);
                check(&parts, after, Some(7), batch_rows, &events);
            }
            if parts.len() > 1 {
                let last = parts.len() - 1;
                check(&parts, AfterMatch::SkipToLast(last), None, batch_rows, &events);
                check(&parts, AfterMatch::SkipToFirst(last), Some(9), batch_rows, &events);
            }
        }
    }
}

/// Whether a row of this key comes to subtask `index` of `parallelism`.
fn is_of(key: u8, index: u32, parallelism: u32) -> bool {
    let keys: ArrayRef = Arc::new(StringArray::from(vec![format!("k{key}")]));
    let encoder = KeyEncoder::new(&[SqlType::STRING.data_type()]).unwrap();
    let groups = encoder.encode(&[keys], 1).unwrap().key_groups(128);
    let range = KeyGroupRange::of_subtask(128, parallelism, index);
    groups.into_iter().all(|group| range.contains(group))
}

fn feed(harness: &mut Harness, rows: &[Row], (index, parallelism): (u32, u32)) {
    let texts: Vec<[String; 3]> = rows
        .iter()
        .filter(|row| is_of(row.0, index, parallelism))
        .map(|(key, time, value)| {
            [format!("k{key}"), time.to_string(), value.map_or("NULL".to_string(), |value| value.to_string())]
        })
        .collect();
    let rows: Vec<(RowKind, Vec<&str>)> =
        texts.iter().map(|row| (RowKind::Insert, row.iter().map(String::as_str).collect())).collect();
    if !rows.is_empty() {
        harness.batch(batch(&input(), &rows));
    }
}

proptest! {
    #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

    /// A barrier comes in the middle of what a watermark sets off, and matches go on elsewhere.
    #[test]
    fn matches_survive_a_change_of_parallelism(
        rows in vec((0_u8..12, 0_i64..20, proptest::option::weighted(0.9, 0_i32..6)), 1..80),
        later in vec((0_u8..12, 20_i64..40, proptest::option::weighted(0.9, 0_i32..6)), 1..80),
        (from, to) in (1_u32..4, 1_u32..4),
        steps in 0_usize..4,
        within in proptest::option::of(2_i64..12),
    ) {
        let parts = [(1, ONE, Ask::Anything), (1, None, Ask::Grows(1)), (1, ONE, Ask::Below(1))];
        let run = move || create(spec(&parts, AfterMatch::SkipToLast(2), within));
        let mut whole = Harness::new(2, run);
        feed(&mut whole, &rows, (0, 1));
        whole.watermark(Watermark(19));
        feed(&mut whole, &later, (0, 1));
        whole.watermark(Watermark::MAX);
        let mut expected = whole.lines();
        let mut found = Vec::new();
        let saved: Vec<Saved> = (0..from)
            .map(|index| {
                let mut harness = Harness::restored(2, run, &[], (index, from));
                feed(&mut harness, &rows, (index, from));
                harness.watermark_in_part(Watermark(19), steps * (1 + index as usize));
                found.extend(harness.lines());
                harness.snapshot()
            })
            .collect();
        for index in 0..to {
            let mut harness = Harness::restored(2, run, &saved, (index, to));
            harness.watermark(Watermark(19));
            feed(&mut harness, &later, (index, to));
            harness.watermark(Watermark::MAX);
            found.extend(harness.lines());
        }
        expected.sort();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}
