//! GROUP BY over TUMBLE, HOP and CUMULATE windows.
//!
//! Read first: [`WindowAggregate`] (rows into slices), `fire` (slices into windows), `combine` (several slices
//! into one).
//!
//! Invariant: between two calls, all that a restart needs is in the state. A window that is being emitted is
//! taken out of the state row by row (`drain`), or else copied to `<operator>/firing` when a snapshot comes
//! in between.

mod combine;
mod emit;
mod fire;

use crate::accumulate::accumulate;
use crate::accumulators::{AccumulatorSet, GroupRows, ROWS_FIELD};
use crate::distinct::DistinctMaps;
use crate::event_time::{rowtime_millis, to_millis};
use crate::group_aggregate::key_fields;
use crate::grouping::{Grouping, parts};
use crate::merge::{AccumulatorTable, Merger};
use crate::progress::{load_progress, save_progress};
use crate::window::{Slices, WindowEnds, Zone};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use fire::Firing;
use std::collections::BTreeMap;
use weir_state::{Namespace, NamespaceKind, PinBuffer, SideBySide, Slots, StateDescriptor};
use weir_types::{
    ChangelogBatch, OperatorId, OperatorMetrics, SqlField, SqlType, Watermark, WindowAggregateSpec,
    WindowSpec, WindowTime,
};

/// How rows find their windows.
enum Layout {
    /// by their time, in slices
    Sliced(Slices),
    /// they carry them; `None` for sessions, whose start is a key of its own
    Attached { end: usize, starts: Option<Slices> },
}

/// Counts each row into one slice, and when time has passed a window's last millisecond merges its slices and
/// emits the window: so the work for a row does not grow with the number of its windows.
///
/// A row is late, and dropped and counted, when the last of its windows has been emitted; it counts in those
/// that have not. Windows come out in the order of their ends. TUMBLE and CUMULATE see rows in the order of
/// their slices, HOP the newest slice first.
pub(crate) struct WindowAggregate {
    name: String,
    spec: WindowAggregateSpec,
    input: SchemaRef,
    schema: SchemaRef,
    layout: Layout,
    zone: Zone,
    event_time: bool,
    /// columns of the input that are the key of the state: the spec's, and of attached sessions the start
    keys: Vec<usize>,
    set: AccumulatorSet,
    tables: Option<Tables>,
    /// how far time has come: the watermark, or the clock at the last timer
    progress: i64,
    /// how far it had come when windows were last emitted to the end
    previous: i64,
    /// the latest window that was emitted since
    fired_end: i64,
    firing: Option<Firing>,
    scratch: Scratch,
}

struct Tables {
    /// accumulators by key and slice
    slices: AccumulatorTable,
    /// accumulators by key and window, of windows that are due and await their emission; only where windows
    /// share slices
    firing: Option<AccumulatorTable>,
}

struct Scratch {
    found: Slots,
    grouping: Grouping,
    rows: GroupRows,
    pins: PinBuffer,
    merger: Merger,
    /// the entries of several slices, and the accumulators of one of them
    side: SideBySide,
    part_rows: GroupRows,
}

impl WindowAggregate {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &WindowAggregateSpec,
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, OperatorError> {
        let mut keys = spec.keys.clone();
        let layout = match spec.time {
            WindowTime::Attached { start, end, .. } => {
                let starts = match spec.window {
                    WindowSpec::Session { .. } => {
                        keys.push(start);
                        None
                    }
                    window => Some(Slices::new(window)?),
                };
                Layout::Attached { end, starts }
            }
            WindowTime::RowTime(_) | WindowTime::ProcTime => Layout::Sliced(Slices::new(spec.window)?),
        };
        let event_time =
            !matches!(spec.time, WindowTime::ProcTime | WindowTime::Attached { proctime: true, .. });
        let count = SqlField::new(ROWS_FIELD, SqlType::BigInt, false);
        let leading = if spec.input_retracts { vec![count] } else { Vec::new() };
        let set = AccumulatorSet::new(&spec.aggregates, &input, spec.input_retracts, leading)?;
        let scratch = Scratch {
            found: Slots::default(),
            grouping: Grouping::default(),
            rows: set.new_rows(),
            pins: PinBuffer::default(),
            merger: Merger::new(&set),
            side: SideBySide::default(),
            part_rows: set.new_rows(),
        };
        Ok(WindowAggregate {
            name: id.to_string(),
            spec: spec.clone(),
            input,
            schema,
            layout,
            zone: Zone::parse(spec.time_zone.as_deref())?,
            event_time,
            keys,
            set,
            tables: None,
            progress: Watermark::NONE.0,
            previous: Watermark::NONE.0,
            fired_end: i64::MIN,
            firing: None,
            scratch,
        })
    }

    /// The ends of the windows that hold a slice.
    fn windows_of(&self, slice_end: i64) -> WindowEnds {
        match &self.layout {
            Layout::Sliced(slices) => slices.windows_of(slice_end),
            Layout::Attached { .. } => WindowEnds { first: slice_end, last: slice_end, step_ms: 1 },
        }
    }

    /// When the window is emitted: at a watermark or a clock of so many milliseconds. Flink's timers stand at
    /// a window's last millisecond; those of the clock go off one later.
    fn fires_at(&self, window_end: i64) -> i64 {
        let timer = self.zone.to_epoch_for_timer(window_end.saturating_sub(1));
        if self.event_time { timer } else { timer.saturating_add(1) }
    }

    /// True if windows share slices, so that a slice outlives its first window.
    fn shares_slices(&self) -> bool {
        match &self.layout {
            Layout::Sliced(slices) => !matches!(slices.spec(), WindowSpec::Tumble { .. }),
            Layout::Attached { .. } => false,
        }
    }

    /// The end of each row's slice.
    fn slice_ends(&self, rows: &RecordBatch, now_ms: i64) -> Result<Vec<i64>, OperatorError> {
        match (&self.layout, &self.spec.time) {
            (Layout::Attached { end, .. }, _) => Ok(to_millis(rows.column(*end))?.values().to_vec()),
            (Layout::Sliced(slices), WindowTime::RowTime(column)) => {
                let times = rowtime_millis(rows.column(*column), self.input.field(*column).name())?;
                if self.zone == Zone::None {
                    return Ok(slices.slice_ends(times.values()));
                }
                let mut local = times.values().to_vec();
                self.zone.to_local_all(&mut local);
                Ok(slices.slice_ends(&local))
            }
            (Layout::Sliced(slices), _) => {
                Ok(vec![slices.slice_end(self.zone.to_local(now_ms)); rows.num_rows()])
            }
        }
    }

    /// The slice that rows of `slice_end` are counted into; `None` if they are in no window, or late.
    fn target(&self, slice_end: i64, rows: usize, metrics: &OperatorMetrics) -> Option<i64> {
        let windows = self.windows_of(slice_end);
        if windows.is_empty() {
            return None;
        }
        if !self.event_time || self.fires_at(slice_end) > self.progress {
            return Some(slice_end);
        }
        if self.fires_at(windows.last) <= self.progress {
            OperatorMetrics::add(&metrics.late_rows, rows);
            return None;
        }
        match &self.layout {
            // What was emitted has been merged into the first slice.
            Layout::Sliced(slices) if matches!(slices.spec(), WindowSpec::Cumulate { .. }) => {
                Some(slices.first_slice_of(windows.last))
            }
            _ => Some(slice_end),
        }
    }

    /// Counts the rows of one slice in.
    fn accumulate_all(
        &mut self,
        slice_end: i64,
        batch: &ChangelogBatch,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let state = fire::opened(&self.tables)?.slices.state;
        let entries = context.keyed.entries_in_memory(state, Namespace::Window(slice_end));
        for part in parts(entries.unwrap_or(0), batch.num_rows()) {
            self.accumulate(slice_end, &batch.slice(part.start, part.len()), context)?;
        }
        Ok(())
    }

    /// Counts rows of one slice in, together.
    fn accumulate(
        &mut self,
        slice_end: i64,
        batch: &ChangelogBatch,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let count_word = self.count_word();
        let Some(Tables { slices: table, .. }) = &mut self.tables else {
            return Err(OperatorError::internal("an operator was not opened"));
        };
        let state = table.state;
        let Scratch { found, grouping, rows, pins, .. } = &mut self.scratch;
        let (keyed, namespace) = (&mut context.keyed, Namespace::Window(slice_end));
        let count = if self.keys.is_empty() { 1 } else { batch.num_rows() };
        let columns: Vec<ArrayRef> = self.keys.iter().map(|key| batch.rows().column(*key).clone()).collect();
        let keys = keyed.encoder(state).encode(&columns, count)?;
        keyed.resolve(state, namespace, &keys, found);
        if self.keys.is_empty() {
            grouping.all_in_one(found.slots[0], batch.num_rows());
        } else {
            grouping.group(&found.slots);
        }
        accumulate(&self.set, keyed, (table, namespace), grouping, (rows, pins), batch, count_word)
    }

    /// The word with the number of a group's rows.
    fn count_word(&self) -> Option<usize> {
        self.spec.input_retracts.then_some(0)
    }

    /// `window_ms`: from start to end of each window, or with `slices` of each slice, of the namespace.
    fn register(
        &self,
        name: &str,
        (window_ms, slices): (Option<i64>, bool),
        context: &mut OperatorContext,
    ) -> Result<AccumulatorTable, OperatorError> {
        let descriptor = StateDescriptor::value(
            format!("{}/{name}", self.name),
            key_fields(&self.keys, &self.input)?,
            NamespaceKind::Window,
            self.set.fields().to_vec(),
        );
        let window_ms = window_ms.and_then(|window_ms| u64::try_from(window_ms).ok());
        let descriptor = descriptor.with_window_ms(window_ms).with_slices(slices);
        let state = context.keyed.register(descriptor)?;
        let maps = format!("{}/{name}-distinct", self.name);
        let (set, retracts) = (&self.set, self.spec.input_retracts);
        let distincts = DistinctMaps::register(&mut context.keyed, state, &maps, set, &self.input, retracts)?;
        Ok(AccumulatorTable { state, distincts })
    }
}

/// The rows of each slice, slices in order. One slice without a list of rows: all of them.
enum BySlice {
    One(i64),
    Many(BTreeMap<i64, Vec<u32>>),
}

fn by_slice(ends: &[i64]) -> BySlice {
    let first = ends[0];
    if ends.iter().all(|end| *end == first) {
        return BySlice::One(first);
    }
    let mut slices: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    let mut start = 0;
    for run in ends.chunk_by(|left, right| left == right) {
        let rows = start as u32..(start + run.len()) as u32;
        slices.entry(run[0]).or_default().extend(rows);
        start += run.len();
    }
    BySlice::Many(slices)
}

impl Operator for WindowAggregate {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let (slice_ms, window_ms) = match &self.layout {
            Layout::Sliced(slices) => (Some(slices.width_ms()), slices.window_ms()),
            Layout::Attached { starts, .. } => (starts.and_then(|starts| starts.window_ms()), None),
        };
        let shared = self.shares_slices();
        let slices = self.register("accumulators", (slice_ms, shared), context)?;
        let firing = shared.then(|| self.register("firing", (window_ms, false), context)).transpose()?;
        self.tables = Some(Tables { slices, firing });
        self.progress = load_progress(&self.name, context);
        self.previous = self.progress;
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        let ends = self.slice_ends(batch.rows(), context.clock.now_ms())?;
        match by_slice(&ends) {
            BySlice::One(end) => {
                if let Some(target) = self.target(end, batch.num_rows(), &context.metrics) {
                    self.accumulate_all(target, &batch, context)?;
                }
            }
            BySlice::Many(slices) => {
                for (end, rows) in slices {
                    let Some(target) = self.target(end, rows.len(), &context.metrics) else { continue };
                    let kinds =
                        batch.kinds().map(|kinds| rows.iter().map(|row| kinds.get(*row as usize)).collect());
                    let rows = take_record_batch(batch.rows(), &UInt32Array::from(rows))?;
                    self.accumulate_all(target, &ChangelogBatch::new(rows, kinds), context)?;
                }
            }
        }
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if !self.event_time {
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
        if self.event_time {
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
        if self.event_time {
            return None;
        }
        self.next_window(&context.keyed).map(|window_end| self.fires_at(window_end))
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        self.park(context)?;
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}
