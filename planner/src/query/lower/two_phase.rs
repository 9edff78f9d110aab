//! Aggregations that begin before rows are distributed.

use super::Lowering;
use super::builder::{NewNode, Stream};
use crate::PlanError;
use crate::catalog::Session;
use crate::query::changelog::is_insert_only;
use datafusion_common::{DFSchema, Result, TableReference};
use std::sync::Arc;
use weir_types::{
    AggregateCall, AggregateFunction, Exchange, LocalAggregateSpec, NodeIndex, OperatorSpec, SqlType,
};

const ENABLED: &str = "table.exec.mini-batch.enabled";
const LATENCY: &str = "table.exec.mini-batch.allow-latency";
const SIZE: &str = "table.exec.mini-batch.size";

/// Mini-batches need bounds, as in Flink.
pub(super) fn check_mini_batch(session: &Session) -> Result<(), PlanError> {
    let settings = &session.settings;
    if !settings.boolean(ENABLED) {
        return Ok(());
    }
    if settings.duration_ms(LATENCY) == 0 {
        return Err(PlanError::invalid(format!(
            "'{ENABLED}' is 'true' without '{LATENCY}': set it to how long a row may wait for others, such as '500 ms'"
        )));
    }
    if settings.integer(SIZE).is_none_or(|size| size <= 0) {
        return Err(PlanError::invalid(format!(
            "'{ENABLED}' is 'true' without '{SIZE}': set it to how many rows are taken together at most, such as '5000'"
        )));
    }
    Ok(())
}

/// An input that was aggregated batch by batch.
pub(in crate::query) struct Partial {
    pub node: NodeIndex,
    /// its columns are the keys, in their order, then the accumulators
    pub keys: Vec<usize>,
}

impl Lowering<'_> {
    /// True if aggregations emit once for each batch.
    pub fn bundles(&self) -> bool {
        self.session.settings.boolean(ENABLED)
    }

    /// An aggregation of each batch in front of the exchange, if it is wanted and can be.
    pub fn local_aggregate(
        &mut self,
        (node, schema): (NodeIndex, &DFSchema),
        keys: &[usize],
        calls: &[AggregateCall],
        select: &str,
    ) -> Result<Option<Partial>> {
        let parallel = self.session.settings.job_settings().parallelism > 1 && !self.builder.is_single(node);
        let wanted = match self.session.settings.get("table.optimizer.agg-phase-strategy") {
            Some("ONE_PHASE") => false,
            Some("TWO_PHASE") => true,
            // Without an exchange between subtasks it only costs.
            _ => parallel,
        };
        let inserts = is_insert_only(&self.builder.nodes, &self.builder.facts, node);
        let merges = !calls.is_empty() && calls.iter().all(|call| can_merge(call, inserts));
        if !self.bundles() || !wanted || !merges {
            return Ok(None);
        }
        let mut fields: Vec<(Option<TableReference>, _)> =
            keys.iter().map(|key| (None, schema.fields()[*key].clone())).collect();
        fields.push((None, Arc::new(SqlType::BYTES.to_field("$accumulators", false))));
        let names: Vec<&str> = keys.iter().map(|key| schema.field(*key).name().as_str()).collect();
        let names = names.join(", ");
        let group_by = if keys.is_empty() { String::new() } else { format!("groupBy=[{names}], ") };
        let spec = LocalAggregateSpec {
            keys: keys.to_vec(),
            aggregates: calls.to_vec(),
            // Settled by the inference of changelog modes.
            input_retracts: false,
        };
        let local: Stream = self.builder.add(NewNode {
            kind: "local-aggregate",
            clause: names,
            meaning: format!("{spec:?}"),
            shareable: true,
            label: format!("LocalGroupAggregate({group_by}select=[{select}])"),
            spec: OperatorSpec::LocalAggregate(spec),
            inputs: vec![(node, Exchange::Forward)],
            schema: Arc::new(unnamed(fields)?),
            state: None,
            table: None,
            connector: None,
            single: false,
        });
        Ok(Some(Partial { node: local.base(), keys: (0..keys.len()).collect() }))
    }
}

/// Columns that may have the same names.
fn unnamed(fields: Vec<(Option<TableReference>, Arc<arrow::datatypes::Field>)>) -> Result<DFSchema> {
    let numbered = fields.into_iter().enumerate().map(|(place, (_, field))| {
        let table = TableReference::bare(format!("$l{place}"));
        (Some(table), field)
    });
    DFSchema::new_with_metadata(numbered.collect(), Default::default())
}

/// True if what a call has seen in one batch can be added to what it has seen before. What rows take back can only be
/// added where it does not matter which of them they take back.
fn can_merge(call: &AggregateCall, inserts: bool) -> bool {
    use AggregateFunction::{Avg, Count, SingleValue, Sum, Sum0};
    match call.function {
        _ if call.distinct => false,
        SingleValue => false,
        Count | Sum | Sum0 | Avg => true,
        _ => inserts,
    }
}
