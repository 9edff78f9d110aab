//! Tables: the source, its computed columns, its watermark. Each table of a statement is read once.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::Output;
use super::rank::time_order;
use crate::PlanError;
use crate::catalog::{CatalogTable, ColumnSource};
use crate::query::as_of::AsOf;
use crate::query::bind::bind_expr;
use crate::query::error::plan_error;
use crate::query::match_recognize::MatchRecognize;
use crate::query::table_source::TableScanSource;
use crate::query::text::expr_text;
use crate::query::time_bounds::compares_times;
use crate::query::watermark::reads_watermark;
use crate::query::window_function::WindowFunction;
use arrow::datatypes::{FieldRef, Schema};
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, Result, TableReference, internal_datafusion_err};
use datafusion_expr::expr::Sort as SortExpr;
use datafusion_expr::logical_plan::TableScan;
use datafusion_expr::{Expr, LogicalPlan};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{
    Exchange, OperatorNode, OperatorSpec, Parallelism, SourceSpec, TimeAttribute, WatermarkSpec,
};

/// All that a statement reads of one table.
#[derive(Debug)]
pub(in crate::query) struct SharedScan {
    table: Arc<CatalogTable>,
    /// places of the columns that somebody wants
    columns: BTreeSet<usize>,
    scans: usize,
    limit: Option<u64>,
    /// the stream of `columns`, once it is built
    stream: Option<Stream>,
}

/// The tables that `plans` read, each with the columns that any of them wants.
pub(in crate::query) fn shared_scans(plans: &[&LogicalPlan]) -> Result<Vec<SharedScan>> {
    let mut shared: Vec<SharedScan> = vec![];
    for plan in plans {
        plan.apply(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let source = TableScanSource::of(&scan.source).ok_or_else(|| {
                    internal_datafusion_err!("{} is no table of the catalog", scan.table_name)
                })?;
                note(&mut shared, source.table(), scan);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(shared)
}

fn note(shared: &mut Vec<SharedScan>, table: &Arc<CatalogTable>, scan: &TableScan) {
    let place = shared.iter().position(|known| known.table.descriptor == table.descriptor);
    let place = place.unwrap_or_else(|| {
        let (table, columns) = (table.clone(), BTreeSet::new());
        shared.push(SharedScan { table, columns, scans: 0, limit: None, stream: None });
        shared.len() - 1
    });
    let known = &mut shared[place];
    known.columns.extend(scanned(scan));
    known.scans += 1;
    // The first changes of a table are not its first rows.
    let inserts = table.capabilities.scan.is_none_or(|mode| mode.is_insert_only());
    known.limit = scan.fetch.filter(|_| inserts).and_then(|rows| u64::try_from(rows).ok());
}

/// The number of subtasks in option `key`, which the connector has checked.
pub(super) fn parallelism(table: &CatalogTable, key: &str) -> Option<u32> {
    table.descriptor.option(key).and_then(|count| count.trim().parse().ok())
}

/// Places of the table's columns that a scan hands on.
fn scanned(scan: &TableScan) -> Vec<usize> {
    match &scan.projection {
        Some(columns) => columns.clone(),
        None => (0..scan.source.schema().fields().len()).collect(),
    }
}

/// True if an operator of the plan waits for event time, or an expression asks for it.
pub(in crate::query) fn uses_event_time(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let by_time = match node {
            LogicalPlan::Window(window) => window.window_expr.iter().any(|expr| match expr {
                Expr::WindowFunction(call) => ordered_by_time(&window.input, &call.params.order_by),
                Expr::Alias(alias) => match alias.expr.as_ref() {
                    Expr::WindowFunction(call) => ordered_by_time(&window.input, &call.params.order_by),
                    _ => false,
                },
                _ => false,
            }),
            LogicalPlan::Sort(sort) => ordered_by_time(&sort.input, &sort.expr),
            LogicalPlan::Join(join) => compares_times(join),
            _ if AsOf::of(node).is_some() => true,
            _ => {
                let of_window = WindowFunction::of(node).map(|window| window.attribute);
                let of_match = MatchRecognize::of(node).map(|node| node.attribute);
                of_window.or(of_match) == Some(TimeAttribute::RowTime)
            }
        };
        let mut asked = false;
        node.apply_expressions(|expr| {
            asked |= reads_watermark(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(by_time || asked)
    })
}

fn ordered_by_time(input: &LogicalPlan, keys: &[SortExpr]) -> bool {
    keys.first().and_then(|key| time_order(input, key)) == Some(TimeAttribute::RowTime)
}

impl Lowering<'_> {
    /// The stream of a table under the names of this scan; it may have columns that only other scans want.
    pub fn scan(&mut self, scan: &TableScan) -> Result<Stream, PlanError> {
        let source = TableScanSource::of(&scan.source)
            .ok_or_else(|| PlanError::internal(format!("{} is no table of the catalog", scan.table_name)))?;
        let descriptor = &source.table().descriptor;
        let place = self.scans.iter().position(|shared| shared.table.descriptor == *descriptor);
        let place =
            place.ok_or_else(|| PlanError::internal(format!("table {} was not noted", descriptor.name)))?;
        let stream = match &self.scans[place].stream {
            Some(stream) => stream.clone(),
            None => {
                let stream = self.table(place).map_err(|error| {
                    error.without_position().context(format!("table '{}'", descriptor.name))
                })?;
                self.scans[place].stream = Some(stream.clone());
                stream
            }
        };
        let schema = requalify(&stream.schema, &scan.table_name).map_err(plan_error)?;
        Ok(stream.renamed(Arc::new(schema)))
    }

    /// A table's nodes, of as many subtasks as the table says; what normalises changes goes by key behind an exchange.
    fn table(&mut self, place: usize) -> Result<Stream, PlanError> {
        let first = self.builder.nodes.len();
        let stream = self.table_nodes(place)?;
        if let Some(count) = parallelism(&self.scans[place].table, "scan.parallelism") {
            let own = |node: &&mut OperatorNode| !matches!(node.spec, OperatorSpec::ChangelogNormalize(_));
            self.builder.nodes[first..]
                .iter_mut()
                .take_while(own)
                .for_each(|node| node.parallelism = Parallelism::Fixed(count));
        }
        Ok(stream)
    }

    /// Source, computed columns, watermark.
    fn table_nodes(&mut self, place: usize) -> Result<Stream, PlanError> {
        let shared = &self.scans[place];
        let (table, limit) = (shared.table.clone(), shared.limit.filter(|_| shared.scans == 1));
        let normalized = self.normalized_by(&table)?;
        let mut wanted = shared.columns.clone();
        let watermark = table.watermark.as_ref().filter(|_| self.event_time);
        let watermark = watermark
            .map(|watermark| -> Result<_, PlanError> {
                let (expr, _) = bind_expr(self.session, self.functions, &table.schema, &watermark.expr)?;
                wanted.insert(watermark.column);
                wanted.extend(places(&table.schema, &expr)?);
                Ok((watermark.column, expr))
            })
            .transpose()?;
        let connector = connector_schema(&table);
        let mut computed = vec![];
        let mut read: BTreeSet<usize> = BTreeSet::new();
        for column in &wanted {
            match &table.sources[*column] {
                ColumnSource::Connector => {
                    read.insert(*column);
                }
                ColumnSource::Computed(expr) => {
                    let (expr, _) = bind_expr(self.session, self.functions, &connector, expr)?;
                    read.extend(places(&table.schema, &expr)?);
                    computed.push((*column, expr));
                }
            }
        }
        read.extend(normalized.iter().flatten());
        // Of changes, the first so many rows say nothing.
        let limit = limit.filter(|_| normalized.is_none());
        let mut source = self.source(&table, read.into_iter().collect(), limit).map_err(plan_error)?;
        if let Some(keys) = normalized {
            source = self.normalize(source, &table, &keys)?;
        }
        let outputs = wanted.iter().map(|column| {
            let name = table.schema.field(*column).name();
            let known = computed.iter().find(|(place, _)| place == column);
            let expr = known.map_or_else(|| column_named(name), |(_, expr)| expr.clone());
            Output::named(name, expr)
        });
        let outputs: Vec<Output> = outputs.collect();
        let computed = if computed.is_empty() {
            source
        } else {
            self.calc(&source, None, Some(outputs)).map_err(plan_error)?
        };
        let schema = marked(&computed.schema, &table.schema).map_err(plan_error)?;
        let marked = computed.renamed(schema);
        match watermark {
            Some((column, expr)) => self.watermark(marked, &table, column, &expr).map_err(plan_error),
            // What several scans read is computed once.
            None if self.scans[place].scans > 1 => Ok(self.settle(marked).map_err(plan_error)?.0),
            None => Ok(marked),
        }
    }

    fn source(
        &mut self,
        table: &Arc<CatalogTable>,
        projection: Vec<usize>,
        limit: Option<u64>,
    ) -> Result<Stream> {
        let descriptor = table.descriptor.clone();
        let field = |column: &usize| (None::<TableReference>, Arc::new(table.schema.field(*column).clone()));
        let fields: Vec<_> = projection.iter().map(field).collect();
        let names: Vec<&str> =
            projection.iter().map(|column| table.schema.field(*column).name().as_str()).collect();
        let limited = limit.map_or_else(String::new, |rows| format!(", limit=[{rows}]"));
        let label =
            format!("TableSourceScan(table=[{}], fields=[{}]{limited})", descriptor.name, names.join(", "));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        let plain = super::sink::plain_name(&descriptor.name).to_string();
        let spec = OperatorSpec::Source(SourceSpec { table: descriptor, projection, limit });
        Ok(self.builder.add(NewNode {
            kind: "source",
            clause: String::new(),
            meaning: format!("{spec:?}"),
            // Two scans of one table share their stream before they come here.
            shareable: false,
            label,
            spec,
            inputs: vec![],
            schema,
            state: None,
            table: Some((plain, table.capabilities.bounded)),
            connector: table.capabilities.scan,
            single: false,
        }))
    }

    fn watermark(
        &mut self,
        input: Stream,
        table: &CatalogTable,
        column: usize,
        expr: &Expr,
    ) -> Result<Stream> {
        let (input, node) = self.settle(input)?;
        let name = table.schema.field(column).name();
        let rowtime = input.schema.index_of_column(&Column::new_unqualified(name))?;
        let expression = self.physical(expr, &input.schema)?;
        let interval_ms = self.session.settings.auto_watermark_interval_ms();
        let option = |key: &str| table.descriptor.option(key);
        let idle =
            option("scan.watermark.idle-timeout").and_then(|text| weir_types::parse_duration_ms(text).ok());
        let idle = idle.or(Some(self.session.settings.duration_ms("table.exec.source.idle-timeout")));
        let idle_timeout_ms = idle.filter(|ms| *ms > 0).and_then(|ms| i64::try_from(ms).ok());
        let spec = WatermarkSpec {
            rowtime,
            expression,
            idle_timeout_ms,
            // 'scan.watermark.emit.strategy' speaks to sources that make watermarks themselves. As in Flink, none of
            // those here does: an assigner follows them, and on-event changes nothing.
            per_row: interval_ms == 0,
            interval_ms,
        };
        Ok(self.builder.add(NewNode {
            kind: "watermark",
            clause: name.clone(),
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!("WatermarkAssigner(rowtime=[{name}], watermark=[{}])", expr_text(expr)),
            spec: OperatorSpec::Watermark(spec),
            inputs: vec![(node, Exchange::Forward)],
            schema: input.schema,
            state: None,
            table: None,
            connector: None,
            single: false,
        }))
    }
}

fn column_named(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The columns that a computed column may name.
fn connector_schema(table: &CatalogTable) -> Schema {
    let fields = table.scanned_columns().into_iter().map(|column| table.schema.field(column).clone());
    Schema::new(fields.collect::<Vec<_>>())
}

/// Places in `schema` of the columns that `expr` reads.
fn places(schema: &Schema, expr: &Expr) -> Result<Vec<usize>, PlanError> {
    let place = |column: &Column| schema.index_of(&column.name);
    let found = expr.column_refs().into_iter().map(place).collect::<Result<Vec<_>, _>>();
    found.map_err(|error| PlanError::internal(error.to_string()))
}

/// Columns as the table declares them: types, nullability and time attributes.
fn marked(schema: &DFSchema, table: &Schema) -> Result<Arc<DFSchema>> {
    let fields = schema.iter().map(|(qualifier, field)| {
        let declared = table
            .field_with_name(field.name())
            .map_or_else(|_| field.clone(), |field| Arc::new(field.clone()));
        (qualifier.cloned(), declared)
    });
    let fields: Vec<(Option<TableReference>, FieldRef)> = fields.collect();
    Ok(Arc::new(DFSchema::new_with_metadata(fields, Default::default())?))
}

fn requalify(schema: &DFSchema, table: &TableReference) -> Result<DFSchema> {
    let fields = schema.fields().iter().map(|field| (Some(table.clone()), field.clone()));
    DFSchema::new_with_metadata(fields.collect(), Default::default())
}
