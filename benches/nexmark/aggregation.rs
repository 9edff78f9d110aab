//! Keyed aggregation of generated rows against DataFusion's batch GROUP BY on the same kind of rows in memory.

use crate::process::{best_of, cpu_time, run_sql};
use crate::report;
use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use std::time::Duration;

/// COUNT(*), SUM(v) and MAX(v) of rows with a random key.
pub struct Case {
    pub name: &'static str,
    shape: Shape,
    rows: u64,
    keys: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Tumble,
    Hop,
    /// no window: a changelog
    Group,
}

/// Rows that come in a second of event time.
const ROWS_PER_SECOND: u64 = 500_000;

const fn windowed(name: &'static str, shape: Shape, keys: u64) -> Case {
    Case { name, shape, rows: 20_000_000, keys }
}

pub const CASES: [Case; 7] = [
    windowed("tumble_1k", Shape::Tumble, 1_000),
    windowed("hop_1k", Shape::Hop, 1_000),
    windowed("tumble_100k", Shape::Tumble, 100_000),
    windowed("hop_100k", Shape::Hop, 100_000),
    windowed("tumble_1m", Shape::Tumble, 1_000_000),
    windowed("hop_1m", Shape::Hop, 1_000_000),
    Case { name: "group_10m", shape: Shape::Group, rows: 20_000_000, keys: 10_000_000 },
];

impl Case {
    fn source(&self) -> String {
        format!(
            "CREATE TABLE src (
               id BIGINT, k BIGINT, v BIGINT, ts AS TO_TIMESTAMP_LTZ(1577836800000 + id / {}, 3),
               WATERMARK FOR ts AS ts
             ) WITH (
               'connector' = 'datagen', 'number-of-rows' = '{}', 'rows-per-second' = '2000000000',
               'fields.id.kind' = 'sequence', 'fields.id.start' = '0', 'fields.id.end' = '{}',
               'fields.k.min' = '0', 'fields.k.max' = '{}', 'fields.v.min' = '0', 'fields.v.max' = '1000000'
             );",
            ROWS_PER_SECOND / 1000,
            self.rows,
            self.rows - 1,
            self.keys - 1
        )
    }

    fn query(&self) -> String {
        let window = match self.shape {
            Shape::Tumble => "TUMBLE(TABLE src, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
            Shape::Hop => "HOP(TABLE src, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '10' SECOND)",
            Shape::Group => {
                return "CREATE TABLE snk (k BIGINT, c BIGINT, s BIGINT, m BIGINT) WITH ('connector' = 'blackhole');
                        INSERT INTO snk SELECT k, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k;"
                    .to_string();
            }
        };
        format!(
            "CREATE TABLE snk (k BIGINT, ws TIMESTAMP(3), c BIGINT, s BIGINT, m BIGINT)
               WITH ('connector' = 'blackhole');
             INSERT INTO snk SELECT k, window_start, COUNT(*), SUM(v), MAX(v)
             FROM TABLE({window}) GROUP BY k, window_start, window_end;"
        )
    }

    /// What a batch engine does with the same rows. It has no windows of event time: a tumbling window is a column.
    fn batch_queries(&self) -> &'static [(&'static str, &'static str)] {
        const BY_KEY: (&str, &str) = ("k", "SELECT k, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k");
        const BY_WINDOW: (&str, &str) =
            ("k, w", "SELECT k, w, COUNT(*), SUM(v), MAX(v) FROM src GROUP BY k, w");
        match self.shape {
            Shape::Tumble => &[BY_KEY, BY_WINDOW],
            Shape::Hop => &[],
            Shape::Group => &[BY_KEY],
        }
    }

    /// Runs the case at each parallelism, and the generator alone, and prints them.
    pub fn run(&self, parallelism: &[u32], runs: u32) -> Result<(), String> {
        let source = self.source();
        let bare =
            "CREATE TABLE snk (k BIGINT, v BIGINT, ts TIMESTAMP_LTZ(3)) WITH ('connector' = 'blackhole');
                    INSERT INTO snk SELECT k, v, ts FROM src;";
        for &parallelism in parallelism {
            let alone = best_of(runs, || run_sql(&[], &format!("{source}{bare}"), &[], parallelism))?;
            report("(datagen)", "generator", parallelism, self.rows, &alone);
            let query = self.query();
            let measured = best_of(runs, || run_sql(&[], &format!("{source}{query}"), &[], parallelism))?;
            report(self.name, "generator", parallelism, self.rows, &measured);
        }
        Ok(())
    }

    /// What DataFusion needs on one thread. It runs in this process: children that are started afterwards would be said
    /// to have used its memory.
    pub fn compare(&self, runs: u32) {
        let queries = self.batch_queries();
        if queries.is_empty() {
            return;
        }
        let batches = self.batches();
        for (keys, query) in queries {
            let cpu = (0..runs).map(|_| datafusion(&batches, query)).min().unwrap_or(Duration::ZERO);
            println!(
                "{:<12} memory      1 {:>39.2} DataFusion, GROUP BY {keys}",
                self.name,
                self.rows as f64 / cpu.as_secs_f64() / 1e6
            );
        }
    }

    /// Rows as the generator makes them: key, value and the number of the tumbling window.
    fn batches(&self) -> Vec<RecordBatch> {
        let field = |name| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![field("k"), field("v"), field("w")]));
        let mut state = 1_u64;
        let mut random = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((u128::from(state >> 1) * 2 * u128::from(bound)) >> 64) as i64
        };
        let mut batches = Vec::new();
        for start in (0..self.rows).step_by(8192) {
            let rows = start..self.rows.min(start + 8192);
            let k: Int64Array = rows.clone().map(|_| random(self.keys)).collect();
            let v: Int64Array = rows.clone().map(|_| random(1_000_000)).collect();
            let w: Int64Array = rows.map(|row| (row / (ROWS_PER_SECOND * 10)) as i64).collect();
            let columns = RecordBatch::try_new(schema.clone(), vec![Arc::new(k), Arc::new(v), Arc::new(w)]);
            batches.push(columns.expect("three columns"));
        }
        batches
    }
}

/// CPU time of a GROUP BY over `batches` in memory, on this thread.
fn datafusion(batches: &[RecordBatch], query: &str) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let table = MemTable::try_new(batches[0].schema(), vec![batches.to_vec()]).expect("a table");
        context.register_table("src", Arc::new(table)).expect("a free name");
        let started = cpu_time();
        let frame = context.sql(query).await.expect("a plan");
        let groups: usize = frame.collect().await.expect("a result").iter().map(RecordBatch::num_rows).sum();
        assert!(groups > 0);
        cpu_time() - started
    })
}
