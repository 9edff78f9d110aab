//! Time to live: entries that nobody touched for a time are gone, on access at once and from memory when they
//! are swept.

use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;
use crate::resolve::{NO_SLOT, Slots};
use crate::scan::ScanCursor;

impl KeyedStateBackend {
    /// The first time at which entries last accessed are not yet expired, and where rows keep that time.
    fn expiry(&self, state: StateId) -> Option<(i64, usize)> {
        let state = self.state(state);
        let ttl_ms = i64::try_from(state.descriptor.ttl_ms?).unwrap_or(i64::MAX);
        Some((self.now_ms.saturating_sub(ttl_ms), state.layout.last_access?))
    }

    /// Notes an access to the entries that `found` names, and makes expired ones as new.
    pub(crate) fn touch(&mut self, state: StateId, namespace: Namespace, found: &mut Slots) {
        let Some((expired_until, offset)) = self.expiry(state) else { return };
        let now_ms = self.now_ms;
        let mut expired = Vec::new();
        let table = self.state_mut(state).table_mut(namespace);
        for &position in &found.created {
            write_time(&mut table.slots, found.slots[position as usize], offset, now_ms);
        }
        for (position, &slot) in found.slots.iter().enumerate() {
            if read_time(&table.slots, slot, offset) <= expired_until {
                expired.push((position as u32, slot));
                table.slots.reset(slot);
            }
            write_time(&mut table.slots, slot, offset, now_ms);
        }
        if !expired.is_empty() {
            let slots: Vec<u32> = expired.iter().map(|&(_, slot)| slot).collect();
            for child in self.state(state).children.clone() {
                self.clear_under(child, namespace, &slots);
            }
            found.created.extend(expired.iter().map(|&(position, _)| position));
            found.created.sort_unstable();
        }
    }

    /// Replaces the slots of expired entries by [`NO_SLOT`].
    pub(crate) fn hide_expired(&self, state: StateId, namespace: Namespace, slots: &mut [u32]) {
        let Some((expired_until, offset)) = self.expiry(state) else { return };
        let Some(table) = self.table(state, namespace) else { return };
        for slot in slots.iter_mut().filter(|slot| **slot != NO_SLOT) {
            if read_time(&table.slots, *slot, offset) <= expired_until {
                *slot = NO_SLOT;
            }
        }
    }

    /// Deletes expired entries among the next `limit` or so slots of `namespace`, and returns how many; goes
    /// round: at the end the cursor starts again. The driver calls it now and then.
    pub fn sweep(
        &mut self,
        state: StateId,
        namespace: Namespace,
        cursor: &mut ScanCursor,
        limit: u32,
    ) -> usize {
        let Some((expired_until, offset)) = self.expiry(state) else { return 0 };
        let Some(table) = self.table(state, namespace) else { return 0 };
        let slots = &table.slots;
        let from = cursor.position().max(slots.rows.drained());
        let to = from.saturating_add(limit).min(slots.rows.len());
        let expired: Vec<u32> = (from..to)
            .filter(|&slot| slots.is_live(slot) && read_time(slots, slot, offset) <= expired_until)
            .collect();
        cursor.set_position(if to == slots.rows.len() { 0 } else { to });
        self.delete(state, namespace, &expired);
        let swept = expired.len();
        if !self.table(state, namespace).is_some_and(|table| table.marks.partly) {
            return swept;
        }
        let last = cursor.last().to_vec();
        let (on_disk, last) = self.sweep_disk(state, namespace, &last, limit, expired_until);
        cursor.set_last(last);
        swept + on_disk
    }
}

fn read_time(slots: &crate::slot_table::SlotTable, slot: u32, offset: usize) -> i64 {
    // SAFETY: the time lies within the row.
    unsafe { slots.rows.row(slot).add(offset).cast::<i64>().read_unaligned() }
}

fn write_time(slots: &mut crate::slot_table::SlotTable, slot: u32, offset: usize, now_ms: i64) {
    if read_time(slots, slot, offset) != now_ms {
        // SAFETY: the time lies within the row.
        unsafe { slots.rows.row_mut(slot).add(offset).cast::<i64>().write_unaligned(now_ms) };
    }
}

#[cfg(test)]
mod tests;
