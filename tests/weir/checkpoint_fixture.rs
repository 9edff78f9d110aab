//! A checkpoint that the first version took, in `tests/fixtures/checkpoint-1`: every later version opens it, and what is
//! told of it is what is in it.

use crate::damage::copy;
use crate::process::{Run, path, run_sql, weir};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CHECKPOINT: &str = "tests/fixtures/checkpoint-1/job/chk-5";
/// rows of the input, all of which the checkpoint covers
const ROWS: u64 = 60;

fn show(checkpoint: &str) -> Value {
    let run = weir(&["checkpoint", "show", "--json", checkpoint]).succeeded();
    serde_json::from_str(&run.stdout).expect("JSON")
}

/// Each state's name with what the report says of it.
pub fn states(report: &Value) -> BTreeMap<String, Value> {
    let operators = report["job"]["operators"].as_array().expect("operators").iter();
    let measures = report["measures"].as_array().expect("measures").iter();
    let mut states = BTreeMap::new();
    for (operator, measure) in operators.zip(measures) {
        let described = operator["keyed_states"].as_array().expect("states").iter();
        for (state, found) in described.zip(measure["states"].as_array().expect("measures of states")) {
            states.insert(state["name"].as_str().expect("a name").to_string(), found.clone());
        }
    }
    states
}

/// The rows of a query, without the JSON around them, sorted.
pub fn rows(sql: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        run_sql(sql, &["--json"]).succeeded().stdout.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

pub fn number(sql: &str) -> u64 {
    let rows = rows(&format!("SET 'sql-client.execution.result-mode' = 'changelog'; {sql}"));
    let numbers = rows.iter().map(|row| {
        let row: Value = serde_json::from_str(row).expect("JSON");
        let value = row["row"].as_object().expect("a row").values().next().expect("a column").clone();
        value.as_u64().expect("a count")
    });
    // the last of a changelog of a count that only rises
    numbers.max().unwrap_or(0)
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("weir-fixture-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a directory");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn every_version_opens_it() {
    let report = show(CHECKPOINT);
    assert_eq!(report["id"], 5);
    let entries = |name: &str| states(&report)[name]["entries"].as_u64().expect("a number");
    assert_eq!(entries("window-aggregate:visits[TUMBLE(size=[2 min]),word]/accumulators"), 15);
    assert_eq!(
        entries("window-aggregate:visits[TUMBLE(size=[2 min]),word]/accumulators-distinct(visitor)"),
        55
    );
    assert_eq!(entries("window-aggregate:visits[HOP(size=[4 min], slide=[1 min])]/accumulators"), 10);
    assert_eq!(entries("group-aggregate:visits[word]/accumulators"), 3);
    assert_eq!(entries("group-aggregate:visits[word]/distinct(visitor)"), 21);
    assert_eq!(entries("window-aggregate:visits[SESSION(gap=[1 min]),visitor]/keys"), 7);
    let run = weir(&["checkpoint", "fsck", CHECKPOINT]).succeeded();
    assert!(run.stdout.contains("sound: 3 files"), "{}", run.stdout);
    let run = weir(&["checkpoint", "show", CHECKPOINT]).succeeded();
    for line in run.stdout.lines().filter(|line| !line.starts_with('/')) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

/// Of the same job over the same rows: with packed segments, and in files with checksums whose HOP is told of as slices.
#[test]
fn every_version_opens_those_of_later_formats() {
    let original = states(&show(CHECKPOINT));
    for checkpoint in ["tests/fixtures/checkpoint-4/job/chk-7", "tests/fixtures/checkpoint-5/job/chk-7"] {
        let mut found = states(&show(checkpoint));
        // the first version had none of sessions
        found.retain(|name, _| !name.ends_with("/timers"));
        assert_eq!(found.keys().collect::<Vec<_>>(), original.keys().collect::<Vec<_>>(), "{checkpoint}");
        for (name, found) in &found {
            assert_eq!(found["entries"], original[name]["entries"], "{checkpoint}: {name}");
        }
    }
    let shown = weir(&["checkpoint", "show", "tests/fixtures/checkpoint-5/job/chk-7"]).succeeded().stdout;
    for text in [
        " slices, ending 2024-05-01 ",
        "│ namespace │ slice_start      │ TIMESTAMP(3)",
        "Slice(2024-05-01 1",
        " windows, ending 2024-05-01 ",
        "/watermark (union list), 2\n     entries, 16 B",
        "operator state source:visits/splits (even-split list), 2 entries\n",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    for line in shown.lines().filter(|line| !line.starts_with('/')) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

/// Nothing is invented: what is told was counted, and a query over the entries counts the same.
#[test]
fn counts_are_those_of_a_full_scan() {
    let report = show(CHECKPOINT);
    let states = states(&report);
    assert!(states.len() >= 8, "{} states", states.len());
    let mut total = 0;
    for (name, found) in &states {
        let counted = number(&format!("SELECT COUNT(*) FROM CHECKPOINT('{CHECKPOINT}', '{name}');"));
        assert_eq!(found["entries"], counted, "{name}");
        let groups =
            number(&format!("SELECT COUNT(DISTINCT key_group) FROM CHECKPOINT('{CHECKPOINT}', '{name}');"));
        let told = found["largest_key_groups"].as_array().expect("key groups").len() as u64;
        assert_eq!(told, groups.min(5), "{name}");
        total += counted;
    }
    let subtasks = report["measures"].as_array().expect("measures").iter();
    let subtasks = subtasks.flat_map(|measure| measure["subtasks"].as_array().expect("subtasks").clone());
    let indexed: u64 = subtasks.map(|subtask| subtask["entries"].as_u64().expect("a number")).sum();
    assert_eq!(indexed, total);
}

/// The accumulators count every row of the input once.
#[test]
fn entries_hold_what_the_rows_say() {
    let state = "group-aggregate:visits[word]/accumulators";
    let counted = number(&format!("SELECT SUM(`COUNT(*)`) FROM CHECKPOINT('{CHECKPOINT}', '{state}');"));
    assert_eq!(counted, ROWS);
    let state = "window-aggregate:visits[TUMBLE(size=[2 min]),word]/accumulators";
    let sql = format!(
        "SELECT SUM(`COUNT(*)`) FROM CHECKPOINT('{CHECKPOINT}', '{state}') \
         WHERE window_end - INTERVAL '2' MINUTE = window_start AND word IN ('river', 'weir', 'lock');"
    );
    assert_eq!(number(&sql), ROWS);
    let sources = format!("SELECT COUNT(*) FROM CHECKPOINT('{CHECKPOINT}', 'sources');");
    assert!(number(&sources) > 0);
    let watermarks =
        rows(&format!("SELECT DISTINCT `watermark` FROM CHECKPOINT('{CHECKPOINT}', 'watermarks');"));
    assert!(!watermarks.is_empty());
}

#[test]
fn a_canonical_savepoint_holds_the_same() {
    let folder = scratch("convert");
    let (canonical, native) = (folder.join("canonical"), folder.join("native"));
    weir(&["savepoint", "convert", CHECKPOINT, text(&canonical)]).succeeded();
    weir(&["savepoint", "convert", "--format", "native", text(&canonical), text(&native)]).succeeded();
    let original = states(&show(CHECKPOINT));
    for converted in [&canonical, &native] {
        weir(&["checkpoint", "fsck", text(converted)]).succeeded();
        let states = states(&show(text(converted)));
        assert_eq!(states.keys().collect::<Vec<_>>(), original.keys().collect::<Vec<_>>());
        for (name, found) in &states {
            assert_eq!(found["entries"], original[name]["entries"], "{name}");
            assert_eq!(found["entry_bytes"], original[name]["entry_bytes"], "{name}");
        }
    }
    let arrow = fs::read_dir(&canonical).expect("files").filter(|entry| {
        entry.as_ref().expect("an entry").path().extension().is_some_and(|extension| extension == "arrow")
    });
    assert!(arrow.count() >= original.len());
    let name = "window-aggregate:visits[SESSION(gap=[1 min]),visitor]/sessions";
    let all = |checkpoint: &str| rows(&format!("SELECT * FROM CHECKPOINT('{checkpoint}', '{name}');"));
    assert_eq!(all(text(&canonical)), all(CHECKPOINT));
    assert_eq!(all(text(&native)), all(CHECKPOINT));
    let again = weir(&["savepoint", "convert", CHECKPOINT, text(&canonical)]);
    assert!(again.code == 1 && again.stderr.contains("it is not empty"), "{}", again.stderr);
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn damage_is_found() {
    let folder = scratch("damage");
    copy(&path("tests/fixtures/checkpoint-1/job"), &folder.join("job"));
    let checkpoint = folder.join("job/chk-5");
    let file = folder.join("job/shared/1-2-0");
    let sound = fs::read(&file).expect("a file");
    let fsck = || -> Run { weir(&["checkpoint", "fsck", text(&checkpoint)]) };
    assert_eq!(fsck().code, 0);
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    fs::write(&file, damaged).expect("written");
    let run = fsck();
    assert!(run.code == 2 && run.stdout.contains("corrupt"), "{}{}", run.stdout, run.stderr);
    fs::write(&file, &sound[..sound.len() - 1]).expect("written");
    assert!(fsck().stdout.contains("1-2-0: truncated at offset 1817: 1818 bytes are expected"));
    fs::remove_file(&file).expect("removed");
    assert!(fsck().stdout.contains("1-2-0: there is no such file"));
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn removing_leaves_what_others_need() {
    let folder = scratch("remove");
    copy(&path("tests/fixtures/checkpoint-1/job"), &folder.join("job"));
    copy(&folder.join("job/chk-5"), &folder.join("job/chk-6"));
    let listed = |expected: usize| {
        let run = weir(&["checkpoint", "ls", "--json", text(&folder)]).succeeded();
        let found: Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!(found.as_array().expect("a list").len(), expected, "{}", run.stdout);
    };
    listed(2);
    let shared = || fs::read_dir(folder.join("job/shared")).expect("a directory").count();
    // A neighbour that cannot be read, and a job that runs, may need what would go.
    fs::create_dir(folder.join("job/chk-7")).expect("created");
    std::os::unix::fs::symlink("_metadata", folder.join("job/chk-7/_metadata")).expect("linked");
    let run = weir(&["checkpoint", "rm", text(&folder.join("job/chk-5"))]);
    assert!(run.code == 1 && run.stderr.contains("chk-7' cannot be read"), "{}", run.stderr);
    fs::remove_dir_all(folder.join("job/chk-7")).expect("removed");
    let running = fs::File::create(folder.join("job/.running")).expect("created");
    running.lock().expect("locked");
    let run = weir(&["checkpoint", "rm", text(&folder.join("job/chk-5"))]);
    assert!(run.code == 1 && run.stderr.contains("its job is running"), "{}", run.stderr);
    drop(running);
    fs::remove_file(folder.join("job/.running")).expect("removed");
    assert_eq!(shared(), 3);
    let run = weir(&["checkpoint", "ls", text(&folder.join("nothing"))]);
    assert!(run.code == 1 && run.stderr.contains("there is no such directory"), "{}", run.stderr);
    weir(&["checkpoint", "rm", text(&folder.join("job/chk-5"))]).succeeded();
    listed(1);
    assert_eq!(shared(), 3, "the other checkpoint needs them");
    let sql = format!("DROP CHECKPOINT '{}';", text(&folder.join("job/chk-6")));
    run_sql(&sql, &[]).succeeded();
    listed(0);
    assert_eq!(shared(), 0);
    let run = weir(&["checkpoint", "rm", text(&folder)]);
    assert!(run.code == 1 && run.stderr.contains("it is no checkpoint"), "{}", run.stderr);
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn a_statement_explains_it() {
    let run = run_sql(&format!("EXPLAIN CHECKPOINT '{CHECKPOINT}';"), &[]).succeeded();
    assert!(run.stdout.contains("column family group-aggregate:visits[word]/accumulators"), "{}", run.stdout);
    assert!(run.stdout.contains("value state, 3 entries"), "{}", run.stdout);
    let run = run_sql("EXPLAIN CHECKPOINT FOR JOB 'nobody';", &[]);
    assert!(run.code == 1 && run.stderr.contains("there is no such job"), "{}", run.stderr);
    let run = run_sql("SHOW CHECKPOINTS;", &[]).succeeded();
    assert!(run.stdout.contains("Empty set"), "{}", run.stdout);
}
