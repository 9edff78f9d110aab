use super::*;
use weir_types::OperatorSpec;

fn sinks(graph: &JobGraph) -> Vec<String> {
    let sink = |spec: &OperatorSpec| match spec {
        OperatorSpec::Sink(sink) => Some(format!("{} overwrite={}", sink.table.name, sink.overwrite)),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| sink(&node.spec)).collect()
}

/// The columns that the sink's input has.
fn written(graph: &JobGraph) -> Vec<String> {
    let sink = graph.nodes.iter().find(|node| matches!(node.spec, OperatorSpec::Sink(_))).unwrap();
    let schema = &graph.nodes[sink.inputs[0].node.0].schema;
    schema.fields().iter().map(|field| SqlType::of_field(field).unwrap().to_string()).collect()
}

fn tables() -> Planner {
    after(&format!(
        "CREATE TABLE s (a INT, b STRING, c TIMESTAMP(3)) {WITH};
         CREATE TABLE t (x BIGINT, d AS x * 2, y VARCHAR(10), z INT NOT NULL, m BIGINT METADATA FROM 'offset' VIRTUAL) {WITH};
         CREATE TABLE r (a INT) WITH ('connector' = 'source', 'path' = 'p');
         CREATE TABLE p (a INT, k STRING) PARTITIONED BY (k) {WITH};
         CREATE VIEW v AS SELECT * FROM s"
    ))
}

#[test]
fn columns_go_by_place_and_are_cast() {
    let mut planner = tables();
    let graph = job(&mut planner, "INSERT INTO t SELECT a, b, a FROM s");
    assert_eq!(graph.name, "insert-into_default_catalog.default_database.t");
    assert_eq!(sinks(&graph), ["t overwrite=false"]);
    assert_eq!(written(&graph), ["BIGINT", "VARCHAR(10)", "INT"]);
    assert_eq!(graph.sql, "INSERT INTO t SELECT a, b, a FROM s");
}

#[test]
fn columns_that_are_left_out_are_null() {
    let mut planner = tables();
    // No length counts for a column that is always NULL.
    let graph = job(&mut planner, "INSERT INTO t (z, x) SELECT a, a FROM s");
    assert_eq!(written(&graph), ["BIGINT", "STRING", "INT"]);
    let graph = job(&mut planner, "INSERT INTO t (y, z, x) SELECT b, a, a FROM s");
    assert_eq!(written(&graph), ["BIGINT", "VARCHAR(10)", "INT"]);
    let message = error(&mut planner, "INSERT INTO t (x) SELECT a FROM s");
    assert!(message.starts_with("column 'z' of 't' is NOT NULL and gets no value"), "{message}");
}

#[test]
fn partitions_have_their_literal() {
    let mut planner = tables();
    let graph = job(&mut planner, "INSERT OVERWRITE p PARTITION (k = 'x') SELECT a FROM s");
    assert_eq!(sinks(&graph), ["p overwrite=true"]);
    assert_eq!(written(&graph), ["INT", "STRING"]);
    assert!(
        error(&mut planner, "INSERT INTO p PARTITION (a = 1) SELECT b FROM s")
            .contains("not a partition column")
    );
}

#[test]
fn types_that_do_not_fit_are_shown_side_by_side() {
    let mut planner = tables();
    assert_eq!(
        error(&mut planner, "INSERT INTO t\nSELECT b, b, a FROM s"),
        "Column types of query result and sink for 'default_catalog.default_database.t' do not match.
Cause: Incompatible types for sink column 'x' at position 0.

Query schema: [b: STRING, b0: STRING, a: INT]
Sink schema:  [x: BIGINT, y: VARCHAR(10), z: INT NOT NULL]
 --> line 1, column 13
  |
1 | INSERT INTO t
  |             ^"
    );
    let message = error(&mut planner, "INSERT INTO t SELECT a FROM s");
    assert!(message.contains("Cause: Different number of columns."), "{message}");
    assert!(
        error(&mut planner, "INSERT INTO t (y, z) SELECT c, a FROM s")
            .contains("sink column 'y' at position 0")
    );
}

#[test]
fn what_cannot_be_written_is_refused() {
    for (text, expected) in [
        ("INSERT INTO v SELECT 1", "cannot INSERT INTO 'v': it is a view\n --> line 1, column 13"),
        ("INSERT INTO r SELECT 1", "cannot INSERT INTO 'r': connector 'source' cannot be written to"),
        ("INSERT INTO q SELECT 1", "table 'q' does not exist"),
        ("INSERT INTO t (d) SELECT 1", "column 'd' of 't' is not stored: it cannot be written"),
        ("INSERT INTO t (m) SELECT 1", "column 'm' of 't' is not stored: it cannot be written"),
        ("INSERT INTO t (w) SELECT 1", "table 't' has no column 'w'"),
        ("INSERT INTO t (x, x) SELECT 1, 2", "column 'x' gets two values\n --> line 1, column 19"),
    ] {
        let message = error(&mut tables(), text);
        assert!(message.starts_with(expected), "{text}\n{message}");
    }
}

#[test]
fn a_statement_set_is_one_job() {
    let mut planner = tables();
    let graph = job(
        &mut planner,
        "SET 'pipeline.name' = 'both'; BEGIN STATEMENT SET;
         INSERT INTO p SELECT a, b FROM s; INSERT INTO t SELECT a, b, 1 FROM s; END",
    );
    assert_eq!(graph.name, "both");
    assert_eq!(sinks(&graph).len(), 2);
    let sources = graph.nodes.iter().filter(|node| matches!(node.spec, OperatorSpec::Source(_)));
    assert_eq!(sources.count(), 1);
}

#[test]
fn create_table_as_has_the_columns_of_its_query() {
    let mut planner = tables();
    let graph = job(
        &mut planner,
        &format!("CREATE TABLE n (WATERMARK FOR c AS c) {WITH} AS SELECT a + 1 AS e, c FROM s"),
    );
    assert_eq!(sinks(&graph), ["n overwrite=false"]);
    assert_eq!(
        lines(&rows(&mut planner, "DESCRIBE n")),
        "name|type|null|key|extras|watermark\ne|INT|TRUE|||\nc|TIMESTAMP(3) *ROWTIME*|TRUE|||`c`"
    );
    let message =
        error(&mut planner, "CREATE TABLE n2 WITH ('connector' = 'source', 'path' = 'p') AS SELECT 1 AS a");
    assert!(message.starts_with("cannot INSERT INTO 'n2'"), "{message}");
    assert!(!planner.table_names().contains(&"n2".to_string()));
}
