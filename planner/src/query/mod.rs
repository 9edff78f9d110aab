//! Queries: from the syntax tree to the operators of a job.
//!
//! | step | module |
//! | --- | --- |
//! | what is not built is refused, where the text still has places | `refuse`, `conditions`, `intervals` |
//! | names and lengths made plain | `with`, `using`, `syntax`, `stars` |
//! | names resolved by DataFusion's SQL planner, over our tables and functions | `bind`, `context`, and for what it does not know |
//! | | `window_planner`, `unnest`, `as_of`, `lookup`, `match_recognize` |
//! | older windows, grouping sets, INTERSECT ALL and EXCEPT ALL replaced | `group_window`, `expand`, `set_operations` |
//! | types settled | `bind`, `weir_functions` |
//! | subqueries that compare otherwise than by `=` | `correlated` |
//! | the plan optimised | `optimize` |
//! | operators, exchanges, shared parts | `lower` |
//! | row kinds of each edge, names of operators | `changelog`, `identity` |
//! | an error without a place gets one | `locate`, `conditions`, `sides` |
//! | EXPLAIN | `explain` |
//! | CHECKPOINT(..) in FROM | `checkpoint_table` |
//!
//! Invariants: a column is a time attribute or a bound of a window because the plan says so (`origin`), never because
//! metadata survived; a table is one leaf of the logical plan, with its computed columns and its watermark, so no
//! filter slips below a watermark and each table of a statement is read once; equal operators over equal inputs are
//! one node; an operator's id depends on what it means, not on where it stands.

mod aggregates;
mod as_of;
mod bind;
mod binder;
mod changelog;
mod checkpoint_table;
mod conditions;
mod context;
mod correlated;
mod error;
mod expand;
mod explain;
mod group_window;
mod identity;
mod intervals;
mod lateral;
mod locate;
mod lookup;
mod lower;
mod match_recognize;
mod materialize;
mod monotonic;
mod named_windows;
mod names;
mod nodes;
mod not_null;
mod optimize;
mod origin;
mod outer;
mod over_windows;
mod quantified;
mod ranks;
mod refuse;
mod set_operations;
mod sides;
mod stars;
mod state_ttl;
mod subquery;
mod syntax;
mod table_source;
#[cfg(test)]
mod tests;
mod text;
mod time_bounds;
mod unnest;
mod using;
mod watermark;
mod window_function;
mod window_planner;
mod with;

pub use binder::QueryBinder;
