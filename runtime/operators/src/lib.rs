//! What happens to a batch.
//!
//! Read first: [`Operator`] (what the driver asks of one), [`Output`], [`create_operator`].
//!
//! | module | operator |
//! | --- | --- |
//! | `calc`, `expand`, `unnest`, `union`, `limit`, `values` | rows to rows |
//! | `watermark` | makes watermarks |
//! | `window_table_function` | rows to windows, without an aggregation |
//! | `group_aggregate` | GROUP BY: a changelog of each group's row |
//! | `local_aggregate` | the rows of each batch by their groups, before they are distributed |
//! | `window_aggregate` | TUMBLE, HOP, CUMULATE, and windows that rows carry: slices merged into windows |
//! | `session_aggregate` | SESSION: rows merged into sessions |
//! | `join` | rows of two inputs beside each other |
//! | `lookup_join` | rows beside those that a table outside has for their keys |
//! | `rank` | Top-N: the first rows of each partition |
//! | `over` | OVER: each row with aggregates of the rows before it, by time or in any order |
//! | `match_recognize` | MATCH_RECOGNIZE: rows that follow a pattern |
//! | `deduplicate` | the first or the last row of each key by time; the last row of a changelog that is not whole |
//! | `sink_materialize` | changes by the key of a query as changes by the primary key of its sink |
//!
//! The three aggregations share `accumulators` (the functions, column by column), `distinct` (DISTINCT),
//! `grouping` (the groups of a batch), `accumulate` and `merge` (rows and entries into entries). What keeps rows under
//! their keys shares `partitions`, and joins share `join_condition`.
//!
//! No operator waits: one that asks a table outside says what it waits for, and the driver calls it again when that
//! has come. None loops over rows calling dynamic code, knows a checkpoint's fate, or keeps anything that a restart needs
//! outside the state API.

mod accumulate;
mod accumulators;
mod calc;
mod create;
mod deduplicate;
mod distinct;
mod drop_update_before;
mod error;
mod event_time;
mod expand;
mod group_aggregate;
mod grouping;
mod identity;
mod join;
mod join_condition;
mod kept_lists;
mod limit;
mod local_aggregate;
mod lookup_join;
mod match_recognize;
mod merge;
mod operator;
mod over;
mod partitions;
mod progress;
mod rank;
mod session_aggregate;
mod sink_compact;
mod sink_materialize;
mod timed_join;
mod union;
mod unnest;
mod values;
mod watermark;
mod window;
mod window_aggregate;
mod window_table_function;

#[cfg(test)]
mod event_script;
#[cfg(test)]
mod tests;

pub use create::{create_lookup_join, create_operator};
pub use error::OperatorError;
pub use operator::{Operator, OperatorContext, Output, OutputElement, Outside, Progress};
