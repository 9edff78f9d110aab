//! MATCH_RECOGNIZE.
//!
//! `clause` plans the clause, `pattern` reads PATTERN and AFTER MATCH, `scope` binds expressions over the rows of a match,
//! `node` is what stands in the logical plan.

mod clause;
mod node;
mod pattern;
mod scope;

pub(in crate::query) use clause::MatchPlanner;
pub(in crate::query) use node::{Bound, MatchRecognize, Value, match_rows};
