//! From a job graph to chains of operators and the exchanges between them.

use crate::RuntimeError;
use std::collections::BTreeSet;
use weir_types::{Exchange, JobGraph, OperatorNode, OperatorSpec, Parallelism, SubtaskIndex};

/// What runs where; places of nodes are those of [`JobGraph::nodes`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExecutionPlan {
    pub chains: Vec<ChainPlan>,
    pub exchanges: Vec<ExchangePlan>,
}

/// Operators that run in one task. Each but the first reads one other of the chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChainPlan {
    /// in topological order, the root first
    pub nodes: Vec<usize>,
    pub parallelism: u32,
}

/// Rows go from a node to the root of another chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExchangePlan {
    pub producer: usize,
    pub producer_chain: usize,
    pub consumer_chain: usize,
    /// which of the consumer's inputs
    pub input: usize,
    pub kind: ExchangeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    /// subtask i to subtask i
    Forward,
    /// every subtask to subtask 0
    One,
    RoundRobin,
    Broadcast,
    Hash(Vec<usize>),
}

impl ChainPlan {
    /// What errors call a subtask of the chain: its operators as EXPLAIN shows them, those in the middle that keep nothing by
    /// their kinds alone.
    pub(crate) fn name(&self, graph: &JobGraph, subtask: SubtaskIndex) -> String {
        let label = |(place, node): (usize, &usize)| {
            let node = &graph.nodes[*node];
            let is_end = place == 0 || place + 1 == self.nodes.len();
            match is_end || node.state.is_some() {
                true => shortened(&node.label),
                false => node.label.split('(').next().unwrap_or(&node.label).to_string(),
            }
        };
        let name = self.nodes.iter().enumerate().map(label).collect::<Vec<_>>().join(" -> ");
        match self.parallelism {
            1 => name,
            parallelism => format!("{name} ({}/{parallelism})", subtask.0 + 1),
        }
    }
}

/// Letters of an operator's label in an error.
const LABEL: usize = 100;

fn shortened(label: &str) -> String {
    match label.char_indices().nth(LABEL) {
        Some((end, _)) => format!("{}...", &label[..end]),
        None => label.to_string(),
    }
}

impl ExecutionPlan {
    /// Of each node of `graph`, which the plan was made from.
    pub(crate) fn parallelism(&self, graph: &JobGraph) -> Vec<u32> {
        let mut parallelism = vec![1; graph.nodes.len()];
        for chain in &self.chains {
            chain.nodes.iter().for_each(|node| parallelism[*node] = chain.parallelism);
        }
        parallelism
    }

    pub(crate) fn of(graph: &JobGraph) -> Result<ExecutionPlan, RuntimeError> {
        check(graph)?;
        let parallelism: Vec<u32> =
            graph.nodes.iter().map(|node| parallelism_of(node, graph.settings.parallelism)).collect();
        let mut chains: Vec<ChainPlan> = Vec::new();
        let mut chain_of: Vec<usize> = Vec::with_capacity(graph.nodes.len());
        let mut exchanges = Vec::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let mine = parallelism[index];
            if let [input] = node.inputs.as_slice()
                && is_chained(&input.exchange, parallelism[input.node.0], mine)
            {
                let chain = chain_of[input.node.0];
                chain_of.push(chain);
                chains[chain].nodes.push(index);
                continue;
            }
            let consumer_chain = chains.len();
            chains.push(ChainPlan { nodes: vec![index], parallelism: mine });
            chain_of.push(consumer_chain);
            for (place, input) in node.inputs.iter().enumerate() {
                let producer = input.node.0;
                let kind = kind_of(&input.exchange, &graph.nodes[producer], parallelism[producer], mine);
                let producer_chain = chain_of[producer];
                exchanges.push(ExchangePlan { producer, producer_chain, consumer_chain, input: place, kind });
            }
        }
        Ok(ExecutionPlan { chains, exchanges })
    }
}

/// Between single subtasks every exchange is a call.
fn is_chained(exchange: &Exchange, producer: u32, consumer: u32) -> bool {
    producer == consumer && (consumer == 1 || *exchange == Exchange::Forward)
}

pub(crate) fn kind_of(exchange: &Exchange, producer: &OperatorNode, from: u32, to: u32) -> ExchangeKind {
    match exchange {
        _ if to == 1 => ExchangeKind::One,
        Exchange::Forward if from == to => ExchangeKind::Forward,
        Exchange::Hash(columns) if columns.is_empty() => ExchangeKind::One,
        Exchange::Hash(columns) => ExchangeKind::Hash(columns.clone()),
        Exchange::Broadcast => ExchangeKind::Broadcast,
        // changes of one row must not overtake each other, which only one target can promise
        Exchange::Forward | Exchange::Rebalance if !producer.changelog.is_insert_only() => ExchangeKind::One,
        Exchange::Forward | Exchange::Rebalance => ExchangeKind::RoundRobin,
    }
}

fn parallelism_of(node: &OperatorNode, default: u32) -> u32 {
    match (&node.spec, node.parallelism) {
        // one subtask counts all rows, or has them all
        (OperatorSpec::Limit(_) | OperatorSpec::Values(_), _) => 1,
        (_, Parallelism::Fixed(fixed)) => fixed,
        (_, Parallelism::Default) => default,
    }
}

fn check(graph: &JobGraph) -> Result<(), RuntimeError> {
    let fail = |message: String| Err(RuntimeError::Graph(message));
    let max = graph.settings.max_parallelism;
    if !(1..=1 << 15).contains(&max) {
        return settings(format!("pipeline.max-parallelism is {max}: it must be from 1 to 32768"));
    }
    if graph.nodes.is_empty() {
        return fail("the graph has no operator".to_string());
    }
    let mut ids = BTreeSet::new();
    let mut collectors = 0;
    for (index, node) in graph.nodes.iter().enumerate() {
        let label = &node.label;
        let parallelism = parallelism_of(node, graph.settings.parallelism);
        if !(1..=max).contains(&parallelism) {
            return settings(format!(
                "{label}: parallelism is {parallelism}: it must be from 1 to pipeline.max-parallelism, {max}"
            ));
        }
        if !ids.insert(&node.id) {
            return fail(format!("two operators have the id {}", node.id));
        }
        let reads_nothing = matches!(node.spec, OperatorSpec::Source(_) | OperatorSpec::Values(_));
        if reads_nothing != node.inputs.is_empty() {
            return fail(format!("{label} has {} inputs", node.inputs.len()));
        }
        collectors += usize::from(matches!(node.spec, OperatorSpec::Collect));
        for input in &node.inputs {
            let Some(producer) = graph.nodes[..index].get(input.node.0) else {
                return fail(format!(
                    "{label} reads operator {}, which does not come before it",
                    input.node.0
                ));
            };
            if matches!(producer.spec, OperatorSpec::Sink(_) | OperatorSpec::Collect) {
                return fail(format!("{label} reads {}, which has no output", producer.label));
            }
            if let Exchange::Hash(columns) = &input.exchange
                && let Some(column) = columns.iter().find(|column| **column >= producer.schema.fields().len())
            {
                return fail(format!(
                    "{label} partitions by column {column}, which {} lacks",
                    producer.label
                ));
            }
        }
    }
    if collectors > 1 {
        return fail(format!("{collectors} operators collect rows: one can"));
    }
    Ok(())
}

fn settings(message: String) -> Result<(), RuntimeError> {
    Err(RuntimeError::Settings(message))
}

#[cfg(test)]
mod tests;
