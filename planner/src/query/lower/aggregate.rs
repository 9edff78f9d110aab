//! GROUP BY: with and without a window.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::{Output, unaliased};
use super::fuse::{Fused, bound_column, fuse};
use super::state::hinted_state;
use crate::PlanError;
use crate::query::aggregates::TypedAggregate;
use crate::query::error::plan_error;
use crate::query::expand::{EXPAND_ID, Expand};
use crate::query::origin::{WindowKeys, window_keys};
use crate::query::state_ttl::ttl_of;
use crate::query::text::expr_text;
use crate::query::window_function::WindowFunction;
use arrow::datatypes::FieldRef;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{
    Column, DFSchema, Result, TableReference, internal_datafusion_err, internal_err, plan_err,
};
use datafusion_expr::expr::AggregateFunction as AggregateExpr;
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Aggregate, Expr, LogicalPlan};
use std::sync::Arc;
use weir_types::{
    AggregateCall, Exchange, GroupAggregateSpec, NodeIndex, OperatorSpec, SqlType, StateNote, TimeAttribute,
    WindowAggregateSpec, WindowProperty, WindowSpec, WindowTime,
};

/// The expressions that an aggregation reads, each once, as columns of its input.
struct Inputs {
    node: NodeIndex,
    schema: Arc<DFSchema>,
    exprs: Vec<Expr>,
    /// place in the input of each of `exprs`
    places: Vec<usize>,
}

impl Inputs {
    fn place(&self, expr: &Expr) -> Result<usize> {
        let expr = unaliased(expr);
        let known = self.exprs.iter().position(|known| known == expr);
        known.map(|known| self.places[known]).ok_or_else(|| internal_datafusion_err!("{expr} is no input"))
    }

    fn name(&self, place: usize) -> String {
        self.schema.field(place).name().clone()
    }
}

impl Lowering<'_> {
    pub fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Stream, PlanError> {
        let Some(window) = window_keys(aggregate) else {
            if let Some(steps) = self.split(aggregate).map_err(plan_error)? {
                return self.plan(&steps);
            }
            let input = self.plan(&aggregate.input)?;
            return self.group_aggregate(aggregate, input).map_err(plan_error);
        };
        check_slices(window.node).map_err(|error| plan_error(error).at(window.node.span))?;
        let fused = fuse(aggregate, &window).map_err(plan_error)?;
        match fused {
            Fused::Into { plan, time, after } => {
                let input = self.plan(&plan)?;
                let stream =
                    self.window_aggregate(aggregate, &window, input, Some(time)).map_err(plan_error)?;
                self.after_window(aggregate, &window, stream, after).map_err(plan_error)
            }
            Fused::Ungrouped => {
                let input = self.plan(&aggregate.input)?;
                self.group_aggregate(aggregate, input).map_err(plan_error)
            }
            Fused::Attached => {
                let input = self.plan(&aggregate.input)?;
                self.window_aggregate(aggregate, &window, input, None).map_err(plan_error)
            }
        }
    }

    fn group_aggregate(&mut self, aggregate: &Aggregate, input: Stream) -> Result<Stream> {
        let wanted = aggregate.group_expr.iter().cloned().chain(arguments(aggregate)?);
        let inputs = self.inputs(&aggregate.input, input, wanted.collect())?;
        let keys = aggregate.group_expr.iter().map(|key| inputs.place(key)).collect::<Result<Vec<_>>>()?;
        let calls = self.calls(aggregate, &inputs)?;
        let schema = Arc::new(plain_schema(&aggregate.schema)?);
        let names: Vec<String> = keys.iter().map(|key| inputs.name(*key)).collect();
        let select = select_text(&names, &calls, &inputs);
        let group_by =
            if keys.is_empty() { String::new() } else { format!("groupBy=[{}], ", names.join(", ")) };
        let key_texts: Vec<String> =
            aggregate.group_expr.iter().map(|key| key_text(&aggregate.input, key)).collect();
        let ttl_ms = ttl_of(&aggregate.input);
        let partial = match self.takes_buckets_whole(aggregate) {
            true => None,
            false => self.local_aggregate((inputs.node, &inputs.schema), &keys, &calls, &select)?,
        };
        let merges = partial.is_some().then(|| inputs.schema.inner().clone());
        let (name, node) = match &partial {
            Some(partial) => ("GlobalGroupAggregate", partial.node),
            None => ("GroupAggregate", inputs.node),
        };
        let keys = partial.map_or(keys, |partial| partial.keys);
        let spec = GroupAggregateSpec {
            keys: keys.clone(),
            aggregates: calls,
            // Settled by the inference of changelog modes.
            input_retracts: false,
            emit_update_before: true,
            ttl_ms,
            bundles: self.bundles(),
            merges,
        };
        let single = keys.is_empty();
        let about = format!("{ttl_ms:?}|{}", spec.bundles);
        Ok(self.builder.add(NewNode {
            kind: if spec.aggregates.is_empty() { "distinct" } else { "group-aggregate" },
            clause: key_texts.join(","),
            meaning: meaning(&keys, &spec.aggregates, &about),
            shareable: true,
            label: format!("{name}({group_by}select=[{select}])"),
            state: Some(group_state(&key_texts, &spec.aggregates, ttl_ms)),
            spec: OperatorSpec::GroupAggregate(spec),
            inputs: vec![(node, Exchange::Hash(keys))],
            schema,
            table: None,
            connector: None,
            single,
        }))
    }

    /// `time`: the rowtime column of `input` for a window that is assigned here; `Some(None)` for processing time;
    /// `None` for rows that carry their windows.
    fn window_aggregate(
        &mut self,
        aggregate: &Aggregate,
        window: &WindowKeys<'_>,
        input: Stream,
        time: Option<Option<Column>>,
    ) -> Result<Stream> {
        let is_property =
            |place: usize| place == window.start || place == window.end || window.times.contains(&place);
        let (properties, keys): (Vec<usize>, Vec<usize>) =
            (0..aggregate.group_expr.len()).partition(|p| is_property(*p));
        let key_exprs: Vec<Expr> = keys.iter().map(|place| aggregate.group_expr[*place].clone()).collect();
        let attached = time.is_none();
        let bounds = [window.start, window.end].map(|place| aggregate.group_expr[place].clone());
        let time_expr = time.flatten().map(Expr::Column);
        let mut wanted = key_exprs.clone();
        wanted.extend(bounds.iter().filter(|_| attached).cloned());
        wanted.extend(time_expr.clone());
        wanted.extend(arguments(aggregate)?);
        let inputs = self.inputs(&aggregate.input, input, wanted)?;
        let key_places = key_exprs.iter().map(|key| inputs.place(key)).collect::<Result<Vec<_>>>()?;
        let calls = self.calls(aggregate, &inputs)?;
        let proctime = window.node.attribute == TimeAttribute::ProcTime;
        let window_time = match &time_expr {
            Some(time) => WindowTime::RowTime(inputs.place(time)?),
            None if attached => WindowTime::Attached {
                start: inputs.place(&bounds[0])?,
                end: inputs.place(&bounds[1])?,
                proctime,
            },
            None => WindowTime::ProcTime,
        };
        // Keys, aggregates, then the window's columns: start, end, time.
        let mut order: Vec<usize> = keys.clone();
        order.extend(aggregate.group_expr.len()..aggregate.schema.fields().len());
        order.extend([window.start, window.end]);
        order.extend(window.times.iter().take(1));
        let schema = Arc::new(picked_schema(&aggregate.schema, &order)?);
        let names: Vec<String> = key_places.iter().map(|key| inputs.name(*key)).collect();
        let label = self.window_label(window, &window_time, &names, &calls, &inputs);
        let spec = WindowAggregateSpec {
            window: window.node.spec,
            time: window_time,
            time_zone: self.window_zone(window.node.attribute, &window.node.time_type),
            keys: key_places.clone(),
            aggregates: calls,
            properties: window_properties(properties.len(), proctime),
            input_retracts: false,
        };
        let key_texts = key_exprs.iter().map(|key| key_text(&aggregate.input, key));
        let clause: Vec<String> = std::iter::once(spec.window.to_string()).chain(key_texts).collect();
        let about = format!("{:?}|{:?}|{:?}|{:?}", spec.window, spec.time, spec.time_zone, spec.properties);
        let single = key_places.is_empty();
        let added = self.builder.add(NewNode {
            kind: "window-aggregate",
            clause: clause.join(","),
            meaning: meaning(&key_places, &spec.aggregates, &about),
            shareable: true,
            label,
            state: Some(window_state(&spec)),
            spec: OperatorSpec::WindowAggregate(spec),
            inputs: vec![(inputs.node, Exchange::Hash(key_places))],
            schema,
            table: None,
            connector: None,
            single,
        });
        self.repeat_times(aggregate, window, added)
    }

    /// Conditions on the bounds of the window.
    fn after_window(
        &mut self,
        aggregate: &Aggregate,
        window: &WindowKeys<'_>,
        stream: Stream,
        after: Vec<Expr>,
    ) -> Result<Stream> {
        let Some(condition) = conjunction(after) else { return Ok(stream) };
        let places = [Some(window.start), Some(window.end), window.times.first().copied()];
        let replace = |expr: Expr| {
            let part = |part: &usize| expr.try_as_col().is_some_and(|column| *column == bound_column(*part));
            Ok(match (0..3).find(part).and_then(|part| places[part]) {
                Some(place) => {
                    Transformed::yes(Expr::Column(Column::from(aggregate.schema.qualified_field(place))))
                }
                None => Transformed::no(expr),
            })
        };
        let condition = condition.transform_up(replace)?.data;
        self.calc(&stream, Some(&condition), None)
    }

    /// A second key that is the window's time again.
    fn repeat_times(
        &mut self,
        aggregate: &Aggregate,
        window: &WindowKeys<'_>,
        stream: Stream,
    ) -> Result<Stream> {
        let [first, others @ ..] = &window.times[..] else { return Ok(stream) };
        if others.is_empty() {
            return Ok(stream);
        }
        let named = |place: usize| aggregate.schema.qualified_field(place);
        let mut outputs: Vec<Output> = stream.schema.columns().into_iter().map(Output::column).collect();
        for other in others {
            let (table, field) = named(*other);
            let expr = Expr::Column(Column::from(named(*first)));
            outputs.push(Output { table: table.cloned(), name: field.name().clone(), expr, text: None });
        }
        self.calc(&stream, None, Some(outputs))
    }

    /// The stream, of `plan`, with a column for each of `wanted`, and no others.
    fn inputs(&mut self, plan: &LogicalPlan, stream: Stream, wanted: Vec<Expr>) -> Result<Inputs> {
        let mut exprs: Vec<Expr> = vec![];
        for expr in wanted {
            let expr = unaliased(&expr).clone();
            if !exprs.contains(&expr) {
                exprs.push(expr);
            }
        }
        let place = |expr: &Expr| match expr {
            Expr::Column(column) => stream.schema.maybe_index_of_column(column),
            _ => None,
        };
        let places: Vec<Option<usize>> = exprs.iter().map(place).collect();
        let all_read = (0..stream.schema.fields().len()).all(|place| places.contains(&Some(place)));
        let (stream, places) = match places.into_iter().collect::<Option<Vec<usize>>>() {
            Some(places) if all_read => (stream, places),
            _ => {
                let output = |(place, expr): (usize, &Expr)| match expr {
                    Expr::Column(column) => Output::column(column.clone()),
                    expr => Output::named(format!("$f{place}"), expr.clone()).meaning(key_text(plan, expr)),
                };
                let outputs = exprs.iter().enumerate().map(output).collect();
                (self.calc(&stream, None, Some(outputs))?, (0..exprs.len()).collect())
            }
        };
        let (stream, node) = self.settle(stream)?;
        Ok(Inputs { node, schema: stream.schema, exprs, places })
    }

    fn calls(&self, aggregate: &Aggregate, inputs: &Inputs) -> Result<Vec<AggregateCall>> {
        let keys = aggregate.group_expr.len();
        let mut calls = vec![];
        for (place, expr) in aggregate.aggr_expr.iter().enumerate() {
            let call = call_of(expr)?;
            let typed = typed_of(call)?;
            let params = &call.params;
            let arguments = params.args.iter().map(|argument| inputs.place(argument));
            calls.push(AggregateCall {
                function: typed.function,
                arguments: arguments.collect::<Result<_>>()?,
                distinct: params.distinct,
                filter: params.filter.as_ref().map(|filter| inputs.place(filter)).transpose()?,
                output: aggregate.schema.field(keys + place).clone(),
            });
        }
        Ok(calls)
    }

    fn window_label(
        &self,
        window: &WindowKeys<'_>,
        time: &WindowTime,
        keys: &[String],
        calls: &[AggregateCall],
        inputs: &Inputs,
    ) -> String {
        let about = match time {
            WindowTime::RowTime(place) => format!("time_col=[{}]", inputs.name(*place)),
            WindowTime::ProcTime => "time_col=[proctime]".to_string(),
            WindowTime::Attached { start, end, .. } => {
                format!("win_start=[{}], win_end=[{}]", inputs.name(*start), inputs.name(*end))
            }
        };
        let spec = window.node.spec.to_string();
        let inner = spec.split_once('(').map_or("", |(_, inner)| inner.trim_end_matches(')'));
        let group_by =
            if keys.is_empty() { String::new() } else { format!("groupBy=[{}], ", keys.join(", ")) };
        let mut select = select_text(keys, calls, inputs);
        for property in window_properties(2 + window.times.len().min(1), time_is_proctime(window)) {
            let name = match property {
                WindowProperty::Start => "start('w$) AS window_start",
                WindowProperty::End => "end('w$) AS window_end",
                WindowProperty::RowTime => "rowtime('w$) AS window_time",
                WindowProperty::ProcTime => "proctime('w$) AS window_time",
            };
            select.push_str(if select.is_empty() { "" } else { ", " });
            select.push_str(name);
        }
        let (node, name) = (window.node.spec.name(), if window.node.group_window { "Group" } else { "" });
        format!("{name}WindowAggregate({group_by}window=[{node}({about}, {inner})], select=[{select}])")
    }

    /// Windows of instants are aligned in the session's zone.
    pub fn window_zone(&self, attribute: TimeAttribute, time_type: &SqlType) -> Option<Arc<str>> {
        let of_instants =
            matches!(time_type, SqlType::TimestampLtz(_)) || attribute == TimeAttribute::ProcTime;
        of_instants.then(|| Arc::from(self.session.settings.time_zone()))
    }
}

/// Aggregations by the table function HOP are put together from slides, as in Flink; the older windows are not bound to it.
fn check_slices(node: &WindowFunction) -> Result<()> {
    match node.spec {
        WindowSpec::Hop { size_ms, slide_ms, .. } if !node.group_window && size_ms % slide_ms != 0 => {
            plan_err!("an aggregation by {} needs a size that is a multiple of its slide", node.spec)
        }
        _ => Ok(()),
    }
}

fn time_is_proctime(window: &WindowKeys<'_>) -> bool {
    window.node.attribute == TimeAttribute::ProcTime
}

/// Start and end, and the time where it is a key too.
fn window_properties(count: usize, proctime: bool) -> Vec<WindowProperty> {
    let time = if proctime { WindowProperty::ProcTime } else { WindowProperty::RowTime };
    let mut properties = vec![WindowProperty::Start, WindowProperty::End];
    properties.extend((count > 2).then_some(time));
    properties
}

fn call_of(expr: &Expr) -> Result<&AggregateExpr> {
    match unaliased(expr) {
        Expr::AggregateFunction(call) => Ok(call),
        other => internal_err!("{other} is no aggregate"),
    }
}

fn typed_of(call: &AggregateExpr) -> Result<&TypedAggregate> {
    let typed = call.func.inner().as_ref().downcast_ref::<TypedAggregate>();
    typed.ok_or_else(|| internal_datafusion_err!("{} is no aggregate function", call.func.name()))
}

/// An expression as the query has it: columns that only the planner has a name for are looked up.
fn key_text(input: &LogicalPlan, key: &Expr) -> String {
    let written = |expr: Expr| {
        Ok(match &expr {
            Expr::Column(column) => match written_as(input, column) {
                Some(written) => Transformed::yes(written),
                None => Transformed::no(expr),
            },
            _ => Transformed::no(expr),
        })
    };
    let key = unaliased(key);
    // The closure does not fail.
    key.clone().transform_up(written).map_or_else(|_| expr_text(key), |written| expr_text(&written.data))
}

/// What stands for a column of `input` that the optimiser or GROUPING SETS made; `None` for others.
fn written_as(input: &LogicalPlan, column: &Column) -> Option<Expr> {
    if !column.name.starts_with("__common_expr") && !column.name.starts_with("$g") {
        return None;
    }
    match input {
        LogicalPlan::Projection(projection) => {
            let place = projection.schema.maybe_index_of_column(column)?;
            let expr = unaliased(&projection.expr[place]);
            match expr {
                Expr::Column(column) => written_as(&projection.input, column).or_else(|| Some(expr.clone())),
                expr => Some(expr.clone()),
            }
        }
        LogicalPlan::Filter(filter) => written_as(&filter.input, column),
        input => written_as(&Expand::of(input)?.input, column),
    }
}

/// Arguments and filters of all calls.
fn arguments(aggregate: &Aggregate) -> Result<Vec<Expr>> {
    let mut exprs = vec![];
    for expr in &aggregate.aggr_expr {
        let params = &call_of(expr)?.params;
        exprs.extend(params.args.iter().cloned());
        exprs.extend(params.filter.iter().map(|filter| filter.as_ref().clone()));
    }
    Ok(exprs)
}

fn plain_schema(schema: &DFSchema) -> Result<DFSchema> {
    picked_schema(schema, &(0..schema.fields().len()).collect::<Vec<_>>())
}

/// The fields at `order`, without what DataFusion infers from keys.
fn picked_schema(schema: &DFSchema, order: &[usize]) -> Result<DFSchema> {
    let fields = order.iter().map(|place| {
        let (table, field) = schema.qualified_field(*place);
        (table.cloned(), field.clone())
    });
    let fields: Vec<(Option<TableReference>, FieldRef)> = fields.collect();
    DFSchema::new_with_metadata(fields, Default::default())
}

/// Everything but names.
fn meaning(keys: &[usize], calls: &[AggregateCall], about: &str) -> String {
    let call = |call: &AggregateCall| {
        let output = SqlType::of_field(&call.output);
        format!("{call} {output:?} {} {:?}", call.output.is_nullable(), call.function)
    };
    let calls: Vec<String> = calls.iter().map(call).collect();
    format!("{keys:?}|{}|{about}", calls.join(";"))
}

fn call_text(call: &AggregateCall, inputs: &Inputs) -> String {
    let arguments: Vec<String> = call.arguments.iter().map(|place| inputs.name(*place)).collect();
    let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let filter = call.filter.map_or_else(String::new, |place| format!(" FILTER {}", inputs.name(place)));
    format!("{}({distinct}{arguments}){filter}", call.function.name())
}

fn select_text(keys: &[String], calls: &[AggregateCall], inputs: &Inputs) -> String {
    let calls = calls.iter().map(|call| call_text(call, inputs));
    keys.iter().cloned().chain(calls).collect::<Vec<_>>().join(", ")
}

fn group_state(keys: &[String], calls: &[AggregateCall], ttl_ms: Option<u64>) -> StateNote {
    let named: Vec<&str> = keys.iter().map(String::as_str).filter(|key| *key != EXPAND_ID).collect();
    let named = named.join(", ");
    let distinct = calls.iter().any(|call| call.distinct);
    let keeps = match (keys.is_empty(), calls.is_empty(), distinct) {
        (_, true, _) => "each distinct row".to_string(),
        (true, _, false) => "one row of accumulators".to_string(),
        (true, _, true) => "one row of accumulators, and each distinct value".to_string(),
        (false, _, false) => "one row of accumulators per key".to_string(),
        (false, _, true) => "one row of accumulators per key, and each distinct value of it".to_string(),
    };
    let clause = match (keys.is_empty(), calls.is_empty()) {
        (_, true) => Some(format!("DISTINCT {named}")),
        (false, _) => Some(format!("GROUP BY {named}")),
        (true, _) => distinct.then(|| "the aggregates over DISTINCT".to_string()),
    };
    if let (Some(clause), Some(_)) = (&clause, ttl_ms) {
        return hinted_state(&keeps, clause.clone(), &[("input", ttl_ms)]);
    }
    let bound = match &clause {
        Some(clause) => format!("never dropped: {clause} has no window"),
        None => "bounded".to_string(),
    };
    StateNote { keeps, bound, unbounded_clause: clause }
}

fn window_state(spec: &WindowAggregateSpec) -> StateNote {
    let distinct =
        if spec.aggregates.iter().any(|call| call.distinct) { ", and each distinct value" } else { "" };
    let part = match spec.window {
        WindowSpec::Session { .. } => "session",
        WindowSpec::Hop { .. } | WindowSpec::Cumulate { .. }
            if !matches!(spec.time, WindowTime::Attached { .. }) =>
        {
            "slice"
        }
        _ => "window",
    };
    let of = if spec.keys.is_empty() { part.to_string() } else { format!("key and {part}") };
    let clock = match spec.time {
        WindowTime::ProcTime | WindowTime::Attached { proctime: true, .. } => "the clock",
        _ => "the watermark",
    };
    StateNote {
        keeps: format!("one row of accumulators per {of}{distinct}"),
        bound: format!("dropped when {clock} passes the end of the window"),
        unbounded_clause: None,
    }
}
