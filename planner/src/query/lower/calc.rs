//! Filters and projections.

use super::Lowering;
use super::builder::{NewNode, Pending, Stream};
use crate::query::text::expr_text;
use crate::query::watermark::{read_column, reads_watermark, with_watermark};
use arrow::datatypes::FieldRef;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{
    Column, DFSchema, DataFusionError, Result, TableReference, internal_err, not_impl_err,
};
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;
use weir_functions::guard;
use weir_types::{
    CalcSpec, EXPRESSION_KEY, Exchange, NodeIndex, OperatorSpec, TimeAttribute, mark_expression,
};

/// One column of a projection: what it is called, and what it is.
#[derive(Clone, Debug)]
pub(in crate::query) struct Output {
    pub table: Option<TableReference>,
    pub name: String,
    pub expr: Expr,
    /// what the query has for a column that only the planner has a name for
    pub text: Option<String>,
}

impl Output {
    /// A column under its own name.
    pub fn column(column: Column) -> Output {
        let (table, name) = (column.relation.clone(), column.name.clone());
        Output { table, name, expr: Expr::Column(column), text: None }
    }

    pub fn named(name: impl Into<String>, expr: Expr) -> Output {
        Output { table: None, name: name.into(), expr, text: None }
    }

    /// The same column, which people know as `text`: a name of the planner's own says nothing.
    pub fn meaning(self, text: String) -> Output {
        Output { text: Some(without_parentheses(&text).to_string()), ..self }
    }
}

/// Without the names around it.
pub(in crate::query) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        expr => expr,
    }
}

impl Lowering<'_> {
    pub fn physical(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        if reads_watermark(expr)? {
            return not_impl_err!(
                "not supported yet: CURRENT_WATERMARK elsewhere than in SELECT, WHERE and HAVING"
            );
        }
        guard(create_physical_expr(expr, schema, &self.properties, &PhysicalPlanningContext::default())?)
    }

    /// Rows of `input` for which `filter` is TRUE, with the columns of `outputs`; all columns without `outputs`.
    pub fn calc(
        &mut self,
        input: &Stream,
        filter: Option<&Expr>,
        outputs: Option<Vec<Output>>,
    ) -> Result<Stream> {
        let schema = match &outputs {
            Some(outputs) => Arc::new(output_schema(&input.schema, outputs)?),
            None => input.schema.clone(),
        };
        if !composes(input, filter, outputs.as_deref())? {
            let settled = self.settle(input.clone())?.0;
            return self.calc(&settled, filter, outputs);
        }
        let base = input.pending.as_ref().map_or(&input.schema, |pending| &pending.input).clone();
        let inner = input.pending.as_ref().and_then(|pending| pending.outputs.as_deref());
        let substitute = |expr: &Expr| substitute(expr, &input.schema, &base, inner);
        let mut composed = filter.map(substitute).transpose()?;
        if composed.is_none() {
            composed = input.pending.as_ref().and_then(|pending| pending.filter.clone());
        }
        let outputs = match outputs {
            Some(outputs) => {
                let substituted = outputs
                    .into_iter()
                    .map(|output| Ok(Output { expr: substitute(unaliased(&output.expr))?, ..output }));
                Some(substituted.collect::<Result<Vec<_>>>()?)
            }
            None => inner.map(<[Output]>::to_vec),
        };
        let pending = Pending { input: base, filter: composed, outputs };
        let does_nothing = pending.filter.is_none() && pending.is_identity();
        let pending = (!does_nothing).then_some(pending);
        let mut stream = Stream::of(input.base(), schema);
        stream.pending = pending;
        Ok(stream)
    }

    /// The stream with a node of its own.
    pub fn settle(&mut self, stream: Stream) -> Result<(Stream, NodeIndex)> {
        if let Some(node) = stream.node() {
            return Ok((stream, node));
        }
        let Some(pending) = &stream.pending else { return internal_err!("a stream without a node") };
        let Pending { input, filter, outputs } = pending;
        let projected = outputs.as_ref().filter(|_| !pending.is_identity());
        let mut all = filter.iter().chain(projected.into_iter().flatten().map(|output| &output.expr));
        let reads_watermark =
            all.try_fold(false, |reads, expr| Ok::<_, DataFusionError>(reads | reads_watermark(expr)?))?;
        let extended = if reads_watermark { with_watermark(input)? } else { input.as_ref().clone() };
        let physical = |expr: &Expr| match reads_watermark {
            true => self.physical(&read_column(expr, input)?, &extended),
            false => self.physical(expr, input),
        };
        let condition = filter.as_ref().map(physical).transpose()?;
        let all_columns = || input.columns().into_iter().map(Expr::Column).collect::<Vec<_>>();
        let projected_exprs = match projected {
            Some(outputs) => Some(outputs.iter().map(|output| output.expr.clone()).collect()),
            // The watermark is not handed on.
            None => reads_watermark.then(all_columns),
        };
        let projection = projected_exprs
            .map(|exprs| exprs.iter().map(physical).collect::<Result<Vec<_>>>())
            .transpose()?;
        let mut exprs = filter.iter().chain(projected.into_iter().flatten().map(|output| &output.expr));
        let new = NewNode {
            kind: "calc",
            clause: String::new(),
            meaning: format!("{condition:?}|{projection:?}"),
            shareable: !exprs.any(Expr::is_volatile),
            label: label(&stream.schema, pending),
            spec: OperatorSpec::Calc(CalcSpec { filter: condition, projection, reads_watermark }),
            inputs: vec![(stream.base(), Exchange::Forward)],
            schema: stream.schema.clone(),
            state: None,
            table: None,
            connector: None,
            single: false,
        };
        let added = self.builder.add(new);
        let node = added.base();
        Ok((added, node))
    }

    /// `input` with exactly `columns`, in their order.
    pub fn conform(&mut self, input: Stream, columns: Vec<Column>) -> Result<Stream> {
        if input.schema.columns() == columns {
            return Ok(input);
        }
        self.calc(&input, None, Some(columns.into_iter().map(Output::column).collect()))
    }
}

impl Pending {
    fn is_identity(&self) -> bool {
        let Some(outputs) = &self.outputs else { return true };
        let same = |(place, output): (usize, &Output)| match &output.expr {
            Expr::Column(column) => self.input.maybe_index_of_column(column) == Some(place),
            _ => false,
        };
        outputs.len() == self.input.fields().len() && outputs.iter().enumerate().all(same)
    }
}

/// True if a Calc over `input` and what is pending there can be one: nothing is computed twice, and no filter moves
/// before another.
fn composes(input: &Stream, filter: Option<&Expr>, outputs: Option<&[Output]>) -> Result<bool> {
    let Some(pending) = &input.pending else { return Ok(true) };
    if filter.is_some() && pending.filter.is_some() {
        return Ok(false);
    }
    let Some(inner) = &pending.outputs else { return Ok(true) };
    let mut reads = vec![0; inner.len()];
    for expr in filter.into_iter().chain(outputs.into_iter().flatten().map(|output| &output.expr)) {
        expr.apply(|expr| {
            if let Expr::Column(column) = expr {
                reads[input.schema.index_of_column(column)?] += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if outputs.is_none() {
        // All columns are handed on beside the condition.
        reads.iter_mut().for_each(|reads| *reads += 1);
    }
    let fits = |(output, reads): (&Output, &i32)| match &output.expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        expr => *reads <= 1 && !expr.is_volatile(),
    };
    Ok(inner.iter().zip(&reads).all(fits))
}

/// `expr` over `schema` in terms of `base`, from which `inner` computes the columns of `schema`.
fn substitute(expr: &Expr, schema: &DFSchema, base: &DFSchema, inner: Option<&[Output]>) -> Result<Expr> {
    let replace = |expr: Expr| match &expr {
        Expr::Column(column) => {
            let place = schema.index_of_column(column)?;
            Ok(Transformed::yes(match inner {
                Some(outputs) => outputs[place].expr.clone(),
                None => Expr::Column(Column::from(base.qualified_field(place))),
            }))
        }
        _ => Ok(Transformed::no(expr)),
    };
    // What is put in is not looked at again.
    Ok(expr.clone().transform_up(replace)?.data)
}

fn output_schema(input: &DFSchema, outputs: &[Output]) -> Result<DFSchema> {
    let mut fields: Vec<(Option<TableReference>, FieldRef)> = vec![];
    for output in outputs {
        let expr = unaliased(&output.expr);
        let field = expr.to_field(input)?.1.as_ref().clone().with_name(&output.name);
        // A time attribute is a column as it is; metadata that survives an expression says nothing.
        let attribute = match expr {
            Expr::Column(_) => TimeAttribute::of(&field),
            _ => None,
        };
        let field = TimeAttribute::mark(attribute, &field);
        // So does what a column means, if it keeps its name.
        let meaning = match expr {
            _ if output.text.is_some() => output.text.clone(),
            Expr::Column(column) if column.name == output.name => {
                field.metadata().get(EXPRESSION_KEY).cloned()
            }
            expr if is_internal(&output.name) => Some(without_parentheses(&expr_text(expr)).to_string()),
            _ => None,
        };
        fields.push((output.table.clone(), Arc::new(mark_expression(meaning.as_deref(), &field))));
    }
    DFSchema::new_with_metadata(fields, Default::default())
}

/// True for columns that the optimiser has made.
fn is_internal(name: &str) -> bool {
    name.starts_with("__common_expr")
}

/// `(a + b)` as `a + b`; `(a) + (b)` as it is.
fn without_parentheses(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else { return text };
    let mut open = 0;
    let mut quoted = false;
    for letter in inner.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => open += 1,
            ')' if !quoted && open == 0 => return text,
            ')' if !quoted => open -= 1,
            _ => {}
        }
    }
    inner
}

fn label(schema: &DFSchema, pending: &Pending) -> String {
    let select: Vec<String> = match &pending.outputs {
        Some(outputs) => outputs
            .iter()
            .zip(schema.fields())
            .map(|(output, field)| output_text(output, field.name()))
            .collect(),
        None => schema.fields().iter().map(|field| field.name().clone()).collect(),
    };
    let filter =
        pending.filter.as_ref().map_or_else(String::new, |filter| format!(", where=[{}]", expr_text(filter)));
    format!("Calc(select=[{}]{filter})", select.join(", "))
}

fn output_text(output: &Output, name: &str) -> String {
    let text = expr_text(&output.expr);
    if text == name { text } else { format!("{text} AS {name}") }
}
