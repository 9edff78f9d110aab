//! Joins that event time bounds: random rows against joins of all that was in time.

use crate::event_script::{Harness, batch, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::sync::Arc;
use weir_types::{
    ChangelogMode, Exchange, Input, JobSettings, JoinKind, NodeIndex, OperatorId, OperatorNode, OperatorSpec,
    Parallelism, RowKind, TimedJoinBy, TimedJoinSpec, Watermark,
};

fn input() -> SchemaRef {
    schema("k STRING, ts TIMESTAMP(3), v INT")
}

fn create(kind: JoinKind, by: TimedJoinBy) -> Box<dyn Operator> {
    create_by(kind, by, false)
}

fn create_by(kind: JoinKind, by: TimedJoinBy, by_clock: bool) -> Box<dyn Operator> {
    let input = input();
    let mut fields = vec![input.field(0).clone(), input.field(2).clone().with_name("lv")];
    if !kind.is_left_only() {
        fields.push(input.field(2).clone().with_name("rv"));
    }
    // Rows of one window have its end as a key.
    let keys = if by == TimedJoinBy::Window { vec![0, 1] } else { vec![0] };
    let spec = TimedJoinSpec {
        kind,
        by,
        left_keys: keys.clone(),
        right_keys: keys,
        nulls_match: false,
        left_time: 1,
        right_time: 1,
        by_clock,
        condition: None,
        left_columns: vec![0, 2],
        right_columns: if kind.is_left_only() { vec![] } else { vec![2] },
    };
    let side = |node| Input { node: NodeIndex(node), exchange: Exchange::Forward };
    let node = OperatorNode {
        id: OperatorId::new("join"),
        label: "Join".to_string(),
        spec: OperatorSpec::TimedJoin(spec),
        inputs: vec![side(0), side(1)],
        schema: Arc::new(Schema::new(fields)),
        changelog: ChangelogMode::INSERT_ONLY,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, &[input.clone(), input], &JobSettings::default()).unwrap()
}

/// key, time, value, which is another one for each row
#[derive(Clone, Copy, Debug)]
struct Row {
    key: Option<u8>,
    time: i64,
    value: usize,
    deletes: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Rows(bool, Vec<(Option<u8>, i64, bool)>),
    Watermark(i64),
    Recover,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let row = (proptest::option::weighted(0.9, 0_u8..3), 0_i64..30, proptest::bool::weighted(0.2));
    let event = prop_oneof![
        5 => (any::<bool>(), vec(row, 1..8)).prop_map(|(side, rows)| Event::Rows(side, rows)),
        3 => (0_i64..30).prop_map(Event::Watermark),
        1 => Just(Event::Recover),
    ];
    vec(event, 1..20)
}

fn key(row: &Row) -> String {
    row.key.map_or("NULL".to_string(), |key| format!("k{key}"))
}

/// A left row beside right ones, by value; the rest of a join of `kind` with the pairs that there are.
fn lines(kind: JoinKind, left: &[Row], right: &[Row], matches: &dyn Fn(&Row, &Row) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    for l in left {
        let found: Vec<&Row> = right.iter().filter(|r| matches(l, r)).collect();
        match kind {
            JoinKind::LeftSemi if !found.is_empty() => lines.push(format!("+I {} {}", key(l), l.value)),
            JoinKind::LeftAnti if found.is_empty() => lines.push(format!("+I {} {}", key(l), l.value)),
            JoinKind::LeftSemi | JoinKind::LeftAnti => {}
            _ if found.is_empty() && kind.keeps_left() => {
                lines.push(format!("+I {} {} NULL", key(l), l.value))
            }
            _ => lines.extend(found.iter().map(|r| format!("+I {} {} {}", key(l), l.value, r.value))),
        }
    }
    let alone = right.iter().filter(|r| kind.keeps_right() && !left.iter().any(|l| matches(l, r)));
    lines.extend(alone.map(|r| format!("+I NULL NULL {}", r.value)));
    lines.sort();
    lines
}

/// All rows with the watermark under which each came, and the watermarks that were handed on.
struct Seen {
    rows: [Vec<(Row, i64)>; 2],
    out: Vec<String>,
}

fn run(kind: JoinKind, by: TimedJoinBy, batch_rows: usize, events: &[Event]) -> Seen {
    let mut harness = Harness::new(batch_rows, move || create(kind, by));
    let mut seen = Seen { rows: [vec![], vec![]], out: vec![] };
    let mut progress = i64::MIN;
    let mut value = 0;
    for event in events.iter().cloned().chain([Event::Watermark(i64::MAX)]) {
        match event {
            Event::Rows(is_right, rows) => {
                let mut texts: Vec<(RowKind, [String; 3])> = Vec::new();
                for (row_key, time, deletes) in rows {
                    // The version of a late row may be forgotten.
                    if by == TimedJoinBy::Version && !is_right && time <= progress {
                        continue;
                    }
                    value += 1;
                    let deletes = deletes && is_right && by == TimedJoinBy::Version;
                    let row = Row { key: row_key, time, value, deletes };
                    let kind = if deletes { RowKind::Delete } else { RowKind::Insert };
                    texts.push((kind, [key(&row), time.to_string(), value.to_string()]));
                    seen.rows[usize::from(is_right)].push((row, progress));
                }
                let rows: Vec<(RowKind, Vec<&str>)> = texts
                    .iter()
                    .map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect()))
                    .collect();
                if !rows.is_empty() {
                    harness.batch_of_input(usize::from(is_right), batch(&input(), &rows));
                }
            }
            Event::Watermark(watermark) if watermark > progress => {
                progress = watermark;
                // What a watermark makes due comes in parts, and a restart may be between any two of them.
                while !harness.watermark_in_part(Watermark(watermark), 0) {
                    if batch_rows % 2 == 1 {
                        harness.recover();
                    }
                }
            }
            Event::Watermark(_) => {}
            Event::Recover => harness.recover(),
        }
    }
    let out = harness.lines();
    seen.out = out.into_iter().filter(|line| !line.starts_with("watermark")).collect();
    seen
}

const KINDS: [JoinKind; 6] = [
    JoinKind::Inner,
    JoinKind::Left,
    JoinKind::Right,
    JoinKind::Full,
    JoinKind::LeftSemi,
    JoinKind::LeftAnti,
];

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    /// A time is the end of a window: its rows are late once the watermark is at the millisecond before it.
    #[test]
    fn windows_join_what_was_in_time(events in events(), batch_rows in 1_usize..5) {
        for kind in KINDS {
            let seen = run(kind, TimedJoinBy::Window, batch_rows, &events);
            let in_time = |side: usize| -> Vec<Row> {
                let rows = seen.rows[side].iter().filter(|(row, progress)| row.time - 1 > *progress);
                rows.map(|(row, _)| *row).collect()
            };
            let matches = |l: &Row, r: &Row| l.key.is_some() && l.key == r.key && l.time == r.time;
            let expected = lines(kind, &in_time(0), &in_time(1), &matches);
            prop_assert_eq!(sorted(seen.out), expected, "{:?}", kind);
        }
    }

    /// A row is kept while the watermark is below the last time that it could meet, and gone once it is above.
    #[test]
    fn intervals_join_what_is_near(events in events(), batch_rows in 1_usize..5) {
        for (lower_ms, upper_ms) in [(-5, 3), (0, 0), (2, 6), (-6, -2)] {
            for kind in KINDS.into_iter().filter(|kind| !kind.is_left_only()) {
                let seen = run(kind, TimedJoinBy::Interval { lower_ms, upper_ms }, batch_rows, &events);
                let rows = |side: usize| -> Vec<Row> { seen.rows[side].iter().map(|(row, _)| *row).collect() };
                let came = |side: usize, row: &Row| {
                    seen.rows[side].iter().find(|(known, _)| known.value == row.value).unwrap().1
                };
                let matches = |l: &Row, r: &Row| {
                    let near = l.key.is_some() && l.key == r.key && (lower_ms..=upper_ms).contains(&(r.time - l.time));
                    // The one that came first must have been kept, and not be gone when the other came.
                    let (first, last_meeting, second) = match l.value < r.value {
                        true => (came(0, l), l.time + upper_ms, came(1, r)),
                        false => (came(1, r), r.time - lower_ms, came(0, l)),
                    };
                    near && first < last_meeting && second <= last_meeting
                };
                let expected = lines(kind, &rows(0), &rows(1), &matches);
                prop_assert_eq!(sorted(seen.out), expected, "{:?} {} {}", kind, lower_ms, upper_ms);
            }
        }
    }

    /// Every left row sees the versions that came before the watermark reached it.
    #[test]
    fn versions_are_those_of_the_time(events in events(), batch_rows in 1_usize..5) {
        for kind in [JoinKind::Inner, JoinKind::Left] {
            let seen = run(kind, TimedJoinBy::Version, batch_rows, &events);
            let mut expected = Vec::new();
            for (l, came) in &seen.rows[0] {
                // The watermark that makes the row due is the first above its arrival that is not below its time.
                let due = seen.rows.iter().flatten().filter(|(row, at)| row.value > l.value && *at > *came && *at >= l.time);
                let first_after = due.map(|(row, _)| row.value).min();
                let versions = seen.rows[1].iter().filter(|(r, _)| {
                    l.key.is_some() && r.key == l.key && r.time <= l.time && first_after.is_none_or(|end| r.value < end)
                });
                let version = versions.max_by_key(|(r, _)| (r.time, r.value)).filter(|(r, _)| !r.deletes);
                match version {
                    Some((r, _)) => expected.push(format!("+I {} {} {}", key(l), l.value, r.value)),
                    None if kind == JoinKind::Left => expected.push(format!("+I {} {} NULL", key(l), l.value)),
                    None => {}
                }
            }
            prop_assert_eq!(sorted(seen.out), sorted(expected), "{:?}", kind);
        }
    }
}

#[test]
fn rows_of_the_clock_meet_those_that_came_lately() {
    let by = TimedJoinBy::Interval { lower_ms: -5_000, upper_ms: 1_000 };
    let input = input();
    let mut harness = Harness::new(4, move || create_by(JoinKind::Full, by, true));
    let row = |value: &'static str| batch(&input, &[(RowKind::Insert, vec!["k", "NULL", value])]);
    harness.time(10_000);
    harness.batch_of_input(1, row("1"));
    harness.time(15_000);
    harness.batch_of_input(0, row("2"));
    assert_eq!(harness.lines(), ["+I k 2 1"], "five seconds are near enough");
    // The watermark says nothing of the clock.
    harness.watermark(Watermark(1_000_000));
    assert_eq!(harness.lines(), [] as [&str; 0]);
    harness.recover();
    harness.time(15_001);
    harness.batch_of_input(0, row("3"));
    assert_eq!(harness.lines(), [] as [&str; 0]);
    harness.time(16_000);
    harness.batch_of_input(1, row("4"));
    assert_eq!(harness.lines(), ["+I k 2 4", "+I k 3 4"]);
    harness.time(20_000);
    harness.batch_of_input(0, row("5"));
    assert_eq!(harness.lines(), ["+I k 5 4"]);
    harness.time(40_000);
    harness.batch_of_input(0, row("6"));
    harness.batch_of_input(1, row("7"));
    harness.recover();
    harness.time(41_001);
    harness.batch_of_input(1, row("8"));
    harness.time(60_000);
    assert_eq!(harness.lines(), ["+I k 6 7", "+I NULL NULL 8"]);
}
