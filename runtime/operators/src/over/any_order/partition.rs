//! The rows of one partition in their order.

use super::Table;
use super::steps::{Place, Sources};
use arrow::row::Rows;
use std::ops::Range;
use weir_types::{OverAnyOrderSpec, RowKind};

/// Rows by key; of equal keys the earlier one first. Rows are places in the [`Table`].
#[derive(Default)]
pub(super) struct Partition {
    /// rows that come before all of `items` and are not needed
    pub(super) before: usize,
    pub(super) items: Vec<u32>,
    /// where the result of each item stands
    pub(super) results: Vec<Place>,
    /// the same before the changes that are under way
    pub(super) former: Vec<Place>,
    /// rows that were taken out
    pub(super) gone: Vec<u32>,
    /// a row has changed it whose results are still to be computed
    pub(super) is_busy: bool,
    /// such rows came behind all others
    pub(super) only_appends: bool,
}

/// What a row does to its partition.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) group: usize,
    pub(super) kind: RowKind,
    pub(super) item: u32,
    /// where the row stands now, or stood
    pub(super) place: usize,
    /// rows that stand now from the first peer of the row on, or from the row itself on where peers do not matter
    pub(super) affected: Range<usize>,
}

impl Partition {
    /// True if the row comes after all others, and none is its peer where peers matter.
    pub(super) fn is_behind_all(&self, item: u32, keys: &Rows, peers: bool) -> bool {
        let Some(last) = self.items.last() else {
            // What is not listed was compared when it was loaded.
            return true;
        };
        let (last, key) = (keys.row(*last as usize), keys.row(item as usize));
        if peers { last < key } else { last <= key }
    }

    pub(super) fn insert(
        &mut self,
        group: usize,
        item: u32,
        table: &Table,
        spec: &OverAnyOrderSpec,
    ) -> Option<Change> {
        let key = table.keys.row(item as usize);
        let place = self.items.partition_point(|known| table.keys.row(*known as usize) <= key);
        let first = match spec.peers {
            true => self.items.partition_point(|known| table.keys.row(*known as usize) < key),
            false => place,
        };
        self.former = self.results.clone();
        self.items.insert(place, item);
        let affected = first..self.items.len();
        Some(Change { group, kind: RowKind::Insert, item, place, affected })
    }

    /// A row that is not there is passed over: its state has expired.
    pub(super) fn remove(
        &mut self,
        group: usize,
        item: u32,
        table: &Table,
        spec: &OverAnyOrderSpec,
    ) -> Option<Change> {
        let key = table.keys.row(item as usize);
        let wholes = table.wholes.as_ref()?;
        let first = self.items.partition_point(|known| table.keys.row(*known as usize) < key);
        let equal = self.items[first..].iter().take_while(|known| table.keys.row(**known as usize) == key);
        let whole = wholes.row(item as usize);
        let offset = equal.into_iter().position(|known| wholes.row(*known as usize) == whole)?;
        let place = first + offset;
        self.former = self.results.clone();
        let item = self.items.remove(place);
        self.gone.push(item);
        let affected = if spec.peers { first } else { place }..self.items.len();
        Some(Change { group, kind: RowKind::Delete, item, place, affected })
    }

    /// Lets go of the results that were replaced.
    pub(super) fn settle(&mut self, sources: &mut Sources) {
        for place in self.former.drain(..) {
            sources.release(place);
        }
    }
}
