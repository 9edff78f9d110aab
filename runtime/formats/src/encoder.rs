//! What writes a format.

use crate::FormatError;
use weir_types::{ChangelogBatch, RowKind};

/// Turns batches of one schema into records.
///
/// Guarantees: the bytes are those of Flink. Row kinds that the format cannot write are an error, since the planner
/// does not let them come here. On an error `out` may hold rows before the one at fault.
pub trait Encoder: Send {
    /// Appends each row and what follows it.
    fn rows(&mut self, batch: &ChangelogBatch, out: &mut Vec<u8>, end: RowEnd<'_>)
    -> Result<(), FormatError>;

    /// Appends each row and a line feed.
    fn encode(&mut self, batch: &ChangelogBatch, out: &mut Vec<u8>) -> Result<(), FormatError> {
        self.rows(batch, out, RowEnd::LineFeed)
    }

    /// Appends each row without a line feed, and where it ends in `out` to `ends`.
    fn encode_records(
        &mut self,
        batch: &ChangelogBatch,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<(), FormatError> {
        self.rows(batch, out, RowEnd::Recorded(ends))
    }
}

/// What follows a row.
pub enum RowEnd<'a> {
    /// a line feed
    LineFeed,
    /// nothing; where the row ends is noted
    Recorded(&'a mut Vec<usize>),
}

impl RowEnd<'_> {
    #[inline]
    pub(crate) fn row(&mut self, out: &mut Vec<u8>) {
        match self {
            RowEnd::LineFeed => out.push(b'\n'),
            RowEnd::Recorded(ends) => ends.push(out.len()),
        }
    }
}

/// Refuses rows that a format without changes cannot write.
pub(crate) fn insert_only(format: &'static str, batch: &ChangelogBatch) -> Result<(), FormatError> {
    match batch.kinds().and_then(|kinds| kinds.iter().find(|kind| *kind != RowKind::Insert)) {
        None => Ok(()),
        Some(kind) => Err(FormatError::Row {
            format,
            reason: format!("it holds inserts only, not {kind}; use format 'debezium-json' for changes"),
        }),
    }
}
