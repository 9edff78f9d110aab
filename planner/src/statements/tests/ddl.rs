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
fn names_are_case_sensitive() {
    let mut planner = after(&format!("CREATE TABLE Orders (Id INT) {WITH}"));
    assert!(
        error(&mut planner, "DESCRIBE orders")
            .starts_with("table 'orders' does not exist, did you mean 'Orders'?")
    );
    plan(&mut planner, "DESCRIBE default_database.Orders; USE default_database; USE CATALOG default_catalog")
        .unwrap();
    assert!(error(&mut planner, "DESCRIBE db.Orders").starts_with("database 'db' does not exist in catalog"));
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

#[test]
fn databases_and_catalogs_hold_tables_of_the_same_name() {
    let mut planner = after(&format!(
        "CREATE TABLE t (a INT) {WITH}; CREATE DATABASE d; CREATE TABLE d.t (b INT) {WITH};
         CREATE CATALOG c WITH ('type' = 'generic_in_memory', 'default-database' = 'm');
         CREATE TABLE c.m.t (c INT) {WITH}; CREATE VIEW d.v AS SELECT * FROM d.t"
    ));
    let columns = |planner: &mut Planner, sql: &str| {
        let lines = lines(&rows(planner, sql));
        lines.lines().skip(1).filter_map(|line| line.split('|').next()).collect::<Vec<_>>().join(",")
    };
    assert_eq!(columns(&mut planner, "DESCRIBE t"), "a");
    assert_eq!(columns(&mut planner, "DESCRIBE d.t"), "b");
    assert_eq!(columns(&mut planner, "DESCRIBE default_catalog.d.v"), "b");
    assert_eq!(columns(&mut planner, "DESCRIBE c.m.t"), "c");
    assert_eq!(columns(&mut planner, "SHOW TABLES FROM d"), "t,v");
    plan(&mut planner, "USE d").unwrap();
    assert_eq!(columns(&mut planner, "DESCRIBE t"), "b");
    assert_eq!(columns(&mut planner, "SHOW TABLES"), "t,v");
    assert_eq!(columns(&mut planner, "SHOW CURRENT DATABASE"), "d");
    // What names in a view mean is settled when it is made.
    plan(&mut planner, "CREATE VIEW default_database.w AS SELECT * FROM t; USE CATALOG c").unwrap();
    assert_eq!(columns(&mut planner, "DESCRIBE t"), "c");
    assert_eq!(columns(&mut planner, "SHOW CURRENT CATALOG"), "c");
    assert_eq!(columns(&mut planner, "SHOW DATABASES"), "m");
    assert_eq!(columns(&mut planner, "SHOW DATABASES IN default_catalog LIKE 'd'"), "d");
    assert_eq!(columns(&mut planner, "SHOW CATALOGS"), "c,default_catalog");
    let Ok(Planned::Query(graph)) =
        plan(&mut planner, "SELECT * FROM default_catalog.default_database.w JOIN t ON b = c")
    else {
        panic!("no query");
    };
    let labels: Vec<&str> = graph.nodes.iter().map(|node| node.label.as_str()).collect();
    let label = labels.join("\n");
    assert!(label.contains("table=[d.t]") && label.contains("table=[c.m.t]"), "{label}");
    assert_eq!(
        lines(&rows(&mut planner, "DESCRIBE CATALOG EXTENDED c")),
        "info name|info value\nname|c\ntype|generic_in_memory\ncomment|\noption:default-database|m"
    );
    let shown = text(&mut planner, "SHOW CREATE TABLE t");
    assert!(shown.starts_with("CREATE TABLE `c`.`m`.`t` ("), "{shown}");
    assert_eq!(
        text(&mut planner, "SHOW CREATE CATALOG c"),
        "CREATE CATALOG `c`\nWITH (\n  'default-database' = 'm',\n  'type' = 'generic_in_memory'\n)"
    );
}

#[test]
fn databases_and_catalogs_go_when_nobody_needs_them() {
    let mut planner =
        after(&format!("CREATE DATABASE IF NOT EXISTS d; CREATE TABLE d.t (a INT) {WITH}; USE d"));
    let mut fails = |sql: &str| error(&mut planner, sql);
    assert!(fails("DROP DATABASE d").starts_with("database 'd' is in use"));
    assert!(fails("DROP CATALOG default_catalog").starts_with("catalog 'default_catalog' is in use"));
    assert!(fails("DROP DATABASE e").starts_with("database 'e' does not exist in catalog 'default_catalog'"));
    assert!(fails("CREATE DATABASE d").starts_with("database 'd' exists already"));
    assert!(fails("CREATE TABLE e.t (a INT)").starts_with("database 'e' does not exist"));
    assert!(fails("SHOW TABLES FROM other").starts_with("database 'other' does not exist"));
    assert!(fails("CREATE CATALOG h WITH ('type' = 'hive')").contains("catalogs of type 'hive'"));
    assert!(fails("CREATE CATALOG h").starts_with("catalog 'h' has no type"));
    assert!(
        fails("CREATE CATALOG h WITH ('typ' = 'x')").contains("unknown option 'typ', did you mean 'type'")
    );
    plan(&mut planner, "USE default_database; DROP DATABASE IF EXISTS e; DROP TABLE IF EXISTS e.t").unwrap();
    assert!(error(&mut planner, "DROP DATABASE d RESTRICT").starts_with("database 'd' is not empty"));
    plan(&mut planner, "DROP DATABASE d CASCADE; CREATE DATABASE d").unwrap();
    assert!(error(&mut planner, "DESCRIBE d.t").starts_with("table 'd.t' does not exist"));
}

#[test]
fn alter_table_changes_columns() {
    let create = format!(
        "CREATE TABLE t (id INT, a STRING COMMENT 'an a', ts TIMESTAMP(3), twice AS id * 2,
         WATERMARK FOR ts AS ts, PRIMARY KEY (a) NOT ENFORCED) {WITH}"
    );
    let mut planner = after(&create);
    let shape = |planner: &mut Planner| {
        let shown = rows(planner, "DESCRIBE t").rows;
        let cell = |cell: &Option<String>| cell.clone().unwrap_or_default();
        let column =
            |row: &Vec<Option<String>>| format!("{} {}{}", cell(&row[0]), cell(&row[1]), cell(&row[3]));
        shown.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    plan(&mut planner, "ALTER TABLE t ADD (b INT FIRST, c AS id + 1 AFTER id, d BIGINT)").unwrap();
    assert_eq!(
        shape(&mut planner),
        "b INT, id INT, c INT, a STRINGPRI(a), ts TIMESTAMP(3) *ROWTIME*, twice INT, d BIGINT"
    );
    plan(&mut planner, "ALTER TABLE t MODIFY d STRING FIRST; ALTER TABLE t MODIFY b BIGINT").unwrap();
    plan(&mut planner, "ALTER TABLE t DROP (c, twice); ALTER TABLE t RENAME a TO e").unwrap();
    plan(&mut planner, "ALTER TABLE t MODIFY WATERMARK FOR ts AS ts - INTERVAL '1' SECOND").unwrap();
    assert_eq!(shape(&mut planner), "d STRING, b BIGINT, id INT, e STRINGPRI(e), ts TIMESTAMP(3) *ROWTIME*");
    assert!(text(&mut planner, "SHOW CREATE TABLE t").contains("`e` STRING NOT NULL COMMENT 'an a'"));
    plan(&mut planner, "ALTER TABLE t DROP PRIMARY KEY; ALTER TABLE t DROP WATERMARK").unwrap();
    assert!(shape(&mut planner).ends_with("e STRING, ts TIMESTAMP(3)"));
    plan(&mut planner, "ALTER TABLE t ADD PRIMARY KEY (b) NOT ENFORCED").unwrap();
    assert!(shape(&mut planner).contains("b BIGINTPRI(b)"));
}

#[test]
fn columns_that_are_needed_stay() {
    let mut planner = after(&format!(
        "CREATE TABLE t (id INT, k INT, ts TIMESTAMP(3), twice AS id * 2, WATERMARK FOR ts AS ts,
         PRIMARY KEY (k) NOT ENFORCED) {WITH}"
    ));
    for (change, expected) in [
        ("DROP id", "cannot drop column 'id': computed column 'twice' is made of it"),
        ("RENAME id TO x", "cannot rename column 'id': computed column 'twice' is made of it"),
        ("DROP ts", "cannot drop column 'ts': the watermark is made of it"),
        ("DROP k", "cannot drop column 'k': it is in the primary key"),
        ("DROP kk", "the table has no column 'kk', did you mean 'k'?"),
        ("ADD k INT", "the table has a column 'k' already"),
        ("MODIFY x INT", "the table has no column 'x'"),
        ("ADD x INT AFTER y", "the table has no column 'y'"),
        ("ADD WATERMARK FOR ts AS ts", "the table has a WATERMARK already"),
        ("ADD PRIMARY KEY (id) NOT ENFORCED", "the table has a PRIMARY KEY already"),
        ("RENAME k TO id", "the table has a column 'id' already"),
        ("MODIFY id STRING", "computed column 'twice'"),
    ] {
        let message = error(&mut planner, &format!("ALTER TABLE t {change}"));
        assert!(message.starts_with(expected), "{change}\n{message}");
        assert!(message.contains("--> line 1"), "{change}\n{message}");
    }
}

#[test]
fn create_table_as_takes_names_and_new_columns() {
    let source = format!("CREATE TABLE s (id INT, k STRING) {WITH};");
    let shown = |create: &str| {
        let mut planner = after(&format!("{source} CREATE TABLE t {create}"));
        let rows = rows(&mut planner, "DESCRIBE t").rows;
        let cell = |cell: &Option<String>| cell.clone().unwrap_or_default();
        rows.iter().map(|row| format!("{} {}", cell(&row[0]), cell(&row[1]))).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(shown(&format!("(k, id) {WITH} AS SELECT id, k FROM s")), "k STRING, id INT");
    assert_eq!(
        shown(&format!("(x INT, id BIGINT, y AS id + 1) {WITH} AS SELECT id, k FROM s")),
        "x INT, y BIGINT, id BIGINT, k STRING"
    );
    let fails = |create: &str| error(&mut planner(), &format!("{source} CREATE TABLE t {create}"));
    assert!(
        fails(&format!("(k) {WITH} AS SELECT id, k FROM s")).starts_with("the list leaves out column 'id'")
    );
    assert!(
        fails(&format!("(k, x) {WITH} AS SELECT id, k FROM s"))
            .starts_with("the query has no other column 'x'")
    );
}
