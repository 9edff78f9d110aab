//! Tables whose source does not give their changelog whole.

use super::Lowering;
use super::builder::{Facts, NewNode, Stream};
use crate::PlanError;
use crate::catalog::CatalogTable;
use datafusion_common::tree_node::TreeNode;
use datafusion_physical_expr::PhysicalExpr;
use std::sync::Arc;
use weir_types::{
    CalcSpec, ChangelogMode, ChangelogNormalizeSpec, Exchange, OperatorNode, OperatorSpec, RowKind, StateNote,
};

const DUPLICATES: &str = "table.exec.source.cdc-events-duplicate";

impl Lowering<'_> {
    /// The columns of the primary key of `table` by which its changelog is to be made whole; `None` if it is whole.
    pub fn normalized_by(&self, table: &CatalogTable) -> Result<Option<Vec<usize>>, PlanError> {
        let mode = table.capabilities.scan.unwrap_or(ChangelogMode::INSERT_ONLY);
        let upserts = mode.contains(RowKind::UpdateAfter) && !mode.contains(RowKind::UpdateBefore);
        let duplicates = self.session.settings.boolean(DUPLICATES) && !mode.is_insert_only();
        if !upserts && !duplicates {
            return Ok(None);
        }
        let descriptor = &table.descriptor;
        if descriptor.primary_key.is_empty() {
            let why = match upserts {
                true => "its source gives updates without the rows before them".to_string(),
                false => format!("'{DUPLICATES}' is set: events that came twice are told by their key"),
            };
            return Err(PlanError::invalid(format!(
                "a table of changes needs a primary key, for {why}: declare its PRIMARY KEY (..) NOT ENFORCED"
            )));
        }
        let place = |name: &String| table.schema.index_of(name).ok();
        let keys: Option<Vec<usize>> = descriptor.primary_key.iter().map(place).collect();
        keys.map(Some).ok_or_else(|| PlanError::internal("a primary key that is not among the columns"))
    }

    /// The changelog of `source` made whole by the columns `keys` of `table`, all of which it has.
    pub fn normalize(
        &mut self,
        source: Stream,
        table: &CatalogTable,
        keys: &[usize],
    ) -> Result<Stream, PlanError> {
        let internal = |error: datafusion_common::DataFusionError| PlanError::internal(error.to_string());
        let (source, node) = self.settle(source).map_err(internal)?;
        let names: Vec<&str> = keys.iter().map(|key| table.schema.field(*key).name().as_str()).collect();
        let place = |name: &&str| source.schema.fields().iter().position(|field| field.name() == name);
        let keys: Option<Vec<usize>> = names.iter().map(place).collect();
        let keys = keys.ok_or_else(|| PlanError::internal("a primary key that is not read"))?;
        let clause = format!("PRIMARY KEY ({}) of {}", names.join(", "), table.descriptor.name);
        // Settled by the inference of changelog modes.
        let spec = ChangelogNormalizeSpec { keys: keys.clone(), filter: None, emit_update_before: true };
        Ok(self.builder.add(NewNode {
            kind: "changelog-normalize",
            clause: names.join(","),
            meaning: format!("{spec:?}"),
            // It takes over the condition of whoever reads it alone.
            shareable: false,
            label: format!("ChangelogNormalize(key=[{}])", names.join(", ")),
            spec: OperatorSpec::ChangelogNormalize(spec),
            inputs: vec![(node, Exchange::Hash(keys))],
            schema: source.schema,
            state: Some(StateNote {
                keeps: "the last row of each key".into(),
                bound: format!("never dropped: {clause} bounds no time"),
                unbounded_clause: Some(clause),
            }),
            table: None,
            connector: None,
            single: false,
        }))
    }
}

/// Rows that no reader wants need not be kept: the condition of the only reader of a normalised table moves into it. As in
/// Flink a row that no longer fits then counts as deleted.
pub(super) fn push_conditions(nodes: &mut [OperatorNode], facts: &[Facts]) {
    for reader in 0..nodes.len() {
        let [input] = &nodes[reader].inputs[..] else { continue };
        let below = input.node;
        let readers = nodes.iter().flat_map(|node| &node.inputs).filter(|input| input.node == below);
        if facts[below.0].kind != "changelog-normalize" || readers.count() != 1 {
            continue;
        }
        let OperatorSpec::Calc(CalcSpec { filter, reads_watermark: false, .. }) = &mut nodes[reader].spec
        else {
            continue;
        };
        let Some(condition) = filter.take_if(|filter| is_fixed(filter)) else { continue };
        let label = nodes[reader].label.clone();
        let Some((start, text)) = label.rsplit_once(", where=[") else { continue };
        nodes[reader].label = format!("{start})");
        let text = text.trim_end_matches(')').trim_end_matches(']');
        let normalize = &mut nodes[below.0];
        normalize.label = format!("{}, condition=[{text}])", normalize.label.trim_end_matches(')'));
        if let OperatorSpec::ChangelogNormalize(spec) = &mut normalize.spec {
            spec.filter = Some(condition);
        }
    }
}

/// True if an expression has the same value each time.
fn is_fixed(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|expr| Ok(expr.is_volatile_node())).is_ok_and(|volatile| !volatile)
}
