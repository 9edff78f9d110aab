//! The other nodes of a plan, one to one.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::Output;
use crate::PlanError;
use crate::query::as_of::AsOf;
use crate::query::changelog::is_insert_only;
use crate::query::error::plan_error;
use crate::query::expand::Expand;
use crate::query::lookup::Lookup;
use crate::query::match_recognize::MatchRecognize;
use crate::query::origin::time_attribute_of;
use crate::query::state_ttl::StateTtl;
use crate::query::unnest::Unnest;
use crate::query::window_function::WindowFunction;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use datafusion_common::{Column, DFSchema, Result, ScalarValue, TableReference, internal_datafusion_err};
use datafusion_expr::logical_plan::{FetchType, SkipType};
use datafusion_expr::{Expr, Limit, LogicalPlan, Projection, SubqueryAlias, Union, Values};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{Column as PhysicalColumn, Literal};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{Exchange, ExpandSpec, LimitSpec, NodeIndex, OperatorSpec, StateNote, TimeAttribute};

impl Lowering<'_> {
    /// The stream of a plan. It may have more columns than the plan, and in another order: columns go by their names.
    pub fn plan(&mut self, plan: &LogicalPlan) -> Result<Stream, PlanError> {
        let stream = match plan {
            LogicalPlan::Projection(projection) => self.projection(projection)?,
            LogicalPlan::Filter(filter) => match self.top_n(filter, None)? {
                Some((ranked, rest)) => self.calc(&ranked, rest.as_ref(), None).map_err(plan_error)?,
                None => {
                    let input = self.plan(&filter.input)?;
                    self.calc(&input, Some(&filter.predicate), None).map_err(plan_error)?
                }
            },
            LogicalPlan::SubqueryAlias(alias) => self.alias(alias)?,
            LogicalPlan::TableScan(scan) => return self.scan(scan),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate)?,
            LogicalPlan::Union(union) => self.union(union)?,
            LogicalPlan::Join(join) => self.join(join)?,
            LogicalPlan::Limit(limit) => self.limit(limit)?,
            LogicalPlan::Sort(sort) => match sort.fetch {
                Some(fetch) => self.sort_limit(sort, (1, u64::try_from(fetch).unwrap_or(u64::MAX)))?,
                None => self.temporal_sort(sort)?,
            },
            LogicalPlan::Window(window) => self.over(window)?,
            LogicalPlan::Values(values) => self.values(values)?,
            LogicalPlan::EmptyRelation(empty) => {
                let rows = if empty.produce_one_row { vec![vec![]] } else { vec![] };
                self.rows(rows, &empty.schema).map_err(plan_error)?
            }
            LogicalPlan::Extension(extension) => {
                if let Some(window) = WindowFunction::of(plan) {
                    self.window_function(window)?
                } else if let Some(expand) = Expand::of(plan) {
                    self.expand(expand)?
                } else if let Some(unnest) = Unnest::of(plan) {
                    self.unnest(unnest, None)?
                } else if let Some(node) = MatchRecognize::of(plan) {
                    self.match_recognize(node)?
                } else if let Some(node) = StateTtl::of(plan) {
                    // Whoever keeps these rows looks for it.
                    self.plan(&node.input)?
                } else if let Some(join) = AsOf::of(plan) {
                    self.as_of(join)?
                } else if let Some(join) = Lookup::of(plan) {
                    self.lookup(join)?
                } else {
                    return Err(PlanError::not_supported(extension.node.name()));
                }
            }
            other => return Err(PlanError::not_supported(format!("{}", other.display()))),
        };
        mark_times(plan, stream).map_err(plan_error)
    }

    fn projection(&mut self, projection: &Projection) -> Result<Stream, PlanError> {
        let (below, filter) = match projection.input.as_ref() {
            LogicalPlan::Filter(filter) => (&filter.input, Some(&filter.predicate)),
            _ => (&projection.input, None),
        };
        let mut wanted: BTreeSet<&Column> = projection.expr.iter().flat_map(Expr::column_refs).collect();
        let ranked = match projection.input.as_ref() {
            LogicalPlan::Filter(filter) => self.top_n(filter, Some(&wanted))?,
            _ => None,
        };
        if let Some((ranked, rest)) = ranked {
            return self.projected(projection, &ranked, rest.as_ref());
        }
        wanted.extend(filter.iter().flat_map(|expr| expr.column_refs()));
        let input = match Unnest::of(below) {
            Some(unnest) => self.unnest(unnest, Some(&wanted))?,
            None => self.plan(below)?,
        };
        self.projected(projection, &input, filter)
    }

    fn projected(
        &mut self,
        projection: &Projection,
        input: &Stream,
        filter: Option<&Expr>,
    ) -> Result<Stream, PlanError> {
        let output = |(expr, (table, field)): (&Expr, (Option<&TableReference>, &Arc<Field>))| Output {
            table: table.cloned(),
            name: field.name().clone(),
            expr: expr.clone(),
            text: None,
        };
        let outputs = projection.expr.iter().zip(projection.schema.iter()).map(output).collect();
        self.calc(input, filter, Some(outputs)).map_err(plan_error)
    }

    fn alias(&mut self, alias: &SubqueryAlias) -> Result<Stream, PlanError> {
        let input = self.plan(&alias.input)?;
        let rename = |(table, field): (Option<&TableReference>, &Arc<Field>)| {
            let column = Column::new(table.cloned(), field.name());
            match alias.input.schema().maybe_index_of_column(&column) {
                Some(place) => {
                    let (table, named) = alias.schema.qualified_field(place);
                    (table.cloned(), Arc::new(field.as_ref().clone().with_name(named.name())))
                }
                None => (table.cloned(), field.clone()),
            }
        };
        let fields = input.schema.iter().map(rename).collect();
        let schema = DFSchema::new_with_metadata(fields, Default::default()).map_err(plan_error)?;
        Ok(input.renamed(Arc::new(schema)))
    }

    fn union(&mut self, union: &Union) -> Result<Stream, PlanError> {
        let mut streams = vec![];
        for input in &union.inputs {
            let stream = self.plan(input)?;
            streams.push(self.conform(stream, input.schema().columns()).map_err(plan_error)?);
        }
        self.union_of(streams, &union.schema)
    }

    /// The rows of streams whose columns agree with `schema`.
    pub fn union_of(&mut self, inputs: Vec<Stream>, schema: &DFSchema) -> Result<Stream, PlanError> {
        let mut streams = vec![];
        for input in inputs {
            streams.push(self.settle(input).map_err(plan_error)?.1);
        }
        // Rows of one subtask cannot be spread again without losing the order of changes to one key.
        let single = streams.iter().any(|node| self.builder.is_single(*node));
        let exchange = |node: NodeIndex| match single && !self.builder.is_single(node) {
            true => Exchange::Hash(vec![]),
            false => Exchange::Forward,
        };
        let inputs: Vec<_> = streams.iter().map(|node| (*node, exchange(*node))).collect();
        let schema = without_dependencies(schema).map_err(plan_error)?;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Ok(self.builder.add(NewNode {
            kind: "union",
            clause: String::new(),
            meaning: String::new(),
            shareable: true,
            label: format!("Union(all=[true], union=[{}])", names.join(", ")),
            spec: OperatorSpec::Union,
            inputs,
            schema: Arc::new(schema),
            state: None,
            table: None,
            connector: None,
            single,
        }))
    }

    fn limit(&mut self, limit: &Limit) -> Result<Stream, PlanError> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type().map_err(plan_error)?, limit.get_fetch_type().map_err(plan_error)?)
        else {
            return Err(PlanError::not_supported("LIMIT and OFFSET that are not numbers"));
        };
        let rows = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let spec = LimitSpec { offset: rows(skip), fetch: fetch.map(rows) };
        if let (LogicalPlan::Sort(sort), Some(fetch)) = (limit.input.as_ref(), spec.fetch) {
            return self.sort_limit(sort, (spec.offset + 1, spec.offset.saturating_add(fetch)));
        }
        // The optimiser may have put a projection between the order and its limit.
        if spec.fetch.is_some() && orders(&limit.input) {
            let plan = limit.input.as_ref();
            let below = Limit { input: Arc::new(plan.inputs()[0].clone()), ..limit.clone() };
            let below = vec![LogicalPlan::Limit(below)];
            return self.plan(&plan.with_new_exprs(plan.expressions(), below).map_err(plan_error)?);
        }
        let input = self.plan(&limit.input)?;
        let input = self.conform(input, limit.input.schema().columns()).map_err(plan_error)?;
        if !is_insert_only(&self.builder.nodes, &self.builder.facts, input.base()) {
            let end = spec.offset.saturating_add(spec.fetch.unwrap_or(u64::MAX));
            return self.first_rows(&limit.input, input, (spec.offset + 1, end)).map_err(plan_error);
        }
        let (input, node) = self.settle(input).map_err(plan_error)?;
        let fetch = spec.fetch.map_or_else(|| "all".to_string(), |fetch| fetch.to_string());
        Ok(self.builder.add(NewNode {
            kind: "limit",
            clause: format!("{}+{fetch}", spec.offset),
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!("Limit(offset=[{}], fetch=[{fetch}])", spec.offset),
            spec: OperatorSpec::Limit(spec),
            inputs: vec![(node, Exchange::Hash(vec![]))],
            schema: input.schema,
            state: Some(StateNote {
                keeps: "how many rows have passed".into(),
                bound: "bounded".into(),
                unbounded_clause: None,
            }),
            table: None,
            connector: None,
            single: true,
        }))
    }

    fn values(&mut self, values: &Values) -> Result<Stream, PlanError> {
        let empty = DFSchema::empty();
        let one_row = RecordBatch::try_new_with_options(
            Arc::new(Schema::empty()),
            vec![],
            &RecordBatchOptions::new().with_row_count(Some(1)),
        );
        let one_row = one_row.map_err(|error| PlanError::internal(error.to_string()))?;
        let mut rows = vec![];
        for row in &values.values {
            let value = |expr: &Expr| -> Result<ScalarValue> {
                let array = self.physical(expr, &empty)?.evaluate(&one_row)?.into_array(1)?;
                ScalarValue::try_from_array(&array, 0)
            };
            rows.push(row.iter().map(value).collect::<Result<Vec<_>>>().map_err(plan_error)?);
        }
        self.rows(rows, &values.schema).map_err(plan_error)
    }

    /// A table of constants.
    fn rows(&mut self, rows: Vec<Vec<ScalarValue>>, schema: &DFSchema) -> Result<Stream> {
        let schema = Arc::new(without_dependencies(schema)?);
        let mut columns: Vec<ArrayRef> = vec![];
        for (place, field) in schema.fields().iter().enumerate() {
            let values = rows.iter().map(|row| row[place].cast_to(field.data_type()));
            let values = values.collect::<Result<Vec<_>>>()?;
            if values.is_empty() {
                columns.push(arrow::array::new_empty_array(field.data_type()));
            } else {
                columns.push(ScalarValue::iter_to_array(values)?);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema.inner().clone(), columns, &options)?;
        let tuples: Vec<String> = rows.iter().map(|row| tuple_text(row)).collect();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let text = tuples.join(", ");
        let batches = if rows.is_empty() { vec![] } else { vec![batch] };
        Ok(self.builder.add(NewNode {
            kind: "values",
            clause: names.join(","),
            meaning: format!("{:?} {text}", schema.inner()),
            shareable: true,
            label: format!("Values(tuples=[{}])", shortened(&text)),
            spec: OperatorSpec::Values(batches),
            inputs: vec![],
            schema,
            state: None,
            table: Some(("values".to_string(), true)),
            connector: None,
            single: true,
        }))
    }

    fn expand(&mut self, expand: &Expand) -> Result<Stream, PlanError> {
        let input = self.plan(&expand.input)?;
        let input = self.conform(input, expand.input.schema().columns()).map_err(plan_error)?;
        let (input, node) = self.settle(input).map_err(plan_error)?;
        let plan = datafusion_expr::UserDefinedLogicalNodeCore::schema(expand);
        let schema = Arc::new(without_dependencies(plan).map_err(plan_error)?);
        let mut projections = vec![];
        let mut texts = vec![];
        for (set, id) in expand.sets.iter().zip(&expand.ids) {
            let (exprs, text) = copy(expand, set, *id, &input.schema).map_err(plan_error)?;
            projections.push(exprs);
            texts.push(format!("{{{text}}}"));
        }
        let meaning = format!("{projections:?}");
        Ok(self.builder.add(NewNode {
            kind: "expand",
            clause: String::new(),
            meaning,
            shareable: true,
            label: format!("Expand(projects=[{}])", texts.join(", ")),
            spec: OperatorSpec::Expand(ExpandSpec { projections }),
            inputs: vec![(node, Exchange::Forward)],
            schema,
            state: None,
            table: None,
            connector: None,
            single: false,
        }))
    }
}

/// The columns of one copy of a row: keys that `set` leaves out are NULL.
fn copy(
    expand: &Expand,
    set: &[usize],
    id: i64,
    input: &DFSchema,
) -> Result<(Vec<Arc<dyn PhysicalExpr>>, String)> {
    let mut exprs: Vec<Arc<dyn PhysicalExpr>> = vec![];
    let mut texts = vec![];
    for (place, (table, field)) in input.iter().enumerate() {
        let column = Column::new(table.cloned(), field.name());
        match expand.keys.iter().position(|key| *key == column) {
            Some(key) if !set.contains(&key) => {
                exprs.push(Arc::new(Literal::new(ScalarValue::try_from(field.data_type())?)));
                texts.push(format!("null AS {}", field.name()));
            }
            _ => {
                exprs.push(Arc::new(PhysicalColumn::new(field.name(), place)));
                texts.push(field.name().clone());
            }
        }
    }
    exprs.push(Arc::new(Literal::new(ScalarValue::Int64(Some(id)))));
    texts.push(format!("{id} AS $e"));
    Ok((exprs, texts.join(", ")))
}

/// Marks the columns that carry time, as far as `plan` has them.
fn mark_times(plan: &LogicalPlan, stream: Stream) -> Result<Stream> {
    let mark = |(table, field): (Option<&TableReference>, &Arc<Field>)| {
        let column = Column::new(table.cloned(), field.name());
        let attribute = match plan.schema().has_column(&column) {
            true => time_attribute_of(plan, &column),
            false => TimeAttribute::of(field),
        };
        (table.cloned(), Arc::new(TimeAttribute::mark(attribute, field)))
    };
    let fields = stream.schema.iter().map(mark).collect();
    let schema = DFSchema::new_with_metadata(fields, Default::default())?;
    Ok(stream.renamed(Arc::new(schema)))
}

pub(super) fn without_dependencies(schema: &DFSchema) -> Result<DFSchema> {
    let fields = schema.iter().map(|(table, field)| (table.cloned(), field.clone())).collect();
    DFSchema::new_with_metadata(fields, Default::default())
        .map_err(|error| internal_datafusion_err!("columns of a node: {error}"))
}

fn tuple_text(row: &[ScalarValue]) -> String {
    let value = |value: &ScalarValue| crate::query::text::expr_text(&Expr::Literal(value.clone(), None));
    format!("{{ {} }}", row.iter().map(value).collect::<Vec<_>>().join(", "))
}

/// Long texts are cut in labels.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_string(),
    }
}

/// True if rows are in an order, below projections of them.
fn orders(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => orders(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => orders(&alias.input),
        _ => false,
    }
}
