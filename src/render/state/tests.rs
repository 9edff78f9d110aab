//! Drawings of descriptions that were written by hand.

use super::*;
use serde_json::json;

fn column(part: serde_json::Value, name: &str, sql_type: &str) -> serde_json::Value {
    json!({ "part": part, "name": name, "sql_type": sql_type, "nullable": true })
}

fn value(name: &str, sql_type: &str) -> serde_json::Value {
    column(json!("value"), name, sql_type)
}

fn key(name: &str, sql_type: &str) -> serde_json::Value {
    column(json!("key"), name, sql_type)
}

/// A state with a key group and these columns.
fn state(name: &str, kind: &str, parent: Option<&str>, columns: Vec<serde_json::Value>) -> serde_json::Value {
    let windowed = columns.iter().any(|column| column["part"] == "window_end");
    let mut all = vec![column(json!("key_group"), "key_group", "INT")];
    all.extend(columns);
    json!({
        "name": name, "kind": kind, "parent": parent, "namespace": if windowed { "Window" } else { "Void" },
        "ttl_ms": null, "window_ms": null, "columns": all,
    })
}

fn job(operators: serde_json::Value) -> JobDescription {
    serde_json::from_value(json!({ "job": "insert-into_sink", "key_groups": 128, "operators": operators }))
        .expect("a description")
}

fn operator(label: &str, states: Vec<serde_json::Value>, inputs: serde_json::Value) -> serde_json::Value {
    let ranges = match states.is_empty() {
        true => json!([]),
        false => json!([{ "start": 0, "end": 64 }, { "start": 64, "end": 128 }]),
    };
    json!({
        "id": "op", "label": label, "inputs": inputs, "parallelism": 2, "key_group_ranges": ranges,
        "keyed_states": states, "operator_states": [], "size": null,
    })
}

#[test]
fn an_entry_is_drawn_like_a_row_of_rocksdb() {
    let columns = vec![
        key("k", "BIGINT"),
        column(json!("window_start"), "window_start", "TIMESTAMP(3)"),
        column(json!("window_end"), "window_end", "TIMESTAMP(3)"),
        value("COUNT(*)", "BIGINT"),
        value("SUM(v)", "INT"),
    ];
    let windows = state("agg/accumulators", "Value", None, columns);
    let mut aggregate =
        operator("Agg(groupBy=[k])", vec![windows], json!([{ "operator": 0, "exchange": "hash[k]" }]));
    aggregate["size"] = json!({ "bounded": true, "sentence": "one row per key and window, dropped in time" });
    let source = operator("Scan(t)", vec![], json!([]));
    let text = job_state(&job(json!([source, aggregate])));
    let expected = "\
insert-into_sink
128 key groups

(1)  Scan(t)                                                                              2 subtasks
  │  hash[k]
(2)  Agg(groupBy=[k])                                                                     2 subtasks
     keeps one row per key and window, dropped in time

     column family agg/accumulators
     value state
     ┌───────────┬────────┬─────────────────────────────╥───────────────────┐
     │ key group │ key    │ namespace                   ║ value             │
     ├───────────┼────────┼──────────────┬──────────────╫──────────┬────────┤
     │ key_group │ k      │ window_start │ window_end   ║ COUNT(*) │ SUM(v) │
     │ INT       │ BIGINT │ TIMESTAMP(3) │ TIMESTAMP(3) ║ BIGINT   │ INT    │
     └───────────┴────────┴──────────────┴──────────────╨──────────┴────────┘
     key groups by subtask: 0: [0, 64)  1: [64, 128)
";
    assert_eq!(text, expected);
}

#[test]
fn a_wide_state_is_listed_column_by_column() {
    let names = ["COUNT(*) FILTER (WHERE price < 10000)", "COUNT(DISTINCT bidder)", "MAX(dateTime)"];
    let long =
        key(&"a very long expression, ".repeat(6), "ROW<`a` INT, `b` ARRAY<STRING NOT NULL>, `c` DATE>");
    let columns = std::iter::once(long).chain(names.iter().map(|name| value(name, "BIGINT")));
    let wide = state("agg/wide", "Value", None, columns.collect());
    let text = job_state(&job(json!([operator("Agg()", vec![wide], json!([]))])));
    assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
    let borders = text.lines().filter(|line| line.contains('│')).map(|line| line.width());
    assert!(borders.collect::<std::collections::BTreeSet<_>>().len() == 1, "{text}");
    assert!(text.contains("╞═══════════╪"), "{text}");
    assert!(text.contains("│ namespace │ "), "{text}");
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn maps_and_lists_say_what_they_hang_under() {
    let map_key = |level: u32, name: &str| column(json!({ "map_key": { "level": level } }), name, "INT");
    let columns = vec![key("k", "BIGINT"), map_key(1, "v")];
    let map = state("agg/distinct(v)", "Map", Some("agg/accumulators"), columns);
    let sequence = column(json!("sequence"), "sequence", "BIGINT");
    let columns = vec![key("k", "BIGINT"), map_key(1, "v"), sequence, value("x", "INT")];
    let list = state("agg/rows", "List", Some("agg/distinct(v)"), columns);
    let text = job_state(&job(json!([operator("Agg()", vec![map, list], json!([]))])));
    assert!(text.contains("map state under each entry of accumulators\n"), "{text}");
    assert!(text.contains("list state under each entry of distinct(v)\n"), "{text}");
    assert!(text.contains("│ key group │ key    │ namespace │ map key ║ value │\n"), "{text}");
    assert!(text.contains("│ sequence ║ x"), "{text}");
}

#[test]
fn entries_stand_below_their_columns() {
    let state = state("a/s", "Value", None, vec![key("word", "STRING"), value("COUNT(*)", "BIGINT")]);
    let state: StateDescription = serde_json::from_value(state).expect("a state");
    let entry = |cells: [&str; 3]| cells.map(String::from).to_vec();
    let entries =
        [entry(["7", "hello", "2"]), entry(["99", "a word that is much too long for its cell", "1"])];
    let expected = [
        "┌───────────┬────────────────────────────┬───────────╥──────────┐",
        "│ key group │ key                        │ namespace ║ value    │",
        "├───────────┼────────────────────────────┼───────────╫──────────┤",
        "│ key_group │ word                       │           ║ COUNT(*) │",
        "│ INT       │ STRING                     │ VOID      ║ BIGINT   │",
        "├───────────┼────────────────────────────┼───────────╫──────────┤",
        "│ 7         │ hello                      │           ║ 2        │",
        "│ 99        │ a word that is much too... │           ║ 1        │",
        "└───────────┴────────────────────────────┴───────────╨──────────┘",
    ];
    assert_eq!(entry::draw(&entry::sections(&state, &entries), 95), expected);
    let narrow = entry::draw(&entry::sections(&state, &entries), 50);
    assert!(narrow.iter().all(|line| line.width() <= 50), "{narrow:#?}");
    assert!(narrow.iter().any(|line| line == "(7, hello) -> (2)"), "{narrow:#?}");
}

#[test]
fn inputs_that_are_not_right_above_are_named() {
    let nothing = |label: &str, inputs| operator(label, vec![], inputs);
    let text = job_state(&job(json!([
        nothing("Scan(a)", json!([])),
        nothing("Scan(b)", json!([])),
        nothing(
            "Union(x)",
            json!([{ "operator": 0, "exchange": "forward" }, { "operator": 1, "exchange": "forward" }])
        ),
    ])));
    assert!(text.contains("  │  (1) Scan forward\n  │  (2) Scan forward\n(3)  Union(x)"), "{text}");
}

#[test]
fn many_subtasks_are_shortened() {
    let all: Vec<KeyGroupRange> = (0..64).map(|index| KeyGroupRange::of_subtask(128, 64, index)).collect();
    // a range is not broken at the end of a line
    assert_eq!(
        ranges(&all).replace('\u{a0}', " "),
        "0: [0, 2)  1: [2, 4)  2: [4, 6)  3: [6, 8)  4: [8, 10)  5: [10, 12)  ..  63: [126, 128)"
    );
}
