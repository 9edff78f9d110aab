//! What statements ask of the query half of the room: names to columns, SQL to plans, plans to jobs.

use crate::catalog::{CatalogTable, Session};
use crate::{ExplainDetail, PlanError};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion_expr::{Expr, LogicalPlan};
use sqlparser::ast;
use sqlparser::tokenizer::Span;
use std::sync::Arc;
use weir_types::{JobGraph, OnConflict};

/// A query with its names and types resolved.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    pub plan: LogicalPlan,
    /// names, types (`SqlType::of_field`), nullability and time attributes of the result's columns
    pub schema: SchemaRef,
}

/// Where a column of a sink gets its value.
#[derive(Clone, Debug)]
pub enum SinkValue {
    /// A column of the query, cast to the sink's type where it differs. The cast is one that Flink does implicitly.
    Column(usize),
    /// A literal of `PARTITION (k = literal)`, cast to the sink's type.
    Literal(Box<ast::Expr>),
    Null,
}

/// What becomes of a query's rows.
#[derive(Clone, Debug)]
pub enum JobRoot {
    /// Shown to a person.
    Collect { query: BoundQuery },
    /// Written to a table. `values` has one entry for each persisted column of the table (physical and non-virtual
    /// metadata columns, in declared order): [`CatalogTable::persisted_columns`].
    /// `place` is where the statement names the table, and `conflict` its ON CONFLICT with where that stands.
    Sink {
        table: Arc<CatalogTable>,
        place: Span,
        overwrite: bool,
        conflict: Option<(OnConflict, Span)>,
        query: BoundQuery,
        values: Vec<SinkValue>,
    },
}

/// A job, and what its author should know before running it.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    pub graph: JobGraph,
    /// such as state that grows without a bound, with the clause that keeps it
    pub warnings: Vec<String>,
}

/// Implemented by `query/`.
pub trait Binder: Send + Sync {
    /// A computed column or a watermark over `columns`. The field carries type, nullability and time attribute
    /// (`PROCTIME()` gives one).
    fn bind_expr(
        &self,
        session: &Session,
        columns: &Schema,
        expr: &ast::Expr,
    ) -> Result<(Expr, FieldRef), PlanError>;

    fn bind_query(&self, session: &Session, query: &ast::Query) -> Result<BoundQuery, PlanError>;

    /// The job of one statement: several roots for a STATEMENT SET, which share what they have in common.
    fn lower(
        &self,
        session: &Session,
        roots: Vec<JobRoot>,
        name: String,
        sql: &str,
    ) -> Result<PlannedJob, PlanError>;

    /// The text of EXPLAIN.
    fn explain(
        &self,
        session: &Session,
        roots: Vec<JobRoot>,
        details: &[ExplainDetail],
    ) -> Result<String, PlanError>;

    /// Names of all functions that a query may call, as users write them: `SHOW FUNCTIONS` and completion.
    fn function_names(&self) -> Vec<String>;
}
