//! Takes jobs and runs them.

use crate::components::{BuiltIn, Components};
use crate::deploy::{Deployment, deploy};
use crate::describe::{JobDescription, describe};
use crate::handle::{JobHandle, ResultReceiver};
use crate::job::{Job, JobState};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use weir_checkpoint::{
    CheckpointCoordinator, CheckpointStorage, CoordinatorConfig, InMemoryCheckpointStorage,
};
use weir_connectors::Connectors;
use weir_types::{CheckpointId, ConnectorCatalog, JobError, JobGraph, RuntimeEnv};

/// Events that wait for a job; tasks wait when there are more.
const JOB_EVENTS: usize = 256;

/// Runs jobs in this process.
#[derive(Clone)]
pub struct Engine {
    env: RuntimeEnv,
    connectors: Arc<dyn ConnectorCatalog>,
    components: Arc<dyn Components>,
    storage: Arc<dyn CheckpointStorage>,
}

impl Engine {
    /// An engine with Weir's connectors and operators, that keeps checkpoints in memory.
    pub fn new(env: RuntimeEnv) -> Self {
        Engine::with_connectors(env, Connectors::new())
    }

    /// An engine with Weir's operators and these connectors: [`Connectors::with_environment`] for object stores.
    pub fn with_connectors(env: RuntimeEnv, connectors: Connectors) -> Self {
        let catalog = Arc::new(connectors.clone());
        Engine::with_components(env, catalog, Arc::new(BuiltIn { connectors }))
    }

    /// An engine with other sources, sinks and operators: for tests.
    pub fn with_components(
        env: RuntimeEnv,
        connectors: Arc<dyn ConnectorCatalog>,
        components: Arc<dyn Components>,
    ) -> Self {
        Engine { env, connectors, components, storage: Arc::new(InMemoryCheckpointStorage::default()) }
    }

    /// The same engine with checkpoints elsewhere.
    pub fn with_storage(mut self, storage: Arc<dyn CheckpointStorage>) -> Self {
        self.storage = storage;
        self
    }

    /// What the planner checks tables against.
    pub fn connectors(&self) -> Arc<dyn ConnectorCatalog> {
        self.connectors.clone()
    }

    /// Clock, randomness and tasks of this engine.
    pub fn env(&self) -> &RuntimeEnv {
        &self.env
    }

    /// What the job will keep, without running it.
    ///
    /// Errors: as [`Engine::submit`].
    pub fn describe(&self, graph: &JobGraph) -> Result<JobDescription, JobError> {
        Ok(describe(graph, &*self.components, &self.env)?)
    }

    /// Opens the job's tables, makes its operators, and starts it.
    ///
    /// Errors: `UserInput` for tables that cannot be opened or settings that contradict each other, `Internal` for a
    /// graph that cannot be deployed. What goes wrong later, [`JobHandle::wait`] says.
    pub fn submit(&self, graph: JobGraph) -> Result<JobHandle, JobError> {
        let id = format!("{:016x}{:016x}", self.env.random.next_u64(), self.env.random.next_u64());
        let job_id: Arc<str> = id.into();
        let deployment = deploy(&graph, &*self.components, &self.env, &job_id)?;
        let Deployment { tasks, committers, shared, results } = deployment;
        let config =
            CoordinatorConfig { interval_ms: graph.settings.checkpoint_interval_ms, ..Default::default() };
        let now_ms = self.env.clock.monotonic().as_millis() as u64;
        let ids = tasks.iter().map(|task| task.task);
        let coordinator = CheckpointCoordinator::new(config, ids, CheckpointId(1), now_ms);
        let (sender, receiver) = mpsc::channel(JOB_EVENTS);
        let stop = Arc::new(watch::channel(false).0);
        let (result_sender, result) = watch::channel(None);
        let mailboxes: Vec<_> = tasks.iter().map(|task| task.mailbox.clone()).collect();
        let senders = mailboxes.clone();
        let job = Job {
            env: self.env.clone(),
            coordinator,
            storage: self.storage.clone(),
            mailboxes,
            committers,
            shared: shared.clone(),
            sender,
            receiver,
            stop: stop.clone(),
            state: JobState::default(),
        };
        let run = async move {
            let ended = job.run(tasks).await;
            result_sender.send_replace(Some(ended));
        };
        self.env.spawner.spawn("job", Box::pin(run));
        let results = results.map(|receiver| ResultReceiver { receiver, senders });
        Ok(JobHandle { job_id, shared, stop, result, results })
    }
}
