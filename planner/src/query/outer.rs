//! Which columns a query reads of the queries around it.

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, DFSchemaRef, Result};
use datafusion_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion_expr::utils::merge_schema;
use datafusion_expr::{Expr, LogicalPlan};
use std::sync::Arc;

/// The columns of queries around `plan` that it reads, each once. What a query inside it reads of `plan` itself is none of
/// them: names mean the nearest columns of that name.
pub(super) fn read_outside(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut reads = Reads { scopes: vec![], found: vec![] };
    reads.plan(plan)?;
    Ok(reads.found)
}

struct Reads {
    /// columns of the queries around the place that is looked at, but for those around all of it
    scopes: Vec<DFSchemaRef>,
    found: Vec<Column>,
}

impl Reads {
    fn plan(&mut self, plan: &LogicalPlan) -> Result<()> {
        match plan {
            // A query in FROM may read what stands on its left.
            LogicalPlan::Join(join) if is_lateral(&join.right) => {
                self.plan(&join.left)?;
                self.within(join.left.schema(), &join.right)?;
            }
            plan => plan.inputs().into_iter().try_for_each(|input| self.plan(input))?,
        }
        let around: DFSchema = merge_schema(&plan.inputs());
        let around = Arc::new(around);
        plan.apply_expressions(|expr| self.expression(expr, &around))?;
        Ok(())
    }

    fn within(&mut self, around: &DFSchemaRef, plan: &LogicalPlan) -> Result<()> {
        self.scopes.push(around.clone());
        let result = self.plan(plan);
        self.scopes.pop();
        result
    }

    fn expression(&mut self, expr: &Expr, around: &DFSchemaRef) -> Result<TreeNodeRecursion> {
        expr.apply(|expr| {
            match expr {
                Expr::OuterReferenceColumn(_, column) => {
                    let is_inside = self.scopes.iter().any(|scope| scope.has_column(column));
                    if !is_inside && !self.found.contains(column) {
                        self.found.push(column.clone());
                    }
                }
                Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::SetComparison(SetComparison { subquery, .. })
                | Expr::ScalarSubquery(subquery) => self.within(around, &subquery.subquery)?,
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })
    }
}

fn is_lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        _ => false,
    }
}
