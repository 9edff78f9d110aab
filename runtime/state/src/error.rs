//! Errors of this room.

use weir_types::{Classify, ErrorKind};

/// Why state could not be read, written or restored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// A descriptor that contradicts an earlier one, or a restored state of another shape.
    #[error("{0}")]
    Descriptor(String),
    /// A value that is none of its field's type.
    #[error("cannot read a value of state: {0}")]
    Value(String),
    /// Files of state on this machine could not be read or written.
    #[error("{0}")]
    Storage(String),
    /// Stored bytes end before what they announce.
    #[error("{file}: truncated at offset {offset}: {what}")]
    Truncated { file: String, offset: u64, what: String },
    /// Stored bytes that cannot be what was written.
    #[error("{file}: corrupt at offset {offset}: {what}")]
    Corrupt { file: String, offset: u64, what: String },
}

impl Classify for StateError {
    fn kind(&self) -> ErrorKind {
        match self {
            StateError::Descriptor(_) => ErrorKind::UserInput,
            StateError::Storage(_) => ErrorKind::Unavailable,
            StateError::Value(_) | StateError::Truncated { .. } | StateError::Corrupt { .. } => {
                ErrorKind::Data
            }
        }
    }
}
