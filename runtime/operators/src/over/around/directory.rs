//! The runs that the rows of a partition are kept in: rows that follow each other in the order, some hundred of them.
//!
//! So a row that comes loads the runs around it, not its whole partition.

use super::keys::{Key, KeyOrder, Keys};
use super::reach::{Extent, Reach, Sides};
use crate::OperatorError;
use crate::accumulators::unlike;
use crate::distinct::{sql_field, state_fields};
use crate::kept_lists::Loaded;
use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use std::sync::Arc;
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, Slots, StateDescriptor, StateId};
use weir_types::{SqlField, SqlType};

const VOID: Namespace = Namespace::Void;

/// Fields of a run: where it stands among the others, how many rows it has, the key of its first row.
const PLACE: usize = 0;
const ROWS: usize = 1;
const FIRST: usize = 2;

/// Between the places of two runs, so that others find room there.
const STEP: i64 = 1 << 32;

#[derive(Clone, Copy)]
pub(super) struct States {
    pub(super) partitions: StateId,
    /// by number, under a partition
    pub(super) runs: StateId,
    /// under a run; those that are ordered alike in the order of their arrival
    pub(super) rows: StateId,
    /// By the number of the run, under a partition: accumulators of all rows before the run.
    pub(super) running: Option<StateId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) slot: u32,
    pub(super) number: i64,
    place: i64,
    pub(super) rows: u64,
    /// the number of its first key
    first: usize,
}

/// The runs of the partitions that a batch touches, in their order.
pub(super) struct Directory {
    pub(super) runs: Vec<Vec<Run>>,
    firsts: Keys,
}

/// Runs of a partition that are loaded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) group: usize,
    pub(super) runs: Range<usize>,
}

impl States {
    pub(super) fn register(
        operator: &str,
        (partition, kept): (&[usize], &[usize]),
        order: &KeyOrder,
        running: Option<&[SqlField]>,
        ttl_ms: Option<u64>,
        input: &SchemaRef,
        keyed: &mut KeyedStateBackend,
    ) -> Result<States, OperatorError> {
        let keys = state_fields(Vec::new(), partition, input)?;
        let partitions =
            StateDescriptor::value(format!("{operator}/partitions"), keys, NamespaceKind::Void, Vec::new());
        let partitions = keyed.register(partitions.with_ttl_ms(ttl_ms))?;
        let count = |name: &str| SqlField::new(name, SqlType::BigInt, false);
        let mut fields = vec![count("place"), count("rows")];
        for column in order.columns() {
            let mut field = sql_field(input, column)?;
            let name = format!("first {}", field.name);
            field.name = unlike(name, fields.iter().map(|field| field.name.as_str()));
            field.nullable = true;
            fields.push(field);
        }
        let runs = StateDescriptor::map(format!("{operator}/runs"), vec![count("run")], fields);
        let runs = keyed.register_under(partitions, runs)?;
        let rows = StateDescriptor::list(format!("{operator}/rows"), state_fields(Vec::new(), kept, input)?);
        let rows = keyed.register_under(runs, rows)?;
        let running = match running {
            Some(fields) => {
                let name = format!("{operator}/before");
                let before = StateDescriptor::map(name, vec![count("run")], fields.to_vec());
                Some(keyed.register_under(partitions, before)?)
            }
            None => None,
        };
        Ok(States { partitions, runs, rows, running })
    }
}

pub(super) fn numbers_column(numbers: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(numbers))
}

impl Directory {
    /// The runs of the partitions at `slots`.
    pub(super) fn load(
        states: &States,
        slots: &[u32],
        order: &KeyOrder,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Directory, OperatorError> {
        let loaded = Loaded::under(states.runs, slots, keyed);
        let all = &loaded.slots;
        let numbers = keyed.keys(states.runs, VOID, all);
        let numbers = keyed.encoder(states.runs).decode(&numbers)?;
        let numbers = numbers
            .first()
            .and_then(|numbers| numbers.as_any().downcast_ref::<Int64Array>().cloned())
            .ok_or_else(|| OperatorError::internal("runs have no numbers"))?;
        let state = keyed.rows(states.runs, VOID);
        let (places, rows) = (state.column::<i64>(PLACE), state.column::<i64>(ROWS));
        let firsts = order
            .columns()
            .enumerate()
            .map(|(field, _)| state.gather(FIRST + field, all))
            .collect::<Result<Vec<_>, _>>()?;
        let firsts = order.keys(&firsts)?;
        let mut runs = Vec::with_capacity(slots.len());
        let run = |first: usize| Run {
            slot: all[first],
            number: numbers.value(first),
            place: places.get(all[first]),
            rows: rows.get(all[first]) as u64,
            first,
        };
        for range in loaded.ranges() {
            let mut of_partition: Vec<Run> = range.map(run).collect();
            of_partition.sort_by_key(|run| run.place);
            runs.push(of_partition);
        }
        Ok(Directory { runs, firsts })
    }

    fn first(&self, group: usize, run: usize) -> Key<'_> {
        self.firsts.key(self.runs[group][run].first)
    }

    /// The run that a new row with `key` belongs to: behind all that are ordered like it.
    pub(super) fn run_of(&self, group: usize, key: Key<'_>) -> usize {
        let runs = &self.runs[group];
        runs.partition_point(|run| !self.firsts.key(run.first).is_behind(key, 0)).saturating_sub(1)
    }

    /// The runs that may have a row with `key`.
    fn runs_with(&self, group: usize, key: Key<'_>) -> Range<usize> {
        let runs = &self.runs[group];
        let before = runs.partition_point(|run| self.firsts.key(run.first).is_before(key, 0));
        before.saturating_sub(1)..self.run_of(group, key) + 1
    }

    /// How many rows are before a run.
    pub(super) fn rows_before(&self, group: usize, run: usize) -> u64 {
        self.runs[group][..run].iter().map(|run| run.rows).sum()
    }

    /// The runs that have to be at hand when rows with these keys come, or go (`true`).
    pub(super) fn stretches(
        &self,
        keys: &mut dyn Iterator<Item = (usize, Key<'_>, bool)>,
        reach: &Reach,
    ) -> Vec<Stretch> {
        let mut all: Vec<Stretch> = Vec::new();
        for (group, key, goes) in keys {
            let runs = match (self.runs[group].is_empty(), goes) {
                (true, _) => 0..0,
                (false, true) => self.runs_with(group, key),
                (false, false) => {
                    let run = self.run_of(group, key);
                    run..run + 1
                }
            };
            let runs = self.widened(group, runs, key, reach);
            all.push(Stretch { group, runs });
        }
        all.sort_by_key(|stretch| (stretch.group, stretch.runs.start));
        let mut merged: Vec<Stretch> = Vec::new();
        for stretch in all {
            match merged.last_mut() {
                Some(last)
                    if last.group == stretch.group
                        && (stretch.runs.start < last.runs.end || last.runs == stretch.runs) =>
                {
                    last.runs.end = last.runs.end.max(stretch.runs.end);
                }
                _ => merged.push(stretch),
            }
        }
        merged
    }

    /// `runs`, those with rows whose results may change, and those that these are computed from.
    fn widened(&self, group: usize, runs: Range<usize>, key: Key<'_>, reach: &Reach) -> Range<usize> {
        let changed = self.extended(group, runs, Some(key), &reach.changes);
        let read = self.extended(group, changed, None, &reach.reads);
        read.start.saturating_sub(usize::from(reach.looks_back))..read.end
    }

    /// `runs` with what is around a row in them: with this key, or any.
    fn extended(
        &self,
        group: usize,
        runs: Range<usize>,
        key: Option<Key<'_>>,
        sides: &Sides,
    ) -> Range<usize> {
        let of_group = &self.runs[group];
        if runs.is_empty() {
            return runs;
        }
        let start = self.start(group, runs.start, key, &sides.before);
        let Extent { rows, key: distance, all } = sides.behind;
        let mut end = runs.end;
        let mut seen = 0;
        while end < of_group.len() && (all || seen < rows) {
            seen += of_group[end].rows;
            end += 1;
        }
        if let Some(distance) = distance {
            let mut by_key = runs.end;
            let mut from = key;
            while by_key < of_group.len() {
                let first = self.first(group, by_key);
                // A row of the last run may have the key that the next one begins with.
                let limit = *from.get_or_insert(first);
                if first.is_behind(limit, distance) {
                    break;
                }
                by_key += 1;
            }
            end = end.max(by_key);
        }
        start..end
    }

    fn start(&self, group: usize, run: usize, key: Option<Key<'_>>, before: &Extent) -> usize {
        let of_group = &self.runs[group];
        let mut start = run;
        let mut seen = 0;
        while start > 0 && (before.all || seen < before.rows) {
            start -= 1;
            seen += of_group[start].rows;
        }
        if let Some(distance) = before.key {
            let limit = key.unwrap_or_else(|| self.first(group, run));
            let mut by_key = run;
            while by_key > 0 && !self.first(group, by_key).is_before(limit, -distance) {
                by_key -= 1;
            }
            start = start.min(by_key);
        }
        start
    }

    /// The number that no run of the partition has.
    fn next_number(&self, group: usize) -> i64 {
        self.runs[group].iter().map(|run| run.number).max().map_or(0, |number| number + 1)
    }
}

/// A run as it is to be.
pub(super) struct NewRun {
    pub(super) slot: u32,
    pub(super) rows: usize,
    /// the row of a table that it begins with
    pub(super) first: u32,
}

impl Directory {
    /// Makes entries for runs that are cut off others: `cuts` says of which partition, behind which run, and how many.
    /// Returns their slots and numbers, cut after cut. Runs of a partition whose places leave no room get new ones.
    pub(super) fn make(
        &mut self,
        cuts: &[(usize, Option<usize>, usize)],
        (states, partitions): (&States, &[u32]),
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<(u32, i64)>, OperatorError> {
        // New places for all runs of a partition come before any is taken.
        for (group, behind, count) in cuts {
            self.room(*group, *behind, *count as i64, states, keyed);
        }
        let (mut numbers, mut parents, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut next: Option<(usize, i64)> = None;
        for (group, behind, count) in cuts {
            let mut number = match next {
                Some((known, number)) if known == *group => number,
                _ => self.next_number(*group),
            };
            let after = self.room(*group, *behind, *count as i64, states, keyed);
            for index in 0..*count {
                numbers.push(number);
                number += 1;
                parents.push(partitions[*group]);
                places.push(after.0 + after.1 * (index as i64 + 1));
            }
            next = Some((*group, number));
        }
        let keys = keyed.encoder(states.runs).encode(&[numbers_column(numbers.clone())], numbers.len())?;
        let mut found = Slots::default();
        keyed.resolve_under(states.runs, VOID, &parents, &keys, &mut found);
        let state = keyed.rows(states.runs, VOID);
        let column = state.column::<i64>(PLACE);
        found.slots.iter().zip(places).for_each(|(slot, place)| column.set(*slot, place));
        Ok(found.slots.into_iter().zip(numbers).collect())
    }

    /// The place of a run, and how far apart `count` others stand that come behind it.
    fn room(
        &mut self,
        group: usize,
        behind: Option<usize>,
        count: i64,
        states: &States,
        keyed: &mut KeyedStateBackend,
    ) -> (i64, i64) {
        let Some(behind) = behind else { return (0, STEP) };
        let runs = &mut self.runs[group];
        let Some(next) = runs.get(behind + 1).map(|run| run.place) else { return (runs[behind].place, STEP) };
        let apart = (next - runs[behind].place) / (count + 1);
        if apart > 0 {
            return (runs[behind].place, apart);
        }
        let state = keyed.rows(states.runs, VOID);
        let column = state.column::<i64>(PLACE);
        for (index, run) in runs.iter_mut().enumerate() {
            run.place = (index as i64 + 1) * STEP;
            column.set(run.slot, run.place);
        }
        (runs[behind].place, STEP / (count + 1))
    }

    /// Notes what runs have, and the keys of their first rows.
    pub(super) fn write(
        runs: &[NewRun],
        firsts: &[ArrayRef],
        states: &States,
        keyed: &mut KeyedStateBackend,
    ) {
        let slots: Vec<u32> = runs.iter().map(|run| run.slot).collect();
        let mut state = keyed.rows(states.runs, VOID);
        let column = state.column::<i64>(ROWS);
        runs.iter().for_each(|run| column.set(run.slot, run.rows as i64));
        for (field, first) in firsts.iter().enumerate() {
            state.scatter(FIRST + field, &slots, first);
        }
    }
}
