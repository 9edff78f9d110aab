//! Runs the files below `tests/slt` in the format of sqllogictest, each in a session of its own.
//!
//! A query gives its final rows: the changelog is folded. With `SET 'sql-client.execution.result-mode' = 'changelog'`
//! it gives the changelog, the row's kind in a column of its own before the others. Values are written as Flink's
//! print connector writes them. Paths of tables are relative to the repository's root.
//!
//! `WEIR_UPDATE_EXPECTED=1` writes what came out into the files: look at the difference, and ask a Flink.

use crate::process::path;
use sqllogictest::{
    DB, DBOutput, DefaultColumnType, Runner, default_column_validator, default_normalizer, default_validator,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weir_planner::{Planned, Planner};
use weir_runtime::types::text::{TextStyle, ValueText};
use weir_runtime::types::{ChangelogBatch, JobGraph, RowKind};
use weir_runtime::{Engine, ProductionEnv};

struct Session {
    production: ProductionEnv,
    engine: Engine,
    planner: Planner,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

fn failed(error: impl std::fmt::Display) -> Failed {
    Failed(error.to_string())
}

type Rows = Vec<Vec<String>>;

impl Session {
    fn new() -> Self {
        let production = ProductionEnv::new(Some(1));
        let engine = Engine::new(production.env());
        let planner = Planner::new(engine.connectors(), production.env());
        Session { production, engine, planner }
    }

    fn query(&mut self, graph: JobGraph) -> Result<Rows, Failed> {
        let mut handle = self.engine.submit(graph).map_err(failed)?;
        let mut results = handle.results().ok_or_else(|| failed("the query has no result"))?;
        let changes = self.production.block_on(async {
            let mut changes = Vec::new();
            while let Some(batch) = results.next().await {
                changes.extend(cells(&batch)?);
            }
            handle.wait().await.map_err(failed)?;
            Ok::<_, Failed>(changes)
        })?;
        if self.planner.settings().result_mode() == "changelog" {
            let with_kind = |(kind, mut row): (RowKind, Vec<String>)| {
                row.insert(0, kind.short().to_string());
                row
            };
            return Ok(changes.into_iter().map(with_kind).collect());
        }
        fold(changes)
    }
}

fn cells(batch: &ChangelogBatch) -> Result<Vec<(RowKind, Vec<String>)>, Failed> {
    let rows = batch.rows();
    let schema = rows.schema();
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| ValueText::new(column, field, TextStyle::Java))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let text = |column: &ValueText<'_>, row: usize| {
        let mut text = Vec::new();
        if column.is_null(row) {
            return "NULL".to_string();
        }
        column.append(row, &mut text);
        if text.is_empty() { "(empty)".to_string() } else { String::from_utf8_lossy(&text).into_owned() }
    };
    let row = |row| (batch.kind(row), columns.iter().map(|column| text(column, row)).collect());
    Ok((0..rows.num_rows()).map(row).collect())
}

/// The rows that remain, in the order of their arrival.
fn fold(changes: Vec<(RowKind, Vec<String>)>) -> Result<Rows, Failed> {
    let mut counts: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for (kind, row) in &changes {
        *counts.entry(row.clone()).or_default() += if kind.is_retraction() { -1 } else { 1 };
    }
    if let Some((row, _)) = counts.iter().find(|(_, count)| **count < 0) {
        return Err(Failed(format!("the changelog retracts {row:?} more often than it inserts it")));
    }
    // Each row stands where it came last.
    let mut remaining = Vec::new();
    for (kind, row) in changes.into_iter().rev() {
        if let Some(count) = counts.get_mut(&row)
            && *count > 0
            && !kind.is_retraction()
        {
            *count -= 1;
            remaining.push(row);
        }
    }
    remaining.reverse();
    Ok(remaining)
}

impl DB for Session {
    type Error = Failed;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failed> {
        let rows = |rows: Rows| {
            let columns = rows.first().map_or(0, Vec::len);
            DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows }
        };
        let mut output = DBOutput::StatementComplete(0);
        for statement in self.planner.parse(sql).map_err(failed)? {
            output = match self.planner.plan(&statement).map_err(failed)? {
                Planned::Done(_) => DBOutput::StatementComplete(0),
                Planned::Rows(table) => rows(
                    table
                        .rows
                        .into_iter()
                        .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
                        .collect(),
                ),
                Planned::Text(text) => rows(text.lines().map(|line| vec![line.to_string()]).collect()),
                Planned::Query(graph) => rows(self.query(graph)?),
                Planned::Job(graph) => {
                    let handle = self.engine.submit(graph).map_err(failed)?;
                    self.production.block_on(handle.wait()).map_err(failed)?;
                    DBOutput::StatementComplete(0)
                }
                Planned::Client(_) => return Err(failed("a statement for the prompt only")),
            };
        }
        Ok(output)
    }

    fn engine_name(&self) -> &str {
        "weir"
    }
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path("tests/slt")).expect("the folder of the files");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    files
}

/// What each record of the file gives that it does not say.
fn differences(file: &Path) -> Vec<String> {
    let records = match sqllogictest::parse_file::<DefaultColumnType>(file) {
        Ok(records) => records,
        Err(error) => return vec![error.to_string()],
    };
    let mut runner = Runner::new(|| async { Ok(Session::new()) });
    records.into_iter().filter_map(|record| runner.run(record).err()).map(|error| error.to_string()).collect()
}

fn update(file: &Path) -> Vec<String> {
    let mut runner = Runner::new(|| async { Ok(Session::new()) });
    let name = file.to_str().expect("a name in UTF-8");
    let updated =
        runner.update_test_file(name, "\t", default_validator, default_normalizer, default_column_validator);
    futures::executor::block_on(updated).err().map(|error| error.to_string()).into_iter().collect()
}

#[test]
fn files_give_what_they_say() {
    // paths in the files are relative to the root, where cargo runs tests
    let updates = std::env::var_os("WEIR_UPDATE_EXPECTED").is_some();
    let files = files();
    assert!(!files.is_empty(), "no files below tests/slt");
    let of_file = |file: &PathBuf| if updates { update(file) } else { differences(file) };
    let differences: Vec<String> = files.iter().flat_map(of_file).collect();
    assert!(differences.is_empty(), "{} records differ\n{}", differences.len(), differences.join("\n\n"));
}
