//! The RocksDB of one backend.

use crate::StateError;
use crate::disk::home::Scratch;
use crate::disk::jobs::Jobs;
use crate::disk::shared::{RocksDb, storage};
use crate::disk::values::ValueLayout;
use crate::disk::writers::Errand;
use crate::segment::ByteStrings;
use parking_lot::Mutex;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::compaction_filter::Decision;
use rocksdb::properties::ESTIMATE_TABLE_READERS_MEM;
use rocksdb::{
    BoundColumnFamily, DBRawIteratorWithThreadMode, DBWithThreadMode, ExportImportFilesMetaData,
    ImportColumnFamilyOptions, IngestExternalFileOptions, MultiThreaded, Options, ReadOptions, SstFileWriter,
    WriteBatch, WriteOptions,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

pub(crate) type Db = DBWithThreadMode<MultiThreaded>;
pub(crate) type RawIterator<'a> = DBRawIteratorWithThreadMode<'a, Db>;

/// Which entries of a state are idle.
#[derive(Clone)]
pub(crate) struct Idle {
    pub(crate) ttl_ms: u64,
    /// false where something may hang under them, which would stay
    pub(crate) may_drop: Arc<AtomicBool>,
}

/// A database in a directory of its own, which goes with it. A column family per state; the default one has what belongs
/// to none.
pub(crate) struct Store {
    db: Db,
    /// own the filters of their column families, so they go after the database
    options: Mutex<Vec<Options>>,
    /// unique among all stores of all jobs
    pub(crate) name: String,
    shared: Arc<RocksDb>,
    /// the wall clock, for what has expired
    pub(crate) now_ms: Arc<AtomicI64>,
    scratches: AtomicU64,
    /// something was ever written
    written: AtomicBool,
    directory: Scratch,
}

impl Store {
    /// A new database. `unique` makes the names of its files differ from all others.
    pub(crate) fn create(shared: &Arc<RocksDb>, unique: u64) -> Result<Store, StateError> {
        let name = format!("{unique:016x}");
        let directory = Scratch::create(shared.home.path().join(&name))?;
        let path = directory.path().join("db");
        let db =
            Db::open(&shared.options(), &path).map_err(|error| storage("create database", &path, &error))?;
        Ok(Store {
            db,
            options: Mutex::default(),
            name,
            shared: shared.clone(),
            now_ms: Arc::default(),
            scratches: AtomicU64::new(0),
            written: AtomicBool::new(false),
            directory,
        })
    }

    /// A path in the store's directory that nobody uses yet.
    pub(crate) fn scratch(&self, what: &str) -> PathBuf {
        let number = self.scratches.fetch_add(1, Ordering::Relaxed);
        self.directory.path().join(format!("{what}-{number}"))
    }

    pub(crate) fn error(&self, what: &str, error: &rocksdb::Error) -> StateError {
        storage(what, self.directory.path(), error)
    }

    pub(crate) fn write_batch_bytes(&self) -> usize {
        (self.shared.settings().write_batch_bytes as usize).max(4 << 10)
    }

    /// Whether so many rows of so many bytes become a file at once; fewer go through a write buffer.
    pub(crate) fn is_file(&self, rows: usize, bytes: usize) -> bool {
        rows >= FILE_ROWS || bytes >= self.write_batch_bytes()
    }

    /// Options of the family of a state. Idle entries are dropped when files are merged.
    fn family_options(&self, idle: Option<Idle>) -> Options {
        let mut options = self.shared.family_options();
        if let Some(Idle { ttl_ms, may_drop }) = idle {
            let (now_ms, ttl_ms) = (self.now_ms.clone(), i64::try_from(ttl_ms).unwrap_or(i64::MAX));
            options.set_compaction_filter("idle entries", move |_level: u32, _key: &[u8], value: &[u8]| {
                let expired_until = now_ms.load(Ordering::Relaxed).saturating_sub(ttl_ms);
                match ValueLayout::last_access(value) {
                    Some(last_access) if last_access <= expired_until && may_drop.load(Ordering::Relaxed) => {
                        Decision::Remove
                    }
                    _ => Decision::Keep,
                }
            });
        }
        options
    }

    pub(crate) fn create_family(&self, name: &str, idle: Option<Idle>) -> Result<(), StateError> {
        let options = self.family_options(idle);
        let created = self.db.create_cf(name, &options);
        self.options.lock().push(options);
        created.map_err(|error| self.error(&format!("create column family {name} in"), &error))
    }

    /// A family with the files of one of another database. They are linked where that is possible.
    pub(crate) fn import_family(
        &self,
        name: &str,
        idle: Option<Idle>,
        files: &ExportImportFilesMetaData,
    ) -> Result<(), StateError> {
        self.written.store(true, Ordering::Relaxed);
        let mut import = ImportColumnFamilyOptions::new();
        import.set_move_files(true);
        let options = self.family_options(idle);
        let imported = self.db.create_column_family_with_import(&options, name, &import, files);
        self.options.lock().push(options);
        imported.map_err(|error| self.error(&format!("import column family {name} into"), &error))
    }

    /// # Panics
    /// If there is no such family: every state has one.
    pub(crate) fn family(&self, name: &str) -> Arc<BoundColumnFamily<'_>> {
        self.db.cf_handle(name).unwrap_or_else(|| panic!("state {name} has no column family"))
    }

    /// Looks `keys` up in the order `order`, which is theirs, and says of each that is there what its value is.
    pub(crate) fn multi_get(
        &self,
        family: &str,
        keys: &ByteStrings,
        order: &[u32],
        mut found: impl FnMut(u32, &[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let handle = self.family(family);
        let mut read = ReadOptions::default();
        // What is read becomes a row in memory: the block that it came from is not asked for again soon. Indexes and
        // filters are in the cache all the same.
        read.fill_cache(false);
        let wanted = order.iter().map(|&row| keys.get(row as usize));
        let values = self.db.batched_multi_get_pinned_batch_cf_opt(&handle, wanted, true, &read);
        let values = values.map_err(|error| self.error(&format!("read {family} in"), &error))?;
        for (&row, value) in order.iter().zip(&values) {
            match value {
                Ok(None) => {}
                Ok(Some(value)) => found(row, value)?,
                Err(error) => return Err(self.error(&format!("read {family} in"), &error)),
            }
        }
        Ok(())
    }

    /// An iterator over `family` that ends before `end`, for a long way or a short one.
    pub(crate) fn iterator(&self, family: &str, end: Option<Vec<u8>>, far: bool) -> RawIterator<'_> {
        let handle = self.family(family);
        let mut read = ReadOptions::default();
        if let Some(end) = end {
            read.set_iterate_upper_bound(end);
        }
        if far {
            read.set_readahead_size(READAHEAD);
            read.fill_cache(false);
        }
        self.db.raw_iterator_cf_opt(&handle, read)
    }

    /// The error that ended an iterator, if one did.
    pub(crate) fn iterated(&self, family: &str, iterator: &RawIterator<'_>) -> Result<(), StateError> {
        iterator.status().map_err(|error| self.error(&format!("read {family} in"), &error))
    }

    /// Whether there is anything in the database.
    pub(crate) fn is_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, batch: &WriteBatch) -> Result<(), StateError> {
        self.written.store(true, Ordering::Relaxed);
        let mut options = WriteOptions::default();
        // A crash goes back to the last checkpoint, so nothing is logged.
        options.disable_wal(true);
        options.set_memtable_insert_hint_per_batch(true);
        self.db.write_opt(batch, &options).map_err(|error| self.error("write to", &error))
    }

    /// Something will be written before anybody else asks for files.
    pub(crate) fn note_write(&self) {
        self.written.store(true, Ordering::Relaxed);
    }

    /// Writes what `fill` puts, in the order of its keys, to a file that `family` takes over: it need not pass through a
    /// write buffer.
    pub(crate) fn add_file(
        &self,
        family: &str,
        fill: impl FnOnce(&mut SstFileWriter<'_>) -> Result<(), rocksdb::Error>,
    ) -> Result<(), StateError> {
        self.note_write();
        let path = self.scratch("rows");
        let failed = |error: rocksdb::Error| self.error(&format!("write a file of {family} for"), &error);
        let options = self.shared.file_options();
        let mut writer = SstFileWriter::create(&options);
        writer.open(&path).map_err(failed)?;
        fill(&mut writer).map_err(failed)?;
        writer.finish().map_err(failed)?;
        read_ahead(&path);
        // Taking over a file waits for no merge, so that files would pile up until somebody writes something: writing nothing
        // waits as long as that would.
        self.write(&WriteBatch::default())?;
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        // Nobody reads at an earlier time.
        ingest.set_snapshot_consistency(false);
        let added = self.db.ingest_external_file_cf_opts(&self.family(family), &ingest, vec![&path]);
        // it has another name now
        let _ = std::fs::remove_file(&path);
        added.map_err(failed)
    }

    /// Bytes of memory for indexes and filters of files.
    pub(crate) fn index_bytes(&self, families: impl Iterator<Item = impl AsRef<str>>) -> usize {
        if !self.shared.has_indexes_in_memory() {
            return 0;
        }
        let of = |family: &str| {
            let bytes = self.db.property_int_value_cf(&self.family(family), ESTIMATE_TABLE_READERS_MEM);
            bytes.ok().flatten().unwrap_or(0) as usize
        };
        families.map(|family| of(family.as_ref())).sum()
    }

    /// Has a thread carry `jobs` out up to `number`.
    pub(crate) fn write_beside(self: &Arc<Self>, jobs: &Arc<Jobs>, number: u64) {
        #[cfg(test)]
        if jobs.switches.held.load(Ordering::Relaxed) {
            return;
        }
        let errand = Errand { jobs: jobs.clone(), number, store: Arc::downgrade(self) };
        self.shared.writers.send(errand);
    }

    /// Keeps a number besides the states.
    pub(crate) fn put_number(&self, batch: &mut WriteBatch, key: &str, number: u64) {
        batch.put(key.as_bytes(), number.to_le_bytes());
    }

    /// Flushes, and links all files into `path`, which must not exist.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<(), StateError> {
        let made = Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(path));
        made.map_err(|error| self.error(&format!("link a checkpoint to {} from", path.display()), &error))
    }

    /// Merges all files of a family, which drops what is idle.
    #[cfg(test)]
    pub(crate) fn compact(&self, family: &str) {
        self.db.flush_cf(&self.family(family)).unwrap();
        self.db.compact_range_cf::<&[u8], &[u8]>(&self.family(family), None, None);
    }
}

/// Rows that are a file, however short. In tests some are more and some fewer.
const FILE_ROWS: usize = if cfg!(test) { 8 } else { 4 << 10 };

/// Bytes read ahead on a long way.
pub(super) const READAHEAD: usize = 2 << 20;

/// Asks the system for the contents of a file: the writer of tables has it forget them, and they are read soon.
fn read_ahead(path: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(file) = std::fs::File::open(path) {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open. It is advice: whatever comes of it, the file reads the same.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_WILLNEED) };
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nobody needs what a compaction would write now.
        self.db.cancel_all_background_work(false);
    }
}

#[cfg(test)]
mod tests;
