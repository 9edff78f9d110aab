//! One row of each key: ROW_NUMBER() = 1 in the order of time, the first or the last row; and the last row of a changelog
//! that is not whole.

mod first;
mod last;
mod normalize;

pub(crate) use first::FirstRow;
pub(crate) use last::LastRow;
pub(crate) use normalize::ChangelogNormalize;

use crate::calc::batch_of;
use crate::{OperatorError, Output};
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{Schema, SchemaRef};
use weir_state::Rows;
use weir_types::{ChangelogBatch, RowKind, RowKinds};

/// Columns that are kept with a key: all that are no keys.
pub(crate) fn kept_columns(schema: &Schema, keys: &[usize]) -> Vec<usize> {
    (0..schema.fields().len()).filter(|column| !keys.contains(column)).collect()
}

fn columns_at(rows: &RecordBatch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().map(|column| rows.column(*column).clone()).collect()
}

/// A row of the batch, or the one that is kept with a slot; both of the key of the row `via` of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// `None`: the kept one
    pub(crate) row: Option<u32>,
    pub(crate) slot: u32,
    pub(crate) via: u32,
}

/// Rows to be emitted, in order, with their kinds.
#[derive(Default)]
pub(crate) struct Changes {
    shown: Vec<Shown>,
    kinds: Vec<RowKind>,
}

impl Changes {
    pub(crate) fn push(&mut self, kind: RowKind, shown: Shown) {
        self.shown.push(shown);
        self.kinds.push(kind);
    }

    /// Emits `columns` of the rows, in batches of `step` rows at most. `kept` as in [`shown_columns`].
    pub(crate) fn emit(
        &self,
        columns: &[usize],
        batch: &RecordBatch,
        kept: (&Rows<'_>, &[usize], usize),
        (schema, step): (&SchemaRef, usize),
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        for start in (0..self.shown.len()).step_by(step.max(1)) {
            let end = (start + step.max(1)).min(self.shown.len());
            let columns = shown_columns(&self.shown[start..end], columns, batch, kept)?;
            let kinds = &self.kinds[start..end];
            let all_inserts = kinds.iter().all(|kind| *kind == RowKind::Insert);
            let kinds = (!all_inserts).then(|| RowKinds::from(kinds.to_vec()));
            output.batch(ChangelogBatch::new(batch_of(schema.clone(), columns, end - start)?, kinds));
        }
        Ok(())
    }
}

/// `columns` of rows. `kept` are the columns of the rows in `state`, whose fields begin at `first`.
fn shown_columns(
    shown: &[Shown],
    columns: &[usize],
    batch: &RecordBatch,
    (state, kept, first): (&Rows<'_>, &[usize], usize),
) -> Result<Vec<ArrayRef>, OperatorError> {
    let mut slots = Vec::new();
    let mut places = Vec::with_capacity(shown.len());
    for shown in shown {
        places.push(match shown.row {
            Some(row) => (0, row as usize),
            None => {
                slots.push(shown.slot);
                (1, slots.len() - 1)
            }
        });
    }
    let vias = UInt32Array::from_iter_values(shown.iter().map(|shown| shown.via));
    let column = |column: &usize| -> Result<ArrayRef, OperatorError> {
        let here = batch.column(*column);
        match kept.iter().position(|kept| kept == column) {
            None => Ok(take(here, &vias, None)?),
            Some(_) if slots.is_empty() => {
                let rows = UInt32Array::from_iter_values(places.iter().map(|(_, row)| *row as u32));
                Ok(take(here, &rows, None)?)
            }
            Some(field) => {
                let there = state.gather(first + field, &slots)?;
                let both: [&dyn Array; 2] = [here.as_ref(), there.as_ref()];
                Ok(interleave(&both, &places)?)
            }
        }
    };
    columns.iter().map(column).collect()
}
