//! Entries from disk into the rows of the tables that cache them.

use crate::StateError;
use crate::backend::{KeyedStateBackend, State, StateId, Table};
use crate::descriptor::{Namespace, StateKind};
use crate::disk::keys::{after, order_of, push_front};
use crate::disk::store::Store;
use crate::resolve::{NO_SLOT, Slots};
use crate::segment::ByteStrings;
use std::collections::BTreeMap;
use weir_types::{EncodedKeys, KeyShape, key_group_of, key_hash};

/// Memory that is kept from batch to batch.
#[derive(Default)]
pub(crate) struct LoadScratch {
    /// keys to look up, in any order
    wanted: ByteStrings,
    /// for each of `wanted` the position in the batch that it belongs to
    positions: Vec<u32>,
    /// rows of `wanted` that the disk has
    found: Vec<u32>,
    /// their values
    values: ByteStrings,
}

impl LoadScratch {
    fn clear(&mut self) {
        self.wanted.clear();
        self.positions.clear();
        self.found.clear();
        self.values.clear();
    }

    /// Ends the key that was appended to `wanted`, or takes it back if `state` knows that it is dead.
    fn end_key(&mut self, state: &State, position: u32) {
        let start = self.wanted.offsets.last().copied().unwrap_or(0) as usize;
        if state.disk.is_dead(&self.wanted.bytes[start..]) {
            self.wanted.bytes.truncate(start);
        } else {
            self.wanted.end();
            self.positions.push(position);
        }
    }

    fn fetch(&mut self, store: &Store, family: &str) -> Result<(), StateError> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let order = order_of(&self.wanted);
        let LoadScratch { wanted, found, values, .. } = self;
        store.multi_get(family, wanted, &order, |row, value| {
            found.push(row);
            values.push(value);
            Ok(())
        })
    }

    /// Positions in the batch of the keys that the disk has, with their values.
    fn found(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.found
            .iter()
            .enumerate()
            .map(|(index, &row)| (self.positions[row as usize], self.values.get(index)))
    }
}

impl Table {
    /// The slots were used a moment ago.
    fn note_use(&mut self, slots: &[u32]) {
        let recent = &mut self.marks.recent;
        slots.iter().filter(|&&slot| slot != NO_SLOT).for_each(|&slot| recent.set(slot));
    }

    /// Sets a fresh row to what the disk has.
    pub(crate) fn fill(&mut self, state: &StateSide<'_>, slot: u32, value: &[u8]) -> Result<(), StateError> {
        state.values.read(value, &mut self.slots, slot).map_err(|what| StateError::Corrupt {
            file: format!("column family {}", state.family),
            offset: 0,
            what: what.to_string(),
        })?;
        self.slots.rows.set_clean(slot);
        self.marks.stored.set(slot);
        Ok(())
    }
}

/// What filling rows needs of a state besides its tables.
pub(crate) struct StateSide<'a> {
    pub(crate) values: &'a crate::disk::values::ValueLayout,
    pub(crate) family: &'a str,
}

impl KeyedStateBackend {
    /// After keys of a Value state were resolved: entries that are on disk are loaded into their new rows, and no
    /// longer count as created.
    pub(crate) fn load_resolved(
        &mut self,
        id: StateId,
        namespace: Namespace,
        keys: &EncodedKeys,
        start: usize,
        found: &mut Slots,
    ) {
        if self.disk.is_none() {
            return;
        }
        let result = self.try_load_resolved(id, namespace, keys, start, found);
        self.note(result);
    }

    fn try_load_resolved(
        &mut self,
        id: StateId,
        namespace: Namespace,
        keys: &EncodedKeys,
        start: usize,
        found: &mut Slots,
    ) -> Result<(), StateError> {
        let max_parallelism = self.max_parallelism;
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let state = &mut self.states[id.0 as usize];
        let Some(table) = state.tables.get_mut(&namespace) else { return Ok(()) };
        table.note_use(&found.slots);
        // A key that comes once and not again need not stay.
        found.created.iter().for_each(|&row| table.marks.recent.unset(found.slots[row as usize]));
        let all_created = found.created.clone();
        if table.marks.partly && !found.created.is_empty() {
            let mut scratch = std::mem::take(&mut disk.scratch);
            scratch.clear();
            for &position in &found.created {
                let row = start + position as usize;
                let group = key_group_of(keys.hashes()[row], max_parallelism);
                push_front(group.0, namespace, &mut scratch.wanted.bytes);
                keys.write_canonical(row, &mut scratch.wanted.bytes);
                scratch.end_key(state, position);
            }
            scratch.fetch(&disk.store, &state.descriptor.name)?;
            fill_created(state, namespace, &scratch, found)?;
            disk.scratch = scratch;
        }
        self.note_parents(id, namespace, &all_created, found);
        Ok(())
    }

    /// Tells the tables under `id` which of the new rows have all their entries in memory: those of entries that did
    /// not exist before.
    fn note_parents(&mut self, id: StateId, namespace: Namespace, new_rows: &[u32], found: &Slots) {
        for child in self.states[id.0 as usize].children.clone() {
            let Some(table) = self.states[child.0 as usize].tables.get_mut(&namespace) else { continue };
            if table.marks.partly {
                for &position in new_rows {
                    let created = found.created.binary_search(&position).is_ok();
                    table.marks.complete.put(found.slots[position as usize], created);
                }
            }
        }
    }

    /// After keys of a Value state were looked up: loads those that are on disk alone.
    pub(crate) fn load_looked_up(
        &mut self,
        id: StateId,
        namespace: Namespace,
        keys: &EncodedKeys,
        slots: &mut [u32],
    ) {
        if self.disk.is_none() {
            return;
        }
        let result = self.try_load_looked_up(id, namespace, keys, slots);
        self.note(result);
    }

    fn try_load_looked_up(
        &mut self,
        id: StateId,
        namespace: Namespace,
        keys: &EncodedKeys,
        slots: &mut [u32],
    ) -> Result<(), StateError> {
        let max_parallelism = self.max_parallelism;
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let state = &mut self.states[id.0 as usize];
        let Some(table) = state.tables.get_mut(&namespace) else { return Ok(()) };
        if table.marks.partly && slots.contains(&NO_SLOT) {
            let mut scratch = std::mem::take(&mut disk.scratch);
            scratch.clear();
            for (position, _) in slots.iter().enumerate().filter(|(_, slot)| **slot == NO_SLOT) {
                let group = key_group_of(keys.hashes()[position], max_parallelism);
                push_front(group.0, namespace, &mut scratch.wanted.bytes);
                keys.write_canonical(position, &mut scratch.wanted.bytes);
                scratch.end_key(state, position as u32);
            }
            scratch.fetch(&disk.store, &state.descriptor.name)?;
            let positions: Vec<u32> = scratch.found().map(|(position, _)| position).collect();
            let mut loaded = Slots::default();
            table_of(state, namespace).slots.resolve(&keys.take(&positions), 0..positions.len(), &mut loaded);
            self.fill_loaded(id, namespace, &scratch, &loaded)?;
            positions
                .iter()
                .zip(&loaded.slots)
                .for_each(|(&position, &slot)| slots[position as usize] = slot);
            if let Some(disk) = &mut self.disk {
                disk.scratch = scratch;
            }
        }
        if let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) {
            table.note_use(slots);
        }
        Ok(())
    }

    /// Fills rows that were made for what was found on disk.
    fn fill_loaded(
        &mut self,
        id: StateId,
        namespace: Namespace,
        scratch: &LoadScratch,
        loaded: &Slots,
    ) -> Result<(), StateError> {
        let state = &mut self.states[id.0 as usize];
        let side = StateSide { values: &state.disk.values, family: &state.descriptor.name };
        let table = state.tables.get_mut(&namespace).expect("rows were made in it");
        for &row in &loaded.created {
            table.fill(&side, loaded.slots[row as usize], scratch.values.get(row as usize))?;
        }
        let none_created = Slots { slots: loaded.slots.clone(), created: Vec::new() };
        self.note_parents(id, namespace, &loaded.created, &none_created);
        Ok(())
    }

    /// What the keys on disk of everything under the entries at `slots` begin with; of Value and Map states their own
    /// keys.
    pub(crate) fn prefixes(&self, id: StateId, namespace: Namespace, slots: &[u32]) -> ByteStrings {
        let state = &self.states[id.0 as usize];
        let table = &state.tables[&namespace].slots;
        let mut prefixes = ByteStrings::new();
        match state.parent {
            None => {
                let keys = table.keys(slots, state.shape(), false);
                for (row, &hash) in keys.hashes().iter().enumerate() {
                    push_front(key_group_of(hash, self.max_parallelism).0, namespace, &mut prefixes.bytes);
                    keys.write_canonical(row, &mut prefixes.bytes);
                    prefixes.end();
                }
            }
            Some(parent) => {
                let parents: Vec<u32> = slots.iter().map(|&slot| table.parent(slot, false)).collect();
                let above = self.prefixes(parent, namespace, &parents);
                let keys = table.keys(slots, state.shape(), true);
                for row in 0..slots.len() {
                    prefixes.bytes.extend_from_slice(above.get(row));
                    keys.write_canonical(row, &mut prefixes.bytes);
                    prefixes.end();
                }
            }
        }
        prefixes
    }

    /// The keys on disk of the entries at `slots`.
    pub(crate) fn disk_keys(&self, id: StateId, namespace: Namespace, slots: &[u32]) -> ByteStrings {
        let state = &self.states[id.0 as usize];
        let mut keys = ByteStrings::new();
        match (state.descriptor.kind, state.parent) {
            (StateKind::Value | StateKind::Map, _) => return self.prefixes(id, namespace, slots),
            (StateKind::List, Some(parent)) => {
                let table = &state.tables[&namespace].slots;
                let parents: Vec<u32> = slots.iter().map(|&slot| table.parent(slot, true)).collect();
                let above = self.prefixes(parent, namespace, &parents);
                for (row, &slot) in slots.iter().enumerate() {
                    keys.bytes.extend_from_slice(above.get(row));
                    keys.bytes.extend_from_slice(&table.key_word(slot, 1).to_be_bytes());
                    keys.end();
                }
            }
            _ => {
                let timers = state.tables[&namespace].slots.keys(slots, KeyShape::Bytes, false);
                let mut timer = Vec::new();
                for row in 0..slots.len() {
                    timer.clear();
                    timers.write_canonical(row, &mut timer);
                    crate::disk::timers::push_key(&timer, self.max_parallelism, &mut keys.bytes);
                    keys.end();
                }
            }
        }
        keys
    }

    /// [`KeyedStateBackend::load_resolved`] for map keys under parents.
    pub(crate) fn load_resolved_under(
        &mut self,
        id: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        found: &mut Slots,
    ) {
        if self.disk.is_none() {
            return;
        }
        let result = self.try_load_resolved_under(id, namespace, parents, keys, found);
        self.note(result);
    }

    fn try_load_resolved_under(
        &mut self,
        id: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        found: &mut Slots,
    ) -> Result<(), StateError> {
        let table = table_of(&mut self.states[id.0 as usize], namespace);
        table.note_use(&found.slots);
        let all_created = found.created.clone();
        let unknown = |position: &u32| !table.marks.has_all_of(parents[*position as usize]);
        let unknown: Vec<u32> = found.created.iter().copied().filter(unknown).collect();
        if !unknown.is_empty() {
            let scratch = self.fetch_under(id, namespace, parents, keys, &unknown)?;
            fill_created(&mut self.states[id.0 as usize], namespace, &scratch, found)?;
            if let Some(disk) = &mut self.disk {
                disk.scratch = scratch;
            }
        }
        self.note_parents(id, namespace, &all_created, found);
        Ok(())
    }

    /// Fetches the map keys at `positions` of a batch.
    fn fetch_under(
        &mut self,
        id: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        positions: &[u32],
    ) -> Result<LoadScratch, StateError> {
        let above = self.states[id.0 as usize].parent.expect("a Map state has a parent");
        let mut places: BTreeMap<u32, usize> =
            positions.iter().map(|&position| (parents[position as usize], 0)).collect();
        let distinct: Vec<u32> = places.keys().copied().collect();
        places.values_mut().enumerate().for_each(|(place, of)| *of = place);
        let prefixes = self.prefixes(above, namespace, &distinct);
        let Some(disk) = &mut self.disk else { return Ok(LoadScratch::default()) };
        let mut scratch = std::mem::take(&mut disk.scratch);
        scratch.clear();
        let state = &self.states[id.0 as usize];
        for &position in positions {
            let prefix = prefixes.get(places[&parents[position as usize]]);
            scratch.wanted.bytes.extend_from_slice(prefix);
            keys.write_canonical(position as usize, &mut scratch.wanted.bytes);
            scratch.end_key(state, position);
        }
        scratch.fetch(&disk.store, &state.descriptor.name)?;
        Ok(scratch)
    }

    /// [`KeyedStateBackend::load_looked_up`] for map keys under parents.
    pub(crate) fn load_looked_up_under(
        &mut self,
        id: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        slots: &mut [u32],
    ) {
        if self.disk.is_none() || !self.states[id.0 as usize].tables.contains_key(&namespace) {
            return;
        }
        let result = self.try_load_looked_up_under(id, namespace, parents, keys, slots);
        self.note(result);
    }

    fn try_load_looked_up_under(
        &mut self,
        id: StateId,
        namespace: Namespace,
        parents: &[u32],
        keys: &EncodedKeys,
        slots: &mut [u32],
    ) -> Result<(), StateError> {
        let table = table_of(&mut self.states[id.0 as usize], namespace);
        let unknown = |&(position, slot): &(usize, &u32)| {
            *slot == NO_SLOT && !table.marks.has_all_of(parents[position])
        };
        let unknown: Vec<u32> =
            slots.iter().enumerate().filter(unknown).map(|(position, _)| position as u32).collect();
        if !unknown.is_empty() {
            let scratch = self.fetch_under(id, namespace, parents, keys, &unknown)?;
            let positions: Vec<u32> = scratch.found().map(|(position, _)| position).collect();
            let above: Vec<u32> = positions.iter().map(|&position| parents[position as usize]).collect();
            let mut loaded = Slots::default();
            let table = table_of(&mut self.states[id.0 as usize], namespace);
            table.slots.resolve_under(&above, &keys.take(&positions), &mut loaded);
            for &row in &loaded.created {
                table.links.append(above[row as usize], loaded.slots[row as usize]);
            }
            self.fill_loaded(id, namespace, &scratch, &loaded)?;
            positions
                .iter()
                .zip(&loaded.slots)
                .for_each(|(&position, &slot)| slots[position as usize] = slot);
            if let Some(disk) = &mut self.disk {
                disk.scratch = scratch;
            }
        }
        table_of(&mut self.states[id.0 as usize], namespace).note_use(slots);
        Ok(())
    }

    /// Loads all entries of a Map or List state under the entries at `parents`.
    pub(crate) fn load_under(&mut self, id: StateId, namespace: Namespace, parents: &[u32]) {
        if self.disk.is_none() {
            return;
        }
        let Some(table) = self.states[id.0 as usize].tables.get(&namespace) else { return };
        let mut unknown: Vec<u32> =
            parents.iter().copied().filter(|&parent| !table.marks.has_all_of(parent)).collect();
        if !unknown.is_empty() {
            unknown.sort_unstable();
            unknown.dedup();
            let result = self.try_load_under(id, namespace, &unknown);
            self.note(result);
        }
        if let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) {
            let Table { links, marks, .. } = table;
            for &parent in parents {
                links.entries(parent).for_each(|slot| marks.recent.set(slot));
            }
        }
    }

    fn try_load_under(
        &mut self,
        id: StateId,
        namespace: Namespace,
        parents: &[u32],
    ) -> Result<(), StateError> {
        let Some(above) = self.states[id.0 as usize].parent else { return Ok(()) };
        let prefixes = self.prefixes(above, namespace, parents);
        let Some(disk) = &self.disk else { return Ok(()) };
        let store = disk.store.clone();
        let family = self.states[id.0 as usize].descriptor.name.clone();
        let mut scratch = LoadScratch::default();
        // In the order of the keys, so that the way to the next is short.
        let order = order_of(&prefixes);
        let end = order.last().map(|&last| after(prefixes.get(last as usize)));
        let mut iterator = store.iterator(&family, end, false);
        for row in order {
            let (prefix, parent) = (prefixes.get(row as usize), parents[row as usize]);
            let state = &mut self.states[id.0 as usize];
            scratch.clear();
            iterator.seek(prefix);
            while let Some((key, value)) = iterator.item().filter(|(key, _)| key.starts_with(prefix)) {
                if !state.disk.is_dead(key) {
                    scratch.wanted.push(&key[prefix.len()..]);
                    scratch.values.push(value);
                }
                iterator.next();
            }
            let loaded = match state.is_list() {
                true => load_list(state, namespace, parent, &scratch)?,
                false => load_map(state, namespace, parent, &scratch)?,
            };
            self.fill_loaded(id, namespace, &scratch, &loaded)?;
            table_of(&mut self.states[id.0 as usize], namespace).marks.complete.set(parent);
        }
        store.iterated(&family, &iterator)
    }

    /// True if the disk has an entry under `parent` that is not dead.
    pub(crate) fn disk_has_under(&mut self, id: StateId, namespace: Namespace, parent: u32) -> bool {
        let state = &self.states[id.0 as usize];
        let known = state.tables.get(&namespace).is_none_or(|table| table.marks.has_all_of(parent));
        let (false, Some(disk), Some(above)) = (known, &self.disk, state.parent) else { return false };
        let prefixes = self.prefixes(above, namespace, &[parent]);
        let prefix = prefixes.get(0);
        let mut iterator = disk.store.iterator(&state.descriptor.name, Some(after(prefix)), false);
        iterator.seek(prefix);
        while let Some(key) = iterator.key() {
            if !state.disk.is_dead(key) {
                return true;
            }
            iterator.next();
        }
        let result = disk.store.iterated(&state.descriptor.name, &iterator);
        drop(iterator);
        self.note(result);
        false
    }
}

/// The table that the caller has seen.
fn table_of(state: &mut State, namespace: Namespace) -> &mut Table {
    state.tables.get_mut(&namespace).expect("the namespace was there a moment ago")
}

/// Fills the new rows of `found` that the disk has values for: they were not created.
fn fill_created(
    state: &mut State,
    namespace: Namespace,
    scratch: &LoadScratch,
    found: &mut Slots,
) -> Result<(), StateError> {
    let side = StateSide { values: &state.disk.values, family: &state.descriptor.name };
    let table = state.tables.get_mut(&namespace).expect("the rows are in it");
    let mut loaded = Vec::with_capacity(scratch.found.len());
    for (position, value) in scratch.found() {
        table.fill(&side, found.slots[position as usize], value)?;
        loaded.push(position);
    }
    loaded.sort_unstable();
    found.created.retain(|position| loaded.binary_search(position).is_err());
    Ok(())
}

/// Makes rows for map keys, unless they are there.
fn load_map(
    state: &mut State,
    namespace: Namespace,
    parent: u32,
    scratch: &LoadScratch,
) -> Result<Slots, StateError> {
    let keys = state.encoder.from_canonical(&scratch.wanted.offsets, &scratch.wanted.bytes);
    let keys = keys.map_err(|error| StateError::Corrupt {
        file: format!("column family {}", state.descriptor.name),
        offset: 0,
        what: error.to_string(),
    })?;
    let mut loaded = Slots::default();
    let table = table_of(state, namespace);
    table.slots.resolve_under(&vec![parent; keys.len()], &keys, &mut loaded);
    for &row in &loaded.created {
        table.links.append(parent, loaded.slots[row as usize]);
    }
    Ok(loaded)
}

/// Makes rows for entries of a list, unless they are there, and puts all in order.
fn load_list(
    state: &mut State,
    namespace: Namespace,
    parent: u32,
    scratch: &LoadScratch,
) -> Result<Slots, StateError> {
    let family = state.descriptor.name.clone();
    let table = table_of(state, namespace);
    let numbered = |slot: u32| (table.slots.key_word(slot, 1), slot);
    let mut entries: BTreeMap<u64, u32> = table.links.entries(parent).map(numbered).collect();
    let mut loaded = Slots::default();
    for row in 0..scratch.wanted.len() {
        let number = scratch.wanted.get(row).try_into().map(u64::from_be_bytes);
        let number = number.map_err(|_| StateError::Corrupt {
            file: format!("column family {family}"),
            offset: 0,
            what: "an entry of a list without a number".to_string(),
        })?;
        if let Some(&slot) = entries.get(&number) {
            loaded.slots.push(slot);
            continue;
        }
        let slot = table.slots.new_list_row(parent, number);
        entries.insert(number, slot);
        loaded.created.push(row as u32);
        loaded.slots.push(slot);
    }
    table.links.replace(parent, entries.into_values());
    Ok(loaded)
}

/// The key group of the key of a timer.
pub(crate) fn group_of(key: &[u8], max_parallelism: u32) -> u16 {
    key_group_of(key_hash(key), max_parallelism).0
}
