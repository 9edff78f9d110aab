//! The options of `csv`, and the types that it can hold.

use crate::FormatError;
use crate::options::{FormatOptions, OptionSpec, option};
use arrow::datatypes::{DataType, Field, Schema};
use weir_types::{OptionError, SqlType};

/// The options of `csv`; the defaults are Flink's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    pub field_delimiter: u8,
    /// `None` with `disable-quote-character`
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    /// lines that begin with `#` are skipped
    pub allow_comments: bool,
    /// a value that cannot be read becomes NULL, a record that cannot be read is skipped
    pub ignore_parse_errors: bool,
    pub array_element_delimiter: String,
    pub null_literal: Option<String>,
    pub scientific_decimals: bool,
    pub trim_spaces: bool,
    pub ignore_trailing_unmappable: bool,
    pub allow_trailing_comma: bool,
    pub fail_on_missing_columns: bool,
    pub empty_string_as_null: bool,
    pub ignore_first_line: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            field_delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            allow_comments: false,
            ignore_parse_errors: false,
            array_element_delimiter: ";".into(),
            null_literal: None,
            scientific_decimals: true,
            trim_spaces: false,
            ignore_trailing_unmappable: false,
            allow_trailing_comma: true,
            fail_on_missing_columns: false,
            empty_string_as_null: false,
            ignore_first_line: false,
        }
    }
}

pub(crate) const OPTIONS: &[OptionSpec] = &[
    option(
        "field-delimiter",
        ",",
        "one ASCII character between fields; Java's escapes such as '\\t' are read",
    ),
    option("disable-quote-character", "false", "take quotes as they are"),
    option("quote-character", "\"", "what a field with special characters is put between"),
    option("allow-comments", "false", "skip lines that begin with '#'"),
    option(
        "ignore-parse-errors",
        "false",
        "make values that cannot be read NULL and skip records that cannot be read",
    ),
    option("array-element-delimiter", ";", "between the elements of an ARRAY and the members of a ROW"),
    option("escape-character", "", "takes its meaning from the character after it"),
    option("null-literal", "", "the text of NULL; without it NULL is written as nothing and never read"),
    option("write-bigdecimal-in-scientific-notation", "true", "write 1E+5 rather than 100000"),
    option("trim-spaces", "false", "drop spaces around fields that are not quoted, when reading"),
    option("ignore-trailing-unmappable", "false", "ignore fields after the last column, when reading"),
    option("allow-trailing-comma", "true", "ignore a delimiter after the last field, when reading"),
    option(
        "fail-on-missing-columns",
        "false",
        "with 'ignore-parse-errors': skip records with too few fields instead of filling them up with NULL",
    ),
    option("empty-string-as-null", "false", "read a field without characters as NULL"),
    option("ignore-first-line", "false", "skip the first line of each file: a header"),
];

impl CsvOptions {
    pub(crate) fn read(options: &FormatOptions<'_>) -> Result<CsvOptions, OptionError> {
        let defaults = CsvOptions::default();
        let disable_quote = options.boolean("disable-quote-character", false)?;
        if disable_quote && options.text("quote-character").is_some() {
            return Err(options.refuse(
                "quote-character",
                "cannot be set together with 'disable-quote-character', remove one of them",
            ));
        }
        let quote = options.character("quote-character")?.or(defaults.quote).filter(|_| !disable_quote);
        let array_element_delimiter = options.text("array-element-delimiter").unwrap_or(";").to_string();
        if array_element_delimiter.is_empty() {
            return Err(options.refuse("array-element-delimiter", "is empty, give at least one character"));
        }
        let read = CsvOptions {
            field_delimiter: options.character("field-delimiter")?.unwrap_or(defaults.field_delimiter),
            quote,
            escape: options.character("escape-character")?,
            allow_comments: options.boolean("allow-comments", false)?,
            ignore_parse_errors: options.boolean("ignore-parse-errors", false)?,
            array_element_delimiter,
            null_literal: options.text("null-literal").map(str::to_string),
            scientific_decimals: options.boolean("write-bigdecimal-in-scientific-notation", true)?,
            trim_spaces: options.boolean("trim-spaces", false)?,
            ignore_trailing_unmappable: options.boolean("ignore-trailing-unmappable", false)?,
            allow_trailing_comma: options.boolean("allow-trailing-comma", true)?,
            fail_on_missing_columns: options.boolean("fail-on-missing-columns", false)?,
            empty_string_as_null: options.boolean("empty-string-as-null", false)?,
            ignore_first_line: options.boolean("ignore-first-line", false)?,
        };
        if read.quote == Some(read.field_delimiter) || read.escape == Some(read.field_delimiter) {
            return Err(
                options.refuse("field-delimiter", "is also the quote or escape character, change one")
            );
        }
        Ok(read)
    }
}

/// Refuses MAP and MULTISET, collections inside of collections, and TIME with a precision above 3.
pub(crate) fn check_columns(columns: &Schema) -> Result<(), FormatError> {
    columns.fields().iter().try_for_each(|field| match field.data_type() {
        DataType::List(element) => check_plain(field, element),
        DataType::Struct(members) => members.iter().try_for_each(|member| check_plain(field, member)),
        _ => check_plain(field, field),
    })
}

fn check_plain(column: &Field, field: &Field) -> Result<(), FormatError> {
    let refuse = |reason: &str| {
        Err(FormatError::UnsupportedType(format!(
            "format 'csv' cannot hold column '{}': {reason}, use format 'json' for it",
            column.name()
        )))
    };
    match SqlType::of_field(field) {
        None => refuse(&format!("it has no type {}", field.data_type())),
        Some(SqlType::Array(_) | SqlType::Row(_)) => refuse("collections inside of collections have no text"),
        Some(sql_type @ (SqlType::Map(..) | SqlType::Multiset(_))) => {
            refuse(&format!("it has no {sql_type}"))
        }
        Some(SqlType::Time(4..)) => refuse("TIME has a precision of at most 3 there"),
        Some(sql_type) if sql_type.data_type() != *field.data_type() => {
            refuse(&format!("it has no type {}", field.data_type()))
        }
        Some(_) => Ok(()),
    }
}
