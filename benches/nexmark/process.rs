//! Runs the binary and measures it.

use crate::root;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One run, or the best of several.
pub struct Measured {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_kib: u64,
}

/// The least wall-clock and the least CPU time of `runs` runs, and the largest peak. On a busy machine the one that
/// ran through says nothing about the other.
pub fn best_of(runs: u32, mut run: impl FnMut() -> Result<Measured, String>) -> Result<Measured, String> {
    let mut best = run()?;
    for _ in 1..runs {
        let next = run()?;
        best = Measured {
            wall: best.wall.min(next.wall),
            cpu: best.cpu.min(next.cpu),
            peak_kib: best.peak_kib.max(next.peak_kib),
        };
    }
    Ok(best)
}

pub fn run_files(files: &[&str], defines: &[String], parallelism: u32) -> Result<Measured, String> {
    run_sql(files, "", defines, parallelism)
}

/// `weir run FILES -`, with `sql` as standard input.
pub fn run_sql(files: &[&str], sql: &str, defines: &[String], parallelism: u32) -> Result<Measured, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(root()).arg("run").args(files).arg("-");
    for define in defines {
        command.args(["-D", define]);
    }
    command.args(["--set", &format!("parallelism.default={parallelism}")]);
    #[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    stdin.write_all(sql.as_bytes()).map_err(|error| error.to_string())?;
    drop(stdin);
    let (status, usage) = wait(child.id())?;
    let wall = started.elapsed();
    if status != 0 {
        return Err(format!("weir ended with status {status}: {files:?} {sql}"));
    }
    Ok(Measured { wall, cpu: cpu_of(&usage), peak_kib: usage.ru_maxrss as u64 })
}

fn cpu_of(usage: &libc::rusage) -> Duration {
    let seconds = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// What this process has spent on processors.
pub fn cpu_time() -> Duration {
    // SAFETY: zeroes are a valid rusage, and the pointer is to a live one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    cpu_of(&usage)
}

/// Waits for a child and takes its resource usage, which `std::process::Child::wait` does not give.
fn wait(pid: u32) -> Result<(i32, libc::rusage), String> {
    let mut status = 0;
    // SAFETY: zeroes are a valid rusage, and both pointers are to live values of the types that wait4 fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let waited = unsafe { libc::wait4(pid as libc::pid_t, &mut status, 0, &mut usage) };
    if waited < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    Ok((status, usage))
}
