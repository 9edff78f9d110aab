//! What the disk still has and nobody is to see again.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;
use crate::disk::keys::{after, front};

/// Entries under one parent that are buried one by one; more are buried as a range.
const FEW: usize = 64;

impl KeyedStateBackend {
    /// Entries that are about to leave their table for good.
    pub(crate) fn bury(&mut self, id: StateId, namespace: Namespace, slots: &[u32]) {
        if self.disk.is_none() {
            return;
        }
        let state = &self.states[id.0 as usize];
        let Some(table) = state.tables.get(&namespace) else { return };
        // A timer that was added is not looked for on disk, where it may have been before.
        let is_stored = |slot: u32| table.marks.stored.get(slot) || state.disk.horizon_ms.is_some();
        let stored: Vec<u32> =
            slots.iter().copied().filter(|&slot| table.slots.was_live(slot) && is_stored(slot)).collect();
        if stored.is_empty() {
            return;
        }
        let keys = self.disk_keys(id, namespace, &stored);
        let dead = &mut self.states[id.0 as usize].disk.dead;
        (0..keys.len()).for_each(|row| dead.insert(keys.get(row)));
    }

    /// Nothing is noted of these slots any more: they are free.
    pub(crate) fn forget_slots(&mut self, id: StateId, namespace: Namespace, slots: &[u32]) {
        if self.disk.is_none() {
            return;
        }
        let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) else { return };
        slots.iter().for_each(|&slot| table.marks.forget(slot));
    }

    /// All entries of a namespace.
    pub(crate) fn bury_namespace(&mut self, id: StateId, namespace: Namespace) {
        let Some(disk) = &mut self.disk else { return };
        disk.walking.remove(&(id, namespace));
        let state = &mut self.states[id.0 as usize];
        if state.tables.get(&namespace).is_some_and(|table| table.marks.on_disk) {
            for group in self.range.start..self.range.end {
                let front = front(group, namespace);
                let end = after(&front);
                state.disk.dead.insert_range(front, end);
            }
        }
    }

    /// What is under `parents` on disk alone.
    pub(crate) fn bury_under(&mut self, id: StateId, namespace: Namespace, parents: &[u32]) {
        if self.disk.is_none() {
            return;
        }
        let state = &self.states[id.0 as usize];
        let (Some(table), Some(above)) = (state.tables.get(&namespace), state.parent) else { return };
        let unknown: Vec<u32> =
            parents.iter().copied().filter(|&parent| !table.marks.has_all_of(parent)).collect();
        if unknown.is_empty() {
            return;
        }
        let prefixes = self.prefixes(above, namespace, &unknown);
        for (row, &parent) in unknown.iter().enumerate() {
            let result = self.bury_prefix(id, namespace, prefixes.get(row));
            self.note(result);
            if let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) {
                table.marks.complete.set(parent);
            }
        }
    }

    fn bury_prefix(&mut self, id: StateId, namespace: Namespace, prefix: &[u8]) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let state = &mut self.states[id.0 as usize];
        let end = after(prefix);
        let mut few = Vec::new();
        let mut iterator = disk.store.iterator(&state.descriptor.name, Some(end.clone()), false);
        iterator.seek(prefix);
        while let Some(key) = iterator.key().filter(|_| few.len() < FEW) {
            few.push(key.to_vec());
            iterator.next();
        }
        disk.store.iterated(&state.descriptor.name, &iterator)?;
        drop(iterator);
        if few.len() < FEW && state.children.is_empty() {
            few.iter().for_each(|key| state.disk.dead.insert(key));
        } else {
            self.bury_range(id, namespace, &(prefix.to_vec(), end));
        }
        Ok(())
    }
}
