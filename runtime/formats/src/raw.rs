//! The `raw` format: a record is one value of one column, without any framing of its own.

use crate::cells::{self, Cell};
use crate::columns::{Bytes, Column, Columns, Values};
use crate::encoder::{RowEnd, insert_only};
use crate::error::RecordError;
use crate::framing::Lines;
use crate::options::{FormatOptions, OptionSpec, option};
use crate::stream::{Outcome, RecordDecoder, StreamDecoder};
use crate::{Decoder, DecoderSpec, Encoder, FormatError};
use arrow::datatypes::Schema;
use weir_types::{ChangelogBatch, OptionError, SqlType};

/// The characters of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    /// ISO-8859-1
    Latin1,
    /// the lower half of it
    Ascii,
}

/// The options of `raw`; the defaults are Flink's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOptions {
    pub charset: Charset,
    /// of numbers
    pub big_endian: bool,
}

pub(crate) const OPTIONS: &[OptionSpec] = &[
    option("charset", "UTF-8", "of text: UTF-8, ISO-8859-1 or US-ASCII"),
    option("endianness", "big-endian", "of numbers: big-endian or little-endian"),
];

impl RawOptions {
    pub(crate) fn read(options: &FormatOptions<'_>) -> Result<RawOptions, OptionError> {
        Ok(RawOptions {
            charset: options.choice(
                "charset",
                &[
                    ("UTF-8", Charset::Utf8),
                    ("UTF8", Charset::Utf8),
                    ("ISO-8859-1", Charset::Latin1),
                    ("LATIN1", Charset::Latin1),
                    ("US-ASCII", Charset::Ascii),
                    ("ASCII", Charset::Ascii),
                ],
            )?,
            big_endian: options.choice("endianness", &[("big-endian", true), ("little-endian", false)])?,
        })
    }
}

/// Refuses anything but one column of a type that has a binary form.
pub(crate) fn check_columns(_: &RawOptions, columns: &Schema) -> Result<(), FormatError> {
    let [field] = &columns.fields()[..] else {
        return Err(FormatError::UnsupportedType(format!(
            "format 'raw' holds one column, but there are {}: declare one, or use another format",
            columns.fields().len()
        )));
    };
    match SqlType::of_field(field) {
        Some(
            SqlType::Boolean
            | SqlType::TinyInt
            | SqlType::SmallInt
            | SqlType::Int
            | SqlType::BigInt
            | SqlType::Float
            | SqlType::Double
            | SqlType::Char(_)
            | SqlType::Varchar(_)
            | SqlType::Binary(_)
            | SqlType::Varbinary(_),
        ) => Ok(()),
        other => Err(FormatError::UnsupportedType(format!(
            "format 'raw' cannot hold column '{}' of type {}: use STRING, BYTES, BOOLEAN or a number",
            field.name(),
            other.map_or_else(|| field.data_type().to_string(), |sql_type| sql_type.to_string())
        ))),
    }
}

pub(crate) fn decoder(options: &RawOptions, spec: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
    let records =
        RawRecords { columns: Columns::new(&spec.columns, &spec.projection)?, options: options.clone() };
    Ok(Box::new(StreamDecoder::new(records, Lines, spec, false, 0)))
}

struct RawRecords {
    /// one column, or none if only the number of rows matters
    columns: Columns,
    options: RawOptions,
}

impl RecordDecoder for RawRecords {
    fn format(&self) -> &'static str {
        "raw"
    }

    fn can_skip(&self) -> bool {
        false
    }

    fn decode(&mut self, record: &[u8]) -> Result<Outcome, RecordError> {
        for column in &mut self.columns.columns {
            push(record, column, &self.options)?;
        }
        self.columns.rows += 1;
        Ok(Outcome::Rows)
    }

    fn rows(&self) -> usize {
        self.columns.rows
    }

    fn take(&mut self) -> Result<ChangelogBatch, FormatError> {
        Ok(ChangelogBatch::insert_only(self.columns.take()?))
    }
}

fn push(record: &[u8], column: &mut Column, options: &RawOptions) -> Result<(), RecordError> {
    let big = options.big_endian;
    match &mut column.values {
        Values::Text(text) => return push_text(record, text, options.charset),
        Values::Binary(bytes) => {
            bytes.push(record);
            return Ok(());
        }
        _ => {}
    }
    macro_rules! number {
        ($values:expr, $number:ty) => {
            record.try_into().map(|bytes| {
                $values.push(if big {
                    <$number>::from_be_bytes(bytes)
                } else {
                    <$number>::from_le_bytes(bytes)
                })
            })
        };
    }
    let pushed = match &mut column.values {
        Values::Boolean(values) => record.try_into().map(|[byte]: [u8; 1]| values.push(byte != 0)),
        Values::Int8(values) => number!(values, i8),
        Values::Int16(values) => number!(values, i16),
        Values::Int32(values) => number!(values, i32),
        Values::Int64(values) => number!(values, i64),
        Values::Float(values) => number!(values, f32),
        Values::Double(values) => number!(values, f64),
        _ => return Err(RecordError::new(format!("column '{}' has no binary form", column.field.name()))),
    };
    pushed.map_err(|_| {
        RecordError::new(format!(
            "column '{}' is {}, found {} bytes",
            column.field.name(),
            column.sql_type,
            record.len()
        ))
    })
}

fn push_text(record: &[u8], text: &mut Bytes, charset: Charset) -> Result<(), RecordError> {
    match charset {
        Charset::Utf8 if std::str::from_utf8(record).is_ok() => text.push(record),
        Charset::Ascii if record.is_ascii() => text.push(record),
        Charset::Latin1 => {
            for byte in record {
                text.buffer().extend_from_slice(char::from(*byte).encode_utf8(&mut [0; 4]).as_bytes());
            }
            text.end_value();
        }
        Charset::Utf8 | Charset::Ascii => {
            let at = match charset {
                Charset::Ascii => record.iter().position(|byte| !byte.is_ascii()),
                _ => std::str::from_utf8(record).err().map(|error| error.valid_up_to()),
            };
            return Err(RecordError::new(format!(
                "byte {} of it is not valid in its charset; set 'raw.charset', or declare the column as BYTES",
                at.unwrap_or(0)
            )));
        }
    }
    Ok(())
}

pub(crate) fn encoder(options: &RawOptions) -> Box<dyn Encoder> {
    Box::new(RawEncoder { options: options.clone() })
}

struct RawEncoder {
    options: RawOptions,
}

impl RawEncoder {
    fn append(&self, cell: &Cell<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let refuse = |reason: &str| Err(FormatError::Row { format: "raw", reason: reason.to_string() });
        if cell.is_null(row) {
            return refuse("it has no form for NULL, filter them out");
        }
        let big = self.options.big_endian;
        macro_rules! number {
            ($array:expr) => {{
                let value = $array.value(row);
                out.extend_from_slice(&if big { value.to_be_bytes() } else { value.to_le_bytes() });
            }};
        }
        match &cell.values {
            cells::Values::Boolean(array) => out.push(u8::from(array.value(row))),
            cells::Values::Int8(array) => number!(array),
            cells::Values::Int16(array) => number!(array),
            cells::Values::Int32(array) => number!(array),
            cells::Values::Int64(array) => number!(array),
            cells::Values::Float(array) => number!(array),
            cells::Values::Double(array) => number!(array),
            cells::Values::Binary(array) => out.extend_from_slice(array.value(row)),
            cells::Values::Text(array) => self.append_text(array.value(row), out),
            _ => return refuse("the type of the column has no binary form"),
        }
        Ok(())
    }

    /// What the charset does not have becomes `?`, as in Java.
    fn append_text(&self, text: &str, out: &mut Vec<u8>) {
        let limit = match self.options.charset {
            Charset::Utf8 => {
                out.extend_from_slice(text.as_bytes());
                return;
            }
            Charset::Latin1 => 0x100,
            Charset::Ascii => 0x80,
        };
        out.extend(text.chars().map(|letter| {
            let code = u32::from(letter);
            if code < limit { code as u8 } else { b'?' }
        }));
    }
}

impl Encoder for RawEncoder {
    fn rows(
        &mut self,
        batch: &ChangelogBatch,
        out: &mut Vec<u8>,
        mut end: RowEnd<'_>,
    ) -> Result<(), FormatError> {
        insert_only("raw", batch)?;
        let cells = Cell::all(batch.rows())?;
        for row in 0..batch.num_rows() {
            for cell in &cells {
                self.append(cell, row, out)?;
            }
            end.row(out);
        }
        Ok(())
    }
}
