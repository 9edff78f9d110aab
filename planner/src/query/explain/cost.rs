//! ESTIMATED_COST: rows and effort of each operator with those below it, guessed as Flink guesses them without
//! statistics: a table has 1.0E8 rows, a comparison leaves half of them, an equation 15 %.

use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Column, IsNotNullExpr, Literal, NotExpr};
use std::fmt;
use std::sync::Arc;
use weir_types::{CalcSpec, Exchange, OperatorNode, OperatorSpec, SqlType, WindowSpec, WindowTime};

/// Rows of a table of which nothing is known.
const TABLE_ROWS: f64 = 1e8;
/// Elements of a collection of which nothing is known.
const ELEMENTS: f64 = 10.0;

/// What an operator and all below it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cost {
    /// rows that the operator emits
    pub rowcount: f64,
    /// rows of all operators
    rows: f64,
    /// expressions evaluated, rows hashed or looked up
    cpu: f64,
    /// bytes read from tables
    io: f64,
    /// bytes through exchanges
    network: f64,
    /// bytes of state
    memory: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: f64| {
            let mut bytes = vec![];
            weir_types::text::number::append_double(&mut bytes, value);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        write!(
            f,
            "rowcount = {}, cumulative cost = {{{} rows, {} cpu, {} io, {} network, {} memory}}",
            text(self.rowcount),
            text(self.rows),
            text(self.cpu),
            text(self.io),
            text(self.network),
            text(self.memory)
        )
    }
}

/// One a node, in the order of the nodes.
pub(super) fn costs(nodes: &[OperatorNode]) -> Vec<Cost> {
    let mut costs: Vec<Cost> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mut cost = Cost::default();
        let mut input_rows = 0.0;
        for input in &node.inputs {
            let below = costs[input.node.0];
            input_rows += below.rowcount;
            cost.rows += below.rows;
            cost.cpu += below.cpu;
            cost.io += below.io;
            cost.network += below.network;
            cost.memory += below.memory;
            if input.exchange != Exchange::Forward {
                cost.rows += below.rowcount;
                cost.cpu += below.rowcount;
                cost.network += below.rowcount * row_bytes(&nodes[input.node.0]);
            }
        }
        cost.rowcount = rowcount(node, input_rows);
        cost.rows += cost.rowcount;
        cost.cpu += effort(node, input_rows);
        if let OperatorSpec::Source(_) = node.spec {
            cost.io += cost.rowcount * row_bytes(node);
        }
        if let OperatorSpec::GroupAggregate(_) | OperatorSpec::WindowAggregate(_) = node.spec {
            cost.memory += cost.rowcount * row_bytes(node);
        }
        costs.push(cost);
    }
    costs
}

fn rowcount(node: &OperatorNode, input: f64) -> f64 {
    let at_least_one = |rows: f64| rows.max(1.0);
    match &node.spec {
        OperatorSpec::Source(source) => source.limit.map_or(TABLE_ROWS, |limit| TABLE_ROWS.min(limit as f64)),
        OperatorSpec::Values(batches) => batches.iter().map(|batch| batch.num_rows() as f64).sum(),
        OperatorSpec::Calc(CalcSpec { filter: Some(filter), .. }) => {
            at_least_one(input * selectivity(filter))
        }
        OperatorSpec::WindowTableFunction(spec) => input * copies(spec.window),
        OperatorSpec::Expand(spec) => input * spec.projections.len() as f64,
        OperatorSpec::Unnest(_) => input * ELEMENTS,
        OperatorSpec::GroupAggregate(spec) if spec.keys.is_empty() => 1.0,
        OperatorSpec::WindowAggregate(spec) => match spec.time {
            WindowTime::Attached { .. } => input,
            _ => input * copies(spec.window),
        },
        OperatorSpec::Rank(spec) if spec.partition.is_empty() => input.min(spec.end as f64),
        // As many as each input has on average, where keys tell rows apart.
        OperatorSpec::Join(spec) if !spec.left_keys.is_empty() => input / 2.0,
        OperatorSpec::Limit(spec) => spec.fetch.map_or(input, |fetch| input.min(fetch as f64)),
        _ => input,
    }
}

/// Windows that a row is in.
fn copies(window: WindowSpec) -> f64 {
    match window {
        WindowSpec::Hop { size_ms, slide_ms, .. } => (size_ms as f64 / slide_ms as f64).ceil(),
        WindowSpec::Cumulate { max_size_ms, step_ms, .. } => (max_size_ms as f64 / step_ms as f64).ceil(),
        WindowSpec::Tumble { .. } | WindowSpec::Session { .. } => 1.0,
    }
}

/// Of all rows, those for which a condition holds.
fn selectivity(condition: &Arc<dyn PhysicalExpr>) -> f64 {
    let expr = condition.as_ref();
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        let both = || (selectivity(binary.left()), selectivity(binary.right()));
        return match binary.op() {
            Operator::And => both().0 * both().1,
            Operator::Or => 1.0 - (1.0 - both().0) * (1.0 - both().1),
            Operator::Eq => 0.15,
            Operator::NotEq => 0.85,
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => 0.5,
            _ => 0.25,
        };
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        return 1.0 - selectivity(not.arg());
    }
    if expr.is::<IsNotNullExpr>() { 0.9 } else { 0.25 }
}

fn effort(node: &OperatorNode, input: f64) -> f64 {
    match &node.spec {
        OperatorSpec::Source(_) | OperatorSpec::Values(_) => rowcount(node, 0.0),
        OperatorSpec::Calc(calc) => {
            let computed = |expr: &&Arc<dyn PhysicalExpr>| {
                let expr = expr.as_ref();
                !expr.is::<Column>() && !expr.is::<Literal>()
            };
            let exprs = calc.filter.iter().chain(calc.projection.iter().flatten());
            input * exprs.filter(computed).count() as f64
        }
        OperatorSpec::GroupAggregate(spec) => input * (1 + spec.aggregates.len()) as f64,
        OperatorSpec::WindowAggregate(spec) => input * (1 + spec.aggregates.len()) as f64,
        OperatorSpec::Union | OperatorSpec::Sink(_) | OperatorSpec::Collect => 0.0,
        _ => input,
    }
}

/// Bytes of a row, with Flink's guesses for what varies.
fn row_bytes(node: &OperatorNode) -> f64 {
    node.schema.fields().iter().map(|field| value_bytes(SqlType::of_field(field))).sum()
}

fn value_bytes(sql_type: Option<SqlType>) -> f64 {
    match sql_type {
        Some(SqlType::Boolean | SqlType::TinyInt) => 1.0,
        Some(SqlType::SmallInt) => 2.0,
        Some(SqlType::Int | SqlType::Float | SqlType::Date | SqlType::Time(_)) => 4.0,
        Some(SqlType::BigInt | SqlType::Double) => 8.0,
        Some(SqlType::Array(_) | SqlType::Map(..) | SqlType::Multiset(_) | SqlType::Row(_)) => {
            16.0 * ELEMENTS
        }
        _ => 12.0,
    }
}
