//! The job under construction: nodes, each once for each meaning.

use super::calc::Output;
use crate::Position;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::{
    ChangelogMode, Exchange, Input, MatchSpec, NodeIndex, OnConflict, OperatorId, OperatorNode, OperatorSpec,
    Parallelism, StateNote,
};

/// Rows with the names that the plan gives to their columns: a node's output, or a filter and a projection of it that
/// have no node yet, so that one Calc does what several steps of the plan ask for.
#[derive(Clone, Debug)]
pub(in crate::query) struct Stream {
    node: NodeIndex,
    pub schema: Arc<DFSchema>,
    pub(super) pending: Option<Pending>,
}

/// A Calc to be.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// the columns of the node
    pub input: Arc<DFSchema>,
    pub filter: Option<Expr>,
    /// `None`: all columns as they are
    pub outputs: Option<Vec<Output>>,
}

impl Stream {
    /// A node's output under the names of `schema`, which has as many columns, in the node's order.
    pub fn of(node: NodeIndex, schema: Arc<DFSchema>) -> Stream {
        Stream { node, schema, pending: None }
    }

    /// The node whose output this is; `None` while it is still to be computed from it.
    pub fn node(&self) -> Option<NodeIndex> {
        self.pending.is_none().then_some(self.node)
    }

    /// The node that rows come from, whatever is still to be done with them.
    pub fn base(&self) -> NodeIndex {
        self.node
    }

    /// The same under other names.
    pub fn renamed(self, schema: Arc<DFSchema>) -> Stream {
        Stream { schema, ..self }
    }
}

/// What is known of a node beyond what the job says of it.
#[derive(Clone, Debug)]
pub(in crate::query) struct Facts {
    /// `group-aggregate`: the first part of the operator's id
    pub kind: &'static str,
    /// what the operator's id says beside the kind and the tables: keys, window
    pub clause: String,
    /// names of the tables that rows come from, sorted
    pub tables: Vec<String>,
    /// True if the input ends by itself.
    pub bounded: bool,
    /// Columns by which updates are told apart; `None` without updates, or where they have no such columns.
    pub upsert_key: Option<Vec<usize>>,
    /// what the table of a source gives, or that of a sink takes
    pub connector: Option<ChangelogMode>,
    /// the rows that a sink takes replace each other by its primary key
    pub keyed_sink: bool,
    /// where the statement names the table of a sink
    pub place: Option<Position>,
    /// what a sink's ON CONFLICT says, and where it stands
    pub conflict: Option<(OnConflict, Option<Position>)>,
}

/// A node to be added.
pub(in crate::query) struct NewNode {
    pub kind: &'static str,
    pub clause: String,
    /// everything that makes the node what it is, apart from names and inputs
    pub meaning: String,
    /// False for what is not the same if it is done once for two: sinks, random numbers.
    pub shareable: bool,
    pub label: String,
    pub spec: OperatorSpec,
    pub inputs: Vec<(NodeIndex, Exchange)>,
    pub schema: Arc<DFSchema>,
    pub state: Option<StateNote>,
    /// from where rows come and whether they end, for a node without inputs
    pub table: Option<(String, bool)>,
    /// what the table of a source gives, or that of a sink takes
    pub connector: Option<ChangelogMode>,
    /// True for one subtask only.
    pub single: bool,
}

#[derive(Debug, Default)]
pub(in crate::query) struct JobBuilder {
    pub nodes: Vec<OperatorNode>,
    pub facts: Vec<Facts>,
    known: BTreeMap<String, NodeIndex>,
}

impl JobBuilder {
    pub fn facts(&self, node: NodeIndex) -> &Facts {
        &self.facts[node.0]
    }

    /// Adds a node, or finds the one that does the same already.
    pub fn add(&mut self, new: NewNode) -> Stream {
        let schema = new.schema.clone();
        let key = format!("{}|{:?}|{}", new.kind, new.inputs, new.meaning);
        if new.shareable
            && let Some(node) = self.known.get(&key)
            && same_expressions(&self.nodes[node.0].spec, &new.spec)
        {
            return Stream::of(*node, schema);
        }
        let node = NodeIndex(self.nodes.len());
        if new.shareable {
            self.known.insert(key, node);
        }
        let inherited = || new.inputs.iter().map(|(input, _)| self.facts(*input));
        let mut tables: Vec<String> = inherited().flat_map(|facts| facts.tables.clone()).collect();
        tables.extend(new.table.iter().map(|(table, _)| table.clone()));
        tables.sort();
        tables.dedup();
        let bounded = inherited().all(|facts| facts.bounded) && new.table.is_none_or(|(_, bounded)| bounded);
        let forward_from_single = new.inputs.iter().any(|(input, exchange)| {
            *exchange == Exchange::Forward && self.nodes[input.0].parallelism == Parallelism::Fixed(1)
        });
        let single = new.single || forward_from_single;
        self.facts.push(Facts {
            kind: new.kind,
            clause: new.clause,
            tables,
            bounded,
            upsert_key: None,
            connector: new.connector,
            keyed_sink: false,
            place: None,
            conflict: None,
        });
        self.nodes.push(OperatorNode {
            id: OperatorId::new(""),
            label: new.label,
            spec: new.spec,
            inputs: new.inputs.into_iter().map(|(node, exchange)| Input { node, exchange }).collect(),
            schema: new.schema.inner().clone(),
            changelog: ChangelogMode::INSERT_ONLY,
            parallelism: if single { Parallelism::Fixed(1) } else { Parallelism::Default },
            state: new.state,
        });
        Stream::of(node, schema)
    }

    pub fn is_single(&self, node: NodeIndex) -> bool {
        self.nodes[node.0].parallelism == Parallelism::Fixed(1)
    }
}

/// False if two specs compute different things, whatever their texts say.
fn same_expressions(left: &OperatorSpec, right: &OperatorSpec) -> bool {
    match (left, right) {
        (OperatorSpec::Calc(left), OperatorSpec::Calc(right)) => {
            left.filter == right.filter && left.projection == right.projection
        }
        (OperatorSpec::Expand(left), OperatorSpec::Expand(right)) => left.projections == right.projections,
        (OperatorSpec::Unnest(left), OperatorSpec::Unnest(right)) => {
            left.collection.as_ref() == right.collection.as_ref()
        }
        (OperatorSpec::Join(left), OperatorSpec::Join(right)) => left.condition == right.condition,
        (OperatorSpec::TimedJoin(left), OperatorSpec::TimedJoin(right)) => left.condition == right.condition,
        (OperatorSpec::LookupJoin(left), OperatorSpec::LookupJoin(right)) => {
            left.condition == right.condition
                && left.calcs.iter().zip(&right.calcs).all(|((left, _), (right, _))| {
                    left.filter == right.filter && left.projection == right.projection
                })
        }
        (OperatorSpec::Watermark(left), OperatorSpec::Watermark(right)) => {
            left.expression.as_ref() == right.expression.as_ref()
        }
        (OperatorSpec::Match(left), OperatorSpec::Match(right)) => {
            let all = |spec: &MatchSpec| {
                let conditions = spec.variables.iter().filter_map(|variable| variable.condition.clone());
                let bounds = conditions.chain([spec.measures.clone()]);
                bounds.flat_map(|bound| bound.expressions).collect::<Vec<_>>()
            };
            all(left) == all(right)
        }
        _ => true,
    }
}
