//! Settings of where keyed state is while a job runs.

use super::super::SettingDefinition;
use super::super::SettingType::{
    Boolean, Bytes, BytesFrom, Choice, Duration, Integer, List, Number, Share, Text,
};
use super::{only_default, or_old, setting, unset};

pub(super) const STATE_BACKEND: &[SettingDefinition] = &[
    or_old(
        setting(
            "state.backend.type",
            Choice(&["hashmap", "rocksdb"]),
            "hashmap",
            "where keyed state is while a job runs: in memory, or in RocksDB's files on this machine",
        ),
        &["state.backend"],
    ),
    setting(
        "taskmanager.memory.managed.size",
        Bytes,
        "512 mb",
        "memory of all RocksDB backends of this process together, if it is managed; in Flink a share of the process",
    ),
    setting(
        "state.backend.rocksdb.memory.managed",
        Boolean,
        "true",
        "one budget for rows, blocks and write buffers of all states; false: the sizes below, for each state",
    ),
    unset(
        "state.backend.rocksdb.memory.fixed-per-slot",
        Bytes,
        "the budget as so much for each of the job's `parallelism` slots; stronger than `managed`",
    ),
    unset(
        "state.backend.rocksdb.memory.fixed-per-tm",
        Bytes,
        "the budget of this process; stronger than `managed`",
    ),
    setting(
        "state.backend.rocksdb.memory.row-cache-ratio",
        Share,
        "0.5",
        "share of the budget for rows as operators use them, in front of RocksDB; Weir's own",
    ),
    setting(
        "state.backend.rocksdb.memory.write-buffer-ratio",
        Share,
        "0.5",
        "share of the rest of the budget for write buffers; blocks that were read have what is left",
    ),
    setting(
        "state.backend.rocksdb.memory.partitioned-index-filters",
        Boolean,
        "false",
        "indexes and filters are read in parts too, for states that are much larger than memory",
    ),
    only_default(
        "state.backend.rocksdb.memory.high-prio-pool-ratio",
        Number("0"),
        "0.1",
        "indexes and filters of open files are pinned in the cache",
    ),
    setting(
        "state.backend.rocksdb.row-cache-size",
        Bytes,
        "64 mb",
        "rows as operators use them, of all states together, if memory is not managed; Weir's own",
    ),
    unset(
        "state.backend.rocksdb.localdir",
        Text,
        "directory for working files, best on a disk of this machine; not set: the system's for temporary files",
    ),
    setting(
        "state.backend.rocksdb.checkpoint.transfer.thread.num",
        Integer(1, 1000),
        "4",
        "files of a subtask that are uploaded or fetched at a time",
    ),
    setting(
        "state.backend.rocksdb.write-batch-size",
        BytesFrom("4 kb"),
        "2 mb",
        "rows that leave memory become a file if they are so many bytes, or 4,096 rows; fewer go through a write buffer, so many \
         bytes at once. At least 4 kb",
    ),
    setting(
        "state.backend.rocksdb.thread.num",
        Integer(1, 1000),
        "2",
        "threads of all backends together that flush and compact",
    ),
    setting(
        "state.backend.rocksdb.files.open",
        Integer(-1, i32::MAX as i64),
        "-1",
        "files that the database of a subtask keeps open; -1: all",
    ),
    setting(
        "state.backend.rocksdb.compaction.style",
        Choice(&["LEVEL", "UNIVERSAL"]),
        "LEVEL",
        "how files are merged; FIFO would lose state",
    ),
    setting(
        "state.backend.rocksdb.compaction.level.use-dynamic-size",
        Boolean,
        "true",
        "sizes of levels follow that of the last one, which needs less space; Flink's own default is false",
    ),
    setting("state.backend.rocksdb.compaction.level.target-file-size-base", Bytes, "64 mb", "size of a file"),
    setting(
        "state.backend.rocksdb.compaction.level.max-size-level-base",
        Bytes,
        "256 mb",
        "size of the first level",
    ),
    setting(
        "state.backend.rocksdb.compaction.filter.periodic-compaction-time",
        Duration,
        "30 d",
        "files older than this are rewritten, which drops what has expired",
    ),
    only_default(
        "state.backend.rocksdb.compaction.filter.query-time-after-num-entries",
        Integer(0, i64::MAX),
        "1000",
        "the time is asked for each entry, which costs nothing",
    ),
    setting(
        "state.backend.rocksdb.compression.per.level",
        List(&["NO_COMPRESSION", "LZ4_COMPRESSION", "ZSTD_COMPRESSION"]),
        "NO_COMPRESSION;NO_COMPRESSION;LZ4_COMPRESSION",
        "of each level from the first on, with `;` between them; the last one holds for all further ones. Flink's own \
         default is SNAPPY_COMPRESSION",
    ),
    setting(
        "state.backend.rocksdb.writebuffer.size",
        Bytes,
        "64 mb",
        "entries of a state that are gathered in memory before they become a file",
    ),
    setting(
        "state.backend.rocksdb.writebuffer.count",
        Integer(1, 1000),
        "2",
        "write buffers of a state, those that are being written included",
    ),
    setting(
        "state.backend.rocksdb.writebuffer.number-to-merge",
        Integer(1, 1000),
        "1",
        "write buffers that are merged before they become a file",
    ),
    setting("state.backend.rocksdb.block.blocksize", Bytes, "4 kb", "what is read from a file at least"),
    setting(
        "state.backend.rocksdb.block.metadata-blocksize",
        Bytes,
        "4 kb",
        "the same of indexes and filters in parts",
    ),
    setting(
        "state.backend.rocksdb.block.cache-size",
        Bytes,
        "8 mb",
        "blocks that were read, of all states together, if memory is not managed",
    ),
    setting(
        "state.backend.rocksdb.use-bloom-filter",
        Boolean,
        "true",
        "filters tell without reading which keys are not in a file; Flink's own default is false",
    ),
    setting(
        "state.backend.rocksdb.bloom-filter.bits-per-key",
        Number("1"),
        "10.0",
        "size of these filters: 10 bits are wrong once in a hundred times",
    ),
    only_default(
        "state.backend.rocksdb.bloom-filter.block-based-mode",
        Boolean,
        "false",
        "RocksDB has no such filters any more",
    ),
    only_default(
        "state.backend.rocksdb.timer-service.factory",
        Choice(&["ROCKSDB", "HEAP"]),
        "ROCKSDB",
        "the timers that are due next are in memory anyway",
    ),
    only_default(
        "state.backend.rocksdb.predefined-options",
        Text,
        "DEFAULT",
        "set what they stand for: block.cache-size, writebuffer.size, compaction.level.use-dynamic-size",
    ),
    only_default("state.backend.rocksdb.options-factory", Text, "", "a class of Java has no meaning here"),
    only_default("state.backend.rocksdb.log.level", Text, "FATAL_LEVEL", "RocksDB's own log is not kept"),
    only_default("state.backend.rocksdb.log.dir", Text, "", "RocksDB's own log is not kept"),
    only_default("state.backend.rocksdb.log.file-num", Text, "4", "RocksDB's own log is not kept"),
    only_default("state.backend.rocksdb.log.max-file-size", Text, "25 mb", "RocksDB's own log is not kept"),
    only_default(
        "state.backend.rocksdb.timer-service.cache-size",
        Text,
        "128",
        "the timers that are due next are in memory anyway",
    ),
    only_default(
        "state.backend.rocksdb.incremental-restore-async-compact-after-rescale",
        Boolean,
        "false",
        "what belongs to other subtasks is hidden at once, and goes with the next compaction",
    ),
    only_default(
        "state.backend.rocksdb.use-ingest-db-restore-mode",
        Boolean,
        "false",
        "files of the subtask that has most in common are always taken over as they are",
    ),
    only_default(
        "state.backend.rocksdb.rescaling.use-delete-files-in-range",
        Boolean,
        "false",
        "what belongs to other subtasks is hidden at once, and goes with the next compaction",
    ),
    only_default(
        "state.backend.rocksdb.restore-overlap-fraction-threshold",
        Number("0"),
        "0.0",
        "files of the subtask that has most in common are always taken over as they are",
    ),
];
