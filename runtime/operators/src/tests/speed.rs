//! Rows a second and core (on Linux), for whoever asks: `cargo test --release --lib -p weir -p weir-operators
//! -- --ignored speed --nocapture --test-threads 1`. Prints; asserts nothing.

use super::window_aggregate::{bounds, spec};
use super::{call, output_schema};
use crate::event_script::{Harness, schema};
use crate::group_aggregate::GroupAggregate;
use crate::session_aggregate::SessionAggregate;
use crate::window_aggregate::WindowAggregate;
use crate::{Operator, OutputElement};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use weir_types::AggregateFunction::*;
use weir_types::{
    AggregateCall, ChangelogBatch, GroupAggregateSpec, JobSettings, OperatorId, SqlType, Watermark,
    WindowSpec,
};

const ROWS: usize = 8192;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }
}

fn longs(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.map(|value| value as i64).collect::<Int64Array>())
}

/// What this thread has spent on a processor: a busy machine does not show in it.
fn cpu_seconds() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    spent.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Feeds batches made beforehand, with a watermark after each, and says how fast.
fn measure(
    name: &str,
    batches: &[RecordBatch],
    time: Option<usize>,
    make: impl Fn() -> Box<dyn Operator> + 'static,
) {
    let mut harness = Harness::new(ROWS, make);
    let mut emitted = 0;
    let mut count = |harness: &mut Harness| {
        for element in harness.output.drain(..) {
            if let OutputElement::Batch(batch) = element {
                emitted += batch.num_rows();
            }
        }
    };
    let start = cpu_seconds();
    for batch in batches {
        harness.batch(ChangelogBatch::insert_only(batch.clone()));
        if let Some(time) = time {
            let times = batch.column(time).as_any().downcast_ref::<TimestampMillisecondArray>().unwrap();
            harness.watermark(Watermark(times.value(times.len() - 1) - 1));
        }
        count(&mut harness);
    }
    harness.watermark(Watermark::MAX);
    count(&mut harness);
    let seconds = cpu_seconds() - start;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    println!("{name:40} {:8.2} M rows/s, {emitted} rows out", rows as f64 / seconds / 1e6);
}

/// ts, key, value; `per_second` rows a second of event time.
fn keyed(rows: usize, keys: u64, per_second: u64) -> (SchemaRef, Vec<RecordBatch>) {
    let input = schema("ts TIMESTAMP(3), k BIGINT, v BIGINT");
    let mut random = Random(88_172_645_463_325_252);
    let batches = (0..rows / ROWS).map(|index| {
        let times = (0..ROWS as u64).map(|row| (index as u64 * ROWS as u64 + row) * 1_000 / per_second);
        let times: ArrayRef =
            Arc::new(TimestampMillisecondArray::from_iter_values(times.map(|time| time as i64)));
        let keys = longs((0..ROWS).map(|_| random.below(keys)));
        let values = longs((0..ROWS).map(|_| random.below(1_000)));
        RecordBatch::try_new(input.clone(), vec![times, keys, values]).unwrap()
    });
    let batches = batches.collect();
    (input, batches)
}

fn three() -> Vec<AggregateCall> {
    vec![
        call(Count, &[], SqlType::BigInt),
        call(Sum, &[2], SqlType::BigInt),
        call(Max, &[2], SqlType::BigInt),
    ]
}

fn windows(name: &str, window: WindowSpec, keys: &[usize], (input, batches): &(SchemaRef, Vec<RecordBatch>)) {
    let (input, spec) = (input.clone(), spec(window, keys, three()));
    measure(name, batches, Some(0), move || {
        let schema = output_schema(&input, &spec.keys, &spec.aggregates, bounds());
        let id = OperatorId::new("window");
        match window {
            WindowSpec::Session { gap_ms } => {
                Box::new(SessionAggregate::new(&id, &spec, gap_ms, input.clone(), schema).unwrap())
            }
            _ => Box::new(WindowAggregate::new(&id, &spec, input.clone(), schema).unwrap()),
        }
    });
}

fn groups(
    name: &str,
    keys: &[usize],
    aggregates: Vec<AggregateCall>,
    input: &SchemaRef,
    batches: &[RecordBatch],
) {
    let (input, keys) = (input.clone(), keys.to_vec());
    measure(name, batches, None, move || {
        let schema = output_schema(&input, &keys, &aggregates, Vec::new());
        let spec = GroupAggregateSpec {
            keys: keys.clone(),
            aggregates: aggregates.clone(),
            input_retracts: false,
            emit_update_before: true,
            ttl_ms: None,
            bundles: false,
            merges: None,
        };
        let (id, settings) = (OperatorId::new("agg"), JobSettings::default());
        Box::new(GroupAggregate::new(&id, &spec, input.clone(), schema, &settings).unwrap())
    });
}

#[test]
#[ignore = "measures"]
fn speed_of_windows() {
    let tumble = WindowSpec::Tumble { size_ms: 10_000, offset_ms: 0 };
    let hop = WindowSpec::Hop { size_ms: 10_000, slide_ms: 2_000, offset_ms: 0 };
    let cumulate = WindowSpec::Cumulate { max_size_ms: 10_000, step_ms: 2_000, offset_ms: 0 };
    let session = WindowSpec::Session { gap_ms: 100 };
    for keys in [1_000, 100_000, 1_000_000] {
        let rows = keyed(20_000_000, keys, 500_000);
        windows(&format!("tumble 10 s, {keys} keys"), tumble, &[1], &rows);
        windows(&format!("hop 10 s / 2 s, {keys} keys"), hop, &[1], &rows);
        windows(&format!("cumulate 10 s / 2 s, {keys} keys"), cumulate, &[1], &rows);
        windows(&format!("session 100 ms, {keys} keys"), session, &[1], &rows);
        if keys == 1_000 {
            windows("tumble 10 s, no key", tumble, &[], &rows);
        }
    }
}

#[test]
#[ignore = "measures"]
fn speed_of_groups() {
    for keys in [1_000, 1_000_000, 10_000_000] {
        let (input, batches) = keyed(20_000_000, keys, 500_000);
        let calls = vec![call(Count, &[], SqlType::BigInt), call(Sum, &[2], SqlType::BigInt)];
        groups(&format!("group by {keys} keys, count, sum"), &[1], calls, &input, &batches);
    }
    let (input, batches) = keyed(20_000_000, 1_000, 500_000);
    groups("global count, sum, max", &[], three(), &input, &batches);
    groups("global count", &[], vec![call(Count, &[], SqlType::BigInt)], &input, &batches);
}

/// channel, day, minute, bidder, auction, three filters on the price: what q15 and q16 aggregate.
#[test]
#[ignore = "measures"]
fn speed_of_distinct_counts() {
    let input = schema(
        "channel STRING, day STRING, minute STRING, bidder BIGINT, auction BIGINT, r1 BOOLEAN, r2 BOOLEAN, r3 BOOLEAN",
    );
    let mut random = Random(88_172_645_463_325_252);
    let batches: Vec<RecordBatch> = (0..4_000_000 / ROWS)
        .map(|index| {
            let channels: Vec<u64> = (0..ROWS).map(|_| random.below(10_000)).collect();
            let channel: ArrayRef = Arc::new(StringArray::from_iter_values(channels.iter().map(|channel| {
                if channel % 2 == 0 {
                    format!("channel-{channel}")
                } else {
                    ["Google", "Apple", "Baidu"][*channel as usize % 3].to_string()
                }
            })));
            let day: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|_| "2015-07-15")));
            let minute = (0..ROWS).map(|_| format!("{:02}:{:02}", index / 60 % 24, index % 60));
            let minute: ArrayRef = Arc::new(StringArray::from_iter_values(minute));
            let bidder = longs((0..ROWS).map(|_| random.below(1 + index as u64 * 200)));
            let auction = longs((0..ROWS).map(|_| random.below(1 + index as u64 * 500)));
            let prices: Vec<u64> = (0..ROWS).map(|_| 10_u64.pow(random.below(8) as u32)).collect();
            let filter = |keep: &dyn Fn(u64) -> bool| -> ArrayRef {
                Arc::new(BooleanArray::from(prices.iter().map(|price| keep(*price)).collect::<Vec<_>>()))
            };
            let filters = [
                filter(&|price| price < 10_000),
                filter(&|price| (10_000..1_000_000).contains(&price)),
                filter(&|price| price >= 1_000_000),
            ];
            let mut columns = vec![channel, day, minute, bidder, auction];
            columns.extend(filters);
            RecordBatch::try_new(input.clone(), columns).unwrap()
        })
        .collect();
    let mut calls = Vec::new();
    for (arguments, distinct) in [(&[][..], false), (&[3][..], true), (&[4][..], true)] {
        for filter in [None, Some(5), Some(6), Some(7)] {
            let mut count = call(Count, arguments, SqlType::BigInt);
            count.distinct = distinct;
            count.filter = filter;
            calls.push(count);
        }
    }
    groups("q15: 12 counts, 8 of them distinct", &[1], calls.clone(), &input, &batches);
    calls.insert(0, call(Max, &[2], SqlType::STRING));
    groups("q16: the same by channel, and MAX(text)", &[0, 1], calls, &input, &batches);
}

/// One partition of 100,000 rows that come in their order, or nearly.
#[test]
#[ignore = "takes time, asserts nothing"]
fn speed_of_over_in_one_partition() {
    use super::over_any_order::in_any_order;
    use super::over_around::around;
    for (name, batch, late) in [("in order", 1_000, 0), ("in order", 50, 0), ("nearly in order", 1_000, 200)]
    {
        let input = schema("id INT, k STRING, v INT, f BOOLEAN");
        let mut random = Random(88_172_645_463_325_252);
        let rows = 100_000;
        let batches: Vec<RecordBatch> = (0..rows / batch)
            .map(|index| {
                let ids = index * batch..(index + 1) * batch;
                let value = |id: usize| (id as u64).saturating_sub(random.below(late + 1)) as i32;
                let values: ArrayRef = Arc::new(ids.clone().map(value).collect::<arrow::array::Int32Array>());
                let keys: ArrayRef = Arc::new(ids.clone().map(|_| Some("k")).collect::<StringArray>());
                let flags: ArrayRef = Arc::new(ids.clone().map(|_| Some(true)).collect::<BooleanArray>());
                let ids: ArrayRef = Arc::new(ids.map(|id| id as i32).collect::<arrow::array::Int32Array>());
                RecordBatch::try_new(input.clone(), vec![ids, keys, values, flags]).unwrap()
            })
            .collect();
        for what in ["neighbours", "moving", "running", "ntile"] {
            if what == "ntile" && batch < 1_000 {
                continue;
            }
            let name = format!("{what}, {name}, batches of {batch}");
            let for_operator = input.clone();
            measure(&name, &batches, None, move || around(&for_operator, what));
        }
        let name = format!("any order, {name}, batches of {batch}");
        let for_operator = input.clone();
        if late == 0 {
            measure(&name, &batches, None, move || in_any_order(&for_operator));
        }
    }
}
