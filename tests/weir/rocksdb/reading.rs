//! What is told of RocksDB's files, without a job that uses them: it is what a scan of them finds, and what the heap's
//! checkpoint of the same job holds.

use super::{OF_HEAP, ROCKSDB, newest, run_until, show, text, wanted};
use crate::checkpoint_fixture::{number, rows, states};
use crate::process::{run_sql, weir};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The newest of several checkpoints after all rows were read, in RocksDB with so little memory that entries are on disk,
/// at parallelism 3.
fn taken(folder: &Path) -> PathBuf {
    let small = "state.backend.rocksdb.memory.fixed-per-slot=64 kb";
    run_until(&wanted(), &[ROCKSDB, small, "parallelism.default=3"], None, folder);
    newest(&folder.join("checkpoints")).expect("a checkpoint")
}

fn entries(found: &Value) -> u64 {
    found["entries"].as_u64().expect("a number")
}

#[test]
fn what_is_told_is_what_a_scan_finds_and_what_the_heap_holds() {
    let folder = tempfile::tempdir().expect("a directory");
    let checkpoint = taken(folder.path());
    let path = text(&checkpoint);
    let explained = run_sql(&format!("EXPLAIN CHECKPOINT '{path}';"), &[]).succeeded().stdout;
    let on_disk = states(&show(path).expect("it opens"));
    let on_heap = states(&show(OF_HEAP).expect("it opens"));
    // Timers are a backend's own affair.
    let names = |states: &BTreeMap<String, Value>| -> Vec<String> {
        states.keys().filter(|name| !name.ends_with("/timers")).cloned().collect()
    };
    assert_eq!(names(&on_disk), names(&on_heap));
    for (name, found) in &on_disk {
        let of = |checkpoint: &str, select: &str| {
            format!("SELECT {select} FROM CHECKPOINT('{checkpoint}', '{name}');")
        };
        let counted = number(&of(path, "COUNT(*)"));
        assert_eq!(entries(found), counted, "{name}");
        let groups = number(&of(path, "COUNT(DISTINCT key_group)"));
        assert_eq!(
            found["largest_key_groups"].as_array().expect("key groups").len() as u64,
            groups.min(5),
            "{name}"
        );
        // The statement shows the same number, under the same name.
        let section = explained.split(&format!("column family {name}\n")).nth(1).expect("it is explained");
        let section = section.split("column family ").next().unwrap_or_default();
        let plural = if counted == 1 { "entry" } else { "entries" };
        let flat = section.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&format!(", {counted} {plural}")), "{name}: {counted} {plural}\n{section}");
        if !name.ends_with("/timers") {
            assert_eq!(entries(found), entries(&on_heap[name]), "{name}");
            // the older one calls slices windows
            let found: Vec<String> =
                rows(&of(path, "*")).iter().map(|row| row.replace("\"slice_", "\"window_")).collect();
            assert_eq!(found, rows(&of(OF_HEAP, "*")), "{name}");
        }
    }
    let join = format!(
        "SELECT SUM(a.`COUNT(*)`) FROM CHECKPOINT('{path}', 'group-aggregate:visits[word]/accumulators') a \
         JOIN CHECKPOINT('{OF_HEAP}', 'group-aggregate:visits[word]/accumulators') b \
         ON a.word = b.word AND a.`COUNT(*)` = b.`COUNT(*)`;"
    );
    assert_eq!(number(&join), 60, "each row of the input, once");
}

#[test]
fn checkpoints_are_listed_checked_and_removed() {
    let folder = tempfile::tempdir().expect("a directory");
    let newest = taken(folder.path());
    let job = newest.parent().expect("a job").to_path_buf();
    let listed = || -> Vec<PathBuf> {
        let run = weir(&["checkpoint", "ls", "--json", text(&job)]).succeeded();
        let found: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let found = found.as_array().expect("a list").iter();
        found.map(|found| PathBuf::from(found["path"].as_str().expect("a path"))).collect()
    };
    let all = listed();
    assert!(all.len() > 1 && all.contains(&newest), "{all:?}");
    let counts = |checkpoint: &Path| super::contents(&show(text(checkpoint)).expect("it opens"));
    let held = counts(&newest);
    // Whichever goes, the others have all that they need.
    for gone in all.iter().filter(|path| **path != newest) {
        weir(&["checkpoint", "rm", text(gone)]).succeeded();
        assert!(!gone.exists(), "{gone:?}");
    }
    assert_eq!(listed(), std::slice::from_ref(&newest));
    let run = weir(&["checkpoint", "fsck", text(&newest)]).succeeded();
    assert!(run.stdout.contains("sound"), "{}", run.stdout);
    assert_eq!(counts(&newest), held);
    let files = || fs::read_dir(job.join("shared")).map_or(0, Iterator::count);
    let before = files();
    weir(&["checkpoint", "rm", text(&newest)]).succeeded();
    assert_eq!(listed(), Vec::<PathBuf>::new());
    assert!(files() < before, "{before} files, then {}", files());
}
