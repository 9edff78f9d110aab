//! Where the records of a stream end.

use memchr::{memchr, memchr2, memchr3};

/// Finds ends of records in a stream that comes in pieces.
pub(crate) trait Framing: Send {
    /// Where the record that goes on at the start of `bytes` ends, its line feed included. `None` if that is not in
    /// `bytes`; the next call goes on with the bytes after them.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize>;

    /// True if a record can hold line feeds.
    fn spans_lines(&self) -> bool;
}

/// One record a line.
pub(crate) struct Lines;

impl Framing for Lines {
    #[inline]
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        memchr(b'\n', bytes).map(|at| at + 1)
    }

    fn spans_lines(&self) -> bool {
        false
    }
}

/// CSV: a line feed between quotes belongs to the field.
pub(crate) struct QuotedLines {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    comments: bool,
    trim: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// nothing of the record has been seen
    RecordStart,
    /// at the first character of a field
    FieldStart,
    /// inside of a field without quotes, or after one with quotes
    Plain,
    Quoted,
    /// after a quote inside of quotes: the end, or the first half of a doubled one
    QuoteSeen,
    /// after an escape character, inside of quotes or not
    Escaped {
        quoted: bool,
    },
    Comment,
}

impl QuotedLines {
    pub(crate) fn new(
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        comments: bool,
        trim: bool,
    ) -> Self {
        QuotedLines { delimiter, quote, escape, comments, trim, state: State::RecordStart }
    }

    /// One character; true at the end of the record.
    fn step(&mut self, byte: u8) -> bool {
        let escape = self.escape == Some(byte);
        let quote = self.quote == Some(byte);
        self.state = match self.state {
            State::RecordStart if self.comments && byte == b'#' => State::Comment,
            State::RecordStart if self.comments && byte == b' ' => State::RecordStart,
            State::Quoted if quote => State::QuoteSeen,
            State::Quoted if escape => State::Escaped { quoted: true },
            State::Quoted | State::Escaped { quoted: true } => State::Quoted,
            State::QuoteSeen if quote => State::Quoted,
            State::Escaped { quoted: false } => State::Plain,
            _ if byte == b'\n' => {
                self.state = State::RecordStart;
                return true;
            }
            State::Comment => State::Comment,
            State::RecordStart | State::FieldStart if quote => State::Quoted,
            State::RecordStart | State::FieldStart if self.trim && byte == b' ' => State::FieldStart,
            _ if byte == self.delimiter => State::FieldStart,
            _ if escape => State::Escaped { quoted: false },
            _ => State::Plain,
        };
        false
    }
}

impl Framing for QuotedLines {
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        // A line without a quote or an escape ends at its line feed.
        let (quote, escape) = (self.quote.unwrap_or(b'\n'), self.escape.unwrap_or(b'\n'));
        if self.state == State::RecordStart
            && let Some(found) = memchr3(b'\n', quote, escape, bytes)
            && bytes[found] == b'\n'
        {
            return Some(found + 1);
        }
        while at < bytes.len() {
            // Long stretches between quotes are skipped over.
            if self.state == State::Quoted {
                let found = match self.escape {
                    None => memchr(quote, &bytes[at..]),
                    Some(escape) => memchr2(quote, escape, &bytes[at..]),
                };
                at += found?;
            }
            let byte = bytes[at];
            at += 1;
            if self.step(byte) {
                return Some(at);
            }
        }
        None
    }

    fn spans_lines(&self) -> bool {
        true
    }
}
