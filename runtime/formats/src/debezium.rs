//! The `debezium-json` format: changes as Debezium's connectors write them.

use crate::json::{self, JsonOptions};
use crate::options::{FormatOptions, OptionSpec, option};
use crate::{Decoder, DecoderSpec, Encoder, FormatError};
use arrow::datatypes::SchemaRef;
use weir_types::OptionError;

/// The options of `debezium-json`; the defaults are Flink's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebeziumJsonOptions {
    /// of the rows in `before` and `after`
    pub json: JsonOptions,
    /// records are `{"schema": .., "payload": ..}`; only for reading
    pub schema_include: bool,
}

pub(crate) const OPTIONS: &[OptionSpec] = &[
    option("schema-include", "false", "records have members 'schema' and 'payload'; only for reading"),
    option(
        "ignore-parse-errors",
        "false",
        "make values that cannot be read NULL and skip records that are no change",
    ),
    option("timestamp-format.standard", "SQL", "SQL: '2020-01-02 03:04:05', ISO-8601: '2020-01-02T03:04:05'"),
    option("map-null-key.mode", "FAIL", "what to write for a NULL key of a map: FAIL, DROP or LITERAL"),
    option("map-null-key.literal", "null", "the key to write with mode LITERAL"),
    option("encode.decimal-as-plain-number", "false", "write 0.0000001 rather than 1E-7"),
    option("encode.ignore-null-fields", "false", "leave members out that are NULL"),
];

impl DebeziumJsonOptions {
    pub(crate) fn read(options: &FormatOptions<'_>) -> Result<DebeziumJsonOptions, OptionError> {
        Ok(DebeziumJsonOptions {
            json: JsonOptions::read_common(options)?,
            schema_include: options.boolean("schema-include", false)?,
        })
    }
}

pub(crate) fn decoder(
    options: &DebeziumJsonOptions,
    spec: &DecoderSpec,
) -> Result<Box<dyn Decoder>, FormatError> {
    json::decoder(&options.json, spec)
}

pub(crate) fn encoder(
    options: &DebeziumJsonOptions,
    columns: &SchemaRef,
) -> Result<Box<dyn Encoder>, FormatError> {
    json::encoder(&options.json, columns)
}
