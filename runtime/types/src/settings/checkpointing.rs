//! From settings to what they say about checkpoints and restarts.

use super::Settings;
use crate::checkpointing::{
    CheckpointMode, CheckpointSettings, ClaimMode, RecoverySettings, RestartStrategy, Retention, StorageKind,
};
use crate::quantity::parse_bytes;

/// Directories in a list, as Flink writes one: `/fast/a,/fast/b`. It is cut at `;` too, and as in Flink on this kind of machine
/// at a `:` with a path behind it.
fn directories(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in list.split([',', ';']).map(str::trim) {
        let parts = if part.contains("://") { part.to_string() } else { part.replace(":/", ",/") };
        found.extend(parts.split(',').filter(|path| !path.is_empty()).map(str::to_string));
    }
    found
}

impl Settings {
    pub(super) fn checkpointing(&self) -> CheckpointSettings {
        let key = |name: &str| format!("execution.checkpointing.{name}");
        let duration = |name: &str| self.duration_ms(&key(name));
        let boolean = |name: &str| self.boolean(&key(name));
        let count = |name: &str| self.count(&key(name)).and_then(|count| u32::try_from(count).ok());
        let text = |name: &str| self.get(&key(name)).filter(|text| !text.is_empty()).map(str::to_string);
        let defaults = CheckpointSettings::default();
        CheckpointSettings {
            interval_ms: Some(duration("interval")).filter(|interval| *interval > 0),
            mode: match self.get(&key("mode")) {
                Some("AT_LEAST_ONCE") => CheckpointMode::AtLeastOnce,
                _ => CheckpointMode::ExactlyOnce,
            },
            timeout_ms: duration("timeout"),
            min_pause_ms: duration("min-pause"),
            max_concurrent: count("max-concurrent-checkpoints").unwrap_or(defaults.max_concurrent),
            tolerable_failures: count("tolerable-failed-checkpoints").unwrap_or(defaults.tolerable_failures),
            unaligned: boolean("unaligned.enabled"),
            aligned_timeout_ms: duration("aligned-checkpoint-timeout"),
            incremental: boolean("incremental"),
            num_retained: count("num-retained").unwrap_or(defaults.num_retained),
            retention: match self.get(&key("externalized-checkpoint-retention")) {
                Some("DELETE_ON_CANCELLATION") => Retention::OnFailure,
                Some("RETAIN_ON_CANCELLATION") => Retention::OnCancellation,
                _ => Retention::None,
            },
            storage: match self.get(&key("storage")) {
                Some("jobmanager") => Some(StorageKind::Memory),
                Some("filesystem") => Some(StorageKind::Files),
                _ => None,
            },
            dir: text("dir"),
            create_subdir: boolean("create-subdir"),
            savepoint_dir: text("savepoint-dir"),
            inline_bytes: self.bytes(&key("data-inline-threshold")),
            write_buffer_bytes: self.bytes(&key("write-buffer-size")),
            compression: boolean("snapshot-compression"),
            memory_state_bytes: self.bytes(&key("max-state-size-in-memory")),
            local_backup: boolean("local-backup.enabled")
                .then(|| directories(&text("local-backup.dirs").unwrap_or_default())),
        }
    }

    pub(super) fn recovery(&self) -> RecoverySettings {
        let path = self.get("execution.state-recovery.path").filter(|path| !path.is_empty());
        RecoverySettings {
            path: path.map(str::to_string),
            ignore_unclaimed: self.boolean("execution.state-recovery.ignore-unclaimed-state"),
            without_in_flight: self.count("execution.state-recovery.without-channel-state.checkpoint-id"),
            claim: match self.get("execution.state-recovery.claim-mode") {
                Some("CLAIM") => ClaimMode::Claim,
                _ => ClaimMode::NoClaim,
            },
        }
    }

    /// As Flink: without a strategy, a job with checkpoints is started again for ever, one without is not.
    pub(super) fn restart(&self, checkpoints: bool) -> RestartStrategy {
        let duration = |name: &str| self.duration_ms(&format!("restart-strategy.{name}"));
        let count = |name: &str| self.count(&format!("restart-strategy.{name}"));
        let number = |name: &str| {
            self.get(&format!("restart-strategy.{name}")).and_then(|text| text.parse::<f64>().ok())
        };
        let default = if checkpoints { "exponential-delay" } else { "none" };
        match self.get("restart-strategy.type").unwrap_or(default) {
            "fixed-delay" | "fixeddelay" => RestartStrategy::FixedDelay {
                attempts: count("fixed-delay.attempts").unwrap_or(1),
                delay_ms: duration("fixed-delay.delay"),
            },
            "failure-rate" | "failurerate" => RestartStrategy::FailureRate {
                failures: count("failure-rate.max-failures-per-interval").unwrap_or(1),
                interval_ms: duration("failure-rate.failure-rate-interval"),
                delay_ms: duration("failure-rate.delay"),
            },
            "exponential-delay" | "exponentialdelay" => RestartStrategy::ExponentialDelay {
                initial_ms: duration("exponential-delay.initial-backoff"),
                max_ms: duration("exponential-delay.max-backoff"),
                multiplier: number("exponential-delay.backoff-multiplier").unwrap_or(1.5),
                reset_after_ms: duration("exponential-delay.reset-backoff-threshold"),
                jitter: number("exponential-delay.jitter-factor").unwrap_or(0.1),
                attempts: count("exponential-delay.attempts-before-reset-backoff"),
            },
            _ => RestartStrategy::Never,
        }
    }

    /// Bytes of a memory size; 0 without a value.
    pub(super) fn bytes(&self, key: &str) -> u64 {
        self.get(key).and_then(|value| parse_bytes(value).ok()).unwrap_or(0)
    }

    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.integer(key).and_then(|count| u64::try_from(count).ok())
    }

    /// What was set, by the new keys.
    pub fn changed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(key, value)| (*key, value.as_str()))
    }
}
