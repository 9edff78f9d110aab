//! OVER: each row with aggregates of the rows before it; also ORDER BY time, which has no aggregates.
//!
//! Read first: [`Over`], `frame` (which rows a row is aggregated with), `operate` (when), `any_order` (all rows up to one,
//! in an order that is not that of time), `around` (any rows around one).

mod any_order;
mod around;
mod changed;
mod distinct;
mod frame;
mod operate;
mod traced;

pub(crate) use any_order::OverAnyOrder;
pub(crate) use around::OverPartition;

use crate::accumulators::{AccumulatorSet, GroupRows, Retractions};
use crate::calc::batch_of;
use crate::distinct::DistinctMaps;
use crate::grouping::Grouping;
use crate::kept_lists::Loaded;
use crate::partitions::{kept_columns, kept_rows, order_converter, resolve_keys};
use crate::{OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::RowConverter;
use distinct::fresh_in_frames;
use frame::{FrameRow, Sequence};
use traced::{Traced, rows_at_once};
use weir_state::{KeyedStateBackend, Namespace, PinBuffer, Slots, StateId};
use weir_types::{
    AggregateFunction, ChangelogBatch, JobSettings, OperatorId, OverFrame, OverSpec, Watermark,
};

const VOID: Namespace = Namespace::Void;

/// Rows that are given at once before it is known how long their results are, if these become longer with each row.
const FEW: usize = 128;

/// Fields of a row in the state: its time, 1 once it was emitted, its columns.
const TIME: usize = 0;
const DONE: usize = 1;
const FIRST: usize = 2;

/// By event time rows wait until the watermark has reached them, and take part in their order then; a late row is
/// dropped. By processing time they take part as they come; with a RANGE they wait until the clock has left their
/// millisecond, whose rows they are aggregated with. The input only inserts, and so does the output.
pub(crate) struct Over {
    name: String,
    spec: OverSpec,
    input: SchemaRef,
    schema: SchemaRef,
    /// columns that are kept with a row: all but those of the partition
    kept: Vec<usize>,
    set: AccumulatorSet,
    /// Accumulators are kept. False for frames of so many rows whose functions forget exactly: these are counted anew each time.
    /// What others leave behind is Flink's, so it must not depend on when the frame was counted.
    keeps_accumulators: bool,
    order: Option<RowConverter>,
    ttl_ms: Option<u64>,
    states: Option<States>,
    /// of DISTINCT, where accumulators are kept
    distincts: Option<DistinctMaps>,
    /// the watermark, or the last millisecond that the clock has left
    progress: i64,
    /// rows that are given at once: fewer where results are long
    rows_at_once: usize,
    scratch: Scratch,
}

#[derive(Clone, Copy)]
struct States {
    partitions: StateId,
    rows: StateId,
    /// where rows wait: when a partition has some that are due, or that no frame holds any more
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
    /// for each partition how many rows were emitted before that are not among these
    others: Vec<usize>,
    /// group, time and number of the timers that said so, ascending: rows of one time come in their order
    timers: Vec<(u32, i64, u32)>,
}

/// After which step the result of each row stands that is emitted.
struct Steps {
    results: Vec<u32>,
    /// for functions without a frame
    own: Vec<u32>,
}

impl Over {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &OverSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let bounded = !matches!(spec.frame, OverFrame::Unbounded { .. });
        let set = AccumulatorSet::new(&spec.aggregates, &input, bounded, Vec::new())?;
        let kept = kept_columns(&input, &spec.partition);
        let order = match spec.order.is_empty() {
            true => None,
            false => Some(order_converter(&spec.order, &input)?),
        };
        let rows = set.new_rows();
        let set_grows = set.members().iter().any(|member| member.accumulator.grows());
        let leaves_traces = set.members().iter().any(|member| member.accumulator.anew().is_some());
        Ok(Over {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            kept,
            set,
            keeps_accumulators: leaves_traces || !matches!(spec.frame, OverFrame::Rows(_)),
            order,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            states: None,
            distincts: None,
            progress: Watermark::NONE.0,
            rows_at_once: if set_grows { FEW } else { usize::MAX },
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
        resolve_keys(keyed, partitions, &self.spec.partition, batch, &mut self.scratch.found)
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

    /// True where rows wait for the clock: what comes within their millisecond is in their frames.
    fn waits_for_clock(&self) -> bool {
        self.spec.rowtime.is_none() && matches!(self.spec.frame, OverFrame::Range(_))
    }

    fn wait(
        &mut self,
        rows: &RecordBatch,
        times: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        self.resolve(rows, keyed)?;
        self.keep(rows, times, false, keyed)?;
        let States { partitions, timers, .. } = self.states()?;
        let Some(timers) = timers else { return Ok(()) };
        let keys = keyed.keys(partitions, VOID, &self.scratch.found.slots);
        keyed.add_timers(timers, &keys, times, VOID);
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
        let (before, slots, others) = self.load(&grouping.slots, |_, _| true, &mut groups, keyed)?;
        let first = slots.len() as u32;
        for (row, group) in grouping.groups.iter().enumerate() {
            groups[*group as usize].1.push(FrameRow { place: first + row as u32, time: now });
        }
        let rows = arrow::compute::concat_batches(&self.input, [&before, batch])?;
        Ok(Due { partitions: grouping.slots, rows, groups, slots, others, timers: Vec::new() })
    }

    /// The rows of `partitions` that `wanted` picks by their time and whether they were emitted, sorted into `groups`; and how
    /// many of each it leaves that were emitted.
    fn load(
        &self,
        partitions: &[u32],
        wanted: impl Fn(i64, bool) -> bool,
        groups: &mut [(Vec<FrameRow>, Vec<FrameRow>)],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(RecordBatch, Vec<u32>, Vec<usize>), OperatorError> {
        let states = self.states()?;
        let loaded = Loaded::under(states.rows, partitions, keyed);
        let rows = keyed.rows(states.rows, VOID);
        let (times, done) = (rows.column::<i64>(TIME), rows.column::<u8>(DONE));
        let (mut slots, mut owners) = (Vec::new(), Vec::new());
        let mut others = vec![0; partitions.len()];
        for (group, range) in loaded.ranges().enumerate() {
            for slot in &loaded.slots[range] {
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
                } else {
                    others[group] += usize::from(was_emitted);
                }
            }
        }
        let keys = keyed.keys(states.partitions, VOID, &owners);
        let keys = keyed.encoder(states.partitions).decode(&keys)?;
        let state = keyed.rows(states.rows, VOID);
        let rows =
            kept_rows(&self.input, (&self.kept, FIRST), (&self.spec.partition, &keys), &state, &slots)?;
        Ok((rows, slots, others))
    }

    /// The rows that timers name, in order of time, then of the other keys of ORDER BY, then of arrival
    /// or of the reverse.
    fn due(
        &mut self,
        until: i64,
        (partitions, timers): (Vec<u32>, Vec<(u32, i64, u32)>),
        keyed: &mut KeyedStateBackend,
    ) -> Result<Due, OperatorError> {
        let mut groups: Vec<(Vec<FrameRow>, Vec<FrameRow>)> = vec![Default::default(); partitions.len()];
        // Of a RANGE those that stay are counted in and not needed.
        let wanted = |time: i64, was_emitted: bool| match self.spec.frame {
            OverFrame::Range(before_ms) if was_emitted => time.saturating_add(before_ms) <= until,
            _ => was_emitted || time <= until,
        };
        let (rows, slots, others) = self.load(&partitions, wanted, &mut groups, keyed)?;
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
            if self.spec.last_first {
                due.reverse();
            }
            due.sort_by(|a, b| {
                let key = |row: &FrameRow| keys.as_ref().map(|keys| keys.row(row.place as usize));
                a.time.cmp(&b.time).then_with(|| key(a).cmp(&key(b)))
            });
        }
        Ok(Due { partitions, rows, groups, slots, others, timers })
    }

    /// Emits rows that are due, in order of time; rows to come are later than `until`.
    fn fire(
        &mut self,
        due: &Due,
        until: i64,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let mut sequence = Sequence::default();
        // time, what decides between rows of one time, place
        let mut order: Vec<(i64, u32, u32)> = Vec::new();
        let mut timers = due.timers.iter().peekable();
        let mut gone: Vec<u32> = Vec::new();
        let mut emitted: Vec<u32> = Vec::new();
        let mut lasts: (Vec<u32>, Vec<i64>) = Default::default();
        for (group, (before, rows)) in due.groups.iter().enumerate() {
            let counted = self.keeps_accumulators.then_some(before.len() + due.others[group]);
            let stays = sequence.push(self.spec.frame, before, rows, group as u32, until, counted);
            let in_state = |row: &&FrameRow| (row.place as usize) < due.slots.len();
            let slot = |row: &FrameRow| due.slots[row.place as usize];
            gone.extend(before.iter().chain(rows).take(stays).filter(in_state).map(slot));
            emitted.extend(before.iter().chain(rows).skip(stays).filter(in_state).map(slot));
            for row in rows {
                let at = (group as u32, row.time);
                while timers.next_if(|(group, time, _)| (*group, *time) < at).is_some() {}
                let timer = timers.peek().filter(|(group, time, _)| (*group, *time) == at);
                order.push((row.time, timer.map_or(row.place, |(_, _, number)| *number), row.place));
            }
            if let Some(last) = rows.last().filter(|_| stays < before.len() + rows.len()) {
                lasts.0.push(due.partitions[group]);
                lasts.1.push(last.time);
            }
        }
        self.forget_later(&lasts, &mut context.keyed)?;
        let results = self.results(due, &sequence, &mut context.keyed)?;
        // Rows of all partitions in order of time, as they would come out one after the other.
        let mut places: Vec<usize> = (0..order.len()).collect();
        places.sort_by_key(|place| (order[*place].0, order[*place].1));
        let rows = UInt32Array::from_iter_values(places.iter().map(|place| order[*place].2));
        let of = |steps: &[u32]| -> Vec<u32> {
            places.iter().filter_map(|place| steps.get(*place).copied()).collect()
        };
        let steps = Steps { results: of(&sequence.results), own: of(&sequence.own) };
        self.emit(due, &results, &rows, &steps, context.batch_rows, output)?;
        self.tidy(due, &gone, &emitted, &mut context.keyed)
    }

    /// The results after each step.
    fn results(
        &mut self,
        due: &Due,
        sequence: &Sequence,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Traced, OperatorError> {
        if self.set.members().is_empty() || sequence.rows.is_empty() {
            return Ok(Traced::default());
        }
        let states = self.states()?;
        let (bounded, kept) = (self.is_bounded(), self.keeps_accumulators);
        let Scratch { rows, pins, .. } = &mut self.scratch;
        match kept {
            // What is in frames of some rows is counted anew.
            false => rows.reset(due.partitions.len()),
            true => self.set.load(&keyed.rows(states.partitions, VOID), &due.partitions, pins, rows),
        }
        let steps = UInt32Array::from(sequence.rows.clone());
        let stepped = take_record_batch(&due.rows, &steps)?;
        let retractions =
            bounded.then_some(Retractions { retracts: &sequence.retracts, resets: &sequence.resets });
        let fresh = match &mut self.distincts {
            Some(maps) => {
                let parents: Vec<u32> =
                    sequence.groups.iter().map(|group| due.partitions[*group as usize]).collect();
                maps.note(keyed, VOID, &parents, &stepped, None, retractions)?
            }
            None => fresh_in_frames(self.set.distincts(), sequence, &stepped)?,
        };
        let steps = traced::Steps {
            rows: &stepped,
            groups: &sequence.groups,
            fresh: Some(&fresh),
            retractions,
            ordinals: None,
        };
        let traced = steps.trace(&self.set, |_| true, rows)?;
        if self.rows_at_once < usize::MAX {
            self.rows_at_once = self.set.results_at_once(rows).min(2 * self.rows_at_once);
        }
        if kept {
            self.set.store(rows, &due.partitions, pins, &mut keyed.rows(states.partitions, VOID));
        }
        Ok(traced)
    }

    fn emit(
        &self,
        due: &Due,
        results: &Traced,
        rows: &UInt32Array,
        steps: &Steps,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let calls = 0..self.spec.aggregates.len();
        let step = rows_at_once(calls.flat_map(|call| results.columns(call)), batch_rows);
        for start in (0..rows.len()).step_by(step) {
            let len = step.min(rows.len() - start);
            let part = rows.slice(start, len);
            let given = self.spec.columns.iter().map(|column| take(due.rows.column(*column), &part, None));
            let mut columns = given.collect::<Result<Vec<_>, _>>()?;
            for (number, call) in self.spec.aggregates.iter().enumerate() {
                let steps = match call.function {
                    AggregateFunction::Lag { .. } => &steps.own,
                    _ => &steps.results,
                };
                columns.push(results.gather(number, steps[start..start + len].iter().copied())?);
            }
            output.batch(ChangelogBatch::insert_only(batch_of(self.schema.clone(), columns, len)?));
        }
        Ok(())
    }

    /// Sees to it that rows go once they are in no frame any more, also where no row of their partition follows. `lasts`: the
    /// slots of partitions, and the time of the last row of each.
    fn forget_later(
        &self,
        lasts: &(Vec<u32>, Vec<i64>),
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let States { partitions, timers, .. } = self.states()?;
        let (Some(timers), OverFrame::Range(before_ms)) = (timers, self.spec.frame) else { return Ok(()) };
        let ends: Vec<i64> = lasts.1.iter().map(|time| time.saturating_add(before_ms)).collect();
        let keys = keyed.keys(partitions, VOID, &lasts.0);
        keyed.add_timers(timers, &keys, &ends, VOID);
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
}
