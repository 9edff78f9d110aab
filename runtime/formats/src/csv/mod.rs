//! The `csv` format.

mod options;

pub use options::CsvOptions;
pub(crate) use options::{OPTIONS, check_columns};

use crate::{Decoder, DecoderSpec, Encoder, FormatError};
use arrow::datatypes::SchemaRef;

pub(crate) fn decoder(_: &CsvOptions, _: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
    Err(FormatError::UnsupportedType("format 'csv' cannot be read yet".into()))
}

pub(crate) fn encoder(_: &CsvOptions, _: &SchemaRef) -> Result<Box<dyn Encoder>, FormatError> {
    Err(FormatError::UnsupportedType("format 'csv' cannot be written yet".into()))
}
