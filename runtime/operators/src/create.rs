//! From a node of the job graph to the operator that does its work.

use crate::calc::Calc;
use crate::deduplicate::{ChangelogNormalize, FirstRow, LastRow};
use crate::drop_update_before::DropUpdateBefore;
use crate::expand::Expand;
use crate::group_aggregate::GroupAggregate;
use crate::join::Join;
use crate::limit::Limit;
use crate::local_aggregate::LocalAggregate;
use crate::lookup_join::LookupJoin;
use crate::match_recognize::MatchRecognize;
use crate::over::{Over, OverAnyOrder, OverPartition};
use crate::rank::Rank;
use crate::session_aggregate::SessionAggregate;
use crate::sink_compact::SinkCompact;
use crate::sink_materialize::SinkMaterialize;
use crate::timed_join::{TimedJoin, check_kind};
use crate::union::Union;
use crate::unnest::Unnest;
use crate::values::Values;
use crate::watermark::WatermarkAssigner;
use crate::window_aggregate::WindowAggregate;
use crate::window_table_function::WindowTableFunction;
use crate::{Operator, OperatorError};
use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use weir_types::{JobSettings, LookupSource, OperatorNode, OperatorSpec, WindowSpec, WindowTime};

/// The operator of one subtask of `node`. `inputs` has the schema of each input edge, in their order.
///
/// A VALUES node has no input: the driver calls `on_end_of_input` and then `resume` until it is done.
/// Sources, sinks and the collector of a SELECT are the runtime's own, and an error here.
///
/// Errors: `Unsupported` names what the node asks for that is not built; the runtime puts the node's label in front.
pub fn create_operator(
    node: &OperatorNode,
    inputs: &[SchemaRef],
    settings: &JobSettings,
) -> Result<Box<dyn Operator>, OperatorError> {
    create(node, inputs, settings)
}

/// The lookup join of one subtask of `node`, which asks `source`.
///
/// Errors: `Internal` for a node that is no lookup join.
pub fn create_lookup_join(
    node: &OperatorNode,
    source: Arc<dyn LookupSource>,
) -> Result<Box<dyn Operator>, OperatorError> {
    match &node.spec {
        OperatorSpec::LookupJoin(spec) => Ok(Box::new(LookupJoin::new(spec, source, node.schema.clone())?)),
        _ => Err(OperatorError::Internal(format!("{} is no lookup join", node.label))),
    }
}

fn create(
    node: &OperatorNode,
    inputs: &[SchemaRef],
    settings: &JobSettings,
) -> Result<Box<dyn Operator>, OperatorError> {
    let schema = node.schema.clone();
    let input = || {
        inputs.first().cloned().ok_or_else(|| OperatorError::Internal(format!("{} has no input", node.label)))
    };
    Ok(match &node.spec {
        OperatorSpec::Values(batches) => Box::new(Values::new(&node.id, batches.clone())),
        OperatorSpec::Calc(spec) => Box::new(Calc::new(spec, schema)?),
        OperatorSpec::Watermark(spec) => {
            let input = input()?;
            Box::new(WatermarkAssigner::new(spec, input.field(spec.rowtime).name()))
        }
        OperatorSpec::WindowTableFunction(spec) => Box::new(WindowTableFunction::new(spec, schema)?),
        OperatorSpec::Expand(spec) => Box::new(Expand::new(spec, schema)),
        OperatorSpec::Unnest(spec) => Box::new(Unnest::new(spec, schema)?),
        OperatorSpec::Join(spec) => Box::new(Join::new(&node.id, spec, inputs, schema, settings)?),
        OperatorSpec::TimedJoin(spec) => {
            check_kind(spec)?;
            Box::new(TimedJoin::new(&node.id, spec, inputs, schema, settings)?)
        }
        OperatorSpec::Rank(spec) => Box::new(Rank::new(&node.id, spec, input()?, schema, settings)?),
        OperatorSpec::Deduplicate(spec) => match spec.keep_last {
            true => Box::new(LastRow::new(&node.id, spec, input()?, schema, settings)),
            false => Box::new(FirstRow::new(&node.id, spec, input()?, schema, settings)),
        },
        OperatorSpec::ChangelogNormalize(spec) => {
            Box::new(ChangelogNormalize::new(&node.id, spec, input()?, schema, settings)?)
        }
        OperatorSpec::SinkMaterialize(spec) if spec.on_conflict.waits() => {
            Box::new(SinkCompact::new(&node.id, spec, input()?, schema, settings)?)
        }
        OperatorSpec::SinkMaterialize(spec) => {
            Box::new(SinkMaterialize::new(&node.id, spec, input()?, schema, settings)?)
        }
        OperatorSpec::Over(spec) => Box::new(Over::new(&node.id, spec, input()?, schema, settings)?),
        OperatorSpec::OverAnyOrder(spec) => {
            Box::new(OverAnyOrder::new(&node.id, spec, input()?, schema, settings)?)
        }
        OperatorSpec::OverPartition(spec) => {
            Box::new(OverPartition::new(&node.id, spec, input()?, schema, settings)?)
        }
        OperatorSpec::Match(spec) => Box::new(MatchRecognize::new(&node.id, spec, input()?, schema)?),
        OperatorSpec::DropUpdateBefore { as_deletes } => {
            Box::new(DropUpdateBefore { as_deletes: *as_deletes })
        }
        OperatorSpec::Union => Box::new(Union::new(schema)),
        OperatorSpec::Limit(spec) => Box::new(Limit::new(&node.id, spec)),
        OperatorSpec::LocalAggregate(spec) => Box::new(LocalAggregate::new(spec, input()?, schema)?),
        OperatorSpec::GroupAggregate(spec) => {
            Box::new(GroupAggregate::new(&node.id, spec, input()?, schema, settings)?)
        }
        OperatorSpec::WindowAggregate(spec) => match (spec.window, &spec.time) {
            (WindowSpec::Session { gap_ms }, WindowTime::RowTime(_) | WindowTime::ProcTime) => {
                Box::new(SessionAggregate::new(&node.id, spec, gap_ms, input()?, schema)?)
            }
            _ => Box::new(WindowAggregate::new(&node.id, spec, input()?, schema)?),
        },
        OperatorSpec::LookupJoin(_) => {
            return Err(OperatorError::Internal(format!("{} needs a table to ask", node.label)));
        }
        OperatorSpec::Source(_) | OperatorSpec::Sink(_) | OperatorSpec::Collect => {
            return Err(OperatorError::Internal(format!("{} is run by the runtime itself", node.label)));
        }
    })
}
