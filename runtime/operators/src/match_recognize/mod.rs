//! MATCH_RECOGNIZE: sequences of rows that follow a pattern.
//!
//! Read first: [`MatchRecognize`], `matches` (what a row does to the matches of its partition), `automaton` (the
//! pattern), `conditions` (whether a variable takes a row). `docs/0001-matches-as-runs.md` says why matches are kept as
//! they are.

mod automaton;
mod chunk;
mod conditions;
mod heap;
mod matches;
mod measures;
mod running;
mod store;
#[cfg(test)]
mod tests;

use crate::grouping::Grouping;
use crate::partitions::{in_time, order_converter, resolve_keys};
use crate::progress::{load_progress, save_progress};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::RowConverter;
use chunk::{Chunk, Left, Order};
use conditions::{Condition, Conditions, conditions};
use matches::{Found, Matcher, Matches};
use measures::Measures;
use std::sync::Arc;
use store::{FIRST, NUMBER, Store, TIME, VOID};
use weir_state::{NO_SLOT, Slots};
use weir_types::{ChangelogBatch, MatchSpec, OperatorId, Watermark};

/// By event time rows wait until the watermark has reached them, and are looked at in their order then; a late row is
/// dropped. By processing time they are looked at as they come. The input only inserts, and so does the output.
pub(crate) struct MatchRecognize {
    name: String,
    spec: MatchSpec,
    input: SchemaRef,
    schema: SchemaRef,
    matcher: Matcher,
    conditions: Vec<Option<Condition>>,
    measures: Measures,
    order: Option<RowConverter>,
    store: Option<Store>,
    /// the watermark, or the clock
    progress: i64,
    found: Slots,
}

impl MatchRecognize {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &MatchSpec,
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, OperatorError> {
        let order = match spec.order.is_empty() {
            true => None,
            false => Some(order_converter(&spec.order, &input)?),
        };
        let results: Vec<_> = schema.fields().iter().skip(spec.partition.len()).cloned().collect();
        Ok(MatchRecognize {
            name: id.to_string(),
            matcher: Matcher::new(spec),
            conditions: conditions(spec, &input)?,
            measures: Measures::new(&spec.measures, &input, Arc::new(Schema::new(results)))?,
            spec: spec.clone(),
            input,
            schema,
            order,
            store: None,
            progress: Watermark::NONE.0,
            found: Slots::default(),
        })
    }

    fn store(&self) -> Result<Store, OperatorError> {
        self.store.clone().ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// Keeps rows under their partitions, which are in `self.found` then.
    fn keep(
        &mut self,
        rows: &RecordBatch,
        times: &[i64],
        store: &Store,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let keyed = &mut context.keyed;
        resolve_keys(keyed, store.partitions, &store.partition, rows, &mut self.found)?;
        let mut slots = Vec::new();
        keyed.append_under(store.rows, VOID, &self.found.slots, &mut slots);
        let mut kept = keyed.rows(store.rows, VOID);
        let (time, number) = (kept.column::<i64>(TIME), kept.column::<i64>(NUMBER));
        for (slot, at) in slots.iter().zip(times) {
            time.set(*slot, *at);
            number.set_option(*slot, None);
        }
        for (field, column) in store.kept.iter().enumerate() {
            kept.scatter(FIRST + field, &slots, rows.column(*column));
        }
        Ok(())
    }

    /// Rows of event time wait; late ones are dropped.
    fn wait(
        &mut self,
        batch: &ChangelogBatch,
        rowtime: usize,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let in_time = in_time(batch.rows(), rowtime, self.progress, &context.metrics)?;
        let Some((rows, times)) = in_time else { return Ok(()) };
        let store = self.store()?;
        self.keep(&rows, &times, &store, context)?;
        let keys = context.keyed.keys(store.partitions, VOID, &self.found.slots);
        context.keyed.add_timers(store.timers, &keys, &times, VOID);
        Ok(())
    }

    /// Looks at the rows of `partitions` up to the time `until`.
    fn look(
        &mut self,
        partitions: &[u32],
        until: i64,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let store = self.store()?;
        let order = self.order.as_ref().map(|converter| Order { keys: &self.spec.order, converter });
        let span = (until, self.progress);
        let chunk = Chunk::load(partitions, span, order, &store, &self.input, &mut context.keyed)?;
        let mut found = Found { matches: Matches::new(self.spec.variables.len()), times: Vec::new() };
        let mut left = Left::default();
        let mut overdue: (Vec<u32>, Vec<i64>) = Default::default();
        let mut conditions = Conditions::new(&mut self.conditions, &chunk);
        for (part, slot) in chunk.partitions.iter().zip(partitions) {
            let matcher = &mut self.matcher;
            chunk.restore(part, matcher, &store, &mut context.keyed)?;
            let mut time = None;
            for place in part.due..part.places.end {
                let at = chunk.times[place as usize];
                if time.replace(at) != Some(at) {
                    matcher.advance(at, &chunk.times, &mut found)?;
                }
                matcher.row(place, at, &mut conditions, &mut found)?;
            }
            // Where more rows wait, theirs is the time that comes next.
            if !part.more {
                matcher.advance(self.progress, &chunk.times, &mut found)?;
                if let (Some(within), Some(first)) = (self.spec.within_ms, matcher.first_partial_place()) {
                    overdue.0.push(*slot);
                    overdue.1.push(chunk.times[first as usize].saturating_add(within));
                }
            }
            chunk.leave(part, matcher, &mut left);
        }
        let keys = context.keyed.keys(store.partitions, VOID, &overdue.0);
        context.keyed.add_timers(store.timers, &keys, &overdue.1, VOID);
        chunk.store(&left, &store, &mut context.keyed);
        self.emit(&found, &chunk, context.batch_rows.max(1), output)
    }

    fn emit(
        &self,
        found: &Found,
        chunk: &Chunk,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        for start in (0..found.matches.len()).step_by(batch_rows) {
            let matches = start..(start + batch_rows).min(found.matches.len());
            let first = UInt32Array::from_iter_values(matches.clone().map(|n| found.matches.begins(n)));
            let keys =
                self.spec.partition.iter().map(|column| take(chunk.rows.column(*column), &first, None));
            let mut columns = keys.collect::<Result<Vec<_>, _>>()?;
            columns.extend(self.measures.of(found, matches.clone(), chunk)?);
            let batch = crate::calc::batch_of(self.schema.clone(), columns, matches.len())?;
            output.batch(ChangelogBatch::insert_only(batch));
        }
        Ok(())
    }

    /// Looks at what is due, a part at a time.
    fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let store = self.store()?;
        let batch_rows = context.batch_rows.max(1);
        let Some(due) = context.keyed.pop_timers(store.timers, self.progress, batch_rows) else {
            return Ok(Progress::Done);
        };
        let until = match due.times_ms.len() < batch_rows {
            true => self.progress,
            false => due.times_ms.iter().copied().max().unwrap_or(self.progress),
        };
        let mut slots = Vec::new();
        context.keyed.lookup(store.partitions, VOID, &due.keys, &mut slots);
        slots.retain(|slot| *slot != NO_SLOT);
        let mut grouping = Grouping::default();
        grouping.group(&slots);
        self.look(&grouping.slots, until, context, output)?;
        Ok(Progress::More)
    }
}

impl Operator for MatchRecognize {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.store = Some(Store::open(&self.name, &self.spec, &self.input, context)?);
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
        if let Some(rowtime) = self.spec.rowtime {
            return self.wait(&batch, rowtime, context);
        }
        // The clock may go back, time does not.
        self.progress = self.progress.max(context.clock.now_ms());
        let store = self.store()?;
        let times = vec![self.progress; batch.num_rows()];
        self.keep(batch.rows(), &times, &store, context)?;
        let mut grouping = Grouping::default();
        grouping.group(&self.found.slots);
        self.look(&grouping.slots, self.progress, context, output)
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.spec.rowtime.is_none() {
            return Ok(Progress::Done);
        }
        // A watermark that does not rise comes after a restart: what was due then may still be owed.
        self.progress = self.progress.max(watermark.0);
        self.advance(context, output)
    }

    fn on_processing_time(
        &mut self,
        now_ms: i64,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.spec.rowtime.is_some() {
            return Ok(Progress::Done);
        }
        self.progress = self.progress.max(now_ms);
        self.advance(context, output)
    }

    fn resume(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.advance(context, output)
    }

    fn next_processing_timer(&self, context: &OperatorContext) -> Option<i64> {
        let store = self.store.as_ref().filter(|_| self.spec.rowtime.is_none())?;
        context.keyed.next_timer_ms(store.timers)
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}
