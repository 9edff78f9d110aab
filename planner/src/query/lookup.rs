//! Lookup joins: `FOR SYSTEM_TIME AS OF` a processing time.
//!
//! As with versions nothing is pushed through the join by the optimiser: what a row finds depends on when it asks.

use crate::parser::LookupHint;
use crate::query::as_of::compared;
use crate::query::nodes::{joined_schema, needed_of_both, node_of, unordered};
use crate::query::table_source::TableScanSource;
use datafusion_common::{Column, DFSchemaRef, Result, internal_err, plan_err};
use datafusion_expr::logical_plan::{Extension, Join, UserDefinedLogicalNodeCore};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use std::fmt;
use std::sync::Arc;

/// Each row of the left with the rows that a table has for its keys when it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lookup {
    pub left: Arc<LogicalPlan>,
    /// the table
    pub right: Arc<LogicalPlan>,
    /// LEFT JOIN
    pub outer: bool,
    /// equalities of the keys, and what else is asked of a pair of rows
    pub condition: Expr,
    pub hint: LookupHint,
    schema: DFSchemaRef,
}

impl Lookup {
    fn try_new(
        left: Arc<LogicalPlan>,
        right: Arc<LogicalPlan>,
        condition: Expr,
        (outer, hint): (bool, LookupHint),
    ) -> Result<Self> {
        let schema = joined_schema(&left, &right, outer)?;
        Ok(Lookup { left, right, outer, condition, hint, schema })
    }

    pub fn of(plan: &LogicalPlan) -> Option<&Lookup> {
        node_of(plan)
    }

    /// The keys: what is asked for, over the left, and the column of the right that equals it; and what is left of the
    /// condition.
    pub fn keys(&self) -> (Vec<(Expr, Column)>, Option<Expr>) {
        let mut keys: Vec<(Expr, Column)> = vec![];
        let mut rest = vec![];
        for part in split_conjunction(&self.condition) {
            match self.key(part) {
                // A second equality with a column is a condition like others.
                Some((_, column)) if keys.iter().any(|(_, known)| *known == column) => {
                    rest.push(part.clone())
                }
                Some(key) => keys.push(key),
                None if *part == lit(true) => {}
                None => rest.push(part.clone()),
            }
        }
        (keys, conjunction(rest))
    }

    fn key(&self, part: &Expr) -> Option<(Expr, Column)> {
        let column = |expr: &Expr| {
            let column = expr.clone().unalias_nested().data.try_as_col().cloned();
            column.filter(|column| self.right.schema().has_column(column))
        };
        if let Some((left, right)) = compared(part, &self.left, &self.right) {
            return Some((left, column(&right)?));
        }
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = part else { return None };
        match (left.as_ref(), right.as_ref()) {
            (constant @ Expr::Literal(..), other) | (other, constant @ Expr::Literal(..)) => {
                Some((constant.clone(), column(other)?))
            }
            _ => None,
        }
    }
}

unordered!(Lookup);

impl UserDefinedLogicalNodeCore for Lookup {
    fn name(&self) -> &str {
        "LookupJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.condition.clone()]
    }

    #[allow(clippy::disallowed_types, reason = "the type that DataFusion asks for")]
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.outer { "left" } else { "inner" };
        write!(f, "LookupJoin: {}, join={kind}", self.condition)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let exprs = exprs.into_iter().map(|expr| Ok(expr.unalias_nested().data));
        let exprs = exprs.collect::<Result<Vec<Expr>>>()?;
        let (Ok([left, right]), Ok([condition])) =
            (<[LogicalPlan; 2]>::try_from(inputs), <[Expr; 1]>::try_from(exprs))
        else {
            return internal_err!("a lookup join has two inputs and a condition");
        };
        let what = (self.outer, self.hint.clone());
        Lookup::try_new(Arc::new(left), Arc::new(right), condition, what)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        needed_of_both(&self.schema, width, &self.expressions(), output_columns)
    }
}

/// The join with `right`, a table that is looked up.
pub(super) fn lookup_join(
    join: &Join,
    right: Arc<LogicalPlan>,
    (outer, hint): (bool, LookupHint),
) -> Result<LogicalPlan> {
    let Some(table) = table(&right) else {
        return plan_err!(
            "a lookup join, FOR SYSTEM_TIME AS OF a processing time, takes a table on its right, no view and no query: put \
             conditions on it behind ON"
        );
    };
    if table.table().capabilities.lookup.is_none() {
        return plan_err!(
            "table '{}' cannot be looked up by a join FOR SYSTEM_TIME AS OF a processing time: its connector, with these \
             options, finds no rows by key; join by event time, or without FOR SYSTEM_TIME",
            table.table().descriptor.name
        );
    }
    let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let condition = conjunction(keys.chain(join.filter.clone())).unwrap_or_else(|| lit(true));
    let node = Lookup::try_new(join.left.clone(), right, condition, (outer, hint))?;
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// The table that `plan` only gives other names.
pub(super) fn table(plan: &LogicalPlan) -> Option<&TableScanSource> {
    match plan {
        LogicalPlan::TableScan(scan) => TableScanSource::of(&scan.source),
        LogicalPlan::SubqueryAlias(alias) => table(&alias.input),
        LogicalPlan::Projection(projection) => {
            let renames = |expr: &Expr| expr.clone().unalias_nested().data.try_as_col().is_some();
            table(&projection.input).filter(|_| projection.expr.iter().all(renames))
        }
        _ => None,
    }
}
