//! Map and List states: entries under the entries of another state.

use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::{Namespace, StateKind};
use crate::resolve::{NO_SLOT, Slots};
use weir_types::EncodedKeys;

impl KeyedStateBackend {
    /// The slots of the entries of a Map state with the map keys `keys` under the entries at `parents`, one
    /// of each per row. Those that do not exist are made: nullable fields NULL, all others zero.
    pub fn resolve_under(
        &mut self,
        map: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        out: &mut Slots,
    ) {
        self.check_keys(map, keys, StateKind::Map);
        let table = self.state_mut(map).table_mut(namespace);
        table.slots.resolve_under(parents, keys, out);
        let created = |of: &[u32]| out.created.iter().map(|&position| of[position as usize]).collect();
        let (above, made): (Vec<u32>, Vec<u32>) = (created(parents), created(&out.slots));
        table.links.append_all(&above, &made);
        self.load_resolved_under(map, namespace, parents, keys, out);
    }

    /// As [`KeyedStateBackend::resolve_under`], with [`NO_SLOT`] for what does not exist.
    pub fn lookup_under(
        &mut self,
        map: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        out: &mut Vec<u32>,
    ) {
        self.check_keys(map, keys, StateKind::Map);
        match self.table(map, namespace) {
            Some(table) => table.slots.lookup_under(parents, keys, out),
            None => {
                out.clear();
                out.resize(keys.len(), NO_SLOT);
            }
        }
        self.load_looked_up_under(map, namespace, parents, keys, out);
    }

    /// Adds an entry to a List state behind the others of each of `parents`; a parent may come several times.
    /// Their slots, in the same order, replace what `out` holds.
    pub fn append_under(&mut self, list: StateId, namespace: Namespace, parents: &[u32], out: &mut Vec<u32>) {
        let state = self.state_mut(list);
        assert!(state.is_list(), "{} is no List state", state.descriptor.name);
        let first = state.next_sequence;
        state.next_sequence += parents.len() as u64;
        let table = state.table_mut(namespace);
        out.clear();
        let rows = (first..).zip(parents);
        out.extend(rows.map(|(sequence, &parent)| table.slots.new_list_row(parent, sequence)));
        table.links.append_all(parents, out);
    }

    /// Says that [`KeyedStateBackend::entries_under`] is going to be asked for each of `parents`: what is on disk is read for all
    /// of them together.
    pub fn prefetch_under(&mut self, child: StateId, namespace: Namespace, parents: &[u32]) {
        self.load_under(child, namespace, parents);
    }

    /// Appends to `out` the slots of the entries of a Map or List state under the entry at `parent`, in the
    /// order in which they were added (of a List state also after a restore).
    pub fn entries_under(&mut self, child: StateId, namespace: Namespace, parent: u32, out: &mut Vec<u32>) {
        self.load_under(child, namespace, &[parent]);
        if let Some(table) = self.table(child, namespace) {
            out.extend(table.links.entries(parent));
        }
    }

    /// True if the entry at `parent` has entries of `child` under it.
    pub fn has_entries_under(&mut self, child: StateId, namespace: Namespace, parent: u32) -> bool {
        self.table(child, namespace).is_some_and(|table| table.links.first(parent).is_some())
            || self.disk_has_under(child, namespace, parent)
    }

    /// Appends to `out` the slots of the entries of a Map state under the entry at `parent`, in the order of
    /// their map keys. Sorts on each call.
    pub fn sorted_entries_under(
        &mut self,
        map: StateId,
        namespace: Namespace,
        parent: u32,
        out: &mut Vec<u32>,
    ) {
        let start = out.len();
        self.entries_under(map, namespace, parent, out);
        let slots = &mut out[start..];
        if slots.len() < 2 {
            return;
        }
        let keys = self.keys(map, namespace, slots);
        let mut bytes = Vec::new();
        let mut ordered: Vec<(std::ops::Range<usize>, u32)> = slots
            .iter()
            .enumerate()
            .map(|(row, &slot)| {
                let from = bytes.len();
                keys.write_canonical(row, &mut bytes);
                (from..bytes.len(), slot)
            })
            .collect();
        ordered.sort_unstable_by(|(a, _), (b, _)| bytes[a.clone()].cmp(&bytes[b.clone()]));
        slots.iter_mut().zip(ordered).for_each(|(place, (_, slot))| *place = slot);
    }

    /// The slots of the parents of the entries at `slots` of a Map or List state.
    pub fn parents(&self, child: StateId, namespace: Namespace, slots: &[u32]) -> Vec<u32> {
        let state = self.state(child);
        assert!(state.parent.is_some(), "entries of {} have no parent", state.descriptor.name);
        let Some(table) = state.tables.get(&namespace) else { return Vec::new() };
        slots.iter().map(|&slot| table.slots.parent(slot, state.is_list())).collect()
    }

    /// Deletes all entries of a Map or List state under the entries at `parents`, with what hangs under them.
    pub fn clear_under(&mut self, child: StateId, namespace: Namespace, parents: &[u32]) {
        self.bury_under(child, namespace, parents);
        self.clear_cached_under(child, namespace, parents);
    }

    /// The same for entries in memory alone; those on disk are dead.
    pub(crate) fn clear_cached_under(&mut self, child: StateId, namespace: Namespace, parents: &[u32]) {
        let Some(table) = self.table(child, namespace) else { return };
        let slots: Vec<u32> = parents.iter().flat_map(|&parent| table.links.entries(parent)).collect();
        if slots.is_empty() {
            return;
        }
        for below in self.state(child).children.clone() {
            self.clear_under(below, namespace, &slots);
        }
        self.remove_entries(child, namespace, &slots);
    }

    /// Takes entries out of a table, and out of the disk; what hung under them is gone.
    pub(crate) fn remove_entries(&mut self, state: StateId, namespace: Namespace, slots: &[u32]) {
        self.bury(state, namespace, slots);
        self.remove_cached(state, namespace, slots);
        self.forget_slots(state, namespace, slots);
    }

    fn remove_cached(&mut self, state: StateId, namespace: Namespace, slots: &[u32]) {
        let state = self.state_mut(state);
        let (shape, is_list) = (state.row_shape(), state.is_list());
        let under_parent = state.parent.is_some();
        let Some(table) = state.tables.get_mut(&namespace) else { return };
        if !under_parent {
            table.slots.delete(slots, shape, false);
            return;
        }
        // A slot may come twice.
        let mut unlinked = Vec::with_capacity(slots.len());
        for &slot in slots {
            let parent = table.slots.parent(slot, is_list);
            if table.slots.is_live(slot) && table.links.remove(parent, slot) {
                unlinked.push(slot);
            }
        }
        match is_list {
            true => unlinked.iter().for_each(|&slot| table.slots.release(slot)),
            false => table.slots.delete(&unlinked, shape, true),
        }
    }
}

#[cfg(test)]
mod tests;
