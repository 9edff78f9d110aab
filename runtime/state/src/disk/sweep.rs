//! Entries on disk alone that are counted, or found to be idle.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;
use crate::disk::keys::{after, front, front_len};
use crate::disk::values::ValueLayout;
use crate::segment::ByteStrings;
use std::collections::BTreeSet;

impl KeyedStateBackend {
    /// The number of entries in memory and on disk.
    ///
    /// # Panics
    /// If the disk cannot be read: a number would be wrong, and there is nobody to tell.
    pub(crate) fn disk_len(&self, id: StateId, namespace: Namespace) -> usize {
        let (Some(disk), state) = (&self.disk, self.state(id)) else { return 0 };
        let table = &state.tables[&namespace].slots;
        let slots: Vec<u32> = (0..table.rows.len()).filter(|&slot| table.is_live(slot)).collect();
        let cached = self.disk_keys(id, namespace, &slots);
        let mut keys: BTreeSet<Vec<u8>> = (0..cached.len()).map(|row| cached.get(row).to_vec()).collect();
        for group in self.range.start..self.range.end {
            let front = front(group, namespace);
            let mut iterator = disk.store.iterator(&state.descriptor.name, Some(after(&front)), true);
            iterator.seek(&front);
            while let Some(key) = iterator.key() {
                if !state.disk.is_dead(key) {
                    keys.insert(key.to_vec());
                }
                iterator.next();
            }
            if let Err(error) = disk.store.iterated(&state.descriptor.name, &iterator) {
                panic!("count the entries of {}: {error}", state.descriptor.name);
            }
        }
        keys.len()
    }

    /// Buries idle entries among the next `limit` ones on disk behind the key `last`, with what hangs under them.
    /// Returns how many they are, and the key to go on behind; it is empty at the end.
    pub(crate) fn sweep_disk(
        &mut self,
        id: StateId,
        namespace: Namespace,
        last: &[u8],
        limit: u32,
        expired_until: i64,
    ) -> (usize, Vec<u8>) {
        match self.try_sweep_disk(id, namespace, last, limit, expired_until) {
            Ok(swept) => swept,
            Err(error) => {
                self.note(Err(error));
                (0, Vec::new())
            }
        }
    }

    fn try_sweep_disk(
        &mut self,
        id: StateId,
        namespace: Namespace,
        last: &[u8],
        limit: u32,
        expired_until: i64,
    ) -> Result<(usize, Vec<u8>), StateError> {
        let Some(disk) = &self.disk else { return Ok((0, Vec::new())) };
        let state = self.state(id);
        let (mut idle, mut own) = (ByteStrings::new(), ByteStrings::new());
        let end = front(self.range.end, Namespace::Void);
        let mut iterator = disk.store.iterator(&state.descriptor.name, Some(end), false);
        let mut from = if last.is_empty() { front(self.range.start, namespace) } else { last.to_vec() };
        if !last.is_empty() {
            from.push(0);
        }
        iterator.seek(&from);
        let mut last = Vec::new();
        let mut seen = 0;
        while seen < limit {
            let Some((key, value)) = iterator.item() else {
                last.clear();
                break;
            };
            let Some(group) = key.first_chunk::<2>().map(|group| u16::from_be_bytes(*group)) else { break };
            let this = front(group, namespace);
            if !key.starts_with(&this) {
                // The namespace in this key group, or in the next one.
                let next = if *key < *this { this } else { front(group + 1, namespace) };
                iterator.seek(&next);
                continue;
            }
            seen += 1;
            last.clear();
            last.extend_from_slice(key);
            let is_idle = ValueLayout::last_access(value).is_some_and(|time_ms| time_ms <= expired_until);
            if is_idle && !state.disk.is_dead(key) {
                idle.push(key);
                own.push(&key[front_len(namespace)..]);
            }
            iterator.next();
        }
        disk.store.iterated(&state.descriptor.name, &iterator)?;
        drop(iterator);
        Ok((self.bury_idle(id, namespace, &idle, &own)?, last))
    }

    /// Of entries that the disk knows as idle, those in memory may have been used since.
    fn bury_idle(
        &mut self,
        id: StateId,
        namespace: Namespace,
        idle: &ByteStrings,
        own: &ByteStrings,
    ) -> Result<usize, StateError> {
        let state = self.state(id);
        let keys =
            state.encoder.from_canonical(&own.offsets, &own.bytes).map_err(|error| StateError::Corrupt {
                file: format!("column family {}", state.descriptor.name),
                offset: 0,
                what: error.to_string(),
            })?;
        let mut slots = Vec::new();
        state.tables[&namespace].slots.lookup(&keys, &mut slots);
        let mut buried = 0;
        for (row, _) in slots.iter().enumerate().filter(|(_, slot)| **slot == crate::NO_SLOT) {
            let key = idle.get(row);
            self.state_mut(id).disk.dead.insert(key);
            for child in self.state(id).children.clone() {
                self.bury_range(child, namespace, &(key.to_vec(), after(key)));
            }
            buried += 1;
        }
        Ok(buried)
    }
}
