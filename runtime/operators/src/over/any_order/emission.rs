//! What is emitted for the changes of partitions.

use super::Table;
use super::partition::{Change, Partition};
use super::steps::{Place, Sources};
use crate::calc::{batch_of, changes_of};
use crate::over::changed::note_unlike;
use crate::over::traced::rows_at_once;
use crate::{OperatorError, Output};
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use weir_types::{OverAnyOrderSpec, RowKind};

/// Rows to be emitted, in order.
#[derive(Default)]
pub(super) struct Emission {
    kinds: Vec<RowKind>,
    items: Vec<u32>,
    places: Vec<Place>,
}

/// A row whose result may have become another.
struct Candidate {
    item: u32,
    before: Place,
    after: Place,
}

impl Emission {
    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    fn one(&mut self, kind: RowKind, item: u32, place: Place) {
        self.kinds.push(kind);
        self.items.push(item);
        self.places.push(place);
    }

    /// What `changes` bring about, one after the other: peers that stand before a row that came, the row, and those after
    /// it; a row that went, and those after it.
    pub(super) fn add(
        &mut self,
        changes: &[Change],
        partitions: &[Partition],
        sources: &Sources,
        spec: &OverAnyOrderSpec,
    ) -> Result<(), OperatorError> {
        let mut candidates = Vec::new();
        for change in changes {
            let partition = &partitions[change.group];
            // Results of rows behind one that came or went have moved with them.
            let former = |place: usize| match (change.kind.is_retraction(), place < change.place) {
                (_, true) => place,
                (true, false) => place + 1,
                (false, false) => place.wrapping_sub(1),
            };
            for place in change.affected.clone() {
                let is_row = place == change.place && !change.kind.is_retraction();
                if let Some(before) = partition.former.get(former(place)).filter(|_| !is_row) {
                    let after = partition.results[place];
                    candidates.push(Candidate { item: partition.items[place], before: *before, after });
                }
            }
        }
        let differs = differing(&candidates, sources, spec.aggregates.len())?;
        let mut next = candidates.iter().zip(differs);
        for change in changes {
            let partition = &partitions[change.group];
            if change.kind.is_retraction() {
                self.one(RowKind::Delete, change.item, partition.former[change.place]);
            }
            for place in change.affected.clone() {
                if place == change.place && !change.kind.is_retraction() {
                    self.one(change.kind, change.item, partition.results[place]);
                    continue;
                }
                let Some((candidate, differs)) = next.next() else { break };
                if differs && spec.emit_update_before {
                    self.one(RowKind::UpdateBefore, candidate.item, candidate.before);
                }
                if differs {
                    self.one(RowKind::UpdateAfter, candidate.item, candidate.after);
                }
            }
        }
        Ok(())
    }

    /// Emits all, and forgets results that nobody needs any more.
    pub(super) fn flush(
        &mut self,
        table: &Table,
        sources: &mut Sources,
        spec: &OverAnyOrderSpec,
        schema: &SchemaRef,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let step = rows_at_once(sources.all_columns(spec.aggregates.len()), batch_rows);
        for start in (0..self.len()).step_by(step) {
            let range = start..(start + step).min(self.len());
            let items = UInt32Array::from(self.items[range.clone()].to_vec());
            let given = spec.columns.iter().map(|column| take(table.rows.column(*column), &items, None));
            let mut columns = given.collect::<Result<Vec<_>, _>>()?;
            let places = &self.places[range.clone()];
            for aggregate in 0..spec.aggregates.len() {
                columns.push(gather(places.iter().copied(), sources, aggregate)?);
            }
            output.batch(changes_of(batch_of(schema.clone(), columns, range.len())?, &self.kinds[range]));
        }
        *self = Emission::default();
        sources.sweep();
        Ok(())
    }
}

/// The results at `places`, of which there is at least one.
fn gather(
    places: impl Iterator<Item = Place>,
    sources: &Sources,
    aggregate: usize,
) -> Result<ArrayRef, OperatorError> {
    // Of each source the number of its first array.
    let mut known: BTreeMap<u32, usize> = BTreeMap::new();
    let mut arrays: Vec<&dyn Array> = Vec::new();
    let mut indices = Vec::new();
    for place in places {
        let first = *known.entry(place.source).or_insert_with(|| {
            arrays.extend(sources.columns(place.source, aggregate).iter().map(AsRef::as_ref));
            arrays.len() - sources.columns(place.source, aggregate).len()
        });
        let (part, after) = sources.find(place);
        indices.push((first + part, after));
    }
    Ok(interleave(&arrays, &indices)?)
}

/// Which of the rows have another result now.
fn differing(
    candidates: &[Candidate],
    sources: &Sources,
    aggregates: usize,
) -> Result<Vec<bool>, OperatorError> {
    let mut differs = vec![false; candidates.len()];
    if candidates.is_empty() {
        return Ok(differs);
    }
    for aggregate in 0..aggregates {
        let before = gather(candidates.iter().map(|candidate| candidate.before), sources, aggregate)?;
        let after = gather(candidates.iter().map(|candidate| candidate.after), sources, aggregate)?;
        note_unlike(&before, &after, &mut differs)?;
    }
    Ok(differs)
}
