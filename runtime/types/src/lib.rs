//! The vocabulary that every room shares: what flows between operators, what a job is made of, the types and texts
//! of SQL values, the coordinates of a running job, and its errors.
//!
//! Read first: [`StreamElement`] (what flows), [`JobGraph`] (what the planner hands to the runtime) and [`SqlType`]
//! (what a value is).
//!
//! Invariants:
//! - Everything that is persisted has its numbers and bytes fixed here, and pinned by tests: [`RowKind`], [`KeyGroup`]
//!   assignment, the key codec.
//! - Nothing here does I/O, keeps state between calls or knows a connector, an operator or a backend.

mod aggregate;
mod batch;
mod changelog_mode;
mod checkpointing;
mod element;
mod env;
mod error;
mod failpoint;
mod identifiers;
mod job_graph;
mod key_codec;
mod key_group;
mod lookup;
mod match_spec;
mod metrics;
mod nearest;
mod over_spec;
mod quantity;
mod settings;
mod sql_type;
mod state_backend;
mod table;
pub mod text;
mod upsert;
mod window;

pub use batch::{ChangelogBatch, RowKind, RowKinds};
pub use element::{Barrier, BarrierMode, CheckpointKind, EventTime, StreamElement, Watermark};
pub use sql_type::{
    EXPRESSION_KEY, SqlField, SqlType, TIME_ATTRIBUTE_KEY, TYPE_KEY, TimeAttribute, TypeTextError,
    column_text, mark_expression,
};

pub use aggregate::{AggregateCall, AggregateFunction};
pub use changelog_mode::ChangelogMode;
pub use checkpointing::{
    CheckpointMode, CheckpointSettings, ClaimMode, RecoverySettings, RestartStrategy, Retention, StorageKind,
};
pub use job_graph::{
    CalcSpec, DeduplicateSpec, Exchange, ExpandSpec, GroupAggregateSpec, Input, JobGraph, JobSettings,
    JoinKind, JoinSpec, LimitSpec, LocalAggregateSpec, NodeIndex, OperatorNode, OperatorSpec, Parallelism,
    RankSpec, SinkSpec, SortKey, SourceSpec, StateNote, TimedJoinBy, TimedJoinSpec, UnnestSpec,
    WatermarkSpec, WindowAggregateSpec, WindowProperty, WindowTableFunctionSpec, WindowTime,
};
pub use lookup::{
    LookupAbility, LookupError, LookupJoinSpec, LookupMode, LookupRetry, LookupRows, LookupSource,
};
pub use match_spec::{
    AfterMatch, MatchExpressions, MatchRow, MatchRows, MatchSpec, MatchValue, PatternVariable,
};
pub use settings::{
    SettingDefinition, SettingError, SettingSupport, SettingType, Settings, registered_settings,
};
pub use state_backend::{CompactionStyle, Compression, RocksDbSettings, StateBackendSettings};
pub use upsert::{ChangelogNormalizeSpec, OnConflict, SinkMaterializeSpec};
pub use window::{Millis, WindowSpec};

pub use identifiers::{CheckpointId, OperatorId, SplitId, SubtaskIndex};
pub use key_codec::{EncodedKeys, KeyData, KeyEncoder, KeyError, KeyShape};
pub use key_group::{DEFAULT_MAX_PARALLELISM, KeyGroup, KeyGroupRange, key_group_of, key_hash};

pub use table::{ColumnKind, ConnectorCatalog, OptionError, TableCapabilities, TableColumn, TableDescriptor};

pub use env::{BoxFuture, Clock, RandomSource, RuntimeEnv, Spawner};
pub use error::{Classify, ErrorKind, JobError};
pub use failpoint::{FAILPOINTS, Pace, arm_failpoint, failpoint, set_source_pace, source_pace};
pub use metrics::{OperatorMetrics, OperatorMetricsSnapshot};
pub use nearest::{did_you_mean, nearest};
pub use over_spec::{
    Frame, FrameUnits, FramedCall, OverAnyOrderSpec, OverFrame, OverPartitionSpec, OverSpec,
};
pub use quantity::{parse_bytes, parse_duration_ms};
