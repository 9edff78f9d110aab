//! Rows that are taken back, far behind the first ones of their partition: they are found by what they are, and are not
//! in order. Where the first ones run out, the next are looked for among all of them.

use crate::OperatorError;
use crate::distinct::state_fields;
use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_state::{KeyedStateBackend, NO_SLOT, Namespace, Slots, StateDescriptor, StateId};
use weir_types::{SqlField, SqlType};

const VOID: Namespace = Namespace::Void;

/// Rows beyond the last rank that are kept in order, at least and at most: a share of those that are not. Few in tests.
const LEAST: usize = if cfg!(test) { 1 } else { 64 };
const MOST: usize = 8_192;
const SHARE: usize = 64;

/// Rows that are looked through at once.
const LOOKED_THROUGH: usize = 1 << 16;

/// Fields of a row: the numbers of those that are the same, the first one by itself, the others 8 bytes each.
const NUMBER: usize = 0;
const MORE: usize = 1;

pub(super) struct Tail {
    /// By the columns of a row, under its partition. Of rows that are ordered alike the one with the lower number is ahead.
    rows: StateId,
    /// under a partition, one entry: how many rows, and which numbers are taken
    counts: StateId,
    fields: usize,
}

/// The rows of one partition that are not in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) rows: i64,
    /// no number is lower
    first: i64,
    /// no number is as high
    end: i64,
}

impl Counts {
    /// How many rows beyond the last rank are kept in order, of a partition with so many others.
    pub(super) fn slack(&self, in_order: usize) -> usize {
        ((self.rows as usize + in_order) / SHARE).clamp(LEAST, MOST)
    }
}

/// What becomes of a row that is not in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// behind those that are ordered like it
    Comes,
    /// ahead of those that are ordered like it: it was in order
    ComesAhead,
    /// the first that equals it
    Goes,
}

/// A [`Move`] of a row of some columns, of the partition with this number.
pub(super) type Moved = (Move, usize, u32);

impl Tail {
    pub(super) fn register(
        operator: &str,
        partitions: StateId,
        kept: &[usize],
        input: &SchemaRef,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Tail, OperatorError> {
        let count = |name: &str| SqlField::new(name, SqlType::BigInt, false);
        let keys = state_fields(Vec::new(), kept, input)?;
        let numbers = vec![count("number"), SqlField::new("more numbers", SqlType::BYTES, true)];
        let rows = StateDescriptor::map(format!("{operator}/rows behind"), keys, numbers);
        let rows = keyed.register_under(partitions, rows)?;
        let fields = vec![count("rows"), count("first number"), count("next number")];
        let counts = StateDescriptor::map(format!("{operator}/behind"), vec![count("part")], fields);
        let counts = keyed.register_under(partitions, counts)?;
        Ok(Tail { rows, counts, fields: kept.len() })
    }

    /// True if a checkpoint has such rows.
    pub(super) fn is_restored(operator: &str, keyed: &KeyedStateBackend) -> bool {
        keyed.is_restored(&format!("{operator}/rows behind"))
    }

    /// Forgets the rows of partitions.
    pub(super) fn clear(&self, partitions: &[u32], keyed: &mut KeyedStateBackend) {
        keyed.clear_under(self.rows, VOID, partitions);
        keyed.clear_under(self.counts, VOID, partitions);
    }

    fn count_keys(
        &self,
        count: usize,
        keyed: &KeyedStateBackend,
    ) -> Result<weir_types::EncodedKeys, OperatorError> {
        let parts: ArrayRef = Arc::new(Int64Array::from(vec![0; count]));
        Ok(keyed.encoder(self.counts).encode(&[parts], count)?)
    }

    /// What the partitions at these slots have.
    pub(super) fn counts(
        &self,
        partitions: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<Counts>, OperatorError> {
        let keys = self.count_keys(partitions.len(), keyed)?;
        let mut slots = Vec::new();
        keyed.lookup_under(self.counts, VOID, partitions, &keys, &mut slots);
        let state = keyed.rows(self.counts, VOID);
        let columns = [0, 1, 2].map(|field| state.column::<i64>(field));
        let counts = slots.into_iter().map(|slot| match slot {
            NO_SLOT => Counts::default(),
            slot => {
                let [rows, first, end] = columns.each_ref().map(|column| column.get(slot));
                Counts { rows, first, end }
            }
        });
        Ok(counts.collect())
    }

    /// Writes what has become of them; partitions without such rows have no entry.
    pub(super) fn write_counts(
        &self,
        partitions: &[u32],
        (before, counts): (&[Counts], &[Counts]),
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let changed = (0..counts.len()).filter(|group| before[*group] != counts[*group]);
        let changed: Vec<usize> = changed.collect();
        if changed.is_empty() {
            return Ok(());
        }
        let parents: Vec<u32> = changed.iter().map(|group| partitions[*group]).collect();
        let keys = self.count_keys(changed.len(), keyed)?;
        let mut found = Slots::default();
        keyed.resolve_under(self.counts, VOID, &parents, &keys, &mut found);
        let state = keyed.rows(self.counts, VOID);
        let [rows, first, end] = [0, 1, 2].map(|field| state.column::<i64>(field));
        for (group, slot) in changed.iter().zip(&found.slots) {
            let Counts { rows: count, first: lowest, end: next } = counts[*group];
            rows.set(*slot, count);
            first.set(*slot, lowest);
            end.set(*slot, next);
        }
        let empty = changed.iter().zip(&found.slots).filter(|(group, _)| counts[**group].rows == 0);
        let empty: Vec<u32> = empty.map(|(_, slot)| *slot).collect();
        keyed.delete(self.counts, VOID, &empty);
        Ok(())
    }

    /// Lets rows come and go, one after the other. A row that is not there is passed over: its state has expired.
    pub(super) fn change(
        &self,
        moves: &[Moved],
        columns: &[ArrayRef],
        (partitions, counts): (&[u32], &mut [Counts]),
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        if moves.is_empty() {
            return Ok(());
        }
        let picked = UInt32Array::from_iter_values(moves.iter().map(|(_, _, row)| *row));
        let columns = columns.iter().map(|column| take(column, &picked, None));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let parents: Vec<u32> = moves.iter().map(|(_, group, _)| partitions[*group]).collect();
        let keys = keyed.encoder(self.rows).encode(&columns, moves.len())?;
        let mut found = Slots::default();
        keyed.resolve_under(self.rows, VOID, &parents, &keys, &mut found);
        let mut is_new = vec![false; moves.len()];
        found.created.iter().for_each(|position| is_new[*position as usize] = true);
        let mut held: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for (((kind, group, _), slot), is_new) in moves.iter().zip(&found.slots).zip(is_new) {
            let counts = &mut counts[*group];
            let numbers = held.entry(*slot).or_insert_with(|| match is_new {
                true => Vec::new(),
                false => self.numbers(*slot, keyed),
            });
            match kind {
                Move::Comes => {
                    numbers.push(counts.end);
                    counts.end += 1;
                    counts.rows += 1;
                }
                Move::ComesAhead => {
                    counts.first -= 1;
                    numbers.insert(0, counts.first);
                    counts.rows += 1;
                }
                Move::Goes if numbers.is_empty() => {}
                Move::Goes => {
                    numbers.remove(0);
                    counts.rows -= 1;
                }
            }
        }
        self.write(held, keyed);
        Ok(())
    }

    /// The numbers of the rows that are the same, rising.
    fn numbers(&self, slot: u32, keyed: &mut KeyedStateBackend) -> Vec<i64> {
        let state = keyed.rows(self.rows, VOID);
        let mut numbers = vec![state.column::<i64>(NUMBER).get(slot)];
        if let Some(more) = state.bytes(slot, MORE) {
            numbers.extend(more.as_chunks().0.iter().map(|number| i64::from_le_bytes(*number)));
        }
        numbers
    }

    fn write(&self, held: BTreeMap<u32, Vec<i64>>, keyed: &mut KeyedStateBackend) {
        let mut gone = Vec::new();
        let mut state = keyed.rows(self.rows, VOID);
        for (slot, numbers) in held {
            let Some((first, more)) = numbers.split_first() else {
                gone.push(slot);
                continue;
            };
            state.column::<i64>(NUMBER).set(slot, *first);
            let more: Vec<u8> = more.iter().flat_map(|number| number.to_le_bytes()).collect();
            if !more.is_empty() || state.bytes(slot, MORE).is_some() {
                state.set_bytes(slot, MORE, (!more.is_empty()).then_some(&more[..]));
            }
        }
        keyed.delete(self.rows, VOID, &gone);
    }

    /// Takes the first `wanted` rows of the partition at `parent`, in their order: their columns. `order` are those that order
    /// them, among the columns.
    pub(super) fn take_first(
        &self,
        (parent, counts): (u32, &mut Counts),
        wanted: usize,
        (sort, order): (&RowConverter, &[usize]),
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let mut slots = Vec::new();
        keyed.entries_under(self.rows, VOID, parent, &mut slots);
        let mut first: Vec<(OwnedRow, i64, u32)> = Vec::new();
        for some in slots.chunks(LOOKED_THROUGH) {
            let columns = self.columns(some, keyed)?;
            let order: Vec<ArrayRef> = order.iter().map(|column| columns[*column].clone()).collect();
            let keys = sort.convert_columns(&order)?;
            let mut found: Vec<(usize, i64)> = Vec::with_capacity(some.len());
            for (row, slot) in some.iter().enumerate() {
                found.extend(self.numbers(*slot, keyed).into_iter().map(|number| (row, number)));
            }
            let key = |(row, number): &(usize, i64)| (keys.row(*row), *number);
            if found.len() > wanted {
                found.select_nth_unstable_by(wanted, |left, right| key(left).cmp(&key(right)));
                found.truncate(wanted);
            }
            first.extend(found.iter().map(|(row, number)| (keys.row(*row).owned(), *number, some[*row])));
            first.sort_unstable();
            first.truncate(wanted);
        }
        let taken: Vec<u32> = first.iter().map(|(_, _, slot)| *slot).collect();
        let columns = self.columns(&taken, keyed)?;
        let mut held: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for slot in taken {
            // The first rows of those that are the same are ahead of the others.
            held.entry(slot).or_insert_with(|| self.numbers(slot, keyed)).remove(0);
            counts.rows -= 1;
        }
        self.write(held, keyed);
        if first.len() < wanted {
            counts.rows = 0;
        }
        Ok(columns)
    }

    fn columns(&self, slots: &[u32], keyed: &mut KeyedStateBackend) -> Result<Vec<ArrayRef>, OperatorError> {
        let keys = keyed.keys(self.rows, VOID, slots);
        let columns = keyed.encoder(self.rows).decode(&keys)?;
        match columns.len() == self.fields && columns.iter().all(|column| column.len() == slots.len()) {
            true => Ok(columns),
            false => Err(OperatorError::internal("rows behind the first ones cannot be read again")),
        }
    }
}
