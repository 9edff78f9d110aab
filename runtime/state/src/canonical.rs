//! The canonical format of savepoints: a state of one subtask as an Arrow IPC file, which any Arrow tool reads and any
//! state backend opens.
//!
//! The schema is that of [`EntryLayout`]. Its metadata tells the rest: `weir.format` (`canonical-state`),
//! `weir.version`, `weir.checkpoint`, `weir.key-groups` (`0..128`, what the subtask owned), `weir.max-parallelism`,
//! and `weir.states`, a JSON list of the state's parents from the topmost down and the state itself. The footer's
//! metadata has `weir.checksum`: the number of bytes before the footer and their hash.

use crate::StateError;
use crate::entries::EntryLayout;
use crate::restore::RestoredSnapshot;
use crate::snapshot::{SegmentId, SegmentIndex, SnapshotIndex, StateIndex};
use arrow::array::RecordBatch;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::record_batch::RecordBatchReader;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::Cursor;
use weir_types::{CheckpointId, KeyGroupRange, key_hash};

const FORMAT: &str = "canonical-state";
const VERSION: &str = "1";
const FORMAT_KEY: &str = "weir.format";
const VERSION_KEY: &str = "weir.version";
const CHECKPOINT_KEY: &str = "weir.checkpoint";
const KEY_GROUPS_KEY: &str = "weir.key-groups";
const MAX_PARALLELISM_KEY: &str = "weir.max-parallelism";
const STATES_KEY: &str = "weir.states";
const CHECKSUM_KEY: &str = "weir.checksum";

/// Writes one state of one subtask.
pub struct CanonicalWriter {
    layout: EntryLayout,
    writer: FileWriter<Vec<u8>>,
    entries: u64,
}

impl CanonicalWriter {
    /// A writer of the entries of `state`, which is one of `index`.
    ///
    /// # Errors
    /// As [`EntryLayout::new`].
    pub fn new(index: &SnapshotIndex, state: &StateIndex) -> Result<CanonicalWriter, StateError> {
        let layout = EntryLayout::new(index, state)?;
        let states = serde_json::to_string(&path_of(index, state));
        let states = states.expect("an index consists of strings and numbers");
        let range = index.key_groups;
        let metadata = [
            (FORMAT_KEY, FORMAT.to_string()),
            (VERSION_KEY, VERSION.to_string()),
            (CHECKPOINT_KEY, index.checkpoint.to_string()),
            (KEY_GROUPS_KEY, format!("{}..{}", range.start, range.end)),
            (MAX_PARALLELISM_KEY, index.max_parallelism.to_string()),
            (STATES_KEY, states),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        let schema = layout.schema().as_ref().clone().with_metadata(metadata);
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        let writer = options.and_then(|options| FileWriter::try_new_with_options(Vec::new(), &schema, options));
        let writer = writer.map_err(|error| StateError::Value(error.to_string()))?;
        Ok(CanonicalWriter { layout, writer, entries: 0 })
    }

    /// Adds the entries of a segment of the state; `file` names the place it comes from in errors.
    ///
    /// # Errors
    /// [`StateError::Truncated`] and [`StateError::Corrupt`].
    pub fn write(&mut self, segment: &Bytes, file: &str) -> Result<(), StateError> {
        let batch = self.layout.batch(segment, file)?;
        self.entries += batch.num_rows() as u64;
        self.writer.write(&batch).map_err(|error| StateError::Value(error.to_string()))
    }

    /// The file, and the number of entries in it.
    ///
    /// # Errors
    /// [`StateError::Value`] for what Arrow cannot write.
    pub fn finish(mut self) -> Result<(Bytes, u64), StateError> {
        let written = self.writer.get_ref();
        let checksum = format!("{} {:016x}", written.len(), key_hash(written));
        self.writer.write_metadata(CHECKSUM_KEY, checksum);
        let file = self.writer.finish().and_then(|()| self.writer.into_inner());
        let file = file.map_err(|error| StateError::Value(error.to_string()))?;
        Ok((Bytes::from(file), self.entries))
    }
}

/// The parents of `state` from the topmost down, and `state` itself, without their segments.
fn path_of(index: &SnapshotIndex, state: &StateIndex) -> Vec<StateIndex> {
    let parent = |state: &StateIndex| {
        let name = state.parent.as_ref()?;
        index.states.iter().find(|state| state.name == *name).cloned()
    };
    let mut path: Vec<StateIndex> = std::iter::successors(Some(state.clone()), parent).collect();
    path.reverse();
    path.iter_mut().for_each(|state| state.segments.clear());
    path
}

/// A state that was read from a file.
#[derive(Clone, Debug)]
pub struct CanonicalState {
    /// the state's parents from the topmost down, and the state itself as the last one, without segments
    pub index: SnapshotIndex,
    pub batches: Vec<RecordBatch>,
    /// names the place it comes from in errors
    pub file: String,
}

impl CanonicalState {
    pub fn state(&self) -> Option<&StateIndex> {
        self.index.states.last()
    }
}

/// Reads what [`CanonicalWriter`] wrote; `file` names the place it comes from in errors.
///
/// # Errors
/// [`StateError::Truncated`] and [`StateError::Corrupt`].
pub fn read_canonical(bytes: &Bytes, file: &str) -> Result<CanonicalState, StateError> {
    let corrupt = |what: String| StateError::Corrupt { file: file.to_string(), offset: 0, what };
    let reader = FileReader::try_new(Cursor::new(bytes.clone()), None)
        .map_err(|error| corrupt(format!("not a complete Arrow file: {error}")))?;
    let schema = reader.schema();
    let entry = |key: &str| {
        let value = schema.metadata().get(key);
        value.ok_or_else(|| corrupt(format!("an Arrow file without `{key}`: it was not written by weir")))
    };
    let (format, version) = (entry(FORMAT_KEY)?, entry(VERSION_KEY)?);
    if (format.as_str(), version.as_str()) != (FORMAT, VERSION) {
        return Err(corrupt(format!(
            "format {format}, version {version}, of which this version of weir knows nothing (it writes {FORMAT}, \
             version {VERSION})"
        )));
    }
    check(bytes, reader.custom_metadata().get(CHECKSUM_KEY).map_or("", String::as_str), file)?;
    let number = |key: &str| {
        let value = entry(key)?;
        value.parse::<u64>().map_err(|_| corrupt(format!("`{key}` is `{value}`, not a number")))
    };
    let range = entry(KEY_GROUPS_KEY)?;
    let key_groups = range.split_once("..").and_then(|(start, end)| {
        Some(KeyGroupRange { start: start.parse().ok()?, end: end.parse().ok()? })
    });
    let key_groups = key_groups.ok_or_else(|| corrupt(format!("`{range}` is no range of key groups")))?;
    let states: Vec<StateIndex> =
        serde_json::from_str(entry(STATES_KEY)?).map_err(|error| corrupt(error.to_string()))?;
    let index = SnapshotIndex {
        checkpoint: CheckpointId(number(CHECKPOINT_KEY)?),
        key_groups,
        max_parallelism: u32::try_from(number(MAX_PARALLELISM_KEY)?).unwrap_or(u32::MAX),
        states,
    };
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| corrupt(error.to_string()))?;
    Ok(CanonicalState { index, batches, file: file.to_string() })
}

/// Batches are decoded only if no byte before the footer has changed.
fn check(bytes: &Bytes, checksum: &str, file: &str) -> Result<(), StateError> {
    let said = checksum.split_once(' ').and_then(|(length, hash)| {
        Some((length.parse::<usize>().ok()?, u64::from_str_radix(hash, 16).ok()?))
    });
    let actual = said.and_then(|(length, _)| bytes.get(..length)).map(key_hash);
    if actual.is_some() && actual == said.map(|(_, hash)| hash) {
        return Ok(());
    }
    let what = "the checksum in the footer is not that of the contents".to_string();
    Err(StateError::Corrupt { file: file.to_string(), offset: 0, what })
}

/// The states of one subtask as a snapshot, which a backend of any kind restores.
///
/// # Errors
/// [`StateError::Corrupt`] for states of different subtasks, and for entries that their state cannot have.
pub fn snapshot_of_canonical(states: Vec<CanonicalState>) -> Result<Option<RestoredSnapshot>, StateError> {
    let Some(first) = states.first() else { return Ok(None) };
    let mut index = SnapshotIndex { states: Vec::new(), ..first.index.clone() };
    let (mut segments, file) = (BTreeMap::new(), first.file.clone());
    for CanonicalState { index: of_state, batches, file } in states {
        let same = |index: &SnapshotIndex| (index.checkpoint, index.key_groups, index.max_parallelism);
        let corrupt = |what: String| StateError::Corrupt { file: file.clone(), offset: 0, what };
        if same(&of_state) != same(&index) {
            return Err(corrupt("a state of another subtask or checkpoint than its neighbours".to_string()));
        }
        let state = of_state.states.last().ok_or_else(|| corrupt("a file without a state".to_string()))?;
        let layout = EntryLayout::new(&of_state, state)?;
        let mut state = StateIndex { segments: Vec::new(), ..state.clone() };
        for batch in &batches {
            let parts = layout.segments(batch).map_err(|error| corrupt(error.to_string()))?;
            for part in parts {
                let id = SegmentId { checkpoint: index.checkpoint, number: segments.len() as u32 };
                let (rows, bytes) = (part.rows, part.bytes.len() as u64);
                state.segments.push(SegmentIndex { id, window_end_ms: part.window_end_ms, rows, bytes });
                segments.insert(id, part.bytes);
            }
        }
        index.states.push(state);
    }
    Ok(Some(RestoredSnapshot { index, segments, file }))
}

#[cfg(test)]
mod tests;
