//! A job over all its attempts: restored from a checkpoint, run, started again after a failure.

use crate::attempt::{Attempt, AttemptState, Ended, Links};
use crate::checkpoints::CheckpointHistory;
use crate::components::Components;
use crate::deploy::{Deployment, Surroundings, deploy};
use crate::handle::{JobOutcome, JobShared, JobSummary};
use crate::request::Requests;
use crate::restarts::Restarts;
use crate::restore::Restore;
use crate::status::{JobStatus, Notice};
use crate::subtask::now_ms;
use crate::task::{HeadPlan, TaskPlan};
use crate::{RuntimeError, storage};
use futures::future::{Either, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_checkpoint::{
    CheckpointCoordinator, CheckpointError, CheckpointStore, CoordinatorConfig, Environment, StoredCheckpoint,
};
use weir_connectors::ConnectorError;
use weir_types::{
    ChangelogBatch, CheckpointId, ClaimMode, JobError, JobGraph, OperatorId, RestartStrategy, RuntimeEnv,
};

pub(crate) struct Job {
    pub env: RuntimeEnv,
    pub graph: JobGraph,
    pub components: Arc<dyn Components>,
    /// variables that configure object stores
    pub environment: Arc<Environment>,
    pub job_id: Arc<str>,
    pub store: Arc<CheckpointStore>,
    pub shared: Arc<JobShared>,
    pub history: Arc<CheckpointHistory>,
    pub results: Option<mpsc::Sender<ChangelogBatch>>,
    pub requests: Requests,
    #[cfg(test)]
    pub observer: Option<Observer>,
}

/// Sees each complete checkpoint.
#[cfg(test)]
pub(crate) type Observer = Arc<dyn Fn(&StoredCheckpoint) + Send + Sync>;

impl Job {
    /// Runs the job to its end. `first` is its first deployment, so that what is wrong with it is known early.
    pub(crate) async fn run(mut self, first: Deployment) -> Result<JobSummary, JobError> {
        let ended = self.attempts(first).await;
        let keep = storage::keeps(self.graph.settings.checkpointing.retention, &ended);
        let keep = keep || (self.shared.is_suspended() && matches!(ended, Ok(Ended::Cancelled)));
        // what cannot be deleted stays; the job's own outcome is what counts
        let _ = self.store.end(keep).delete().await;
        let outcome = match ended? {
            Ended::Finished => JobOutcome::Finished,
            Ended::Cancelled => JobOutcome::Cancelled,
            Ended::Stopped => JobOutcome::Stopped,
        };
        let checkpoints = self.history.overview().completed;
        Ok(JobSummary { outcome, operators: self.shared.report(), checkpoints })
    }

    async fn attempts(&mut self, first: Deployment) -> Result<Ended, JobError> {
        let mut restarts = Restarts::new(self.restart_strategy());
        let begin = match self.begin().await {
            Some(begin) => begin?,
            None => return Ok(Ended::Cancelled),
        };
        let mut deployment = Some(first);
        if let Some(restore) = &begin
            && self.adopt_key_groups(restore)
        {
            deployment = None;
        }
        let mut restore = begin.clone();
        let mut next_id = begin.as_ref().map_or(1, |restore| restore.stored().manifest.checkpoint.0 + 1);
        loop {
            let deployment = match deployment.take() {
                Some(deployment) => deployment,
                None => self.deploy()?,
            };
            let (ended, after) = self.attempt(deployment, restore.as_ref(), CheckpointId(next_id)).await;
            let Err(error) = ended else { return ended };
            // the last snapshots of tasks that had finished may have used the number
            next_id = after.0 + 1;
            let delay_ms = restarts.after(error.kind, now_ms(&self.env), &*self.env.random);
            let Some(delay_ms) = delay_ms else { return Err(error) };
            self.store.forget_segments();
            let latest = self.store.latest();
            let newest = latest.map(|latest| Restore::new(latest, &self.graph.settings.recovery));
            restore = newest.or_else(|| begin.clone());
            self.shared.restarting(&error, delay_ms, restore.as_ref());
            self.shared.set_status(JobStatus::Restarting);
            let pause = pin!(self.env.clock.sleep(Duration::from_millis(delay_ms)));
            if let Either::Left(_) = select(self.requests.stopped(), pause).await {
                return Ok(Ended::Cancelled);
            }
        }
    }

    /// A result that somebody reads cannot be taken back, so a job that has one is not started again.
    fn restart_strategy(&self) -> RestartStrategy {
        match self.results {
            Some(_) => RestartStrategy::Never,
            None => self.graph.settings.restart.clone(),
        }
    }

    /// What the settings say the job begins with; `None` if it was stopped meanwhile.
    async fn begin(&mut self) -> Option<Result<Option<Restore>, JobError>> {
        let recovery = &self.graph.settings.recovery;
        let Some(path) = &recovery.path else { return Some(Ok(None)) };
        let claims = recovery.claim == ClaimMode::Claim;
        let open = pin!(async {
            let stored = StoredCheckpoint::open(path, &self.environment).await?;
            let beside = if claims { stored.siblings().await? } else { Vec::new() };
            // of one that cannot be read nothing is known
            let beside = beside.into_iter().filter_map(|(_, opened)| opened.ok()).collect::<Vec<_>>();
            Ok::<_, CheckpointError>((stored, beside))
        });
        let opened = match select(self.requests.stopped(), open).await {
            Either::Left(_) => return None,
            Either::Right((opened, _)) => opened,
        };
        let opened = opened.map_err(|error| JobError::from(error).context("restore the job"));
        Some(opened.map(|(stored, beside)| {
            if claims {
                self.store.claim(stored.clone(), &beside);
            }
            Some(Restore::new(stored, recovery))
        }))
    }

    /// Unless the settings say how many key groups there are, the checkpoint does. True if that changes something.
    fn adopt_key_groups(&mut self, restore: &Restore) -> bool {
        let settings = &mut self.graph.settings;
        let then = restore.stored().manifest.job.max_parallelism;
        if settings.changed.contains_key("pipeline.max-parallelism") || then == settings.max_parallelism {
            return false;
        }
        settings.max_parallelism = then;
        true
    }

    fn deploy(&self) -> Result<Deployment, RuntimeError> {
        let surroundings = Surroundings {
            env: &self.env,
            job_id: &self.job_id,
            store: &self.store,
            shared: &self.shared,
            environment: &self.environment,
            results: self.results.as_ref(),
        };
        deploy(&self.graph, &*self.components, surroundings)
    }

    async fn attempt(
        &mut self,
        deployment: Deployment,
        restore: Option<&Restore>,
        first: CheckpointId,
    ) -> (Result<Ended, JobError>, CheckpointId) {
        let Deployment { mut tasks, committers } = deployment;
        self.shared.set_status(JobStatus::Initializing);
        if let Some(restore) = restore {
            match restore.judge(restore.without_operator(&self.graph)) {
                Ok(left_behind) => self.shared.notify(left_behind.map(Notice::Warning)),
                Err(error) => return (Err(error.into()), first),
            }
            tasks.iter_mut().for_each(|task| task.restore = Some(restore.clone()));
            let manifest = &restore.stored().manifest;
            self.history.restored(manifest.checkpoint, restore.path(), self.env.clock.now_ms());
        }
        let stopped = self.requests.stopped();
        match select(stopped, pin!(assign_splits(&mut tasks, restore))).await {
            Either::Left(_) => return (Ok(Ended::Cancelled), first),
            Either::Right((Err(error), _)) => return (Err(error.into()), first),
            Either::Right((Ok(()), _)) => {}
        }
        let restored = restore.map(|restore| restore.notice(&self.graph));
        let config = CoordinatorConfig::of(&self.graph.settings.checkpointing);
        let ids = tasks.iter().map(|task| task.task);
        let names = tasks.iter().map(|task| (task.task, task.name.clone())).collect();
        let attempt = Attempt {
            env: self.env.clone(),
            coordinator: CheckpointCoordinator::new(config, ids, first, now_ms(&self.env)).with_names(names),
            store: self.store.clone(),
            history: self.history.clone(),
            shared: self.shared.clone(),
            mailboxes: tasks.iter().map(|task| task.mailbox.clone()).collect(),
            committers,
            links: Links::new(),
            state: AttemptState::default(),
            #[cfg(test)]
            observer: self.observer.clone(),
        };
        *self.shared.result_senders.lock() = attempt.mailboxes.clone();
        attempt.run(tasks, restore.zip(restored), &mut self.requests).await
    }
}

/// Deals the splits of each source out to its subtasks: split i to subtask i modulo the parallelism. A source that
/// was restored has those splits that it had, from where they were.
async fn assign_splits(tasks: &mut [TaskPlan], restore: Option<&Restore>) -> Result<(), RuntimeError> {
    let mut dealt: BTreeMap<OperatorId, crate::restore::Positions> = BTreeMap::new();
    for task in tasks {
        let HeadPlan::Source { operator, label, source, context, splits, finished } = &mut task.head else {
            continue;
        };
        if !dealt.contains_key(operator) {
            let positions = match restore.and_then(|restore| restore.positions(operator)) {
                Some(positions) => positions,
                None => {
                    let all = source.splits(context.parallelism).await;
                    let all = all.map_err(|source: ConnectorError| RuntimeError::Connector {
                        operator: label.to_string(),
                        source,
                    })?;
                    crate::restore::Positions::beginning(all)
                }
            };
            dealt.insert(operator.clone(), positions);
        }
        let Some(all) = dealt.get_mut(operator) else { continue };
        let mine = all.splits.iter().skip(context.subtask.0 as usize).step_by(context.parallelism as usize);
        *splits = mine.cloned().collect();
        // who remembers them does not matter
        *finished = std::mem::take(&mut all.finished);
    }
    Ok(())
}
