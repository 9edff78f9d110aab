//! DISTINCT within frames that rows leave again.

use super::frame::Sequence;
use crate::OperatorError;
use crate::accumulators::{DistinctSpec, filter_bits, valid_rows};
use crate::distinct::DistinctRows;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::row::{Row, RowConverter, Rows, SortField};
use std::collections::BTreeMap;

/// The steps of `sequence` with which a value comes into the frame of its group, or leaves it. `rows` has the row of each
/// step, behind those that reset its group the frame has none. Nothing is kept: frames are counted anew from their rows each time.
pub(super) fn fresh_in_frames(
    specs: &[DistinctSpec],
    sequence: &Sequence,
    rows: &RecordBatch,
) -> Result<DistinctRows, OperatorError> {
    let mut all = Vec::with_capacity(specs.len());
    for spec in specs {
        let values = values_of(&spec.arguments, rows)?;
        let valid = if spec.keeps_null { None } else { valid_rows(&spec.arguments, rows) };
        let mut of_filters = Vec::with_capacity(spec.filters.len());
        for filter in &spec.filters {
            let filter = filter.map(|column| filter_bits(rows.column(column))).transpose()?;
            let mut counts: BTreeMap<(u32, u32, Row<'_>), i64> = BTreeMap::new();
            let mut generation = 0;
            let counting = |step: usize| {
                // Groups come one after the other where they are reset.
                let counted_in = generation;
                generation += u32::from(sequence.resets[step]);
                let passes = |bits: &Option<BooleanBuffer>| bits.as_ref().is_none_or(|bits| bits.value(step));
                if !passes(&valid) || !passes(&filter) {
                    return false;
                }
                let count = counts.entry((sequence.groups[step], counted_in, values.row(step))).or_default();
                *count += if sequence.retracts[step] { -1 } else { 1 };
                *count == i64::from(!sequence.retracts[step])
            };
            of_filters.push((0..rows.num_rows()).map(counting).collect::<BooleanBuffer>());
        }
        all.push(of_filters);
    }
    Ok(all)
}

/// The values of rows in some columns, by which they are compared.
fn values_of(columns: &[usize], rows: &RecordBatch) -> Result<Rows, OperatorError> {
    let columns: Vec<ArrayRef> = columns.iter().map(|column| rows.column(*column).clone()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?.convert_columns(&columns)?)
}

/// For each row the place behind the last row before it, of the same group, that has the same values in `columns`; 0 where
/// there is none. Only rows that are `selected` are looked at.
pub(super) fn last_before(
    columns: &[usize],
    groups: &[u32],
    selected: Option<&BooleanBuffer>,
    rows: &RecordBatch,
) -> Result<Vec<usize>, OperatorError> {
    let values = values_of(columns, rows)?;
    let mut seen: BTreeMap<(u32, Row<'_>), usize> = BTreeMap::new();
    let behind_last = |row: usize| match selected.is_none_or(|selected| selected.value(row)) {
        true => seen.insert((groups[row], values.row(row)), row + 1).unwrap_or(0),
        false => 0,
    };
    Ok((0..rows.num_rows()).map(behind_last).collect())
}
