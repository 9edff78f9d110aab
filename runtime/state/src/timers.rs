//! Timers: (time, key, namespace) once each, due in order of time.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::{Namespace, NamespaceKind, StateDescriptor, StateKind};
use crate::resolve::Slots;
use std::cmp::Reverse;
use weir_types::{EncodedKeys, KeyData, SqlField};

/// Time (i64, sign flipped, big endian), whether there is a window u8, its end as the time.
pub(crate) const PREFIX_BYTES: usize = 17;

/// What a timer's time is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeDomain {
    /// milliseconds of event time; due when the watermark reaches them
    EventTime,
    /// milliseconds since the epoch; due when the clock reaches them
    ProcessingTime,
}

/// Timers that were due, in order of time.
#[derive(Clone, Debug)]
pub struct DueTimers {
    pub times_ms: Vec<i64>,
    pub keys: EncodedKeys,
    pub namespaces: Vec<Namespace>,
}

/// Bytes that are ordered as the numbers are.
pub(crate) fn ordered(value: i64) -> [u8; 8] {
    (value as u64 ^ 1 << 63).to_be_bytes()
}

/// The number of the bytes of [`ordered`].
pub(crate) fn number(bytes: &[u8]) -> i64 {
    (bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)) ^ 1 << 63) as i64
}

/// Time and namespace in front of a timer's key.
pub(crate) fn prefix(time_ms: i64, namespace: Namespace) -> [u8; PREFIX_BYTES] {
    let (window, end_ms) = match namespace {
        Namespace::Void => (0, 0),
        Namespace::Window(end_ms) => (1, end_ms),
    };
    let mut bytes = [0; PREFIX_BYTES];
    bytes[..8].copy_from_slice(&ordered(time_ms));
    bytes[8] = window;
    bytes[9..].copy_from_slice(&ordered(end_ms));
    bytes
}

/// Time and namespace of the prefix of a timer; `None` for bytes that are no prefix.
pub(crate) fn parse_prefix(bytes: &[u8]) -> Option<(i64, Namespace)> {
    if bytes.len() < PREFIX_BYTES {
        return None;
    }
    let namespace = match bytes[8] {
        0 => Namespace::Void,
        1 => Namespace::Window(number(&bytes[9..PREFIX_BYTES])),
        _ => return None,
    };
    Some((number(&bytes[..8]), namespace))
}

impl KeyedStateBackend {
    /// Registers a set of timers by the key columns of the operator's states.
    ///
    /// # Errors
    /// As [`KeyedStateBackend::register`].
    pub fn register_timers(
        &mut self,
        name: impl Into<String>,
        key_fields: Vec<SqlField>,
        domain: TimeDomain,
    ) -> Result<StateId, StateError> {
        let mut descriptor = StateDescriptor::value(name, key_fields, NamespaceKind::Void, Vec::new());
        descriptor.kind = match domain {
            TimeDomain::EventTime => StateKind::EventTimers,
            TimeDomain::ProcessingTime => StateKind::ProcessingTimers,
        };
        let encoder = StateDescriptor::encoder(&descriptor.key_fields)?;
        self.add(descriptor, encoder, None)
    }

    /// `time and namespace ‖ key` of timers, one for each key.
    fn timer_keys(
        &self,
        timers: StateId,
        keys: &EncodedKeys,
        times_ms: &[i64],
        namespace: Namespace,
    ) -> EncodedKeys {
        let state = self.state(timers);
        assert!(state.descriptor.kind.is_timers(), "{} are no timers", state.descriptor.name);
        assert!(
            keys.shape() == state.shape() && keys.len() == times_ms.len(),
            "a time for each key of the timers"
        );
        let mut bytes = Vec::with_capacity(keys.len() * 40);
        let mut offsets = vec![0];
        for (row, &time_ms) in times_ms.iter().enumerate() {
            bytes.extend_from_slice(&prefix(time_ms, namespace));
            keys.write_canonical(row, &mut bytes);
            offsets.push(bytes.len() as u32);
        }
        EncodedKeys::new(KeyData::Bytes { offsets, bytes })
    }

    /// Registers a timer for each key at its time. One that exists already stays as it is.
    pub fn add_timers(
        &mut self,
        timers: StateId,
        keys: &EncodedKeys,
        times_ms: &[i64],
        namespace: Namespace,
    ) {
        let keys = self.timer_keys(timers, keys, times_ms, namespace);
        let state = self.state_mut(timers);
        let mut found = Slots::default();
        state.table_mut(Namespace::Void).slots.resolve(&keys, 0..keys.len(), &mut found);
        for &position in &found.created {
            let position = position as usize;
            state.due.push(Reverse((times_ms[position], found.slots[position])));
        }
        self.load_due(timers);
    }

    /// Deletes the timer of each key at its time, if there is one.
    pub fn delete_timers(
        &mut self,
        timers: StateId,
        keys: &EncodedKeys,
        times_ms: &[i64],
        namespace: Namespace,
    ) {
        let keys = self.timer_keys(timers, keys, times_ms, namespace);
        let mut slots = Vec::new();
        let table = &mut self.state_mut(timers).table_mut(Namespace::Void).slots;
        table.lookup(&keys, &mut slots);
        self.bury_timers(timers, &keys, &slots);
        slots.retain(|&slot| slot != crate::NO_SLOT);
        self.remove_entries(timers, Namespace::Void, &slots);
        self.drop_stale(timers);
        self.load_due(timers);
    }

    /// Takes timers that no longer exist off the top of the queue, so that the top is the earliest that does.
    fn drop_stale(&mut self, timers: StateId) {
        let state = self.state_mut(timers);
        let Some(table) = state.tables.get(&Namespace::Void) else { return state.due.clear() };
        while let Some(&Reverse((time_ms, slot))) = state.due.peek() {
            let held =
                table.slots.is_live(slot).then(|| parse_prefix(&table.slots.key_bytes(slot))).flatten();
            // A slot may have been given to another timer; one at the same time is as good.
            if held.is_some_and(|(held_ms, _)| held_ms == time_ms) {
                return;
            }
            state.due.pop();
        }
    }

    /// The time of the earliest timer.
    pub fn next_timer_ms(&self, timers: StateId) -> Option<i64> {
        self.state(timers).due.peek().map(|Reverse((time_ms, _))| *time_ms)
    }

    /// Takes out the timers at or before `until_ms`, at most `limit`, in order of time; `None` if there are
    /// none. They are gone from the state: do what they are for before the driver can take a snapshot.
    pub fn pop_timers(&mut self, timers: StateId, until_ms: i64, limit: usize) -> Option<DueTimers> {
        let encoder = self.encoder(timers).clone();
        let (mut times_ms, mut namespaces, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bytes, mut offsets) = (Vec::new(), vec![0]);
        while times_ms.len() < limit && self.next_timer_ms(timers).is_some_and(|time_ms| time_ms <= until_ms)
        {
            let state = self.state_mut(timers);
            let Some(due @ Reverse((time_ms, slot))) = state.due.pop() else { break };
            // The same timer may be queued twice, if it was deleted and added again.
            while state.due.peek() == Some(&due) {
                state.due.pop();
            }
            let key = state.table_mut(Namespace::Void).slots.key_bytes(slot);
            times_ms.push(time_ms);
            namespaces.push(parse_prefix(&key).map_or(Namespace::Void, |(_, namespace)| namespace));
            bytes.extend_from_slice(key.get(PREFIX_BYTES..).unwrap_or(&[]));
            offsets.push(bytes.len() as u32);
            slots.push(slot);
            self.drop_stale(timers);
            self.load_due(timers);
        }
        if times_ms.is_empty() {
            return None;
        }
        self.remove_entries(timers, Namespace::Void, &slots);
        self.drop_stale(timers);
        let keys = encoder.from_canonical(&offsets, &bytes);
        let keys = keys
            .expect("the keys of timers were written by this encoder, or checked when they were restored");
        Some(DueTimers { times_ms, keys, namespaces })
    }

    /// Rebuilds the queue from the timers of the state.
    pub(crate) fn requeue_timers(&mut self, timers: StateId) {
        let state = self.state_mut(timers);
        let Some(table) = state.tables.get(&Namespace::Void) else { return };
        let live = (0..table.slots.rows.len()).filter(|&slot| table.slots.is_live(slot));
        let due = live.filter_map(|slot| {
            let (time_ms, _) = parse_prefix(&table.slots.key_bytes(slot))?;
            Some(Reverse((time_ms, slot)))
        });
        state.due = due.collect();
    }
}

#[cfg(test)]
mod tests;
