//! A job that fails and starts again by itself reads the second copies of its state on this machine, and where these are
//! damaged or missing, the files of its checkpoint.
#![allow(clippy::disallowed_methods, reason = "waits for what another process does")]

use crate::process::{command, lines_below, start_with};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROWS: u64 = 4000;
const KEYS: u64 = 900;
/// A machine is busy, not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

const BACKENDS: [&[&str]; 2] = [
    &["state.backend.type=hashmap"],
    &["state.backend.type=rocksdb", "state.backend.rocksdb.memory.fixed-per-slot=16 kb"],
];

/// A job that counts, and whose checkpoints lie below a folder.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn script(&self) -> String {
        format!(
            "CREATE TABLE numbers (id BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '{ROWS}',
               'rows-per-second' = '800', 'fields.id.kind' = 'sequence', 'fields.id.start' = '1',
               'fields.id.end' = '{ROWS}');
             CREATE TABLE counts (k BIGINT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{}',
               'format' = 'debezium-json');
             INSERT INTO counts SELECT MOD(id, {KEYS}), COUNT(*) FROM numbers GROUP BY MOD(id, {KEYS});",
            self.path("target")
        )
    }

    /// Runs the job, has it fail once, calls `meanwhile` with its directory before it starts again; all that the process said.
    fn run(&self, backend: &[&str], meanwhile: impl Fn(&Path)) -> Vec<String> {
        let own = [
            "execution.checkpointing.interval=100 ms".to_string(),
            "execution.checkpointing.data-inline-threshold=0".to_string(),
            format!("execution.checkpointing.dir={}", self.path("checkpoints")),
            "execution.checkpointing.local-backup.enabled=true".to_string(),
            format!("execution.checkpointing.local-backup.dirs={};{}", self.path("one"), self.path("two")),
            "restart-strategy.type=fixed-delay".to_string(),
            "restart-strategy.fixed-delay.attempts=9".to_string(),
            "restart-strategy.fixed-delay.delay=3 s".to_string(),
        ];
        let settings = own.iter().map(String::as_str).chain(backend.iter().copied());
        let mut arguments = vec!["run", "-"];
        arguments.extend(settings.flat_map(|setting| ["--set", setting]));
        let mut child = start_with(&mut command(&arguments), &self.script());
        let mut said = Vec::new();
        let mut directory = PathBuf::new();
        for line in BufReader::new(child.stderr.take().expect("piped")).lines() {
            let line = line.expect("UTF-8");
            if line.starts_with("checkpoints of ") {
                directory = PathBuf::from(line.rsplit_once(": ").expect("a directory").1);
                block_a_checkpoint(&directory);
            }
            if line.contains("starts again") {
                meanwhile(&directory);
            }
            said.push(line);
        }
        assert!(child.wait().expect("it ends").success(), "{said:?}");
        said
    }

    /// What is left of the changes: the count of each key.
    fn counts(&self) -> BTreeMap<u64, u64> {
        let mut left: BTreeMap<(u64, u64), i64> = BTreeMap::new();
        for line in lines_below(Path::new(&self.path("target"))) {
            let change: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            for (side, count) in [("before", -1), ("after", 1)] {
                let number = |name: &str| change[side][name].as_u64();
                if let Some(row) = number("k").zip(number("n")) {
                    *left.entry(row).or_default() += count;
                }
            }
        }
        assert!(left.values().all(|count| [0, 1].contains(count)), "rows that are lost or doubled");
        left.into_iter().filter(|(_, count)| *count == 1).map(|(row, _)| row).collect()
    }

    /// The second copies that there are.
    fn copies(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            ["one", "two"].iter().flat_map(|root| files(Path::new(&self.path(root)))).collect();
        found.sort();
        found
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Puts a file where a checkpoint to come would have its directory, once some are complete: that one fails, and the job with it.
fn block_a_checkpoint(directory: &Path) {
    let started = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(20));
        assert!(started.elapsed() < PATIENCE, "no checkpoint came about");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let complete = entries.filter(|entry| entry.path().join("_metadata").exists());
        let number =
            |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("chk-")?.parse::<u64>().ok();
        let newest = complete.filter_map(number).max().unwrap_or(0);
        let blocked = directory.join(format!("chk-{}", newest + 3));
        if newest >= 5 && fs::File::create_new(blocked).is_ok() {
            return;
        }
    }
}

fn expected() -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    (1..=ROWS).for_each(|id| *counts.entry(id % KEYS).or_default() += 1);
    counts
}

fn restored(said: &[String]) -> &str {
    let line = said.iter().find(|line| line.contains("restored from"));
    line.unwrap_or_else(|| panic!("it was not restored: {said:?}"))
}

#[test]
fn copies_are_all_that_a_restart_needs() {
    for backend in BACKENDS {
        let world = World { folder: tempfile::tempdir().expect("a directory") };
        let said = world.run(backend, |directory| {
            assert!(!world.copies().is_empty(), "there are copies");
            // files of the checkpoint itself; its manifest stays
            for file in files(directory).iter().filter(|file| !file.ends_with("_metadata")) {
                fs::remove_file(file).expect("removed");
            }
        });
        assert!(
            restored(&said).contains(" from its local copy") || restored(&said).contains(" local copies"),
            "{said:?}"
        );
        assert!(!said.iter().any(|line| line.contains("could not be used")), "{said:?}");
        assert_eq!(world.counts(), expected(), "{backend:?}");
        assert_eq!(world.copies(), Vec::<PathBuf>::new(), "they go with the job");
    }
}

#[test]
fn what_copies_lack_comes_from_the_checkpoint() {
    for backend in BACKENDS {
        let world = World { folder: tempfile::tempdir().expect("a directory") };
        let said = world.run(backend, |_| {
            for (place, copy) in world.copies().iter().enumerate() {
                let mut contents = fs::read(copy).expect("a copy");
                // a copy may be the file itself under another name: it gets contents of its own
                fs::remove_file(copy).expect("removed");
                if place % 2 == 0 {
                    let middle = contents.len() / 2;
                    contents[middle] ^= 1;
                    fs::write(copy, contents).expect("written");
                }
            }
        });
        let warning = said.iter().find(|line| line.contains("could not be used")).expect("it is told");
        assert!(warning.starts_with("warning: ") && warning.contains("read: "), "{warning}");
        assert!(
            warning.contains("corrupt at offset") || warning.contains("there is no such copy"),
            "{warning}"
        );
        assert!(!restored(&said).contains("local cop"), "{said:?}");
        assert_eq!(world.counts(), expected(), "{backend:?}");
    }
}

#[test]
fn directories_that_cannot_be_are_refused() {
    let world = World { folder: tempfile::tempdir().expect("a directory") };
    fs::write(world.path("taken"), "").expect("written");
    let dirs = "execution.checkpointing.local-backup.dirs";
    for (list, reason) in [
        (world.path("taken"), "is not a directory"),
        (
            format!("{},s3://bucket/copies", world.path("fine")),
            "'s3://bucket/copies' is not a directory of this machine",
        ),
        (" ; ".to_string(), "set 'execution.checkpointing.local-backup.dirs'"),
    ] {
        let settings = format!(
            "SET 'execution.checkpointing.dir' = '{}'; SET '{dirs}' = '{list}';
             SET 'execution.checkpointing.local-backup.enabled' = 'true';",
            world.path("checkpoints")
        );
        let run = crate::process::run_sql(&format!("{settings}{}", world.script()), &[]);
        assert!(run.code == 1 && run.stderr.contains(reason), "{list}: {}", run.stderr);
    }
}
