//! The `json` format: one object a line.

mod options;

pub use options::{JsonOptions, MapNullKeyMode, TimestampStandard};
pub(crate) use options::{OPTIONS, check_columns};

use crate::{Decoder, DecoderSpec, Encoder, FormatError};
use arrow::datatypes::SchemaRef;

pub(crate) fn decoder(_: &JsonOptions, _: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
    Err(FormatError::UnsupportedType("format 'json' cannot be read yet".into()))
}

pub(crate) fn encoder(_: &JsonOptions, _: &SchemaRef) -> Result<Box<dyn Encoder>, FormatError> {
    Err(FormatError::UnsupportedType("format 'json' cannot be written yet".into()))
}
