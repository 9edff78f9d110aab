//! Rows that are kept under an entry for their keys: what OVER, Top-N, MATCH_RECOGNIZE and joins by time share.

use crate::OperatorError;
use crate::calc::batch_of;
use crate::event_time::rowtime_millis;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, interleave, take, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use weir_state::{KeyedStateBackend, Namespace, Rows, Slots, StateId};
use weir_types::{OperatorMetrics, SortKey};

/// The entry of each row of `batch` in the Value state `state`, by the columns `keys`; without keys all rows have one. Those
/// that do not exist are made.
pub(crate) fn resolve_keys(
    keyed: &mut KeyedStateBackend,
    state: StateId,
    keys: &[usize],
    batch: &RecordBatch,
    found: &mut Slots,
) -> Result<(), OperatorError> {
    let columns: Vec<ArrayRef> = keys.iter().map(|column| batch.column(*column).clone()).collect();
    let count = if columns.is_empty() { 1 } else { batch.num_rows() };
    let encoded = keyed.encoder(state).encode(&columns, count)?;
    keyed.resolve(state, Namespace::Void, &encoded, found);
    if columns.is_empty() {
        let slot = found.slots[0];
        found.slots.resize(batch.num_rows(), slot);
    }
    Ok(())
}

/// The rows that are not late, with their times in milliseconds; `None` if all are. Late ones are counted.
pub(crate) fn in_time(
    batch: &RecordBatch,
    rowtime: usize,
    progress_ms: i64,
    metrics: &OperatorMetrics,
) -> Result<Option<(RecordBatch, Vec<i64>)>, OperatorError> {
    let times = rowtime_millis(batch.column(rowtime), batch.schema_ref().field(rowtime).name())?;
    let kept: Vec<u32> =
        (0..batch.num_rows() as u32).filter(|row| times.value(*row as usize) > progress_ms).collect();
    OperatorMetrics::add(&metrics.late_rows, batch.num_rows() - kept.len());
    if kept.is_empty() {
        return Ok(None);
    }
    if kept.len() == batch.num_rows() {
        return Ok(Some((batch.clone(), times.values().to_vec())));
    }
    let picked = kept.iter().map(|row| times.value(*row as usize)).collect();
    Ok(Some((take_record_batch(batch, &UInt32Array::from(kept))?, picked)))
}

/// Columns that are kept with a key: all that are no keys.
pub(crate) fn kept_columns(schema: &Schema, keys: &[usize]) -> Vec<usize> {
    (0..schema.fields().len()).filter(|column| !keys.contains(column)).collect()
}

/// Compares rows of `input` by `order`.
pub(crate) fn order_converter(order: &[SortKey], input: &Schema) -> Result<RowConverter, OperatorError> {
    let field = |key: &SortKey| {
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        SortField::new_with_options(input.field(key.column).data_type().clone(), options)
    };
    RowConverter::new(order.iter().map(field).collect())
        .map_err(|error| OperatorError::unsupported(format!("rows of {input:?} cannot be ordered: {error}")))
}

/// Kept rows as they came in: the columns `kept` are fields of `state` from `first` on, those of `keys` are in `owners`.
pub(crate) fn kept_rows(
    input: &SchemaRef,
    (kept, first): (&[usize], usize),
    (keys, owners): (&[usize], &[ArrayRef]),
    state: &Rows<'_>,
    slots: &[u32],
) -> Result<RecordBatch, OperatorError> {
    let column = |column: usize| -> Result<ArrayRef, OperatorError> {
        if let Some(field) = kept.iter().position(|kept| *kept == column) {
            return Ok(state.gather(first + field, slots)?);
        }
        let key = keys.iter().position(|key| *key == column);
        let owner = key.and_then(|key| owners.get(key));
        owner.cloned().ok_or_else(|| OperatorError::internal("a column is neither kept nor a key"))
    };
    let columns = (0..input.fields().len()).map(column).collect::<Result<Vec<_>, _>>()?;
    batch_of(input.clone(), columns, slots.len())
}

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// its slot in the state
    Kept(u32),
    /// its place in the batch
    Batch(u32),
}

/// Rows of which some are kept and some are in a batch.
pub(crate) struct Mixed {
    /// of those that are kept
    slots: Vec<u32>,
    /// of each row 0 and its place in the batch, or 1 and its place among the slots
    places: Vec<(usize, usize)>,
}

impl Mixed {
    pub(crate) fn of(sources: impl Iterator<Item = Source>) -> Self {
        let (mut slots, mut places) = (Vec::new(), Vec::new());
        for source in sources {
            places.push(match source {
                Source::Batch(row) => (0, row as usize),
                Source::Kept(slot) => {
                    slots.push(slot);
                    (1, slots.len() - 1)
                }
            });
        }
        Mixed { slots, places }
    }

    /// The column that is `here` in the batch and `field` of `state`.
    pub(crate) fn column(
        &self,
        here: &ArrayRef,
        state: &Rows<'_>,
        field: usize,
    ) -> Result<ArrayRef, OperatorError> {
        if self.slots.is_empty() {
            let rows = UInt32Array::from_iter_values(self.places.iter().map(|(_, row)| *row as u32));
            return Ok(take(here, &rows, None)?);
        }
        let there = state.gather(field, &self.slots)?;
        let both: [&dyn Array; 2] = [here.as_ref(), there.as_ref()];
        Ok(interleave(&both, &self.places)?)
    }
}
