//! The options of `json`, and the types that it can hold.

use crate::FormatError;
use crate::options::{FormatOptions, OptionSpec, option};
use arrow::datatypes::{DataType, Schema};
use weir_types::{OptionError, SqlType};

/// How timestamps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampStandard {
    /// `2020-01-02 03:04:05.678`, TIMESTAMP_LTZ with `Z`
    Sql,
    /// `2020-01-02T03:04:05.678`, TIMESTAMP_LTZ with `Z`
    Iso8601,
}

/// What is written for a NULL key of a MAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapNullKeyMode {
    /// an error
    Fail,
    /// nothing: the entry is left out
    Drop,
    /// this text
    Literal(String),
}

/// The options of `json`; the defaults are Flink's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    pub fail_on_missing_field: bool,
    /// a value that cannot be read becomes NULL, a record that is no object is skipped
    pub ignore_parse_errors: bool,
    pub timestamp_standard: TimestampStandard,
    pub map_null_key: MapNullKeyMode,
    pub decimal_as_plain_number: bool,
    pub ignore_null_fields: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        JsonOptions {
            fail_on_missing_field: false,
            ignore_parse_errors: false,
            timestamp_standard: TimestampStandard::Sql,
            map_null_key: MapNullKeyMode::Fail,
            decimal_as_plain_number: false,
            ignore_null_fields: false,
        }
    }
}

/// Options of every format whose rows are JSON objects.
pub(crate) mod shared {
    use super::{OptionSpec, option};

    pub(crate) const TIMESTAMP_STANDARD: OptionSpec = option(
        "timestamp-format.standard",
        "SQL",
        "SQL: '2020-01-02 03:04:05', ISO-8601: '2020-01-02T03:04:05'",
    );
    pub(crate) const NULL_KEY_MODE: OptionSpec =
        option("map-null-key.mode", "FAIL", "what to write for a NULL key of a map: FAIL, DROP or LITERAL");
    pub(crate) const NULL_KEY_LITERAL: OptionSpec =
        option("map-null-key.literal", "null", "the key to write with mode LITERAL");
    pub(crate) const PLAIN_DECIMALS: OptionSpec =
        option("encode.decimal-as-plain-number", "false", "write 0.0000001 rather than 1E-7");
    pub(crate) const IGNORE_NULL_FIELDS: OptionSpec =
        option("encode.ignore-null-fields", "false", "leave members out that are NULL");
}

pub(crate) const OPTIONS: &[OptionSpec] = &[
    option("fail-on-missing-field", "false", "fail when a record lacks a column"),
    option(
        "ignore-parse-errors",
        "false",
        "make values that cannot be read NULL and skip records that are no object",
    ),
    shared::TIMESTAMP_STANDARD,
    shared::NULL_KEY_MODE,
    shared::NULL_KEY_LITERAL,
    shared::PLAIN_DECIMALS,
    shared::IGNORE_NULL_FIELDS,
    option("decode.json-parser.enabled", "true", "only 'true': there is one parser"),
];

impl JsonOptions {
    pub(crate) fn read(options: &FormatOptions<'_>) -> Result<JsonOptions, OptionError> {
        let mut read = JsonOptions::read_common(options)?;
        read.fail_on_missing_field = options.boolean("fail-on-missing-field", false)?;
        if read.fail_on_missing_field && read.ignore_parse_errors {
            return Err(options.refuse(
                "fail-on-missing-field",
                "and 'ignore-parse-errors' cannot both be 'true', unset one of them",
            ));
        }
        if !options.boolean("decode.json-parser.enabled", true)? {
            return Err(options.refuse(
                "decode.json-parser.enabled",
                "cannot be 'false': there is one parser here, which reads one object a record, remove the option",
            ));
        }
        Ok(read)
    }

    /// The options that `debezium-json` shares.
    pub(crate) fn read_common(options: &FormatOptions<'_>) -> Result<JsonOptions, OptionError> {
        let literal = || options.text("map-null-key.literal").unwrap_or("null").to_string();
        let map_null_key =
            match options.choice("map-null-key.mode", &[("FAIL", 0), ("DROP", 1), ("LITERAL", 2)])? {
                0 => MapNullKeyMode::Fail,
                1 => MapNullKeyMode::Drop,
                _ => MapNullKeyMode::Literal(literal()),
            };
        Ok(JsonOptions {
            fail_on_missing_field: false,
            ignore_parse_errors: options.boolean("ignore-parse-errors", false)?,
            timestamp_standard: options.choice(
                "timestamp-format.standard",
                &[("SQL", TimestampStandard::Sql), ("ISO-8601", TimestampStandard::Iso8601)],
            )?,
            map_null_key,
            decimal_as_plain_number: options.boolean("encode.decimal-as-plain-number", false)?,
            ignore_null_fields: options.boolean("encode.ignore-null-fields", false)?,
        })
    }
}

/// Refuses maps whose keys are not text, and Arrow types that no SQL type has.
pub(crate) fn check_columns(format: &str, columns: &Schema) -> Result<(), FormatError> {
    columns.fields().iter().try_for_each(|field| check(format, field.name(), field.data_type()))
}

fn check(format: &str, column: &str, data_type: &DataType) -> Result<(), FormatError> {
    match data_type {
        DataType::List(element) => check(format, column, element.data_type()),
        DataType::Struct(fields) => {
            fields.iter().try_for_each(|field| check(format, column, field.data_type()))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return Ok(()) };
            let [key, value] = &fields[..] else { return Ok(()) };
            if *key.data_type() != DataType::Utf8 {
                let key =
                    SqlType::of_field(key).map_or_else(|| key.data_type().to_string(), |key| key.to_string());
                return Err(FormatError::UnsupportedType(format!(
                    "format '{format}' cannot hold column '{column}': a key of a MAP must be CHAR, VARCHAR or STRING, \
                     not {key}"
                )));
            }
            check(format, column, value.data_type())
        }
        _ if SqlType::of_data_type(data_type).is_some_and(|sql_type| sql_type.data_type() == *data_type) => {
            Ok(())
        }
        _ => Err(FormatError::UnsupportedType(format!(
            "format '{format}' cannot hold column '{column}' of type {data_type}"
        ))),
    }
}
