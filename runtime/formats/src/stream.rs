//! The part of decoding that all formats share: records out of chunks, positions, skipped records, errors.

use crate::error::RecordError;
use crate::framing::Framing;
use crate::{Decoder, DecoderSpec, FormatError, Position};
use weir_types::ChangelogBatch;

/// Bytes of the records of a batch, at most about; one more record may come on top.
const BATCH_BYTES: usize = 32 << 20;
/// A longer record is an error rather than a reason to fill the memory. Together with [`BATCH_BYTES`] it keeps the
/// offsets of a text column within 32 bits: no value's text is twice as long as it is in the record.
const RECORD_BYTES: usize = 256 << 20;

/// Rows of single records.
pub(crate) trait RecordDecoder: Send {
    /// `json`, for messages.
    fn format(&self) -> &'static str;

    /// False if the format has no option to skip records.
    fn can_skip(&self) -> bool {
        true
    }

    /// Appends the rows of a record, without its line end. After an error nothing of the record is left.
    fn decode(&mut self, record: &[u8]) -> Result<Outcome, RecordError>;

    fn rows(&self) -> usize;

    fn take(&mut self) -> Result<ChangelogBatch, FormatError>;
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Rows,
    /// It holds nothing: an empty line, a comment.
    Nothing,
}

/// A [`Decoder`] out of a [`RecordDecoder`] and a [`Framing`].
pub(crate) struct StreamDecoder<R, F> {
    records: R,
    framing: F,
    /// the beginning of a record whose end has not come yet
    begun: Vec<u8>,
    batch_rows: usize,
    /// of the records since the last flush
    batch_bytes: usize,
    position: Position,
    ignore_errors: bool,
    skipped: u64,
    /// lines to drop before the first record
    header_lines: u64,
}

impl<R: RecordDecoder, F: Framing> StreamDecoder<R, F> {
    /// `header_lines`: at the start of the stream, not when it is taken up later.
    pub(crate) fn new(
        records: R,
        framing: F,
        spec: &DecoderSpec,
        ignore_errors: bool,
        header_lines: u64,
    ) -> Self {
        StreamDecoder {
            records,
            framing,
            begun: Vec::new(),
            batch_rows: spec.batch_rows.max(1),
            batch_bytes: 0,
            position: spec.position,
            ignore_errors,
            skipped: 0,
            header_lines: header_lines.saturating_sub(spec.position.lines),
        }
    }

    /// One record with its line end, which is whole.
    fn record(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let content = match bytes {
            [content @ .., b'\r', b'\n'] | [content @ .., b'\n'] => content,
            content => content.strip_suffix(b"\r").unwrap_or(content),
        };
        let at_start = self.position.offset == 0;
        let content =
            if at_start { content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content) } else { content };
        let lines = if self.framing.spans_lines() {
            memchr::memchr_iter(b'\n', bytes).count() as u64
        } else {
            u64::from(bytes.last() == Some(&b'\n'))
        };
        self.decode_content(content)?;
        self.position.offset += bytes.len() as u64;
        self.position.lines += lines;
        Ok(())
    }

    fn decode_content(&mut self, content: &[u8]) -> Result<(), FormatError> {
        if self.header_lines > 0 {
            self.header_lines -= 1;
            return Ok(());
        }
        self.batch_bytes += content.len();
        match self.records.decode(content) {
            Ok(_) => Ok(()),
            Err(_) if self.ignore_errors => {
                self.skipped += 1;
                Ok(())
            }
            Err(error) => Err(self.error(error.reason)),
        }
    }

    fn error(&self, reason: String) -> FormatError {
        let format = self.records.format();
        let reason = match self.records.can_skip() {
            true => {
                format!("{reason}; set '{format}.ignore-parse-errors' = 'true' to skip what cannot be read")
            }
            false => reason,
        };
        FormatError::Record { format, position: self.position, reason }
    }

    fn check_size(&self, bytes: usize) -> Result<(), FormatError> {
        if bytes <= RECORD_BYTES {
            return Ok(());
        }
        Err(FormatError::Record {
            format: self.records.format(),
            position: self.position,
            reason: format!("it has no end within {} MiB", RECORD_BYTES >> 20),
        })
    }
}

impl<R: RecordDecoder, F: Framing> Decoder for StreamDecoder<R, F> {
    fn decode(&mut self, bytes: &[u8]) -> Result<usize, FormatError> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_full() {
            let rest = &bytes[taken..];
            let Some(end) = self.framing.find_end(rest) else {
                self.check_size(self.begun.len() + rest.len())?;
                self.begun.extend_from_slice(rest);
                return Ok(bytes.len());
            };
            self.check_size(self.begun.len() + end)?;
            if self.begun.is_empty() {
                self.record(&rest[..end])?;
            } else {
                self.begun.extend_from_slice(&rest[..end]);
                let record = std::mem::take(&mut self.begun);
                self.record(&record)?;
                self.begun = record;
                self.begun.clear();
            }
            taken += end;
        }
        Ok(taken)
    }

    fn decode_record(&mut self, record: &[u8]) -> Result<(), FormatError> {
        self.check_size(record.len())?;
        self.decode_content(record)?;
        self.position.offset += record.len() as u64;
        self.position.lines += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), FormatError> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let record = std::mem::take(&mut self.begun);
        self.record(&record)
    }

    fn is_full(&self) -> bool {
        let rows = self.records.rows();
        rows >= self.batch_rows || (rows > 0 && self.batch_bytes >= BATCH_BYTES)
    }

    fn buffered_rows(&self) -> usize {
        self.records.rows()
    }

    fn flush(&mut self) -> Result<Option<ChangelogBatch>, FormatError> {
        self.batch_bytes = 0;
        if self.records.rows() == 0 {
            return Ok(None);
        }
        self.records.take().map(Some)
    }

    fn position(&self) -> Position {
        self.position
    }

    fn skipped_records(&self) -> u64 {
        self.skipped
    }
}
