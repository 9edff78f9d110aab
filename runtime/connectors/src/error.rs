//! Errors of this room.

use weir_types::{Classify, ErrorKind, OptionError};

/// Why a table could not be opened, read or written. Each message names the table, and the file and line (or
/// offset) where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// An option is wrong, or a file that it names is not there.
    #[error("{0}")]
    Options(String),
    /// A record that cannot be read.
    #[error("{0}")]
    Record(String),
    /// A disk, host or object store that did not do as asked.
    #[error("{0}")]
    Unavailable(String),
    /// The other end of standard output or standard error is closed.
    #[error("{0}")]
    ReaderGone(String),
    /// A defect.
    #[error("{0}")]
    Internal(String),
}

impl From<OptionError> for ConnectorError {
    fn from(error: OptionError) -> Self {
        ConnectorError::Options(error.message)
    }
}

impl ConnectorError {
    /// The same error with where it happened in front: `{context}: {message}`.
    pub(crate) fn context(self, context: impl std::fmt::Display) -> Self {
        let with = |message| format!("{context}: {message}");
        match self {
            ConnectorError::Options(message) => ConnectorError::Options(with(message)),
            ConnectorError::Record(message) => ConnectorError::Record(with(message)),
            ConnectorError::Unavailable(message) => ConnectorError::Unavailable(with(message)),
            ConnectorError::ReaderGone(message) => ConnectorError::ReaderGone(with(message)),
            ConnectorError::Internal(message) => ConnectorError::Internal(with(message)),
        }
    }
}

impl Classify for ConnectorError {
    fn kind(&self) -> ErrorKind {
        match self {
            ConnectorError::Options(_) => ErrorKind::UserInput,
            ConnectorError::Record(_) => ErrorKind::Data,
            ConnectorError::Unavailable(_) => ErrorKind::Unavailable,
            ConnectorError::ReaderGone(_) => ErrorKind::ReaderGone,
            ConnectorError::Internal(_) => ErrorKind::Internal,
        }
    }
}
