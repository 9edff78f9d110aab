//! The durable record of one checkpoint: `_metadata`.
//!
//! [`Manifest`] says everything that is known of a checkpoint but the state itself, and where the state is. Its siblings
//! write it ([`encode`]), read it ([`decode`]) and fetch what it refers to ([`crate::StoredCheckpoint`]).

mod decode;
mod encode;
mod segments;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use segments::{SegmentPlace, SegmentTable};

use crate::CheckpointError;
use crate::checksums::FileChecksums;
use crate::permit::Committables;
use crate::snapshot::SourceSnapshot;
use std::collections::BTreeMap;
use weir_state::{SnapshotIndex, StateIndex};
use weir_types::{CheckpointId, KeyGroupRange, OperatorId, StateNote, SubtaskIndex};

/// The name of the manifest in a checkpoint's directory.
pub const MANIFEST: &str = "_metadata";

/// One checkpoint or savepoint. Paths are relative to the directory of the manifest, so that a directory with all its
/// checkpoints can be moved or copied.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Manifest {
    pub checkpoint: CheckpointId,
    pub kind: ManifestKind,
    /// the version of weir that wrote it
    pub writer: String,
    pub job: JobRecord,
    pub statistics: CheckpointStatistics,
    /// the files besides the manifest; [`Place::file`] counts in it
    pub files: Vec<FileRecord>,
    /// what each operator keeps; operators that keep nothing are left out
    pub operators: Vec<OperatorManifest>,
    /// written by sinks and not known to be visible: committed again after a restore
    pub committables: Vec<Committables>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestKind {
    /// Taken by the job for itself; may share files with others of the same job.
    Checkpoint,
    /// Asked for by a person: complete in itself, and never deleted by weir.
    Savepoint,
    /// A savepoint after which nothing came: time was driven to its end before it.
    DrainedSavepoint,
}

/// The job as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobRecord {
    pub id: String,
    pub name: String,
    /// the statement as it was written
    pub sql: String,
    /// what was set by `SET` and `--set`, by the new keys
    pub settings: BTreeMap<String, String>,
    /// `parallelism.default`
    pub parallelism: u32,
    /// key groups
    pub max_parallelism: u32,
    /// all operators, inputs before their readers
    pub operators: Vec<OperatorRecord>,
}

/// An operator of the plan.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OperatorRecord {
    pub id: OperatorId,
    /// as EXPLAIN shows it
    pub label: String,
    pub parallelism: u32,
    pub inputs: Vec<InputRecord>,
    /// what bounds its state, for people
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<StateNote>,
    /// the columns that it produces
    pub columns: Vec<ColumnRecord>,
}

/// Where rows of an operator come from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputRecord {
    /// a place in [`JobRecord::operators`]
    pub operator: u32,
    /// `forward`, `hash[k]`
    pub exchange: String,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ColumnRecord {
    pub name: String,
    /// as SQL writes it
    pub sql_type: String,
}

/// A file that holds state.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileRecord {
    /// relative to the directory of the manifest: `../shared/..` or a name in the directory itself
    pub path: String,
    pub bytes: u64,
    /// `None` in manifests of versions that had none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksums: Option<FileChecksums>,
}

/// Bytes in a file, or in the manifest itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// `None`: among the blobs behind the manifest
    pub file: Option<u32>,
    pub offset: u64,
    pub length: u64,
}

/// What one operator keeps.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OperatorManifest {
    pub id: OperatorId,
    /// in the order of their indices; subtasks that keep nothing are left out
    pub subtasks: Vec<SubtaskManifest>,
}

/// What one subtask of an operator keeps.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SubtaskManifest {
    pub subtask: SubtaskIndex,
    /// how far a source has read
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSnapshot>,
    /// as [`weir_state::OperatorStateBackend::snapshot`] wrote it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_state: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<KeyedManifest>,
    /// elements that the barrier overtook, by the input that they were on their way to
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight: Vec<InFlightManifest>,
}

/// The keyed state of one subtask of an operator.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KeyedManifest {
    /// of the snapshot, which may be older than the checkpoint if the task had finished
    pub checkpoint: CheckpointId,
    pub key_groups: KeyGroupRange,
    pub max_parallelism: u32,
    /// what the states are; their segments are in `segments`
    pub states: Vec<StateIndex>,
    pub segments: SegmentTable,
    /// files with names of their own, which the state backend made: RocksDB's
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<NamedFile>,
    /// in a canonical savepoint the states' files, instead of segments
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical: Vec<CanonicalFile>,
}

/// A state in the canonical format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CanonicalFile {
    /// place in [`KeyedManifest::states`]
    pub state: u32,
    /// place in [`Manifest::files`]
    pub file: u32,
    pub entries: u64,
}

/// A file of a state backend.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NamedFile {
    /// what the backend calls it; unique among all that the operators of the job ever make
    pub name: String,
    /// place in [`Manifest::files`]
    pub file: u32,
}

/// Elements of one input channel that a barrier overtook.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InFlightManifest {
    /// of the operator
    pub input: u32,
    pub place: Place,
}

/// When, how long, how much. Times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckpointStatistics {
    /// since 1970-01-01T00:00:00Z
    pub triggered_at_ms: i64,
    /// from the trigger to the last acknowledgement; what writing the manifest takes is not in it
    pub duration_ms: u64,
    /// of all state, whoever wrote it
    pub state_bytes: u64,
    /// of the state that no checkpoint before it holds
    pub new_bytes: u64,
    /// of elements that the barrier overtook
    pub in_flight_bytes: u64,
    pub tasks: Vec<TaskStatistics>,
}

/// What one subtask of a chain of operators says of its part.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskStatistics {
    /// the chain, its root first
    pub operators: Vec<OperatorId>,
    pub subtask: SubtaskIndex,
    /// it had nothing more to do when the checkpoint was triggered; its times are 0
    pub finished: bool,
    #[serde(flatten)]
    pub times: SnapshotStatistics,
}

/// How a subtask took its snapshot. Times are milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SnapshotStatistics {
    /// from the trigger to the first barrier
    pub start_delay_ms: u64,
    /// from the first barrier to the last
    pub alignment_ms: u64,
    /// that came between the first barrier and the last and had to wait
    pub alignment_bytes: u64,
    /// during which the subtask did not process
    pub sync_ms: u64,
    /// beside processing, until everything was uploaded
    pub async_ms: u64,
    /// from the trigger to the acknowledgement
    pub duration_ms: u64,
    pub state_bytes: u64,
    pub new_bytes: u64,
    pub in_flight_bytes: u64,
    /// the barrier overtook elements
    pub unaligned: bool,
}

impl FileRecord {
    /// Whether a file of so many `bytes` with these `checksums` is the one that was written; `file` names it in errors.
    ///
    /// # Errors
    /// [`CheckpointError::Truncated`] and [`CheckpointError::Corrupt`].
    pub(crate) fn check(
        &self,
        bytes: u64,
        checksums: &FileChecksums,
        file: &str,
    ) -> Result<(), CheckpointError> {
        if bytes < self.bytes {
            let what = format!("{} bytes are expected", self.bytes);
            return Err(CheckpointError::Truncated { file: file.to_string(), offset: bytes, what });
        }
        if bytes > self.bytes {
            let what = format!("it has {bytes} bytes, and {} were written", self.bytes);
            return Err(CheckpointError::Corrupt { file: file.to_string(), offset: self.bytes, what });
        }
        self.checksums.as_ref().map_or(Ok(()), |expected| expected.check(checksums, bytes, file))
    }
}

impl NamedFile {
    /// The checkpoint that wrote it: what the file's own name begins with.
    pub fn written_by(&self, files: &[FileRecord]) -> Option<CheckpointId> {
        let path = &files.get(self.file as usize)?.path;
        let name = path.rsplit('/').next().unwrap_or(path);
        name.split_once('-')?.0.parse().ok().map(CheckpointId)
    }
}

impl Manifest {
    /// The operator of this id.
    pub fn operator(&self, id: &OperatorId) -> Option<&OperatorManifest> {
        self.operators.iter().find(|operator| operator.id == *id)
    }
}

impl KeyedManifest {
    /// What the state room restores from.
    pub fn index(&self) -> SnapshotIndex {
        let mut states = self.states.clone();
        for entry in self.segments.iter() {
            if let Some(state) = states.get_mut(entry.state) {
                state.segments.push(entry.segment);
            }
        }
        SnapshotIndex {
            checkpoint: self.checkpoint,
            key_groups: self.key_groups,
            max_parallelism: self.max_parallelism,
            states,
        }
    }
}
