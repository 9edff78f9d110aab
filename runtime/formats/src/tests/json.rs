use super::*;

fn json() -> Format {
    format("json", &[])
}

fn lenient() -> Format {
    format("json", &[("ignore-parse-errors", "true")])
}

fn numbers() -> SchemaRef {
    schema(&[column("i", SqlType::Int), column("l", SqlType::BigInt), column("s", SqlType::STRING)])
}

#[test]
fn every_type_is_read_and_written_as_flink_does() {
    let columns = all_types();
    let batch = batch(&json(), &columns, GOLDEN_JSON);
    assert_eq!(write(&json(), &columns, &batch), GOLDEN_JSON);
    let iso = format(
        "json",
        &[("timestamp-format.standard", "ISO-8601"), ("encode.decimal-as-plain-number", "true")],
    );
    let expected = concat!(
        r#"{"d1":1.0,"d2":1.0E7,"d3":1.23456789E7,"d4":0.001,"d5":1.0E-4,"f1":0.1,"f2":1.0E10,"m1":908.092,"m2":5.00,"#,
        r#""m3":0.00,"m4":0.0000001000,"m5":100000000000000000000,"t0":"2020-01-02T03:04:05","#,
        r#""t1":"2020-01-02T03:04:05","#,
        r#""t2":"2020-01-02T03:04:05.1","t3":"2020-01-02T03:04:05.123456","t4":"2020-01-02T03:04:00","#,
        r#""z1":"2020-01-02T03:04:05.1Z","dt":"2020-01-02","tm":"03:04:05","b":true,"nul":null,"s":"q\"\\,é","e":"","#,
        r#""bin":"AP8=","arr":[1,2],"mp":{"k":1},"rw":{"EXPR$0":1,"EXPR$1":"x"}}"#,
        "\n"
    );
    assert_eq!(write(&iso, &columns, &batch), expected);
    assert_eq!(rows(&iso, &columns, expected), show(&[batch]));
}

#[test]
fn control_characters_are_escaped_and_nothing_else() {
    let columns = schema(&[column("s", SqlType::STRING)]);
    let text = "{\"s\":\"\\u0001\u{7f}\u{2028}é/\\\"\\t\\b\\f\\n\\r\\\\😀\"}\n";
    let batch = batch(&json(), &columns, text);
    assert_eq!(write(&json(), &columns, &batch), text);
}

#[test]
fn null_members_can_be_left_out() {
    let row = SqlType::Row(vec![column("x", SqlType::Int), column("y", SqlType::STRING)]);
    let columns = schema(&[column("a", SqlType::Int), column("r", row), column("l", array_of(SqlType::Int))]);
    let batch = batch(&json(), &columns, r#"{"r":{"x":1},"l":[null]}"#);
    let out = write(&format("json", &[("encode.ignore-null-fields", "true")]), &columns, &batch);
    assert_eq!(out, "{\"r\":{\"x\":1},\"l\":[null]}\n");
}

/// What Flink 2.2.1 made of these records.
#[test]
fn values_are_coerced_as_flink_does() {
    let columns = schema(&[
        column("i", SqlType::Int),
        column("l", SqlType::BigInt),
        column("s", SqlType::STRING),
        column("b", SqlType::Boolean),
        column("d", SqlType::Double),
        column("m", decimal(10, 2)),
        column("ts", SqlType::Timestamp(3)),
        column("tm", SqlType::Time(3)),
        column("dt", SqlType::Date),
        column("r", SqlType::Row(vec![column("x", SqlType::Int), column("y", SqlType::STRING)])),
        column("mp", map_of(SqlType::Int)),
        column("ar", array_of(SqlType::Int)),
    ]);
    let text = concat!(
        r#"{"i":"12","l":1.9,"s":12.50,"b":"TRUE","d":"1.5","m":"1.005","ts":"2021-02-30 00:00:00","#,
        r#""tm":"03:04:05.678","dt":"2020-01-02","r":{"x":1,"y":true},"mp":{"a":1,"b":null},"ar":[1,"2",3.7]}"#,
        "\n",
        r#"{"i":1.9,"l":"1.9","s":{"a": [1, 2.50, "xé\n"], "b": 1e3},"b":1,"d":1,"m":12345678901.5,"#,
        r#""ts":"2021-02-28T00:00:00","tm":"03:04","dt":"2021-02-30","r":{"x":"q"},"mp":[],"ar":{}}"#,
        "\n",
        r#"{"i":99999999999,"l":99999999999999999999,"s":null,"b":"no","d":"NaN","m":1e3,"ts":1234,"r":5}"#,
        "\n{\"i\":1,\"i\":2,\"l\":3\n",
        r#"{"I":1,"i":7.0E0,"ts":"2021-02-28 24:00:00","s":"\ud83d\ude00 \u00e9 \/","m":null}"#,
        "\n[{\"i\":1},{\"i\":2}]\n\n   \n",
        r#"{"i":"","l":" 5 ","b":"","d":"","m":" 7 ","s":"","mp":{"a":1,"a":2},"ar":[null],"r":{}}"#,
        "\n{\"i\":1,\"i\":2,\"l\":3}\n",
    );
    let expected = [
        "+I[12, 1, 12.50, true, 1.5, 1.01, 2021-02-28T00:00, 03:04:05.678, 2020-01-02, +I[1, true], {a=1, b=null}, \
         [1, 2, 3]]",
        r#"+I[1, null, {"a":[1,2.5,"xé\n"],"b":1E+3}, false, 1.0, null, null, null, null, +I[null, null], null, null]"#,
        "+I[null, null, null, false, NaN, 1000.00, null, null, null, null, null, null]",
        "+I[7, null, 😀 é /, null, null, null, 2021-03-01T00:00, null, null, null, null, null]",
        "+I[1, null, null, null, null, null, null, null, null, null, null, null]",
        "+I[2, null, null, null, null, null, null, null, null, null, null, null]",
        "+I[null, 5, , false, null, 7.00, null, null, null, +I[null, null], {a=2}, [null]]",
        "+I[2, 3, null, null, null, null, null, null, null, null, null, null]",
    ];
    assert_eq!(rows(&lenient(), &columns, text), expected);
}

#[test]
fn members_come_in_any_order_and_may_lack_or_repeat() {
    let text = r#"{"i":1,"l":2,"s":"a"}
{"s":"b","l":3,"i":4}
{ "l" : 5 , "other" : {"i":[1,{"l":"}"}]} , "i" : 6 }
{}
{"i":7,"i":8,"s":"x","s":null,"l":9,"l":10}
{"i\u0000":1,"\u0069":11}
"#;
    let expected = [
        "+I[1, 2, a]",
        "+I[4, 3, b]",
        "+I[6, 5, null]",
        "+I[null, null, null]",
        "+I[8, 10, null]",
        "+I[11, null, null]",
    ];
    assert_eq!(rows(&json(), &numbers(), text), expected);
}

#[test]
fn only_wanted_columns_are_built() {
    let columns = all_types();
    let mut spec = spec(&columns);
    spec.projection = vec![22, 0, 13];
    let mut decoder = json().decoder(&spec).unwrap();
    let batches = read_in(&mut *decoder, GOLDEN_JSON.as_bytes(), 7).unwrap();
    assert_eq!(show(&batches), ["+I[q\"\\,é, 1.0, 2020-01-02T03:04:05]"]);
    spec.projection = vec![];
    let mut decoder = json().decoder(&spec).unwrap();
    let batches = read_in(&mut *decoder, GOLDEN_JSON.repeat(3).as_bytes(), 50).unwrap();
    assert_eq!((batches.len(), batches[0].num_rows(), batches[0].rows().num_columns()), (1, 3, 0));
}

#[test]
fn errors_say_where_and_what() {
    let columns = numbers();
    let cases = [
        ("{\"i\":1}\n{\"i\":\"x1\"}\n", "line 2, byte 8: column 'i' is INT, found '\"x1\"'"),
        ("{\"i\":3000000000}\n", "column 'i' is INT, found '3000000000'"),
        ("{\"i\":[1, 2]}\n", "column 'i' is INT, found '[1, 2]'"),
        ("{\"i\":1", "found the end of the record where ',' or '}' is expected"),
        ("{\"i\":1,}\n", "found '}' where a member's name in quotes is expected"),
        ("{\"i\":01}\n", "where a number without leading zeros is expected"),
        ("{\"i\":1}{\"i\":2}\n", "where the end of the record is expected"),
        ("{\"s\":\"a\tb\"}\n", "an escape in place of a control character"),
        ("{\"s\":\"\\x\"}\n", "where a valid escape is expected"),
        ("   \n", "where an object is expected"),
        ("7\n", "found '7' where an object is expected"),
        ("{\"i\":nul}\n", "where a value is expected"),
        ("[{\"i\":1},2]\n", "found '2' where an object is expected"),
    ];
    for (text, expected) in cases {
        let message = error(&json(), &columns, text);
        assert!(message.contains(expected), "{text}: {message}");
        assert!(message.contains("set 'json.ignore-parse-errors' = 'true'"), "{message}");
    }
    let invalid = read_in(&mut *decoder(&json(), &columns), b"{\"s\":\"\xff\"}\n", 100).unwrap_err();
    assert!(invalid.to_string().contains("byte 6 of it is not valid UTF-8"), "{invalid}");
    let nested = schema(&[column("r", SqlType::Row(vec![column("x", SqlType::Int)]))]);
    let message = error(&json(), &nested, r#"{"r":{"x":"q"}}"#);
    assert!(message.contains("'r.x' cannot hold '\"q\"'"), "{message}");
    let missing = format("json", &[("fail-on-missing-field", "true")]);
    assert!(error(&missing, &columns, r#"{"i":1,"s":""}"#).contains("column 'l' is missing"));
    let strict = schema(&[SqlField::new("i", SqlType::Int, false), column("s", SqlType::STRING)]);
    assert!(error(&json(), &strict, r#"{"i":null}"#).contains("column 'i' is NOT NULL, found 'null'"));
    assert!(error(&json(), &strict, r#"{"s":""}"#).contains("column 'i' is missing"));
}

#[test]
fn nesting_has_a_bound() {
    let deep = |depth: usize| format!("{{\"x\":{}{}}}\n", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(rows(&json(), &numbers(), &deep(900)).len(), 1);
    assert!(error(&json(), &numbers(), &deep(100_000)).contains("less than 1000 levels"));
    let texts = schema(&[column("x", SqlType::STRING)]);
    assert!(error(&json(), &texts, &deep(100_000)).contains("less than 1000 levels"));
}

#[test]
fn half_surrogates_become_question_marks() {
    let columns = schema(&[column("s", SqlType::STRING)]);
    let text = r#"{"s":"\ud83d|\ude00|\ud83d\ude00|\ud83dA"}"#;
    assert_eq!(rows(&json(), &columns, text), ["+I[?|?|😀|?A]"]);
}

#[test]
fn bad_records_are_skipped_whole_and_counted() {
    let columns = schema(&[
        column("a", array_of(SqlType::STRING)),
        column("i", SqlType::Int),
        column("m", map_of(array_of(SqlType::Int))),
    ]);
    let text = "{\"a\":[\"x\"],\"i\":1}\n{\"a\":[\"y\",\"z\"],\"i\":2,\"m\":{\"k\":[1,\n{\"a\":[],\"m\":{\"k\":[5]}}\n";
    let mut decoder = decoder(&lenient(), &columns);
    let batches = read_in(&mut *decoder, text.as_bytes(), 11).unwrap();
    assert_eq!(show(&batches), ["+I[[x], 1, null]", "+I[[], null, {k=[5]}]"]);
    assert_eq!(decoder.skipped_records(), 1);
    assert_eq!(decoder.position(), Position { offset: text.len() as u64, lines: 3 });
}

#[test]
fn a_position_is_where_the_next_row_begins() {
    let columns = schema(&[column("i", SqlType::Int)]);
    let text: String =
        (0..100).map(|i| format!("{{\"i\":{i}}}{}", if i % 3 == 0 { "\r\n" } else { "\n\n" })).collect();
    let all = rows(&json(), &columns, &text);
    assert_eq!(all.len(), 100);
    let mut spec = spec(&columns);
    spec.batch_rows = 7;
    let mut decoder = json().decoder(&spec).unwrap();
    let (mut rest, mut seen) = (text.as_bytes(), Vec::new());
    while !rest.is_empty() {
        let taken = decoder.decode(rest).unwrap();
        rest = &rest[taken..];
        seen.extend(show(&decoder.flush().unwrap().into_iter().collect::<Vec<_>>()));
        let mut later = spec.clone();
        later.position = decoder.position();
        let tail = &text.as_bytes()[later.position.offset as usize..];
        let mut resumed = json().decoder(&later).unwrap();
        let resumed_rows = show(&read_in(&mut *resumed, tail, 13).unwrap());
        assert_eq!([seen.clone(), resumed_rows].concat(), all);
        assert_eq!(
            later.position.lines as usize,
            text[..later.position.offset as usize].matches('\n').count()
        );
    }
}

#[test]
fn single_records_and_a_byte_order_mark() {
    let mut decoder = decoder(&json(), &numbers());
    decoder.decode_record(br#"{"i":1}"#).unwrap();
    decoder.decode_record(br#"{"i":2}"#).unwrap();
    assert_eq!(decoder.buffered_rows(), 2);
    assert!(decoder.decode_record(b"{").unwrap_err().to_string().contains("line 3"));
    assert_eq!(show(&[decoder.flush().unwrap().unwrap()]).len(), 2);
    assert!(decoder.flush().unwrap().is_none());
    assert_eq!(rows(&json(), &numbers(), "\u{feff}{\"i\":1}\n"), ["+I[1, null, null]"]);
}

#[test]
fn null_keys_of_maps() {
    use arrow::array::{Int32Builder, MapBuilder, RecordBatch, StringBuilder};
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("a");
    map.values().append_value(1);
    map.keys().append_value("b");
    map.values().append_null();
    map.append(true).unwrap();
    let map = map.finish();
    let columns: SchemaRef = Arc::new(Schema::new(vec![arrow::datatypes::Field::new(
        "m",
        arrow::array::Array::data_type(&map).clone(),
        true,
    )]));
    let rows = RecordBatch::try_new(columns.clone(), vec![Arc::new(map)]).unwrap();
    let out = write(&json(), &columns, &ChangelogBatch::insert_only(rows));
    assert_eq!(out, "{\"m\":{\"a\":1,\"b\":null}}\n");
}

/// `MAP<STRING, INT>` as it is declared: its keys may be NULL.
#[test]
fn keys_of_maps_may_be_nullable() {
    let key = SqlField::new("key", SqlType::STRING, true);
    let map = SqlType::Map(Box::new(key), Box::new(column("value", SqlType::Int)));
    assert_eq!(rows(&json(), &schema(&[column("m", map)]), "{\"m\":{\"a\":1}}"), ["+I[{a=1}]"]);
}

#[test]
fn maps_need_text_for_keys() {
    let key = SqlField::new("key", SqlType::Int, false);
    let map = SqlType::Map(Box::new(key), Box::new(column("value", SqlType::Int)));
    let message = json().decoder(&spec(&schema(&[column("m", map)]))).err().unwrap().to_string();
    assert!(message.contains("a key of a MAP must be CHAR, VARCHAR or STRING, not INT"), "{message}");
}

#[test]
fn changes_are_refused() {
    let columns = numbers();
    let batch = batch(&json(), &columns, "{\"i\":1}");
    let deletion = ChangelogBatch::new(batch.rows().clone(), Some(vec![weir_types::RowKind::Delete].into()));
    let refused = json().encoder(&columns).unwrap().encode(&deletion, &mut Vec::new()).unwrap_err();
    assert!(refused.to_string().contains("inserts only, not -D; use format 'debezium-json'"), "{refused}");
}
