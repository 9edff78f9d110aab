//! The fields of a record, by the rules of Jackson's CSV reader: quotes count at the beginning of a field only, and
//! after the closing one only space may follow.

use super::options::CsvOptions;
use crate::error::{RecordError, excerpt};
use memchr::{memchr, memchr2};

/// One field, without quotes and escapes.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub text: &'a [u8],
}

/// Walks through a record.
pub(super) struct Fields<'a> {
    record: &'a [u8],
    /// where the next field begins; past the end when there is none
    at: usize,
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    trim: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(record: &'a [u8], options: &CsvOptions) -> Self {
        Fields {
            record,
            at: 0,
            delimiter: options.field_delimiter,
            quote: options.quote,
            escape: options.escape,
            trim: options.trim_spaces,
        }
    }

    /// The next field, in `scratch` where the record does not have it as it is. A field that is not `wanted` is only
    /// passed by: its text may still have escapes.
    #[inline]
    pub(super) fn next<'b>(
        &mut self,
        scratch: &'b mut Vec<u8>,
        wanted: bool,
    ) -> Result<Option<Field<'b>>, RecordError>
    where
        'a: 'b,
    {
        if self.at > self.record.len() {
            return Ok(None);
        }
        if self.trim {
            while self.at < self.record.len()
                && self.record[self.at] <= b' '
                && self.record[self.at] != self.delimiter
            {
                self.at += 1;
            }
        }
        let rest = &self.record[self.at..];
        if self.quote.is_some() && rest.first() == self.quote.as_ref() {
            return self.quoted(rest, scratch).map(Some);
        }
        let end = match self.escape {
            None => memchr(self.delimiter, rest).unwrap_or(rest.len()),
            Some(escape) => match memchr2(self.delimiter, escape, rest) {
                Some(found) if rest[found] == escape => return self.escaped(rest, scratch).map(Some),
                found => found.unwrap_or(rest.len()),
            },
        };
        self.at += end + 1;
        let text = if self.trim && wanted { rest[..end].trim_ascii_end() } else { &rest[..end] };
        Ok(Some(Field { text }))
    }

    /// A field without quotes in which something is escaped.
    fn escaped<'b>(&mut self, rest: &'a [u8], scratch: &'b mut Vec<u8>) -> Result<Field<'b>, RecordError> {
        scratch.clear();
        let mut bytes = rest.iter().enumerate();
        let mut end = rest.len();
        while let Some((place, byte)) = bytes.next() {
            if *byte == self.delimiter {
                end = place;
                break;
            }
            if Some(*byte) == self.escape {
                let Some((_, letter)) = bytes.next() else { return Err(RecordError::new(UNFINISHED_ESCAPE)) };
                scratch.push(unescaped(*letter));
            } else {
                scratch.push(*byte);
            }
        }
        self.at += end + 1;
        let text = if self.trim { scratch.trim_ascii_end() } else { scratch };
        Ok(Field { text })
    }

    /// A field between quotes. `rest` begins with the quote.
    fn quoted<'b>(&mut self, rest: &'a [u8], scratch: &'b mut Vec<u8>) -> Result<Field<'b>, RecordError>
    where
        'a: 'b,
    {
        let quote = rest[0];
        let find = |bytes: &[u8]| match self.escape {
            None => memchr(quote, bytes),
            Some(escape) => memchr2(quote, escape, bytes),
        };
        let (mut at, mut copied, mut in_scratch) = (1, 1, false);
        let end = loop {
            let Some(found) = find(&rest[at..]) else {
                return Err(RecordError::new("a quote is opened and not closed"));
            };
            at += found;
            let doubled = rest[at] == quote && rest.get(at + 1) == Some(&quote);
            if rest[at] == quote && !doubled {
                break at;
            }
            let Some(letter) = rest.get(at + 1) else { return Err(RecordError::new(UNFINISHED_ESCAPE)) };
            if !in_scratch {
                scratch.clear();
                in_scratch = true;
            }
            scratch.extend_from_slice(&rest[copied..at]);
            scratch.push(if doubled { quote } else { unescaped(*letter) });
            at += 2;
            copied = at;
        };
        let after = &rest[end + 1..];
        let next = memchr(self.delimiter, after).unwrap_or(after.len());
        if let Some(odd) = after[..next].iter().position(|byte| *byte > b' ') {
            let found = excerpt(&after[odd..next]);
            return Err(RecordError::new(format!(
                "found {found} after a closing quote, expected the next field"
            )));
        }
        self.at += end + 1 + next + 1;
        if !in_scratch {
            return Ok(Field { text: &rest[1..end] });
        }
        scratch.extend_from_slice(&rest[copied..end]);
        Ok(Field { text: scratch })
    }
}

const UNFINISHED_ESCAPE: &str = "it ends with an escape character";

fn unescaped(letter: u8) -> u8 {
    match letter {
        b'0' => 0,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}
