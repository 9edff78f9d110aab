use super::*;
use sqlparser::ast::{Expr, Query, SetExpr, TableFactor, Visit, Visitor};
use std::fmt::Write;
use std::ops::ControlFlow;

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
        },
        StatementKind::AlterView(alter) => match &alter.change {
            ViewChange::Rename(name) => format!("alter view {} rename {name}", alter.name),
            ViewChange::As { query_text, .. } => format!("alter view {} as {query_text}", alter.name),
        },
        StatementKind::Insert(insert) => brief_insert(insert),
        StatementKind::StatementSet(inserts) => {
            format!("set of {}", inserts.iter().map(brief_insert).collect::<Vec<_>>().join(" + "))
        }
        StatementKind::Query(query) => format!("query {query}"),
        StatementKind::Set(properties) => format!("set {}", pairs(properties)),
        StatementKind::Reset(key) => format!("reset {:?}", key.as_ref().map(text)),
        StatementKind::Show(show) => match show {
            Show::Tables { pattern } => format!("show tables {pattern:?}"),
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

fn names(idents: &[sqlparser::ast::Ident]) -> Vec<&str> {
    idents.iter().map(|ident| ident.value.as_str()).collect()
}

fn brief_insert(insert: &Insert) -> String {
    let partition: Vec<String> =
        insert.partition.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!(
        "insert {} overwrite={} {partition:?} {:?} {}",
        insert.table,
        insert.overwrite,
        names(&insert.columns),
        insert.query
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
        ("TIME(3) WITHOUT TIME ZONE", "TIME(3)"),
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
        ("EXECUTE INSERT INTO t SELECT 1", "insert t overwrite=false [] [] SELECT 1"),
        (
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT CASE WHEN x THEN 1 ELSE 2 END FROM s; END",
            "set of insert a overwrite=false [] [] SELECT 1 + insert b overwrite=false [] [] SELECT CASE WHEN x THEN 1 ELSE 2 END FROM s",
        ),
        (
            "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;",
            "set of insert a overwrite=false [] [] SELECT 1",
        ),
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
            "show tables Some(Pattern { negated: true, like: \"a%\", ignore_case: false })",
        ),
        ("SHOW VIEWS", "Views { pattern: None }"),
        ("SHOW FUNCTIONS", "Functions { pattern: None }"),
        ("SHOW CATALOGS", "Catalogs"),
        ("SHOW DATABASES", "Databases"),
        ("SHOW CURRENT CATALOG", "CurrentCatalog"),
        ("SHOW CURRENT DATABASE", "CurrentDatabase"),
        ("SHOW CREATE TABLE t", "show create table t"),
        ("SHOW CREATE VIEW v", "show create view v"),
        (
            "SHOW COLUMNS FROM t LIKE 'a'",
            "show columns t Some(Pattern { negated: false, like: \"a\", ignore_case: false })",
        ),
        ("SHOW JOBS", "ShowJobs"),
        ("STOP JOB 'x1'", "StopJob { id: \"x1\" }"),
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
            let _ = query(&text).visit(&mut arguments);
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
    let _ = query("SELECT * FROM TUMBLE(TABLE t /*+ OPTIONS('k'='v') */, DESCRIPTOR(ts), INTERVAL '1' DAY)")
        .visit(&mut arguments);
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
        error("SELECT /*+ STATE_TTL('t'='1d') */ * FROM t").starts_with("not supported yet: hint STATE_TTL")
    );
    assert!(error("SELECT a /*+ OPTIONS('a'='b') */ FROM t").starts_with("a hint is not allowed here"));
    assert!(error("SELECT * FROM t /*+ OPTIONS(a=1) */").starts_with("expected a string in single quotes"));
    assert!(error("DROP TABLE t /*+ OPTIONS('a'='b') */").starts_with("a hint is not allowed here"));
    assert!(error("/*+ OPTIONS('a'='b') */ SELECT 1").starts_with("a hint is not allowed here"));
    assert!(error("SELECT 1; /*+ OPTIONS('a'='b') */").starts_with("a hint is not allowed here"));
}

#[test]
fn scripts_are_cut_at_semicolons() {
    let text = "-- first ; comment\nSET 'a;b' = 'c' ; /* ; */ ;;\n  SELECT `x;y`\nFROM t;\nBEGIN STATEMENT SET;\nINSERT INTO a SELECT CASE WHEN b THEN 1 END;\nEND; SHOW TABLES";
    let script = script::Script::new(text).unwrap();
    let statements = script.statements();
    let texts: Vec<&str> =
        statements.iter().map(|tokens| script.text(tokens[0].span, tokens[tokens.len() - 1].span)).collect();
    assert_eq!(
        texts,
        [
            "SET 'a;b' = 'c'",
            "SELECT `x;y`\nFROM t",
            "BEGIN STATEMENT SET;\nINSERT INTO a SELECT CASE WHEN b THEN 1 END;\nEND",
            "SHOW TABLES",
        ]
    );
}

#[test]
fn statements_know_their_place() {
    let text = "SELECT 1;\n\n  -- ä\n SELECT 'é', 2 ; SHOW TABLES;";
    let statements = parse(text).unwrap();
    let places: Vec<(&str, u64)> =
        statements.iter().map(|statement| (statement.text(), statement.line())).collect();
    assert_eq!(places, [("SELECT 1", 1), ("SELECT 'é', 2", 4), ("SHOW TABLES", 4)]);
    let (start, end) = statements[1].range();
    assert_eq!(&text[start..end], "SELECT 'é', 2");
}

#[test]
fn a_prompt_knows_whether_to_read_on() {
    use Completeness::{Complete, Empty, Incomplete};
    for (text, expected) in [
        ("", Empty),
        ("  -- nothing\n", Empty),
        (";", Empty),
        ("SELECT 1", Incomplete),
        ("SELECT 1;", Complete),
        ("SELECT 1; -- done", Complete),
        ("SELECT 1; SELECT", Incomplete),
        ("SELECT 'a;", Incomplete),
        ("SELECT `a;", Incomplete),
        ("SELECT /* a;", Incomplete),
        ("SELECT -- a;", Incomplete),
        ("BEGIN STATEMENT SET;", Incomplete),
        ("BEGIN STATEMENT SET; INSERT INTO a SELECT 1;", Incomplete),
        ("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;", Complete),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", Incomplete),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;", Complete),
        ("quit", Complete),
        ("quit now", Incomplete),
        ("SELECT \"x;", Incomplete),
    ] {
        assert_eq!(completeness(text), expected, "{text}");
    }
}

#[test]
fn errors_point_into_the_text() {
    assert_eq!(
        error("SELECT 1;\nSELECT a,\n\tb FROM t WHERE;"),
        "expected an expression, found the end
 --> line 3, column 16
  |
3 | \tb FROM t WHERE;
  | \t              ^"
    );
    assert_eq!(
        error("CREATE TABLE t (\n  a INTT,\n  b INT\n)"),
        "unknown type 'INTT', did you mean 'INT'?
 --> line 2, column 5
  |
2 |   a INTT,
  |     ^^^^"
    );
    assert_eq!(
        error("CRAETE TABLE t (a INT)"),
        "no statement begins with 'CRAETE', did you mean 'CREATE'?
 --> line 1, column 1
  |
1 | CRAETE TABLE t (a INT)
  | ^^^^^^"
    );
    assert_eq!(
        error("SELECT \"a\" FROM t"),
        "double quotes mean nothing here: write a name in backticks and a string in single quotes
 --> line 1, column 8
  |
1 | SELECT \"a\" FROM t
  |        ^^^"
    );
    assert_eq!(
        error("SELECT 1,\n 'abc"),
        "a string is not closed: its ' is missing
 --> line 2, column 2
  |
2 |  'abc
  |  ^"
    );
}

#[test]
fn what_is_wrong_is_said() {
    for (text, expected) in [
        ("SELECT 1 2", "expected the end of the statement, found 2"),
        ("SELECT a FROM t GROUP BY", "expected an expression, found the end"),
        ("SELECT (1", "expected ), found the end"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (a))", "PRIMARY KEY must be followed by NOT ENFORCED"),
        ("CREATE TABLE t (a INT b INT)", "expected `,` or `)`, found b"),
        ("CREATE TABLE t (a DECIMAL(39, 2))", "the precision of a DECIMAL is between 1 and 38, not 39"),
        ("CREATE TABLE t (a DECIMAL(5, 6))", "the scale of a DECIMAL is between 0 and 5, not 6"),
        ("CREATE TABLE t (a TIMESTAMP(10))", "the precision of a time is between 0 and 9, not 10"),
        ("CREATE TABLE t (a TIMESTAMP WITH TIME ZONE)", "not supported yet: TIMESTAMP WITH TIME ZONE"),
        ("CREATE TABLE t (a ARRAY<INT)", "expected >, found )"),
        ("CREATE TABLE t (a ARRAY<INT>>)", "expected the end of the type, found >>"),
        ("CREATE TABLE t (a ROW<x INT, x INT>)", "duplicate field 'x' in a ROW type"),
        ("CREATE TABLE t (a INT) WITH ('k' = 'v', 'k' = 'w')", "option 'k' is given twice"),
        ("CREATE TABLE t (a INT) WITH (k = 'v')", "expected a string in single quotes, found k"),
        (
            "CREATE TABLE t (a INT, WATERMARK FOR a AS a, WATERMARK FOR a AS a)",
            "a table has one watermark at most",
        ),
        ("CREATE FUNCTION f AS 'x'", "not supported yet: CREATE FUNCTION"),
        ("CREATE OR REPLACE TABLE t (a INT)", "not supported yet: CREATE OR REPLACE TABLE"),
        ("CREATE INDEX i", "expected TABLE or VIEW, found INDEX"),
        ("DELETE FROM t", "not supported yet: DELETE FROM"),
        ("ALTER TABLE t ADD (a INT)", "not supported yet: ALTER TABLE .. ADD"),
        ("SHOW JARS", "not supported yet: SHOW JARS"),
        ("SHOW NOTHING", "expected TABLES, VIEWS"),
        ("STOP JOB 'a' WITH SAVEPOINT", "not supported yet: STOP JOB WITH SAVEPOINT"),
        ("EXPLAIN CHECKPOINT '/tmp/x'", "not supported yet: EXPLAIN CHECKPOINT of a stored checkpoint"),
        ("EXPLAIN SHOW TABLES", "EXPLAIN takes a SELECT, an INSERT or a STATEMENT SET"),
        ("INSERT t SELECT 1", "expected INTO, found t"),
        ("INSERT INTO t", "expected SELECT, WITH or VALUES, but the statement ends"),
        ("BEGIN STATEMENT SET; END;", "a STATEMENT SET without an INSERT has nothing to do"),
        ("BEGIN STATEMENT SET; SELECT 1; END;", "expected INSERT or END in a STATEMENT SET, found SELECT"),
        ("USE MODULES a", "not supported yet: USE MODULES"),
        ("SET 'a'", "expected `=`, but the statement ends"),
        ("SHOW TABLES FROM other", "database 'other' does not exist, the only one is 'default_database'"),
    ] {
        let found = error(text);
        assert!(found.starts_with(expected), "{text}\n{found}");
        assert!(found.contains("--> line"), "{text}\n{found}");
    }
}

/// Parsing must not take time that grows with a power of the depth of nested calls.
#[test]
fn deep_nesting_is_read_or_refused() {
    let calls = format!("SELECT {}x{}", "f(".repeat(25), ")".repeat(25));
    assert!(parse(&calls).is_ok());
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(error(&deep).starts_with("the statement is nested too deeply"));
}
