//! What still counts of segments that lie on top of each other: of each place the newest one that says something of it.

use crate::StateError;
use crate::bits::Bits;
use crate::restore::RestoredSnapshot;
use crate::segment::{self, ByteStrings, FieldBytes, FieldRows, Part, SegmentRows};
use crate::snapshot::{SegmentId, SegmentIndex};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Of `segments`, those of one state, the rows that no later one replaces or takes away; segments of which all rows count
/// are left out. `file` names the place that they come from in errors.
pub(crate) fn current(
    segments: &[SegmentIndex],
    bytes: &BTreeMap<SegmentId, Bytes>,
    file: &str,
) -> Result<BTreeMap<SegmentId, Bits>, StateError> {
    let chained = segments.iter().filter(|segment| segment.changes).map(|segment| segment.window_end_ms);
    let mut current = BTreeMap::new();
    for window in chained.collect::<BTreeSet<_>>() {
        let table = segments.iter().filter(|segment| segment.window_end_ms == window);
        let mut table: Vec<SegmentId> = table.map(|segment| segment.id).collect();
        table.sort_unstable_by_key(|id| Reverse(*id));
        let (mut known, mut first) = (Bits::default(), 0);
        for id in table {
            // What is missing is told by who needs its rows.
            let Some(bytes) = bytes.get(&id) else { continue };
            let part =
                segment::read_part(bytes, &format!("{file}, segment {}/{}", id.checkpoint, id.number))?;
            if let Part::Changes { first: of_part, .. } = &part {
                first = first.max(*of_part);
            }
            let mut rows = Bits::default();
            let counts = |place: u32| place >= first && !known.get(place);
            let places = part.places();
            let kept = (0_u32..).zip(places).filter(|(_, place)| counts(**place)).map(|(row, _)| row);
            let kept = kept.inspect(|&row| rows.set(row)).count();
            if kept < places.len() {
                current.insert(id, rows);
            }
            part.mark(&mut known);
        }
    }
    Ok(current)
}

impl RestoredSnapshot {
    /// The same entries in segments of which each stands alone. The index keeps what each took where it was stored.
    ///
    /// # Errors
    /// [`StateError::Truncated`] and [`StateError::Corrupt`].
    pub fn laid_out(mut self) -> Result<RestoredSnapshot, StateError> {
        for state in &mut self.index.states {
            let current = current(&state.segments, &self.segments, &self.file)?;
            for segment in &mut state.segments {
                segment.changes = false;
                let Some(rows) = current.get(&segment.id) else { continue };
                let Some(bytes) = self.segments.get_mut(&segment.id) else { continue };
                let kept = segment::read(bytes, state.kind, &self.file)?.keep(rows);
                segment.rows = kept.rows as u32;
                *bytes = kept.to_bytes(state.kind);
            }
        }
        Ok(self)
    }
}

impl SegmentRows {
    /// Those whose bits are set.
    pub(crate) fn keep(self, kept: &Bits) -> SegmentRows {
        let rows: Vec<usize> = kept.ones().map(|row| row as usize).filter(|row| *row < self.rows).collect();
        let numbers = |numbers: &[u64]| rows.iter().filter_map(|row| numbers.get(*row).copied()).collect();
        let fields = self.fields.into_iter().map(|field| field.keep(&rows));
        SegmentRows {
            namespace: self.namespace,
            rows: rows.len(),
            key_groups: rows.iter().map(|row| self.key_groups[*row]).collect(),
            keys: self.keys.iter().map(|keys| keys.keep(&rows)).collect(),
            sequence: numbers(&self.sequence),
            last_access: self.last_access.as_deref().map(numbers),
            fields: fields.collect(),
        }
    }
}

impl FieldRows {
    fn keep(self, rows: &[usize]) -> FieldRows {
        let nulls = self.nulls.as_ref().map(|_| {
            let mut bits = vec![0_u8; rows.len().div_ceil(8)];
            let nulls = rows.iter().enumerate().filter(|(_, row)| self.is_null(**row));
            nulls.for_each(|(place, _)| bits[place / 8] |= 1 << (place % 8));
            bits
        });
        let width = self.kind.width();
        let values = match &self.values {
            FieldBytes::Strings(strings) => FieldBytes::Strings(strings.keep(rows)),
            FieldBytes::Fixed(bytes) => {
                let of_row = |row: &usize| &bytes[row * width..(row + 1) * width];
                FieldBytes::Fixed(rows.iter().flat_map(of_row).copied().collect())
            }
        };
        FieldRows { kind: self.kind, nulls, values }
    }
}

impl ByteStrings {
    fn keep(&self, rows: &[usize]) -> ByteStrings {
        let mut kept = ByteStrings::new();
        rows.iter().for_each(|&row| kept.push(self.get(row)));
        kept
    }
}
