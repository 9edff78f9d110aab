//! Walks over sqlparser's trees that are compiled once.
//!
//! `Visit::visit` is generic in its visitor, so that each visitor compiles the walk over the whole tree again: with ten
//! of them that was more than half of the code of this room. Here the walk meets every visitor behind one `dyn`.

use sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor,
    VisitorMut,
};
use std::ops::ControlFlow;

/// Shows `node` and all inside it to `visitor`. Errors: what the visitor breaks with.
#[allow(clippy::disallowed_methods, reason = "the one place that walks")]
pub(crate) fn walk<V: Visitor>(node: &impl Visit, visitor: &mut V) -> Result<(), V::Break> {
    let mut kept = Kept { visitor, broke: None };
    // What it breaks with has been kept.
    let _ = node.visit(&mut Any(&mut kept));
    kept.broke.map_or(Ok(()), Err)
}

/// As [`walk`], with leave to change the nodes.
#[allow(clippy::disallowed_methods, reason = "the one place that walks")]
pub(crate) fn walk_mut<V: VisitorMut>(node: &mut impl VisitMut, visitor: &mut V) -> Result<(), V::Break> {
    let mut kept = Kept { visitor, broke: None };
    let _ = node.visit(&mut AnyMut(&mut kept));
    kept.broke.map_or(Ok(()), Err)
}

/// A visitor, and what it broke with.
struct Kept<'a, V, B> {
    visitor: &'a mut V,
    broke: Option<B>,
}

impl<V, B> Kept<'_, V, B> {
    fn keep(&mut self, visit: impl FnOnce(&mut V) -> ControlFlow<B>) -> ControlFlow<()> {
        match visit(self.visitor) {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(value) => {
                self.broke = Some(value);
                ControlFlow::Break(())
            }
        }
    }
}

struct Any<'a>(&'a mut dyn Visitor<Break = ()>);
struct AnyMut<'a>(&'a mut dyn VisitorMut<Break = ()>);

macro_rules! forward {
    ($($method:ident: $node:ty,)*) => {
        impl<V: Visitor> Visitor for Kept<'_, V, V::Break> {
            type Break = ();
            $(fn $method(&mut self, node: &$node) -> ControlFlow<()> {
                self.keep(|visitor| visitor.$method(node))
            })*
        }

        impl<V: VisitorMut> VisitorMut for Kept<'_, V, V::Break> {
            type Break = ();
            $(fn $method(&mut self, node: &mut $node) -> ControlFlow<()> {
                self.keep(|visitor| visitor.$method(node))
            })*
        }

        impl Visitor for Any<'_> {
            type Break = ();
            $(fn $method(&mut self, node: &$node) -> ControlFlow<()> {
                self.0.$method(node)
            })*
        }

        impl VisitorMut for AnyMut<'_> {
            type Break = ();
            $(fn $method(&mut self, node: &mut $node) -> ControlFlow<()> {
                self.0.$method(node)
            })*
        }
    };
}

forward! {
    pre_visit_query: Query,
    post_visit_query: Query,
    pre_visit_select: Select,
    post_visit_select: Select,
    pre_visit_relation: ObjectName,
    post_visit_relation: ObjectName,
    pre_visit_table_factor: TableFactor,
    post_visit_table_factor: TableFactor,
    pre_visit_expr: Expr,
    post_visit_expr: Expr,
    pre_visit_statement: Statement,
    post_visit_statement: Statement,
    pre_visit_value: ValueWithSpan,
    post_visit_value: ValueWithSpan,
}
