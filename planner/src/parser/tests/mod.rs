//! Each form of a statement, read and retold.

mod errors;
mod queries;

use super::*;
use std::fmt::Write;

fn kind(text: &str) -> StatementKind {
    let mut statements = parse(text).unwrap_or_else(|error| panic!("{text}\n{}", error.render()));
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0).kind
}

fn error(text: &str) -> String {
    match parse(text) {
        Ok(statements) => panic!("{text} was read as {statements:?}"),
        Err(error) => error.render(),
    }
}

/// A statement in a few words, without places.
fn brief(kind: &StatementKind) -> String {
    let text = |text: &Text| text.value.clone();
    let pairs = |properties: &[Property]| {
        let pairs = properties.iter().map(|pair| format!("{}={}", pair.key.value, pair.value.value));
        pairs.collect::<Vec<_>>().join(",")
    };
    match kind {
        StatementKind::CreateTable(table) => create_table(table),
        StatementKind::CreateView(view) => format!(
            "view {} temporary={} replace={} if_not_exists={} {:?} comment={:?} as [{}] {}",
            view.name,
            view.temporary,
            view.or_replace,
            view.if_not_exists,
            names(&view.columns),
            view.comment,
            view.query_text,
            view.query
        ),
        StatementKind::Drop(drop) => {
            format!(
                "drop {:?} {} temporary={} if_exists={}",
                drop.kind, drop.name, drop.temporary, drop.if_exists
            )
        }
        StatementKind::AlterTable(alter) => match &alter.change {
            TableChange::Set(properties) => format!("alter {} set {}", alter.name, pairs(properties)),
            TableChange::Reset(keys) => {
                format!("alter {} reset {:?}", alter.name, keys.iter().map(text).collect::<Vec<_>>())
            }
            TableChange::Rename(name) => {
                format!("alter {} rename {name} if_exists={}", alter.name, alter.if_exists)
            }
            TableChange::RenameColumn { from, to } => format!("alter {} column {from} {to}", alter.name),
            TableChange::Add(elements) => format!("alter {} add {}", alter.name, altered(elements)),
            TableChange::Modify(elements) => format!("alter {} modify {}", alter.name, altered(elements)),
            TableChange::DropColumns(columns) => format!("alter {} drop {:?}", alter.name, names(columns)),
            TableChange::DropPrimaryKey(_) => format!("alter {} drop key", alter.name),
            TableChange::DropWatermark(_) => format!("alter {} drop watermark", alter.name),
        },
        StatementKind::AlterView(alter) => match &alter.change {
            ViewChange::Rename(name) => format!("alter view {} rename {name}", alter.name),
            ViewChange::As { query_text, .. } => format!("alter view {} as {query_text}", alter.name),
        },
        StatementKind::Database(statement) => match statement {
            DatabaseStatement::CreateCatalog { name, if_not_exists, comment, options } => {
                format!("catalog {name} {if_not_exists} {comment:?} {}", pairs(options))
            }
            DatabaseStatement::DropCatalog { name, if_exists } => format!("drop catalog {name} {if_exists}"),
            DatabaseStatement::CreateDatabase { name, if_not_exists, comment, options } => {
                format!("database {name} {if_not_exists} {comment:?} {}", pairs(options))
            }
            DatabaseStatement::AlterDatabase { name, options } => {
                format!("alter database {name} {}", pairs(options))
            }
            DatabaseStatement::DropDatabase { name, if_exists, cascade } => {
                format!("drop database {name} {if_exists} {cascade}")
            }
        },
        StatementKind::Insert(insert) => brief_insert(insert),
        StatementKind::StatementSet(inserts) => {
            format!("set of {}", inserts.iter().map(brief_insert).collect::<Vec<_>>().join(" + "))
        }
        StatementKind::DescribeQuery(query) => format!("describe {query}"),
        StatementKind::Query(query) => format!("query {query}"),
        StatementKind::Set(properties) => format!("set {}", pairs(properties)),
        StatementKind::Reset(key) => format!("reset {:?}", key.as_ref().map(text)),
        StatementKind::Show(show) => match show {
            Show::Tables { database, pattern } => {
                let database = database.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
                format!("show tables{database} {pattern:?}")
            }
            Show::Databases { catalog, pattern } => {
                format!("databases {:?} {pattern:?}", catalog.as_ref().map(|name| &name.value))
            }
            Show::Columns { table, pattern } => format!("show columns {table} {pattern:?}"),
            Show::CreateTable(name) => format!("show create table {name}"),
            Show::CreateView(name) => format!("show create view {name}"),
            show => format!("{show:?}"),
        },
        StatementKind::Describe(name) => format!("describe {name}"),
        StatementKind::Use(UseStatement::Database(name)) => format!("use {name}"),
        StatementKind::Use(UseStatement::Catalog(name)) => format!("use catalog {name}"),
        StatementKind::Explain(explain) => {
            format!("explain {:?} {}", explain.details, brief(&explain.statement))
        }
        StatementKind::Client(command) => format!("{command:?}"),
    }
}

fn altered(elements: &AlteredElements) -> String {
    let column = |(column, place): &(ColumnDefinition, ColumnPlace)| {
        let place = match place {
            ColumnPlace::AsItIs => String::new(),
            ColumnPlace::First => " first".to_string(),
            ColumnPlace::After(name) => format!(" after {name}"),
        };
        format!("{}{place}", column.name)
    };
    let columns: Vec<String> = elements.columns.iter().map(column).collect();
    let key = elements.primary_key.as_ref().map(|key| names(&key.columns));
    let watermark = elements.watermark.as_ref().map(|watermark| watermark.column.to_string());
    format!("{columns:?} {key:?} {watermark:?}")
}

fn names(idents: &[sqlparser::ast::Ident]) -> Vec<&str> {
    idents.iter().map(|ident| ident.value.as_str()).collect()
}

fn brief_insert(insert: &Insert) -> String {
    let partition: Vec<String> =
        insert.partition.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let conflict = insert.conflict.map(|(action, _)| format!(" ON CONFLICT DO {}", action.word()));
    format!(
        "insert {} overwrite={} {partition:?} {:?} {}{}",
        insert.table,
        insert.overwrite,
        names(&insert.columns),
        insert.query,
        conflict.unwrap_or_default()
    )
}

fn create_table(table: &CreateTable) -> String {
    let mut text =
        format!("table {} temporary={} if_not_exists={}", table.name, table.temporary, table.if_not_exists);
    for column in &table.columns {
        let kind = match &column.kind {
            ColumnDefinitionKind::Physical { field } => field.to_string(),
            ColumnDefinitionKind::Computed { expr } => format!("AS {}", expression_text(expr)),
            ColumnDefinitionKind::Metadata { field, key, is_virtual } => {
                format!("{field} METADATA {:?} {is_virtual}", key.as_ref().map(|key| &key.value))
            }
        };
        write!(text, "\n{} {kind}", column.name.value).unwrap();
        if let Some(comment) = &column.comment {
            write!(text, " -- {comment}").unwrap();
        }
    }
    if let Some(watermark) = &table.watermark {
        write!(text, "\nwatermark {} {}", watermark.column.value, expression_text(&watermark.expr)).unwrap();
    }
    if let Some(key) = &table.primary_key {
        write!(text, "\nkey {:?}", names(&key.columns)).unwrap();
    }
    if !table.partition_keys.is_empty() {
        write!(text, "\npartitioned {:?}", names(&table.partition_keys)).unwrap();
    }
    for option in &table.options {
        write!(text, "\n{} = {}", option.key.value, option.value.value).unwrap();
    }
    if let Some(comment) = &table.comment {
        write!(text, "\ncomment {comment}").unwrap();
    }
    if let Some(like) = &table.like {
        let options: Vec<String> =
            like.options.iter().map(|(mode, feature, _)| format!("{mode:?} {feature:?}")).collect();
        write!(text, "\nlike {} {options:?}", like.table).unwrap();
    }
    if let Some(query) = &table.query {
        write!(text, "\nas {query}").unwrap();
    }
    text
}

#[test]
fn create_table_with_everything() {
    let text = "create table if not exists db.`my t` (
        id BIGINT NOT NULL COMMENT 'the id',
        Name STRING,
        r ROW<a INT, b ARRAY<ROW<c MAP<STRING, DECIMAL(10,2)>>>> NOT NULL,
        total AS id * 2 COMMENT 'twice',
        proc AS proctime(),
        ts TIMESTAMP(3) METADATA FROM 'timestamp' VIRTUAL,
        key STRING METADATA,
        WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
        CONSTRAINT pk PRIMARY KEY (id, Name) NOT ENFORCED
    ) COMMENT 'a table' PARTITIONED BY (Name) WITH ('connector' = 'print', 'x.y' = 'it''s')";
    let expected = "table db.`my t` temporary=false if_not_exists=true
id BIGINT NOT NULL -- the id
Name STRING
r ROW<`a` INT, `b` ARRAY<ROW<`c` MAP<STRING, DECIMAL(10, 2)>>>> NOT NULL
total AS `id` * 2 -- twice
proc AS PROCTIME()
ts TIMESTAMP(3) METADATA Some(\"timestamp\") true
key STRING METADATA None false
watermark ts `ts` - INTERVAL '5' SECOND
key [\"id\", \"Name\"]
partitioned [\"Name\"]
connector = print
x.y = it's
comment a table";
    assert_eq!(brief(&kind(text)), expected);
}

#[test]
fn each_statement() {
    for (text, expected) in [
        (
            "CREATE TEMPORARY TABLE t (a INT PRIMARY KEY NOT ENFORCED)",
            "table t temporary=true if_not_exists=false\na INT\nkey [\"a\"]",
        ),
        (
            "CREATE TABLE t WITH ('k'='v') LIKE s (EXCLUDING ALL INCLUDING OPTIONS OVERWRITING WATERMARKS)",
            "table t temporary=false if_not_exists=false\nk = v\nlike s [\"Excluding All\", \"Including Options\", \"Overwriting Watermarks\"]",
        ),
        ("CREATE TABLE t LIKE a.b.s", "table t temporary=false if_not_exists=false\nlike a.b.s []"),
        (
            "CREATE TABLE t WITH ('k'='v') AS SELECT 1 AS a",
            "table t temporary=false if_not_exists=false\nk = v\nas SELECT 1 AS a",
        ),
        (
            "CREATE TEMPORARY VIEW IF NOT EXISTS v (a, b) COMMENT 'c' AS SELECT  1, 2 -- end",
            "view v temporary=true replace=false if_not_exists=true [\"a\", \"b\"] comment=Some(\"c\") as [SELECT  1, 2] SELECT 1, 2",
        ),
        (
            "CREATE OR REPLACE VIEW v AS WITH x AS (SELECT 1 AS a) SELECT * FROM x",
            "view v temporary=false replace=true if_not_exists=false [] comment=None as [WITH x AS (SELECT 1 AS a) SELECT * FROM x] WITH x AS (SELECT 1 AS a) SELECT * FROM x",
        ),
        ("DROP TABLE IF EXISTS t", "drop Table t temporary=false if_exists=true"),
        ("DROP TEMPORARY VIEW v", "drop View v temporary=true if_exists=false"),
        ("ALTER TABLE t SET ('a' = 'b', 'c' = 'd')", "alter t set a=b,c=d"),
        ("ALTER TABLE t RESET ('a')", "alter t reset [\"a\"]"),
        ("ALTER TABLE IF EXISTS t RENAME TO u", "alter t rename u if_exists=true"),
        ("ALTER TABLE t RENAME a TO b", "alter t column a b"),
        ("ALTER TABLE t ADD a INT", "alter t add [\"a\"] None None"),
        (
            "ALTER TABLE t ADD (a INT FIRST, b AS a + 1 AFTER c, WATERMARK FOR ts AS ts, PRIMARY KEY (a) NOT ENFORCED)",
            "alter t add [\"a first\", \"b after c\"] Some([\"a\"]) Some(\"ts\")",
        ),
        ("ALTER TABLE t MODIFY a STRING COMMENT 'x' AFTER b", "alter t modify [\"a after b\"] None None"),
        ("ALTER TABLE t DROP (a, b)", "alter t drop [\"a\", \"b\"]"),
        ("ALTER TABLE t DROP a", "alter t drop [\"a\"]"),
        ("ALTER TABLE t DROP PRIMARY KEY", "alter t drop key"),
        ("ALTER TABLE t DROP WATERMARK", "alter t drop watermark"),
        ("CREATE CATALOG IF NOT EXISTS c WITH ('type' = 'x')", "catalog c true None type=x"),
        ("DROP CATALOG c", "drop catalog c false"),
        ("CREATE DATABASE c.d COMMENT 'x' WITH ('k' = 'v')", "database c.d false Some(\"x\") k=v"),
        ("ALTER DATABASE d SET ('k' = 'v')", "alter database d k=v"),
        ("DROP DATABASE IF EXISTS d CASCADE", "drop database d true true"),
        ("DROP DATABASE d RESTRICT", "drop database d false false"),
        ("ALTER VIEW v RENAME TO w", "alter view v rename w"),
        ("ALTER VIEW v AS SELECT 1", "alter view v as SELECT 1"),
        ("INSERT INTO t SELECT * FROM s", "insert t overwrite=false [] [] SELECT * FROM s"),
        (
            "INSERT INTO t (b, a) VALUES (1, 2), (3, 4)",
            "insert t overwrite=false [] [\"b\", \"a\"] VALUES (1, 2), (3, 4)",
        ),
        ("INSERT INTO t (SELECT 1)", "insert t overwrite=false [] [] (SELECT 1)"),
        (
            "INSERT INTO t ((SELECT 1) UNION ALL SELECT 2)",
            "insert t overwrite=false [] [] ((SELECT 1) UNION ALL SELECT 2)",
        ),
        (
            "INSERT OVERWRITE t PARTITION (d = '2024', h = 1) (a) WITH x AS (SELECT 1) SELECT * FROM x",
            "insert t overwrite=true [\"d='2024'\", \"h=1\"] [\"a\"] WITH x AS (SELECT 1) SELECT * FROM x",
        ),
        (
            "INSERT INTO t SELECT a FROM b JOIN c ON b.x = c.x ON CONFLICT DO NOTHING",
            "insert t overwrite=false [] [] SELECT a FROM b JOIN c ON b.x = c.x ON CONFLICT DO NOTHING",
        ),
        (
            "INSERT INTO t SELECT a FROM b CROSS JOIN c ON CONFLICT DO ERROR",
            "insert t overwrite=false [] [] SELECT a FROM b CROSS JOIN c ON CONFLICT DO ERROR",
        ),
        (
            "INSERT INTO t (SELECT a FROM b LIMIT 1) ON CONFLICT DO DEDUPLICATE",
            "insert t overwrite=false [] [] (SELECT a FROM b LIMIT 1) ON CONFLICT DO DEDUPLICATE",
        ),
        (
            "INSERT INTO t VALUES (1), (2) on conflict do nothing;",
            "insert t overwrite=false [] [] VALUES (1), (2) ON CONFLICT DO NOTHING",
        ),
        ("EXECUTE INSERT INTO t SELECT 1", "insert t overwrite=false [] [] SELECT 1"),
        (
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT CASE WHEN x THEN 1 ELSE 2 END FROM s; END",
            "set of insert a overwrite=false [] [] SELECT 1 + insert b overwrite=false [] [] SELECT CASE WHEN x THEN 1 ELSE 2 END FROM s",
        ),
        (
            "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;",
            "set of insert a overwrite=false [] [] SELECT 1",
        ),
        ("DESCRIBE SELECT 1 AS a", "describe SELECT 1 AS a"),
        ("DESC CHECKPOINT('p', 's')", "describe SELECT * FROM CHECKPOINT('p', 's')"),
        ("DESCRIBE `CHECKPOINT`", "describe `CHECKPOINT`"),
        ("EXECUTE SELECT 1", "query SELECT 1"),
        ("(SELECT 1) UNION ALL (SELECT 2)", "query (SELECT 1) UNION ALL (SELECT 2)"),
        ("VALUES (1, 'a')", "query VALUES (1, 'a')"),
        ("SET", "set "),
        ("SET 'parallelism.default' = '4';", "set parallelism.default=4"),
        ("set table.exec.state.ttl = 1 h;", "set table.exec.state.ttl=1 h"),
        ("SET execution.runtime-mode=streaming", "set execution.runtime-mode=streaming"),
        ("SET pipeline.name = 'a name'", "set pipeline.name=a name"),
        ("RESET", "reset None"),
        ("RESET 'pipeline.name'", "reset Some(\"pipeline.name\")"),
        ("RESET pipeline.max-parallelism", "reset Some(\"pipeline.max-parallelism\")"),
        ("SHOW TABLES", "show tables None"),
        (
            "SHOW TABLES FROM default_database NOT LIKE 'a%'",
            "show tables in default_database Some(Pattern { negated: true, like: \"a%\", ignore_case: false })",
        ),
        ("SHOW VIEWS", "Views { database: None, pattern: None }"),
        ("SHOW FUNCTIONS", "Functions { database: None, pattern: None }"),
        ("SHOW CATALOGS", "Catalogs { pattern: None }"),
        ("SHOW DATABASES", "databases None None"),
        (
            "SHOW DATABASES IN c ILIKE 'd'",
            "databases Some(\"c\") Some(Pattern { negated: false, like: \"d\", ignore_case: true })",
        ),
        ("SHOW CURRENT CATALOG", "CurrentCatalog"),
        ("SHOW CURRENT DATABASE", "CurrentDatabase"),
        ("SHOW CREATE TABLE t", "show create table t"),
        ("SHOW CREATE VIEW v", "show create view v"),
        (
            "SHOW COLUMNS FROM t LIKE 'a'",
            "show columns t Some(Pattern { negated: false, like: \"a\", ignore_case: false })",
        ),
        ("SHOW JOBS", "ShowJobs"),
        ("STOP JOB 'x1'", "StopJob { id: \"x1\", stop: Cancel }"),
        (
            "STOP JOB 'x1' WITH SAVEPOINT",
            "StopJob { id: \"x1\", stop: Suspend(SavepointWish { directory: None, canonical: false }) }",
        ),
        (
            "STOP JOB 'x1' WITH CANONICAL SAVEPOINT 's' WITH DRAIN",
            "StopJob { id: \"x1\", stop: Drain(SavepointWish { directory: Some(\"s\"), canonical: true }) }",
        ),
        (
            "CREATE SAVEPOINT FOR JOB 'x1'",
            "CreateSavepoint { id: \"x1\", savepoint: SavepointWish { directory: None, canonical: false } }",
        ),
        (
            "CREATE CANONICAL SAVEPOINT 's3://b/s' FOR JOB 'x1'",
            "CreateSavepoint { id: \"x1\", savepoint: SavepointWish { directory: Some(\"s3://b/s\"), canonical: true } }",
        ),
        (
            "create native savepoint for job 'x1'",
            "CreateSavepoint { id: \"x1\", savepoint: SavepointWish { directory: None, canonical: false } }",
        ),
        ("DESCRIBE t", "describe t"),
        ("DESC `job`", "describe `job`"),
        ("DESCRIBE EXTENDED t", "describe t"),
        ("USE default_database", "use default_database"),
        ("USE CATALOG c", "use catalog c"),
        ("EXPLAIN SELECT 1", "explain [] query SELECT 1"),
        ("EXPLAIN PLAN FOR SELECT 1", "explain [] query SELECT 1"),
        (
            "EXPLAIN ESTIMATED_COST, CHANGELOG_MODE, PLAN_ADVICE, JSON_EXECUTION_PLAN INSERT INTO t SELECT 1",
            "explain [EstimatedCost, ChangelogMode, PlanAdvice, JsonExecutionPlan] insert t overwrite=false [] [] SELECT 1",
        ),
        ("EXPLAIN CHECKPOINT SELECT 1", "explain [Checkpoint] query SELECT 1"),
        ("EXPLAIN CHECKPOINT '/c/chk-7'", r#"ExplainCheckpoint { path: "/c/chk-7" }"#),
        ("EXPLAIN CHECKPOINT FOR JOB 'a' 7", r#"ExplainCheckpointOfJob { id: "a", number: Some(7) }"#),
        ("EXPLAIN CHECKPOINT FOR JOB 'a'", r#"ExplainCheckpointOfJob { id: "a", number: None }"#),
        ("SHOW CHECKPOINTS", "ShowCheckpoints { id: None }"),
        ("SHOW CHECKPOINTS FOR JOB 'a'", r#"ShowCheckpoints { id: Some("a") }"#),
        ("DROP CHECKPOINT '/c/chk-7'", r#"DropCheckpoint { path: "/c/chk-7" }"#),
        (
            "EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT 1; END",
            "explain [] set of insert a overwrite=false [] [] SELECT 1",
        ),
        ("quit", "Quit"),
        ("HELP;", "Help"),
    ] {
        assert_eq!(brief(&kind(text)), expected, "{text}");
    }
}
