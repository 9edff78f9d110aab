//! What is written back: rows that came and went, runs that are cut where they have become long, accumulators before runs.

use super::directory::{Directory, NewRun, numbers_column};
use super::island::Island;
use super::{OverPartition, Table, VOID};
use crate::OperatorError;
use crate::accumulators::GroupRows;
use arrow::array::UInt32Array;
use arrow::compute::take;
use std::ops::Range;
use weir_state::{KeyedStateBackend, Slots, StateId};

/// The rows of a run.
struct Piece {
    group: usize,
    /// The entry and the number of the run; `None`: it is new.
    known: Option<(u32, i64)>,
    items: Vec<u32>,
}

/// What becomes of the runs of islands.
#[derive(Default)]
pub(super) struct Layout {
    pieces: Vec<Piece>,
    /// of which partition, behind which run, how many pieces: new runs, in the order of the pieces
    cuts: Vec<(usize, Option<usize>, usize)>,
    /// runs that have no rows any more: partition, entry, number
    empty: Vec<(usize, u32, i64)>,
    /// slots of rows that went
    gone: Vec<u32>,
    /// for each island where its pieces begin
    pub(super) stops: Vec<Vec<usize>>,
}

impl Layout {
    pub(super) fn of(islands: &[Island], directory: &Directory, table: &Table, run_rows: usize) -> Layout {
        let mut layout = Layout::default();
        for island in islands {
            let gone = island.gone().filter_map(|(_, item)| table.slots.get(item as usize));
            layout.gone.extend(gone);
            let mut stops = Vec::new();
            let mut start = 0;
            for (number, end) in island.ends.iter().enumerate() {
                layout.add(island, number, start..*end, directory, (run_rows, table), &mut stops);
                start = *end;
            }
            layout.stops.push(stops);
        }
        layout
    }

    /// The rows `places` of an island, which are of its run `number`.
    fn add(
        &mut self,
        island: &Island,
        number: usize,
        places: Range<usize>,
        directory: &Directory,
        (run_rows, table): (usize, &Table),
        stops: &mut Vec<usize>,
    ) {
        if number == 0 && island.skip > 0 {
            return;
        }
        let group = island.group;
        let runs = &directory.runs[group];
        let run = (!runs.is_empty()).then(|| island.runs.start + number);
        let known = run.map(|run| (runs[run].slot, runs[run].number));
        if places.is_empty() {
            self.empty.extend(known.map(|(slot, number)| (group, slot, number)));
            return;
        }
        let is_known = |item: &u32| (*item as usize) < table.slots.len();
        // Rows behind all others leave the run full, as it is; others find room in both halves.
        let appends = run.is_none_or(|run| run + 1 == runs.len())
            && island.items[places.clone()].last().is_some_and(|item| !is_known(item));
        let rows = match places.len() <= run_rows || appends {
            true => run_rows,
            false => places.len().div_ceil(places.len().div_ceil(run_rows)),
        };
        let starts: Vec<usize> = places.clone().step_by(rows.max(1)).collect();
        let new = starts.len() - usize::from(known.is_some());
        if new > 0 {
            self.cuts.push((group, run, new));
        }
        for (index, start) in starts.into_iter().enumerate() {
            let end = (start + rows).min(places.end);
            let known = known.filter(|_| index == 0);
            stops.push(start);
            self.pieces.push(Piece { group, known, items: island.items[start..end].to_vec() });
        }
    }
}

impl OverPartition {
    /// The entries with accumulators before runs, given as partitions and numbers.
    pub(super) fn running_slots(
        &self,
        runs: impl Iterator<Item = (usize, i64)>,
        running: StateId,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<u32>, OperatorError> {
        let (parents, numbers): (Vec<u32>, Vec<i64>) =
            runs.map(|(group, number)| (self.grouping.slots[group], number)).unzip();
        let count = numbers.len();
        let keys = keyed.encoder(running).encode(&[numbers_column(numbers)], count)?;
        let mut found = Slots::default();
        keyed.resolve_under(running, VOID, &parents, &keys, &mut found);
        Ok(found.slots)
    }

    /// `before`: the accumulators before the stops of `layout`.
    pub(super) fn store(
        &mut self,
        layout: Layout,
        directory: &mut Directory,
        table: &Table,
        before: &GroupRows,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let states = self.states()?;
        let Layout { pieces, cuts, empty, mut gone, .. } = layout;
        let mut made = directory.make(&cuts, (&states, &self.grouping.slots), keyed)?.into_iter();
        let entries: Vec<(u32, i64)> =
            pieces.iter().filter_map(|piece| piece.known.or_else(|| made.next())).collect();
        self.store_rows(&pieces, &entries, table, &mut gone, keyed)?;
        let runs: Vec<NewRun> = pieces
            .iter()
            .zip(&entries)
            .map(|(piece, (slot, _))| NewRun { slot: *slot, rows: piece.items.len(), first: piece.items[0] })
            .collect();
        let firsts = UInt32Array::from_iter_values(runs.iter().map(|run| run.first));
        let firsts = self.order_columns(&table.rows).into_iter().map(|column| take(&column, &firsts, None));
        Directory::write(&runs, &firsts.collect::<Result<Vec<_>, _>>()?, &states, keyed);
        if let Some(running) = states.running {
            let of_pieces = pieces.iter().zip(&entries).map(|(piece, (_, number))| (piece.group, *number));
            let slots = self.running_slots(of_pieces, running, keyed)?;
            let mut state = keyed.rows(running, VOID);
            self.evaluator.running.set.store(before, &slots, &mut self.pins, &mut state);
            let ended = empty.iter().map(|(group, _, number)| (*group, *number));
            let ended = self.running_slots(ended, running, keyed)?;
            keyed.delete(running, VOID, &ended);
        }
        keyed.delete(states.rows, VOID, &gone);
        let empty: Vec<u32> = empty.into_iter().map(|(_, slot, _)| slot).collect();
        keyed.delete(states.runs, VOID, &empty);
        Ok(())
    }

    /// Appends rows to their runs: those that came, and those that a cut moves, which go where they were.
    fn store_rows(
        &self,
        pieces: &[Piece],
        entries: &[(u32, i64)],
        table: &Table,
        gone: &mut Vec<u32>,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let states = self.states()?;
        let (mut items, mut parents) = (Vec::new(), Vec::new());
        for (piece, (slot, _)) in pieces.iter().zip(entries) {
            for item in &piece.items {
                match (table.slots.get(*item as usize), piece.known) {
                    (Some(_), Some(_)) => continue,
                    (Some(moved), None) => gone.push(*moved),
                    (None, _) => {}
                }
                items.push(*item);
                parents.push(*slot);
            }
        }
        let mut slots = Vec::new();
        keyed.append_under(states.rows, VOID, &parents, &mut slots);
        let items = UInt32Array::from(items);
        let mut rows = keyed.rows(states.rows, VOID);
        for (field, column) in self.kept.iter().enumerate() {
            rows.scatter(field, &slots, &take(table.rows.column(*column), &items, None)?);
        }
        Ok(())
    }

    /// Forgets partitions of the last batch that have no rows.
    pub(super) fn forget_empty(&self, keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let states = self.states()?;
        let touched = self.grouping.slots.iter().copied();
        let empty: Vec<u32> =
            touched.filter(|slot| !keyed.has_entries_under(states.runs, VOID, *slot)).collect();
        keyed.delete(states.partitions, VOID, &empty);
        Ok(())
    }
}
