//! ROW_NUMBER() = 1 in the order of time: the first or the last row of each key.

mod first;
mod last;

pub(crate) use first::FirstRow;
pub(crate) use last::LastRow;

use crate::OperatorError;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::Schema;
use weir_state::Rows;

/// Columns that are kept with a key: all that are no keys.
fn kept_columns(schema: &Schema, keys: &[usize]) -> Vec<usize> {
    (0..schema.fields().len()).filter(|column| !keys.contains(column)).collect()
}

fn columns_at(rows: &RecordBatch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().map(|column| rows.column(*column).clone()).collect()
}

/// A row of the batch, or the one that is kept with a slot; both of the key of the row `via` of the batch.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// `None`: the kept one
    row: Option<u32>,
    slot: u32,
    via: u32,
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
