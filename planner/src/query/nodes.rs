//! What our own nodes of logical plans have in common.

use datafusion_common::{DFSchema, DFSchemaRef, Result};
use datafusion_expr::{Expr, LogicalPlan};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The node, if `plan` is one of this kind.
pub(in crate::query) fn node_of<N: 'static>(plan: &LogicalPlan) -> Option<&N> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

/// DataFusion asks nodes for an order, and there is none among ours.
macro_rules! unordered {
    ($node:ty) => {
        impl PartialOrd for $node {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                (self == other).then_some(std::cmp::Ordering::Equal)
            }
        }
    };
}

/// Nodes that know where they are written are equal if they have the same `meaning()` and input, wherever that is.
macro_rules! equal_by_meaning {
    ($node:ty) => {
        impl PartialEq for $node {
            fn eq(&self, other: &Self) -> bool {
                self.meaning() == other.meaning() && self.input == other.input
            }
        }

        impl Eq for $node {}

        impl std::hash::Hash for $node {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.meaning().hash(state);
                self.input.hash(state);
            }
        }
    };
}

pub(in crate::query) use {equal_by_meaning, unordered};

/// The columns of `left` and then of `right`, which may be missing if the join is an outer one.
pub(super) fn joined_schema(left: &LogicalPlan, right: &LogicalPlan, outer: bool) -> Result<DFSchemaRef> {
    let lefts = left.schema().iter().map(|(table, field)| (table.cloned(), field.clone()));
    let rights = right.schema().iter().map(|(table, field)| {
        let nullable = field.is_nullable() || outer;
        (table.cloned(), Arc::new(field.as_ref().clone().with_nullable(nullable)))
    });
    let fields = lefts.chain(rights).collect();
    Ok(Arc::new(DFSchema::new_with_metadata(fields, Default::default())?))
}

/// The columns of left and right that a join of this schema needs for `exprs` and the columns that it hands on; `left_width`:
/// how many the left has. `None` if an expression has a column that is of neither.
pub(super) fn needed_of_both(
    schema: &DFSchema,
    left_width: usize,
    exprs: &[Expr],
    output_columns: &[usize],
) -> Option<Vec<Vec<usize>>> {
    let mut needed: BTreeSet<usize> = output_columns.iter().copied().collect();
    for column in exprs.iter().flat_map(Expr::column_refs) {
        needed.insert(schema.maybe_index_of_column(column)?);
    }
    let (left, right): (Vec<usize>, Vec<usize>) = needed.into_iter().partition(|place| *place < left_width);
    Some(vec![left, right.into_iter().map(|place| place - left_width).collect()])
}
