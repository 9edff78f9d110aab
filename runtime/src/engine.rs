//! Takes jobs and runs them.

use crate::checkpoints::CheckpointHistory;
use crate::components::{BuiltIn, Components};
use crate::deploy::{Surroundings, deploy};
use crate::describe::{JobDescription, describe};
use crate::flag::Flag;
use crate::handle::{JobHandle, JobShared, ResultReceiver, Savepoints};
use crate::inspect::{Catalog, WithCheckpoints};
use crate::job::Job;
use crate::plan::ExecutionPlan;
use crate::request::Requests;
use crate::storage;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use weir_checkpoint::Environment;
use weir_connectors::Connectors;
use weir_types::{ConnectorCatalog, JobError, JobGraph, OperatorSpec, RuntimeEnv};

/// Batches of a SELECT's result that wait for whoever reads them.
const RESULT_BATCHES: usize = 16;
/// Wishes that wait for a job; who wishes waits when there are more.
const JOB_REQUESTS: usize = 16;

/// Runs jobs in this process.
#[derive(Clone)]
pub struct Engine {
    env: RuntimeEnv,
    connectors: Arc<dyn ConnectorCatalog>,
    components: Arc<dyn Components>,
    environment: Arc<Environment>,
    #[cfg(test)]
    observer: Option<crate::job::Observer>,
}

impl Engine {
    /// An engine with Weir's connectors and operators that knows nothing of the process's environment.
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
        Engine {
            env,
            connectors,
            components,
            environment: Arc::default(),
            #[cfg(test)]
            observer: None,
        }
    }

    /// The same engine with variables that configure object stores, for checkpoints there: `AWS_*`, `GOOGLE_*`,
    /// `AZURE_*`, as the clouds' own tools read them.
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = Arc::new(environment);
        self
    }

    /// The same engine, and somebody who sees each complete checkpoint.
    #[cfg(test)]
    pub(crate) fn with_observer(mut self, observer: crate::job::Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What the planner checks tables against.
    pub fn connectors(&self) -> Arc<dyn ConnectorCatalog> {
        Arc::new(Catalog {
            connectors: self.connectors.clone(),
            env: self.env.clone(),
            environment: self.environment.clone(),
        })
    }

    /// What makes sources, sinks and operators, tables of checkpoints included.
    fn components(&self) -> Arc<dyn Components> {
        let (components, environment) = (self.components.clone(), self.environment.clone());
        Arc::new(WithCheckpoints { components, environment })
    }

    /// Variables that configure object stores.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// Clock, randomness and tasks of this engine.
    pub fn env(&self) -> &RuntimeEnv {
        &self.env
    }

    /// What the job will keep, without running it.
    ///
    /// Errors: as [`Engine::submit`].
    pub fn describe(&self, graph: &JobGraph) -> Result<JobDescription, JobError> {
        Ok(describe(graph, &*self.components(), &self.env)?)
    }

    /// Opens the job's tables, makes its operators, and starts it.
    ///
    /// Errors: `UserInput` for tables that cannot be opened or settings that contradict each other, `Internal` for a
    /// graph that cannot be deployed. What goes wrong later, [`JobHandle::wait`] says.
    pub fn submit(&self, graph: JobGraph) -> Result<JobHandle, JobError> {
        let id = format!("{:016x}{:016x}", self.env.random.next_u64(), self.env.random.next_u64());
        let job_id: Arc<str> = id.into();
        let plan = ExecutionPlan::of(&graph)?;
        let store = Arc::new(storage::open(&graph, &plan, &job_id, &self.environment)?);
        let shared = Arc::new(JobShared::of(&graph, &plan));
        let has_results = graph.nodes.iter().any(|node| matches!(node.spec, OperatorSpec::Collect));
        let (result_rows, receiver) = has_results.then(|| mpsc::channel(RESULT_BATCHES)).unzip();
        let surroundings = Surroundings {
            env: &self.env,
            job_id: &job_id,
            store: &store,
            shared: &shared,
            environment: &self.environment,
            results: result_rows.as_ref(),
        };
        let components = self.components();
        let first = deploy(&graph, &*components, surroundings)?;
        let periodic = graph.settings.checkpointing.interval_ms.is_some();
        if periodic {
            store.occupy().map_err(|error| JobError::user_input(format!("start the job: {error}")))?;
        }
        let stop = Flag::default();
        let (result_sender, result) = watch::channel(None);
        let (requests, request_receiver) = mpsc::channel(JOB_REQUESTS);
        let history = Arc::new(CheckpointHistory::default());
        let savepoints = Savepoints {
            requests,
            directory: graph.settings.checkpointing.savepoint_dir.clone(),
            environment: self.environment.clone(),
        };
        let checkpoint_directory = store.directory().filter(|_| periodic).map(|directory| directory.show(""));
        let job = Job {
            env: self.env.clone(),
            graph,
            components,
            environment: self.environment.clone(),
            job_id: job_id.clone(),
            store,
            shared: shared.clone(),
            history: history.clone(),
            results: result_rows,
            requests: Requests::new(request_receiver, stop.clone()),
            #[cfg(test)]
            observer: self.observer.clone(),
        };
        let run = async move {
            let ended = job.run(first).await;
            result_sender.send_replace(Some(ended));
        };
        self.env.spawner.spawn("job", Box::pin(run));
        let results = receiver.map(|receiver| ResultReceiver { receiver, shared: shared.clone() });
        let env = self.env.clone();
        Ok(JobHandle {
            job_id,
            env,
            shared,
            history,
            savepoints,
            checkpoint_directory,
            takes_checkpoints: periodic,
            stop,
            result,
            results,
        })
    }
}
