//! Raw keyed state: a stream of bytes for each key group, of an operator that keeps its own structures and says itself
//! what they are on disk.
//!
//! The operator reads the streams of its key groups when it is opened, and writes those that have changed when it is
//! asked for its snapshot. A stream goes with its key group: to whichever subtask owns that after a restore, whole. So it
//! must be possible to read one without the others.
//!
//! Streams are entries of a Value state like any others, on either backend: what holds for snapshots, increments,
//! restores, canonical savepoints and for looking at checkpoints holds for them. The key of an entry is the smallest
//! number that hashes into its key group, and means nothing else.

use crate::StateError;
use crate::backend::{KeyedStateBackend, StateId};
use crate::descriptor::{Namespace, NamespaceKind, StateDescriptor};
use crate::resolve::{NO_SLOT, Slots};
use arrow::array::{ArrayRef, Int64Array};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{EncodedKeys, KeyEncoder, KeyGroup, SqlField, SqlType, key_group_of};

/// A raw state that was registered with a [`KeyedStateBackend`]. Valid for that backend only.
#[derive(Clone, Debug)]
pub struct RawState {
    state: StateId,
    /// of each key group of the backend the key of its entry
    keys: BTreeMap<KeyGroup, i64>,
}

/// Numbers that are hashed at a time when keys are looked for.
const TRIED: i64 = 4096;

impl KeyedStateBackend {
    /// Registers raw keyed state under a name such as `<operator>/<state>`.
    ///
    /// # Errors
    /// [`StateError::Descriptor`] if the name is taken, or a restored state of this name is no raw state.
    pub fn register_raw(&mut self, name: impl Into<String>) -> Result<RawState, StateError> {
        let key = vec![SqlField::new("of_key_group", SqlType::BigInt, false)];
        let stream = vec![SqlField::new("stream", SqlType::BYTES, false)];
        let state = self.register(StateDescriptor::value(name, key, NamespaceKind::Void, stream))?;
        let (range, max_parallelism) = (self.key_groups(), self.max_parallelism());
        let (mut keys, mut next) = (BTreeMap::new(), 0);
        while keys.len() < range.len() {
            let tried = encoded(self.encoder(state), (next..next + TRIED).collect())?;
            for (key, &hash) in (next..).zip(tried.hashes()) {
                let group = key_group_of(hash, max_parallelism);
                if range.contains(group) {
                    keys.entry(group).or_insert(key);
                }
            }
            next += TRIED;
        }
        Ok(RawState { state, keys })
    }

    /// The stream of `key_group`; `None` if there is none.
    ///
    /// # Errors
    /// [`StateError::Descriptor`] for a key group of another subtask.
    pub fn raw_stream(&mut self, raw: &RawState, key_group: KeyGroup) -> Result<Option<Vec<u8>>, StateError> {
        let slot = self.raw_slot(raw, key_group)?;
        let rows = self.rows(raw.state, Namespace::Void);
        Ok((slot != NO_SLOT).then(|| rows.bytes(slot, 0).map_or(Vec::new(), |stream| stream.to_vec())))
    }

    /// Replaces the stream of `key_group`, or takes it away. One that stays the same costs no space in an incremental
    /// snapshot.
    ///
    /// # Errors
    /// As [`KeyedStateBackend::raw_stream`].
    ///
    /// # Panics
    /// If the stream has 4 GiB or more.
    pub fn set_raw_stream(
        &mut self,
        raw: &RawState,
        key_group: KeyGroup,
        stream: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let slot = self.raw_slot(raw, key_group)?;
        let Some(stream) = stream else {
            if slot != NO_SLOT {
                self.delete(raw.state, Namespace::Void, &[slot]);
            }
            return Ok(());
        };
        if slot != NO_SLOT {
            let rows = self.rows(raw.state, Namespace::Void);
            if rows.bytes(slot, 0).is_some_and(|held| *held == *stream) {
                return Ok(());
            }
        }
        let (keys, mut found) = (self.raw_key(raw, key_group)?, Slots::default());
        self.resolve(raw.state, Namespace::Void, &keys, &mut found);
        self.rows(raw.state, Namespace::Void).set_bytes(found.slots[0], 0, Some(stream));
        Ok(())
    }

    fn raw_slot(&mut self, raw: &RawState, key_group: KeyGroup) -> Result<u32, StateError> {
        let keys = self.raw_key(raw, key_group)?;
        let mut slots = Vec::new();
        self.lookup(raw.state, Namespace::Void, &keys, &mut slots);
        Ok(slots[0])
    }

    fn raw_key(&self, raw: &RawState, key_group: KeyGroup) -> Result<EncodedKeys, StateError> {
        let Some(&key) = raw.keys.get(&key_group) else {
            let (name, range) = (&self.descriptor(raw.state).name, self.key_groups());
            return Err(StateError::Descriptor(format!(
                "state {name} is asked for key group {}, and this subtask has {}..{}",
                key_group.0, range.start, range.end
            )));
        };
        encoded(self.encoder(raw.state), vec![key])
    }
}

fn encoded(encoder: &KeyEncoder, keys: Vec<i64>) -> Result<EncodedKeys, StateError> {
    let rows = keys.len();
    let column: ArrayRef = Arc::new(Int64Array::from(keys));
    Ok(encoder.encode(&[column], rows)?)
}

#[cfg(test)]
mod tests;
