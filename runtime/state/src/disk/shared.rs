//! What the backends of a process share: memory, threads, the directory that theirs are in.

use crate::StateError;
use crate::disk::home::WorkDirectory;
use crate::disk::writers::Writers;
use parking_lot::Mutex;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BlockBasedPinningTier, Cache, DBCompactionStyle,
    DBCompressionType, Env, LogLevel, Options, WriteBufferManager,
};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use weir_types::{CompactionStyle, Compression, RocksDbSettings};

/// One budget of memory, one set of threads and one directory for the RocksDB backends of this process.
pub struct RocksDb {
    settings: RocksDbSettings,
    /// blocks of files, with their indexes and filters; without it blocks are where files are mapped, and the others
    /// in memory of their own
    cache: Option<Cache>,
    write_buffers: Option<WriteBufferManager>,
    env: Env,
    pub(crate) home: WorkDirectory,
    rows: RowBudget,
    pub(crate) writers: Writers,
}

/// Memory for rows as operators use them. A backend may have what the others leave, and an equal part in any case.
struct RowBudget {
    /// also for write buffers, indexes and filters, if these are not in a cache
    bytes: usize,
    /// for rows, whatever the others take
    least: usize,
    backends: AtomicUsize,
    /// bytes that all backends said they use
    used: AtomicUsize,
}

/// One backend's part of the memory for rows.
pub(crate) struct RowShare {
    shared: Arc<RocksDb>,
    /// bytes, when it was last asked
    used: usize,
}

impl RowShare {
    /// Bytes for the rows of a backend that uses `rows` bytes for them now, and `indexes` bytes for those of its files.
    /// When all together use more than there is, each that has more than its equal part gives back what is too much,
    /// so that they do not for long.
    pub(crate) fn bytes(&mut self, rows: usize, indexes: usize) -> usize {
        let budget = &self.shared.rows;
        let others = budget.used.fetch_sub(self.used, Ordering::Relaxed) - self.used;
        self.used = rows + indexes;
        budget.used.fetch_add(self.used, Ordering::Relaxed);
        let backends = budget.backends.load(Ordering::Relaxed).max(1);
        let all = budget.bytes.saturating_sub(self.shared.buffered());
        let own = all.saturating_sub(others).max(all / backends);
        own.saturating_sub(indexes).max(budget.least / backends)
    }
}

impl Drop for RowShare {
    fn drop(&mut self) {
        self.shared.rows.backends.fetch_sub(1, Ordering::Relaxed);
        self.shared.rows.used.fetch_sub(self.used, Ordering::Relaxed);
    }
}

/// The one of this process, while any job uses it.
static SHARED: Mutex<Weak<RocksDb>> = Mutex::new(Weak::new());

impl RocksDb {
    /// Options of a file that is written as a whole and then taken over by a column family, as one of its first level.
    pub(crate) fn file_options(&self) -> Options {
        let mut options = self.family_options();
        // The writer would take the last level's.
        let first = self.settings.compression_per_level.first().copied();
        options.set_compression_per_level(&[compression(first.unwrap_or(Compression::None))]);
        options
    }

    /// The one of this process, if there is one with these settings, otherwise a new one. `temporary` is the directory
    /// for working directories unless the settings name one. What processes that crashed have left there is removed.
    ///
    /// # Errors
    /// [`StateError::Storage`] if there can be no directory.
    pub fn open(settings: &RocksDbSettings, temporary: &Path) -> Result<Arc<RocksDb>, StateError> {
        let mut shared = SHARED.lock();
        if let Some(shared) = shared.upgrade().filter(|shared| shared.settings == *settings) {
            return Ok(shared);
        }
        let base = settings.local_dir.as_deref().unwrap_or(temporary);
        let home = WorkDirectory::create(base)?;
        check_links(home.path())?;
        let (cache, write_buffers, rows) = memory(settings);
        let writers = Writers::start(settings.threads.max(1))
            .map_err(|error| storage("start threads for", base, &error))?;
        let mut env = Env::new().map_err(|error| storage("start threads for", base, &error))?;
        env.set_background_threads(settings.threads.max(1) as i32);
        env.set_high_priority_background_threads(1);
        let settings = settings.clone();
        let new = Arc::new(RocksDb { settings, cache, write_buffers, env, home, rows, writers });
        *shared = Arc::downgrade(&new);
        Ok(new)
    }

    pub fn settings(&self) -> &RocksDbSettings {
        &self.settings
    }

    /// Bytes of write buffers that are not part of the cache.
    fn buffered(&self) -> usize {
        let buffers = self.write_buffers.as_ref().filter(|_| self.cache.is_none());
        buffers.map_or(0, WriteBufferManager::get_usage)
    }

    /// Whether indexes and filters take memory besides the cache.
    pub(crate) fn has_indexes_in_memory(&self) -> bool {
        self.cache.is_none()
    }

    pub(crate) fn share(self: &Arc<Self>) -> RowShare {
        self.rows.backends.fetch_add(1, Ordering::Relaxed);
        RowShare { shared: self.clone(), used: 0 }
    }

    /// Options of a database. Column families have [`RocksDb::family_options`].
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_env(&self.env);
        if let Some(write_buffers) = &self.write_buffers {
            options.set_write_buffer_manager(write_buffers);
        }
        options.set_max_background_jobs(self.settings.threads.max(1) as i32 + 1);
        options.set_max_open_files(self.settings.open_files.map_or(-1, |files| files as i32));
        // Nobody reads RocksDB's own journal of events, and checkpoints copy what is there.
        options.set_log_level(LogLevel::Fatal);
        options.set_keep_log_file_num(1);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_dump_malloc_stats(false);
        options.set_skip_stats_update_on_db_open(true);
        // One thread writes at a time, keys in order: an insertion goes on where the last one was.
        options.set_allow_concurrent_memtable_write(false);
        options.set_enable_write_thread_adaptive_yield(false);
        // A block of which one row is wanted is neither copied nor asked for by a call.
        options.set_allow_mmap_reads(true);
        options
    }

    /// Options of a column family.
    pub(crate) fn family_options(&self) -> Options {
        let settings = &self.settings;
        let mut options = Options::default();
        // One that is larger than all of them may be would have a filter that is too large.
        let all_buffers = self.write_buffers.as_ref().map_or(usize::MAX, WriteBufferManager::get_buffer_size);
        options.set_write_buffer_size((settings.write_buffer_bytes as usize).min(all_buffers));
        options.set_max_write_buffer_number(settings.write_buffer_count.max(1) as i32);
        options.set_min_write_buffer_number_to_merge(settings.write_buffers_to_merge.max(1) as i32);
        // Most keys that are asked for are in no write buffer.
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER);
        options.set_memtable_whole_key_filtering(true);
        options.set_compaction_style(match settings.compaction {
            CompactionStyle::Level => DBCompactionStyle::Level,
            CompactionStyle::Universal => DBCompactionStyle::Universal,
        });
        options.set_level_compaction_dynamic_level_bytes(settings.dynamic_level_size);
        options.set_target_file_size_base(settings.target_file_bytes);
        options.set_max_bytes_for_level_base(settings.level_base_bytes);
        options.set_periodic_compaction_seconds(settings.periodic_compaction_ms / 1000);
        options.set_level_zero_file_num_compaction_trigger(FRESH_FILES);
        options.set_level_zero_slowdown_writes_trigger(3 * FRESH_FILES);
        options.set_level_zero_stop_writes_trigger(4 * FRESH_FILES);
        let mut levels: Vec<DBCompressionType> =
            settings.compression_per_level.iter().map(|level| compression(*level)).collect();
        let last = levels.last().copied().unwrap_or(DBCompressionType::None);
        levels.resize(LEVELS, last);
        options.set_compression_per_level(&levels);
        let mut table = BlockBasedOptions::default();
        match &self.cache {
            Some(cache) => {
                table.set_block_cache(cache);
                table.set_cache_index_and_filter_blocks(true);
                table.set_unpartitioned_pinning_tier(BlockBasedPinningTier::All);
                table.set_pin_l0_filter_and_index_blocks_in_cache(true);
            }
            None => table.disable_cache(),
        }
        table.set_block_size(settings.block_bytes as usize);
        table.set_format_version(6);
        if settings.partitioned_indexes {
            table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
            table.set_partition_filters(true);
            table.set_metadata_block_size(settings.metadata_block_bytes as usize);
        }
        if let Some(bits) = settings.bloom_bits_per_key {
            table.set_bloom_filter(bits, false);
        }
        options.set_block_based_table_factory(&table);
        options
    }
}

/// Checkpoints are links to files. Where the system says that it knows none, RocksDB copies; where it refuses them, nothing
/// would work.
fn check_links(directory: &Path) -> Result<(), StateError> {
    let (file, link) = (directory.join("file"), directory.join("link"));
    let linked = std::fs::write(&file, "").and_then(|()| std::fs::hard_link(&file, &link));
    for path in [file, link] {
        // what is not there need not go
        let _ = std::fs::remove_file(path);
    }
    match linked {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(StateError::Storage(format!(
            "keep state of RocksDB in {}: its file system has no hard links ({error}); set \
             'state.backend.rocksdb.localdir' to a directory on one that has",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

fn compression(compression: Compression) -> DBCompressionType {
    match compression {
        Compression::None => DBCompressionType::None,
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::Zstd => DBCompressionType::Zstd,
    }
}

/// Files from which on those that were not merged yet are. Each holds a quarter of the key groups: a key may be in as many
/// quarters of them. The more wait for a merge the less often everything older is rewritten, and the more are asked for a
/// key.
const FRESH_FILES: i32 = 24;

/// Part of a write buffer for a filter over its keys.
const MEMTABLE_FILTER: f64 = 0.02;

/// Levels of files, RocksDB's default.
const LEVELS: usize = 7;

/// The block cache, write buffers, and memory for rows. Within one budget there is no block cache, unless indexes and
/// filters are to be read in parts: blocks of mapped files are in the system's cache, and asking another one for them, and
/// telling it of each, takes longer than reading them.
fn memory(settings: &RocksDbSettings) -> (Option<Cache>, Option<WriteBufferManager>, RowBudget) {
    let budget = |bytes: u64, least: u64| RowBudget {
        bytes: bytes as usize,
        least: least as usize,
        backends: AtomicUsize::new(0),
        used: AtomicUsize::new(0),
    };
    if !settings.managed {
        let cache = Cache::new_hyper_clock_cache(settings.block_cache_bytes as usize, 0);
        return (Some(cache), None, budget(settings.row_cache_bytes, settings.row_cache_bytes));
    }
    let rows = (settings.memory_bytes as f64 * settings.row_cache_ratio.clamp(0.0, 1.0)) as u64;
    let rest = (settings.memory_bytes - rows) as usize;
    let buffers = ((rest as f64 * settings.write_buffer_ratio.clamp(0.0, 1.0)) as usize).max(1);
    if settings.partitioned_indexes {
        let cache = Cache::new_hyper_clock_cache(rest, 0);
        let manager = WriteBufferManager::new_write_buffer_manager_with_cache(buffers, false, cache.clone());
        return (Some(cache), Some(manager), budget(rows, rows));
    }
    let manager = WriteBufferManager::new_write_buffer_manager(buffers, false);
    (None, Some(manager), budget(settings.memory_bytes, rows))
}

/// What RocksDB's errors begin with that say that a file is damaged.
const CORRUPTION: &str = "Corruption";

/// `error` of RocksDB or the system, while doing `what` in `place`.
pub(crate) fn storage(what: &str, place: &Path, error: &dyn std::fmt::Display) -> StateError {
    let text = error.to_string();
    if text.starts_with(CORRUPTION) {
        let file = place.display().to_string();
        return StateError::Corrupt { file, offset: 0, what: format!("{what}: {text}") };
    }
    StateError::Storage(format!("{what} {}: {text}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_others_leave_may_be_used_and_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let settings =
            RocksDbSettings { managed: false, row_cache_bytes: 1000, ..RocksDbSettings::default() };
        let shared = RocksDb::open(&settings, directory.path()).unwrap();
        let (mut one, mut two) = (shared.share(), shared.share());
        assert_eq!(one.bytes(900, 0), 1000);
        assert_eq!(two.bytes(300, 0), 500, "an equal part in any case");
        assert_eq!(one.bytes(900, 0), 700);
        assert_eq!(one.bytes(700, 0), 700);
        drop(two);
        assert_eq!(one.bytes(700, 0), 1000);
    }

    #[test]
    fn rows_have_what_indexes_leave_and_their_share_in_any_case() {
        let directory = tempfile::tempdir().unwrap();
        let settings =
            RocksDbSettings { memory_bytes: 1000, row_cache_ratio: 0.4, ..RocksDbSettings::default() };
        let shared = RocksDb::open(&settings, directory.path()).unwrap();
        let (mut one, mut two) = (shared.share(), shared.share());
        assert_eq!(one.bytes(100, 50), 950);
        assert_eq!(two.bytes(100, 150), 1000 - 150 - 150);
        assert_eq!(one.bytes(600, 50), 700);
        assert_eq!(two.bytes(100, 900), 200, "indexes need more than there is");
    }
}
