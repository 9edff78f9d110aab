//! Queries from their text to what EXPLAIN says of them.

mod harness;
mod messages;
mod places;
mod plans;
mod refusals;
mod semantics;

use harness::Script;
