//! What storage gives for a snapshot: where its parts are.

use crate::checksums::FileChecksums;
use crate::directory::Directory;
use crate::manifest::SnapshotStatistics;
use crate::snapshot::SourceSnapshot;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_state::{SegmentId, SnapshotIndex};
use weir_types::{OperatorId, SubtaskIndex};

/// A file that storage has written.
#[derive(Debug)]
pub struct StoredFile {
    pub directory: Directory,
    pub name: String,
    pub bytes: u64,
    /// `None` of a file that an earlier version wrote
    pub checksums: Option<FileChecksums>,
}

impl StoredFile {
    /// An absolute path or a URL.
    pub fn path(&self) -> String {
        self.directory.show(&self.name)
    }

    /// Whether it lies right in `directory`.
    pub(crate) fn is_in(&self, directory: &Directory) -> bool {
        self.path().rsplit_once('/').is_some_and(|(parent, _)| parent == directory.show(""))
    }
}

/// Where bytes of a snapshot are.
#[derive(Clone, Debug)]
pub enum Location {
    /// in memory; they become part of the metadata
    Inline(Bytes),
    File {
        file: Arc<StoredFile>,
        offset: u64,
        length: u64,
    },
}

impl Location {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Location::Inline(bytes) => bytes.len() as u64,
            Location::File { length, .. } => *length,
        }
    }
}

/// The keyed state of one operator in one subtask.
#[derive(Clone, Debug)]
pub struct KeyedHandle {
    pub index: SnapshotIndex,
    /// of all segments that the index names
    pub segments: BTreeMap<SegmentId, Location>,
    /// of a state backend that makes files of its own: their names, and where they are
    pub files: Vec<(String, Arc<StoredFile>)>,
}

/// What one operator keeps in one subtask.
#[derive(Clone, Debug, Default)]
pub struct OperatorHandle {
    pub source: Option<SourceSnapshot>,
    pub keyed: Option<KeyedHandle>,
    pub operator_state: Option<Location>,
    pub in_flight: Vec<(u32, Location)>,
}

/// Names what one call of [`crate::CheckpointStore::upload`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadId(pub(crate) u64);

/// A task's snapshot in storage. It belongs to no checkpoint yet.
#[derive(Clone, Debug)]
pub struct SubtaskHandle {
    pub upload: UploadId,
    pub subtask: SubtaskIndex,
    /// all operators of the task, the root of the chain first
    pub chain: Arc<[OperatorId]>,
    pub operators: BTreeMap<OperatorId, OperatorHandle>,
    pub times: SnapshotStatistics,
}

impl SubtaskHandle {
    /// The files that the snapshot consists of, each once.
    pub(crate) fn distinct_files(&self) -> Vec<Arc<StoredFile>> {
        let mut seen: BTreeSet<*const StoredFile> = BTreeSet::new();
        let files = self.operators.values().flat_map(OperatorHandle::files);
        // in the order of their first use, which is the same in every run
        files.filter(|file| seen.insert(Arc::as_ptr(file))).cloned().collect()
    }
}

impl OperatorHandle {
    fn files(&self) -> impl Iterator<Item = &Arc<StoredFile>> {
        let keyed = self.keyed.iter().flat_map(|keyed| keyed.segments.values());
        let in_flight = self.in_flight.iter().map(|(_, location)| location);
        let locations = keyed.chain(&self.operator_state).chain(in_flight);
        let ranges = locations.filter_map(|location| match location {
            Location::Inline(_) => None,
            Location::File { file, .. } => Some(file),
        });
        let named = self.keyed.iter().flat_map(|keyed| keyed.files.iter().map(|(_, file)| file));
        ranges.chain(named)
    }
}
