//! The settings that SQL can change with `SET 'key' = 'value'`.
//!
//! Every key that has a meaning is in the [registry](registered_settings), with its type, default and older names. Keys
//! of Flink that are known but not built are there too, so that setting them says so; a key that is not there is an
//! error that names the nearest one.

mod checkpointing;
mod registry;
mod state_backend;
#[cfg(test)]
mod tests;

use crate::quantity::{parse_bytes, parse_duration_ms};
use crate::text::TimeZone;
use crate::{Classify, ErrorKind, JobSettings};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

pub use registry::registered_settings;

/// Rows of a batch, at most: `table.exec.mini-batch.size` may ask for more.
const MAX_BATCH_ROWS: usize = 1 << 16;

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingType {
    Boolean,
    /// from, to, both included
    Integer(i64, i64),
    Duration,
    /// a duration, at least this
    DurationFrom(&'static str),
    Bytes,
    /// a memory size, at least this
    BytesFrom(&'static str),
    /// a memory size, at most this
    BytesTo(&'static str),
    /// a decimal number, at least this
    Number(&'static str),
    /// a decimal number from 0 to 1
    Share,
    /// one of these, in any case
    Choice(&'static [&'static str]),
    /// some of these, in any case, with `;` between them
    List(&'static [&'static str]),
    /// a name of the IANA time zone database, or an offset
    TimeZone,
    Text,
}

/// What Weir does with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSupport {
    Honoured,
    /// Known from Flink; only the default has a meaning here, for this reason.
    OnlyDefault(&'static str),
    /// Known from Flink; not built yet.
    NotBuilt,
}

/// A setting that is known.
#[derive(Clone, Copy, Debug)]
pub struct SettingDefinition {
    pub key: &'static str,
    /// names that Flink gave it before
    pub old_keys: &'static [&'static str],
    pub setting_type: SettingType,
    /// `None`: there is no value unless it is set
    pub default: Option<&'static str>,
    pub support: SettingSupport,
    pub description: &'static str,
}

/// Why a setting cannot be set or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("unknown setting '{key}'{nearest}")]
    Unknown { key: String, nearest: String },
    #[error("setting '{key}': {message}")]
    Value { key: &'static str, message: String },
    #[error("not supported yet: setting '{key}'")]
    NotBuilt { key: &'static str },
}

impl Classify for SettingError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::UserInput
    }
}

/// The settings of one session. Values are checked when they are set, so that reading one does not fail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// by the new key, only what was set
    values: BTreeMap<&'static str, String>,
}

impl Settings {
    /// The definition of a setting by its key or an older one.
    pub fn definition(key: &str) -> Result<&'static SettingDefinition, SettingError> {
        let key = key.trim();
        let found = registered_settings()
            .find(|definition| definition.key == key || definition.old_keys.contains(&key));
        found.ok_or_else(|| SettingError::Unknown { key: key.to_string(), nearest: nearest(key) })
    }

    /// Sets a setting; returns its definition, whose key is the one to show.
    pub fn set(&mut self, key: &str, value: &str) -> Result<&'static SettingDefinition, SettingError> {
        let definition = Settings::definition(key)?;
        let value = normalise(definition, value.trim())?;
        match definition.support {
            SettingSupport::Honoured => {}
            SettingSupport::NotBuilt => return Err(SettingError::NotBuilt { key: definition.key }),
            SettingSupport::OnlyDefault(_) if definition.default == Some(value.as_str()) => {}
            SettingSupport::OnlyDefault(reason) => {
                let default = definition.default.unwrap_or("not set");
                let message = format!("'{value}' is not supported, only '{default}' is: {reason}");
                return Err(SettingError::Value { key: definition.key, message });
            }
        }
        self.values.insert(definition.key, value);
        Ok(definition)
    }

    /// Takes a setting back to its default.
    pub fn reset(&mut self, key: &str) -> Result<&'static SettingDefinition, SettingError> {
        let definition = Settings::definition(key)?;
        self.values.remove(definition.key);
        Ok(definition)
    }

    pub fn reset_all(&mut self) {
        self.values.clear();
    }

    /// The value of a setting by its key or an older one, or its default; `None` without either, or for an unknown key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let definition = Settings::definition(key).ok()?;
        self.values.get(definition.key).map(String::as_str).or(definition.default)
    }

    /// Every setting that has a value: key and value, in the order of keys.
    pub fn entries(&self) -> Vec<(&'static str, &str)> {
        let honoured =
            registered_settings().filter(|definition| definition.support == SettingSupport::Honoured);
        let mut entries: Vec<_> =
            honoured.filter_map(|definition| Some((definition.key, self.get(definition.key)?))).collect();
        entries.sort_unstable();
        entries
    }

    /// Milliseconds of a duration; 0 without a value.
    pub fn duration_ms(&self, key: &str) -> u64 {
        self.get(key).and_then(|value| parse_duration_ms(value).ok()).unwrap_or(0)
    }

    /// False without a value.
    pub fn boolean(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    pub fn integer(&self, key: &str) -> Option<i64> {
        self.get(key)?.parse().ok()
    }

    /// `table.local-time-zone`
    pub fn time_zone(&self) -> &str {
        self.get("table.local-time-zone").unwrap_or("UTC")
    }

    /// `pipeline.auto-watermark-interval`; 0: after each row, exactly.
    pub fn auto_watermark_interval_ms(&self) -> i64 {
        i64::try_from(self.duration_ms("pipeline.auto-watermark-interval")).unwrap_or(i64::MAX)
    }

    /// `table.dml-sync`
    pub fn dml_sync(&self) -> bool {
        self.boolean("table.dml-sync")
    }

    /// `sql-client.execution.result-mode`: table, changelog or tableau.
    pub fn result_mode(&self) -> &str {
        self.get("sql-client.execution.result-mode").unwrap_or("tableau")
    }

    /// `table.display.max-column-width`
    pub fn max_column_width(&self) -> Option<usize> {
        self.integer("table.display.max-column-width").and_then(|width| usize::try_from(width).ok())
    }

    /// What the runtime is told.
    pub fn job_settings(&self) -> JobSettings {
        let count =
            |key| self.integer(key).and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
        let defaults = JobSettings::default();
        let checkpointing = self.checkpointing();
        let parallelism = count("table.exec.resource.default-parallelism").or(count("parallelism.default"));
        let parallelism = parallelism.unwrap_or(defaults.parallelism);
        let bundled = self.boolean("table.exec.mini-batch.enabled");
        let size = self.integer("table.exec.mini-batch.size").and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| bundled && *size > 0).map(|size| size.min(MAX_BATCH_ROWS));
        let latency_key =
            if bundled { "table.exec.mini-batch.allow-latency" } else { "pipeline.batch-timeout" };
        JobSettings {
            parallelism,
            state_backend: self.state_backend(parallelism),
            max_parallelism: count("pipeline.max-parallelism").unwrap_or(defaults.max_parallelism),
            batch_rows: size.unwrap_or(defaults.batch_rows),
            batch_timeout_ms: self.duration_ms(latency_key),
            time_zone: Arc::from(self.time_zone()),
            state_ttl_ms: self.duration_ms("table.exec.state.ttl"),
            source_idle_timeout_ms: self.duration_ms("table.exec.source.idle-timeout"),
            restart: self.restart(checkpointing.interval_ms.is_some()),
            checkpointing,
            recovery: self.recovery(),
            changed: self.changed().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            ..defaults
        }
    }
}

/// `value` as it is kept: choices and booleans in the registry's letters.
fn normalise(definition: &'static SettingDefinition, value: &str) -> Result<String, SettingError> {
    let wrong = |message| Err(SettingError::Value { key: definition.key, message });
    match definition.setting_type {
        SettingType::Boolean => match value.to_ascii_lowercase().as_str() {
            lower @ ("true" | "false") => Ok(lower.to_string()),
            _ => wrong(format!("'{value}' is neither 'true' nor 'false'")),
        },
        SettingType::Integer(min, max) => match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => wrong(format!("'{value}' is not a whole number from {min} to {max}")),
        },
        SettingType::Duration => match parse_duration_ms(value) {
            Ok(_) => Ok(value.to_string()),
            Err(message) => wrong(message),
        },
        SettingType::DurationFrom(least) => match (parse_duration_ms(value), parse_duration_ms(least)) {
            (Ok(found), Ok(least_ms)) if found < least_ms => {
                wrong(format!("'{value}' is too short: at least {least} are needed"))
            }
            (Err(message), _) => wrong(message),
            _ => Ok(value.to_string()),
        },
        SettingType::Bytes => match parse_bytes(value) {
            Ok(_) => Ok(value.to_string()),
            Err(message) => wrong(message),
        },
        SettingType::BytesFrom(limit) | SettingType::BytesTo(limit) => {
            let is_least = matches!(definition.setting_type, SettingType::BytesFrom(_));
            match (parse_bytes(value), parse_bytes(limit)) {
                (Ok(found), Ok(least)) if is_least && found < least => {
                    wrong(format!("'{value}' is too little: it is {limit} at least"))
                }
                (Ok(found), Ok(most)) if !is_least && found > most => {
                    wrong(format!("'{value}' is too much: it is {limit} at most"))
                }
                (Err(message), _) => wrong(message),
                _ => Ok(value.to_string()),
            }
        }
        SettingType::Number(least) => match (value.parse::<f64>(), least.parse::<f64>()) {
            (Ok(number), Ok(least)) if number.is_finite() && number >= least => Ok(value.to_string()),
            _ => wrong(format!("'{value}' is not a number of at least {least}")),
        },
        SettingType::Share => match value.parse::<f64>() {
            Ok(number) if (0.0..=1.0).contains(&number) => Ok(value.to_string()),
            _ => wrong(format!("'{value}' is not a number from 0 to 1")),
        },
        SettingType::Choice(choices) => choice(choices, value)
            .map_err(|message| former(definition.key, value).unwrap_or(message))
            .or_else(wrong),
        SettingType::List(choices) => {
            let parts = value.split(';').map(|part| choice(choices, part.trim()));
            parts.collect::<Result<Vec<_>, _>>().map(|parts| parts.join(";")).or_else(wrong)
        }
        SettingType::TimeZone => match TimeZone::from_str(value) {
            Ok(zone) => Ok(zone.to_string()),
            Err(_) => wrong(format!(
                "'{value}' is not a time zone: write a name such as 'Europe/Berlin', or an offset such as 'GMT+08:00'"
            )),
        },
        SettingType::Text => Ok(value.to_string()),
    }
}

/// What to set instead of a value that Flink has, or had, and Weir has by another name or not.
fn former(key: &str, value: &str) -> Option<String> {
    let instead = match (key, value.to_ascii_lowercase().as_str()) {
        ("state.backend.type", "filesystem" | "fsstatebackend") => {
            "was Flink's name for state in memory and checkpoints in files: set 'state.backend.type' = 'hashmap' and \
             'execution.checkpointing.storage' = 'filesystem', with an 'execution.checkpointing.dir'"
        }
        ("state.backend.type", "jobmanager" | "memory") => {
            "was Flink's name for state and checkpoints in memory: set 'state.backend.type' = 'hashmap' and \
             'execution.checkpointing.storage' = 'jobmanager'"
        }
        ("state.backend.type", "forst") => {
            "is not built: state is in memory ('hashmap') or on disks of this machine ('rocksdb')"
        }
        _ => return None,
    };
    Some(format!("'{value}' {instead}"))
}

/// `value` as it is spelt among `choices`.
fn choice(choices: &[&str], value: &str) -> Result<String, String> {
    match choices.iter().find(|choice| choice.eq_ignore_ascii_case(value)) {
        Some(choice) => Ok(choice.to_string()),
        None => Err(format!("'{value}' is not one of '{}'", choices.join("', '"))),
    }
}

/// `, did you mean 'x'?`
fn nearest(key: &str) -> String {
    let keys =
        |definition: &'static SettingDefinition| definition.old_keys.iter().chain([&definition.key]).copied();
    crate::did_you_mean(key, registered_settings().flat_map(keys))
}
