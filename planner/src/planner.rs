//! The session that statements run in.

use crate::PlanError;
use crate::catalog::Session;
use crate::parser::{ClientCommand, Statement};
use std::sync::Arc;
use weir_types::{ConnectorCatalog, JobGraph, Settings};

/// Plans the statements of one session, one after another; keeps its tables, views and settings.
pub struct Planner {
    session: Session,
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
    pub fn new(connectors: Arc<dyn ConnectorCatalog>) -> Self {
        Planner { session: Session::new(connectors) }
    }

    /// The statements of a script. Nothing is looked up yet.
    pub fn parse(&self, _text: &str) -> Result<Vec<Statement>, PlanError> {
        Err(PlanError::not_supported("statements"))
    }

    /// Carries out what changes the session, and plans what is to be run.
    pub fn plan(&mut self, statement: &Statement) -> Result<Planned, PlanError> {
        Err(PlanError::not_supported(statement.text()))
    }

    pub fn settings(&self) -> &Settings {
        &self.session.settings
    }

    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.session.settings
    }
}
