//! Errors of this room.

use weir_types::{Classify, ErrorKind};

/// Why an operator could not be made, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// What the plan asks for is not built; the message names it and what to write instead.
    #[error("{0}")]
    Unsupported(String),
    /// A value that an expression cannot handle: a division by zero, a cast of text that is no number.
    #[error("{0}")]
    Evaluation(String),
    #[error(transparent)]
    State(#[from] weir_state::StateError),
    #[error(transparent)]
    Lookup(#[from] weir_types::LookupError),
    /// A defect.
    #[error("{0}")]
    Internal(String),
}

impl OperatorError {
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        OperatorError::Unsupported(message.into())
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        OperatorError::Internal(message.into())
    }
}

impl Classify for OperatorError {
    fn kind(&self) -> ErrorKind {
        match self {
            OperatorError::Unsupported(_) => ErrorKind::UserInput,
            OperatorError::Evaluation(_) => ErrorKind::Data,
            OperatorError::State(error) => error.kind(),
            OperatorError::Lookup(error) => error.kind(),
            OperatorError::Internal(_) => ErrorKind::Internal,
        }
    }
}

impl From<arrow::error::ArrowError> for OperatorError {
    fn from(error: arrow::error::ArrowError) -> Self {
        OperatorError::Evaluation(error.to_string())
    }
}

impl From<datafusion_common::DataFusionError> for OperatorError {
    fn from(error: datafusion_common::DataFusionError) -> Self {
        let message = error.strip_backtrace();
        let message = message.strip_prefix("Execution error: ").unwrap_or(&message);
        OperatorError::Evaluation(message.to_string())
    }
}
