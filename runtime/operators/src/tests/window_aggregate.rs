use super::{call, output_schema};
use crate::Operator;
use crate::event_script::run_script;
use crate::session_aggregate::SessionAggregate;
use crate::window_aggregate::WindowAggregate;
use arrow::datatypes::{Field, SchemaRef};
use weir_types::AggregateFunction::*;
use weir_types::{
    AggregateCall, OperatorId, SqlType, WindowAggregateSpec, WindowProperty, WindowSpec, WindowTime,
};

pub(crate) fn bounds() -> Vec<Field> {
    ["ws", "we"].map(|name| SqlType::Timestamp(3).to_field(name, false)).to_vec()
}

pub(crate) fn spec(
    window: WindowSpec,
    keys: &[usize],
    aggregates: Vec<AggregateCall>,
) -> WindowAggregateSpec {
    WindowAggregateSpec {
        window,
        time: WindowTime::RowTime(0),
        time_zone: None,
        keys: keys.to_vec(),
        aggregates,
        properties: vec![WindowProperty::Start, WindowProperty::End],
        input_retracts: false,
    }
}

pub(crate) fn operator(
    input: &SchemaRef,
    spec: WindowAggregateSpec,
    properties: Vec<Field>,
) -> Box<dyn Operator> {
    let schema = output_schema(input, &spec.keys, &spec.aggregates, properties);
    Box::new(WindowAggregate::new(&OperatorId::new("window"), &spec, input.clone(), schema).unwrap())
}

pub(crate) const TUMBLE: WindowSpec = WindowSpec::Tumble { size_ms: 10_000, offset_ms: 0 };
pub(crate) const HOP: WindowSpec = WindowSpec::Hop { size_ms: 10_000, slide_ms: 5_000, offset_ms: 0 };
pub(crate) const CUMULATE: WindowSpec =
    WindowSpec::Cumulate { max_size_ms: 10_000, step_ms: 5_000, offset_ms: 0 };

fn list(window: WindowSpec) -> impl Fn(&SchemaRef) -> Box<dyn Operator> + Clone {
    move |input| {
        let calls = vec![
            call(Count, &[], SqlType::BigInt),
            call(Sum, &[1], SqlType::Int),
            call(ListAgg, &[2], SqlType::STRING),
        ];
        operator(input, spec(window, &[], calls), bounds())
    }
}

/// The rows and watermarks of Flink's late.out.
#[test]
fn late_rows_of_each_window_function() {
    run_script("late_tumble", list(TUMBLE));
    run_script("late_hop", list(HOP));
    run_script("late_cumulate", list(CUMULATE));
}

/// Two keys, NULL and DISTINCT: the values that two slices share count once.
#[test]
fn distinct_over_merged_slices() {
    for (name, window) in [("distinct_hop", HOP), ("distinct_cumulate", CUMULATE)] {
        run_script(name, move |input| {
            let distinct = |mut call: AggregateCall| {
                call.distinct = true;
                call
            };
            let count = distinct(call(Count, &[2], SqlType::BigInt));
            let mut filtered = count.clone();
            filtered.filter = Some(3);
            let calls = vec![count, filtered, distinct(call(ListAgg, &[2], SqlType::STRING))];
            operator(input, spec(window, &[1], calls), bounds())
        });
    }
}

#[test]
fn rows_that_are_taken_back_from_windows() {
    run_script("window_retract", |input| {
        let mut count = call(Count, &[2], SqlType::BigInt);
        count.distinct = true;
        let calls = vec![call(Count, &[], SqlType::BigInt), call(Max, &[2], SqlType::Int), count];
        let mut spec = spec(HOP, &[1], calls);
        spec.input_retracts = true;
        operator(input, spec, bounds())
    });
}

/// A day in Shanghai begins at 16:00 UTC; the rowtime property is a point of time again.
#[test]
fn windows_on_the_wall_clock_of_a_zone() {
    run_script("window_zone", |input| {
        let day = WindowSpec::Tumble { size_ms: 86_400_000, offset_ms: 0 };
        let mut spec = spec(day, &[], vec![call(Count, &[], SqlType::BigInt)]);
        spec.time_zone = Some("Asia/Shanghai".into());
        spec.properties.push(WindowProperty::RowTime);
        let mut fields = bounds();
        fields.push(SqlType::TimestampLtz(3).to_field("wt", false));
        operator(input, spec, fields)
    });
}

#[test]
fn windows_of_the_clock() {
    run_script("window_proctime", |input| {
        let mut spec = spec(HOP, &[1], vec![call(Count, &[], SqlType::BigInt)]);
        spec.time = WindowTime::ProcTime;
        operator(input, spec, bounds())
    });
}

#[test]
fn rows_that_carry_their_windows() {
    for (name, window) in [("attached_hop", HOP), ("attached_session", WindowSpec::Session { gap_ms: 1_000 })]
    {
        run_script(name, move |input| {
            let mut spec = spec(window, &[2], vec![call(Sum, &[3], SqlType::BigInt)]);
            spec.time = WindowTime::Attached { start: 0, end: 1, proctime: false };
            operator(input, spec, bounds())
        });
    }
}

fn sessions(retracts: bool) -> impl Fn(&SchemaRef) -> Box<dyn Operator> + Clone {
    move |input| {
        let mut count = call(Count, &[2], SqlType::BigInt);
        count.distinct = true;
        let calls = vec![call(Count, &[], SqlType::BigInt), count, call(ListAgg, &[2], SqlType::STRING)];
        let mut spec = spec(WindowSpec::Session { gap_ms: 10_000 }, &[1], calls);
        spec.input_retracts = retracts;
        let schema = output_schema(input, &spec.keys, &spec.aggregates, bounds());
        let id = OperatorId::new("session");
        Box::new(SessionAggregate::new(&id, &spec, 10_000, input.clone(), schema).unwrap())
    }
}

/// The rows of Flink's session.out, then late rows.
#[test]
fn sessions_that_touch_and_merge() {
    run_script("session", sessions(false));
    run_script("session_retract", sessions(true));
}
