//! What checkpoints cost, what they write, and how long it takes to begin with one.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use crate::process::{best_of, run_sql};
use crate::{HEAP, Options, ROCKSDB, UNLIMITED, report, root, source};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BACKENDS: [(&str, &str); 2] = [("heap", HEAP), ("rocksdb", ROCKSDB)];

const COUNTS: &str =
    "CREATE TABLE snk (k BIGINT, c BIGINT, s BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
    INSERT INTO snk SELECT k, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k;";

fn checkpoints_in(directory: &Path) -> String {
    format!(
        "SET 'execution.checkpointing.interval' = '1 s'; SET 'execution.checkpointing.dir' = '{}';
         SET 'execution.checkpointing.num-retained' = '100';",
        directory.display()
    )
}

/// Throughput with a checkpoint each second over that without.
pub fn throughput(options: &Options) -> Result<(), String> {
    let rows = 30_000_000;
    for (backend, settings) in BACKENDS {
        let sql = format!("{}{COUNTS}", source(rows, options.keys, UNLIMITED));
        let without = best_of(1, || run_sql(&[], &format!("{settings}{sql}"), &[], 1))?;
        report("checkpoints", &format!("{backend}, none"), rows, &without, 1.0);
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let often = checkpoints_in(directory.path());
        let with = best_of(1, || run_sql(&[], &format!("{settings}{often}{sql}"), &[], 1))?;
        let ratio = without.cpu.as_secs_f64() / with.cpu.as_secs_f64();
        report("checkpoints", &format!("{backend}, each second"), rows, &with, ratio);
    }
    Ok(())
}

/// All keys once, then one in a hundred of them again and again: what a checkpoint writes of it, and how long a job takes
/// until it has the state back.
pub fn changes_and_restore(options: &Options) -> Result<(), String> {
    for (backend, settings) in BACKENDS {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let keys = options.keys;
        let table = format!(
            "CREATE TABLE src (id BIGINT, v BIGINT,
               k AS CASE WHEN id < {keys} THEN id * 7919 % {keys} ELSE id * 7919 % {keys} / 100 * 100 END
             ) WITH (
               'connector' = 'datagen', 'number-of-rows' = 'ROWS', 'rows-per-second' = '{}',
               'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '2000000000',
               'fields.v.min' = '0', 'fields.v.max' = '1000000'
             );",
            keys / 4
        );
        let often = checkpoints_in(directory.path());
        let mut child = start(&format!("{settings}{often}{}{COUNTS}", table.replace("ROWS", "2000000000")))?;
        // the keys take four seconds
        std::thread::sleep(Duration::from_secs(16));
        child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
        let found = list(directory.path())?;
        let Some(last) = found.last() else { return Err(format!("{backend}: no checkpoints")) };
        let number = |of: &Value, key: &str| of[key].as_u64().unwrap_or(0);
        let full = number(last, "state_bytes");
        let late: Vec<u64> = found.iter().rev().take(6).map(|found| number(found, "new_bytes")).collect();
        let mean = late.iter().sum::<u64>() as f64 / late.len() as f64;
        println!(
            "changes      {backend:<28} {:.1} MB of state, {:.2} MB new a checkpoint: {:.1} % (1 % of keys changes)",
            full as f64 / 1e6,
            mean / 1e6,
            100.0 * mean / full as f64
        );
        let path = last["path"].as_str().unwrap_or_default();
        let begin = format!("SET 'execution.state-recovery.path' = '{path}';");
        // it has read more rows than these, so that nothing is left to do
        let restored = format!("{settings}{begin}{}{COUNTS}", table.replace("ROWS", "1"));
        let measured = run_sql(&[], &restored, &[], 1)?;
        let bytes = full as f64 / 1e6;
        println!(
            "restore      {backend:<28} {bytes:.1} MB in {:.2} s, {:.2} CPU s",
            measured.wall.as_secs_f64(),
            measured.cpu.as_secs_f64()
        );
    }
    Ok(())
}

fn start(sql: &str) -> Result<Child, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(root()).args(["run", "-"]).stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    stdin.write_all(sql.as_bytes()).map_err(|error| error.to_string())?;
    Ok(child)
}

/// What `weir checkpoint ls` says, the oldest first.
fn list(directory: &Path) -> Result<Vec<Value>, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["checkpoint", "ls", "--json"])
        .arg(directory)
        .output()
        .map_err(|error| error.to_string())?;
    let found: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let found = found.as_array().cloned().unwrap_or_default();
    let readable = |found: Value| found.get("readable").cloned().map(|inner| (found, inner));
    let rows = found.into_iter().filter_map(readable).map(|(outer, mut inner)| {
        inner["path"] = outer["path"].clone();
        inner
    });
    Ok(rows.collect())
}
