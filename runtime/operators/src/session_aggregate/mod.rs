//! GROUP BY over SESSION windows.
//!
//! Read first: [`SessionAggregate`] (rows into sessions), `sessions` (which sessions a row joins), `fire`.

mod fire;
mod sessions;

use crate::accumulate::accumulate;
use crate::accumulators::{AccumulatorSet, GroupRows, ROWS_FIELD};
use crate::distinct::DistinctMaps;
use crate::event_time::rowtime_millis;
use crate::group_aggregate::key_fields;
use crate::grouping::Grouping;
use crate::merge::{AccumulatorTable, Merger};
use crate::progress::{load_progress, save_progress};
use crate::window::Zone;
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use sessions::{Joined, Sessions};
use std::sync::Arc;
use weir_state::{
    CACHED_ROWS, KeyedStateBackend, NO_SLOT, Namespace, NamespaceKind, PinBuffer, ScanCursor, Slots,
    StateDescriptor, StateId, TimeDomain,
};
use weir_types::{
    ChangelogBatch, EncodedKeys, OperatorId, OperatorMetrics, SqlField, SqlType, Watermark,
    WindowAggregateSpec, WindowTime,
};

/// Fields of a session in front of its accumulators.
const START: usize = 0;
const END: usize = 1;
const ROWS: usize = 2;

/// Each key's rows in bursts: a row joins a session that it overlaps or touches, or begins one; one that
/// joins two merges them. A session is emitted, and gone, when time has passed its last millisecond. A row is
/// late if it would begin a session that is over.
///
/// When two sessions merge, one takes up the other's accumulators behind its own, and which one it is shows
/// in LISTAGG and its like: it is the same as in Flink.
pub(crate) struct SessionAggregate {
    name: String,
    spec: WindowAggregateSpec,
    gap_ms: i64,
    input: SchemaRef,
    schema: SchemaRef,
    zone: Zone,
    /// the rowtime column; `None`: the clock
    rowtime: Option<usize>,
    set: AccumulatorSet,
    states: Option<States>,
    /// how far time has come: the watermark, or the clock at the last timer
    progress: i64,
    scratch: Scratch,
}

struct States {
    keys: StateId,
    /// under each key its sessions, by the time of the row that began them
    sessions: AccumulatorTable,
    /// For each session one by its key, at the time when it is over, or at an earlier one: rows that extend a session
    /// leave its timer alone, and when that is due it is set anew.
    timers: StateId,
}

struct Scratch {
    found: Slots,
    keys: Grouping,
    sessions: Grouping,
    rows: GroupRows,
    pins: PinBuffer,
    merger: Merger,
}

impl SessionAggregate {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &WindowAggregateSpec,
        gap_ms: i64,
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, OperatorError> {
        if gap_ms <= 0 {
            return Err(OperatorError::unsupported(format!("{}: the gap must be positive", spec.window)));
        }
        let rowtime = match spec.time {
            WindowTime::RowTime(column) => Some(column),
            WindowTime::ProcTime => None,
            WindowTime::Attached { .. } => {
                return Err(OperatorError::internal("attached sessions need no session aggregation"));
            }
        };
        let mut leading = vec![
            SqlField::new("window_start", SqlType::Timestamp(3), false),
            SqlField::new("window_end", SqlType::Timestamp(3), false),
        ];
        leading.extend(spec.input_retracts.then(|| SqlField::new(ROWS_FIELD, SqlType::BigInt, false)));
        let set = AccumulatorSet::new(&spec.aggregates, &input, spec.input_retracts, leading)?;
        let scratch = Scratch {
            found: Slots::default(),
            keys: Grouping::default(),
            sessions: Grouping::default(),
            rows: set.new_rows(),
            pins: PinBuffer::default(),
            merger: Merger::new(&set),
        };
        Ok(SessionAggregate {
            name: id.to_string(),
            spec: spec.clone(),
            gap_ms,
            input,
            schema,
            zone: Zone::parse(spec.time_zone.as_deref())?,
            rowtime,
            set,
            states: None,
            progress: Watermark::NONE.0,
            scratch,
        })
    }

    fn fires_at(&self, end: i64) -> i64 {
        fires_at(self.zone, self.rowtime.is_some(), end)
    }

    fn count_word(&self) -> Option<usize> {
        self.spec.input_retracts.then_some(ROWS)
    }

    fn states(&self) -> Result<&States, OperatorError> {
        self.states.as_ref().ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// The time of each row on the wall clock of the zone.
    fn times(&self, batch: &ChangelogBatch, now_ms: i64) -> Result<Vec<i64>, OperatorError> {
        let Some(column) = self.rowtime else {
            return Ok(vec![self.zone.to_local(now_ms); batch.num_rows()]);
        };
        let times = rowtime_millis(batch.rows().column(column), self.input.field(column).name())?;
        let mut times = times.values().to_vec();
        self.zone.to_local_all(&mut times);
        Ok(times)
    }

    /// The keys of a batch and their open sessions. Those that a restart left over are due, and no row joins
    /// them.
    fn load_sessions(
        &mut self,
        batch: &ChangelogBatch,
        context: &mut OperatorContext,
    ) -> Result<(EncodedKeys, Sessions), OperatorError> {
        let (keys_state, table) = (self.states()?.keys, self.states()?.sessions.state);
        let (keyed, void) = (&mut context.keyed, Namespace::Void);
        let count = if self.spec.keys.is_empty() { 1 } else { batch.num_rows() };
        let columns: Vec<ArrayRef> =
            self.spec.keys.iter().map(|key| batch.rows().column(*key).clone()).collect();
        let keys = keyed.encoder(keys_state).encode(&columns, count)?;
        let Scratch { found, keys: grouping, .. } = &mut self.scratch;
        keyed.resolve(keys_state, void, &keys, found);
        if self.spec.keys.is_empty() {
            grouping.all_in_one(found.slots[0], batch.num_rows());
        } else {
            grouping.group(&found.slots);
        }
        let mut sessions = Sessions::new(grouping.slots.len(), self.gap_ms);
        let (mut slots, mut ends) = (Vec::new(), Vec::new());
        keyed.prefetch_under(table, void, &grouping.slots);
        for parent in &grouping.slots {
            keyed.entries_under(table, void, *parent, &mut slots);
            ends.push(slots.len());
        }
        let rows = keyed.rows(table, void);
        let (starts, session_ends) = (rows.column::<i64>(START), rows.column::<i64>(END));
        let mut from = 0;
        for (key, to) in ends.into_iter().enumerate() {
            for slot in &slots[from..to] {
                let end = session_ends.get(*slot);
                if self.fires_at(end) > self.progress {
                    sessions.add(key, starts.get(*slot), end, *slot);
                }
            }
            from = to;
        }
        Ok((keys, sessions))
    }

    /// Counts rows `from..to` into the sessions that they were assigned to.
    fn flush(
        &mut self,
        batch: &ChangelogBatch,
        encoded: &EncodedKeys,
        (from, to): (usize, usize),
        assigned: &[u32],
        sessions: &mut Sessions,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let count_word = self.count_word();
        let (zone, event_time) = (self.zone, self.rowtime.is_some());
        let Some(States { sessions: table, timers, .. }) = &mut self.states else {
            return Err(OperatorError::internal("an operator was not opened"));
        };
        let Scratch { found, keys, sessions: grouping, rows, pins, .. } = &mut self.scratch;
        let (keyed, void) = (&mut context.keyed, Namespace::Void);
        let (mut fresh, mut parents, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut fresh_rows, mut times) = (Vec::new(), Vec::new());
        let mut picked = Vec::new();
        for (row, &session) in assigned.iter().enumerate().take(to).skip(from) {
            if session == NO_SLOT {
                continue;
            }
            picked.push(row as u32);
            if let Some(first) = sessions.claim(session) {
                fresh.push(session);
                parents.push(keys.slots[keys.groups[row] as usize]);
                firsts.push(first);
                fresh_rows.push(if encoded.len() == 1 { 0 } else { row as u32 });
                times.push(fires_at(zone, event_time, sessions.get(session).end));
            }
        }
        if picked.is_empty() {
            return Ok(());
        }
        let firsts: ArrayRef = Arc::new(TimestampMillisecondArray::from(firsts));
        let map_keys = keyed.encoder(table.state).encode(&[firsts], fresh.len())?;
        keyed.resolve_under(table.state, void, &parents, &map_keys, found);
        for (session, slot) in fresh.iter().zip(&found.slots) {
            sessions.set_slot(*session, *slot);
        }
        keyed.add_timers(*timers, &encoded.take(&fresh_rows), &times, void);
        let slots: Vec<u32> = picked.iter().map(|row| sessions.get(assigned[*row as usize]).slot).collect();
        grouping.group(&slots);
        if picked.len() == batch.num_rows() {
            return accumulate(&self.set, keyed, (table, void), grouping, (rows, pins), batch, count_word);
        }
        let kinds = batch.kinds().map(|kinds| picked.iter().map(|row| kinds.get(*row as usize)).collect());
        let part = take_record_batch(batch.rows(), &UInt32Array::from(picked))?;
        let part = ChangelogBatch::new(part, kinds);
        accumulate(&self.set, keyed, (table, void), grouping, (rows, pins), &part, count_word)
    }

    /// Adds a timer for each session that was restored.
    fn add_timers(&self, keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let States { keys, sessions, timers } = self.states()?;
        let void = Namespace::Void;
        let (mut cursor, mut parents, mut slots) = (ScanCursor::default(), Vec::new(), Vec::new());
        while keyed.scan(*keys, void, &mut cursor, CACHED_ROWS, &mut parents) {
            let encoded = keyed.keys(*keys, void, &parents);
            slots.clear();
            let mut rows = Vec::new();
            for (row, parent) in parents.iter().enumerate() {
                keyed.entries_under(sessions.state, void, *parent, &mut slots);
                rows.resize(slots.len(), row as u32);
            }
            let ends = keyed.rows(sessions.state, void).column::<i64>(END);
            let times: Vec<i64> = slots.iter().map(|slot| self.fires_at(ends.get(*slot))).collect();
            keyed.add_timers(*timers, &encoded.take(&rows), &times, void);
        }
        Ok(())
    }

    /// Session `into` takes up what session `from` has seen, and `from` is gone from the state.
    fn merge(&mut self, from: u32, into: u32, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let count_word = self.count_word();
        let table = match &self.states {
            Some(states) => &states.sessions,
            None => return Err(OperatorError::internal("an operator was not opened")),
        };
        let (keyed, void) = (&mut context.keyed, Namespace::Void);
        let merger = &mut self.scratch.merger;
        let (from, into) = ([from], [into]);
        merger.merge(keyed, &self.set, (table, void, &from), (table, void, &into), count_word, false)?;
        keyed.delete(table.state, void, &from);
        Ok(())
    }
}

/// When a session that ends so is emitted, as for other windows.
fn fires_at(zone: Zone, event_time: bool, end: i64) -> i64 {
    let timer = zone.to_epoch_for_timer(end.saturating_sub(1));
    if event_time { timer } else { timer.saturating_add(1) }
}

impl Operator for SessionAggregate {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let keyed = &mut context.keyed;
        let fields = key_fields(&self.spec.keys, &self.input)?;
        let keys = format!("{}/keys", self.name);
        let keys =
            keyed.register(StateDescriptor::value(keys, fields.clone(), NamespaceKind::Void, Vec::new()))?;
        let sessions = StateDescriptor::map(
            format!("{}/sessions", self.name),
            vec![SqlField::new("first_row_time", SqlType::Timestamp(3), false)],
            self.set.fields().to_vec(),
        );
        let timers = format!("{}/timers", self.name);
        // The first version that wrote checkpoints had no timers here.
        let lacks_timers = keyed.is_restored(&sessions.name) && !keyed.is_restored(&timers);
        let state = keyed.register_under(keys, sessions)?;
        let name = format!("{}/distinct", self.name);
        let retracts = self.spec.input_retracts;
        let distincts = DistinctMaps::register(keyed, state, &name, &self.set, &self.input, retracts)?;
        let domain = if self.rowtime.is_some() { TimeDomain::EventTime } else { TimeDomain::ProcessingTime };
        let timers = keyed.register_timers(timers, fields, domain)?;
        self.states = Some(States { keys, sessions: AccumulatorTable { state, distincts }, timers });
        self.progress = load_progress(&self.name, context);
        if lacks_timers { self.add_timers(&mut context.keyed) } else { Ok(()) }
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        let times = self.times(&batch, context.clock.now_ms())?;
        let (keys, mut sessions) = self.load_sessions(&batch, context)?;
        let mut assigned = vec![NO_SLOT; batch.num_rows()];
        let mut late = 0;
        let mut flushed = 0;
        for (row, time) in times.into_iter().enumerate() {
            let key = self.scratch.keys.groups[row] as usize;
            match sessions.join(key, time) {
                Joined::None => {
                    let is_late = self.rowtime.is_some()
                        && self.fires_at(time.saturating_add(self.gap_ms)) <= self.progress;
                    if is_late {
                        late += 1;
                        continue;
                    }
                    assigned[row] = sessions.begin(key, time);
                }
                Joined::One(session) => assigned[row] = session,
                Joined::Two { from, into } => {
                    self.flush(&batch, &keys, (flushed, row), &assigned, &mut sessions, context)?;
                    flushed = row;
                    self.merge(sessions.get(from).slot, sessions.get(into).slot, context)?;
                    assigned[row] = into;
                }
            }
        }
        self.flush(&batch, &keys, (flushed, batch.num_rows()), &assigned, &mut sessions, context)?;
        OperatorMetrics::add(&context.metrics.late_rows, late);
        let states = self.states()?;
        let rows = context.keyed.rows(states.sessions.state, Namespace::Void);
        let (starts, ends) = (rows.column::<i64>(START), rows.column::<i64>(END));
        for session in sessions.changed() {
            starts.set(session.slot, session.start);
            ends.set(session.slot, session.end);
        }
        self.forget_keys_without_sessions(context, late)
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.rowtime.is_none() {
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
        if self.rowtime.is_some() {
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
        if self.rowtime.is_some() {
            return None;
        }
        context.keyed.next_timer_ms(self.states.as_ref()?.timers)
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}
