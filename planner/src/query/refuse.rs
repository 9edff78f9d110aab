//! What is not built yet, found in the text before anything is planned, where each construct still has its place.

use crate::PlanError;
use crate::parser::table_argument;
use crate::query::syntax::{GroupWindowCall, function_name, is_window_function};
use sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArguments, GroupByExpr, Query, Select, SelectItem,
    SetExpr, SetOperator, SetQuantifier, Spanned, TableFactor, Value, Visit, Visitor,
};
use sqlparser::tokenizer::Span;
use std::ops::ControlFlow;

/// Refuses what cannot be planned.
pub(super) fn check_query(query: &Query) -> Result<(), PlanError> {
    match query.visit(&mut Checker { allowed: vec![] }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// As [`check_query`], for a computed column or a watermark.
pub(super) fn check_expr(expr: &Expr) -> Result<(), PlanError> {
    match expr.visit(&mut Checker { allowed: vec![] }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Checker {
    /// Expressions that stand where they may: table arguments and window functions.
    allowed: Vec<*const Expr>,
}

type Flow = ControlFlow<PlanError>;

fn refuse(what: impl std::fmt::Display, span: Span) -> Flow {
    ControlFlow::Break(PlanError::not_supported(what).at(span))
}

/// Breaks if one of the constructs is there.
fn refuse_any(constructs: &[(bool, &str)], span: Span) -> Flow {
    match constructs.iter().find(|(present, _)| *present) {
        Some((_, what)) => refuse(what, span),
        None => ControlFlow::Continue(()),
    }
}

impl Visitor for Checker {
    type Break = PlanError;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        if let Some(with) = query.with.as_ref().filter(|with| with.recursive) {
            refuse("WITH RECURSIVE", with.span())?;
        }
        if let Some(order_by) = &query.order_by {
            refuse("ORDER BY", order_by.span())?;
        }
        let others = [
            (query.fetch.is_some(), "FETCH FIRST, write LIMIT instead"),
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR XML"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "pipe operators"),
        ];
        refuse_any(&others, query.span())?;
        check_body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        check_clauses(select)?;
        if let [_, second, ..] = &select.from[..] {
            refuse("joins: several tables in FROM", second.span())?;
        }
        for table in &select.from {
            if let Some(join) = table.joins.first() {
                refuse("joins", join.relation.span())?;
            }
        }
        let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
            return refuse("GROUP BY ALL", select.group_by.span());
        };
        if !modifiers.is_empty() {
            refuse(
                "WITH ROLLUP, CUBE or TOTALS, write GROUP BY ROLLUP (..) instead",
                select.group_by.span(),
            )?;
        }
        for key in keys {
            if let Expr::Value(value) = key
                && let Value::Number(..) = value.value
            {
                refuse("GROUP BY a number, name the column instead", value.span)?;
            }
            if GroupWindowCall::of(key).is_some() {
                self.allowed.push(key);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> Flow {
        let span = table.span();
        match table {
            TableFactor::Table {
                version,
                sample,
                with_ordinality,
                partitions,
                json_path,
                index_hints,
                ..
            } => {
                let others = [
                    (version.is_some(), "temporal and lookup joins: FOR SYSTEM_TIME AS OF"),
                    (sample.is_some(), "TABLESAMPLE"),
                    (*with_ordinality, "WITH ORDINALITY"),
                    (!partitions.is_empty(), "PARTITION of a table in FROM"),
                    (json_path.is_some(), "paths into a table"),
                    (!index_hints.is_empty(), "index hints"),
                ];
                refuse_any(&others, span)
            }
            TableFactor::Derived { lateral, sample, .. } => {
                refuse_any(&[(*lateral, "LATERAL"), (sample.is_some(), "TABLESAMPLE")], span)
            }
            TableFactor::TableFunction { expr, .. } => self.check_table_function(expr),
            TableFactor::Function { name, .. } => refuse(format_args!("table function {name}"), span),
            TableFactor::UNNEST { .. } => refuse("UNNEST", span),
            TableFactor::MatchRecognize { .. } => refuse("MATCH_RECOGNIZE", span),
            TableFactor::NestedJoin { .. } => refuse("joins in parentheses", span),
            _ => refuse("this kind of table in FROM", span),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        if self.allowed.contains(&std::ptr::from_ref(expr)) {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::Subquery(_) => refuse("scalar subqueries", expr.span()),
            Expr::Exists { .. } => refuse("EXISTS", expr.span()),
            Expr::InSubquery { .. } => refuse("IN with a subquery", expr.span()),
            Expr::AnyOp { .. } | Expr::AllOp { .. } => refuse("ANY and ALL", expr.span()),
            Expr::Function(function) => check_function(function, expr.span()),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Checker {
    /// `TABLE(TUMBLE(TABLE t, ..))`: the table argument is a query in a place where expressions stand.
    fn check_table_function(&mut self, expr: &Expr) -> Flow {
        let Expr::Function(function) = expr else {
            return refuse("this table function", expr.span());
        };
        if !is_window_function(function) {
            return refuse(format_args!("table function {}", function.name), expr.span());
        }
        self.allowed.push(expr);
        let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
        for argument in &list.args {
            let (FunctionArg::Unnamed(argument) | FunctionArg::Named { arg: argument, .. }) = argument else {
                continue;
            };
            let sqlparser::ast::FunctionArgExpr::Expr(argument) = argument else { continue };
            let Some(table) = table_argument(argument) else { continue };
            if let Some(key) = table.order_by.first() {
                refuse("ORDER BY of a table argument", key.span())?;
            }
            self.allowed.push(argument);
            if let Expr::Function(call) = argument
                && let FunctionArguments::List(inner) = &call.args
                && let [FunctionArg::Unnamed(sqlparser::ast::FunctionArgExpr::Expr(subquery))] =
                    &inner.args[..]
            {
                self.allowed.push(subquery);
            }
        }
        ControlFlow::Continue(())
    }
}

fn check_body(body: &SetExpr) -> Flow {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            match (op, set_quantifier) {
                (SetOperator::Union, SetQuantifier::All) => {}
                (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => {
                    refuse("UNION without ALL", right.span())?;
                }
                _ => refuse(op, right.span())?,
            }
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Table(_) => refuse("TABLE as a query, write SELECT * FROM instead", body.span()),
        _ => refuse("this statement as a query", body.span()),
    }
}

fn check_clauses(select: &Select) -> Flow {
    if let Some(Distinct::On(on)) = &select.distinct {
        refuse("DISTINCT ON", on.first().map_or(select.span(), Spanned::span))?;
    }
    if let Some(qualify) = &select.qualify {
        refuse("QUALIFY", qualify.span())?;
    }
    for item in &select.projection {
        if let SelectItem::ExprWithAliases { .. } = item {
            refuse("several aliases of one column", item.span())?;
        }
    }
    let others = [
        (select.top.is_some(), "TOP, write LIMIT instead"),
        (select.into.is_some(), "SELECT INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.value_table_mode.is_some(), "SELECT AS VALUE"),
    ];
    refuse_any(&others, select.span())
}

fn check_function(function: &Function, span: Span) -> Flow {
    let name = function_name(function);
    if is_window_function(function) {
        let message = format!(
            "{name} stands in GROUP BY, or in FROM as TABLE({name}(TABLE t, DESCRIPTOR(ts), ..)), not here"
        );
        return ControlFlow::Break(PlanError::invalid(message).at(span));
    }
    if function.over.is_some() {
        refuse("OVER", span)?;
    }
    if !function.within_group.is_empty() {
        refuse("WITHIN GROUP", span)?;
    }
    if function.null_treatment.is_some() {
        refuse("IGNORE NULLS and RESPECT NULLS", span)?;
    }
    if let "JSON_OBJECTAGG" | "JSON_ARRAYAGG" | "CURRENT_WATERMARK" = name.as_str() {
        refuse(&name, span)?;
    }
    if let FunctionArguments::List(list) = &function.args
        && let Some(clause) = list.clauses.first()
        && !name.starts_with("JSON_")
    {
        refuse(format_args!("{clause} in the arguments of {name}"), span)?;
    }
    ControlFlow::Continue(())
}
