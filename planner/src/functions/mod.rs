//! Flink's expressions on top of DataFusion's: types, casts, arithmetic and scalar functions.
//!
//! A query passes through in three steps:
//! 1. [`desugar_query`] rewrites syntax that DataFusion's SQL planner does not know, or gives another meaning, into
//!    calls (`CAST`, `CASE`, `FLOOR(x TO unit)`, `TIMESTAMP '..'`).
//! 2. `SqlToRel` plans it with [`FunctionRegistry`], [`FlinkExprPlanner`], [`FlinkTypePlanner`] and
//!    [`FlinkValuesPlanner`]. Calls are *unbound*: they report the type of their result, and do no more.
//! 3. [`FlinkAnalyzer`] goes over the plan bottom-up before DataFusion's own `TypeCoercion`: it types literals as Flink
//!    does, coerces operands by Flink's rules and *binds* every call: from then on its types are fixed.
//!
//! Read first: `Function` (what a function is), `Inputs` (what a kernel sees), `FlinkFunction` (its face to DataFusion).
//!
//! Invariants: a bound function never looks at types again; kernels work on whole columns; a constant argument is a
//! column of one row; time, randomness and the session's zone come through [`FunctionContext`] only.

mod analyzer;
mod arguments;
mod arithmetic;
mod calls;
mod casts;
mod coercion;
mod collections;
mod compare;
mod conditional;
mod context;
mod decimal;
mod definition;
mod desugar;
mod hashes;
mod json;
mod math;
mod patterns;
mod planners;
mod registry;
mod strings;
mod syntax;
mod temporal;
mod type_text;
mod udf;
mod values;

pub use analyzer::{FlinkAnalyzer, analyze_expr};
pub use casts::cast_expr;
pub use coercion::is_implicitly_castable;
pub use context::FunctionContext;
pub use desugar::{desugar_expr, desugar_query};
pub use planners::{FlinkExprPlanner, FlinkTypePlanner};
pub use registry::FunctionRegistry;
pub(crate) use syntax::{parse_infix, parse_prefix};
pub(crate) use temporal::CURRENT_WATERMARK;
pub use values::FlinkValuesPlanner;

#[cfg(test)]
mod tests;
