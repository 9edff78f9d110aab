//! States from the databases of snapshots.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::{Namespace, NamespaceKind};
use crate::disk::flush::sequence_key;
use crate::disk::keys::front;
use crate::disk::store::Idle;
use crate::disk::stored::StoredSnapshot;
use crate::timers::number;
use rocksdb::WriteBatch;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::KeyGroupRange;

impl KeyedStateBackend {
    /// Makes the column family of a state that is being registered, with the entries of `sources` in this backend's key
    /// groups: databases of snapshots in which the state is as it is now, and their key groups.
    pub(crate) fn make_family(
        &mut self,
        id: StateId,
        sources: &[(Arc<StoredSnapshot>, KeyGroupRange)],
    ) -> Result<(), StateError> {
        let name = self.states[id.0 as usize].descriptor.name.clone();
        let state = &self.states[id.0 as usize];
        let may_drop = state.disk.may_drop.clone();
        let idle = state.descriptor.ttl_ms.map(|ttl_ms| Idle { ttl_ms, may_drop });
        let own = self.range;
        let shared = |range: KeyGroupRange| own.end.min(range.end).saturating_sub(own.start.max(range.start));
        let mut others: Vec<&(Arc<StoredSnapshot>, KeyGroupRange)> = sources.iter().collect();
        others.sort_by_key(|(_, range)| std::cmp::Reverse(shared(*range)));
        let Some(disk) = &self.disk else { return Ok(()) };
        let store = disk.store.clone();
        // The files of the one that has most in common are taken over, the entries of the others are copied.
        let mut imported = false;
        if let Some((source, range)) = others.first() {
            let links = crate::disk::home::Scratch::of(store.scratch("import"));
            if let Some(files) = source.db.export(&name, links.path())? {
                store.import_family(&name, idle.clone(), &files)?;
                imported = true;
                self.cut_off(&name, *range)?;
            }
        }
        if !imported {
            store.create_family(&name, idle)?;
        }
        let bounds = (front(own.start, Namespace::Void), front(own.end, Namespace::Void));
        for (source, _) in others.iter().skip(usize::from(imported)) {
            let mut batch = WriteBatch::default();
            let family = store.family(&name);
            source.db.for_each(&name, (&bounds.0, &bounds.1), |key, value| {
                batch.put_cf(&family, key, value);
                if batch.size_in_bytes() >= store.write_batch_bytes() {
                    store.write(&batch)?;
                    batch.clear();
                }
                Ok(())
            })?;
            if !batch.is_empty() {
                store.write(&batch)?;
            }
        }
        let mut next_sequence = 0;
        for (source, _) in sources {
            next_sequence = next_sequence.max(source.db.number(&sequence_key(&name))?.unwrap_or(0));
        }
        if next_sequence > 0 {
            let mut batch = WriteBatch::default();
            store.put_number(&mut batch, &sequence_key(&name), next_sequence);
            store.write(&batch)?;
        }
        self.states[id.0 as usize].next_sequence = next_sequence;
        self.find_namespaces(id)
    }

    /// Deletes what `range` has and this backend has not.
    fn cut_off(&self, family: &str, range: KeyGroupRange) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let handle = disk.store.family(family);
        let mut batch = WriteBatch::default();
        let void = Namespace::Void;
        if range.start < self.range.start {
            batch.delete_range_cf(&handle, front(range.start, void), front(self.range.start, void));
        }
        if self.range.end < range.end {
            batch.delete_range_cf(&handle, front(self.range.end, void), front(range.end, void));
        }
        if batch.is_empty() { Ok(()) } else { disk.store.write(&batch) }
    }

    /// Makes a table for each namespace that the disk has entries of.
    fn find_namespaces(&mut self, id: StateId) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let state = &self.states[id.0 as usize];
        let (kind, family) = (state.descriptor.namespace, &state.descriptor.name);
        let mut found = BTreeSet::new();
        let end = front(self.range.end, Namespace::Void);
        let mut iterator = disk.store.iterator(family, Some(end), false);
        iterator.seek(front(self.range.start, Namespace::Void));
        while let Some(key) = iterator.key() {
            if kind == NamespaceKind::Void {
                found.insert(Namespace::Void);
                break;
            }
            let (Some(group), Some(end_ms)) = (key.first_chunk::<2>(), key.get(2..10)) else {
                iterator.next();
                continue;
            };
            let (group, namespace) = (u16::from_be_bytes(*group), Namespace::Window(number(end_ms)));
            found.insert(namespace);
            iterator.seek(crate::disk::after(&front(group, namespace)));
        }
        disk.store.iterated(family, &iterator)?;
        drop(iterator);
        let is_timers = self.states[id.0 as usize].descriptor.kind.is_timers();
        for namespace in found {
            let table = self.states[id.0 as usize].table_mut(namespace);
            (table.marks.on_disk, table.marks.partly) = (true, !is_timers);
            if is_timers {
                self.states[id.0 as usize].disk.horizon_ms = Some(i64::MIN);
            }
        }
        if is_timers {
            self.load_due(id);
        }
        self.take_failure()
    }
}
