//! Runs the binary, to its end or until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
pub struct Times {
    pub wall: Duration,
    pub cpu: Duration,
}

impl Times {
    pub fn least(self, other: Times) -> Times {
        Times { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// How jobs of a case are run: where their checkpoints go, and on which backend.
pub struct Job {
    folder: tempfile::TempDir,
    backend: String,
    /// milliseconds from one checkpoint to the next
    interval_ms: Option<u64>,
}

/// A job that runs until it is killed.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// kept open: the process writes to it
    _stderr: BufReader<ChildStderr>,
    directory: String,
    started: Instant,
    /// and was waited for
    ended: bool,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "checkpoints of another process come by the wall clock")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn failed(error: std::io::Error) -> String {
    error.to_string()
}

impl Job {
    pub fn new(backend: &str, interval_ms: Option<u64>) -> Result<Job, String> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(failed)?;
        Ok(Job { folder, backend: backend.to_string(), interval_ms })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["run", "-", "--set", &format!("state.backend.type={}", self.backend)]);
        if self.backend == "rocksdb" {
            command.args(["--set", "taskmanager.memory.managed.size=6 gb"]);
        }
        if let Some(interval_ms) = self.interval_ms {
            let dir = format!("execution.checkpointing.dir={}", self.folder.path().display());
            let interval = format!("execution.checkpointing.interval={interval_ms} ms");
            command.args(["--set", &interval, "--set", &dir]);
        }
        command
    }

    fn spawn(&self, mut command: Command, sql: &str) -> Result<Child, String> {
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(failed)?;
        child.stdin.take().ok_or("no stdin")?.write_all(sql.as_bytes()).map_err(failed)?;
        Ok(child)
    }

    /// Runs `sql` to its end.
    pub fn run(&self, sql: &str) -> Result<Times, String> {
        let started = now();
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.spawn(command, sql)?;
        let (status, cpu) = wait(child.id())?;
        let wall = started.elapsed();
        if status == 0 { Ok(Times { wall, cpu }) } else { Err(format!("weir ended with {status}: {sql}")) }
    }

    /// Starts `sql`, from the newest checkpoint below `from` if there is one.
    pub fn start(&self, sql: &str, from: Option<&str>) -> Result<Running, String> {
        let started = now();
        let mut command = self.command();
        command.args(["--set", "execution.checkpointing.num-retained=1000"]);
        command.args(from.into_iter().flat_map(|from| ["--from", from]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command, sql)?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no stderr")?);
        let mut said = String::new();
        let directory = loop {
            let before = said.len();
            if stderr.read_line(&mut said).map_err(failed)? == 0 {
                return Err(format!("weir said where no checkpoints are: {said}"));
            }
            let place = said[before..].trim().split_once("checkpoints of ");
            if let Some((_, directory)) = place.and_then(|(_, place)| place.split_once(": ")) {
                break directory.to_string();
            }
        };
        Ok(Running { child, stdout, _stderr: stderr, directory, started, ended: false })
    }
}

impl Running {
    /// Where the job's checkpoints are.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Since the process was started.
    pub fn until_first_row(&mut self) -> Result<Duration, String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line).map_err(failed)? {
            0 => Err("weir printed nothing".to_string()),
            _ => Ok(self.started.elapsed()),
        }
    }

    /// Waits for a row that is printed with `text` in it.
    pub fn wait_for_row(&mut self, text: &str) -> Result<(), String> {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            if self.stdout.read_line(&mut line).map_err(failed)? == 0 {
                return Err(format!("weir ended before it printed {text}"));
            }
        }
        Ok(())
    }

    /// Waits until a checkpoint with this number, or a later one, is complete.
    pub fn wait_for_checkpoint(&mut self, number: u64) -> Result<(), String> {
        let is_there =
            |number: u64| Path::new(&self.directory).join(format!("chk-{number}/_metadata")).is_file();
        while !(number..number + 5).any(is_there) {
            if let Some(status) = self.child.try_wait().map_err(failed)? {
                return Err(format!("weir ended with {status}"));
            }
            pause(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The CPU time that the process has taken.
    pub fn kill(mut self) -> Result<Duration, String> {
        self.child.kill().map_err(failed)?;
        self.ended = true;
        wait(self.child.id()).map(|(_, cpu)| cpu)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for a child and takes its CPU time, which `std::process::Child::wait` does not give.
fn wait(pid: u32) -> Result<(i32, Duration), String> {
    let mut status = 0;
    // SAFETY: zeroes are a valid rusage, and both pointers are to live values of the types that wait4 fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let waited = unsafe { libc::wait4(pid as libc::pid_t, &mut status, 0, &mut usage) };
    if waited < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok((status, time(usage.ru_utime) + time(usage.ru_stime)))
}
