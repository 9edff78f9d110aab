//! Kill anywhere: a job whose process dies again and again, and goes on at another parallelism each time, on the same
//! state backend or the other, writes what an undisturbed one writes. By SIGKILL at random moments, and at each failpoint.

mod queries;

use crate::process::{command, lines_below, start_with, weir};
use queries::{QUERIES, Query, tables};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use weir_types::FAILPOINTS;

/// Kills of each query by SIGKILL, at least.
const KILLS: usize = 16;
/// Jobs at a time: they wait for the wall clock more than for a processor.
const AT_A_TIME: usize = 3;

type Settings = &'static [(&'static str, &'static str)];

const HEAP: Settings = &[("state.backend.type", "hashmap")];
/// With so little memory that most entries are on disk, in files that are taken over where they are a few dozen.
const ROCKSDB: Settings = &[
    ("state.backend.type", "rocksdb"),
    ("state.backend.rocksdb.memory.fixed-per-slot", "16 kb"),
    ("state.backend.rocksdb.write-batch-size", "4 kb"),
];

/// Where the state of a job is while its processes come and go.
struct Course {
    /// of the processes, in turn
    backends: &'static [Settings],
    /// each process begins with a canonical savepoint that the last checkpoint was converted to
    canonical: bool,
}

const COURSES: &[Course] = &[
    Course { backends: &[HEAP], canonical: false },
    Course { backends: &[ROCKSDB], canonical: false },
    Course { backends: &[HEAP, ROCKSDB], canonical: false },
    Course { backends: &[ROCKSDB, HEAP], canonical: true },
];

/// What the jobs are killed with, in turn.
const VARIANTS: &[Settings] = &[
    &[],
    &[("execution.checkpointing.unaligned.enabled", "true")],
    &[
        ("execution.checkpointing.unaligned.enabled", "true"),
        ("execution.checkpointing.aligned-checkpoint-timeout", "5 ms"),
    ],
    &[
        ("execution.checkpointing.num-retained", "2"),
        ("execution.checkpointing.max-concurrent-checkpoints", "2"),
        ("execution.state-recovery.claim-mode", "CLAIM"),
    ],
    &[
        ("execution.checkpointing.incremental", "false"),
        ("execution.checkpointing.local-backup.enabled", "true"),
    ],
];

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

struct Case {
    query: &'static Query,
    folder: PathBuf,
    course: &'static Course,
    /// more settings
    settings: Settings,
    /// rows come as time passes
    throttle: bool,
}

/// How a process is disturbed.
enum Disturb<'a> {
    Not,
    KillAfter(Duration),
    Failpoint(&'a str),
}

/// What became of it.
struct Attempt {
    finished: bool,
    /// the directory of its checkpoints
    directory: Option<String>,
}

impl Case {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("UTF-8").to_string()
    }

    fn script(&self) -> String {
        let format = if self.query.updates { "debezium-json" } else { "json" };
        format!(
            "{} CREATE TABLE target ({}) WITH ('connector' = 'filesystem', 'path' = '{}',
               'format' = '{format}', 'sink.rolling-policy.file-size' = '20kb');
             INSERT INTO target {};",
            tables(self.throttle),
            self.query.columns,
            self.path("target"),
            self.query.select
        )
    }

    /// What the process after the `process`-th begins with: the checkpoints of that, as they are or as a savepoint; what
    /// that began with if it has none.
    fn after(&self, process: usize, ran: Attempt, from: Option<String>) -> Option<String> {
        let Some(newest) = complete(ran.directory) else { return from };
        if !self.course.canonical {
            return Some(newest);
        }
        let savepoint = self.path(&format!("savepoint-{process}"));
        weir(&["savepoint", "convert", "--format", "canonical", &newest, &savepoint]).succeeded();
        Some(savepoint)
    }

    /// Runs the `process`-th process of the job.
    fn spawn(&self, process: usize, parallelism: u64, from: Option<&str>, failpoint: Option<&str>) -> Child {
        let mut arguments = vec!["run".to_string(), "-".to_string()];
        let own = [
            ("parallelism.default", parallelism.to_string()),
            ("state.backend.rocksdb.localdir", self.path("work")),
            ("execution.checkpointing.interval", "30 ms".to_string()),
            ("execution.checkpointing.dir", self.path("checkpoints")),
            ("execution.checkpointing.local-backup.dirs", self.path("copies")),
            ("execution.checkpointing.data-inline-threshold", "2 kb".to_string()),
            // the process is to die of what it is told to die of
            ("restart-strategy.type", "none".to_string()),
        ];
        let backend = self.course.backends[process % self.course.backends.len()];
        let more = self.settings.iter().chain(backend).map(|(key, value)| (*key, value.to_string()));
        for (key, value) in own.into_iter().chain(more) {
            arguments.extend(["--set".to_string(), format!("{key}={value}")]);
        }
        if let Some(from) = from {
            arguments.extend(["--from".to_string(), from.to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(&arguments);
        if let Some(failpoint) = failpoint {
            command.env("WEIR_FAILPOINT", failpoint);
        }
        start_with(&mut command, &self.script())
    }

    fn attempt(&self, process: usize, parallelism: u64, from: Option<&str>, disturb: Disturb<'_>) -> Attempt {
        let failpoint = if let Disturb::Failpoint(failpoint) = disturb { Some(failpoint) } else { None };
        let mut child = self.spawn(process, parallelism, from, failpoint);
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = Vec::new();
        let directory = loop {
            let mut line = String::new();
            if stderr.read_line(&mut line).expect("UTF-8") == 0 {
                break None;
            }
            if let Some((_, directory)) =
                line.trim().split_once("checkpoints of ").and_then(|(_, of)| of.split_once(": "))
            {
                break Some(directory.to_string());
            }
            said.push(line);
        };
        let killed = matches!(disturb, Disturb::KillAfter(_));
        if let Disturb::KillAfter(time) = disturb {
            pause(time);
            child.kill().expect("it can be killed");
        }
        let status = child.wait().expect("it ends");
        said.extend(stderr.lines().map(|line| line.unwrap_or_default()));
        let died = status.code().is_none();
        assert!(died || status.success(), "{}: {status}: {said:?}", self.query.name);
        // a job that has finished has given its directory back, even if its process dies before it has said so
        let occupied = |directory: &String| Path::new(directory).join(".running").exists();
        let too_late = killed && died && directory.as_ref().is_some_and(|directory| !occupied(directory));
        Attempt { finished: status.success() || too_late, directory }
    }

    /// Its rows; of changes what is left of them.
    fn rows(&self) -> BTreeMap<String, i64> {
        let mut rows: BTreeMap<String, i64> = BTreeMap::new();
        for line in lines_below(Path::new(&self.path("target"))) {
            if !self.query.updates {
                *rows.entry(line).or_default() += 1;
                continue;
            }
            let change: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            for (side, count) in [("before", -1), ("after", 1)] {
                if !change[side].is_null() {
                    *rows.entry(change[side].to_string()).or_default() += count;
                }
            }
        }
        rows.retain(|_, count| *count != 0);
        rows
    }
}

/// Waits for real: the process that is to be killed runs by the wall clock.
#[allow(clippy::disallowed_methods, reason = "what is tested is a process of its own")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The directory if it has a checkpoint that is complete.
fn complete(directory: Option<String>) -> Option<String> {
    let directory = directory?;
    let mut checkpoints = std::fs::read_dir(&directory).ok()?.flatten();
    checkpoints.any(|entry| entry.path().join("_metadata").is_file()).then_some(directory)
}

fn undisturbed(query: &'static Query) -> BTreeMap<String, i64> {
    let folder = tempfile::tempdir().expect("a directory");
    let folder = folder.path().to_path_buf();
    let case = Case { query, folder, course: &COURSES[0], settings: &[], throttle: false };
    assert!(case.attempt(0, 1, None, Disturb::Not).finished);
    let rows = case.rows();
    assert!(rows.len() > 3, "{} writes something", query.name);
    rows
}

fn first_difference(expected: &BTreeMap<String, i64>, found: &BTreeMap<String, i64>) -> String {
    let keys = expected.keys().chain(found.keys());
    let differs = |key: &&String| expected.get(*key) != found.get(*key);
    let different: Vec<&String> = keys.filter(differs).take(3).collect();
    let show =
        |key: &&String| format!("{key}: {:?} expected, {:?} found", expected.get(*key), found.get(*key));
    different.iter().map(show).collect::<Vec<_>>().join("\n")
}

impl Case {
    /// Kills processes at random moments until one comes to its end; the number of kills.
    fn killed_at_random(&self, random: &mut Random) -> usize {
        let mut from: Option<String> = None;
        for kills in 0.. {
            let disturb = match kills {
                // this one is left alone, so that the job comes to its end
                6 => Disturb::Not,
                _ => Disturb::KillAfter(Duration::from_millis(5 + random.below(450))),
            };
            let ran = self.attempt(kills, 1 + random.below(4), from.as_deref(), disturb);
            if ran.finished {
                return kills;
            }
            from = self.after(kills, ran, from);
        }
        unreachable!("an undisturbed process ends")
    }

    /// Lets one process after the other die at the failpoints, each at the next; how often which of them was met.
    fn killed_at_failpoints(&self, seed: usize) -> BTreeMap<&'static str, u64> {
        let deaths = FAILPOINTS.iter().enumerate().map(|(place, failpoint)| {
            // some of them only a restored job comes by, and those once
            let count = if failpoint.contains("restore") { 1 } else { 1 + (seed + place) % 5 };
            (*failpoint, count)
        });
        self.killed_at(&deaths.collect::<Vec<_>>(), seed)
    }

    /// The same at failpoints of one's choice, each when a process comes by it for the so-manieth time.
    fn killed_at(&self, deaths: &[(&'static str, usize)], seed: usize) -> BTreeMap<&'static str, u64> {
        let mut met = BTreeMap::new();
        let mut from: Option<String> = None;
        for (place, (failpoint, count)) in deaths.iter().enumerate() {
            let spec = format!("{failpoint}@{count}");
            let parallelism = 1 + ((seed + place) % 3) as u64;
            let ran = self.attempt(place, parallelism, from.as_deref(), Disturb::Failpoint(&spec));
            if ran.finished {
                return met;
            }
            *met.entry(*failpoint).or_insert(0) += 1;
            from = self.after(place, ran, from);
        }
        assert!(self.attempt(deaths.len(), 2, from.as_deref(), Disturb::Not).finished);
        met
    }

    fn assert_rows(&self, expected: &BTreeMap<String, i64>, context: &str) {
        let found = self.rows();
        let (name, backends, settings) = (self.query.name, self.course.backends, self.settings);
        assert!(
            found == *expected,
            "{name}, {backends:?}, {settings:?}, {context}\n{}",
            first_difference(expected, &found)
        );
    }
}

/// Does `work` for each query, some at a time.
fn for_each_query(work: impl Fn(usize, &'static Query) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some((index, query)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            QUERIES.get(index).map(|query| (index, query))
        } {
            work(index, query);
        }
    };
    std::thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(worker))));
}

/// Past the harness, which keeps what passing tests print to itself.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn a_killed_job_loses_and_doubles_nothing() {
    let total = AtomicU64::new(0);
    for_each_query(|index, query| {
        let expected = undisturbed(query);
        let mut random = Random(77 + index as u64);
        let mut kills = 0;
        for round in index.. {
            let folder = tempfile::tempdir().expect("a directory");
            let (settings, course) = (VARIANTS[round % VARIANTS.len()], &COURSES[round % COURSES.len()]);
            let case = Case { query, folder: folder.path().to_path_buf(), course, settings, throttle: true };
            kills += case.killed_at_random(&mut random);
            case.assert_rows(&expected, &format!("round {round}"));
            if kills >= KILLS {
                break;
            }
        }
        total.fetch_add(kills as u64, Ordering::Relaxed);
    });
    tell(&format!("{} processes of {} queries killed at random", total.into_inner(), QUERIES.len()));
}

#[test]
fn a_job_that_dies_at_a_failpoint_loses_and_doubles_nothing() {
    let all = Mutex::new(BTreeMap::new());
    for_each_query(|index, query| {
        let expected = undisturbed(query);
        let folder = tempfile::tempdir().expect("a directory");
        let (settings, course) = (VARIANTS[index % VARIANTS.len()], &COURSES[index % COURSES.len()]);
        let case = Case { query, folder: folder.path().to_path_buf(), course, settings, throttle: true };
        let met = case.killed_at_failpoints(index);
        case.assert_rows(&expected, "failpoints");
        let mut all = all.lock().expect("no panic");
        met.into_iter().for_each(|(failpoint, count)| *all.entry(failpoint).or_insert(0) += count);
    });
    let mut all = all.into_inner().expect("no panic");
    // A slow machine takes few checkpoints while a job runs: what no job came by, one comes by first of all.
    for failpoint in FAILPOINTS {
        let dies = |(index, query): (usize, &'static Query)| {
            let (expected, folder) = (undisturbed(query), tempfile::tempdir().expect("a directory"));
            let (settings, course) = (VARIANTS[index % VARIANTS.len()], &COURSES[index % COURSES.len()]);
            let case = Case { query, folder: folder.path().to_path_buf(), course, settings, throttle: true };
            let met = case.killed_at(&[("after-manifest", 3), (failpoint, 1)], index);
            case.assert_rows(&expected, failpoint);
            met.contains_key(failpoint)
        };
        let met = all.contains_key(failpoint) || QUERIES.iter().enumerate().any(dies);
        assert!(met, "no process died at {failpoint}");
        all.entry(failpoint).or_insert(1);
    }
    tell(&format!("{} processes died at failpoints: {all:?}", all.values().sum::<u64>()));
}
