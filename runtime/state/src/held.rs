//! What a snapshot has yet to read of a table's pages, while rows of them are written.
//!
//! Table and snapshot share pages. Whoever comes to a row first decides where the snapshot reads it:
//!
//! - Who writes the snapshot reads the rows that it wants of a page, and lets go of the page.
//! - Who writes a row of a page that was not read yet copies it beside the page first, if the snapshot wants it. From then
//!   on its stamp says that what is in the page is newer than the snapshot.
//!
//! So as many rows are copied as are written while the snapshot is, whatever the size of the table, and no page. Each page
//! has a lock, which is held while one row is copied, or for the microseconds in which a page is read into columns.

use crate::huge::prefetch;
use crate::page::{Page, PagePool};
use crate::row_layout::{Flag, STAMP_BYTES};
use crate::row_store::{CLEAN, raw_stamp, stamp, stamp_of};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// How far ahead of rows that are read one after the other the next ones are loaded.
const AHEAD_BYTES: usize = 1024;

/// Copies of rows of one page lie one behind the other, up to so many.
const RUN_ROWS: u32 = 32;

/// Once this part of a page's rows was copied one by one, the others that are wanted are copied at once: each by itself costs
/// as much as some in a row.
const ENOUGH: u32 = 8;

/// Which rows of a page a snapshot writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// those with an entry that the disk does not have as it is
    Live,
    /// those that were written, or read from disk, after this interval, whether an entry is there or not
    WrittenAfter(u32),
}

/// How rows lie in pages, and which of them there were.
#[derive(Clone, Copy)]
pub(crate) struct RowRange {
    pub(crate) shift: u32,
    pub(crate) mask: u32,
    pub(crate) stride: usize,
    pub(crate) live: Flag,
    /// slots from this on were not drained
    pub(crate) drained: u32,
    /// slots below this were given out
    pub(crate) len: u32,
    /// the interval in which the snapshot was taken: rows with a later one are not what they were
    pub(crate) until: u32,
}

/// Rows and their slots, both in the order of the slots.
#[derive(Default)]
pub(crate) struct Selected {
    pub(crate) rows: Vec<*const u8>,
    pub(crate) slots: Vec<u32>,
    /// of each row of the page its copy, null if there is none; empty if there are no copies
    copies: Vec<*const u8>,
}

/// The pages of a table that a snapshot has yet to read.
pub(crate) struct Held {
    range: RowRange,
    /// of which page the first of `holds` is
    first: usize,
    holds: Vec<Line>,
}

/// Who writes a row of one page after the other looks at no more than this of each.
#[repr(align(64))]
struct Line(Mutex<Hold>);

/// What a snapshot has yet to read of one page.
#[derive(Default)]
struct Hold {
    /// what is wanted of the page is read from it, unless it is among the copies
    page: Option<(Arc<Page>, Wanted)>,
    copies: Option<Run>,
    /// rows that were copied one by one
    copied: u32,
}

/// Copies of rows one behind the other, with their slots in the place of their intervals.
struct Run {
    page: Arc<Page>,
    first: u32,
    rows: u32,
    /// full
    before: Option<Box<Run>>,
}

/// A page of a table, some of whose rows are about to be written.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) number: usize,
    pub(crate) page: &'a Arc<Page>,
    /// where copies go
    pub(crate) pool: &'a Arc<PagePool>,
    pub(crate) kept: &'a Mutex<Kept>,
}

impl Held {
    /// Of `pages`, of which the first is page number `first`, what is wanted.
    pub(crate) fn new(
        range: RowRange,
        first: usize,
        pages: &[Arc<Page>],
        wanted: impl Iterator<Item = Option<Wanted>>,
    ) -> Arc<Held> {
        let hold = |(page, wanted): (&Arc<Page>, Option<Wanted>)| {
            let page = wanted.map(|wanted| (page.clone(), wanted));
            Line(Mutex::new(Hold { page, copies: None, copied: 0 }))
        };
        Arc::new(Held { range, first, holds: pages.iter().zip(wanted).map(hold).collect() })
    }

    /// Selects the rows that are wanted of page number `page`, hands them to `read`, and lets go of them. Rows of the page
    /// can be written again after that.
    pub(crate) fn read(&self, page: u32, selected: &mut Selected, read: impl FnOnce(&mut Selected)) {
        let mut hold = self.holds[page as usize - self.first].0.lock();
        let Hold { page: held, copies, .. } = std::mem::take(&mut *hold);
        selected.copies.clear();
        if copies.is_some() {
            selected.copies.resize(self.range.mask as usize + 1, std::ptr::null());
            let runs = std::iter::successors(copies.as_ref(), |run| run.before.as_deref());
            runs.for_each(|run| run.place(&self.range, &mut selected.copies));
        }
        // SAFETY: the page has the rows of the range, and as long as its lock is held nobody writes to those that are wanted.
        unsafe { self.range.select(held.as_ref(), page, selected) };
        read(selected);
    }

    /// The table is about to write `row`, that of `slot`, for the first time since the snapshots `all` were taken. Those that
    /// have yet to read the page get a copy of the row if they want it, and then it is stamped: none of them can look at the
    /// page in between. Returns whether any has yet to read the page.
    ///
    /// # Safety
    /// The row lies in the page, which no other thread writes to.
    pub(crate) unsafe fn write_row(
        all: &[Arc<Held>],
        written: Written<'_>,
        slot: u32,
        row: *mut u8,
        (stride, new_stamp): (usize, u32),
    ) -> bool {
        let Some((held, others)) = all.split_first() else {
            // SAFETY: a row of this length.
            unsafe { stamp(row, stride, new_stamp) };
            return false;
        };
        let mut hold = held.hold_of(written.number).map(Mutex::lock);
        let wanted = hold.as_deref().and_then(|hold| hold.wanted_of(written.page));
        if let (Some(hold), Some(wanted)) = (hold.as_deref_mut(), wanted) {
            // SAFETY: the caller's promise.
            unsafe {
                if hold.copied > held.range.mask / ENOUGH {
                    hold.take_out(&held.range, written);
                } else if held.range.had(slot) && held.range.is_wanted(row, wanted) {
                    hold.copy(row, slot, &held.range, written);
                    hold.copied += 1;
                }
            }
        }
        let is_held = hold.as_deref().is_some_and(|hold| hold.wanted_of(written.page).is_some());
        // SAFETY: the caller's promise.
        let others = unsafe { Held::write_row(others, written, slot, row, (stride, new_stamp)) };
        others || is_held
    }

    /// The table is about to write any rows of a page: all that the snapshot wants of it is copied.
    pub(crate) fn take_out(&self, written: Written<'_>) {
        let Some(mut hold) = self.hold_of(written.number).map(Mutex::lock) else { return };
        if hold.wanted_of(written.page).is_some() {
            // SAFETY: its table, which writes to the page, is with the caller.
            unsafe { hold.take_out(&self.range, written) };
        }
    }

    fn hold_of(&self, number: usize) -> Option<&Mutex<Hold>> {
        number.checked_sub(self.first).and_then(|place| self.holds.get(place)).map(|line| &line.0)
    }

    /// Starts to load what writing a row of this page looks at.
    #[inline]
    pub(crate) fn prefetch(&self, number: usize) {
        prefetch(self.holds.as_ptr().wrapping_add(number.wrapping_sub(self.first)));
    }
}

impl Hold {
    /// What is yet to be read of `page`; nothing if the table had another page of that number.
    fn wanted_of(&self, page: &Arc<Page>) -> Option<Wanted> {
        self.page.as_ref().filter(|(held, _)| Arc::ptr_eq(held, page)).map(|(_, wanted)| *wanted)
    }

    /// Copies all that is wanted of the page and was not copied yet, and lets go of it.
    ///
    /// # Safety
    /// The page has the rows of the range, and no other thread writes to it.
    unsafe fn take_out(&mut self, range: &RowRange, written: Written<'_>) {
        let (page, mut selected) = (self.page.take(), Selected::default());
        // SAFETY: the caller's promise.
        unsafe {
            range.select(page.as_ref(), written.number as u32, &mut selected);
            for (&row, &slot) in selected.rows.iter().zip(&selected.slots) {
                self.copy(row, slot, range, written);
            }
        }
    }

    /// # Safety
    /// The row is readable, of the range's length.
    unsafe fn copy(&mut self, row: *const u8, slot: u32, range: &RowRange, written: Written<'_>) {
        let run = match self.copies.take() {
            Some(run) if run.rows < run_rows(range) => run,
            full => written.kept.lock().run(range, written.pool, full),
        };
        let run = self.copies.insert(run);
        // SAFETY: the caller's promise, and the run has room for another row, which nobody reads before this one is counted.
        unsafe {
            let copy = run.page.start().add((run.first + run.rows) as usize * range.stride);
            std::ptr::copy_nonoverlapping(row, copy, range.stride - STAMP_BYTES);
            stamp(copy, range.stride, raw_stamp(row, range.stride) & CLEAN | slot);
        }
        run.rows += 1;
    }
}

impl RowRange {
    /// Where the row of `slot` is in its page.
    #[inline]
    fn offset(&self, slot: u32) -> usize {
        (slot & self.mask) as usize * self.stride
    }

    /// Whether the snapshot may want what is at `slot`.
    fn had(&self, slot: u32) -> bool {
        (self.drained..self.len).contains(&slot)
    }

    /// # Safety
    /// A readable row, whose flags are not written if its stamp says that it is what it was.
    #[inline(always)]
    unsafe fn is_wanted(&self, row: *const u8, wanted: Wanted) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            match wanted {
                Wanted::Live => self.is_live(row),
                Wanted::WrittenAfter(since) => self.is_after(row, since),
            }
        }
    }

    /// # Safety
    /// As of `is_wanted`.
    #[inline(always)]
    unsafe fn is_live(&self, row: *const u8) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let stamp = raw_stamp(row, self.stride);
            stamp <= self.until && *row.add(self.live.offset) & self.live.bit != 0
        }
    }

    /// # Safety
    /// As of `is_wanted`.
    #[inline(always)]
    unsafe fn is_after(&self, row: *const u8, since: u32) -> bool {
        // SAFETY: the caller's promise.
        let stamp = unsafe { stamp_of(row, self.stride) };
        (stamp > since) & (stamp <= self.until)
    }

    /// The rows that are wanted of page number `number`, and those that were copied before.
    ///
    /// # Safety
    /// The rows of the page that this range has are readable, and those that are wanted are not written.
    unsafe fn select(&self, page: Option<&(Arc<Page>, Wanted)>, number: u32, selected: &mut Selected) {
        let Selected { rows, slots, copies } = selected;
        let copies = copies.as_slice();
        rows.clear();
        slots.clear();
        let first = number << self.shift;
        let range = first.max(self.drained)..(first | self.mask).saturating_add(1).min(self.len);
        let copy_of = |slot: &u32| copies.get((slot & self.mask) as usize).filter(|copy| !copy.is_null());
        let Some((page, wanted)) = page else {
            slots.extend(range.filter(|slot| copy_of(slot).is_some()));
            rows.extend(slots.iter().filter_map(copy_of));
            return;
        };
        let start = page.start().cast_const();
        // SAFETY: the caller's promise.
        unsafe {
            match *wanted {
                Wanted::Live => self.select_where(start, range, copies, slots, |row| self.is_live(row)),
                Wanted::WrittenAfter(since) => {
                    self.select_where(start, range, copies, slots, |row| self.is_after(row, since));
                }
            }
        }
        let row = |slot: &u32| start.wrapping_add(self.offset(*slot));
        match copies.is_empty() {
            true => rows.extend(slots.iter().map(row)),
            false => {
                rows.extend(slots.iter().map(|slot| copy_of(slot).copied().unwrap_or_else(|| row(slot))))
            }
        }
    }

    /// Which rows are wanted is not to be foreseen, so that nothing is decided by a branch.
    ///
    /// # Safety
    /// The rows of `range` are readable.
    #[inline(always)]
    unsafe fn select_where(
        &self,
        start: *const u8,
        range: Range<u32>,
        copies: &[*const u8],
        slots: &mut Vec<u32>,
        is_wanted: impl Fn(*const u8) -> bool,
    ) {
        slots.reserve(range.len());
        let (places, mut count) = (slots.as_mut_ptr(), 0);
        let mut row = start.wrapping_add(self.offset(range.start));
        let mut next = |slot: u32, is_copied: bool| {
            // The rows of a page are rarely cached.
            prefetch(row.wrapping_add(AHEAD_BYTES));
            // SAFETY: the caller's promise; there is room for all slots of the range.
            unsafe {
                places.add(count).write(slot);
                count += usize::from(is_copied | is_wanted(row));
            }
            row = row.wrapping_add(self.stride);
        };
        match copies.is_empty() {
            true => range.for_each(|slot| next(slot, false)),
            false => {
                let copies = &copies[(range.start & self.mask) as usize..];
                range.zip(copies).for_each(|(slot, copy)| next(slot, !copy.is_null()));
            }
        }
        // SAFETY: so many were written.
        unsafe { slots.set_len(count) };
    }
}

/// Rows of a run, so that runs fill a page.
fn run_rows(range: &RowRange) -> u32 {
    RUN_ROWS.min(range.mask + 1)
}

/// Where rows are copied to: the page that has room for more, shared with those that read the rows before.
#[derive(Default)]
pub(crate) struct Kept {
    page: Option<Arc<Page>>,
    /// rows of it
    used: u32,
}

impl Kept {
    /// Begins with another page, so that the one before goes with what reads from it.
    pub(crate) fn begin(&mut self) {
        self.page = None;
    }

    /// Room for more rows than those of `before`, in pages of `pool`, which have `mask + 1`.
    fn run(&mut self, range: &RowRange, pool: &Arc<PagePool>, before: Option<Run>) -> Run {
        let page = match self.page.take().filter(|_| self.used <= range.mask) {
            Some(page) => page,
            None => {
                self.used = 0;
                pool.page()
            }
        };
        let run = Run { page: page.clone(), first: self.used, rows: 0, before: before.map(Box::new) };
        self.used += run_rows(range);
        self.page = Some(page);
        run
    }
}

impl Run {
    /// Says where the copies are, by the places of their rows in their page.
    fn place(&self, range: &RowRange, copies: &mut [*const u8]) {
        let start = self.page.start().cast_const().wrapping_add(self.first as usize * range.stride);
        for row in (0..self.rows as usize).map(|row| start.wrapping_add(row * range.stride)) {
            // SAFETY: the row was copied before it was counted, with its slot at its end.
            let slot = unsafe { stamp_of(row, range.stride) };
            copies[(slot & range.mask) as usize] = row;
        }
    }
}

#[cfg(test)]
mod tests;
