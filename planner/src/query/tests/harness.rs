//! Scripts that are planned over tables of connectors that exist only here.

use crate::catalog::Session;
use crate::query::QueryBinder;
use crate::{Planned, Planner, TextTable};
use std::path::PathBuf;
use std::sync::Arc;
use weir_types::{
    BoxFuture, ChangelogMode, Clock, ConnectorCatalog, JobGraph, LookupAbility, OptionError, RandomSource,
    RuntimeEnv, Spawner, TableCapabilities, TableDescriptor,
};

/// Scans give `scan` (`I`, `I,UB,UA,D` or `none`; default `I`), sinks take `sink` (default everything).
struct TestConnectors;

impl ConnectorCatalog for TestConnectors {
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let mode = |key: &str, default: Option<ChangelogMode>| match table.option(key) {
            None => default,
            Some("I") => Some(ChangelogMode::INSERT_ONLY),
            Some("upsert") => Some(ChangelogMode::UPSERT),
            Some("all") => Some(ChangelogMode::ALL),
            Some(_) => None,
        };
        Ok(TableCapabilities {
            scan: mode("scan", Some(ChangelogMode::INSERT_ONLY)),
            bounded: table.option("bounded") == Some("true"),
            sink: mode("sink", Some(ChangelogMode::ALL)),
            sink_by_key: table.option("keyed") == Some("true"),
            metadata: vec![],
            lookup: Some(LookupAbility { constant: true }),
        })
    }
}

struct Nothing;

impl Clock for Nothing {
    fn now_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn sleep(&self, _duration: std::time::Duration) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }
}

impl RandomSource for Nothing {
    fn next_u64(&self) -> u64 {
        4
    }
}

impl Spawner for Nothing {
    fn spawn(&self, _name: &str, _task: BoxFuture<()>) {}
}

pub(super) fn env() -> RuntimeEnv {
    RuntimeEnv { clock: Arc::new(Nothing), random: Arc::new(Nothing), spawner: Arc::new(Nothing) }
}

/// A session and what its statements said.
pub(super) struct Script {
    planner: Planner,
    pub output: String,
}

pub(super) const TABLES: &str = "
CREATE TABLE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, `dateTime` TIMESTAMP(3), extra VARCHAR,
  WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH ('connector' = 'test');
CREATE TABLE t (a INT, b BIGINT NOT NULL, s STRING, d DECIMAL(10, 2)) WITH ('connector' = 'test');
CREATE TABLE changes (k INT, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
  WITH ('connector' = 'test', 'scan' = 'all');
";

impl Script {
    /// A session with [`TABLES`].
    pub fn new() -> Script {
        let binder = Arc::new(QueryBinder::new(env()));
        let session = Session::new(Arc::new(TestConnectors));
        let mut script = Script { planner: Planner::with_binder(session, binder), output: String::new() };
        script.run(TABLES);
        assert_eq!(script.output, "", "the tables of the tests");
        script
    }

    /// Plans all statements; what they say is appended to `output`, errors included.
    pub fn run(&mut self, text: &str) {
        let statements = match self.planner.parse(text) {
            Ok(statements) => statements,
            Err(error) => return self.output.push_str(&format!("{}\n", error.render())),
        };
        for statement in statements {
            match self.planner.plan(&statement) {
                Ok(Planned::Text(text)) => self.output.push_str(&format!("{text}\n")),
                Ok(Planned::Rows(rows)) => self.output.push_str(&table_text(&rows)),
                Ok(_) => {}
                Err(error) => self.output.push_str(&format!("{}\n", error.render())),
            }
        }
    }

    /// The job of the last statement.
    pub fn job(&mut self, text: &str) -> JobGraph {
        let statements = self.planner.parse(text).unwrap();
        let mut job = None;
        for statement in statements {
            match self.planner.plan(&statement) {
                Ok(Planned::Job(graph) | Planned::Query(graph)) => job = Some(graph),
                Ok(_) => {}
                Err(error) => panic!("{}", error.render()),
            }
        }
        job.expect("a statement that is a job")
    }

    pub fn warnings(&mut self) -> Vec<String> {
        self.planner.take_warnings()
    }

    /// The error of the only statement.
    pub fn error(&mut self, text: &str) -> String {
        let before = self.output.len();
        self.run(text);
        self.output[before..].trim_end().to_string()
    }
}

/// Cells separated by `|`.
fn table_text(rows: &TextTable) -> String {
    let line = |row: &Vec<Option<String>>| {
        let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("")).collect();
        format!("{}\n", cells.join("|"))
    };
    rows.rows.iter().map(line).collect()
}

/// Compares `text` with a file beside this one; `WEIR_UPDATE_EXPECTED=1` writes it.
pub(super) fn expect_file(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/query/tests/plans").join(name);
    if std::env::var_os("WEIR_UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs (WEIR_UPDATE_EXPECTED=1 writes it); now it is:\n{text}",
        path.display()
    );
}

/// A file of the repository's `queries/nexmark`.
pub(super) fn nexmark(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../queries/nexmark").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let sink = "${SINK:-'connector' = 'blackhole'}";
    text.replace(sink, "'connector' = 'test'").replace("${DATA}", "data")
}
