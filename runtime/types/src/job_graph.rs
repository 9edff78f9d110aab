//! The job that the planner hands to the runtime: operators, edges, and what each operator does.

use crate::checkpointing::{CheckpointSettings, RecoverySettings, RestartStrategy};
use crate::state_backend::StateBackendSettings;
use crate::{
    AggregateCall, ChangelogMode, ChangelogNormalizeSpec, DEFAULT_MAX_PARALLELISM, LookupJoinSpec, MatchSpec,
    OperatorId, OverAnyOrderSpec, OverPartitionSpec, OverSpec, SinkMaterializeSpec, SqlType, TableDescriptor,
    WindowSpec,
};
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
    LocalAggregate(LocalAggregateSpec),
    GroupAggregate(GroupAggregateSpec),
    Expand(ExpandSpec),
    Unnest(UnnestSpec),
    /// of two inputs, the left one first
    Join(JoinSpec),
    /// of two inputs, the left one first
    TimedJoin(TimedJoinSpec),
    LookupJoin(LookupJoinSpec),
    Rank(RankSpec),
    Deduplicate(DeduplicateSpec),
    ChangelogNormalize(ChangelogNormalizeSpec),
    SinkMaterialize(SinkMaterializeSpec),
    /// Leaves `-U` out, for a sink that does not take it.
    DropUpdateBefore {
        /// `-U` becomes `-D`, where it may come without a `+U` behind it
        as_deletes: bool,
    },
    Over(OverSpec),
    OverAnyOrder(OverAnyOrderSpec),
    OverPartition(OverPartitionSpec),
    Match(MatchSpec),
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
    /// The expressions read the watermark that the operator has reached as one more column behind the input's: TIMESTAMP
    /// in milliseconds, NULL before the first watermark.
    pub reads_watermark: bool,
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
    /// how long a group that is not touched lives; 0: for ever; `None`: as `table.exec.state.ttl` has it
    pub ttl_ms: Option<u64>,
    /// What becomes of a group with a whole batch is emitted, not what becomes of it with each row.
    pub bundles: bool,
    /// The input is that of [`LocalAggregateSpec`]: keys, then accumulators of rows with these columns, which the arguments
    /// of the aggregates refer to.
    pub merges: Option<SchemaRef>,
}

/// Aggregates the rows of each batch by themselves, before they are distributed by their keys. Keeps nothing. Output: key
/// columns, then the accumulators as BYTES.
#[derive(Clone, Debug)]
pub struct LocalAggregateSpec {
    /// columns of the input
    pub keys: Vec<usize>,
    /// without DISTINCT
    pub aggregates: Vec<AggregateCall>,
    /// the input carries `-U` or `-D`
    pub input_retracts: bool,
}

/// Each input row once per projection: GROUPING SETS.
#[derive(Clone, Debug)]
pub struct ExpandSpec {
    pub projections: Vec<Vec<Arc<dyn PhysicalExpr>>>,
}

/// A row for each element of a collection, beside the row that has it: CROSS JOIN UNNEST, LEFT JOIN UNNEST.
///
/// Output: the columns at `columns`, then those of the elements: the fields of an ARRAY or MULTISET of rows, key and value
/// of a MAP, else the element itself; then the ordinal. A row with a NULL or empty collection gives nothing, and an
/// element that is a NULL row neither.
#[derive(Clone, Debug)]
pub struct UnnestSpec {
    /// over the columns of the input
    pub collection: Arc<dyn PhysicalExpr>,
    /// ARRAY, MAP or MULTISET
    pub collection_type: SqlType,
    /// columns of the input that are handed on
    pub columns: Vec<usize>,
    /// WITH ORDINALITY: the place of the element in its collection, from 1, as INT
    pub ordinality: bool,
    /// LEFT JOIN: a row that would give nothing is handed on with NULL for the element and the ordinal
    pub outer: bool,
    /// of LEFT JOIN: which elements a row has, over the columns of the output
    pub condition: Option<Arc<dyn PhysicalExpr>>,
}

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// pairs that match
    Inner,
    /// and left rows without a match, beside NULLs
    Left,
    /// and right rows without a match
    Right,
    /// and both
    Full,
    /// left rows that have a match
    LeftSemi,
    /// left rows that have none
    LeftAnti,
}

impl JoinKind {
    /// Left rows without a match are given beside NULLs.
    pub fn keeps_left(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full)
    }

    /// Right rows without a match are given beside NULLs.
    pub fn keeps_right(self) -> bool {
        matches!(self, JoinKind::Right | JoinKind::Full)
    }

    /// Columns of the right are not given.
    pub fn is_left_only(self) -> bool {
        matches!(self, JoinKind::LeftSemi | JoinKind::LeftAnti)
    }

    /// `InnerJoin`, as Flink's EXPLAIN has it.
    pub fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "InnerJoin",
            JoinKind::Left => "LeftOuterJoin",
            JoinKind::Right => "RightOuterJoin",
            JoinKind::Full => "FullOuterJoin",
            JoinKind::LeftSemi => "LeftSemiJoin",
            JoinKind::LeftAnti => "LeftAntiJoin",
        }
    }
}

/// A regular join: rows of both inputs are kept until they are taken back.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    pub kind: JoinKind,
    /// columns of the left input that must equal those of the right input at the same places, which have the same types;
    /// none: every row meets every other
    pub left_keys: Vec<usize>,
    pub right_keys: Vec<usize>,
    /// NULL equals NULL among the keys; otherwise a row with NULL among them matches nothing
    pub nulls_match: bool,
    /// BOOLEAN over the columns of left and right, one behind the other: pairs for which it is not TRUE do not match
    pub condition: Option<Arc<dyn PhysicalExpr>>,
    /// columns that are given: of the left, then of the right
    pub left_columns: Vec<usize>,
    pub right_columns: Vec<usize>,
    /// the inputs carry `-U` or `-D`
    pub left_retracts: bool,
    pub right_retracts: bool,
    /// columns by which the rows of an input are told apart at any time, where there are such
    pub left_unique: Option<Vec<usize>>,
    pub right_unique: Option<Vec<usize>>,
    /// how long rows of a key that is not touched live; 0: for ever; `None`: as `table.exec.state.ttl` has it
    pub left_ttl_ms: Option<u64>,
    pub right_ttl_ms: Option<u64>,
}

/// What bounds a join by event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedJoinBy {
    /// Rows of the same window meet when it has passed. The bounds of the window are among the keys, and the times of
    /// both sides are its end. Both inputs only insert, and so does the output.
    Window,
    /// A left row at t meets right rows from t + lower to t + upper, in milliseconds; the condition says so as well. Both
    /// inputs only insert, and so does the output. No semi and no anti join.
    Interval { lower_ms: i64, upper_ms: i64 },
    /// A left row at t meets the last right row of its key up to t. Deletions of the right end a version. Inner and left
    /// joins.
    Version,
}

/// A join whose state event time bounds.
#[derive(Clone, Debug)]
pub struct TimedJoinSpec {
    pub kind: JoinKind,
    pub by: TimedJoinBy,
    /// columns of the left input that must equal those of the right input at the same places, which have the same types
    pub left_keys: Vec<usize>,
    pub right_keys: Vec<usize>,
    /// NULL equals NULL among the keys
    pub nulls_match: bool,
    /// TIMESTAMP columns, in milliseconds when compared
    pub left_time: usize,
    pub right_time: usize,
    /// Of intervals: the time of a row is the clock's when it comes, and those columns are not read.
    pub by_clock: bool,
    /// BOOLEAN over the columns of left and right, one behind the other: pairs for which it is not TRUE do not match
    pub condition: Option<Arc<dyn PhysicalExpr>>,
    /// columns that are given: of the left, then of the right
    pub left_columns: Vec<usize>,
    pub right_columns: Vec<usize>,
}

/// A column to order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// The rows of each partition that have certain ranks by ROW_NUMBER: Top-N. Of equal rows the one that came first has the
/// lower rank. Output: `columns`, then the rank.
#[derive(Clone, Debug)]
pub struct RankSpec {
    /// columns of the input; none: one partition
    pub partition: Vec<usize>,
    /// at least one, none of them of the partition
    pub order: Vec<SortKey>,
    /// first and last rank that are given, from 1
    pub start: u64,
    pub end: u64,
    /// columns of the input that are given
    pub columns: Vec<usize>,
    /// the rank as a last column, BIGINT
    pub outputs_rank: bool,
    /// the input carries `-U` or `-D`
    pub input_retracts: bool,
    /// Columns of the input, more than those of the partition, by which a row is known: it comes again whenever it has
    /// changed, and never falls behind another by that. So rows past `end` need not be kept. `None`: rows come once, or
    /// are taken back first.
    pub update_key: Option<Vec<usize>>,
    /// somebody downstream needs `-U`
    pub emit_update_before: bool,
}

impl RankSpec {
    /// A row that moves to another rank is given again. Otherwise it is only given when it comes in, and taken back when it
    /// goes out.
    pub fn shows_ranks(&self) -> bool {
        self.outputs_rank || self.start > 1
    }
}

/// The first or the last row of each key by time: ROW_NUMBER() = 1 in the order of a time attribute. The input only
/// inserts.
///
/// The last row by event time replaces the one before it (`-U`, `+U`) unless it is earlier. The first row by event time is
/// given when the watermark has reached it, and is final. By processing time rows come in the order of their arrival.
#[derive(Clone, Debug)]
pub struct DeduplicateSpec {
    /// columns of the input; none: one key
    pub keys: Vec<usize>,
    /// the rowtime column; `None`: processing time
    pub rowtime: Option<usize>,
    pub keep_last: bool,
    /// columns of the input that are given
    pub columns: Vec<usize>,
    /// somebody downstream needs `-U`
    pub emit_update_before: bool,
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
    /// `state.backend.*`
    pub state_backend: StateBackendSettings,
    /// `table.local-time-zone`
    pub time_zone: Arc<str>,
    /// `table.exec.state.ttl`; 0: never
    pub state_ttl_ms: u64,
    /// `table.exec.source.idle-timeout`; 0: never
    pub source_idle_timeout_ms: u64,
    /// what was set, as text, for the record
    pub changed: BTreeMap<String, String>,
}

impl JobSettings {
    /// How long state lives for which the query says `hint`, in milliseconds; `None`: for ever.
    pub fn ttl_ms(&self, hint: Option<u64>) -> Option<u64> {
        Some(hint.unwrap_or(self.state_ttl_ms)).filter(|ttl_ms| *ttl_ms > 0)
    }
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
            state_backend: StateBackendSettings::Heap,
            time_zone: "UTC".into(),
            state_ttl_ms: 0,
            source_idle_timeout_ms: 0,
            changed: BTreeMap::new(),
        }
    }
}
