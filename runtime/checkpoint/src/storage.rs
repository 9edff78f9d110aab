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
            kept.push_back(checkpoint);
            while kept.len() > retained {
                kept.pop_front();
            }
            Ok(())
        })
    }
}
