//! Rows as `csv` writes them, to the byte as Flink does: text is quoted if it is longer than 24 characters or has a
//! character up to the largest of delimiter, quote and line feed (with the usual ones: up to the comma).

use super::options::CsvOptions;
use crate::cells::{Cell, Values};
use crate::encoder::{RowEnd, insert_only};
use crate::{Encoder, FormatError};
use base64::Engine;
use weir_types::ChangelogBatch;
use weir_types::text::{LocalDateTime, datetime, number};

/// UTF-16 units up to which a text is looked at; a longer one is quoted.
const LOOKED_AT: usize = 24;

pub(crate) fn encoder(options: &CsvOptions) -> Box<dyn Encoder> {
    let largest = [options.field_delimiter, options.quote.unwrap_or(0), b'\r'].into_iter().max().unwrap_or(0);
    Box::new(CsvEncoder { options: options.clone(), smallest_safe: largest + 1, scratch: Vec::new() })
}

struct CsvEncoder {
    options: CsvOptions,
    /// characters below it are quoted
    smallest_safe: u8,
    scratch: Vec<u8>,
}

impl CsvEncoder {
    fn append_field(&self, cell: &Cell<'_>, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        if cell.is_null(row) {
            self.append_null(out);
            return;
        }
        match &cell.values {
            Values::Text(array) => self.append_text(array.value(row).as_bytes(), out),
            Values::Binary(_)
            | Values::Date(_)
            | Values::Time(_)
            | Values::Timestamp { .. }
            | Values::List(..)
            | Values::Row { .. } => {
                scratch.clear();
                self.append_plain(cell, row, scratch);
                self.append_text(scratch, out);
            }
            // Numbers and truth values are never quoted.
            _ => self.append_plain(cell, row, out),
        }
    }

    fn append_null(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.options.null_literal.as_deref().unwrap_or("").as_bytes());
    }

    /// A value that is not NULL, without quotes.
    fn append_plain(&self, cell: &Cell<'_>, row: usize, out: &mut Vec<u8>) {
        match &cell.values {
            Values::Null | Values::Map(..) => {}
            Values::Boolean(array) => {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
            }
            Values::Int8(array) => number::append_integer(out, array.value(row)),
            Values::Int16(array) => number::append_integer(out, array.value(row)),
            Values::Int32(array) => number::append_integer(out, array.value(row)),
            Values::Int64(array) => number::append_integer(out, array.value(row)),
            Values::IntervalMonths(array) => number::append_integer(out, array.value(row)),
            Values::IntervalMillis(array) => number::append_integer(out, array.value(row)),
            Values::Float(array) => number::append_float(out, array.value(row)),
            Values::Double(array) => number::append_double(out, array.value(row)),
            Values::Decimal(array, scale) => {
                let (unscaled, scale) = number::strip_trailing_zeros(array.value(row), *scale);
                if self.options.scientific_decimals {
                    number::append_decimal_java(out, unscaled, scale);
                } else {
                    number::append_decimal_plain(out, unscaled, scale);
                }
            }
            Values::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Values::Binary(array) => {
                let text = base64::engine::general_purpose::STANDARD.encode(array.value(row));
                out.extend_from_slice(text.as_bytes());
            }
            Values::Date(array) => datetime::append_date(out, i64::from(array.value(row))),
            Values::Time(array) => {
                let millis = array.value(row).rem_euclid(86_400_000) as u32;
                datetime::append_clock(out, millis / 1000);
                datetime::append_fraction(out, millis % 1000 * 1_000_000, 0);
            }
            Values::Timestamp { values, unit, utc } => {
                datetime::append_timestamp(out, LocalDateTime::of_units(values[row], *unit), b' ', 0);
                if *utc {
                    out.push(b'Z');
                }
            }
            Values::List(array, element) => {
                let offsets = array.offsets();
                let places = offsets[row] as usize..offsets[row + 1] as usize;
                self.append_parts(places.map(|place| (&**element, place)), out);
            }
            Values::Row { members, .. } => self.append_parts(members.iter().map(|member| (member, row)), out),
        }
    }

    fn append_parts<'c>(&self, parts: impl Iterator<Item = (&'c Cell<'c>, usize)>, out: &mut Vec<u8>) {
        for (count, (cell, row)) in parts.enumerate() {
            if count > 0 {
                out.extend_from_slice(self.options.array_element_delimiter.as_bytes());
            }
            if cell.is_null(row) {
                self.append_null(out);
            } else {
                self.append_plain(cell, row, out);
            }
        }
    }

    /// A text, quoted where Flink quotes it. Quotes inside are doubled, and escape characters too.
    fn append_text(&self, text: &[u8], out: &mut Vec<u8>) {
        let Some(quote) = self.options.quote else {
            out.extend_from_slice(text);
            return;
        };
        let unsafe_byte = |byte: &u8| *byte < self.smallest_safe || Some(*byte) == self.options.escape;
        if !is_long(text) && !text.iter().any(unsafe_byte) {
            out.extend_from_slice(text);
            return;
        }
        out.push(quote);
        for byte in text {
            if *byte == quote || Some(*byte) == self.options.escape {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(quote);
    }
}

impl Encoder for CsvEncoder {
    fn rows(
        &mut self,
        batch: &ChangelogBatch,
        out: &mut Vec<u8>,
        mut end: RowEnd<'_>,
    ) -> Result<(), FormatError> {
        insert_only("csv", batch)?;
        let cells = Cell::all(batch.rows())?;
        let mut scratch = std::mem::take(&mut self.scratch);
        for row in 0..batch.num_rows() {
            for (count, cell) in cells.iter().enumerate() {
                if count > 0 {
                    out.push(self.options.field_delimiter);
                }
                self.append_field(cell, row, &mut scratch, out);
            }
            end.row(out);
        }
        self.scratch = scratch;
        Ok(())
    }
}

/// More UTF-16 units than are looked at; a unit is at most three bytes of UTF-8.
fn is_long(text: &[u8]) -> bool {
    match text.len() {
        0..=LOOKED_AT => false,
        len if len > 3 * LOOKED_AT => true,
        _ => std::str::from_utf8(text).is_ok_and(|text| text.encode_utf16().count() > LOOKED_AT),
    }
}
