//! Operators against event scripts and models.

mod extremes;
mod group_aggregate;
mod join;
mod mini_batch;
mod models;
mod over;
mod over_any_order;
mod over_around;
mod rank;
mod speed;
mod stateless;
mod timed_join;
mod unnest;
mod upsert;
mod window_aggregate;
mod window_changes;

use arrow::datatypes::{Field, SchemaRef};
use std::sync::Arc;
use weir_types::{AggregateCall, AggregateFunction, SqlType};

/// `function` of columns of the input, with a result of type `output`.
pub(crate) fn call(function: AggregateFunction, arguments: &[usize], output: SqlType) -> AggregateCall {
    AggregateCall {
        function,
        arguments: arguments.to_vec(),
        distinct: false,
        filter: None,
        output: Arc::new(output.to_field(&function.name().to_lowercase(), true)),
    }
}

/// Key columns, then results, then `rest`.
pub(crate) fn output_schema(
    input: &SchemaRef,
    keys: &[usize],
    calls: &[AggregateCall],
    rest: Vec<Field>,
) -> SchemaRef {
    let keys = keys.iter().map(|key| input.fields()[*key].clone());
    let results = calls.iter().map(|call| call.output.clone());
    let fields: Vec<_> = keys.chain(results).chain(rest.into_iter().map(Arc::new)).collect();
    Arc::new(arrow::datatypes::Schema::new(fields))
}
