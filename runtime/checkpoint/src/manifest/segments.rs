//! The list of a snapshot's segments. A large state has a hundred thousand, so it is kept by columns, which compress
//! well and parse fast.

use super::Place;
use weir_state::{SegmentId, SegmentIndex};
use weir_types::CheckpointId;

/// Segments and where they are. All columns have the same length.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SegmentTable {
    /// the place of its state in [`super::KeyedManifest::states`]
    state: Vec<u32>,
    /// the snapshot that wrote it
    checkpoint: Vec<u64>,
    number: Vec<u32>,
    window_end_ms: Vec<Option<i64>>,
    rows: Vec<u32>,
    length: Vec<u64>,
    file: Vec<Option<u32>>,
    offset: Vec<u64>,
    /// those that hold changes, by their places in this table, rising
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<u32>,
}

/// One segment of a [`SegmentTable`].
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentPlace {
    pub state: usize,
    pub segment: SegmentIndex,
    pub place: Place,
}

impl SegmentTable {
    pub fn push(&mut self, state: usize, segment: &SegmentIndex, place: Place) {
        debug_assert_eq!(segment.bytes, place.length);
        if segment.changes {
            self.changes.push(self.len() as u32);
        }
        self.state.push(state as u32);
        self.checkpoint.push(segment.id.checkpoint.0);
        self.number.push(segment.id.number);
        self.window_end_ms.push(segment.window_end_ms);
        self.rows.push(segment.rows);
        self.length.push(place.length);
        self.file.push(place.file);
        self.offset.push(place.offset);
    }

    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Whether some hold what changed since others were written.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// In the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = SegmentPlace> + '_ {
        (0..self.len()).map(|index| SegmentPlace {
            state: self.state[index] as usize,
            segment: SegmentIndex {
                id: SegmentId {
                    checkpoint: CheckpointId(self.checkpoint[index]),
                    number: self.number[index],
                },
                window_end_ms: self.window_end_ms[index],
                rows: self.rows[index],
                bytes: self.length[index],
                changes: self.changes.binary_search(&(index as u32)).is_ok(),
            },
            place: Place { file: self.file[index], offset: self.offset[index], length: self.length[index] },
        })
    }

    /// Why the columns cannot be what was written.
    pub(super) fn check(&self, states: usize) -> Result<(), String> {
        let lengths = [
            self.checkpoint.len(),
            self.number.len(),
            self.window_end_ms.len(),
            self.rows.len(),
            self.length.len(),
            self.file.len(),
            self.offset.len(),
        ];
        if lengths.iter().any(|length| *length != self.len()) {
            return Err("the columns of a table of segments differ in length".to_string());
        }
        match self.state.iter().find(|state| **state as usize >= states) {
            Some(state) => Err(format!("a segment of state {state}, of {states}")),
            None => Ok(()),
        }
    }
}
