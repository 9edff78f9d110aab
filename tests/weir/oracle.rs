//! A free oracle: the changelog of a streaming query over bounded input, folded to its final rows, equals DataFusion's
//! batch answer over the same rows, whatever the parallelism and however rows fall into files and batches.

use crate::process::{lines_below, run_sql};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::json::ArrayWriter;
use datafusion::prelude::SessionContext;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// A small generator: the same rows for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 1) * 2 * u128::from(bound)) >> 64) as u64
    }
}

pub(crate) struct Row {
    k: Option<String>,
    v: Option<i64>,
    /// milliseconds since the start of 2020; at most five seconds behind any earlier row
    ms: i64,
}

pub(crate) fn rows(random: &mut Random) -> Vec<Row> {
    let count = [0, 1, 2, 50, 400][random.below(5) as usize];
    let keys = 1 + random.below(12);
    let step = 1 + random.below(2000);
    let mut now = random.below(30_000) as i64;
    (0..count)
        .map(|_| {
            now += random.below(step) as i64;
            let k = random.below(keys + 1);
            let v = random.below(20);
            Row {
                k: (k > 0).then(|| format!("k{k}")),
                v: (v > 0).then_some(v as i64 - 10),
                ms: (now - random.below(5000) as i64).max(0),
            }
        })
        .collect()
}

/// Milliseconds of 2020-01-01, a multiple of every window of these tests.
const BASE_MS: i64 = 1_577_836_800_000;

pub(crate) fn write_files(rows: &[Row], folder: &Path) {
    let instant = |ms: i64| {
        chrono::DateTime::from_timestamp_millis(BASE_MS + ms).expect("a time").format("%Y-%m-%d %H:%M:%S%.3f")
    };
    let mut text = String::new();
    for row in rows {
        let (k, v) = (serde_json::json!(row.k), serde_json::json!(row.v));
        writeln!(text, "{{\"k\":{k},\"v\":{v},\"ts\":\"{}\"}}", instant(row.ms))
            .expect("a String takes text");
    }
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("rows.json"), text).expect("a file");
}

fn batch(rows: &[Row]) -> RecordBatch {
    let k: StringArray = rows.iter().map(|row| row.k.as_deref()).collect();
    let v: Int64Array = rows.iter().map(|row| row.v).collect();
    let ms: Int64Array = rows.iter().map(|row| Some(row.ms)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![("k", Arc::new(k)), ("v", Arc::new(v)), ("ms", Arc::new(ms))];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("three columns of one length")
}

/// One text a row: its members with NULLs left out, in the order of their names.
fn canonical(row: &Value) -> String {
    let members = row.as_object().expect("a row object");
    let known: BTreeMap<&String, &Value> = members.iter().filter(|(_, value)| !value.is_null()).collect();
    serde_json::to_string(&known).expect("JSON")
}

pub(crate) async fn batch_answer(rows: &[Row], sql: &str) -> Vec<String> {
    let context = SessionContext::new();
    context.register_batch("t", batch(rows)).expect("a free name");
    let batches = context.sql(sql).await.expect("a plan").collect().await.expect("a result");
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>()).expect("rows as JSON");
    writer.finish().expect("an end");
    let text = writer.into_inner();
    let rows: Vec<Value> =
        if text.is_empty() { Vec::new() } else { serde_json::from_slice(&text).expect("JSON") };
    let mut rows: Vec<String> = rows.iter().map(canonical).collect();
    rows.sort();
    rows
}

/// The final rows of the query's changelog.
pub(crate) fn streamed_answer(folder: &Path, columns: &str, query: &str, parallelism: u64) -> Vec<String> {
    streamed_with("", folder, columns, query, parallelism)
}

/// The same after `settings`.
fn streamed_with(settings: &str, folder: &Path, columns: &str, query: &str, parallelism: u64) -> Vec<String> {
    let (input, output) = (folder.join("in"), folder.join("out"));
    let sql = format!(
        "{settings} CREATE TABLE t (k STRING, v BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '6' SECOND)
         WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json');
         CREATE TABLE folded ({columns})
         WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'debezium-json');
         INSERT INTO folded {query};",
        input.display(),
        output.display()
    );
    run_sql(&sql, &["--set", &format!("parallelism.default={parallelism}")]).succeeded();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for line in lines_below(&output) {
        let change: Value = serde_json::from_str(&line).expect("JSON");
        let (row, step) = if change["op"] == "c" { (&change["after"], 1) } else { (&change["before"], -1) };
        *counts.entry(canonical(row)).or_default() += step;
    }
    std::fs::remove_dir_all(&output).ok();
    let mut rows = Vec::new();
    for (row, count) in counts {
        assert!(count >= 0, "{query} retracts {row} more often than it inserts it");
        rows.extend(std::iter::repeat_n(row, usize::try_from(count).expect("a count")));
    }
    rows
}

struct Case {
    columns: &'static str,
    flink: &'static str,
    /// over t (k, v, ms); windows as milliseconds since the start of 2020
    batch: &'static str,
}

const WINDOW_MS: &str = "TIMESTAMPDIFF(SECOND, TIMESTAMP '2020-01-01 00:00:00', window_start) * 1000 AS ws,
    TIMESTAMPDIFF(SECOND, TIMESTAMP '2020-01-01 00:00:00', window_end) * 1000 AS we";

const CASES: [Case; 11] = [
    Case {
        columns: "k STRING, c BIGINT, cv BIGINT, s BIGINT, mn BIGINT, mx BIGINT, a DOUBLE",
        flink: "SELECT k, COUNT(*), COUNT(v), SUM(v), MIN(v), MAX(v), AVG(CAST(v AS DOUBLE)) FROM t GROUP BY k",
        batch: "SELECT k, COUNT(*) c, COUNT(v) cv, SUM(v) s, MIN(v) mn, MAX(v) mx, AVG(CAST(v AS DOUBLE)) a
                FROM t GROUP BY k",
    },
    Case {
        columns: "k STRING, cd BIGINT, cf BIGINT, sd BIGINT, c BIGINT",
        flink: "SELECT k, COUNT(DISTINCT v), COUNT(DISTINCT v) FILTER (WHERE v > 0), SUM(DISTINCT v),
                COUNT(*) FILTER (WHERE v > 3) FROM t GROUP BY k HAVING COUNT(*) > 2",
        batch: "SELECT k, COUNT(DISTINCT v) cd, COUNT(DISTINCT v) FILTER (WHERE v > 0) cf, SUM(DISTINCT v) sd,
                COUNT(*) FILTER (WHERE v > 3) c FROM t GROUP BY k HAVING COUNT(*) > 2",
    },
    Case {
        columns: "c BIGINT, n BIGINT, s BIGINT",
        flink: "SELECT c, COUNT(*), SUM(s) FROM (SELECT k, COUNT(*) AS c, SUM(v) AS s FROM t GROUP BY k) GROUP BY c",
        batch: "SELECT c, COUNT(*) n, SUM(s) s FROM (SELECT k, COUNT(*) c, SUM(v) s FROM t GROUP BY k) x GROUP BY c",
    },
    Case {
        columns: "mn BIGINT, mx BIGINT, cd BIGINT",
        // batch SQL gives a row over nothing, a stream none: the group by a constant gives none in both
        flink: "SELECT mn, mx, cd FROM (SELECT g, MIN(s) AS mn, MAX(s) AS mx, COUNT(DISTINCT c) AS cd FROM
                (SELECT 1 AS g, k, SUM(v) AS s, COUNT(*) AS c FROM t GROUP BY k) GROUP BY g)",
        batch: "SELECT MIN(s) mn, MAX(s) mx, COUNT(DISTINCT c) cd FROM
                (SELECT 1 AS g, k, SUM(v) s, COUNT(*) c FROM t GROUP BY k) x GROUP BY g",
    },
    Case {
        columns: "k STRING, v BIGINT",
        flink: "SELECT DISTINCT k, v FROM t WHERE v > 0 OR v IS NULL",
        batch: "SELECT DISTINCT k, v FROM t WHERE v > 0 OR v IS NULL",
    },
    Case {
        columns: "k STRING, v BIGINT, c BIGINT",
        flink: "SELECT k, v, COUNT(*) FROM t GROUP BY GROUPING SETS ((k, v), (k), ())",
        batch: "SELECT k, v, COUNT(*) c FROM t GROUP BY GROUPING SETS ((k, v), (k), ()) HAVING COUNT(*) > 0",
    },
    Case {
        columns: "k STRING, v BIGINT",
        flink: "SELECT k, v * 2 FROM t WHERE v >= 0 UNION ALL SELECT k, -v FROM t WHERE k IS NOT NULL",
        batch: "SELECT k, v * 2 AS v FROM t WHERE v >= 0 UNION ALL SELECT k, -v AS v FROM t WHERE k IS NOT NULL",
    },
    Case {
        columns: "k STRING, ws BIGINT, we BIGINT, c BIGINT, s BIGINT, mx BIGINT",
        flink: "SELECT k, {w}, COUNT(*), SUM(v), MAX(v)
                FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end",
        batch: "SELECT k, ms / 10000 * 10000 ws, ms / 10000 * 10000 + 10000 we, COUNT(*) c, SUM(v) s, MAX(v) mx
                FROM t GROUP BY k, ms / 10000",
    },
    Case {
        columns: "k STRING, ws BIGINT, we BIGINT, c BIGINT, cd BIGINT",
        flink: "SELECT k, {w}, COUNT(*), COUNT(DISTINCT v)
                FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND))
                GROUP BY k, window_start, window_end",
        batch: "SELECT k, e - 6000 ws, e we, COUNT(*) c, COUNT(DISTINCT v) cd FROM (
                  SELECT k, v, (ms / 2000 + 1) * 2000 e FROM t
                  UNION ALL SELECT k, v, (ms / 2000 + 2) * 2000 e FROM t
                  UNION ALL SELECT k, v, (ms / 2000 + 3) * 2000 e FROM t
                ) x GROUP BY k, e",
    },
    Case {
        columns: "ws BIGINT, we BIGINT, c BIGINT, mn BIGINT",
        flink: "SELECT {w}, COUNT(*), MIN(v)
                FROM TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND))
                GROUP BY window_start, window_end",
        batch: "SELECT s ws, e we, COUNT(*) c, MIN(v) mn FROM (
                  SELECT ms / 15000 * 15000 s, ms / 15000 * 15000 + 5000 e, ms, v FROM t
                  UNION ALL SELECT ms / 15000 * 15000 s, ms / 15000 * 15000 + 10000 e, ms, v FROM t
                  UNION ALL SELECT ms / 15000 * 15000 s, ms / 15000 * 15000 + 15000 e, ms, v FROM t
                ) x WHERE ms < e GROUP BY s, e",
    },
    Case {
        columns: "ws BIGINT, we BIGINT, n BIGINT, s BIGINT",
        flink: "SELECT {w}, COUNT(*), SUM(c) FROM TABLE(TUMBLE(DATA => TABLE per_key, TIMECOL => DESCRIPTOR(wt),
                SIZE => INTERVAL '20' SECOND)) GROUP BY window_start, window_end",
        batch: "SELECT w / 2 * 20000 ws, w / 2 * 20000 + 20000 we, COUNT(*) n, SUM(c) s FROM
                (SELECT k, ms / 10000 w, COUNT(*) c FROM t GROUP BY k, ms / 10000) x GROUP BY w / 2",
    },
];

#[test]
fn streams_fold_to_the_batch_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for seed in 0..8 {
        let mut random = Random(seed);
        let rows = rows(&mut random);
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_files(&rows, &folder.path().join("in"));
        for case in &CASES {
            let parallelism = 1 + random.below(3);
            let query = case.flink.replace("{w}", WINDOW_MS).replace(
                "TABLE per_key",
                "TABLE (SELECT k, window_time AS wt, COUNT(*) AS c
                 FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND))
                 GROUP BY k, window_start, window_end, window_time)",
            );
            let streamed = streamed_answer(folder.path(), case.columns, &query, parallelism);
            let batch = runtime.block_on(batch_answer(&rows, case.batch));
            assert_eq!(
                streamed,
                batch,
                "seed {seed}, {} rows, parallelism {parallelism}: {query}",
                rows.len()
            );
        }
    }
}

/// Sessions have no counterpart in batch SQL: the model is a sort and a scan.
const SPLIT: &str = "SET 'table.optimizer.distinct-agg.split.enabled' = 'true';
    SET 'table.optimizer.distinct-agg.split.bucket-num' = '5';";
const MINI_BATCH: &str = "SET 'table.exec.mini-batch.enabled' = 'true';
    SET 'table.exec.mini-batch.allow-latency' = '20 ms'; SET 'table.exec.mini-batch.size' = '7';";
const NOT_INCREMENTAL: &str = "SET 'table.optimizer.incremental-agg-enabled' = 'false';";

#[tokio::test]
async fn buckets_of_distinct_values_fold_to_the_batch_answer() {
    let columns = "g STRING, c BIGINT, cd BIGINT, sd BIGINT, cf BIGINT, s BIGINT, mn BIGINT, mx BIGINT";
    let calls =
        "COUNT(*) c, COUNT(DISTINCT v) cd, SUM(DISTINCT v) sd, COUNT(DISTINCT v) FILTER (WHERE v > 0) cf,
        SUM(v) s, MIN(v) mn, MAX(v) mx";
    let over_changes = format!(
        "SELECT g, {calls} FROM (SELECT k, MIN(k) AS g, COUNT(*) AS v FROM t GROUP BY k) x GROUP BY g"
    );
    let queries = [
        format!("SELECT k AS g, {calls} FROM t GROUP BY k"),
        format!("SELECT g, {calls} FROM (SELECT 'all' AS g, v FROM t) x GROUP BY g"),
        over_changes,
    ];
    let settings =
        [SPLIT.to_string(), format!("{SPLIT}{MINI_BATCH}"), format!("{SPLIT}{MINI_BATCH}{NOT_INCREMENTAL}")];
    for seed in 0..9_u64 {
        let mut random = Random(seed + 77);
        let rows = rows(&mut random);
        let folder = tempfile::tempdir().expect("a folder");
        write_files(&rows, &folder.path().join("in"));
        let query = &queries[seed as usize % 3];
        let parallelism = 2 + random.below(3);
        let settings = &settings[random.below(3) as usize];
        let streamed = streamed_with(settings, folder.path(), columns, query, parallelism);
        let expected = batch_answer(&rows, query).await;
        assert_eq!(streamed, expected, "seed {seed}, parallelism {parallelism}: {settings} {query}");
    }
}

#[test]
fn two_steps_are_planned_where_distinct_is_split() {
    let table = "CREATE TABLE t (k STRING, v BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '1');";
    let explained = |parallelism: u32, settings: &str, select: &str| {
        let set = format!("parallelism.default={parallelism}");
        let sql = format!("{table} {settings} EXPLAIN SELECT {select} FROM t GROUP BY k;");
        let text = run_sql(&sql, &["--set", &set]).succeeded().stdout;
        let plan = text.split("Optimized Execution Plan").nth(1).unwrap_or_default().to_string();
        (plan.matches("GroupAggregate(").count(), plan.matches("LocalGroupAggregate(").count())
    };
    let distinct = "k, COUNT(DISTINCT v), SUM(v)";
    assert_eq!(explained(4, SPLIT, distinct), (2, 0));
    let both = format!("{SPLIT}{MINI_BATCH}");
    assert_eq!(explained(4, &both, distinct), (3, 1));
    assert_eq!(explained(4, &format!("{both}{NOT_INCREMENTAL}"), distinct), (2, 0));
    // One step is as well.
    assert_eq!(explained(1, SPLIT, distinct), (1, 0));
    assert_eq!(explained(4, "", distinct), (1, 0));
    assert_eq!(explained(4, SPLIT, "k, SUM(v)"), (1, 0));
    assert_eq!(explained(4, SPLIT, "k, COUNT(DISTINCT v), AVG(v)"), (1, 0));
    assert_eq!(explained(4, SPLIT, "COUNT(DISTINCT v), COUNT(DISTINCT k)"), (1, 0));
}

#[test]
fn sessions_equal_a_scan_of_the_sorted_rows() {
    for seed in 100..108 {
        let mut random = Random(seed);
        let rows = rows(&mut random);
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_files(&rows, &folder.path().join("in"));
        let query = format!(
            "SELECT k, {WINDOW_MS}, COUNT(*) FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts),
             INTERVAL '3' SECOND)) GROUP BY k, window_start, window_end"
        )
        .replace("TIMESTAMPDIFF(SECOND, TIMESTAMP '2020-01-01 00:00:00', window_start) * 1000", "{ws}")
        .replace("TIMESTAMPDIFF(SECOND, TIMESTAMP '2020-01-01 00:00:00', window_end) * 1000", "{we}")
        .replace("{ws}", "CAST(window_start AS STRING)")
        .replace("{we}", "CAST(window_end AS STRING)");
        let columns = "k STRING, ws STRING, we STRING, c BIGINT";
        let streamed = streamed_answer(folder.path(), columns, &query, 1 + random.below(3));
        assert_eq!(streamed, sessions(&rows, 3000), "seed {seed}, {} rows", rows.len());
    }
}

fn sessions(rows: &[Row], gap: i64) -> Vec<String> {
    let mut by_key: BTreeMap<&Option<String>, Vec<i64>> = BTreeMap::new();
    for row in rows {
        by_key.entry(&row.k).or_default().push(row.ms);
    }
    let text = |ms: i64| {
        let time = chrono::DateTime::from_timestamp_millis(BASE_MS + ms).expect("a time");
        time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
    };
    let mut found = Vec::new();
    for (key, mut times) in by_key {
        times.sort_unstable();
        let mut open: Option<(i64, i64, i64)> = None;
        let mut close = |session: Option<(i64, i64, i64)>| {
            if let Some((start, end, count)) = session {
                let row = serde_json::json!({"k": key, "ws": text(start), "we": text(end), "c": count});
                found.push(canonical(&row));
            }
        };
        for ms in times {
            open = match open {
                Some((start, end, count)) if ms <= end => Some((start, end.max(ms + gap), count + 1)),
                other => {
                    close(other);
                    Some((ms, ms + gap, 1))
                }
            };
        }
        close(open);
    }
    found.sort();
    found
}
