//! Expressions of Flink's syntax, on their way to calls of the functions that [`weir_functions`] has.
//!
//! 1. `syntax` reads what sqlparser cannot, for the statement parser's dialect.
//! 2. [`desugar_query`] rewrites syntax that DataFusion's SQL planner does not know, or gives another meaning, into
//!    calls (`CAST`, `CASE`, `FLOOR(x TO unit)`, `TIMESTAMP '..'`).
//! 3. `SqlToRel` plans it with the hooks [`FlinkExprPlanner`], [`FlinkTypePlanner`] and [`FlinkValuesPlanner`].
//! 4. [`weir_functions::FlinkAnalyzer`] types and binds the calls.

mod desugar;
mod planners;
mod syntax;
mod types;
mod values;

pub use desugar::{desugar_expr, desugar_query};
pub use planners::{FlinkExprPlanner, FlinkTypePlanner};
pub(crate) use syntax::{is_interval_qualifier, parse_infix, parse_prefix};
pub use values::FlinkValuesPlanner;

#[cfg(test)]
mod tests;
