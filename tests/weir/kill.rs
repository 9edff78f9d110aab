//! Kill anywhere: a job whose process dies again and again, and goes on at another parallelism each time, writes what
//! an undisturbed one writes. By SIGKILL at random moments, and at each failpoint.

use crate::process::{command, lines_below};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use weir_types::FAILPOINTS;

/// Kills of each query by SIGKILL.
const KILLS: u64 = 20;

/// Bids that come for a second or two, by the wall clock.
const TABLES: &str = "
CREATE TABLE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, `dateTime` TIMESTAMP(3),
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '0.1' SECOND
) WITH ('connector' = 'nexmark', 'table' = 'bid', 'events' = '24000', 'rate' = '12000', 'throttle' = 'true');
";

struct Query {
    name: &'static str,
    columns: &'static str,
    /// changes have to be written, too
    updates: bool,
    select: &'static str,
}

const QUERIES: &[Query] = &[
    Query {
        name: "filter",
        columns: "auction BIGINT, price BIGINT",
        updates: false,
        select: "SELECT auction, price FROM bid WHERE MOD(auction, 7) < 3",
    },
    Query {
        name: "tumble",
        columns: "auction BIGINT, n BIGINT, ws TIMESTAMP(3)",
        updates: false,
        select: "SELECT auction, COUNT(*), window_start
                 FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.2' SECOND))
                 GROUP BY auction, window_start, window_end",
    },
    Query {
        name: "hop",
        columns: "bidder BIGINT, top BIGINT, ws TIMESTAMP(3)",
        updates: false,
        select: "SELECT bidder, MAX(price), window_start
                 FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.1' SECOND, INTERVAL '0.4' SECOND))
                 GROUP BY bidder, window_start, window_end",
    },
    Query {
        name: "cumulate",
        columns: "channel VARCHAR, n BIGINT, total BIGINT, we TIMESTAMP(3)",
        updates: false,
        select: "SELECT channel, COUNT(DISTINCT bidder), SUM(price), window_end
                 FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '0.1' SECOND, INTERVAL '0.5' SECOND))
                 GROUP BY channel, window_start, window_end",
    },
    Query {
        name: "session",
        columns: "bidder BIGINT, n BIGINT, ws TIMESTAMP(3), we TIMESTAMP(3)",
        updates: false,
        select: "SELECT bidder, COUNT(*), window_start, window_end
                 FROM TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '0.3' SECOND))
                 GROUP BY bidder, window_start, window_end",
    },
    Query {
        name: "distinct",
        columns: "auction BIGINT, n BIGINT, bidders BIGINT, least BIGINT",
        updates: true,
        select: "SELECT auction, COUNT(*), COUNT(DISTINCT bidder), MIN(price) FROM bid GROUP BY auction",
    },
    Query {
        name: "words",
        columns: "word VARCHAR, n BIGINT",
        updates: true,
        select: "SELECT channel, COUNT(*) FROM bid GROUP BY channel",
    },
    Query {
        name: "union",
        columns: "kind VARCHAR, auction BIGINT, n BIGINT, ws TIMESTAMP(3)",
        updates: false,
        select: "SELECT kind, auction, COUNT(*), window_start FROM TABLE(TUMBLE(TABLE both_kinds,
                   DESCRIPTOR(`dateTime`), INTERVAL '0.25' SECOND))
                 GROUP BY kind, auction, window_start, window_end",
    },
];

const VIEWS: &str = "
CREATE VIEW both_kinds AS
  SELECT 'dear' AS kind, auction, `dateTime` FROM bid WHERE price > 1000000
  UNION ALL SELECT 'odd', auction, `dateTime` FROM bid WHERE MOD(bidder, 2) = 1;
";

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

struct Case<'a> {
    query: &'a Query,
    folder: PathBuf,
    /// more settings
    settings: &'a [(&'a str, &'a str)],
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

impl Case<'_> {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("UTF-8").to_string()
    }

    fn script(&self) -> String {
        let format = if self.query.updates { "debezium-json" } else { "json" };
        format!(
            "{TABLES}{VIEWS} CREATE TABLE target ({}) WITH ('connector' = 'filesystem', 'path' = '{}',
               'format' = '{format}', 'sink.rolling-policy.file-size' = '20kb');
             INSERT INTO target {};",
            self.query.columns,
            self.path("target"),
            self.query.select
        )
    }

    fn spawn(&self, parallelism: u64, from: Option<&str>, failpoint: Option<&str>) -> Child {
        let mut arguments = vec!["run".to_string(), "-".to_string()];
        let own = [
            ("parallelism.default", parallelism.to_string()),
            ("execution.checkpointing.interval", "30 ms".to_string()),
            ("execution.checkpointing.dir", self.path("checkpoints")),
            ("execution.checkpointing.data-inline-threshold", "2 kb".to_string()),
            // the process is to die of what it is told to die of
            ("restart-strategy.type", "none".to_string()),
        ];
        let more = self.settings.iter().map(|(key, value)| (*key, value.to_string()));
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
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(self.script().as_bytes()).expect("it reads");
        child
    }

    fn attempt(&self, parallelism: u64, from: Option<&str>, disturb: Disturb<'_>) -> Attempt {
        let failpoint = if let Disturb::Failpoint(failpoint) = disturb { Some(failpoint) } else { None };
        let mut child = self.spawn(parallelism, from, failpoint);
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut first = String::new();
        stderr.read_line(&mut first).expect("UTF-8");
        let directory = first.trim().split_once(": ").map(|(_, directory)| directory.to_string());
        if let Disturb::KillAfter(time) = disturb {
            pause(time);
            child.kill().expect("it can be killed");
        }
        let status = child.wait().expect("it ends");
        let said: Vec<String> = stderr.lines().map(|line| line.unwrap_or_default()).collect();
        let died = status.code().is_none();
        assert!(died || status.success(), "{}: {status}: {first}{said:?}", self.query.name);
        Attempt { finished: status.success(), directory }
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

fn case<'a>(query: &'a Query, folder: &Path, settings: &'a [(&'a str, &'a str)]) -> Case<'a> {
    Case { query, folder: folder.to_path_buf(), settings }
}

fn undisturbed(query: &Query) -> BTreeMap<String, i64> {
    let folder = tempfile::tempdir().expect("a directory");
    let case = case(query, folder.path(), &[]);
    assert!(case.attempt(1, None, Disturb::Not).finished);
    case.rows()
}

fn first_difference(expected: &BTreeMap<String, i64>, found: &BTreeMap<String, i64>) -> String {
    let keys = expected.keys().chain(found.keys());
    let differs = |key: &&String| expected.get(*key) != found.get(*key);
    let different: Vec<&String> = keys.filter(differs).take(3).collect();
    let show =
        |key: &&String| format!("{key}: {:?} expected, {:?} found", expected.get(*key), found.get(*key));
    different.iter().map(show).collect::<Vec<_>>().join("\n")
}

/// Kills a query at random moments until it has run to its end; the number of kills.
fn killed_at_random(
    query: &Query,
    settings: &[(&str, &str)],
    seed: u64,
    expected: &BTreeMap<String, i64>,
) -> u64 {
    let mut random = Random(seed);
    let mut kills = 0;
    let mut round = 0;
    while kills < KILLS {
        let folder = tempfile::tempdir().expect("a directory");
        let case = case(query, folder.path(), settings);
        let mut from: Option<String> = None;
        round += 1;
        // the last attempt is left alone, so that each round comes to its end
        for attempt in 0.. {
            let disturb = match attempt {
                8 => Disturb::Not,
                _ => Disturb::KillAfter(Duration::from_millis(20 + random.below(500))),
            };
            let ran = case.attempt(1 + random.below(4), from.as_deref(), disturb);
            if ran.finished {
                break;
            }
            kills += 1;
            from = complete(ran.directory).or(from);
        }
        let found = case.rows();
        assert!(
            found == *expected,
            "{}, round {round}, seed {seed}\n{}",
            query.name,
            first_difference(expected, &found)
        );
    }
    kills
}

#[test]
fn a_killed_job_loses_and_doubles_nothing() {
    let mut kills = 0;
    for (index, query) in QUERIES.iter().enumerate() {
        let expected = undisturbed(query);
        assert!(expected.len() > 3, "{} writes something", query.name);
        kills += killed_at_random(query, &[], 77 + index as u64, &expected);
    }
    println!("{kills} kills");
}

#[test]
fn rows_that_barriers_overtook_survive_too() {
    let unaligned = [("execution.checkpointing.unaligned.enabled", "true")];
    for query in QUERIES.iter().filter(|query| ["tumble", "distinct"].contains(&query.name)) {
        let expected = undisturbed(query);
        killed_at_random(query, &unaligned, 5, &expected);
    }
}

#[test]
fn a_job_that_dies_at_a_failpoint_loses_and_doubles_nothing() {
    let mut died = BTreeMap::new();
    for (index, query) in QUERIES.iter().enumerate() {
        let expected = undisturbed(query);
        let folder = tempfile::tempdir().expect("a directory");
        let case = case(query, folder.path(), &[]);
        let mut from: Option<String> = None;
        for (place, failpoint) in FAILPOINTS.iter().enumerate() {
            // some of them only a restored job comes by, and those once
            let count = if failpoint.contains("restore") { 1 } else { 1 + (index + place) % 5 };
            let spec = format!("{failpoint}@{count}");
            let parallelism = 1 + ((index + place) % 3) as u64;
            let ran = case.attempt(parallelism, from.as_deref(), Disturb::Failpoint(&spec));
            if ran.finished {
                break;
            }
            *died.entry(*failpoint).or_insert(0) += 1;
            from = complete(ran.directory).or(from);
        }
        case.attempt(2, from.as_deref(), Disturb::Not);
        let found = case.rows();
        assert!(found == expected, "{}\n{}", query.name, first_difference(&expected, &found));
    }
    let missed: Vec<&&str> = FAILPOINTS.iter().filter(|failpoint| !died.contains_key(*failpoint)).collect();
    assert!(missed.is_empty(), "no process died at {missed:?}");
}
