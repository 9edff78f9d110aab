//! Where rows go: tables, and whoever looks at the result.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::scan::parallelism;
use crate::binder::{JobRoot, SinkValue};
use crate::catalog::{CatalogTable, Session};
use crate::parser::split_name;
use crate::query::bind::{bind_expr, result_schema};
use crate::query::context::Functions;
use crate::query::error::plan_error;
use crate::query::not_null::enforce_not_null;
use crate::{PlanError, Position};
use arrow::datatypes::Schema;
use datafusion_common::{Column, DFSchema, Result, ScalarValue, TableReference};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;
use weir_functions::cast_expr;
use weir_types::{Exchange, OperatorSpec, Parallelism, SinkSpec, SqlType};

/// The plan of a root: for a table its persisted columns, with its types.
pub(in crate::query) fn root_plan(
    session: &Session,
    functions: &Functions,
    root: &JobRoot,
) -> Result<LogicalPlan, PlanError> {
    let (table, query, values) = match root {
        JobRoot::Collect { query } => return Ok(query.plan.clone()),
        JobRoot::Sink { table, query, values, .. } => (table, query, values),
    };
    let mut outputs = vec![];
    let mut nullable = vec![];
    for (column, value) in table.persisted_columns().into_iter().zip(values) {
        let (expr, may_be_null) = sink_column(session, functions, table, column, &query.plan, value)?;
        let target = &table.descriptor.columns[column];
        nullable.push(may_be_null && !target.nullable);
        outputs.push(expr.alias(&target.name));
    }
    let drops = session.settings.get("table.exec.sink.not-null-enforcer") == Some("DROP");
    write_plan(query.plan.clone(), outputs, &nullable, (&table.descriptor.name, drops)).map_err(plan_error)
}

/// `outputs` over `plan`. Rows with NULL in one of the columns that are `nullable` but must not be are an error, or left
/// out if it `drops` them.
fn write_plan(
    plan: LogicalPlan,
    outputs: Vec<Expr>,
    nullable: &[bool],
    (table, drops): (&str, bool),
) -> Result<LogicalPlan> {
    let enforced = |(expr, nullable): (Expr, &bool)| match (nullable, expr) {
        (true, Expr::Alias(alias)) => {
            let name = alias.name.clone();
            enforce_not_null(*alias.expr, table, &name).alias(name)
        }
        (_, expr) => expr,
    };
    let builder = LogicalPlanBuilder::from(plan);
    if !drops || !nullable.contains(&true) {
        return builder.project(outputs.into_iter().zip(nullable).map(enforced))?.build();
    }
    let projected = builder.project(outputs)?;
    let columns: Vec<Expr> = projected.schema().columns().into_iter().map(Expr::Column).collect();
    let needed = columns.iter().zip(nullable).filter(|(_, nullable)| **nullable);
    let whole = conjunction(needed.map(|(column, _)| column.clone().is_not_null()));
    let named = columns.into_iter().map(|column| {
        let name = column.schema_name().to_string();
        column.alias(name)
    });
    let named: Vec<Expr> = named.collect();
    let filtered = match whole {
        Some(whole) => projected.filter(whole)?,
        None => projected,
    };
    filtered.project(named.into_iter().zip(nullable).map(enforced))?.build()
}

fn sink_column(
    session: &Session,
    functions: &Functions,
    table: &CatalogTable,
    column: usize,
    plan: &LogicalPlan,
    value: &SinkValue,
) -> Result<(Expr, bool), PlanError> {
    let target = &table.descriptor.columns[column];
    let empty = Schema::empty();
    let typed = |expr: Expr, from: Option<SqlType>, schema: &DFSchema| match from {
        Some(from) if fits(&from, &target.sql_type) => Ok(expr),
        _ => cast_expr(&functions.scalar, expr, schema, &target.sql_type).map_err(plan_error),
    };
    Ok(match value {
        SinkValue::Column(place) => {
            let (qualifier, field) = plan.schema().qualified_field(*place);
            let expr = Expr::Column(Column::from((qualifier, field)));
            (typed(expr, SqlType::of_field(field), plan.schema())?, field.is_nullable())
        }
        SinkValue::Literal(literal) => {
            let (expr, field) = bind_expr(session, functions, &empty, literal)?;
            (typed(expr, SqlType::of_field(&field), &DFSchema::empty())?, field.is_nullable())
        }
        SinkValue::Null => {
            let null = ScalarValue::try_from(&target.sql_type.data_type()).map_err(plan_error)?;
            (Expr::Literal(null, None), true)
        }
    })
}

/// True if values of `from` need no cast to be values of `target`.
fn fits(from: &SqlType, target: &SqlType) -> bool {
    match (from, target) {
        (SqlType::Char(from) | SqlType::Varchar(from), SqlType::Varchar(target)) => from <= target,
        (SqlType::Binary(from) | SqlType::Varbinary(from), SqlType::Varbinary(target)) => from <= target,
        (from, target) => from == target,
    }
}

impl Lowering<'_> {
    pub fn root(&mut self, root: &JobRoot, plan: &LogicalPlan, stream: Stream) -> Result<(), PlanError> {
        let stream = self.conform(stream, plan.schema().columns()).map_err(plan_error)?;
        let (stream, node) = self.settle(stream).map_err(plan_error)?;
        let names: Vec<String> = stream.schema.fields().iter().map(|field| field.name().clone()).collect();
        let (kind, spec, label, schema) = match root {
            JobRoot::Collect { query } => {
                let fields = result_schema(&query.plan);
                let label = format!("Collect(fields=[{}])", names.join(", "));
                ("collect", OperatorSpec::Collect, label, fields)
            }
            JobRoot::Sink { table, overwrite, .. } => {
                let spec = sink_spec(table, *overwrite)?;
                let name = &table.descriptor.name;
                let label = format!("Sink(table=[{name}], fields=[{}])", names.join(", "));
                ("sink", OperatorSpec::Sink(spec), label, sink_schema(table))
            }
        };
        let (clause, connector) = match root {
            JobRoot::Sink { table, .. } => {
                (plain_name(&table.descriptor.name).to_string(), table.capabilities.sink)
            }
            JobRoot::Collect { .. } => (String::new(), None),
        };
        let fields = schema.fields().iter().map(|field| (None::<TableReference>, field.clone())).collect();
        let schema = DFSchema::new_with_metadata(fields, Default::default()).map_err(plan_error)?;
        let added = self.builder.add(NewNode {
            kind,
            clause,
            meaning: String::new(),
            shareable: false,
            label,
            spec,
            inputs: vec![(node, self.sink_exchange(root))],
            schema: Arc::new(schema),
            state: None,
            table: None,
            connector,
            single: false,
        });
        if let JobRoot::Sink { place, table, conflict, .. } = root {
            let facts = &mut self.builder.facts[added.base().0];
            facts.place = Position::of(*place);
            facts.conflict = conflict.map(|(action, span)| (action, Position::of(span)));
            facts.keyed_sink = table.capabilities.sink_by_key;
            if let Some(count) = parallelism(table, "sink.parallelism") {
                self.builder.nodes[added.base().0].parallelism = Parallelism::Fixed(count);
            }
        }
        Ok(())
    }

    /// How rows reach a sink: with `table.exec.sink.keyed-shuffle` = FORCE, or where it has another number of subtasks, those
    /// of one primary key by one subtask.
    fn sink_exchange(&self, root: &JobRoot) -> Exchange {
        let JobRoot::Sink { table, .. } = root else { return Exchange::Forward };
        let default = self.session.settings.job_settings().parallelism;
        let differs = parallelism(table, "sink.parallelism").is_some_and(|count| count != default);
        let forced = differs || self.session.settings.get("table.exec.sink.keyed-shuffle") == Some("FORCE");
        let schema = sink_schema(table);
        let place = |name: &String| schema.index_of(name).ok();
        let keys: Option<Vec<usize>> = table.descriptor.primary_key.iter().map(place).collect();
        match keys.filter(|keys| forced && !keys.is_empty()) {
            Some(keys) => Exchange::Hash(keys),
            None => Exchange::Forward,
        }
    }
}

/// A table's name without the options of a hint.
pub(in crate::query) fn plain_name(name: &str) -> &str {
    split_name(name).map_or(name, |(plain, _)| plain)
}

fn sink_schema(table: &CatalogTable) -> Arc<Schema> {
    let column = |place: usize| {
        let column = &table.descriptor.columns[place];
        column.sql_type.to_field(&column.name, column.nullable)
    };
    Arc::new(Schema::new(table.persisted_columns().into_iter().map(column).collect::<Vec<_>>()))
}

fn sink_spec(table: &CatalogTable, overwrite: bool) -> Result<SinkSpec, PlanError> {
    let descriptor = &table.descriptor;
    let place = |name: &String| descriptor.columns.iter().position(|column| column.name == *name);
    let primary_key: Option<Vec<usize>> = descriptor.primary_key.iter().map(place).collect();
    let primary_key = primary_key.ok_or_else(|| {
        PlanError::internal(format!("the primary key of table {} is not among its columns", descriptor.name))
    })?;
    Ok(SinkSpec { table: descriptor.clone(), overwrite, primary_key })
}
