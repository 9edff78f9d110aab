//! One row of each key: ROW_NUMBER() = 1 in the order of time, the first or the last row; and the last row of a changelog
//! that is not whole.

mod first;
mod last;
mod normalize;

pub(crate) use first::FirstRow;
pub(crate) use last::LastRow;
pub(crate) use normalize::ChangelogNormalize;

use crate::calc::{batch_of, changes_of};
use crate::partitions::{Mixed, Source, kept_columns};
use crate::{OperatorError, Output};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_state::Rows;
use weir_types::RowKind;

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
            let rows = batch_of(schema.clone(), columns, end - start)?;
            output.batch(changes_of(rows, &self.kinds[start..end]));
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
    let source = |shown: &Shown| shown.row.map_or(Source::Kept(shown.slot), Source::Batch);
    let mixed = Mixed::of(shown.iter().map(source));
    let vias = UInt32Array::from_iter_values(shown.iter().map(|shown| shown.via));
    let column = |column: &usize| -> Result<ArrayRef, OperatorError> {
        let here = batch.column(*column);
        match kept.iter().position(|kept| kept == column) {
            None => Ok(take(here, &vias, None)?),
            Some(field) => mixed.column(here, state, first + field),
        }
    };
    columns.iter().map(column).collect()
}
