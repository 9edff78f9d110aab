//! Nexmark queries against what a real Flink answered: the final rows, as a multiset, at parallelism 1, 2 and 4, with state
//! in memory and in RocksDB, there with so little memory that most of it is on disk; undisturbed, and killed in the middle
//! and continued, maybe at another parallelism and on the other backend.

use crate::process::{command, lines_below, path, root, weir};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
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

/// What to say to have queries/nexmark/`query`.sql run over the goldens' input into files of `format` in `folder`.
fn arguments(query: &str, format: &str, way: (u32, &[&str]), folder: &Path) -> Vec<String> {
    let mut arguments = vec!["run".to_string(), "queries/nexmark/tables.sql".to_string()];
    arguments.push(format!("queries/nexmark/{query}.sql"));
    let sink = format!("SINK='connector'='filesystem','path'='{}','format'='{format}'", folder.display());
    for define in [format!("DATA={}", root().join(DATA).display()), sink] {
        arguments.extend(["-D".to_string(), define]);
    }
    let (parallelism, settings) = way;
    let parallelism = format!("parallelism.default={parallelism}");
    for setting in std::iter::once(parallelism.as_str()).chain(settings.iter().copied()) {
        arguments.extend(["--set".to_string(), setting.to_string()]);
    }
    arguments
}

/// Runs a query to its end and returns the lines that it writes.
fn run(query: &str, format: &str, way: (u32, &[&str])) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = arguments(query, format, way, folder.path());
    weir(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
    lines_below(folder.path())
}

/// Runs a query until its third checkpoint is there, kills it, and has another process take over from that, the way
/// `then`. Returns the lines that both write.
fn run_killed(query: &str, format: &str, way: (u32, &[&str]), then: (u32, &[&str])) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (rows, checkpoints) = (folder.path().join("rows"), folder.path().join("checkpoints"));
    let directory = format!("execution.checkpointing.dir={}", checkpoints.display());
    let local = format!("state.backend.rocksdb.localdir={}", folder.path().join("work").display());
    let more = ["--set", &directory, "--set", "execution.checkpointing.interval=10 ms", "--set", &local];
    let first = arguments(query, format, way, &rows);
    let first: Vec<&str> = first.iter().map(String::as_str).chain(more).collect();
    // of those that read few rows a few are read at a time
    let batch = if matches!(query, "q3" | "q8") { 150 } else { 2000 };
    // How long a checkpoint takes is the machine's affair: a job that ends before its third one is run again, more slowly.
    let dies = |pause_ms: u64| {
        let mut command = command(&first);
        command.env("WEIR_PACE", format!("{batch}/{pause_ms}")).env("WEIR_FAILPOINT", "after-manifest@3");
        let output = command.stdout(Stdio::null()).output().expect("the binary starts");
        if output.status.success() {
            for left in [&rows, &checkpoints] {
                let _ = std::fs::remove_dir_all(left);
            }
            return false;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), None, "{query} with {way:?}: {said}");
        true
    };
    assert!([8, 80, 800].into_iter().any(dies), "{query} dies in the middle with {way:?}");
    let job = std::fs::read_dir(&checkpoints).expect("checkpoints").flatten().next().expect("a job").path();
    let then = arguments(query, format, then, &rows);
    let from = ["--from", job.to_str().expect("UTF-8")];
    weir(&then.iter().map(String::as_str).chain(more).chain(from).collect::<Vec<_>>()).succeeded();
    lines_below(&rows)
}

/// What is left of the rows that a query has written.
fn rows_of(format: &str, lines: Vec<String>) -> Vec<String> {
    if format == CHANGES { folded(lines) } else { lines }
}

const ROWS: &str = "json";
const CHANGES: &str = "debezium-json";

fn check(query: &str, format: &str) {
    for way in ways() {
        let rows = rows_of(format, run(query, format, way));
        assert_eq!(digest(rows), expected(query), "{query} with {way:?}");
    }
}

/// From each way to run a query the same way again, to another, or to the same parallelism on the other backend.
fn check_killed(query: &str, format: &str) {
    let ways: Vec<_> = ways().collect();
    let seed = query.bytes().fold(0, |sum, byte| sum + usize::from(byte));
    std::thread::scope(|scope| {
        for (index, &way) in ways.iter().enumerate() {
            let then = ways[(index + [0, 1, 3, 4][(seed + index) % 4]) % ways.len()];
            scope.spawn(move || {
                let rows = rows_of(format, run_killed(query, format, way, then));
                assert_eq!(digest(rows), expected(query), "{query}, killed with {way:?}, then {then:?}");
            });
        }
    });
}

macro_rules! goldens {
    ($format:ident: $($query:ident)*) => {
        $(
            mod $query {
                #[test]
                fn undisturbed() {
                    super::check(stringify!($query), super::$format);
                }

                #[test]
                fn killed_and_continued() {
                    super::check_killed(stringify!($query), super::$format);
                }
            }
        )*
    };
}

goldens!(ROWS: q0 q1 q2 q3 q5 q7 q8 q11 q11_legacy q13 q14 q20 q21 q22);
goldens!(CHANGES: q4 q9 q15 q16 q17 q18 q19);

/// Processing-time windows do not fire at the end of a bounded input: what a run prints is of windows that the clock had
/// ended.
#[test]
fn q12() {
    for way in ways() {
        let rows = run("q12", "json", way);
        let ended = SystemTime::UNIX_EPOCH.elapsed().expect("a clock past 1970").as_secs();
        for row in rows {
            let row: Value = serde_json::from_str(&row).expect("JSON");
            let end = row["endtime"].as_str().expect("a time");
            let end = chrono::NaiveDateTime::parse_from_str(end, "%Y-%m-%d %H:%M:%S%.f").expect("a time");
            assert!(
                end.and_utc().timestamp() <= ended as i64,
                "{row} was open when the run ended, with {way:?}"
            );
        }
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
