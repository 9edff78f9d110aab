//! Entries of a snapshot that lie on top of its files: of an entry that is in segments and in files the segments have the
//! newer version. Here are their keys, so that whoever goes over the files leaves out what is no longer so.

use crate::StateError;
use crate::descriptor::StateKind;
use crate::disk::keys::{order_of, push_front};
use crate::overlay;
use crate::segment::{self, ByteStrings, SegmentRows};
use crate::snapshot::{SegmentId, StateIndex};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The keys on disk of the entries of one state that segments hold.
#[derive(Default)]
pub(crate) struct OnTop(BTreeMap<u16, Keys>);

/// Those of one key group.
struct Keys {
    keys: ByteStrings,
    /// of the keys, once somebody asks
    order: Vec<u32>,
    /// the first of `order` that is not below what was asked for last
    next: usize,
}

impl OnTop {
    /// Of what the index of a snapshot says of one state; segments that are missing are told by who needs their rows.
    pub(crate) fn of(
        state: &StateIndex,
        segments: &BTreeMap<SegmentId, Bytes>,
        file: &str,
    ) -> Result<OnTop, StateError> {
        let mut current = overlay::current(&state.segments, segments, file)?;
        let mut on_top = OnTop::default();
        for segment in &state.segments {
            let Some(bytes) = segments.get(&segment.id) else { continue };
            let rows = segment::read(bytes, state.kind, file)?;
            match current.remove(&segment.id) {
                Some(kept) => on_top.add(state.kind, &rows.keep(&kept)),
                None => on_top.add(state.kind, &rows),
            }
        }
        Ok(on_top)
    }

    /// Adds entries of a state of `kind`. All come before the first question.
    pub(crate) fn add(&mut self, kind: StateKind, rows: &SegmentRows) {
        for row in 0..rows.rows {
            let group = rows.key_groups[row];
            let new = || Keys { keys: ByteStrings::new(), order: Vec::new(), next: 0 };
            let Keys { keys, .. } = self.0.entry(group).or_insert_with(new);
            push_front(group, rows.namespace, &mut keys.bytes);
            if kind.is_timers() {
                // The time and the namespace stand before the key.
                rows.keys.iter().rev().for_each(|level| keys.bytes.extend_from_slice(level.get(row)));
            } else {
                rows.keys.iter().for_each(|level| keys.bytes.extend_from_slice(level.get(row)));
            }
            if kind == StateKind::List {
                keys.bytes.extend_from_slice(&rows.sequence[row].to_be_bytes());
            }
            keys.end();
        }
    }

    /// Whether segments have the entry that a file has under `key`. Asked for keys that rise.
    pub(crate) fn has(&mut self, key: &[u8]) -> bool {
        let group = key.first_chunk::<2>().map(|group| u16::from_be_bytes(*group));
        let Some(of) = group.and_then(|group| self.0.get_mut(&group)) else { return false };
        if of.order.is_empty() {
            of.order = order_of(&of.keys);
        }
        while let Some(&row) = of.order.get(of.next) {
            match of.keys.get(row as usize).cmp(key) {
                std::cmp::Ordering::Less => of.next += 1,
                found => return found.is_eq(),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;

    fn rows(group: u16, keys: &[&str]) -> SegmentRows {
        let mut strings = ByteStrings::new();
        keys.iter().for_each(|key| strings.push(key.as_bytes()));
        SegmentRows {
            namespace: Namespace::Void,
            rows: keys.len(),
            key_groups: vec![group; keys.len()],
            keys: vec![strings],
            sequence: Vec::new(),
            last_access: None,
            fields: Vec::new(),
        }
    }

    #[test]
    fn tells_which_keys_are_there() {
        let mut on_top = OnTop::default();
        assert!(!on_top.has(b"\0\x01a"));
        on_top.add(StateKind::Value, &rows(1, &["c", "a"]));
        on_top.add(StateKind::Value, &rows(2, &["b"]));
        on_top.add(StateKind::Value, &rows(1, &["bb"]));
        let asked = [
            &b"\0\x01"[..],
            b"\0\x01a",
            b"\0\x01b",
            b"\0\x01bb",
            b"\0\x01c",
            b"\0\x01d",
            b"\0\x02b",
            b"\0\x03b",
        ];
        let found: Vec<bool> = asked.iter().map(|key| on_top.has(key)).collect();
        assert_eq!(found, [false, true, false, true, true, false, true, false]);
    }
}
