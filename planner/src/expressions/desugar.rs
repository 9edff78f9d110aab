//! Syntax that DataFusion's SQL planner does not know, or types otherwise than Flink, as calls.
//!
//! | text | call |
//! | --- | --- |
//! | `CAST(x AS t)`, `TRY_CAST(x AS t)` | `$CAST(x, 't')`, `$TRY_CAST(x, 't')` |
//! | `TIMESTAMP '..'`, `DATE '..'`, `TIME '..'` | `$CAST('..', 'TIMESTAMP(p)')`, p digits as written |
//! | `TIME '10:00:00.5'` | `$TIME('10:00:00.5')` |
//! | `(a - b) DAY` | `$MINUS('DAY', a, b)` |
//! | `1e3`, `.5` | `$CAST('1e3', 'DOUBLE')`, `$CAST('.5', 'DECIMAL(1, 1)')` |
//! | `CASE ..` | `$CASE(condition, value, .., otherwise)` |
//! | `FLOOR(x TO u)`, `CEIL(x TO u)` | `$FLOOR(x, 'u')`, `$CEIL(x, 'u')` |
//! | `- x` | `$NEGATE(x)` |
//! | `ARRAY[a, b]` | `$ARRAY(a, b)` |
//! | `items[1].sku`, `(who).name` | `$FIELD(items[1], 'sku')`, `$FIELD((who), 'name')` |
//! | `(a, b) OVERLAPS (c, d)` | `$OVERLAPS(a, b, c, d)` |
//! | `INTERVAL '1-2' YEAR TO MONTH` | `INTERVAL '14' MONTH` |
//! | `TIMESTAMPADD(DAY, n, t)` | `TIMESTAMPADD('DAY', n, t)` |
//! | `JSON_OBJECT(k VALUE v ABSENT ON NULL)` | `$JSON_OBJECT('Av', k, v)` |
//! | `JSON_ARRAY(JSON(x))` | `$JSON_ARRAY('Aj', $JSON(x))` |
//! | `PERCENTILE(x, p)` | `$PERCENTILE(COLLECT($PERCENTILE_OF(x)), p)` |
//! | `VALUES (..), (..)` | `SELECT * FROM $VALUES((..), (..))` |
//!
//! Arguments of table functions stay as they are, but for queries among them.

mod literals;
mod syntax;

pub(super) use syntax::VALUES;

use crate::walk::walk_mut;
use datafusion_common::{DataFusionError, Result};
use sqlparser::ast::{Expr, GroupByExpr, Query, Select, TableFactor, VisitMut, VisitorMut};
use std::ops::ControlFlow;

/// Rewrites all expressions of a query and of the queries inside it. Errors: literals that are malformed, types that
/// Flink does not have.
pub fn desugar_query(query: &mut Query) -> Result<()> {
    run(query)
}

/// Rewrites one expression.
pub fn desugar_expr(expr: &mut Expr) -> Result<()> {
    run(expr)
}

fn run(node: &mut impl VisitMut) -> Result<()> {
    walk_mut(node, &mut Desugarer::default())
}

#[derive(Default)]
struct Desugarer {
    /// table functions around this place, inside the innermost query
    table_functions: u32,
    /// the same for the queries around
    outer: Vec<u32>,
}

/// A table function; windows are planned from the syntax tree.
fn is_table_function(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::TableFunction { .. } | TableFactor::Function { .. } => true,
        _ => false,
    }
}

impl VisitorMut for Desugarer {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<DataFusionError> {
        self.outer.push(std::mem::take(&mut self.table_functions));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        self.table_functions = self.outer.pop().unwrap_or(0);
        match syntax::values_to_call(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        // GROUP BY (a, b) groups by a and by b.
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            *keys = std::mem::take(keys)
                .into_iter()
                .flat_map(|key| match key {
                    Expr::Tuple(members) => members,
                    key => vec![key],
                })
                .collect();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DataFusionError> {
        self.table_functions += u32::from(is_table_function(factor));
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DataFusionError> {
        self.table_functions -= u32::from(is_table_function(factor));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        if self.table_functions > 0 {
            return ControlFlow::Continue(());
        }
        match syntax::rewrite(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
