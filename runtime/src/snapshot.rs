//! Snapshots of one subtask: the cheap part in the driver loop, the rest in a task of its own.

use crate::RuntimeError;
use crate::chain::{Chain, Role};
use crate::job_event::{Acknowledgement, JobEvent};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use tokio::sync::{mpsc, oneshot};
use weir_checkpoint::{OperatorSnapshot, SourceSnapshot, SubtaskSnapshot, TaskId};
use weir_types::{Barrier, CheckpointId, OperatorId, RuntimeEnv, SubtaskIndex};

/// What the synchronous part took: the state of all operators of a chain at one moment.
pub(crate) struct Captured {
    operators: Vec<(OperatorId, OperatorSnapshot)>,
}

impl Chain {
    /// Has every operator write what it holds into its state backends, and takes their snapshots.
    pub(crate) fn snapshot(&mut self, _barrier: Barrier) -> Result<Captured, RuntimeError> {
        let mut operators = Vec::new();
        for index in 0..self.nodes_mut().len() {
            self.at_node(index);
            let node = &mut self.nodes_mut()[index];
            let Role::Operator(role) = &mut node.role else { continue };
            let written = role.operator.snapshot(&mut role.context);
            written.map_err(|source| RuntimeError::Operator { operator: node.label.to_string(), source })?;
            operators.push((node.id.clone(), OperatorSnapshot::default()));
        }
        Ok(Captured { operators })
    }
}

impl Captured {
    /// Adds how far the subtask's source has read.
    pub(crate) fn source(&mut self, operator: OperatorId, positions: SourceSnapshot) {
        self.operators.push((operator, OperatorSnapshot { source: Some(positions) }));
    }

    /// Completes the snapshot beside the subtask, then answers the coordinator.
    pub(crate) fn acknowledge(
        self,
        task: TaskId,
        subtask: SubtaskIndex,
        checkpoint: CheckpointId,
        env: &RuntimeEnv,
        events: mpsc::Sender<JobEvent>,
    ) -> Acknowledgement {
        let (sent, done) = oneshot::channel();
        let work = AssertUnwindSafe(self.complete(subtask)).catch_unwind();
        let answer = async move {
            let event = match work.await {
                Ok(snapshot) => JobEvent::Acknowledged { task, checkpoint, snapshot },
                Err(_) => JobEvent::Declined { task, checkpoint, reason: "panicked".to_string() },
            };
            // a job that has gone needs no answer
            let _ = events.send(event).await;
            drop(sent);
        };
        env.spawner.spawn("snapshot", Box::pin(answer));
        Acknowledgement::new(done)
    }

    async fn complete(self, subtask: SubtaskIndex) -> SubtaskSnapshot {
        SubtaskSnapshot { subtask, operators: self.operators.into_iter().collect() }
    }
}
