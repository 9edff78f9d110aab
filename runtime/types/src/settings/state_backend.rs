//! From settings to where keyed state is kept.

use super::Settings;
use crate::{CompactionStyle, Compression, RocksDbSettings, StateBackendSettings};
use std::path::PathBuf;

impl Settings {
    /// `slots` is the parallelism of the job.
    pub(super) fn state_backend(&self, slots: u32) -> StateBackendSettings {
        match self.get("state.backend.type") {
            Some("rocksdb") => StateBackendSettings::RocksDb(Box::new(self.rocksdb(slots))),
            _ => StateBackendSettings::Heap,
        }
    }

    fn rocksdb(&self, slots: u32) -> RocksDbSettings {
        let key = |name: &str| format!("state.backend.rocksdb.{name}");
        let bytes = |name: &str| self.bytes(&key(name));
        let boolean = |name: &str| self.boolean(&key(name));
        let number = |name: &str| self.get(&key(name)).and_then(|text| text.parse::<f64>().ok());
        let count = |name: &str| self.count(&key(name)).and_then(|count| u32::try_from(count).ok());
        let defaults = RocksDbSettings::default();
        let per_slot = bytes("memory.fixed-per-slot").checked_mul(u64::from(slots));
        let fixed = [per_slot.unwrap_or(u64::MAX), bytes("memory.fixed-per-tm")];
        let fixed = fixed.into_iter().find(|bytes| *bytes > 0);
        RocksDbSettings {
            local_dir: self.get(&key("localdir")).filter(|path| !path.is_empty()).map(PathBuf::from),
            managed: fixed.is_some() || boolean("memory.managed"),
            memory_bytes: fixed.unwrap_or_else(|| self.bytes("taskmanager.memory.managed.size")),
            row_cache_ratio: number("memory.row-cache-ratio").unwrap_or(defaults.row_cache_ratio),
            write_buffer_ratio: number("memory.write-buffer-ratio").unwrap_or(defaults.write_buffer_ratio),
            row_cache_bytes: bytes("row-cache-size"),
            block_cache_bytes: bytes("block.cache-size"),
            block_bytes: bytes("block.blocksize"),
            metadata_block_bytes: bytes("block.metadata-blocksize"),
            partitioned_indexes: boolean("memory.partitioned-index-filters"),
            write_buffer_bytes: bytes("writebuffer.size"),
            write_buffer_count: count("writebuffer.count").unwrap_or(defaults.write_buffer_count),
            write_buffers_to_merge: count("writebuffer.number-to-merge")
                .unwrap_or(defaults.write_buffers_to_merge),
            compaction: match self.get(&key("compaction.style")) {
                Some("UNIVERSAL") => CompactionStyle::Universal,
                _ => CompactionStyle::Level,
            },
            dynamic_level_size: boolean("compaction.level.use-dynamic-size"),
            target_file_bytes: bytes("compaction.level.target-file-size-base"),
            level_base_bytes: bytes("compaction.level.max-size-level-base"),
            periodic_compaction_ms: self.duration_ms(&key("compaction.filter.periodic-compaction-time")),
            compression_per_level: self.compression(&key("compression.per.level")),
            open_files: count("files.open"),
            threads: count("thread.num").unwrap_or(defaults.threads),
            bloom_bits_per_key: number("bloom-filter.bits-per-key").filter(|_| boolean("use-bloom-filter")),
            write_batch_bytes: bytes("write-batch-size"),
            transfers: count("checkpoint.transfer.thread.num").unwrap_or(defaults.transfers),
        }
    }

    fn compression(&self, key: &str) -> Vec<Compression> {
        let levels = self.get(key).unwrap_or_default().split(';');
        levels
            .map(|level| match level {
                "LZ4_COMPRESSION" => Compression::Lz4,
                "ZSTD_COMPRESSION" => Compression::Zstd,
                _ => Compression::None,
            })
            .collect()
    }
}
