//! OVER against DataFusion's batch answer: several windows, any order, frames to both sides, over rows and over changes.
//!
//! Orders are by all columns, or RANGE: rows that are ordered alike are alike, so that it does not matter which is first.

use crate::oracle::{Random, batch_answer, rows, streamed_answer, write_files};

struct Case {
    columns: &'static str,
    flink: &'static str,
    batch: &'static str,
}

const CASES: [Case; 7] = [
    Case {
        columns: "k STRING, v BIGINT, la BIGINT, le BIGINT, s BIGINT, c BIGINT, n BIGINT, fv BIGINT",
        flink: "SELECT k, v, LAG(v) OVER w, LEAD(v, 2, CAST(-99 AS BIGINT)) OVER w,
                SUM(v) OVER (PARTITION BY k ORDER BY v, ts ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING),
                COUNT(*) OVER (PARTITION BY k ORDER BY v DESC RANGE BETWEEN 3 PRECEDING AND 1 FOLLOWING),
                NTH_VALUE(v, 2) OVER (PARTITION BY k ORDER BY v, ts ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING),
                FIRST_VALUE(v) OVER (PARTITION BY k ORDER BY v, ts ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING)
                FROM t WINDOW w AS (PARTITION BY k ORDER BY v, ts)",
        batch: "SELECT k, v, LAG(v) OVER w la, LEAD(v, 2, -99) OVER w le,
                SUM(v) OVER (PARTITION BY k ORDER BY v NULLS FIRST, ms ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) s,
                COUNT(*) OVER (PARTITION BY k ORDER BY v DESC NULLS LAST RANGE BETWEEN 3 PRECEDING AND 1 FOLLOWING) c,
                NTH_VALUE(v, 2) OVER (PARTITION BY k ORDER BY v NULLS FIRST, ms
                  ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) n,
                FIRST_VALUE(v) IGNORE NULLS OVER (PARTITION BY k ORDER BY v NULLS FIRST, ms
                  ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING) fv
                FROM t WINDOW w AS (PARTITION BY k ORDER BY v NULLS FIRST, ms)",
    },
    Case {
        columns: "k STRING, v BIGINT, n BIGINT, p DOUBLE, c DOUBLE, s BIGINT, a BIGINT, m BIGINT",
        flink: "SELECT k, v, NTILE(3) OVER w, PERCENT_RANK() OVER w, CUME_DIST() OVER w,
                SUM(v) OVER (PARTITION BY k), COUNT(*) OVER (),
                MIN(v) OVER (PARTITION BY k ORDER BY v DESC, ts DESC ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
                FROM t WINDOW w AS (PARTITION BY k ORDER BY v, ts)",
        batch: "SELECT k, v, NTILE(3) OVER w n, PERCENT_RANK() OVER w p, CUME_DIST() OVER w c,
                SUM(v) OVER (PARTITION BY k) s, COUNT(*) OVER () a,
                MIN(v) OVER (PARTITION BY k ORDER BY v DESC NULLS LAST, ms DESC
                  ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) m
                FROM t WINDOW w AS (PARTITION BY k ORDER BY v NULLS FIRST, ms)",
    },
    Case {
        // by time, final; by time, looking ahead; in another order
        columns: "k STRING, v BIGINT, s BIGINT, c BIGINT, le BIGINT, r BIGINT, d BIGINT, f BIGINT",
        flink: "SELECT k, v, SUM(v) OVER (PARTITION BY k ORDER BY ts), COUNT(*) OVER (ORDER BY ts),
                LEAD(v) OVER (PARTITION BY k ORDER BY ts, v), RANK() OVER (PARTITION BY k ORDER BY v DESC),
                DENSE_RANK() OVER (ORDER BY v),
                SUM(v) FILTER (WHERE v > 0) OVER (PARTITION BY k ORDER BY ts
                  RANGE BETWEEN INTERVAL '5' SECOND PRECEDING AND CURRENT ROW) FROM t",
        batch: "SELECT k, v, SUM(v) OVER (PARTITION BY k ORDER BY ms) s, COUNT(*) OVER (ORDER BY ms) c,
                LEAD(v) OVER (PARTITION BY k ORDER BY ms, v NULLS FIRST) le,
                RANK() OVER (PARTITION BY k ORDER BY v DESC NULLS LAST) r,
                DENSE_RANK() OVER (ORDER BY v NULLS FIRST) d,
                SUM(v) FILTER (WHERE v > 0) OVER (PARTITION BY k ORDER BY ms
                  RANGE BETWEEN 5000 PRECEDING AND CURRENT ROW) f FROM t",
    },
    Case {
        columns: "k STRING, c BIGINT, le STRING, s BIGINT, r BIGINT",
        flink: "SELECT k, c, LEAD(k) OVER (ORDER BY c, k), RANK() OVER (ORDER BY c DESC),
                SUM(c) OVER (ORDER BY c, k ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM
                (SELECT k, COUNT(*) AS c FROM t GROUP BY k)"
            ,
        batch: "SELECT k, c, LEAD(k) OVER (ORDER BY c, k NULLS FIRST) le, RANK() OVER (ORDER BY c DESC) s,
                SUM(c) OVER (ORDER BY c, k NULLS FIRST ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) r FROM
                (SELECT k, COUNT(*) AS c FROM t GROUP BY k) x",
    },
    Case {
        columns: "k STRING, v BIGINT, r BIGINT",
        flink: "SELECT k, v, r FROM (SELECT k, v, RANK() OVER (PARTITION BY k ORDER BY v DESC) AS r FROM t) WHERE r <= 2",
        batch: "SELECT k, v, r FROM (SELECT k, v, RANK() OVER (PARTITION BY k ORDER BY v DESC NULLS LAST) AS r FROM t) x
                WHERE r <= 2",
    },
    Case {
        columns: "k STRING, v BIGINT",
        flink: "SELECT k, v FROM (SELECT k, v, DENSE_RANK() OVER (PARTITION BY k ORDER BY v) AS r FROM t) WHERE r = 2",
        batch: "SELECT k, v FROM (SELECT k, v, DENSE_RANK() OVER (PARTITION BY k ORDER BY v NULLS FIRST) AS r FROM t) x
                WHERE r = 2",
    },
    Case {
        columns: "k STRING, v BIGINT, c BIGINT, s BIGINT, l BIGINT",
        flink: "SELECT k, v, COUNT(DISTINCT v) OVER (ORDER BY v, k, ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                COUNT(v) FILTER (WHERE k IS NOT NULL) OVER (ORDER BY v DESC, k, ts
                  ROWS BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING),
                LAST_VALUE(v) OVER (PARTITION BY k ORDER BY v) FROM t",
        batch: "SELECT k, v, COUNT(DISTINCT v) OVER (ORDER BY v NULLS FIRST, k NULLS FIRST, ms
                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) c,
                COUNT(v) FILTER (WHERE k IS NOT NULL) OVER (ORDER BY v DESC NULLS LAST, k NULLS FIRST, ms
                  ROWS BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING) s,
                LAST_VALUE(v) IGNORE NULLS OVER (PARTITION BY k ORDER BY v NULLS FIRST) l FROM t",
    },
];

#[tokio::test]
async fn windows_of_over_fold_to_the_batch_answer() {
    for seed in 0..6 {
        let mut random = Random(seed + 500);
        let rows = rows(&mut random);
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_files(&rows, &folder.path().join("in"));
        for case in &CASES {
            let parallelism = 1 + random.below(3);
            let streamed = streamed_answer(folder.path(), case.columns, case.flink, parallelism);
            let batch = batch_answer(&rows, case.batch).await;
            let about = format!("seed {seed}, {} rows, parallelism {parallelism}", rows.len());
            assert_eq!(streamed, batch, "{about}: {}", case.flink);
        }
    }
}
