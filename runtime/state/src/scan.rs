//! Walks over a namespace in bounded steps.

use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::Namespace;

/// Where a walk over a namespace stands. Starts at the first entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor {
    next: u32,
    /// the key on disk of the last entry, where the walk goes in the order of keys
    last: Option<Vec<u8>>,
}

impl ScanCursor {
    pub(crate) fn position(&self) -> u32 {
        self.next
    }

    pub(crate) fn set_position(&mut self, next: u32) {
        self.next = next;
    }

    /// The key on disk that the walk has come to; empty at the start.
    pub(crate) fn last(&self) -> &[u8] {
        self.last.as_deref().unwrap_or(&[])
    }

    pub(crate) fn set_last(&mut self, last: Vec<u8>) {
        self.last = Some(last);
    }
}

impl KeyedStateBackend {
    /// Replaces what `out` holds by the slots of the next entries of `namespace` of a Value state, at most about
    /// `limit`, in some order; false once there are no more and `out` is empty. Go on to the end: the entries stay in
    /// memory until then.
    ///
    /// The table may change between calls: entries that are there all the time come exactly once, others once
    /// or not at all. A cursor is not part of a snapshot; see [`KeyedStateBackend::drain`] for what is to
    /// survive one.
    pub fn scan(
        &mut self,
        state: StateId,
        namespace: Namespace,
        cursor: &mut ScanCursor,
        limit: usize,
        out: &mut Vec<u32>,
    ) -> bool {
        out.clear();
        self.settle_handed(state, namespace);
        let Some(table) = self.table(state, namespace) else { return false };
        if cursor.last.is_some() || (cursor.next == 0 && table.marks.partly) {
            return self.scan_by_key(state, namespace, cursor, limit, out);
        }
        let slots = &table.slots;
        let mut next = cursor.next.max(slots.rows.drained());
        while next < slots.rows.len() && out.len() < limit {
            if slots.is_live(next) {
                out.push(next);
            }
            next += 1;
        }
        cursor.next = next;
        let more = !out.is_empty() || next < slots.rows.len();
        if let Some(table) = self.state_mut(state).tables.get_mut(&namespace) {
            table.marks.scanned = more;
        }
        self.hide_expired(state, namespace, out);
        out.retain(|&slot| slot != crate::NO_SLOT);
        more
    }

    fn scan_by_key(
        &mut self,
        state: StateId,
        namespace: Namespace,
        cursor: &mut ScanCursor,
        limit: usize,
        out: &mut Vec<u32>,
    ) -> bool {
        let last = cursor.last.get_or_insert_default();
        self.begin_walk(state, namespace, last);
        let result = self.walk_on(state, namespace, limit, out);
        self.note(result);
        last.clear();
        last.extend_from_slice(self.walked_to(state, namespace));
        if out.is_empty() {
            self.end_walk(state, namespace);
            return false;
        }
        self.hide_expired(state, namespace, out);
        out.retain(|&slot| slot != crate::NO_SLOT);
        true
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
        let Some(table) = self.table(state, namespace) else { return false };
        if table.marks.partly {
            return self.drain_by_key(state, namespace, limit.max(1), out);
        }
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

    fn drain_by_key(
        &mut self,
        state: StateId,
        namespace: Namespace,
        limit: usize,
        out: &mut Vec<u32>,
    ) -> bool {
        self.settle_handed(state, namespace);
        let last = self.walked_to(state, namespace).to_vec();
        self.begin_walk(state, namespace, &last);
        let result = self.walk_on(state, namespace, limit, out);
        if result.is_err() {
            self.note(result);
            out.clear();
            return false;
        }
        if !out.is_empty() {
            self.hand_out(state, namespace, out);
            return true;
        }
        self.end_walk(state, namespace);
        // Entries that came behind the walk are all that is left.
        if self.table(state, namespace).is_some_and(|table| table.slots.rows.live() > 0) {
            return self.drain_by_key(state, namespace, limit, out);
        }
        self.drop_namespace(state, namespace);
        false
    }
}
