//! Walks over a namespace in bounded steps.

use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;

/// Where a walk over a namespace stands. Starts at the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor {
    next: u32,
}

impl ScanCursor {
    pub(crate) fn position(self) -> u32 {
        self.next
    }

    pub(crate) fn set_position(&mut self, next: u32) {
        self.next = next;
    }
}

impl KeyedStateBackend {
    /// Replaces what `out` holds by the slots of the next entries of `namespace`, at most about `limit`, in
    /// the order of their pages; false once there are no more and `out` is empty.
    ///
    /// The table may change between calls: entries that are there all the time come exactly once, others once
    /// or not at all. A cursor is not part of a snapshot; see [`KeyedStateBackend::drain`] for what is to
    /// survive one.
    pub fn scan(
        &self,
        state: StateId,
        namespace: Namespace,
        cursor: &mut ScanCursor,
        limit: usize,
        out: &mut Vec<u32>,
    ) -> bool {
        out.clear();
        let Some(table) = self.table(state, namespace) else { return false };
        let slots = &table.slots;
        let mut next = cursor.next.max(slots.rows.drained());
        while next < slots.rows.len() && out.len() < limit {
            if slots.is_live(next) {
                out.push(next);
            }
            next += 1;
        }
        cursor.next = next;
        self.hide_expired(state, namespace, out);
        out.retain(|&slot| slot != crate::NO_SLOT);
        !out.is_empty() || next < slots.rows.len()
    }

    /// Takes entries out of a namespace that is being fired, in bounded steps: replaces what `out` holds by
    /// the slots of the next at most `limit` entries, in the order of their pages; false once there are no
    /// more, and then the namespace is dropped.
    ///
    /// The entries are gone, with all that hangs under them, at no cost per entry: look-ups, scans and
    /// snapshots do not see them. Their rows, and the entries under them, can be read at their slots until
    /// anything in the namespace is changed. So a snapshot between two steps holds exactly what has not been
    /// handed out: emit what `drain` gave before the driver can take one, and after a restore go on draining.
    pub fn drain(&mut self, state: StateId, namespace: Namespace, limit: usize, out: &mut Vec<u32>) -> bool {
        out.clear();
        let Some(table) = self.state_mut(state).tables.get_mut(&namespace) else { return false };
        let slots = &mut table.slots;
        let mut next = slots.rows.drained();
        while next < slots.rows.len() && out.len() < limit.max(1) {
            if slots.is_live(next) {
                out.push(next);
            }
            next += 1;
        }
        if out.is_empty() {
            self.drop_namespace(state, namespace);
            return false;
        }
        slots.rows.drain_to(next, out.len());
        true
    }
}
