//! The job that the planner hands to the runtime: operators, edges, and what each operator does.

use crate::checkpointing::{CheckpointSettings, RecoverySettings, RestartStrategy};
use crate::{AggregateCall, ChangelogMode, DEFAULT_MAX_PARALLELISM, OperatorId, TableDescriptor, WindowSpec};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A directed acyclic graph of operators. Nodes come in topological order: inputs before their readers.
#[derive(Clone, Debug)]
pub struct JobGraph {
    /// for people: `insert-into_sink`
    pub name: String,
    pub nodes: Vec<OperatorNode>,
    pub settings: JobSettings,
    /// the statement as it was written
    pub sql: String,
}

/// The place of a node in [`JobGraph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub usize);

#[derive(Clone, Debug)]
pub struct OperatorNode {
    pub id: OperatorId,
    /// what EXPLAIN and error messages call it: `GroupAggregate(groupBy=[k], select=[k, COUNT(*) AS c])`
    pub label: String,
    pub spec: OperatorSpec,
    pub inputs: Vec<Input>,
    /// the columns that the node produces
    pub schema: SchemaRef,
    /// the row kinds that the node produces
    pub changelog: ChangelogMode,
    pub parallelism: Parallelism,
    /// what the operator keeps and what bounds it, for people; `None` if it keeps nothing that grows
    pub state: Option<StateNote>,
}

/// The state of an operator in words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StateNote {
    /// `one row of accumulators per key and slice`
    pub keeps: String,
    /// `dropped when the watermark passes the end of the window`
    pub bound: String,
    /// the clause that nothing bounds: `GROUP BY auction`
    pub unbounded_clause: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parallelism {
    /// `parallelism.default`, or what the source or sink can do at most
    Default,
    Fixed(u32),
}

/// One input edge of a node.
#[derive(Clone, Debug)]
pub struct Input {
    pub node: NodeIndex,
    pub exchange: Exchange,
}

/// How rows go from the subtasks of one operator to those of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// subtask i to subtask i; the two may be chained
    Forward,
    /// by the key group of these columns of the producer's schema; no columns: all rows to subtask 0
    Hash(Vec<usize>),
    /// round robin by batch
    Rebalance,
    /// each row to every subtask
    Broadcast,
}

/// What an operator does.
#[derive(Clone, Debug)]
pub enum OperatorSpec {
    Source(SourceSpec),
    /// A bounded inline table: `VALUES`.
    Values(Vec<RecordBatch>),
    Calc(CalcSpec),
    Watermark(WatermarkSpec),
    WindowTableFunction(WindowTableFunctionSpec),
    WindowAggregate(WindowAggregateSpec),
    GroupAggregate(GroupAggregateSpec),
    Expand(ExpandSpec),
    /// The rows of all inputs, which have the same schema.
    Union,
    Limit(LimitSpec),
    Sink(SinkSpec),
    /// Hands rows to whoever runs the job: the result of a SELECT.
    Collect,
}

#[derive(Clone, Debug)]
pub struct SourceSpec {
    pub table: Arc<TableDescriptor>,
    /// The columns to read, as places in `table.columns` of physical and metadata columns only; the node's schema has
    /// them in this order. Empty when only the number of rows matters.
    pub projection: Vec<usize>,
    /// Stop after this many rows in all, where the source can.
    pub limit: Option<u64>,
}

/// Filter, then project.
#[derive(Clone, Debug)]
pub struct CalcSpec {
    /// BOOLEAN over the input's columns; rows where it is not TRUE are dropped, `-U` and `+U` each by itself
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// one expression a column of the output; `None` passes all columns on as they are
    pub projection: Option<Vec<Arc<dyn PhysicalExpr>>>,
}

#[derive(Clone, Debug)]
pub struct WatermarkSpec {
    /// the rowtime column
    pub rowtime: usize,
    /// the watermark of each row, a timestamp of any precision; NULL gives none
    pub expression: Arc<dyn PhysicalExpr>,
    /// `scan.watermark.idle-timeout`; `None`: never idle
    pub idle_timeout_ms: Option<i64>,
    /// `pipeline.auto-watermark-interval` = 0: a watermark after each row that raises it
    pub per_row: bool,
    /// `pipeline.auto-watermark-interval`
    pub interval_ms: i64,
}

/// Where a windowed operator finds the time of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowTime {
    /// a rowtime column: TIMESTAMP or TIMESTAMP_LTZ, precision up to 3
    RowTime(usize),
    /// the clock when the row is processed
    ProcTime,
    /// The row already carries its window (`window_start`, `window_end` of a windowing table function or of a window
    /// aggregation below); `proctime` tells which time drives the window's end.
    Attached { start: usize, end: usize, proctime: bool },
}

/// Columns of a window that an operator appends to its output, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowProperty {
    /// TIMESTAMP(3) NOT NULL
    Start,
    /// TIMESTAMP(3) NOT NULL
    End,
    /// the last millisecond of the window, end - 1 ms, with the type of the input's rowtime; a time attribute
    RowTime,
    /// TIMESTAMP_LTZ(3): the clock when the window was emitted
    ProcTime,
}

/// TUMBLE, HOP or CUMULATE without an aggregation above: each row once per window, with `window_start`,
/// `window_end` and `window_time` appended.
#[derive(Clone, Debug)]
pub struct WindowTableFunctionSpec {
    pub window: WindowSpec,
    pub time: WindowTime,
    /// zone in which windows of a TIMESTAMP_LTZ (or of processing time) are aligned: `table.local-time-zone`
    pub time_zone: Option<Arc<str>>,
    /// columns of SESSION's PARTITION BY
    pub partition: Vec<usize>,
}

/// Output: key columns, then aggregates, then window properties.
#[derive(Clone, Debug)]
pub struct WindowAggregateSpec {
    pub window: WindowSpec,
    pub time: WindowTime,
    pub time_zone: Option<Arc<str>>,
    /// columns of the input
    pub keys: Vec<usize>,
    pub aggregates: Vec<AggregateCall>,
    pub properties: Vec<WindowProperty>,
    /// the input carries `-U` or `-D`
    pub input_retracts: bool,
}

/// Output: key columns, then aggregates. Emits a changelog.
#[derive(Clone, Debug)]
pub struct GroupAggregateSpec {
    /// columns of the input; none: one global group, which emits nothing before its first row
    pub keys: Vec<usize>,
    pub aggregates: Vec<AggregateCall>,
    /// the input carries `-U` or `-D`
    pub input_retracts: bool,
    /// somebody downstream needs `-U`
    pub emit_update_before: bool,
}

/// Each input row once per projection: GROUPING SETS.
#[derive(Clone, Debug)]
pub struct ExpandSpec {
    pub projections: Vec<Vec<Arc<dyn PhysicalExpr>>>,
}

/// The first rows of an append-only input, in order of arrival.
#[derive(Clone, Debug)]
pub struct LimitSpec {
    pub offset: u64,
    pub fetch: Option<u64>,
}

/// The input has the table's persisted columns (physical and non-virtual metadata) in declared order.
#[derive(Clone, Debug)]
pub struct SinkSpec {
    pub table: Arc<TableDescriptor>,
    /// `INSERT OVERWRITE`
    pub overwrite: bool,
    /// places in the table's columns of `PRIMARY KEY`
    pub primary_key: Vec<usize>,
}

/// What the statement's settings say to the runtime; defaults are Flink's where Flink has the setting.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSettings {
    /// `parallelism.default`
    pub parallelism: u32,
    /// `pipeline.max-parallelism`: the number of key groups
    pub max_parallelism: u32,
    /// rows of a batch, at most about
    pub batch_rows: usize,
    /// `pipeline.batch-timeout`: how long a lone row may wait for others
    pub batch_timeout_ms: u64,
    /// bytes that an exchange channel buffers before its sender waits
    pub exchange_bytes: usize,
    /// `execution.checkpointing.*`
    pub checkpointing: CheckpointSettings,
    /// `execution.state-recovery.*`
    pub recovery: RecoverySettings,
    /// `restart-strategy.*`
    pub restart: RestartStrategy,
    /// `table.local-time-zone`
    pub time_zone: Arc<str>,
    /// `table.exec.state.ttl`; 0: never
    pub state_ttl_ms: u64,
    /// `table.exec.source.idle-timeout`; 0: never
    pub source_idle_timeout_ms: u64,
    /// what was set, as text, for the record
    pub changed: BTreeMap<String, String>,
}

impl Default for JobSettings {
    fn default() -> Self {
        JobSettings {
            parallelism: 1,
            max_parallelism: DEFAULT_MAX_PARALLELISM,
            batch_rows: 8192,
            batch_timeout_ms: 100,
            exchange_bytes: 4 << 20,
            checkpointing: CheckpointSettings::default(),
            recovery: RecoverySettings::default(),
            restart: RestartStrategy::Never,
            time_zone: "UTC".into(),
            state_ttl_ms: 0,
            source_idle_timeout_ms: 0,
            changed: BTreeMap::new(),
        }
    }
}
