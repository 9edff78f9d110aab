use super::*;

#[test]
fn describe_shows_what_flink_shows() {
    let mut planner = after(&format!(
        "CREATE TABLE t (
            `user` BIGINT NOT NULL,
            product VARCHAR(32),
            ts TIMESTAMP(3),
            offset_ BIGINT METADATA FROM 'offset' VIRTUAL,
            `timestamp` TIMESTAMP_LTZ(3) METADATA,
            twice AS `user` * 2,
            ptime AS proctime(),
            WATERMARK FOR ts AS ts - INTERVAL '1' SECOND,
            PRIMARY KEY (`user`, product) NOT ENFORCED
        ) {WITH}"
    ));
    let expected = "name|type|null|key|extras|watermark
user|BIGINT|FALSE|PRI(user, product)||
product|VARCHAR(32)|FALSE|PRI(user, product)||
ts|TIMESTAMP(3) *ROWTIME*|TRUE|||`ts` - INTERVAL '1' SECOND
offset_|BIGINT|TRUE||METADATA FROM 'offset' VIRTUAL|
timestamp|TIMESTAMP_LTZ(3)|TRUE||METADATA|
twice|BIGINT|FALSE||AS `user` * 2|
ptime|TIMESTAMP_LTZ(3) *PROCTIME*|FALSE||AS PROCTIME()|";
    assert_eq!(lines(&rows(&mut planner, "DESCRIBE t")), expected);
    assert_eq!(
        lines(&rows(&mut planner, "SHOW COLUMNS FROM t LIKE '%ts'")),
        "name|type|null|key|extras|watermark\nts|TIMESTAMP(3) *ROWTIME*|TRUE|||`ts` - INTERVAL '1' SECOND"
    );
}

#[test]
fn comments_are_a_column_where_there_are_any() {
    let mut planner = after(&format!("CREATE TABLE t (a INT COMMENT 'the a', b INT) {WITH}"));
    assert_eq!(
        lines(&rows(&mut planner, "DESC default_catalog.default_database.t")),
        "name|type|null|key|extras|watermark|comment\na|INT|TRUE||||the a\nb|INT|TRUE||||"
    );
}

#[test]
fn describe_of_a_view_tells_the_types_of_its_query() {
    let mut planner = after("CREATE VIEW v (n, s) AS SELECT 1 + 1, CAST(NULL AS STRING)");
    assert_eq!(
        lines(&rows(&mut planner, "DESCRIBE v")),
        "name|type|null|key|extras|watermark\nn|INT|FALSE|||\ns|STRING|TRUE|||"
    );
}

/// What SHOW CREATE TABLE prints makes the same table again.
#[test]
fn show_create_table_reads_back() {
    let create = format!(
        "CREATE TABLE t (
            a INT NOT NULL, `b c` ROW<x INT, y ARRAY<STRING NOT NULL>> COMMENT 'it''s',
            m BIGINT METADATA FROM 'offset' VIRTUAL, d AS a + 1, ts TIMESTAMP(3),
            WATERMARK FOR ts AS ts - INTERVAL '4' SECOND, PRIMARY KEY (a) NOT ENFORCED
        ) COMMENT 'a table' PARTITIONED BY (a) {WITH}"
    );
    let mut planner = after(&create);
    let shown = text(&mut planner, "SHOW CREATE TABLE t");
    let expected = "CREATE TABLE `default_catalog`.`default_database`.`t` (
  `a` INT NOT NULL,
  `b c` ROW<`x` INT, `y` ARRAY<STRING NOT NULL>> COMMENT 'it''s',
  `m` BIGINT METADATA FROM 'offset' VIRTUAL,
  `d` AS `a` + 1,
  `ts` TIMESTAMP(3),
  WATERMARK FOR `ts` AS `ts` - INTERVAL '4' SECOND,
  PRIMARY KEY (`a`) NOT ENFORCED
)
COMMENT 'a table'
PARTITIONED BY (`a`)
WITH (
  'connector' = 'test',
  'path' = 'p'
)";
    assert_eq!(shown, expected);
    let mut again = after(&shown);
    assert_eq!(text(&mut again, "SHOW CREATE TABLE t"), expected);
}

#[test]
fn show_create_view() {
    let mut planner = after("CREATE TEMPORARY VIEW v AS SELECT 1 AS a,\n 2 AS b");
    let shown = text(&mut planner, "SHOW CREATE VIEW v");
    assert_eq!(
        shown,
        "CREATE TEMPORARY VIEW `default_catalog`.`default_database`.`v` (`a`, `b`)\nAS SELECT 1 AS a,\n 2 AS b"
    );
    assert_eq!(text(&mut after(&shown), "SHOW CREATE VIEW v"), shown);
    let message = error(&mut planner, "SHOW CREATE TABLE v");
    assert!(
        message.starts_with("'v' is not a table: use SHOW CREATE VIEW\n --> line 1, column 19"),
        "{message}"
    );
}

#[test]
fn show_lists() {
    let mut planner = after(&format!("CREATE TABLE b (a INT) {WITH}; CREATE VIEW a_view AS SELECT 1 AS x"));
    assert_eq!(lines(&rows(&mut planner, "SHOW TABLES")), "table name\na_view\nb");
    assert_eq!(lines(&rows(&mut planner, "SHOW TABLES NOT LIKE 'a\\_%'")), "table name\nb");
    assert_eq!(lines(&rows(&mut planner, "SHOW VIEWS")), "view name\na_view");
    assert_eq!(lines(&rows(&mut planner, "SHOW VIEWS ILIKE 'A_VIE_'")), "view name\na_view");
    assert_eq!(lines(&rows(&mut planner, "SHOW CURRENT CATALOG")), "current catalog name\ndefault_catalog");
    assert_eq!(lines(&rows(&mut planner, "SHOW DATABASES")), "database name\ndefault_database");
    let functions = lines(&rows(&mut planner, "SHOW FUNCTIONS LIKE 'count'"));
    assert_eq!(functions, "function name\ncount");
    assert_eq!(planner.table_names(), ["a_view", "b"]);
    assert_eq!(planner.column_names(), ["a", "x"]);
    assert!(planner.keywords().contains(&"SELECT".to_string()));
}
