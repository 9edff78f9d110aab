use super::*;
use std::collections::BTreeSet;

fn set(key: &str, value: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.set(key, value).map_err(|error| error.to_string())?;
    Ok(settings)
}

/// A default that its own check refuses would make `SET` of it an error, and a key that is listed twice ambiguous.
#[test]
fn the_registry_agrees_with_itself() {
    let mut keys = BTreeSet::new();
    for definition in registered_settings() {
        for key in definition.old_keys.iter().chain([&definition.key]) {
            assert!(keys.insert(*key), "{key} is there twice");
        }
        if let Some(default) = definition.default {
            assert_eq!(normalise(definition, default).as_deref(), Ok(default), "{}", definition.key);
        }
        if definition.support == SettingSupport::Honoured {
            assert!(!definition.description.is_empty(), "{}", definition.key);
        }
    }
}

#[test]
fn defaults_are_those_of_job_settings() {
    assert_eq!(Settings::default().job_settings(), JobSettings::default());
}

#[test]
fn values_reach_the_job() {
    let mut settings = Settings::default();
    settings.set("parallelism.default", " 3 ").unwrap();
    settings.set("pipeline.batch-timeout", "1 s").unwrap();
    settings.set("table.local-time-zone", "Europe/Berlin").unwrap();
    settings.set("table.exec.source.idle-timeout", "2 min").unwrap();
    let job = settings.job_settings();
    assert_eq!((job.parallelism, job.batch_timeout_ms, job.source_idle_timeout_ms), (3, 1000, 120_000));
    assert_eq!(&*job.time_zone, "Europe/Berlin");
    settings.set("table.local-time-zone", "GMT+8").unwrap();
    assert_eq!(settings.time_zone(), "GMT+08:00");
    settings.set("table.exec.resource.default-parallelism", "2").unwrap();
    assert_eq!(settings.job_settings().parallelism, 2);
    settings.reset("parallelism.default").unwrap();
    settings.reset("table.exec.resource.default-parallelism").unwrap();
    assert_eq!(settings.job_settings().parallelism, 1);
}

#[test]
fn old_names_work_and_the_new_one_is_printed() {
    let mut settings = Settings::default();
    let definition = settings.set("sql-client.display.max-column-width", "40").unwrap();
    assert_eq!(definition.key, "table.display.max-column-width");
    assert_eq!(settings.get("table.display.max-column-width"), Some("40"));
    assert_eq!(settings.get("sql-client.display.max-column-width"), Some("40"));
    assert!(settings.entries().contains(&("table.display.max-column-width", "40")));
    assert!(!settings.entries().iter().any(|(key, _)| key.starts_with("sql-client.display")));
}

#[test]
fn wrong_values_say_what_is_expected() {
    let error = |key, value| set(key, value).unwrap_err();
    assert_eq!(
        error("parallelism.default", "0"),
        "setting 'parallelism.default': '0' is not a whole number from 1 to 32768"
    );
    assert_eq!(
        error("sql-client.execution.result-mode", "pretty"),
        "setting 'sql-client.execution.result-mode': 'pretty' is not one of 'table', 'changelog', 'tableau'"
    );
    assert!(error("table.local-time-zone", "Mars/Base").contains("'Mars/Base' is not a time zone"));
    assert!(error("pipeline.batch-timeout", "soon").contains("'soon' is not a duration"));
    assert_eq!(
        error("table.dml-sync", "yes"),
        "setting 'table.dml-sync': 'yes' is neither 'true' nor 'false'"
    );
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_eq!(
        set("paralelism.default", "2").unwrap_err(),
        "unknown setting 'paralelism.default', did you mean 'parallelism.default'?"
    );
    assert_eq!(set("foo", "2").unwrap_err(), "unknown setting 'foo'");
}

#[test]
fn what_is_not_built_is_refused_and_defaults_are_accepted() {
    assert_eq!(
        set("table.exec.emit.early-fire.delay", "10 s").unwrap_err(),
        "not supported yet: setting 'table.exec.emit.early-fire.delay'"
    );
    assert!(set("execution.runtime-mode", "STREAMING").is_ok());
    assert!(set("execution.runtime-mode", "batch").unwrap_err().contains("only 'streaming' is"));
    assert!(set("pipeline.operator-chaining.enabled", "true").is_ok());
    assert!(set("pipeline.operator-chaining.enabled", "false").unwrap_err().contains("always share a task"));
}

#[test]
fn mini_batches_are_batches() {
    let mut settings = Settings::default();
    settings.set("table.exec.mini-batch.allow-latency", "2 s").unwrap();
    settings.set("table.exec.mini-batch.size", "500").unwrap();
    assert_eq!(settings.job_settings().batch_rows, 8192);
    settings.set("table.exec.mini-batch.enabled", "true").unwrap();
    let job = settings.job_settings();
    assert_eq!((job.batch_rows, job.batch_timeout_ms), (500, 2_000));
    settings.set("table.exec.mini-batch.size", "5000000").unwrap();
    assert_eq!(settings.job_settings().batch_rows, 65_536);
}

#[test]
fn choices_are_kept_in_one_spelling() {
    let settings = set("sql-client.execution.result-mode", "TABLEAU").unwrap();
    assert_eq!(settings.get("sql-client.execution.result-mode"), Some("tableau"));
}

#[test]
fn checkpoints_and_restarts() {
    use crate::{CheckpointMode, ClaimMode, RestartStrategy, Retention, StorageKind};
    let mut settings = Settings::default();
    let mut set = |key: &str, value: &str| settings.set(key, value).unwrap().key;
    assert_eq!(set("state.checkpoints.dir", "s3://b/c"), "execution.checkpointing.dir");
    assert_eq!(set("state.backend.incremental", "false"), "execution.checkpointing.incremental");
    assert_eq!(
        set("state.storage.fs.memory-threshold", "1 mb"),
        "execution.checkpointing.data-inline-threshold"
    );
    assert_eq!(set("execution.savepoint.path", "/sp"), "execution.state-recovery.path");
    set("execution.checkpointing.interval", "1 s");
    set("execution.checkpointing.mode", "at_least_once");
    set("execution.checkpointing.max-concurrent-checkpoints", "3");
    set("execution.checkpointing.storage", "FileSystem");
    set("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
    set("execution.state-recovery.claim-mode", "claim");
    let job = settings.job_settings();
    let checkpointing = &job.checkpointing;
    assert_eq!((checkpointing.interval_ms, checkpointing.max_concurrent), (Some(1000), 3));
    assert_eq!((checkpointing.mode, checkpointing.incremental), (CheckpointMode::AtLeastOnce, false));
    assert_eq!(
        (checkpointing.storage, checkpointing.retention),
        (Some(StorageKind::Files), Retention::OnCancellation)
    );
    assert_eq!((checkpointing.dir.as_deref(), checkpointing.inline_bytes), (Some("s3://b/c"), 1 << 20));
    assert_eq!((job.recovery.path.as_deref(), job.recovery.claim), (Some("/sp"), ClaimMode::Claim));
    assert_eq!(job.restart, RestartStrategy::DEFAULT_WITH_CHECKPOINTS, "what Flink does with checkpoints");
    assert_eq!(job.changed["execution.checkpointing.mode"], "AT_LEAST_ONCE", "as it is kept");
    settings.set("restart-strategy", "fixed-delay").unwrap();
    settings.set("restart-strategy.fixed-delay.attempts", "5").unwrap();
    let fixed = RestartStrategy::FixedDelay { attempts: 5, delay_ms: 1000 };
    assert_eq!(settings.job_settings().restart, fixed);
    settings.set("execution.checkpointing.interval", "0").unwrap();
    assert_eq!(settings.job_settings().checkpointing.interval_ms, None, "0 is never, as in Flink");
    let error = settings.set("restart-strategy.exponential-delay.backoff-multiplier", "0.5").unwrap_err();
    assert!(error.to_string().contains("'0.5' is not a number of at least 1"), "{error}");
}

/// The pages for users and the registry say the same.
#[test]
fn the_documentation_lists_every_setting() {
    let page = concat!(
        include_str!("../../../../docs/sql.md"),
        include_str!("../../../../docs/state-and-checkpoints.md")
    );
    for definition in registered_settings() {
        let line = page.lines().find(|line| line.starts_with(&format!("| `{}` |", definition.key)));
        match (definition.support, line) {
            (SettingSupport::Honoured, Some(line)) => {
                assert!(
                    definition.default.is_none_or(|default| line.contains(&format!("`{default}`"))),
                    "{line}"
                );
                assert!(definition.old_keys.iter().all(|old| line.contains(&format!("`{old}`"))), "{line}");
            }
            (SettingSupport::Honoured, None) => panic!("{} is not in the documents", definition.key),
            (_, line) => assert_eq!(line, None, "{} is not honoured", definition.key),
        }
    }
}

#[test]
fn the_state_backend_is_rocksdb_with_its_options() {
    use crate::{Compression, RocksDbSettings, StateBackendSettings};
    let rocksdb = |settings: &Settings| match settings.job_settings().state_backend {
        StateBackendSettings::RocksDb(rocksdb) => *rocksdb,
        StateBackendSettings::Heap => panic!("not on disk"),
    };
    let mut settings = set("state.backend", "RocksDB").unwrap();
    assert_eq!(settings.get("state.backend.type"), Some("rocksdb"));
    assert_eq!(rocksdb(&settings), RocksDbSettings::default(), "defaults are in one place");
    let mut set = |key: &str, value: &str| settings.set(&format!("state.backend.rocksdb.{key}"), value);
    set("compression.per.level", "no_compression; Zstd_Compression").unwrap();
    set("memory.fixed-per-slot", "10 mb").unwrap();
    set("memory.managed", "false").unwrap();
    set("files.open", "77").unwrap();
    set("use-bloom-filter", "false").unwrap();
    set("localdir", "/fast").unwrap();
    assert!(set("compression.per.level", "SNAPPY_COMPRESSION").unwrap_err().to_string().contains("'LZ4_"));
    assert!(set("memory.row-cache-ratio", "1.5").unwrap_err().to_string().contains("from 0 to 1"));
    let error = set("blok.cache-size", "1 mb").unwrap_err().to_string();
    assert!(error.contains("did you mean 'state.backend.rocksdb.block.cache-size'?"), "{error}");
    settings.set("parallelism.default", "3").unwrap();
    let found = rocksdb(&settings);
    assert_eq!(found.compression_per_level, [Compression::None, Compression::Zstd]);
    assert_eq!((found.managed, found.memory_bytes), (true, 30 << 20), "so much for each slot");
    assert_eq!((found.open_files, found.bloom_bits_per_key), (Some(77), None));
    assert_eq!(found.local_dir.as_deref(), Some(std::path::Path::new("/fast")));
}

/// What Flink limits, or has by another name, is an error that says which.
#[test]
fn limits_and_former_names_are_told() {
    let error = |key, value| set(key, value).expect_err("refused");
    let timeout = error("execution.checkpointing.timeout", "0");
    assert!(timeout.ends_with("'0' is too short: at least 10 ms are needed"), "{timeout}");
    assert!(set("execution.checkpointing.timeout", "10 ms").is_ok());
    assert!(error("execution.checkpointing.timeout", "soon").contains("is not a duration"));
    for key in ["execution.checkpointing.data-inline-threshold", "state.storage.fs.memory-threshold"] {
        assert!(error(key, "2 mb").contains("'2 mb' is too much: it is 1 mb at most"), "{key}");
        assert!(set(key, "1 mb").is_ok() && set(key, "0").is_ok(), "{key}");
    }
    assert!(error("state.backend.rocksdb.write-batch-size", "0").contains("it is 4 kb at least"));
    assert!(set("state.backend.rocksdb.write-batch-size", "4096").is_ok());
    let former = error("state.backend", "FileSystem");
    assert!(former.contains("'state.backend.type' = 'hashmap'") && former.contains(".dir'"), "{former}");
    assert!(
        error("state.backend.type", "jobmanager")
            .contains("'execution.checkpointing.storage' = 'jobmanager'")
    );
    assert!(error("state.backend.type", "forst").contains("not built"));
    assert!(error("state.backend.type", "heap").contains("is not one of 'hashmap', 'rocksdb'"));
    assert!(set("execution.checkpointing.unaligned.forced", "true").is_ok());
}

#[test]
fn local_copies_may_be_in_several_directories() {
    let mut settings = set("state.backend.local-recovery", "true").expect("a setting");
    let mut dirs = |list: &str| {
        settings.set("taskmanager.state.local.root-dirs", list).expect("a setting");
        settings.job_settings().checkpointing.local_backup.expect("copies")
    };
    assert_eq!(dirs("/a"), ["/a"]);
    assert_eq!(dirs("/a,/b;/c"), ["/a", "/b", "/c"]);
    assert_eq!(dirs(" /a , /b/c:/d;"), ["/a", "/b/c", "/d"]);
    assert_eq!(
        dirs("file:///a,s3://b"),
        ["file:///a", "s3://b"],
        "of which the latter is refused when a job begins"
    );
    assert_eq!(dirs(""), Vec::<String>::new(), "which is refused when a job begins");
}
