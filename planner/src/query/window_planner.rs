//! `TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), ..))` in FROM.

use crate::PlanError;
use crate::parser::table_argument;
use crate::query::bind::rewrite_windows;
use crate::query::error::{external, plan_error};
use crate::query::origin::{Origin, origin};
use crate::query::syntax::{function_name, is_window_function};
use crate::query::text::expr_text;
use crate::query::window_function::{WindowFunction, check_window};
use datafusion_common::{Column, DFSchema, DataFusionError, ExprSchema, Result, plan_err};
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_expr::{Expr, LogicalPlan};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, TableFactor, Value};
use sqlparser::tokenizer::Span;
use weir_types::{SqlType, TimeAttribute, WindowSpec};

/// Plans the windowing table functions.
#[derive(Debug)]
pub(super) struct WindowPlanner {
    /// The text is a view's: its places mean nothing to the statement.
    pub in_view: bool,
}

impl RelationPlanner for WindowPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::TableFunction { expr: ast::Expr::Function(function), alias }
                if is_window_function(&function) =>
            {
                let span = if self.in_view { Span::empty() } else { function.name.span() };
                let located = |error| external(plan_error(error).at(span));
                let node = plan_call(&function, context).map_err(located)?;
                let plan = node.at(span).into_plan();
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            relation => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

/// The arguments of a call, each by the name of its parameter.
struct Arguments {
    function: String,
    given: Vec<(&'static str, ast::Expr)>,
}

/// Parameters in positional order. `OFFSET` may be left out.
fn parameters(function: &str) -> &'static [&'static str] {
    match function {
        "TUMBLE" => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
        "HOP" => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
        "CUMULATE" => &["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"],
        _ => &["DATA", "TIMECOL", "GAP"],
    }
}

fn unknown_parameter(function: &str, parameters: &[&str], name: &ast::Ident) -> DataFusionError {
    let known = || parameters.iter().copied();
    let nearest = weir_types::did_you_mean(&name.value.to_uppercase(), known());
    let message = format!("{function} takes {}, not {}{nearest}", parameters.join(", "), name.value);
    external(PlanError::invalid(message).at(name.span))
}

impl Arguments {
    fn of(call: &ast::Function) -> Result<Arguments> {
        let function = function_name(call);
        let parameters = parameters(&function);
        let FunctionArguments::List(list) = &call.args else {
            return plan_err!("{function} needs arguments: {}", parameters.join(", "));
        };
        let mut given: Vec<(&'static str, ast::Expr)> = vec![];
        for (place, argument) in list.args.iter().enumerate() {
            let (name, argument) = match argument {
                FunctionArg::Unnamed(argument) => (parameters.get(place).copied(), argument),
                FunctionArg::Named { name, arg, .. } => {
                    let known = |parameter: &&&str| parameter.eq_ignore_ascii_case(&name.value);
                    let Some(parameter) = parameters.iter().find(known) else {
                        return Err(unknown_parameter(&function, parameters, name));
                    };
                    (Some(*parameter), arg)
                }
                FunctionArg::ExprNamed { arg, .. } => (None, arg),
            };
            let (Some(name), FunctionArgExpr::Expr(expr)) = (name, argument) else {
                return plan_err!("{function} takes {}, not {argument}", parameters.join(", "));
            };
            if given.iter().any(|(other, _)| *other == name) {
                return plan_err!("{function} is given {name} twice");
            }
            given.push((name, expr.clone()));
        }
        Ok(Arguments { function, given })
    }

    fn optional(&self, name: &str) -> Option<&ast::Expr> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, expr)| expr)
    }

    fn required(&self, name: &str) -> Result<&ast::Expr> {
        match self.optional(name) {
            Some(expr) => Ok(expr),
            None => plan_err!(
                "{} needs {name}: it takes {}",
                self.function,
                parameters(&self.function).join(", ")
            ),
        }
    }

    fn length(&self, name: &str) -> Result<i64> {
        length(&self.function, name, self.required(name)?)
    }

    fn offset(&self) -> Result<i64> {
        self.optional("OFFSET").map_or(Ok(0), |expr| length(&self.function, "OFFSET", expr))
    }

    fn window(&self) -> Result<WindowSpec> {
        let spec = match self.function.as_str() {
            "TUMBLE" => WindowSpec::Tumble { size_ms: self.length("SIZE")?, offset_ms: self.offset()? },
            "HOP" => WindowSpec::Hop {
                size_ms: self.length("SIZE")?,
                slide_ms: self.length("SLIDE")?,
                offset_ms: self.offset()?,
            },
            "CUMULATE" => WindowSpec::Cumulate {
                max_size_ms: self.length("SIZE")?,
                step_ms: self.length("STEP")?,
                offset_ms: self.offset()?,
            },
            _ => WindowSpec::Session { gap_ms: self.length("GAP")? },
        };
        check_window(spec)
    }
}

/// A length that [`crate::query::syntax::normalize`] has turned into milliseconds.
fn length(function: &str, name: &str, expr: &ast::Expr) -> Result<i64> {
    if let ast::Expr::Value(value) = expr
        && let Value::Number(text, _) = &value.value
        && let Ok(ms) = text.parse()
    {
        return Ok(ms);
    }
    plan_err!("{name} of {function} must be an interval literal such as INTERVAL '10' SECOND, not {expr}")
}

fn plan_call(call: &ast::Function, context: &mut dyn RelationPlannerContext) -> Result<WindowFunction> {
    let arguments = Arguments::of(call)?;
    let function = &arguments.function;
    let data = arguments.required("DATA")?;
    let (query, partition_by) = match (table_argument(data), data) {
        (Some(table), _) => (table.query, table.partition_by.to_vec()),
        (None, ast::Expr::Subquery(query)) => (query.as_ref(), vec![]),
        _ => {
            return plan_err!(
                "the first argument of {function} is TABLE and the name of a table, or a query in parentheses, not {data}"
            );
        }
    };
    // The input may group by an older window, whose time is a time attribute only once it is rewritten.
    let input = rewrite_windows(context.plan(table_factor(query))?)?;
    let time = descriptor(function, arguments.required("TIMECOL")?)?;
    let time = column(function, time, input.schema())?;
    let mut partition = Vec::with_capacity(partition_by.len());
    for key in partition_by {
        match context.sql_to_expr(key, input.schema())? {
            Expr::Column(column) => partition.push(column),
            other => {
                return plan_err!("PARTITION BY of {function} takes columns, not {}", expr_text(&other));
            }
        }
    }
    if !partition.is_empty() && function != "SESSION" {
        return plan_err!(
            "{function} takes no PARTITION BY, only SESSION does: group by the columns instead"
        );
    }
    let spec = arguments.window()?;
    let (attribute, time_type) = time_attribute(&input, &time)?;
    WindowFunction::try_new(input, spec, attribute, time, time_type, partition, false)
}

/// `SELECT * FROM t` is planned as `t`, so that columns keep the table's name.
fn table_factor(query: &ast::Query) -> TableFactor {
    if query.with.is_none()
        && query.limit_clause.is_none()
        && let ast::SetExpr::Select(select) = query.body.as_ref()
        && let [ast::SelectItem::Wildcard(_)] = &select.projection[..]
        && let [from] = &select.from[..]
        && select.selection.is_none()
        && select.distinct.is_none()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(keys, _) if keys.is_empty())
    {
        return from.relation.clone();
    }
    TableFactor::Derived { lateral: false, subquery: Box::new(query.clone()), alias: None, sample: None }
}

/// The column of `DESCRIPTOR(column)`.
fn descriptor<'a>(function: &str, expr: &'a ast::Expr) -> Result<&'a ast::Ident> {
    if let ast::Expr::Function(call) = expr
        && function_name(call) == "DESCRIPTOR"
        && let FunctionArguments::List(list) = &call.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(ident)))] = &list.args[..]
    {
        return Ok(ident);
    }
    plan_err!("the time column of {function} is written DESCRIPTOR(column), not {expr}")
}

fn column(function: &str, ident: &ast::Ident, schema: &DFSchema) -> Result<Column> {
    let named = schema.columns_with_unqualified_name(&ident.value);
    match &named[..] {
        [column] => Ok(column.clone()),
        [] => plan_err!("cannot find the time column '{}' of {function}", ident.value),
        _ => plan_err!("the time column '{}' of {function} is ambiguous", ident.value),
    }
}

/// Which time `column` carries, and its type.
pub(super) fn time_attribute(plan: &LogicalPlan, column: &Column) -> Result<(TimeAttribute, SqlType)> {
    let field = plan.schema().field_from_column(column)?;
    let attribute = origin(plan, column).and_then(|origin| match origin {
        Origin::Time(attribute) => Some(attribute),
        Origin::Window { part: 2, node } => Some(node.attribute),
        Origin::Window { .. } => None,
    });
    let Some(attribute) = attribute else {
        return plan_err!(
            "a window needs a time attribute, '{}' is none: declare WATERMARK FOR it in its table, or take PROCTIME()",
            column.name
        );
    };
    match SqlType::of_field(field) {
        Some(sql_type @ (SqlType::Timestamp(_) | SqlType::TimestampLtz(_))) => Ok((attribute, sql_type)),
        _ => {
            plan_err!("a window needs a time attribute of type TIMESTAMP or TIMESTAMP_LTZ: '{}'", column.name)
        }
    }
}
