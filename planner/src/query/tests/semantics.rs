//! Types as Flink's DESCRIBE prints them, what may be folded, ids, and warnings.

use super::Script;
use weir_types::{OperatorSpec, SqlType};

/// `name|type|nullable` of the columns of a SELECT.
fn types(sql: &str) -> Vec<String> {
    let job = Script::new().job(sql);
    let schema = &job.nodes.last().unwrap().schema;
    let field = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        format!("{}|{}|{}", field.name(), SqlType::of_field(field).unwrap(), field.is_nullable())
    };
    schema.fields().iter().map(field).collect()
}

const NUMBERS: &str = "SELECT * FROM (VALUES \
    (1, 7, CAST(7 AS BIGINT), CAST(1.25 AS DECIMAL(10,2)), CAST(1.5 AS DOUBLE)), \
    (1, CAST(NULL AS INT), CAST(NULL AS BIGINT), CAST(NULL AS DECIMAL(10,2)), CAST(NULL AS DOUBLE))) \
    AS x(g, n, b, m, d)";

#[test]
fn aggregates_have_the_types_of_flink() {
    let sql = format!(
        "SELECT AVG(n) AS avg_int, AVG(b) AS avg_big, AVG(m) AS avg_dec, AVG(d) AS avg_dbl, SUM(n) AS sum_int, \
         SUM(b) AS sum_big, SUM(m) AS sum_dec, SUM(d) AS sum_dbl, COUNT(*) AS c, COUNT(b) AS cb, \
         COUNT(DISTINCT b) AS cd FROM ({NUMBERS}) GROUP BY g"
    );
    let expected = [
        "avg_int|INT|true",
        "avg_big|BIGINT|true",
        "avg_dec|DECIMAL(38, 6)|true",
        "avg_dbl|DOUBLE|true",
        "sum_int|INT|true",
        "sum_big|BIGINT|true",
        "sum_dec|DECIMAL(38, 2)|true",
        "sum_dbl|DOUBLE|true",
        "c|BIGINT|false",
        "cb|BIGINT|false",
        "cd|BIGINT|false",
    ];
    assert_eq!(types(&sql), expected);
}

#[test]
fn arithmetic_has_the_types_of_flink() {
    let sql = "SELECT 7/2 AS i1, -7/2 AS i2, MOD(-7,2) AS i3, 7/CAST(2 AS DOUBLE) AS d1, \
        CAST(7 AS DECIMAL(10,2))/CAST(3 AS DECIMAL(10,2)) AS m1, \
        CAST(1.25 AS DECIMAL(10,2))*CAST(1.1 AS DECIMAL(5,1)) AS m2, CAST(1.25 AS DECIMAL(10,2))+1 AS m3, \
        0.908 * CAST(101 AS BIGINT) AS m4, ROUND(2.5) AS r1, CAST(2.9 AS INT) AS c1, \
        2147483647 + 1 AS o1, CAST(9223372036854775807 AS BIGINT) + 1 AS o2, TRY_CAST('x' AS INT) AS tc";
    let expected = [
        "i1|INT|false",
        "i2|INT|false",
        "i3|INT|false",
        "d1|DOUBLE|false",
        "m1|DECIMAL(23, 13)|false",
        "m2|DECIMAL(16, 3)|false",
        "m3|DECIMAL(13, 2)|false",
        "m4|DECIMAL(24, 3)|false",
        "r1|DECIMAL(2, 0)|false",
        "c1|INT|false",
        "o1|INT|false",
        "o2|BIGINT|false",
        "tc|INT|true",
    ];
    assert_eq!(types(sql), expected);
}

#[test]
fn groups_of_rows_keep_not_null() {
    let grouped = types("SELECT a, MAX(b) AS m, SUM(b) FILTER (WHERE a > 1) AS f FROM t GROUP BY a");
    assert_eq!(grouped, ["a|INT|true", "m|BIGINT|false", "f|BIGINT|true"]);
    assert_eq!(types("SELECT MAX(b) AS m FROM t"), ["m|BIGINT|true"]);
}

#[test]
fn columns_without_a_name_get_flinks() {
    assert_eq!(
        types("SELECT a, a + 1, a, COUNT(*) FROM t GROUP BY a")
            .iter()
            .map(|c| c.split('|').next().unwrap().to_string())
            .collect::<Vec<_>>(),
        ["a", "EXPR$1", "a0", "EXPR$3"]
    );
}

fn plan(sql: &str) -> String {
    let mut script = Script::new();
    script.run(&format!("EXPLAIN {sql}"));
    script.output
}

#[test]
fn what_changes_from_row_to_row_is_not_folded() {
    let text = plan("SELECT RAND() AS r, NOW() AS n FROM t");
    let execution = text.split("== Optimized Execution Plan ==").nth(1).unwrap();
    assert!(execution.contains("RAND() AS r") && execution.contains("NOW() AS n"), "{text}");
}

#[test]
fn what_fails_fails_when_it_runs() {
    let text = plan("SELECT 1/0 AS x FROM t");
    let execution = text.split("== Optimized Execution Plan ==").nth(1).unwrap_or_default();
    assert!(execution.contains("(1 / 0) AS x"), "{text}");
    let text = plan("SELECT CAST('x' AS INT) AS x FROM t");
    let execution = text.split("== Optimized Execution Plan ==").nth(1).unwrap_or_default();
    assert!(execution.contains("CAST('x' AS INT) AS x"), "{text}");
}

fn ids(sql: &str) -> Vec<String> {
    Script::new().job(sql).nodes.iter().map(|node| node.id.to_string()).collect()
}

#[test]
fn ids_do_not_depend_on_what_stands_around() {
    let alone = ids("SELECT auction, COUNT(*) FROM bid GROUP BY auction");
    let filtered =
        ids("SELECT n + 1 FROM (SELECT auction, COUNT(*) AS n FROM bid GROUP BY auction) WHERE n > 3");
    let id = "group-aggregate:bid[auction]".to_string();
    assert!(alone.contains(&id), "{alone:?}");
    assert!(filtered.contains(&id), "{filtered:?}");
    let mut all =
        ids("SELECT a, COUNT(*) AS n FROM t GROUP BY a UNION ALL SELECT a, SUM(b) AS n FROM t GROUP BY a");
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "ids are distinct");
}

/// State would go to the other of two operators if one of them had its name for being the first.
#[test]
fn ids_do_not_depend_on_what_comes_first() {
    let named = |sql: &str| {
        let job = Script::new().job(sql);
        let named = job.nodes.iter().map(|node| (node.label.clone(), node.id.to_string()));
        named
            .filter(|(label, _)| label.starts_with("GroupAggregate"))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let (count, sum) =
        ("SELECT a, COUNT(*) AS n FROM t GROUP BY a", "SELECT a, SUM(b) AS n FROM t GROUP BY a");
    let one_way = named(&format!("{count} UNION ALL {sum}"));
    assert_eq!(one_way.len(), 2, "{one_way:?}");
    assert_eq!(one_way, named(&format!("{sum} UNION ALL {count}")));
}

#[test]
fn state_without_a_bound_is_warned_of() {
    let mut script = Script::new();
    script.job("SELECT a, COUNT(*) FROM t GROUP BY a");
    let warnings = script.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("GROUP BY a"), "{warnings:?}");
    script.job("SELECT COUNT(*) FROM t");
    script.job(
        "SELECT window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '1' HOUR)) \
         GROUP BY window_start, window_end",
    );
    script.job("SELECT x, COUNT(*) FROM (VALUES (1), (2)) AS v(x) GROUP BY x");
    assert_eq!(script.warnings(), Vec::<String>::new());
}

/// Only the columns that somebody wants are read, and the watermark's.
#[test]
fn scans_read_what_is_wanted() {
    let read = |sql: &str| {
        let job = Script::new().job(sql);
        let sources = job.nodes.iter().filter_map(|node| match &node.spec {
            OperatorSpec::Source(source) => Some(source.projection.clone()),
            _ => None,
        });
        sources.collect::<Vec<_>>()
    };
    assert_eq!(read("SELECT price FROM bid WHERE auction = 3"), [vec![0, 2]]);
    assert_eq!(read("SELECT COUNT(*) FROM bid"), [Vec::<usize>::new()]);
    let windowed = "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '1' HOUR)) \
        GROUP BY window_start, window_end";
    assert_eq!(read(windowed), [vec![5]]);
    assert_eq!(read("SELECT price FROM bid UNION ALL SELECT auction FROM bid"), [vec![0, 2]]);
}

/// The nodes that a window and its aggregation become, by their kinds.
fn kinds(sql: &str) -> Vec<&'static str> {
    let job = Script::new().job(sql);
    let kind = |spec: &OperatorSpec| match spec {
        OperatorSpec::WindowTableFunction(_) => Some("function"),
        OperatorSpec::WindowAggregate(_) => Some("window"),
        OperatorSpec::GroupAggregate(_) => Some("group"),
        _ => None,
    };
    job.nodes.iter().filter_map(|node| kind(&node.spec)).collect()
}

/// Time that an expression has touched, or an ordinary aggregation, is no time attribute any more.
#[test]
fn time_attributes_end_where_they_are_computed_with() {
    let over = |time: &str| {
        Script::new().error(&format!(
            "SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE (SELECT {time} AS ts FROM bid), DESCRIPTOR(ts), INTERVAL '1' HOUR)) \
             GROUP BY window_start, window_end"
        ))
    };
    assert_eq!(over("`dateTime`"), "");
    assert!(
        over("`dateTime` + INTERVAL '1' SECOND").contains("a window needs a time attribute, 'ts' is none")
    );
    assert!(over("MAX(`dateTime`)").contains("a window needs a time attribute, 'ts' is none"));
}

#[test]
fn aggregations_take_over_the_window_below_them() {
    let window = "FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '1' HOUR))";
    let grouped = |select: &str, keys: &str| kinds(&format!("SELECT {select} {window} GROUP BY {keys}"));
    assert_eq!(grouped("COUNT(*)", "window_start, window_end"), ["window"]);
    assert_eq!(grouped("COUNT(*)", "window_end, auction, window_start, window_time"), ["window"]);
    assert_eq!(grouped("COUNT(*)", "window_end"), ["function", "group"]);
    assert_eq!(grouped("MAX(window_end)", "window_start, window_end"), ["function", "window"]);
    let attached = format!(
        "SELECT MAX(n) FROM (SELECT COUNT(*) AS n, window_start AS s, window_end AS e {window} \
         GROUP BY auction, window_start, window_end) GROUP BY e, s"
    );
    assert_eq!(kinds(&attached), ["window", "window"]);
}

/// The bounds of two different windows do not make a window.
#[test]
fn bounds_of_different_windows_are_ordinary_keys() {
    let inner = "SELECT window_start AS s, window_time AS rt, COUNT(*) AS n \
        FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '1' HOUR)) \
        GROUP BY window_start, window_end, window_time";
    let outer = format!(
        "SELECT s, window_end, SUM(n) FROM TABLE(TUMBLE(TABLE ({inner}), DESCRIPTOR(rt), INTERVAL '2' HOUR)) \
         GROUP BY s, window_end"
    );
    assert_eq!(kinds(&outer), ["window", "function", "group"]);
}

/// Two calls that differ in nothing but what they pick are two columns.
#[test]
fn equal_looking_parts_are_shared_only_if_they_are_equal() {
    let calcs = |sql: &str| {
        let job = Script::new().job(sql);
        job.nodes.iter().filter(|node| matches!(node.spec, OperatorSpec::Calc(_))).count()
    };
    let grouped = |of: &str| format!("SELECT GROUPING({of}) AS g, COUNT(*) AS c FROM t GROUP BY CUBE (a, s)");
    let shared = calcs(&format!("{} UNION ALL {}", grouped("a"), grouped("a")));
    let apart = calcs(&format!("{} UNION ALL {}", grouped("a"), grouped("s")));
    assert_eq!(apart, shared + 1);
    // Chance is thrown twice.
    let random = calcs("SELECT RAND() AS r FROM t UNION ALL SELECT RAND() AS r FROM t");
    assert_eq!(random, 2);
}

#[test]
fn a_correlated_in_may_cast_what_its_condition_reads() {
    let plan = plan("SELECT a FROM t WHERE CAST(a AS BIGINT) IN (SELECT k FROM changes WHERE k = t.a)");
    assert!(plan.contains("LeftSemi") || plan.contains("SemiJoin"), "{plan}");
}
