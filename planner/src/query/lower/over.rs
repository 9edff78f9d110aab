//! OVER, and ORDER BY time.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::join::Side;
use super::over_state::{any_order_state, over_state};
use super::rank::time_order;
use crate::PlanError;
use crate::query::aggregates::TypedAggregate;
use crate::query::changelog::is_insert_only;
use crate::query::error::{plan_error, position_of};
use crate::query::ranks::{is_row_number, lag_rows};
use arrow::datatypes::FieldRef;
use datafusion_common::{DFSchema, Result, ScalarValue, TableReference, not_impl_err, plan_err};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::{
    Expr, Sort, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};
use std::sync::Arc;
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, OperatorSpec, OverAnyOrderSpec, OverFrame, OverSpec, SortKey,
    TimeAttribute, column_text,
};

impl Lowering<'_> {
    pub fn over(&mut self, window: &Window) -> Result<Stream, PlanError> {
        let mut calls: Vec<WindowFunction> = vec![];
        for expr in &window.window_expr {
            match expr.clone().unalias_nested().data {
                Expr::WindowFunction(call) => calls.push(*call),
                other => return Err(PlanError::internal(format!("{other} is no window function"))),
            }
        }
        let place = window_position(window);
        let input = self.plan(&window.input)?;
        let over = self.over_calls(window, &calls, input);
        over.map_err(|error| plan_error(error).at_position(place))
    }

    fn over_calls(&mut self, window: &Window, calls: &[WindowFunction], input: Stream) -> Result<Stream> {
        let Some(first) = calls.first() else { return plan_err!("OVER without a function") };
        let params = &first.params;
        let [key] = &params.order_by[..] else {
            return plan_err!(
                "OVER is ordered by one column, ascending: ORDER BY a time attribute, or another column"
            );
        };
        if !key.asc {
            return plan_err!("OVER is ordered by a column ascending: rows to come are not known");
        }
        let frame = common_frame(calls)?;
        let attribute = time_order(&window.input, key);
        let partition = &params.partition_by;
        let mut exprs: Vec<&Expr> = partition.iter().chain([&key.expr]).collect();
        for call in calls {
            exprs.extend(arguments(call));
        }
        let side = self.keyed_input(input, &window.input, &exprs)?;
        let insert_only = is_insert_only(&self.builder.nodes, &self.builder.facts, side.node);
        if attribute.is_some() && !insert_only {
            return plan_err!(
                "OVER ordered by a time attribute takes no updates, and its input carries some: order by a column that \
                 is none"
            );
        }
        let over = OverCalls { partition: partition.len(), attribute };
        let aggregates = over.aggregates(window, calls, &side)?;
        let first_output = window.schema.fields().len() - calls.len();
        let results = (first_output..window.schema.fields().len())
            .map(|place| qualified(&window.schema, place))
            .collect();
        let order = side.keys[partition.len()];
        let partition = side.keys[..partition.len()].to_vec();
        let columns = (0..window.input.schema().fields().len()).collect();
        let Some(attribute) = attribute else {
            let OverFrame::Unbounded { peers } = frame else {
                return plan_err!(
                    "a frame of OVER begins with UNBOUNDED PRECEDING where it is not ordered by a time attribute"
                );
            };
            let spec = OverAnyOrderSpec {
                partition,
                key: SortKey { column: order, descending: false, nulls_first: key.nulls_first },
                peers,
                aggregates,
                columns,
                // Settled by the inference of changelog modes.
                input_retracts: false,
                emit_update_before: true,
            };
            return Ok(self.add_over_any_order(spec, &side, results));
        };
        // By processing time no two rows are peers, but for a frame of time.
        let frame = match (attribute, frame) {
            (TimeAttribute::ProcTime, OverFrame::Unbounded { .. }) => OverFrame::Unbounded { peers: false },
            (_, frame) => frame,
        };
        let rowtime = (attribute == TimeAttribute::RowTime).then_some(order);
        let order = vec![];
        let (ends, last_first) = (false, false);
        let spec = OverSpec { partition, rowtime, order, frame, aggregates, columns, ends, last_first };
        Ok(self.add_over(spec, &side, results, "OverAggregate"))
    }

    fn add_over_any_order(
        &mut self,
        spec: OverAnyOrderSpec,
        side: &Side,
        results: Vec<(Option<TableReference>, FieldRef)>,
    ) -> Stream {
        let schema = output_schema(&spec.columns, side, results);
        let partition = names(&spec.partition, side);
        let order = names(&[spec.key.column], side);
        let frame = OverFrame::Unbounded { peers: spec.peers };
        let label = over_label("OverAggregate", &partition, &format!("{order} ASC"), Some(frame), &schema);
        let state = any_order_state(&partition, &order);
        self.builder.add(NewNode {
            kind: "over",
            clause: format!("{partition}|{order}|{}", frame_text(frame)),
            meaning: format!("{spec:?}"),
            shareable: true,
            label,
            inputs: vec![(side.node, Exchange::Hash(spec.partition.clone()))],
            single: spec.partition.is_empty(),
            spec: OperatorSpec::OverAnyOrder(spec),
            schema: Arc::new(schema),
            state: Some(state),
            table: None,
            connector: None,
        })
    }

    /// ORDER BY a time attribute: rows as the watermark reaches them.
    pub fn temporal_sort(&mut self, sort: &Sort) -> Result<Stream, PlanError> {
        let place = place_of(sort.expr.iter().map(|key| &key.expr));
        let refused = || {
            let message = "ORDER BY without LIMIT by anything else than a time attribute, ascending: a stream has no last \
                           row to wait for";
            PlanError::not_supported(message).at_position(place)
        };
        let attribute = match sort.expr.first() {
            Some(first) if first.asc => time_order(&sort.input, first).ok_or_else(refused)?,
            _ => return Err(refused()),
        };
        let input = self.plan(&sort.input)?;
        if attribute == TimeAttribute::ProcTime {
            // Rows come in the order of their processing.
            return Ok(input);
        }
        let sorted = self.sorted(sort, input);
        sorted.map_err(|error| plan_error(error).at_position(place))
    }

    fn sorted(&mut self, sort: &Sort, input: Stream) -> Result<Stream> {
        let exprs: Vec<&Expr> = sort.expr.iter().map(|key| &key.expr).collect();
        let side = self.keyed_input(input, &sort.input, &exprs)?;
        if !is_insert_only(&self.builder.nodes, &self.builder.facts, side.node) {
            return not_impl_err!("not supported yet: ORDER BY over updates");
        }
        let order = side.keys.iter().zip(&sort.expr).skip(1).map(|(column, key)| SortKey {
            column: *column,
            descending: !key.asc,
            nulls_first: key.nulls_first,
        });
        let spec = OverSpec {
            partition: vec![],
            rowtime: Some(side.keys[0]),
            order: order.collect(),
            frame: OverFrame::Unbounded { peers: false },
            aggregates: vec![],
            columns: (0..sort.input.schema().fields().len()).collect(),
            ends: false,
            last_first: false,
        };
        Ok(self.add_over(spec, &side, vec![], "TemporalSort"))
    }

    pub fn add_over(
        &mut self,
        spec: OverSpec,
        side: &Side,
        results: Vec<(Option<TableReference>, FieldRef)>,
        name: &str,
    ) -> Stream {
        let schema = output_schema(&spec.columns, side, results);
        let partition = names(&spec.partition, side);
        let time = spec.rowtime.map_or_else(|| "proctime".to_string(), |column| names(&[column], side));
        let mut order = format!("{time} ASC");
        for key in &spec.order {
            let direction = if key.descending { "DESC" } else { "ASC" };
            order.push_str(&format!(", {} {direction}", names(&[key.column], side)));
        }
        let frame = (!spec.aggregates.is_empty()).then_some(spec.frame);
        let label = over_label(name, &partition, &order, frame, &schema);
        let state = over_state(&spec, &partition);
        let single = spec.partition.is_empty();
        let exchange = Exchange::Hash(spec.partition.clone());
        self.builder.add(NewNode {
            kind: if spec.aggregates.is_empty() { "temporal-sort" } else { "over" },
            clause: format!("{partition}|{order}|{}", frame_text(spec.frame)),
            meaning: format!("{spec:?}"),
            shareable: true,
            label,
            spec: OperatorSpec::Over(spec),
            inputs: vec![(side.node, exchange)],
            schema: Arc::new(schema),
            state: Some(state),
            table: None,
            connector: None,
            single,
        })
    }
}

fn qualified(schema: &DFSchema, place: usize) -> (Option<TableReference>, FieldRef) {
    let (table, field) = schema.qualified_field(place);
    (table.cloned(), field.clone())
}

fn place_of<'a>(mut exprs: impl Iterator<Item = &'a Expr>) -> Option<crate::Position> {
    exprs.find_map(|expr| expr.try_as_col()?.spans().first()).map(position_of)
}

/// Where the functions of `window` are ordered or partitioned.
pub(in crate::query) fn window_position(window: &Window) -> Option<crate::Position> {
    window.window_expr.iter().find_map(|expr| match expr.clone().unalias_nested().data {
        Expr::WindowFunction(call) => {
            place_of(call.params.order_by.iter().map(|key| &key.expr).chain(&call.params.partition_by))
        }
        _ => None,
    })
}

/// The columns `columns` of the input, then `results`.
fn output_schema(
    columns: &[usize],
    side: &Side,
    results: Vec<(Option<TableReference>, FieldRef)>,
) -> DFSchema {
    let given = columns.iter().map(|column| qualified(&side.schema, *column));
    let fields = given.chain(results).collect();
    // Names were distinct in the plan.
    DFSchema::new_with_metadata(fields, Default::default()).unwrap_or_else(|_| DFSchema::empty())
}

fn names(columns: &[usize], side: &Side) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column_text(side.schema.field(*column))).collect();
    names.join(", ")
}

fn over_label(
    name: &str,
    partition: &str,
    order: &str,
    frame: Option<OverFrame>,
    schema: &DFSchema,
) -> String {
    let by = if partition.is_empty() { String::new() } else { format!("partitionBy=[{partition}], ") };
    let window = frame.map_or_else(String::new, |frame| format!("window=[{}], ", frame_text(frame)));
    let select: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    format!("{name}({by}orderBy=[{order}], {window}select=[{}])", select.join(", "))
}

/// The frame that all of `calls` have, which are over the same partition in the same order.
fn common_frame(calls: &[WindowFunction]) -> Result<OverFrame> {
    let first = calls.first().map(|call| &call.params);
    let mut common = None;
    for call in calls {
        let same = first.is_some_and(|first| {
            call.params.partition_by == first.partition_by && call.params.order_by == first.order_by
        });
        let frame = frame_of(call)?;
        if !same || common.is_some_and(|common| common != frame) {
            return plan_err!(
                "the windows of OVER differ in one SELECT: make them the same, or nest the queries"
            );
        }
        common = Some(frame);
    }
    Ok(common.unwrap_or(OverFrame::Unbounded { peers: false }))
}

/// What a function reads of its row: how far LAG looks back is a number, and NULL is what it gives by itself.
fn arguments(call: &WindowFunction) -> impl Iterator<Item = &Expr> {
    let is_lag = call.fun.name() == "LAG";
    let is_read = move |(place, expr): &(usize, &Expr)| match (is_lag, place) {
        (true, 1) => false,
        (true, 2) => !matches!(expr, Expr::Literal(value, _) if value.is_null()),
        _ => true,
    };
    call.params.args.iter().enumerate().filter(is_read).map(|(_, expr)| expr)
}

/// What is needed of OVER to make its functions into calls.
struct OverCalls {
    /// how many columns it is partitioned by, which are the first keys of the input; the next is what orders
    partition: usize,
    /// the time that orders
    attribute: Option<TimeAttribute>,
}

impl OverCalls {
    fn aggregates(
        &self,
        window: &Window,
        calls: &[WindowFunction],
        side: &Side,
    ) -> Result<Vec<AggregateCall>> {
        let mut places = side.keys[self.partition + 1..].iter().copied();
        let first_output = window.schema.fields().len() - calls.len();
        let mut aggregates = vec![];
        for (number, call) in calls.iter().enumerate() {
            let function = self.function(call, window.input.schema())?;
            let mut given: Vec<usize> = places.by_ref().take(arguments(call).count()).collect();
            if let (AggregateFunction::Rank | AggregateFunction::DenseRank, Some(_)) =
                (function, self.attribute)
            {
                given.push(side.keys[self.partition]);
            }
            aggregates.push(AggregateCall {
                function,
                arguments: given,
                distinct: call.params.distinct,
                filter: None,
                output: window.schema.field(first_output + number).clone(),
            });
        }
        Ok(aggregates)
    }

    fn function(&self, call: &WindowFunction, input: &DFSchema) -> Result<AggregateFunction> {
        let by_time = self.attribute.is_some();
        if !by_time && call.params.distinct {
            return plan_err!("DISTINCT needs an OVER that is ordered by a time attribute, ascending");
        }
        if let Some(rows) = lag_rows(call, input)? {
            return match by_time {
                true => Ok(AggregateFunction::Lag { rows }),
                false => plan_err!("LAG needs an OVER that is ordered by a time attribute, ascending"),
            };
        }
        match call.fun.name() {
            _ if is_row_number(call) => return Ok(AggregateFunction::Count),
            // Each row has a time of its own.
            "RANK" | "DENSE_RANK" if self.attribute == Some(TimeAttribute::ProcTime) => {
                return Ok(AggregateFunction::Count);
            }
            "RANK" => return Ok(AggregateFunction::Rank),
            "DENSE_RANK" => return Ok(AggregateFunction::DenseRank),
            _ => {}
        }
        let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else {
            return not_impl_err!("not supported yet: {} .. OVER", call.fun.name());
        };
        match function.inner().as_ref().downcast_ref::<TypedAggregate>() {
            Some(typed) => Ok(typed.function),
            None => not_impl_err!("not supported yet: {} .. OVER", call.fun.name()),
        }
    }
}

fn frame_of(call: &WindowFunction) -> Result<OverFrame> {
    if is_row_number(call) {
        return Ok(OverFrame::Unbounded { peers: false });
    }
    if ["RANK", "DENSE_RANK", "LAG"].contains(&call.fun.name()) {
        return Ok(OverFrame::Unbounded { peers: true });
    }
    let WindowFrame { units, start_bound, end_bound, .. } = &call.params.window_frame;
    if *end_bound != WindowFrameBound::CurrentRow {
        return plan_err!("a frame of OVER ends at CURRENT ROW: rows to come are not known");
    }
    match (units, start_bound) {
        (WindowFrameUnits::Rows, WindowFrameBound::Preceding(value)) if value.is_null() => {
            Ok(OverFrame::Unbounded { peers: false })
        }
        (WindowFrameUnits::Range, WindowFrameBound::Preceding(value)) if value.is_null() => {
            Ok(OverFrame::Unbounded { peers: true })
        }
        (WindowFrameUnits::Rows, WindowFrameBound::Preceding(ScalarValue::UInt64(Some(rows)))) => {
            Ok(OverFrame::Rows(*rows))
        }
        (WindowFrameUnits::Rows, WindowFrameBound::CurrentRow) => Ok(OverFrame::Rows(0)),
        (WindowFrameUnits::Range, WindowFrameBound::CurrentRow) => Ok(OverFrame::Range(0)),
        (
            WindowFrameUnits::Range,
            WindowFrameBound::Preceding(ScalarValue::IntervalMonthDayNano(Some(interval))),
        ) if interval.months == 0 => {
            let days = i64::from(interval.days) * 86_400_000;
            Ok(OverFrame::Range(days + interval.nanoseconds / 1_000_000))
        }
        (
            WindowFrameUnits::Range,
            WindowFrameBound::Preceding(ScalarValue::DurationMillisecond(Some(ms))),
        ) => Ok(OverFrame::Range(*ms)),
        (units, bound) => plan_err!(
            "a frame of OVER begins n or an interval of days to seconds before, not {units} {bound}"
        ),
    }
}

fn frame_text(frame: OverFrame) -> String {
    match frame {
        OverFrame::Unbounded { peers: true } => {
            "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_string()
        }
        OverFrame::Unbounded { peers: false } => {
            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_string()
        }
        OverFrame::Rows(rows) => format!("ROWS BETWEEN {rows} PRECEDING AND CURRENT ROW"),
        OverFrame::Range(ms) => format!("RANGE BETWEEN {ms} PRECEDING AND CURRENT ROW"),
    }
}
