//! TUMBLE, HOP, CUMULATE and SESSION as a node of the logical plan.

use crate::query::names::unique_name;
use crate::query::nodes::{equal_by_meaning, node_of, unordered};
use datafusion_common::{Column, DFSchema, DFSchemaRef, Result, TableReference, internal_err, plan_err};
use datafusion_expr::logical_plan::{Extension, UserDefinedLogicalNodeCore};
use datafusion_expr::{Expr, LogicalPlan};
use sqlparser::tokenizer::Span;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use weir_types::{SqlType, TimeAttribute, WindowSpec};

/// Each row of the input once per window, with the window's start, end and time appended.
#[derive(Debug, Clone)]
pub(super) struct WindowFunction {
    pub input: Arc<LogicalPlan>,
    pub spec: WindowSpec,
    pub attribute: TimeAttribute,
    /// The time column; a window over processing time does not read it.
    pub time: Column,
    /// the type of the time column
    pub time_type: SqlType,
    /// columns of SESSION's PARTITION BY
    pub partition: Vec<Column>,
    /// names of window_start, window_end, window_time: numbered where the input has such columns already
    pub names: [String; 3],
    /// `GROUP BY TUMBLE(..)`, the older syntax: the keys of the aggregation above partition a session
    pub group_window: bool,
    /// where the statement has the function; empty within a view
    pub span: Span,
    schema: DFSchemaRef,
}

impl WindowFunction {
    pub fn try_new(
        input: LogicalPlan,
        spec: WindowSpec,
        attribute: TimeAttribute,
        time: Column,
        time_type: SqlType,
        partition: Vec<Column>,
        group_window: bool,
    ) -> Result<Self> {
        let taken: BTreeSet<&str> =
            input.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let names = ["window_start", "window_end", "window_time"].map(|name| unique_name(name, &taken));
        Self::with_names(Arc::new(input), spec, attribute, time, time_type, partition, names, group_window)
    }

    fn with_names(
        input: Arc<LogicalPlan>,
        spec: WindowSpec,
        attribute: TimeAttribute,
        time: Column,
        time_type: SqlType,
        partition: Vec<Column>,
        names: [String; 3],
        group_window: bool,
    ) -> Result<Self> {
        let own = |field| (None::<TableReference>, Arc::new(field));
        let bound = SqlType::Timestamp(3);
        let time_field = time_type.to_field(&names[2], false);
        let appended = [
            own(bound.to_field(&names[0], false)),
            own(bound.to_field(&names[1], false)),
            own(TimeAttribute::mark(Some(attribute), &time_field)),
        ];
        let fields = input.schema().iter().map(|(table, field)| (table.cloned(), field.clone()));
        let fields = fields.chain(appended).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        let span = Span::empty();
        Ok(WindowFunction {
            input,
            spec,
            attribute,
            time,
            time_type,
            partition,
            names,
            group_window,
            span,
            schema,
        })
    }

    /// The same, standing at `span`.
    pub fn at(self, span: Span) -> Self {
        WindowFunction { span, ..self }
    }

    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The node, if `plan` is one.
    pub fn of(plan: &LogicalPlan) -> Option<&WindowFunction> {
        node_of(plan)
    }

    /// Which of the appended columns `name` is: 0 start, 1 end, 2 time.
    pub fn appended(&self, column: &Column) -> Option<usize> {
        match column.relation {
            Some(_) => None,
            None => self.names.iter().position(|name| *name == column.name),
        }
    }

    /// What two nodes must share to be equal, apart from the input.
    fn meaning(&self) -> impl Hash + PartialEq + '_ {
        let time = (self.attribute, &self.time, &self.time_type);
        (self.spec, time, &self.partition, &self.names, self.group_window)
    }
}

equal_by_meaning!(WindowFunction);
unordered!(WindowFunction);

impl UserDefinedLogicalNodeCore for WindowFunction {
    fn name(&self) -> &str {
        "WindowTableFunction"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let time = (self.attribute == TimeAttribute::RowTime).then_some(&self.time);
        time.into_iter().chain(&self.partition).cloned().map(Expr::Column).collect()
    }

    /// Which window a row falls into does not depend on other rows, but for sessions: there only whole partitions may
    /// go before.
    #[allow(clippy::disallowed_types, reason = "the type that DataFusion asks for")]
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        let mut columns: std::collections::HashSet<String> = self.names.iter().cloned().collect();
        if let WindowSpec::Session { .. } = self.spec {
            let others = self.schema.iter().filter(|(table, field)| {
                let column = Column::new(table.cloned(), field.name());
                !self.partition.contains(&column)
            });
            columns.extend(others.map(|(_, field)| field.name().clone()));
        }
        columns
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "WindowTableFunction: {} on {}", self.spec, self.time.name)?;
        if !self.partition.is_empty() {
            let names: Vec<&str> = self.partition.iter().map(|column| column.name.as_str()).collect();
            write!(f, " partition by {}", names.join(", "))?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut columns = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let Expr::Column(column) = expr else {
                return internal_err!("window functions are over columns, not {expr}");
            };
            columns.push(column);
        }
        let mut columns = columns.into_iter();
        let time = match self.attribute {
            TimeAttribute::RowTime => columns.next(),
            TimeAttribute::ProcTime => Some(self.time.clone()),
        };
        let (Some(time), Some(input)) = (time, inputs.into_iter().next()) else {
            return internal_err!("a window function has one time column and one input");
        };
        let (spec, names) = (self.spec, self.names.clone());
        let (attribute, time_type) = (self.attribute, self.time_type.clone());
        let partition = columns.collect();
        let group_window = self.group_window;
        let node = Self::with_names(
            Arc::new(input),
            spec,
            attribute,
            time,
            time_type,
            partition,
            names,
            group_window,
        )?;
        Ok(WindowFunction { span: self.span, ..node })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let inputs = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < inputs).collect()])
    }
}

/// Checks what Flink checks of a window's lengths.
pub(super) fn check_window(spec: WindowSpec) -> Result<WindowSpec> {
    let (positive, divides) = match spec {
        WindowSpec::Tumble { size_ms, .. } => (size_ms > 0, true),
        WindowSpec::Hop { size_ms, slide_ms, .. } => (size_ms > 0 && slide_ms > 0, true),
        WindowSpec::Cumulate { max_size_ms, step_ms, .. } => {
            (max_size_ms > 0 && step_ms > 0, step_ms > 0 && max_size_ms % step_ms == 0)
        }
        WindowSpec::Session { gap_ms } => (gap_ms > 0, true),
    };
    if let WindowSpec::Tumble { size_ms, offset_ms } = spec
        && positive
        && offset_ms.abs() >= size_ms
    {
        return plan_err!("the offset of window {spec} must be less than its size");
    }
    if !positive {
        return plan_err!("the lengths of window {spec} must be positive");
    }
    if !divides {
        return plan_err!("the size of window {spec} must be a multiple of its step");
    }
    Ok(spec)
}
