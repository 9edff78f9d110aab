//! What sinks with primary keys are given, and tables of changes that are not whole, as a real Flink has them.

use crate::process::run_sql;

const TABLES: &str = "
CREATE TABLE products (id INT, name STRING, cat STRING, price INT, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'filesystem', 'path' = 'tests/slt/data/products.json', 'format' = 'debezium-json');
CREATE TABLE twice (id INT, name STRING, cat STRING, price INT, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'filesystem', 'path' = 'tests/slt/data/products_twice.json', 'format' = 'debezium-json');
CREATE TABLE by_cat (cat STRING, name STRING, price INT, PRIMARY KEY (cat) NOT ENFORCED)
WITH ('connector' = 'print');
CREATE TABLE by_id (id INT, cat STRING, price INT NOT NULL, PRIMARY KEY (id) NOT ENFORCED)
WITH ('connector' = 'print');
CREATE TABLE orders (id INT, k STRING, v INT)
WITH ('connector' = 'filesystem', 'path' = 'tests/slt/data/orders.json', 'format' = 'json');
CREATE TABLE by_count (c BIGINT, k STRING, PRIMARY KEY (c) NOT ENFORCED) WITH ('connector' = 'print');
";

/// What `script` prints.
fn printed(script: &str) -> Vec<String> {
    let run = run_sql(&format!("{TABLES}{script}"), &[]).succeeded();
    let rows = run.stdout.lines().filter(|line| line.starts_with(['+', '-']));
    rows.map(str::to_string).collect()
}

const LAST_OF_EACH: [&str; 14] = [
    "+I[x, anvil, 10]",
    "+I[y, bolt, 3]",
    "+U[x, cork, 7]",
    "+U[x, anvil, 12]",
    "+I[z, dart, null]",
    "-D[y, bolt, 3]",
    "+U[x, bolt, 3]",
    "+I[y, egg, 1]",
    "-D[z, dart, null]",
    "+I[z, dart, 9]",
    "+U[y, cork, 8]",
    "-D[x, bolt, 3]",
    "+I[x, bolt, 5]",
    "+U[z, fan, 9]",
];

#[test]
fn a_sink_has_the_last_row_of_each_primary_key() {
    let query = "INSERT INTO by_cat SELECT cat, name, price FROM products";
    assert_eq!(printed(&format!("{query} WHERE cat IS NOT NULL;")), LAST_OF_EACH);
    // What a NOT NULL column cannot hold is left out if that is wanted, and fails the job otherwise.
    assert_eq!(printed(&format!("SET 'table.exec.sink.not-null-enforcer' = 'DROP'; {query};")), LAST_OF_EACH);
    let failed = run_sql(&format!("{TABLES}{query};"), &[]);
    assert_ne!(failed.code, 0);
    assert!(failed.stderr.contains("column 'cat' of table 'by_cat'"), "{}", failed.stderr);
    // Without a materialiser all changes come, each under its own key.
    let all = printed(&format!(
        "SET 'table.exec.sink.upsert-materialize' = 'NONE'; {query} WHERE cat IS NOT NULL;"
    ));
    assert_eq!(
        all[..5],
        ["+I[x, anvil, 10]", "+I[y, bolt, 3]", "+I[x, cork, 7]", "-U[x, anvil, 10]", "+U[x, anvil, 12]"]
    );
}

/// Flink's rows for the groups of `orders` by how many rows they have.
const BY_COUNT: &str = "+I[1, a] +U[1, b] +I[2, a] +U[1, null] +U[1, c] +U[2, b] +I[3, a] +U[2, null] -D[1, c] \
+U[2, c] -D[3, a] +I[4, a] +I[3, b] -D[4, a] +I[5, a] +U[2, null] +U[3, c] +I[1, d] -D[5, a] +I[6, a] ";

#[test]
fn rows_move_from_one_primary_key_to_another() {
    let rows = printed("INSERT INTO by_count SELECT COUNT(*), k FROM orders GROUP BY k;");
    assert_eq!(rows.iter().map(|row| format!("{row} ")).collect::<String>(), BY_COUNT);
}

#[test]
fn at_any_parallelism_a_sink_ends_with_the_same_rows() {
    let last = |parallelism: u32| {
        let script = format!(
            "SET 'parallelism.default' = '{parallelism}'; SET 'table.exec.source.cdc-events-duplicate' = 'true'; \
             INSERT INTO by_id SELECT id, cat, price FROM twice WHERE price > 2;"
        );
        let run = run_sql(&format!("{TABLES}{script}"), &[]).succeeded();
        let mut rows = std::collections::BTreeMap::new();
        for line in run.stdout.lines().filter(|line| line.contains('[')) {
            let start = line.find(['+', '-']).expect("a row kind");
            let (kind, row) = line[start..].split_once('[').expect("a row");
            let (key, rest) = row.split_once(',').expect("a key");
            match kind {
                "-U" | "-D" => rows.remove(key),
                _ => rows.insert(key.to_string(), rest.to_string()),
            };
        }
        rows
    };
    let rows = last(1);
    assert_eq!(
        rows.into_iter().map(|(key, rest)| key + &rest).collect::<Vec<_>>(),
        ["1 x, 12]", "2 x, 3]", "4 z, 9]"]
    );
    assert_eq!(last(2), last(1));
}

#[test]
fn a_blackhole_is_given_no_rows_before_updates() {
    let plan = |query: &str| {
        let sql = format!(
            "{TABLES} CREATE TABLE hole (k STRING, c BIGINT) WITH ('connector' = 'blackhole');
             EXPLAIN CHANGELOG_MODE INSERT INTO hole {query};"
        );
        let text = run_sql(&sql, &[]).succeeded().stdout;
        text.split("Optimized Execution Plan").nth(1).unwrap_or_default().to_string()
    };
    // Who makes updates leaves the rows before them out.
    let counted = plan("SELECT k, COUNT(*) FROM orders GROUP BY k");
    assert!(counted.contains("changelogMode=[I,UA]") && !counted.contains("UB"), "{counted}");
    // Who has them anyway is followed by one who does.
    let read = plan("SELECT cat, CAST(price AS BIGINT) FROM products WHERE price > 2");
    assert!(read.contains("DropUpdateBefore(changelogMode=[I,UA,D])"), "{read}");
}

/// Picks whose product changes: numbers of one product are in conflict, or follow each other.
/// A watermark follows the first of them, the next one the last.
const PICKS: [&str; 8] = [
    r#"{"op":"c","before":null,"after":{"id":0,"name":"axle","ts":"2024-01-01 00:00:00"}}"#,
    r#"{"op":"c","before":null,"after":{"id":1,"name":"anvil","ts":"2024-01-01 00:00:01"}}"#,
    r#"{"op":"c","before":null,"after":{"id":2,"name":"bolt","ts":"2024-01-01 00:00:02"}}"#,
    r#"{"op":"c","before":null,"after":{"id":3,"name":"anvil","ts":"2024-01-01 00:00:03"}}"#,
    r#"{"op":"u","before":{"id":1,"name":"anvil","ts":"2024-01-01 00:00:01"},"after":{"id":1,"name":"cork","ts":"2024-01-01 00:00:04"}}"#,
    r#"{"op":"c","before":null,"after":{"id":4,"name":"bolt","ts":"2024-01-01 00:00:05"}}"#,
    r#"{"op":"d","before":{"id":2,"name":"bolt","ts":"2024-01-01 00:00:02"},"after":null}"#,
    r#"{"op":"c","before":null,"after":{"id":5,"name":"bolt","ts":"2024-01-01 00:00:06"}}"#,
];

#[test]
fn rows_of_one_primary_key_end_as_the_statement_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("picks.json");
    let run = |rows: usize, action: &str| {
        std::fs::write(&path, PICKS[..rows].join("\n")).expect("written");
        let script = format!(
            "SET 'parallelism.default' = '2'; SET 'pipeline.auto-watermark-interval' = '1 min';
             CREATE TABLE picks (id INT, name STRING, ts TIMESTAMP(3), PRIMARY KEY (id) NOT ENFORCED, WATERMARK FOR ts AS ts)
             WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'debezium-json');
             CREATE TABLE last_pick (name STRING, id INT, PRIMARY KEY (name) NOT ENFORCED) WITH ('connector' = 'print');
             INSERT INTO last_pick SELECT name, id FROM picks ON CONFLICT DO {action};",
            path.display()
        );
        run_sql(&script, &[])
    };
    let left = |rows: usize, action: &str| {
        let run = run(rows, action).succeeded();
        let lines = run.stdout.lines().filter_map(|line| Some(line[line.find(['+', '-'])?..].to_string()));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines.join(" ")
    };
    // What has come and gone by the end of a file is no conflict.
    assert_eq!(left(5, "ERROR"), "+I[anvil, 3] +I[axle, 0] +I[bolt, 2] +I[cork, 1]");
    assert_eq!(left(7, "ERROR"), "+I[anvil, 3] +I[axle, 0] +I[bolt, 4] +I[cork, 1]");
    assert_eq!(left(4, "NOTHING"), "+I[anvil, 1] +I[axle, 0] +I[bolt, 2]");
    let failed = run(8, "ERROR");
    assert_ne!(failed.code, 0);
    let message = "cannot write to 'last_pick': several rows of the query have the primary key name = bolt";
    assert!(failed.stderr.contains(message), "{}", failed.stderr);
    assert_eq!(left(8, "DEDUPLICATE").matches("+I").count(), 4);
}
