//! Ranks over values that only ever move a row ahead.
//!
//! `ORDER BY COUNT(*) DESC` over a GROUP BY whose input only grows: a row that changes never falls behind another. The first N
//! rows are then all that is kept, a change takes its row from one rank to a better one, and no `-U` is needed.

use crate::query::changelog::handed_on;
use crate::query::lower::Facts;
use weir_types::{
    AggregateFunction, CalcSpec, GroupAggregateSpec, OperatorNode, OperatorSpec, RankSpec, SortKey,
};

/// Rows that are looked through for the one that comes again.
const MOST_RANKS: u64 = 10_000;

/// How the values of a column change while their row is known by the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Constant,
    Rises,
    Falls,
}

/// The key by which rows of a rank come again, if none of them ever falls behind another by that.
pub(super) fn rank_update_key(nodes: &[OperatorNode], facts: &[Facts], node: usize) -> Option<Vec<usize>> {
    let OperatorSpec::Rank(RankSpec { partition, order, end, .. }) = &nodes[node].spec else { return None };
    let input = nodes[node].inputs.first()?.node.0;
    let key = facts[input].upsert_key.as_ref()?;
    let of_one_partition = partition.iter().all(|column| key.contains(column));
    let tells_apart = key.iter().any(|column| !partition.contains(column));
    let moves_ahead = |sort: &SortKey| match course(nodes, input, sort.column) {
        Some(Course::Constant) => true,
        // NULL comes before any value in time: it has to come after it in rank.
        Some(Course::Rises) => sort.descending && !sort.nulls_first,
        Some(Course::Falls) => !sort.descending && !sort.nulls_first,
        None => false,
    };
    let fits = *end <= MOST_RANKS && of_one_partition && tells_apart && order.iter().all(moves_ahead);
    fits.then(|| key.clone())
}

fn course(nodes: &[OperatorNode], node: usize, column: usize) -> Option<Course> {
    let below = || nodes[node].inputs.first().map(|input| input.node.0);
    match &nodes[node].spec {
        // A condition may let go of a row that has changed.
        OperatorSpec::Calc(CalcSpec { filter: None, projection, .. }) => {
            let column = match projection {
                Some(projection) => handed_on(projection.get(column)?)?,
                None => column,
            };
            course(nodes, below()?, column)
        }
        OperatorSpec::GroupAggregate(spec) if !spec.input_retracts => of_group(spec, column),
        _ => None,
    }
}

fn of_group(spec: &GroupAggregateSpec, column: usize) -> Option<Course> {
    let Some(place) = column.checked_sub(spec.keys.len()) else { return Some(Course::Constant) };
    match spec.aggregates.get(place)?.function {
        AggregateFunction::Count | AggregateFunction::Max => Some(Course::Rises),
        AggregateFunction::Min => Some(Course::Falls),
        _ => None,
    }
}
