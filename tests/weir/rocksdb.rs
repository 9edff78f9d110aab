//! Jobs whose state is in RocksDB: their checkpoints look as those of the heap do, go on at another parallelism and on the
//! other backend, and nothing is left behind.
#![allow(clippy::disallowed_methods, reason = "waits for what another process does")]

mod reading;

use crate::process::{command, path, weir};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Taken on the heap after all rows of its input were read.
const OF_HEAP: &str = "tests/fixtures/checkpoint-1/job/chk-5";
const JOB: &str = "tests/fixtures/checkpoint-1/job.sql";

/// The same in RocksDB: in files alone, and in files and segments.
const OF_ROCKSDB: [&str; 2] =
    ["tests/fixtures/checkpoint-2/job/chk-6", "tests/fixtures/checkpoint-3/job/chk-6"];

const ROCKSDB: &str = "state.backend.type=rocksdb";
const HEAP: &str = "state.backend=hashmap";
/// Room for some of the entries: the others are in files.
const LITTLE: &str = "state.backend.rocksdb.memory.fixed-per-slot=4 kb";
/// A machine is busy, not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn show(checkpoint: &str) -> Option<Value> {
    let run = weir(&["checkpoint", "show", "--json", checkpoint]);
    (run.code == 0).then(|| serde_json::from_str(&run.stdout).expect("JSON"))
}

/// Entries and their bytes of each state.
fn contents(report: &Value) -> BTreeMap<String, (u64, u64)> {
    let operators = report["job"]["operators"].as_array().expect("operators").iter();
    let measures = report["measures"].as_array().expect("measures").iter();
    let mut states = BTreeMap::new();
    for (operator, measure) in operators.zip(measures) {
        let described = operator["keyed_states"].as_array().expect("states").iter();
        for (state, found) in described.zip(measure["states"].as_array().expect("measures of states")) {
            let number = |key: &str| found[key].as_u64().expect("a number");
            let name = state["name"].as_str().expect("a name").to_string();
            states.insert(name, (number("entries"), number("entry_bytes")));
        }
    }
    states
}

/// Timers are a backend's own affair: a session's may stand at an earlier time than its end.
fn without_timers(mut states: BTreeMap<String, (u64, u64)>) -> BTreeMap<String, (u64, u64)> {
    states.retain(|name, _| !name.ends_with("/timers"));
    states
}

/// Runs the job until its two newest checkpoints hold what `wanted` says, and kills it. The newest of them: the one before
/// has all that it could share.
fn run_until(
    wanted: &BTreeMap<String, (u64, u64)>,
    settings: &[&str],
    from: Option<&str>,
    folder: &Path,
) -> PathBuf {
    let checkpoints = folder.join("checkpoints");
    let directory = format!("DIR={}", checkpoints.display());
    let mut arguments = vec!["run", "-D", &directory, "-D", "INTERVAL=100 ms"];
    let settings = [settings, &["execution.checkpointing.num-retained=1000"]].concat();
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    arguments.extend(from.iter().flat_map(|from| ["--from", from]));
    arguments.push(JOB);
    let mut child =
        command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let started = Instant::now();
    let found = loop {
        std::thread::sleep(Duration::from_millis(100));
        if let [.., before, newest] = completed(&checkpoints).as_slice()
            && [before, newest].into_iter().all(|path| {
                show(text(path)).is_some_and(|report| without_timers(contents(&report)) == *wanted)
            })
        {
            break newest.clone();
        }
        let ended = child.try_wait().expect("a child");
        if ended.is_some() || started.elapsed() > PATIENCE {
            let _ = child.kill();
            let output = child.wait_with_output().expect("it has ended");
            let seen = newest(&checkpoints).and_then(|newest| show(text(&newest)));
            panic!(
                "no checkpoint holds what is wanted: {}\n{:?}\n{wanted:?}",
                String::from_utf8_lossy(&output.stderr),
                seen.as_ref().map(contents)
            );
        }
    };
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    found
}

/// The completed checkpoints of the job below a directory of jobs, in their order.
fn completed(checkpoints: &Path) -> Vec<PathBuf> {
    let entries = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten();
    let Some(job) = entries(checkpoints).next() else { return Vec::new() };
    let number = |entry: &fs::DirEntry| {
        let complete = entry.path().join("_metadata").exists();
        entry.file_name().to_str()?.strip_prefix("chk-")?.parse::<u64>().ok().filter(|_| complete)
    };
    let mut found: Vec<(u64, PathBuf)> =
        entries(&job.path()).filter_map(|entry| Some((number(&entry)?, entry.path()))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn newest(checkpoints: &Path) -> Option<PathBuf> {
    completed(checkpoints).pop()
}

fn wanted() -> BTreeMap<String, (u64, u64)> {
    without_timers(contents(&show(OF_HEAP).expect("it opens")))
}

#[test]
fn checkpoints_hold_what_those_of_the_heap_do_and_open_on_both() {
    let wanted = wanted();
    assert!(wanted.len() >= 8, "{} states", wanted.len());
    let folder = tempfile::tempdir().expect("a directory");
    let local = folder.path().join("work");
    let localdir = format!("state.backend.rocksdb.localdir={}", local.display());
    let in_rocksdb = [ROCKSDB, LITTLE, &localdir];
    let of = |name: &str| folder.path().join(name);

    let first = run_until(&wanted, &in_rocksdb, None, &of("first"));
    let run = weir(&["checkpoint", "fsck", text(&first)]).succeeded();
    assert!(run.stdout.contains("sound"), "{}", run.stdout);
    let report = weir(&["checkpoint", "show", text(&first)]).succeeded().stdout;
    assert!(report.contains("column family group-aggregate:visits[word]/accumulators"), "{report}");

    // RocksDB to RocksDB and to the heap, the heap to RocksDB, at other parallelisms.
    let four = [&in_rocksdb[..], &["parallelism.default=4"]].concat();
    let one = [HEAP, "parallelism.default=1"];
    let second = run_until(&wanted, &four, Some(text(&first)), &of("second"));
    let third = run_until(&wanted, &one, Some(text(&second)), &of("third"));
    run_until(&wanted, &in_rocksdb, Some(text(&third)), &of("fourth"));
    run_until(&wanted, &in_rocksdb, Some(OF_HEAP), &of("fifth"));

    for format in ["canonical", "native"] {
        let converted = of(format);
        weir(&["savepoint", "convert", "--format", format, text(&second), text(&converted)]).succeeded();
        let report = show(text(&converted)).expect("it opens");
        assert_eq!(without_timers(contents(&report)), wanted, "{format}");
        run_until(&wanted, &in_rocksdb, Some(text(&converted)), &of(&format!("from-{format}")));
    }

    // What killed processes left goes with the next one, which leaves nothing.
    let left = || fs::read_dir(&local).expect("a directory").count();
    assert!(left() > 0, "a killed process leaves its working directory");
    let sql = "queries/nexmark/q17.sql";
    let data = format!("DATA={}", path("tests/goldens/nexmark-100k").display());
    weir(&[
        "run",
        "queries/nexmark/tables.sql",
        sql,
        "-D",
        &data,
        "-D",
        "SINK='connector'='blackhole'",
        "--set",
        ROCKSDB,
        "--set",
        &localdir,
    ])
    .succeeded();
    assert_eq!(left(), 0);
}

/// Every version opens what earlier ones wrote, and goes on from it.
#[test]
fn kept_checkpoints_open() {
    let wanted = wanted();
    for (number, kept) in OF_ROCKSDB.into_iter().enumerate() {
        weir(&["checkpoint", "fsck", kept]).succeeded();
        assert_eq!(without_timers(contents(&show(kept).expect("it opens"))), wanted, "{kept}");
        let folder = tempfile::tempdir().expect("a directory");
        let [all, other] = ["all", "other"].map(|name| folder.path().join(name));
        let settings: [&[&str]; 2] = [&[ROCKSDB, LITTLE, "parallelism.default=3"], &[HEAP]];
        let first = run_until(&wanted, settings[number], Some(kept), &all);
        run_until(&wanted, settings[1 - number], Some(text(&first)), &other);
    }
}

/// Only what is new is uploaded: later checkpoints share files, and segments of what is in memory, with earlier ones.
#[test]
fn later_checkpoints_share_files_and_segments() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = run_until(&wanted(), &[ROCKSDB, LITTLE], None, folder.path());
    let job = path.parent().expect("a job").to_path_buf();
    let number = |path: &Path| -> u64 {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        name.trim_start_matches("chk-").parse().expect("a number")
    };
    let last = newest(&folder.path().join("checkpoints")).expect("a checkpoint");
    assert!(number(&last) > 1, "{last:?}");
    let report = show(text(&last)).expect("it opens");
    let states = report["measures"]
        .as_array()
        .expect("measures")
        .iter()
        .flat_map(|measure| measure["states"].as_array().expect("states").to_vec());
    let bytes = |key: &str| states.clone().map(|state| state[key].as_u64().expect("a number")).sum::<u64>();
    assert!(bytes("shared_files") > 0 && bytes("shared_segments") > 0, "{report:#}");
    assert!(bytes("new_bytes") < bytes("bytes"), "{report:#}");
    // An older one keeps what it needs when a newer one goes.
    weir(&["checkpoint", "rm", text(&last)]).succeeded();
    let older = newest(&folder.path().join("checkpoints")).expect("an older checkpoint");
    weir(&["checkpoint", "fsck", text(&older)]).succeeded();
    assert!(job.join("shared").is_dir());
}

/// With room for everything nothing is in files of RocksDB.
#[test]
fn what_fits_into_memory_is_in_no_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = run_until(&wanted(), &[ROCKSDB], None, folder.path());
    let directories = [path.clone(), path.parent().expect("a job").join("shared")];
    let files =
        directories.iter().flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten());
    let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.ends_with(".sst") || name.contains("MANIFEST")), "{names:?}");
    weir(&["checkpoint", "fsck", text(&path)]).succeeded();
}

/// A file that is damaged, cut or missing is named.
#[test]
fn damage_is_named() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = run_until(&wanted(), &[ROCKSDB, LITTLE], None, folder.path());
    let shared = path.parent().expect("a job").join("shared");
    let report = fs::read_to_string(path.join("_metadata")).is_ok();
    assert!(!report, "the manifest is not text");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&shared).expect("files").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let fsck = |expected: &str| {
        let run = weir(&["checkpoint", "fsck", text(&path)]);
        assert!(run.code != 0 && run.stdout.contains(expected), "{expected}: {}{}", run.stdout, run.stderr);
    };
    // Those that this checkpoint does not use may be damaged without harm: damage all.
    let sound: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    for (file, bytes) in files.iter().zip(&sound) {
        let mut damaged = bytes.clone();
        damaged[10] ^= 0xff;
        fs::write(file, damaged).expect("written");
    }
    fsck("corrupt at offset 0: the ");
    fsck(text(&shared));
    for (file, bytes) in files.iter().zip(&sound) {
        fs::write(file, &bytes[..bytes.len() - 1]).expect("written");
    }
    fsck("bytes are expected");
    files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    fsck("there is no such file");
    let run = weir(&["run", "--from", text(&path), "--set", ROCKSDB, JOB]);
    let named = files.iter().any(|file| run.stderr.contains(text(file)));
    assert!(run.code != 0 && named, "{}", run.stderr);
}

#[test]
fn options_that_nobody_knows_are_refused() {
    let run = weir(&["run", "--set", "state.backend.rocksdb.blok.cache-size=1 mb", JOB]);
    assert!(run.stderr.contains("did you mean 'state.backend.rocksdb.block.cache-size'?"), "{}", run.stderr);
}
