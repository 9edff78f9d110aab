//! Runs the binary.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The root of the repository: where tests run the binary, so that paths in queries are as users have them.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn path(relative: &str) -> PathBuf {
    root().join(relative)
}

/// A run of `weir`, and what came of it.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Panics with what the binary printed unless it exited with 0.
    pub fn succeeded(self) -> Run {
        assert_eq!(self.code, 0, "weir failed\n{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

pub fn weir(arguments: &[&str]) -> Run {
    command(arguments).output().expect("the binary starts").into()
}

/// Starts a command with `sql` as its standard input. What it says on standard error is there to be read.
pub fn start_with(command: &mut Command, sql: &str) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(sql.as_bytes()).expect("it reads");
    child
}

/// `weir run -` with `sql` as its standard input.
pub fn run_sql(sql: &str, arguments: &[&str]) -> Run {
    let mut child = command(&[&["run", "-"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // The binary may end before it has read everything; what it printed tells why.
    let _ = stdin.write_all(sql.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the binary ends").into()
}

/// The lines of all files below `folder`, in no particular order. Hidden files are unfinished and do not count.
pub fn lines_below(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return lines };
    for entry in entries {
        let entry = entry.expect("a readable folder");
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        if entry.path().is_dir() {
            lines.extend(lines_below(&entry.path()));
        } else {
            let text = std::fs::read_to_string(entry.path()).expect("a readable file");
            lines.extend(text.lines().map(str::to_string));
        }
    }
    lines
}
