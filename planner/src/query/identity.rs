//! Names of operators that outlive changes of the query around them.

use crate::query::lower::Facts;
use std::collections::BTreeMap;
use weir_types::{OperatorId, OperatorNode};

/// Gives each node an id of what it means: its kind, the tables that rows come from, its clause. Nodes that share all
/// this are told apart by a hash of what EXPLAIN says of them and of their inputs, all of them, so that none depends on
/// which comes first; and by a number where even that is the same, where it does not matter which is which.
pub(super) fn name_operators(nodes: &mut [OperatorNode], facts: &[Facts]) {
    let mut meanings: Vec<u64> = vec![];
    let mut names: Vec<String> = vec![];
    let mut bearers: BTreeMap<String, usize> = BTreeMap::new();
    for (node, facts) in nodes.iter().zip(facts) {
        let inputs: Vec<String> = node
            .inputs
            .iter()
            .map(|input| format!("{:016x}{:?}", meanings[input.node.0], input.exchange))
            .collect();
        let text = format!("{}|{}|{}|{}", facts.kind, facts.clause, node.label, inputs.join("|"));
        meanings.push(hash(&text));
        let name = name_of(facts);
        *bearers.entry(name.clone()).or_insert(0) += 1;
        names.push(name);
    }
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for ((node, mut name), meaning) in nodes.iter_mut().zip(names).zip(meanings) {
        if bearers[&name] > 1 {
            name = format!("{name}#{:08x}", meaning >> 32);
        }
        let count = taken.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            name = format!("{name}.{count}");
        }
        node.id = OperatorId::new(&name);
    }
}

/// Kind, tables and clause.
fn name_of(facts: &Facts) -> String {
    let tables = facts.tables.join(",");
    let mut name = match facts.kind {
        "sink" | "collect" | "values" => facts.kind.to_string(),
        kind => format!("{kind}:{tables}"),
    };
    if !facts.clause.is_empty() {
        name = format!("{name}[{}]", facts.clause);
    }
    // Files and column families are named after operators.
    name.replace('/', "_")
}

/// FNV-1a, 64 bits: ids are persisted, so the function is ours.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_pinned() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
