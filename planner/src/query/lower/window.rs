//! Windowing table functions by themselves: rows that carry their windows.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::Output;
use super::relations::without_dependencies;
use crate::PlanError;
use crate::query::error::plan_error;
use crate::query::window_function::WindowFunction;
use arrow::datatypes::FieldRef;
use datafusion_common::{DFSchema, Result, TableReference, internal_datafusion_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Expr, UserDefinedLogicalNodeCore};
use datafusion_physical_expr::expressions::Column as PhysicalColumn;
use std::sync::Arc;
use weir_functions::analyze_expr;
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, NodeIndex, OperatorSpec, SqlField, SqlType, StateNote,
    TimeAttribute, UnnestSpec, WindowAggregateSpec, WindowProperty, WindowSpec, WindowTableFunctionSpec,
    WindowTime,
};

/// Whole rows on their way through their sessions.
const ROW: &str = "$row";
const ROWS: &str = "$rows";

impl Lowering<'_> {
    /// The function by itself: rows are copied into their windows.
    pub fn window_function(&mut self, window: &WindowFunction) -> Result<Stream, PlanError> {
        let input = self.plan(&window.input)?;
        let input = self.conform(input, window.input.schema().columns()).map_err(plan_error)?;
        if let WindowSpec::Session { .. } = window.spec {
            return self.sessions(window, input).map_err(plan_error);
        }
        let (input, node) = self.settle(input).map_err(plan_error)?;
        let proctime = window.attribute == TimeAttribute::ProcTime;
        let time = match proctime {
            true => WindowTime::ProcTime,
            false => WindowTime::RowTime(input.schema.index_of_column(&window.time).map_err(plan_error)?),
        };
        let spec = WindowTableFunctionSpec {
            window: window.spec,
            time,
            time_zone: self.window_zone(window.attribute, &window.time_type),
            partition: vec![],
        };
        let plan = datafusion_expr::UserDefinedLogicalNodeCore::schema(window);
        let schema = Arc::new(without_dependencies(plan).map_err(plan_error)?);
        let column = if proctime { "proctime" } else { window.time.name.as_str() };
        Ok(self.builder.add(NewNode {
            kind: "window-table-function",
            clause: window.spec.to_string(),
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!("WindowTableFunction(window=[{}], time_col=[{column}])", window.spec),
            spec: OperatorSpec::WindowTableFunction(spec),
            inputs: vec![(node, Exchange::Forward)],
            schema,
            state: None,
            table: None,
            connector: None,
            single: false,
        }))
    }

    /// SESSION by itself: rows wait in their session, as an array, until it is over.
    fn sessions(&mut self, window: &WindowFunction, input: Stream) -> Result<Stream> {
        let (wrapped, row_type) = self.wrapped_rows(window, &input)?;
        let schema = Arc::new(without_dependencies(window.schema())?);
        let rows_type = SqlType::Array(Box::new(SqlField::new("item", row_type, false)));
        let (wrapped, node) = self.settle(wrapped)?;
        let added = self.session_rows(window, &wrapped.schema, node, &rows_type, &schema)?;
        // Keys, rows, start, end, time: the bounds are handed on beside each row.
        let keys = window.partition.len();
        let inputs = input.schema.fields().len();
        let qualified = |place: usize| {
            let (table, field) = schema.qualified_field(place);
            (table.cloned(), field.clone())
        };
        let fields = (inputs..inputs + 3).chain(0..inputs).map(qualified).collect();
        let spec = UnnestSpec {
            collection: Arc::new(PhysicalColumn::new(ROWS, keys)),
            collection_type: rows_type,
            columns: vec![keys + 1, keys + 2, keys + 3],
            ordinality: false,
            outer: false,
        };
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let spread = self.builder.add(NewNode {
            kind: "unnest",
            clause: window.spec.to_string(),
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!(
                "Correlate(invocation=[UNNEST({ROWS})], joinType=[INNER], select=[{}])",
                names.join(", ")
            ),
            spec: OperatorSpec::Unnest(spec),
            inputs: vec![(added, Exchange::Forward)],
            schema: Arc::new(DFSchema::new_with_metadata(fields, Default::default())?),
            state: None,
            table: None,
            connector: None,
            single: false,
        });
        self.conform(spread, schema.columns())
    }

    /// The columns of PARTITION BY, the time, and each row as a ROW, with the type of that.
    fn wrapped_rows(&mut self, window: &WindowFunction, input: &Stream) -> Result<(Stream, SqlType)> {
        let registry = &self.functions.scalar;
        let function = registry.get("ROW").ok_or_else(|| internal_datafusion_err!("there is no ROW"))?;
        let columns = input.schema.columns().into_iter().map(Expr::Column).collect();
        let row = Expr::ScalarFunction(ScalarFunction::new_udf(function, columns));
        let row = analyze_expr(registry, row, &input.schema)?;
        let mut outputs: Vec<Output> = window.partition.iter().cloned().map(Output::column).collect();
        let rowtime = (window.attribute == TimeAttribute::RowTime).then(|| Expr::Column(window.time.clone()));
        outputs.extend(rowtime.map(|time| Output::named("$time", time)));
        outputs.push(Output::named(ROW, row));
        let wrapped = self.calc(input, None, Some(outputs))?;
        let field = wrapped.schema.field(wrapped.schema.fields().len() - 1);
        let row_type =
            SqlType::of_field(field).ok_or_else(|| internal_datafusion_err!("a row has no SQL type"))?;
        Ok((wrapped, row_type))
    }

    /// The rows of each session, once it is over.
    fn session_rows(
        &mut self,
        window: &WindowFunction,
        input: &DFSchema,
        node: NodeIndex,
        rows_type: &SqlType,
        result: &DFSchema,
    ) -> Result<NodeIndex> {
        let proctime = window.attribute == TimeAttribute::ProcTime;
        let keys: Vec<usize> = (0..window.partition.len()).collect();
        let rows = Arc::new(rows_type.to_field(ROWS, true));
        let spec = WindowAggregateSpec {
            window: window.spec,
            time: if proctime { WindowTime::ProcTime } else { WindowTime::RowTime(keys.len()) },
            time_zone: self.window_zone(window.attribute, &window.time_type),
            keys: keys.clone(),
            aggregates: vec![AggregateCall {
                function: AggregateFunction::ArrayAgg,
                arguments: vec![input.fields().len() - 1],
                distinct: false,
                filter: None,
                output: rows.clone(),
            }],
            properties: vec![
                WindowProperty::Start,
                WindowProperty::End,
                if proctime { WindowProperty::ProcTime } else { WindowProperty::RowTime },
            ],
            input_retracts: false,
        };
        let own = |field: &FieldRef| (None::<TableReference>, field.clone());
        let partition = keys.iter().map(|key| own(&input.fields()[*key]));
        let bounds = result.fields().iter().skip(result.fields().len() - 3).map(own);
        let fields = partition.chain([own(&rows)]).chain(bounds).collect();
        let names: Vec<&str> = window.partition.iter().map(|column| column.name.as_str()).collect();
        let partition =
            if names.is_empty() { String::new() } else { format!(", partition keys=[{}]", names.join(", ")) };
        let time = if proctime { "proctime" } else { window.time.name.as_str() };
        let added = self.builder.add(NewNode {
            kind: "window-table-function",
            clause: std::iter::once(window.spec.to_string())
                .chain(names.iter().map(|name| name.to_string()))
                .collect::<Vec<_>>()
                .join(","),
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!("WindowTableFunction(window=[{}], time_col=[{time}]{partition})", window.spec),
            spec: OperatorSpec::WindowAggregate(spec),
            inputs: vec![(node, Exchange::Hash(keys.clone()))],
            schema: Arc::new(DFSchema::new_with_metadata(fields, Default::default())?),
            state: Some(StateNote {
                keeps: if keys.is_empty() {
                    "the rows of each session"
                } else {
                    "the rows of each key and session"
                }
                .into(),
                bound: format!(
                    "dropped when {} passes the end of the session",
                    if proctime { "the clock" } else { "the watermark" }
                ),
                unbounded_clause: None,
            }),
            table: None,
            connector: None,
            single: keys.is_empty(),
        });
        Ok(added.base())
    }
}
