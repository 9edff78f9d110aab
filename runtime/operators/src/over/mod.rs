//! OVER: each row with aggregates of the rows before it; also ORDER BY time, which has no aggregates.
//!
//! Read first: [`Over`], `frame` (which rows a row is aggregated with).

mod frame;

use crate::accumulators::{AccumulatorSet, Changes, GroupRows, Member, Retractions};
use crate::calc::batch_of;
use crate::distinct::{state_fields, time_field};
use crate::event_time::rowtime_millis;
use crate::grouping::Grouping;
use crate::progress::{load_progress, save_progress};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use frame::{FrameRow, Sequence};
use weir_state::{
    KeyedStateBackend, Namespace, NamespaceKind, PinBuffer, Slots, StateDescriptor, StateId, TimeDomain,
};
use weir_types::{
    ChangelogBatch, JobSettings, OperatorId, OperatorMetrics, OverFrame, OverSpec, SqlField, SqlType,
    Watermark,
};

const VOID: Namespace = Namespace::Void;

/// Fields of a row in the state: its time, 1 once it was emitted, its columns.
const TIME: usize = 0;
const DONE: usize = 1;
const FIRST: usize = 2;

/// By event time rows wait until the watermark has reached them, and take part in their order then; a late row is
/// dropped. By processing time they take part as they come. The input only inserts, and so does the output.
pub(crate) struct Over {
    name: String,
    spec: OverSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// columns that are kept with a row: all but those of the partition
    kept: Vec<usize>,
    set: AccumulatorSet,
    order: Option<RowConverter>,
    ttl_ms: Option<u64>,
    states: Option<States>,
    /// the watermark
    progress: i64,
    scratch: Scratch,
}

#[derive(Clone, Copy)]
struct States {
    partitions: StateId,
    rows: StateId,
    /// by event time: when a partition has rows that are due
    timers: Option<StateId>,
}

struct Scratch {
    found: Slots,
    rows: GroupRows,
    pins: PinBuffer,
}

/// Rows that are due, with those that are in their frames.
struct Due {
    /// slots of the partitions that they are of
    partitions: Vec<u32>,
    /// all rows that take part, in the columns of the input
    rows: RecordBatch,
    /// for each partition its rows that were emitted before and those that are due, in order
    groups: Vec<(Vec<FrameRow>, Vec<FrameRow>)>,
    /// the slot of each of `rows`, if it is in the state
    slots: Vec<u32>,
}

impl Over {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &OverSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        if spec.aggregates.iter().any(|call| call.distinct) {
            return Err(OperatorError::unsupported("DISTINCT in OVER is not supported"));
        }
        let bounded = !matches!(spec.frame, OverFrame::Unbounded { .. });
        let set = AccumulatorSet::new(&spec.aggregates, &input, bounded, Vec::new())?;
        let kept = (0..input.fields().len()).filter(|column| !spec.partition.contains(column)).collect();
        let field = |key: &weir_types::SortKey| {
            let options =
                arrow::compute::SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            SortField::new_with_options(input.field(key.column).data_type().clone(), options)
        };
        let order = match spec.order.is_empty() {
            true => None,
            false => Some(RowConverter::new(spec.order.iter().map(field).collect())?),
        };
        let rows = set.new_rows();
        Ok(Over {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            kept,
            set,
            order,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            states: None,
            progress: Watermark::NONE.0,
            scratch: Scratch { found: Slots::default(), rows, pins: PinBuffer::default() },
        })
    }

    fn states(&self) -> Result<States, OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    fn is_bounded(&self) -> bool {
        !matches!(self.spec.frame, OverFrame::Unbounded { .. })
    }

    /// The partition of each row of `batch`.
    fn resolve(&mut self, batch: &RecordBatch, keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let partitions = self.states()?.partitions;
        let count = if self.spec.partition.is_empty() { 1 } else { batch.num_rows() };
        let columns: Vec<ArrayRef> =
            self.spec.partition.iter().map(|column| batch.column(*column).clone()).collect();
        let keys = keyed.encoder(partitions).encode(&columns, count)?;
        keyed.resolve(partitions, VOID, &keys, &mut self.scratch.found);
        if self.spec.partition.is_empty() {
            let slot = self.scratch.found.slots[0];
            self.scratch.found.slots.resize(batch.num_rows(), slot);
        }
        Ok(())
    }

    /// Keeps rows of `batch` under the partitions that were found for them.
    fn keep(
        &mut self,
        batch: &RecordBatch,
        times: &[i64],
        done: bool,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let state = self.states()?.rows;
        let mut slots = Vec::new();
        keyed.append_under(state, VOID, &self.scratch.found.slots, &mut slots);
        let mut rows = keyed.rows(state, VOID);
        let (time, flag) = (rows.column::<i64>(TIME), rows.column::<u8>(DONE));
        for (slot, at) in slots.iter().zip(times) {
            time.set(*slot, *at);
            flag.set(*slot, u8::from(done));
        }
        for (field, column) in self.kept.iter().enumerate() {
            rows.scatter(FIRST + field, &slots, batch.column(*column));
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
        let name = self.input.field(rowtime).name();
        let times = rowtime_millis(batch.rows().column(rowtime), name)?;
        let in_time: Vec<u32> =
            (0..batch.num_rows() as u32).filter(|row| times.value(*row as usize) > self.progress).collect();
        OperatorMetrics::add(&context.metrics.late_rows, batch.num_rows() - in_time.len());
        if in_time.is_empty() {
            return Ok(());
        }
        let (rows, times) = match in_time.len() == batch.num_rows() {
            true => (batch.rows().clone(), times.values().to_vec()),
            false => {
                let picked = in_time.iter().map(|row| times.value(*row as usize)).collect();
                (take_record_batch(batch.rows(), &UInt32Array::from(in_time))?, picked)
            }
        };
        self.resolve(&rows, &mut context.keyed)?;
        self.keep(&rows, &times, false, &mut context.keyed)?;
        let States { partitions, timers, .. } = self.states()?;
        let Some(timers) = timers else { return Ok(()) };
        let keys = context.keyed.keys(partitions, VOID, &self.scratch.found.slots);
        context.keyed.add_timers(timers, &keys, &times, VOID);
        Ok(())
    }

    /// Rows that come as they are due: their partitions with what is in their frames.
    fn at_once(
        &mut self,
        batch: &RecordBatch,
        now: i64,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Due, OperatorError> {
        self.resolve(batch, keyed)?;
        let mut grouping = Grouping::default();
        grouping.group(&self.scratch.found.slots);
        let mut groups: Vec<(Vec<FrameRow>, Vec<FrameRow>)> = vec![Default::default(); grouping.slots.len()];
        let (before, slots) = self.load(&grouping.slots, |_, _| true, &mut groups, keyed)?;
        let first = slots.len() as u32;
        for (row, group) in grouping.groups.iter().enumerate() {
            groups[*group as usize].1.push(FrameRow { place: first + row as u32, time: now });
        }
        let rows = arrow::compute::concat_batches(&self.input, [&before, batch])?;
        Ok(Due { partitions: grouping.slots, rows, groups, slots })
    }

    /// The rows of `partitions` that `wanted` picks by their time and whether they were emitted, sorted into `groups`.
    fn load(
        &self,
        partitions: &[u32],
        wanted: impl Fn(i64, bool) -> bool,
        groups: &mut [(Vec<FrameRow>, Vec<FrameRow>)],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(RecordBatch, Vec<u32>), OperatorError> {
        let states = self.states()?;
        let (mut all, mut ends) = (Vec::new(), Vec::new());
        keyed.prefetch_under(states.rows, VOID, partitions);
        for partition in partitions {
            keyed.entries_under(states.rows, VOID, *partition, &mut all);
            ends.push(all.len());
        }
        let rows = keyed.rows(states.rows, VOID);
        let (times, done) = (rows.column::<i64>(TIME), rows.column::<u8>(DONE));
        let (mut slots, mut owners) = (Vec::new(), Vec::new());
        let mut start = 0;
        for (group, end) in ends.into_iter().enumerate() {
            for slot in &all[start..end] {
                let (time, was_emitted) = (times.get(*slot), done.get(*slot) != 0);
                if wanted(time, was_emitted) {
                    let row = FrameRow { place: slots.len() as u32, time };
                    let (before, due) = &mut groups[group];
                    if was_emitted {
                        before.push(row)
                    } else {
                        due.push(row)
                    }
                    slots.push(*slot);
                    owners.push(partitions[group]);
                }
            }
            start = end;
        }
        let keys = keyed.keys(states.partitions, VOID, &owners);
        let keys = keyed.encoder(states.partitions).decode(&keys)?;
        let rows = keyed.rows(states.rows, VOID);
        let column = |column: usize| -> Result<ArrayRef, OperatorError> {
            match self.kept.iter().position(|kept| *kept == column) {
                Some(field) => Ok(rows.gather(FIRST + field, &slots)?),
                None => {
                    let key = self.spec.partition.iter().position(|key| *key == column);
                    Ok(keys[key.unwrap_or(0)].clone())
                }
            }
        };
        let columns = (0..self.input.fields().len()).map(column).collect::<Result<Vec<_>, _>>()?;
        Ok((batch_of(self.input.clone(), columns, slots.len())?, slots))
    }

    /// The rows that timers name, in order of time, then of the other keys of ORDER BY, then of arrival.
    fn due(
        &mut self,
        until: i64,
        partitions: Vec<u32>,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Due, OperatorError> {
        let mut groups: Vec<(Vec<FrameRow>, Vec<FrameRow>)> = vec![Default::default(); partitions.len()];
        let wanted = |time: i64, was_emitted: bool| was_emitted || time <= until;
        let (rows, slots) = self.load(&partitions, wanted, &mut groups, keyed)?;
        let keys = match &self.order {
            Some(order) => {
                let columns: Vec<ArrayRef> =
                    self.spec.order.iter().map(|key| rows.column(key.column).clone()).collect();
                Some(order.convert_columns(&columns)?)
            }
            None => None,
        };
        for (before, due) in &mut groups {
            before.sort_by_key(|row| row.time);
            due.sort_by(|a, b| {
                let key = |row: &FrameRow| keys.as_ref().map(|keys| keys.row(row.place as usize));
                a.time.cmp(&b.time).then_with(|| key(a).cmp(&key(b)))
            });
        }
        Ok(Due { partitions, rows, groups, slots })
    }

    /// Emits rows that are due, in order of time.
    fn fire(
        &mut self,
        due: &Due,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut sequence = Sequence::default();
        let mut order: Vec<(i64, u32)> = Vec::new();
        let mut gone: Vec<u32> = Vec::new();
        let mut emitted: Vec<u32> = Vec::new();
        for (group, (before, rows)) in due.groups.iter().enumerate() {
            let stays = sequence.push(self.spec.frame, before, rows, group as u32);
            let in_state = |row: &&FrameRow| (row.place as usize) < due.slots.len();
            let slot = |row: &FrameRow| due.slots[row.place as usize];
            gone.extend(before.iter().chain(rows).take(stays).filter(in_state).map(slot));
            emitted.extend(before.iter().chain(rows).skip(stays).filter(in_state).map(slot));
            order.extend(rows.iter().map(|row| (row.time, row.place)));
        }
        let columns = self.results(due, &sequence, &mut context.keyed)?;
        // Rows of all partitions in order of time, as they would come out one after the other.
        let mut places: Vec<usize> = (0..order.len()).collect();
        let by_arrival = self.spec.rowtime.is_none();
        places.sort_by_key(|place| (order[*place].0, if by_arrival { order[*place].1 } else { 0 }));
        let rows = UInt32Array::from_iter_values(places.iter().map(|place| order[*place].1));
        let results = UInt32Array::from_iter_values(places.iter().map(|place| sequence.results[*place]));
        self.emit(due, &columns, &rows, &results, context.batch_rows, output)?;
        self.tidy(due, &gone, &emitted, &mut context.keyed)
    }

    /// One column an aggregate, with the result after each step.
    fn results(
        &mut self,
        due: &Due,
        sequence: &Sequence,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        if self.set.members().is_empty() {
            return Ok(Vec::new());
        }
        let states = self.states()?;
        let bounded = self.is_bounded();
        let Scratch { rows, pins, .. } = &mut self.scratch;
        match bounded {
            // What is in frames is counted anew.
            true => rows.reset(due.partitions.len()),
            false => self.set.load(&keyed.rows(states.partitions, VOID), &due.partitions, pins, rows),
        }
        let steps = UInt32Array::from(sequence.rows.clone());
        let stepped = take_record_batch(&due.rows, &steps)?;
        let resets = vec![false; sequence.rows.len()];
        let retractions = bounded.then_some(Retractions { retracts: &sequence.retracts, resets: &resets });
        let mut changed = vec![false; sequence.rows.len()];
        let mut columns = Vec::with_capacity(self.set.members().len());
        for member in self.set.members() {
            let selected = AccumulatorSet::selection(member, &stepped)?;
            let changes = Changes { groups: &sequence.groups, selected, retractions };
            let arguments = AccumulatorSet::arguments(member, &stepped);
            let Member { accumulator, place, .. } = member;
            columns.push(accumulator.trace(*place, rows, &arguments, &changes, &mut changed)?);
        }
        if !bounded {
            self.set.store(rows, &due.partitions, pins, &mut keyed.rows(states.partitions, VOID));
        }
        Ok(columns)
    }

    fn emit(
        &self,
        due: &Due,
        results: &[ArrayRef],
        rows: &UInt32Array,
        steps: &UInt32Array,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        for start in (0..rows.len()).step_by(batch_rows.max(1)) {
            let len = batch_rows.max(1).min(rows.len() - start);
            let part = rows.slice(start, len);
            let given = self.spec.columns.iter().map(|column| take(due.rows.column(*column), &part, None));
            let mut columns = given.collect::<Result<Vec<_>, _>>()?;
            for result in results {
                let after: Vec<(usize, usize)> = steps.values()[start..start + len]
                    .iter()
                    .map(|step| (0, 2 * *step as usize + 1))
                    .collect();
                columns.push(interleave(&[result.as_ref()], &after)?);
            }
            output.batch(ChangelogBatch::insert_only(batch_of(self.schema.clone(), columns, len)?));
        }
        Ok(())
    }

    /// Forgets rows that no frame will hold, and marks those that were emitted.
    fn tidy(
        &mut self,
        due: &Due,
        gone: &[u32],
        emitted: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let states = self.states()?;
        let flags = keyed.rows(states.rows, VOID).column::<u8>(DONE);
        emitted.iter().for_each(|slot| flags.set(*slot, 1));
        keyed.delete(states.rows, VOID, gone);
        if self.is_bounded() || self.spec.ends || self.set.members().is_empty() {
            let idle = due.partitions.iter().copied();
            let idle: Vec<u32> =
                idle.filter(|slot| !keyed.has_entries_under(states.rows, VOID, *slot)).collect();
            keyed.delete(states.partitions, VOID, &idle);
        }
        Ok(())
    }

    /// Emits what the watermark has reached, a part at a time.
    fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let States { partitions, timers, .. } = self.states()?;
        let Some(timers) = timers else { return Ok(Progress::Done) };
        let Some(due) = context.keyed.pop_timers(timers, self.progress, context.batch_rows.max(1)) else {
            return Ok(Progress::Done);
        };
        let until = due.times_ms.iter().copied().max().unwrap_or(self.progress);
        let mut slots = Vec::new();
        context.keyed.lookup(partitions, VOID, &due.keys, &mut slots);
        slots.retain(|slot| *slot != weir_state::NO_SLOT);
        let mut grouping = Grouping::default();
        grouping.group(&slots);
        let due = self.due(until, grouping.slots, &mut context.keyed)?;
        self.fire(&due, context, output)?;
        Ok(Progress::More)
    }
}

impl Operator for Over {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let keys = state_fields(Vec::new(), &self.spec.partition, &self.input)?;
        let accumulators = if self.is_bounded() { Vec::new() } else { self.set.fields().to_vec() };
        let name = format!("{}/partitions", self.name);
        let partitions = StateDescriptor::value(name, keys.clone(), NamespaceKind::Void, accumulators);
        let partitions = context.keyed.register(partitions.with_ttl_ms(self.ttl_ms))?;
        let leading =
            vec![time_field(self.spec.rowtime.is_none()), SqlField::new("emitted", SqlType::Boolean, false)];
        let columns = state_fields(leading, &self.kept, &self.input)?;
        let rows = StateDescriptor::list(format!("{}/rows", self.name), columns);
        let rows = context.keyed.register_under(partitions, rows)?;
        let timers = match self.spec.rowtime {
            Some(_) => {
                let name = format!("{}/timers", self.name);
                Some(context.keyed.register_timers(name, keys, TimeDomain::EventTime)?)
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
            return self.wait(&batch, rowtime, context);
        }
        let now = context.clock.now_ms();
        let due = self.at_once(batch.rows(), now, &mut context.keyed)?;
        self.fire(&due, context, output)?;
        if self.is_bounded() {
            self.keep_frames(batch.rows(), &due, now, &mut context.keyed)?;
        }
        Ok(())
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
