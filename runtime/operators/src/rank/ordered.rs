//! The rows of one partition in their order.

use super::emit::Emission;
use crate::partitions::Source;
use arrow::row::Row;
use weir_types::{RankSpec, RowKind};

#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) key: Row<'a>,
    /// what the row is known by, where rows are taken back or come again
    pub(super) whole: Option<Row<'a>>,
    pub(super) source: Source,
}

/// Rows by sort key; of equal keys the earlier one first.
pub(super) struct Ordered<'a> {
    items: Vec<Item<'a>>,
    gone: Vec<u32>,
}

impl<'a> Ordered<'a> {
    /// `items` are in the order of their arrival. A checkpoint of a query whose rows could be taken back has more of them
    /// than the first ones.
    pub(super) fn new(mut items: Vec<Item<'a>>, spec: &RankSpec) -> Self {
        items.sort_by(|left, right| left.key.cmp(&right.key));
        let mut ordered = Ordered { items, gone: Vec::new() };
        let end = usize::try_from(spec.end).unwrap_or(usize::MAX);
        while !spec.input_retracts && ordered.items.len() > end {
            ordered.take_out(ordered.items.len() - 1);
        }
        ordered
    }

    pub(super) fn insert(&mut self, item: Item<'a>, spec: &RankSpec, emission: &mut Emission) {
        let end = usize::try_from(spec.end).unwrap_or(usize::MAX);
        let place = self.items.partition_point(|known| known.key <= item.key);
        let before = self.items.len();
        if place >= end {
            if spec.input_retracts {
                self.items.insert(place, item);
            }
            return;
        }
        self.items.insert(place, item);
        if spec.shows_ranks() {
            for rank in place + 1..=before.min(end) {
                emission.update(self.items[rank].source, self.items[rank - 1].source, rank, spec);
            }
            if before < end {
                emission.one(RowKind::Insert, self.items[before].source, before + 1, spec);
            }
        } else {
            match self.items.get(end).map(|item| item.source) {
                // The one row is replaced.
                Some(out) if end == 1 && !spec.input_retracts => emission.update(out, item.source, 1, spec),
                Some(out) => {
                    emission.one(RowKind::Delete, out, 1, spec);
                    emission.one(RowKind::Insert, item.source, 1, spec);
                }
                None => emission.one(RowKind::Insert, item.source, 1, spec),
            }
        }
        if !spec.input_retracts && self.items.len() > end {
            self.take_out(end);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// What the last of the rows is ordered by.
    pub(super) fn last_key(&self) -> Option<Row<'a>> {
        self.items.last().map(|item| item.key)
    }

    /// Takes the rows from `place` on out, in their order.
    pub(super) fn cut(&mut self, place: usize) -> Vec<Source> {
        let sources: Vec<Source> = self.items.drain(place..).map(|item| item.source).collect();
        self.gone.extend(sources.iter().filter_map(|source| match source {
            Source::Kept(slot) => Some(*slot),
            Source::Batch(_) => None,
        }));
        sources
    }

    /// A row that is not there is passed over: its state has expired, or it is not in order. Tells whether it was there.
    pub(super) fn remove(&mut self, item: &Item<'a>, spec: &RankSpec, emission: &mut Emission) -> bool {
        let end = usize::try_from(spec.end).unwrap_or(usize::MAX);
        let start = self.items.partition_point(|known| known.key < item.key);
        let equal = self.items[start..].iter().take_while(|known| known.key == item.key);
        let Some(place) =
            equal.into_iter().position(|known| known.whole == item.whole).map(|found| start + found)
        else {
            return false;
        };
        let before = self.items.len();
        if spec.shows_ranks() {
            for rank in place + 1..=(before - 1).min(end) {
                emission.update(self.items[rank - 1].source, self.items[rank].source, rank, spec);
            }
            if before <= end {
                emission.one(RowKind::Delete, self.items[before - 1].source, before, spec);
            }
        } else if place < end {
            emission.one(RowKind::Delete, self.items[place].source, 1, spec);
            if let Some(next) = self.items.get(end) {
                emission.one(RowKind::Insert, next.source, 1, spec);
            }
        }
        self.take_out(place);
        true
    }

    /// A row that may be here already, under another sort key: it takes its new place. Those between give way.
    pub(super) fn put(&mut self, item: Item<'a>, spec: &RankSpec, emission: &mut Emission) {
        let Some(old) = self.items.iter().position(|known| known.whole == item.whole) else {
            return self.insert(item, spec, emission);
        };
        let before = self.items[old];
        self.take_out(old);
        let place = match before.key == item.key {
            true => old,
            false => self.items.partition_point(|known| known.key <= item.key),
        };
        self.items.insert(place, item);
        if !spec.shows_ranks() {
            return emission.update(before.source, item.source, 1, spec);
        }
        for now in place.min(old)..=place.max(old) {
            // What was at this rank before.
            let was = match now {
                now if now == old => before,
                now if place < old => self.items[now + 1],
                now => self.items[now - 1],
            };
            emission.update(was.source, self.items[now].source, now + 1, spec);
        }
    }

    fn take_out(&mut self, place: usize) {
        if let Source::Kept(slot) = self.items.remove(place).source {
            self.gone.push(slot);
        }
    }

    /// Appends the slots of rows that are gone, and the rows of the batch that stay, in the order of their arrival.
    pub(super) fn changes(self, gone: &mut Vec<u32>, new: &mut Vec<u32>) {
        gone.extend(self.gone);
        let start = new.len();
        new.extend(self.items.iter().filter_map(|item| match item.source {
            Source::Batch(row) => Some(row),
            Source::Kept(_) => None,
        }));
        new[start..].sort_unstable();
    }
}
