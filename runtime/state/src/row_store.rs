//! Rows by slot number, in pages that snapshots may still have to read: see [`Held`].

use crate::chain::{Chain, PageCapture, Step};
use crate::held::{Held, Kept, RowRange, Wanted, Written};
use crate::history::Limits;
use crate::page::{Page, PagePool};
use crate::row_layout::{Flag, STAMP_BYTES};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_types::CheckpointId;

/// Rows of one page take at most so many bytes (or one row, if that is longer).
const PAGE_BYTES: usize = 64 << 10;

/// The first page of a table is as small as this until it is full: there may be a table per window, with few
/// entries each.
const FIRST_PAGE_BYTES: usize = 2 << 10;

/// `log2` of the rows of one page, for rows of `stride` bytes.
fn page_shift(stride: usize) -> u32 {
    (PAGE_BYTES / stride).max(1).ilog2()
}

/// The pages of all tables of one state.
pub(crate) struct PagePools {
    first: Arc<PagePool>,
    others: Arc<PagePool>,
    /// where rows go that snapshots want, of pages that are written before they are read
    kept: Mutex<Kept>,
    /// rows of a first page that is still small
    first_rows: u32,
    /// the present one
    interval: AtomicU32,
}

/// Says at the end of a row in which interval it was written. A snapshot may look at it meanwhile.
///
/// # Safety
/// A writable row of `stride` bytes with room for a stamp.
#[inline(always)]
pub(crate) unsafe fn stamp(row: *mut u8, stride: usize, interval: u32) {
    // SAFETY: the caller's promise; rows begin at multiples of eight bytes, of which their length is one.
    unsafe { AtomicU32::from_ptr(row.add(stride - STAMP_BYTES).cast()).store(interval, Ordering::Relaxed) };
}

/// In a stamp: the disk has the row as it is. Whatever is written to the row takes it away. No slot has this bit.
pub(crate) const CLEAN: u32 = 1 << 31;

/// What a row ends with.
///
/// # Safety
/// A readable row of `stride` bytes with a stamp.
#[inline(always)]
pub(crate) unsafe fn raw_stamp(row: *const u8, stride: usize) -> u32 {
    // SAFETY: as of `stamp`.
    let stamp = unsafe { AtomicU32::from_ptr(row.add(stride - STAMP_BYTES).cast_mut().cast()) };
    stamp.load(Ordering::Relaxed)
}

/// The interval in which a row was written, or read from disk.
///
/// # Safety
/// A readable row of `stride` bytes with a stamp.
#[inline(always)]
pub(crate) unsafe fn stamp_of(row: *const u8, stride: usize) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { raw_stamp(row, stride) & !CLEAN }
}

/// Whether the disk has the row as it is.
///
/// # Safety
/// A readable row of `stride` bytes with a stamp.
#[inline(always)]
pub(crate) unsafe fn is_clean(row: *const u8, stride: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { raw_stamp(row, stride) & CLEAN != 0 }
}

impl PagePools {
    pub(crate) fn new(stride: usize, interval: u32) -> Arc<Self> {
        let first_rows = (FIRST_PAGE_BYTES / stride).clamp(1, 1 << page_shift(stride));
        Arc::new(PagePools {
            first: PagePool::new(first_rows * stride),
            others: PagePool::new(stride << page_shift(stride)),
            kept: Mutex::default(),
            first_rows: first_rows as u32,
            interval: AtomicU32::new(interval),
        })
    }

    pub(crate) fn interval(&self) -> u32 {
        self.interval.load(Ordering::Relaxed)
    }

    pub(crate) fn enter_interval(&self, interval: u32) {
        self.interval.store(interval, Ordering::Relaxed);
    }
}

/// Page number `number` of a table, about to be written.
fn written<'a>(pools: &'a PagePools, number: usize, page: &'a Arc<Page>) -> Written<'a> {
    Written { number, page, pool: &pools.others, kept: &pools.kept }
}

pub(crate) struct RowStore {
    shift: u32,
    mask: u32,
    stride: usize,
    pools: Arc<PagePools>,
    pages: Vec<Arc<Page>>,
    /// the start of each page
    read: Vec<*mut u8>,
    /// the same where the page may be written at once; null where a snapshot may have yet to read it, or it was not written
    /// since
    write: Vec<*mut u8>,
    /// what snapshots hold of each page
    captured: Vec<PageCapture>,
    /// what they hold on top of that
    chain: Chain,
    /// what they have yet to read
    held: Vec<Arc<Held>>,
    /// somebody else reads the pages of snapshots too: they are duplicated before they are written
    duplicated: bool,
    /// what rows that are written are stamped with
    interval: u32,
    /// of all pages
    page_bytes: usize,
    /// slots that the pages have room for
    capacity: u32,
    /// slots given out so far: those at or above it have never been used
    len: u32,
    free: Vec<u32>,
    /// slots below it have been drained: gone, though their rows still say live
    drained: u32,
    live: usize,
}

// SAFETY: the pointers point into `pages`, which move with them.
unsafe impl Send for RowStore {}
// SAFETY: what takes `&self` only reads, and writing through columns needs the table borrowed mutably.
unsafe impl Sync for RowStore {}

impl RowStore {
    pub(crate) fn new(stride: usize, pools: Arc<PagePools>) -> Self {
        let shift = page_shift(stride);
        RowStore {
            shift,
            mask: (1 << shift) - 1,
            stride,
            interval: pools.interval(),
            pools,
            pages: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            captured: Vec::new(),
            chain: Chain::default(),
            held: Vec::new(),
            duplicated: false,
            page_bytes: 0,
            capacity: 0,
            len: 0,
            free: Vec::new(),
            drained: 0,
            live: 0,
        }
    }

    /// The end of the slots that were ever given out.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Entries that exist.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The end of the slots that have a row, used or not.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) fn drained(&self) -> u32 {
        self.drained
    }

    pub(crate) fn bytes(&self) -> usize {
        self.page_bytes
    }

    pub(crate) fn interval(&self) -> u32 {
        self.interval
    }

    /// Rows are stamped with this interval from now on.
    pub(crate) fn enter_interval(&mut self, interval: u32) {
        self.interval = interval;
    }

    /// Whether the disk has the row of `slot` as it is.
    pub(crate) fn is_clean(&self, slot: u32) -> bool {
        // SAFETY: a row of this store.
        unsafe { is_clean(self.row(slot), self.stride) }
    }

    /// The row of `slot` was just read from disk. Snapshots that hold the disk's files leave it out, and say so of its
    /// slot: another entry may have been there.
    pub(crate) fn set_clean(&mut self, slot: u32) {
        self.row_stamped(slot, self.interval | CLEAN);
    }

    pub(crate) fn pages(&self) -> &[Arc<Page>] {
        &self.pages
    }

    pub(crate) fn shape(&self) -> (u32, u32, usize) {
        (self.shift, self.mask, self.stride)
    }

    pub(crate) fn read_pages(&self) -> &[*mut u8] {
        &self.read
    }

    pub(crate) fn write_pages(&self) -> &[*mut u8] {
        &self.write
    }

    /// The row of `slot`, to read.
    ///
    /// # Panics
    /// If no page has room for `slot`.
    #[inline]
    pub(crate) fn row(&self, slot: u32) -> *const u8 {
        assert!(slot < self.capacity, "slot {slot} lies beyond its table");
        // SAFETY: a slot below the capacity has a row in a page.
        unsafe {
            let page = *self.read.get_unchecked((slot >> self.shift) as usize);
            page.add((slot & self.mask) as usize * self.stride)
        }
    }

    /// The row of `slot`, to write.
    ///
    /// # Panics
    /// If no page has room for `slot`.
    #[inline]
    pub(crate) fn row_mut(&mut self, slot: u32) -> *mut u8 {
        self.row_stamped(slot, self.interval)
    }

    #[inline]
    fn row_stamped(&mut self, slot: u32, new_stamp: u32) -> *mut u8 {
        assert!(slot < self.capacity, "slot {slot} lies beyond its table");
        // SAFETY: a slot below the capacity has a row in a page, which ends with a stamp.
        unsafe {
            let page = *self.write.get_unchecked((slot >> self.shift) as usize);
            if page.is_null() {
                return self.write_row(slot, new_stamp);
            }
            let row = page.add((slot & self.mask) as usize * self.stride);
            stamp(row, self.stride, new_stamp);
            row
        }
    }

    /// The row of `slot`, to write what means the same as before: for snapshots of changes the row stays as it is.
    ///
    /// # Panics
    /// If no page has room for `slot`.
    #[inline]
    pub(crate) fn row_moved(&mut self, slot: u32) -> *mut u8 {
        assert!(slot < self.capacity, "slot {slot} lies beyond its table");
        let index = (slot >> self.shift) as usize;
        // SAFETY: a slot below the capacity has a row in a page.
        unsafe {
            let mut page = *self.write.get_unchecked(index);
            if page.is_null() {
                page = self.make_writable(index);
            }
            page.add((slot & self.mask) as usize * self.stride)
        }
    }

    /// Starts to load the row of `slot`, which some page holds.
    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: u32) {
        let row = self.row(slot);
        crate::huge::prefetch(row);
        if self.stride > 32 {
            // SAFETY: the last byte of the same row.
            crate::huge::prefetch(unsafe { row.add(self.stride.min(128) - 1) });
        }
    }

    /// The row of `slot`, whose page a snapshot may have yet to read: it gets a copy if it wants the row as it was.
    ///
    /// # Panics
    /// If no page has room for `slot`.
    #[cold]
    #[inline(never)]
    pub(crate) fn write_row(&mut self, slot: u32, new_stamp: u32) -> *mut u8 {
        let (number, offset) = ((slot >> self.shift) as usize, (slot & self.mask) as usize * self.stride);
        if self.duplicated || self.capacity <= self.mask {
            let row = self.make_writable(number).wrapping_add(offset);
            // SAFETY: a row of a page that is this table's alone.
            unsafe { stamp(row, self.stride, new_stamp) };
            return row;
        }
        self.captured[number].written = self.interval;
        let (start, stride) = (self.read[number], self.stride);
        let row = start.wrapping_add(offset);
        self.forget_dropped();
        // SAFETY: a row of the page; one that was written in this interval was copied before, where it was wanted.
        let is_held = unsafe {
            if !self.held.is_empty() && stamp_of(row, stride) == self.interval {
                stamp(row, stride, new_stamp);
                return row;
            }
            let written = written(&self.pools, number, &self.pages[number]);
            Held::write_row(&self.held, written, slot, row, (stride, new_stamp))
        };
        if !is_held {
            self.write[number] = start;
        }
        row
    }

    /// Starts to load what writing the rows of `slots` looks at while a snapshot has yet to read pages.
    pub(crate) fn prefetch_held(&self, slots: &[u32]) {
        for held in self.held.iter().filter(|held| Arc::strong_count(held) > 1) {
            slots.iter().for_each(|slot| held.prefetch((slot >> self.shift) as usize));
        }
    }

    /// Forgets snapshots that have come to their end.
    fn forget_dropped(&mut self) {
        if self.held.iter().any(|held| Arc::strong_count(held) == 1) {
            self.held.retain_mut(|held| Arc::get_mut(held).is_none());
        }
    }

    /// The page may be written from now until the next snapshot: all that snapshots want of it is copied. One that others
    /// read too, and a small one, is duplicated.
    #[cold]
    #[inline(never)]
    fn make_writable(&mut self, page: usize) -> *mut u8 {
        self.captured[page].written = self.interval;
        if self.duplicated || self.capacity <= self.mask {
            // For the rows of a first page that is still small a page of the usual size would be larger.
            let held = &mut self.pages[page];
            if Arc::get_mut(held).is_none() {
                *held = held.duplicate();
            }
        } else {
            let written = written(&self.pools, page, &self.pages[page]);
            self.held.iter().for_each(|held| held.take_out(written));
        }
        let start = self.pages[page].start();
        self.read[page] = start;
        self.write[page] = start;
        start
    }

    /// A slot for a new entry, and its row, whose bytes are anything.
    #[inline]
    pub(crate) fn allocate(&mut self) -> (u32, *mut u8) {
        self.live += 1;
        if let Some(slot) = self.free.pop() {
            return (slot, self.row_mut(slot));
        }
        let slot = self.len;
        assert!(slot < CLEAN, "a state table holds 2^31 entries at most");
        self.len += 1;
        if slot == self.capacity {
            self.add_rows();
        }
        (slot, self.row_mut(slot))
    }

    #[cold]
    fn add_rows(&mut self) {
        let all = self.mask + 1;
        if self.pages.is_empty() && self.pools.first_rows < all {
            self.capacity = self.pools.first_rows;
            return self.add_page(self.pools.first.page());
        }
        let page = self.pools.others.page();
        if self.capacity < all && self.capacity > 0 {
            // The first page is small and full.
            let small = self.pages.pop().expect("the capacity is that of the first page");
            // SAFETY: the new page is larger and has no other owner.
            unsafe { std::ptr::copy_nonoverlapping(small.start(), page.start(), small.bytes()) };
            (self.read, self.write, self.captured) = (Vec::new(), Vec::new(), Vec::new());
            (self.capacity, self.page_bytes) = (0, 0);
        }
        self.capacity += all;
        self.add_page(page);
    }

    fn add_page(&mut self, page: Arc<Page>) {
        self.read.push(page.start());
        self.write.push(page.start());
        self.captured.push(PageCapture::default());
        self.page_bytes += page.bytes();
        self.pages.push(page);
    }

    /// `slot` may be given out again. Its row has been marked as not live.
    pub(crate) fn release(&mut self, slot: u32) {
        self.live -= 1;
        self.free.push(slot);
    }

    /// All slots below `end` are gone; the caller counted `gone` live ones among them. The page of the border
    /// differs from what was captured of it, since a capture ends at the border.
    pub(crate) fn drain_to(&mut self, end: u32, gone: usize) {
        self.drained = end;
        self.live -= gone;
        let page = (end >> self.shift) as usize;
        if end & self.mask != 0 && page < self.captured.len() {
            self.captured[page].base = None;
        }
        self.free.retain(|&slot| slot >= end);
    }

    /// The next snapshot refers as little as is reasonable to what these checkpoints wrote.
    pub(crate) fn forget(&mut self, written_by: &BTreeSet<CheckpointId>) {
        self.chain.forget(&mut self.captured, written_by);
    }

    /// What a snapshot does with the pages from `first` on; see [`Chain::plan`].
    pub(crate) fn plan(&mut self, first: usize, completed: u32, limits: Limits) -> (Vec<Step>, u32) {
        self.chain.plan(self.captured.get(first..).unwrap_or(&[]), completed, limits)
    }

    pub(crate) fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Makes every page read-only until its next write.
    pub(crate) fn freeze(&mut self) {
        self.write.fill(std::ptr::null_mut());
    }

    /// What a snapshot has yet to read: of the pages from `first` on the rows that are `wanted`, as they are now.
    /// `live` tells whether an entry is in a row. If something else than the snapshot reads from these pages,
    /// they are `shared`, as those of this table are always or never, and copying rows of them would be of no use. Another
    /// interval is to be entered before the next row is written.
    pub(crate) fn hold(
        &mut self,
        first: usize,
        wanted: impl Iterator<Item = Option<Wanted>>,
        live: Flag,
        shared: bool,
    ) -> Arc<Held> {
        self.freeze();
        let (shift, mask, stride) = self.shape();
        let (drained, len, until) = (self.drained, self.len, self.interval);
        let range = RowRange { shift, mask, stride, live, drained, len, until };
        let held = Held::new(range, first, self.pages.get(first..).unwrap_or(&[]), wanted);
        self.forget_dropped();
        self.duplicated = shared;
        if !shared {
            self.pools.kept.lock().begin();
            self.held.push(held.clone());
        }
        held
    }

    /// What snapshots hold of a page.
    pub(crate) fn capture(&mut self, page: usize) -> &mut PageCapture {
        &mut self.captured[page]
    }
}
