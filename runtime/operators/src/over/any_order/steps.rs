//! Rows that are aggregated one after the other, of many partitions at once.

use super::Table;
use super::partition::{Change, Partition};
use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, GroupRows};
use crate::over::traced::{self, Traced};
use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take_record_batch;
use std::sync::Arc;
use weir_types::{OverAnyOrderSpec, RowKind};

/// Results that are looked at at once, at most: more are let go first.
const LARGE: usize = 1 << 20;

/// Where a result stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// among the [`Sources`]
    pub(super) source: u32,
    pub(super) step: u32,
}

/// The results of several runs, as long as some row has its result there.
#[derive(Default)]
pub(super) struct Sources {
    all: Vec<Source>,
    held: usize,
}

#[derive(Default)]
struct Source {
    traced: Traced,
    steps: usize,
    /// rows whose result stands here
    users: usize,
}

impl Sources {
    /// The columns of an aggregate, and where in them a result stands.
    pub(super) fn columns(&self, source: u32, aggregate: usize) -> &[ArrayRef] {
        self.all[source as usize].traced.columns(aggregate)
    }

    pub(super) fn find(&self, place: Place) -> (usize, usize) {
        self.all[place.source as usize].traced.after(place.step as usize)
    }

    /// All columns with results.
    pub(super) fn all_columns(&self, aggregates: usize) -> impl Iterator<Item = &ArrayRef> {
        self.all
            .iter()
            .flat_map(move |source| (0..aggregates).flat_map(|aggregate| source.traced.columns(aggregate)))
    }

    pub(super) fn is_large(&self) -> bool {
        self.held > LARGE
    }

    pub(super) fn release(&mut self, place: Place) {
        let source = &mut self.all[place.source as usize];
        source.users = source.users.saturating_sub(1);
    }

    /// Forgets what nobody uses. Nothing is to be emitted that stands there.
    pub(super) fn sweep(&mut self) {
        for source in self.all.iter_mut().filter(|source| source.users == 0) {
            self.held -= source.steps;
            *source = Source::default();
        }
    }

    fn push(&mut self, traced: Traced, steps: usize, users: usize) {
        self.held += steps;
        self.all.push(Source { traced, steps, users });
    }
}

#[derive(Default)]
pub(super) struct Steps {
    rows: Vec<u32>,
    groups: Vec<u32>,
    /// the number of the first peer of each row in its partition, from 0: what ranks are made of
    ordinals: Vec<i64>,
    /// partitions that are aggregated anew: where their steps begin, and after which of these each result stands
    anew: Vec<(usize, Vec<u32>)>,
    appended: Vec<(usize, u32)>,
}

impl Steps {
    /// A row behind all others of its partition.
    pub(super) fn append(&mut self, group: usize, partition: &mut Partition, item: u32) -> Option<Change> {
        let place = partition.items.len();
        self.appended.push((group, self.rows.len() as u32));
        self.rows.push(item);
        self.groups.push(group as u32);
        self.ordinals.push((partition.before + place) as i64);
        partition.items.push(item);
        Some(Change { group, kind: RowKind::Insert, item, place, affected: place..place + 1 })
    }

    /// All rows of a partition, from the first on.
    pub(super) fn anew(
        &mut self,
        group: usize,
        partition: &Partition,
        table: &Table,
        spec: &OverAnyOrderSpec,
        tails: &mut GroupRows,
    ) {
        tails.clear(group);
        let mut results = Vec::with_capacity(partition.items.len());
        let same =
            |a: &u32, b: &u32| spec.peers && table.keys.row(*a as usize) == table.keys.row(*b as usize);
        for peers in partition.items.chunk_by(same) {
            let ordinal = results.len() as i64;
            self.rows.extend_from_slice(peers);
            self.ordinals.resize(self.rows.len(), ordinal);
            let last = self.rows.len() as u32 - 1;
            results.resize(results.len() + peers.len(), last);
        }
        self.groups.resize(self.rows.len(), group as u32);
        self.anew.push((group, results));
    }

    /// Computes the results, and notes where they stand.
    pub(super) fn run(
        self,
        partitions: &mut [Partition],
        table: &Table,
        set: &AccumulatorSet,
        tails: &mut GroupRows,
        sources: &mut Sources,
    ) -> Result<(), OperatorError> {
        let source = sources.all.len() as u32;
        let count = self.rows.len();
        let rows = take_record_batch(&table.rows, &UInt32Array::from(self.rows))?;
        let ordinals: ArrayRef = Arc::new(Int64Array::from(self.ordinals));
        let steps = traced::Steps {
            rows: &rows,
            groups: &self.groups,
            fresh: None,
            retractions: None,
            ordinals: Some(&ordinals),
        };
        let traced = steps.trace(set, |_| true, tails)?;
        let mut users = 0;
        for (group, results) in self.anew {
            users += results.len();
            partitions[group].results = results.into_iter().map(|step| Place { source, step }).collect();
        }
        for (group, step) in self.appended {
            users += 1;
            partitions[group].results.push(Place { source, step });
        }
        sources.push(traced, count, users);
        Ok(())
    }
}
