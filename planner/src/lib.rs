//! SQL text to [`JobGraph`](weir_types::JobGraph). Never executes.
//!
//! Read first: [`Planner`] (a session), [`Statement`] (what the text says), [`Planned`] (what becomes of it).
//!
//! | module | |
//! | --- | --- |
//! | `parser` | text to statements: a dialect and a statement parser around sqlparser |
//! | `catalog` | tables and views of the session, with their types resolved |
//! | `statements` | what each statement does, except for queries |
//! | `binder` | what statements ask of queries |
//! | `query` | queries: names and types, windows, plans to jobs, EXPLAIN |
//! | `expressions` | Flink's syntax of expressions as calls of `weir_functions` |
//!
//! Every error points into the text where it can. This room deliberately does not know any connector, format or
//! operator: tables are checked through [`ConnectorCatalog`](weir_types::ConnectorCatalog), and a job is only
//! described.

mod binder;
mod catalog;
mod error;
mod expressions;
mod parser;
mod planner;
mod query;
mod statements;
mod walk;

pub use error::{PlanError, PlanErrorKind, Position};
pub use parser::{
    ClientCommand, Completeness, ExplainDetail, SavepointWish, Statement, StopMode, completeness,
};
pub use planner::{Planned, Planner, TextTable, is_complete};
