//! Backends of every kind, for tests.

use crate::{KeyedStateBackend, LocalFile, RestoredSnapshot, RocksDb, SegmentId, Snapshot, SnapshotIndex};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use weir_types::{KeyGroupRange, RocksDbSettings};

pub(crate) const MAX_PARALLELISM: u32 = 128;

/// Where entries are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Heap,
    /// on disk, with so many bytes of memory for rows
    Disk(u64),
}

impl Kind {
    /// Nothing stays in memory from call to call, some, and all.
    pub(crate) const ALL: [Kind; 4] = [Kind::Heap, Kind::Disk(0), Kind::Disk(60_000), Kind::Disk(1 << 30)];

    pub(crate) fn backend(self, range: KeyGroupRange) -> KeyedStateBackend {
        static UNIQUE: AtomicU64 = AtomicU64::new(1);
        let directory = work_directory();
        match self {
            Kind::Heap => KeyedStateBackend::new(range, MAX_PARALLELISM).with_scratch_directory(directory),
            Kind::Disk(row_cache_bytes) => {
                let settings = RocksDbSettings {
                    managed: false,
                    row_cache_bytes,
                    write_buffer_bytes: 64 << 10,
                    threads: 1,
                    ..RocksDbSettings::default()
                };
                let shared = RocksDb::open(&settings, &directory).unwrap();
                let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
                KeyedStateBackend::on_disk(range, MAX_PARALLELISM, &shared, unique)
            }
        }
    }

    pub(crate) fn whole(self) -> KeyedStateBackend {
        self.backend(KeyGroupRange { start: 0, end: MAX_PARALLELISM as u16 })
    }
}

/// Where backends make directories that go with them. In memory where that can be: a test writes and forgets, and disks
/// take long to be sure of what they hold.
fn work_directory() -> PathBuf {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() { in_memory.to_path_buf() } else { std::env::temp_dir() }
}

/// Where segments and files are kept, as the checkpoint room keeps them.
pub(crate) struct Store {
    pub(crate) segments: BTreeMap<(usize, SegmentId), Bytes>,
    /// by the snapshot's number, as `write` returned it
    files: Vec<Vec<LocalFile>>,
    directory: tempfile::TempDir,
    /// files that were new when they were written
    pub(crate) new_files: Vec<LocalFile>,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            segments: BTreeMap::new(),
            files: Vec::new(),
            directory: tempfile::tempdir().unwrap(),
            new_files: Vec::new(),
        }
    }
}

/// A snapshot in a [`Store`].
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) index: SnapshotIndex,
    subtask: usize,
    files: usize,
}

impl Store {
    pub(crate) fn write(&mut self, subtask: usize, snapshot: Snapshot) -> Stored {
        self.write_while(subtask, snapshot, || {})
    }

    /// Does something else before each segment.
    pub(crate) fn write_while(
        &mut self,
        subtask: usize,
        mut snapshot: Snapshot,
        mut meanwhile: impl FnMut(),
    ) -> Stored {
        snapshot.prepare().unwrap();
        let files = snapshot.files().iter().map(|file| {
            let path = self.directory.path().join(&file.name);
            let bytes = std::fs::read(&file.path).unwrap();
            assert_eq!(bytes.len() as u64, file.bytes);
            match std::fs::read(&path) {
                Ok(before) => assert!(before == bytes, "{} has changed", file.name),
                Err(_) => {
                    std::fs::write(&path, bytes).unwrap();
                    self.new_files.push(file.clone());
                }
            }
            LocalFile { path, ..file.clone() }
        });
        self.files.push(files.collect());
        meanwhile();
        while let Some(segment) = snapshot.next_segment() {
            meanwhile();
            let before = self.segments.insert((subtask, segment.id), segment.bytes);
            assert!(before.is_none(), "a segment is written once");
        }
        let index = snapshot.finish();
        for segment in index.segments() {
            assert_eq!(self.segments[&(subtask, segment.id)].len() as u64, segment.bytes);
        }
        let index = SnapshotIndex::from_bytes(&index.to_bytes(), "index").unwrap();
        Stored { index, subtask, files: self.files.len() - 1 }
    }

    pub(crate) fn fetch(&self, stored: &Stored) -> RestoredSnapshot {
        let subtask = stored.subtask;
        let segment = |id: SegmentId| (id, self.segments[&(subtask, id)].clone());
        let segments = stored.index.segments().map(|of| segment(of.id)).collect();
        let mut fetched =
            RestoredSnapshot::new(stored.index.clone(), segments, format!("snapshot {subtask}"));
        fetched.files = self.files[stored.files].clone();
        fetched
    }
}

/// A snapshot by itself, stored and fetched.
pub(crate) fn stored(snapshot: Snapshot) -> (Store, RestoredSnapshot) {
    let mut store = Store::default();
    let stored = store.write(0, snapshot);
    let fetched = store.fetch(&stored);
    (store, fetched)
}
