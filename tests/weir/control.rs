//! Jobs of one process that another lists, saves, stops and cancels, and what signals do to them.

use crate::process::{Run, command, lines_below};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Rows of a run, and how many come a second: few where commands are given meanwhile, which take as long as the machine
/// likes; all of them where nobody waits for anything but the end.
const ROWS: u64 = 18_000;
const SLOWLY: u64 = 300;
const AT_ONCE: u64 = 10_000_000;

/// What a test has for itself: nobody else's sockets are there.
struct World {
    folder: tempfile::TempDir,
}

/// A `weir run` in the background.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    /// of its checkpoints
    directory: PathBuf,
}

/// Waits for real: what is waited for is another process.
#[allow(clippy::disallowed_methods, reason = "what is tested is a process of its own")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_500 {
        if let Some(found) = found() {
            return found;
        }
        pause();
    }
    panic!("{what} never happens");
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn show(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("XDG_RUNTIME_DIR", self.folder.path()).env("TMPDIR", self.folder.path());
        command
    }

    fn weir(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("the binary starts").into()
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let run = self.weir(&[arguments, &["--json"]].concat()).succeeded();
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
    }

    /// The jobs that run, once there are so many.
    fn jobs(&self, count: usize) -> Vec<serde_json::Value> {
        until("the jobs run", || {
            let jobs = self.json(&["jobs"]).as_array().expect("a list").clone();
            let running = jobs.iter().all(|job| job["status"] == "RUNNING");
            (jobs.len() == count && running).then_some(jobs)
        })
    }

    /// Numbers rows: each is numbered once, and no number is left out, if state and sources go on together.
    fn script(&self, name: &str, rate: u64) -> String {
        let sql = format!(
            "CREATE TABLE src (id BIGINT, p AS PROCTIME()) WITH ('connector' = 'datagen', 'rows-per-second' = '{rate}',
               'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '{ROWS}');
             CREATE TABLE snk (id BIGINT, n BIGINT)
               WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv');
             INSERT INTO snk SELECT id, COUNT(*) OVER (ORDER BY p) FROM src;",
            self.show(name)
        );
        let script = self.path(&format!("{name}.sql"));
        fs::write(&script, sql).expect("written");
        script.display().to_string()
    }

    fn start(&self, script: &str, more: &[&str]) -> Running {
        let dir = format!("execution.checkpointing.dir={}", self.show("checkpoints"));
        let arguments = ["run", script, "--set", "execution.checkpointing.interval=100 ms", "--set", &dir];
        let mut command = self.command(&[&arguments, more].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("UTF-8");
        let place = line.trim().split_once("checkpoints of ").and_then(|(_, of)| of.split_once(": "));
        let (_, directory) = place.unwrap_or_else(|| panic!("it says where its checkpoints are: {line}"));
        Running { child, stderr, directory: PathBuf::from(directory) }
    }

    /// Stops a job with a savepoint and has another process do what is left of it: each row is numbered once.
    fn finish(&self, running: Running, name: &str) {
        let stopped = self.weir(&["stop", running.id(), "--savepoint", &self.show("finish")]).succeeded();
        assert!(running.ended().0.success());
        let rest = self.start(&self.script(name, AT_ONCE), &["--from", stopped.stdout.trim()]);
        assert!(rest.ended().0.success());
        self.assert_numbered(name);
    }

    /// The numbers that the rows have got, those of all runs together.
    fn assert_numbered(&self, name: &str) {
        let number = |line: String| -> (u64, u64) {
            let (id, n) = line.split_once(',').expect("two columns");
            (id.parse().expect("a number"), n.parse().expect("a number"))
        };
        let mut rows: Vec<(u64, u64)> = lines_below(&self.path(name)).into_iter().map(number).collect();
        rows.sort_unstable();
        assert_eq!(rows.len() as u64, ROWS, "as many as there are");
        assert!(rows.iter().enumerate().all(|(place, row)| *row == (place as u64 + 1, place as u64 + 1)));
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("weir")) else { return Vec::new() };
        entries.map(|entry| entry.expect("readable").path()).collect()
    }
}

/// Sends a signal, such as `-TERM`.
fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
}

impl Running {
    fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("it ends"), said)
    }

    /// Of its job.
    fn id(&self) -> &str {
        self.directory.file_name().and_then(|name| name.to_str()).expect("an id")
    }

    /// Where its checkpoints are, once there is one.
    fn checkpointed(&self) -> String {
        until("a checkpoint", || {
            let mut entries = fs::read_dir(&self.directory).ok()?.flatten();
            entries.any(|entry| entry.path().join("_metadata").is_file()).then_some(())
        });
        self.directory.display().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_job_is_saved_and_stopped_by_command_and_goes_on() {
    for canonical in [false, true] {
        let world = World::new();
        let script = world.script("out", SLOWLY);
        let first = world.start(&script, &[]);
        let job = &world.jobs(1)[0];
        let (id, name) = (job["id"].as_str().expect("an id"), job["name"].as_str().expect("a name"));
        assert_eq!(job["pid"], first.child.id());
        assert_eq!(first.id(), id);

        let format: &[&str] = if canonical { &["--canonical"] } else { &[] };
        let kept = world.weir(&[&["savepoint", "create", &id[..5], &world.show("kept")], format].concat());
        let kept = kept.succeeded().stdout.trim().to_string();
        assert!(kept.starts_with(&world.show("kept/savepoint-")), "{kept}");
        let files =
            fs::read_dir(&kept).expect("it is there").map(|entry| entry.expect("readable").file_name());
        let arrow = files.filter(|name| name.to_string_lossy().ends_with(".arrow")).count();
        assert_eq!(arrow > 0, canonical);

        let stopped = world.weir(&[&["stop", name, "--savepoint", &world.show("stopped")], format].concat());
        let stopped = stopped.succeeded().stdout.trim().to_string();
        let (status, said) = first.ended();
        assert!(status.success(), "{said}");
        assert!(said.contains("stopped with savepoint") && said.contains(&stopped), "{said}");
        assert!(world.sockets().is_empty(), "it goes with the process");
        let so_far = lines_below(&world.path("out")).len() as u64;
        assert!(so_far > 0 && so_far < ROWS, "it was stopped on its way: {so_far}");

        let second = world.start(&world.script("out", AT_ONCE), &["--from", &stopped]);
        let (status, said) = second.ended();
        assert!(status.success(), "{said}");
        assert!(said.contains(&format!("restored from {stopped}, checkpoint ")), "{said}");
        world.assert_numbered("out");
        world.weir(&["checkpoint", "fsck", &kept]).succeeded();
    }
}

#[test]
fn a_job_that_drains_is_over() {
    let world = World::new();
    let first = world.start(
        &world.script("out", SLOWLY),
        &["--set", &format!("execution.checkpointing.savepoint-dir={}", world.show("s"))],
    );
    world.jobs(1);
    let stopped = world.json(&["stop", "--drain"]);
    let path = stopped["path"].as_str().expect("a path");
    assert!(first.ended().0.success());
    let shown = world.weir(&["checkpoint", "show", path]).succeeded();
    assert!(shown.stdout.starts_with("drained savepoint"), "{}", shown.stdout);
    // it is all its own, whoever had finished before it
    assert!(!shown.stdout.contains("B new"), "{}", shown.stdout);
    let shown = world.weir(&["checkpoint", "show", "--json", path]).succeeded().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert!(shown["new_bytes"] == shown["state_bytes"] && shown["new_bytes"] != 0, "{}", shown["new_bytes"]);
}

#[test]
fn a_savepoint_that_cannot_be_written_leaves_the_job_alone() {
    let world = World::new();
    let script = world.script("out", SLOWLY);
    let first = world.start(&script, &[]);
    world.jobs(1);
    let run = world.weir(&["stop"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("'execution.checkpointing.savepoint-dir'"), "{}", run.stderr);
    let run = world.weir(&["savepoint", "create", &format!("{script}/below-a-file")]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("is not a directory"), "{}", run.stderr);
    let run = world.weir(&["stop", "nonsense"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("no such job") && run.stderr.contains("insert-into"), "{}", run.stderr);
    world.finish(first, "out");
    let run = world.weir(&["stop"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("no job of this user is running"), "{}", run.stderr);
}

#[test]
fn checkpoints_by_command_and_what_is_told_of_them() {
    let world = World::new();
    let first = world.start(&world.script("out", SLOWLY), &["--set", "execution.checkpointing.interval=1 h"]);
    let job = world.jobs(1).remove(0);
    assert!(job["checkpoint"].is_null());
    let path = world.weir(&["checkpoint", "trigger"]).succeeded().stdout;
    assert!(Path::new(path.trim()).join("_metadata").is_file(), "{path}");
    let again = world.json(&["checkpoint", "trigger", job["id"].as_str().expect("an id")]);
    assert_eq!(again["checkpoint"], 2);
    let job = world.jobs(1).remove(0);
    assert_eq!(
        (&job["checkpoint"]["id"], &job["checkpoint"]["path"]),
        (&again["checkpoint"], &again["path"])
    );
    assert!(job["rows_in"].as_u64() > Some(0), "{job}");
    let shown = world.json(&["jobs", "show"]);
    assert_eq!((&shown["checkpoints"]["completed"], &shown["job"]["id"]), (&2.into(), &job["id"]));
    let shown = world.weir(&["jobs", "show"]).succeeded().stdout;
    assert!(
        shown.contains("2 triggered, 0 in progress, 2 completed") && shown.contains("COMPLETED"),
        "{shown}"
    );
    let listed = world.weir(&["jobs"]).succeeded().stdout;
    assert!(listed.contains(job["id"].as_str().expect("an id")) && listed.contains("RUNNING"), "{listed}");

    let run = world.weir(&["cancel"]).succeeded();
    assert!(run.stdout.contains("CANCELED"), "{}", run.stdout);
    let (status, said) = first.ended();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("was cancelled"), "{said}");
    assert_eq!(world.weir(&["jobs"]).succeeded().stdout, "No jobs are running.\n");
    assert_eq!(world.json(&["jobs"]), serde_json::json!([]));
}

#[test]
fn two_jobs_are_told_apart() {
    let world = World::new();
    let running = ["one", "two"].map(|name| world.start(&world.script(name, SLOWLY), &[]));
    let jobs = world.jobs(2);
    let ids = jobs.iter().map(|job| job["id"].as_str().expect("an id")).collect::<Vec<_>>();
    let name = jobs[0]["name"].as_str().expect("a name");
    for arguments in [&["cancel"][..], &["cancel", name]] {
        let run = world.weir(arguments);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains(ids[0]) && run.stderr.contains(ids[1]), "{}", run.stderr);
    }
    let [one, two] = running;
    world.weir(&["cancel", &one.id()[..12]]).succeeded();
    assert_eq!(one.ended().0.code(), Some(2));
    assert_eq!(world.jobs(1)[0]["id"], two.id());
    world.finish(two, "two");
}

#[test]
fn what_a_killed_process_leaves_is_in_nobodys_way() {
    let world = World::new();
    let script = world.script("out", SLOWLY);
    let mut first = world.start(&script, &[]);
    world.jobs(1);
    let from = first.checkpointed();
    first.child.kill().expect("it can be killed");
    first.child.wait().expect("it ends");
    assert_eq!(world.sockets().len(), 1, "it could not take it along");
    let second = world.start(&script, &["--from", &from]);
    assert_eq!(world.jobs(1)[0]["pid"], second.child.id());
    let sockets = world.sockets();
    assert!(sockets.len() == 1 && sockets[0].ends_with(format!("{}.sock", second.child.id())), "{sockets:?}");
    world.finish(second, "out");
}

/// Who ends the process means the process: it can go on, whatever the settings say of cancelled jobs.
#[test]
fn a_terminated_run_goes_on_where_it_was() {
    let world = World::new();
    let script = world.script("out", SLOWLY);
    let first = world.start(&script, &[]);
    let from = first.checkpointed();
    signal(&first.child, "-TERM");
    let (status, said) = first.ended();
    assert_eq!(status.signal(), Some(15), "{said}");
    assert!(said.contains("error: terminated"), "{said}");
    assert!(world.sockets().is_empty());
    let (status, said) = world.start(&world.script("out", AT_ONCE), &["--from", &from]).ended();
    assert!(status.success(), "{said}");
    world.assert_numbered("out");
}

/// A person who types Ctrl-C cancels the job, and the settings say what stays of it.
#[test]
fn an_interrupted_run_is_cancelled() {
    for retention in ["NO_EXTERNALIZED_CHECKPOINTS", "RETAIN_ON_CANCELLATION"] {
        let world = World::new();
        let setting = format!("execution.checkpointing.externalized-checkpoint-retention={retention}");
        let first = world.start(&world.script("out", SLOWLY), &["--set", &setting]);
        let directory = PathBuf::from(first.checkpointed());
        signal(&first.child, "-INT");
        let (status, said) = first.ended();
        assert_eq!(status.code(), Some(130), "{said}");
        assert_eq!(directory.exists(), retention.starts_with("RETAIN"), "{said}");
        let hidden = fs::read_dir(world.path("out")).map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().contains("inprogress"))
                .count()
        });
        assert_eq!(hidden, 0, "nothing unfinished is left");
    }
}

/// All jobs of a script end in good order, also while it waits for more statements.
#[test]
fn signals_reach_jobs_in_the_background() {
    let world = World::new();
    let dir = format!("execution.checkpointing.dir={}", world.show("checkpoints"));
    let mut command =
        world.command(&["sql", "--set", "execution.checkpointing.interval=50 ms", "--set", &dir]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let sql = "CREATE TABLE src (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');
        CREATE TABLE snk (id BIGINT) WITH ('connector' = 'blackhole');
        INSERT INTO snk SELECT id FROM src; INSERT INTO snk SELECT id + 1 FROM src;\n";
    let mut stdin = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, sql.as_bytes()).expect("it reads");
    for job in world.jobs(2) {
        let id = job["id"].as_str().expect("an id");
        until("a checkpoint", || {
            let shown = world.json(&["jobs", "show", id]);
            (!shown["job"]["checkpoint"].is_null()).then_some(())
        });
    }
    signal(&child, "-TERM");
    let status = child.wait().expect("it ends, though its input does not");
    assert_eq!(status.signal(), Some(15));
    drop(stdin);
    let kept = world.json(&["checkpoint", "ls", &world.show("checkpoints")]);
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "the newest of each: {kept}");
}

#[test]
fn an_unset_variable_is_no_checkpoint() {
    let world = World::new();
    let script = world.script("out", SLOWLY);
    let run = world.weir(&["run", &script, "--from", ""]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("--from") && run.stderr.contains("is empty"), "{}", run.stderr);
    let run = world.weir(&["run", &script, "--set", "execution.state-recovery.path="]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("is empty"), "{}", run.stderr);
    assert!(!world.path("out").exists(), "nothing has begun");
}
