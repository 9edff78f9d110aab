//! Errors speak of the text, in SQL's words, and point at it.

use super::Script;
use weir_types::{OperatorSpec, Parallelism};

/// The message of the error that `sql` answers, and the text under its carets.
fn told(sql: &str) -> (String, String) {
    let error = Script::new().error(sql);
    let mut lines = error.lines();
    let message = lines.next().unwrap_or_default().to_string();
    let mut lines = lines.skip_while(|line| !line.trim_start().starts_with("--> ")).skip(2);
    let (Some(text), Some(carets)) = (lines.next(), lines.next()) else { return (message, "nowhere".into()) };
    let marked = text.chars().zip(carets.chars()).filter(|(_, caret)| *caret == '^');
    (message, marked.map(|(letter, _)| letter).collect())
}

fn check(cases: &[(&str, &str, &str)]) {
    for (sql, message, part) in cases {
        assert_eq!(told(sql), (message.to_string(), part.to_string()), "{sql}");
    }
}

#[test]
fn conditions_that_are_none() {
    check(&[
        ("SELECT a FROM t WHERE b", "WHERE takes a condition, not a value of type BIGINT", "b"),
        ("SELECT a FROM t WHERE 1", "WHERE takes a condition, not a value of type INT", "1"),
        (
            "SELECT a FROM t WHERE a > 1 AND s = 'x' AND d",
            "cannot apply AND to (BOOLEAN, DECIMAL(10, 2)): expected a BOOLEAN on both sides",
            "a > 1 AND s = 'x' AND d",
        ),
        ("SELECT b FROM t GROUP BY b HAVING b", "HAVING takes a condition, not a value of type BIGINT", "b"),
        (
            "SELECT b FROM t GROUP BY b HAVING MAX(a)",
            "HAVING takes a condition, not a value of type INT",
            "MAX(a)",
        ),
        (
            "SELECT t.a FROM t JOIN changes AS c ON t.d",
            "ON takes a condition, not a value of type DECIMAL(10, 2)",
            "t.d",
        ),
        (
            "SELECT a FROM (SELECT a FROM t WHERE s) AS x",
            "WHERE takes a condition, not a value of type STRING",
            "s",
        ),
        (
            "SELECT a FROM t WHERE s = 'x' AND b IN (SELECT ts FROM changes)",
            "cannot look for BIGINT IN a query of TIMESTAMP(3): cast one of them to the other's type",
            "b IN (SELECT ts FROM changes)",
        ),
        ("SELECT NOT b FROM t", "cannot apply NOT to (BIGINT): expected a BOOLEAN", "b"),
        (
            "SELECT b AND TRUE FROM t",
            "cannot apply AND to (BIGINT, BOOLEAN): expected a BOOLEAN on both sides",
            "b AND TRUE",
        ),
        (
            "SELECT 1 OR s FROM t",
            "cannot apply OR to (INT, STRING): expected a BOOLEAN on both sides",
            "1 OR s",
        ),
    ]);
    let mut script = Script::new();
    script
        .run("EXPLAIN SELECT a FROM t WHERE NULL AND a > 1 OR NOT NULL; EXPLAIN SELECT NULL OR TRUE FROM t");
    assert!(script.output.starts_with("== "), "{}", script.output);
}

#[test]
fn aggregates_where_there_are_no_groups() {
    check(&[
        (
            "SELECT a FROM t WHERE COUNT(*) > 1",
            "WHERE takes no aggregate, such as COUNT: write HAVING, or aggregate in a query below",
            "COUNT",
        ),
        (
            "SELECT t.a FROM t JOIN changes AS c ON t.a = MAX(c.k)",
            "ON takes no aggregate, such as MAX: aggregate in a query below",
            "MAX(c.k)",
        ),
        (
            "SELECT 1 FROM t GROUP BY SUM(a)",
            "GROUP BY takes no aggregate, such as SUM: aggregate in a query below",
            "SUM(a)",
        ),
        (
            "SELECT a FROM t WHERE ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) = 1",
            "WHERE takes no OVER: compute ROW_NUMBER .. OVER in a query below, and name it here",
            "ROW_NUMBER",
        ),
        (
            "SELECT a FROM t GROUP BY a HAVING b > 1",
            "column 'b' is neither in GROUP BY nor in an aggregation: group by it too, or say which of its values is meant, \
             as in MAX(b)",
            "b",
        ),
        (
            "SELECT * FROM t GROUP BY a",
            "column 'b' is neither in GROUP BY nor in an aggregation: group by it too, or say which of its values is meant, \
             as in MAX(b)",
            "*",
        ),
        (
            "SELECT a, GROUPING(1) FROM t GROUP BY GROUPING SETS ((a), ())",
            "the argument 1 of GROUPING is no key of GROUP BY",
            "GROUPING(1)",
        ),
        (
            "SELECT * FROM t GROUP BY 1",
            "GROUP BY 1 groups by a constant, not by a column's place: name what is grouped by",
            "1",
        ),
    ]);
    // A subquery has groups of its own.
    let mut script = Script::new();
    script.run("EXPLAIN SELECT a FROM t WHERE a > (SELECT MAX(k) FROM changes)");
    assert!(script.output.starts_with("== "), "{}", script.output);
}

#[test]
fn sides_of_set_operations() {
    check(&[
        (
            "SELECT a FROM t INTERSECT SELECT ts FROM changes",
            "column 1 of an INTERSECT has types that do not go together: INT, TIMESTAMP(3)",
            "ts",
        ),
        (
            "SELECT 1, 2 UNION ALL SELECT 1, 'a'",
            "column 2 of a UNION has types that do not go together: INT, CHAR(1)",
            "'a'",
        ),
        (
            "SELECT a FROM t UNION ALL SELECT k FROM changes UNION ALL SELECT ts FROM changes",
            "column 1 of a UNION has types that do not go together: INT, TIMESTAMP(3)",
            "ts",
        ),
        (
            "SELECT a FROM t UNION ALL SELECT ts FROM changes UNION ALL SELECT a FROM t",
            "column 1 of a UNION has types that do not go together: INT, TIMESTAMP(3)",
            "ts",
        ),
        (
            "SELECT a FROM (SELECT a, b FROM t EXCEPT SELECT k FROM changes) AS x",
            "EXCEPT of queries with 2 and 1 columns",
            "SELECT k FROM changes",
        ),
    ]);
}

#[test]
fn what_has_no_value_or_no_meaning_here() {
    check(&[
        (
            "SELECT ?",
            "nothing gives placeholder ? a value: write the value, or ${NAME} and -D NAME=value",
            "?",
        ),
        (
            "SELECT a FROM t WHERE a = :a",
            "nothing gives placeholder :a a value: write the value, or ${NAME} and -D NAME=value",
            ":a",
        ),
        (
            "SELECT 'a' 'b'",
            "a string is no name: names stand in backticks, and a string goes on in the next line only",
            "'b'",
        ),
        (
            "SELECT a AS 'b', DATE '2020-01-01' FROM t",
            "a string is no name: names stand in backticks, and a string goes on in the next line only",
            "'b'",
        ),
        (
            "SELECT CONVERT('a' USING UTF8)",
            "not supported yet: CONVERT .. USING: all text is Unicode, and DECODE reads bytes",
            "'a' USING UTF8",
        ),
        ("SELECT 1 == a FROM t", "'==' is no operator: write =", "=="),
        ("SELECT 0x1F", "numbers are written in decimal digits: 0x1F is none, and x'1F' is bytes", "0x1F"),
        ("CREATE TABLE z () WITH ('connector' = 'test')", "expected a column, found )", ")"),
        ("SELECT * FROM t, LATERAL TABLE(f(a))", "not supported yet: table function f", "TABLE(f(a))"),
        ("CALL p()", "not supported yet: CALL", "CALL"),
        ("UPDATE t SET a = 1", "not supported yet: UPDATE", "UPDATE"),
        ("TRUNCATE TABLE t", "not supported yet: TRUNCATE TABLE", "TRUNCATE"),
        (
            "SELECT COUNT(*) FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' MINUTE, INTERVAL '5' MINUTE)) \
             GROUP BY window_start, window_end",
            "an aggregation by HOP(size=[5 min], slide=[2 min]) needs a size that is a multiple of its slide",
            "HOP",
        ),
        (
            "SELECT * FROM TABLE(TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(`dateTime`), SIZE => INTERVAL '1' MINUTE, \
             OFFST => INTERVAL '1' MINUTE))",
            "TUMBLE takes DATA, TIMECOL, SIZE, OFFSET, not OFFST, did you mean 'OFFSET'?",
            "OFFST",
        ),
        (
            "SELECT a, 123456789012345678901234567890123456789 FROM t",
            "123456789012345678901234567890123456789 has more than 38 digits, which no type holds",
            "123456789012345678901234567890123456789",
        ),
        (
            "SELECT 99999999999999999999",
            "99999999999999999999 has more digits than a number may have here: write CAST('99999999999999999999' AS \
             DECIMAL(20, 0))",
            "99999999999999999999",
        ),
        ("SELECT a * 1e400 FROM t", "1e400 is outside of the range of DOUBLE", "1e400"),
        (
            "SELECT INTERVAL '100' DAY",
            "'100' has more than the 2 digits that DAY takes: write DAY(3)",
            "'100'",
        ),
        (
            "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '3600' SECOND)) GROUP BY \
             window_start, window_end",
            "'3600' has more than the 2 digits that SECOND takes: write SECOND(4)",
            "'3600'",
        ),
        (
            "SELECT INTERVAL '25:61' HOUR TO MINUTE",
            "'25:61' is not an interval of HOUR TO MINUTE: 61 is above 59",
            "'25:61'",
        ),
        (
            "SELECT INTERVAL '1.1234567' SECOND",
            "'1.1234567' has more digits behind its point than an interval of SECOND takes",
            "'1.1234567'",
        ),
        (
            "SELECT a FROM t WHERE a IN (SELECT k FROM changes WHERE v < t.b ORDER BY v LIMIT 3)",
            "not supported yet: IN whose query reads the query around it below LIMIT, a set operation or the like: write a \
             join, or rank the rows by ROW_NUMBER",
            "a",
        ),
    ]);
}

#[test]
fn carets_stand_under_wide_letters() {
    let error = Script::new().error("SELECT '日本' AS `e\u{301}x`, nope FROM t");
    let lines: Vec<&str> = error.lines().collect();
    // two cells for each of the ideographs, none for the accent
    assert_eq!(lines[lines.len() - 1], format!("  | {}^^^^", " ".repeat(23)), "{error}");
}

#[test]
fn tables_may_have_a_parallelism_of_their_own() {
    let job = Script::new().job(
        "CREATE TABLE few (k INT, ts TIMESTAMP(3), up AS k + 1, WATERMARK FOR ts AS ts) WITH ('connector' = 'test', \
         'scan.parallelism' = '3');
         CREATE TABLE kept (k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'test', \
         'sink.parallelism' = '2');
         INSERT INTO kept SELECT up, COUNT(*) FROM few GROUP BY up",
    );
    let of = |wanted: fn(&OperatorSpec) -> bool| {
        job.nodes.iter().find(|node| wanted(&node.spec)).map(|node| node.parallelism)
    };
    assert_eq!(of(|spec| matches!(spec, OperatorSpec::Source(_))), Some(Parallelism::Fixed(3)));
    assert_eq!(of(|spec| matches!(spec, OperatorSpec::GroupAggregate(_))), Some(Parallelism::Default));
    assert_eq!(of(|spec| matches!(spec, OperatorSpec::Sink(_))), Some(Parallelism::Fixed(2)));
}
