//! State that belongs to an operator's subtask and to no key.

use crate::StateError;
use crate::codec::{Reader, Writer, open, seal};
use bytes::Bytes;
use std::collections::BTreeMap;

const MAGIC: [u8; 4] = *b"WOPS";
const VERSION: u16 = 1;

/// How the entries of a state are dealt out when it is restored, at whatever parallelism. The numbers are
/// persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Redistribution {
    /// The entries of all subtasks in one row, cut into parts of nearly equal length, one for each subtask.
    EvenSplit = 0,
    /// Every subtask gets the entries of all.
    Union = 1,
    /// The entries are the same in all subtasks, and stay so: every subtask gets those of one.
    Broadcast = 2,
}

/// The operator states of one subtask: named lists of entries, each of them bytes whose meaning is the
/// operator's own.
#[derive(Clone, Debug, Default)]
pub struct OperatorStateBackend {
    states: BTreeMap<String, OperatorState>,
}

#[derive(Clone, Debug)]
struct OperatorState {
    redistribution: Redistribution,
    entries: Vec<Bytes>,
}

impl OperatorStateBackend {
    /// Without any state.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries of state `name`; none if there is no such state.
    pub fn entries(&self, name: &str) -> &[Bytes] {
        self.states.get(name).map_or(&[], |state| &state.entries)
    }

    /// Replaces the entries of state `name`. A name keeps its redistribution for the life of the job; the
    /// last call decides.
    pub fn set(&mut self, name: &str, redistribution: Redistribution, entries: Vec<Bytes>) {
        self.states.insert(name.to_string(), OperatorState { redistribution, entries });
    }

    /// How the entries of state `name` are dealt out; `None` if there is no such state.
    pub fn redistribution(&self, name: &str) -> Option<Redistribution> {
        self.states.get(name).map(|state| state.redistribution)
    }

    /// The names of all states, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.states.keys().map(String::as_str)
    }

    /// All states as bytes. Cheap: the driver calls it in the synchronous part of a snapshot.
    pub fn snapshot(&self) -> Bytes {
        let mut out = Writer::new(MAGIC, VERSION);
        out.u32(self.states.len() as u32);
        for (name, state) in &self.states {
            out.bytes(name.as_bytes());
            out.u8(state.redistribution as u8);
            out.u32(state.entries.len() as u32);
            state.entries.iter().for_each(|entry| out.bytes(entry));
        }
        seal(out)
    }

    /// The states of subtask `subtask` of `parallelism` from the snapshots of all subtasks of the checkpoint,
    /// in the order of their indices; `file` names the place they come from in errors.
    ///
    /// # Errors
    /// [`StateError::Truncated`] and [`StateError::Corrupt`]; the latter also for a state that subtasks
    /// redistribute differently.
    pub fn restore(
        snapshots: &[Bytes],
        subtask: u32,
        parallelism: u32,
        file: &str,
    ) -> Result<Self, StateError> {
        let mut merged: BTreeMap<String, (Redistribution, Vec<Vec<Bytes>>)> = BTreeMap::new();
        for snapshot in snapshots {
            for (name, state) in decode(snapshot, file)? {
                let entry = merged.entry(name.clone()).or_insert((state.redistribution, Vec::new()));
                if entry.0 != state.redistribution {
                    let what = format!("state {name} is redistributed in two ways");
                    return Err(StateError::Corrupt { file: file.to_string(), offset: 0, what });
                }
                entry.1.push(state.entries);
            }
        }
        let states = merged.into_iter().map(|(name, (redistribution, parts))| {
            let entries = deal(redistribution, parts, subtask as usize, parallelism as usize);
            (name, OperatorState { redistribution, entries })
        });
        Ok(OperatorStateBackend { states: states.collect() })
    }
}

fn deal(
    redistribution: Redistribution,
    mut parts: Vec<Vec<Bytes>>,
    subtask: usize,
    parallelism: usize,
) -> Vec<Bytes> {
    match redistribution {
        Redistribution::Union => parts.concat(),
        Redistribution::Broadcast => parts.swap_remove(subtask % parts.len()),
        Redistribution::EvenSplit => {
            let all = parts.concat();
            let (from, to) = (subtask * all.len() / parallelism, (subtask + 1) * all.len() / parallelism);
            all[from..to].to_vec()
        }
    }
}

fn decode(snapshot: &Bytes, file: &str) -> Result<Vec<(String, OperatorState)>, StateError> {
    let mut reader: Reader = open(snapshot, MAGIC, VERSION, file)?;
    let count = reader.u32("the number of states")?;
    let mut states = Vec::new();
    for _ in 0..count {
        let name = reader.bytes("the name of a state")?;
        let name =
            String::from_utf8(name.to_vec()).map_err(|_| reader.corrupt("a name that is not UTF-8"))?;
        let redistribution = match reader.u8("a redistribution")? {
            0 => Redistribution::EvenSplit,
            1 => Redistribution::Union,
            2 => Redistribution::Broadcast,
            _ => return Err(reader.corrupt("an unknown redistribution")),
        };
        let count = reader.u32("the number of entries")?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push(reader.bytes("an entry")?);
        }
        states.push((name, OperatorState { redistribution, entries }));
    }
    reader.finish()?;
    Ok(states)
}

#[cfg(test)]
mod tests;
