//! Snapshots of one subtask: the cheap part in the driver loop, the rest in a task of its own.

use crate::RuntimeError;
use crate::chain::{Chain, Role};
use crate::in_flight;
use crate::job_event::{Acknowledgement, JobEvent};
use crate::subtask::now_ms;
use futures::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use weir_checkpoint::manifest::SnapshotStatistics;
use weir_checkpoint::{CheckpointStore, OperatorSnapshot, SourceSnapshot, SubtaskSnapshot, TaskId};
use weir_state::SnapshotMode;
use weir_types::{
    Barrier, ChangelogBatch, CheckpointId, CheckpointKind, ErrorKind, OperatorId, RuntimeEnv, SubtaskIndex,
    failpoint,
};

/// What the synchronous part took: the state of all operators of a chain at one moment.
pub(crate) struct Captured {
    operators: BTreeMap<OperatorId, OperatorSnapshot>,
}

/// Where the snapshots of one subtask go.
#[derive(Clone)]
pub(crate) struct Snapshots {
    pub task: TaskId,
    pub subtask: SubtaskIndex,
    /// all operators of the task, the root of the chain first
    pub chain: Arc<[OperatorId]>,
    pub store: Arc<CheckpointStore>,
    pub env: RuntimeEnv,
    /// the job takes checkpoints by itself
    pub periodic: bool,
}

impl Chain {
    /// Has every operator write what it holds into its state backends, and takes their snapshots.
    pub(crate) fn snapshot(&mut self, barrier: Barrier) -> Result<Captured, RuntimeError> {
        let mode = match barrier.kind {
            CheckpointKind::Incremental => SnapshotMode::Incremental,
            CheckpointKind::Full | CheckpointKind::Savepoint => SnapshotMode::Full,
        };
        let mut operators = BTreeMap::new();
        let mut taken = Vec::new();
        for index in 0..self.nodes_mut().len() {
            self.at_node(index);
            let node = &mut self.nodes_mut()[index];
            let Role::Operator(role) = &mut node.role else { continue };
            role.context.before_call();
            let written = role.operator.snapshot(&mut role.context);
            let written = role.context.after_call().and(written);
            written.map_err(|source| RuntimeError::Operator { operator: node.label.to_string(), source })?;
            taken.push((node.id.clone(), role.operator.in_flight()));
            let (keyed, states) = (&mut role.context.keyed, &role.context.operator_state);
            let (has_keyed, has_states) = (keyed.states().next().is_some(), states.names().next().is_some());
            if has_keyed || has_states {
                let snapshot = OperatorSnapshot {
                    keyed: has_keyed.then(|| keyed.snapshot(barrier.id, mode)),
                    operator_state: has_states.then(|| states.snapshot()),
                    ..OperatorSnapshot::default()
                };
                operators.insert(node.id.clone(), snapshot);
            }
        }
        let mut captured = Captured { operators };
        for (operator, batches) in taken {
            captured.in_flight(&operator, batches.into_iter().map(|batch| (0, batch)).collect())?;
        }
        Ok(captured)
    }

    /// Later snapshots may refer to what this checkpoint holds.
    pub(crate) fn notify_complete(&mut self, checkpoint: CheckpointId) {
        for node in self.nodes_mut() {
            if let Role::Operator(role) = &mut node.role {
                role.context.keyed.notify_complete(checkpoint);
            }
        }
    }

    /// The next snapshot of an operator writes anew what these checkpoints wrote.
    pub(crate) fn rewrite(&mut self, operator: &OperatorId, checkpoints: &BTreeSet<CheckpointId>) {
        for node in self.nodes_mut() {
            if let Role::Operator(role) = &mut node.role
                && node.id == *operator
            {
                role.context.keyed.rewrite(checkpoints);
            }
        }
    }
}

impl Captured {
    /// Adds what was on its way to an operator, by its inputs.
    pub(crate) fn in_flight(
        &mut self,
        operator: &OperatorId,
        batches: Vec<(usize, ChangelogBatch)>,
    ) -> Result<(), RuntimeError> {
        #[cfg(test)]
        if crate::sabotage::is(crate::sabotage::Sabotage::ForgetOvertaken) {
            return Ok(());
        }
        let mut of_input: BTreeMap<usize, Vec<ChangelogBatch>> = BTreeMap::new();
        for (input, batch) in batches {
            of_input.entry(input).or_default().push(batch);
        }
        for (input, batches) in of_input {
            let bytes = in_flight::encode(&batches).map_err(|error| RuntimeError::Exchange {
                operator: operator.to_string(),
                kind: ErrorKind::Internal,
                message: error.to_string(),
            })?;
            let entry = self.operators.entry(operator.clone()).or_default();
            entry.in_flight.push((input as u32, bytes));
        }
        Ok(())
    }

    /// Adds how far the subtask's source has read.
    pub(crate) fn source(&mut self, operator: OperatorId, positions: SourceSnapshot) {
        self.operators.entry(operator).or_default().source = Some(positions);
    }
}

impl Snapshots {
    /// Writes a snapshot beside the subtask, then answers the coordinator.
    pub(crate) fn acknowledge(
        &self,
        captured: Captured,
        barrier: Barrier,
        times: SnapshotStatistics,
        events: mpsc::Sender<JobEvent>,
    ) -> Acknowledgement {
        let (sent, done) = oneshot::channel();
        let (this, task, checkpoint) = (self.clone(), self.task, barrier.id);
        #[cfg(test)]
        let env = self.env.clone();
        let work =
            AssertUnwindSafe(async move { this.upload(captured, barrier, times).await }).catch_unwind();
        let answer = async move {
            let event = match work.await {
                Ok(Ok(handle)) => JobEvent::Acknowledged { task, checkpoint, handle },
                Ok(Err(error)) => JobEvent::Declined { task, checkpoint, reason: error.to_string() },
                Err(panic) => {
                    let reason = crate::task::message_of(&*panic);
                    JobEvent::Declined { task, checkpoint, reason }
                }
            };
            failpoint("before-acknowledge");
            #[cfg(test)]
            if crate::sabotage::acknowledgement_is_lost(&env) {
                return;
            }
            // a job that has gone needs no answer
            let _ = events.send(event).await;
            failpoint("after-acknowledge");
            drop(sent);
        };
        self.env.spawner.spawn("snapshot", Box::pin(answer));
        Acknowledgement::new(done)
    }

    async fn upload(
        &self,
        captured: Captured,
        barrier: Barrier,
        times: SnapshotStatistics,
    ) -> Result<Box<weir_checkpoint::SubtaskHandle>, weir_checkpoint::CheckpointError> {
        let started_ms = now_ms(&self.env);
        let snapshot = SubtaskSnapshot {
            subtask: self.subtask,
            chain: self.chain.clone(),
            operators: captured.operators,
            times,
        };
        failpoint("before-upload");
        let mut handle = Box::new(self.store.upload(barrier, self.task, snapshot).await?);
        failpoint("after-upload");
        let now_ms = now_ms(&self.env);
        handle.times.async_ms = now_ms.saturating_sub(started_ms);
        handle.times.duration_ms = now_ms.saturating_sub(barrier.triggered_ms);
        Ok(handle)
    }

    /// Whether checkpoints to come want what the task leaves behind.
    pub(crate) fn wanted_at_the_end(&self) -> bool {
        self.periodic
    }

    /// Writes what a task leaves behind that has come to its end; `passed` is the newest checkpoint whose barrier it has
    /// let pass.
    pub(crate) async fn last(
        &self,
        captured: Captured,
        barrier: Barrier,
        passed: Option<CheckpointId>,
        events: &mpsc::Sender<JobEvent>,
    ) -> Result<(), RuntimeError> {
        let mut handle = self.upload(captured, barrier, SnapshotStatistics::default()).await?;
        let (state_bytes, new_bytes) = (handle.times.state_bytes, handle.times.new_bytes);
        handle.times = SnapshotStatistics { state_bytes, new_bytes, ..SnapshotStatistics::default() };
        // without a job nobody needs it
        let _ = events.send(JobEvent::Last { task: self.task, handle, passed }).await;
        Ok(())
    }
}
