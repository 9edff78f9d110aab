//! Filters and projections.

use super::Lowering;
use super::builder::{NewNode, Stream};
use crate::query::text::expr_text;
use arrow::datatypes::FieldRef;
use datafusion_common::{Column, DFSchema, Result, TableReference};
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;
use weir_types::{CalcSpec, Exchange, OperatorSpec, TimeAttribute};

/// One column of a projection: what it is called, and what it is.
#[derive(Clone, Debug)]
pub(in crate::query) struct Output {
    pub table: Option<TableReference>,
    pub name: String,
    pub expr: Expr,
}

impl Output {
    /// A column under its own name.
    pub fn column(column: Column) -> Output {
        Output { table: column.relation.clone(), name: column.name.clone(), expr: Expr::Column(column) }
    }

    pub fn named(name: impl Into<String>, expr: Expr) -> Output {
        Output { table: None, name: name.into(), expr }
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
        create_physical_expr(expr, schema, &self.properties, &PhysicalPlanningContext::default())
    }

    /// Rows of `input` for which `filter` is TRUE, with the columns of `outputs`; all columns without `outputs`.
    pub fn calc(&mut self, input: &Stream, filter: Option<&Expr>, outputs: Option<Vec<Output>>) -> Result<Stream> {
        let schema = match &outputs {
            Some(outputs) => Arc::new(output_schema(&input.schema, outputs)?),
            None => input.schema.clone(),
        };
        let identity = outputs.as_ref().is_none_or(|outputs| is_identity(&input.schema, outputs));
        if filter.is_none() && identity {
            return Ok(Stream { node: input.node, schema });
        }
        let condition = filter.map(|filter| self.physical(filter, &input.schema)).transpose()?;
        let projected = outputs.as_ref().filter(|_| !identity);
        let projection = projected
            .map(|outputs| {
                let exprs = outputs.iter().map(|output| self.physical(unaliased(&output.expr), &input.schema));
                exprs.collect::<Result<Vec<_>>>()
            })
            .transpose()?;
        let exprs = || filter.into_iter().chain(projected.into_iter().flatten().map(|output| &output.expr));
        let meaning = format!("{condition:?}|{projection:?}");
        let spec = OperatorSpec::Calc(CalcSpec { filter: condition, projection });
        Ok(self.builder.add(NewNode {
            kind: "calc",
            clause: String::new(),
            meaning,
            shareable: !exprs().any(Expr::is_volatile),
            label: label(&schema, filter, outputs.as_deref()),
            spec,
            inputs: vec![(input.node, Exchange::Forward)],
            schema,
            state: None,
            table: None,
            connector: None,
            single: false,
        }))
    }

    /// `input` with exactly `columns`, in their order.
    pub fn conform(&mut self, input: Stream, columns: Vec<Column>) -> Result<Stream> {
        if input.schema.columns() == columns {
            return Ok(input);
        }
        self.calc(&input, None, Some(columns.into_iter().map(Output::column).collect()))
    }
}

fn is_identity(schema: &DFSchema, outputs: &[Output]) -> bool {
    let same = |(place, output): (usize, &Output)| match unaliased(&output.expr) {
        Expr::Column(column) => schema.maybe_index_of_column(column) == Some(place),
        _ => false,
    };
    outputs.len() == schema.fields().len() && outputs.iter().enumerate().all(same)
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
        fields.push((output.table.clone(), Arc::new(TimeAttribute::mark(attribute, &field))));
    }
    DFSchema::new_with_metadata(fields, Default::default())
}

fn label(schema: &DFSchema, filter: Option<&Expr>, outputs: Option<&[Output]>) -> String {
    let select: Vec<String> = match outputs {
        Some(outputs) => outputs.iter().map(output_text).collect(),
        None => schema.fields().iter().map(|field| field.name().clone()).collect(),
    };
    let filter = filter.map_or_else(String::new, |filter| format!(", where=[{}]", expr_text(filter)));
    format!("Calc(select=[{}]{filter})", select.join(", "))
}

fn output_text(output: &Output) -> String {
    let text = expr_text(unaliased(&output.expr));
    if text == output.name { text } else { format!("{text} AS {}", output.name) }
}
