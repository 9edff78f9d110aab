//! The settings that are known.

use super::SettingDefinition;
use super::SettingSupport::{self, Honoured, NotBuilt, OnlyDefault};
use super::SettingType::{self, Boolean, Choice, Duration, Integer, Text, TimeZone};

mod checkpointing;
mod state_backend;

/// Every known setting, grouped by what it is about.
pub fn registered_settings() -> impl Iterator<Item = &'static SettingDefinition> {
    SETTINGS.iter().chain(checkpointing::CHECKPOINTING).chain(state_backend::STATE_BACKEND)
}

const fn setting(
    key: &'static str,
    setting_type: SettingType,
    default: &'static str,
    description: &'static str,
) -> SettingDefinition {
    SettingDefinition {
        key,
        old_keys: &[],
        setting_type,
        default: Some(default),
        support: Honoured,
        description,
    }
}

const fn unset(key: &'static str, setting_type: SettingType, description: &'static str) -> SettingDefinition {
    SettingDefinition { key, old_keys: &[], setting_type, default: None, support: Honoured, description }
}

const fn not_built(
    key: &'static str,
    old_keys: &'static [&'static str],
    setting_type: SettingType,
) -> SettingDefinition {
    SettingDefinition { key, old_keys, setting_type, default: None, support: NotBuilt, description: "" }
}

const fn only_default(
    key: &'static str,
    setting_type: SettingType,
    default: &'static str,
    reason: &'static str,
) -> SettingDefinition {
    let support = SettingSupport::OnlyDefault(reason);
    SettingDefinition { key, old_keys: &[], setting_type, default: Some(default), support, description: "" }
}

const fn or_old(definition: SettingDefinition, old_keys: &'static [&'static str]) -> SettingDefinition {
    SettingDefinition { old_keys, ..definition }
}

const MAX_PARALLELISM: i64 = 32_768;

const SETTINGS: &[SettingDefinition] = &[
    // The job.
    unset("pipeline.name", Text, "name of the next jobs, where progress and errors show one"),
    setting("parallelism.default", Integer(1, MAX_PARALLELISM), "1", "subtasks of each operator"),
    setting(
        "table.exec.resource.default-parallelism",
        Integer(-1, MAX_PARALLELISM),
        "-1",
        "the same for SQL jobs, and stronger; -1 leaves it to `parallelism.default`",
    ),
    setting(
        "pipeline.max-parallelism",
        Integer(1, MAX_PARALLELISM),
        "128",
        "number of key groups: the most subtasks that a job's state can ever be dealt out to",
    ),
    setting(
        "pipeline.batch-timeout",
        Duration,
        "100 ms",
        "how long a lone row may wait for others before it is handed on; Weir's own",
    ),
    SettingDefinition {
        support: OnlyDefault("every job here is a stream; a bounded input ends it"),
        ..or_old(
            setting("execution.runtime-mode", Choice(&["streaming", "batch", "automatic"]), "streaming", ""),
            &["execution.type"],
        )
    },
    or_old(
        only_default(
            "pipeline.operator-chaining.enabled",
            Boolean,
            "true",
            "neighbours without an exchange always share a task",
        ),
        &["pipeline.operator-chaining"],
    ),
    // Time.
    setting(
        "table.local-time-zone",
        TimeZone,
        "UTC",
        "zone of the session: how TIMESTAMP_LTZ becomes text or TIMESTAMP, and where its windows are aligned",
    ),
    setting(
        "pipeline.auto-watermark-interval",
        Duration,
        "200 ms",
        "how far a watermark must rise to be sent on; 0: after each row, exactly",
    ),
    setting(
        "table.exec.source.idle-timeout",
        Duration,
        "0 ms",
        "a source that is silent for so long no longer holds watermarks back; 0: never",
    ),
    // Lookups.
    setting(
        "table.exec.async-lookup.buffer-capacity",
        Integer(1, i32::MAX as i64),
        "100",
        "lookups that may be under way in a subtask, where a hint asks for `async`; each is of a batch of rows",
    ),
    setting(
        "table.exec.async-lookup.timeout",
        Duration,
        "3 min",
        "how long such a lookup may take, with all its retries; then the job fails. 0: for ever",
    ),
    setting(
        "table.exec.async-lookup.output-mode",
        Choice(&["ORDERED", "ALLOW_UNORDERED"]),
        "ORDERED",
        "whether rows that are answered sooner may overtake others between two watermarks",
    ),
    // State.
    setting(
        "table.exec.state.ttl",
        Duration,
        "0 ms",
        "state of a key that has not been touched for so long is dropped; 0: never",
    ),
    // Sources and sinks.
    setting(
        "table.exec.source.cdc-events-duplicate",
        Boolean,
        "false",
        "tables of changes may give an event twice: their primary key tells, and the last row of each key is kept",
    ),
    setting(
        "table.exec.sink.upsert-materialize",
        Choice(&["AUTO", "NONE", "FORCE"]),
        "AUTO",
        "whether rows are kept by a sink's primary key where the query updates them by another: if needed, never, always",
    ),
    setting(
        "table.exec.sink.require-on-conflict",
        Boolean,
        "false",
        "whether INSERT must say ON CONFLICT where its sink's primary key is not the key by which the query updates rows",
    ),
    setting(
        "table.exec.sink.not-null-enforcer",
        Choice(&["ERROR", "DROP"]),
        "ERROR",
        "what a NULL for a NOT NULL column of a sink does: fail the job, or leave the row out",
    ),
    setting(
        "table.exec.sink.keyed-shuffle",
        Choice(&["NONE", "AUTO", "FORCE"]),
        "AUTO",
        "FORCE: rows of one primary key of a sink are written by one subtask; a sink has its input's subtasks otherwise",
    ),
    // Aggregation.
    setting(
        "table.exec.mini-batch.enabled",
        Boolean,
        "false",
        "GROUP BY emits what has become of a group with a whole batch, not with each row",
    ),
    setting(
        "table.exec.mini-batch.allow-latency",
        Duration,
        "0 ms",
        "with mini-batches: how long a row may wait for others, instead of `pipeline.batch-timeout`",
    ),
    setting(
        "table.exec.mini-batch.size",
        Integer(-1, i64::MAX),
        "-1",
        "with mini-batches: rows of a batch, at most; never more than 65536",
    ),
    setting(
        "table.optimizer.agg-phase-strategy",
        Choice(&["AUTO", "ONE_PHASE", "TWO_PHASE"]),
        "AUTO",
        "with mini-batches: whether GROUP BY begins before rows are distributed; AUTO: if there are several subtasks",
    ),
    setting(
        "table.optimizer.distinct-agg.split.enabled",
        Boolean,
        "false",
        "with several subtasks: an aggregation over DISTINCT is by buckets of the values first, so that no key has all its rows \
         in one subtask",
    ),
    setting(
        "table.optimizer.distinct-agg.split.bucket-num",
        Integer(1, 32_767),
        "1024",
        "with distinct split: how many buckets",
    ),
    setting(
        "table.optimizer.incremental-agg-enabled",
        Boolean,
        "true",
        "with distinct split and mini-batches: whether the second aggregation begins before rows are distributed",
    ),
    // The client.
    setting(
        "sql-client.execution.result-mode",
        Choice(&["table", "changelog", "tableau"]),
        "tableau",
        "how the result of a SELECT is shown; Flink's own default is table",
    ),
    or_old(
        setting(
            "table.display.max-column-width",
            Integer(1, 1_000_000),
            "30",
            "characters of a column that is shown, at most",
        ),
        &["sql-client.display.max-column-width"],
    ),
    only_default("sql-client.verbose", Boolean, "false", "errors always say all that is known about them"),
    or_old(
        setting("table.dml-sync", Boolean, "false", "in the REPL, wait for the end of an INSERT"),
        &["execution.attached"],
    ),
    // What Flink has and Weir does by itself, or not at all.
    only_default("table.sql-dialect", Choice(&["default", "hive"]), "default", "there is one dialect"),
    only_default(
        "table.exec.sink.type-length-enforcer",
        Choice(&["IGNORE", "TRIM_PAD", "ERROR"]),
        "IGNORE",
        "lengths of CHAR, VARCHAR, BINARY and VARBINARY are not enforced on writing",
    ),
    only_default(
        "table.exec.legacy-cast-behaviour",
        Choice(&["DISABLED", "ENABLED"]),
        "DISABLED",
        "casts that cannot be done fail the job",
    ),
    not_built("table.exec.emit.early-fire.enabled", &[], Boolean),
    not_built("table.exec.emit.early-fire.delay", &[], Duration),
    not_built("table.exec.emit.late-fire.enabled", &[], Boolean),
    not_built("table.exec.emit.late-fire.delay", &[], Duration),
    not_built("table.exec.emit.allow-lateness", &[], Duration),
];
