//! Slices into windows, windows into output batches.

use super::combine::Combining;
use super::{Layout, Tables, WindowAggregate};
use crate::merge::AccumulatorTable;
use crate::{OperatorContext, OperatorError, Output, Progress};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use weir_state::{CACHED_ROWS, KeyedStateBackend, Namespace, ScanCursor};
use weir_types::{ChangelogBatch, WindowSpec};

/// The window that is being emitted, and where its entries are.
pub(super) struct Firing {
    window_end: i64,
    from: Source,
}

enum Source {
    /// the slice goes with this window: its entries are taken out as they are emitted
    DrainSlice(i64),
    /// the slice is all there is of this window, and stays for later ones
    ScanSlice(i64, ScanCursor),
    /// slices that are combined as they are emitted, and stay for other windows
    Combine(Combining),
    /// merged slices
    DrainFiring,
}

/// Batches on their way out: small ones are put together.
#[derive(Default)]
struct Ready {
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl Ready {
    fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() == 0 {
            return;
        }
        self.rows += batch.num_rows();
        self.batches.push(batch);
    }

    fn flush(self, output: &mut Output) -> Result<(), OperatorError> {
        match &self.batches[..] {
            [] => {}
            [batch] => output.batch(ChangelogBatch::insert_only(batch.clone())),
            [first, ..] => {
                let all = concat_batches(&first.schema(), &self.batches)?;
                output.batch(ChangelogBatch::insert_only(all));
            }
        }
        Ok(())
    }
}

impl WindowAggregate {
    /// The end of the window that is due first, at whatever time; `None` if there is nothing in the state.
    pub(super) fn next_window(&self, keyed: &KeyedStateBackend) -> Option<i64> {
        let tables = self.tables.as_ref()?;
        let parked = tables.firing.as_ref().and_then(|table| first_window(keyed, table));
        parked.or_else(|| Some(self.next_window_of(first_window(keyed, &tables.slices)?)))
    }

    /// The next window to emit of those that hold the slice. Windows that were due before the slice came are
    /// not: its rows were late for them.
    fn next_window_of(&self, slice_end: i64) -> i64 {
        let windows = self.windows_of(slice_end);
        if self.is_overdue(windows.last) {
            return windows.last;
        }
        let passed = |end: i64| end <= self.fired_end || self.fires_at(end) <= self.previous;
        // By bisection: the later a window ends, the later it is due.
        let (mut low, mut high) = (0, (windows.last - windows.first) / windows.step_ms);
        while low < high {
            let middle = low + (high - low) / 2;
            if passed(windows.first + middle * windows.step_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        windows.first + low * windows.step_ms
    }

    /// True for the last window of a slice that should have gone with it: its emission was cut off by a
    /// restart. The rest goes out as it is.
    fn is_overdue(&self, last_window_end: i64) -> bool {
        !self.shares_slices() || self.fires_at(last_window_end) <= self.previous
    }

    /// Emits windows that are due, up to about one batch of rows.
    pub(super) fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let mut ready = Ready::default();
        while ready.rows < context.batch_rows {
            let more = match self.firing.take() {
                Some(firing) => self.emit_some(firing, context, &mut ready)?,
                None => self.begin(&mut context.keyed)?,
            };
            if !more {
                self.previous = self.progress;
                self.fired_end = i64::MIN;
                ready.flush(output)?;
                return Ok(Progress::Done);
            }
        }
        ready.flush(output)?;
        Ok(Progress::More)
    }

    fn emit_some(
        &mut self,
        mut firing: Firing,
        context: &mut OperatorContext,
        ready: &mut Ready,
    ) -> Result<bool, OperatorError> {
        if let Source::Combine(combining) = &mut firing.from {
            match self.combine_some(combining, firing.window_end, context)? {
                Some(batch) => {
                    ready.push(batch);
                    self.firing = Some(firing);
                }
                None => self.expire(firing.window_end, None, &mut context.keyed)?,
            }
            return Ok(true);
        }
        let tables = opened(&self.tables)?;
        let limit = context.batch_rows - ready.rows;
        let mut slots = Vec::new();
        let window = Namespace::Window;
        let (table, namespace, more) = match &mut firing.from {
            Source::DrainSlice(slice_end) => {
                let namespace = window(*slice_end);
                let more = context.keyed.drain(tables.slices.state, namespace, limit, &mut slots);
                (&tables.slices, namespace, more)
            }
            Source::ScanSlice(slice_end, cursor) => {
                let namespace = window(*slice_end);
                let more = context.keyed.scan(tables.slices.state, namespace, cursor, limit, &mut slots);
                (&tables.slices, namespace, more)
            }
            Source::DrainFiring | Source::Combine(_) => {
                let (table, namespace) = (firing_table(tables)?, window(firing.window_end));
                (table, namespace, context.keyed.drain(table.state, namespace, limit, &mut slots))
            }
        };
        if more {
            let now_ms = context.clock.now_ms();
            let end = firing.window_end;
            if let Some(batch) =
                self.window_rows(&mut context.keyed, table.state, namespace, &slots, end, now_ms)?
            {
                ready.push(batch);
            }
            self.firing = Some(firing);
        } else {
            self.expire(firing.window_end, None, &mut context.keyed)?;
        }
        Ok(true)
    }

    /// Starts to emit the next window that is due; false if there is none.
    fn begin(&mut self, keyed: &mut KeyedStateBackend) -> Result<bool, OperatorError> {
        let tables = opened(&self.tables)?;
        let oldest = first_window(keyed, &tables.slices);
        let parked = tables.firing.as_ref().and_then(|table| first_window(keyed, table));
        if let Some(window_end) = parked {
            let left_over = oldest.map(|slice| self.windows_of(slice).last);
            if left_over.is_none_or(|last| window_end <= last || !self.is_overdue(last)) {
                self.firing = Some(Firing { window_end, from: Source::DrainFiring });
                return Ok(true);
            }
        }
        let Some(oldest) = oldest else { return Ok(false) };
        let window_end = self.next_window_of(oldest);
        if self.fires_at(window_end) > self.progress {
            return Ok(false);
        }
        let slices = self.slices_to_emit(keyed, oldest, window_end);
        if slices.len() > 1 && self.is_cumulative() {
            self.merge_into_first(&slices, keyed)?;
        } else if slices.len() > 1
            && self.combines()
            && let Some(combining) = Combining::new(&slices, opened(&self.tables)?.slices.state, keyed)
        {
            self.firing = Some(Firing { window_end, from: Source::Combine(combining) });
            return Ok(true);
        } else if slices.len() > 1 {
            self.merge_window(window_end, &slices, keyed)?;
            self.firing = Some(Firing { window_end, from: Source::DrainFiring });
            return Ok(true);
        }
        let from = match self.windows_of(oldest).last == window_end {
            true => Source::DrainSlice(oldest),
            false => Source::ScanSlice(oldest, ScanCursor::default()),
        };
        self.firing = Some(Firing { window_end, from });
        Ok(true)
    }

    fn is_cumulative(&self) -> bool {
        matches!(self.spec.window, WindowSpec::Cumulate { .. })
    }

    /// The slices of a window that have entries, the oldest first; `oldest` is the oldest of all.
    fn slices_to_emit(&self, keyed: &KeyedStateBackend, oldest: i64, window_end: i64) -> Vec<i64> {
        let Some(tables) = &self.tables else { return Vec::new() };
        if self.is_overdue(self.windows_of(oldest).last) {
            return vec![oldest];
        }
        let ends = keyed.namespaces(tables.slices.state).filter_map(|namespace| match namespace {
            Namespace::Window(end) => Some(end),
            Namespace::Void => None,
        });
        match &self.layout {
            Layout::Attached { .. } => vec![oldest],
            Layout::Sliced(slices) => {
                let start = slices.window_start(window_end);
                ends.take_while(|end| *end <= window_end).filter(|end| *end > start).collect()
            }
        }
    }

    /// CUMULATE: the oldest slice takes up the others.
    fn merge_into_first(
        &mut self,
        slices: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let [first, later @ ..] = slices else { return Ok(()) };
        for slice in later {
            self.merge_slice(*slice, ScanCursor::default(), Target::Slice(*first), keyed)?;
            keyed.drop_namespace(opened(&self.tables)?.slices.state, Namespace::Window(*slice));
        }
        Ok(())
    }

    /// HOP: the newest slice first, as Flink does; it shows in LISTAGG.
    fn merge_window(
        &mut self,
        window_end: i64,
        slices: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        for slice in slices.iter().rev() {
            self.merge_slice(*slice, ScanCursor::default(), Target::Firing(window_end), keyed)?;
        }
        Ok(())
    }

    /// Adds the entries of a slice, from `cursor` on, to those of a window or another slice.
    fn merge_slice(
        &mut self,
        slice_end: i64,
        mut cursor: ScanCursor,
        target: Target,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let tables = opened(&self.tables)?;
        let (table, into) = match target {
            Target::Slice(end) => (&tables.slices, Namespace::Window(end)),
            Target::Firing(end) => (firing_table(tables)?, Namespace::Window(end)),
        };
        let from = Namespace::Window(slice_end);
        let mut slots = Vec::new();
        let count_word = self.count_word();
        let found = &mut self.scratch.found;
        while keyed.scan(tables.slices.state, from, &mut cursor, CACHED_ROWS, &mut slots) {
            let keys = keyed.keys(tables.slices.state, from, &slots);
            keyed.resolve(table.state, into, &keys, found);
            let all_new = found.created.len() == found.slots.len();
            self.scratch.merger.merge(
                keyed,
                &self.set,
                (&tables.slices, from, &slots),
                (table, into, &found.slots),
                count_word,
                all_new,
            )?;
            keyed.trim();
        }
        Ok(())
    }

    /// Drops the slices whose last window has been emitted, but for `drained` and those that a restart left
    /// over, whose rows are still to be emitted.
    fn expire(
        &mut self,
        window_end: i64,
        drained: Option<i64>,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        self.fired_end = self.fired_end.max(window_end);
        let state = opened(&self.tables)?.slices.state;
        let mut after = i64::MIN;
        while let Some(slice) = window_after(keyed, &opened(&self.tables)?.slices, after) {
            let last = self.windows_of(slice).last;
            if last > window_end {
                break;
            }
            if drained != Some(slice) && !self.is_overdue(last) {
                keyed.drop_namespace(state, Namespace::Window(slice));
            }
            after = slice;
        }
        Ok(())
    }

    /// Before a snapshot: windows that are due and share slices with later ones move to the state `firing`,
    /// so that what is in the slices is not due and a restart at any parallelism emits each window once.
    pub(super) fn park(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        if !self.shares_slices() {
            return Ok(());
        }
        let keyed = &mut context.keyed;
        let mut drained = None;
        match self.firing.take() {
            // The state knows how far it is drained.
            Some(firing @ Firing { from: Source::DrainSlice(slice), .. }) => {
                drained = Some(slice);
                self.fired_end = self.fired_end.max(firing.window_end);
                self.firing = Some(firing);
            }
            Some(Firing { window_end, from: Source::ScanSlice(slice, cursor) }) => {
                self.merge_slice(slice, cursor, Target::Firing(window_end), keyed)?;
                self.expire(window_end, drained, keyed)?;
            }
            Some(Firing { window_end, from: Source::Combine(combining) }) => {
                self.park_rest(combining, window_end, keyed)?;
                self.expire(window_end, drained, keyed)?;
            }
            Some(Firing { window_end, from: Source::DrainFiring }) => {
                self.expire(window_end, drained, keyed)?
            }
            None => {}
        }
        while let Some(oldest) =
            window_after(keyed, &opened(&self.tables)?.slices, drained.unwrap_or(i64::MIN))
        {
            let window_end = self.next_window_of(oldest);
            if self.fires_at(window_end) > self.progress {
                break;
            }
            let mut slices = self.slices_to_emit(keyed, oldest, window_end);
            if self.is_cumulative() {
                self.merge_into_first(&slices, keyed)?;
                slices.truncate(1);
            }
            self.merge_window(window_end, &slices, keyed)?;
            self.expire(window_end, drained, keyed)?;
        }
        Ok(())
    }
}

/// Where the entries of a slice are added to.
#[derive(Clone, Copy)]
enum Target {
    Slice(i64),
    Firing(i64),
}

pub(super) fn opened(tables: &Option<Tables>) -> Result<&Tables, OperatorError> {
    tables.as_ref().ok_or_else(|| OperatorError::internal("an operator was not opened"))
}

pub(super) fn firing_table(tables: &Tables) -> Result<&AccumulatorTable, OperatorError> {
    tables.firing.as_ref().ok_or_else(|| OperatorError::internal("windows that share no slices are merged"))
}

fn first_window(keyed: &KeyedStateBackend, table: &AccumulatorTable) -> Option<i64> {
    keyed.first_window_until(table.state, i64::MAX)
}

/// The first window or slice that ends after `end`.
fn window_after(keyed: &KeyedStateBackend, table: &AccumulatorTable, end: i64) -> Option<i64> {
    keyed.namespaces(table.state).find_map(|namespace| match namespace {
        Namespace::Window(window_end) if window_end > end => Some(window_end),
        _ => None,
    })
}
