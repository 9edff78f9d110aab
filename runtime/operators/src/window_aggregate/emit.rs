//! The rows of a window.

use super::{Layout, WindowAggregate};
use crate::OperatorError;
use crate::calc::batch_of;
use crate::event_time::to_millis;
use crate::window_table_function::timestamp_column;
use arrow::array::{ArrayRef, RecordBatch};
use weir_state::{KeyedStateBackend, Namespace, PinBuffer, StateId};
use weir_types::WindowProperty;

impl WindowAggregate {
    /// Keys, results and window properties of the entries at `slots`; `None` if all of them have lost all
    /// their rows.
    pub(super) fn window_rows(
        &self,
        keyed: &mut KeyedStateBackend,
        state: StateId,
        namespace: Namespace,
        slots: &[u32],
        window_end: i64,
        now_ms: i64,
    ) -> Result<Option<RecordBatch>, OperatorError> {
        let mut rows = self.set.new_rows();
        let mut pins = PinBuffer::default();
        self.set.load(&keyed.rows(state, namespace), slots, &mut pins, &mut rows);
        if self.spec.input_retracts && (0..slots.len()).any(|row| rows.part(row, 0, 1)[0] == 0) {
            let present = (0..slots.len()).filter(|row| rows.part(*row, 0, 1)[0] != 0);
            let slots: Vec<u32> = present.map(|row| slots[row]).collect();
            if slots.is_empty() {
                return Ok(None);
            }
            return self.window_rows(keyed, state, namespace, &slots, window_end, now_ms);
        }
        let keys = keyed.keys(state, namespace, slots);
        let mut columns = keyed.encoder(state).decode(&keys)?;
        // The start of an attached session is a key, but no key column of the result.
        let starts = columns.split_off(self.spec.keys.len()).pop();
        columns.extend(self.set.emit(&rows)?);
        for property in &self.spec.properties {
            columns.push(self.property(
                *property,
                columns.len(),
                starts.as_ref(),
                slots.len(),
                window_end,
                now_ms,
            )?);
        }
        batch_of(self.schema.clone(), columns, slots.len()).map(Some)
    }

    pub(super) fn property(
        &self,
        property: WindowProperty,
        column: usize,
        starts: Option<&ArrayRef>,
        rows: usize,
        window_end: i64,
        now_ms: i64,
    ) -> Result<ArrayRef, OperatorError> {
        let constant = |ms: i64| vec![ms; rows];
        let values = match property {
            WindowProperty::Start => match (&self.layout, starts) {
                (_, Some(starts)) => to_millis(starts)?.values().to_vec(),
                (Layout::Sliced(slices) | Layout::Attached { starts: Some(slices), .. }, None) => {
                    constant(slices.window_start(window_end))
                }
                (Layout::Attached { starts: None, .. }, None) => {
                    return Err(OperatorError::internal("a session's start is not in its key"));
                }
            },
            WindowProperty::End => constant(window_end),
            WindowProperty::RowTime => constant(self.zone.to_epoch(window_end.saturating_sub(1))),
            WindowProperty::ProcTime => constant(now_ms),
        };
        timestamp_column(values, self.schema.field(column).data_type())
    }
}
