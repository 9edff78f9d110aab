//! CURRENT_WATERMARK: a function of the operator that a row passes, not of the row.

use crate::query::origin::{Origin, expr_origin};
use crate::query::text::expr_text;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, Result, TableReference, plan_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Cast, Expr, ExprSchemable, LogicalPlan};
use std::sync::Arc;
use weir_functions::CURRENT_WATERMARK;
use weir_types::{SqlType, TimeAttribute};

/// The column behind those of a Calc's input.
const COLUMN: &str = "$watermark";

fn call(expr: &Expr) -> Option<&ScalarFunction> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == CURRENT_WATERMARK => Some(call),
        _ => None,
    }
}

/// True if something in `expr` asks for the watermark.
pub(super) fn reads_watermark(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| Ok(call(expr).is_some()))
}

/// Only a rowtime attribute has a watermark.
pub(super) fn check_watermarks(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let is_rowtime = |expr: &Expr| {
            let origins = node.inputs().into_iter().filter_map(|input| expr_origin(input, expr));
            origins.into_iter().any(|origin| match origin {
                Origin::Time(attribute) => attribute == TimeAttribute::RowTime,
                Origin::Window { part, node } => part == 2 && node.attribute == TimeAttribute::RowTime,
            })
        };
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some(call) = call(expr)
                    && let Some(argument) = call.args.first()
                    && !is_rowtime(argument)
                {
                    let argument = expr_text(argument);
                    return plan_err!(
                        "{CURRENT_WATERMARK} takes a rowtime attribute, and {argument} is none: name a column for which \
                         a table declares WATERMARK FOR"
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// `schema` with the watermark behind its columns.
pub(super) fn with_watermark(schema: &DFSchema) -> Result<DFSchema> {
    let watermark = Arc::new(SqlType::Timestamp(3).to_field(COLUMN, true));
    let fields = schema.iter().map(|(table, field)| (table.cloned(), field.clone()));
    let fields = fields.chain([(None::<TableReference>, watermark)]).collect();
    DFSchema::new_with_metadata(fields, Default::default())
}

/// `expr` with each call replaced by the column of [`with_watermark`].
pub(super) fn read_column(expr: &Expr, schema: &DFSchema) -> Result<Expr> {
    let replace = |expr: Expr| {
        if call(&expr).is_none() {
            return Ok(Transformed::no(expr));
        }
        let wanted = expr.get_type(schema)?;
        let column = Expr::Column(Column::new_unqualified(COLUMN));
        Ok(Transformed::yes(match wanted == SqlType::Timestamp(3).data_type() {
            true => column,
            // The same instant with a zone.
            false => Expr::Cast(Cast::new(Box::new(column), wanted)),
        }))
    };
    Ok(expr.clone().transform_up(replace)?.data)
}
