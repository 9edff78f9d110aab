//! Which old segments are worth writing anew, so that their files can go.

use crate::handle::{Location, StoredFile};
use crate::pending::CompletedCheckpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::{CheckpointId, OperatorId, SubtaskIndex};

/// Files of one operator's subtask above which the emptiest are joined, as far as that costs no more than the
/// checkpoint itself did.
const MANY_FILES: usize = 64;

/// A subtask's state backend is to write anew what these checkpoints wrote of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    pub operator: OperatorId,
    pub subtask: SubtaskIndex,
    pub checkpoints: BTreeSet<CheckpointId>,
}

/// What is left of a file.
#[derive(Default)]
struct Use {
    live: u64,
    bytes: u64,
    checkpoints: BTreeSet<CheckpointId>,
}

/// Files of which less than half is still in use are to be rewritten: space stays below twice the state, and what is
/// rewritten below twice what is written. `new_bytes` is what the checkpoint wrote.
pub(super) fn advice(completed: &CompletedCheckpoint, new_bytes: u64) -> Vec<Rewrite> {
    let mut rewrites = Vec::new();
    for handle in completed.handles.iter().filter(|(task, _)| !completed.finished.contains(task)) {
        let handle = handle.1;
        for (operator, kept) in &handle.operators {
            let Some(keyed) = &kept.keyed else { continue };
            let mut files: Vec<Use> = Vec::new();
            let mut places: BTreeMap<*const StoredFile, usize> = BTreeMap::new();
            for (id, location) in &keyed.segments {
                let Location::File { file, length, .. } = location else { continue };
                let place = *places.entry(Arc::as_ptr(file)).or_insert(files.len());
                if place == files.len() {
                    files.push(Use::default());
                }
                let used = &mut files[place];
                used.live += length;
                used.bytes = file.bytes;
                used.checkpoints.insert(id.checkpoint);
            }
            let checkpoints = worth(files, new_bytes);
            if !checkpoints.is_empty() {
                let (operator, subtask) = (operator.clone(), handle.subtask);
                rewrites.push(Rewrite { operator, subtask, checkpoints });
            }
        }
    }
    rewrites
}

fn worth(mut files: Vec<Use>, new_bytes: u64) -> BTreeSet<CheckpointId> {
    let count = files.len();
    files.sort_by_key(|file| file.live);
    let mut checkpoints = BTreeSet::new();
    let mut joined = 0;
    for (place, file) in files.into_iter().enumerate() {
        let sparse = file.live < file.bytes / 2;
        let join = count - place > MANY_FILES && joined + file.live <= new_bytes;
        if sparse || join {
            joined += file.live;
            checkpoints.extend(file.checkpoints);
        }
    }
    checkpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(checkpoint: u64, live: u64, bytes: u64) -> Use {
        Use { live, bytes, checkpoints: BTreeSet::from([CheckpointId(checkpoint)]) }
    }

    fn numbers(checkpoints: BTreeSet<CheckpointId>) -> Vec<u64> {
        checkpoints.into_iter().map(|checkpoint| checkpoint.0).collect()
    }

    #[test]
    fn files_that_are_mostly_unused_are_rewritten() {
        let files = vec![file(1, 49, 100), file(2, 50, 100), file(3, 100, 100)];
        assert_eq!(numbers(worth(files, 0)), [1]);
    }

    #[test]
    fn many_small_files_are_joined_bit_by_bit() {
        let files: Vec<Use> = (0..70).map(|number| file(number, 10, 10)).collect();
        assert_eq!(numbers(worth(files, 35)), [0, 1, 2], "as much as the checkpoint itself wrote");
        let files: Vec<Use> = (0..70).map(|number| file(number, 10, 10)).collect();
        assert_eq!(numbers(worth(files, 1000)).len(), 6);
    }
}
