//! What leaves the tables when they outgrow their share of memory: rows that were not used since the hand of a clock
//! last passed them. Those that changed are written first, beside processing: they count as what the disk has from then on,
//! and leave once it does, unless they have changed again. Over rows by key the hand goes by their key groups, over what
//! hangs under others by the slots.

use crate::StateError;
use crate::backend::{KeyedStateBackend, State, StateId, Table};
use crate::bits::Bits;
use crate::descriptor::Namespace;
use crate::disk::flush::{StateWrites, encode_tables};
use crate::disk::jobs::Job;
use crate::disk::marks::Marks;
use crate::links::Links;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// Of what is in memory, the part that leaves at once.
const PART: usize = 4;
/// Of the share of memory, the part that is left free for what is used while rows are written that leave.
const MARGIN: usize = 16;
/// While nothing else may be written, memory may grow by this part of its share.
const GRACE: usize = 4;

/// How many times the bytes of its rows the pages of a table may take, if they are more than so many bytes. The budget counts
/// rows: what is free in pages comes on top.
const LOOSE: usize = 3;
const LOOSE_BYTES: usize = 512 << 10;

/// The rows of each table that leave.
pub(super) type Victims = BTreeMap<(StateId, Namespace), Bits>;

/// Rows that leave memory once they are written.
pub(crate) struct Leaving {
    rows: Victims,
    /// that they take on their way
    bytes: usize,
}

impl KeyedStateBackend {
    /// Brings the tables back within their share of memory, or begins to. No slots are in use.
    pub(crate) fn evict(&mut self) -> Result<(), StateError> {
        self.land();
        let mut used = self.used_bytes();
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let limit = disk.share.bytes(used, disk.index_bytes);
        let enough = limit - limit / MARGIN;
        if used <= enough {
            return Ok(());
        }
        if disk.flight.is_some() {
            // Going over the rows for the few that need not be written would be done again before each call.
            if used <= limit + limit / GRACE {
                return Ok(());
            }
            self.wait_for_flight()?;
            used = self.used_bytes();
            if used <= enough {
                return Ok(());
            }
        }
        let aim = enough - enough / PART;
        // Where timers take most of the memory rows would leave for them before each call, and come back after it.
        let most_are_timers = 2 * self.timer_bytes() > used;
        self.evict_timers(if most_are_timers { aim } else { usize::MAX })?;
        used = self.used_bytes();
        if used <= enough {
            return Ok(());
        }
        let goal = used - aim;
        let mut victims = Victims::new();
        let loose = self.choose_loose(&mut victims);
        let mut freed = loose;
        // The first time round the hand takes the marks of use away, the second time it finds rows without.
        for _ in 0..2 {
            if freed < goal {
                freed += self.choose(goal - freed, used, &mut victims);
            }
        }
        self.begin_leaving(victims)?;
        // What is used while it leaves stays, and its page with it.
        if loose > 0 || used > limit + limit / GRACE {
            self.wait_for_flight()?;
        }
        match self.disk.as_ref().is_some_and(|disk| disk.flight.is_some()) {
            true => Ok(()),
            false => self.evict_timers(limit),
        }
    }

    /// Bytes of memory that entries take.
    pub(crate) fn used_bytes(&self) -> usize {
        let leaving = self.disk.as_ref().and_then(|disk| disk.leaving.as_ref());
        self.states.iter().map(State::used_bytes).sum::<usize>() + leaving.map_or(0, |leaving| leaving.bytes)
    }

    /// Those of timers.
    fn timer_bytes(&self) -> usize {
        let timers = self.states.iter().filter(|state| state.descriptor.kind.is_timers());
        timers.map(State::used_bytes).sum()
    }

    /// Adds rows of about `goal` bytes to `victims`: of tables by key, together, and of each table below others the same
    /// part. Returns how many bytes they are.
    fn choose(&mut self, goal: usize, used: usize, victims: &mut Victims) -> usize {
        // Rounded up, so that small tables give something too.
        let part = |bytes: usize| (bytes as u128 * goal as u128).div_ceil(used.max(1) as u128) as usize;
        let (mut freed, mut by_key) = (0, 0);
        for index in 0..self.states.len() {
            let id = StateId(index as u32);
            if self.states[index].descriptor.kind.is_timers() {
                continue;
            }
            for namespace in self.namespaces(id).collect::<Vec<_>>() {
                let bytes = self.states[index].tables[&namespace].used_bytes();
                if self.states[index].parent.is_none() {
                    by_key += bytes;
                } else {
                    freed += self.choose_in(id, namespace, part(bytes), victims);
                }
            }
        }
        freed + self.choose_by_group(part(by_key), victims)
    }

    /// Adds all rows of tables that have pages for many more: only a table without rows gives its pages back. Returns how many
    /// bytes they are, about.
    fn choose_loose(&self, victims: &mut Victims) -> usize {
        let mut freed = 0;
        for (index, state) in self.states.iter().enumerate() {
            let id = StateId(index as u32);
            let tables = state.tables.iter().filter(|_| !state.descriptor.kind.is_timers());
            for (&namespace, table) in tables {
                if !table.is_loose() || self.is_pinned(id, namespace) {
                    continue;
                }
                for slot in (0..table.slots.rows.len()).filter(|&slot| table.slots.is_live(slot)) {
                    freed += table.row_bytes() + self.add_victim(id, namespace, slot, victims);
                }
            }
        }
        freed
    }

    fn choose_in(&mut self, id: StateId, namespace: Namespace, goal: usize, victims: &mut Victims) -> usize {
        let table = &self.states[id.0 as usize].tables[&namespace];
        let (len, live) = (table.slots.rows.len(), table.slots.rows.live());
        if live == 0 || self.is_pinned(id, namespace) {
            return 0;
        }
        let row_bytes = table.row_bytes();
        let mut freed = 0;
        let mut hand = table.marks.hand;
        for _ in 0..len {
            if freed >= goal {
                break;
            }
            hand = if hand + 1 >= len { 0 } else { hand + 1 };
            let table = self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there");
            if !table.slots.is_live(hand) {
                continue;
            }
            if table.marks.recent.get(hand) {
                table.marks.recent.unset(hand);
                continue;
            }
            if victims.get(&(id, namespace)).is_some_and(|bits| bits.get(hand)) {
                continue;
            }
            freed += row_bytes + self.add_victim(id, namespace, hand, victims);
        }
        self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there").marks.hand = hand;
        freed
    }

    /// Whether somebody is on the way through a table or through one that it hangs under: what was handed out there is
    /// deleted on disk by ranges, in which no new entries may be.
    pub(super) fn is_pinned(&self, id: StateId, namespace: Namespace) -> bool {
        let mut path = std::iter::successors(Some(id), |id| self.states[id.0 as usize].parent);
        path.any(|id| self.table(id, namespace).is_some_and(Table::is_walked))
    }

    /// Whether the entry at `slot` and all under it can leave without being written.
    fn is_clean(&self, id: StateId, namespace: Namespace, slot: u32) -> bool {
        let table = &self.states[id.0 as usize].tables[&namespace];
        let own = table.slots.rows.is_clean(slot);
        own && self.states[id.0 as usize].children.iter().all(|&child| {
            let Some(below) = self.states[child.0 as usize].tables.get(&namespace) else { return true };
            !below.is_walked()
                && below.links.entries(slot).all(|entry| self.is_clean(child, namespace, entry))
        })
    }

    /// Adds an entry and all under it; returns the bytes of what is under it, about.
    pub(super) fn add_victim(
        &self,
        id: StateId,
        namespace: Namespace,
        slot: u32,
        victims: &mut Victims,
    ) -> usize {
        victims.entry((id, namespace)).or_default().set(slot);
        let mut bytes = 0;
        for &child in &self.states[id.0 as usize].children {
            let Some(below) = self.states[child.0 as usize].tables.get(&namespace) else { continue };
            let entries: Vec<u32> = below.links.entries(slot).collect();
            bytes += entries.len() * (below.used_bytes() / below.slots.rows.live().max(1));
            for entry in entries {
                bytes += self.add_victim(child, namespace, entry, victims);
            }
        }
        bytes
    }

    /// Begins to write those of the victims that the disk does not have, and everything that is dead. They are gone at once if
    /// they are few.
    fn begin_leaving(&mut self, victims: Victims) -> Result<(), StateError> {
        let states = self.writes_of(&victims);
        for (&(id, namespace), slots) in &victims {
            let table = self.states[id.0 as usize].tables.get_mut(&namespace).expect("its rows were chosen");
            for slot in slots.ones().filter(|&slot| !table.slots.rows.is_clean(slot)).collect::<Vec<_>>() {
                table.slots.rows.set_clean(slot);
                table.marks.stored.set(slot);
                table.marks.on_disk = true;
            }
        }
        let rows: usize = states.iter().map(StateWrites::rows).sum();
        let bytes: usize = states.iter().map(StateWrites::bytes).sum();
        let leaving = Leaving { rows: victims, bytes };
        if states.is_empty() {
            self.release_left(leaving);
            return Ok(());
        }
        let Some(disk) = &mut self.disk else { return Ok(()) };
        // A snapshot that is taken now has the files.
        disk.store.note_write();
        let job = disk.jobs.push(Job { states, checkpoint: Weak::new() });
        disk.leaving = Some(leaving);
        disk.flight = Some(job);
        if !disk.store.is_file(rows, bytes) {
            return self.wait_for_flight();
        }
        disk.store.write_beside(&disk.jobs, job);
        Ok(())
    }

    fn writes_of(&mut self, victims: &Victims) -> Vec<StateWrites> {
        let mut writes: Vec<StateWrites> = Vec::new();
        for index in 0..self.states.len() {
            let id = StateId(index as u32);
            let mut tables = Vec::new();
            for ((_, namespace), slots) in
                victims.range((id, Namespace::Void)..(StateId(id.0 + 1), Namespace::Void))
            {
                let table = &self.states[index].tables[namespace];
                let mut changed = Bits::default();
                slots
                    .ones()
                    .filter(|&slot| !table.slots.rows.is_clean(slot))
                    .for_each(|slot| changed.set(slot));
                if !changed.is_empty() {
                    tables.push((self.view(id, *namespace), changed));
                }
            }
            let max_parallelism = self.max_parallelism;
            let state = &mut self.states[index];
            if tables.is_empty() && state.disk.dead.is_empty() {
                continue;
            }
            let dead = Arc::new(std::mem::take(&mut state.disk.dead));
            state.disk.in_flight.push(dead.clone());
            writes.push(StateWrites {
                family: state.descriptor.name.clone(),
                dead,
                runs: encode_tables(&tables, &state.disk.values, max_parallelism),
                // Whoever takes over the files does not look for the highest number.
                next_sequence: state.is_list().then_some(state.next_sequence),
            });
        }
        writes
    }

    /// Rows that were written leave memory, unless they have changed since or somebody is on the way through them.
    pub(crate) fn release_left(&mut self, leaving: Leaving) {
        for ((id, namespace), slots) in leaving.rows {
            if self.table(id, namespace).is_some() && !self.is_pinned(id, namespace) {
                self.release_clean(id, namespace, &slots.ones().collect::<Vec<_>>());
            }
        }
    }

    /// Takes those of the entries at `slots` that the disk has as they are out of memory, with all under them.
    pub(crate) fn release_clean(&mut self, id: StateId, namespace: Namespace, slots: &[u32]) {
        let Some(table) = self.table(id, namespace) else { return };
        let rows = &table.slots;
        let clean = slots.iter().copied().filter(|&slot| rows.is_live(slot) && rows.rows.is_clean(slot));
        let mut victims = Victims::new();
        if self.state(id).children.is_empty() {
            clean.for_each(|slot| victims.entry((id, namespace)).or_default().set(slot));
        } else {
            for slot in clean.filter(|&slot| self.is_clean(id, namespace, slot)) {
                self.add_victim(id, namespace, slot, &mut victims);
            }
        }
        self.release_victims(&victims);
    }

    /// Entries leave memory as if there were no room for them.
    #[cfg(test)]
    pub(crate) fn evict_slots(
        &mut self,
        id: StateId,
        namespace: Namespace,
        slots: &[u32],
    ) -> Result<(), StateError> {
        self.wait_for_flight()?;
        let mut victims = Victims::new();
        for &slot in slots {
            if self.table(id, namespace).is_some_and(|table| table.slots.is_live(slot)) {
                self.add_victim(id, namespace, slot, &mut victims);
            }
        }
        self.begin_leaving(victims)?;
        self.wait_for_flight()
    }

    /// Takes the victims, which the disk has, out of the tables: children before their parents.
    fn release_victims(&mut self, victims: &Victims) {
        for (&(id, namespace), slots) in victims.iter().rev() {
            let slots: Vec<u32> = slots.ones().collect();
            self.leave(id, namespace);
            self.forget_entries(id, namespace, &slots);
        }
    }

    /// From now on the disk may have entries of this table that are not in memory.
    fn leave(&mut self, id: StateId, namespace: Namespace) {
        let above = self.states[id.0 as usize].parent;
        let partly = self.states[id.0 as usize].tables[&namespace].marks.partly;
        if let (Some(above), false) = (above, partly) {
            // Until now all entries of all parents were in memory.
            let mut complete = Bits::default();
            if let Some(parents) = self.states[above.0 as usize].tables.get(&namespace) {
                let rows = &parents.slots;
                (0..rows.rows.len()).filter(|&slot| rows.is_live(slot)).for_each(|slot| complete.set(slot));
            }
            self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there").marks.complete =
                complete;
        }
        let marks = &mut self.states[id.0 as usize].tables.get_mut(&namespace).expect("it is there").marks;
        (marks.on_disk, marks.partly) = (true, true);
    }

    /// Frees rows whose entries live on, on disk.
    fn forget_entries(&mut self, id: StateId, namespace: Namespace, slots: &[u32]) {
        let state = &mut self.states[id.0 as usize];
        let (shape, is_list, under_parent) = (state.row_shape(), state.is_list(), state.parent.is_some());
        let table = state.tables.get_mut(&namespace).expect("it is there");
        if under_parent {
            for &slot in slots {
                let parent = table.slots.parent(slot, is_list);
                table.links.remove(parent, slot);
                table.marks.complete.unset(parent);
            }
        }
        if is_list {
            slots.iter().for_each(|&slot| table.slots.release(slot));
        } else {
            table.slots.delete(slots, shape, under_parent);
        }
        slots.iter().for_each(|&slot| table.marks.forget(slot));
        table.slots.compact();
        if table.slots.rows.live() == 0 && !table.is_walked() {
            table.slots.shrink(state.pools.clone());
            let complete = std::mem::take(&mut table.marks.complete);
            table.links = Links::default();
            let (on_disk, partly) = (table.marks.on_disk, table.marks.partly);
            table.marks = Marks { on_disk, partly, complete, ..Marks::default() };
        }
    }
}

impl State {
    /// Bytes of memory that entries take, and what is dead.
    fn used_bytes(&self) -> usize {
        let tables = self.tables.values().map(Table::used_bytes).sum::<usize>();
        tables + size_of::<(i64, u32)>() * self.due.len() + self.disk.dead.bytes()
    }
}

impl Table {
    /// Bytes of memory that the entries take, without what is free for others.
    pub(crate) fn used_bytes(&self) -> usize {
        let rows = &self.slots.rows;
        rows.live() * self.slots.layout().stride
            + self.slots.index.bytes()
            + self.slots.arena.bytes()
            + self.links.bytes()
            + self.marks.bytes()
    }

    /// Most of its pages are for rows that it does not have any more.
    pub(crate) fn is_loose(&self) -> bool {
        let rows = &self.slots.rows;
        rows.bytes() >= LOOSE_BYTES && LOOSE * rows.live() * self.slots.layout().stride < rows.bytes()
    }

    /// Bytes of a row, in the mean.
    pub(crate) fn row_bytes(&self) -> usize {
        (self.used_bytes() / self.slots.rows.live().max(1)).max(1)
    }

    /// Somebody is on the way through the table: its rows stay.
    pub(crate) fn is_walked(&self) -> bool {
        self.marks.scanned || self.marks.walk.is_some() || self.slots.rows.drained() > 0
    }
}
