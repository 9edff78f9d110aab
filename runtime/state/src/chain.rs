//! What snapshots hold of a table: a segment of each page, and on top of these segments of rows that changed.
//!
//! A snapshot writes a page as a whole if no complete checkpoint holds it, and of other pages the rows that were
//! written since the last complete checkpoint. Nothing has to be undone when a checkpoint fails: which rows these are
//! follows from the stamps of the rows and from which checkpoint is complete.
//!
//! What lies on top costs space, and time when it is restored. So pages are written anew, the oldest first and a few
//! with each snapshot, once it amounts to an eighth of the pages: it stays below about their size, and no checkpoint
//! is suddenly a full one. Where that takes longer than [`Limits::links`] snapshots, the newer half of what lies on
//! top is joined, and where there is little of it, all: what changed since an earlier time is known as well.

use crate::held::Wanted;
use crate::history::Limits;
use crate::snapshot::Captured;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::CheckpointId;

/// What snapshots hold of a page.
#[derive(Default)]
pub(crate) struct PageCapture {
    /// the page as a whole, as it was when the interval of this ended
    pub(crate) base: Option<Arc<Captured>>,
    /// the last interval in which the page was written after a snapshot had shared it
    pub(crate) written: u32,
}

impl PageCapture {
    /// The segment, if it may be referred to.
    ///
    /// Each incremental snapshot writes anew what it may not refer to. So a page was captured last either by a
    /// complete checkpoint, or by one after the latest that is known to be complete.
    fn base(&self, completed: u32) -> Option<&Arc<Captured>> {
        self.base.as_ref().filter(|base| base.interval <= completed)
    }
}

/// Rows that one snapshot wrote, of all pages that had been written before.
struct Changes {
    parts: Vec<Arc<Captured>>,
    /// rows written after this interval, and until the end of that
    since: u32,
    until: u32,
}

impl Changes {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes()).sum()
    }
}

/// What a snapshot does with a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// earlier segments hold all of it
    Refer,
    /// writes it as a whole
    Whole,
    /// refers to it, and writes the rows that were written after this interval
    Changed(u32),
}

impl Step {
    /// Which rows of the page the snapshot reads for it.
    pub(crate) fn wanted(self) -> Option<Wanted> {
        match self {
            Step::Refer => None,
            Step::Whole => Some(Wanted::Live),
            Step::Changed(since) => Some(Wanted::WrittenAfter(since)),
        }
    }
}

/// The changes of a table that lie on top of its pages, the oldest first.
#[derive(Default)]
pub(crate) struct Chain {
    changes: Vec<Changes>,
    /// the next snapshot writes what changed since this interval
    join_from: Option<u32>,
}

/// Pages whose changes are written to one segment.
pub(crate) const PAGES_PER_SEGMENT: usize = 64;

/// Part of a table that is written anew at once because files are to go.
const AT_ONCE: u64 = 32;
const AT_ONCE_BYTES: u64 = 4 << 20;

fn bytes_of<'a>(bases: impl Iterator<Item = &'a Arc<Captured>>) -> u64 {
    bases.map(|base| base.bytes()).sum()
}

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Captured>> {
        self.changes.iter().flat_map(|changes| &changes.parts)
    }

    /// Adds what a snapshot that ends interval `until` writes, of rows written after `since`.
    pub(crate) fn add(&mut self, parts: Vec<Arc<Captured>>, since: u32, until: u32) {
        self.changes.push(Changes { parts, since, until });
    }

    /// What a snapshot does with each of `pages`, and since when what it writes of changes reaches; changes that it
    /// need not refer to are forgotten.
    pub(crate) fn plan(&mut self, pages: &[PageCapture], completed: u32, limits: Limits) -> (Vec<Step>, u32) {
        let bytes = bytes_of(pages.iter().filter_map(|page| page.base(completed)));
        if bytes < limits.table_bytes {
            self.changes.clear();
            let step = |page: &PageCapture| match page.base(completed) {
                Some(base) if page.written <= base.interval => Step::Refer,
                _ => Step::Whole,
            };
            return (pages.iter().map(step).collect(), completed);
        }
        let held = self.held_until(completed);
        let since = self.join(held, limits);
        let anew = oldest(pages, completed, self.budget(bytes, limits));
        let mut oldest_changed = u32::MAX;
        let steps = pages.iter().enumerate().map(|(place, page)| {
            let Some(base) = page.base(completed) else { return Step::Whole };
            if page.written <= base.interval {
                return Step::Refer;
            }
            if anew.contains(&place) {
                return Step::Whole;
            }
            oldest_changed = oldest_changed.min(base.interval);
            match page.written > since {
                true => Step::Changed(since.max(base.interval)),
                false => Step::Refer,
            }
        });
        let steps = steps.collect();
        self.changes.retain(|changes| changes.until > oldest_changed);
        (steps, since)
    }

    /// Forgets changes that no complete checkpoint holds, and tells until when the others reach.
    fn held_until(&mut self, completed: u32) -> u32 {
        let mut held = completed;
        while let Some(last) = self.changes.pop_if(|last| last.until > completed) {
            held = held.min(last.since);
        }
        held
    }

    /// Forgets changes that are to be written again together with newer ones, and tells until when the others reach.
    fn join(&mut self, held: u32, limits: Limits) -> u32 {
        let mut from = self.join_from.take().unwrap_or(held).min(held);
        let on_top: u64 = self.changes.iter().map(Changes::bytes).sum();
        if let Some(first) = self.changes.first().filter(|_| on_top < limits.table_bytes) {
            // So little that files are dearer than bytes.
            from = from.min(first.since);
        }
        if self.changes.len() >= limits.links.max(2) {
            from = from.min(self.changes[self.changes.len() / 2].since);
        }
        while let Some(last) = self.changes.pop_if(|last| last.until > from) {
            from = from.min(last.since);
        }
        from
    }

    /// Bytes of pages to be written anew if too much lies on top of `bytes`: what changes in an interval, with which what
    /// lies on top comes to about the pages' size, and up to twice that where there are so few changes that it would take
    /// more intervals than there may be links.
    fn budget(&self, bytes: u64, limits: Limits) -> u64 {
        let (Some(first), Some(last)) = (self.changes.first(), self.changes.last()) else { return 0 };
        let on_top: u64 = self.changes.iter().map(Changes::bytes).sum();
        let intervals = u64::from(last.until.saturating_sub(first.since).max(1));
        if 8 * on_top < bytes {
            return 0;
        }
        let rate = (on_top / intervals).max(1);
        (bytes * 4 / (3 * limits.links as u64).max(1)).clamp(rate, 2 * rate)
    }

    /// The next snapshot refers to nothing that `written_by` wrote, as far as writing it anew takes no more than a part
    /// of the table.
    pub(crate) fn forget(&mut self, pages: &mut [PageCapture], written_by: &BTreeSet<CheckpointId>) {
        let of_them = |captured: &Arc<Captured>| written_by.contains(&captured.id.checkpoint);
        let bytes = bytes_of(pages.iter().filter_map(|page| page.base.as_ref()));
        let mut left = (bytes / AT_ONCE).max(AT_ONCE_BYTES);
        let first = self.changes.iter().position(|changes| changes.parts.iter().any(of_them));
        if let Some(first) = first {
            let cost: u64 = self.changes[first..].iter().map(Changes::bytes).sum();
            if cost <= left {
                self.join_from = Some(self.changes[first].since);
                left -= cost;
            }
        }
        for page in pages {
            let Some(bytes) = page.base.as_ref().filter(|base| of_them(base)).map(|base| base.bytes()) else {
                continue;
            };
            if bytes > left {
                return;
            }
            left -= bytes;
            page.base = None;
        }
    }
}

/// The changed pages that were written as a whole longest ago, about as many as `budget` bytes take.
fn oldest(pages: &[PageCapture], completed: u32, budget: u64) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    if budget == 0 {
        return chosen;
    }
    let changed = |(place, page): (usize, &PageCapture)| {
        let base = page.base(completed).filter(|base| page.written > base.interval)?;
        Some((base.interval, place, base.bytes()))
    };
    let mut changed: Vec<(u32, usize, u64)> = pages.iter().enumerate().filter_map(changed).collect();
    changed.sort_unstable();
    let mut used = 0;
    for (_, place, bytes) in changed {
        if used >= budget {
            break;
        }
        used += bytes;
        chosen.insert(place);
    }
    chosen
}

#[cfg(test)]
mod tests;
