//! The slices of a HOP window, combined key by key and emitted at once.

use super::fire::{firing_table, opened};
use super::{Scratch, WindowAggregate};
use crate::calc::batch_of;
use crate::{OperatorContext, OperatorError};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{concat, filter_record_batch};
use weir_state::{CACHED_ROWS, KeyedStateBackend, Namespace, StateId, StepCursor};

/// Entries that are combined in one step: those of several slices are read, and few keys are written.
const STEP: usize = 2 * CACHED_ROWS;

/// The slices of a window, the newest first as Flink merges them (it shows in LISTAGG), and how far they have been
/// combined.
pub(super) struct Combining {
    slices: Vec<Namespace>,
    cursor: StepCursor,
}

impl Combining {
    /// `slices`: their ends, rising.
    /// `None` if some of their entries are on disk alone, so that they have to be merged in the state.
    pub(super) fn new(slices: &[i64], state: StateId, keyed: &mut KeyedStateBackend) -> Option<Self> {
        let slices: Vec<Namespace> = slices.iter().rev().map(|end| Namespace::Window(*end)).collect();
        keyed.hold(state, &slices, true).then(|| Combining { slices, cursor: StepCursor::default() })
    }
}

impl WindowAggregate {
    /// True if windows need not be merged in the state before they are emitted: DISTINCT values must.
    pub(super) fn combines(&self) -> bool {
        self.tables.as_ref().is_some_and(|tables| tables.slices.distincts.maps.is_empty())
    }

    /// The next rows of a window: `None` once there are no more. A batch may be empty.
    pub(super) fn combine_some(
        &mut self,
        combining: &mut Combining,
        window_end: i64,
        context: &mut OperatorContext,
    ) -> Result<Option<RecordBatch>, OperatorError> {
        let state = opened(&self.tables)?.slices.state;
        let keyed = &mut context.keyed;
        let Scratch { side, rows, pins, part_rows, .. } = &mut self.scratch;
        if !keyed.step(state, &combining.slices, &mut combining.cursor, STEP, side) {
            keyed.hold(state, &combining.slices, false);
            return Ok(None);
        }
        rows.reset(side.keys);
        let mut keys: Vec<Vec<ArrayRef>> = Vec::new();
        for (part, namespace) in side.parts.iter().zip(&combining.slices) {
            if part.slots.is_empty() {
                continue;
            }
            self.set.load(&keyed.rows(state, *namespace), &part.slots, pins, part_rows);
            if self.spec.input_retracts {
                for (row, key) in part.keys.iter().enumerate() {
                    let count = part_rows.part(row, 0, 1)[0];
                    let sum = &mut rows.part_mut(*key as usize, 0, 1)[0];
                    *sum = sum.wrapping_add(count);
                }
            }
            for member in self.set.members() {
                member.accumulator.merge(member.place, rows, &part.keys, part_rows)?;
            }
            if !part.first.is_empty() {
                let first = keyed.keys(state, *namespace, &part.first);
                keys.push(keyed.encoder(state).decode(&first)?);
            }
        }
        let columns = (0..self.spec.keys.len()).map(|column| {
            let parts: Vec<&dyn arrow::array::Array> = keys.iter().map(|part| &*part[column]).collect();
            if let [only] = &keys[..] { Ok(only[column].clone()) } else { Ok(concat(&parts)?) }
        });
        let mut columns = columns.collect::<Result<Vec<ArrayRef>, OperatorError>>()?;
        let count = side.keys;
        if count == 0 {
            return Ok(Some(RecordBatch::new_empty(self.schema.clone())));
        }
        columns.extend(self.set.emit(rows)?);
        let present = self.spec.input_retracts.then(|| {
            BooleanArray::from((0..count).map(|row| rows.part(row, 0, 1)[0] != 0).collect::<Vec<bool>>())
        });
        let now_ms = context.clock.now_ms();
        for property in &self.spec.properties {
            columns.push(self.property(*property, columns.len(), None, count, window_end, now_ms)?);
        }
        let batch = batch_of(self.schema.clone(), columns, count)?;
        Ok(Some(match present {
            Some(present) => filter_record_batch(&batch, &present)?,
            None => batch,
        }))
    }

    /// Adds what has not been combined yet to the window in the state `firing`.
    pub(super) fn park_rest(
        &mut self,
        mut combining: Combining,
        window_end: i64,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let tables = opened(&self.tables)?;
        let (slices, firing) = (&tables.slices, firing_table(tables)?);
        let into = Namespace::Window(window_end);
        let count_word = self.count_word();
        let Scratch { side, found, merger, .. } = &mut self.scratch;
        while keyed.step(slices.state, &combining.slices, &mut combining.cursor, STEP, side) {
            for (part, from) in side.parts.iter().zip(&combining.slices) {
                if part.slots.is_empty() {
                    continue;
                }
                let keys = keyed.keys(slices.state, *from, &part.slots);
                keyed.resolve(firing.state, into, &keys, found);
                let all_new = found.created.len() == found.slots.len();
                let (from, into) = ((slices, *from, &part.slots[..]), (firing, into, &found.slots[..]));
                merger.merge(keyed, &self.set, from, into, count_word, all_new)?;
            }
            keyed.trim();
        }
        keyed.hold(slices.state, &combining.slices, false);
        Ok(())
    }
}
