//! The `debezium-json` format: changes as Debezium's connectors write them.

use crate::encoder::RowEnd;
use crate::json::{self, JsonOptions, ObjectWriter};
use crate::options::{FormatOptions, OptionSpec, option};
use crate::{Decoder, DecoderSpec, Encoder, FormatError};
use arrow::datatypes::SchemaRef;
use weir_types::{ChangelogBatch, OptionError};

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
    json::shared::TIMESTAMP_STANDARD,
    json::shared::NULL_KEY_MODE,
    json::shared::NULL_KEY_LITERAL,
    json::shared::PLAIN_DECIMALS,
    json::shared::IGNORE_NULL_FIELDS,
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
    json::change::debezium_decoder(&options.json, options.schema_include, spec)
}

pub(crate) fn encoder(
    options: &DebeziumJsonOptions,
    columns: &SchemaRef,
) -> Result<Box<dyn Encoder>, FormatError> {
    if options.schema_include {
        return Err(FormatError::UnsupportedType(
            "format 'debezium-json' with 'debezium-json.schema-include' = 'true' cannot be written: records are \
             written without a schema, remove the option"
                .into(),
        ));
    }
    Ok(Box::new(DebeziumEncoder {
        objects: ObjectWriter::new(&options.json, columns),
        json: options.json.clone(),
    }))
}

/// Writes `+I` and `+U` as creations and `-U` and `-D` as deletions, as Flink does: a row at a time it cannot know
/// which two rows make an update.
struct DebeziumEncoder {
    objects: ObjectWriter,
    json: JsonOptions,
}

impl Encoder for DebeziumEncoder {
    fn rows(
        &mut self,
        batch: &ChangelogBatch,
        out: &mut Vec<u8>,
        mut end: RowEnd<'_>,
    ) -> Result<(), FormatError> {
        let cells = self.objects.cells(batch)?;
        let nulls = !self.json.ignore_null_fields;
        for row in 0..batch.num_rows() {
            if batch.kind(row).is_retraction() {
                out.extend_from_slice(b"{\"before\":");
                self.objects.append(&cells, row, out)?;
                out.extend_from_slice(if nulls {
                    b",\"after\":null,\"op\":\"d\"}"
                } else {
                    b",\"op\":\"d\"}"
                });
            } else {
                out.extend_from_slice(if nulls { b"{\"before\":null,\"after\":" } else { b"{\"after\":" });
                self.objects.append(&cells, row, out)?;
                out.extend_from_slice(b",\"op\":\"c\"}");
            }
            end.row(out);
        }
        Ok(())
    }
}
