//! Parts of a syntax tree that no text says: what a rewrite puts in the place of what was written.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, TableAlias, UnaryOperator, Value, ValueWithSpan,
};
use sqlparser::tokenizer::Span;

/// An identifier without a place.
pub(crate) fn bare(name: &str) -> Ident {
    Ident { value: name.into(), quote_style: Some('`'), span: Span::empty() }
}

/// The alias of a table without names of columns.
pub(crate) fn table_alias(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: vec![], at: None }
}

pub(crate) fn literal(value: Value) -> Expr {
    Expr::Value(ValueWithSpan { value, span: Span::empty() })
}

pub(crate) fn text(value: impl Into<String>) -> Expr {
    literal(Value::SingleQuotedString(value.into()))
}

pub(crate) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

pub(crate) fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

pub(crate) fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

pub(crate) fn unnamed(argument: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))
}

/// A call without any clause.
pub(crate) fn call(name: impl Into<ObjectName>, args: Vec<FunctionArg>) -> Function {
    Function {
        name: name.into(),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// A call of a function with expressions.
pub(crate) fn call_of(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(call(bare(name), arguments.into_iter().map(unnamed).collect()))
}
