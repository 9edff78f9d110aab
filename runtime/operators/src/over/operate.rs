//! OVER as the driver calls it.

use super::{Due, Over, States, VOID};
use crate::distinct::{DistinctMaps, state_fields, time_field};
use crate::grouping::Grouping;
use crate::partitions::in_time;
use crate::progress::{load_progress, save_progress};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use weir_state::{KeyedStateBackend, NamespaceKind, StateDescriptor, TimeDomain};
use weir_types::{ChangelogBatch, OverFrame, SqlField, SqlType, Watermark};

impl Over {
    /// Emits what the watermark has reached, a part at a time.
    fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let States { partitions, timers, .. } = self.states()?;
        let Some(timers) = timers else { return Ok(Progress::Done) };
        let limit = context.batch_rows.clamp(1, self.rows_at_once);
        let Some(due) = context.keyed.pop_timers(timers, self.progress, limit) else {
            return Ok(Progress::Done);
        };
        let until = match due.times_ms.len() < limit {
            true => self.progress,
            false => due.times_ms.iter().copied().max().unwrap_or(self.progress),
        };
        let mut slots = Vec::new();
        context.keyed.lookup(partitions, VOID, &due.keys, &mut slots);
        let mut times = due.times_ms;
        let mut there = slots.iter().map(|slot| *slot != weir_state::NO_SLOT);
        times.retain(|_| there.next().unwrap_or(false));
        slots.retain(|slot| *slot != weir_state::NO_SLOT);
        let mut grouping = Grouping::default();
        grouping.group(&slots);
        let numbered = grouping.groups.iter().zip(&times).zip(0..);
        let mut timers: Vec<(u32, i64, u32)> =
            numbered.map(|((group, time), number)| (*group, *time, number)).collect();
        timers.sort_unstable();
        let due = self.due(until, (grouping.slots, timers), &mut context.keyed)?;
        self.fire(&due, until, context, output)?;
        Ok(Progress::More)
    }
}

impl Operator for Over {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let keys = state_fields(Vec::new(), &self.spec.partition, &self.input)?;
        let accumulators = match self.keeps_accumulators {
            true => self.set.fields().to_vec(),
            false => Vec::new(),
        };
        let name = format!("{}/partitions", self.name);
        let partitions = StateDescriptor::value(name, keys.clone(), NamespaceKind::Void, accumulators);
        let partitions = context.keyed.register(partitions.with_ttl_ms(self.ttl_ms))?;
        let leading =
            vec![time_field(self.spec.rowtime.is_none()), SqlField::new("emitted", SqlType::Boolean, false)];
        let columns = state_fields(leading, &self.kept, &self.input)?;
        let rows = StateDescriptor::list(format!("{}/rows", self.name), columns);
        let rows = context.keyed.register_under(partitions, rows)?;
        if self.keeps_accumulators && !self.set.distincts().is_empty() {
            let name = format!("{}/distinct", self.name);
            let keyed = &mut context.keyed;
            let maps =
                DistinctMaps::register(keyed, partitions, &name, &self.set, &self.input, self.is_bounded())?;
            self.distincts = Some(maps);
        }
        let name = format!("{}/timers", self.name);
        let timers = match self.spec.rowtime {
            Some(_) => Some(context.keyed.register_timers(name, keys, TimeDomain::EventTime)?),
            None if self.waits_for_clock() => {
                Some(context.keyed.register_timers(name, keys, TimeDomain::ProcessingTime)?)
            }
            None => None,
        };
        self.states = Some(States { partitions, rows, timers });
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
            return match in_time(batch.rows(), rowtime, self.progress, &context.metrics)? {
                Some((rows, times)) => self.wait(&rows, &times, &mut context.keyed),
                None => Ok(()),
            };
        }
        let now = context.clock.now_ms();
        if self.waits_for_clock() {
            let times = vec![now; batch.num_rows()];
            return self.wait(batch.rows(), &times, &mut context.keyed);
        }
        let (mut start, all) = (0, batch.num_rows());
        while start < all {
            let rows = batch.rows().slice(start, self.rows_at_once.min(all - start));
            let due = self.at_once(&rows, now, &mut context.keyed)?;
            if self.is_bounded() {
                self.keep_frames(&rows, &due, now, &mut context.keyed)?;
            }
            self.fire(&due, now, context, output)?;
            start += rows.num_rows();
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.waits_for_clock() {
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
        self.progress = self.progress.max(now_ms - 1);
        self.advance(context, output)
    }

    fn next_processing_timer(&self, context: &OperatorContext) -> Option<i64> {
        let timers = self.states.filter(|_| self.waits_for_clock())?.timers?;
        context.keyed.next_timer_ms(timers).map(|time| time.saturating_add(1))
    }

    fn resume(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.advance(context, output)
    }

    /// No row comes any more: those that wait for the clock have their frames.
    fn on_end_of_input(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if !self.waits_for_clock() {
            return Ok(Progress::Done);
        }
        self.progress = i64::MAX;
        self.advance(context, output)
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}

impl Over {
    /// Keeps those rows of a batch that are in the frames of rows to come: the last ones of each partition.
    fn keep_frames(
        &mut self,
        batch: &RecordBatch,
        due: &Due,
        now: i64,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let OverFrame::Rows(before) = self.spec.frame else { return Ok(()) };
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let first = due.slots.len() as u32;
        let mut rows: Vec<u32> = Vec::new();
        for (_, of_partition) in &due.groups {
            let start = of_partition.len().saturating_sub(before);
            rows.extend(of_partition[start..].iter().map(|row| row.place - first));
        }
        rows.sort_unstable();
        if rows.is_empty() {
            return Ok(());
        }
        let rows = take_record_batch(batch, &UInt32Array::from(rows))?;
        self.resolve(&rows, keyed)?;
        let times = vec![now; rows.num_rows()];
        self.keep(&rows, &times, true, keyed)
    }
}
