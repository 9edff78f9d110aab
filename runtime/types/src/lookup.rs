//! Lookup joins: rows of a stream beside rows of a table that is asked for them, key by key.

use crate::{BoxFuture, CalcSpec, Classify, ErrorKind, SourceSpec};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use std::sync::Arc;

/// A table that is asked for rows by their keys: shared by the subtasks of one lookup join.
///
/// Guarantees that the implementer gives and its tests check: an answer holds the rows that the table had at some moment
/// between the call and its completion, or that a cache holds which the table's options ask for; a key with a NULL in it
/// finds nothing. Not guaranteed: that two rows of one call see the same moment.
pub trait LookupSource: Send + Sync {
    /// The rows whose key columns equal one of `keys`, which has one array for each key column, all of one length. May be
    /// dropped at any time.
    fn lookup(&self, keys: Vec<ArrayRef>) -> BoxFuture<Result<LookupRows, LookupError>>;
}

/// What a lookup has found.
#[derive(Clone, Debug)]
pub struct LookupRows {
    /// which of the keys each row was found for; ascending
    pub keys: Vec<u32>,
    /// columns as in `SourceSpec::projection`
    pub rows: RecordBatch,
}

/// Why a table could not be asked. The message names the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LookupError {
    pub kind: ErrorKind,
    pub message: String,
}

impl Classify for LookupError {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// How a connector can look rows up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupAbility {
    /// The rows of the table are the same for as long as the job runs: a row that is looked up again finds what it found.
    pub constant: bool,
}

/// Rows of one input, each with the rows that a table has for its keys: INNER and LEFT JOIN `FOR SYSTEM_TIME AS OF` a
/// processing time. Each row has the kind of the row of the input.
///
/// Output: columns of the input at `left_columns`, then those of the rows found at `right_columns`.
#[derive(Clone, Debug)]
pub struct LookupJoinSpec {
    /// LEFT JOIN: rows that find nothing are given beside NULLs
    pub outer: bool,
    /// the table, and which of its columns are asked for
    pub source: SourceSpec,
    /// the columns that are asked for
    pub source_schema: SchemaRef,
    /// what becomes of the rows found, one step after another, each with the columns that it gives
    pub calcs: Vec<(CalcSpec, SchemaRef)>,
    /// columns of the input that must equal those of `source_schema` at the same places, which have the same types; at
    /// least one
    pub left_keys: Vec<usize>,
    pub right_keys: Vec<usize>,
    /// BOOLEAN over the columns of the input, then those of the rows found: pairs for which it is not TRUE do not match
    pub condition: Option<Arc<dyn PhysicalExpr>>,
    pub left_columns: Vec<usize>,
    pub right_columns: Vec<usize>,
    pub mode: LookupMode,
    pub retry: Option<LookupRetry>,
}

/// What an operator does while it waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupMode {
    /// Nothing: the rows behind wait.
    Blocking,
    /// It takes further rows.
    Async {
        /// `table.exec.async-lookup.buffer-capacity`: lookups, each of a batch of rows, that may be under way
        capacity: usize,
        /// Rows are given in the order in which they came; otherwise as they are answered, but none before a watermark
        /// that it came after, nor after one that it came before.
        ordered: bool,
        /// `table.exec.async-lookup.timeout`: how long a lookup may take, with all its retries; 0: for ever
        timeout_ms: u64,
    },
}

/// Keys that found nothing are looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupRetry {
    /// lookups after the first, at most
    pub attempts: u32,
    /// between two of them
    pub delay_ms: u64,
}
