//! Ways through a namespace in the order of its keys, where some entries are on disk alone: those in memory, sorted,
//! are merged with those on disk.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;
use crate::disk::after;
use crate::disk::keys::{front, front_len, order_of};
use crate::disk::load::StateSide;
use crate::disk::store::{RawIterator, Store};
use crate::resolve::{NO_SLOT, Slots};
use crate::segment::ByteStrings;
use weir_types::KeyGroupRange;

/// Where a way stands, and what was in memory when it began.
pub(crate) struct Walk {
    /// the keys on disk of entries in memory, and their slots, in order
    keys: ByteStrings,
    order: Vec<u32>,
    slots: Vec<u32>,
    /// the next of `order`
    next: usize,
    /// the key of the last entry that was handed out
    last: Vec<u8>,
    /// entries that were handed out and are to go: their slots, and the first of their keys
    handed: Vec<u32>,
    first_handed: Vec<u8>,
    /// entries that were loaded for the sake of the walk
    loaded: Vec<u32>,
}

/// The entries of a namespace on disk, in the order of their keys.
struct OnDisk<'a> {
    iterator: RawIterator<'a>,
    namespace: Namespace,
    /// the key group that the next one may be in, what its keys begin with, and the end of the key groups
    group: u16,
    prefix: Vec<u8>,
    end: u16,
}

impl<'a> OnDisk<'a> {
    /// Those behind the key `last`, which may be empty.
    fn behind(
        last: &[u8],
        store: &'a Store,
        family: &str,
        range: KeyGroupRange,
        namespace: Namespace,
    ) -> OnDisk<'a> {
        let mut iterator = store.iterator(family, Some(front(range.end, Namespace::Void)), true);
        let group = last.first_chunk::<2>().map_or(range.start, |group| u16::from_be_bytes(*group));
        let prefix = front(group, namespace);
        let mut from = prefix.clone();
        // A key without columns is all prefix.
        if last >= from.as_slice() {
            from = last.to_vec();
            from.push(0);
        }
        iterator.seek(&from);
        OnDisk { iterator, namespace, group, prefix, end: range.end }
    }

    /// The next one, in whichever key group.
    fn item(&mut self) -> Option<(&[u8], &[u8])> {
        while self.group < self.end && !self.iterator.key().is_some_and(|key| key.starts_with(&self.prefix)) {
            self.group += 1;
            self.prefix = front(self.group, self.namespace);
            if self.group < self.end && self.iterator.key().is_some_and(|key| *key < *self.prefix) {
                self.iterator.seek(&self.prefix);
            }
            if !self.iterator.valid() {
                self.group = self.end;
            }
        }
        if self.group < self.end { self.iterator.item() } else { None }
    }
}

impl KeyedStateBackend {
    /// Begins a way behind the key `last`, unless one is there that stands there.
    pub(crate) fn begin_walk(&mut self, id: StateId, namespace: Namespace, last: &[u8]) {
        let table = &self.states[id.0 as usize].tables[&namespace];
        if table.marks.walk.as_ref().is_some_and(|walk| walk.last == last) {
            return;
        }
        let slots: Vec<u32> = (0..table.slots.rows.len()).filter(|&slot| table.slots.is_live(slot)).collect();
        let keys = self.prefixes(id, namespace, &slots);
        let order = order_of(&keys);
        let next = order.partition_point(|&row| keys.get(row as usize) <= last);
        let walk = Walk {
            keys,
            order,
            slots,
            next,
            last: last.to_vec(),
            handed: Vec::new(),
            first_handed: Vec::new(),
            loaded: Vec::new(),
        };
        if let Some(disk) = &mut self.disk {
            disk.walking.insert((id, namespace));
        }
        self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there").marks.walk =
            Some(Box::new(walk));
    }

    /// The key of the last entry that was handed out on a walk; empty where there is none.
    pub(crate) fn walked_to(&self, id: StateId, namespace: Namespace) -> &[u8] {
        let table = self.states[id.0 as usize].tables.get(&namespace);
        table.and_then(|table| table.marks.walk.as_ref()).map_or(&[], |walk| &walk.last)
    }

    pub(crate) fn end_walk(&mut self, id: StateId, namespace: Namespace) {
        if let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) {
            table.marks.walk = None;
        }
        if let Some(disk) = &mut self.disk {
            disk.walking.remove(&(id, namespace));
        }
    }

    /// Entries that were loaded for the sake of a walk, and not changed since, leave memory.
    pub(crate) fn release_walked(&mut self) {
        let walking = self.disk.as_ref().map(|disk| disk.walking.clone()).unwrap_or_default();
        for (id, namespace) in walking {
            let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) else { continue };
            let Some(walk) = &mut table.marks.walk else { continue };
            let loaded = std::mem::take(&mut walk.loaded);
            self.release_clean(id, namespace, &loaded);
        }
    }

    /// Replaces what `out` holds by the slots of the next at most `limit` entries; those on disk are loaded.
    pub(crate) fn walk_on(
        &mut self,
        id: StateId,
        namespace: Namespace,
        limit: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), StateError> {
        out.clear();
        let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) else { return Ok(()) };
        let Some(mut walk) = table.marks.walk.take() else { return Ok(()) };
        let result = self.merge_next(id, namespace, limit, &mut walk, out);
        if let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) {
            table.marks.walk = Some(walk);
        }
        result
    }

    fn merge_next(
        &mut self,
        id: StateId,
        namespace: Namespace,
        limit: usize,
        walk: &mut Walk,
        out: &mut Vec<u32>,
    ) -> Result<(), StateError> {
        let front_len = front_len(namespace);
        let (mut own_keys, mut values, mut places) = (ByteStrings::new(), ByteStrings::new(), Vec::new());
        let Some(disk) = &self.disk else { return Ok(()) };
        let state = &self.states[id.0 as usize];
        let table = &state.tables[&namespace];
        let mut entries =
            OnDisk::behind(&walk.last, &disk.store, &state.descriptor.name, self.range, namespace);
        while out.len() < limit {
            let on_disk = entries.item();
            let cached =
                walk.order.get(walk.next).map(|&row| (walk.keys.get(row as usize), walk.slots[row as usize]));
            let take_cached = match (&cached, &on_disk) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((key, _)), Some((disk_key, _))) => key <= disk_key,
            };
            if take_cached {
                let Some((key, slot)) = cached else { break };
                if on_disk.is_some_and(|(disk_key, _)| disk_key == key) {
                    entries.iterator.next();
                }
                walk.next += 1;
                // The entry may have gone since, and its slot been given to another.
                if table.slots.is_live(slot) && self.prefixes(id, namespace, &[slot]).get(0) == key {
                    walk.last.clear();
                    walk.last.extend_from_slice(key);
                    out.push(slot);
                }
                continue;
            }
            let Some((key, value)) = on_disk else { break };
            walk.last.clear();
            walk.last.extend_from_slice(key);
            if !state.disk.is_dead(key) {
                own_keys.push(&key[front_len..]);
                values.push(value);
                places.push(out.len());
                out.push(NO_SLOT);
            }
            entries.iterator.next();
        }
        disk.store.iterated(&state.descriptor.name, &entries.iterator)?;
        drop(entries);
        walk.loaded = self.place_loaded(id, namespace, &own_keys, &values, &places, out)?;
        Ok(())
    }

    /// Makes rows for what was found on disk, and puts their slots at `places` of `out`. Returns the slots.
    fn place_loaded(
        &mut self,
        id: StateId,
        namespace: Namespace,
        keys: &ByteStrings,
        values: &ByteStrings,
        places: &[usize],
        out: &mut [u32],
    ) -> Result<Vec<u32>, StateError> {
        let state = &mut self.states[id.0 as usize];
        let keys = state.encoder.from_canonical(&keys.offsets, &keys.bytes).map_err(|error| {
            StateError::Corrupt {
                file: format!("column family {}", state.descriptor.name),
                offset: 0,
                what: error.to_string(),
            }
        })?;
        let side = StateSide { values: &state.disk.values, family: &state.descriptor.name };
        let table = state.tables.get_mut(&namespace).expect("somebody is on the way through it");
        let mut loaded = Slots::default();
        table.slots.resolve(&keys, 0..keys.len(), &mut loaded);
        for &row in &loaded.created {
            table.fill(&side, loaded.slots[row as usize], values.get(row as usize))?;
        }
        for (&place, &slot) in places.iter().zip(&loaded.slots) {
            out[place] = slot;
        }
        for child in self.states[id.0 as usize].children.clone() {
            if let Some(table) = self.states[child.0 as usize].tables.get_mut(&namespace) {
                loaded.slots.iter().for_each(|&slot| table.marks.complete.unset(slot));
            }
        }
        Ok(loaded.slots)
    }

    /// The entries that were just handed out go with the next step.
    pub(crate) fn hand_out(&mut self, id: StateId, namespace: Namespace, slots: &[u32]) {
        let Some(&first) = slots.first() else { return };
        let first = self.prefixes(id, namespace, &[first]).get(0).to_vec();
        let table = self.states[id.0 as usize].tables.get_mut(&namespace).expect("they are in it");
        if let Some(walk) = &mut table.marks.walk {
            walk.handed = slots.to_vec();
            walk.first_handed = first;
        }
    }

    /// Takes entries that were handed out and are to go out of tables and disk, with all that hangs under them. Nobody
    /// looks at their slots any more.
    pub(crate) fn settle_handed(&mut self, id: StateId, namespace: Namespace) {
        let Some(table) = self.states[id.0 as usize].tables.get_mut(&namespace) else { return };
        let Some(walk) = &mut table.marks.walk else { return };
        if walk.handed.is_empty() {
            return;
        }
        let slots = std::mem::take(&mut walk.handed);
        let last = walk.last.clone();
        let (first, end) = (std::mem::take(&mut walk.first_handed), after(&last));
        let group_of = |key: &[u8]| key.first_chunk::<2>().map_or(0, |group| u16::from_be_bytes(*group));
        // Between two key groups other namespaces lie.
        for group in group_of(&first)..=group_of(&last) {
            let front = front(group, namespace);
            let range = (front.clone().max(first.clone()), after(&front).min(end.clone()));
            if range.0 < range.1 {
                self.bury_range(id, namespace, &range);
            }
        }
        // What is under them is in the range too.
        for child in self.states[id.0 as usize].children.clone() {
            self.clear_cached_under(child, namespace, &slots);
        }
        self.remove_entries(id, namespace, &slots);
    }

    /// Everything that the disk has in `range` of a state and of those under it is gone.
    pub(crate) fn bury_range(&mut self, id: StateId, namespace: Namespace, range: &(Vec<u8>, Vec<u8>)) {
        let state = &mut self.states[id.0 as usize];
        if state.tables.get(&namespace).is_some_and(|table| table.marks.on_disk) {
            state.disk.dead.insert_range(range.0.clone(), range.1.clone());
        }
        for child in state.children.clone() {
            self.bury_range(child, namespace, range);
        }
    }
}
