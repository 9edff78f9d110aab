//! Timers on disk: those that are due first are in memory, up to a horizon; later ones may be on disk alone.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId, Table};
use crate::bits::Bits;
use crate::descriptor::Namespace;
use crate::disk::flush::{StateWrites, encode_tables};
use crate::disk::keys::front;
use crate::disk::load::group_of;
use crate::disk::marks::Marks;
use crate::resolve::Slots;
use crate::segment::ByteStrings;
use crate::timers::{PREFIX_BYTES, ordered, parse_prefix};
use std::cmp::Reverse;
use std::sync::Arc;
use weir_types::{EncodedKeys, KeyData, KeyShape};

/// Timers of one key group that are loaded at once, at least.
const LOADED: usize = 64;

/// Appends the key on disk of a timer, which is `time and namespace ‖ key`.
pub(crate) fn push_key(timer: &[u8], max_parallelism: u32, out: &mut Vec<u8>) {
    let key = timer.get(PREFIX_BYTES..).unwrap_or(&[]);
    out.extend_from_slice(&group_of(key, max_parallelism).to_be_bytes());
    out.extend_from_slice(timer);
}

fn time_of(timer: &[u8]) -> Option<i64> {
    parse_prefix(timer).map(|(time_ms, _)| time_ms)
}

impl KeyedStateBackend {
    /// After timers were taken out of memory or added: loads the next ones if the earliest of all may be on disk.
    pub(crate) fn load_due(&mut self, id: StateId) {
        while self.disk.is_some() {
            let state = &self.states[id.0 as usize];
            let Some(horizon_ms) = state.disk.horizon_ms else { return };
            if state.due.peek().is_some_and(|Reverse((time_ms, _))| *time_ms < horizon_ms) {
                return;
            }
            let result = self.advance_horizon(id, horizon_ms);
            let failed = result.is_err();
            self.note(result);
            if failed {
                return;
            }
        }
    }

    /// Loads some timers of each key group that are due at `horizon_ms` or later, and moves the horizon up to where
    /// all have been loaded.
    fn advance_horizon(&mut self, id: StateId, horizon_ms: i64) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let state = &self.states[id.0 as usize];
        let mut next_horizon: Option<i64> = None;
        let mut timers = ByteStrings::new();
        let end = front(self.range.end, Namespace::Void);
        let mut iterator = disk.store.iterator(&state.descriptor.name, Some(end), false);
        for group in self.range.start..self.range.end {
            let mut from = front(group, Namespace::Void);
            from.extend_from_slice(&ordered(horizon_ms));
            iterator.seek(&from);
            let (mut loaded, mut last_ms) = (0, None);
            while let Some(key) = iterator.key().filter(|key| key.starts_with(&group.to_be_bytes())) {
                let time_ms = time_of(&key[2..]);
                // Timers of the same time are loaded together, so that the horizon can stand behind them.
                if loaded >= LOADED && time_ms != last_ms {
                    let up_to = time_ms.unwrap_or(i64::MAX);
                    next_horizon = Some(next_horizon.map_or(up_to, |horizon| horizon.min(up_to)));
                    break;
                }
                last_ms = time_ms;
                loaded += 1;
                if !state.disk.is_dead(key) {
                    timers.push(&key[2..]);
                }
                iterator.next();
            }
        }
        disk.store.iterated(&state.descriptor.name, &iterator)?;
        drop(iterator);
        let keys = EncodedKeys::new(KeyData::Bytes { offsets: timers.offsets, bytes: timers.bytes });
        let state = &mut self.states[id.0 as usize];
        state.disk.horizon_ms = next_horizon;
        let mut found = Slots::default();
        let table = state.table_mut(Namespace::Void);
        table.slots.resolve(&keys, 0..keys.len(), &mut found);
        let mut due = Vec::with_capacity(found.created.len());
        found.slots.iter().for_each(|&slot| table.marks.stored.set(slot));
        for &row in &found.created {
            let slot = found.slots[row as usize];
            table.slots.rows.set_clean(slot);
            if let Some((time_ms, _)) = parse_prefix(&table.slots.key_bytes(slot)) {
                due.push(Reverse((time_ms, slot)));
            }
        }
        state.due.extend(due);
        Ok(())
    }

    /// Timers that are not in memory are gone too, if the disk has them.
    pub(crate) fn bury_timers(&mut self, id: StateId, keys: &EncodedKeys, slots: &[u32]) {
        let max_parallelism = self.max_parallelism;
        let state = &mut self.states[id.0 as usize];
        let Some(horizon_ms) = state.disk.horizon_ms.filter(|_| self.disk.is_some()) else { return };
        let (mut timer, mut key) = (Vec::new(), Vec::new());
        for row in (0..keys.len()).filter(|&row| slots[row] == crate::NO_SLOT) {
            timer.clear();
            keys.write_canonical(row, &mut timer);
            if time_of(&timer).is_some_and(|time_ms| time_ms >= horizon_ms) {
                key.clear();
                push_key(&timer, max_parallelism, &mut key);
                state.disk.dead.insert(&key);
            }
        }
    }

    /// Takes the later half of the timers out of memory if entries still need more than `limit`, and all where their pages are for
    /// many more.
    pub(crate) fn evict_timers(&mut self, limit: usize) -> Result<(), StateError> {
        for index in 0..self.states.len() {
            let state = &self.states[index];
            if !state.descriptor.kind.is_timers() {
                continue;
            }
            let loose = state.tables.values().any(Table::is_loose);
            if loose || self.used_bytes() > limit {
                self.evict_later_timers(StateId(index as u32), loose)?;
            }
        }
        Ok(())
    }

    fn evict_later_timers(&mut self, id: StateId, all: bool) -> Result<(), StateError> {
        let state = &mut self.states[id.0 as usize];
        let Some(table) = state.tables.get(&Namespace::Void) else { return Ok(()) };
        // Where all that were there had one time, they do not go for a few more.
        let inseparable = state.disk.inseparable;
        if !all && table.slots.rows.live() <= inseparable + inseparable / 8 {
            return Ok(());
        }
        let live = (0..table.slots.rows.len()).filter(|&slot| table.slots.is_live(slot));
        let mut timers: Vec<(i64, u32)> =
            live.filter_map(|slot| Some((time_of(&table.slots.key_bytes(slot))?, slot))).collect();
        if timers.len() < 2 {
            return Ok(());
        }
        let Some(earliest_ms) = timers.iter().map(|&(time_ms, _)| time_ms).min() else { return Ok(()) };
        let middle = timers.len() / 2;
        let horizon_ms = match all {
            true => earliest_ms,
            // The earliest stay, whatever their number.
            false => timers.select_nth_unstable(middle).1.0.max(earliest_ms.saturating_add(1)),
        };
        let later: Vec<u32> =
            timers.iter().filter(|&&(time_ms, _)| time_ms >= horizon_ms).map(|&(_, slot)| slot).collect();
        if later.is_empty() {
            self.states[id.0 as usize].disk.inseparable = timers.len();
            return Ok(());
        }
        let mut changed = Bits::default();
        later.iter().filter(|&&slot| !table.slots.rows.is_clean(slot)).for_each(|&slot| changed.set(slot));
        let (view, max_parallelism) = (self.view(id, Namespace::Void), self.max_parallelism);
        let state = &mut self.states[id.0 as usize];
        let writes = StateWrites {
            family: state.descriptor.name.clone(),
            dead: Arc::new(std::mem::take(&mut state.disk.dead)),
            runs: encode_tables(&[(view, changed)], &state.disk.values, max_parallelism),
            next_sequence: None,
        };
        if let Some(disk) = &self.disk {
            writes.write(&disk.store)?;
        }
        let state = &mut self.states[id.0 as usize];
        let pools = state.pools.clone();
        let table = state.table_mut(Namespace::Void);
        table.slots.delete(&later, KeyShape::Bytes, false);
        later.iter().for_each(|&slot| table.marks.forget(slot));
        table.slots.compact();
        table.marks.on_disk = true;
        if table.slots.rows.live() == 0 && table.slots.rows.drained() == 0 {
            table.slots.shrink(pools);
            table.marks = Marks { on_disk: true, ..Marks::default() };
        }
        (state.disk.horizon_ms, state.disk.inseparable) =
            (Some(state.disk.horizon_ms.map_or(horizon_ms, |horizon| horizon.min(horizon_ms))), 0);
        self.requeue_timers(id);
        self.load_due(id);
        Ok(())
    }
}
