//! The operators of one subtask that hand batches to each other by a call.
//!
//! A chain is a tree: its root reads the subtask's input, each other node the output of one node. What is to be done
//! next lies on a stack, so that nothing recurses, the order of elements holds on every path, and work can be left
//! for a moment when an operator says [`Progress::More`].

use crate::RuntimeError;
use crate::sweep::Sweep;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_operators::{Operator, OperatorContext, OperatorError, Output, OutputElement, Outside, Progress};
use weir_types::{ChangelogBatch, OperatorId, OperatorMetrics, StreamElement, Watermark};

/// Who reads the output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consumer {
    /// a later node of the chain
    Node(usize),
    /// an edge of the chain: an exchange, a sink, a collector
    Edge(usize),
}

pub(crate) struct ChainNode {
    pub id: OperatorId,
    pub label: Arc<str>,
    pub metrics: Arc<OperatorMetrics>,
    pub role: Role,
    pub consumers: Vec<Consumer>,
    /// the last watermark that it sent
    watermark: Watermark,
    idle: bool,
    /// it wants no more input
    satisfied: bool,
    /// it has sent `EndOfInput`
    ended: bool,
}

pub(crate) enum Role {
    Operator(Box<OperatorRole>),
    /// Hands on what it gets: a source's root.
    PassThrough,
}

pub(crate) struct OperatorRole {
    pub operator: Box<dyn Operator>,
    pub context: OperatorContext,
}

/// What goes through a chain beside batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Watermark(Watermark),
    Idle(bool),
    EndOfInput,
}

enum Work {
    Batch {
        node: usize,
        input: usize,
        batch: ChangelogBatch,
    },
    Signal {
        node: usize,
        signal: Signal,
    },
    ProcessingTime {
        node: usize,
        now_ms: i64,
    },
    /// The node owes output; then it forwards the signal that it was given.
    Resume {
        node: usize,
        then: Option<Signal>,
    },
    Forward {
        node: usize,
        signal: Signal,
    },
}

/// The operators of one subtask and the work that they owe.
pub(crate) struct Chain {
    nodes: Vec<ChainNode>,
    stack: Vec<Work>,
    batches_on_stack: usize,
    /// what edges are to send, in order; the driver empties it before the next step
    pub outbox: VecDeque<(usize, StreamElement)>,
    /// edges that have sent `EndOfInput` or that nobody reads
    edges_done: Vec<bool>,
    output: Output,
    /// the node that is at work, for the message of a panic
    current: Arc<AtomicUsize>,
    /// states that expire
    pub sweeps: Vec<Sweep>,
    /// nodes that may wait for something outside, in order
    askers: Vec<usize>,
}

impl ChainNode {
    pub(crate) fn new(
        id: OperatorId,
        label: Arc<str>,
        metrics: Arc<OperatorMetrics>,
        role: Role,
        consumers: Vec<Consumer>,
    ) -> Self {
        ChainNode {
            id,
            label,
            metrics,
            role,
            consumers,
            watermark: Watermark::NONE,
            idle: false,
            satisfied: false,
            ended: false,
        }
    }

    pub(crate) fn fail(&self, source: OperatorError) -> RuntimeError {
        RuntimeError::Operator { operator: self.label.to_string(), source }
    }
}

impl Chain {
    /// `nodes` in topological order, the root first.
    pub(crate) fn new(nodes: Vec<ChainNode>, edges: usize, current: Arc<AtomicUsize>) -> Self {
        Chain {
            nodes,
            stack: Vec::new(),
            batches_on_stack: 0,
            outbox: VecDeque::new(),
            edges_done: vec![false; edges],
            output: Output::default(),
            current,
            sweeps: Vec::new(),
            askers: Vec::new(),
        }
    }

    /// Who reads the subtask's input.
    pub(crate) fn root(&self) -> &OperatorId {
        &self.nodes[0].id
    }

    pub(crate) fn nodes_mut(&mut self) -> &mut [ChainNode] {
        &mut self.nodes
    }

    pub(crate) fn open(&mut self) -> Result<(), RuntimeError> {
        for index in 0..self.nodes.len() {
            self.current.store(index, Ordering::Relaxed);
            let node = &mut self.nodes[index];
            if let Role::Operator(role) = &mut node.role {
                role.context.before_open();
                let opened = role.operator.open(&mut role.context);
                let opened = role.context.after_call().and(opened);
                let satisfied = role.operator.is_satisfied();
                opened.map_err(|error| node.fail(error))?;
                if satisfied {
                    self.end(index);
                }
            }
        }
        self.find_expiry();
        let asks =
            |node: &ChainNode| matches!(&node.role, Role::Operator(role) if role.operator.asks_outside());
        self.askers = (0..self.nodes.len()).filter(|index| asks(&self.nodes[*index])).collect();
        Ok(())
    }

    /// Gives the root a batch of `input`.
    pub(crate) fn push_batch(&mut self, input: usize, batch: ChangelogBatch) {
        if !batch.is_empty() {
            self.batches_on_stack += 1;
            self.stack.push(Work::Batch { node: 0, input, batch });
        }
    }

    /// Gives `node` a batch that was on its way to it. What is pushed last is done first.
    pub(crate) fn push_batch_to(&mut self, node: usize, input: usize, batch: ChangelogBatch) {
        self.batches_on_stack += 1;
        self.stack.push(Work::Batch { node, input, batch });
    }

    /// Gives the root a signal. What is pushed last is done first.
    pub(crate) fn push_signal(&mut self, signal: Signal) {
        self.stack.push(Work::Signal { node: 0, signal });
    }

    /// Lets the operators whose timers are due work.
    pub(crate) fn push_processing_time(&mut self, now_ms: i64) {
        for (node, timer) in self.nodes.iter().map(ChainNode::timer).enumerate() {
            if timer.is_some_and(|timer| timer <= now_ms) {
                self.stack.push(Work::ProcessingTime { node, now_ms });
            }
        }
    }

    /// When the clock is wanted next, in milliseconds since the epoch.
    pub(crate) fn next_processing_timer(&self) -> Option<i64> {
        self.nodes.iter().filter_map(ChainNode::timer).min()
    }

    /// True while operators owe output, but no batch is between two operators: a barrier may pass.
    pub(crate) fn barrier_may_pass(&self) -> bool {
        !self.stack.is_empty() && self.lies_still()
    }

    /// No batch is between two operators, or held where no snapshot finds it.
    fn lies_still(&self) -> bool {
        self.batches_on_stack == 0
            && self.outbox.is_empty()
            && !self.askers.iter().any(|node| self.outside(*node) == Outside::Blocked)
    }

    /// The edge has sent `EndOfInput`, or nobody reads it.
    pub(crate) fn edge_done(&mut self, edge: usize) {
        self.edges_done[edge] = true;
    }

    pub(crate) fn is_edge_done(&self, edge: usize) -> bool {
        self.edges_done[edge]
    }

    /// A node is at work.
    pub(crate) fn at_node(&self, node: usize) {
        self.current.store(node, Ordering::Relaxed);
    }

    /// An edge is at work.
    pub(crate) fn at_edge(&self, edge: usize) {
        self.current.store(self.nodes.len() + edge, Ordering::Relaxed);
    }

    /// True once nobody wants anything more from this chain.
    pub(crate) fn is_finished(&self) -> bool {
        if !self.stack.is_empty() || !self.outbox.is_empty() {
            return false;
        }
        let mut done: Vec<bool> = self.nodes.iter().map(|node| node.ended).collect();
        for index in (0..self.nodes.len()).rev() {
            let consumers = &self.nodes[index].consumers;
            done[index] |= !consumers.is_empty()
                && consumers.iter().all(|consumer| match *consumer {
                    Consumer::Node(node) => done[node],
                    Consumer::Edge(edge) => self.edges_done[edge],
                });
        }
        done[0]
    }

    /// Does the next piece of work; false when there is none. Output for edges lies in `outbox` afterwards.
    pub(crate) fn step(&mut self) -> Result<bool, RuntimeError> {
        let Some(work) = self.stack.pop() else { return Ok(false) };
        match work {
            Work::Batch { node, input, batch } => {
                self.batches_on_stack -= 1;
                self.on_batch(node, input, batch)?;
            }
            Work::Signal { node, signal } => self.on_signal(node, signal)?,
            Work::ProcessingTime { node, now_ms } => self.call(node, None, |role, output| {
                role.operator.on_processing_time(now_ms, &mut role.context, output)
            })?,
            Work::Resume { node, then } => {
                self.call(node, then, |role, output| role.operator.resume(&mut role.context, output))?;
            }
            Work::Forward { node, signal } => self.forward(node, signal),
        }
        Ok(true)
    }

    fn on_batch(&mut self, index: usize, input: usize, batch: ChangelogBatch) -> Result<(), RuntimeError> {
        let node = &mut self.nodes[index];
        if node.ended || node.satisfied {
            return Ok(());
        }
        let Role::Operator(role) = &mut node.role else {
            self.output.batch(batch);
            self.emit(index);
            return Ok(());
        };
        OperatorMetrics::add(&node.metrics.rows_in, batch.num_rows());
        self.current.store(index, Ordering::Relaxed);
        role.context.before_call();
        let called = role.operator.on_batch(input, batch, &mut role.context, &mut self.output);
        let called = role.context.after_call().and(called);
        let satisfied = role.operator.is_satisfied();
        called.map_err(|error| node.fail(error))?;
        if satisfied {
            self.end(index);
        }
        self.emit(index);
        Ok(())
    }

    /// Ends a node that wants no more input, whatever its input does.
    fn end(&mut self, node: usize) {
        self.nodes[node].satisfied = true;
        self.stack.push(Work::Signal { node, signal: Signal::EndOfInput });
        self.stack.push(Work::Signal { node, signal: Signal::Watermark(Watermark::MAX) });
    }

    fn on_signal(&mut self, index: usize, signal: Signal) -> Result<(), RuntimeError> {
        let node = &mut self.nodes[index];
        if node.ended {
            return Ok(());
        }
        let Role::Operator(role) = &node.role else {
            self.forward(index, signal);
            return Ok(());
        };
        let (makes_watermarks, passes_idleness) =
            (role.operator.makes_watermarks(), role.operator.passes_idleness());
        match signal {
            Signal::Watermark(watermark) => {
                let swallow = makes_watermarks && watermark != Watermark::MAX;
                let then = (!swallow).then_some(signal);
                self.call(index, then, |role, output| {
                    role.operator.on_watermark(watermark, &mut role.context, output)
                })
            }
            Signal::Idle(_) => {
                if passes_idleness {
                    self.forward(index, signal);
                }
                Ok(())
            }
            Signal::EndOfInput => self.call(index, Some(signal), |role, output| {
                role.operator.on_end_of_input(&mut role.context, output)
            }),
        }
    }

    /// Calls the operator of a node, then puts what it emitted and what it owes on the stack.
    fn call(
        &mut self,
        index: usize,
        then: Option<Signal>,
        call: impl FnOnce(&mut OperatorRole, &mut Output) -> Result<Progress, OperatorError>,
    ) -> Result<(), RuntimeError> {
        let node = &mut self.nodes[index];
        let Role::Operator(role) = &mut node.role else { return Ok(()) };
        if node.ended {
            return Ok(());
        }
        self.current.store(index, Ordering::Relaxed);
        role.context.before_call();
        let called = call(role, &mut self.output);
        let progress = role.context.after_call().and(called).map_err(|error| node.fail(error))?;
        match (progress, then) {
            (Progress::More, then) => self.stack.push(Work::Resume { node: index, then }),
            (Progress::Done, Some(signal)) => self.stack.push(Work::Forward { node: index, signal }),
            (Progress::Done, None) => {}
        }
        self.emit(index);
        Ok(())
    }

    /// Sends a signal to all consumers of a node.
    fn forward(&mut self, index: usize, signal: Signal) {
        match signal {
            Signal::Watermark(watermark) => self.output.watermark(watermark),
            Signal::Idle(idle) => self.output.elements.push(OutputElement::Idle(idle)),
            Signal::EndOfInput => {
                self.output.watermark(Watermark::MAX);
                self.nodes[index].ended = true;
                for consumer in &self.nodes[index].consumers {
                    if let Consumer::Node(node) = *consumer {
                        self.stack.push(Work::Signal { node, signal });
                    }
                }
            }
        }
        self.emit(index);
        if signal == Signal::EndOfInput {
            for consumer in &self.nodes[index].consumers {
                if let Consumer::Edge(edge) = *consumer {
                    self.outbox.push_back((edge, StreamElement::EndOfInput));
                }
            }
        }
    }

    /// Hands `self.output` to the consumers of a node: to edges in order, to nodes on the stack, the first on top.
    fn emit(&mut self, index: usize) {
        let Chain { nodes, stack, outbox, output, batches_on_stack, .. } = self;
        let node = &mut nodes[index];
        node.keep_what_is_new(&mut output.elements);
        for consumer in &node.consumers {
            if let Consumer::Edge(edge) = *consumer {
                outbox.extend(output.elements.iter().map(|element| (edge, stream_element(element.clone()))));
            }
        }
        let mut children = node.consumers.iter().rev().filter_map(|consumer| match *consumer {
            Consumer::Node(node) => Some(node),
            Consumer::Edge(_) => None,
        });
        let Some(last) = children.next() else {
            output.elements.clear();
            return;
        };
        let others: Vec<usize> = children.collect();
        for element in output.elements.drain(..).rev() {
            for child in &others {
                *batches_on_stack += usize::from(matches!(element, OutputElement::Batch(_)));
                stack.push(work(*child, element.clone()));
            }
            *batches_on_stack += usize::from(matches!(element, OutputElement::Batch(_)));
            stack.push(work(last, element));
        }
    }
}

impl ChainNode {
    fn timer(&self) -> Option<i64> {
        match &self.role {
            Role::Operator(role) if !self.ended => role.operator.next_processing_timer(&role.context),
            _ => None,
        }
    }

    /// Counts rows, and drops watermarks that do not rise and idleness that does not change.
    fn keep_what_is_new(&mut self, elements: &mut Vec<OutputElement>) {
        elements.retain(|element| match element {
            OutputElement::Batch(batch) => {
                OperatorMetrics::add(&self.metrics.rows_out, batch.num_rows());
                true
            }
            OutputElement::Watermark(watermark) => {
                let rises = *watermark > self.watermark;
                if rises {
                    self.watermark = *watermark;
                    self.metrics.watermark.store(watermark.0, Ordering::Relaxed);
                }
                rises
            }
            OutputElement::Idle(idle) => std::mem::replace(&mut self.idle, *idle) != *idle,
        });
    }
}

fn stream_element(element: OutputElement) -> StreamElement {
    match element {
        OutputElement::Batch(batch) => StreamElement::Batch(batch),
        OutputElement::Watermark(watermark) => StreamElement::Watermark(watermark),
        OutputElement::Idle(idle) => StreamElement::Idle(idle),
    }
}

fn work(node: usize, element: OutputElement) -> Work {
    match element {
        OutputElement::Batch(batch) => Work::Batch { node, input: 0, batch },
        OutputElement::Watermark(watermark) => Work::Signal { node, signal: Signal::Watermark(watermark) },
        OutputElement::Idle(idle) => Work::Signal { node, signal: Signal::Idle(idle) },
    }
}

mod outside;
#[cfg(test)]
mod tests;
