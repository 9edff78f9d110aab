//! Rows that are kept under an entry for their keys: what OVER, Top-N, MATCH_RECOGNIZE and joins by time share.

use crate::OperatorError;
use crate::calc::batch_of;
use crate::event_time::rowtime_millis;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_record_batch};
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
