//! What functions take from outside of their arguments.

use std::fmt;
use std::sync::Arc;
use weir_types::text::TimeZone;
use weir_types::{Clock, RandomSource};

/// Clock, randomness and settings that calls capture when they are made.
#[derive(Clone)]
pub struct FunctionContext {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn RandomSource>,
    /// `table.local-time-zone`
    pub time_zone: TimeZone,
    /// the current one: CURRENT_DATABASE
    pub database: Arc<str>,
}

impl fmt::Debug for FunctionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FunctionContext({})", self.time_zone)
    }
}
