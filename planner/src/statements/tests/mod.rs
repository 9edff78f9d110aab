//! Statements against a planner with a connector catalog of its own.

mod ddl;
mod describe;
mod insert;
mod settings;

use crate::{Planned, Planner, TextTable};
use std::sync::Arc;
use std::time::Duration;
use weir_types::{
    BoxFuture, ChangelogMode, Clock, ConnectorCatalog, JobGraph, OptionError, RandomSource, RuntimeEnv,
    Spawner, SqlType, TableCapabilities, TableDescriptor,
};

/// Connectors `test` (needs a `path`, has metadata) and `source` (cannot be written).
struct TestConnectors;

impl ConnectorCatalog for TestConnectors {
    fn check(&self, table: &TableDescriptor) -> Result<TableCapabilities, OptionError> {
        let error = |option: Option<&str>, message: &str| {
            Err(OptionError { option: option.map(String::from), message: message.to_string() })
        };
        let sink = match table.option("connector") {
            Some("test") => Some(ChangelogMode::INSERT_ONLY),
            Some("source") => None,
            Some(_) => return error(Some("connector"), "unknown connector"),
            None => return error(None, "option 'connector' is missing"),
        };
        if let Some(key) =
            table.options.keys().find(|key| !["connector", "path", "rows"].contains(&key.as_str()))
        {
            return error(Some(key), &format!("unknown option '{key}'"));
        }
        if table.option("path").is_none() {
            return error(None, "option 'path' is missing");
        }
        Ok(TableCapabilities {
            scan: Some(ChangelogMode::INSERT_ONLY),
            bounded: true,
            sink,
            sink_by_key: false,
            metadata: vec![
                ("timestamp".into(), SqlType::TimestampLtz(3)),
                ("offset".into(), SqlType::BigInt),
            ],
            lookup: None,
        })
    }
}

struct Still;

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<()> {
        Box::pin(async {})
    }
}

impl RandomSource for Still {
    fn next_u64(&self) -> u64 {
        0
    }
}

impl Spawner for Still {
    fn spawn(&self, _: &str, _: BoxFuture<()>) {}
}

const WITH: &str = "WITH ('connector' = 'test', 'path' = 'p')";

fn planner() -> Planner {
    let still = Arc::new(Still);
    let env = RuntimeEnv { clock: still.clone(), random: still.clone(), spawner: still };
    Planner::new(Arc::new(TestConnectors), env)
}

fn plan(planner: &mut Planner, text: &str) -> Result<Planned, String> {
    let mut last = Planned::Done(String::new());
    for statement in planner.parse(text).map_err(|error| error.render())? {
        last = planner.plan(&statement).map_err(|error| error.render())?;
    }
    Ok(last)
}

/// A planner in which `text` has been carried out.
fn after(text: &str) -> Planner {
    let mut planner = planner();
    plan(&mut planner, text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    planner
}

fn error(planner: &mut Planner, text: &str) -> String {
    match plan(planner, text) {
        Ok(planned) => panic!("{text} gave {planned:?}"),
        Err(error) => error,
    }
}

fn rows(planner: &mut Planner, text: &str) -> TextTable {
    match plan(planner, text) {
        Ok(Planned::Rows(table)) => table,
        other => panic!("{text} gave {other:?}"),
    }
}

fn text(planner: &mut Planner, sql: &str) -> String {
    match plan(planner, sql) {
        Ok(Planned::Text(text)) => text,
        other => panic!("{sql} gave {other:?}"),
    }
}

fn job(planner: &mut Planner, text: &str) -> JobGraph {
    match plan(planner, text) {
        Ok(Planned::Job(graph)) => graph,
        other => panic!("{text} gave {other:?}"),
    }
}

/// A table with `|` between cells and nothing for NULL.
fn lines(table: &TextTable) -> String {
    let row = |row: &Vec<Option<String>>| {
        row.iter().map(|cell| cell.clone().unwrap_or_default()).collect::<Vec<_>>().join("|")
    };
    let rows: Vec<String> = table.rows.iter().map(row).collect();
    format!("{}\n{}", table.columns.join("|"), rows.join("\n"))
}
