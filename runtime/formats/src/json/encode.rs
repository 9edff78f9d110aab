//! Rows as `json` writes them: members in declared order, no spaces.

use super::options::{JsonOptions, MapNullKeyMode, TimestampStandard};
use crate::cells::{Cell, Values, json_key};
use crate::encoder::RowEnd;
use crate::{Encoder, FormatError};
use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use base64::Engine;
use weir_types::ChangelogBatch;
use weir_types::text::{LocalDateTime, datetime, number};

pub(crate) fn encoder(options: &JsonOptions, columns: &SchemaRef) -> Box<dyn Encoder> {
    Box::new(JsonEncoder { objects: ObjectWriter::new(options, columns) })
}

struct JsonEncoder {
    objects: ObjectWriter,
}

impl Encoder for JsonEncoder {
    fn rows(
        &mut self,
        batch: &ChangelogBatch,
        out: &mut Vec<u8>,
        mut end: RowEnd<'_>,
    ) -> Result<(), FormatError> {
        crate::encoder::insert_only("json", batch)?;
        let cells = self.objects.cells(batch)?;
        for row in 0..batch.num_rows() {
            self.objects.append(&cells, row, out)?;
            end.row(out);
        }
        Ok(())
    }
}

/// Writes rows as objects.
pub(crate) struct ObjectWriter {
    options: JsonOptions,
    /// `"name":` of each column
    keys: Vec<Vec<u8>>,
}

impl ObjectWriter {
    pub(crate) fn new(options: &JsonOptions, columns: &SchemaRef) -> ObjectWriter {
        let keys = columns.fields().iter().map(|field| json_key(field)).collect();
        ObjectWriter { options: options.clone(), keys }
    }

    /// The columns of a batch, ready to be written.
    pub(crate) fn cells<'a>(&self, batch: &'a ChangelogBatch) -> Result<Vec<Cell<'a>>, FormatError> {
        if batch.rows().num_columns() != self.keys.len() {
            return Err(FormatError::Internal(format!(
                "a batch of {} columns for an encoder of {}",
                batch.rows().num_columns(),
                self.keys.len()
            )));
        }
        Cell::all(batch.rows())
    }

    /// Appends one row as an object.
    #[inline]
    pub(crate) fn append(
        &self,
        cells: &[Cell<'_>],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        append_object(cells, &self.keys, row, &self.options, out)
    }
}

fn append_cell(
    cell: &Cell<'_>,
    row: usize,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    if cell.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &cell.values {
        Values::Null => {}
        Values::Boolean(array) => {
            out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
        }
        Values::Int8(array) => number::append_integer(out, array.value(row)),
        Values::Int16(array) => number::append_integer(out, array.value(row)),
        Values::Int32(array) => number::append_integer(out, array.value(row)),
        Values::Int64(array) => number::append_integer(out, array.value(row)),
        Values::IntervalMonths(array) => number::append_integer(out, array.value(row)),
        Values::IntervalMillis(array) => number::append_integer(out, array.value(row)),
        Values::Float(array) => {
            let value = array.value(row);
            quoted_unless(value.is_finite(), out, |out| number::append_float(out, value));
        }
        Values::Double(array) => {
            let value = array.value(row);
            quoted_unless(value.is_finite(), out, |out| number::append_double(out, value));
        }
        Values::Decimal(array, scale) if options.decimal_as_plain_number => {
            number::append_decimal_plain(out, array.value(row), *scale);
        }
        Values::Decimal(array, scale) => number::append_decimal_stripped(out, array.value(row), *scale),
        Values::Text(array) => append_json_string(array.value(row).as_bytes(), out),
        Values::Binary(array) => {
            let text = base64::engine::general_purpose::STANDARD.encode(array.value(row));
            quoted_unless(false, out, |out| out.extend_from_slice(text.as_bytes()));
        }
        Values::Date(array) => {
            quoted_unless(false, out, |out| datetime::append_date(out, i64::from(array.value(row))));
        }
        Values::Time(array) => {
            let millis = array.value(row).rem_euclid(86_400_000) as u32;
            quoted_unless(false, out, |out| {
                datetime::append_clock(out, millis / 1000);
                datetime::append_fraction(out, millis % 1000 * 1_000_000, 0);
            });
        }
        Values::Timestamp { values, unit, utc } => {
            let separator = match options.timestamp_standard {
                TimestampStandard::Sql => b' ',
                TimestampStandard::Iso8601 => b'T',
            };
            out.push(b'"');
            datetime::append_timestamp(out, LocalDateTime::of_units(values[row], *unit), separator, 0);
            out.extend_from_slice(if *utc { b"Z\"" } else { b"\"" });
        }
        Values::List(..) | Values::Map(..) | Values::Row { .. } => {
            return append_collection(cell, row, options, out);
        }
    }
    Ok(())
}

fn append_collection(
    cell: &Cell<'_>,
    row: usize,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    match &cell.values {
        Values::List(array, element) => {
            out.push(b'[');
            let offsets = array.offsets();
            for (count, place) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                if count > 0 {
                    out.push(b',');
                }
                append_cell(element, place, options, out)?;
            }
            out.push(b']');
        }
        Values::Map(array, keys, values) => {
            out.push(b'{');
            let (offsets, begin) = (array.offsets(), out.len());
            for place in offsets[row] as usize..offsets[row + 1] as usize {
                let key = match (keys.is_null(place), &options.map_null_key) {
                    (false, _) => keys.value(place),
                    (true, MapNullKeyMode::Literal(literal)) => literal,
                    (true, MapNullKeyMode::Drop) => continue,
                    (true, MapNullKeyMode::Fail) => return Err(null_key()),
                };
                if out.len() > begin {
                    out.push(b',');
                }
                append_json_string(key.as_bytes(), out);
                out.push(b':');
                append_cell(values, place, options, out)?;
            }
            out.push(b'}');
        }
        Values::Row { keys, members } => append_object(members, keys, row, options, out)?,
        _ => {}
    }
    Ok(())
}

#[cold]
fn null_key() -> FormatError {
    FormatError::Row {
        format: "json",
        reason: "a map has a NULL key; set 'json.map-null-key.mode' to 'DROP' or 'LITERAL'".into(),
    }
}

#[inline]
fn append_object(
    cells: &[Cell<'_>],
    keys: &[Vec<u8>],
    row: usize,
    options: &JsonOptions,
    out: &mut Vec<u8>,
) -> Result<(), FormatError> {
    out.push(b'{');
    let begin = out.len();
    for (cell, key) in cells.iter().zip(keys) {
        if options.ignore_null_fields && cell.is_null(row) {
            continue;
        }
        if out.len() > begin {
            out.push(b',');
        }
        out.extend_from_slice(key);
        append_cell(cell, row, options, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// What JSON has no number for stands in quotes.
fn quoted_unless(bare: bool, out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
    if bare {
        append(out);
        return;
    }
    out.push(b'"');
    append(out);
    out.push(b'"');
}

/// Appends a text in quotes. Escaped are quotes, backslashes and control characters; everything else stays.
pub(crate) fn append_json_string(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
