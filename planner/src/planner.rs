//! The session that statements run in.

use crate::binder::Binder;
use crate::catalog::{CatalogEntry, Session};
use crate::parser::{self, ClientCommand, Completeness, ExplainDetail, Statement};
use crate::query::QueryBinder;
use crate::{PlanError, statements};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{ConnectorCatalog, JobGraph, RuntimeEnv, Settings};

/// Plans the statements of one session, one after another; keeps its tables, views and settings.
pub struct Planner {
    session: Session,
    binder: Arc<dyn Binder>,
    warnings: Vec<String>,
}

/// What becomes of a statement.
#[derive(Clone, Debug)]
pub enum Planned {
    /// It is done; a message for a person, such as `Execute statement succeeded.`
    Done(String),
    /// A table to show.
    Rows(TextTable),
    /// A plan or the like, to be shown as it is.
    Text(String),
    /// INSERT, STATEMENT SET: to be run.
    Job(JobGraph),
    /// SELECT: to be run; the root is `Collect`.
    Query(JobGraph),
    /// For whoever runs the statements to carry out.
    Client(ClientCommand),
}

/// Rows that SHOW and DESCRIBE give: text or NULL in each cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTable {
    pub columns: Vec<String>,
    /// each as long as `columns`
    pub rows: Vec<Vec<Option<String>>>,
}

impl Planner {
    /// `env` gives functions such as `NOW()` and `RAND()` their clock and randomness when the job runs.
    pub fn new(connectors: Arc<dyn ConnectorCatalog>, env: RuntimeEnv) -> Self {
        Planner::with_binder(Session::new(connectors), Arc::new(QueryBinder::new(env)))
    }

    pub(crate) fn with_binder(session: Session, binder: Arc<dyn Binder>) -> Self {
        Planner { session, binder, warnings: vec![] }
    }

    /// The statements of a script. Nothing is looked up yet.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>, PlanError> {
        parser::parse(text)
    }

    /// Carries out what changes the session, and plans what is to be run.
    pub fn plan(&mut self, statement: &Statement) -> Result<Planned, PlanError> {
        let planned = statements::plan(&mut self.session, self.binder.as_ref(), statement);
        let (planned, warnings) = planned.map_err(|error| error.with_source(&statement.source))?;
        self.warnings.extend(warnings);
        Ok(planned)
    }

    /// The job of `EXPLAIN CHECKPOINT <statement>`, which is not to be run, but asked what it would keep: by whoever runs
    /// jobs. `None` for any other statement.
    pub fn explained_job(&mut self, statement: &Statement) -> Result<Option<JobGraph>, PlanError> {
        let job = statements::explained_job(&self.session, self.binder.as_ref(), statement);
        let Some((graph, warnings)) = job.map_err(|error| error.with_source(&statement.source))? else {
            return Ok(None);
        };
        self.warnings.extend(warnings);
        Ok(Some(graph))
    }

    /// How a SELECT, an INSERT or a STATEMENT SET would run, as EXPLAIN shows it; errors point into the statement's own
    /// text.
    pub fn explain(&self, statement: &Statement, details: &[ExplainDetail]) -> Result<String, PlanError> {
        let text = statements::explain(&self.session, self.binder.as_ref(), &statement.kind, details);
        text.map_err(|error| error.with_source(&statement.source))
    }

    /// What the statements planned since the last call should let their author know, such as state that grows without a
    /// bound.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    pub fn settings(&self) -> &Settings {
        &self.session.settings
    }

    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.session.settings
    }

    /// Words of the language that a prompt may complete, in capitals.
    pub fn keywords(&self) -> Vec<String> {
        parser::keywords().into_iter().map(String::from).collect()
    }

    /// Names of all functions.
    pub fn function_names(&self) -> Vec<String> {
        self.binder.function_names()
    }

    /// Names of tables and views.
    pub fn table_names(&self) -> Vec<String> {
        self.session.catalog.entries().map(|entry| entry.name().to_string()).collect()
    }

    /// Names of the columns of all tables and views, each once.
    pub fn column_names(&self) -> Vec<String> {
        let schemas = self.session.catalog.entries().map(CatalogEntry::schema);
        let names = schemas.flat_map(|schema| schema.fields().iter().map(|field| field.name().clone()));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// False if `text` ends in the middle of a statement, a string or a comment.
pub fn is_complete(text: &str) -> bool {
    parser::completeness(text) != Completeness::Incomplete
}
