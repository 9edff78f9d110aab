//! What a snapshot has yet to read of a table's pages, while rows of them are written.
//!
//! Table and snapshot share pages. Whoever comes to a page first decides what becomes of it:
//!
//! - Who writes the snapshot reads the rows from the page and lets go of it.
//! - Who writes a row, before that, takes out the rows that the snapshot wants, into pages of such rows; the page is the
//!   table's alone again.
//! - Who writes a row, just while the other reads, has to duplicate the page.
//!
//! A snapshot wants few of the rows of most pages, and reading them is what it is about anyway: no memory is taken for
//! the rest, and nothing else of it copied. A page is read into columns at once, so that hardly any is duplicated.

use crate::page::{Page, PagePool};
use crate::row_layout::{Flag, STAMP_BYTES};
use crate::row_store::stamp_of;
use parking_lot::Mutex;
use std::sync::Arc;

/// Which rows of a page a snapshot writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// those with an entry
    Live,
    /// those that were written after this interval, whether an entry is there or not
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
}

/// Rows and their slots, both in the order of the slots.
#[derive(Default)]
pub(crate) struct Selected {
    pub(crate) rows: Vec<*const u8>,
    pub(crate) slots: Vec<u32>,
}

/// The pages of a table that a snapshot has yet to read.
pub(crate) struct Held {
    range: RowRange,
    /// of which page the first of `holds` is
    first: usize,
    holds: Vec<Mutex<Hold>>,
}

enum Hold {
    /// nothing is to be read of it any more
    Done,
    /// nobody has written it since
    Page(Arc<Page>, Wanted),
    /// what was wanted of it
    Rows(Vec<Run>),
}

/// Rows one behind the other, with their slots in the place of their stamps.
struct Run {
    page: Arc<Page>,
    first: u32,
    rows: u32,
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
            Mutex::new(wanted.map_or(Hold::Done, |wanted| Hold::Page(page.clone(), wanted)))
        };
        Arc::new(Held { range, first, holds: pages.iter().zip(wanted).map(hold).collect() })
    }

    /// Selects the rows that are wanted of page number `page`, hands them to `read`, and lets go of them.
    pub(crate) fn read(&self, page: u32, selected: &mut Selected, read: impl FnOnce(&mut Selected)) {
        let hold = std::mem::replace(&mut *self.holds[page as usize - self.first].lock(), Hold::Done);
        selected.rows.clear();
        selected.slots.clear();
        match &hold {
            Hold::Done => {}
            Hold::Page(held, wanted) => {
                // SAFETY: the page has the rows of these slots, and nobody writes to it as long as it is held.
                unsafe { self.range.select(held.start(), page, *wanted, &mut selected.slots) };
                let row = |slot: &u32| held.start().cast_const().wrapping_add(self.range.offset(*slot));
                selected.rows.extend(selected.slots.iter().map(row));
            }
            Hold::Rows(runs) => runs.iter().for_each(|run| run.select(self.range.stride, selected)),
        }
        read(selected);
    }

    /// The table is about to write to `page`, its page number `number`. What the snapshot wants of it is taken out and put
    /// into `kept`, and the snapshot lets go of the page, unless it reads it just now or has another one of that number.
    pub(crate) fn take_out(&self, number: usize, page: &Arc<Page>, pool: &Arc<PagePool>, kept: &mut Kept) {
        let Some(hold) = number.checked_sub(self.first).and_then(|place| self.holds.get(place)) else {
            return;
        };
        let mut hold = hold.lock();
        let wanted = match &*hold {
            Hold::Page(held, wanted) if Arc::ptr_eq(held, page) => *wanted,
            _ => return,
        };
        let slots = &mut kept.slots;
        // SAFETY: the page has the rows of these slots, and is written by the caller alone.
        unsafe { self.range.select(page.start(), number as u32, wanted, slots) };
        *hold = Hold::Rows(kept.copy(page, &self.range, pool));
    }
}

impl RowRange {
    /// Where the row of `slot` is in its page.
    #[inline]
    fn offset(&self, slot: u32) -> usize {
        (slot & self.mask) as usize * self.stride
    }

    /// The slots of page number `page` whose rows, which begin at `start`, are wanted.
    ///
    /// # Safety
    /// The rows of those slots of the page that this range has are readable; with stamps, if these are asked for.
    unsafe fn select(&self, start: *const u8, page: u32, wanted: Wanted, slots: &mut Vec<u32>) {
        let first = page << self.shift;
        let (from, to) = (first.max(self.drained), (first | self.mask).saturating_add(1).min(self.len));
        let (stride, live) = (self.stride, self.live);
        // SAFETY: the caller's promise.
        match wanted {
            Wanted::Live => unsafe {
                let is_live = |row: *const u8| *row.add(live.offset) & live.bit != 0;
                self.select_where(start, from..to, slots, is_live);
            },
            Wanted::WrittenAfter(since) => unsafe {
                self.select_where(start, from..to, slots, |row| stamp_of(row, stride) > since);
            },
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
        range: std::ops::Range<u32>,
        slots: &mut Vec<u32>,
        is_wanted: impl Fn(*const u8) -> bool,
    ) {
        slots.clear();
        slots.reserve(range.len());
        let (places, mut count) = (slots.as_mut_ptr(), 0);
        for slot in range {
            // SAFETY: the caller's promise; there is room for all slots of the range.
            unsafe {
                places.add(count).write(slot);
                count += usize::from(is_wanted(start.add(self.offset(slot))));
            }
        }
        // SAFETY: so many were written.
        unsafe { slots.set_len(count) };
    }
}

/// Where rows go that are taken out: the page that has room for more, shared with those that read the rows before.
#[derive(Default)]
pub(crate) struct Kept {
    page: Option<Arc<Page>>,
    /// rows of it
    used: u32,
    /// memory for those of the page that is taken from
    slots: Vec<u32>,
}

impl Kept {
    /// Begins with another page, so that the one before goes with what reads from it.
    pub(crate) fn begin(&mut self) {
        self.page = None;
    }

    /// Copies the rows of `self.slots` from `from` to pages of `pool`, which have room for as many as `from`.
    fn copy(&mut self, from: &Page, range: &RowRange, pool: &Arc<PagePool>) -> Vec<Run> {
        let (mut runs, mut left) = (Vec::with_capacity(2), self.slots.as_slice());
        while !left.is_empty() {
            let page = match self.page.take().filter(|_| self.used <= range.mask) {
                Some(page) => page,
                None => {
                    self.used = 0;
                    pool.page()
                }
            };
            let (now, later) = left.split_at(left.len().min((range.mask + 1 - self.used) as usize));
            // SAFETY: slots that were selected have rows in `from`; a page of the pool has `mask + 1` rows, of which
            // those from `used` on are nobody's yet.
            unsafe {
                let to = page.start().add(self.used as usize * range.stride);
                copy_rows(from.start(), now, range, to);
            }
            runs.push(Run { page: page.clone(), first: self.used, rows: now.len() as u32 });
            self.used += now.len() as u32;
            self.page = Some(page);
            left = later;
        }
        runs
    }
}

impl Run {
    fn select(&self, stride: usize, selected: &mut Selected) {
        for row in self.first..self.first + self.rows {
            // SAFETY: the rows were written before the run was made, with their slots at their ends.
            let (row, slot) = unsafe {
                let row = self.page.start().cast_const().add(row as usize * stride);
                (row, row.add(stride - STAMP_BYTES).cast::<u32>().read_unaligned())
            };
            selected.rows.push(row);
            selected.slots.push(slot);
        }
    }
}

/// Copies the rows of `slots` out of a page to where `to` points, one behind the other, and puts their slots into the
/// place of their stamps.
///
/// # Safety
/// The rows are readable, and there is room for as many at `to`.
unsafe fn copy_rows(from: *const u8, slots: &[u32], range: &RowRange, to: *mut u8) {
    /// Rows of `WORDS` words, or of any number if that is 0.
    unsafe fn copy<const WORDS: usize>(from: *const u8, slots: &[u32], range: &RowRange, mut to: *mut u8) {
        let stride = if WORDS == 0 { range.stride } else { 8 * WORDS };
        for &slot in slots {
            // SAFETY: the caller's promise.
            unsafe {
                std::ptr::copy_nonoverlapping(from.add((slot & range.mask) as usize * stride), to, stride);
                to.add(stride - STAMP_BYTES).cast::<u32>().write_unaligned(slot);
                to = to.add(stride);
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        match range.stride {
            16 => copy::<2>(from, slots, range, to),
            24 => copy::<3>(from, slots, range, to),
            32 => copy::<4>(from, slots, range, to),
            40 => copy::<5>(from, slots, range, to),
            48 => copy::<6>(from, slots, range, to),
            56 => copy::<7>(from, slots, range, to),
            64 => copy::<8>(from, slots, range, to),
            _ => copy::<0>(from, slots, range, to),
        }
    }
}

#[cfg(test)]
mod tests;
