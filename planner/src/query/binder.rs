//! The query half of the room behind its interface.

use crate::binder::{Binder, BoundQuery, JobRoot, PlannedJob};
use crate::catalog::Session;
use crate::query::bind::{analyze, bind_expr, raw_plan, result_schema};
use crate::query::context::Functions;
use crate::query::error::plan_error;
use crate::query::explain::explain;
use crate::query::locate::{locate, locate_expr};
use crate::query::lower::lower;
use crate::{ExplainDetail, PlanError};
use arrow::datatypes::{FieldRef, Schema};
use datafusion_expr::Expr;
use sqlparser::ast;
use std::str::FromStr;
use weir_functions::{FunctionContext, FunctionRegistry};
use weir_types::RuntimeEnv;
use weir_types::text::TimeZone;

/// Plans queries.
pub struct QueryBinder {
    env: RuntimeEnv,
}

impl QueryBinder {
    /// Functions such as NOW() and RAND() of the planned jobs take clock and randomness from `env`.
    pub fn new(env: RuntimeEnv) -> Self {
        QueryBinder { env }
    }

    fn functions_in(&self, time_zone: TimeZone, database: &str) -> Functions {
        let (clock, random) = (self.env.clock.clone(), self.env.random.clone());
        let database = database.into();
        Functions::new(FunctionRegistry::new(FunctionContext { clock, random, time_zone, database }))
    }

    fn functions(&self, session: &Session) -> Result<Functions, PlanError> {
        let name = session.settings.time_zone();
        let time_zone = TimeZone::from_str(name).map_err(|_| {
            PlanError::invalid(format!("'{name}' in 'table.local-time-zone' is not a time zone"))
        })?;
        Ok(self.functions_in(time_zone, session.catalog.current_database()))
    }
}

impl Binder for QueryBinder {
    fn bind_expr(
        &self,
        session: &Session,
        columns: &Schema,
        expr: &ast::Expr,
    ) -> Result<(Expr, FieldRef), PlanError> {
        let functions = self.functions(session)?;
        let bind = |expr: &ast::Expr| bind_expr(session, &functions, columns, expr);
        bind(expr).map_err(|error| locate_expr(error, expr, &|part| bind(part).map(drop)))
    }

    fn bind_query(&self, session: &Session, query: &ast::Query) -> Result<BoundQuery, PlanError> {
        let functions = self.functions(session)?;
        let plan = |query: &ast::Query| {
            let raw = raw_plan(session, &functions, query, 0)?;
            analyze(&functions, raw).map_err(plan_error)
        };
        let plan = plan(query)
            .map_err(|error| locate(error, query, &|part| plan(part).map(|plan| result_schema(&plan))))?;
        let schema = result_schema(&plan);
        Ok(BoundQuery { plan, schema })
    }

    fn lower(
        &self,
        session: &Session,
        roots: Vec<JobRoot>,
        name: String,
        sql: &str,
    ) -> Result<PlannedJob, PlanError> {
        Ok(lower(session, &self.functions(session)?, &roots, name, sql)?.job)
    }

    fn explain(
        &self,
        session: &Session,
        roots: Vec<JobRoot>,
        details: &[ExplainDetail],
    ) -> Result<String, PlanError> {
        let lowered = lower(session, &self.functions(session)?, &roots, String::new(), "")?;
        explain(&lowered, details)
    }

    fn function_names(&self) -> Vec<String> {
        self.functions_in(TimeZone::UTC, "").names()
    }
}
