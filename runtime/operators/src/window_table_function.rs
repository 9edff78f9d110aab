//! TUMBLE, HOP and CUMULATE without an aggregation above.

use crate::calc::batch_of;
use crate::event_time::to_millis;
use crate::window::{Slices, Zone};
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use std::sync::Arc;
use weir_types::{ChangelogBatch, RowKinds, WindowSpec, WindowTableFunctionSpec, WindowTime};

/// Each row once per window that holds it, with `window_start`, `window_end` and `window_time` appended.
/// Keeps no state; a row whose time is NULL is in no window.
pub(crate) struct WindowTableFunction {
    slices: Slices,
    zone: Zone,
    /// the rowtime column; `None`: the clock
    rowtime: Option<usize>,
    schema: SchemaRef,
}

/// The windows of a batch's rows: row `rows[i]` is in the window `starts[i]..ends[i]`.
#[derive(Default)]
struct Assigned {
    rows: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
}

impl WindowTableFunction {
    pub(crate) fn new(spec: &WindowTableFunctionSpec, schema: SchemaRef) -> Result<Self, OperatorError> {
        if let WindowSpec::Session { .. } = spec.window {
            return Err(OperatorError::unsupported(
                "SESSION without an aggregation above is not supported: aggregate with GROUP BY window_start, \
                 window_end",
            ));
        }
        let rowtime = match spec.time {
            WindowTime::RowTime(column) => Some(column),
            WindowTime::ProcTime => None,
            WindowTime::Attached { .. } => {
                return Err(OperatorError::internal("a windowing table function over attached windows"));
            }
        };
        let zone = Zone::parse(spec.time_zone.as_deref())?;
        Ok(WindowTableFunction { slices: Slices::new(spec.window)?, zone, rowtime, schema })
    }

    fn assign(&self, times: &Int64Array) -> Assigned {
        let mut assigned = Assigned::default();
        let mut local = times.values().to_vec();
        self.zone.to_local_all(&mut local);
        let newest_first = matches!(self.slices.spec(), WindowSpec::Hop { .. });
        for (row, slice_end) in self.slices.slice_ends(&local).into_iter().enumerate() {
            if times.is_null(row) {
                continue;
            }
            let windows = self.slices.windows_of(slice_end);
            let first = assigned.ends.len();
            assigned.ends.extend(windows.iter());
            if newest_first {
                assigned.ends[first..].reverse();
            }
            let count = assigned.ends.len() - first;
            assigned.rows.extend(std::iter::repeat_n(row as u32, count));
        }
        assigned.starts = assigned.ends.iter().map(|end| self.slices.window_start(*end)).collect();
        assigned
    }

    fn replicate(&self, batch: &ChangelogBatch, assigned: Assigned) -> Result<ChangelogBatch, OperatorError> {
        let rows = assigned.rows.len();
        let identical =
            rows == batch.num_rows() && assigned.rows.iter().enumerate().all(|(i, row)| i == *row as usize);
        let (mut columns, kinds) = if identical {
            (batch.rows().columns().to_vec(), batch.kinds().cloned())
        } else {
            replicate_rows(batch.rows(), batch.kinds(), UInt32Array::from(assigned.rows))?
        };
        let times: Vec<i64> = assigned.ends.iter().map(|end| self.zone.to_epoch(end - 1)).collect();
        for values in [assigned.starts, assigned.ends, times] {
            let field = self.schema.field(columns.len());
            columns.push(timestamp_column(values, field.data_type())?);
        }
        Ok(ChangelogBatch::new(batch_of(self.schema.clone(), columns, rows)?, kinds))
    }
}

/// The rows at `places`, with their kinds.
pub(crate) fn replicate_rows(
    rows: &RecordBatch,
    kinds: Option<&RowKinds>,
    places: UInt32Array,
) -> Result<(Vec<ArrayRef>, Option<RowKinds>), OperatorError> {
    let columns =
        rows.columns().iter().map(|column| take(column, &places, None)).collect::<Result<Vec<_>, _>>()?;
    let kinds = kinds.map(|kinds| places.values().iter().map(|row| kinds.get(*row as usize)).collect());
    Ok((columns, kinds))
}

/// Milliseconds as a TIMESTAMP or TIMESTAMP_LTZ column of precision 3.
pub(crate) fn timestamp_column(values: Vec<i64>, data_type: &DataType) -> Result<ArrayRef, OperatorError> {
    match data_type {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone) => {
            Ok(Arc::new(TimestampMillisecondArray::from(values).with_timezone_opt(zone.clone())))
        }
        other => Err(OperatorError::Internal(format!("a window's time is {other}, not TIMESTAMP(3)"))),
    }
}

impl Operator for WindowTableFunction {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let times = match self.rowtime {
            Some(column) => to_millis(batch.rows().column(column))?,
            None => Int64Array::from_value(context.clock.now_ms(), batch.num_rows()),
        };
        let per_row = self.slices.windows_of(0).iter().count().max(1);
        let step = (context.batch_rows / per_row).max(1);
        let mut start = 0;
        while start < batch.num_rows() {
            let len = step.min(batch.num_rows() - start).max(if per_row == 1 { batch.num_rows() } else { 1 });
            let part = batch.slice(start, len);
            let assigned = self.assign(&times.slice(start, len));
            output.batch(self.replicate(&part, assigned)?);
            start += len;
        }
        Ok(())
    }
}
