//! Where complete checkpoints are kept.

use crate::{CheckpointError, CompletedCheckpoint};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use weir_types::BoxFuture;

/// Keeps complete checkpoints. A checkpoint is complete once `store` has returned.
pub trait CheckpointStorage: Send + Sync {
    fn store(&self, checkpoint: Arc<CompletedCheckpoint>) -> BoxFuture<Result<(), CheckpointError>>;
}

/// Keeps the newest checkpoints in memory: a job can go back to them while the process lives.
#[derive(Debug)]
pub struct InMemoryCheckpointStorage {
    retained: usize,
    checkpoints: Arc<Mutex<VecDeque<Arc<CompletedCheckpoint>>>>,
}

impl InMemoryCheckpointStorage {
    /// Keeps the newest `retained`, at least one (`execution.checkpointing.num-retained`).
    pub fn new(retained: usize) -> Self {
        InMemoryCheckpointStorage { retained: retained.max(1), checkpoints: Arc::default() }
    }

    /// The checkpoints that are kept, the oldest first.
    pub fn checkpoints(&self) -> Vec<Arc<CompletedCheckpoint>> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The checkpoint with the segments that it shares with the one before, so that each can be dropped by itself.
fn with_all_segments(
    checkpoint: &CompletedCheckpoint,
    before: Option<&CompletedCheckpoint>,
) -> Result<CompletedCheckpoint, CheckpointError> {
    let mut whole = checkpoint.clone();
    for (task, snapshot) in &mut whole.snapshots {
        for (operator, snapshot) in &mut snapshot.operators {
            let Some(keyed) = &mut snapshot.keyed else { continue };
            let earlier = before
                .and_then(|before| before.snapshots.get(task)?.operators.get(operator)?.keyed.as_ref())
                .map(|keyed| &keyed.segments);
            for segment in keyed.index.segments() {
                if keyed.segments.contains_key(&segment.id) {
                    continue;
                }
                let Some(bytes) = earlier.and_then(|earlier| earlier.get(&segment.id)) else {
                    return Err(CheckpointError::Storage {
                        what: format!("checkpoint {}", checkpoint.id),
                        reason: format!("{operator} refers to segment {:?}, which is not kept", segment.id),
                    });
                };
                keyed.segments.insert(segment.id, bytes.clone());
            }
        }
    }
    Ok(whole)
}

impl Default for InMemoryCheckpointStorage {
    fn default() -> Self {
        InMemoryCheckpointStorage::new(1)
    }
}

impl CheckpointStorage for InMemoryCheckpointStorage {
    fn store(&self, checkpoint: Arc<CompletedCheckpoint>) -> BoxFuture<Result<(), CheckpointError>> {
        let checkpoints = self.checkpoints.clone();
        let retained = self.retained;
        Box::pin(async move {
            let mut kept = checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            let whole = with_all_segments(&checkpoint, kept.back().map(|last| &**last))?;
            kept.push_back(Arc::new(whole));
            while kept.len() > retained {
                kept.pop_front();
            }
            Ok(())
        })
    }
}
