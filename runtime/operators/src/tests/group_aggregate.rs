use super::{call, output_schema};
use crate::Operator;
use crate::event_script::run_script;
use crate::group_aggregate::GroupAggregate;
use arrow::datatypes::SchemaRef;
use weir_types::AggregateFunction::*;
use weir_types::{AggregateCall, GroupAggregateSpec, JobSettings, OperatorId, SqlType};

fn operator(
    input: &SchemaRef,
    keys: &[usize],
    aggregates: Vec<AggregateCall>,
    input_retracts: bool,
) -> Box<dyn Operator> {
    let schema = output_schema(input, keys, &aggregates, Vec::new());
    let spec =
        GroupAggregateSpec { keys: keys.to_vec(), aggregates, input_retracts, emit_update_before: true };
    let id = OperatorId::new("agg");
    Box::new(GroupAggregate::new(&id, &spec, input.clone(), schema, &JobSettings::default()).unwrap())
}

fn distinct(mut call: AggregateCall) -> AggregateCall {
    call.distinct = true;
    call
}

fn filtered(mut call: AggregateCall, filter: usize) -> AggregateCall {
    call.filter = Some(filter);
    call
}

#[test]
fn max_and_filtered_count() {
    run_script("group_max", |input| {
        let count = filtered(call(Count, &[], SqlType::BigInt), 2);
        operator(input, &[0], vec![call(Max, &[1], SqlType::Int), count], false)
    });
}

#[test]
fn one_global_group() {
    run_script("group_global", |input| {
        operator(input, &[], vec![call(Count, &[], SqlType::BigInt), call(Max, &[0], SqlType::Int)], false)
    });
}

#[test]
fn no_aggregates_is_distinct() {
    run_script("group_distinct_rows", |input| operator(input, &[0], Vec::new(), false));
}

#[test]
fn distinct_and_filters_share_a_map() {
    run_script("group_distinct", |input| {
        let count = distinct(call(Count, &[1], SqlType::BigInt));
        let filtered = filtered(count.clone(), 2);
        operator(input, &[0], vec![count, filtered, distinct(call(Sum, &[1], SqlType::Int))], false)
    });
}

#[test]
fn first_last_and_lists() {
    run_script("group_lists", |input| {
        let calls = vec![
            call(FirstValue, &[1], SqlType::Int),
            call(LastValue, &[1], SqlType::Int),
            call(ListAgg, &[2, 3], SqlType::STRING),
            call(Min, &[2], SqlType::STRING),
        ];
        operator(input, &[0], calls, false)
    });
}

#[test]
fn rows_that_are_taken_back() {
    run_script("group_retract", |input| {
        let calls = vec![
            call(Count, &[], SqlType::BigInt),
            call(Sum, &[1], SqlType::Int),
            call(Avg, &[1], SqlType::Int),
            call(Min, &[1], SqlType::Int),
            call(Max, &[2], SqlType::STRING),
            distinct(call(Count, &[1], SqlType::BigInt)),
            call(ListAgg, &[2], SqlType::STRING),
        ];
        operator(input, &[0], calls, true)
    });
}

#[test]
fn types_of_sums_and_averages() {
    run_script("group_types", |input| {
        let decimal = |precision, scale| SqlType::Decimal { precision, scale };
        let calls = vec![
            call(Avg, &[0], SqlType::Int),
            call(Avg, &[1], SqlType::BigInt),
            call(Avg, &[2], decimal(38, 6)),
            call(Avg, &[3], SqlType::Double),
            call(Sum, &[0], SqlType::Int),
            call(Sum, &[1], SqlType::BigInt),
            call(Sum, &[2], decimal(38, 2)),
            call(Sum, &[3], SqlType::Double),
            call(Count, &[], SqlType::BigInt),
            call(Count, &[1], SqlType::BigInt),
            distinct(call(Count, &[1], SqlType::BigInt)),
        ];
        operator(input, &[], calls, false)
    });
}
