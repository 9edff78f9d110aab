//! What a person meets: exit codes, messages, results on standard output and nothing else there.

use crate::process::{command, run_sql, weir};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;

const PEOPLE: &str = "CREATE VIEW people AS SELECT * FROM (VALUES (1, 'ann'), (2, 'bob')) AS t(id, name);";

#[test]
fn a_query_prints_a_table_and_nothing_else() {
    let run = run_sql(&format!("{PEOPLE} SELECT * FROM people;"), &[]).succeeded();
    assert_eq!(
        run.stdout,
        "\
+----+-------------+--------------------------------+
| op |          id |                           name |
+----+-------------+--------------------------------+
| +I |           1 |                            ann |
| +I |           2 |                            bob |
+----+-------------+--------------------------------+
Received a total of 2 rows
"
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn results_as_json_lines() {
    let run = run_sql(&format!("{PEOPLE} SELECT name, id FROM people;"), &["--json"]).succeeded();
    assert_eq!(
        run.stdout,
        "{\"op\":\"+I\",\"row\":{\"name\":\"ann\",\"id\":1}}\n{\"op\":\"+I\",\"row\":{\"name\":\"bob\",\"id\":2}}\n"
    );
}

#[test]
fn the_final_table_of_a_changelog() {
    let sql = "SET 'sql-client.execution.result-mode' = 'table';
        SELECT k, COUNT(*) AS c FROM (VALUES ('a'), ('b'), ('a')) AS t(k) GROUP BY k;";
    let run = run_sql(sql, &[]).succeeded();
    assert_eq!(
        run.stdout,
        "+---+---+\n| k | c |\n+---+---+\n| a | 2 |\n| b | 1 |\n+---+---+\n2 rows in set\n"
    );
}

#[test]
fn an_error_points_into_the_text() {
    let run = run_sql(&format!("{PEOPLE}\nSELECT nam\nFROM people;"), &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("'name'"), "names the nearest column: {}", run.stderr);
    assert!(run.stderr.contains("2 | SELECT nam\n"), "shows the line: {}", run.stderr);
    assert!(run.stderr.contains("^^^"), "with a caret: {}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn what_is_not_built_is_refused_by_name_and_place() {
    let refused = [("SELECT id FROM people ORDER BY id", "ORDER BY")];
    for (query, word) in refused {
        let run = run_sql(&format!("{PEOPLE} {query};"), &[]);
        assert_eq!(run.code, 1, "{query}: {}", run.stdout);
        let message = run.stderr.lines().next().unwrap_or("");
        assert!(message.contains("not supported yet") && message.contains(word), "{query}: {}", run.stderr);
        assert!(run.stderr.contains("line 1, column"), "{query}: {}", run.stderr);
    }
}

/// As tools write them.
#[test]
fn long_and_deep_expressions() {
    let conditions: Vec<String> = (0..1_000).map(|id| format!("id = {id}")).collect();
    let run =
        run_sql(&format!("{PEOPLE} SELECT id FROM people WHERE {};", conditions.join(" OR ")), &["--json"]);
    assert_eq!(run.succeeded().stdout.lines().count(), 2);
    let nested = (0..60).fold("id".to_string(), |inner, _| format!("ABS({inner} + 1)"));
    let run = run_sql(&format!("{PEOPLE} SELECT {nested} AS n FROM people;"), &["--json"]).succeeded();
    assert_eq!(run.stdout, "{\"op\":\"+I\",\"row\":{\"n\":61}}\n{\"op\":\"+I\",\"row\":{\"n\":62}}\n");
    let deep = format!("{PEOPLE} SELECT {}id{} FROM people;", "(".repeat(100_000), ")".repeat(100_000));
    let run = run_sql(&deep, &[]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("nested too deeply"), "{}", run.stderr);
}

#[test]
fn options_are_checked_and_the_nearest_is_named() {
    let run = run_sql(
        "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'pth' = 'x', 'format' = 'json');
         SELECT * FROM t;",
        &[],
    );
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("'pth'") && run.stderr.contains("'path'"), "{}", run.stderr);
}

#[test]
fn a_setting_that_does_not_exist() {
    let run = run_sql("SET 'paralelism.default' = '2';", &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("parallelism.default"), "{}", run.stderr);
    let run = weir(&["run", "-", "--set", "nope=1"]);
    assert_eq!(run.code, 1);
}

#[test]
fn a_missing_input_file_is_named() {
    let run = run_sql(
        "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'no/such/file.json', 'format' = 'json');
         SELECT * FROM t;",
        &[],
    );
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("no/such/file.json") && run.stderr.contains('t'), "{}", run.stderr);
}

#[test]
fn a_bad_record_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.json");
    std::fs::write(&file, "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":3}\n").unwrap();
    let table = |option: &str| {
        format!(
            "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'json'{option});
             SELECT * FROM t;",
            file.display()
        )
    };
    let run = run_sql(&table(""), &["--json"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("bad.json") && run.stderr.contains("line 2"), "{}", run.stderr);
    let run = run_sql(&table(", 'json.ignore-parse-errors' = 'true'"), &["--json"]).succeeded();
    assert_eq!(run.stdout.lines().count(), 3, "Flink gives NULL for a field it cannot parse: {}", run.stdout);
}

#[test]
fn usage_and_scripts_that_are_not_there() {
    assert_eq!(weir(&["run"]).code, 1);
    assert_eq!(weir(&["nonsense"]).code, 1);
    assert_eq!(weir(&["--help"]).code, 0);
    let run = weir(&["run", "no/such/script.sql"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("no/such/script.sql"), "{}", run.stderr);
    let run = run_sql("SELECT '${NOPE}';", &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("-D NOPE="), "{}", run.stderr);
}

#[test]
fn statements_from_the_command_line_and_a_pipe() {
    let run = weir(&["sql", "--json", "-e", "SELECT 1 AS a;"]).succeeded();
    assert_eq!(run.stdout, "{\"op\":\"+I\",\"row\":{\"a\":1}}\n");
    let mut child = command(&["sql", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(b"SELECT 'a;b'\nAS t;\n-- the end\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"op\":\"+I\",\"row\":{\"t\":\"a;b\"}}\n");
}

#[test]
fn the_flights_query_finds_what_the_data_holds() {
    let run = weir(&["run", "queries/flights.sql"]).succeeded();
    let cancelled = run.stdout.lines().filter(|line| line.starts_with("cancelled> +I[")).count();
    let late = run.stdout.lines().filter(|line| line.starts_with("late hour> +I[")).count();
    assert!(cancelled > 0 && late > 0, "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn the_delays_query_finds_aircraft_that_fall_behind() {
    let run = weir(&["run", "queries/delays.sql"]).succeeded();
    let found: Vec<&str> =
        run.stdout.lines().filter(|line| line.starts_with("falling behind> +I[N")).collect();
    assert!(found.len() > 3, "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

/// The word count of `queries/`, with a socket that is fed here.
#[test]
fn the_word_count_counts_what_is_typed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = format!("PORT={}", listener.local_addr().expect("bound").port());
    let arguments = ["run", "queries/wordcount.sql", "-D", "HOST=127.0.0.1", "-D", &port];
    let mut child = command(&arguments).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let (mut socket, _) = listener.accept().expect("weir connects");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    socket.write_all(b"hello world\n").expect("weir reads");
    assert_eq!([next(), next()], ["+I[hello, 1]", "+I[world, 1]"]);
    socket.write_all(b"Hello  again\n").expect("weir reads");
    assert_eq!([next(), next(), next()], ["-U[hello, 1]", "+U[hello, 2]", "+I[again, 1]"]);
    drop(socket);
    assert!(child.wait().expect("it ends").success(), "the end of the socket is the end of input");
}

/// Lines of a socket are answered as they come, while it stays open.
#[test]
fn lines_of_a_socket_are_answered_as_they_come() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let sql = format!(
        "CREATE TABLE lines (line STRING)
         WITH ('connector' = 'socket', 'hostname' = '127.0.0.1', 'port' = '{port}', 'format' = 'raw');
         CREATE TABLE counts (line STRING, n BIGINT) WITH ('connector' = 'print');
         INSERT INTO counts SELECT line, COUNT(*) FROM lines GROUP BY line;"
    );
    let mut child = command(&["sql", "-e", &sql]).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let (mut socket, _) = listener.accept().expect("weir connects");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("UTF-8");
    socket.write_all(b"hello\n").expect("weir reads");
    assert_eq!(next(), "+I[hello, 1]");
    socket.write_all(b"hello\n").expect("weir reads");
    assert_eq!([next(), next()], ["-U[hello, 1]", "+U[hello, 2]"]);
    drop(socket);
    assert!(child.wait().expect("it ends").success(), "the end of the socket is the end of input");
}

#[test]
fn a_reader_that_has_read_enough_ends_the_job_in_silence() {
    for sink in ["'connector' = 'print'", ""] {
        let source =
            "CREATE TABLE n (i BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000')";
        let into = format!("CREATE TABLE out_rows (i BIGINT) WITH ({sink})");
        let sql = match sink {
            "" => format!("{source}; SELECT i FROM n"),
            _ => format!("{source}; {into}; INSERT INTO out_rows SELECT i FROM n"),
        };
        let arguments = ["sql", "-e", &sql, "--set", "restart-strategy.type=fixed-delay"];
        let mut command = command(&arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.next().is_some());
        drop(lines);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        assert!(!said.contains("error"), "{said}");
    }
}

/// Each line of what is written, or the documents one behind the other.
fn documents(text: &str) -> Vec<serde_json::Value> {
    let stream = serde_json::Deserializer::from_str(text).into_iter();
    stream.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error} in: {text}"))
}

#[test]
fn json_is_json_throughout() {
    let sql = format!(
        "{PEOPLE} CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'number-of-rows' = '1');
         SHOW TABLES; DESCRIBE t; SHOW CREATE TABLE t; EXPLAIN SELECT * FROM people; SELECT 1 AS a;"
    );
    let run = run_sql(&sql, &["--json"]).succeeded();
    let lines: Vec<serde_json::Value> = run.stdout.lines().map(|line| documents(line).remove(0)).collect();
    let results: Vec<&str> = lines.iter().filter_map(|line| line["result"].as_str()).collect();
    assert_eq!(results.len(), 2, "{}", run.stdout);
    assert!(results[0].starts_with("CREATE TABLE") && results[1].starts_with("== "), "{}", run.stdout);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.sql");
    let sql = format!("{PEOPLE}; SELECT id FROM people; SHOW TABLES; SELECT COUNT(*) FROM people;");
    std::fs::write(&file, sql).unwrap();
    let run = weir(&["explain", "--json", file.to_str().unwrap()]).succeeded();
    let plans = documents(&run.stdout);
    let operators: Vec<bool> = plans.iter().map(|plan| plan["nodes"].is_array()).collect();
    assert_eq!(operators, [true, false, true], "{}", run.stdout);
}

#[test]
fn text_that_is_no_utf8_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.sql");
    for (bytes, expected) in [
        (&b"SELECT 1;\nSELECT '\xe9';"[..], "byte 18, 0xe9 in line 2, is not UTF-8: save the text as UTF-8"),
        (b"\xff\xfeS\0E\0", "it is UTF-16: save it as UTF-8"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let run = weir(&["run", file.to_str().unwrap()]);
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}

#[test]
fn numbers_that_no_type_holds_are_the_users_error() {
    let run = run_sql("SELECT 123456789012345678901234567890123456789;", &[]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert!(run.stderr.contains("more than 38 digits") && run.stderr.contains("column 8"), "{}", run.stderr);
}

#[test]
fn a_misspelled_connector_option_is_named() {
    let run = run_sql("CREATE TABLE t (a INT) WITH ('connctor' = 'print');", &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("'connctor', did you mean 'connector'?"), "{}", run.stderr);
}
