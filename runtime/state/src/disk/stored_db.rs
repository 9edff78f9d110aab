//! The database of a snapshot.

use crate::StateError;
use crate::disk::home::Scratch;
use crate::disk::shared::storage;
use crate::disk::store::{Db, READAHEAD};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamilyDescriptor, ExportImportFilesMetaData, Options, ReadOptions};
use std::path::Path;

/// The database of a snapshot, to read from.
pub(crate) struct StoredDb {
    db: Db,
    directory: Scratch,
}

impl StoredDb {
    /// Opens the files in `directory`, which are links or copies that may be changed.
    pub(crate) fn open(directory: Scratch) -> Result<StoredDb, StateError> {
        StoredDb::open_with(directory, false)
    }

    /// Opens the files in `directory`, which may be links that lead out of it, and changes nothing there.
    pub(crate) fn open_to_read(directory: Scratch) -> Result<StoredDb, StateError> {
        StoredDb::open_with(directory, true)
    }

    fn open_with(directory: Scratch, to_read: bool) -> Result<StoredDb, StateError> {
        let path = directory.path();
        let opened = |error: rocksdb::Error| storage("open database", path, &error);
        let mut options = Options::default();
        options.set_log_level(rocksdb::LogLevel::Fatal);
        options.set_keep_log_file_num(1);
        options.set_disable_auto_compactions(true);
        let names = Db::list_cf(&options, path).map_err(opened)?;
        let families = names.into_iter().map(|name| {
            let mut options = Options::default();
            options.set_disable_auto_compactions(true);
            ColumnFamilyDescriptor::new(name, options)
        });
        let db = match to_read {
            true => Db::open_cf_descriptors_read_only(&options, path, families, false),
            false => Db::open_cf_descriptors(&options, path, families),
        };
        let db = db.map_err(opened)?;
        Ok(StoredDb { db, directory })
    }

    /// Reads every block of every file, and compares its checksum.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        let checked = self.db.verify_checksum();
        checked.map_err(|error| storage("read database", self.directory.path(), &error))
    }

    /// The files of each state: its family, RocksDB's name of the file, bytes.
    pub(crate) fn files(&self) -> Result<Vec<(String, String, u64)>, StateError> {
        let files = self.db.live_files();
        let files = files.map_err(|error| storage("read database", self.directory.path(), &error))?;
        let file = |file: rocksdb::LiveFile| {
            (file.column_family_name, file.name.trim_start_matches('/').to_string(), file.size as u64)
        };
        Ok(files.into_iter().map(file).collect())
    }

    /// A number that is kept besides the states.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, StateError> {
        let value = self.db.get_pinned(key.as_bytes());
        let value = value.map_err(|error| storage("read database", self.directory.path(), &error))?;
        Ok(value.and_then(|value| value.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))))
    }

    /// The files of a family, linked into `path`, which must not exist; `None` for a family without entries.
    pub(crate) fn export(
        &self,
        family: &str,
        path: &Path,
    ) -> Result<Option<ExportImportFilesMetaData>, StateError> {
        let Some(handle) = self.db.cf_handle(family) else { return Ok(None) };
        let exported =
            Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.export_column_family(&handle, path));
        let exported =
            exported.map_err(|error| storage("export from database", self.directory.path(), &error))?;
        Ok(if exported.get_files().is_empty() { None } else { Some(exported) })
    }

    /// Whether a family has entries, or files that may hold some.
    pub(crate) fn has_entries(&self, family: &str) -> Result<bool, StateError> {
        let Some(handle) = self.db.cf_handle(family) else { return Ok(false) };
        let mut iterator = self.db.raw_iterator_cf(&handle);
        iterator.seek_to_first();
        iterator.status().map_err(|error| storage("read database", self.directory.path(), &error))?;
        Ok(iterator.valid())
    }

    /// Goes over the entries of a family from `start` to before `end`, in order.
    pub(crate) fn for_each(
        &self,
        family: &str,
        (start, end): (&[u8], &[u8]),
        mut entry: impl FnMut(&[u8], &[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Some(handle) = self.db.cf_handle(family) else { return Ok(()) };
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(end);
        read.set_readahead_size(READAHEAD);
        read.fill_cache(false);
        let mut iterator = self.db.raw_iterator_cf_opt(&handle, read);
        iterator.seek(start);
        while let Some((key, value)) = iterator.item() {
            entry(key, value)?;
            iterator.next();
        }
        iterator.status().map_err(|error| storage("read database", self.directory.path(), &error))
    }
}
