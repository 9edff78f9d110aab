//! What each statement does, except for what its queries mean.

mod alter;
mod databases;
mod ddl;
mod describe;
mod insert;
mod show;

#[cfg(test)]
mod tests;

use crate::binder::{Binder, JobRoot, PlannedJob};
use crate::catalog::Session;
use crate::parser::{ExplainDetail, Property, Statement, StatementKind, Text};
use crate::planner::{Planned, TextTable};
use crate::{PlanError, parser};
use sqlparser::ast::Query;
use weir_types::JobGraph;

/// What Flink's client says when a statement has nothing to show.
pub(crate) const DONE: &str = "Execute statement succeeded.";

/// Plans one statement. The warnings say what its author should know before it runs.
pub(crate) fn plan(
    session: &mut Session,
    binder: &dyn Binder,
    statement: &Statement,
) -> Result<(Planned, Vec<String>), PlanError> {
    let sql = statement.text();
    let planned = match &statement.kind {
        StatementKind::CreateTable(create) => return ddl::create_table(session, binder, create, sql),
        StatementKind::CreateView(create) => ddl::create_view(session, binder, create)?,
        StatementKind::Drop(drop) => ddl::drop_entry(session, drop)?,
        StatementKind::AlterTable(alter) => alter::alter_table(session, binder, alter)?,
        StatementKind::AlterView(alter) => alter::alter_view(session, binder, alter)?,
        StatementKind::Database(statement) => databases::change(session, statement)?,
        kind @ (StatementKind::Query(_) | StatementKind::Insert(_) | StatementKind::StatementSet(_)) => {
            return plan_job(session, binder, kind, sql);
        }
        StatementKind::Explain(explain) => {
            Planned::Text(self::explain(session, binder, &explain.statement, &explain.details)?)
        }
        StatementKind::Set(properties) if properties.is_empty() => settings_table(session),
        StatementKind::Set(properties) => set(session, properties)?,
        StatementKind::Reset(key) => reset(session, key.as_ref())?,
        StatementKind::Show(show) => show::show(session, binder, show)?,
        StatementKind::Describe(name) => describe::describe(session, name)?,
        StatementKind::DescribeQuery(query) => describe::describe_query(session, binder, query)?,
        StatementKind::Use(name) => databases::use_statement(session, name)?,
        StatementKind::Client(command) => Planned::Client(command.clone()),
    };
    Ok((planned, vec![]))
}

/// The job of `EXPLAIN CHECKPOINT <statement>`, with what its author should know; `None` for any other statement.
pub(crate) fn explained_job(
    session: &Session,
    binder: &dyn Binder,
    statement: &Statement,
) -> Result<Option<(JobGraph, Vec<String>)>, PlanError> {
    match &statement.kind {
        StatementKind::Explain(explain) if explain.details.contains(&ExplainDetail::Checkpoint) => {
            match plan_job(session, binder, &explain.statement, statement.text())? {
                (Planned::Job(graph) | Planned::Query(graph), warnings) => Ok(Some((graph, warnings))),
                _ => Err(PlanError::internal("a query or an INSERT is no job")),
            }
        }
        _ => Ok(None),
    }
}

/// The job of a SELECT, an INSERT or a STATEMENT SET.
fn plan_job(
    session: &Session,
    binder: &dyn Binder,
    statement: &StatementKind,
    sql: &str,
) -> Result<(Planned, Vec<String>), PlanError> {
    let roots = roots_of(session, binder, statement)?;
    if let StatementKind::Query(_) = statement {
        let job = binder.lower(session, roots, job_name(session, "collect".into()), sql)?;
        return Ok((Planned::Query(job.graph), job.warnings));
    }
    lower_inserts(session, binder, roots, sql)
}

fn collect(session: &Session, binder: &dyn Binder, query: &Query) -> Result<JobRoot, PlanError> {
    Ok(JobRoot::Collect { query: binder.bind_query(session, query)? })
}

/// The text of EXPLAIN.
pub(crate) fn explain(
    session: &Session,
    binder: &dyn Binder,
    statement: &StatementKind,
    details: &[ExplainDetail],
) -> Result<String, PlanError> {
    binder.explain(session, roots_of(session, binder, statement)?, details)
}

fn roots_of(
    session: &Session,
    binder: &dyn Binder,
    statement: &StatementKind,
) -> Result<Vec<JobRoot>, PlanError> {
    match statement {
        StatementKind::Query(query) => Ok(vec![collect(session, binder, query)?]),
        StatementKind::Insert(insert) => Ok(vec![insert::bind_insert(session, binder, insert)?]),
        StatementKind::StatementSet(inserts) => {
            inserts.iter().map(|insert| insert::bind_insert(session, binder, insert)).collect()
        }
        _ => Err(PlanError::invalid("EXPLAIN takes a SELECT, an INSERT or a STATEMENT SET")),
    }
}

/// The job of one or more INSERTs, named as Flink names it.
fn lower_inserts(
    session: &Session,
    binder: &dyn Binder,
    roots: Vec<JobRoot>,
    sql: &str,
) -> Result<(Planned, Vec<String>), PlanError> {
    let names = roots.iter().map(|root| match root {
        JobRoot::Sink { table, .. } => table.path.full(),
        JobRoot::Collect { .. } => "collect".into(),
    });
    let name = format!("insert-into_{}", names.collect::<Vec<_>>().join(","));
    let PlannedJob { graph, warnings } = binder.lower(session, roots, job_name(session, name), sql)?;
    Ok((Planned::Job(graph), warnings))
}

fn job_name(session: &Session, name: String) -> String {
    session.settings.get("pipeline.name").map_or(name, str::to_string)
}

fn set(session: &mut Session, properties: &[Property]) -> Result<Planned, PlanError> {
    for Property { key, value } in properties {
        let result = session.settings.set(&key.value, &value.value);
        result.map_err(|error| {
            let span = match error {
                weir_types::SettingError::Value { .. } => value.span,
                _ => key.span,
            };
            setting_error(error).at(span)
        })?;
    }
    Ok(Planned::Done(DONE.into()))
}

fn setting_error(error: weir_types::SettingError) -> PlanError {
    match error {
        weir_types::SettingError::NotBuilt { key } => PlanError::not_supported(format!("setting '{key}'")),
        error => PlanError::invalid(error.to_string()),
    }
}

fn reset(session: &mut Session, key: Option<&Text>) -> Result<Planned, PlanError> {
    match key {
        Some(key) => {
            let result = session.settings.reset(&key.value);
            result.map_err(|error| setting_error(error).at(key.span))?;
        }
        None => session.settings.reset_all(),
    }
    Ok(Planned::Done(DONE.into()))
}

fn settings_table(session: &Session) -> Planned {
    let entries = session.settings.entries();
    let rows =
        entries.iter().map(|(key, value)| vec![Some(key.to_string()), Some(value.to_string())]).collect();
    Planned::Rows(TextTable { columns: vec!["key".into(), "value".into()], rows })
}

impl Statement {
    /// True if EXPLAIN can show how it runs.
    pub fn is_query_or_insert(&self) -> bool {
        use parser::StatementKind as Kind;
        matches!(self.kind, Kind::Query(_) | Kind::Insert(_) | Kind::StatementSet(_))
    }
}
