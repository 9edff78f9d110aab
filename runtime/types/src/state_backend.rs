//! What a job's settings say about where keyed state is kept while the job runs.

use std::path::PathBuf;

/// `state.backend.type`
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StateBackendSettings {
    /// `hashmap`: in this process's memory
    #[default]
    Heap,
    /// `rocksdb`: in files of this machine, with what was used last in memory
    RocksDb(Box<RocksDbSettings>),
}

/// `state.backend.rocksdb.*`. Memory is that of all jobs of this process together.
#[derive(Clone, Debug, PartialEq)]
pub struct RocksDbSettings {
    /// `localdir`: where the working directories are; `None`: the system's directory for temporary files
    pub local_dir: Option<PathBuf>,
    /// `memory.managed`: one budget for everything; otherwise each kind of memory has its own size
    pub managed: bool,
    /// the budget (`memory.fixed-per-slot` of all slots, `memory.fixed-per-tm`, or `taskmanager.memory.managed.size`)
    pub memory_bytes: u64,
    /// share of the budget for rows as operators use them (`memory.row-cache-ratio`)
    pub row_cache_ratio: f64,
    /// share of the rest for write buffers (`memory.write-buffer-ratio`)
    pub write_buffer_ratio: f64,
    /// rows as operators use them, without a budget (`row-cache-size`)
    pub row_cache_bytes: u64,
    /// `block.cache-size`, without a budget
    pub block_cache_bytes: u64,
    /// `block.blocksize`
    pub block_bytes: u64,
    /// `block.metadata-blocksize`
    pub metadata_block_bytes: u64,
    /// `memory.partitioned-index-filters`
    pub partitioned_indexes: bool,
    /// `writebuffer.size` of each state
    pub write_buffer_bytes: u64,
    /// `writebuffer.count` of each state
    pub write_buffer_count: u32,
    /// `writebuffer.number-to-merge`
    pub write_buffers_to_merge: u32,
    /// `compaction.style`
    pub compaction: CompactionStyle,
    /// `compaction.level.use-dynamic-size`
    pub dynamic_level_size: bool,
    /// `compaction.level.target-file-size-base`
    pub target_file_bytes: u64,
    /// `compaction.level.max-size-level-base`
    pub level_base_bytes: u64,
    /// `compaction.filter.periodic-compaction-time`; 0: never
    pub periodic_compaction_ms: u64,
    /// `compression.per.level`; the last one holds for all further levels
    pub compression_per_level: Vec<Compression>,
    /// `files.open`; `None`: any number
    pub open_files: Option<u32>,
    /// `thread.num`: for flushes and compactions
    pub threads: u32,
    /// `use-bloom-filter` and `bloom-filter.bits-per-key`
    pub bloom_bits_per_key: Option<f64>,
    /// `write-batch-size`
    pub write_batch_bytes: u64,
    /// `checkpoint.transfer.thread.num`
    pub transfers: u32,
}

impl Default for RocksDbSettings {
    fn default() -> Self {
        RocksDbSettings {
            local_dir: None,
            managed: true,
            memory_bytes: 512 << 20,
            row_cache_ratio: 0.5,
            write_buffer_ratio: 0.5,
            row_cache_bytes: 64 << 20,
            block_cache_bytes: 8 << 20,
            block_bytes: 4 << 10,
            metadata_block_bytes: 4 << 10,
            partitioned_indexes: false,
            write_buffer_bytes: 64 << 20,
            write_buffer_count: 2,
            write_buffers_to_merge: 1,
            compaction: CompactionStyle::Level,
            dynamic_level_size: true,
            target_file_bytes: 64 << 20,
            level_base_bytes: 256 << 20,
            periodic_compaction_ms: 30 * 86_400_000,
            compression_per_level: vec![Compression::None, Compression::None, Compression::Lz4],
            open_files: None,
            threads: 2,
            bloom_bits_per_key: Some(10.0),
            write_batch_bytes: 2 << 20,
            transfers: 4,
        }
    }
}

/// How RocksDB merges its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionStyle {
    Level,
    Universal,
}

/// How blocks of files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Lz4,
    Zstd,
}
