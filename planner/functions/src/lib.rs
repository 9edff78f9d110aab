//! Flink's expressions on top of DataFusion's: types, casts, arithmetic and scalar functions.
//!
//! The planner turns a query's text into calls of what [`FunctionRegistry`] has. They are *unbound*: they report the type
//! of their result, and do no more. [`FlinkAnalyzer`] then goes over the plan bottom-up before DataFusion's own
//! `TypeCoercion`: it types literals as Flink does, coerces operands by Flink's rules and *binds* every call: from then on
//! its types are fixed.
//!
//! Read first: [`Function`] (what a function is), `Inputs` (what a kernel sees), `FlinkFunction` (its face to DataFusion).
//!
//! Invariants: a bound function never looks at types again; kernels work on whole columns; a constant argument is a
//! column of one row; time, randomness and the session's zone come through [`FunctionContext`] only. This room knows no
//! SQL text: its tests, which begin with text, stand in the planner.

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
mod guarded;
mod hashes;
mod json;
mod math;
mod patterns;
mod registry;
mod strings;
mod temporal;
mod udf;

pub use analyzer::{FlinkAnalyzer, analyze_expr, coerce, coerce_comparison, no_columns, type_of};
pub use casts::cast_expr;
pub use coercion::{common_type, is_implicitly_castable};
pub use context::FunctionContext;
pub use definition::Function;
pub use guarded::guard;
pub use registry::{FunctionRegistry, functions};
pub use temporal::CURRENT_WATERMARK;
