//! What reads a format.

use crate::FormatError;
use arrow::datatypes::SchemaRef;
use weir_types::ChangelogBatch;

/// A place between two records of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// bytes before it
    pub offset: u64,
    /// line feeds before it; the line that begins here is number `lines + 1`
    pub lines: u64,
}

/// What to decode.
#[derive(Clone, Debug)]
pub struct DecoderSpec {
    /// The table's columns that the records hold, in declared order: physical columns without partition keys.
    pub columns: SchemaRef,
    /// The columns to build, as places in `columns`, in the order of the batches. Empty: only rows are counted.
    pub projection: Vec<usize>,
    /// rows of a batch, at most about: a record that makes two rows may exceed it by one
    pub batch_rows: usize,
    /// where the first byte that is fed stands: [`Position::default`] at the start of a file
    pub position: Position,
}

/// Turns the bytes of one stream, or one record after another, into batches.
///
/// ```text
/// loop {
///     while !chunk.is_empty() {
///         let taken = decoder.decode(&chunk)?;
///         chunk.advance(taken);
///         if decoder.is_full() { emit(decoder.flush()?, decoder.position()) }
///     }
///     (after a time without new bytes: emit(decoder.flush()?, decoder.position()))
/// }
/// decoder.finish()?; emit(decoder.flush()?, decoder.position());
/// ```
///
/// Guarantees: rows come in the order of the stream; after [`flush`](Decoder::flush), everything before
/// [`position`](Decoder::position) has been handed out or skipped and nothing after it has, so a decoder that is
/// created with that position, and fed from its offset on, goes on exactly there. An error leaves the rows before the
/// bad record to be flushed; the decoder is not to be fed after it.
pub trait Decoder: Send {
    /// Decodes the records that end in `bytes`, the next ones of the stream, and keeps the beginning of a record that
    /// does not. Returns how many bytes it took: all, or fewer when the batch became full. Takes nothing while
    /// [`is_full`](Decoder::is_full).
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, FormatError>;

    /// Decodes one whole record, whose boundaries are known from elsewhere: a line of a socket, a message of a topic.
    /// Not to be mixed with [`decode`](Decoder::decode). The position counts records as lines.
    fn decode_record(&mut self, record: &[u8]) -> Result<(), FormatError>;

    /// The stream has ended: decodes a last record without a line end.
    fn finish(&mut self) -> Result<(), FormatError>;

    /// True if the batch has reached its size (in rows or in bytes): flush before feeding more.
    fn is_full(&self) -> bool;

    /// Rows that are decoded and not handed out.
    fn buffered_rows(&self) -> usize;

    /// Hands out the decoded rows; `None` if there are none.
    fn flush(&mut self) -> Result<Option<ChangelogBatch>, FormatError>;

    /// The boundary after the last decoded (or skipped) record.
    fn position(&self) -> Position;

    /// Records skipped so far because `ignore-parse-errors` is set.
    fn skipped_records(&self) -> u64;
}
