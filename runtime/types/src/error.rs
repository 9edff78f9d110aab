//! Errors at the boundary of a job.

use std::error::Error;
use std::fmt;

/// Who can do something about an error; decides about a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The SQL, an option or a setting is wrong: the same statement fails again.
    UserInput,
    /// Something outside did not answer: trying again may help.
    Unavailable,
    /// A record, a file or a stored byte is not what it should be.
    Data,
    /// A defect of Weir.
    Internal,
    /// Whoever reads the result has gone: nothing is wrong, and nothing is left to do.
    ReaderGone,
}

/// What each room's error enum says of itself when it reaches a job's boundary.
pub trait Classify: Error {
    fn kind(&self) -> ErrorKind;
}

/// Why a statement or a job failed. The message says what was attempted, on what, what is wrong and what to do.
#[derive(Debug, Clone)]
pub struct JobError {
    pub kind: ErrorKind,
    pub message: String,
}

impl JobError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        JobError { kind, message: message.into() }
    }

    pub fn user_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UserInput, message)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The same error with what was being done in front: `{context}: {message}`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for JobError {}

impl<E: Classify> From<E> for JobError {
    fn from(error: E) -> Self {
        JobError::new(error.kind(), error.to_string())
    }
}
