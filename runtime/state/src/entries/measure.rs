//! How a state's entries are spread: over key groups, keys and windows. Found by a scan of all of them.

use super::EntryLayout;
use crate::StateError;
use crate::descriptor::{Namespace, StateKind};
use crate::segment::{self, FieldBytes, SegmentRows};
use arrow::array::ArrayRef;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Entries, and the bytes of their keys and values as they are persisted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct EntryCount {
    pub entries: u64,
    pub bytes: u64,
}

impl EntryCount {
    fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }
}

/// What a scan has found.
#[derive(Clone, Debug)]
pub struct StateMeasure {
    pub total: EntryCount,
    /// by key group, those without entries left out
    pub key_groups: BTreeMap<u16, EntryCount>,
    /// by the end of the window in milliseconds; empty where the state has no windows
    pub windows: BTreeMap<i64, EntryCount>,
    /// the keys with the most bytes, largest first: their columns, and what lies under each
    pub largest_keys: Vec<ArrayRef>,
    pub largest_counts: Vec<EntryCount>,
}

/// Scans the segments of one state, of one subtask or of several.
pub struct Measurer {
    layout: EntryLayout,
    total: EntryCount,
    key_groups: BTreeMap<u16, EntryCount>,
    windows: BTreeMap<i64, EntryCount>,
    keys: Keys,
    largest: usize,
}

enum Keys {
    /// a key has one entry: only the largest are kept, by their bytes, with room for some more
    Single(Vec<(u64, Vec<u8>)>),
    /// a key has many
    Many(BTreeMap<Vec<u8>, EntryCount>),
}

impl Measurer {
    /// For states of this layout; finds the `largest` largest keys.
    pub fn new(layout: EntryLayout, largest: usize) -> Measurer {
        let single =
            layout.kind == StateKind::Value && layout.namespace == crate::descriptor::NamespaceKind::Void;
        let keys = if single { Keys::Single(Vec::new()) } else { Keys::Many(BTreeMap::new()) };
        Measurer {
            layout,
            total: EntryCount::default(),
            key_groups: BTreeMap::new(),
            windows: BTreeMap::new(),
            keys,
            largest,
        }
    }

    /// Adds a segment; `file` names the place it comes from in errors.
    ///
    /// # Errors
    /// [`StateError::Truncated`] and [`StateError::Corrupt`].
    pub fn add(&mut self, segment: &Bytes, file: &str) -> Result<(), StateError> {
        let rows = segment::read(segment, self.layout.kind, file)?;
        let corrupt = |what: String| StateError::Corrupt { file: file.to_string(), offset: 0, what };
        self.layout.check(&rows).map_err(corrupt)?;
        for row in 0..rows.rows {
            let bytes = entry_bytes(&rows, row);
            self.total.add(bytes);
            self.key_groups.entry(rows.key_groups[row]).or_default().add(bytes);
            if let Namespace::Window(end_ms) = rows.namespace {
                self.windows.entry(end_ms).or_default().add(bytes);
            }
            let key = rows.keys[0].get(row);
            match &mut self.keys {
                Keys::Single(largest) => keep_largest(largest, self.largest, bytes, key),
                Keys::Many(keys) => match keys.get_mut(key) {
                    Some(count) => count.add(bytes),
                    None => keys.entry(key.to_vec()).or_default().add(bytes),
                },
            }
        }
        Ok(())
    }

    /// What was found.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] for keys that are none of the state's types.
    pub fn finish(self) -> Result<StateMeasure, StateError> {
        let mut keys: Vec<(EntryCount, Vec<u8>)> = match self.keys {
            Keys::Single(largest) => {
                largest.into_iter().map(|(bytes, key)| (EntryCount { entries: 1, bytes }, key)).collect()
            }
            Keys::Many(keys) => keys.into_iter().map(|(key, count)| (count, key)).collect(),
        };
        keys.sort_by(|(a, key), (b, other)| b.bytes.cmp(&a.bytes).then_with(|| key.cmp(other)));
        keys.truncate(self.largest);
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for (_, key) in &keys {
            bytes.extend_from_slice(key);
            offsets.push(bytes.len() as u32);
        }
        let encoder = &self.layout.levels[0];
        let decoded = encoder.from_canonical(&offsets, &bytes).and_then(|keys| encoder.decode(&keys));
        let largest_keys = decoded.map_err(|error| StateError::Value(error.to_string()))?;
        Ok(StateMeasure {
            total: self.total,
            key_groups: self.key_groups,
            windows: self.windows,
            largest_keys,
            largest_counts: keys.into_iter().map(|(count, _)| count).collect(),
        })
    }
}

/// Key group, keys, namespace and fields; NULL or not, a field of fixed width takes its width.
fn entry_bytes(rows: &SegmentRows, row: usize) -> u64 {
    let keys: usize = rows.keys.iter().map(|keys| keys.get(row).len()).sum();
    let fields = rows.fields.iter().map(|field| match &field.values {
        FieldBytes::Fixed(_) => field.kind.width(),
        FieldBytes::Strings(strings) => strings.get(row).len(),
    });
    let namespace = if rows.namespace == Namespace::Void { 0 } else { 8 };
    let extra = 8 * (usize::from(!rows.sequence.is_empty()) + usize::from(rows.last_access.is_some()));
    (2 + keys + namespace + extra + fields.sum::<usize>()) as u64
}

fn keep_largest(largest: &mut Vec<(u64, Vec<u8>)>, wanted: usize, bytes: u64, key: &[u8]) {
    let least = largest.iter().map(|(bytes, _)| *bytes).min();
    if largest.len() < wanted {
        largest.push((bytes, key.to_vec()));
    } else if let Some(least) = least.filter(|least| *least < bytes)
        && let Some(place) = largest.iter().position(|(bytes, _)| *bytes == least)
    {
        largest[place] = (bytes, key.to_vec());
    }
}
