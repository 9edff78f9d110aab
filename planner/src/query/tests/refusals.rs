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
        (
            "SELECT LEAD(a, -1) OVER (ORDER BY b) FROM t",
            "the second argument of LEAD is how many rows behind, as a number that is not negative",
            "line 1, column 35",
        ),
        (
            "SELECT ROW_NUMBER() OVER (PARTITION BY a) FROM t",
            "ROW_NUMBER .. OVER needs an ORDER BY in OVER: rows have no order by themselves",
            "line 1, column 40",
        ),
        (
            "SELECT LAG(a) FILTER (WHERE b > 1) OVER (ORDER BY b) FROM t",
            "LAG .. OVER takes no FILTER: that is for aggregate functions",
            "line 1, column 8",
        ),
        (
            "SELECT LEAD(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
            "LEAD .. OVER takes no ROWS or RANGE: it looks at the order alone",
            "line 1, column 8",
        ),
        (
            "SELECT LEAD(a) OVER v FROM t WINDOW w AS (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), v AS w",
            "LEAD .. OVER takes no ROWS or RANGE: it looks at the order alone",
            "line 1, column 21",
        ),
        (
            "SELECT SUM(a) OVER w FROM t WINDOW w AS (ORDER BY b GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            "not supported yet: GROUPS in OVER, write ROWS or RANGE instead",
            "line 1, column 20",
        ),
        (
            "SELECT SUM(a) OVER (ORDER BY b GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
            "not supported yet: GROUPS in OVER, write ROWS or RANGE instead",
            "line 1, column 8",
        ),
        (
            "SELECT SUM(a) OVER (ORDER BY s RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
            "a RANGE of OVER counts in integers, decimals or times, and 1 is none that the key can be moved by",
            "line 1, column 30",
        ),
        (
            "SELECT SUM(a) OVER (ORDER BY b ROWS BETWEEN 1 FOLLOWING AND 1 PRECEDING) FROM t",
            "a frame of OVER begins before it ends, not 1 FOLLOWING and 1 PRECEDING",
            "line 1, column 30",
        ),
        (
            "SELECT NTILE(0) OVER (ORDER BY b) FROM t",
            "the argument of NTILE is how many parts there are, as a number from 1 on",
            "line 1, column 32",
        ),
        (
            "SELECT SUM(v) OVER (PARTITION BY k ORDER BY ts) FROM changes",
            "OVER ordered by a time attribute takes no updates, and its input carries some: order by a column that is none",
            "line 1, column 45",
        ),
        (
            "SELECT SUM(l) OVER (ORDER BY `dateTime`) FROM (SELECT `dateTime`, LEAD(price) OVER (ORDER BY `dateTime`) AS l \
             FROM bid)",
            "OVER ordered by a time attribute takes no updates, and its input carries some: order by a column that is none",
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

/// `SELECT * FROM bid MATCH_RECOGNIZE (..)` with these measures and what follows them, on a line of its own each.
fn matched(measures: &str, rest: &str) -> String {
    format!("SELECT * FROM bid MATCH_RECOGNIZE (ORDER BY `dateTime` MEASURES\n{measures}\n{rest})")
}

fn check_matches(cases: &[(&str, &str, &str, &str)]) {
    for (measures, rest, message, place) in cases {
        check(&[(&matched(measures, rest), message, place)]);
    }
}

#[test]
fn patterns_that_flink_does_not_take_are_refused() {
    let define = "DEFINE A AS A.price > 1";
    let cases = [
        ("A | B", "not supported yet: alternatives in PATTERN: A | B", "line 3, column 10"),
        ("PERMUTE(A, B)", "not supported yet: PERMUTE in PATTERN", "line 3, column 18"),
        ("{- A -} B", "not supported yet: exclusions in PATTERN: {- A -}", "line 3, column 13"),
        (
            "(A B)+ C",
            "not supported yet: quantifiers of groups in PATTERN, only those of variables are",
            "line 3, column 11",
        ),
        (
            "A B A",
            "not supported yet: pattern variable 'A' comes twice: a variable has one place in a pattern",
            "line 3, column 14",
        ),
        (
            "A B+",
            "not supported yet: a greedy quantifier at the end of a pattern: nothing says when 'B' has all its rows. Let \
             another variable follow it, or make it reluctant with a ? behind the quantifier",
            "line 3, column 12",
        ),
        ("A?? B", "not supported yet: reluctant optional variables: A?? and A{0,1}?", "line 3, column 10"),
        ("A{,3} B", "not supported yet: quantifier {,3}: write {0,3}", "line 3, column 10"),
        (
            "A{3,2} B",
            "quantifier {3,2} lets no rows in: its last number is at least 1 and the first one",
            "line 3, column 10",
        ),
        (
            "A+ B* C",
            "not supported yet: 'B' may have no rows and stands behind a greedy variable: make 'A' reluctant, with a ? behind \
             its quantifier, or let 'B' have at least one row",
            "line 3, column 13",
        ),
        (
            "A* B*?",
            "not supported yet: 'B' may have no rows and stands behind a greedy variable: make 'A' reluctant, with a ? behind \
             its quantifier, or let 'B' have at least one row",
            "line 3, column 13",
        ),
        (
            "A?",
            "not supported yet: this pattern may match no rows at all: at least one variable needs a row, as in A+ or A{1,3}",
            "line 3, column 10",
        ),
    ];
    for (pattern, message, place) in cases {
        check_matches(&[("LAST(A.price) AS x", &format!("PATTERN ({pattern}) {define}"), message, place)]);
    }
}

#[test]
fn clauses_of_patterns_are_checked() {
    let rest = "PATTERN (A B) DEFINE B AS B.price > A.price";
    let column = |text: &str| format!("line 2, column {text}");
    let measures = [
        ("X.price AS x", "'X' is no variable of the PATTERN", "1"),
        ("A.prize AS x", "column 'prize' does not exist, did you mean 'price'?", "3"),
        (
            "COUNT(DISTINCT A.price) AS x",
            "not supported yet: DISTINCT in an aggregate of MATCH_RECOGNIZE",
            "1",
        ),
        (
            "SUM(A.price * B.price) AS x",
            "an aggregate over columns of several variables: it is over the rows of one",
            "1",
        ),
        (
            "LAST(A.price + B.price) AS x",
            "LAST over columns of several variables: it is about rows of one",
            "1",
        ),
        ("PREV(A.price) AS x", "not supported yet: PREV, write FIRST or LAST with an offset instead", "1"),
        ("CLASSIFIER() AS x", "not supported yet: CLASSIFIER", "1"),
        ("A.price AS x, B.price AS x", "there are two columns 'x': give the measure another name", "26"),
        (
            "FIRST(A.price, -1) AS x",
            "FIRST takes a column of a variable and an offset, a whole number from 0: FIRST(A.x, 1)",
            "1",
        ),
        (
            "COUNT(1) AS x",
            "COUNT names no column of a row: it aggregates over the rows of a variable, as in COUNT(A.x)",
            "1",
        ),
        ("(SELECT 1) AS x", "not supported yet: subqueries in MATCH_RECOGNIZE", "2"),
    ];
    for (measures, message, place) in measures {
        check_matches(&[(measures, rest, message, &column(place))]);
    }
    let cases = [
        (
            "ALL ROWS PER MATCH PATTERN (A B) DEFINE B AS B.price > 1",
            "not supported yet: ALL ROWS PER MATCH, ONE ROW PER MATCH is",
            "line 1, column 15",
        ),
        (
            "PATTERN (A B) SUBSET U = (A, B) DEFINE B AS B.price > 1",
            "not supported yet: SUBSET",
            "line 3, column 15",
        ),
        (
            "AFTER MATCH SKIP TO LAST X PATTERN (A B) DEFINE B AS B.price > 1",
            "AFTER MATCH SKIP TO 'X', which PATTERN does not have",
            "line 3, column 26",
        ),
        (
            "PATTERN (A B) DEFINE B AS B.price",
            "DEFINE B AS takes a condition, not a value of type BIGINT",
            "line 3, column 27",
        ),
        (
            "PATTERN (A B) DEFINE B AS B.price > 1, C AS C.price > 1",
            "DEFINE has 'C', which PATTERN does not have",
            "line 3, column 40",
        ),
        (
            "PATTERN (A B) DEFINE B AS B.price > 1, B AS B.price > 1",
            "pattern variable 'B' is defined twice",
            "line 3, column 40",
        ),
        (
            "PATTERN (A B) WITHIN INTERVAL '1' MONTH DEFINE B AS B.price > 1",
            "WITHIN takes a constant interval of days to seconds, not INTERVAL '1' MONTH",
            "line 3, column 15",
        ),
    ];
    for (rest, message, place) in cases {
        check_matches(&[("A.price AS x", rest, message, place)]);
    }
    check(&[(
        "SELECT * FROM bid MATCH_RECOGNIZE (PARTITION BY auction ORDER BY price MEASURES A.price AS x PATTERN (A B) DEFINE B AS B.price > 1)",
        "MATCH_RECOGNIZE is ordered by a time attribute first, ascending: declare WATERMARK FOR it in its table, or take \
         PROCTIME()",
        "line 1, column 66",
    )]);
}
