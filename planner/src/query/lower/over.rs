//! OVER, and ORDER BY time.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::join::Side;
use super::over_calls::{OverCalls, some_sort_keys, sort_key};
use super::over_state::{any_order_state, over_state, partition_state};
use super::rank::time_order;
use crate::PlanError;
use crate::query::changelog::is_insert_only;
use crate::query::error::{plan_error, position_of};
use crate::query::over_windows::{
    Way, call_of, common_way, frame_of, frame_text, has_frame, in_units_of, read_by,
};
use arrow::datatypes::FieldRef;
use datafusion_common::{DFSchema, Result, TableReference, internal_err, not_impl_err, plan_err};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::{Expr, Sort, SortExpr, Window, lit};
use std::sync::Arc;
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, Frame, FrameUnits, FramedCall, OperatorSpec,
    OverAnyOrderSpec, OverFrame, OverPartitionSpec, OverSpec, SortKey, StateNote, TimeAttribute, column_text,
};

/// How an operator of OVER is named and shown.
struct About {
    kind: &'static str,
    clause: String,
    label: String,
    state: StateNote,
}

impl Lowering<'_> {
    pub fn over(&mut self, window: &Window) -> Result<Stream, PlanError> {
        let mut calls: Vec<WindowFunction> = vec![];
        for expr in &window.window_expr {
            match call_of(expr) {
                Some(call) => calls.push(call),
                None => return Err(PlanError::internal(format!("{expr} is no window function"))),
            }
        }
        let place = window_position(window);
        let input = self.plan(&window.input)?;
        let over = self.over_calls(window, &calls, input);
        over.map_err(|error| plan_error(error).at_position(place))
    }

    fn over_calls(&mut self, window: &Window, calls: &[WindowFunction], input: Stream) -> Result<Stream> {
        let Some(first) = calls.first() else { return plan_err!("OVER without a function") };
        let all: Vec<&WindowFunction> = calls.iter().collect();
        let Some(way) = common_way(&all, &window.input)? else {
            return internal_err!("several windows of OVER in one node of the plan");
        };
        let params = &first.params;
        // Without an order rows stay as they come: all are equal.
        let arrival = [SortExpr::new(lit(0), true, false)];
        let order_by = if params.order_by.is_empty() { &arrival[..] } else { &params.order_by[..] };
        let keys = params.partition_by.iter().chain(order_by.iter().map(|key| &key.expr));
        let exprs: Vec<&Expr> = keys.chain(calls.iter().flat_map(read_by)).collect();
        let side = self.keyed_input(input, &window.input, &exprs)?;
        let over = OverCalls { keys: params.partition_by.len() + order_by.len(), way, side: &side };
        let aggregates = over.aggregates(window, calls)?;
        let first_output = window.schema.fields().len() - calls.len();
        let results = (first_output..window.schema.fields().len())
            .map(|place| qualified(&window.schema, place))
            .collect();
        let partition = side.keys[..params.partition_by.len()].to_vec();
        let order = some_sort_keys(&partition, &side.keys[params.partition_by.len()..], order_by);
        let columns = (0..window.input.schema().fields().len()).collect();
        match way {
            Way::ByTime(frame) => {
                self.check_final(&side)?;
                let attribute = time_order(&window.input, &order_by[0]);
                let (rowtime, order) = match attribute {
                    Some(TimeAttribute::RowTime) => {
                        let time = side.keys[params.partition_by.len()];
                        (Some(time), order.into_iter().filter(|key| key.column != time).collect())
                    }
                    // Each row has a time of its own.
                    _ => (None, vec![]),
                };
                let (ends, last_first) = (false, false);
                let spec =
                    OverSpec { partition, rowtime, order, frame, aggregates, columns, ends, last_first };
                Ok(self.add_over(spec, &side, results, "OverAggregate"))
            }
            Way::Running { peers } => {
                let spec = OverAnyOrderSpec {
                    partition,
                    order,
                    peers,
                    aggregates,
                    columns,
                    // Settled by the inference of changelog modes.
                    input_retracts: false,
                    emit_update_before: true,
                };
                Ok(self.add_over_any_order(spec, &side, results))
            }
            Way::Partition => {
                let framed = framed_calls(aggregates, calls, window, &side)?;
                let spec = OverPartitionSpec {
                    partition,
                    order,
                    calls: framed,
                    columns,
                    // Settled by the inference of changelog modes.
                    input_retracts: false,
                    emit_update_before: true,
                };
                let ordered = !params.order_by.is_empty();
                Ok(self.add_over_partition(spec, &side, results, ordered))
            }
        }
    }

    /// Results that are final are of rows that are.
    fn check_final(&self, side: &Side) -> Result<()> {
        match is_insert_only(&self.builder.nodes, &self.builder.facts, side.node) {
            true => Ok(()),
            false => plan_err!(
                "OVER ordered by a time attribute takes no updates, and its input carries some: order by a column \
                 that is none"
            ),
        }
    }

    fn add_over_any_order(
        &mut self,
        spec: OverAnyOrderSpec,
        side: &Side,
        results: Vec<(Option<TableReference>, FieldRef)>,
    ) -> Stream {
        let schema = output_schema(&spec.columns, side, results);
        let partition = names(&spec.partition, side);
        let (order, clause) = (order_text(&spec.order, side), clause_of(&spec.order, side));
        let frame = frame_text(&running(OverFrame::Unbounded { peers: spec.peers }));
        let about = About {
            kind: "over",
            clause: format!("{partition}|{clause}|{frame}"),
            label: over_label("OverAggregate", &partition, &order, Some(frame), &schema),
            state: any_order_state(&partition, &clause),
        };
        let by = spec.partition.clone();
        self.add_partitioned(about, OperatorSpec::OverAnyOrder(spec), by, side, schema)
    }

    fn add_over_partition(
        &mut self,
        spec: OverPartitionSpec,
        side: &Side,
        results: Vec<(Option<TableReference>, FieldRef)>,
        ordered: bool,
    ) -> Stream {
        let schema = output_schema(&spec.columns, side, results);
        let partition = names(&spec.partition, side);
        let (order, clause) = match ordered {
            true => (order_text(&spec.order, side), clause_of(&spec.order, side)),
            false => (String::new(), String::new()),
        };
        let functions: Vec<String> = spec.calls.iter().map(|call| framed_text(call, side)).collect();
        let about = About {
            kind: "over",
            clause: format!("{partition}|{clause}|partition"),
            label: over_label("OverPartition", &partition, &order, Some(functions.join(", ")), &schema),
            state: partition_state(&spec, &partition, &clause),
        };
        let by = spec.partition.clone();
        self.add_partitioned(about, OperatorSpec::OverPartition(spec), by, side, schema)
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
        let order = side.keys.iter().zip(&sort.expr).skip(1).map(|(column, key)| sort_key(*column, key));
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
        let keys = order_text(&spec.order, side);
        let order = if keys.is_empty() { format!("{time} ASC") } else { format!("{time} ASC, {keys}") };
        let frame = frame_text(&running(spec.frame));
        let window = (!spec.aggregates.is_empty()).then(|| frame.clone());
        let about = About {
            kind: if spec.aggregates.is_empty() { "temporal-sort" } else { "over" },
            clause: format!("{partition}|{order}|{frame}"),
            label: over_label(name, &partition, &order, window, &schema),
            state: over_state(&spec, &partition),
        };
        let by = spec.partition.clone();
        self.add_partitioned(about, OperatorSpec::Over(spec), by, side, schema)
    }

    /// Adds an operator over `side` that has all rows of a partition.
    fn add_partitioned(
        &mut self,
        about: About,
        spec: OperatorSpec,
        partition: Vec<usize>,
        side: &Side,
        schema: DFSchema,
    ) -> Stream {
        self.builder.add(NewNode {
            kind: about.kind,
            clause: about.clause,
            label: about.label,
            state: Some(about.state),
            meaning: format!("{spec:?}"),
            shareable: true,
            single: partition.is_empty(),
            inputs: vec![(side.node, Exchange::Hash(partition))],
            spec,
            schema: Arc::new(schema),
            table: None,
            connector: None,
        })
    }
}

pub(super) fn qualified(schema: &DFSchema, place: usize) -> (Option<TableReference>, FieldRef) {
    let (table, field) = schema.qualified_field(place);
    (table.cloned(), field.clone())
}

fn place_of<'a>(mut exprs: impl Iterator<Item = &'a Expr>) -> Option<crate::Position> {
    exprs.find_map(|expr| expr.try_as_col()?.spans().first()).map(position_of)
}

/// Where the functions of `window` are ordered or partitioned.
pub(in crate::query) fn window_position(window: &Window) -> Option<crate::Position> {
    window.window_expr.iter().find_map(|expr| {
        let call = call_of(expr)?;
        place_of(call.params.order_by.iter().map(|key| &key.expr).chain(&call.params.partition_by))
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

fn over_label(name: &str, partition: &str, order: &str, window: Option<String>, schema: &DFSchema) -> String {
    let by = if partition.is_empty() { String::new() } else { format!("partitionBy=[{partition}], ") };
    let order = if order.is_empty() { String::new() } else { format!("orderBy=[{order}], ") };
    let window = window.map_or_else(String::new, |window| format!("window=[{window}], "));
    let select: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    format!("{name}({by}{order}{window}select=[{}])", select.join(", "))
}

/// `v DESC, id ASC NULLS LAST`: where NULL stands is said where it is not as usual.
fn order_text(order: &[SortKey], side: &Side) -> String {
    let key = |key: &SortKey| {
        let direction = if key.descending { "DESC" } else { "ASC" };
        let nulls = match (key.descending, key.nulls_first) {
            (false, true) | (true, false) => "",
            (_, true) => " NULLS FIRST",
            (_, false) => " NULLS LAST",
        };
        format!("{} {direction}{nulls}", names(&[key.column], side))
    };
    order.iter().map(key).collect::<Vec<_>>().join(", ")
}

/// The same for the name of an operator, where ASC goes without saying.
fn clause_of(order: &[SortKey], side: &Side) -> String {
    match order {
        [key] if !key.descending && key.nulls_first => names(&[key.column], side),
        order => order_text(order, side),
    }
}

fn running(frame: OverFrame) -> Frame {
    match frame {
        OverFrame::Unbounded { peers: true } => Frame::running(FrameUnits::Range),
        OverFrame::Unbounded { peers: false } => Frame::running(FrameUnits::Rows),
        OverFrame::Rows(rows) => {
            Frame { units: FrameUnits::Rows, start: Some(-i128::from(rows)), end: Some(0) }
        }
        OverFrame::Range(ms) => {
            Frame { units: FrameUnits::Range, start: Some(-i128::from(ms)), end: Some(0) }
        }
    }
}

/// Calls with their frames, in what the first key of the order is kept in.
fn framed_calls(
    aggregates: Vec<AggregateCall>,
    calls: &[WindowFunction],
    window: &Window,
    side: &Side,
) -> Result<Vec<FramedCall>> {
    let mut framed = vec![];
    for (call, function) in aggregates.into_iter().zip(calls) {
        let key = side.schema.field(side.keys[function.params.partition_by.len()]).data_type();
        let frame = in_units_of(frame_of(function, &window.input)?, key)?;
        framed.push(FramedCall { call, frame });
    }
    Ok(framed)
}

/// A function as EXPLAIN shows it: `SUM(v) ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING`.
fn framed_text(framed: &FramedCall, side: &Side) -> String {
    let FramedCall { call, frame } = framed;
    let number = match call.function {
        AggregateFunction::Lag { rows } | AggregateFunction::Lead { rows } => Some(rows),
        AggregateFunction::NthValue { n } => Some(n),
        AggregateFunction::Ntile { parts } => Some(parts),
        _ => None,
    };
    let mut arguments: Vec<String> = call.arguments.iter().map(|column| names(&[*column], side)).collect();
    if let Some(number) = number {
        arguments.insert(arguments.len().min(1), number.to_string());
    }
    if arguments.is_empty() && call.function == AggregateFunction::Count {
        arguments.push("*".to_string());
    }
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let filter =
        call.filter.map_or_else(String::new, |column| format!(" FILTER (WHERE {})", names(&[column], side)));
    let frame = match has_frame(call.function.name()) {
        true => format!(" {}", frame_text(frame)),
        false => String::new(),
    };
    format!("{}({distinct}{}){filter}{frame}", call.function.name(), arguments.join(", "))
}
