//! Nexmark queries against what a real Flink answered: the final rows, as a multiset, at parallelism 1, 2 and 4, with state
//! in memory and in RocksDB, there with so little memory that most of it is on disk.

use crate::process::{lines_below, path, root, weir};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::SystemTime;

const DATA: &str = "tests/goldens/nexmark-100k";

/// Row count and SHA-256 of the sorted rows, each followed by a line feed.
fn digest(mut rows: Vec<String>) -> (usize, String) {
    rows.sort();
    let mut sha = Sha256::new();
    for row in &rows {
        sha.update(row.as_bytes());
        sha.update(b"\n");
    }
    (rows.len(), sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The final rows of a changelog in debezium-json, as the texts of its row objects.
fn folded(changes: Vec<String>) -> Vec<String> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for change in changes {
        let body = change.strip_prefix("{\"before\":").expect("a debezium-json row");
        let (row, step) = if let Some(after) = body.strip_prefix("null,\"after\":") {
            (after.strip_suffix(",\"op\":\"c\"}").expect("an insertion"), 1)
        } else {
            (body.strip_suffix(",\"after\":null,\"op\":\"d\"}").expect("a deletion"), -1)
        };
        *counts.entry(row.to_string()).or_default() += step;
    }
    let mut rows = Vec::new();
    for (row, count) in counts {
        assert!(count >= 0, "retracted more often than inserted: {row}");
        rows.extend(std::iter::repeat_n(row, usize::try_from(count).expect("a count")));
    }
    rows
}

fn expected(query: &str) -> (usize, String) {
    let text =
        std::fs::read_to_string(path("tests/goldens/nexmark-100k/expected.json")).expect("expected.json");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    let query = &summary["queries"][query];
    let rows = query["rows"].as_u64().expect("a golden query");
    (usize::try_from(rows).expect("fits"), query["sha256"].as_str().expect("a hash").to_string())
}

/// Settings of each state backend.
const BACKENDS: [&[&str]; 2] = [
    &["state.backend.type=hashmap"],
    &["state.backend.type=rocksdb", "state.backend.rocksdb.memory.fixed-per-slot=256 kb"],
];

/// Parallelism and settings of each way to run a query.
fn ways() -> impl Iterator<Item = (u32, &'static [&'static str])> {
    BACKENDS.into_iter().flat_map(|settings| [1, 2, 4].map(|parallelism| (parallelism, settings)))
}

/// Runs queries/nexmark/`query`.sql over the goldens' input into files of `format` and returns their lines.
fn run(query: &str, format: &str, (parallelism, settings): (u32, &[&str])) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sink =
        format!("SINK='connector'='filesystem','path'='{}','format'='{format}'", folder.path().display());
    let query = format!("queries/nexmark/{query}.sql");
    let data = format!("DATA={}", root().join(DATA).display());
    let parallelism = format!("parallelism.default={parallelism}");
    let mut arguments =
        vec!["run", "queries/nexmark/tables.sql", &query, "-D", &data, "-D", &sink, "--set", &parallelism];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    weir(&arguments).succeeded();
    lines_below(folder.path())
}

fn check_append_only(query: &str) {
    for way in ways() {
        let rows = run(query, "json", way);
        assert_eq!(digest(rows), expected(query), "{query} with {way:?}");
    }
}

fn check_updating(query: &str) {
    for way in ways() {
        let rows = folded(run(query, "debezium-json", way));
        assert_eq!(digest(rows), expected(query), "{query} with {way:?}");
    }
}

macro_rules! goldens {
    ($check:ident: $($query:ident)*) => {
        $(
            #[test]
            fn $query() {
                $check(stringify!($query));
            }
        )*
    };
}

goldens!(check_append_only: q0 q1 q2 q3 q5 q7 q8 q11 q11_legacy q13 q14 q20 q21 q22);
goldens!(check_updating: q4 q9 q15 q16 q17 q18 q19);

/// Processing-time windows do not fire at the end of a bounded input; a run that meets the end of a window by the
/// clock prints it, so such a run is made again.
#[test]
fn q12() {
    let window = || SystemTime::UNIX_EPOCH.elapsed().expect("a clock past 1970").as_secs() / 10;
    for way in ways() {
        let within_one_window = (0..5).find_map(|_| {
            let started = window();
            let rows = run("q12", "json", way);
            (window() == started).then_some(rows)
        });
        assert_eq!(within_one_window.expect("a run of less than ten seconds"), Vec::<String>::new());
    }
}

#[test]
fn folding_counts() {
    let change = |before: &str, after: &str, op: &str| {
        format!("{{\"before\":{before},\"after\":{after},\"op\":\"{op}\"}}")
    };
    let changes = vec![
        change("null", "{\"a\":1}", "c"),
        change("{\"a\":1}", "null", "d"),
        change("null", "{\"a\":2}", "c"),
    ];
    assert_eq!(folded(changes), ["{\"a\":2}"]);
}
