use super::*;

#[test]
fn options_are_checked_when_a_table_is_created() {
    let mut planner = planner();
    assert_eq!(
        error(&mut planner, "CREATE TABLE t (a INT) WITH (\n  'connector' = 'test',\n  'pth' = 'x'\n)"),
        "unknown option 'pth'
 --> line 3, column 3
  |
3 |   'pth' = 'x'
  |   ^^^^^"
    );
    let missing = error(&mut planner, "CREATE TABLE t (a INT) WITH ('connector' = 'test')");
    assert!(missing.starts_with("option 'path' is missing\n --> line 1, column 14"), "{missing}");
    assert!(planner.table_names().is_empty());
}

#[test]
fn what_is_wrong_with_a_table() {
    for (columns, expected, place) in [
        ("a INT, a STRING", "duplicate column 'a'", 24),
        ("a INT, PRIMARY KEY (b) NOT ENFORCED", "PRIMARY KEY: the table has no column 'b'", 37),
        ("a INT, b AS a, PRIMARY KEY (b) NOT ENFORCED", "PRIMARY KEY: 'b' is not a physical column", 45),
        ("a INT, PRIMARY KEY (a, a) NOT ENFORCED", "PRIMARY KEY: column 'a' is there twice", 40),
        ("a INT, WATERMARK FOR a AS a", "WATERMARK FOR: 'a' is of type INT, but event time", 38),
        (
            "a TIMESTAMP(6), WATERMARK FOR a AS a",
            "WATERMARK FOR: 'a' is of type TIMESTAMP(6), but event time",
            47,
        ),
        ("ts TIMESTAMP(3), WATERMARK FOR tz AS ts", "WATERMARK FOR: the table has no column 'tz'", 48),
        ("ts TIMESTAMP(3), WATERMARK FOR ts AS 1", "the watermark is of type INT, but 'ts'", 48),
        ("a INT, b AS c + 1", "computed column 'b': column 'c' does not exist", 29),
        ("a INT, b AS a + 1, c AS b + 1", "computed column 'c': column 'b' does not exist", 41),
        ("a INT, b AS NULL", "computed column 'b': its type is not known, CAST it to one", 24),
        (
            "m BIGINT METADATA FROM 'key'",
            "connector 'test' has no metadata 'key': it has 'timestamp', 'offset'",
            40,
        ),
        ("`offset` INT METADATA", "metadata 'offset' is of type BIGINT: declare 'offset' so, not INT", 17),
    ] {
        let message = error(&mut planner(), &format!("CREATE TABLE t ({columns}) {WITH}"));
        assert!(message.starts_with(expected), "{columns}\n{message}");
        assert!(message.contains(&format!("--> line 1, column {place}\n")), "{columns}\n{message}");
    }
}

#[test]
fn tables_come_and_go() {
    let mut planner =
        after(&format!("CREATE TABLE t (a INT) {WITH}; CREATE TABLE IF NOT EXISTS t (b INT) {WITH}"));
    assert_eq!(planner.column_names(), ["a"]);
    let message = error(&mut planner, &format!("CREATE TABLE t (a INT) {WITH}"));
    assert!(message.starts_with("table 't' exists already\n --> line 1, column 14"), "{message}");
    assert!(error(&mut planner, "DROP VIEW t").starts_with("'t' is not a view: use DROP TABLE"));
    assert!(error(&mut planner, "DROP TABLE tt").starts_with("table 'tt' does not exist, did you mean 't'?"));
    plan(&mut planner, "DROP TABLE IF EXISTS tt; DROP TABLE t").unwrap();
    assert!(planner.table_names().is_empty());
}

#[test]
fn temporary_tables_hide_permanent_ones() {
    let mut planner =
        after(&format!("CREATE TABLE t (a INT) {WITH}; CREATE TEMPORARY TABLE t (b INT) {WITH}"));
    assert_eq!(planner.column_names(), ["b"]);
    assert!(
        error(&mut planner, "DROP TABLE t").starts_with("table 't' is temporary: use DROP TEMPORARY TABLE")
    );
    plan(&mut planner, "DROP TEMPORARY TABLE t").unwrap();
    assert_eq!(planner.column_names(), ["a"]);
}

#[test]
fn names_are_case_sensitive_and_have_one_database() {
    let mut planner = after(&format!("CREATE TABLE Orders (Id INT) {WITH}"));
    assert!(
        error(&mut planner, "DESCRIBE orders")
            .starts_with("table 'orders' does not exist, did you mean 'Orders'?")
    );
    plan(&mut planner, "DESCRIBE default_database.Orders; USE default_database; USE CATALOG default_catalog")
        .unwrap();
    assert!(error(&mut planner, "DESCRIBE db.Orders").starts_with("database 'db' does not exist"));
    assert!(error(&mut planner, "USE CATALOG hive").starts_with("catalog 'hive' does not exist"));
}

#[test]
fn alter_table_changes_options_and_names() {
    let mut planner =
        after(&format!("CREATE TABLE t (a INT) {WITH}; ALTER TABLE t SET ('rows' = '5', 'path' = 'q')"));
    let shown = text(&mut planner, "SHOW CREATE TABLE t");
    assert!(shown.contains("'path' = 'q'") && shown.contains("'rows' = '5'"), "{shown}");
    plan(&mut planner, "ALTER TABLE t RESET ('rows')").unwrap();
    assert!(!text(&mut planner, "SHOW CREATE TABLE t").contains("rows"));
    assert!(error(&mut planner, "ALTER TABLE t RESET ('path')").starts_with("option 'path' is missing"));
    assert!(error(&mut planner, "ALTER TABLE t RESET ('x')").starts_with("table 't' has no option 'x'"));
    let message = error(&mut planner, "ALTER TABLE t SET ('x' = 'y')");
    assert!(message.starts_with("unknown option 'x'\n --> line 1, column 20"), "{message}");
    plan(&mut planner, "ALTER TABLE t RENAME TO u; ALTER TABLE IF EXISTS t RENAME TO w").unwrap();
    assert_eq!(planner.table_names(), ["u"]);
    assert!(error(&mut planner, "ALTER TABLE u RENAME TO u").starts_with("table 'u' exists already"));
}

#[test]
fn like_takes_what_it_says() {
    let base = format!(
        "CREATE TABLE base (id INT, ts TIMESTAMP(3), twice AS id * 2, `offset` BIGINT METADATA VIRTUAL,
         WATERMARK FOR ts AS ts - INTERVAL '1' SECOND, PRIMARY KEY (id) NOT ENFORCED) {WITH};"
    );
    let columns = |create: &str| {
        let mut planner = after(&format!("{base} CREATE TABLE t {create}"));
        let table = rows(&mut planner, "DESCRIBE t");
        let names: Vec<String> = table.rows.iter().map(|row| row[0].clone().unwrap_or_default()).collect();
        let marks: Vec<&str> = ["PRI(id)", "`ts` -"]
            .into_iter()
            .filter(|mark| table.rows.iter().flatten().flatten().any(|cell| cell.contains(mark)))
            .collect();
        (names.join(","), marks.len())
    };
    assert_eq!(columns("LIKE base"), ("id,ts,twice,offset".into(), 2));
    assert_eq!(columns("(b INT) WITH ('path' = 'other') LIKE base"), ("id,ts,twice,offset,b".into(), 2));
    assert_eq!(columns(&format!("{WITH} LIKE base (EXCLUDING ALL)")), ("id,ts".into(), 0));
    assert_eq!(
        columns("(twice AS id + id) LIKE base (EXCLUDING CONSTRAINTS OVERWRITING GENERATED)"),
        ("id,ts,offset,twice".into(), 1)
    );
    let fails = |create: &str| error(&mut planner(), &format!("{base} CREATE TABLE t {create}"));
    assert!(fails("(id INT) LIKE base").starts_with("column 'id' is in the table that LIKE names already"));
    assert!(fails("(PRIMARY KEY (ts) NOT ENFORCED) LIKE base").contains("EXCLUDING CONSTRAINTS"));
    assert!(fails("WITH ('path'='x') LIKE base (INCLUDING OPTIONS)").contains("EXCLUDING OPTIONS"));
    assert!(fails("LIKE base (OVERWRITING CONSTRAINTS)").starts_with("OVERWRITING goes with"));
}

#[test]
fn views_are_checked_when_they_are_created() {
    let mut planner =
        after(&format!("CREATE TABLE t (a INT, b INT) {WITH}; CREATE VIEW v AS SELECT a FROM t"));
    let missing = error(&mut planner, "CREATE VIEW w AS\nSELECT c FROM t");
    assert!(missing.starts_with("column 'c' does not exist"), "{missing}");
    assert!(missing.contains("--> line 2, column 8"), "{missing}");
    assert!(
        error(&mut planner, "CREATE VIEW w (x) AS SELECT a, b FROM t")
            .starts_with("view 'w' names 1 columns, but")
    );
    assert!(
        error(&mut planner, "CREATE VIEW w (x, x) AS SELECT a, b FROM t").contains("two columns named 'x'")
    );
    assert!(error(&mut planner, "CREATE VIEW v AS SELECT 1 AS a").starts_with("view 'v' exists already"));
    plan(&mut planner, "CREATE OR REPLACE VIEW v AS SELECT b FROM t; ALTER VIEW v RENAME TO w").unwrap();
    assert_eq!(planner.table_names(), ["t", "w"]);
    assert!(error(&mut planner, "CREATE OR REPLACE VIEW t AS SELECT 1 AS a").starts_with("'t' is a table"));
    plan(&mut planner, "ALTER VIEW w AS SELECT a + 1 AS z FROM t").unwrap();
    assert_eq!(lines(&rows(&mut planner, "DESCRIBE w")).lines().nth(1), Some("z|INT|TRUE|||"));
}

#[test]
fn hints_change_the_options_of_one_use() {
    let mut planner = after(&format!("CREATE TABLE t (a INT) {WITH}; CREATE VIEW v AS SELECT * FROM t"));
    let message = error(&mut planner, "SELECT * FROM t /*+ OPTIONS('x' = 'y') */");
    assert!(message.starts_with("hint OPTIONS: unknown option 'x'"), "{message}");
    let message = error(&mut planner, "SELECT * FROM v /*+ OPTIONS('path' = 'y') */");
    assert!(message.starts_with("'v' is a view: OPTIONS goes with a table"), "{message}");
    let paths = |planner: &mut Planner, sql: &str| -> Vec<String> {
        let Ok(Planned::Query(graph)) = plan(planner, sql) else { panic!("{sql} is no query") };
        let path = |spec: &weir_types::OperatorSpec| match spec {
            weir_types::OperatorSpec::Source(source) => source.table.option("path").map(str::to_string),
            _ => None,
        };
        graph.nodes.iter().filter_map(|node| path(&node.spec)).collect()
    };
    assert_eq!(paths(&mut planner, "SELECT t.a FROM t /*+ OPTIONS('path' = 'y') */"), ["y"]);
    plan(&mut planner, "ALTER VIEW v AS SELECT a FROM t /*+ OPTIONS('path' = 'z') */").unwrap();
    assert_eq!(paths(&mut planner, "SELECT * FROM v"), ["z"]);
    assert!(text(&mut planner, "SHOW CREATE TABLE t").contains("'path' = 'p'"));
}
