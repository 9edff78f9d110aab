//! What is not built is refused, with its place.

use super::Script;

/// The first line of the error and its place.
fn refused(sql: &str) -> (String, String) {
    let error = Script::new().error(sql);
    let mut lines = error.lines();
    let message = lines.next().unwrap_or_default().to_string();
    let place = lines.find_map(|line| line.trim_start().strip_prefix("--> ")).unwrap_or("nowhere");
    (message, place.to_string())
}

fn check(cases: &[(&str, &str, &str)]) {
    for (sql, message, place) in cases {
        let found = refused(sql);
        assert_eq!(found, (message.to_string(), place.to_string()), "{sql}");
    }
}

#[test]
fn what_is_not_built_is_named_with_its_place() {
    check(&[
        (
            "SELECT * FROM t,\n  bid FOR SYSTEM_TIME AS OF t.a",
            "FOR SYSTEM_TIME AS OF takes a time attribute, 'a' is none",
            "line 2, column 3",
        ),
        (
            "SELECT a FROM t ORDER BY a",
            "not supported yet: ORDER BY without LIMIT by anything else than a time attribute, ascending: a stream has no \
             last row to wait for",
            "line 1, column 26",
        ),
        ("SELECT LAG(a) OVER (ORDER BY b) FROM t", "not supported yet: LAG .. OVER", "line 1, column 8"),
        (
            "SELECT SUM(a) OVER (ORDER BY b) FROM t",
            "OVER is ordered by a time attribute, ascending: declare WATERMARK FOR it in its table, or order by PROCTIME()",
            "line 1, column 30",
        ),
    ]);
}

#[test]
fn wrong_names_are_pointed_at() {
    check(&[
        ("SELECT x FROM t", "column 'x' does not exist", "line 1, column 8"),
        (
            "SELECT actuion FROM bid",
            "column 'actuion' does not exist, did you mean 'auction'?",
            "line 1, column 8",
        ),
        ("SELECT a FROM tt", "table 'tt' does not exist, did you mean 't'?", "line 1, column 15"),
    ]);
}

#[test]
fn window_functions_stand_where_they_may() {
    check(&[(
        "SELECT TUMBLE(`dateTime`, INTERVAL '1' SECOND) FROM bid",
        "TUMBLE stands in GROUP BY, or in FROM as TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), ..)), not here",
        "line 1, column 8",
    )]);
}
