//! State in memory and in RocksDB, side by side in one run.
//!
//! ```text
//! cargo bench --bench state_backends                            everything
//! cargo bench --bench state_backends -- tumble group --runs 2   throughput
//! cargo bench --bench state_backends -- checkpoints changes restore --keys 1000000
//! ```
//!
//! Each run is a process of the binary that was built with it. `ratio` is the CPU time of the first line of a case over that
//! of this line: what share of its speed is left. Rows come from the generator, results go to a blackhole.

#[allow(dead_code, reason = "shared with a bench that needs more of it")]
#[path = "../nexmark/process.rs"]
mod process;

mod checkpoints;

use process::{Measured, best_of, run_sql};
use std::path::PathBuf;

/// What to run and how.
pub struct Options {
    cases: Vec<String>,
    runs: u32,
    /// of the cases with checkpoints
    pub keys: u64,
    /// of the cases without
    rows: u64,
}

/// Rows that come in a second of event time.
const ROWS_PER_SECOND: u64 = 500_000;

/// A line of SQL for each state backend.
pub const HEAP: &str = "SET 'state.backend.type' = 'hashmap';";
pub const ROCKSDB: &str = "SET 'state.backend.type' = 'rocksdb';";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn options() -> Result<Options, String> {
    let mut options = Options { cases: Vec::new(), runs: 1, keys: 1_000_000, rows: 50_000_000 };
    // cargo adds `--bench`
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| -> Result<u64, String> {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a number"))?;
            value.parse().map_err(|_| format!("{name} needs a number, not '{value}'"))
        };
        match argument.as_str() {
            "--runs" => options.runs = number("--runs")?.clamp(1, 100) as u32,
            "--keys" => options.keys = number("--keys")?.max(1),
            "--rows" => options.rows = number("--rows")?.max(1),
            case => options.cases.push(case.to_string()),
        }
    }
    Ok(options)
}

/// Rows with a number, a random key below `keys` and a value.
pub fn source(rows: u64, keys: u64, rows_per_second: u64) -> String {
    format!(
        "CREATE TABLE src (
           id BIGINT, k BIGINT, v BIGINT, ts AS TO_TIMESTAMP_LTZ(1577836800000 + id / {}, 3),
           WATERMARK FOR ts AS ts
         ) WITH (
           'connector' = 'datagen', 'number-of-rows' = '{rows}', 'rows-per-second' = '{rows_per_second}',
           'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '{}',
           'fields.k.min' = '0', 'fields.k.max' = '{}', 'fields.v.min' = '0', 'fields.v.max' = '1000000'
         );",
        ROWS_PER_SECOND / 1000,
        rows - 1,
        keys - 1
    )
}

/// As fast as they can be made.
pub const UNLIMITED: u64 = 2_000_000_000;

const GROUP: &str =
    "CREATE TABLE snk (k BIGINT, c BIGINT, s BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
    INSERT INTO snk SELECT k, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k;";

fn tumble(options: &Options) -> Result<(), String> {
    let rows = options.rows.min(20_000_000);
    let query = "CREATE TABLE snk (k BIGINT, ws TIMESTAMP(3), c BIGINT, s BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
        INSERT INTO snk SELECT k, window_start, COUNT(*), SUM(v), MAX(v)
        FROM TABLE(TUMBLE(TABLE src, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end;";
    let small = format!("{ROCKSDB} SET 'state.backend.rocksdb.memory.fixed-per-tm' = '16 mb';");
    let ways = [("heap", HEAP), ("rocksdb, 512 mb", ROCKSDB), ("rocksdb, 16 mb", &small)];
    compare("tumble_1m", rows, options.runs, &ways, &format!("{}{query}", source(rows, 1_000_000, UNLIMITED)))
}

fn group(options: &Options) -> Result<(), String> {
    let fits = format!("{ROCKSDB} SET 'state.backend.rocksdb.memory.fixed-per-tm' = '4 gb';");
    // 10 million entries are about 600 MB as rows in memory
    let tenth = format!("{ROCKSDB} SET 'state.backend.rocksdb.memory.fixed-per-tm' = '60 mb';");
    let ways = [("heap", HEAP), ("rocksdb, fits", &fits), ("rocksdb, a tenth", &tenth)];
    let sql = format!("{}{GROUP}", source(options.rows, 10_000_000, UNLIMITED));
    compare("group_10m", options.rows, options.runs, &ways, &sql)
}

/// Runs one statement on several backends.
fn compare(case: &str, rows: u64, runs: u32, ways: &[(&str, &str)], sql: &str) -> Result<(), String> {
    let mut first = None;
    for (way, settings) in ways {
        let measured = best_of(runs, || run_sql(&[], &format!("{settings}{sql}"), &[], 1))?;
        let cpu = measured.cpu.as_secs_f64();
        let ratio = *first.get_or_insert(cpu) / cpu;
        report(case, way, rows, &measured, ratio);
    }
    Ok(())
}

pub fn report(case: &str, way: &str, rows: u64, measured: &Measured, ratio: f64) {
    println!(
        "{case:<12} {way:<28} {:>8.2} {:>8.2} {:>12.2} {:>8.2} {:>9}",
        measured.wall.as_secs_f64(),
        measured.cpu.as_secs_f64(),
        rows as f64 / measured.cpu.as_secs_f64() / 1e6,
        ratio,
        measured.peak_kib / 1024,
    );
}

fn main() -> Result<(), String> {
    let options = options()?;
    let wanted = |case: &str| options.cases.is_empty() || options.cases.iter().any(|wanted| wanted == case);
    println!(
        "{:<12} {:<28} {:>8} {:>8} {:>12} {:>8} {:>9}",
        "case", "way", "wall s", "CPU s", "M rows/CPU s", "ratio", "peak MiB"
    );
    if wanted("tumble") {
        tumble(&options)?;
    }
    if wanted("group") {
        group(&options)?;
    }
    if wanted("checkpoints") {
        checkpoints::throughput(&options)?;
    }
    if wanted("changes") || wanted("restore") {
        checkpoints::changes_and_restore(&options)?;
    }
    Ok(())
}
