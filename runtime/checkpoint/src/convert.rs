//! A checkpoint or savepoint rewritten: in the canonical format, which every state backend and every Arrow tool reads,
//! or in segments, which restore fastest.
//!
//! What is written is a savepoint: complete in itself, in a directory of its own, its manifest last.

use crate::CheckpointError;
use crate::checksums::FileChecksums;
use crate::directory::Directory;
use crate::manifest::{
    CanonicalFile, FileRecord, InFlightManifest, KeyedManifest, MANIFEST, Manifest, ManifestKind,
    OperatorManifest, Place, SegmentTable, SubtaskManifest, encode,
};
use crate::stored::StoredCheckpoint;
use bytes::Bytes;
use weir_state::{CanonicalWriter, RestoredSnapshot, SegmentIndex};
use weir_types::OperatorId;

/// How the keyed state of a savepoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavepointFormat {
    /// an Arrow file for each subtask, operator and state
    Canonical,
    /// segments: a file for each subtask of an operator
    Native,
}

/// Writes `stored` into `target`, a directory without a checkpoint, and gives the manifest that is there then.
///
/// # Errors
/// [`CheckpointError::Location`] if something is there already; otherwise as for reading `stored`, and
/// [`CheckpointError::Storage`]. What had been written is deleted then; after [`CheckpointError::InDoubt`], which says that the
/// manifest may be there all the same, nothing is.
pub async fn convert(
    stored: &StoredCheckpoint,
    target: &Directory,
    format: SavepointFormat,
) -> Result<Manifest, CheckpointError> {
    let present = target.list().await?;
    if !present.is_empty() {
        let there = target.show("");
        return Err(CheckpointError::Location(format!(
            "cannot write a savepoint to '{there}': it is not empty"
        )));
    }
    let mut writer = Writer { stored, target, format, files: Vec::new(), blobs: Vec::new() };
    let written = match writer.operators().await {
        Ok(operators) => writer.manifest(operators).await,
        Err(error) => Err(error),
    };
    if written.is_err() && !matches!(written, Err(CheckpointError::InDoubt { .. })) {
        for file in &writer.files {
            // without a manifest it is no savepoint, and the first error is what counts
            let _ = target.delete(&file.path).await;
        }
        target.remove_if_empty().await;
    }
    written
}

struct Writer<'a> {
    stored: &'a StoredCheckpoint,
    target: &'a Directory,
    format: SavepointFormat,
    files: Vec<FileRecord>,
    blobs: Vec<u8>,
}

impl Writer<'_> {
    async fn operators(&mut self) -> Result<Vec<OperatorManifest>, CheckpointError> {
        let originals = &self.stored.manifest.operators;
        let mut operators = Vec::with_capacity(originals.len());
        for (place, operator) in originals.iter().enumerate() {
            let mut subtasks = Vec::with_capacity(operator.subtasks.len());
            for subtask in &operator.subtasks {
                subtasks.push(self.subtask(place, &operator.id, subtask).await?);
            }
            operators.push(OperatorManifest { id: operator.id.clone(), subtasks });
        }
        Ok(operators)
    }

    /// Writes the manifest: with it the savepoint is there.
    async fn manifest(&self, operators: Vec<OperatorManifest>) -> Result<Manifest, CheckpointError> {
        let mut manifest = Manifest { files: self.files.clone(), operators, ..self.stored.manifest.clone() };
        if manifest.kind == ManifestKind::Checkpoint {
            manifest.kind = ManifestKind::Savepoint;
        }
        let of_files: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        manifest.statistics.state_bytes = of_files + self.blobs.len() as u64;
        manifest.statistics.new_bytes = manifest.statistics.state_bytes;
        if let Err(error) = self.target.create(MANIFEST, encode(&manifest, &self.blobs)).await {
            let gone = self.target.delete(MANIFEST).await;
            let (checkpoint, reason) = (manifest.checkpoint, error.to_string());
            return Err(gone.map_or(CheckpointError::InDoubt { checkpoint, reason }, |()| error));
        }
        Ok(manifest)
    }

    /// `place` tells operators apart whose names begin alike.
    async fn subtask(
        &mut self,
        place: usize,
        operator: &OperatorId,
        subtask: &SubtaskManifest,
    ) -> Result<SubtaskManifest, CheckpointError> {
        let operator_state = match &subtask.operator_state {
            Some(place) => Some(self.blob(place).await?),
            None => None,
        };
        let mut in_flight = Vec::with_capacity(subtask.in_flight.len());
        for elements in &subtask.in_flight {
            in_flight.push(InFlightManifest { place: self.blob(&elements.place).await?, ..elements.clone() });
        }
        let keyed = match &subtask.keyed {
            Some(keyed) => {
                let (snapshot, _) = self.stored.keyed_in_segments(keyed, None).await?;
                let name = format!("{place}-{}-{}", file_name(&operator.0), subtask.subtask.0);
                Some(match self.format {
                    SavepointFormat::Canonical => self.canonical(keyed, &snapshot, &name).await?,
                    SavepointFormat::Native => self.native(keyed, &snapshot, &name).await?,
                })
            }
            None => None,
        };
        Ok(SubtaskManifest { operator_state, in_flight, keyed, ..subtask.clone() })
    }

    /// The bytes at a place of the original, behind the new manifest.
    async fn blob(&mut self, place: &Place) -> Result<Place, CheckpointError> {
        let bytes = self.stored.bytes(place).await?;
        let offset = self.blobs.len() as u64;
        self.blobs.extend_from_slice(&bytes);
        Ok(Place { file: None, offset, length: bytes.len() as u64 })
    }

    async fn file(&mut self, path: String, contents: Bytes) -> Result<u32, CheckpointError> {
        let (bytes, checksums) = (contents.len() as u64, Some(FileChecksums::of(&contents)));
        self.target.create(&path, contents).await?;
        self.files.push(FileRecord { path, bytes, checksums });
        Ok((self.files.len() - 1) as u32)
    }

    async fn canonical(
        &mut self,
        keyed: &KeyedManifest,
        snapshot: &RestoredSnapshot,
        name: &str,
    ) -> Result<KeyedManifest, CheckpointError> {
        let mut canonical = Vec::with_capacity(snapshot.index.states.len());
        for (place, state) in snapshot.index.states.iter().enumerate() {
            let mut writer = CanonicalWriter::new(&snapshot.index, state)?;
            for segment in &state.segments {
                if let Some(bytes) = snapshot.segments.get(&segment.id) {
                    writer.write(bytes, &snapshot.file)?;
                }
            }
            let (contents, entries) = writer.finish()?;
            let short = state.name.rsplit_once('/').map_or(state.name.as_str(), |(_, short)| short);
            let file = self.file(format!("{name}-{place}-{}.arrow", file_name(short)), contents).await?;
            canonical.push(CanonicalFile { state: place as u32, file, entries });
        }
        Ok(KeyedManifest { segments: SegmentTable::default(), files: Vec::new(), canonical, ..keyed.clone() })
    }

    async fn native(
        &mut self,
        keyed: &KeyedManifest,
        snapshot: &RestoredSnapshot,
        name: &str,
    ) -> Result<KeyedManifest, CheckpointError> {
        let (mut contents, mut segments) = (Vec::new(), SegmentTable::default());
        let file = self.files.len() as u32;
        for (place, state) in snapshot.index.states.iter().enumerate() {
            for segment in &state.segments {
                let bytes = snapshot.segments.get(&segment.id).filter(|_| segment.rows > 0);
                let Some(bytes) = bytes else { continue };
                let (offset, length) = (contents.len() as u64, bytes.len() as u64);
                let segment = SegmentIndex { bytes: length, ..segment.clone() };
                segments.push(place, &segment, Place { file: Some(file), offset, length });
                contents.extend_from_slice(bytes);
            }
        }
        if !contents.is_empty() {
            self.file(format!("{name}.segments"), Bytes::from(contents)).await?;
        }
        Ok(KeyedManifest { segments, files: Vec::new(), canonical: Vec::new(), ..keyed.clone() })
    }
}

/// The longest name of an operator or state in a file's name; what follows is told apart by numbers.
const NAME_LENGTH: usize = 60;

/// A name without characters that mean something in paths.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = name.chars().take(NAME_LENGTH).map(plain).collect();
    name.trim_start_matches('.').to_string()
}
