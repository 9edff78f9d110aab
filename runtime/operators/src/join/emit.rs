//! What a join emits, row by row, and how it becomes batches.

use super::side::Side;
use crate::OperatorError;
use crate::calc::{batch_of, changes_of};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_state::{KeyedStateBackend, NO_SLOT};
use weir_types::{ChangelogBatch, RowKind};

/// Rows to be emitted, in order.
#[derive(Default)]
pub(super) struct Emission {
    kinds: Vec<RowKind>,
    /// row of the batch; also of a row that shows the other side alone, since it has the same key
    rows: Vec<u32>,
    /// the other side's row, [`NO_SLOT`] for NULLs
    others: Vec<u32>,
    /// the columns of the batch are NULL
    alone: Vec<bool>,
}

impl Emission {
    /// A row of the batch beside one of the other side.
    pub(super) fn pair(&mut self, kind: RowKind, row: u32, other: u32) {
        self.push(kind, row, other, false);
    }

    /// A row of the batch beside NULLs.
    pub(super) fn row(&mut self, kind: RowKind, row: u32) {
        self.push(kind, row, NO_SLOT, false);
    }

    /// NULLs beside a row of the other side, which matched `row`.
    pub(super) fn other(&mut self, kind: RowKind, row: u32, other: u32) {
        self.push(kind, row, other, true);
    }

    fn push(&mut self, kind: RowKind, row: u32, other: u32, alone: bool) {
        self.kinds.push(kind);
        self.rows.push(row);
        self.others.push(other);
        self.alone.push(alone);
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// The rows from `start`, `len` of them, as a batch of `schema`: columns of the batch at `own`, of the other side at
    /// `columns`, the left ones first.
    pub(super) fn batch(
        &self,
        (start, len): (usize, usize),
        schema: &SchemaRef,
        (batch, own, is_left): (&RecordBatch, &[usize], bool),
        (other, columns, keys): (&Side, &[usize], &[ArrayRef]),
        keyed: &mut KeyedStateBackend,
    ) -> Result<ChangelogBatch, OperatorError> {
        let range = start..start + len;
        let (rows, others) = (&self.rows[range.clone()], &self.others[range.clone()]);
        let alone = &self.alone[range.clone()];
        let shown = rows.iter().zip(alone).map(|(row, alone)| (!alone).then_some(*row));
        let shown: UInt32Array = shown.collect();
        let mine = own.iter().map(|column| take(batch.column(*column), &shown, None));
        let mine = mine.collect::<Result<Vec<_>, _>>()?;
        let theirs = other_columns(rows, others, (other, columns, keys), keyed)?;
        let columns = if is_left { [mine, theirs] } else { [theirs, mine] }.concat();
        Ok(changes_of(batch_of(schema.clone(), columns, len)?, &self.kinds[range]))
    }
}

/// Columns of the other side's rows, NULL where there is none.
fn other_columns(
    rows: &[u32],
    others: &[u32],
    (other, columns, keys): (&Side, &[usize], &[ArrayRef]),
    keyed: &mut KeyedStateBackend,
) -> Result<Vec<ArrayRef>, OperatorError> {
    let present: Vec<usize> = (0..others.len()).filter(|place| others[*place] != NO_SLOT).collect();
    if present.is_empty() {
        let data_type = |column: &usize| other.spec.schema.field(*column).data_type();
        return Ok(columns.iter().map(|column| new_null_array(data_type(column), others.len())).collect());
    }
    let slots: Vec<u32> = present.iter().map(|place| others[*place]).collect();
    let at = UInt32Array::from_iter_values(present.iter().map(|place| rows[*place]));
    let gathered = other.gather(&slots, columns, (keys, &at), keyed)?;
    if present.len() == others.len() {
        return Ok(gathered);
    }
    let mut next = 0..;
    let place = |other: &u32| (*other != NO_SLOT).then(|| next.next().unwrap_or(0));
    let places: UInt32Array = others.iter().map(place).collect();
    gathered.iter().map(|column| Ok(take(column, &places, None)?)).collect()
}
