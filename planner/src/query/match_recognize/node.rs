//! MATCH_RECOGNIZE as a node of the logical plan.

use super::pattern::Quantifier;
use crate::query::nodes::{equal_by_meaning, node_of, unordered};
use arrow::datatypes::FieldRef;
use datafusion_common::{Column, DFSchema, DFSchemaRef, ExprSchema, Result, TableReference, internal_err};
use datafusion_expr::expr::AggregateFunction as AggregateExpr;
use datafusion_expr::logical_plan::{Extension, UserDefinedLogicalNodeCore};
use datafusion_expr::{Expr, LogicalPlan};
use sqlparser::tokenizer::Span;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use weir_types::{AfterMatch, MatchRow, MatchRows, TimeAttribute};

/// Sequences of rows of the input that follow a pattern: the columns of the partition and the measures, one row a match.
#[derive(Debug, Clone)]
pub(in crate::query) struct MatchRecognize {
    pub input: Arc<LogicalPlan>,
    pub attribute: TimeAttribute,
    /// The time column; a match over processing time does not read it.
    pub time: Column,
    pub partition: Vec<Column>,
    pub order: Vec<OrderKey>,
    pub variables: Vec<Variable>,
    pub after: AfterMatch,
    pub within_ms: Option<i64>,
    /// one expression a measure
    pub measures: Bound,
    /// what carries time among the measures
    times: Vec<Option<TimeAttribute>>,
    /// the clause as EXPLAIN shows it, behind the keys: measures, pattern, define
    pub text: String,
    /// where the statement has the clause; empty within a view
    pub span: Span,
    schema: DFSchemaRef,
}

/// A further column of ORDER BY.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::query) struct OrderKey {
    pub column: Column,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A variable of the pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::query) struct Variable {
    pub name: String,
    pub quantifier: Quantifier,
    pub condition: Option<Bound>,
}

/// Expressions over values of a match, which they read as columns `$m0`, `$m1` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::query) struct Bound {
    pub values: Vec<Value>,
    /// the columns that stand for the values
    pub fields: Vec<FieldRef>,
    pub expressions: Vec<Expr>,
}

impl Bound {
    /// The columns that stand for the values.
    pub fn schema(&self) -> Result<DFSchema> {
        let fields = self.fields.iter().map(|field| (None::<TableReference>, field.clone())).collect();
        DFSchema::new_with_metadata(fields, Default::default())
    }
}

/// As [`weir_types::MatchValue`], over columns of the input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::query) enum Value {
    Row { rows: RowsKey, from_first: bool, offset: u32, column: Column },
    Aggregate { rows: RowsKey, call: AggregateExpr },
    Time,
}

/// The place of a variable in the pattern; `None`: all rows.
pub(in crate::query) type RowsKey = Option<usize>;

pub(in crate::query) fn match_rows(rows: RowsKey) -> MatchRows {
    rows.map_or(MatchRows::All, MatchRows::Variable)
}

impl Value {
    /// Which row it is of, if it is of one.
    pub fn row(&self) -> Option<MatchRow> {
        match self {
            Value::Row { rows, from_first, offset, .. } => {
                Some(MatchRow { rows: match_rows(*rows), from_first: *from_first, offset: *offset })
            }
            _ => None,
        }
    }

    fn inputs(&self) -> Vec<Expr> {
        match self {
            Value::Row { column, .. } => vec![Expr::Column(column.clone())],
            Value::Aggregate { call, .. } => call.params.args.clone(),
            Value::Time => vec![],
        }
    }

    fn replace(&mut self, inputs: &mut impl Iterator<Item = Expr>) -> Result<()> {
        match self {
            Value::Row { column, .. } => *column = column_of(inputs.next())?,
            Value::Aggregate { call, .. } => {
                for argument in &mut call.params.args {
                    let Some(expr) = inputs.next() else {
                        return internal_err!("an aggregate of MATCH_RECOGNIZE lost an argument");
                    };
                    *argument = expr.unalias_nested().data;
                }
            }
            Value::Time => {}
        }
        Ok(())
    }
}

fn column_of(expr: Option<Expr>) -> Result<Column> {
    match expr.map(|expr| expr.unalias_nested().data) {
        Some(Expr::Column(column)) => Ok(column),
        other => internal_err!("MATCH_RECOGNIZE is over columns, not {other:?}"),
    }
}

/// What a [`MatchRecognize`] is made of, before its schema is known.
pub(in crate::query) struct Parts {
    pub input: LogicalPlan,
    pub attribute: TimeAttribute,
    pub time: Column,
    pub partition: Vec<Column>,
    pub order: Vec<OrderKey>,
    pub variables: Vec<Variable>,
    pub after: AfterMatch,
    pub within_ms: Option<i64>,
    pub measures: Bound,
    /// the columns of the measures, and what carries time among them
    pub results: Vec<(FieldRef, Option<TimeAttribute>)>,
    pub text: String,
    pub span: Span,
}

impl MatchRecognize {
    pub fn try_new(parts: Parts) -> Result<Self> {
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = vec![];
        for column in &parts.partition {
            fields.push((None, parts.input.schema().field_from_column(column)?.clone()));
        }
        let (results, times): (Vec<_>, Vec<_>) = parts.results.into_iter().unzip();
        fields.extend(results.into_iter().map(|field| (None, field)));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(MatchRecognize {
            input: Arc::new(parts.input),
            attribute: parts.attribute,
            time: parts.time,
            partition: parts.partition,
            order: parts.order,
            variables: parts.variables,
            after: parts.after,
            within_ms: parts.within_ms,
            measures: parts.measures,
            times,
            text: parts.text,
            span: parts.span,
            schema,
        })
    }

    pub fn of(plan: &LogicalPlan) -> Option<&MatchRecognize> {
        node_of(plan)
    }

    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The time that a column of the output carries.
    pub fn time_of(&self, column: &Column) -> Option<TimeAttribute> {
        let place = self.schema.maybe_index_of_column(column)?;
        self.times.get(place.checked_sub(self.partition.len())?).copied().flatten()
    }

    /// The conditions of the variables and the measures.
    fn bounds(&self) -> impl Iterator<Item = &Bound> {
        self.variables.iter().filter_map(|variable| variable.condition.as_ref()).chain([&self.measures])
    }

    fn meaning(&self) -> impl Hash + PartialEq + '_ {
        let order = (self.attribute, &self.time, &self.order, self.within_ms);
        let after = match self.after {
            AfterMatch::SkipPastLastRow => (0, 0),
            AfterMatch::SkipToNextRow => (1, 0),
            AfterMatch::SkipToFirst(variable) => (2, variable),
            AfterMatch::SkipToLast(variable) => (3, variable),
        };
        (order, &self.partition, &self.variables, after, &self.measures, &self.schema)
    }
}

equal_by_meaning!(MatchRecognize);
unordered!(MatchRecognize);

impl UserDefinedLogicalNodeCore for MatchRecognize {
    fn name(&self) -> &str {
        "Match"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    /// What is read of the input. The expressions over values of a match are no concern of rules: they are over rows of
    /// several places.
    fn expressions(&self) -> Vec<Expr> {
        let time = (self.attribute == TimeAttribute::RowTime).then_some(&self.time);
        let order = self.order.iter().map(|key| &key.column);
        let columns = self.partition.iter().chain(time).chain(order).cloned().map(Expr::Column);
        columns.chain(self.bounds().flat_map(|bound| &bound.values).flat_map(Value::inputs)).collect()
    }

    /// A condition on matches says nothing of rows.
    #[allow(clippy::disallowed_types, reason = "the type that DataFusion asks for")]
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.partition.iter().map(|column| column.name.as_str()).collect();
        write!(f, "Match: partitionBy=[{}], orderBy=[{}], {}", names.join(", "), self.time.name, self.text)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut node = self.clone();
        let mut exprs = exprs.into_iter();
        for column in &mut node.partition {
            *column = column_of(exprs.next())?;
        }
        if node.attribute == TimeAttribute::RowTime {
            node.time = column_of(exprs.next())?;
        }
        for key in &mut node.order {
            key.column = column_of(exprs.next())?;
        }
        let conditions = node.variables.iter_mut().filter_map(|variable| variable.condition.as_mut());
        for value in conditions.chain([&mut node.measures]).flat_map(|bound| &mut bound.values) {
            value.replace(&mut exprs)?;
        }
        let Some(input) = inputs.into_iter().next() else {
            return internal_err!("MATCH_RECOGNIZE has one input");
        };
        node.input = Arc::new(input);
        Ok(node)
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let exprs = self.expressions();
        let columns = exprs.iter().flat_map(Expr::column_refs);
        let mut places: Vec<usize> =
            columns.filter_map(|column| schema.maybe_index_of_column(column)).collect();
        places.sort_unstable();
        places.dedup();
        Some(vec![places])
    }
}
