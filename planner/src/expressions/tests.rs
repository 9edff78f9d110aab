//! Expressions end to end: from text over desugaring, planning and analysis to values.

mod docs;
mod flink;
mod rows;

use super::*;
use crate::parser::FlinkDialect;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, Result, TableReference, plan_err};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::create_physical_expr;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use sqlparser::parser::Parser;
use std::sync::Arc;
use std::time::Duration;
use weir_functions::{FunctionContext, FunctionRegistry, analyze_expr, guard};
use weir_types::text::{TextStyle, TimeZone, ValueText};
use weir_types::{BoxFuture, Clock, RandomSource, SqlType};

/// 2024-02-29T12:34:56.789Z.
pub(super) const NOW_MS: i64 = 1_709_210_096_789;

struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<()> {
        Box::pin(async {})
    }
}

struct Counter(std::sync::atomic::AtomicU64);

impl RandomSource for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, std::sync::atomic::Ordering::Relaxed)
    }
}

pub(super) fn registry_in(zone: &str) -> FunctionRegistry {
    let time_zone: TimeZone = zone.parse().unwrap();
    let random = Arc::new(Counter(Default::default()));
    let database = "default_database".into();
    FunctionRegistry::new(FunctionContext { clock: Arc::new(FixedClock), random, time_zone, database })
}

struct Context {
    registry: FunctionRegistry,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    options: ConfigOptions,
}

impl Context {
    fn new(registry: FunctionRegistry) -> Self {
        Context {
            expr_planners: vec![Arc::new(FlinkExprPlanner::new(registry.clone()))],
            relation_planners: vec![Arc::new(FlinkValuesPlanner::new(registry.clone()))],
            registry,
            options: ConfigOptions::default(),
        }
    }
}

impl ContextProvider for Context {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("no table {name}")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(FlinkTypePlanner))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.registry.get(name)
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.registry.names()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }

    fn udaf_names(&self) -> Vec<String> {
        vec![]
    }

    fn udwf_names(&self) -> Vec<String> {
        vec![]
    }
}

/// The analyzed expression over `schema`.
pub(super) fn analyzed(registry: &FunctionRegistry, text: &str, schema: &DFSchema) -> Result<Expr> {
    let mut parser = Parser::new(&FlinkDialect).try_with_sql(text)?;
    let mut syntax = parser.parse_expr()?;
    let rest = parser.peek_token();
    if rest.token != sqlparser::tokenizer::Token::EOF {
        return plan_err!("unparsed text at {rest}");
    }
    desugar_expr(&mut syntax)?;
    let context = Context::new(registry.clone());
    let options = ParserOptions {
        parse_float_as_decimal: true,
        support_varchar_with_length: true,
        map_string_types_to_utf8view: false,
        ..Default::default()
    };
    let planner = SqlToRel::new_with_options(&context, options);
    let expr = planner.sql_to_expr(syntax, schema, &mut PlannerContext::new())?;
    analyze_expr(registry, expr, schema)
}

/// The values of `expr` over `batch`, and their field.
pub(super) fn evaluate(expr: &Expr, schema: &DFSchema, batch: &RecordBatch) -> Result<(ArrayRef, FieldRef)> {
    let field = expr.to_field(schema)?.1;
    let physical: Arc<dyn PhysicalExpr> = guard(create_physical_expr(
        expr,
        schema,
        &ExecutionProps::new(),
        &PhysicalPlanningContext::default(),
    )?)?;
    let array = physical.evaluate(batch)?.into_array(batch.num_rows())?;
    assert_eq!(array.data_type(), field.data_type(), "the type that was promised for {expr}");
    assert_eq!(array.len(), batch.num_rows(), "a value for each row of {expr}");
    Ok((array, field))
}

pub(super) fn one_row() -> RecordBatch {
    let schema = Schema::new(vec![Field::new("$row", DataType::Int32, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(arrow::array::Int32Array::from(vec![0]))]).unwrap()
}

/// Values as Java shows them.
pub(super) fn shown(array: &ArrayRef, field: &FieldRef) -> Vec<String> {
    let text = ValueText::new(array.as_ref(), field, TextStyle::Java).unwrap();
    (0..array.len())
        .map(|row| {
            let mut bytes = vec![];
            text.append(row, &mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .collect()
}

/// Type and value of an expression without columns, as `INT NOT NULL` and `3`.
pub(super) fn answer(registry: &FunctionRegistry, text: &str) -> Result<(String, String)> {
    let batch = one_row();
    let schema = DFSchema::try_from(batch.schema())?;
    let expr = analyzed(registry, text, &schema)?;
    let (array, field) = evaluate(&expr, &schema, &batch)?;
    let sql_type = SqlType::of_field(&field).unwrap();
    let null = if field.is_nullable() { "" } else { " NOT NULL" };
    Ok((format!("{sql_type}{null}"), shown(&array, &field).remove(0)))
}
