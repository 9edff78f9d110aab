//! Joins: exact changelogs of small cases, and random changelogs against a join of everything that is there.

use crate::event_script::{Harness, batch, schema};
use crate::{Operator, create_operator};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_expr::Operator::Lt;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Column};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    ChangelogMode, Exchange, Input, JobSettings, JoinKind, JoinSpec, NodeIndex, OperatorId, OperatorNode,
    OperatorSpec, Parallelism, RowKind,
};

const KINDS: [JoinKind; 6] = [
    JoinKind::Inner,
    JoinKind::Left,
    JoinKind::Right,
    JoinKind::Full,
    JoinKind::LeftSemi,
    JoinKind::LeftAnti,
];

/// What is known of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    Appends,
    Retracts,
    /// and rows have distinct values
    Unique,
}

fn input() -> SchemaRef {
    schema("k STRING, v INT")
}

/// `l.k = r.k`, with `l.v < r.v` if `condition`.
fn spec(kind: JoinKind, knowledge: Knowledge, condition: bool) -> JoinSpec {
    let less = || -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(Arc::new(Column::new("v", 1)), Lt, Arc::new(Column::new("v", 3))))
    };
    let unique = (knowledge == Knowledge::Unique).then(|| vec![0, 1]);
    JoinSpec {
        kind,
        left_keys: vec![0],
        right_keys: vec![0],
        nulls_match: false,
        condition: condition.then(less),
        left_columns: vec![0, 1],
        right_columns: if kind.is_left_only() { vec![] } else { vec![1, 0] },
        left_retracts: knowledge != Knowledge::Appends,
        right_retracts: knowledge != Knowledge::Appends,
        left_unique: unique.clone(),
        right_unique: unique,
        left_ttl_ms: None,
        right_ttl_ms: None,
    }
}

fn create(spec: &JoinSpec) -> Box<dyn Operator> {
    let input = input();
    let field = |name: &str, column: usize| input.field(column).clone().with_name(name);
    let mut fields = vec![field("lk", 0), field("lv", 1)];
    if !spec.kind.is_left_only() {
        fields.extend([field("rv", 1), field("rk", 0)]);
    }
    let side = |node| Input { node: NodeIndex(node), exchange: Exchange::Forward };
    let node = OperatorNode {
        id: OperatorId::new("join"),
        label: "Join".to_string(),
        spec: OperatorSpec::Join(spec.clone()),
        inputs: vec![side(0), side(1)],
        schema: Arc::new(Schema::new(fields)),
        changelog: ChangelogMode::ALL,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, &[input.clone(), input], &JobSettings::default()).unwrap()
}

fn harness(spec: JoinSpec, batch_rows: usize) -> Harness {
    Harness::new(batch_rows, move || create(&spec))
}

/// `L+I a 1`: a row of the left. Returns what each row brings about.
fn changes(spec: JoinSpec, events: &[&str]) -> Vec<String> {
    let mut harness = harness(spec, 8192);
    let mut lines = Vec::new();
    for event in events {
        let words: Vec<&str> = event[1..].split(' ').collect();
        let kinds = [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete];
        let kind = kinds.into_iter().find(|kind| kind.short() == words[0]).unwrap();
        let side = usize::from(event.starts_with('R'));
        harness.batch_of_input(side, batch(&input(), &[(kind, words[1..].to_vec())]));
        let changes = harness.lines();
        lines.push(if changes.is_empty() { "-".to_string() } else { changes.join("; ") });
    }
    lines
}

#[test]
fn inner_joins_hand_on_kinds() {
    let events = [
        "L+I a 1",
        "R+I a 7",
        "R+I a 8",
        "L+U a 2",
        "R-U a 7",
        "R+U b 7",
        "L+I NULL 1",
        "R+I NULL 1",
        "L-D a 1",
    ];
    assert_eq!(
        changes(spec(JoinKind::Inner, Knowledge::Retracts, false), &events),
        [
            "-",
            "+I a 1 7 a",
            "+I a 1 8 a",
            "+U a 2 7 a; +U a 2 8 a",
            "-U a 1 7 a; -U a 2 7 a",
            "-",
            "-",
            "-",
            "-D a 1 8 a"
        ]
    );
}

/// As Flink's operator, step by step.
#[test]
fn outer_joins_take_back_what_stood_beside_nulls() {
    let events = [
        "L+I a 1",
        "R+I a 7",
        "R+U a 8",
        "R-D a 7",
        "R-D a 8",
        "L-D a 1",
        "R+I b 2",
        "L+I NULL 3",
        "L-D NULL 3",
    ];
    assert_eq!(
        changes(spec(JoinKind::Left, Knowledge::Retracts, false), &events),
        [
            "+I a 1 NULL NULL",
            "-D a 1 NULL NULL; +I a 1 7 a",
            "+U a 1 8 a",
            "-D a 1 7 a",
            "-D a 1 8 a; +I a 1 NULL NULL",
            "-D a 1 NULL NULL",
            "-",
            "+I NULL 3 NULL NULL",
            "-D NULL 3 NULL NULL"
        ]
    );
    let events = ["L+I a 1", "R+I a 7", "L+I a 2", "L-D a 1", "R-D a 7", "R+I b 2", "L+I b 3"];
    assert_eq!(
        changes(spec(JoinKind::Full, Knowledge::Retracts, false), &events),
        [
            "+I a 1 NULL NULL",
            "-D a 1 NULL NULL; +I a 1 7 a",
            "+I a 2 7 a",
            "-D a 1 7 a",
            "-D a 2 7 a; +I a 2 NULL NULL",
            "+I NULL NULL 2 b",
            "-D NULL NULL 2 b; +I b 3 2 b"
        ]
    );
}

#[test]
fn semi_and_anti_joins_count_matches() {
    let events = ["L+I a 1", "R+I a 7", "R+I a 7", "R-D a 7", "L+I a 2", "R-D a 7", "L-D a 1"];
    assert_eq!(
        changes(spec(JoinKind::LeftSemi, Knowledge::Retracts, false), &events),
        ["-", "+I a 1", "-", "-", "+I a 2", "-D a 1; -D a 2", "-"]
    );
    assert_eq!(
        changes(spec(JoinKind::LeftAnti, Knowledge::Retracts, false), &events),
        ["+I a 1", "-D a 1", "-", "-", "-", "+I a 1; +I a 2", "-D a 1"]
    );
}

#[test]
fn equal_rows_count_each() {
    let events = ["L+I a 1", "L+I a 1", "R+I a 7", "L-D a 1", "R+I a 7", "R-D a 7"];
    assert_eq!(
        changes(spec(JoinKind::Inner, Knowledge::Retracts, false), &events),
        ["-", "-", "+I a 1 7 a; +I a 1 7 a", "-D a 1 7 a", "+I a 1 7 a", "-D a 1 7 a"]
    );
    let events = ["L+I a 1", "L+I a 1", "R+I a 7", "R+I a 7"];
    assert_eq!(
        changes(spec(JoinKind::Inner, Knowledge::Appends, false), &events),
        ["-", "-", "+I a 1 7 a; +I a 1 7 a", "+I a 1 7 a; +I a 1 7 a"]
    );
}

/// Places that were freed are given away in another order: values stay with their rows.
#[test]
fn rows_in_places_that_were_freed_keep_their_values() {
    let knows = JoinSpec {
        left_unique: Some(vec![0]),
        right_unique: Some(vec![0]),
        ..spec(JoinKind::Inner, Knowledge::Unique, false)
    };
    let mut harness = harness(knows, 8192);
    let keys: Vec<String> = (0..40).map(|key| format!("k{key}")).collect();
    let mut send = |side: usize, kind: RowKind, round: usize| {
        let values: Vec<String> = (0..keys.len()).map(|place| (1000 * round + place).to_string()).collect();
        let rows = keys.iter().zip(&values).map(|(key, value)| (kind, vec![key.as_str(), value.as_str()]));
        harness.batch_of_input(side, batch(&input(), &rows.collect::<Vec<_>>()));
        harness.lines()
    };
    for round in 0..4 {
        send(0, RowKind::Insert, round);
        let mut found = send(1, RowKind::Insert, round);
        let mut expected: Vec<String> = (0..keys.len())
            .map(|place| format!("+I k{place} {0} {0} k{place}", 1000 * round + place))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "round {round}");
        send(0, RowKind::Delete, round);
        send(1, RowKind::Delete, round);
    }
}

type Row = (Option<u8>, Option<i32>);

/// Which input, and its rows; a retraction takes back one that is there.
type Step = (bool, Vec<(bool, Row)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (proptest::option::weighted(0.9, 0_u8..3), proptest::option::weighted(0.9, 0_i32..4));
    vec((any::<bool>(), vec((proptest::bool::weighted(0.3), row), 1..8)), 1..14)
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or("NULL".to_string(), |value| value.to_string())
}

fn row_text(row: &Row) -> String {
    format!("{} {}", text(row.0), text(row.1))
}

/// All rows of the join of what is there.
fn model(kind: JoinKind, condition: bool, left: &[Row], right: &[Row]) -> BTreeMap<String, i64> {
    let matches = |l: &Row, r: &Row| {
        l.0.is_some() && l.0 == r.0 && (!condition || l.1.zip(r.1).is_some_and(|(l, r)| l < r))
    };
    let mut rows: BTreeMap<String, i64> = BTreeMap::new();
    let mut add = |row: String| *rows.entry(row).or_default() += 1;
    for l in left {
        let found: Vec<&Row> = right.iter().filter(|r| matches(l, r)).collect();
        match kind {
            JoinKind::LeftSemi if !found.is_empty() => add(row_text(l)),
            JoinKind::LeftAnti if found.is_empty() => add(row_text(l)),
            JoinKind::LeftSemi | JoinKind::LeftAnti => {}
            _ if found.is_empty() && kind.keeps_left() => add(format!("{} NULL NULL", row_text(l))),
            _ => found.iter().for_each(|r| add(format!("{} {} {}", row_text(l), text(r.1), text(r.0)))),
        }
    }
    for r in right {
        if kind.keeps_right() && !left.iter().any(|l| matches(l, r)) {
            add(format!("NULL NULL {} {}", text(r.1), text(r.0)));
        }
    }
    rows
}

fn fold(rows: &mut BTreeMap<String, i64>, lines: Vec<String>) {
    for line in lines {
        let (kind, row) = line.split_once(' ').unwrap();
        let count = rows.entry(row.to_string()).or_default();
        *count += if kind == "-U" || kind == "-D" { -1 } else { 1 };
        assert!(*count >= 0, "taken back more often than given: {line}");
    }
    rows.retain(|_, count| *count != 0);
}

/// What a row is on its way in: of an input that says what it knows of it.
fn admit(knowledge: Knowledge, rows: &mut Vec<Row>, retracts: bool, row: Row) -> Option<(RowKind, Row)> {
    let there = rows.iter().position(|known| *known == row);
    match (knowledge, retracts, there) {
        (Knowledge::Appends, _, _) | (Knowledge::Retracts, false, _) | (Knowledge::Unique, false, None) => {
            rows.push(row);
            Some((RowKind::Insert, row))
        }
        (Knowledge::Unique, false, Some(_)) | (_, true, None) => None,
        (_, true, Some(place)) => {
            rows.remove(place);
            Some((RowKind::Delete, row))
        }
    }
}

fn check(kind: JoinKind, knowledge: Knowledge, condition: bool, batch_rows: usize, steps: &[Step]) {
    let mut harness = harness(spec(kind, knowledge, condition), batch_rows);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut folded = BTreeMap::new();
    for (index, (is_right, rows)) in steps.iter().enumerate() {
        let side = if *is_right { &mut right } else { &mut left };
        let rows: Vec<(RowKind, Row)> =
            rows.iter().filter_map(|(retracts, row)| admit(knowledge, side, *retracts, *row)).collect();
        if rows.is_empty() {
            continue;
        }
        let texts: Vec<(RowKind, [String; 2])> =
            rows.iter().map(|(kind, row)| (*kind, [text(row.0), text(row.1)])).collect();
        let rows: Vec<(RowKind, Vec<&str>)> =
            texts.iter().map(|(kind, row)| (*kind, row.iter().map(String::as_str).collect())).collect();
        if index % 3 == 2 {
            harness.recover();
        }
        harness.batch_of_input(usize::from(*is_right), batch(&input(), &rows));
        fold(&mut folded, harness.lines());
        assert_eq!(folded, model(kind, condition, &left, &right), "{kind:?} {knowledge:?} after {index}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_result_is_the_join_of_what_is_there(steps in steps(), batch_rows in 1_usize..5) {
        for kind in KINDS {
            for knowledge in [Knowledge::Appends, Knowledge::Retracts, Knowledge::Unique] {
                for condition in [false, true] {
                    check(kind, knowledge, condition, batch_rows, &steps);
                }
            }
        }
    }
}
