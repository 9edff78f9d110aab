//! The options and columns of a filesystem table.

use crate::lookup::{LookupCache, LookupOptions};
use crate::options::TableOptions;
use crate::projection::field;
use arrow::datatypes::{Schema, SchemaRef};
use regex::Regex;
use std::sync::Arc;
use weir_formats::Format;
use weir_types::{ColumnKind, OptionError, SqlType, TableColumn, TableDescriptor};

/// Metadata of the file that a row comes from: key and type, as Flink has them.
pub(super) const METADATA: [(&str, SqlType); 4] = [
    ("file.path", SqlType::STRING),
    ("file.name", SqlType::STRING),
    ("file.size", SqlType::BigInt),
    ("file.modification-time", SqlType::TimestampLtz(3)),
];

/// Options of Flink's that ask for what is not built.
const NOT_BUILT: [&str; 11] = [
    "auto-compaction",
    "compaction.file-size",
    "compaction.parallelism",
    "sink.partition-commit.trigger",
    "sink.partition-commit.delay",
    "sink.partition-commit.watermark-time-zone",
    "sink.partition-commit.policy.kind",
    "sink.partition-commit.policy.class",
    "sink.partition-commit.success-file.name",
    "sink.shuffle-by-partition.enable",
    "source.report-statistics",
];

/// When a file is closed and the next one begun; each checkpoint does so too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RollingPolicy {
    pub file_size: u64,
    pub rollover_interval_ms: u64,
    pub inactivity_interval_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct FilesystemTable {
    /// for messages
    pub name: String,
    pub path: String,
    pub format: Format,
    /// `None`: read what is there and end
    pub monitor_interval_ms: Option<u64>,
    /// how its rows are looked up; `None` if it is watched
    pub lookup: Option<LookupOptions>,
    /// only files whose whole path matches
    pub path_pattern: Option<Regex>,
    pub rolling: RollingPolicy,
    /// in the order of their directories
    pub partition_keys: Vec<TableColumn>,
    /// the directory of NULL
    pub default_partition: String,
    /// what the files hold: physical columns that are not partition keys, in declared order
    pub file_schema: SchemaRef,
    /// all that is written: physical columns and non-virtual metadata, of which no file has any
    pub writable: bool,
}

impl FilesystemTable {
    pub fn read(table: &TableDescriptor) -> Result<Self, OptionError> {
        let options = TableOptions::new(table, "filesystem");
        options.scan()?;
        options.sink()?;
        let path =
            options.required("path", "a file, a directory, a pattern such as '/data/*.json', or a URL")?;
        if path.trim().is_empty() {
            return Err(options.malformed("path", "it is empty".into()));
        }
        options.refuse(&NOT_BUILT, "remove it")?;
        let format = read_format(table, &options)?;
        let (partition_keys, file_schema) = columns(table, &options)?;
        format.check_columns(&file_schema).map_err(|error| options.table_error(error))?;
        let monitor_interval_ms = options.duration_ms("source.monitor-interval")?;
        if monitor_interval_ms == Some(0) {
            return Err(options.malformed("source.monitor-interval", "it must be above 0".into()));
        }
        let lookup = LookupOptions::read(&options, LookupCache::Full { reload: None })?;
        let filesystem = FilesystemTable {
            name: table.name.clone(),
            path: path.to_string(),
            format,
            monitor_interval_ms,
            lookup: monitor_interval_ms.is_none().then_some(lookup),
            path_pattern: path_pattern(&options)?,
            rolling: rolling(&options)?,
            partition_keys,
            default_partition: options
                .text("partition.default-name")
                .unwrap_or("__DEFAULT_PARTITION__")
                .to_string(),
            file_schema,
            writable: !table
                .columns
                .iter()
                .any(|column| matches!(column.kind, ColumnKind::Metadata { is_virtual: false, .. })),
        };
        options.finish()?;
        Ok(filesystem)
    }
}

fn read_format(table: &TableDescriptor, options: &TableOptions) -> Result<Format, OptionError> {
    let name = options.required("format", &format!("one of {}", Format::NAMES.join(", ")))?;
    for option in Format::options(name).unwrap_or_default() {
        options.know(&format!("{name}.{}", option.key));
    }
    Format::of_table(table)
}

fn path_pattern(options: &TableOptions) -> Result<Option<Regex>, OptionError> {
    const KEY: &str = "source.path.regex-pattern";
    let Some(text) = options.text(KEY) else { return Ok(None) };
    // The whole path must match, as with Java's `matches`.
    let pattern = Regex::new(&format!("^(?:{text})$"));
    pattern
        .map(Some)
        .map_err(|error| options.malformed(KEY, format!("'{text}' is no regular expression: {error}")))
}

fn rolling(options: &TableOptions) -> Result<RollingPolicy, OptionError> {
    // Files are checked after each batch and each quiet moment, which is more often than anybody asks for here.
    options.duration_ms("sink.rolling-policy.check-interval")?;
    const HALF_HOUR_MS: u64 = 30 * 60 * 1000;
    let policy = RollingPolicy {
        file_size: options.bytes("sink.rolling-policy.file-size")?.unwrap_or(128 << 20),
        rollover_interval_ms: options
            .duration_ms("sink.rolling-policy.rollover-interval")?
            .unwrap_or(HALF_HOUR_MS),
        inactivity_interval_ms: options
            .duration_ms("sink.rolling-policy.inactivity-interval")?
            .unwrap_or(HALF_HOUR_MS),
    };
    if policy.file_size == 0 {
        return Err(options.malformed("sink.rolling-policy.file-size", "it must be above 0".into()));
    }
    Ok(policy)
}

/// Partition keys in their order, and the columns that the files hold.
fn columns(
    table: &TableDescriptor,
    options: &TableOptions,
) -> Result<(Vec<TableColumn>, SchemaRef), OptionError> {
    let mut keys = Vec::new();
    for key in &table.partition_keys {
        let Some(column) = table.physical_columns().find(|column| column.name == *key) else {
            return Err(
                options.table_error(format!("PARTITIONED BY names '{key}', which is no physical column"))
            );
        };
        if !super::partition::is_supported(&column.sql_type) {
            return Err(options.table_error(format!(
                "PARTITIONED BY {key}: a value of type {} is no name of a directory",
                column.sql_type
            )));
        }
        keys.push(column.clone());
    }
    for column in &table.columns {
        if let ColumnKind::Metadata { key, .. } = &column.kind {
            check_metadata(column, key, options)?;
        }
    }
    let in_files = table.physical_columns().filter(|column| !table.partition_keys.contains(&column.name));
    let schema = Schema::new(in_files.map(field).collect::<Vec<_>>());
    if schema.fields().is_empty() {
        return Err(options.table_error("it needs a physical column that is no partition key"));
    }
    Ok((keys, Arc::new(schema)))
}

fn check_metadata(column: &TableColumn, key: &str, options: &TableOptions) -> Result<(), OptionError> {
    let Some((_, sql_type)) = METADATA.iter().find(|(name, _)| *name == key) else {
        let names = METADATA.iter().map(|(name, _)| *name);
        let hint = weir_types::nearest(key, names.clone()).map_or_else(
            || format!("; there are {}", names.collect::<Vec<_>>().join(", ")),
            |name| format!(", did you mean '{name}'?"),
        );
        let message =
            format!("connector 'filesystem' has no metadata '{key}' (column {}){hint}", column.name);
        return Err(options.table_error(message));
    };
    let fits = match sql_type {
        SqlType::TimestampLtz(_) => matches!(column.sql_type, SqlType::TimestampLtz(_)),
        exact => column.sql_type == *exact,
    };
    if fits {
        return Ok(());
    }
    Err(options.table_error(format!(
        "metadata '{key}' is {sql_type}, column {} declares it as {}",
        column.name, column.sql_type
    )))
}
