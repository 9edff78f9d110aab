//! Memory for rows: pages of one size, cut out of blocks that the kernel may back with huge pages.

use crate::huge;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::sync::Arc;

/// The size of a huge page. The first blocks of a pool are smaller: many states stay small.
const BLOCK_BYTES: usize = 2 << 20;
const FIRST_BLOCK_PAGES: usize = 4;

/// Hands out pages of one size and takes them back, from any thread.
pub(crate) struct PagePool {
    page_bytes: usize,
    pages_per_block: usize,
    blocks: Mutex<Blocks>,
}

#[derive(Default)]
struct Blocks {
    all: Vec<Option<Block>>,
    with_space: BTreeSet<usize>,
    /// blocks of which no page is handed out
    empty: usize,
}

struct Block {
    start: NonNull<u8>,
    pages: usize,
    free: Vec<u16>,
}

// The pool owns the blocks, and a page is used by whoever it was handed to.
unsafe impl Send for Blocks {}

/// A page of rows. Somebody else may read rows of it while others of them are written.
pub(crate) struct Page {
    start: NonNull<u8>,
    block: usize,
    index: u16,
    pool: Arc<PagePool>,
}

// SAFETY: a page is plain memory; `RowStore` writes rows that no snapshot reads, which `Held` sees to, and copies of rows
// only where none are yet. Snapshots only read.
unsafe impl Send for Page {}
unsafe impl Sync for Page {}

impl PagePool {
    pub(crate) fn new(page_bytes: usize) -> Arc<Self> {
        let pages_per_block = (BLOCK_BYTES / page_bytes).max(1);
        Arc::new(PagePool { page_bytes, pages_per_block, blocks: Mutex::default() })
    }

    /// A whole block is a huge page, or several.
    fn block_bytes(&self, pages: usize) -> usize {
        let unit = if pages == self.pages_per_block { BLOCK_BYTES } else { 4096 };
        (pages * self.page_bytes).next_multiple_of(unit)
    }

    /// A page whose bytes are initialised, to what is not said.
    pub(crate) fn page(self: &Arc<Self>) -> Arc<Page> {
        let mut guard = self.blocks.lock();
        let blocks = &mut *guard;
        let block = match blocks.with_space.first() {
            Some(&block) => block,
            None => {
                let vacant = blocks.all.iter().position(Option::is_none);
                let index = vacant.unwrap_or_else(|| {
                    blocks.all.push(None);
                    blocks.all.len() - 1
                });
                let pages = FIRST_BLOCK_PAGES << index.min(16);
                let pages = if 2 * pages > self.pages_per_block { self.pages_per_block } else { pages };
                blocks.all[index] = Some(self.new_block(pages));
                blocks.with_space.insert(index);
                blocks.empty += 1;
                index
            }
        };
        let entry = blocks.all[block].as_mut().expect("a block with space exists");
        blocks.empty -= usize::from(entry.free.len() == entry.pages);
        let index = entry.free.pop().expect("a block with space has a free page");
        if entry.free.is_empty() {
            blocks.with_space.remove(&block);
        }
        // SAFETY: `index` is below the number of pages of the block, so the page lies within the block.
        let start = unsafe { entry.start.add(usize::from(index) * self.page_bytes) };
        Arc::new(Page { start, block, index, pool: self.clone() })
    }

    fn new_block(&self, pages: usize) -> Block {
        let start = huge::allocate(self.block_bytes(pages));
        Block { start, pages, free: (0..pages as u16).rev().collect() }
    }

    fn give_back(&self, block: usize, index: u16) {
        let mut guard = self.blocks.lock();
        let blocks = &mut *guard;
        let entry = blocks.all[block].as_mut().expect("a block lives as long as its pages");
        entry.free.push(index);
        let all_free = entry.free.len() == entry.pages;
        blocks.with_space.insert(block);
        blocks.empty += usize::from(all_free);
        // Windows come and go, and a snapshot may have every page copied: half of the memory is kept for the next one.
        if all_free && blocks.empty > 2 + blocks.all.len() / 2 {
            let entry = blocks.all[block].take().expect("was there a moment ago");
            blocks.with_space.remove(&block);
            blocks.empty -= 1;
            // SAFETY: allocated with the same size, and none of its pages is in use.
            unsafe { huge::free(entry.start, self.block_bytes(entry.pages)) };
        }
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        let blocks: Vec<Block> = self.blocks.get_mut().all.drain(..).flatten().collect();
        for block in blocks {
            // SAFETY: allocated with the same size; each page holds the pool, so none is left.
            unsafe { huge::free(block.start, self.block_bytes(block.pages)) };
        }
    }
}

impl Page {
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pool.page_bytes
    }

    /// A copy of this page.
    pub(crate) fn duplicate(&self) -> Arc<Page> {
        let copy = self.pool.page();
        // SAFETY: both pages have `page_bytes` bytes, and the new one has no other owner.
        unsafe { std::ptr::copy_nonoverlapping(self.start(), copy.start(), self.pool.page_bytes) };
        copy
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.give_back(self.block, self.index);
    }
}
