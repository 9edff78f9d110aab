//! Which of the rows by key leave: those of some key groups, then of the next ones.
//!
//! What is written together shall lie together on disk. Rows from all over the keys would have every merge of files
//! rewrite everything for the few of them that fall between any two neighbours. Those that a few key groups have gathered
//! since the hand last came by are a narrow range and dense in it, so that a merge touches little else. Within a
//! group rows that were used more than once since then have a second chance.

use crate::backend::{KeyedStateBackend, StateId, Table};
use crate::descriptor::Namespace;
use crate::disk::evict::Victims;
use crate::disk::marks::NO_GROUP;
use weir_types::key_group_of;

/// Rows whose key groups are found at once.
const CHUNK_ROWS: usize = 4096;

/// The rows of a table that may leave.
struct Candidates {
    id: StateId,
    namespace: Namespace,
    /// of a row and what hangs under it, in the mean
    row_bytes: usize,
}

impl KeyedStateBackend {
    /// Adds rows of about `goal` bytes to `victims`, with what hangs under them. Returns how many bytes they are, about.
    pub(super) fn choose_by_group(&mut self, goal: usize, victims: &mut Victims) -> usize {
        let all = self.range.len();
        let tables = self.candidates();
        let mut bytes = vec![0; all];
        for table in &tables {
            let marks = &self.states[table.id.0 as usize].tables[&table.namespace].marks;
            let chosen = victims.get(&(table.id, table.namespace));
            for (slot, &group) in marks.groups.iter().enumerate() {
                let slot = slot as u32;
                let stays = || marks.recent.get(slot) || chosen.is_some_and(|chosen| chosen.get(slot));
                if group != NO_GROUP && !stays() {
                    bytes[usize::from(group)] += table.row_bytes;
                }
            }
        }
        let Some(disk) = &mut self.disk else { return 0 };
        let first = disk.next_group;
        let (mut passed, mut found) = (0, 0);
        while passed < all && found < goal {
            found += bytes[(first + passed) % all];
            passed += 1;
        }
        disk.next_group = (first + passed) % all;
        let mut due = vec![false; all];
        (first..first + passed).for_each(|group| due[group % all] = true);
        tables.iter().map(|table| self.choose_due(table, &due, victims)).sum()
    }

    /// Adds the rows of groups that are due and that were not used again; takes the marks of use from the others.
    fn choose_due(&mut self, table: &Candidates, due: &[bool], victims: &mut Victims) -> usize {
        let (id, namespace) = (table.id, table.namespace);
        let of = self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there");
        let row_bytes = of.row_bytes();
        let groups = std::mem::take(&mut of.marks.groups);
        let mut freed = 0;
        for (slot, &group) in groups.iter().enumerate() {
            // False also for a slot without an entry.
            if !due.get(usize::from(group)).is_some_and(|due| *due) {
                continue;
            }
            let slot = slot as u32;
            let of = self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there");
            if !of.slots.is_live(slot) {
                continue;
            }
            if of.marks.recent.get(slot) {
                of.marks.recent.unset(slot);
            } else if !victims.get(&(id, namespace)).is_some_and(|chosen| chosen.get(slot)) {
                freed += row_bytes + self.add_victim(id, namespace, slot, victims);
            }
        }
        self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there").marks.groups = groups;
        freed
    }

    /// The tables by key whose rows may leave.
    fn candidates(&mut self) -> Vec<Candidates> {
        let mut tables = Vec::new();
        for index in 0..self.states.len() {
            let (id, state) = (StateId(index as u32), &self.states[index]);
            if state.descriptor.kind.is_timers() || state.parent.is_some() {
                continue;
            }
            for namespace in self.namespaces(id).collect::<Vec<_>>() {
                let table = &self.states[index].tables[&namespace];
                let live = table.slots.rows.live();
                if live > 0 && !self.is_pinned(id, namespace) {
                    let row_bytes = table.row_bytes() + self.bytes_below(id, namespace) / live;
                    self.find_groups(id, namespace);
                    tables.push(Candidates { id, namespace, row_bytes });
                }
            }
        }
        tables
    }

    /// Bytes of all that hangs under the entries of a table.
    fn bytes_below(&self, id: StateId, namespace: Namespace) -> usize {
        let below = |&child: &StateId| {
            let own = self.table(child, namespace).map_or(0, Table::used_bytes);
            own + self.bytes_below(child, namespace)
        };
        self.states[id.0 as usize].children.iter().map(below).sum()
    }

    /// Finds the key groups of entries that came since the last time.
    fn find_groups(&mut self, id: StateId, namespace: Namespace) {
        let (range, max_parallelism) = (self.range, self.max_parallelism);
        let last = range.len().saturating_sub(1) as u16;
        let state = &mut self.states[id.0 as usize];
        let shape = state.shape();
        let Some(Table { slots, marks, .. }) = state.tables.get_mut(&namespace) else { return };
        marks.groups.resize(slots.rows.len() as usize, NO_GROUP);
        let unknown = |&(slot, &group): &(usize, &u16)| group == NO_GROUP && slots.is_live(slot as u32);
        let new: Vec<u32> =
            marks.groups.iter().enumerate().filter(unknown).map(|(slot, _)| slot as u32).collect();
        for chunk in new.chunks(CHUNK_ROWS) {
            let keys = slots.keys(chunk, shape, false);
            for (&slot, &hash) in chunk.iter().zip(keys.hashes()) {
                let group = key_group_of(hash, max_parallelism).0;
                marks.groups[slot as usize] = group.saturating_sub(range.start).min(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backends::{Kind, MAX_PARALLELISM};
    use crate::{NamespaceKind, Slots, StateDescriptor};
    use arrow::array::{ArrayRef, Int64Array};
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use weir_types::{SqlField, SqlType};

    fn use_keys(backend: &mut KeyedStateBackend, id: StateId, keys: std::ops::Range<i64>) {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(keys.clone()));
        let encoded = backend.encoder(id).encode(&[column], keys.count()).unwrap();
        let mut found = Slots::default();
        backend.resolve(id, Namespace::Void, &encoded, &mut found);
        let values = backend.rows(id, Namespace::Void).column::<i64>(0);
        found.slots.iter().for_each(|&slot| values.update(slot, |value| value + 1));
    }

    fn groups_in_memory(backend: &mut KeyedStateBackend, id: StateId) -> Vec<u16> {
        backend.find_groups(id, Namespace::Void);
        let table = backend.table(id, Namespace::Void).unwrap();
        table.marks.groups.iter().copied().filter(|group| *group != NO_GROUP).collect()
    }

    #[test]
    fn whole_groups_leave_one_after_the_other_without_what_was_used_again() {
        let mut backend = Kind::Disk(80_000).whole();
        let field = |name| SqlField::new(name, SqlType::BigInt, false);
        let descriptor =
            StateDescriptor::value("a/b", vec![field("k")], NamespaceKind::Void, vec![field("v")]);
        let id = backend.register(descriptor).unwrap();
        let all = MAX_PARALLELISM as usize;
        use_keys(&mut backend, id, 0..2_000);
        use_keys(&mut backend, id, 0..100);
        let before = groups_in_memory(&mut backend, id);
        backend.trim();
        backend.wait_for_flight().unwrap();
        backend.check().unwrap();
        let after = groups_in_memory(&mut backend, id);
        assert!(after.len() < before.len(), "{} rows of {}", after.len(), before.len());
        let next = backend.disk.as_ref().unwrap().next_group;
        assert!(next > 0 && next < all / 2, "{next} groups of {all}");
        // Of groups behind the hand those stay that were used again; of all others every row.
        let count = |groups: &[u16], behind: bool| {
            groups.iter().filter(|group| (usize::from(**group) < next) == behind).count()
        };
        assert_eq!(count(&before, false), count(&after, false));
        let stay: BTreeSet<u16> = after.into_iter().filter(|group| usize::from(*group) < next).collect();
        assert!(!stay.is_empty() && stay.len() <= 100, "{stay:?}");
        // The hand goes on where it was.
        use_keys(&mut backend, id, 2_000..3_000);
        backend.trim();
        backend.check().unwrap();
        assert!(backend.disk.as_ref().unwrap().next_group > next);
    }
}
