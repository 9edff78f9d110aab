//! EXPLAIN: the plan as it was understood, as it was optimised, and the operators that carry it out.

mod cost;

use crate::query::lower::{Facts, Lowered};
use crate::{ExplainDetail, PlanError};
use cost::{Cost, costs};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::{Expr, LogicalPlan};
use serde_json::json;
use std::fmt::Write;
use weir_types::{Exchange, NodeIndex, OperatorNode, OperatorSpec, Parallelism};

/// The text of EXPLAIN for one statement.
pub(super) fn explain(lowered: &Lowered, details: &[ExplainDetail]) -> Result<String, PlanError> {
    if details.contains(&ExplainDetail::Checkpoint) {
        return Err(PlanError::internal("EXPLAIN CHECKPOINT is answered by whoever runs jobs"));
    }
    if details.contains(&ExplainDetail::JsonAlone) {
        return Ok(json_plan(&lowered.job.graph.nodes));
    }
    let mut text = String::from("== Abstract Syntax Tree ==\n");
    for (plan, _) in &lowered.plans {
        text.push_str(&format!("{}\n\n", plan_text(plan)));
    }
    text.push_str("== Optimized Logical Plan ==\n");
    for (_, optimized) in &lowered.plans {
        text.push_str(&format!("{}\n\n", plan_text(optimized)));
    }
    let advises = details.contains(&ExplainDetail::PlanAdvice);
    text.push_str(if advises {
        "== Optimized Execution Plan With Advice ==\n"
    } else {
        "== Optimized Execution Plan ==\n"
    });
    text.push_str(&operators(lowered, details));
    for warning in &lowered.job.warnings {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    if details.contains(&ExplainDetail::JsonExecutionPlan) {
        text.push_str("\n== Physical Execution Plan ==\n");
        text.push_str(&json_plan(&lowered.job.graph.nodes));
        text.push('\n');
    }
    Ok(text)
}

/// A logical plan, without what literals carry beside their values.
fn plan_text(plan: &LogicalPlan) -> String {
    let bare = |expr: Expr| {
        Ok(match expr {
            Expr::Literal(value, Some(_)) => Transformed::yes(Expr::Literal(value, None)),
            expr => Transformed::no(expr),
        })
    };
    let shown = plan.clone().transform_up(|plan| plan.map_expressions(|expr| expr.transform_up(bare)));
    shown.map_or_else(|_| plan.display_indent().to_string(), |shown| shown.data.display_indent().to_string())
}

/// The operators from the sinks down to the sources, inputs indented. What several operators read is written once and
/// then referred to, as Flink does it.
fn operators(lowered: &Lowered, details: &[ExplainDetail]) -> String {
    let nodes = &lowered.job.graph.nodes;
    let mut readers = vec![0; nodes.len()];
    for input in nodes.iter().flat_map(|node| &node.inputs) {
        readers[input.node.0] += 1;
    }
    let mut tree = Tree {
        nodes,
        facts: &lowered.facts,
        shared: readers.iter().map(|readers| *readers > 1).collect(),
        reuse: vec![None; nodes.len()],
        next_reuse: 1,
        with_changelog: details.contains(&ExplainDetail::ChangelogMode),
        costs: details.contains(&ExplainDetail::EstimatedCost).then(|| costs(nodes)),
        advice: details.contains(&ExplainDetail::PlanAdvice).then(Vec::new),
        text: String::new(),
    };
    for (place, node) in nodes.iter().enumerate() {
        if let OperatorSpec::Sink(_) | OperatorSpec::Collect = node.spec {
            if !tree.text.is_empty() {
                tree.text.push('\n');
            }
            tree.node(NodeIndex(place), "", "");
        }
    }
    if let Some(advice) = tree.advice {
        if advice.is_empty() {
            tree.text.push_str("\nNo available advice...\n");
        }
        for (place, advice) in advice.iter().enumerate() {
            let _ = writeln!(tree.text, "\nadvice[{}]: [ADVICE] {advice}.", place + 1);
        }
    }
    tree.text
}

struct Tree<'a> {
    nodes: &'a [OperatorNode],
    facts: &'a [Facts],
    shared: Vec<bool>,
    reuse: Vec<Option<usize>>,
    next_reuse: usize,
    with_changelog: bool,
    /// of each node, if they are shown
    costs: Option<Vec<Cost>>,
    /// what was advised so far, each once, if advice is asked for
    advice: Option<Vec<String>>,
    text: String,
}

impl Tree<'_> {
    /// `first` stands before the node's line, `rest` before those below it.
    fn node(&mut self, index: NodeIndex, first: &str, rest: &str) {
        let node = &self.nodes[index.0];
        if let Some(reuse) = self.reuse[index.0] {
            self.line(first, &format!("Reused(reference_id=[{reuse}])"));
            return;
        }
        let mut label = match self.advise(index) {
            Some(number) => {
                self.with_mode(&node.label.replacen('(', &format!("(advice=[{number}], "), 1), index)
            }
            None => self.with_mode(&node.label, index),
        };
        if self.shared[index.0] {
            self.reuse[index.0] = Some(self.next_reuse);
            label.push_str(&format!("(reuse_id=[{}])", self.next_reuse));
            self.next_reuse += 1;
        }
        if let Some(costs) = &self.costs {
            label.push_str(&format!(": {}", costs[index.0]));
        }
        self.line(first, &label);
        let inputs = &node.inputs;
        if let Some(state) = &node.state {
            let bar = if inputs.is_empty() { " " } else { "|" };
            self.line(rest, &format!("{bar}  state: {}; {}", state.keeps, state.bound));
        }
        for (place, input) in inputs.iter().enumerate() {
            let last = place + 1 == inputs.len();
            let (branch, below) = if last { ("+- ", "   ") } else { (":- ", ":  ") };
            let (first, mut rest) = (format!("{rest}{branch}"), format!("{rest}{below}"));
            match distribution(&input.exchange, &self.nodes[input.node.0]) {
                Some(exchange) => {
                    let exchange = self.with_mode(&exchange, input.node);
                    self.line(&first, &exchange);
                    let first = format!("{rest}+- ");
                    rest.push_str("   ");
                    self.node(input.node, &first, &rest);
                }
                None => self.node(input.node, &first, &rest),
            }
        }
    }

    /// The number of what is to be said about a node's state, from 1.
    fn advise(&mut self, index: NodeIndex) -> Option<usize> {
        let advice = self.advice.as_mut()?;
        let bounded = self.facts[index.0].bounded;
        let clause = self.nodes[index.0].state.as_ref()?.unbounded_clause.as_ref().filter(|_| !bounded)?;
        let said = format!(
            "nothing bounds the state of {clause}: you might want to group by a window, or to set 'table.exec.state.ttl' \
             so that keys that were idle for that long are forgotten"
        );
        let known = advice.iter().position(|known| *known == said);
        Some(
            1 + known.unwrap_or_else(|| {
                advice.push(said);
                advice.len() - 1
            }),
        )
    }

    fn line(&mut self, before: &str, line: &str) {
        let _ = writeln!(self.text, "{before}{line}");
    }

    /// The label with the mode of what comes out of it; a sink shows what it takes.
    fn with_mode(&self, label: &str, index: NodeIndex) -> String {
        if !self.with_changelog {
            return label.to_string();
        }
        let node = &self.nodes[index.0];
        let mode = match node.spec {
            OperatorSpec::Sink(_) | OperatorSpec::Collect => "NONE".to_string(),
            _ => node.changelog.to_string().trim_matches(['[', ']']).to_string(),
        };
        match label.strip_suffix(')') {
            Some(open) => format!("{open}, changelogMode=[{mode}])"),
            None => format!("{label}(changelogMode=[{mode}])"),
        }
    }
}

/// The exchange as an operator of its own; `None` where rows stay in their subtask.
fn distribution(exchange: &Exchange, from: &OperatorNode) -> Option<String> {
    let how = match exchange {
        Exchange::Forward => return None,
        Exchange::Hash(keys) if keys.is_empty() => "single".to_string(),
        Exchange::Hash(keys) => {
            let names: Vec<&str> = keys.iter().map(|key| from.schema.field(*key).name().as_str()).collect();
            format!("hash[{}]", names.join(", "))
        }
        Exchange::Rebalance => "rebalance".to_string(),
        Exchange::Broadcast => "broadcast".to_string(),
    };
    Some(format!("Exchange(distribution=[{how}])"))
}

/// The job in the form that Flink's plan visualiser reads.
fn json_plan(nodes: &[OperatorNode]) -> String {
    let node = |(place, node): (usize, &OperatorNode)| {
        let pact = match node.spec {
            OperatorSpec::Source(_) | OperatorSpec::Values(_) => "Data Source",
            OperatorSpec::Sink(_) | OperatorSpec::Collect => "Data Sink",
            _ => "Operator",
        };
        let strategy = |exchange: &Exchange| match exchange {
            Exchange::Forward => "FORWARD",
            Exchange::Hash(keys) if keys.is_empty() => "GLOBAL",
            Exchange::Hash(_) => "HASH",
            Exchange::Rebalance => "REBALANCE",
            Exchange::Broadcast => "BROADCAST",
        };
        let inputs = node.inputs.iter().enumerate().map(|(side, input)| {
            json!({
                "id": input.node.0 + 1,
                "ship_strategy": strategy(&input.exchange),
                "side": if side == 0 { "first" } else { "second" },
            })
        });
        let mut entry = json!({
            "id": place + 1,
            "type": node.id.to_string(),
            "pact": pact,
            "contents": node.label,
            "parallelism": match node.parallelism {
                Parallelism::Default => json!("default"),
                Parallelism::Fixed(count) => json!(count),
            },
        });
        let inputs: Vec<_> = inputs.collect();
        if !inputs.is_empty() {
            entry["predecessors"] = json!(inputs);
        }
        entry
    };
    let plan = json!({ "nodes": nodes.iter().enumerate().map(node).collect::<Vec<_>>() });
    serde_json::to_string_pretty(&plan).unwrap_or_default()
}
