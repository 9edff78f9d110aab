use super::{call, output_schema};
use crate::event_script::{Harness, batch, run_script, schema};
use crate::group_aggregate::GroupAggregate;
use crate::{Operator, Output};
use arrow::datatypes::SchemaRef;
use weir_types::AggregateFunction::*;
use weir_types::{AggregateCall, GroupAggregateSpec, JobSettings, OperatorId, RowKind, SqlField, SqlType};

fn operator(
    input: &SchemaRef,
    keys: &[usize],
    aggregates: Vec<AggregateCall>,
    input_retracts: bool,
) -> Box<dyn Operator> {
    let schema = output_schema(input, keys, &aggregates, Vec::new());
    let spec = GroupAggregateSpec {
        keys: keys.to_vec(),
        aggregates,
        input_retracts,
        emit_update_before: true,
        ttl_ms: None,
        bundles: false,
        merges: None,
    };
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

/// Results of 600 KB each do not pile up in one batch, also where groups come and go within it.
#[test]
fn long_results_come_in_several_batches() {
    let input = schema("k STRING, s STRING");
    for retracts in [false, true] {
        let for_operator = input.clone();
        let mut harness = Harness::new(8192, move || {
            operator(&for_operator, &[0], vec![call(ListAgg, &[1], SqlType::STRING)], retracts)
        });
        let text = "x".repeat(600_000);
        let mut rows = vec![(RowKind::Insert, vec!["a", text.as_str()])];
        rows.extend((0..20).map(|_| (RowKind::Insert, vec!["a", "y"])));
        if retracts {
            rows.extend((0..20).map(|_| (RowKind::Delete, vec!["a", "y"])));
            rows.push((RowKind::Delete, vec!["a", text.as_str()]));
            rows.push((RowKind::Insert, vec!["a", "z"]));
        }
        harness.batch(batch(&input, &rows[..1]));
        harness.batch(batch(&input, &rows[1..]));
        assert!(harness.output.len() > 2, "{} batches", harness.output.len());
        let lines = harness.lines();
        let last = lines.last().unwrap();
        if retracts {
            assert_eq!(lines.len(), 1 + 2 * 40 + 2);
            assert!(lines[lines.len() - 2].starts_with("-D a xxx"));
            assert_eq!(last, "+I a z");
        } else {
            assert_eq!(lines.len(), 1 + 2 * 20);
            assert_eq!(last.len(), "+U a ".len() + 600_000 + 2 * 20);
        }
    }
}

#[test]
fn without_update_before_only_the_new_row_comes() {
    let input = schema("k STRING, v INT");
    let for_operator = input.clone();
    let mut harness = Harness::new(8192, move || {
        let calls = vec![call(Max, &[1], SqlType::Int)];
        let schema = output_schema(&for_operator, &[0], &calls, Vec::new());
        let spec = GroupAggregateSpec {
            keys: vec![0],
            aggregates: calls,
            input_retracts: false,
            emit_update_before: false,
            ttl_ms: None,
            bundles: false,
            merges: None,
        };
        let (id, settings) = (OperatorId::new("agg"), JobSettings::default());
        Box::new(GroupAggregate::new(&id, &spec, for_operator.clone(), schema, &settings).unwrap())
    });
    let rows = ["1", "1", "3"].map(|value| (RowKind::Insert, vec!["a", value]));
    harness.batch(batch(&input, &rows));
    assert_eq!(harness.lines(), ["+I a 1", "+U a 3"]);
}

/// Idle groups are forgotten, and results come even if they stay the same, so that state downstream lives on.
#[test]
fn groups_with_a_time_to_live() {
    let input = schema("k STRING, v INT");
    let for_operator = input.clone();
    let mut harness = Harness::new(8192, move || {
        let calls = vec![call(Max, &[1], SqlType::Int)];
        let schema = output_schema(&for_operator, &[0], &calls, Vec::new());
        let spec = GroupAggregateSpec {
            keys: vec![0],
            aggregates: calls,
            input_retracts: false,
            emit_update_before: true,
            ttl_ms: None,
            bundles: false,
            merges: None,
        };
        let settings = JobSettings { state_ttl_ms: 1_000, ..JobSettings::default() };
        let id = OperatorId::new("agg");
        Box::new(GroupAggregate::new(&id, &spec, for_operator.clone(), schema, &settings).unwrap())
    });
    let row = batch(&input, &[(RowKind::Insert, vec!["a", "1"])]);
    for time in [10_000, 10_900, 11_899, 12_899] {
        harness.time(time);
        harness.batch(row.clone());
    }
    assert_eq!(harness.lines(), ["+I a 1", "-U a 1", "+U a 1", "-U a 1", "+U a 1", "+I a 1"]);
}

#[test]
fn functions_that_cannot_take_rows_back_are_refused() {
    let input = schema("v INT");
    let spec = GroupAggregateSpec {
        keys: Vec::new(),
        aggregates: vec![call(BitAnd, &[0], SqlType::Int)],
        input_retracts: true,
        emit_update_before: true,
        ttl_ms: None,
        bundles: false,
        merges: None,
    };
    let schema = output_schema(&input, &[], &spec.aggregates, Vec::new());
    let id = OperatorId::new("agg");
    let created = GroupAggregate::new(&id, &spec, input, schema, &JobSettings::default());
    let error = created.err().unwrap().to_string();
    assert!(error.starts_with("BIT_AND(INT) cannot take rows back"), "{error}");
}

/// COLLECT, ARRAY_AGG, the variance family, SINGLE_VALUE.
#[test]
fn collections_and_variances() {
    run_script("group_collections", |input| {
        let item = Box::new(SqlField::new("item", SqlType::Int, true));
        let calls = vec![
            call(Collect, &[0], SqlType::Multiset(Box::new(SqlField::new("key", SqlType::Int, false)))),
            call(ArrayAgg, &[0], SqlType::Array(item)),
            call(StddevPop, &[1], SqlType::Double),
            call(VarSamp, &[1], SqlType::Double),
            call(BoolOr, &[2], SqlType::Boolean),
        ];
        operator(input, &[], calls, false)
    });
}

#[test]
fn json_values() {
    run_script("group_json", |input| {
        let json = |function, arguments: &[usize]| call(function, arguments, SqlType::STRING);
        let calls = vec![
            json(JsonObjectAgg { absent_on_null: false }, &[0, 1]),
            json(JsonObjectAgg { absent_on_null: true }, &[0, 1]),
            json(JsonArrayAgg { absent_on_null: false }, &[1]),
            json(JsonArrayAgg { absent_on_null: true }, &[1]),
        ];
        operator(input, &[], calls, true)
    });
}

#[test]
fn a_key_of_a_json_object_comes_once() {
    let input = schema("k STRING, v STRING");
    let function = JsonObjectAgg { absent_on_null: false };
    let build = move || {
        operator(&schema("k STRING, v STRING"), &[], vec![call(function, &[0, 1], SqlType::STRING)], true)
    };
    for second in ["a", "NULL"] {
        let mut operator = build();
        let mut harness = Harness::new(1, build);
        let context = &mut harness.context;
        context.keyed = weir_state::KeyedStateBackend::new(context.keyed.key_groups(), 128);
        operator.open(context).unwrap();
        let rows = batch(&input, &[(RowKind::Insert, vec!["a", "1"]), (RowKind::Insert, vec![second, "2"])]);
        let error = operator.on_batch(0, rows, context, &mut Output::default()).unwrap_err();
        assert!(error.to_string().contains("key"), "{error}");
    }
}

#[test]
fn a_scalar_subquery_of_two_rows_fails() {
    let input = schema("v INT");
    for retracts in [false, true] {
        let mut operator = operator(&input, &[], vec![call(SingleValue, &[0], SqlType::Int)], retracts);
        let for_harness = input.clone();
        let mut harness =
            Harness::new(1, move || super::group_aggregate::operator(&for_harness, &[], Vec::new(), false));
        let context = &mut harness.context;
        context.keyed = weir_state::KeyedStateBackend::new(context.keyed.key_groups(), 128);
        operator.open(context).unwrap();
        let row = |kind, value| batch(&input, &[(kind, vec![value])]);
        let mut output = Output::default();
        operator.on_batch(0, row(RowKind::Insert, "1"), context, &mut output).unwrap();
        if retracts {
            operator.on_batch(0, row(RowKind::UpdateBefore, "1"), context, &mut output).unwrap();
            operator.on_batch(0, row(RowKind::UpdateAfter, "2"), context, &mut output).unwrap();
        }
        let error = operator.on_batch(0, row(RowKind::Insert, "3"), context, &mut output).unwrap_err();
        assert!(error.to_string().contains("more than one row"), "{error}");
    }
}
