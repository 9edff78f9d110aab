//! Expressions over the rows of a match.
//!
//! `LAST(A.price, 1)` and its like become columns of a row of values, and the rest of the expression is bound over that
//! row: a name without a variable is that of the last row of all, `A.price` is that of the last row of A.

use super::node::{Bound, RowsKey, Value};
use crate::PlanError;
use crate::query::error::{external, plan_error};
use crate::query::syntax::function_name;
use crate::walk::{walk, walk_mut};
use arrow::datatypes::FieldRef;
use datafusion_common::{Column, DFSchema, ExprSchema, Result};
use datafusion_expr::planner::RelationPlannerContext;
use datafusion_expr::{Expr, ExprSchemable};
use sqlparser::ast::{
    self, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Spanned,
    Value as Literal, Visitor, VisitorMut,
};
use sqlparser::tokenizer::Span;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use weir_functions::{FunctionRegistry, analyze_expr};
use weir_types::{SqlType, TimeAttribute};

/// Names of the columns that stand for values.
const PREFIX: &str = "$m";

/// What names mean in one expression.
pub(super) struct Scope<'a, 'c> {
    pub context: &'a mut (dyn RelationPlannerContext + 'c),
    pub registry: &'a FunctionRegistry,
    pub input: &'a DFSchema,
    /// of the pattern, in their order, and whether they have a row in any match
    pub variables: &'a [(String, bool)],
    /// the type of the time attribute that rows are ordered by
    pub time_type: &'a SqlType,
    /// the variable whose condition it is; `None` for measures
    pub defines: Option<usize>,
    pub bound: Bound,
}

/// FIRST and LAST around a name.
#[derive(Clone, Copy)]
struct Navigation {
    from_first: bool,
    offset: u32,
}

const HERE: Navigation = Navigation { from_first: false, offset: 0 };

impl Scope<'_, '_> {
    /// Binds an expression over values; what it is called is for whoever asks.
    pub fn bind(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let mut expr = expr.clone();
        let mut rewriter = Rewriter { scope: self, navigation: None };
        walk_mut(&mut expr, &mut rewriter)?;
        let schema = self.bound.schema()?;
        let bound = self.context.sql_to_expr(expr, &schema)?;
        analyze_expr(self.registry, bound, &schema)
    }

    fn variable(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|(variable, _)| variable == name)
    }

    /// The column of the input that `ident` names.
    fn column(&self, ident: &Ident) -> Result<Column> {
        let known = || self.input.fields().iter().map(|field| field.name().as_str());
        match &self.input.columns_with_unqualified_name(&ident.value)[..] {
            [column] => Ok(column.clone()),
            [] => {
                let name = &ident.value;
                let hint = match self.variable(name) {
                    Some(_) => {
                        format!(": '{name}' is a pattern variable, name a column of it as in {name}.x")
                    }
                    None => weir_types::did_you_mean(name, known()),
                };
                invalid(format!("column '{name}' does not exist{hint}"), ident.span)
            }
            _ => invalid(format!("column '{}' is ambiguous", ident.value), ident.span),
        }
    }

    /// The name of the column that stands for a value.
    fn value(&mut self, value: Value, field: FieldRef) -> String {
        let known = self.bound.values.iter().position(|known| *known == value);
        let place = known.unwrap_or_else(|| {
            let name = format!("{PREFIX}{}", self.bound.values.len());
            self.bound.fields.push(Arc::new(field.as_ref().clone().with_name(name)));
            self.bound.values.push(value);
            self.bound.values.len() - 1
        });
        format!("{PREFIX}{place}")
    }

    /// A column of a row of `rows`.
    fn row_value(&mut self, rows: RowsKey, navigation: Navigation, ident: &Ident) -> Result<String> {
        let column = self.column(ident)?;
        let field = self.input.field_from_column(&column)?;
        let always = match rows {
            None => true,
            Some(variable) => {
                self.defines == Some(variable) || (self.defines.is_none() && self.variables[variable].1)
            }
        };
        let nullable = field.is_nullable() || !always || navigation.offset > 0;
        // A column of one of several rows is no time attribute of the match.
        let field = TimeAttribute::mark(None, field).with_nullable(nullable);
        let Navigation { from_first, offset } = navigation;
        Ok(self.value(Value::Row { rows, from_first, offset, column }, Arc::new(field)))
    }

    /// The parts of a name: the variable in front, if there is one, the column, fields within it.
    fn parts<'n>(&self, parts: &'n [Ident]) -> Result<(RowsKey, &'n Ident, &'n [Ident])> {
        match parts {
            [variable, column, rest @ ..] if self.variable(&variable.value).is_some() => {
                Ok((self.variable(&variable.value), column, rest))
            }
            [column, rest @ ..]
                if rest.is_empty() || !self.input.columns_with_unqualified_name(&column.value).is_empty() =>
            {
                Ok((None, column, rest))
            }
            [other, ..] => {
                let names = self.variables.iter().map(|(name, _)| name.as_str());
                let nearest = weir_types::did_you_mean(&other.value, names);
                invalid(format!("'{}' is no variable of the PATTERN{nearest}", other.value), other.span)
            }
            [] => invalid("a name is missing".to_string(), Span::empty()),
        }
    }

    /// An aggregate over the rows of one variable, or of all.
    fn aggregate(&mut self, call: &Function, span: Span) -> Result<String> {
        let name = function_name(call);
        let FunctionArguments::List(list) = &call.args else {
            return invalid(format!("{name} needs arguments"), span);
        };
        let refused = [
            (list.duplicate_treatment.is_some(), "DISTINCT"),
            (call.filter.is_some(), "FILTER"),
            (call.over.is_some(), "OVER"),
            (name.starts_with("JSON_"), "JSON"),
        ];
        if let Some((_, what)) = refused.iter().find(|(present, _)| *present) {
            let message = format!("{what} in an aggregate of MATCH_RECOGNIZE");
            return Err(external(PlanError::not_supported(message).at(span)));
        }
        let mut call = call.clone();
        let mut columns = Columns { scope: self, rows: None, span };
        walk_mut(&mut call.args, &mut columns)?;
        let rows = columns.rows.flatten();
        let counts_rows = matches!(&call.args, FunctionArguments::List(list)
            if matches!(&list.args[..], [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]));
        if columns.rows.is_none() && !counts_rows {
            let message = format!(
                "{name} names no column of a row: it aggregates over the rows of a variable, as in {name}(A.x)"
            );
            return invalid(message, span);
        }
        let expr = self.context.sql_to_expr(ast::Expr::Function(call), self.input)?;
        let expr = analyze_expr(self.registry, expr, self.input)?;
        let field = expr.to_field(self.input)?.1;
        let Expr::AggregateFunction(call) = expr else {
            return invalid(format!("{name} is no aggregate here"), span);
        };
        Ok(self.value(Value::Aggregate { rows, call }, field))
    }

    /// `MATCH_ROWTIME()` or `MATCH_ROWTIME(ts)`
    fn match_rowtime(&mut self, call: &Function, rowtime: bool, span: Span) -> Result<String> {
        if !rowtime || self.defines.is_some() {
            let message =
                "MATCH_ROWTIME stands in MEASURES, of matches that are ordered by a rowtime attribute";
            return invalid(message.to_string(), span);
        }
        let arguments = match &call.args {
            FunctionArguments::List(list) => &list.args[..],
            _ => &[],
        };
        let sql_type = match arguments {
            // Without an argument the type says nothing of the zone.
            [] => SqlType::Timestamp(3),
            [_] => self.time_type.clone(),
            _ => return invalid("MATCH_ROWTIME takes the rowtime attribute, or nothing".to_string(), span),
        };
        let field = Arc::new(sql_type.to_field("rowtime", false));
        Ok(self.value(Value::Time, field))
    }
}

pub(super) fn invalid<T>(message: String, span: Span) -> Result<T> {
    Err(external(PlanError::invalid(message).at(span)))
}

/// Replaces names, navigations and aggregates by the columns that stand for them.
struct Rewriter<'s, 'a, 'c> {
    scope: &'s mut Scope<'a, 'c>,
    /// what FIRST or LAST around it says
    navigation: Option<Navigation>,
}

impl Rewriter<'_, '_, '_> {
    fn replace(&mut self, expr: &mut ast::Expr) -> Result<()> {
        let navigation = self.navigation.unwrap_or(HERE);
        match expr {
            ast::Expr::Identifier(ident) if !ident.value.starts_with(PREFIX) => {
                ident.value = self.scope.row_value(None, navigation, ident)?;
                ident.quote_style = Some('`');
            }
            ast::Expr::CompoundIdentifier(parts) if !parts[0].value.starts_with(PREFIX) => {
                let (rows, column, rest) = self.scope.parts(parts)?;
                let name = self.scope.row_value(rows, navigation, column)?;
                let span = column.span;
                let first = Ident { value: name, quote_style: Some('`'), span };
                *expr = match rest {
                    [] => ast::Expr::Identifier(first),
                    rest => ast::Expr::CompoundIdentifier([&[first], rest].concat()),
                };
            }
            ast::Expr::Function(call) => {
                if let Some(replaced) = self.call(&call.clone())? {
                    *expr = replaced;
                }
            }
            ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => {
                let error = PlanError::not_supported("subqueries in MATCH_RECOGNIZE").at(expr.span());
                return Err(external(error));
            }
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, call: &Function) -> Result<Option<ast::Expr>> {
        let name = function_name(call);
        let span = call.name.span();
        let own = |name: String| ast::Expr::Identifier(Ident { value: name, quote_style: Some('`'), span });
        let is_aggregate = self.scope.context.context_provider().get_aggregate_meta(&name).is_some();
        match name.as_str() {
            "FIRST" | "LAST" => self.navigate(call, name == "FIRST", span).map(Some),
            "PREV" | "NEXT" => {
                let message = format!("{name}, write FIRST or LAST with an offset instead");
                Err(external(PlanError::not_supported(message).at(span)))
            }
            "CLASSIFIER" | "MATCH_NUMBER" => Err(external(PlanError::not_supported(name).at(span))),
            "MATCH_ROWTIME" => {
                let rowtime = self.scope.time_type != &SqlType::Null;
                self.scope.match_rowtime(call, rowtime, span).map(|name| Some(own(name)))
            }
            "MATCH_PROCTIME" => {
                let mut call = call.clone();
                call.name =
                    ObjectName::from(vec![Ident { value: "PROCTIME".into(), quote_style: None, span }]);
                Ok(Some(ast::Expr::Function(call)))
            }
            _ if is_aggregate && self.navigation.is_some() => {
                invalid(format!("{name} stands within FIRST or LAST: an aggregate is not of one row"), span)
            }
            _ if is_aggregate => self.scope.aggregate(call, span).map(|name| Some(own(name))),
            _ => Ok(None),
        }
    }

    /// `FIRST(expression [, offset])`, likewise LAST: it says of each name in the expression which row is meant.
    fn navigate(&mut self, call: &Function, from_first: bool, span: Span) -> Result<ast::Expr> {
        let name = if from_first { "FIRST" } else { "LAST" };
        if self.navigation.is_some() {
            return invalid(
                format!("{name} stands within FIRST or LAST: write one of them with an offset"),
                span,
            );
        }
        let FunctionArguments::List(list) = &call.args else {
            return invalid(format!("{name} takes a column of a variable and an offset"), span);
        };
        let argument = |argument: &FunctionArg| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        };
        let (expr, offset) = match &list.args[..] {
            [expr] => (argument(expr), Some(0)),
            [expr, offset] => (argument(expr), argument(offset).and_then(|offset| whole_number(&offset))),
            _ => (None, None),
        };
        let (Some(mut expr), Some(offset)) = (expr, offset) else {
            return invalid(
                format!(
                    "{name} takes a column of a variable and an offset, a whole number from 0: {name}(A.x, 1)"
                ),
                span,
            );
        };
        one_variable(&expr, self.scope, name, span)?;
        let mut inner =
            Rewriter { scope: &mut *self.scope, navigation: Some(Navigation { from_first, offset }) };
        walk_mut(&mut expr, &mut inner)?;
        Ok(ast::Expr::Nested(Box::new(expr)))
    }
}

fn whole_number(expr: &ast::Expr) -> Option<u32> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            Literal::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        ast::Expr::Nested(inner) => whole_number(inner),
        _ => None,
    }
}

/// Whether the columns of an expression are of rows of several variables.
struct RowsNamed<'a, 'b, 'c> {
    scope: &'a Scope<'b, 'c>,
    seen: Option<RowsKey>,
    several: bool,
}

impl Visitor for RowsNamed<'_, '_, '_> {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Infallible> {
        let rows = match expr {
            ast::Expr::Identifier(_) => None,
            ast::Expr::CompoundIdentifier(parts) => self.scope.variable(&parts[0].value),
            _ => return ControlFlow::Continue(()),
        };
        self.several |= self.seen.is_some_and(|seen| seen != rows);
        self.seen = Some(rows);
        ControlFlow::Continue(())
    }
}

/// Refuses an expression in FIRST or LAST over rows of several variables.
fn one_variable(expr: &ast::Expr, scope: &Scope<'_, '_>, name: &str, span: Span) -> Result<()> {
    let mut rows = RowsNamed { scope, seen: None, several: false };
    let Ok(()) = walk(expr, &mut rows);
    match rows.several {
        true => invalid(format!("{name} over columns of several variables: it is about rows of one"), span),
        false => Ok(()),
    }
}

impl VisitorMut for Rewriter<'_, '_, '_> {
    type Break = datafusion_common::DataFusionError;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Self::Break> {
        match self.replace(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(external(plan_error(error))),
        }
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let error = PlanError::not_supported("subqueries in MATCH_RECOGNIZE").at(query.span());
        ControlFlow::Break(external(error))
    }
}

/// Takes the variables off the names in the arguments of an aggregate.
struct Columns<'s, 'a, 'c> {
    scope: &'s Scope<'a, 'c>,
    /// the variable that was found
    rows: Option<RowsKey>,
    span: Span,
}

impl Columns<'_, '_, '_> {
    fn replace(&mut self, expr: &mut ast::Expr) -> Result<()> {
        let (rows, column, rest) = match expr {
            ast::Expr::Identifier(ident) => (None, ident.clone(), vec![]),
            ast::Expr::CompoundIdentifier(parts) => {
                let (rows, column, rest) = self.scope.parts(parts)?;
                (rows, column.clone(), rest.to_vec())
            }
            ast::Expr::Function(call) => {
                let name = function_name(call);
                let is_aggregate = self.scope.context.context_provider().get_aggregate_meta(&name).is_some();
                return match name.as_str() {
                    "FIRST" | "LAST" => invalid(
                        format!("{name} stands within an aggregate, which is over all rows"),
                        self.span,
                    ),
                    _ if is_aggregate => invalid(format!("{name} stands within an aggregate"), self.span),
                    _ => Ok(()),
                };
            }
            _ => return Ok(()),
        };
        if self.rows.is_some_and(|seen| seen != rows) {
            let message = "an aggregate over columns of several variables: it is over the rows of one";
            return invalid(message.to_string(), self.span);
        }
        self.rows = Some(rows);
        let column =
            Ident { value: self.scope.column(&column)?.name, quote_style: Some('`'), span: column.span };
        *expr = match &rest[..] {
            [] => ast::Expr::Identifier(column),
            rest => ast::Expr::CompoundIdentifier([&[column], rest].concat()),
        };
        Ok(())
    }
}

impl VisitorMut for Columns<'_, '_, '_> {
    type Break = datafusion_common::DataFusionError;

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Self::Break> {
        match self.replace(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(external(plan_error(error))),
        }
    }
}
