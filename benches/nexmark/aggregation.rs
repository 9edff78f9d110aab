//! Keyed aggregation of generated rows against DataFusion's batch GROUP BY on the same kind of rows in memory.

use crate::process::{best_of, run_sql};
use crate::report;
use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of the window and hop cases: 10 windows of a million rows over a million keys.
const WINDOW_ROWS: u64 = 10_000_000;
const WINDOW_KEYS: u64 = 1_000_000;
/// Rows and keys of the case without a window.
const GROUP_ROWS: u64 = 20_000_000;
const GROUP_KEYS: u64 = 10_000_000;

fn source(rows: u64, keys: u64) -> String {
    format!(
        "CREATE TABLE src (
           id BIGINT, k BIGINT, v BIGINT, ts AS TO_TIMESTAMP_LTZ(1577836800000 + id / 100, 3),
           WATERMARK FOR ts AS ts
         ) WITH (
           'connector' = 'datagen', 'number-of-rows' = '{rows}', 'rows-per-second' = '2000000000',
           'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '{}',
           'fields.k.min' = '0', 'fields.k.max' = '{}', 'fields.v.min' = '0', 'fields.v.max' = '1000000'
         );",
        rows - 1,
        keys - 1
    )
}

fn windowed(window: &str) -> String {
    format!(
        "CREATE TABLE snk (k BIGINT, ws TIMESTAMP(3), c BIGINT, s BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
         INSERT INTO snk SELECT k, window_start, COUNT(*), SUM(v), MAX(v)
         FROM TABLE({window}) GROUP BY k, window_start, window_end;"
    )
}

/// Runs one case at each parallelism, the generator alone, and DataFusion on one thread, and prints them.
pub fn compare(case: &str, parallelism: &[u32], runs: u32) -> Result<(), String> {
    let (rows, keys, query) = match case {
        "window" => {
            (WINDOW_ROWS, WINDOW_KEYS, windowed("TUMBLE(TABLE src, DESCRIPTOR(ts), INTERVAL '10' SECOND)"))
        }
        "hop" => (
            WINDOW_ROWS,
            WINDOW_KEYS,
            windowed("HOP(TABLE src, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND)"),
        ),
        _ => (
            GROUP_ROWS,
            GROUP_KEYS,
            "CREATE TABLE snk (k BIGINT, c BIGINT, s BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
             INSERT INTO snk SELECT k, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k;"
                .to_string(),
        ),
    };
    let source = source(rows, keys);
    let bare = "CREATE TABLE snk (k BIGINT, v BIGINT, ts TIMESTAMP_LTZ(3)) WITH ('connector' = 'blackhole');
                INSERT INTO snk SELECT k, v, ts FROM src;";
    for &parallelism in parallelism {
        let alone = best_of(runs, || run_sql(&[], &format!("{source}{bare}"), &[], parallelism))?;
        report("(datagen)", "generator", parallelism, rows, &alone);
        let measured = best_of(runs, || run_sql(&[], &format!("{source}{query}"), &[], parallelism))?;
        report(case, "generator", parallelism, rows, &measured);
    }
    // A batch engine has no windows of event time: each window is a GROUP BY of its rows.
    let batch_rows = if case == "group" { rows } else { WINDOW_KEYS };
    let wall = (0..runs).map(|_| datafusion(batch_rows, keys)).min().unwrap_or(Duration::ZERO);
    println!(
        "{case:<12} DataFusion, one thread, rows in memory: {:.2} M rows/s",
        batch_rows as f64 / wall.as_secs_f64() / 1e6
    );
    Ok(())
}

/// The time of DataFusion's GROUP BY on `rows` rows over `keys` keys in memory.
fn datafusion(rows: u64, keys: u64) -> Duration {
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Int64, false),
    ]));
    let mut state = 1_u64;
    let mut random = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(state >> 1) * 2 * u128::from(bound)) >> 64) as i64
    };
    let mut batches = Vec::new();
    for start in (0..rows).step_by(8192) {
        let len = 8192.min(rows - start);
        let k: Int64Array = (0..len).map(|_| random(keys)).collect();
        let v: Int64Array = (0..len).map(|_| random(1_000_000)).collect();
        batches
            .push(RecordBatch::try_new(schema.clone(), vec![Arc::new(k), Arc::new(v)]).expect("two columns"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let table = MemTable::try_new(schema, vec![batches]).expect("a table");
        context.register_table("src", Arc::new(table)).expect("a free name");
        #[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
        let started = Instant::now();
        let frame =
            context.sql("SELECT k, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k").await.expect("a plan");
        let groups: usize = frame.collect().await.expect("a result").iter().map(RecordBatch::num_rows).sum();
        let elapsed = started.elapsed();
        assert!(groups > 0);
        elapsed
    })
}
