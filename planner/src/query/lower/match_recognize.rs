//! MATCH_RECOGNIZE.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::calc::{Output, unaliased};
use crate::PlanError;
use crate::query::aggregates::TypedAggregate;
use crate::query::changelog::is_insert_only;
use crate::query::error::plan_error;
use crate::query::match_recognize::{Bound, MatchRecognize, Value, match_rows};
use crate::query::text::expr_text;
use datafusion_common::{DFSchema, Result, internal_err, not_impl_err};
use datafusion_expr::{Expr, UserDefinedLogicalNodeCore};
use std::sync::Arc;
use weir_types::{
    AggregateCall, Exchange, MatchExpressions, MatchSpec, MatchValue, Millis, OperatorSpec, PatternVariable,
    SortKey, StateNote, TimeAttribute, column_text,
};

/// The columns that the operator reads: each once, computed below it where it is an expression.
#[derive(Default)]
struct Columns {
    outputs: Vec<Output>,
}

impl Columns {
    fn place(&mut self, expr: &Expr) -> usize {
        let expr = unaliased(expr);
        let known = self.outputs.iter().position(|output| output.expr == *expr);
        known.unwrap_or_else(|| {
            self.outputs.push(match expr {
                Expr::Column(column) => Output::column(column.clone()),
                expr => {
                    Output::named(format!("$k{}", self.outputs.len()), expr.clone()).meaning(expr_text(expr))
                }
            });
            self.outputs.len() - 1
        })
    }
}

impl Lowering<'_> {
    pub fn match_recognize(&mut self, node: &MatchRecognize) -> Result<Stream, PlanError> {
        let input = self.plan(&node.input)?;
        self.match_rows(node, input).map_err(|error| plan_error(error).at(node.span))
    }

    fn match_rows(&mut self, node: &MatchRecognize, input: Stream) -> Result<Stream> {
        let mut columns = Columns::default();
        let partition: Vec<usize> =
            node.partition.iter().map(|column| columns.place(&Expr::Column(column.clone()))).collect();
        let rowtime = (node.attribute == TimeAttribute::RowTime)
            .then(|| columns.place(&Expr::Column(node.time.clone())));
        let order = node.order.iter().map(|key| SortKey {
            column: columns.place(&Expr::Column(key.column.clone())),
            descending: key.descending,
            nulls_first: key.nulls_first,
        });
        // What a partition has in common orders nothing in it.
        let order: Vec<SortKey> = order.filter(|key| !partition.contains(&key.column)).collect();
        let mut variables = vec![];
        for variable in &node.variables {
            let condition = variable.condition.as_ref();
            let condition = condition.map(|bound| self.match_expressions(bound, &mut columns)).transpose()?;
            let (min, max, greedy) =
                (variable.quantifier.min, variable.quantifier.max, variable.quantifier.greedy);
            variables.push(PatternVariable { name: variable.name.clone(), min, max, greedy, condition });
        }
        let measures = self.match_expressions(&node.measures, &mut columns)?;
        let (after, within_ms) = (node.after, node.within_ms);
        let spec = MatchSpec { partition, rowtime, order, variables, after, within_ms, measures };
        // A pattern without conditions over processing time may read nothing at all.
        let input = match columns.outputs.is_empty() {
            true => input,
            false => self.calc(&input, None, Some(columns.outputs))?,
        };
        let (input, below) = self.settle(input)?;
        if !is_insert_only(&self.builder.nodes, &self.builder.facts, below) {
            return not_impl_err!(
                "not supported yet: MATCH_RECOGNIZE over updates, of which rows are only inserted"
            );
        }
        let names: Vec<&str> =
            spec.partition.iter().map(|column| column_text(input.schema.field(*column))).collect();
        let names = names.join(", ");
        let by = if names.is_empty() { String::new() } else { format!("partitionBy=[{names}], ") };
        let mut keys = format!("{} ASC", node.time.name);
        for key in &spec.order {
            let direction = if key.descending { "DESC" } else { "ASC" };
            keys.push_str(&format!(", {} {direction}", column_text(input.schema.field(key.column))));
        }
        let pattern: Vec<String> = spec.variables.iter().map(PatternVariable::text).collect();
        let schema = DFSchema::new_with_metadata(
            node.schema().iter().map(|(table, field)| (table.cloned(), field.clone())).collect(),
            Default::default(),
        )?;
        Ok(self.builder.add(NewNode {
            kind: "match",
            clause: format!("{names}|{keys}|{}", pattern.join(" ")),
            meaning: format!("{spec:?}"),
            shareable: !is_volatile(node),
            label: format!("Match({by}orderBy=[{keys}], {})", node.text),
            state: Some(match_state(&spec, &pattern.join(" "))),
            inputs: vec![(below, Exchange::Hash(spec.partition.clone()))],
            single: spec.partition.is_empty(),
            spec: OperatorSpec::Match(spec),
            schema: Arc::new(schema),
            table: None,
            connector: None,
        }))
    }

    fn match_expressions(&self, bound: &Bound, columns: &mut Columns) -> Result<MatchExpressions> {
        let mut values = vec![];
        for (value, field) in bound.values.iter().zip(&bound.fields) {
            values.push(match value {
                Value::Row { column, .. } => {
                    let column = columns.place(&Expr::Column(column.clone()));
                    let Some(row) = value.row() else { return internal_err!("a value of a row has a row") };
                    MatchValue::Row { row, column }
                }
                Value::Aggregate { rows, call } => {
                    let Some(typed) = call.func.inner().as_ref().downcast_ref::<TypedAggregate>() else {
                        return not_impl_err!("not supported yet: {} in MATCH_RECOGNIZE", call.func.name());
                    };
                    let arguments = call.params.args.iter().map(|argument| columns.place(argument)).collect();
                    let function = typed.function;
                    let output = field.clone();
                    let call = AggregateCall { function, arguments, distinct: false, filter: None, output };
                    MatchValue::Aggregate { rows: match_rows(*rows), call }
                }
                Value::Time => MatchValue::Time(field.clone()),
            });
        }
        let schema = bound.schema()?;
        let expressions = bound.expressions.iter().map(|expr| self.physical(expr, &schema));
        Ok(MatchExpressions { values, expressions: expressions.collect::<Result<_>>()? })
    }
}

/// True if chance or the clock decides about matches. The clock may tell when one was found: that is a measure.
fn is_volatile(node: &MatchRecognize) -> bool {
    let conditions = node.variables.iter().filter_map(|variable| variable.condition.as_ref());
    conditions.chain([&node.measures]).flat_map(|bound| &bound.expressions).any(Expr::is_volatile)
}

fn match_state(spec: &MatchSpec, pattern: &str) -> StateNote {
    let waits = if spec.rowtime.is_some() { "rows until the watermark reaches them, and " } else { "" };
    let keeps = format!("{waits}matches that are not complete, with their rows");
    let ends = spec.variables.iter().all(|variable| variable.max.is_some());
    let (bound, clause) = match spec.within_ms {
        Some(ms) => (format!("dropped WITHIN {} after the first row of a match", Millis(ms)), None),
        None if ends && spec.partition.is_empty() => {
            ("bounded by the rows that the pattern takes".to_string(), None)
        }
        None => {
            let clause = format!("MATCH_RECOGNIZE (PATTERN ({pattern})) without WITHIN");
            (format!("never dropped: {clause} bounds no time"), Some(clause))
        }
    };
    StateNote { keeps, bound, unbounded_clause: clause }
}
