//! Queries and expressions that outlive their statement.

use super::dialect::TABLE_ARGUMENT;
use crate::walk::walk_mut;
use sqlparser::ast::{Expr, Function, Ident, ObjectName, ObjectNamePart, Query, TableFactor, VisitorMut};
use sqlparser::tokenizer::Span;
use std::ops::ControlFlow;

/// Takes the places out of a query: they point into another text than that of the statement that will use it.
pub(crate) fn without_places(mut query: Box<Query>) -> Box<Query> {
    let _ = walk_mut(&mut *query, &mut Places);
    query
}

/// As [`without_places`].
pub(crate) fn expr_without_places(mut expr: Expr) -> Expr {
    let _ = walk_mut(&mut expr, &mut Places);
    expr
}

struct Places;

impl VisitorMut for Places {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => ident.span = Span::empty(),
            Expr::CompoundIdentifier(idents) => {
                idents.iter_mut().for_each(|ident| ident.span = Span::empty())
            }
            Expr::Function(function) => clear(&mut function.name),
            Expr::Value(value) => value.span = Span::empty(),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor {
            clear(name);
        }
        ControlFlow::Continue(())
    }
}

fn clear(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            ident.span = Span::empty();
        }
    }
}

/// An expression as Flink shows it: names in backticks, functions in capitals.
pub(crate) fn expression_text(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _ = walk_mut(&mut expr, &mut Canonical);
    expr.to_string()
}

struct Canonical;

impl VisitorMut for Canonical {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let quote = |ident: &mut Ident| ident.quote_style = Some('`');
        match expr {
            Expr::Identifier(ident) => quote(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(quote),
            Expr::Function(function) => capitals(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn capitals(function: &mut Function) {
    for part in &mut function.name.0 {
        if let ObjectNamePart::Identifier(ident) = part
            && ident.quote_style.is_none()
            && ident.value != TABLE_ARGUMENT
        {
            ident.value = ident.value.to_uppercase();
        }
    }
}
