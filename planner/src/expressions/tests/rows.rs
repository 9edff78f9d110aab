//! The same answers from columns as from literals, NULLs and empty batches.

use super::{analyzed, answer, evaluate, registry_in, shown};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, Schema};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::{Expr, col};
use std::sync::Arc;
use weir_functions::FunctionRegistry;

/// Calls whose literals say what is done, not to what: units, types, formats of JSON.
fn takes_words(name: &str) -> bool {
    let words = [
        "EXTRACT",
        "TIMESTAMPADD",
        "TIMESTAMPDIFF",
        "ROUND",
        "TRUNCATE",
        "RAND",
        "RAND_INTEGER",
        "$FLOOR",
        "$CEIL",
        "$CAST",
        "$TRY_CAST",
        "$FIELD",
        "$ITEM",
        "$IS_JSON",
        "$JSON_EXISTS",
        "$JSON_VALUE",
        "$JSON_QUERY",
        "$JSON_OBJECT",
        "$JSON_ARRAY",
    ];
    words.contains(&name)
}

/// The expression with its literals as columns, and their values.
fn lifted(expr: Expr) -> (Expr, Vec<ScalarValue>) {
    let mut values = vec![];
    let lifted = expr.transform_down(|expr| match expr {
        Expr::ScalarFunction(call) if takes_words(call.func.name()) => {
            // What is below such a call stays constant.
            Ok(Transformed::new(
                Expr::ScalarFunction(call),
                true,
                datafusion_common::tree_node::TreeNodeRecursion::Jump,
            ))
        }
        Expr::Literal(value, _) if !value.data_type().is_null() => {
            values.push(value);
            Ok(Transformed::yes(col(format!("c{}", values.len() - 1))))
        }
        other => Ok(Transformed::no(other)),
    });
    (lifted.unwrap().data, values)
}

fn batch_of(values: &[ScalarValue], order: &[Option<u32>]) -> RecordBatch {
    let mut fields = vec![];
    let mut columns: Vec<ArrayRef> = vec![];
    for (index, value) in values.iter().enumerate() {
        fields.push(Field::new(format!("c{index}"), value.data_type(), true));
        let array = value.to_array().unwrap();
        columns.push(take(&array, &arrow::array::UInt32Array::from(order.to_vec()), None).unwrap());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(order.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).unwrap()
}

fn over_rows(expr: &Expr, batch: &RecordBatch) -> Result<Vec<String>> {
    let schema = DFSchema::try_from(batch.schema())?;
    let (array, field) = evaluate(expr, &schema, batch)?;
    Ok(shown(&array, &field))
}

fn check(registry: &FunctionRegistry, text: &str) -> std::result::Result<(), String> {
    let Ok((_, expected)) = answer(registry, text) else { return Ok(()) };
    let empty = DFSchema::empty();
    let Ok(expr) = analyzed(registry, text, &empty) else { return Ok(()) };
    let (expr, values) = lifted(expr);
    if values.is_empty() {
        return Ok(());
    }
    let problem = |what: &str, found: String| Err(format!("{text}: {what}: {found}, expected {expected}"));
    // Row 1 is NULL everywhere: it must neither fail nor spill over into its neighbours. The literals inside a
    // collection were typed NOT NULL, so that no NULL can take their place.
    let made = ["ARRAY[", "MAP[", "ROW(", "(1, 'x')"].iter().any(|start| text.contains(start));
    let middle = if made { Some(0) } else { None };
    match over_rows(&expr, &batch_of(&values, &[Some(0), middle, Some(0)])) {
        Ok(rows) if rows[0] != expected || rows[2] != expected => {
            return problem("of columns", rows.join(" | "));
        }
        Ok(_) => {}
        Err(error) => return problem("of columns", error.strip_backtrace()),
    }
    match over_rows(&expr, &batch_of(&values, &[])) {
        Ok(rows) if !rows.is_empty() => problem("of no rows", rows.join(" | ")),
        Ok(_) => Ok(()),
        Err(error) => problem("of no rows", error.strip_backtrace()),
    }
}

#[test]
fn columns_answer_as_literals_do() {
    let registry = registry_in("UTC");
    // What these give changes from call to call, or with the clock.
    let unstable = ["RAND", "UUID"];
    let lines = include_str!("flink.txt").lines().filter_map(|line| line.split(" ## ").next());
    let wrong: Vec<_> = lines
        .filter(|text| !unstable.iter().any(|name| text.contains(name)))
        .filter_map(|text| check(&registry, text).err())
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Constants beside columns: both kinds of arguments in one call.
#[test]
fn constants_go_with_columns() {
    let registry = registry_in("UTC");
    let texts: ArrayRef =
        Arc::new(arrow::array::StringArray::from(vec![Some("a/b/c"), None, Some(""), Some("é/x")]));
    let numbers: ArrayRef =
        Arc::new(arrow::array::Int64Array::from(vec![Some(101), Some(-7), None, Some(0)]));
    let times: ArrayRef = Arc::new(arrow::array::TimestampMillisecondArray::from(vec![
        Some(1_609_459_198_123),
        Some(0),
        None,
        Some(-1),
    ]));
    let schema = Schema::new(vec![
        Field::new("s", texts.data_type().clone(), true),
        Field::new("n", numbers.data_type().clone(), true),
        Field::new("t", times.data_type().clone(), true),
    ]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![texts, numbers, times]).unwrap();
    let schema = DFSchema::try_from(batch.schema()).unwrap();
    let cases = [
        ("0.908 * n", "91.708 -6.356 null 0.000"),
        ("n + 1", "102 -6 null 1"),
        ("1 - n", "-100 8 null 1"),
        ("n / 2", "50 -3 null 0"),
        ("n % 10", "1 -7 null 0"),
        ("n > 0 AND 10 / n > 0", "false false null false"),
        ("CASE WHEN n = 0 THEN -1 ELSE 100 / n END", "0 -14 null -1"),
        ("COALESCE(n, 5)", "101 -7 5 0"),
        ("n IN (101, 0)", "true false null true"),
        ("n BETWEEN -7 AND 0", "false true null true"),
        ("SPLIT_INDEX(s, '/', 1)", "b null null x"),
        ("SPLIT_INDEX(s, '/', 9)", "null null null null"),
        ("UPPER(s)", "A/B/C null  É/X"),
        ("CHAR_LENGTH(s)", "5 null 0 3"),
        ("REPLACE(s, '/', '-')", "a-b-c null  é-x"),
        ("SUBSTRING(s, -1)", "c null  x"),
        ("s LIKE '%/%'", "true null false true"),
        ("REGEXP_EXTRACT(s, '(.)/x', 1)", "null null null é"),
        ("s || '!'", "a/b/c! null ! é/x!"),
        ("CONCAT_WS('-', s, 'z')", "a/b/c-z z -z é/x-z"),
        ("DATE_FORMAT(t, 'yyyy-MM-dd')", "2020-12-31 1970-01-01 null 1969-12-31"),
        ("DATE_FORMAT(t, 'HH:mm')", "23:59 00:00 null 23:59"),
        ("HOUR(t)", "23 0 null 23"),
        ("FLOOR(t TO DAY)", "2020-12-31T00:00 1970-01-01T00:00 null 1969-12-31T00:00"),
        (
            "t - INTERVAL '4' SECOND",
            "2020-12-31T23:59:54.123 1969-12-31T23:59:56 null 1969-12-31T23:59:55.999",
        ),
        ("t > '2000-01-01 00:00:00'", "true false null false"),
        ("CAST(n AS STRING)", "101 -7 null 0"),
        ("CAST(t AS STRING)", "2020-12-31 23:59:58.123 1970-01-01 00:00:00.000 null 1969-12-31 23:59:59.999"),
        ("ARRAY[n, 1][1]", "101 -7 null 0"),
        ("ROW(n, s)", "+I[101, a/b/c] +I[-7, null] +I[null, ] +I[0, é/x]"),
        ("MAP['k', n]['k']", "101 -7 null 0"),
        ("JSON_OBJECT('n' VALUE n)", "{\"n\":101} {\"n\":-7} {\"n\":null} {\"n\":0}"),
        ("CAST(n AS DOUBLE) / 0", "Infinity -Infinity null NaN"),
        ("CAST(n AS DOUBLE) / 0 = CAST(n AS DOUBLE) / 0.0", "true true null false"),
    ];
    let mut wrong = vec![];
    for (text, expected) in cases {
        let found = analyzed(&registry, text, &schema).and_then(|expr| over_rows(&expr, &batch));
        match found {
            Ok(rows) if rows.join(" ") == expected => {}
            Ok(rows) => wrong.push(format!("{text}: {}, expected {expected}", rows.join(" "))),
            Err(error) => wrong.push(format!("{text}: {}", error.strip_backtrace())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What Flink fails on, or does not plan, with the reason.
#[test]
fn failures_say_what_is_wrong() {
    let registry = registry_in("UTC");
    let cases = [
        ("1 / 0", "division by zero"),
        ("MOD(1, 0)", "division by zero"),
        ("CAST(1 AS DECIMAL(5,2)) / 0", "division by zero"),
        ("CAST('x' AS INT)", "cannot cast 'x' to INT"),
        ("CAST('2020-13-01' AS DATE)", "cannot cast '2020-13-01' to DATE"),
        ("CAST('2020-01-02T03:04:05' AS TIMESTAMP(3))", "cannot cast '2020-01-02T03:04:05'"),
        ("CAST(1 AS TIMESTAMP(3))", "TO_TIMESTAMP_LTZ"),
        ("CAST('  true ' AS BOOLEAN)", "cannot cast '  true ' to BOOLEAN"),
        ("1 = '1'", "cannot compare INT with"),
        ("'5' + 1", "cannot apply +"),
        ("DATE '2020-01-01' < TIMESTAMP '2020-01-01 00:00:01'", "cannot compare DATE with TIMESTAMP"),
        ("TIMESTAMP '2020-01-31 00:00:00' - TIMESTAMP '2020-01-30 00:00:00'", "TIMESTAMPDIFF"),
        ("TIMESTAMP '2020-01-02 03:04'", "is not a TIMESTAMP literal"),
        ("INTERVAL '1' WEEK", "not supported"),
        ("REGEXP_EXTRACT('a', '(?U)a')", "uses the flag U"),
        ("REGEXP_REPLACE('a', '(', '')", "is not a regular expression"),
        ("DATE_FORMAT(TIMESTAMP '2020-01-01 00:00:00', 'bbb')", "'bbb' is not supported"),
        ("UPPER(1)", "cannot apply UPPER to (INT)"),
        ("FROM_BASE64('x!')", "not base 64"),
        ("ARRAY[1][0]", "start at 1"),
        ("ELEMENT(ARRAY[1, 2])", "2 elements"),
        ("JSON_VALUE('{}', '$[?(@.a = 1)]')", "not a JSON path"),
        ("'a' LIKE 'a#' ESCAPE '#'", "escapes nothing"),
    ];
    let mut wrong = vec![];
    for (text, expected) in cases {
        match answer(&registry, text) {
            Ok((_, value)) => wrong.push(format!("{text} gives {value}")),
            Err(error) if error.strip_backtrace().contains(expected) => {}
            Err(error) => wrong.push(format!("{text}: {}, expected {expected}", error.strip_backtrace())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// TIMESTAMP_LTZ is shown, cut and read in the session's zone.
#[test]
fn the_sessions_zone_decides() {
    let registry = registry_in("America/Los_Angeles");
    let cases = [
        ("CAST(TO_TIMESTAMP_LTZ(0, 3) AS STRING)", "1969-12-31 16:00:00.000"),
        ("CAST(TO_TIMESTAMP_LTZ(0, 3) AS TIMESTAMP(3))", "1969-12-31T16:00"),
        ("CAST(TIMESTAMP '1970-01-01 00:00:00' AS TIMESTAMP_LTZ(3))", "1970-01-01T08:00:00Z"),
        ("CAST('1970-01-01 00:00:00' AS TIMESTAMP_LTZ(3))", "1970-01-01T08:00:00Z"),
        ("HOUR(TO_TIMESTAMP_LTZ(0, 3))", "16"),
        ("FLOOR(TO_TIMESTAMP_LTZ(0, 3) TO DAY)", "1969-12-31T08:00:00Z"),
        ("DATE_FORMAT(TO_TIMESTAMP_LTZ(0, 3), 'yyyy-MM-dd HH')", "1969-12-31 16"),
        ("FROM_UNIXTIME(0)", "1969-12-31 16:00:00"),
        ("UNIX_TIMESTAMP('1970-01-01 00:00:00')", "28800"),
        ("CURRENT_TIMESTAMP", "2024-02-29T12:34:56.789Z"),
        ("LOCALTIMESTAMP", "2024-02-29T04:34:56.789"),
        ("CURRENT_DATE", "2024-02-29"),
        ("LOCALTIME", "04:34:56"),
        ("UNIX_TIMESTAMP()", "1709210096"),
    ];
    for (text, expected) in cases {
        assert_eq!(answer(&registry, text).unwrap().1, expected, "{text}");
    }
}

/// NULL for each argument by itself.
#[test]
fn null_arguments_make_null() {
    let registry = registry_in("UTC");
    let cases = [
        "ABS(NULL)",
        "POWER(NULL, 1)",
        "POWER(1, NULL)",
        "ROUND(NULL, 1)",
        "CHAR_LENGTH(NULL)",
        "UPPER(NULL)",
        "SUBSTRING(NULL, 1)",
        "SUBSTRING('a', NULL)",
        "REPLACE('a', NULL, 'b')",
        "REPLACE('a', 'b', NULL)",
        "SPLIT_INDEX(NULL, ',', 1)",
        "SPLIT_INDEX('a', ',', NULL)",
        "REGEXP_EXTRACT(NULL, 'a', 1)",
        "REGEXP_REPLACE('a', NULL, 'b')",
        "LPAD('a', NULL, 'b')",
        "'a' || CAST(NULL AS STRING)",
        "CONCAT('a', NULL)",
        "DATE_FORMAT(CAST(NULL AS TIMESTAMP(3)), 'yyyy')",
        "YEAR(CAST(NULL AS DATE))",
        "MD5(NULL)",
        "TO_DATE(NULL)",
        "TO_TIMESTAMP(NULL)",
        "FROM_UNIXTIME(NULL)",
        "CAST(NULL AS INT) + 1",
        "HEX(CAST(NULL AS INT))",
        "CARDINALITY(CAST(NULL AS ARRAY<INT>))",
        "ARRAY_CONTAINS(CAST(NULL AS ARRAY<INT>), 1)",
        "MAP_KEYS(CAST(NULL AS MAP<STRING, INT>))",
        "JSON_VALUE(NULL, '$')",
        "CAST(NULL AS STRING) LIKE 'a'",
        "TIMESTAMPDIFF(DAY, CAST(NULL AS DATE), DATE '2020-01-01')",
        "CAST(NULL AS DATE) + INTERVAL '1' DAY",
        "CAST(NULL AS DECIMAL(10, 2)) * 2",
        "CAST(CAST(NULL AS STRING) AS INT)",
        "TRY_CAST(CAST(NULL AS STRING) AS INT)",
    ];
    for text in cases {
        match answer(&registry, text) {
            Ok((_, value)) => assert_eq!(value, "null", "{text}"),
            Err(error) => panic!("{text}: {}", error.strip_backtrace()),
        }
    }
}

/// Concatenated batches give concatenated answers: nothing is carried over from row to row.
#[test]
fn batches_can_be_cut_anywhere() {
    let registry = registry_in("UTC");
    let values: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["b=1", "a", "", "x=2&b=3", "b="]));
    let schema = Arc::new(Schema::new(vec![Field::new("s", values.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![values]).unwrap();
    let df_schema = DFSchema::try_from(schema).unwrap();
    for text in ["REGEXP_EXTRACT(s, 'b=([0-9]*)', 1)", "STR_TO_MAP(s, '&', '=')", "SPLIT(s, '=')", "LOWER(s)"]
    {
        let expr = analyzed(&registry, text, &df_schema).unwrap();
        let whole = evaluate(&expr, &df_schema, &batch).unwrap().0;
        for cut in 0..=batch.num_rows() {
            let parts = [batch.slice(0, cut), batch.slice(cut, batch.num_rows() - cut)];
            let parts = parts.map(|part| evaluate(&expr, &df_schema, &part).unwrap().0);
            let joined = concat(&[parts[0].as_ref(), parts[1].as_ref()]).unwrap();
            assert_eq!(joined.as_ref(), whole.as_ref(), "{text} cut at {cut}");
        }
    }
}
