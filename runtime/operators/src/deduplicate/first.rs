//! The first row of each key.

use super::{columns_at, kept_columns};
use crate::calc::batch_of;
use crate::distinct::{state_fields, time_field};
use crate::event_time::rowtime_millis;
use crate::progress::{load_progress, save_progress};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_state::{Namespace, NamespaceKind, Slots, StateDescriptor, StateId, TimeDomain};
use weir_types::{
    ChangelogBatch, DeduplicateSpec, JobSettings, OperatorId, OperatorMetrics, SqlField, SqlType, Watermark,
};

/// Fields in front of a row: its time, and 1 once it was emitted.
const TIME: usize = 0;
const EMITTED: usize = 1;
const FIRST: usize = 2;

/// By processing time the first row of a key is emitted at once. By event time the earliest one is kept until the
/// watermark has reached it; then it is final, and what comes later for the key is dropped. A late row is dropped.
pub(crate) struct FirstRow {
    name: String,
    spec: DeduplicateSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// kept by event time only
    kept: Vec<usize>,
    ttl_ms: Option<u64>,
    states: Option<States>,
    found: Slots,
    /// the watermark
    progress: i64,
}

#[derive(Clone, Copy)]
struct States {
    rows: StateId,
    /// by event time
    timers: Option<StateId>,
}

impl FirstRow {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &DeduplicateSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Self {
        let kept = if spec.rowtime.is_some() { kept_columns(&input, &spec.keys) } else { Vec::new() };
        FirstRow {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            kept,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            states: None,
            found: Slots::default(),
            progress: Watermark::NONE.0,
        }
    }

    fn states(&self) -> Result<States, OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// Rows whose keys are new.
    fn by_arrival(&mut self, batch: &ChangelogBatch, output: &mut Output) -> Result<(), OperatorError> {
        let rows = UInt32Array::from(self.found.created.clone());
        let columns = self.spec.columns.iter().map(|column| take(batch.rows().column(*column), &rows, None));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        output.batch(ChangelogBatch::insert_only(batch_of(self.schema.clone(), columns, rows.len())?));
        Ok(())
    }

    /// Keeps the earliest row of each key that was not emitted yet.
    fn by_time(
        &mut self,
        batch: &ChangelogBatch,
        column: usize,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let States { rows: state, timers } = self.states()?;
        let name = self.input.field(column).name();
        let times = rowtime_millis(batch.rows().column(column), name)?.values().to_vec();
        let mut created = vec![false; times.len()];
        self.found.created.iter().for_each(|row| created[*row as usize] = true);
        let mut rows = context.keyed.rows(state, Namespace::Void);
        let (kept_times, emitted) = (rows.column::<i64>(TIME), rows.column::<u8>(EMITTED));
        let mut winners: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
        let mut late = 0;
        let mut unset = Vec::new();
        for (row, (slot, time)) in self.found.slots.iter().zip(&times).enumerate() {
            if created[row] {
                kept_times.set(*slot, i64::MAX);
                unset.push(*slot);
            }
            if *time <= self.progress {
                late += 1;
            } else if emitted.get(*slot) == 0 && *time < kept_times.get(*slot) {
                kept_times.set(*slot, *time);
                winners.insert(*slot, row as u32);
            }
        }
        let (slots, places): (Vec<u32>, Vec<u32>) = winners.into_iter().unzip();
        let places = UInt32Array::from(places);
        for (field, column) in self.kept.iter().enumerate() {
            rows.scatter(FIRST + field, &slots, &take(batch.rows().column(*column), &places, None)?);
        }
        let due: Vec<i64> = slots.iter().map(|slot| kept_times.get(*slot)).collect();
        // Keys that were made for late rows alone.
        unset.retain(|slot| kept_times.get(*slot) == i64::MAX);
        if let Some(timers) = timers.filter(|_| !slots.is_empty()) {
            let keys = context.keyed.keys(state, Namespace::Void, &slots);
            context.keyed.add_timers(timers, &keys, &due, Namespace::Void);
        }
        context.keyed.delete(state, Namespace::Void, &unset);
        OperatorMetrics::add(&context.metrics.late_rows, late);
        Ok(())
    }

    /// Emits the rows that the watermark has reached, up to one batch.
    fn advance(&self, context: &mut OperatorContext, output: &mut Output) -> Result<Progress, OperatorError> {
        let States { rows: state, timers } = self.states()?;
        let Some(timers) = timers else { return Ok(Progress::Done) };
        let Some(due) = context.keyed.pop_timers(timers, self.progress, context.batch_rows.max(1)) else {
            return Ok(Progress::Done);
        };
        let mut slots = Vec::new();
        context.keyed.lookup(state, Namespace::Void, &due.keys, &mut slots);
        let rows = context.keyed.rows(state, Namespace::Void);
        let (times, emitted) = (rows.column::<i64>(TIME), rows.column::<u8>(EMITTED));
        // A timer may be that of a row whose place an earlier one has taken.
        let is_due = |place: &usize| {
            let slot = slots[*place];
            slot != weir_state::NO_SLOT && times.get(slot) == due.times_ms[*place] && emitted.get(slot) == 0
        };
        let places: Vec<usize> = (0..slots.len()).filter(is_due).collect();
        if places.is_empty() {
            return Ok(Progress::More);
        }
        let slots: Vec<u32> = places.iter().map(|place| slots[*place]).collect();
        slots.iter().for_each(|slot| emitted.set(*slot, 1));
        let keys = context.keyed.keys(state, Namespace::Void, &slots);
        let keys: Vec<ArrayRef> = context.keyed.encoder(state).decode(&keys)?;
        let rows = context.keyed.rows(state, Namespace::Void);
        let column = |column: &usize| -> Result<ArrayRef, OperatorError> {
            match self.kept.iter().position(|kept| kept == column) {
                Some(field) => Ok(rows.gather(FIRST + field, &slots)?),
                None => {
                    let key = self.spec.keys.iter().position(|key| key == column);
                    let key =
                        key.ok_or_else(|| OperatorError::internal("a column is neither key nor kept"))?;
                    Ok(keys[key].clone())
                }
            }
        };
        let columns = self.spec.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        output.batch(ChangelogBatch::insert_only(batch_of(self.schema.clone(), columns, slots.len())?));
        Ok(Progress::More)
    }
}

impl Operator for FirstRow {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let keys = state_fields(Vec::new(), &self.spec.keys, &self.input)?;
        let mut values = Vec::new();
        if self.spec.rowtime.is_some() {
            let leading = vec![time_field(false), SqlField::new("emitted", SqlType::Boolean, false)];
            values = state_fields(leading, &self.kept, &self.input)?;
        }
        let state =
            StateDescriptor::value(format!("{}/rows", self.name), keys.clone(), NamespaceKind::Void, values);
        let rows = context.keyed.register(state.with_ttl_ms(self.ttl_ms))?;
        let timers = match self.spec.rowtime {
            Some(_) => {
                let name = format!("{}/timers", self.name);
                Some(context.keyed.register_timers(name, keys, TimeDomain::EventTime)?)
            }
            None => None,
        };
        self.states = Some(States { rows, timers });
        self.progress = load_progress(&self.name, context);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let state = self.states()?.rows;
        let count = if self.spec.keys.is_empty() { 1 } else { batch.num_rows() };
        let columns = columns_at(batch.rows(), &self.spec.keys);
        let keys = context.keyed.encoder(state).encode(&columns, count)?;
        context.keyed.resolve(state, Namespace::Void, &keys, &mut self.found);
        if self.spec.keys.is_empty() {
            let slot = self.found.slots[0];
            self.found.slots.resize(batch.num_rows(), slot);
        }
        match self.spec.rowtime {
            None => self.by_arrival(&batch, output),
            Some(column) => self.by_time(&batch, column, context),
        }
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        // A watermark that does not rise comes after a restart: what was due then may still be owed.
        self.progress = self.progress.max(watermark.0);
        self.advance(context, output)
    }

    fn resume(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.advance(context, output)
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}
