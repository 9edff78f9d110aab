//! The `raw` format: a record is one value of one column, without any framing of its own.

use crate::options::{FormatOptions, OptionSpec, option};
use crate::{Decoder, DecoderSpec, Encoder, FormatError};
use arrow::datatypes::Schema;
use weir_types::{OptionError, SqlType};

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

pub(crate) fn decoder(_: &RawOptions, _: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
    Err(FormatError::UnsupportedType("format 'raw' cannot be read yet".into()))
}

pub(crate) fn encoder(_: &RawOptions) -> Result<Box<dyn Encoder>, FormatError> {
    Err(FormatError::UnsupportedType("format 'raw' cannot be written yet".into()))
}
