//! Flink SQL text to statements.

mod ast;

pub use ast::{ClientCommand, ExplainDetail, Statement};
