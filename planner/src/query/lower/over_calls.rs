//! The functions and keys of OVER, over the columns of its input.

use super::join::Side;
use super::rank::time_order;
use crate::query::aggregates::TypedAggregate;
use crate::query::over_windows::{Way, read_by};
use crate::query::ranks::over_function;
use datafusion_common::{Result, not_impl_err};
use datafusion_expr::expr::WindowFunction;
use datafusion_expr::{SortExpr, Window, WindowFunctionDefinition};
use weir_types::{AggregateCall, AggregateFunction, SortKey, TimeAttribute};

/// What is needed of OVER to make its functions into calls.
pub(super) struct OverCalls<'a> {
    /// how many columns it is partitioned and ordered by, which are the first keys of the input
    pub(super) keys: usize,
    pub(super) way: Way,
    pub(super) side: &'a Side,
}

impl OverCalls<'_> {
    pub(super) fn aggregates(&self, window: &Window, calls: &[WindowFunction]) -> Result<Vec<AggregateCall>> {
        let mut places = self.side.keys[self.keys..].iter().copied();
        let first_output = window.schema.fields().len() - calls.len();
        let mut aggregates = vec![];
        for (number, call) in calls.iter().enumerate() {
            let function = self.function(call, window)?;
            let mut arguments: Vec<usize> = places.by_ref().take(read_by(call).count()).collect();
            let filter = call.params.filter.as_ref().and_then(|_| arguments.pop());
            if let (AggregateFunction::Rank | AggregateFunction::DenseRank, Way::ByTime(_)) =
                (function, self.way)
            {
                arguments.push(self.side.keys[call.params.partition_by.len()]);
            }
            aggregates.push(AggregateCall {
                function,
                arguments,
                distinct: call.params.distinct,
                filter,
                output: window.schema.field(first_output + number).clone(),
            });
        }
        Ok(aggregates)
    }

    fn function(&self, call: &WindowFunction, window: &Window) -> Result<AggregateFunction> {
        let by_clock = || {
            let first = call.params.order_by.first();
            first.and_then(|key| time_order(&window.input, key)) == Some(TimeAttribute::ProcTime)
        };
        match over_function(call, window.input.schema())? {
            // Each row has a time of its own.
            Some(AggregateFunction::Rank | AggregateFunction::DenseRank)
                if matches!(self.way, Way::ByTime(_)) && by_clock() =>
            {
                return Ok(AggregateFunction::Count);
            }
            Some(function) => return Ok(function),
            None => {}
        }
        let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else {
            return not_impl_err!("not supported yet: {} .. OVER", call.fun.name());
        };
        let Some(typed) = function.inner().as_ref().downcast_ref::<TypedAggregate>() else {
            return not_impl_err!("not supported yet: {} .. OVER", call.fun.name());
        };
        Ok(typed.function)
    }
}

/// How a key of ORDER BY orders the values of `column`.
pub(super) fn sort_key(column: usize, key: &SortExpr) -> SortKey {
    SortKey { column, descending: !key.asc, nulls_first: key.nulls_first }
}

/// The keys that order rows of one partition: what is the same in all of them, or decided before, decides nothing.
pub(super) fn sort_keys(partition: &[usize], columns: &[usize], order_by: &[SortExpr]) -> Vec<SortKey> {
    let mut order: Vec<SortKey> = vec![];
    for (column, key) in columns.iter().zip(order_by) {
        if !partition.contains(column) && order.iter().all(|known| known.column != *column) {
            order.push(sort_key(*column, key));
        }
    }
    order
}

/// The same, at least one: where all rows of a partition are equal any key says so.
pub(super) fn some_sort_keys(partition: &[usize], columns: &[usize], order_by: &[SortExpr]) -> Vec<SortKey> {
    let mut order = sort_keys(partition, columns, order_by);
    if let (true, [column, ..], [key, ..]) = (order.is_empty(), columns, order_by) {
        order.push(sort_key(*column, key));
    }
    order
}
