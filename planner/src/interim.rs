//! Stands in until `query` and `functions` are linked.
use crate::ExplainDetail;
use crate::PlanError;
use crate::binder::*;
use crate::catalog::Session;
use arrow::datatypes::{FieldRef, Schema};
use datafusion_expr::Expr;
use sqlparser::ast;

pub struct QueryBinder;
impl QueryBinder {
    pub fn new() -> Self {
        QueryBinder
    }
}
impl Binder for QueryBinder {
    fn bind_expr(&self, _: &Session, _: &Schema, _: &ast::Expr) -> Result<(Expr, FieldRef), PlanError> {
        Err(PlanError::not_supported("expressions"))
    }
    fn bind_query(&self, _: &Session, _: &ast::Query) -> Result<BoundQuery, PlanError> {
        Err(PlanError::not_supported("queries"))
    }
    fn lower(&self, _: &Session, _: Vec<JobRoot>, _: String, _: &str) -> Result<PlannedJob, PlanError> {
        Err(PlanError::not_supported("jobs"))
    }
    fn explain(&self, _: &Session, _: Vec<JobRoot>, _: &[ExplainDetail]) -> Result<String, PlanError> {
        Err(PlanError::not_supported("EXPLAIN"))
    }
    fn function_names(&self) -> Vec<String> {
        vec![]
    }
}
pub fn is_implicitly_castable(from: &weir_types::SqlType, to: &weir_types::SqlType) -> bool {
    from == to || (from.is_integer() && to.is_integer()) || (from.is_string() && to.is_string())
}
