//! The formats by name.

use crate::csv::{self, CsvOptions};
use crate::debezium::{self, DebeziumJsonOptions};
use crate::json::{self, JsonOptions};
use crate::options::FormatOptions;
use crate::raw::{self, RawOptions};
use crate::{Decoder, DecoderSpec, Encoder, FormatError, OptionSpec};
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::BTreeMap;
use weir_types::{ChangelogMode, OptionError, TableDescriptor};

/// A format with its options, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    Json(JsonOptions),
    Csv(CsvOptions),
    Raw(RawOptions),
    DebeziumJson(DebeziumJsonOptions),
}

impl Format {
    /// What `'format' = '..'` can be.
    pub const NAMES: [&'static str; 4] = ["json", "csv", "raw", "debezium-json"];

    /// The format that the table's option `format` names, with its options (`json.ignore-parse-errors` and so on).
    pub fn of_table(table: &TableDescriptor) -> Result<Format, OptionError> {
        match table.option("format") {
            Some(name) => Format::named(name, &format!("{name}."), &table.options),
            None => Err(OptionError {
                option: Some("format".into()),
                message: format!(
                    "table '{}' has no option 'format', set it to one of {}",
                    table.name,
                    names()
                ),
            }),
        }
    }

    /// The format `name` with the options that stand in `options` under `prefix` (`json.`, `value.json.`). Other keys
    /// are left alone; an unknown key under the prefix is an error that names the nearest known one.
    pub fn named(
        name: &str,
        prefix: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<Format, OptionError> {
        let Some(known) = Format::options(name) else {
            let advice = match weir_types::nearest(name, Format::NAMES) {
                Some(nearest) => format!("did you mean '{nearest}'?"),
                None => format!("known are {}", names()),
            };
            return Err(OptionError {
                option: Some("format".into()),
                message: format!("unknown format '{name}', {advice}"),
            });
        };
        let options = FormatOptions::of(name, prefix, known, options)?;
        Ok(match name {
            "json" => Format::Json(JsonOptions::read(&options)?),
            "csv" => Format::Csv(CsvOptions::read(&options)?),
            "raw" => Format::Raw(RawOptions::read(&options)?),
            _ => Format::DebeziumJson(DebeziumJsonOptions::read(&options)?),
        })
    }

    /// The options of a format, without its name in front; `None` if there is no such format.
    pub fn options(name: &str) -> Option<&'static [OptionSpec]> {
        match name {
            "json" => Some(json::OPTIONS),
            "csv" => Some(csv::OPTIONS),
            "raw" => Some(raw::OPTIONS),
            "debezium-json" => Some(debezium::OPTIONS),
            _ => None,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Format::Json(_) => "json",
            Format::Csv(_) => "csv",
            Format::Raw(_) => "raw",
            Format::DebeziumJson(_) => "debezium-json",
        }
    }

    /// What its records say: the row kinds that a scan produces and that a sink takes.
    pub fn changelog_mode(&self) -> ChangelogMode {
        match self {
            Format::DebeziumJson(_) => ChangelogMode::ALL,
            _ => ChangelogMode::INSERT_ONLY,
        }
    }

    /// Refuses columns that the format cannot hold. `columns` as in [`DecoderSpec::columns`].
    pub fn check_columns(&self, columns: &Schema) -> Result<(), FormatError> {
        match self {
            Format::Json(_) | Format::DebeziumJson(_) => json::check_columns(self.name(), columns),
            Format::Csv(_) => csv::check_columns(columns),
            Format::Raw(options) => raw::check_columns(options, columns),
        }
    }

    /// A decoder of one stream.
    pub fn decoder(&self, spec: &DecoderSpec) -> Result<Box<dyn Decoder>, FormatError> {
        self.check_columns(&spec.columns)?;
        match self {
            Format::Json(options) => json::decoder(options, spec),
            Format::Csv(options) => csv::decoder(options, spec),
            Format::Raw(options) => raw::decoder(options, spec),
            Format::DebeziumJson(options) => debezium::decoder(options, spec),
        }
    }

    /// An encoder of rows with these columns, the physical columns of the table in declared order.
    pub fn encoder(&self, columns: &SchemaRef) -> Result<Box<dyn Encoder>, FormatError> {
        self.check_columns(columns)?;
        Ok(match self {
            Format::Json(options) => json::encoder(options, columns),
            Format::Csv(options) => csv::encoder(options),
            Format::Raw(options) => raw::encoder(options),
            Format::DebeziumJson(options) => debezium::encoder(options, columns)?,
        })
    }
}

fn names() -> String {
    Format::NAMES.map(|name| format!("'{name}'")).join(", ")
}
