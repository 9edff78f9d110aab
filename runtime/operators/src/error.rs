//! Errors of this room.

use weir_types::{Classify, ErrorKind};

/// Why an operator could not go on.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// A value that an expression cannot handle: a division by zero, a cast of text that is no number.
    #[error("{0}")]
    Evaluation(String),
    #[error(transparent)]
    State(#[from] weir_state::StateError),
    /// A defect.
    #[error("{0}")]
    Internal(String),
}

impl Classify for OperatorError {
    fn kind(&self) -> ErrorKind {
        match self {
            OperatorError::Evaluation(_) => ErrorKind::Data,
            OperatorError::State(error) => error.kind(),
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
        OperatorError::Evaluation(error.strip_backtrace())
    }
}
