//! The classic: words from a socket are counted, the process is killed, and the next one goes on counting.

use crate::process::command;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    /// of the job's checkpoints
    directory: String,
    socket: TcpStream,
}

/// `weir run queries/wordcount.sql` with a checkpoint each tenth of a second, connected to `listener`.
fn start(listener: &TcpListener, folder: &Path, from: Option<&str>, settings: &[&str]) -> Running {
    let port = listener.local_addr().expect("bound").port();
    let (define, dir) = (format!("PORT={port}"), format!("execution.checkpointing.dir={}", folder.display()));
    let mut arguments = vec!["run", "queries/wordcount.sql", "-D", &define, "-D", "HOST=127.0.0.1"];
    arguments.extend(["--set", "execution.checkpointing.interval=100 ms", "--set", &dir]);
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    arguments.extend(from.into_iter().flat_map(|from| ["--from", from]));
    let mut child =
        command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let place = |line: String| Some(line.split_once("checkpoints of ")?.1.split_once(": ")?.1.to_string());
    let directory = stderr.find_map(place).expect("it says where its checkpoints are");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let socket = listener.accept().expect("it connects").0;
    Running { child, stdout, directory, socket }
}

impl Running {
    /// Types a line and reads what is printed of it.
    fn typed(&mut self, line: &str, changes: usize) -> Vec<String> {
        self.socket.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        let mut printed: Vec<String> = (0..changes).map(|_| self.line()).collect();
        printed.sort();
        printed
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("UTF-8");
        line.trim_end().to_string()
    }

    fn newest_checkpoint(&self) -> u64 {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return 0 };
        let complete = entries.flatten().filter(|entry| entry.path().join("_metadata").is_file());
        let number =
            |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix("chk-")?.parse().ok();
        complete.filter_map(number).max().unwrap_or(0)
    }

    /// Kills it once a checkpoint is complete that began after what has been printed so far.
    fn kill(mut self) -> String {
        // the next one may have begun before
        for _ in 0..2 {
            let known = self.newest_checkpoint();
            while self.newest_checkpoint() == known {
                pause(Duration::from_millis(10));
            }
        }
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.directory
    }
}

/// Waits for real: checkpoints of another process come by the wall clock.
#[allow(clippy::disallowed_methods, reason = "what is tested is a process of its own")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[test]
fn a_killed_word_count_goes_on_counting() {
    let folder = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut first = start(&listener, folder.path(), None, &[]);
    assert_eq!(first.typed("hello world", 2), ["+I[hello, 1]", "+I[world, 1]"]);
    let from = first.kill();
    let mut second = start(&listener, folder.path(), Some(&from), &[]);
    let expected = ["+U[hello, 2]", "+U[world, 2]", "-U[hello, 1]", "-U[world, 1]"];
    assert_eq!(second.typed("hello world", 4), expected);
    let from = second.kill();
    let mut third = start(&listener, folder.path(), Some(&from), &[]);
    let expected = ["+U[hello, 3]", "-U[hello, 2]"];
    assert_eq!(third.typed("Hello", 2), expected);
    third.kill();
}

/// What was counted without a time to live is not idle for a job that has one.
#[test]
fn counts_outlive_a_new_time_to_live() {
    for backend in ["state.backend=hashmap", "state.backend=rocksdb"] {
        let folder = tempfile::tempdir().expect("a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut first = start(&listener, folder.path(), None, &[backend]);
        assert_eq!(first.typed("hello", 1), ["+I[hello, 1]"]);
        let from = first.kill();
        let settings = [backend, "table.exec.state.ttl=1 h"];
        let mut second = start(&listener, folder.path(), Some(&from), &settings);
        assert_eq!(second.typed("hello", 2), ["+U[hello, 2]", "-U[hello, 1]"], "{backend}");
        second.kill();
    }
}
