//! Joins that event time bounds: of windows, of intervals, and with the version of a row that was valid at a time.
//!
//! Read first: [`TimedJoin`], `rows` (what waits in the state), `fire` (what the watermark brings about).

mod fire;
mod pairs;
mod rows;

use crate::distinct::state_fields;
use crate::event_time::rowtime_millis;
use crate::grouping::Grouping;
use crate::join_condition::{CANDIDATES, JoinCondition};
use crate::partitions::resolve_keys;
use crate::progress::{load_progress, save_progress};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use fire::FEW_KEYS;
use pairs::{Emission, Pairs, holding};
use rows::{Buffer, VOID};
use weir_state::{KeyedStateBackend, NamespaceKind, Slots, StateDescriptor, StateId, TimeDomain};
use weir_types::{
    ChangelogBatch, JobSettings, JoinKind, OperatorId, OperatorMetrics, RowKind, TimedJoinBy, TimedJoinSpec,
    Watermark,
};

/// Rows hang in two lists under their join key, each with its time.
///
/// - Of windows: rows wait until the watermark has passed their window, then all of it is joined and forgotten. Late rows
///   are dropped. Nothing is taken back.
/// - Of intervals: a row meets at once those of the other side whose times fit, and stays until none can come any more; a
///   row that had no match until then is given beside NULLs where the kind of the join keeps it. The watermark that is
///   handed on stays behind by how old a row may be when it is emitted. By the clock a row's time is when it comes, and rows
///   that still wait when the input ends are forgotten, as windows of processing time are.
/// - Of versions: left rows wait until the watermark has reached them, then get the right row with the greatest time that is
///   not above theirs, unless it says that the row was deleted. Of the right rows below the watermark the last one stays.
pub(crate) struct TimedJoin {
    name: String,
    spec: TimedJoinSpec,
    condition: Option<JoinCondition>,
    sides: [Buffer; 2],
    schema: SchemaRef,
    ttl_ms: Option<u64>,
    states: Option<States>,
    found: Slots,
    /// how many keys are looked at together: so few that their rows are about a batch. What it is decides about nothing but
    /// the size of the parts
    keys_at_once: usize,
    /// the watermark, or the clock
    progress: i64,
    /// the watermark that was handed on last, of intervals
    handed_on: i64,
}

#[derive(Clone, Copy)]
struct States {
    keys: StateId,
    /// when rows of a key are due
    timers: StateId,
}

impl TimedJoin {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &TimedJoinSpec,
        inputs: &[SchemaRef],
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let [left, right] = inputs else {
            return Err(OperatorError::internal(format!("a join of {} inputs", inputs.len())));
        };
        let condition = spec
            .condition
            .as_ref()
            .map(|condition| JoinCondition::new(condition, left, right))
            .transpose()?;
        let sides = [
            Buffer::new(left.clone(), spec.left_keys.clone()),
            Buffer::new(right.clone(), spec.right_keys.clone()),
        ];
        // What the watermark clears needs no time to live; the last versions do.
        let lives = spec.by == TimedJoinBy::Version && settings.state_ttl_ms > 0;
        Ok(TimedJoin {
            name: id.to_string(),
            spec: spec.clone(),
            condition,
            sides,
            schema,
            ttl_ms: lives.then_some(settings.state_ttl_ms),
            states: None,
            found: Slots::default(),
            keys_at_once: FEW_KEYS,
            progress: Watermark::NONE.0,
            handed_on: Watermark::NONE.0,
        })
    }

    fn states(&self) -> Result<States, OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// When a row is due whose time is `time`.
    fn due_at(&self, side: usize, time: i64) -> i64 {
        match (self.spec.by, side) {
            (TimedJoinBy::Window | TimedJoinBy::Version, _) => time,
            // The watermark is above all that it could meet.
            (TimedJoinBy::Interval { upper_ms, .. }, 0) => time.saturating_add(upper_ms).saturating_add(1),
            (TimedJoinBy::Interval { lower_ms, .. }, _) => time.saturating_sub(lower_ms).saturating_add(1),
        }
    }

    /// The join key of each row of `batch`, in `found`.
    fn resolve(
        &mut self,
        side: usize,
        batch: &RecordBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let keys = self.states()?.keys;
        resolve_keys(keyed, keys, &self.sides[side].keys, batch, &mut self.found)
    }

    /// True if a row has NULL among its keys, which equals nothing.
    fn meets_nothing(&self, side: usize, rows: &RecordBatch, row: usize) -> bool {
        !self.spec.nulls_match && self.sides[side].keys.iter().any(|key| rows.column(*key).is_null(row))
    }

    fn times(&self, side: usize, batch: &RecordBatch, now_ms: i64) -> Result<Vec<i64>, OperatorError> {
        if self.spec.by_clock {
            return Ok(vec![now_ms; batch.num_rows()]);
        }
        let column = if side == 0 { self.spec.left_time } else { self.spec.right_time };
        let times = rowtime_millis(batch.column(column), self.sides[side].schema.field(column).name())?;
        // The time of a window is the last millisecond in it.
        let before_end = i64::from(self.spec.by == TimedJoinBy::Window);
        Ok(times.values().iter().map(|time| time - before_end).collect())
    }

    /// Keeps those rows of `batch` for which `marks` has something, and sets their timers.
    fn keep(
        &mut self,
        side: usize,
        batch: &RecordBatch,
        times: &[i64],
        marks: &[Option<u8>],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let States { keys, timers } = self.states()?;
        let at: Vec<u32> = (0..marks.len() as u32).filter(|row| marks[*row as usize].is_some()).collect();
        let parents: Vec<u32> = at.iter().map(|row| self.found.slots[*row as usize]).collect();
        let kept_times: Vec<i64> = at.iter().map(|row| times[*row as usize]).collect();
        let kept_marks: Vec<u8> = marks.iter().copied().flatten().collect();
        if !at.is_empty() {
            let due: Vec<i64> = kept_times.iter().map(|time| self.due_at(side, *time)).collect();
            let of_rows = keyed.keys(keys, VOID, &parents);
            keyed.add_timers(timers, &of_rows, &due, VOID);
        }
        self.sides[side].keep(batch, at, (&parents, &kept_times, &kept_marks), keyed)?;
        if marks.iter().any(Option::is_none) {
            let slots = self.found.slots.clone();
            self.forget(&slots, keyed)?;
        }
        Ok(())
    }

    /// Deletes those of the keys under which no row is left.
    fn forget(&self, keys: &[u32], keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let mut idle = Vec::new();
        for key in keys {
            if !self.sides[0].has_rows(*key, keyed)? && !self.sides[1].has_rows(*key, keyed)? {
                idle.push(*key);
            }
        }
        idle.sort_unstable();
        idle.dedup();
        keyed.delete(self.states()?.keys, VOID, &idle);
        Ok(())
    }

    /// Rows of windows and versions wait.
    fn wait(
        &mut self,
        side: usize,
        batch: &ChangelogBatch,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let times = self.times(side, batch.rows(), context.clock.now_ms())?;
        let drops_late = self.spec.by == TimedJoinBy::Window;
        let of_versions = self.spec.by == TimedJoinBy::Version;
        let mark = |row: usize| match batch.kind(row) {
            _ if drops_late => (times[row] > self.progress).then_some(0),
            // What a version was before is known.
            RowKind::UpdateBefore if of_versions && side == 1 => None,
            kind => Some(u8::from(kind.is_retraction())),
        };
        let marks: Vec<Option<u8>> = (0..times.len()).map(mark).collect();
        if drops_late {
            let late = marks.iter().filter(|mark| mark.is_none()).count();
            OperatorMetrics::add(&context.metrics.late_rows, late);
        }
        self.resolve(side, batch.rows(), &mut context.keyed)?;
        self.keep(side, batch.rows(), &times, &marks, &mut context.keyed)
    }

    /// Rows of intervals meet those that are there, and stay.
    fn meet(
        &mut self,
        side: usize,
        batch: &RecordBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let TimedJoinBy::Interval { lower_ms, upper_ms } = self.spec.by else { return Ok(()) };
        let times = self.times(side, batch, context.clock.now_ms())?;
        self.resolve(side, batch, &mut context.keyed)?;
        let mut grouping = Grouping::default();
        grouping.group(&self.found.slots);
        // Times of the other side that fit to that of a row.
        let fits = if side == 0 { lower_ms..=upper_ms } else { -upper_ms..=-lower_ms };
        let first = times.iter().copied().min().unwrap_or(i64::MAX).saturating_add(*fits.start());
        let last = times.iter().copied().max().unwrap_or(i64::MIN).saturating_add(*fits.end());
        let near = |time: i64| (first..=last).contains(&time);
        let others =
            self.sides[1 - side].load(&grouping.slots, (near, |_| usize::MAX), &mut context.keyed)?;
        let stays = |time: i64| self.progress < time.saturating_add(*fits.end());
        let mut marks: Vec<Option<u8>> = times.iter().map(|time| stays(*time).then_some(0)).collect();
        let mut matched: Vec<u32> = Vec::new();
        let mut start = 0;
        while start < times.len() {
            let mut pairs = Pairs::default();
            let mut end = start;
            while end < times.len() && pairs.len() < CANDIDATES {
                let nothing = self.meets_nothing(side, batch, end);
                for other in others.of(grouping.groups[end] as usize).filter(|_| !nothing) {
                    let near = fits.contains(&others.times[other].saturating_sub(times[end]));
                    match side {
                        0 if near => pairs.push(end as u32, other as u32),
                        _ if near => pairs.push(other as u32, end as u32),
                        _ => {}
                    }
                }
                end += 1;
            }
            let (left, right) = if side == 0 { (batch, &others.rows) } else { (&others.rows, batch) };
            let holds = holding(self.condition.as_ref(), left, right, &pairs)?;
            let mut emission = self.met(side, (start, &mut marks[start..end]), &pairs, &holds);
            let theirs = if side == 0 { &pairs.right } else { &pairs.left };
            let met = theirs.iter().zip(&holds).filter(|(_, holds)| **holds);
            matched.extend(met.map(|(other, _)| others.slots[*other as usize]));
            self.flush(&mut emission, left, right, context.batch_rows, output)?;
            start = end;
        }
        self.sides[1 - side].mark(&matched, &mut context.keyed)?;
        self.keep(side, batch, &times, &marks, &mut context.keyed)
    }

    /// The rows from `first` with those that they meet. Of rows that stay it is noted whether they met one; the others are
    /// given beside NULLs at once where they met none.
    fn met(
        &self,
        side: usize,
        (first, marks): (usize, &mut [Option<u8>]),
        pairs: &Pairs,
        holds: &[bool],
    ) -> Emission {
        let keeps_own = if side == 0 { self.spec.kind.keeps_left() } else { self.spec.kind.keeps_right() };
        let own = if side == 0 { &pairs.left } else { &pairs.right };
        let mut emission = Emission::default();
        let mut pair = 0;
        for (place, mark) in marks.iter_mut().enumerate() {
            let row = (first + place) as u32;
            let mut any = false;
            while pair < own.len() && own[pair] == row {
                if holds[pair] {
                    any = true;
                    emission.push(RowKind::Insert, Some(pairs.left[pair]), Some(pairs.right[pair]));
                }
                pair += 1;
            }
            match mark {
                Some(mark) => *mark = u8::from(any),
                None if keeps_own && !any && side == 0 => emission.push(RowKind::Insert, Some(row), None),
                None if keeps_own && !any => emission.push(RowKind::Insert, None, Some(row)),
                None => {}
            }
        }
        emission
    }

    fn flush(
        &self,
        emission: &mut Emission,
        left: &RecordBatch,
        right: &RecordBatch,
        batch_rows: usize,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (left, right) = ((left, &self.spec.left_columns[..]), (right, &self.spec.right_columns[..]));
        emission.flush(left, right, (&self.schema, batch_rows), output)
    }

    /// By how much the watermark stays behind: rows that are emitted may be so much older than it.
    fn delay_ms(&self) -> Option<i64> {
        match self.spec.by {
            TimedJoinBy::Interval { lower_ms, upper_ms } if !self.spec.by_clock => {
                // A row that meets nothing is given beside NULLs once the watermark has passed the last it could have met:
                // what is handed on then must not have reached it yet.
                let unmatched = i64::from(self.spec.kind.keeps_left() || self.spec.kind.keeps_right());
                Some(upper_ms.max(-lower_ms).max(0) + unmatched)
            }
            _ => None,
        }
    }

    /// Hands the watermark on once all that it made due is out.
    fn done(&mut self, output: &mut Output) -> Progress {
        if let Some(delay_ms) = self.delay_ms() {
            let watermark = self.progress.saturating_sub(delay_ms);
            if watermark > self.handed_on && self.progress != Watermark::MAX.0 {
                self.handed_on = watermark;
                output.watermark(Watermark(watermark));
            }
        }
        Progress::Done
    }
}

impl Operator for TimedJoin {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let fields = state_fields(Vec::new(), &self.sides[0].keys, &self.sides[0].schema)?;
        let name = format!("{}/keys", self.name);
        let keys = StateDescriptor::value(name, fields.clone(), NamespaceKind::Void, Vec::new());
        let keys = context.keyed.register(keys.with_ttl_ms(self.ttl_ms))?;
        let marks = match self.spec.by {
            TimedJoinBy::Version => ["retracts", "deleted"],
            _ => ["matched", "matched"],
        };
        for ((side, name), mark) in self.sides.iter_mut().zip(["left", "right"]).zip(marks) {
            side.open(format!("{}/{name}", self.name), mark, keys, &mut context.keyed)?;
        }
        let name = format!("{}/timers", self.name);
        let domain = if self.spec.by_clock { TimeDomain::ProcessingTime } else { TimeDomain::EventTime };
        let timers = context.keyed.register_timers(name, fields, domain)?;
        self.states = Some(States { keys, timers });
        self.progress = load_progress(&self.name, context);
        Ok(())
    }

    fn on_batch(
        &mut self,
        input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        match self.spec.by {
            TimedJoinBy::Interval { .. } => self.meet(input, batch.rows(), context, output),
            TimedJoinBy::Window | TimedJoinBy::Version => self.wait(input, &batch, context),
        }
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        if self.spec.by_clock {
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
        self.progress = self.progress.max(now_ms);
        self.advance(context, output)
    }

    fn next_processing_timer(&self, context: &OperatorContext) -> Option<i64> {
        context.keyed.next_timer_ms(self.states.filter(|_| self.spec.by_clock)?.timers)
    }

    fn resume(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.advance(context, output)
    }

    fn makes_watermarks(&self) -> bool {
        self.delay_ms().is_some()
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}

/// Kinds of joins that can be bounded so.
pub(crate) fn check_kind(spec: &TimedJoinSpec) -> Result<(), OperatorError> {
    let built = match spec.by {
        TimedJoinBy::Window => true,
        TimedJoinBy::Interval { .. } => !spec.kind.is_left_only(),
        TimedJoinBy::Version => matches!(spec.kind, JoinKind::Inner | JoinKind::Left),
    };
    match built {
        true => Ok(()),
        false => Err(OperatorError::internal(format!("{} by {:?}", spec.kind.name(), spec.by))),
    }
}
