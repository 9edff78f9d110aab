//! Scripts cut into statements, and errors with their place.

use super::*;

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
        ("SELECT a::INT", "expected CAST(x AS type) instead, found ::"),
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
        ("ALTER TABLE t ADD PARTITION (a = 1)", "not supported yet: ALTER TABLE .. ADD or MODIFY PARTITION"),
        ("ALTER TABLE t DROP CONSTRAINT c", "not supported yet: ALTER TABLE .. DROP CONSTRAINT, write"),
        ("ALTER TABLE t ADD (a)", "column 'a' has no type"),
        ("CREATE TABLE t (a, b) WITH ('k' = 'v')", "column 'a' has no type: names alone are for CREATE"),
        ("CREATE TABLE t (a, b INT) AS SELECT 1", "column 'a' has no type: names alone are for CREATE"),
        ("SHOW JARS", "not supported yet: SHOW JARS"),
        ("SHOW NOTHING", "expected TABLES, VIEWS"),
        ("STOP JOB 'a' WITH CANONICAL 'dir'", "expected the end of the statement, found WITH"),
        ("CREATE CANONICAL TABLE t (a INT)", "expected TABLE or VIEW, found CANONICAL"),
        ("STOP JOB 'a' WITH DRAIN", "STOP JOB .. WITH DRAIN needs a savepoint"),
        ("EXPLAIN SHOW TABLES", "EXPLAIN takes a SELECT, an INSERT or a STATEMENT SET"),
        ("INSERT t SELECT 1", "expected INTO, found t"),
        ("INSERT INTO t", "expected SELECT, WITH or VALUES, but the statement ends"),
        ("BEGIN STATEMENT SET; END;", "a STATEMENT SET without an INSERT has nothing to do"),
        ("BEGIN STATEMENT SET; SELECT 1; END;", "expected INSERT or END in a STATEMENT SET, found SELECT"),
        ("USE MODULES a", "not supported yet: USE MODULES"),
        ("SET 'a'", "expected `=`, but the statement ends"),
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
