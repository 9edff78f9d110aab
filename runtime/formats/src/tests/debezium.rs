use super::*;

fn columns() -> SchemaRef {
    schema(&[column("id", SqlType::Int), column("s", SqlType::STRING)])
}

const CHANGES: &str = r#"{"before":null,"after":{"id":1,"s":"x"},"op":"c","ts_ms":1}
{"op":"r","after":{"id":2,"s":null}}
{"before":{"id":1,"s":"x"},"after":{"id":1,"s":"y"},"op":"u"}

{"before":{"id":1,"s":"y"},"after":null,"op":"d"}
"#;
const ROWS: [&str; 5] = ["+I[1, x]", "+I[2, null]", "-U[1, x]", "+U[1, y]", "-D[1, y]"];

/// What Flink 2.2.1 read.
#[test]
fn operations_become_row_kinds() {
    assert_eq!(rows(&format("debezium-json", &[]), &columns(), CHANGES), ROWS);
}

#[test]
fn a_schema_may_be_included() {
    let format = format("debezium-json", &[("schema-include", "true")]);
    let wrapped: String = CHANGES
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| format!("{{\"schema\":{{\"type\":\"struct\"}},\"payload\":{line}}}\n"))
        .collect();
    assert_eq!(rows(&format, &columns(), &wrapped), ROWS);
    assert!(error(&format, &columns(), "{\"after\":{}}").contains("has no member 'payload'"));
    assert!(format.encoder(&columns()).err().unwrap().to_string().contains("cannot be written"));
}

#[test]
fn rows_are_written_as_creations_and_deletions() {
    let format = format("debezium-json", &[]);
    let batch = batch(&format, &columns(), CHANGES);
    let expected = r#"{"before":null,"after":{"id":1,"s":"x"},"op":"c"}
{"before":null,"after":{"id":2,"s":null},"op":"c"}
{"before":{"id":1,"s":"x"},"after":null,"op":"d"}
{"before":null,"after":{"id":1,"s":"y"},"op":"c"}
{"before":{"id":1,"s":"y"},"after":null,"op":"d"}
"#;
    assert_eq!(write(&format, &columns(), &batch), expected);
}

#[test]
fn an_update_is_read_whole_or_not_at_all() {
    let format_strict = format("debezium-json", &[]);
    let half = r#"{"before":{"id":1,"s":"x"},"after":{"id":"q"},"op":"u"}"#;
    let message = error(&format_strict, &columns(), half);
    assert!(
        message.contains("'after.id'") || message.contains("column 'id' is INT, found '\"q\"'"),
        "{message}"
    );
    let lenient = format("debezium-json", &[("ignore-parse-errors", "true")]);
    let text =
        "{\"before\":{\"id\":1},\"after\":{\"id\":2,,\"op\":\"u\"}\n{\"after\":{\"id\":3},\"op\":\"c\"}\n";
    assert_eq!(rows(&lenient, &columns(), text), ["+I[3, null]"]);
    let missing = r#"{"after":{"id":1},"op":"u"}"#;
    assert!(error(&format_strict, &columns(), missing).contains("REPLICA IDENTITY FULL"));
    assert!(error(&format_strict, &columns(), r#"{"op":"x"}"#).contains("'op' is 'x'"));
    assert!(error(&format_strict, &columns(), r#"{"after":{}}"#).contains("no member 'op'"));
}

#[test]
fn a_batch_may_be_one_row_longer_for_an_update() {
    let format = format("debezium-json", &[]);
    let mut spec = spec(&columns());
    spec.batch_rows = 3;
    let mut decoder = format.decoder(&spec).unwrap();
    let batches = read_in(&mut *decoder, CHANGES.as_bytes(), 1000).unwrap();
    assert_eq!(batches.iter().map(ChangelogBatch::num_rows).collect::<Vec<_>>(), [4, 1]);
    assert_eq!(show(&batches), ROWS);
}
