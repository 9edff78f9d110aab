//! Sessions that are over.

use super::{END, ROWS, START, SessionAggregate, States};
use crate::calc::batch_of;
use crate::window_table_function::timestamp_column;
use crate::{OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, RecordBatch};
use std::collections::BTreeSet;
use weir_state::{DueTimers, NO_SLOT, Namespace, PinBuffer};
use weir_types::{ChangelogBatch, WindowProperty};

impl SessionAggregate {
    /// Emits sessions that are over, in the order of their ends, up to one batch of rows.
    pub(super) fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let timers = self.states()?.timers;
        loop {
            let Some(due) = context.keyed.pop_timers(timers, self.progress, context.batch_rows) else {
                return Ok(Progress::Done);
            };
            let slots = self.sessions_over(&due, context)?;
            if slots.is_empty() {
                context.keyed.trim();
                continue;
            }
            if let Some(batch) = self.session_rows(&slots, context)? {
                output.batch(ChangelogBatch::insert_only(batch));
            }
            self.delete(&slots, context)?;
            return Ok(Progress::More);
        }
    }

    /// The sessions that are over by the last of the timers `due`, of the keys of these timers, in the order of their
    /// ends. The other sessions of these keys get timers at their ends.
    ///
    /// All sessions that are over by then are among them: each has a timer at its end or before.
    fn sessions_over(
        &self,
        due: &DueTimers,
        context: &mut OperatorContext,
    ) -> Result<Vec<u32>, OperatorError> {
        let States { keys, sessions, timers } = self.states()?;
        let (keyed, void) = (&mut context.keyed, Namespace::Void);
        let until = due.times_ms.last().copied().unwrap_or(i64::MIN);
        let mut parents = Vec::new();
        keyed.lookup(*keys, void, &due.keys, &mut parents);
        let known: Vec<u32> = parents.iter().copied().filter(|parent| *parent != NO_SLOT).collect();
        keyed.prefetch_under(sessions.state, void, &known);
        // The sessions of a timer's key may be gone, and a key may have several timers.
        let mut seen = BTreeSet::new();
        let (mut slots, mut ends_of) = (Vec::new(), Vec::new());
        for (row, parent) in parents.into_iter().enumerate() {
            if parent != NO_SLOT && seen.insert(parent) {
                keyed.entries_under(sessions.state, void, parent, &mut slots);
                ends_of.push((row as u32, slots.len()));
            }
        }
        let ends = keyed.rows(sessions.state, void).column::<i64>(END);
        let (mut over, mut later, mut times) = (Vec::new(), Vec::new(), Vec::new());
        let mut from = 0;
        for (row, to) in ends_of {
            for slot in &slots[from..to] {
                let end = ends.get(*slot);
                let time = self.fires_at(end);
                if time <= until {
                    over.push((end, *slot));
                } else {
                    later.push(row);
                    times.push(time);
                }
            }
            from = to;
        }
        if !later.is_empty() {
            keyed.add_timers(*timers, &due.keys.take(&later), &times, void);
        }
        over.sort_unstable();
        Ok(over.into_iter().map(|(_, slot)| slot).collect())
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
