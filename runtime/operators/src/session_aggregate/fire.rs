//! Sessions that are over.

use super::{END, ROWS, START, SessionAggregate, fires_at};
use crate::calc::batch_of;
use crate::window_table_function::timestamp_column;
use crate::{OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, RecordBatch};
use weir_state::{Namespace, PinBuffer};
use weir_types::{ChangelogBatch, WindowProperty};

impl SessionAggregate {
    /// Emits sessions that are over, in the order of their ends, up to one batch of rows.
    pub(super) fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let table = self.states()?.sessions.state;
        let rows = context.keyed.rows(table, Namespace::Void);
        let ends = rows.column::<i64>(END);
        let (zone, event_time) = (self.zone, self.rowtime.is_some());
        let fires_at = |end: i64| fires_at(zone, event_time, end);
        let mut slots: Vec<u32> = Vec::new();
        while slots.len() < context.batch_rows
            && let Some(mut due) = self.ends.first_entry()
            && fires_at(*due.key()) <= self.progress
        {
            let end = *due.key();
            let wanted = context.batch_rows - slots.len();
            let first = due.get().len().saturating_sub(wanted);
            // A session that has grown or is gone stands here with an end that it does not have, or twice.
            let live =
                due.get_mut().drain(first..).filter(|slot| rows.is_live(*slot) && ends.get(*slot) == end);
            let start = slots.len();
            slots.extend(live);
            slots[start..].sort_unstable();
            slots.dedup();
            if due.get().is_empty() {
                due.remove();
            }
        }
        if slots.is_empty() {
            return Ok(Progress::Done);
        }
        if let Some(batch) = self.session_rows(&slots, context)? {
            output.batch(ChangelogBatch::insert_only(batch));
        }
        self.delete(&slots, context)?;
        Ok(Progress::More)
    }

    /// Deletes sessions, and keys that have no more.
    fn delete(&self, slots: &[u32], context: &mut OperatorContext) -> Result<(), OperatorError> {
        let (keys, table, void) = (self.states()?.keys, self.states()?.sessions.state, Namespace::Void);
        let mut parents = context.keyed.parents(table, void, slots);
        context.keyed.delete(table, void, slots);
        parents.retain(|parent| !context.keyed.has_entries_under(table, void, *parent));
        parents.sort_unstable();
        parents.dedup();
        context.keyed.delete(keys, void, &parents);
        Ok(())
    }

    /// After a batch with late rows: their keys may have been made for nothing.
    pub(super) fn forget_keys_without_sessions(
        &self,
        context: &mut OperatorContext,
        late: usize,
    ) -> Result<(), OperatorError> {
        if late == 0 {
            return Ok(());
        }
        let (keys, table, void) = (self.states()?.keys, self.states()?.sessions.state, Namespace::Void);
        let slots = self.scratch.keys.slots.iter().copied();
        let idle = slots.filter(|slot| !context.keyed.has_entries_under(table, void, *slot));
        let idle: Vec<u32> = idle.collect();
        context.keyed.delete(keys, void, &idle);
        Ok(())
    }

    /// Keys, results and window properties; `None` if all sessions have lost all their rows.
    fn session_rows(
        &self,
        slots: &[u32],
        context: &mut OperatorContext,
    ) -> Result<Option<RecordBatch>, OperatorError> {
        let (keys, table, void) = (self.states()?.keys, self.states()?.sessions.state, Namespace::Void);
        let mut rows = self.set.new_rows();
        let mut pins = PinBuffer::default();
        self.set.load(&context.keyed.rows(table, void), slots, &mut pins, &mut rows);
        if self.spec.input_retracts && (0..slots.len()).any(|row| rows.part(row, ROWS, 1)[0] == 0) {
            let present = (0..slots.len()).filter(|row| rows.part(*row, ROWS, 1)[0] != 0);
            let slots: Vec<u32> = present.map(|row| slots[row]).collect();
            return if slots.is_empty() { Ok(None) } else { self.session_rows(&slots, context) };
        }
        let parents = context.keyed.parents(table, void, slots);
        let keys_of = context.keyed.keys(keys, void, &parents);
        let mut columns: Vec<ArrayRef> = context.keyed.encoder(keys).decode(&keys_of)?;
        columns.extend(self.set.emit(&rows)?);
        let rows = &rows;
        let bound = |word: usize| (0..slots.len()).map(move |row| rows.part(row, word, 1)[0] as i64);
        for property in &self.spec.properties {
            let values: Vec<i64> = match property {
                WindowProperty::Start => bound(START).collect(),
                WindowProperty::End => bound(END).collect(),
                WindowProperty::RowTime => bound(END).map(|end| self.zone.to_epoch(end - 1)).collect(),
                WindowProperty::ProcTime => vec![context.clock.now_ms(); slots.len()],
            };
            columns.push(timestamp_column(values, self.schema.field(columns.len()).data_type())?);
        }
        batch_of(self.schema.clone(), columns, slots.len()).map(Some)
    }
}
