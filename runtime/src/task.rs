//! One task: opens a subtask, runs it, and tells the job how it ended.

use crate::RuntimeError;
use crate::chain::{Chain, ChainNode, Role};
use crate::edge::Edge;
use crate::exchange::GateReader;
use crate::flag::Flag;
use crate::head::{GateHead, Head, SourceHead};
use crate::in_flight::Dealer;
use crate::job_event::{JobEvent, TaskOutcome};
use crate::mailbox::Mailbox;
use crate::restore::{Restore, Unclaimed};
use crate::snapshot::Snapshots;
use crate::subtask::{Progress, Subtask};
use futures::FutureExt;
use futures::future::{Either, select};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use weir_checkpoint::TaskId;
use weir_connectors::{ReaderContext, Sink, Source, SplitState, WriterContext};
use weir_types::{ChangelogBatch, OperatorId, OperatorMetrics, RuntimeEnv, SplitId};

/// A subtask before it runs.
pub(crate) struct TaskPlan {
    pub task: TaskId,
    /// what errors of checkpoints call it
    pub name: String,
    pub head: HeadPlan,
    pub nodes: Vec<ChainNode>,
    pub edges: Vec<EdgePlan>,
    pub mailbox: Arc<Mailbox>,
    pub env: RuntimeEnv,
    pub batch_timeout: Duration,
    pub snapshots: Snapshots,
    /// what its operators begin with
    pub restore: Option<Restore>,
    /// by node of the chain and input: which of the rows that were on their way belong here
    pub dealers: Vec<Vec<Dealer>>,
}

pub(crate) enum HeadPlan {
    Source {
        operator: OperatorId,
        label: Arc<str>,
        source: Arc<dyn Source>,
        context: ReaderContext,
        splits: Vec<SplitState>,
        finished: Vec<SplitId>,
    },
    Gate {
        reader: GateReader,
        inputs: Vec<usize>,
        overtakable: Vec<bool>,
    },
    Nothing,
}

pub(crate) enum EdgePlan {
    Ready(Edge),
    Sink {
        operator: OperatorId,
        label: Arc<str>,
        sink: Arc<dyn Sink>,
        context: WriterContext,
        metrics: Arc<OperatorMetrics>,
    },
}

impl TaskPlan {
    /// Runs until the input ends, `stop` says so, or something fails; tells the job which.
    pub(crate) async fn supervise(self, events: mpsc::Sender<JobEvent>, stop: Flag, start: Flag) {
        let task = self.task;
        let current = Arc::new(AtomicUsize::new(0));
        let labels = self.labels();
        let run = AssertUnwindSafe(self.run(events.clone(), current.clone(), start)).catch_unwind();
        let outcome = match select(stop.raised(), pin!(run)).await {
            Either::Left(_) => TaskOutcome::Cancelled,
            Either::Right((Ok(Ok(())), _)) => TaskOutcome::Finished,
            Either::Right((Ok(Err(error)), _)) => TaskOutcome::Failed(error),
            Either::Right((Err(panic), _)) => {
                let operator = labels.get(current.load(Ordering::Relaxed));
                let operator = operator.map_or("task", |label| label).to_string();
                let message = message_of(&*panic);
                // what it says when it is dropped does not matter, but it may panic again
                std::mem::forget(panic);
                TaskOutcome::Failed(RuntimeError::Panic { operator, message })
            }
        };
        // without a job nobody needs to know
        let _ = events.send(JobEvent::Ended { task, outcome }).await;
    }

    /// Of the chain's nodes, then of its edges.
    fn labels(&self) -> Vec<Arc<str>> {
        let nodes = self.nodes.iter().map(|node| node.label.clone());
        let edges = self.edges.iter().map(|edge| match edge {
            EdgePlan::Ready(edge) => edge.label.clone(),
            EdgePlan::Sink { label, .. } => label.clone(),
        });
        nodes.chain(edges).collect()
    }

    async fn run(
        mut self,
        events: mpsc::Sender<JobEvent>,
        current: Arc<AtomicUsize>,
        start: Flag,
    ) -> Result<(), RuntimeError> {
        let in_flight = self.restore().await?;
        let TaskPlan { head, nodes, edges, mailbox, env, batch_timeout, snapshots, restore, .. } = self;
        let mut chain = Chain::new(nodes, edges.len(), current);
        chain.open()?;
        for (node, input, batch) in in_flight.into_iter().rev() {
            chain.push_batch_to(node, input, batch);
        }
        let unclaimed = restore.map_or_else(Vec::new, |_| chain.unclaimed());
        // without a job the task is about to be cancelled
        let _ = events.send(JobEvent::Opened { unclaimed }).await;
        start.raised().await;
        let head = head.open().await?;
        let mut open = Vec::with_capacity(edges.len());
        for (place, edge) in edges.into_iter().enumerate() {
            chain.at_edge(place);
            open.push(edge.open().await?);
        }
        let progress = Progress::default();
        let edges = open;
        Subtask { head, chain, edges, mailbox, events, env, batch_timeout, snapshots, progress }.run().await
    }

    /// Gives the operators the state that they begin with; the rows that were on their way to them, by node and
    /// input.
    async fn restore(&mut self) -> Result<Vec<(usize, usize, ChangelogBatch)>, RuntimeError> {
        let Some(restore) = &self.restore else { return Ok(Vec::new()) };
        let mut in_flight = Vec::new();
        for (place, (node, dealers)) in self.nodes.iter_mut().zip(&self.dealers).enumerate() {
            if let Role::Operator(role) = &mut node.role {
                restore.fill(&node.id, &mut role.context).await?;
            }
            let rows = restore.in_flight(&node.id, dealers, self.snapshots.subtask).await?;
            in_flight.extend(rows.into_iter().map(|(input, batch)| (place, input, batch)));
        }
        Ok(in_flight)
    }
}

impl Chain {
    /// Restored states that no operator has registered. Nobody will: their files are let go of.
    fn unclaimed(&mut self) -> Vec<Unclaimed> {
        let mut unclaimed = Vec::new();
        for node in self.nodes_mut() {
            let Role::Operator(role) = &mut node.role else { continue };
            for state in role.context.keyed.unclaimed_states() {
                unclaimed.push(Unclaimed { operator: node.id.clone(), what: format!("state {state}") });
            }
            role.context.keyed.forget_unclaimed();
        }
        unclaimed
    }
}

impl HeadPlan {
    async fn open(self) -> Result<Head, RuntimeError> {
        Ok(match self {
            HeadPlan::Source { operator, label, source, context, splits, finished } => {
                let opened = SourceHead::open(operator, label, &*source, context, splits, finished);
                Head::Source(opened.await?)
            }
            HeadPlan::Gate { reader, inputs, overtakable } => {
                Head::Gate(Box::new(GateHead::new(reader, inputs, overtakable)))
            }
            HeadPlan::Nothing => Head::Nothing,
        })
    }
}

impl EdgePlan {
    async fn open(self) -> Result<Edge, RuntimeError> {
        match self {
            EdgePlan::Ready(edge) => Ok(edge),
            EdgePlan::Sink { operator, label, sink, context, metrics } => match sink.writer(context).await {
                Ok(writer) => Ok(Edge::sink(label, operator, writer, metrics)),
                Err(source) => Err(RuntimeError::Connector { operator: label.to_string(), source }),
            },
        }
    }
}

pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_string())
}
