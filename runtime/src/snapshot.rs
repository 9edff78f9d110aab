//! Snapshots of one subtask: the cheap part in the driver loop, the rest in a task of its own.

use crate::RuntimeError;
use crate::chain::{Chain, Role};
use crate::job_event::{Acknowledgement, JobEvent};
use crate::subtask::yield_now;
use bytes::Bytes;
use futures::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use tokio::sync::{mpsc, oneshot};
use weir_checkpoint::{KeyedSnapshot, OperatorSnapshot, SourceSnapshot, SubtaskSnapshot, TaskId};
use weir_state::{Snapshot, SnapshotMode};
use weir_types::{Barrier, CheckpointId, CheckpointKind, OperatorId, RuntimeEnv, SubtaskIndex};

/// What the synchronous part took: the state of all operators of a chain at one moment.
pub(crate) struct Captured {
    operators: Vec<(OperatorId, OperatorCapture)>,
}

#[derive(Default)]
struct OperatorCapture {
    source: Option<SourceSnapshot>,
    keyed: Option<Snapshot>,
    operator_state: Option<Bytes>,
}

impl Chain {
    /// Has every operator write what it holds into its state backends, and takes their snapshots.
    pub(crate) fn snapshot(&mut self, barrier: Barrier) -> Result<Captured, RuntimeError> {
        let mode = match barrier.kind {
            CheckpointKind::Checkpoint => SnapshotMode::Incremental,
            CheckpointKind::Savepoint => SnapshotMode::Full,
        };
        let mut operators = Vec::new();
        for index in 0..self.nodes_mut().len() {
            self.at_node(index);
            let node = &mut self.nodes_mut()[index];
            let Role::Operator(role) = &mut node.role else { continue };
            let written = role.operator.snapshot(&mut role.context);
            written.map_err(|source| RuntimeError::Operator { operator: node.label.to_string(), source })?;
            let (keyed, states) = (&mut role.context.keyed, &role.context.operator_state);
            let has_keyed = keyed.states().next().is_some();
            let capture = OperatorCapture {
                source: None,
                keyed: has_keyed.then(|| keyed.snapshot(barrier.id, mode)),
                operator_state: states.names().next().is_some().then(|| states.snapshot()),
            };
            operators.push((node.id.clone(), capture));
        }
        Ok(Captured { operators })
    }

    /// Later snapshots may refer to what this checkpoint holds.
    pub(crate) fn notify_complete(&mut self, checkpoint: CheckpointId) {
        for node in self.nodes_mut() {
            if let Role::Operator(role) = &mut node.role {
                role.context.keyed.notify_complete(checkpoint);
            }
        }
    }
}

impl Captured {
    /// Adds how far the subtask's source has read.
    pub(crate) fn source(&mut self, operator: OperatorId, positions: SourceSnapshot) {
        self.operators.push((operator, OperatorCapture { source: Some(positions), ..Default::default() }));
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
                Err(panic) => {
                    let reason = crate::task::message_of(&*panic);
                    JobEvent::Declined { task, checkpoint, reason }
                }
            };
            // a job that has gone needs no answer
            let _ = events.send(event).await;
            drop(sent);
        };
        env.spawner.spawn("snapshot", Box::pin(answer));
        Acknowledgement::new(done)
    }

    async fn complete(self, subtask: SubtaskIndex) -> SubtaskSnapshot {
        let mut operators = BTreeMap::new();
        for (operator, capture) in self.operators {
            let OperatorCapture { source, keyed, operator_state } = capture;
            let keyed = match keyed {
                Some(snapshot) => Some(write(snapshot).await),
                None => None,
            };
            operators.insert(operator, OperatorSnapshot { source, keyed, operator_state });
        }
        SubtaskSnapshot { subtask, operators }
    }
}

/// Writes the segments that no complete checkpoint holds, a page at a time.
async fn write(mut snapshot: Snapshot) -> KeyedSnapshot {
    let mut segments = BTreeMap::new();
    while let Some(segment) = snapshot.next_segment() {
        segments.insert(segment.id, segment.bytes);
        yield_now().await;
    }
    KeyedSnapshot { index: snapshot.finish(), segments }
}
