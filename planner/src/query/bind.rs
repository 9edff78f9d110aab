//! The text of a query to a logical plan with types, time attributes and all names resolved.

use crate::PlanError;
use crate::catalog::Session;
use crate::expressions::{desugar_expr, desugar_query};
use crate::query::aggregates::TypedAggregate;
use crate::query::as_of::rewrite_as_of;
use crate::query::context::{Functions, PlanningContext};
use crate::query::correlated::rewrite_correlated;
use crate::query::error::{external, plan_error};
use crate::query::expand::rewrite_grouping_sets;
use crate::query::group_window::{group_window_position, rewrite_group_window};
use crate::query::origin::Origin;
use crate::query::origin::{expr_origin, time_attribute_of};
use crate::query::over_windows::arrange_windows;
use crate::query::quantified::rewrite_quantified;
use crate::query::refuse::{check_expr, check_query};
use crate::query::set_operations::rewrite_set_operation;
use crate::query::stars::name_apart;
use crate::query::subquery::single_values;
use crate::query::syntax::{all_of, normalize};
use crate::query::unnest::rewrite_join;
use crate::query::using::rewrite_using;
use crate::query::watermark::check_watermarks;
use crate::query::window_function::WindowFunction;
use crate::query::with::drop_hidden_tables;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, Result, Span, not_impl_err};
use datafusion_expr::expr::AggregateFunction as AggregateExpr;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion_optimizer::AnalyzerRule;
use datafusion_optimizer::analyzer::Analyzer;
use datafusion_optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion_sql::planner::{NullOrdering, ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast::{self, Spanned};
use std::sync::Arc;
use weir_functions::{FlinkAnalyzer, analyze_expr};
use weir_types::TimeAttribute;

fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_parse_float_as_decimal(true)
        .with_enable_ident_normalization(false)
        .with_map_string_types_to_utf8view(false)
        .with_collect_spans(true)
        .with_default_null_ordering(NullOrdering::NullsMin)
}

/// The plan of `query` before types are settled: what a view puts in its place.
pub(super) fn raw_plan(
    session: &Session,
    functions: &Functions,
    query: &ast::Query,
    view_depth: usize,
) -> Result<LogicalPlan, PlanError> {
    check_query(query)?;
    let mut query = query.clone();
    drop_hidden_tables(&mut query);
    rewrite_using(&mut query, &|tables, table| {
        let plan = raw_plan(session, functions, &all_of(tables, table), view_depth)?;
        Ok(plan.schema().fields().iter().map(|field| field.name().clone()).collect())
    })?;
    rewrite_quantified(&mut query);
    let context = PlanningContext::new(session, functions, view_depth);
    let plan = |aliases_clash: bool| {
        let mut query = query.clone();
        normalize(&mut query, aliases_clash)?;
        desugar_query(&mut query).map_err(plan_error)?;
        let planner = SqlToRel::new_with_options(&context, parser_options());
        let order = order_places(&query);
        let statement = ast::Statement::Query(Box::new(query));
        let plan = planner.sql_statement_to_plan(statement).map_err(plan_error)?;
        let plan = place_order(plan, &order).and_then(name_apart).map_err(plan_error)?;
        rewrite_windows(plan).map_err(plan_error)
    };
    // Names that tell columns apart from those of a `*` make plans hard to read, and are seldom needed.
    plan(false).or_else(|error| plan(true).map_err(|_| error))
}

/// Where the keys of the outermost ORDER BY stand.
fn order_places(query: &ast::Query) -> Vec<Option<Span>> {
    match query.order_by.as_ref().map(|order| &order.kind) {
        Some(ast::OrderByKind::Expressions(keys)) => {
            keys.iter().map(|key| Span::try_from_sqlparser_span(key.expr.span())).collect()
        }
        _ => vec![],
    }
}

/// Gives the keys of the outermost ORDER BY their places: for those that the list has, DataFusion takes the list's columns,
/// which have none.
fn place_order(plan: LogicalPlan, places: &[Option<Span>]) -> Result<LogicalPlan> {
    let mut plan = plan;
    match &mut plan {
        LogicalPlan::Projection(projection) => {
            let input = Arc::unwrap_or_clone(projection.input.clone());
            projection.input = Arc::new(place_order(input, places)?);
        }
        LogicalPlan::Sort(sort) => {
            for (key, place) in sort.expr.iter_mut().zip(places) {
                if let (Expr::Column(column), Some(place)) = (&mut key.expr, place)
                    && column.spans.first().is_none()
                {
                    column.spans.add_span(*place);
                }
            }
        }
        _ => {}
    }
    Ok(plan)
}

/// Replaces the older windows, grouping sets and joins with UNNEST by what they stand for.
pub(super) fn rewrite_windows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        if let LogicalPlan::Join(join) = &plan {
            let replaced = match (rewrite_as_of(join)?, rewrite_set_operation(join)?) {
                (Some(replaced), _) | (_, Some(replaced)) => Some(replaced),
                (None, None) => rewrite_join(join)?,
            };
            return Ok(replaced.map_or_else(|| Transformed::no(plan), Transformed::yes));
        }
        let LogicalPlan::Aggregate(aggregate) = &plan else {
            // Columns below may have become NOT NULL or the like.
            return Ok(Transformed::no(plan));
        };
        let located = |error| external(plan_error(error).at_position(group_window_position(aggregate)));
        let replaced = match rewrite_group_window(aggregate).map_err(located)? {
            Some(replaced) => Some(replaced),
            None => rewrite_grouping_sets(aggregate)?,
        };
        Ok(replaced.map_or_else(|| Transformed::no(plan), Transformed::yes))
    })?;
    match rewritten.transformed {
        true => {
            let again = |plan: LogicalPlan| Ok(Transformed::yes(plan.recompute_schema()?));
            Ok(rewritten.data.transform_up_with_subqueries(again)?.data)
        }
        false => Ok(rewritten.data),
    }
}

/// Settles all types.
pub(super) fn analyze(functions: &Functions, plan: LogicalPlan) -> Result<LogicalPlan> {
    let rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> =
        vec![Arc::new(FlinkAnalyzer::new(functions.scalar.clone())), Arc::new(TypeCoercion::new())];
    check_chance(&plan)?;
    check_watermarks(&plan)?;
    let plan = single_values(plan)?;
    let plan = plan.transform_up_with_subqueries(never_empty_groups)?.data;
    let plan = Analyzer::with_rules(rules).execute_and_check(plan, &ConfigOptions::default(), |_, _| {})?;
    let plan = plan.transform_up_with_subqueries(arrange_windows)?.data;
    let plan = plan.transform_up_with_subqueries(|plan| Ok(Transformed::yes(plan.recompute_schema()?)))?.data;
    rewrite_correlated(plan)
}

/// Chance in a condition over copies of rows, or over sessions, decides about each copy: it must not go below the
/// window, where the optimiser would push it.
fn check_chance(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        if let LogicalPlan::Filter(filter) = node
            && throws_dice(&filter.predicate)?
            && filter.input.exists(|below| Ok(WindowFunction::of(below).is_some()))?
        {
            return not_impl_err!("not supported yet: random functions in conditions over windows");
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn throws_dice(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| match expr {
        Expr::ScalarFunction(call) => {
            Ok(["RAND", "RAND_INTEGER", "UUID"].contains(&call.func.name().to_uppercase().as_str()))
        }
        _ => Ok(false),
    })
}

/// With keys and without a FILTER a group has at least one row: its MAX over NOT NULL is NOT NULL.
fn never_empty_groups(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Aggregate(mut aggregate) = plan else { return Ok(Transformed::no(plan)) };
    if aggregate.group_expr.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    for expr in &mut aggregate.aggr_expr {
        let Expr::AggregateFunction(AggregateExpr { func, params }) = expr else { continue };
        if let Some(typed) = func.inner().as_ref().downcast_ref::<TypedAggregate>()
            && params.filter.is_none()
        {
            *func = Arc::new(typed.over_groups());
        }
    }
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}

/// The columns of a plan's result, marked with the time that they carry.
pub(super) fn result_schema(plan: &LogicalPlan) -> SchemaRef {
    let fields = plan.schema().iter().map(|(table, field)| {
        let column = Column::new(table.cloned(), field.name());
        Arc::new(TimeAttribute::mark(time_attribute_of(plan, &column), field))
    });
    Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
}

/// An expression over columns of a table: a computed column or a watermark.
pub(super) fn bind_expr(
    session: &Session,
    functions: &Functions,
    columns: &Schema,
    expr: &ast::Expr,
) -> Result<(Expr, FieldRef), PlanError> {
    check_expr(expr)?;
    let mut expr = expr.clone();
    desugar_expr(&mut expr).map_err(plan_error)?;
    let context = PlanningContext::new(session, functions, 0);
    let planner = SqlToRel::new_with_options(&context, parser_options());
    let bind = || -> Result<(Expr, Field)> {
        let schema = DFSchema::try_from(columns.clone())?;
        let expr = planner.sql_to_expr(expr, &schema, &mut PlannerContext::new())?;
        let expr = analyze_expr(&functions.scalar, expr, &schema)?;
        let field = expr.to_field(&schema)?.1.as_ref().clone();
        Ok((expr, field))
    };
    let (expr, field) = bind().map_err(plan_error)?;
    let attribute = match &expr {
        Expr::Column(column) => columns.field_with_name(&column.name).ok().and_then(TimeAttribute::of),
        expr => match expr_origin(&LogicalPlan::default(), expr) {
            Some(Origin::Time(attribute)) => Some(attribute),
            _ => None,
        },
    };
    Ok((expr, Arc::new(TimeAttribute::mark(attribute, &field))))
}
