//! Types, expressions, table arguments and hints.

use super::*;
use crate::walk::walk;
use sqlparser::ast::{Expr, Query, SetExpr, TableFactor, TableVersion, Visitor};
use std::ops::ControlFlow;

#[test]
fn every_type() {
    for (text, expected) in [
        ("BOOLEAN", "BOOLEAN"),
        ("TINYINT", "TINYINT"),
        ("SMALLINT", "SMALLINT"),
        ("INTEGER", "INT"),
        ("BIGINT NULL", "BIGINT"),
        ("FLOAT", "FLOAT"),
        ("DOUBLE PRECISION", "DOUBLE"),
        ("DECIMAL", "DECIMAL(10, 0)"),
        ("NUMERIC(5)", "DECIMAL(5, 0)"),
        ("DEC(38, 38)", "DECIMAL(38, 38)"),
        ("CHAR", "CHAR(1)"),
        ("char(7)", "CHAR(7)"),
        ("VARCHAR", "STRING"),
        ("VARCHAR(2147483647)", "STRING"),
        ("VARCHAR(10)", "VARCHAR(10)"),
        ("BINARY(2)", "BINARY(2)"),
        ("VARBINARY", "BYTES"),
        ("DATE", "DATE"),
        ("TIME", "TIME(0)"),
        ("TIME(3) WITHOUT TIME ZONE", "TIME(0)"),
        ("TIMESTAMP", "TIMESTAMP(6)"),
        ("TIMESTAMP(3) WITHOUT TIME ZONE NOT NULL", "TIMESTAMP(3) NOT NULL"),
        ("TIMESTAMP(9) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(9)"),
        ("TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(3)"),
        ("INTERVAL DAY TO SECOND(3)", "INTERVAL DAY TO SECOND(3)"),
        ("INTERVAL YEAR", "INTERVAL YEAR TO MONTH"),
        ("INT ARRAY", "ARRAY<INT>"),
        ("INT NOT NULL ARRAY NOT NULL", "ARRAY<INT NOT NULL> NOT NULL"),
        ("ARRAY<ARRAY<ARRAY<INT>>>", "ARRAY<ARRAY<ARRAY<INT>>>"),
        ("ARRAY<ARRAY<INT>> NOT NULL", "ARRAY<ARRAY<INT>> NOT NULL"),
        ("MAP<STRING, ARRAY<INT>>", "MAP<STRING, ARRAY<INT>>"),
        ("MULTISET<STRING>", "MULTISET<STRING>"),
        ("ROW(a INT 'a comment', `b c` STRING)", "ROW<`a` INT, `b c` STRING>"),
        ("ROW<`date` DATE, n ROW<x INT>>", "ROW<`date` DATE, `n` ROW<`x` INT>>"),
    ] {
        let written = brief(&kind(&format!("CREATE TABLE t (c {text})")));
        assert_eq!(written.split_once("\nc ").unwrap().1, expected, "{text}");
        // A cast carries its type as text, and gets the same back.
        let StatementKind::Query(query) = kind(&format!("SELECT CAST(c AS {text}) FROM t")) else { panic!() };
        let SetExpr::Select(select) = *query.body else { panic!() };
        let sqlparser::ast::SelectItem::UnnamedExpr(Expr::Cast { data_type, .. }) = &select.projection[0]
        else {
            panic!("{:?}", select.projection)
        };
        assert_eq!(cast_type(data_type).unwrap().to_string(), expected, "{text}");
    }
}

/// Table arguments in the order of the text.
#[derive(Default)]
struct Arguments(Vec<String>);

impl Visitor for Arguments {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(argument) = table_argument(expr) {
            let list = |items: &[Expr]| items.iter().map(Expr::to_string).collect::<Vec<_>>().join(", ");
            let order: Vec<String> = argument.order_by.iter().map(|key| key.to_string()).collect();
            self.0.push(format!(
                "{} | {} | {}",
                argument.query,
                list(argument.partition_by),
                order.join(", ")
            ));
        }
        ControlFlow::Continue(())
    }
}

fn query(text: &str) -> Box<Query> {
    match kind(text) {
        StatementKind::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn window_functions_take_tables() {
    for (text, expected) in [
        ("TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)", "SELECT * FROM t |  | "),
        (
            "TUMBLE(TABLE db.t, DESCRIPTOR(ts), INTERVAL '10' MINUTES, INTERVAL '1' MINUTE)",
            "SELECT * FROM db.t |  | ",
        ),
        (
            "TUMBLE(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '10' MINUTES)",
            "SELECT * FROM t |  | ",
        ),
        ("HOP((TABLE t), DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '2' DAY)", "SELECT * FROM t |  | "),
        (
            "CUMULATE(TABLE (SELECT a FROM t), DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '2' DAY)",
            "SELECT a FROM t |  | ",
        ),
        ("SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '10' SECOND)", "SELECT * FROM t | k | "),
        (
            "SESSION(TABLE t PARTITION BY a, b, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
            "SELECT * FROM t | a, b | ",
        ),
        (
            "SESSION(TABLE t PARTITION BY (a, b), DESCRIPTOR(ts), INTERVAL '10' SECOND)",
            "SELECT * FROM t | a, b | ",
        ),
        (
            "SESSION(DATA => TABLE t PARTITION BY k, TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '10' SECOND)",
            "SELECT * FROM t | k | ",
        ),
        ("F(TABLE t PARTITION BY k ORDER BY ts DESC, 1)", "SELECT * FROM t | k | ts DESC"),
    ] {
        for text in [format!("SELECT * FROM TABLE({text}) AS w"), format!("SELECT * FROM {text}")] {
            let mut arguments = Arguments::default();
            let _ = walk(&query(&text), &mut arguments);
            assert_eq!(arguments.0, [expected], "{text}");
        }
    }
}

#[test]
fn flinks_expressions() {
    for (text, expected) in [
        ("MAP['k', 1]", "MAP('k', 1)"),
        ("ARRAY[1, 2][1]", "ARRAY[1, 2][1]"),
        ("ROW(1, 'x')", "ROW(1, 'x')"),
        ("r.a.b", "r.a.b"),
        ("TRY_CAST(x AS ROW<a INT>)", "TRY_CAST(x AS ROW<`a` INT>)"),
        (
            "JSON_OBJECT(KEY 'a' VALUE 1, 'b' VALUE x ABSENT ON NULL)",
            "JSON_OBJECT('a', 1, 'b', x ABSENT ON NULL)",
        ),
        ("JSON_OBJECT()", "JSON_OBJECT()"),
        ("JSON_OBJECTAGG(KEY k VALUE v NULL ON NULL)", "JSON_OBJECTAGG(k, v NULL ON NULL)"),
        ("COUNT(*) FILTER (WHERE a > 1)", "COUNT(*) FILTER (WHERE a > 1)"),
        ("TIMESTAMPDIFF(MONTH, a, b)", "TIMESTAMPDIFF(MONTH, a, b)"),
        ("INTERVAL '1:30' MINUTE TO SECOND", "INTERVAL '1:30' MINUTE TO SECOND"),
        ("`a``b`", "`a``b`"),
        ("x IS NOT DISTINCT FROM y", "x IS NOT DISTINCT FROM y"),
        ("U&'\\00e9'", "U&'\\00E9'"),
    ] {
        let written = query(&format!("SELECT {text}")).to_string();
        let written = written.strip_prefix("SELECT ").unwrap();
        assert_eq!(written, expected, "{text}");
    }
}

#[test]
fn hints_go_into_the_names_of_tables() {
    let read = query(
        "SELECT a.x FROM t /*+ OPTIONS('k'='v', 'l'='it''s') */ AS a JOIN u /*+ OPTIONS('m'='n') */ ON TRUE",
    );
    let SetExpr::Select(select) = &*read.body else { panic!() };
    let table = |factor: &TableFactor| match factor {
        TableFactor::Table { name, alias, .. } => {
            let name = name.0[0].as_ident().unwrap().value.clone();
            let (plain, options) = split_name(&name).unwrap();
            (plain.to_string(), options, alias.as_ref().unwrap().name.value.clone())
        }
        other => panic!("{other}"),
    };
    let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
    assert_eq!(
        table(&select.from[0].relation),
        ("t".into(), vec![pair("k", "v"), pair("l", "it's")], "a".into())
    );
    assert_eq!(table(&select.from[0].joins[0].relation), ("u".into(), vec![pair("m", "n")], "u".into()));

    let StatementKind::Insert(insert) = kind("INSERT INTO t /*+ OPTIONS('k'='v') */ SELECT * FROM s") else {
        panic!()
    };
    let name = &insert.table.0[0].as_ident().unwrap().value;
    assert_eq!(split_name(name), Some(("t", vec![pair("k", "v")])));

    let mut arguments = Arguments::default();
    let hinted =
        query("SELECT * FROM TUMBLE(TABLE t /*+ OPTIONS('k'='v') */, DESCRIPTOR(ts), INTERVAL '1' DAY)");
    let _ = walk(&hinted, &mut arguments);
    assert!(arguments.0[0].contains("/*+ OPTIONS('k'='v') */"), "{:?}", arguments.0);
}

#[test]
fn no_hint_is_ignored() {
    assert_eq!(
        error("SELECT /*+ OPTIONS('a'='b') */ * FROM t"),
        "a hint is not allowed here: OPTIONS goes right after the name of a table
 --> line 1, column 8
  |
1 | SELECT /*+ OPTIONS('a'='b') */ * FROM t
  |        ^^^^^^^^^^^^^^^^^^^^^^^"
    );
    assert!(
        error("SELECT /*+ BROADCAST('t'='1d') */ * FROM t").starts_with("not supported yet: hint BROADCAST")
    );
    assert!(
        error("SELECT * FROM t /*+ STATE_TTL('t'='1d') */").starts_with("hint STATE_TTL goes right after")
    );
    assert_eq!(
        error("SELECT /*+ STATE_TTL('t'='1d', 'u'='1d') */ * FROM t AS u, (SELECT 1) AS v"),
        "hint STATE_TTL names 't', which is no table of this SELECT: name one as FROM does, by its alias where it has one
 --> line 1, column 22
  |
1 | SELECT /*+ STATE_TTL('t'='1d', 'u'='1d') */ * FROM t AS u, (SELECT 1) AS v
  |                      ^^^"
    );
    assert!(error("SELECT /*+ STATE_TTL('t'='soon') */ * FROM t").contains("'t' of hint STATE_TTL"));
    assert!(error("SELECT /*+ STATE_TTL('t'='1 s', 't'='2 s') */ * FROM t").contains("names 't' twice"));
    assert!(error("SELECT a /*+ OPTIONS('a'='b') */ FROM t").starts_with("a hint is not allowed here"));
    assert!(error("SELECT * FROM t /*+ OPTIONS(a=1) */").starts_with("expected a string in single quotes"));
    assert!(error("DROP TABLE t /*+ OPTIONS('a'='b') */").starts_with("a hint is not allowed here"));
    assert!(error("/*+ OPTIONS('a'='b') */ SELECT 1").starts_with("a hint is not allowed here"));
    assert!(error("SELECT 1; /*+ OPTIONS('a'='b') */").starts_with("a hint is not allowed here"));
}

#[test]
fn a_lookup_hint_goes_into_the_time_of_its_table() {
    let time = |sql: &str, join: usize| {
        let query = query(sql);
        let SetExpr::Select(select) = query.body.as_ref() else { panic!("{sql}") };
        let TableFactor::Table { version, .. } = &select.from[0].joins[join].relation else {
            panic!("{sql}")
        };
        let Some(TableVersion::ForSystemTimeAsOf(time)) = version else { panic!("{sql}") };
        split_lookup(time)
    };
    let joins = "FROM o JOIN d FOR SYSTEM_TIME AS OF o.p AS a ON o.k = a.k JOIN e FOR SYSTEM_TIME AS OF o.p ON o.k = e.k";
    let hints = "LOOKUP('table'='a', 'async'='TRUE', 'output-mode'='allow_unordered', 'capacity'='7', 'timeout'='2 s'),
        LOOKUP('table'='e', 'retry-predicate'='lookup_miss', 'retry-strategy'='fixed_delay', 'fixed-delay'='1 s', 'max-attempts'='4')";
    let sql = format!("SELECT /*+ {hints} */ * {joins}");
    let (expr, hint) = time(&sql, 0).unwrap();
    assert_eq!(expr.to_string(), "o.p");
    let expected = LookupHint {
        asynchronous: Some(true),
        unordered: Some(true),
        capacity: Some(7),
        timeout_ms: Some(2000),
        retry: None,
    };
    assert_eq!(hint, expected);
    assert_eq!(time(&sql, 1).unwrap().1, LookupHint { retry: Some((1000, 4)), ..LookupHint::default() });
    assert_eq!(time(&format!("SELECT * {joins}"), 0), None);

    for (hint, expected) in [
        ("'async'='true'", "hint LOOKUP needs 'table'"),
        (
            "'table'='d', 'async'='true'",
            "hint LOOKUP is for a table 'd' that is joined FOR SYSTEM_TIME AS OF: there is none",
        ),
        ("'table'='a', 'async'='maybe'", "option 'async' of hint LOOKUP is 'true' or 'false', not 'maybe'"),
        ("'table'='a', 'capacity'='0'", "option 'capacity' of hint LOOKUP is a number above 0, not '0'"),
        ("'table'='a', 'max-attempts'='3'", "hint LOOKUP retries with all of 'retry-predicate'"),
        ("'table'='a', 'asinc'='true'", "hint LOOKUP has no option 'asinc'"),
        ("'table'='a', 'table'='e'", "hint LOOKUP has 'table' twice"),
    ] {
        let message = error(&format!("SELECT /*+ LOOKUP({hint}) */ * {joins}"));
        assert!(message.starts_with(expected), "{message}");
    }
    assert!(
        error("SELECT * FROM d /*+ LOOKUP('table'='d') */")
            .starts_with("hint LOOKUP goes right after SELECT")
    );
}
