//! Lookup joins. The side that is looked up is no input: its plan becomes steps that the operator applies to rows found.

use super::Lowering;
use super::builder::{JobBuilder, NewNode, Stream};
use super::join::Side;
use super::relations::without_dependencies;
use super::scan::shared_scans;
use crate::PlanError;
use crate::query::changelog::{handed_on, is_insert_only};
use crate::query::error::plan_error;
use crate::query::lookup::{Lookup, table};
use crate::query::text::expr_text;
use arrow::datatypes::SchemaRef;
use datafusion_common::{Column, DFSchema, Result, plan_err};
use datafusion_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use std::sync::Arc;
use weir_types::{CalcSpec, Exchange, LookupJoinSpec, LookupMode, LookupRetry, OperatorSpec, SourceSpec};

/// The side that is looked up.
struct Right {
    source: SourceSpec,
    source_schema: SchemaRef,
    calcs: Vec<(CalcSpec, SchemaRef)>,
    /// of the rows that come out of the last step
    schema: Arc<DFSchema>,
}

impl Lowering<'_> {
    pub fn lookup(&mut self, join: &Lookup) -> Result<Stream, PlanError> {
        let left = self.plan(&join.left)?;
        let right = self.looked_up(&join.right)?;
        self.lookup_rows(join, left, right).map_err(plan_error)
    }

    /// The plan of the table, as a source and steps behind it.
    fn looked_up(&mut self, plan: &LogicalPlan) -> Result<Right, PlanError> {
        // It has a job of its own, so that nothing is shared with what flows.
        let scans = shared_scans(&[plan]).map_err(plan_error)?;
        let scans = std::mem::replace(&mut self.scans, scans);
        let builder = std::mem::take(&mut self.builder);
        let event_time = std::mem::replace(&mut self.event_time, false);
        let lowered = self.plan(plan).and_then(|stream| {
            let stream = self.conform(stream, plan.schema().columns()).map_err(plan_error)?;
            Ok(self.settle(stream).map_err(plan_error)?.0)
        });
        let JobBuilder { nodes, .. } = std::mem::replace(&mut self.builder, builder);
        self.scans = scans;
        self.event_time = event_time;
        let schema = lowered?.schema;
        let mut steps = nodes.into_iter();
        let Some((OperatorSpec::Source(source), source_schema)) =
            steps.next().map(|node| (node.spec, node.schema))
        else {
            return Err(PlanError::internal("a lookup join without a table"));
        };
        let mut calcs = vec![];
        for node in steps {
            let OperatorSpec::Calc(calc) = node.spec else {
                return Err(PlanError::not_supported(format!(
                    "{} over a table that is looked up",
                    node.label
                )));
            };
            calcs.push((calc, node.schema));
        }
        Ok(Right { source, source_schema, calcs, schema })
    }

    fn lookup_rows(&mut self, join: &Lookup, left: Stream, right: Right) -> Result<Stream> {
        let (keys, rest) = join.keys();
        let name = right.source.table.name.clone();
        let mut right_keys = vec![];
        for (_, column) in &keys {
            let place = right.schema.index_of_column(column)?;
            let Some(place) = right.source_place(place) else {
                return plan_err!(
                    "column '{}' of table '{name}' is computed: a lookup is by columns that the table has",
                    column.name
                );
            };
            right_keys.push(place);
        }
        if keys.is_empty() {
            return plan_err!(
                "a lookup join needs an equality between a column of table '{name}' and the rows that it is joined with, of \
                 the same type"
            );
        }
        let asked: Vec<&Expr> = keys.iter().map(|(left, _)| left).collect();
        let left = self.named_keys(left, &join.left, &asked, "$k")?;
        let together = left.schema.join(&right.schema)?;
        let condition = rest.as_ref().map(|rest| self.physical(rest, &together)).transpose()?;
        let mode = self.lookup_mode(join, &left);
        let Right { source, source_schema, calcs, schema: right_schema } = right;
        self.warn_of_changes(join, &left, &source);
        let retry = join.hint.retry.map(|(delay_ms, attempts)| LookupRetry { attempts, delay_ms });
        let spec = LookupJoinSpec {
            outer: join.outer,
            source,
            source_schema,
            calcs,
            left_keys: left.keys.clone(),
            right_keys,
            condition,
            left_columns: (0..left.columns).collect(),
            right_columns: (0..right_schema.fields().len()).collect(),
            mode,
            retry,
        };
        let schema = Arc::new(without_dependencies(join.schema())?);
        let volatile = asked.iter().any(|key| key.is_volatile()) || join.condition.is_volatile();
        Ok(self.builder.add(NewNode {
            kind: "lookup-join",
            clause: format!("{name} {}", expr_text(&join.condition)),
            meaning: format!("{spec:?}"),
            shareable: !volatile,
            label: label(&spec, &keys, rest.as_ref(), &schema),
            spec: OperatorSpec::LookupJoin(spec),
            inputs: vec![(left.node, Exchange::Forward)],
            schema,
            state: None,
            table: None,
            connector: None,
            single: false,
        }))
    }

    /// Rows that may be taken back wait for each answer: they must not overtake each other.
    fn lookup_mode(&self, join: &Lookup, left: &Side) -> LookupMode {
        let inserts = is_insert_only(&self.builder.nodes, &self.builder.facts, left.node);
        if join.hint.asynchronous != Some(true) || !inserts {
            return LookupMode::Blocking;
        }
        let settings = &self.session.settings;
        let unordered = settings.get("table.exec.async-lookup.output-mode") == Some("ALLOW_UNORDERED");
        let capacity = settings.integer("table.exec.async-lookup.buffer-capacity");
        let capacity = capacity.and_then(|capacity| usize::try_from(capacity).ok()).unwrap_or(100);
        LookupMode::Async {
            capacity: join.hint.capacity.map_or(capacity, |capacity| capacity as usize),
            ordered: !join.hint.unordered.unwrap_or(unordered),
            timeout_ms: join
                .hint
                .timeout_ms
                .unwrap_or_else(|| settings.duration_ms("table.exec.async-lookup.timeout")),
        }
    }

    /// A row that is taken back is looked up again, and may find something else by then.
    fn warn_of_changes(&mut self, join: &Lookup, left: &Side, source: &SourceSpec) {
        let ability = table(&join.right).and_then(|table| table.table().capabilities.lookup);
        let constant = ability.is_some_and(|ability| ability.constant);
        if !constant && !is_insert_only(&self.builder.nodes, &self.builder.facts, left.node) {
            self.warnings.push(format!(
                "rows that table '{}' is looked up for may be taken back, and what is looked up then may differ from what \
                 was given: look up rows that are only inserted, or leave out 'lookup.cache' so that the table is read once",
                source.table.name
            ));
        }
    }
}

impl Right {
    /// The column of the table that the last step hands on at `place`.
    fn source_place(&self, place: usize) -> Option<usize> {
        self.calcs.iter().rev().try_fold(place, |place, (calc, _)| match &calc.projection {
            Some(projection) => handed_on(projection.get(place)?),
            None => Some(place),
        })
    }
}

fn label(spec: &LookupJoinSpec, keys: &[(Expr, Column)], rest: Option<&Expr>, schema: &DFSchema) -> String {
    let kind = if spec.outer { "LeftOuterJoin" } else { "InnerJoin" };
    let keys: Vec<String> =
        keys.iter().map(|(left, column)| format!("{}={}", column.name, expr_text(left))).collect();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let rest = rest.map_or_else(String::new, |rest| format!(", joinCondition=[{}]", expr_text(rest)));
    let mode = match spec.mode {
        LookupMode::Blocking => String::new(),
        LookupMode::Async { capacity, ordered, timeout_ms } => {
            let order = if ordered { "ORDERED" } else { "UNORDERED" };
            format!(", async=[{order}, {timeout_ms}ms, {capacity}]")
        }
    };
    let retry = spec.retry.map_or_else(String::new, |retry| {
        format!(", retry=[lookup_miss, FIXED_DELAY, {}ms, {}]", retry.delay_ms, retry.attempts)
    });
    format!(
        "LookupJoin(table=[{}], joinType=[{kind}]{mode}, lookup=[{}]{rest}, select=[{}]{retry})",
        spec.source.table.name,
        keys.join(", "),
        names.join(", ")
    )
}

/// The key of the rows of a lookup join, from that of its input: a row that finds one row at most is told apart as before.
pub(in crate::query) fn lookup_key(spec: &LookupJoinSpec, left: Option<Vec<usize>>) -> Option<Vec<usize>> {
    let primary = &spec.source.table.primary_key;
    let asked: Vec<&String> =
        spec.right_keys.iter().map(|key| spec.source_schema.field(*key).name()).collect();
    let unique = !primary.is_empty() && primary.iter().all(|column| asked.contains(&column));
    let place = |column: usize| spec.left_columns.iter().position(|known| *known == column);
    left.filter(|_| unique)?.into_iter().map(place).collect()
}
