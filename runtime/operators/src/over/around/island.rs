//! A stretch of a partition that rows come into, or go from: what it was, what it is, and where results may change.

use super::Table;
use super::ordered::Ordered;
use super::reach::Reach;
use std::ops::Range;

/// Rows are numbers of the [`Table`].
#[derive(Default)]
pub(super) struct Island {
    pub(super) group: usize,
    /// runs of the partition that are loaded
    pub(super) runs: Range<usize>,
    /// rows of the partition before these
    pub(super) base: u64,
    /// rows of the partition
    pub(super) total_before: u64,
    pub(super) total: u64,
    /// the rows that were there, in their order, and of which run each is
    pub(super) former: Vec<u32>,
    run_of: Vec<u32>,
    /// how many runs were loaded
    loaded: u32,
    removed: Vec<bool>,
    /// rows of the first run where that is only looked at: nothing in it changes
    pub(super) skip: usize,
    pending: Vec<u32>,
    /// the rows that are there now
    pub(super) items: Vec<u32>,
    /// where each of them was; `None`: it is new
    pub(super) from: Vec<Option<u32>>,
    /// where the rows of each loaded run end now
    pub(super) ends: Vec<usize>,
    /// whose results may be others, or are new, or go
    pub(super) touched: Vec<bool>,
    pub(super) touched_before: Vec<bool>,
}

impl Island {
    /// The run that accumulators before it are taken of.
    pub(super) fn first_counted(&self) -> usize {
        self.runs.start + usize::from(self.skip > 0)
    }

    pub(super) fn new(group: usize, runs: Range<usize>, base: u64, total: u64) -> Self {
        Island { group, runs, base, total_before: total, total, ..Island::default() }
    }

    /// The rows `items` of the next run, as they are kept.
    pub(super) fn load(&mut self, items: Range<u32>, table: &Table) {
        let start = self.former.len();
        self.former.extend(items);
        let key = |item: &u32| table.keys.key(*item as usize);
        self.former[start..].sort_by(|left, right| key(left).cmp(key(right)));
        let number = self.loaded;
        self.loaded += 1;
        self.run_of.resize(self.former.len(), number);
        self.removed.resize(self.former.len(), false);
    }

    pub(super) fn insert(&mut self, item: u32) {
        self.pending.push(item);
    }

    /// Takes a row out that equals `item`: the first of them. A row that is not there is passed over: its state has expired.
    pub(super) fn remove(&mut self, item: u32, table: &Table) {
        let key = table.keys.key(item as usize);
        let same = |known: u32| table.are_same(known, item);
        let former = Ordered { items: &self.former, keys: &table.keys };
        let mut equal = former.start_of(key, 0)..former.end_of(key, 0);
        if let Some(place) = equal.find(|place| !self.removed[*place] && same(self.former[*place])) {
            self.removed[place] = true;
        } else if let Some(place) = self.pending.iter().position(|known| same(*known)) {
            self.pending.remove(place);
        }
    }

    /// Puts rows in their places, and finds out which results this may change.
    pub(super) fn settle(&mut self, table: &Table, reach: &Reach) {
        let key = |item: u32| table.keys.key(item as usize);
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by(|left, right| key(*left).cmp(key(*right)));
        self.ends = vec![0; self.runs.len().max(1)];
        let mut news = pending.into_iter().peekable();
        let mut run = 0;
        for place in 0..self.former.len() {
            let item = self.former[place];
            while let Some(new) = news.next_if(|new| key(*new).is_before(key(item), 0)) {
                self.put(new, None, run);
            }
            run = self.run_of[place] as usize;
            if !self.removed[place] {
                self.put(item, Some(place as u32), run);
            }
        }
        for new in news {
            self.put(new, None, run);
        }
        let mut end = 0;
        for count in &mut self.ends {
            end += *count;
            *count = end;
        }
        self.total = self.total_before + self.items.len() as u64 - self.former.len() as u64;
        self.mark(table, reach);
    }

    fn put(&mut self, item: u32, from: Option<u32>, run: usize) {
        self.items.push(item);
        self.from.push(from);
        self.ends[run] += 1;
    }

    fn mark(&mut self, table: &Table, reach: &Reach) {
        let now = Ordered { items: &self.items, keys: &table.keys };
        let before = Ordered { items: &self.former, keys: &table.keys };
        let mut marks = (Marks::new(now.items.len()), Marks::new(before.items.len()));
        // A result that sees no row that came, nor saw one that went, is what it was.
        for at in (0..self.from.len()).filter(|at| self.from[*at].is_none()) {
            marks.0.add(now.around(at, &reach.changes));
        }
        for (place, _) in self.gone() {
            marks.1.add(before.around(place, &reach.changes));
        }
        self.touched = marks.0.finish();
        self.touched_before = marks.1.finish();
        for (at, from) in self.from.iter().enumerate() {
            let Some(from) = *from else { continue };
            let touched = self.touched[at] | self.touched_before[from as usize];
            self.touched[at] = touched;
            self.touched_before[from as usize] = touched;
        }
    }

    /// The rows that went, with where they were.
    pub(super) fn gone(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let places = self.removed.iter().enumerate().filter(|(_, removed)| **removed);
        places.map(|(place, _)| (place, self.former[place]))
    }

    /// True if nothing came or went.
    pub(super) fn is_unchanged(&self) -> bool {
        self.items.len() == self.former.len() && self.from.iter().all(Option::is_some)
    }
}

/// Ranges of places, laid over each other.
struct Marks(Vec<i32>);

impl Marks {
    fn new(len: usize) -> Self {
        Marks(vec![0; len + 1])
    }

    fn add(&mut self, range: Range<usize>) {
        self.0[range.start.min(range.end)] += 1;
        self.0[range.end] -= 1;
    }

    fn finish(self) -> Vec<bool> {
        let mut depth = 0;
        let len = self.0.len() - 1;
        let mark = |change: &i32| {
            depth += change;
            depth > 0
        };
        self.0[..len].iter().map(mark).collect()
    }
}
