//! What checkpoints cost, and what they bring back.
//!
//! ```text
//! cargo bench --bench checkpoints                                          all cases on the heap
//! cargo bench --bench checkpoints -- throughput_1m changes_10m restore --backend rocksdb --runs 2
//! ```
//!
//! Each run is a process of the binary that was built with it. `throughput` counts and sums by a random key and a
//! changelog goes to a blackhole, without checkpoints and with one a second; with `10` or `1` at its end it fills the
//! groups and then comes back to one in ten or in a hundred of them, all over the table. `changes` fills a table of groups
//! and then changes one of a hundred of them each second; `restore` fills one with texts, kills the process, and waits
//! for the first row of the next: from the checkpoint, on the same backend and on the other, and from a canonical
//! savepoint of it. RocksDB has memory for everything.

mod process;
mod report;

use process::{Job, Times};
use report::{Checkpoint, mib};
use std::time::Duration;

const MILLION: u64 = 1_000_000;

#[derive(Clone, Copy)]
enum Case {
    /// random keys among one in so many, rows of a run
    Throughput { keys: u64, one_in: u64, rows: u64 },
    /// groups of which one in a hundred changes between two checkpoints
    Changes { keys: u64, spread: bool },
    /// groups, each with a text of 200 characters
    Restore { keys: u64 },
}

const CASES: [(&str, Case); 9] = [
    ("throughput_1m", Case::Throughput { keys: MILLION, one_in: 1, rows: 80 * MILLION }),
    ("throughput_10m", Case::Throughput { keys: 10 * MILLION, one_in: 1, rows: 80 * MILLION }),
    ("throughput_10m_10", Case::Throughput { keys: 10 * MILLION, one_in: 10, rows: 80 * MILLION }),
    ("throughput_10m_1", Case::Throughput { keys: 10 * MILLION, one_in: 100, rows: 80 * MILLION }),
    ("changes_1m", Case::Changes { keys: MILLION, spread: true }),
    ("changes_10m", Case::Changes { keys: 10 * MILLION, spread: true }),
    ("changes_1m_together", Case::Changes { keys: MILLION, spread: false }),
    ("changes_10m_together", Case::Changes { keys: 10 * MILLION, spread: false }),
    ("restore", Case::Restore { keys: 4_500_000 }),
];

struct Options {
    cases: Vec<String>,
    backend: String,
    runs: u32,
}

fn options() -> Result<Options, String> {
    let mut options = Options { cases: Vec::new(), backend: "hashmap".to_string(), runs: 3 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // cargo passes it
            "--bench" => {}
            "--backend" => options.backend = value()?,
            "--runs" => {
                let text = value()?;
                options.runs = text.parse().map_err(|_| format!("'{text}' is no number"))?;
            }
            case if CASES.iter().any(|(name, _)| *name == case) => options.cases.push(case.to_string()),
            other => {
                let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
                return Err(format!("'{other}' is none of {names:?}, --backend or --runs"));
            }
        }
    }
    Ok(options)
}

/// A table of datagen with the numbers from 0 on.
fn numbers(name: &str, rows: Option<u64>, rows_per_second: u64, more: &str) -> String {
    let end = rows.map_or(i64::MAX as u64, |rows| rows - 1);
    let bound = rows.map_or(String::new(), |rows| format!("'number-of-rows' = '{rows}', "));
    format!(
        "CREATE TABLE {name} (id BIGINT{more}) WITH ('connector' = 'datagen', {bound}
           'rows-per-second' = '{rows_per_second}', 'fields.id.kind' = 'sequence',
           'fields.id.start' = '0', 'fields.id.end' = '{end}');\n"
    )
}

const UNTHROTTLED: u64 = 2_000_000_000;

/// All keys once and then one in `one_in` of them, or all at random if that is 1.
fn throughput_sql(keys: u64, one_in: u64, rows: u64) -> String {
    let key = match one_in {
        1 => "r".to_string(),
        _ => format!("CASE WHEN id < {keys} THEN id ELSE r * {one_in} END"),
    };
    format!(
        "CREATE TABLE src (id BIGINT, r BIGINT, v BIGINT, k AS {key}) WITH ('connector' = 'datagen',
           'number-of-rows' = '{rows}', 'rows-per-second' = '{UNTHROTTLED}', 'fields.id.kind' = 'sequence',
           'fields.id.start' = '0', 'fields.id.end' = '{}', 'fields.r.min' = '0', 'fields.r.max' = '{}',
           'fields.v.min' = '0', 'fields.v.max' = '1000000');
         CREATE TABLE snk (k BIGINT, c BIGINT, s BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO snk SELECT k, COUNT(*), SUM(v) FROM src GROUP BY k;",
        rows - 1,
        keys / one_in - 1
    )
}

fn throughput(name: &str, sql: &str, rows: u64, options: &Options) -> Result<(), String> {
    let mut best: [Option<Times>; 2] = [None, None];
    // turn by turn, so that what else the machine does meets both
    for _ in 0..options.runs {
        for (place, with) in [false, true].into_iter().enumerate() {
            let job = Job::new(&options.backend, with.then_some(1000))?;
            let times = job.run(sql)?;
            best[place] = Some(best[place].map_or(times, |best| best.least(times)));
        }
    }
    let [Some(without), Some(with)] = best else { return Err("no runs".to_string()) };
    let speed = |time: Duration| rows as f64 / time.as_secs_f64() / 1e6;
    println!(
        "{name:<22} {:<8} {:>6.2} M rows/s without, {:>6.2} with a checkpoint a second: {:.2}; by CPU time {:.2}",
        options.backend,
        speed(without.wall),
        speed(with.wall),
        without.wall.as_secs_f64() / with.wall.as_secs_f64(),
        without.cpu.as_secs_f64() / with.cpu.as_secs_f64(),
    );
    Ok(())
}

fn changes(name: &str, keys: u64, spread: bool, options: &Options) -> Result<(), String> {
    let changed = keys / 100;
    // 7919 is prime to them all: each of the changed keys comes once a second
    let key = match spread {
        true => format!("MOD(id * 7919, {changed}) * 100"),
        false => format!("MOD(id * 7919, {changed})"),
    };
    let sql = format!(
        "{}{}CREATE TABLE snk (k BIGINT, c BIGINT, s BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO snk SELECT k, COUNT(*), SUM(id)
         FROM (SELECT id AS k, id FROM fill UNION ALL SELECT {key} AS k, id FROM change) GROUP BY k;",
        numbers("fill", Some(keys), UNTHROTTLED, ""),
        numbers("change", None, changed, ""),
    );
    let job = Job::new(&options.backend, Some(1000))?;
    let mut running = job.start(&sql, None)?;
    // filled, and then some
    let wanted = if keys > MILLION { 14 } else { 8 };
    running.wait_for_checkpoint(wanted)?;
    let directory = running.directory().to_string();
    running.kill()?;
    let checkpoints = report::checkpoints(&directory)?;
    // with what lies on top of it by then
    let most = checkpoints.iter().map(|checkpoint| checkpoint.state_bytes).max().unwrap_or(0);
    let filled = |checkpoint: &&Checkpoint| checkpoint.state_bytes * 4 > most * 3;
    // the one that ends the filling is not one of those that are meant
    let quiet: Vec<&Checkpoint> = checkpoints.iter().filter(filled).skip(2).collect();
    let mut new: Vec<u64> = quiet.iter().map(|checkpoint| checkpoint.new_bytes).collect();
    let mut durations: Vec<u64> = quiet.iter().map(|checkpoint| checkpoint.duration_ms).collect();
    let median = |numbers: &mut Vec<u64>| {
        numbers.sort_unstable();
        numbers.get(numbers.len() / 2).copied().unwrap_or(0)
    };
    let largest = new.iter().copied().max().unwrap_or(0);
    let (new, duration_ms) = (median(&mut new), median(&mut durations));
    let full = quiet.first().map_or(0, |checkpoint| checkpoint.state_bytes);
    let last = quiet.last().ok_or("too few checkpoints")?;
    println!(
        "{name:<22} {:<8} state {}, new {} a checkpoint ({:.1} % of it, at most {:.1} % in {}), {duration_ms} ms; \
         synchronous part {} ms at most",
        options.backend,
        mib(full),
        mib(new),
        new as f64 * 100.0 / full as f64,
        largest as f64 * 100.0 / full as f64,
        quiet.len(),
        report::longest_sync_ms(&last.path)?,
    );
    Ok(())
}

/// The state of one backend is made once and restored to both, and to the first also from its canonical savepoint.
fn restore(name: &str, keys: u64, options: &Options) -> Result<(), String> {
    let last = keys - 1;
    // The groups of `fill` are not shown but for the last one, and that is known only behind the aggregation.
    let sql = format!(
        "{}{}CREATE TABLE snk (k BIGINT, c BIGINT) WITH ('connector' = 'print');
         INSERT INTO snk SELECT k, c FROM (
           SELECT k, COUNT(*) AS c, MAX(s) AS s, MAX(kind) AS kind FROM (
             SELECT id AS k, s, 0 AS kind FROM fill UNION ALL SELECT -1 - id, '', 1 FROM tick) GROUP BY k)
         WHERE kind = 1 OR k = {last};",
        numbers("fill", Some(keys), UNTHROTTLED, ", s AS REPEAT(CAST(id AS VARCHAR), 28)"),
        numbers("tick", None, 10, ""),
    );
    let job = Job::new(&options.backend, Some(10_000))?;
    let mut running = job.start(&sql, None)?;
    let fresh = running.until_first_row()?;
    running.wait_for_row(&format!("[{last},"))?;
    let directory = running.directory().to_string();
    let known = report::checkpoints(&directory)?.len() as u64;
    // one that began with everything there
    running.wait_for_checkpoint(known + 2)?;
    running.kill()?;
    let newest = report::checkpoints(&directory)?;
    let full = newest.last().ok_or("no checkpoint")?.state_bytes;
    let canonical = format!("{directory}/canonical");
    let bytes = report::convert(&directory, &canonical)?;
    let other = if options.backend == "rocksdb" { "hashmap" } else { "rocksdb" };
    let ways = [
        (options.backend.as_str(), &directory, full),
        (other, &directory, full),
        (options.backend.as_str(), &canonical, bytes),
    ];
    for (place, (backend, from, bytes)) in ways.into_iter().enumerate() {
        // a checkpoint would take time that is not meant
        let onto = Job::new(backend, Some(3_600_000))?;
        let (mut wall, mut cpu) = (Duration::MAX, Duration::MAX);
        for _ in 0..options.runs {
            let mut restored = onto.start(&sql, Some(from))?;
            wall = wall.min(restored.until_first_row()?);
            cpu = cpu.min(restored.kill()?);
        }
        let what = if place == 2 { "a canonical savepoint" } else { "a checkpoint" };
        println!(
            "{name:<22} {what} of {}, {}, to {backend}: first row after {:.2} s, {:.2} CPU s ({:.2} s without)",
            options.backend,
            mib(bytes),
            wall.as_secs_f64(),
            cpu.as_secs_f64(),
            fresh.as_secs_f64(),
        );
    }
    Ok(())
}

fn run() -> Result<(), String> {
    let options = options()?;
    let wanted = |name: &str| options.cases.is_empty() || options.cases.iter().any(|case| case == name);
    for (name, case) in CASES.iter().filter(|(name, _)| wanted(name)) {
        match *case {
            Case::Throughput { keys, one_in, rows } => {
                throughput(name, &throughput_sql(keys, one_in, rows), rows, &options)?;
            }
            Case::Changes { keys, spread } => changes(name, keys, spread, &options)?,
            Case::Restore { keys } => restore(name, keys, &options)?,
        }
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
