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
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{CompressionType, MetadataVersion, root_as_footer};
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
/// What Arrow files begin and end with.
const MAGIC: &[u8] = b"ARROW1";
/// Everything in a file lies at a multiple of so many bytes: what comes first lies behind the magic word and zeros.
const ALIGNMENT: usize = 64;
/// The length of the footer, and the magic word.
const TAIL_BYTES: usize = 10;

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
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5);
        let options =
            options.and_then(|options| options.try_with_compression(Some(CompressionType::LZ4_FRAME)));
        let writer =
            options.and_then(|options| FileWriter::try_new_with_options(Vec::new(), &schema, options));
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
    let contents = checked(bytes, file)?;
    let reader = StreamReader::try_new(Cursor::new(contents), None);
    let reader = reader.map_err(|error| corrupt(error.to_string()))?;
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
    let number = |key: &str| {
        let value = entry(key)?;
        value.parse::<u64>().map_err(|_| corrupt(format!("`{key}` is `{value}`, not a number")))
    };
    let range = entry(KEY_GROUPS_KEY)?;
    let key_groups = range
        .split_once("..")
        .and_then(|(start, end)| Some(KeyGroupRange { start: start.parse().ok()?, end: end.parse().ok()? }));
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

/// The contents between the magic word and the footer, an Arrow stream, if no byte of them has changed: Arrow's
/// readers panic on some that have.
fn checked(bytes: &Bytes, file: &str) -> Result<Bytes, StateError> {
    let truncated = |what: &str| StateError::Truncated {
        file: file.to_string(),
        offset: bytes.len() as u64,
        what: what.to_string(),
    };
    if !bytes.starts_with(MAGIC) {
        let what = "not an Arrow file".to_string();
        return Err(StateError::Corrupt { file: file.to_string(), offset: 0, what });
    }
    let tail = bytes.len().checked_sub(TAIL_BYTES).filter(|_| bytes.ends_with(MAGIC));
    let tail = tail.ok_or_else(|| truncated("the end of an Arrow file"))?;
    let corrupt = |what: &str| StateError::Corrupt {
        file: file.to_string(),
        offset: tail as u64,
        what: what.to_string(),
    };
    let mut length = [0; 4];
    length.copy_from_slice(&bytes[tail..tail + 4]);
    let start = tail.checked_sub(u32::from_le_bytes(length) as usize);
    let start = start.ok_or_else(|| corrupt("a footer that is longer than the file"))?;
    let footer = root_as_footer(&bytes[start..tail]).map_err(|error| corrupt(&error.to_string()))?;
    let entry = |entry: arrow::ipc::KeyValue<'_>| {
        (entry.key() == Some(CHECKSUM_KEY)).then(|| entry.value().map(str::to_string))?
    };
    let checksum = footer.custom_metadata().and_then(|entries| entries.iter().find_map(entry));
    let checksum = checksum
        .ok_or_else(|| corrupt("an Arrow file without `weir.checksum`: it was not written by weir"))?;
    let said = checksum.split_once(' ').and_then(|(length, hash)| {
        Some((length.parse::<usize>().ok()?, u64::from_str_radix(hash, 16).ok()?))
    });
    let contents = said
        .filter(|(length, hash)| bytes.get(..*length).is_some_and(|contents| key_hash(contents) == *hash));
    match contents {
        Some((length, _)) if length >= ALIGNMENT => Ok(bytes.slice(ALIGNMENT..length)),
        _ => Err(corrupt("the checksum in the footer is not that of the contents")),
    }
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
                state.segments.push(SegmentIndex {
                    id,
                    window_end_ms: part.window_end_ms,
                    rows,
                    bytes,
                    changes: false,
                });
                segments.insert(id, part.bytes);
            }
        }
        index.states.push(state);
    }
    Ok(Some(RestoredSnapshot::new(index, segments, file)))
}

#[cfg(test)]
mod tests;
