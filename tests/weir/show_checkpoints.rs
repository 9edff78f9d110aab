//! `SHOW CHECKPOINTS` beside a running job: what it counts is what happened.

use crate::process::command;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// A prompt without a terminal.
struct Prompt {
    child: Child,
    stdin: ChildStdin,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// The line of counts.
#[derive(Clone, Debug)]
struct Counts {
    triggered: u64,
    in_progress: u64,
    completed: u64,
    failed: u64,
    restored: u64,
    line: String,
    /// those of the table above it, cell by cell
    rows: Vec<Vec<String>>,
}

#[allow(clippy::disallowed_methods, reason = "two pipes of another process are read at once")]
fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(10_000);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for real: checkpoints of another process come by the wall clock.
#[allow(clippy::disallowed_methods, reason = "what is tested is a process of its own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(30));
}

impl Prompt {
    fn start(folder: &Path) -> Prompt {
        let dir = format!("execution.checkpointing.dir={}", folder.display());
        let mut arguments = vec!["sql", "--set", "execution.checkpointing.interval=50 ms", "--set", &dir];
        arguments.extend(["--set", "execution.checkpointing.tolerable-failed-checkpoints=100000"]);
        let mut child = command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Prompt { child, stdin, stdout, stderr }
    }

    fn type_in(&mut self, sql: &str) {
        writeln!(self.stdin, "{sql}").expect("it reads");
    }

    /// Starts a job that never ends; its id and its directory.
    fn job(&mut self, sql: &str) -> (String, PathBuf) {
        self.type_in(sql);
        let place =
            |line: String| Some(line.split_once("checkpoints of ")?.1.split_once(": ")?.1.to_string());
        let directory = PathBuf::from(self.stderr.iter().find_map(place).expect("it says where they are"));
        let id = directory.file_name().expect("a name").to_str().expect("UTF-8").to_string();
        (id, directory)
    }

    fn counts(&mut self, job: &str) -> Counts {
        self.type_in(&format!("SHOW CHECKPOINTS FOR JOB '{job}';"));
        let mut rows = Vec::new();
        for line in self.stdout.iter() {
            if let Some(counted) = line.strip_prefix(&format!("{job}: ")) {
                return parse(counted, rows);
            }
            if line.contains(job) && line.contains('|') {
                let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_string());
                rows.push(cells.collect());
            }
        }
        panic!("the prompt has ended");
    }

    /// What is printed from the line that begins like this, to the next answer.
    fn told(&mut self, beginning: &str) -> Vec<String> {
        self.type_in("SHOW CATALOGS;");
        let lines = self.stdout.iter().skip_while(|line| !line.starts_with(beginning));
        lines.take_while(|line| !line.contains("catalog name")).collect()
    }

    /// Asks until the counts are as they should be. What is in between adds up at any time.
    fn until(&mut self, job: &str, what: &str, wanted: impl Fn(&Counts) -> bool) -> Counts {
        for _ in 0..2000 {
            let counts = self.counts(job);
            let Counts { triggered, in_progress, completed, failed, .. } = counts;
            assert_eq!(triggered, in_progress + completed + failed, "{}", counts.line);
            assert!(in_progress <= 2, "{}", counts.line);
            if wanted(&counts) {
                return counts;
            }
            pause();
        }
        panic!("{what} never happens");
    }
}

impl Drop for Prompt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str, rows: Vec<Vec<String>>) -> Counts {
    let number = |what: &str| -> u64 {
        let counts = line.split(';').next().expect("counts").split(", ");
        let count = counts.filter_map(|count| count.strip_suffix(what)?.trim().parse().ok()).next();
        count.unwrap_or_else(|| panic!("no number {what} in {line}"))
    };
    Counts {
        triggered: number("triggered"),
        in_progress: number("in progress"),
        completed: number("completed"),
        failed: number("failed"),
        restored: number("restored"),
        line: line.to_string(),
        rows,
    }
}

impl Counts {
    /// The number of the latest one of a kind.
    fn latest(&self, what: &str) -> Option<u64> {
        let (_, rest) = self.line.split_once(&format!("latest {what} "))?;
        rest.split(' ').next()?.parse().ok()
    }

    /// How many rows have this text in column `column`.
    fn with(&self, column: usize, text: &str) -> u64 {
        self.rows.iter().filter(|row| row.get(column).is_some_and(|cell| cell == text)).count() as u64
    }
}

/// Puts a file where the job's directory is, so that nothing can be written there.
fn block(directory: &Path) -> PathBuf {
    let aside = directory.with_extension("aside");
    for attempt in 0.. {
        // a checkpoint may make the directory again in between
        let _ = fs::rename(directory, format!("{}{attempt}", aside.display()));
        if fs::write(directory, "in the way").is_ok() {
            break;
        }
    }
    PathBuf::from(format!("{}0", aside.display()))
}

const TABLES: &str = "CREATE TABLE src (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '500',
      'fields.id.min' = '0', 'fields.id.max' = '99');
    CREATE TABLE snk (k BIGINT, c BIGINT) WITH ('connector' = 'blackhole');";
const INSERT: &str = "INSERT INTO snk SELECT id, COUNT(*) FROM src GROUP BY id;";

#[test]
fn counts_are_of_what_happened() {
    let folder = std::env::temp_dir().join(format!("weir-show-checkpoints-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let savepoints = folder.join("savepoints");
    fs::create_dir_all(&savepoints).expect("a directory");
    let mut prompt = Prompt::start(&folder.join("checkpoints"));
    prompt.type_in(TABLES);
    let (job, directory) = prompt.job(INSERT);

    let counts = prompt.until(&job, "a third checkpoint", |counts| counts.completed >= 3);
    assert_eq!((counts.failed, counts.restored), (0, 0), "{}", counts.line);
    assert!(counts.latest("completed") >= Some(3), "{}", counts.line);
    assert!(["failed", "savepoint"].iter().all(|what| counts.latest(what).is_none()), "{}", counts.line);
    assert_eq!(counts.with(3, "COMPLETED"), counts.completed, "{:?}", counts.rows);
    assert_eq!(counts.with(3, "IN_PROGRESS"), counts.in_progress, "{:?}", counts.rows);
    assert_eq!(counts.with(2, "SAVEPOINT"), 0, "{:?}", counts.rows);

    prompt.type_in(&format!("CREATE SAVEPOINT '{}' FOR JOB '{job}';", savepoints.display()));
    let counts = prompt.until(&job, "a savepoint", |counts| counts.latest("savepoint").is_some());
    let savepoint = counts.latest("savepoint").expect("there is one");
    let rows = counts.rows.iter().filter(|row| row[2] == "SAVEPOINT");
    let rows: Vec<_> = rows.map(|row| (row[1].clone(), row[3].clone())).collect();
    assert_eq!(rows, [(savepoint.to_string(), "COMPLETED".to_string())]);

    let before = counts;
    let aside = block(&directory);
    let counts = prompt.until(&job, "a failure", |counts| counts.failed >= 2);
    assert!(counts.latest("failed") > before.latest("completed"), "{}", counts.line);
    let reasons = counts.rows.iter().filter(|row| row[3] == "FAILED");
    let reasons: Vec<_> = reasons.filter_map(|row| row.last()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason.len() > 2), "{:?}", counts.rows);
    let failed = counts.latest("failed").expect("a number");
    prompt.type_in(&format!("EXPLAIN CHECKPOINT FOR JOB '{job}' {failed};"));
    let told = prompt.told(&format!("checkpoint {failed} of job {job}: FAILED after "));
    assert!(
        told.iter().any(|line| line.contains("source:src -> ") && line.ends_with("sink[snk]")),
        "a row for its task: {told:?}"
    );
    fs::remove_file(&directory).expect("removed");
    // a checkpoint may make the directory again in between
    let put_back = (0..1000).any(|attempt| {
        let back = fs::rename(&aside, &directory).is_ok();
        if !back {
            let _ = fs::rename(&directory, directory.with_extension(format!("between{attempt}")));
        }
        back
    });
    assert!(put_back, "{aside:?} goes back");
    let failed = counts.latest("failed");
    prompt.until(&job, "one that completes behind it", |counts| counts.latest("completed") > failed);
    prompt.type_in(&format!("STOP JOB '{job}';"));

    let place =
        fs::read_dir(&savepoints).expect("a directory").next().expect("a savepoint").expect("readable");
    let place = place.path();
    prompt.type_in(&format!("SET 'execution.state-recovery.path' = '{}';", place.display()));
    let (second, _) = prompt.job(INSERT);
    let counts = prompt.until(&second, "a checkpoint of the second job", |counts| counts.completed >= 1);
    assert_eq!((counts.restored, counts.failed), (1, 0), "{}", counts.line);
    assert!(counts.line.contains(&format!("latest restore of {savepoint} from ")), "{}", counts.line);
    assert!(counts.line.contains(place.to_str().expect("UTF-8")), "{}", counts.line);
    assert!(counts.latest("completed") > Some(savepoint), "numbers go on: {}", counts.line);

    let named = folder.join("named");
    prompt.type_in(&format!("STOP JOB '{second}' WITH CANONICAL SAVEPOINT '{}';", named.display()));
    let path = prompt
        .stdout
        .iter()
        .find_map(|line| line.split_once(named.to_str()?).map(|(_, path)| path.to_string()));
    let path = path.expect("its path is shown").trim_matches(['|', ' ', '/']).to_string();
    let files = fs::read_dir(named.join(path))
        .expect("it is there")
        .map(|entry| entry.expect("readable").file_name());
    assert!(files.filter(|name| name.to_string_lossy().ends_with(".arrow")).count() > 0);
    drop(prompt);
    fs::remove_dir_all(folder).expect("removed");
}
