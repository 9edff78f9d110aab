//! Top-N and deduplication.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::{Output, unaliased};
use super::over::qualified;
use super::over_calls::{sort_key, sort_keys};
use crate::PlanError;
use crate::query::changelog::is_insert_only;
use crate::query::error::plan_error;
use crate::query::origin::{Origin, expr_origin};
use crate::query::ranks::{Ranks, ranks, row_number};
use crate::query::time_bounds::has_plain_bounds;
use arrow::datatypes::FieldRef;
use datafusion_common::{
    Column, DFSchema, Result, ScalarValue, TableReference, internal_datafusion_err, internal_err, plan_err,
};
use datafusion_expr::expr::{Sort as SortExpr, WindowFunction};
use datafusion_expr::{Expr, Filter, LogicalPlan, Sort, Window, lit};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_functions::analyze_expr;
use weir_types::{
    AggregateCall, AggregateFunction, DeduplicateSpec, Exchange, NodeIndex, OperatorSpec, OverFrame,
    OverSpec, RankSpec, SortKey, SqlType, StateNote, TimeAttribute, column_text,
};

/// What is to be ranked.
struct Ranked {
    node: NodeIndex,
    input: Arc<DFSchema>,
    partition: Vec<usize>,
    order: Vec<SortKey>,
    /// columns of the input that are given, with the fields of the output
    columns: Vec<usize>,
    fields: Vec<(Option<TableReference>, FieldRef)>,
    start: u64,
    end: u64,
    outputs_rank: bool,
    order_text: String,
}

impl Lowering<'_> {
    /// A condition on ROW_NUMBER, with what is left of the condition; `None` for other conditions. `wanted` are the columns
    /// that are read above; all without.
    pub fn top_n(
        &mut self,
        filter: &Filter,
        wanted: Option<&BTreeSet<&Column>>,
    ) -> Result<Option<(Stream, Option<Expr>)>, PlanError> {
        let Some((window, passed)) = window_below(filter) else { return Ok(None) };
        let wanted = wanted.or(passed.as_ref());
        let Some((function, number)) = row_number(window) else { return Ok(None) };
        let Some(Ranks { start, end, rest }) = ranks(&number, &filter.predicate) else { return Ok(None) };
        let read = |column: &Column| {
            let by_rest = rest.iter().any(|rest| rest.column_refs().contains(column));
            by_rest || wanted.is_none_or(|wanted| wanted.contains(column))
        };
        let input = self.plan(&window.input)?;
        let stream =
            self.ranked((window, &function), input, &number, (start, end), &read).map_err(plan_error)?;
        Ok(Some((stream, rest)))
    }

    fn ranked(
        &mut self,
        (window, function): (&Window, &WindowFunction),
        input: Stream,
        number: &Column,
        (start, end): (u64, u64),
        read: &dyn Fn(&Column) -> bool,
    ) -> Result<Stream> {
        let (partition_by, order_by) = (&function.params.partition_by, &function.params.order_by);
        if order_by.is_empty() {
            return plan_err!("ROW_NUMBER needs an ORDER BY in OVER");
        }
        let outputs_rank = read(number);
        let time = match &order_by[..] {
            [key] if (start, end) == (1, 1) => time_order(&window.input, key),
            _ => None,
        };
        if let Some(end_of_window) = self.window_end(&window.input, partition_by) {
            let (settled, node) = self.settle(input.clone())?;
            if is_insert_only(&self.builder.nodes, &self.builder.facts, node) {
                return self.window_rank(
                    (window, function),
                    settled,
                    end_of_window,
                    (start, end),
                    outputs_rank,
                );
            }
        }
        let ranked = self.prepare(&window.input, input, (partition_by, order_by), (start, end), read)?;
        let (table, field) = qualified(&window.schema, window.schema.fields().len() - 1);
        let insert_only = is_insert_only(&self.builder.nodes, &self.builder.facts, ranked.node);
        if let Some(attribute) = time.filter(|_| insert_only) {
            let rows = self.deduplicate(ranked, attribute)?;
            if !outputs_rank {
                return Ok(rows);
            }
            // The number of the only row is no rank.
            let mut outputs: Vec<Output> = rows.schema.columns().into_iter().map(Output::column).collect();
            let mut number = Output::named(field.name().clone(), lit(1_i64));
            number.table = table;
            outputs.push(number);
            return self.calc(&rows, None, Some(outputs));
        }
        let mut ranked = Ranked { outputs_rank, ..ranked };
        if outputs_rank {
            ranked.fields.push((table, field));
        }
        self.rank(ranked)
    }

    /// The column with the end of the window, if rows are ranked within windows of event time.
    fn window_end(&self, plan: &LogicalPlan, partition_by: &[Expr]) -> Option<Column> {
        let mut found: [Option<Column>; 2] = [None, None];
        for key in partition_by {
            if let Some(Origin::Window { part, node }) = expr_origin(plan, key)
                && part < 2
                && node.attribute == TimeAttribute::RowTime
                && !node.group_window
                && has_plain_bounds(node, self.session.settings.time_zone())
            {
                found[part] = unaliased(key).try_as_col().cloned();
            }
        }
        let [Some(_), end] = found else { return None };
        end
    }

    /// Top-N within windows: once a window has passed its rows are numbered, and those that are asked for are given.
    fn window_rank(
        &mut self,
        (window, function): (&Window, &WindowFunction),
        input: Stream,
        window_end: Column,
        (start, end): (u64, u64),
        outputs_rank: bool,
    ) -> Result<Stream> {
        let params = &function.params;
        // The newest row of a window: of those of one time the one that came last.
        let newest = |key: &SortExpr| !key.asc && time_order(&window.input, key).is_some();
        let last_first = end == 1 && matches!(&params.order_by[..], [key] if newest(key));
        // The time of a window is the last millisecond in it.
        let minus = self.functions.scalar.get("-");
        let minus = minus.ok_or_else(|| internal_datafusion_err!("there is no function -"))?;
        let millisecond = Expr::Literal(ScalarValue::DurationMillisecond(Some(1)), None);
        let time = minus.call(vec![Expr::Column(window_end), millisecond]);
        let time = analyze_expr(&self.functions.scalar, time, window.input.schema())?;
        let mut keys: Vec<&Expr> =
            params.partition_by.iter().chain(params.order_by.iter().map(|key| &key.expr)).collect();
        keys.push(&time);
        let side = self.keyed_input(input, &window.input, &keys)?;
        let (partition, order) = side.keys.split_at(params.partition_by.len());
        let rowtime = order.last().copied();
        let order = order.iter().zip(&params.order_by).map(|(column, key)| sort_key(*column, key));
        let place = window.schema.fields().len() - 1;
        let (table, field) = qualified(&window.schema, place);
        let number = AggregateCall {
            function: AggregateFunction::Count,
            arguments: vec![],
            distinct: false,
            filter: None,
            output: field.clone(),
        };
        let spec = OverSpec {
            partition: partition.to_vec(),
            rowtime,
            order: order.collect(),
            frame: OverFrame::Unbounded { peers: false },
            aggregates: vec![number],
            columns: (0..window.input.schema().fields().len()).collect(),
            ends: true,
            last_first,
        };
        let numbered = self.add_over(spec, &side, vec![(table.clone(), field.clone())], "WindowRank");
        let rank = Expr::Column(Column::new(table, field.name()));
        let bounds = |rank: u64| lit(i64::try_from(rank).unwrap_or(i64::MAX));
        let condition = rank.clone().lt_eq(bounds(end));
        let condition = if start > 1 { condition.and(rank.gt_eq(bounds(start))) } else { condition };
        let mut columns = window.schema.columns();
        columns.truncate(if outputs_rank { place + 1 } else { place });
        let outputs = columns.into_iter().map(Output::column).collect();
        self.calc(&numbered, Some(&condition), Some(outputs))
    }

    /// ORDER BY .. LIMIT: the first rows of all.
    pub fn sort_limit(&mut self, sort: &Sort, (start, end): (u64, u64)) -> Result<Stream, PlanError> {
        let input = self.plan(&sort.input)?;
        let all = |_: &Column| true;
        let ranked = self.prepare(&sort.input, input, (&vec![], &sort.expr), (start, end), &all);
        ranked.and_then(|ranked| self.rank(ranked)).map_err(plan_error)
    }

    /// LIMIT over rows that change: the first that came and are still there, as a Top-N in which all are equal.
    pub fn first_rows(&mut self, plan: &LogicalPlan, input: Stream, ranks: (u64, u64)) -> Result<Stream> {
        let same = SortExpr::new(lit(0), true, false);
        let ranked = self.prepare(plan, input, (&vec![], &vec![same]), ranks, &|_: &Column| true)?;
        self.rank(Ranked { order_text: "their arrival".to_string(), ..ranked })
    }

    /// The input with keys as columns.
    fn prepare(
        &mut self,
        plan: &LogicalPlan,
        input: Stream,
        (partition_by, order_by): (&Vec<Expr>, &Vec<SortExpr>),
        (start, end): (u64, u64),
        read: &dyn Fn(&Column) -> bool,
    ) -> Result<Ranked> {
        let keys: Vec<&Expr> = partition_by.iter().chain(order_by.iter().map(|key| &key.expr)).collect();
        let side = self.keyed_input(input, plan, &keys)?;
        let partition: Vec<usize> = side.keys[..partition_by.len()].to_vec();
        let order = sort_keys(&partition, &side.keys[partition_by.len()..], order_by);
        let text = |key: &SortKey| {
            let direction = if key.descending { "DESC" } else { "ASC" };
            format!("{} {direction}", column_text(side.schema.field(key.column)))
        };
        let order_text = order.iter().map(text).collect::<Vec<_>>().join(", ");
        let (mut columns, mut fields) = (vec![], vec![]);
        for (place, column) in plan.schema().columns().iter().enumerate() {
            if read(column) {
                let (table, field) = side.schema.qualified_field(place);
                columns.push(place);
                fields.push((table.cloned(), field.clone()));
            }
        }
        let input = side.schema;
        let outputs_rank = false;
        Ok(Ranked {
            node: side.node,
            input,
            partition,
            order,
            columns,
            fields,
            start,
            end,
            outputs_rank,
            order_text,
        })
    }

    fn rank(&mut self, ranked: Ranked) -> Result<Stream> {
        let Ranked { node, input, partition, order, columns, fields, start, end, outputs_rank, order_text } =
            ranked;
        let names = |columns: &[usize]| {
            let names: Vec<&str> =
                columns.iter().map(|column| input.field(*column).name().as_str()).collect();
            names.join(", ")
        };
        let partition_text = names(&partition);
        let (order, input_node) = match order.is_empty() {
            // All rows are equal: they are ranked by their arrival.
            true => {
                return plan_err!(
                    "ROW_NUMBER is ordered by columns of its PARTITION BY only: order by another one"
                );
            }
            false => (order, node),
        };
        let spec = RankSpec {
            partition: partition.clone(),
            order,
            start,
            end,
            columns,
            outputs_rank,
            // Settled by the inference of changelog modes.
            input_retracts: false,
            update_key: None,
            emit_update_before: true,
        };
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        let select: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let by =
            if partition.is_empty() { String::new() } else { format!("partitionBy=[{partition_text}], ") };
        let label = format!(
            "Rank(rankType=[ROW_NUMBER], rankRange=[rankStart={start}, rankEnd={end}], {by}orderBy=[{order_text}], \
             select=[{}])",
            select.join(", ")
        );
        let keeps = if partition.is_empty() {
            format!("the first {end} rows")
        } else {
            format!("the first {end} rows of each partition")
        };
        let clause = (!partition.is_empty()).then(|| format!("PARTITION BY {partition_text}"));
        Ok(self.builder.add(NewNode {
            kind: "rank",
            clause: format!("{partition_text}|{order_text}|{start}-{end}"),
            meaning: format!("{spec:?}"),
            shareable: true,
            label,
            spec: OperatorSpec::Rank(spec),
            inputs: vec![(input_node, Exchange::Hash(partition.clone()))],
            schema,
            state: Some(StateNote {
                keeps,
                bound: clause
                    .as_ref()
                    .map_or("bounded".into(), |clause| format!("never dropped: {clause} bounds no time")),
                unbounded_clause: clause,
            }),
            table: None,
            connector: None,
            single: partition.is_empty(),
        }))
    }

    fn deduplicate(&mut self, ranked: Ranked, attribute: TimeAttribute) -> Result<Stream> {
        let Ranked { node, input, partition, order, columns, fields, .. } = ranked;
        let [key] = &order[..] else { return internal_err!("deduplication is ordered by one column") };
        let rowtime = (attribute == TimeAttribute::RowTime).then_some(key.column);
        let spec = DeduplicateSpec {
            keys: partition.clone(),
            rowtime,
            keep_last: key.descending,
            columns,
            emit_update_before: true,
        };
        let names: Vec<&str> = partition.iter().map(|column| input.field(*column).name().as_str()).collect();
        let names = names.join(", ");
        let row = if spec.keep_last { "LastRow" } else { "FirstRow" };
        let time = if rowtime.is_some() { "ROWTIME" } else { "PROCTIME" };
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        let clause = format!("PARTITION BY {names}");
        Ok(self.builder.add(NewNode {
            kind: "deduplicate",
            clause: format!("{names}|{row}"),
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!("Deduplicate(keep=[{row}], key=[{names}], order=[{time}])"),
            spec: OperatorSpec::Deduplicate(spec),
            inputs: vec![(node, Exchange::Hash(partition.clone()))],
            schema,
            state: Some(StateNote {
                keeps: "one row per key".into(),
                bound: format!("never dropped: {clause} bounds no time"),
                unbounded_clause: (!partition.is_empty()).then_some(clause),
            }),
            table: None,
            connector: None,
            single: partition.is_empty(),
        }))
    }
}

/// The window under a condition, with the columns that a projection between them lets pass, as the optimiser may leave one.
fn window_below(filter: &Filter) -> Option<(&Window, Option<BTreeSet<&Column>>)> {
    match filter.input.as_ref() {
        LogicalPlan::Window(window) => Some((window, None)),
        LogicalPlan::Projection(projection) => {
            let LogicalPlan::Window(window) = projection.input.as_ref() else { return None };
            let passed: Option<BTreeSet<&Column>> = projection.expr.iter().map(Expr::try_as_col).collect();
            Some((window, Some(passed?)))
        }
        _ => None,
    }
}

/// The time that `key` orders by, if it is a time attribute of `plan`.
pub(in crate::query) fn time_order(plan: &LogicalPlan, key: &SortExpr) -> Option<TimeAttribute> {
    let attribute = match expr_origin(plan, &key.expr)? {
        Origin::Time(attribute) => attribute,
        Origin::Window { part: 2, node } => node.attribute,
        Origin::Window { .. } => return None,
    };
    // PROCTIME() itself
    let Some(column) = key.expr.try_as_col() else { return Some(attribute) };
    let place = plan.schema().maybe_index_of_column(column)?;
    let sql_type = SqlType::of_field(plan.schema().field(place))?;
    matches!(sql_type, SqlType::Timestamp(0..=3) | SqlType::TimestampLtz(0..=3)).then_some(attribute)
}
