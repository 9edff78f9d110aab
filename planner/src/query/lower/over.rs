//! OVER, and ORDER BY time.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::join::Side;
use super::rank::time_order;
use crate::PlanError;
use crate::query::aggregates::TypedAggregate;
use crate::query::changelog::is_insert_only;
use crate::query::error::{plan_error, position_of};
use crate::query::ranks::is_row_number;
use arrow::datatypes::FieldRef;
use datafusion_common::{DFSchema, Result, ScalarValue, TableReference, not_impl_err, plan_err};
use datafusion_expr::expr::{Sort as SortExpr, WindowFunction};
use datafusion_expr::{
    Expr, LogicalPlan, Sort, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use std::sync::Arc;
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, OperatorSpec, OverFrame, OverSpec, SortKey, StateNote,
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
        let place = calls.first().and_then(|call| {
            let keys = call.params.order_by.iter().map(|key| &key.expr).chain(&call.params.partition_by);
            place_of(keys)
        });
        let input = self.plan(&window.input)?;
        let over = self.over_calls(window, &calls, input);
        over.map_err(|error| plan_error(error).at_position(place))
    }

    fn over_calls(&mut self, window: &Window, calls: &[WindowFunction], input: Stream) -> Result<Stream> {
        let Some(first) = calls.first() else { return plan_err!("OVER without a function") };
        let params = &first.params;
        if calls.iter().any(|call| {
            call.params.partition_by != params.partition_by || call.params.order_by != params.order_by
        }) {
            return plan_err!(
                "the windows of OVER differ in one SELECT: make them the same, or nest the queries"
            );
        }
        let Some(attribute) = time_of(&window.input, &params.order_by)? else {
            return plan_err!(
                "OVER is ordered by a time attribute, ascending: declare WATERMARK FOR it in its table, or order by PROCTIME()"
            );
        };
        let mut frame = None;
        for call in calls {
            let wanted = frame_of(call)?;
            if frame.is_some_and(|frame| frame != wanted) {
                return plan_err!(
                    "the frames of OVER differ in one SELECT: make them the same, or nest the queries"
                );
            }
            frame = Some(wanted);
        }
        let frame = frame.unwrap_or(OverFrame::Unbounded { peers: false });
        if attribute == TimeAttribute::ProcTime && matches!(frame, OverFrame::Range(_)) {
            return not_impl_err!("not supported yet: OVER with a RANGE of processing time, ROWS is");
        }
        let mut exprs: Vec<&Expr> =
            params.partition_by.iter().chain(params.order_by.iter().map(|key| &key.expr)).collect();
        for call in calls {
            exprs.extend(&call.params.args);
            exprs.extend(call.params.filter.iter().map(|filter| filter.as_ref()));
        }
        let side = self.keyed_input(input, &window.input, &exprs)?;
        if !is_insert_only(&self.builder.nodes, &self.builder.facts, side.node) {
            return not_impl_err!("not supported yet: OVER over updates, of which rows are only inserted");
        }
        let keys = params.partition_by.len();
        let mut places = side.keys[keys + 1..].iter().copied();
        let mut aggregates = vec![];
        let first_output = window.schema.fields().len() - calls.len();
        for (number, call) in calls.iter().enumerate() {
            let arguments: Vec<usize> = places.by_ref().take(call.params.args.len()).collect();
            let filter = if call.params.filter.is_some() { places.next() } else { None };
            aggregates.push(AggregateCall {
                function: function_of(call)?,
                arguments,
                distinct: call.params.distinct,
                filter,
                output: window.schema.field(first_output + number).clone(),
            });
        }
        let spec = OverSpec {
            partition: side.keys[..keys].to_vec(),
            rowtime: (attribute == TimeAttribute::RowTime).then_some(side.keys[keys]),
            order: vec![],
            frame,
            aggregates,
            columns: (0..window.input.schema().fields().len()).collect(),
            ends: false,
        };
        let results = (first_output..window.schema.fields().len())
            .map(|place| qualified(&window.schema, place))
            .collect();
        Ok(self.add_over(spec, &side, results, "OverAggregate"))
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
        let given = spec.columns.iter().map(|column| qualified(&side.schema, *column));
        let fields = given.chain(results).collect();
        // Names were distinct in the plan.
        let schema =
            DFSchema::new_with_metadata(fields, Default::default()).unwrap_or_else(|_| DFSchema::empty());
        let names = |columns: &[usize]| {
            let names: Vec<&str> =
                columns.iter().map(|column| column_text(side.schema.field(*column))).collect();
            names.join(", ")
        };
        let partition = names(&spec.partition);
        let by = if partition.is_empty() { String::new() } else { format!("partitionBy=[{partition}], ") };
        let time = spec.rowtime.map_or_else(|| "proctime".to_string(), |column| names(&[column]));
        let mut order = format!("{time} ASC");
        for key in &spec.order {
            let direction = if key.descending { "DESC" } else { "ASC" };
            order.push_str(&format!(", {} {direction}", names(&[key.column])));
        }
        let window = if spec.aggregates.is_empty() {
            String::new()
        } else {
            format!("window=[{}], ", frame_text(spec.frame))
        };
        let select: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let label = format!("{name}({by}orderBy=[{order}], {window}select=[{}])", select.join(", "));
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

/// The time that rows are ordered by, if it is one time attribute, ascending.
fn time_of(input: &LogicalPlan, order_by: &[SortExpr]) -> Result<Option<TimeAttribute>> {
    Ok(match order_by {
        [key] if key.asc => time_order(input, key),
        _ => None,
    })
}

fn function_of(call: &WindowFunction) -> Result<AggregateFunction> {
    if is_row_number(call) {
        return Ok(AggregateFunction::Count);
    }
    let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else {
        return not_impl_err!("not supported yet: {} .. OVER", call.fun.name());
    };
    match function.inner().as_ref().downcast_ref::<TypedAggregate>() {
        Some(typed) => Ok(typed.function),
        None => not_impl_err!("not supported yet: {} .. OVER", call.fun.name()),
    }
}

fn frame_of(call: &WindowFunction) -> Result<OverFrame> {
    if is_row_number(call) {
        return Ok(OverFrame::Unbounded { peers: false });
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

fn over_state(spec: &OverSpec, partition: &str) -> StateNote {
    let waits = if spec.rowtime.is_some() { "rows until the watermark reaches them" } else { "" };
    let keeps = match spec.frame {
        _ if spec.aggregates.is_empty() || spec.ends => String::new(),
        OverFrame::Unbounded { .. } => "one row of accumulators per partition".to_string(),
        OverFrame::Rows(rows) => format!("the last {rows} rows of each partition"),
        OverFrame::Range(ms) => format!("the rows of the last {ms} ms of each partition"),
    };
    let separate = if keeps.is_empty() || waits.is_empty() { "" } else { ", and " };
    let forgets = spec.ends
        || spec.aggregates.is_empty()
        || spec.partition.is_empty()
        || matches!(spec.frame, OverFrame::Range(_));
    let clause = (!forgets).then(|| format!("OVER (PARTITION BY {partition})"));
    StateNote {
        keeps: format!("{keeps}{separate}{waits}"),
        bound: clause.as_ref().map_or("bounded by the frame and the watermark".into(), |clause| {
            format!("never dropped: {clause} bounds no time")
        }),
        unbounded_clause: clause,
    }
}
