//! What is not built yet, found in the text before anything is planned, where each construct still has its place.

use crate::PlanError;
use crate::parser::table_argument;
use crate::query::conditions::check_conditions;
use crate::query::intervals::check_interval;
use crate::query::over_windows::has_frame;
use crate::query::syntax::{GroupWindowCall, function_name, is_window_function, output_columns};
use crate::walk::walk;
use sqlparser::ast::{
    BinaryOperator, Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, ObjectName, Query,
    Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned, TableFactor, TableVersion, Value,
    ValueWithSpan, Visitor, WindowFrame, WindowFrameUnits, WindowSpec, WindowType,
};
use sqlparser::tokenizer::Span;
use std::ops::ControlFlow;

/// Refuses what cannot be planned.
pub(super) fn check_query(query: &Query) -> Result<(), PlanError> {
    walk(query, &mut Checker { allowed: vec![] })
}

/// As [`check_query`], for a computed column or a watermark.
pub(super) fn check_expr(expr: &Expr) -> Result<(), PlanError> {
    walk(expr, &mut Checker { allowed: vec![] })
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
        let others = [
            (
                query.fetch.as_ref().is_some_and(|fetch| {
                    fetch.with_ties || fetch.percent || fetch.quantity.is_none() || has_limit(query)
                }),
                "FETCH FIRST with TIES, PERCENT or LIMIT",
            ),
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
        if let Err(error) = check_conditions(select) {
            return ControlFlow::Break(error);
        }
        for join in select.from.iter().flat_map(|table| &table.joins) {
            check_join(join)?;
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
                let message = format!(
                    "GROUP BY {value} groups by a constant, not by a column's place: name what is grouped by{}",
                    grouped_texts(select)
                );
                return ControlFlow::Break(PlanError::invalid(message).at(value.span));
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
                    (
                        version.as_ref().is_some_and(|v| !matches!(v, TableVersion::ForSystemTimeAsOf(_))),
                        "versions of tables other than FOR SYSTEM_TIME AS OF",
                    ),
                    (sample.is_some(), "TABLESAMPLE"),
                    (*with_ordinality, "WITH ORDINALITY"),
                    (!partitions.is_empty(), "PARTITION of a table in FROM"),
                    (json_path.is_some(), "paths into a table"),
                    (!index_hints.is_empty(), "index hints"),
                ];
                refuse_any(&others, span)
            }
            TableFactor::Derived { sample, .. } => refuse_any(&[(sample.is_some(), "TABLESAMPLE")], span),
            TableFactor::TableFunction { expr, .. } => self.check_table_function(expr),
            TableFactor::Function { name, args, .. } => {
                let function = called_in_table(name, args).unwrap_or_else(|| name.to_string());
                refuse(format_args!("table function {function}"), span)
            }
            TableFactor::UNNEST { with_offset, .. } => {
                refuse_any(&[(*with_offset, "WITH OFFSET, write WITH ORDINALITY instead")], span)
            }
            TableFactor::MatchRecognize { .. } => ControlFlow::Continue(()),
            TableFactor::NestedJoin { table_with_joins, .. } => {
                table_with_joins.joins.iter().try_for_each(check_join)
            }
            _ => refuse("this kind of table in FROM", span),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        if self.allowed.contains(&std::ptr::from_ref(expr)) {
            return ControlFlow::Continue(());
        }
        match expr {
            Expr::AnyOp { compare_op, right, .. } | Expr::AllOp { compare_op, right, .. } => {
                let compares = matches!(
                    compare_op,
                    BinaryOperator::Eq
                        | BinaryOperator::NotEq
                        | BinaryOperator::Lt
                        | BinaryOperator::LtEq
                        | BinaryOperator::Gt
                        | BinaryOperator::GtEq
                );
                match compares && matches!(right.as_ref(), Expr::Subquery(_)) {
                    true => ControlFlow::Continue(()),
                    false => refuse("ANY and ALL other than comparisons with (SELECT ..)", expr.span()),
                }
            }
            Expr::InSubquery { expr: row, subquery, negated: true } => match row.as_ref() {
                Expr::Tuple(values) if output_columns(subquery) != Some(values.len()) => {
                    refuse("NOT IN of several columns that are not listed, write NOT EXISTS", row.span())
                }
                _ => ControlFlow::Continue(()),
            },
            Expr::Function(function) => check_function(function, expr.span()),
            Expr::Interval(interval) => match check_interval(interval) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            },
            Expr::Convert { .. } => {
                refuse("CONVERT .. USING: all text is Unicode, and DECODE reads bytes", expr.span())
            }
            Expr::Value(ValueWithSpan { value: Value::Placeholder(name), span }) => {
                let message = format!(
                    "nothing gives placeholder {name} a value: write the value, or ${{NAME}} and -D NAME=value"
                );
                ControlFlow::Break(PlanError::invalid(message).at(*span))
            }
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
                (
                    SetOperator::Union | SetOperator::Intersect | SetOperator::Except,
                    SetQuantifier::None | SetQuantifier::Distinct | SetQuantifier::All,
                ) => {}
                _ => refuse(format_args!("{op} {set_quantifier}"), right.span())?,
            }
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Table(_) => refuse("TABLE as a query, write SELECT * FROM instead", body.span()),
        _ => refuse("this statement as a query", body.span()),
    }
}

fn has_limit(query: &Query) -> bool {
    match &query.limit_clause {
        None => false,
        Some(LimitClause::LimitOffset { limit, limit_by, .. }) => limit.is_some() || !limit_by.is_empty(),
        Some(LimitClause::OffsetCommaLimit { .. }) => true,
    }
}

fn check_join(join: &Join) -> Flow {
    use JoinConstraint::{Natural, On, Using};
    let span = join.relation.span();
    // Elements of a collection belong to a row: they have no rows of their own that others could be missing from.
    let of_unnest = matches!(join.relation, TableFactor::UNNEST { .. });
    match &join.join_operator {
        JoinOperator::CrossJoin(JoinConstraint::None)
        | JoinOperator::Join(On(_))
        | JoinOperator::Inner(On(_))
        | JoinOperator::Left(On(_))
        | JoinOperator::LeftOuter(On(_)) => ControlFlow::Continue(()),
        _ if of_unnest => {
            let message = "UNNEST is joined by CROSS JOIN, by JOIN .. ON, or by LEFT JOIN .. ON";
            ControlFlow::Break(PlanError::invalid(message).at(span))
        }
        JoinOperator::Join(Using(_) | Natural)
        | JoinOperator::Inner(Using(_) | Natural)
        | JoinOperator::Left(Using(_) | Natural)
        | JoinOperator::LeftOuter(Using(_) | Natural)
        | JoinOperator::Right(On(_) | Using(_) | Natural)
        | JoinOperator::RightOuter(On(_) | Using(_) | Natural)
        | JoinOperator::FullOuter(On(_) | Using(_) | Natural) => ControlFlow::Continue(()),
        JoinOperator::Join(JoinConstraint::None)
        | JoinOperator::Inner(JoinConstraint::None)
        | JoinOperator::Left(JoinConstraint::None)
        | JoinOperator::LeftOuter(JoinConstraint::None)
        | JoinOperator::Right(JoinConstraint::None)
        | JoinOperator::RightOuter(JoinConstraint::None)
        | JoinOperator::FullOuter(JoinConstraint::None) => {
            let message = "this join needs a condition: ON .., or CROSS JOIN for all pairs";
            ControlFlow::Break(PlanError::invalid(message).at(span))
        }
        _ => refuse("this kind of join", span),
    }
}

/// The function in `TABLE(f(x))`.
fn called_in_table(name: &ObjectName, arguments: &[FunctionArg]) -> Option<String> {
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(call)))] = arguments else { return None };
    name.to_string().eq_ignore_ascii_case("TABLE").then(|| call.name.to_string())
}

/// What a list selects beside aggregations, as far as one can see: ` (a, b)`.
fn grouped_texts(select: &Select) -> String {
    let items = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => {
            Some(expr.to_string())
        }
        SelectItem::ExprWithAlias {
            expr: expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
            ..
        } => Some(expr.to_string()),
        _ => None,
    });
    let texts = items.collect::<Vec<_>>().join(", ");
    if texts.is_empty() { texts } else { format!(" ({texts})") }
}

fn check_clauses(select: &Select) -> Flow {
    if let Some(Distinct::On(on)) = &select.distinct {
        refuse("DISTINCT ON", on.first().map_or(select.span(), Spanned::span))?;
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
        (select.exclude.is_some(), "EXCLUDE"),
        (select.value_table_mode.is_some(), "SELECT AS VALUE"),
    ];
    refuse_any(&others, select.span())
}

/// Flink's grammar has no DISTINCT and no FILTER here, and it takes ORDER BY without heeding it.
fn check_json_aggregate(function: &Function, name: &str, span: Span) -> Flow {
    let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
    let orders = |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
    let refused = [
        (list.duplicate_treatment.is_some(), "DISTINCT"),
        (function.filter.is_some(), "FILTER"),
        (list.clauses.iter().any(orders), "ORDER BY"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, clause)) => {
            let message = format!(
                "{name} takes no {clause}: do it in a query below, whose rows come as they are to be written"
            );
            ControlFlow::Break(PlanError::invalid(message).at(span))
        }
        None => ControlFlow::Continue(()),
    }
}

fn check_over(function: &Function, name: &str, span: Span) -> Flow {
    let Some(over) = &function.over else { return ControlFlow::Continue(()) };
    let invalid = |message: String| ControlFlow::Break(PlanError::invalid(message).at(span));
    if function.filter.is_some() && (!has_frame(name) || name == "NTH_VALUE") {
        return invalid(format!("{name} .. OVER takes no FILTER: that is for aggregate functions"));
    }
    match over {
        WindowType::WindowSpec(WindowSpec { window_frame: Some(frame), .. }) => {
            check_frame(name, frame, span)
        }
        // Those of WINDOW are checked where they are known.
        _ => ControlFlow::Continue(()),
    }
}

/// Refuses a frame that the function `name` does not take, or that nothing takes.
pub(super) fn check_frame(name: &str, frame: &WindowFrame, span: Span) -> Flow {
    if !has_frame(name) {
        let message = format!("{name} .. OVER takes no ROWS or RANGE: it looks at the order alone");
        return ControlFlow::Break(PlanError::invalid(message).at(span));
    }
    if frame.units == WindowFrameUnits::Groups {
        refuse("GROUPS in OVER, write ROWS or RANGE instead", span)?;
    }
    ControlFlow::Continue(())
}

/// Functions of Flink that need what is not here.
const NOT_BUILT: [(&str, &str); 5] = [
    (
        "SOURCE_WATERMARK",
        "no connector here has watermarks of its own: write ts - INTERVAL '5' SECOND or the like",
    ),
    ("PARSE_JSON", "there is no type VARIANT: read JSON text by JSON_VALUE and JSON_QUERY"),
    ("TRY_PARSE_JSON", "there is no type VARIANT: read JSON text by JSON_VALUE and JSON_QUERY"),
    ("OBJECT_OF", "there are no structured types: make a ROW(..)"),
    ("OBJECT_UPDATE", "there are no structured types: make a ROW(..)"),
];

fn check_function(function: &Function, span: Span) -> Flow {
    let name = function_name(function);
    if let Some((_, why)) = NOT_BUILT.iter().find(|(refused, _)| *refused == name) {
        refuse(format_args!("{name}: {why}"), span)?;
    }
    if is_window_function(function) {
        let message = format!(
            "{name} stands in GROUP BY, or in FROM as TABLE({name}(TABLE t, DESCRIPTOR(ts), ..)), not here"
        );
        return ControlFlow::Break(PlanError::invalid(message).at(span));
    }
    check_over(function, &name, span)?;
    if !function.within_group.is_empty() {
        refuse("WITHIN GROUP", span)?;
    }
    if function.null_treatment.is_some() {
        refuse("IGNORE NULLS and RESPECT NULLS", span)?;
    }
    if let "JSON_OBJECTAGG" | "JSON_ARRAYAGG" = name.as_str() {
        check_json_aggregate(function, &name, span)?;
    }
    if let FunctionArguments::List(list) = &function.args
        && let Some(clause) = list.clauses.first()
        && !name.starts_with("JSON_")
    {
        refuse(format_args!("{clause} in the arguments of {name}"), span)?;
    }
    ControlFlow::Continue(())
}
