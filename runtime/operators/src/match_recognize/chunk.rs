//! Partitions that are looked at together: their rows beside each other.

use super::matches::Matcher;
use super::store::{BEGINS, COMPLETE, FIRST, NUMBER, RUNS, Store, TIME, VOID};
use crate::OperatorError;
use crate::partitions::kept_rows;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter};
use std::ops::Range;
use weir_state::KeyedStateBackend;
use weir_types::SortKey;

/// The rows of some partitions, those of a partition beside each other: first those that matches may have already, then
/// those that are due, in order.
pub(super) struct Chunk {
    /// with the columns of the operator's input
    pub(super) rows: RecordBatch,
    /// milliseconds
    pub(super) times: Vec<i64>,
    pub(super) partitions: Vec<Part>,
    /// of each row in the state
    slots: Vec<u32>,
    /// matches that the partitions had, in the state
    matches: Vec<u32>,
}

/// One partition of a chunk.
pub(super) struct Part {
    slot: u32,
    /// the places of its rows
    pub(super) places: Range<u32>,
    /// the first place that no match has met yet
    pub(super) due: u32,
    /// the number of the row at the first place
    first_number: i64,
    /// among [`Chunk::matches`]
    matches: Range<usize>,
    /// further rows wait that the watermark has reached
    pub(super) more: bool,
}

/// What is left of a chunk once its rows were looked at.
#[derive(Default)]
pub(super) struct Left {
    /// rows that no match needs
    gone: Vec<u32>,
    /// rows that have no number yet, and their numbers
    numbered: Vec<(u32, i64)>,
    /// for each partition the number of its next row
    next: Vec<i64>,
    /// the partition of each match, by its slot, its first row and whether it is complete
    owners: Vec<u32>,
    begins: Vec<Option<i64>>,
    complete: Vec<bool>,
    runs: Vec<u32>,
}

/// A row as it lies in the state.
struct Waiting {
    slot: u32,
    time: i64,
    number: Option<i64>,
}

/// How rows of the same time are ordered.
pub(super) struct Order<'a> {
    pub(super) keys: &'a [SortKey],
    pub(super) converter: &'a RowConverter,
}

impl Chunk {
    /// The rows of `partitions` up to the time `until`; the watermark is at `now`.
    pub(super) fn load(
        partitions: &[u32],
        (until, now): (i64, i64),
        order: Option<Order<'_>>,
        store: &Store,
        schema: &SchemaRef,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Chunk, OperatorError> {
        let (mut all, mut matches) = (Vec::new(), Vec::new());
        let (mut parts, mut slots, mut times, mut owners) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        keyed.prefetch_under(store.rows, VOID, partitions);
        keyed.prefetch_under(store.matches, VOID, partitions);
        for partition in partitions {
            all.clear();
            keyed.entries_under(store.rows, VOID, *partition, &mut all);
            let first_match = matches.len();
            keyed.entries_under(store.matches, VOID, *partition, &mut matches);
            let mut waiting = Vec::with_capacity(all.len());
            let mut more = false;
            {
                let rows = keyed.rows(store.rows, VOID);
                let (time, number) = (rows.column::<i64>(TIME), rows.column::<i64>(NUMBER));
                for slot in &all {
                    let row =
                        Waiting { slot: *slot, time: time.get(*slot), number: number.get_option(*slot) };
                    match row.number.is_some() || row.time <= until {
                        true => waiting.push(row),
                        false => more |= row.time <= now,
                    }
                }
            }
            sort(&mut waiting, order.as_ref(), store, keyed)?;
            let known = waiting.iter().take_while(|row| row.number.is_some()).count() as u32;
            let start = slots.len() as u32;
            let next = keyed.rows(store.partitions, VOID).column::<i64>(0).get(*partition);
            let first_number = waiting.first().and_then(|row| row.number).unwrap_or(next);
            slots.extend(waiting.iter().map(|row| row.slot));
            times.extend(waiting.iter().map(|row| row.time));
            owners.resize(slots.len(), *partition);
            parts.push(Part {
                slot: *partition,
                places: start..slots.len() as u32,
                due: start + known,
                first_number,
                matches: first_match..matches.len(),
                more,
            });
        }
        let rows = columns(&slots, &owners, store, schema, keyed)?;
        Ok(Chunk { rows, times, partitions: parts, slots, matches })
    }

    /// Gives the matches that `part` had to the matcher.
    pub(super) fn restore(
        &self,
        part: &Part,
        matcher: &mut Matcher,
        store: &Store,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        matcher.begin_partition();
        let rows = keyed.rows(store.matches, VOID);
        let (begins, complete) = (rows.column::<i64>(BEGINS), rows.column::<u8>(COMPLETE));
        let counts: Vec<_> = (0..store.variables).map(|field| rows.column::<i32>(RUNS + field)).collect();
        let mut runs = vec![0; store.variables];
        for slot in &self.matches[part.matches.clone()] {
            let place = |number: i64| {
                let place = u32::try_from(number - part.first_number).map(|place| part.places.start + place);
                place.ok().filter(|place| *place < part.due).ok_or_else(|| {
                    OperatorError::internal("a match begins with a row that its partition does not have")
                })
            };
            let begins = begins.get_option(*slot).map(place).transpose()?;
            for (rows, count) in runs.iter_mut().zip(&counts) {
                *rows = count.get(*slot) as u32;
            }
            matcher.restore(begins, &runs, complete.get(*slot) != 0);
        }
        matcher.ensure_start();
        Ok(())
    }

    /// Notes what is left of `part`, whose rows the matcher has seen.
    pub(super) fn leave(&self, part: &Part, matcher: &Matcher, left: &mut Left) {
        let number = |place: u32| part.first_number + i64::from(place - part.places.start);
        left.next.push(number(part.places.end));
        let first = matcher.first_place().unwrap_or(part.places.end);
        left.gone.extend(&self.slots[part.places.start as usize..first as usize]);
        for place in first.max(part.due)..part.places.end {
            left.numbered.push((self.slots[place as usize], number(place)));
        }
        for (begins, runs, complete) in matcher.kept() {
            left.owners.push(part.slot);
            left.begins.push(begins.map(number));
            left.complete.push(complete);
            left.runs.extend_from_slice(runs);
        }
    }

    /// Makes the state what is left.
    pub(super) fn store(&self, left: &Left, store: &Store, keyed: &mut KeyedStateBackend) {
        keyed.delete(store.matches, VOID, &self.matches);
        keyed.delete(store.rows, VOID, &left.gone);
        {
            let numbers = keyed.rows(store.rows, VOID).column::<i64>(NUMBER);
            left.numbered.iter().for_each(|(slot, number)| numbers.set_option(*slot, Some(*number)));
        }
        {
            let next = keyed.rows(store.partitions, VOID).column::<i64>(0);
            self.partitions.iter().zip(&left.next).for_each(|(part, number)| next.set(part.slot, *number));
        }
        if !left.owners.is_empty() {
            let mut slots = Vec::new();
            keyed.append_under(store.matches, VOID, &left.owners, &mut slots);
            let rows = keyed.rows(store.matches, VOID);
            let (begins, complete) = (rows.column::<i64>(BEGINS), rows.column::<u8>(COMPLETE));
            let counts: Vec<_> = (0..store.variables).map(|field| rows.column::<i32>(RUNS + field)).collect();
            for (row, slot) in slots.iter().enumerate() {
                begins.set_option(*slot, left.begins[row]);
                complete.set(*slot, u8::from(left.complete[row]));
                for (field, count) in counts.iter().enumerate() {
                    count.set(*slot, left.runs[row * store.variables + field] as i32);
                }
            }
        }
        let idle = self.partitions.iter().map(|part| part.slot);
        let idle: Vec<u32> = idle.filter(|slot| !keyed.has_entries_under(store.rows, VOID, *slot)).collect();
        keyed.delete(store.partitions, VOID, &idle);
    }
}

/// Rows with numbers first, in their order; then the others by time, the further keys, arrival.
fn sort(
    waiting: &mut Vec<Waiting>,
    order: Option<&Order<'_>>,
    store: &Store,
    keyed: &mut KeyedStateBackend,
) -> Result<(), OperatorError> {
    let rank = |row: &Waiting| (row.number.is_none(), row.number.unwrap_or(row.time));
    let Some(order) = order else {
        waiting.sort_by_key(rank);
        return Ok(());
    };
    let slots: Vec<u32> = waiting.iter().map(|row| row.slot).collect();
    let rows = keyed.rows(store.rows, VOID);
    let columns = order.keys.iter().map(|key| match store.field_of(key.column) {
        Some(field) => Ok(rows.gather(FIRST + field, &slots)?),
        None => Err(OperatorError::internal("rows of a partition are ordered by a column of the partition")),
    });
    let columns = columns.collect::<Result<Vec<_>, OperatorError>>()?;
    let keys = order.converter.convert_columns(&columns)?;
    let keys = (0..slots.len()).map(|row| keys.row(row).owned());
    let mut ranked: Vec<(Waiting, OwnedRow)> = std::mem::take(waiting).into_iter().zip(keys).collect();
    ranked.sort_by(|(a, a_key), (b, b_key)| {
        rank(a).cmp(&rank(b)).then_with(|| match a.number.is_some() {
            true => std::cmp::Ordering::Equal,
            false => a_key.cmp(b_key),
        })
    });
    waiting.extend(ranked.into_iter().map(|(row, _)| row));
    Ok(())
}

/// The rows at `slots`, with the columns of their partitions.
fn columns(
    slots: &[u32],
    owners: &[u32],
    store: &Store,
    schema: &SchemaRef,
    keyed: &mut KeyedStateBackend,
) -> Result<RecordBatch, OperatorError> {
    let keys = keyed.keys(store.partitions, VOID, owners);
    let keys = keyed.encoder(store.partitions).decode(&keys).map_err(weir_state::StateError::from)?;
    let state = keyed.rows(store.rows, VOID);
    kept_rows(schema, (&store.kept, FIRST), (&store.partition, &keys), &state, slots)
}
