//! What the binary tells of its checkpoints.

use serde_json::Value;
use std::process::Command;

pub struct Checkpoint {
    pub path: String,
    pub state_bytes: u64,
    pub new_bytes: u64,
    pub duration_ms: u64,
}

fn weir(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("weir {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn number(value: &Value, name: &str) -> Result<u64, String> {
    value[name].as_u64().ok_or_else(|| format!("no {name} in {value}"))
}

/// Those of a job, the oldest first.
pub fn checkpoints(directory: &str) -> Result<Vec<Checkpoint>, String> {
    let list = weir(&["checkpoint", "ls", "--json", directory])?;
    let mut found = Vec::new();
    for entry in list.as_array().ok_or("no list")? {
        let told = &entry["readable"];
        let checkpoint = Checkpoint {
            path: entry["path"].as_str().ok_or("no path")?.to_string(),
            state_bytes: number(told, "state_bytes")?,
            new_bytes: number(told, "new_bytes")?,
            duration_ms: number(told, "duration_ms")?,
        };
        found.push((number(told, "id")?, checkpoint));
    }
    found.sort_by_key(|(id, _)| *id);
    Ok(found.into_iter().map(|(_, checkpoint)| checkpoint).collect())
}

/// The longest synchronous part that any task of a checkpoint had.
pub fn longest_sync_ms(path: &str) -> Result<u64, String> {
    let report = weir(&["checkpoint", "show", "--json", path])?;
    let tasks = report["tasks"].as_array().ok_or("no tasks")?.iter();
    tasks.map(|task| number(task, "sync_ms")).try_fold(0, |longest, next| Ok(longest.max(next?)))
}

/// Writes a canonical savepoint of the newest checkpoint in `from`; bytes of its files.
pub fn convert(from: &str, to: &str) -> Result<u64, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(["savepoint", "convert", from, to]).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("weir savepoint convert: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let files = std::fs::read_dir(to).map_err(|error| error.to_string())?;
    let bytes = files.map(|file| file.and_then(|file| file.metadata()).map(|file| file.len()));
    bytes.sum::<Result<u64, _>>().map_err(|error| error.to_string())
}

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
