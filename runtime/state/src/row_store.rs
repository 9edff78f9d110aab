//! Rows by slot number, in pages that are copied on the first write after a snapshot.

use crate::page::{Page, PagePool};
use crate::snapshot::Captured;
use std::sync::Arc;

/// Rows of one page take at most so many bytes (or one row, if that is longer).
const PAGE_BYTES: usize = 64 << 10;

/// `log2` of the rows of one page, for rows of `stride` bytes.
pub(crate) fn page_shift(stride: usize) -> u32 {
    (PAGE_BYTES / stride).max(1).ilog2()
}

pub(crate) struct RowStore {
    shift: u32,
    mask: u32,
    stride: usize,
    pool: Arc<PagePool>,
    pages: Vec<Arc<Page>>,
    /// the start of each page
    read: Vec<*mut u8>,
    /// the same where the page may be written at once; null where it may be shared, or its last capture still holds
    write: Vec<*mut u8>,
    /// the segment that holds exactly what the page holds now
    captured: Vec<Option<Arc<Captured>>>,
    /// slots given out so far: those at or above it have never been used
    len: u32,
    free: Vec<u32>,
    /// slots below it have been drained: gone, though their rows still say live
    drained: u32,
    live: usize,
}

// SAFETY: the pointers point into `pages`, which move with them.
unsafe impl Send for RowStore {}

impl RowStore {
    pub(crate) fn new(stride: usize, pool: Arc<PagePool>) -> Self {
        let shift = page_shift(stride);
        RowStore {
            shift,
            mask: (1 << shift) - 1,
            stride,
            pool,
            pages: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            captured: Vec::new(),
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

    pub(crate) fn drained(&self) -> u32 {
        self.drained
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.bytes()).sum()
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
    /// If no page holds `slot`.
    #[inline]
    pub(crate) fn row(&self, slot: u32) -> *const u8 {
        let page = self.read[(slot >> self.shift) as usize];
        // SAFETY: a page has `mask + 1` rows of `stride` bytes.
        unsafe { page.add((slot & self.mask) as usize * self.stride) }
    }

    /// The row of `slot`, to write.
    ///
    /// # Panics
    /// If no page holds `slot`.
    #[inline]
    pub(crate) fn row_mut(&mut self, slot: u32) -> *mut u8 {
        let index = (slot >> self.shift) as usize;
        let mut page = self.write[index];
        if page.is_null() {
            page = self.make_writable(index);
        }
        // SAFETY: a page has `mask + 1` rows of `stride` bytes.
        unsafe { page.add((slot & self.mask) as usize * self.stride) }
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

    /// The page may be written from now until the next snapshot. Copies it if a snapshot still holds it.
    #[cold]
    #[inline(never)]
    pub(crate) fn make_writable(&mut self, page: usize) -> *mut u8 {
        self.captured[page] = None;
        let held = &mut self.pages[page];
        if Arc::get_mut(held).is_none() {
            *held = held.duplicate();
        }
        let start = held.start();
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
        assert!(slot < u32::MAX - 1, "a state table holds 2^32 entries at most");
        self.len += 1;
        if slot & self.mask == 0 && (slot >> self.shift) as usize == self.pages.len() {
            self.add_page();
        }
        (slot, self.row_mut(slot))
    }

    #[cold]
    fn add_page(&mut self) {
        let page = self.pool.page();
        self.read.push(page.start());
        self.write.push(page.start());
        self.captured.push(None);
        self.pages.push(page);
    }

    /// `slot` may be given out again. Its row has been marked as not live.
    pub(crate) fn release(&mut self, slot: u32) {
        self.live -= 1;
        self.free.push(slot);
    }

    /// All slots below `end` are gone; the caller counted `gone` live ones among them. The page of the border differs from what
    /// was captured of it, since a capture ends at the border.
    pub(crate) fn drain_to(&mut self, end: u32, gone: usize) {
        self.drained = end;
        self.live -= gone;
        let page = (end >> self.shift) as usize;
        if end & self.mask != 0 && page < self.captured.len() {
            self.captured[page] = None;
        }
        self.free.retain(|&slot| slot >= end);
    }

    /// Makes every page read-only until its next write, and returns them with the segment that already holds
    /// each, if any does.
    pub(crate) fn freeze(&mut self) -> impl Iterator<Item = (&Arc<Page>, &mut Option<Arc<Captured>>)> {
        self.write.fill(std::ptr::null_mut());
        self.pages.iter().zip(&mut self.captured)
    }
}
