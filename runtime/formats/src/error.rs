//! Errors of this room.

use crate::Position;
use weir_types::{Classify, ErrorKind};

/// Why bytes could not be decoded or rows not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A record that is not what the table declares. `reason` says what was found and what to do.
    #[error("cannot read the {format} record at line {}, byte {}: {reason}", position.lines + 1, position.offset)]
    Record {
        format: &'static str,
        /// where the record begins
        position: Position,
        reason: String,
    },
    /// A row that the format cannot write.
    #[error("cannot write a row as {format}: {reason}")]
    Row { format: &'static str, reason: String },
    /// A column's type that the format does not have.
    #[error("{0}")]
    UnsupportedType(String),
    /// A defect of Weir.
    #[error("{0}")]
    Internal(String),
}

impl Classify for FormatError {
    fn kind(&self) -> ErrorKind {
        match self {
            FormatError::Record { .. } | FormatError::Row { .. } => ErrorKind::Data,
            FormatError::UnsupportedType(_) => ErrorKind::UserInput,
            FormatError::Internal(_) => ErrorKind::Internal,
        }
    }
}

/// What is wrong with one record, before it is known where the record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordError {
    /// what was found, where in the record, and what was expected
    pub reason: String,
}

impl RecordError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        RecordError { reason: reason.into() }
    }
}

/// A piece of a record for a message: in quotes, control characters escaped, cut after 60 characters.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]);
    let mut shown: String = text.chars().take(60).flat_map(char::escape_default_keeping_letters).collect();
    if text.chars().nth(60).is_some() || bytes.len() > 256 {
        shown.push_str("..");
    }
    format!("'{shown}'")
}

/// `char::escape_default` for control characters only, so that text in any language stays readable.
trait Escape {
    fn escape_default_keeping_letters(self) -> std::vec::IntoIter<char>;
}

impl Escape for char {
    fn escape_default_keeping_letters(self) -> std::vec::IntoIter<char> {
        let shown: Vec<char> = if self.is_control() { self.escape_default().collect() } else { vec![self] };
        shown.into_iter()
    }
}
