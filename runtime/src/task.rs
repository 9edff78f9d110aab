//! One task: opens a subtask, runs it, and tells the job how it ended.

use crate::RuntimeError;
use crate::chain::{Chain, ChainNode};
use crate::edge::Edge;
use crate::exchange::GateReader;
use crate::head::{GateHead, Head, SourceHead};
use crate::job_event::{JobEvent, TaskOutcome};
use crate::mailbox::Mailbox;
use crate::subtask::{Progress, Subtask};
use futures::FutureExt;
use futures::future::{Either, select};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use weir_checkpoint::TaskId;
use weir_connectors::{ReaderContext, Sink, Source, SplitState, WriterContext};
use weir_types::{OperatorId, OperatorMetrics, RuntimeEnv, SubtaskIndex};

/// A subtask before it runs.
pub(crate) struct TaskPlan {
    pub task: TaskId,
    pub index: SubtaskIndex,
    pub head: HeadPlan,
    pub nodes: Vec<ChainNode>,
    pub edges: Vec<EdgePlan>,
    pub mailbox: Arc<Mailbox>,
    pub env: RuntimeEnv,
    pub batch_timeout: Duration,
}

pub(crate) enum HeadPlan {
    Source {
        operator: OperatorId,
        label: Arc<str>,
        source: Arc<dyn Source>,
        context: ReaderContext,
        splits: Vec<SplitState>,
    },
    Gate {
        reader: GateReader,
        inputs: Vec<usize>,
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
    pub(crate) async fn supervise(self, events: mpsc::Sender<JobEvent>, mut stop: watch::Receiver<bool>) {
        let task = self.task;
        let current = Arc::new(AtomicUsize::new(0));
        let labels = self.labels();
        let run = AssertUnwindSafe(self.run(events.clone(), current.clone())).catch_unwind();
        let outcome = match select(pin!(stop.wait_for(|stop| *stop)), pin!(run)).await {
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
        self,
        events: mpsc::Sender<JobEvent>,
        current: Arc<AtomicUsize>,
    ) -> Result<(), RuntimeError> {
        let TaskPlan { task, index, head, nodes, edges, mailbox, env, batch_timeout } = self;
        let chain = Chain::new(nodes, edges.len(), current);
        let head = head.open().await?;
        let mut open = Vec::with_capacity(edges.len());
        for (place, edge) in edges.into_iter().enumerate() {
            chain.at_edge(place);
            open.push(edge.open().await?);
        }
        let progress = Progress::default();
        let edges = open;
        Subtask { task, index, head, chain, edges, mailbox, events, env, batch_timeout, progress }.run().await
    }
}

impl HeadPlan {
    async fn open(self) -> Result<Head, RuntimeError> {
        Ok(match self {
            HeadPlan::Source { operator, label, source, context, splits } => {
                Head::Source(SourceHead::open(operator, label, &*source, context, splits).await?)
            }
            HeadPlan::Gate { reader, inputs } => Head::Gate(GateHead::new(reader, inputs)),
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
