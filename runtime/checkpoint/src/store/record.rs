//! From a complete checkpoint to its manifest.

use crate::directory::Directory;
use crate::handle::{KeyedHandle, Location, StoredFile};
use crate::manifest::{
    CheckpointStatistics, FileRecord, InFlightManifest, JobRecord, KeyedManifest, Manifest, ManifestKind,
    NamedFile, OperatorManifest, Place, SegmentTable, SubtaskManifest, TaskStatistics,
};
use crate::pending::CompletedCheckpoint;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{CheckpointKind, OperatorId};

/// A manifest and what belongs to it.
pub(super) struct Record {
    pub manifest: Manifest,
    pub blobs: Vec<u8>,
    /// each once
    pub files: Vec<Arc<StoredFile>>,
}

/// Files and blobs, as they are referred to.
struct Writer<'a> {
    directory: Option<&'a Directory>,
    blobs: Vec<u8>,
    files: Vec<Arc<StoredFile>>,
    records: Vec<FileRecord>,
    places: BTreeMap<*const StoredFile, u32>,
}

pub(super) fn record(
    job: &JobRecord,
    completed: &CompletedCheckpoint,
    triggered_at_ms: i64,
    directory: Option<&Directory>,
) -> Record {
    let mut writer = Writer {
        directory,
        blobs: Vec::new(),
        files: Vec::new(),
        records: Vec::new(),
        places: BTreeMap::new(),
    };
    let mut operators: BTreeMap<OperatorId, Vec<SubtaskManifest>> = BTreeMap::new();
    let mut statistics =
        CheckpointStatistics { triggered_at_ms, duration_ms: completed.duration_ms, ..Default::default() };
    for (task, handle) in &completed.handles {
        for (operator, kept) in &handle.operators {
            let manifest = SubtaskManifest {
                subtask: handle.subtask,
                source: kept.source.clone(),
                operator_state: kept.operator_state.as_ref().map(|state| writer.place(state)),
                keyed: kept.keyed.as_ref().map(|keyed| writer.keyed(keyed)),
                in_flight: kept
                    .in_flight
                    .iter()
                    .map(|(input, location)| InFlightManifest {
                        input: *input,
                        place: writer.place(location),
                    })
                    .collect(),
            };
            operators.entry(operator.clone()).or_default().push(manifest);
        }
        let finished = completed.finished.contains(task);
        statistics.state_bytes += handle.times.state_bytes;
        statistics.new_bytes += match (completed.barrier.kind, finished) {
            // all its own, also what a task left that had finished
            (CheckpointKind::Savepoint, _) => handle.times.state_bytes,
            (_, true) => 0,
            (_, false) => handle.times.new_bytes,
        };
        statistics.in_flight_bytes += handle.times.in_flight_bytes;
        statistics.tasks.push(TaskStatistics {
            operators: handle.chain.to_vec(),
            subtask: handle.subtask,
            finished,
            times: handle.times,
        });
    }
    let operators = operators.into_iter().map(|(id, mut subtasks)| {
        subtasks.sort_by_key(|subtask| subtask.subtask);
        OperatorManifest { id, subtasks }
    });
    let committables = completed.uncommitted.iter().chain(&completed.committables).cloned().collect();
    let manifest = Manifest {
        checkpoint: completed.id(),
        kind: kind(completed),
        writer: env!("CARGO_PKG_VERSION").to_string(),
        job: job.clone(),
        statistics,
        operators: operators.collect(),
        committables,
        files: writer.records,
    };
    Record { manifest, blobs: writer.blobs, files: writer.files }
}

fn kind(completed: &CompletedCheckpoint) -> ManifestKind {
    match completed.barrier.kind {
        CheckpointKind::Savepoint if completed.finished.len() == completed.handles.len() => {
            ManifestKind::DrainedSavepoint
        }
        CheckpointKind::Savepoint => ManifestKind::Savepoint,
        CheckpointKind::Incremental | CheckpointKind::Full => ManifestKind::Checkpoint,
    }
}

impl Writer<'_> {
    fn place(&mut self, location: &Location) -> Place {
        match location {
            Location::Inline(bytes) => {
                let offset = self.blobs.len() as u64;
                self.blobs.extend_from_slice(bytes);
                Place { file: None, offset, length: bytes.len() as u64 }
            }
            Location::File { file, offset, length } => {
                Place { file: Some(self.file(file)), offset: *offset, length: *length }
            }
        }
    }

    fn file(&mut self, file: &Arc<StoredFile>) -> u32 {
        if let Some(place) = self.places.get(&Arc::as_ptr(file)) {
            return *place;
        }
        let place = self.files.len() as u32;
        let relative = match self.directory {
            Some(directory) => file.directory.relative_to(directory, &file.name),
            None => file.path(),
        };
        let (bytes, checksums) = (file.bytes, file.checksums.clone());
        self.records.push(FileRecord { path: relative, bytes, checksums });
        self.files.push(file.clone());
        self.places.insert(Arc::as_ptr(file), place);
        place
    }

    fn keyed(&mut self, keyed: &KeyedHandle) -> KeyedManifest {
        let mut segments = SegmentTable::default();
        let mut states = keyed.index.states.clone();
        for (place, state) in states.iter_mut().enumerate() {
            for segment in std::mem::take(&mut state.segments) {
                let location = &keyed.segments[&segment.id];
                let at = self.place(location);
                segments.push(place, &segment, at);
            }
        }
        let named =
            keyed.files.iter().map(|(name, file)| NamedFile { name: name.clone(), file: self.file(file) });
        KeyedManifest {
            files: named.collect(),
            checkpoint: keyed.index.checkpoint,
            key_groups: keyed.index.key_groups,
            max_parallelism: keyed.index.max_parallelism,
            states,
            segments,
            canonical: Vec::new(),
        }
    }
}
