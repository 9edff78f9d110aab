//! Keyed state, operator state and timers of one subtask.

mod error;

pub use error::StateError;

/// Placeholder.
pub struct KeyedStateBackend {}
/// Placeholder.
pub struct OperatorStateBackend {}
