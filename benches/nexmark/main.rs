//! Nexmark against the clock.
//!
//! ```text
//! cargo bench --bench nexmark                          all queries, JSON files and generator, parallelism 1
//! cargo bench --bench nexmark -- q0 q5_counts --source json --parallelism 1,2 --events 10000000 --runs 3
//! cargo bench --bench nexmark -- tumble_1m hop_1m      keyed aggregation against DataFusion's batch GROUP BY
//! ```
//!
//! Each run is a process of the binary that was built with it, so that CPU time and peak memory are its own. Rows are
//! the rows of the tables that a query reads. Times are the least of `--runs`, wall-clock and CPU each by itself.
//! `(all of bid)` and `(datagen)` are the cost of making the rows: they go straight to a blackhole.

mod aggregation;
mod process;

use aggregation::CASES;
use process::{Measured, best_of};
use std::path::{Path, PathBuf};

const QUERIES: [&str; 29] = [
    "q0",
    "q1",
    "q2",
    "q3",
    "q4",
    "q5",
    "q7",
    "q8",
    "q9",
    "q11",
    "q11_legacy",
    "q12",
    "q13",
    "q14",
    "q15",
    "q16",
    "q17",
    "q18",
    "q19",
    "q20",
    "q21",
    "q22",
    "q5_counts",
    "q5_max",
    "q7_max",
    "over_rows",
    "over_range",
    "over_lag",
    "match",
];

/// What to run and how.
struct Options {
    queries: Vec<String>,
    sources: Vec<String>,
    parallelism: Vec<u32>,
    events: u64,
    runs: u32,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        queries: Vec::new(),
        sources: vec!["json".into(), "generator".into()],
        parallelism: vec![1],
        events: 10_000_000,
        runs: 3,
    };
    let all: Vec<&str> = QUERIES.into_iter().chain(CASES.iter().map(|case| case.name)).collect();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number =
            |text: String| text.replace('_', "").parse::<u64>().map_err(|_| format!("'{text}' is no number"));
        match argument.as_str() {
            // cargo passes it
            "--bench" => {}
            "--source" => options.sources = value()?.split(',').map(str::to_string).collect(),
            "--events" => options.events = number(value()?)?,
            "--runs" => options.runs = number(value()?)? as u32,
            "--parallelism" => {
                options.parallelism = value()?
                    .split(',')
                    .map(|p| number(p.into()).map(|p| p as u32))
                    .collect::<Result<_, _>>()?;
            }
            query if all.contains(&query) => options.queries.push(query.into()),
            other => return Err(format!("'{other}' is none of {all:?} or an option")),
        }
    }
    if options.queries.is_empty() {
        options.queries = all.iter().map(|query| query.to_string()).collect();
    }
    Ok(options)
}

/// JSON files of `events` events in `parts` files a table, written once by the engine's own generator.
fn json_files(events: u64, parts: u32) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nexmark-{events}-{parts}"));
    side_input(&folder)?;
    if folder.join("done").exists() {
        return Ok(folder);
    }
    eprintln!("writing {}", folder.display());
    let mut sql = String::from("EXECUTE STATEMENT SET BEGIN\n");
    let mut tables = String::new();
    for table in ["person", "auction", "bid"] {
        tables.push_str(&format!(
            "CREATE TABLE {table}_file WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json',
               'sink.rolling-policy.file-size' = '1 tb') LIKE {table} (EXCLUDING WATERMARKS EXCLUDING OPTIONS);\n",
            folder.join(table).display()
        ));
        sql.push_str(&format!("INSERT INTO {table}_file SELECT * FROM {table};\n"));
    }
    sql.push_str("END;\n");
    process::run_sql(
        &["queries/nexmark/generator.sql"],
        &format!("{tables}{sql}"),
        &[format!("EVENTS={events}")],
        parts,
    )?;
    std::fs::write(folder.join("done"), "").map_err(|error| error.to_string())?;
    Ok(folder)
}

/// What q13 joins bids with: a row for each remainder, below `folder`.
fn side_input(folder: &Path) -> Result<(), String> {
    let side = folder.join("side_input");
    let rows: String = (0..10_000).map(|key| format!("{key},value {key}\n")).collect();
    std::fs::create_dir_all(&side)
        .and_then(|()| std::fs::write(side.join("side_input.csv"), rows))
        .map_err(|error| format!("cannot write {}: {error}", side.display()))
}

fn report(query: &str, source: &str, parallelism: u32, rows: u64, measured: &Measured) {
    println!(
        "{query:<12} {source:<10} {parallelism:>2} {:>8.2} {:>8.2} {:>10.2} {:>12.2} {:>9}",
        measured.wall.as_secs_f64(),
        measured.cpu.as_secs_f64(),
        rows as f64 / measured.wall.as_secs_f64() / 1e6,
        rows as f64 / measured.cpu.as_secs_f64() / 1e6,
        measured.peak_kib / 1024,
    );
}

/// The rows of the tables that a query reads: of 50 events 1 is a person, 3 are auctions and 46 bids.
fn rows_read(query: &str, events: u64) -> u64 {
    let of_50 = match query {
        "q3" | "q8" => 1 + 3,
        "q4" | "q9" | "q20" => 3 + 46,
        _ => 46,
    };
    events / 50 * of_50
}

/// A query over the generator or over files.
fn nexmark(query: &str, source: &str, parallelism: u32, options: &Options) -> Result<(), String> {
    let file = format!("queries/nexmark/{query}.sql");
    let rows = rows_read(query, options.events);
    let (tables, defines) = match source {
        "json" => {
            let data = json_files(options.events, parallelism)?;
            ("queries/nexmark/tables.sql", vec![format!("DATA={}", data.display())])
        }
        _ => {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nexmark-side");
            side_input(&folder)?;
            let defines = vec![format!("EVENTS={}", options.events), format!("DATA={}", folder.display())];
            ("queries/nexmark/generator.sql", defines)
        }
    };
    let measured = best_of(options.runs, || process::run_files(&[tables, &file], &defines, parallelism))?;
    report(query, source, parallelism, rows, &measured);
    Ok(())
}

/// What the generator costs by itself: all columns of `bid` into a blackhole.
fn generator(parallelism: u32, options: &Options) -> Result<(), String> {
    let sql = "CREATE TABLE nothing WITH ('connector' = 'blackhole') LIKE bid (EXCLUDING WATERMARKS EXCLUDING OPTIONS);
               INSERT INTO nothing SELECT * FROM bid;";
    let defines = [format!("EVENTS={}", options.events)];
    let tables = ["queries/nexmark/generator.sql"];
    let measured = best_of(options.runs, || process::run_sql(&tables, sql, &defines, parallelism))?;
    report("(all of bid)", "generator", parallelism, options.events / 50 * 46, &measured);
    Ok(())
}

fn run() -> Result<(), String> {
    let options = options()?;
    println!(
        "{:<12} {:<10} {:>2} {:>8} {:>8} {:>10} {:>12} {:>9}",
        "query", "input", "p", "wall s", "CPU s", "M rows/s", "M rows/CPU s", "peak MiB"
    );
    let queries: Vec<&String> =
        options.queries.iter().filter(|query| QUERIES.contains(&query.as_str())).collect();
    for &parallelism in &options.parallelism {
        if !queries.is_empty() && options.sources.iter().any(|source| source == "generator") {
            generator(parallelism, &options)?;
        }
        for query in &queries {
            for source in &options.sources {
                nexmark(query, source, parallelism, &options)?;
            }
        }
    }
    let cases = || CASES.iter().filter(|case| options.queries.iter().any(|query| query == case.name));
    for case in cases() {
        case.run(&options.parallelism, options.runs)?;
    }
    cases().for_each(|case| case.compare(options.runs));
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
