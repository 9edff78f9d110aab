//! `CHECKPOINT('path', 'state')` in FROM: the entries of one state of a stored checkpoint, as a bounded table.

use crate::PlanError;
use crate::catalog::{CatalogTable, ColumnSource, ObjectPath};
use crate::query::error::external;
use crate::query::table_source::TableScanSource;
use arrow::datatypes::Schema;
use datafusion_common::Result;
use datafusion_expr::LogicalPlanBuilder;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, ObjectName, Spanned, TableFactor, Value};
use sqlparser::tokenizer::Span;
use std::fmt;
use std::sync::Arc;
use weir_types::ConnectorCatalog;

const FUNCTION: &str = "CHECKPOINT";
const USAGE: &str = "CHECKPOINT takes the path of a checkpoint and the name of a state, both as strings: \
     CHECKPOINT('/checkpoints/4f2a/chk-7', 'group-aggregate:bid[auction]/accumulators'); \
     EXPLAIN CHECKPOINT '<path>' lists the states";

/// True for the name of the function.
pub(super) fn is_checkpoint(name: &ObjectName) -> bool {
    matches!(&name.0[..], [part] if part.as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case(FUNCTION)))
}

/// Plans the function; the columns of a state are asked of whoever can read checkpoints.
pub(super) struct CheckpointPlanner {
    pub connectors: Arc<dyn ConnectorCatalog>,
    /// The text is a view's: its places mean nothing to the statement.
    pub in_view: bool,
}

impl fmt::Debug for CheckpointPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointPlanner")
    }
}

impl RelationPlanner for CheckpointPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        _context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if !is_checkpoint(name) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let span = if self.in_view { Span::empty() } else { relation.span() };
        let texts: Option<Vec<&str>> = args.args.iter().map(text).collect();
        let table = match texts.as_deref() {
            Some([path, state]) => self.table(path, state),
            _ => Err(PlanError::invalid(USAGE)),
        };
        let table = table.map_err(|error| external(error.at(span)))?;
        let source = Arc::new(TableScanSource::new(Arc::new(table)));
        let plan = LogicalPlanBuilder::scan(FUNCTION, source, None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

impl CheckpointPlanner {
    fn table(&self, path: &str, state: &str) -> Result<CatalogTable, PlanError> {
        let descriptor = self.connectors.checkpoint_table(path, state);
        let descriptor = descriptor.map_err(|error| PlanError::invalid(error.message))?;
        let capabilities = self.connectors.check(&descriptor);
        let capabilities = capabilities.map_err(|error| PlanError::invalid(error.message))?;
        let columns = descriptor.columns.iter();
        let fields: Vec<_> =
            columns.map(|column| column.sql_type.to_field(&column.name, column.nullable)).collect();
        let path =
            ObjectPath { catalog: String::new(), database: String::new(), name: descriptor.name.clone() };
        Ok(CatalogTable {
            path,
            schema: Arc::new(Schema::new(fields)),
            sources: vec![ColumnSource::Connector; descriptor.columns.len()],
            watermark: None,
            capabilities,
            temporary: true,
            descriptor: Arc::new(descriptor),
        })
    }
}

fn text(argument: &FunctionArg) -> Option<&str> {
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = argument else { return None };
    match &value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}
