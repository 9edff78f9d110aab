//! Settings of checkpoints, of the state that a job begins with, and of restarts.

use super::super::SettingDefinition;
use super::super::SettingType::{
    Boolean, Bytes, BytesTo, Choice, Duration, DurationFrom, Integer, Number, Text,
};
use super::{only_default, or_old, setting, unset};

pub(super) const CHECKPOINTING: &[SettingDefinition] = &[
    unset(
        "execution.checkpointing.interval",
        Duration,
        "how often a checkpoint is taken; not set or 0: never",
    ),
    setting(
        "execution.checkpointing.mode",
        Choice(&["EXACTLY_ONCE", "AT_LEAST_ONCE"]),
        "EXACTLY_ONCE",
        "whether a subtask waits for the barriers of all its inputs, or rows may come again after a restart",
    ),
    setting(
        "execution.checkpointing.timeout",
        DurationFrom("10 ms"),
        "10 min",
        "a checkpoint that is not complete after so long has failed; at least 10 ms",
    ),
    setting(
        "execution.checkpointing.min-pause",
        Duration,
        "0 ms",
        "least time from the end of a checkpoint to the start of the next",
    ),
    setting(
        "execution.checkpointing.max-concurrent-checkpoints",
        Integer(1, 1000),
        "1",
        "checkpoints in progress at a time; one, if there is a `min-pause`",
    ),
    setting(
        "execution.checkpointing.tolerable-failed-checkpoints",
        Integer(0, u32::MAX as i64),
        "0",
        "checkpoints in a row that may fail before the job does",
    ),
    or_old(
        setting(
            "execution.checkpointing.unaligned.enabled",
            Boolean,
            "false",
            "barriers overtake rows, which become part of the checkpoint",
        ),
        &["execution.checkpointing.unaligned"],
    ),
    setting(
        "execution.checkpointing.unaligned.forced",
        Boolean,
        "false",
        "`unaligned.enabled` holds for jobs that Flink would only allow it with this; here it holds for every job",
    ),
    or_old(
        setting(
            "execution.checkpointing.aligned-checkpoint-timeout",
            Duration,
            "0 ms",
            "how long an unaligned checkpoint first tries to do without overtaking",
        ),
        &["execution.checkpointing.alignment-timeout"],
    ),
    or_old(
        only_default(
            "execution.checkpointing.checkpoints-after-tasks-finish",
            Boolean,
            "true",
            "there are checkpoints as long as some task runs",
        ),
        &["execution.checkpointing.checkpoints-after-tasks-finish.enabled"],
    ),
    or_old(
        setting(
            "execution.checkpointing.incremental",
            Boolean,
            "true",
            "state that has not changed since the last checkpoint is not written again; Flink's own default is false",
        ),
        &["state.backend.incremental"],
    ),
    or_old(
        unset(
            "execution.checkpointing.storage",
            Choice(&["jobmanager", "filesystem"]),
            "where checkpoints are kept: in memory or in files; not set: in files if there is a `dir`",
        ),
        &["state.checkpoint-storage"],
    ),
    or_old(
        unset(
            "execution.checkpointing.dir",
            Text,
            "path or URL (file, s3, gs, az) below which checkpoints are written",
        ),
        &["state.checkpoints.dir", "state.backend.fs.checkpointdir"],
    ),
    or_old(
        setting(
            "execution.checkpointing.create-subdir",
            Boolean,
            "true",
            "each job has a directory of its own below `dir`",
        ),
        &["state.checkpoints.create-subdir"],
    ),
    or_old(
        unset(
            "execution.checkpointing.savepoint-dir",
            Text,
            "path or URL below which savepoints are written",
        ),
        &["state.savepoints.dir", "savepoints.state.backend.fs.dir"],
    ),
    or_old(
        setting(
            "execution.checkpointing.num-retained",
            Integer(1, 10_000),
            "1",
            "complete checkpoints that are kept, the newest",
        ),
        &["state.checkpoints.num-retained"],
    ),
    setting(
        "execution.checkpointing.externalized-checkpoint-retention",
        Choice(&["NO_EXTERNALIZED_CHECKPOINTS", "DELETE_ON_CANCELLATION", "RETAIN_ON_CANCELLATION"]),
        "NO_EXTERNALIZED_CHECKPOINTS",
        "whether checkpoints outlive a job that fails (DELETE_ON_CANCELLATION) or is cancelled as well \
         (RETAIN_ON_CANCELLATION); those of a job that finishes never do",
    ),
    or_old(
        setting(
            "execution.checkpointing.data-inline-threshold",
            BytesTo("1 mb"),
            "20 kb",
            "state of a subtask up to this size is written into the metadata; at most 1 mb",
        ),
        &["state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"],
    ),
    or_old(
        setting(
            "execution.checkpointing.write-buffer-size",
            Bytes,
            "4096",
            "buffer of a file of state that is being written, at least 1 MB; object stores take parts of 8 MB at least",
        ),
        &["state.storage.fs.write-buffer-size", "state.backend.fs.write-buffer-size"],
    ),
    setting(
        "execution.checkpointing.snapshot-compression",
        Boolean,
        "false",
        "entries outside RocksDB's files are compressed where they are stored; these are as `compression.per.level` says, \
         and canonical savepoints are compressed anyway",
    ),
    setting(
        "execution.checkpointing.max-state-size-in-memory",
        Bytes,
        "5 mb",
        "with storage `jobmanager`, a checkpoint fails if a subtask of an operator keeps more; Weir's own",
    ),
    or_old(
        setting(
            "execution.checkpointing.local-backup.enabled",
            Boolean,
            "false",
            "second copies of the files of state are kept on this machine, for restarts without the network",
        ),
        &["state.backend.local-recovery"],
    ),
    or_old(
        unset(
            "execution.checkpointing.local-backup.dirs",
            Text,
            "directories for these copies, with `,` or `;` between them; each file is in one of them",
        ),
        &["taskmanager.state.local.root-dirs"],
    ),
    // What a job begins with.
    or_old(
        unset(
            "execution.state-recovery.path",
            Text,
            "checkpoint or savepoint that the next jobs begin with; `weir run --from` is the same",
        ),
        &["execution.savepoint.path"],
    ),
    or_old(
        setting(
            "execution.state-recovery.ignore-unclaimed-state",
            Boolean,
            "false",
            "state that the job has no operator for is left behind, instead of being an error",
        ),
        &["execution.savepoint.ignore-unclaimed-state"],
    ),
    or_old(
        setting(
            "execution.state-recovery.without-channel-state.checkpoint-id",
            Integer(-1, i64::MAX),
            "-1",
            "rows that were on their way at this checkpoint are left behind when a job begins with it, and are lost: for \
             one that rows that cannot be worked on keep from starting; -1: none",
        ),
        &[
            "execution.checkpointing.recover-without-channel-state.checkpoint-id",
            "execution.checkpointing.checkpoint-id-of-ignored-in-flight-data",
        ],
    ),
    or_old(
        setting(
            "execution.state-recovery.claim-mode",
            Choice(&["NO_CLAIM", "CLAIM"]),
            "NO_CLAIM",
            "whether the job may refer to and delete the files that it begins with (CLAIM) or leaves them alone",
        ),
        &["execution.savepoint-restore-mode"],
    ),
    // Restarts.
    or_old(
        unset(
            "restart-strategy.type",
            Choice(&[
                "none",
                "off",
                "disable",
                "fixed-delay",
                "fixeddelay",
                "failure-rate",
                "failurerate",
                "exponential-delay",
                "exponentialdelay",
            ]),
            "how a job that failed is started again; not set: exponential-delay with checkpoints, none without",
        ),
        &["restart-strategy"],
    ),
    setting(
        "restart-strategy.fixed-delay.attempts",
        Integer(0, i64::MAX),
        "1",
        "restarts after which a failure is the last",
    ),
    setting("restart-strategy.fixed-delay.delay", Duration, "1 s", "from a failure to the restart"),
    setting(
        "restart-strategy.failure-rate.max-failures-per-interval",
        Integer(0, i64::MAX),
        "1",
        "failures in an interval beyond which one is the last",
    ),
    setting(
        "restart-strategy.failure-rate.failure-rate-interval",
        Duration,
        "1 min",
        "the interval in which failures are counted",
    ),
    setting("restart-strategy.failure-rate.delay", Duration, "1 s", "from a failure to the restart"),
    setting(
        "restart-strategy.exponential-delay.initial-backoff",
        Duration,
        "1 s",
        "delay after the first failure",
    ),
    setting("restart-strategy.exponential-delay.max-backoff", Duration, "1 min", "the longest delay"),
    setting(
        "restart-strategy.exponential-delay.backoff-multiplier",
        Number("1"),
        "1.5",
        "by which the delay grows with each failure",
    ),
    setting(
        "restart-strategy.exponential-delay.reset-backoff-threshold",
        Duration,
        "1 h",
        "after so long without a failure the delay is the initial one again",
    ),
    setting(
        "restart-strategy.exponential-delay.jitter-factor",
        Number("0"),
        "0.1",
        "share of the delay by which it is longer or shorter at random",
    ),
    unset(
        "restart-strategy.exponential-delay.attempts-before-reset-backoff",
        Integer(0, i64::MAX),
        "failures without such a pause after which one is the last; not set: any number",
    ),
    // What Flink has and Weir does by itself, or not at all.
    or_old(
        only_default(
            "execution.checkpointing.cleaner.parallel-mode",
            Boolean,
            "true",
            "old checkpoints are deleted beside the job",
        ),
        &["state.checkpoint.cleaner.parallel-mode"],
    ),
    only_default(
        "execution.checkpointing.interval-during-backlog",
        Text,
        "",
        "no source tells whether it works off a backlog: `interval` holds always",
    ),
    only_default(
        "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file",
        Text,
        "5",
        "rows that were on their way lie with the other state of their subtask",
    ),
    only_default(
        "execution.checkpointing.file-merging.across-checkpoint-boundary",
        Boolean,
        "false",
        "the state of a subtask is one file already",
    ),
    only_default(
        "execution.checkpointing.file-merging.max-file-size",
        Text,
        "32 mb",
        "the state of a subtask is one file already",
    ),
    only_default(
        "execution.checkpointing.file-merging.max-space-amplification",
        Text,
        "2.0",
        "a file of which less than half is needed is written anew, which bounds it",
    ),
    only_default(
        "execution.checkpointing.file-merging.max-subtasks-per-file",
        Text,
        "4",
        "the state of a subtask is one file already",
    ),
    only_default(
        "execution.checkpointing.file-merging.pool-blocking",
        Boolean,
        "false",
        "the state of a subtask is one file already",
    ),
    or_old(
        only_default(
            "execution.state-recovery.approximate-local-recovery",
            Boolean,
            "false",
            "it loses and repeats rows; all subtasks go back to the last checkpoint together",
        ),
        &["execution.checkpointing.approximate-local-recovery"],
    ),
    only_default(
        "execution.state-recovery.from-local",
        Boolean,
        "true",
        "what `local-backup.enabled` keeps on this machine is read first, otherwise it would be of no use",
    ),
    or_old(
        only_default(
            "state.changelog.enabled",
            Boolean,
            "false",
            "an incremental checkpoint holds no more than what changed, which is what a changelog is for",
        ),
        &["state.backend.changelog.enabled"],
    ),
    or_old(
        only_default("state.changelog.storage", Text, "memory", "there is no changelog of state"),
        &["state.backend.changelog.storage"],
    ),
    or_old(
        only_default("state.changelog.max-failures-allowed", Text, "3", "there is no changelog of state"),
        &["state.backend.changelog.max-failures-allowed"],
    ),
    or_old(
        only_default(
            "state.changelog.periodic-materialize.enabled",
            Boolean,
            "true",
            "there is no changelog of state",
        ),
        &["state.backend.changelog.periodic-materialize.enabled"],
    ),
    or_old(
        only_default(
            "state.changelog.periodic-materialize.interval",
            Text,
            "10 min",
            "there is no changelog of state",
        ),
        &["state.backend.changelog.periodic-materialize.interval"],
    ),
    or_old(
        only_default(
            "state.latency-track.keyed-state-enabled",
            Boolean,
            "false",
            "state is read for whole batches, of which no single access can be timed",
        ),
        &["state.backend.latency-track.keyed-state-enabled"],
    ),
    or_old(
        only_default("state.latency-track.sample-interval", Text, "100", "no access to state is timed"),
        &["state.backend.latency-track.sample-interval"],
    ),
    or_old(
        only_default("state.latency-track.history-size", Text, "128", "no access to state is timed"),
        &["state.backend.latency-track.history-size"],
    ),
    or_old(
        only_default(
            "state.latency-track.state-name-as-variable",
            Boolean,
            "true",
            "no access to state is timed",
        ),
        &["state.backend.latency-track.state-name-as-variable"],
    ),
    only_default(
        "execution.checkpointing.unaligned.interruptible-timers.enabled",
        Boolean,
        "false",
        "barriers always pass while windows fire",
    ),
    only_default(
        "execution.checkpointing.file-merging.enabled",
        Boolean,
        "false",
        "the state of a subtask is one file already",
    ),
];
