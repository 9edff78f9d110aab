//! MIN and MAX over rows that are taken back, in groups of many values: the first ones are in order in the accumulator, the
//! others in a map that finds each by what it is. Where those in order run out, the next are looked for among all others.

use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, Changes, GroupRows, Member, Ordered, Place, call_text, unlike};
use crate::distinct::sql_field;
use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use std::cmp::Ordering;
use weir_state::{KeyedStateBackend, Namespace, Slots, StateDescriptor, StateId};
use weir_types::{SqlField, SqlType};

const VOID: Namespace = Namespace::Void;

/// Values in order, at least and at most: a share of all. Twice as many before some go to the map. Few in tests.
const LEAST: usize = if cfg!(test) { 2 } else { 256 };
const MOST: usize = 2_048;
const SHARE: usize = 64;

/// Values that are looked through at once.
const LOOKED_THROUGH: usize = 1 << 16;

fn kept_in_order(values: u64) -> usize {
    (values as usize / SHARE).clamp(LEAST, MOST)
}

/// What is kept elsewhere, of each aggregate call that does so.
pub(super) struct Behind {
    of_calls: Vec<Option<Values>>,
}

/// The values of one call that are not in order, of all groups.
struct Values {
    /// By value, under its group: how often it is there, which may be below 0 for a while.
    map: StateId,
    /// of each group of the step, how many entries the map has
    entries: Vec<u64>,
    moves: Vec<Moved>,
    found: Slots,
}

/// A value that comes to the map, or goes from it.
struct Moved {
    group: usize,
    value: Vec<u8>,
    change: i64,
}

/// What one call has of the groups of a step.
pub(super) struct Call<'a> {
    pub(super) index: usize,
    pub(super) member: &'a Member,
    /// the slots of the groups
    pub(super) slots: &'a [u32],
}

/// A value that is counted in or out.
struct Counted<'a> {
    group: usize,
    value: &'a [u8],
    retracts: bool,
}

impl Behind {
    /// Under `groups`, the state with the accumulators of `operator`.
    pub(super) fn register(
        operator: &str,
        groups: StateId,
        set: &AccumulatorSet,
        schema: &Schema,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Behind, OperatorError> {
        let mut names: Vec<String> = Vec::new();
        let mut of_calls = Vec::with_capacity(set.members().len());
        for member in set.members() {
            let (Some(_), [column]) = (member.accumulator.ordered(), &member.call.arguments[..]) else {
                of_calls.push(None);
                continue;
            };
            // Column families are named after states; a slash parts operator and state.
            let text = call_text(&member.call, schema).replace('/', "_");
            let name = unlike(format!("{operator}/behind {text}"), names.iter().map(String::as_str));
            names.push(name.clone());
            let rows = vec![SqlField::new("rows", SqlType::BigInt, false)];
            let map = StateDescriptor::map(name, vec![sql_field(schema, *column)?], rows);
            let map = keyed.register_under(groups, map)?;
            of_calls.push(Some(Values {
                map,
                entries: Vec::new(),
                moves: Vec::new(),
                found: Slots::default(),
            }));
        }
        Ok(Behind { of_calls })
    }

    fn of<'a>(&mut self, call: &Call<'a>) -> Option<(&mut Values, Ordered<'a>)> {
        Some((self.of_calls[call.index].as_mut()?, call.member.accumulator.ordered()?))
    }

    /// Those rows of `changes` that count among the values in order. There are enough of them for all that these rows take
    /// back.
    pub(super) fn divide(
        &mut self,
        call: &Call<'_>,
        rows: &mut GroupRows,
        arguments: &[ArrayRef],
        changes: &Changes<'_>,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Option<BooleanBuffer>, OperatorError> {
        let Some((values, ordered)) = self.of(call) else { return Ok(changes.selected.clone()) };
        let is_any = values.begin(&ordered, rows, call.member.place);
        let (true, Some(retractions), [argument]) = (is_any, changes.retractions, arguments) else {
            return Ok(changes.selected.clone());
        };
        let encoded = ordered.codec.encode(argument)?;
        let counted = |row: usize| {
            let selected = changes.selected.as_ref().is_none_or(|selected| selected.value(row));
            let value = encoded.get(row).filter(|_| selected)?;
            let (group, retracts) = (changes.groups[row] as usize, retractions.retracts[row]);
            Some(Counted { group, value, retracts })
        };
        let all = 0..changes.groups.len();
        let mut bounds = values.provide(call, &ordered, rows, all.clone().filter_map(counted), keyed)?;
        let mut in_order = vec![false; all.len()];
        for (row, in_order) in all.zip(&mut in_order) {
            if let Some(Counted { group, value, retracts }) = counted(row) {
                *in_order = !is_behind(&ordered, &bounds[group], value);
                if !*in_order {
                    let change = if retracts { -1 } else { 1 };
                    values.moves.push(Moved { group, value: value.to_vec(), change });
                }
            }
            let group = changes.groups[row] as usize;
            if retractions.resets[row] && bounds[group].take().is_some() {
                values.entries[group] = 0;
                values.moves.retain(|moved| moved.group != group);
                keyed.clear_under(values.map, VOID, &[call.slots[group]]);
            }
        }
        Ok(Some(BooleanBuffer::from(in_order)))
    }

    /// Writes what has moved, once the values in order are counted. Of those, what is too many moves too.
    pub(super) fn settle(
        &mut self,
        call: &Call<'_>,
        rows: &mut GroupRows,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let Some((values, ordered)) = self.of(call) else { return Ok(()) };
        let place = call.member.place;
        for group in 0..rows.len() {
            values.cut(&ordered, group, rows.value_mut(group, place.value));
        }
        values.write(&ordered, call.slots, keyed)?;
        for (group, entries) in values.entries.iter().enumerate() {
            let held = rows.value_mut(group, place.value);
            if ordered.behind(held) != *entries {
                *held = ordered.hold(&ordered.entries(held), *entries);
            }
        }
        Ok(())
    }
}

/// True if a value is behind the last one in order. `None`: all are in order.
fn is_behind(ordered: &Ordered<'_>, bound: &Option<Vec<u8>>, value: &[u8]) -> bool {
    bound.as_ref().is_some_and(|bound| ordered.compare(value, bound) == Ordering::Greater)
}

impl Values {
    /// Reads how many values each group has in the map; false if none has any.
    fn begin(&mut self, ordered: &Ordered<'_>, rows: &GroupRows, place: Place) -> bool {
        self.moves.clear();
        self.entries.clear();
        self.entries.extend((0..rows.len()).map(|group| ordered.behind(rows.value(group, place.value))));
        self.entries.iter().any(|entries| *entries > 0)
    }

    /// Sees to it that each group has more values in order than `counted` takes back, or all. The last value in order of
    /// each group that has others.
    fn provide<'a>(
        &mut self,
        call: &Call<'_>,
        ordered: &Ordered<'_>,
        rows: &mut GroupRows,
        counted: impl Iterator<Item = Counted<'a>>,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<Option<Vec<u8>>>, OperatorError> {
        let place = call.member.place;
        let bound = |rows: &GroupRows, group: usize, entries: u64| match entries {
            0 => None,
            // Nothing in order: all are behind nothing.
            _ => Some(
                ordered
                    .entries(rows.value(group, place.value))
                    .last()
                    .map_or(&[][..], |last| last.0)
                    .to_vec(),
            ),
        };
        let entries = self.entries.iter().enumerate();
        let mut bounds: Vec<Option<Vec<u8>>> = entries.map(|(group, all)| bound(rows, group, *all)).collect();
        // Values that are taken back: of those in order, and of all.
        let mut taken = vec![(0, 0); bounds.len()];
        for Counted { group, value, .. } in counted.filter(|counted| counted.retracts) {
            taken[group].0 += usize::from(!is_behind(ordered, &bounds[group], value));
            taken[group].1 += 1;
        }
        for group in 0..bounds.len() {
            if bounds[group].is_none() {
                continue;
            }
            let entries = ordered.entries(rows.value(group, place.value));
            let there = entries.iter().filter(|(_, count)| *count > 0).count();
            if there > taken[group].0 {
                continue;
            }
            let wanted = taken[group].1 + 1 + kept_in_order(self.entries[group]);
            let next = self.take_first(ordered, call.slots[group], wanted, keyed)?;
            self.entries[group] = self.entries[group].saturating_sub(next.len() as u64);
            let next = next.iter().map(|(value, count)| (&value[..], *count));
            let all: Vec<(&[u8], i64)> = entries.into_iter().chain(next).collect();
            let held = ordered.hold(&all, self.entries[group]);
            *rows.value_mut(group, place.value) = held;
            bounds[group] = bound(rows, group, self.entries[group]);
        }
        Ok(bounds)
    }

    /// Takes values from the map, the first ones first, until `wanted` of them are there.
    fn take_first(
        &self,
        ordered: &Ordered<'_>,
        parent: u32,
        wanted: usize,
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<(Vec<u8>, i64)>, OperatorError> {
        let mut slots = Vec::new();
        keyed.entries_under(self.map, VOID, parent, &mut slots);
        let mut first: Vec<(Vec<u8>, i64, u32)> = Vec::new();
        let mut enough = false;
        for some in slots.chunks(LOOKED_THROUGH) {
            let keys = keyed.keys(self.map, VOID, some);
            let columns = keyed.encoder(self.map).decode(&keys)?;
            let [column] = &columns[..] else {
                return Err(OperatorError::internal("values behind the first ones cannot be read again"));
            };
            let values = ordered.codec.encode(column)?;
            let state = keyed.rows(self.map, VOID);
            let counts = state.column::<i64>(0);
            let last = first.last().map(|(value, ..)| value.clone()).filter(|_| enough);
            let found = some.iter().enumerate().filter_map(|(row, slot)| Some((values.get(row)?, *slot)));
            let found = found.filter(|(value, _)| !is_behind(ordered, &last, value));
            first.extend(found.map(|(value, slot)| (value.to_vec(), counts.get(slot), slot)));
            first.sort_unstable_by(|left, right| ordered.compare(&left.0, &right.0));
            let is_there = |place: &usize| first[*place].1 > 0;
            if let Some(place) = (0..first.len()).filter(is_there).nth(wanted - 1) {
                first.truncate(place + 1);
                enough = true;
            }
        }
        let taken: Vec<u32> = first.iter().map(|(_, _, slot)| *slot).collect();
        keyed.delete(self.map, VOID, &taken);
        Ok(first.into_iter().map(|(value, count, _)| (value, count)).collect())
    }

    /// Leaves a group with the first of its values, if they are too many.
    fn cut(&mut self, ordered: &Ordered<'_>, group: usize, held: &mut Vec<u8>) {
        if !ordered.may_exceed(held, 2 * LEAST) {
            return;
        }
        let entries = ordered.entries(held);
        let kept = kept_in_order(self.entries[group] + entries.len() as u64);
        if entries.len() <= 2 * kept {
            return;
        }
        // One of them at least is there: it is the result.
        let there = entries.iter().position(|(_, count)| *count > 0).map_or(entries.len(), |first| first + 1);
        let (first, others) = entries.split_at(kept.max(there));
        let moved = others.iter();
        self.moves.extend(moved.map(|(value, change)| Moved {
            group,
            value: value.to_vec(),
            change: *change,
        }));
        *held = ordered.hold(first, 0);
    }

    /// Lets values come to the map and go from it.
    fn write(
        &mut self,
        ordered: &Ordered<'_>,
        slots: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        if self.moves.is_empty() {
            return Ok(());
        }
        let column = ordered.codec.decode(self.moves.iter().map(|moved| Some(&moved.value[..])))?;
        let keys = keyed.encoder(self.map).encode(&[column], self.moves.len())?;
        let parents: Vec<u32> = self.moves.iter().map(|moved| slots[moved.group]).collect();
        keyed.resolve_under(self.map, VOID, &parents, &keys, &mut self.found);
        for position in &self.found.created {
            self.entries[self.moves[*position as usize].group] += 1;
        }
        let state = keyed.rows(self.map, VOID);
        let counts = state.column::<i64>(0);
        for (moved, slot) in self.moves.iter().zip(&self.found.slots) {
            counts.set(*slot, counts.get(*slot).wrapping_add(moved.change));
        }
        let places = self.moves.iter().zip(&self.found.slots);
        let gone =
            places.filter(|(_, slot)| counts.get(**slot) == 0).map(|(moved, slot)| (*slot, moved.group));
        let mut gone: Vec<(u32, usize)> = gone.collect();
        gone.sort_unstable();
        gone.dedup();
        for (_, group) in &gone {
            self.entries[*group] -= 1;
        }
        let gone: Vec<u32> = gone.into_iter().map(|(slot, _)| slot).collect();
        keyed.delete(self.map, VOID, &gone);
        self.moves.clear();
        Ok(())
    }
}
