//! Adds the accumulators of some entries to those of others: slices to windows, sessions to sessions.

use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, Changes, GroupRows};
use crate::distinct::DistinctMaps;
use crate::grouping::Grouping;
use arrow::buffer::BooleanBuffer;
use weir_state::{KeyedStateBackend, Namespace, PinBuffer, Slots, StateId};

/// Entries of DISTINCT maps that are merged at once.
const CHILDREN: usize = 8192;

/// A state with the accumulators of an operator, and the maps under it.
pub(crate) struct AccumulatorTable {
    pub(crate) state: StateId,
    pub(crate) distincts: DistinctMaps,
}

/// Memory that is kept from merge to merge.
pub(crate) struct Merger {
    from: GroupRows,
    into: GroupRows,
    grouping: Grouping,
    found: Slots,
    pins: PinBuffer,
}

impl Merger {
    pub(crate) fn new(set: &AccumulatorSet) -> Self {
        Merger {
            from: set.new_rows(),
            into: set.new_rows(),
            grouping: Grouping::default(),
            found: Slots::default(),
            pins: PinBuffer::default(),
        }
    }

    /// Adds what entry `from_slots[i]` has seen to entry `into_slots[i]`, behind what that has seen. No entry
    /// comes twice. `count_word`: the word with the number of rows. `all_new`: the entries to add to have
    /// seen nothing.
    pub(crate) fn merge(
        &mut self,
        keyed: &mut KeyedStateBackend,
        set: &AccumulatorSet,
        (from, from_namespace, from_slots): (&AccumulatorTable, Namespace, &[u32]),
        (into, into_namespace, into_slots): (&AccumulatorTable, Namespace, &[u32]),
        count_word: Option<usize>,
        all_new: bool,
    ) -> Result<(), OperatorError> {
        set.load(&keyed.rows(from.state, from_namespace), from_slots, &mut self.pins, &mut self.from);
        if all_new && from.distincts.maps.is_empty() {
            set.store(&self.from, into_slots, &mut self.pins, &mut keyed.rows(into.state, into_namespace));
            return Ok(());
        }
        set.load(&keyed.rows(into.state, into_namespace), into_slots, &mut self.pins, &mut self.into);
        if let Some(word) = count_word {
            for row in 0..from_slots.len() {
                let count = self.from.part(row, word, 1)[0];
                let sum = &mut self.into.part_mut(row, word, 1)[0];
                *sum = sum.wrapping_add(count);
            }
        }
        let rows: Vec<u32> = (0..into_slots.len() as u32).collect();
        for member in set.members().iter().filter(|member| member.distinct.is_none()) {
            member.accumulator.merge(member.place, &mut self.into, &rows, &self.from)?;
        }
        set.store(&self.into, into_slots, &mut self.pins, &mut keyed.rows(into.state, into_namespace));
        for map in 0..from.distincts.maps.len() {
            let (mut children, mut parents) = (Vec::new(), Vec::new());
            for (from_slot, into_slot) in from_slots.iter().zip(into_slots) {
                keyed.entries_under(from.distincts.maps[map], from_namespace, *from_slot, &mut children);
                parents.resize(children.len(), *into_slot);
            }
            for (children, parents) in children.chunks(CHILDREN).zip(parents.chunks(CHILDREN)) {
                let from = (from, from_namespace, children);
                self.merge_distinct(keyed, set, map, from, (into, into_namespace, parents))?;
            }
        }
        Ok(())
    }

    /// Adds the values at `children` of a DISTINCT map to the maps under `parents`, and those that are new
    /// there to the accumulators.
    fn merge_distinct(
        &mut self,
        keyed: &mut KeyedStateBackend,
        set: &AccumulatorSet,
        map: usize,
        (from, from_namespace, children): (&AccumulatorTable, Namespace, &[u32]),
        (into, into_namespace, parents): (&AccumulatorTable, Namespace, &[u32]),
    ) -> Result<(), OperatorError> {
        let (from_map, into_map) = (from.distincts.maps[map], into.distincts.maps[map]);
        let keys = keyed.keys(from_map, from_namespace, children);
        let values = keyed.encoder(into_map).decode(&keys)?;
        keyed.resolve_under(into_map, into_namespace, parents, &keys, &mut self.found);
        let fresh = into.distincts.merge(
            keyed,
            map,
            (from_map, from_namespace, children),
            (into_map, into_namespace),
            &self.found,
        );
        self.grouping.group(parents);
        let state = keyed.rows(into.state, into_namespace);
        set.load(&state, &self.grouping.slots, &mut self.pins, &mut self.into);
        for member in set.members() {
            let Some((of, bit)) = member.distinct else { continue };
            if of != map {
                continue;
            }
            let selected: BooleanBuffer = fresh[bit].clone();
            let changes =
                Changes { groups: &self.grouping.groups, selected: Some(selected), retractions: None };
            member.accumulator.update(member.place, &mut self.into, &values, &changes)?;
        }
        set.store(
            &self.into,
            &self.grouping.slots,
            &mut self.pins,
            &mut keyed.rows(into.state, into_namespace),
        );
        Ok(())
    }
}
