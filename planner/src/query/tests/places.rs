//! Errors that DataFusion gives no place point at the smallest part of the text that is wrong.

use super::Script;

/// The text under the carets of the error that `sql` answers.
fn pointed_at(sql: &str) -> String {
    let error = Script::new().error(sql);
    let mut lines = error.lines().skip_while(|line| !line.trim_start().starts_with("--> ")).skip(2);
    let (Some(text), Some(carets)) = (lines.next(), lines.next()) else {
        return format!("no place: {error}");
    };
    let marked = text.chars().zip(carets.chars()).filter(|(_, caret)| *caret == '^');
    marked.map(|(letter, _)| letter).collect()
}

fn check(cases: &[(&str, &str)]) {
    for (sql, part) in cases {
        assert_eq!(pointed_at(sql), *part, "{sql}");
    }
}

#[test]
fn the_innermost_wrong_expression_of_a_list() {
    check(&[
        ("SELECT a, 1 + ABS('x' + b) FROM t", "'x' + b"),
        ("SELECT a FROM t WHERE b > 1 AND s * 2 = 4", "s * 2"),
        ("SELECT a, SUM(s) FROM t GROUP BY a", "SUM(s)"),
        ("SELECT a, COUNT(*) FROM t GROUP BY a HAVING 1 - MAX(s) > 2", "1 - MAX(s)"),
        ("SELECT nope(a) FROM t", "nope"),
    ]);
}

#[test]
fn inside_of_nested_queries() {
    check(&[
        ("WITH w AS (SELECT a, s - 1 AS x FROM t) SELECT x FROM w", "s - 1"),
        ("SELECT x FROM (SELECT s - 1 AS x FROM t) AS w", "s - 1"),
        ("SELECT a FROM t WHERE a IN (SELECT k FROM changes WHERE k - 'x' = 1)", "k - 'x'"),
        ("SELECT a FROM t UNION ALL SELECT s / 2 FROM t", "s / 2"),
        ("WITH v AS (SELECT s FROM t), w AS (SELECT s - 1 AS x FROM v) SELECT x FROM w", "s - 1"),
    ]);
}

#[test]
fn conditions_of_joins() {
    check(&[
        ("SELECT t.a FROM t JOIN changes AS c ON t.a = c.k AND t.s - 1 = c.k", "t.s - 1"),
        (
            "SELECT t.a FROM t JOIN TABLE(TUMBLE(TABLE nope, DESCRIPTOR(x), INTERVAL '1' SECOND)) ON TRUE",
            "nope",
        ),
    ]);
}

#[test]
fn numbers_of_rows() {
    check(&[("SELECT a FROM t LIMIT 'many'", "'many'")]);
}

#[test]
fn computed_columns() {
    check(&[
        ("CREATE TABLE c (a INT, s STRING, x AS a + (s - 1)) WITH ('connector' = 'test')", "s - 1"),
        (
            "CREATE TABLE c (a INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - a * 'x') WITH ('connector' = 'test')",
            "a * 'x'",
        ),
    ]);
}
