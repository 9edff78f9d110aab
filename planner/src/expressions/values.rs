//! VALUES with Flink's types.

use super::desugar::VALUES;
use arrow::datatypes::Field;
use datafusion_common::{DFSchema, Result, plan_err};
use datafusion_expr::logical_plan::Values;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, TableFactor};
use std::sync::Arc;
use weir_functions::{FunctionRegistry, analyze_expr, coerce, common_type, no_columns, type_of};
use weir_types::SqlType;

/// Plans the call that [`super::desugar_query`] makes of VALUES.
#[derive(Debug)]
pub struct FlinkValuesPlanner {
    registry: FunctionRegistry,
}

impl FlinkValuesPlanner {
    pub fn new(registry: FunctionRegistry) -> Self {
        FlinkValuesPlanner { registry }
    }

    /// Rows of cells in the common types of their columns, named `EXPR$0` and so on.
    fn plan(&self, mut rows: Vec<Vec<Expr>>) -> Result<LogicalPlan> {
        let schema = no_columns();
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return plan_err!("VALUES needs rows of one width, at least one column wide");
        }
        let mut fields = Vec::with_capacity(width);
        for column in 0..width {
            let types = rows.iter().map(|row| type_of(&row[column], &schema)).collect::<Result<Vec<_>>>()?;
            let Some(target) = common_type(&types) else {
                let types: Vec<_> = types.iter().map(SqlType::to_string).collect();
                return plan_err!(
                    "column {} of VALUES has types that do not go together: {}",
                    column + 1,
                    types.join(", ")
                );
            };
            let mut nullable = false;
            for row in &mut rows {
                nullable |= row[column].nullable(&schema)?;
                row[column] = coerce(&self.registry, std::mem::take(&mut row[column]), &schema, &target)?;
            }
            fields.push(target.to_field(&format!("EXPR${column}"), nullable));
        }
        let fields: Vec<Field> = fields;
        let schema = Arc::new(DFSchema::from_unqualified_fields(fields.into(), Default::default())?);
        Ok(LogicalPlan::Values(Values { schema, values: rows }))
    }
}

impl RelationPlanner for FlinkValuesPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if name.0.last().and_then(|part| part.as_ident()).is_none_or(|name| name.value != VALUES) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let empty = no_columns();
        let mut rows = Vec::with_capacity(args.args.len());
        for row in &args.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Tuple(cells))) = row else {
                return plan_err!("VALUES takes rows");
            };
            let mut planned = Vec::with_capacity(cells.len());
            for cell in cells {
                let cell = context.sql_to_expr(cell.clone(), &empty)?;
                planned.push(analyze_expr(&self.registry, cell, &empty)?);
            }
            rows.push(planned);
        }
        let planned = PlannedRelation::new(self.plan(rows)?, alias.clone());
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}
