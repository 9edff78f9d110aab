//! From an execution plan to tasks: operators, gates and edges of each subtask.

use crate::RuntimeError;
use crate::chain::{ChainNode, Consumer, OperatorRole, Role};
use crate::commit::Committers;
use crate::components::Components;
use crate::edge::Edge;
use crate::exchange::{ChannelSender, Gate, GateReader};
use crate::handle::JobShared;
use crate::in_flight::Dealer;
use crate::mailbox::Mailbox;
use crate::partition::{ExchangeWriter, HashRouting, Routing};
use crate::plan::{ChainPlan, ExchangeKind, ExecutionPlan, kind_of};
use crate::snapshot::Snapshots;
use crate::state::Backends;
use crate::task::{EdgePlan, HeadPlan, TaskPlan};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_checkpoint::{CheckpointStore, Environment, TaskId};
use weir_connectors::{ConnectorError, ReaderContext, Sink, Source, WriterContext};
use weir_operators::{OperatorContext, create_lookup_join};
use weir_types::{
    ChangelogBatch, Classify, Input, JobGraph, KeyGroupRange, LookupSource, OperatorSpec, RuntimeEnv,
    SubtaskIndex,
};

/// A job that is ready to run.
pub(crate) struct Deployment {
    pub tasks: Vec<TaskPlan>,
    pub committers: Committers,
}

/// What all deployments of a job have in common.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub env: &'a RuntimeEnv,
    pub job_id: &'a Arc<str>,
    pub store: &'a Arc<CheckpointStore>,
    pub shared: &'a Arc<JobShared>,
    pub environment: &'a Environment,
    /// where the rows of a `Collect` go
    pub results: Option<&'a mpsc::Sender<ChangelogBatch>>,
}

struct Builder<'a> {
    graph: &'a JobGraph,
    plan: &'a ExecutionPlan,
    components: &'a dyn Components,
    env: &'a RuntimeEnv,
    job_id: &'a Arc<str>,
    store: &'a Arc<CheckpointStore>,
    shared: &'a Arc<JobShared>,
    results: Option<&'a mpsc::Sender<ChangelogBatch>>,
    backends: Backends,
    sources: BTreeMap<usize, Arc<dyn Source>>,
    sinks: BTreeMap<usize, Arc<dyn Sink>>,
    /// tables that lookup joins ask
    lookups: BTreeMap<usize, Arc<dyn LookupSource>>,
    /// per chain, per subtask
    mailboxes: Vec<Vec<Arc<Mailbox>>>,
    gates: Vec<Vec<Arc<Gate>>>,
    /// per chain: the input of each channel, and whether barriers may overtake in it
    inputs: Vec<Vec<(usize, bool)>>,
    /// per exchange, per subtask of the producer
    writers: Vec<Vec<Option<ExchangeWriter>>>,
}

/// Opens sources and sinks, makes operators, and connects them.
pub(crate) fn deploy(
    graph: &JobGraph,
    components: &dyn Components,
    surroundings: Surroundings<'_>,
) -> Result<Deployment, RuntimeError> {
    let plan = ExecutionPlan::of(graph)?;
    let Surroundings { env, job_id, store, shared, environment, results } = surroundings;
    let mut builder = Builder {
        graph,
        plan: &plan,
        components,
        env,
        job_id,
        store,
        shared,
        results,
        backends: Backends::of(&graph.settings, environment, &env.random)?,
        sources: BTreeMap::new(),
        sinks: BTreeMap::new(),
        lookups: BTreeMap::new(),
        mailboxes: Vec::new(),
        gates: Vec::new(),
        inputs: vec![Vec::new(); plan.chains.len()],
        writers: Vec::new(),
    };
    let committers = builder.open_tables()?;
    builder.connect()?;
    let tasks = builder.tasks()?;
    Ok(Deployment { tasks, committers })
}

impl Builder<'_> {
    fn open_tables(&mut self) -> Result<Committers, RuntimeError> {
        let mut committers = BTreeMap::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let fail =
                |source: ConnectorError| RuntimeError::Connector { operator: node.label.clone(), source };
            match &node.spec {
                OperatorSpec::Source(spec) => {
                    self.sources.insert(index, self.components.source(spec).map_err(fail)?);
                }
                OperatorSpec::Sink(spec) => {
                    let sink = self.components.sink(spec).map_err(fail)?;
                    if let Some(committer) = sink.committer() {
                        committers.insert(node.id.clone(), Arc::from(committer));
                    }
                    self.sinks.insert(index, sink);
                }
                OperatorSpec::LookupJoin(spec) => {
                    let table =
                        self.components.lookup(&spec.source, &spec.right_keys, self.env).map_err(fail)?;
                    self.lookups.insert(index, table);
                }
                _ => {}
            }
        }
        Ok(committers)
    }

    /// Makes mailboxes, gates and channels.
    fn connect(&mut self) -> Result<(), RuntimeError> {
        let settings = &self.graph.settings;
        for chain in &self.plan.chains {
            let subtasks = 0..chain.parallelism;
            let mailboxes: Vec<Arc<Mailbox>> = subtasks.map(|_| Arc::default()).collect();
            let gate = |mailbox: &Arc<Mailbox>| Arc::new(Gate::new(settings.exchange_bytes, mailbox.clone()));
            self.gates.push(mailboxes.iter().map(gate).collect());
            self.mailboxes.push(mailboxes);
        }
        for exchange in &self.plan.exchanges {
            let (producers, consumers) =
                (&self.mailboxes[exchange.producer_chain], &self.gates[exchange.consumer_chain]);
            let mut writers = Vec::with_capacity(producers.len());
            for (index, mailbox) in producers.iter().enumerate() {
                let connect = |gate: &Arc<Gate>| Gate::connect(gate, mailbox.clone());
                let senders: Vec<ChannelSender> = match exchange.kind {
                    ExchangeKind::Forward => vec![connect(&consumers[index])],
                    ExchangeKind::One => vec![connect(&consumers[0])],
                    _ => consumers.iter().map(connect).collect(),
                };
                let routing = self.routing(exchange.producer, index, &exchange.kind, consumers.len())?;
                writers.push(Some(ExchangeWriter::new(senders, routing, settings.batch_rows)));
            }
            let channels = if exchange.kind == ExchangeKind::Forward { 1 } else { producers.len() };
            let channel = (exchange.input, overtakable(&exchange.kind));
            self.inputs[exchange.consumer_chain].extend(std::iter::repeat_n(channel, channels));
            self.writers.push(writers);
        }
        Ok(())
    }

    fn routing(
        &self,
        producer: usize,
        subtask: usize,
        kind: &ExchangeKind,
        consumers: usize,
    ) -> Result<Routing, RuntimeError> {
        let node = &self.graph.nodes[producer];
        Ok(match kind {
            ExchangeKind::Forward | ExchangeKind::One => Routing::One,
            ExchangeKind::RoundRobin => Routing::RoundRobin { next: subtask % consumers },
            ExchangeKind::Broadcast => Routing::Broadcast,
            ExchangeKind::Hash(columns) => {
                let max = self.graph.settings.max_parallelism;
                let routing = HashRouting::new(columns, &node.schema, max, consumers as u32);
                Routing::Hash(routing.map_err(|error| RuntimeError::Exchange {
                    operator: node.label.clone(),
                    kind: error.kind(),
                    message: error.to_string(),
                })?)
            }
        })
    }

    fn tasks(&mut self) -> Result<Vec<TaskPlan>, RuntimeError> {
        let mut tasks = Vec::new();
        for (index, chain) in self.plan.chains.iter().enumerate() {
            for subtask in 0..chain.parallelism {
                let task = TaskId(tasks.len());
                tasks.push(self.task(task, index, chain, SubtaskIndex(subtask))?);
            }
        }
        Ok(tasks)
    }

    fn task(
        &mut self,
        task: TaskId,
        index: usize,
        chain: &ChainPlan,
        subtask: SubtaskIndex,
    ) -> Result<TaskPlan, RuntimeError> {
        let place = subtask.0 as usize;
        let mut edges = Vec::new();
        let mut nodes: Vec<ChainNode> = Vec::with_capacity(chain.nodes.len());
        for (position, node) in chain.nodes.iter().enumerate() {
            if position > 0 {
                let producer = self.graph.nodes[*node].inputs[0].node.0;
                if let Some(parent) = chain.nodes.iter().position(|node| *node == producer) {
                    nodes[parent].consumers.push(Consumer::Node(position));
                }
            }
            let mut consumers = Vec::new();
            for edge in self.edges(*node, place, chain.parallelism)? {
                consumers.push(Consumer::Edge(edges.len()));
                edges.push(edge);
            }
            let role = self.role(*node, subtask, chain.parallelism)?;
            let (id, label, metrics) = &self.shared.operators[*node];
            nodes.push(ChainNode::new(id.clone(), label.clone(), metrics[place].clone(), role, consumers));
        }
        let head = self.head(index, chain, subtask);
        let batch_timeout = Duration::from_millis(self.graph.settings.batch_timeout_ms);
        let mailbox = self.mailboxes[index][place].clone();
        let env = self.env.clone();
        let snapshots = Snapshots {
            task,
            subtask,
            chain: chain.nodes.iter().map(|node| self.graph.nodes[*node].id.clone()).collect(),
            store: self.store.clone(),
            env: env.clone(),
            periodic: self.graph.settings.checkpointing.interval_ms.is_some(),
        };
        let restore = None;
        let dealers = chain.nodes.iter().map(|node| self.dealers(*node, chain.parallelism)).collect();
        let name = chain.name(self.graph, subtask);
        Ok(TaskPlan {
            task,
            name,
            head,
            nodes,
            edges,
            mailbox,
            env,
            batch_timeout,
            snapshots,
            restore,
            dealers,
        })
    }

    /// How rows are dealt out among the subtasks of a node, by its inputs.
    fn dealers(&self, node: usize, parallelism: u32) -> Vec<Dealer> {
        let inputs = self.graph.nodes[node].inputs.iter();
        let dealer = |input: &Input| {
            let producer = &self.graph.nodes[input.node.0];
            let producers = self.shared.operators[input.node.0].2.len() as u32;
            Dealer {
                kind: kind_of(&input.exchange, producer, producers, parallelism),
                schema: producer.schema.clone(),
                max_parallelism: self.graph.settings.max_parallelism,
                parallelism,
            }
        };
        inputs.map(dealer).collect()
    }

    /// The ways out of the chain at a node.
    fn edges(
        &mut self,
        node: usize,
        subtask: usize,
        parallelism: u32,
    ) -> Result<Vec<EdgePlan>, RuntimeError> {
        let (operator, label, metrics) = &self.shared.operators[node];
        let mut edges = Vec::new();
        for (exchange, writers) in self.plan.exchanges.iter().zip(&mut self.writers) {
            if exchange.producer == node
                && let Some(writer) = writers[subtask].take()
            {
                edges.push(EdgePlan::Ready(Edge::exchange(label.clone(), writer)));
            }
        }
        let metrics = metrics[subtask].clone();
        match &self.graph.nodes[node].spec {
            OperatorSpec::Sink(_) => {
                let context = WriterContext {
                    job_id: self.job_id.clone(),
                    subtask: SubtaskIndex(subtask as u32),
                    parallelism,
                    env: self.env.clone(),
                    metrics: metrics.clone(),
                };
                let (operator, label) = (operator.clone(), label.clone());
                let sink = self.sinks[&node].clone();
                edges.push(EdgePlan::Sink { operator, label, sink, context, metrics });
            }
            OperatorSpec::Collect => {
                let Some(sender) = self.results.cloned() else {
                    return Err(RuntimeError::Graph(format!("{label} has no receiver")));
                };
                edges.push(EdgePlan::Ready(Edge::collect(label.clone(), sender, metrics)));
            }
            _ => {}
        }
        Ok(edges)
    }

    fn role(&self, node: usize, subtask: SubtaskIndex, parallelism: u32) -> Result<Role, RuntimeError> {
        let place = subtask.0 as usize;
        let (_, label, metrics) = &self.shared.operators[node];
        let lookup = self.lookups.get(&node).cloned();
        let node = &self.graph.nodes[node];
        if matches!(node.spec, OperatorSpec::Source(_) | OperatorSpec::Sink(_) | OperatorSpec::Collect) {
            return Ok(Role::PassThrough);
        }
        let inputs: Vec<SchemaRef> =
            node.inputs.iter().map(|input| self.graph.nodes[input.node.0].schema.clone()).collect();
        let settings = &self.graph.settings;
        let operator = match lookup {
            Some(table) => create_lookup_join(node, table),
            None => self.components.operator(node, &inputs, settings),
        };
        let operator =
            operator.map_err(|source| RuntimeError::Operator { operator: label.to_string(), source })?;
        let range = KeyGroupRange::of_subtask(settings.max_parallelism, parallelism, subtask.0);
        let (keyed, operator_state) = self.backends.open(range, settings.max_parallelism);
        let context = OperatorContext {
            subtask,
            parallelism,
            batch_rows: settings.batch_rows,
            clock: self.env.clock.clone(),
            metrics: metrics[place].clone(),
            keyed,
            operator_state,
        };
        Ok(Role::Operator(Box::new(OperatorRole { operator, context })))
    }

    fn head(&self, index: usize, chain: &ChainPlan, subtask: SubtaskIndex) -> HeadPlan {
        let root = chain.nodes[0];
        let place = subtask.0 as usize;
        let (operator, label, metrics) = &self.shared.operators[root];
        match self.sources.get(&root) {
            Some(source) => HeadPlan::Source {
                operator: operator.clone(),
                label: label.clone(),
                source: source.clone(),
                context: ReaderContext {
                    subtask,
                    parallelism: chain.parallelism,
                    batch_rows: self.graph.settings.batch_rows,
                    batch_timeout_ms: self.graph.settings.batch_timeout_ms,
                    env: self.env.clone(),
                    metrics: metrics[place].clone(),
                },
                splits: Vec::new(),
                finished: Vec::new(),
            },
            None if self.graph.nodes[root].inputs.is_empty() => HeadPlan::Nothing,
            None => {
                let reader = GateReader::new(self.gates[index][place].clone());
                let (inputs, overtakable) = self.inputs[index].iter().copied().unzip();
                HeadPlan::Gate { reader, inputs, overtakable }
            }
        }
    }
}

/// Whether rows in a channel can be dealt out anew at another parallelism, so that a barrier may overtake them. Those
/// of a pointwise channel belong to where they are, and those of a broadcast are everywhere.
fn overtakable(kind: &ExchangeKind) -> bool {
    match kind {
        ExchangeKind::Hash(_) | ExchangeKind::RoundRobin | ExchangeKind::One => true,
        ExchangeKind::Forward | ExchangeKind::Broadcast => false,
    }
}
