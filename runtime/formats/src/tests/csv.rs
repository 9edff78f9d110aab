use super::*;

fn csv() -> Format {
    format("csv", &[])
}

fn with(options: &[(&str, &str)]) -> Format {
    format("csv", options)
}

fn two() -> SchemaRef {
    schema(&[column("a", SqlType::Int), column("s", SqlType::STRING)])
}

#[test]
fn every_type_is_written_as_flink_does() {
    let all = all_types();
    let batch = batch(&format("json", &[]), &all, GOLDEN_JSON);
    let places: Vec<usize> = (0..all.fields().len()).filter(|place| ![24, 26].contains(place)).collect();
    let columns: SchemaRef = Arc::new(all.project(&places).unwrap());
    let rows_only = ChangelogBatch::insert_only(batch.rows().project(&places).unwrap());
    let expected = concat!(
        "1.0,1.0E7,1.23456789E7,0.001,1.0E-4,0.1,1.0E10,908.092,5,0,1E-7,1E+20,\"2020-01-02 03:04:05\",",
        "\"2020-01-02 03:04:05\",\"2020-01-02 03:04:05.1\",\"2020-01-02 03:04:05.123456\",\"2020-01-02 03:04:00\",",
        "\"2020-01-02 03:04:05.1Z\",2020-01-02,03:04:05,true,,\"q\"\"\\,é\",,1;2,1;x\n"
    );
    assert_eq!(write(&csv(), &columns, &rows_only), expected);
    let read = rows(&with(&[("ignore-parse-errors", "true")]), &columns, expected);
    assert_eq!(read, show(&[rows_only]));
}

/// What Flink 2.2.1 wrote.
#[test]
fn texts_are_quoted_as_flink_does() {
    let columns = schema(&[
        column("a", decimal(38, 0)),
        column("b", SqlType::STRING),
        column("c", SqlType::BYTES),
        column("d", array_of(SqlType::STRING)),
        column("n", SqlType::Int),
    ]);
    let json = format("json", &[]);
    let texts = [
        "abcdefghijklmnopqrstuvwxyz",
        "a+b",
        "#x",
        "a'b",
        "-x",
        "\\tt",
        "ab\\\\cd",
        "éééééééééééééééééééééééé",
    ];
    let comma = ["\"abcdefghijklmnopqrstuvwxyz\"", "\"a+b\"", "\"#x\"", "\"a'b\"", "-x", "\"\tt\"", "ab\\cd"];
    let pipe = [
        "\"abcdefghijklmnopqrstuvwxyz\"",
        "\"a+b\"",
        "\"#x\"",
        "\"a'b\"",
        "\"-x\"",
        "\"\tt\"",
        "\"ab\\\\cd\"",
    ];
    let piped = with(&[
        ("field-delimiter", "|"),
        ("escape-character", "\\"),
        ("null-literal", "n/a"),
        ("write-bigdecimal-in-scientific-notation", "false"),
    ]);
    for (place, text) in texts.into_iter().enumerate() {
        let line = format!(r#"{{"a":100000,"b":"{text}","c":"+/8=","d":["a b",null,"c"]}}"#);
        let batch = batch(&json, &columns, &line);
        let expected = comma.get(place).copied().unwrap_or(text);
        assert_eq!(write(&csv(), &columns, &batch), format!("1E+5,{expected},\"+/8=\",\"a b;;c\",\n"));
        let expected = pipe.get(place).copied().unwrap_or(text);
        assert_eq!(
            write(&piped, &columns, &batch),
            format!("100000|{expected}|\"+/8=\"|\"a b;n/a;c\"|n/a\n")
        );
    }
    let batch = batch(&json, &columns, r#"{"b":"a \"b\""}"#);
    assert_eq!(write(&with(&[("disable-quote-character", "true")]), &columns, &batch), ",a \"b\",,,\n");
}

/// What Flink 2.2.1 read.
#[test]
fn records_are_read_as_flink_does() {
    let columns = schema(&[
        column("a", SqlType::Int),
        column("b", SqlType::STRING),
        column("c", SqlType::Boolean),
        column("ts", SqlType::Timestamp(3)),
        column("ar", array_of(SqlType::Int)),
    ]);
    let text = "1,x,TRUE,2020-01-02 03:04:05.678,1;2;3\n2,\"a \"\"q\"\" b\",yes,\"2021-02-30 00:00:00\",\n \
                3 ,  sp ,true, 2020-01-02 03:04:05 ,7,\n4,a\"b,true,2020-01-02 03:04:05,1\n5,\"q\" \
                ,true,2020-01-02 03:04:05,1\n6,\"multi\nline\",true,2020-01-02 03:04:05,1\r\n";
    let expected = [
        "+I[1, x, true, 2020-01-02T03:04:05.678, [1, 2, 3]]",
        "+I[2, a \"q\" b, false, 2021-02-28T00:00, []]",
        "+I[3,   sp , true, 2020-01-02T03:04:05, [7]]",
        "+I[4, a\"b, true, 2020-01-02T03:04:05, [1]]",
        "+I[5, q, true, 2020-01-02T03:04:05, [1]]",
        "+I[6, multi\nline, true, 2020-01-02T03:04:05, [1]]",
    ];
    for chunk in 1..text.len() {
        let mut decoder = decoder(&csv(), &columns);
        let batches = read_in(&mut *decoder, text.as_bytes(), chunk).unwrap();
        assert_eq!(show(&batches), expected);
        assert_eq!(decoder.position(), Position { offset: text.len() as u64, lines: 7 });
    }
    let text = "1,a\n2,\n3,\"\",\n4,\"null\"\n\n5,b";
    let lenient = with(&[("ignore-parse-errors", "true")]);
    let expected = ["+I[1, a]", "+I[2, ]", "+I[3, ]", "+I[4, null]", "+I[null, null]", "+I[5, b]"];
    assert_eq!(rows(&lenient, &two(), text), expected);
}

#[test]
fn options_change_what_is_read() {
    let read = |options: &[(&str, &str)], text: &str| rows(&with(options), &two(), text);
    assert_eq!(read(&[("field-delimiter", "\\t")], "1\ta,b\n"), ["+I[1, a,b]"]);
    assert_eq!(read(&[("quote-character", "'")], "1,'a,''b'\n"), ["+I[1, a,'b]"]);
    assert_eq!(read(&[("disable-quote-character", "true")], "1,\"a\n2,b\"\n"), ["+I[1, \"a]", "+I[2, b\"]"]);
    assert_eq!(read(&[("allow-comments", "true")], "# \"x\n1,a\n\n  #,\"\n2,b"), ["+I[1, a]", "+I[2, b]"]);
    let escape = [("escape-character", "*"), ("quote-character", "'"), ("field-delimiter", ";")];
    assert_eq!(
        read(&escape, "1;123*'4**\n2;'a;b*'c'\n3;*;*n\n"),
        ["+I[1, 123'4*]", "+I[2, a;b'c]", "+I[3, ;\n]"]
    );
    assert_eq!(read(&[("null-literal", "")], ",a\n1,\n"), ["+I[null, a]", "+I[1, null]"]);
    assert_eq!(read(&[("null-literal", "n/a")], "n/a,n/a\n"), ["+I[null, null]"]);
    assert_eq!(read(&[("empty-string-as-null", "true")], ",\n"), ["+I[null, null]"]);
    assert_eq!(read(&[("trim-spaces", "true")], " 1 ,  \"a \" \n 2,  b c \n"), ["+I[1, a ]", "+I[2, b c]"]);
    assert_eq!(read(&[("ignore-first-line", "true")], "a,s\n1,x\n"), ["+I[1, x]"]);
    assert_eq!(read(&[("ignore-trailing-unmappable", "true")], "1,x,2,3\n"), ["+I[1, x]"]);
    let lenient = ("ignore-parse-errors", "true");
    assert_eq!(read(&[lenient], "x,a\n1\n1,2,3\n"), ["+I[null, a]", "+I[1, null]"]);
    assert_eq!(read(&[lenient, ("fail-on-missing-columns", "true")], "1\n2,b\n"), ["+I[2, b]"]);
}

#[test]
fn a_header_is_skipped_at_the_start_only() {
    let format = with(&[("ignore-first-line", "true")]);
    let columns = two();
    let mut spec = spec(&columns);
    spec.position = Position { offset: 4, lines: 1 };
    let mut decoder = format.decoder(&spec).unwrap();
    assert_eq!(show(&read_in(&mut *decoder, b"1,x\n", 1).unwrap()), ["+I[1, x]"]);
    let mut decoder = super::decoder(&format, &columns);
    decoder.decode_record(b"a,s").unwrap();
    decoder.decode_record(b"2,y").unwrap();
    assert_eq!(show(&[decoder.flush().unwrap().unwrap()]), ["+I[2, y]"]);
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        ("1,a\nx,b\n", "line 2, byte 4: column 'a' is INT, found 'x'"),
        ("1\n", "it has 1 fields, expected 2"),
        ("1,a,b\n", "it has 3 fields, expected 2"),
        ("1,\"a\n", "a quote is opened and not closed"),
        ("1,\"a\"b\n", "found 'b' after a closing quote"),
        (",b\n", "column 'a' is INT, found ''; set 'csv.null-literal' = ''"),
    ];
    for (text, expected) in cases {
        let message = error(&csv(), &two(), text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let no_trailing = with(&[("allow-trailing-comma", "false")]);
    assert!(error(&no_trailing, &two(), "1,a,\n").contains("it has 3 fields"));
    let invalid = read_in(&mut *decoder(&csv(), &two()), b"1,\xff\n", 9).unwrap_err();
    assert!(invalid.to_string().contains("byte 2 of it is not valid UTF-8"));
}

#[test]
fn what_csv_cannot_hold_is_refused() {
    let refused = |sql_type: SqlType| {
        csv().check_columns(&schema(&[column("c", sql_type)])).err().map(|error| error.to_string())
    };
    assert!(refused(map_of(SqlType::Int)).unwrap().contains("it has no MAP<"));
    assert!(refused(array_of(array_of(SqlType::Int))).unwrap().contains("collections inside of collections"));
    assert!(refused(SqlType::Time(6)).unwrap().contains("precision of at most 3"));
    assert_eq!(refused(SqlType::Row(vec![column("x", SqlType::Int)])), None);
}

#[test]
fn a_projection_takes_fields_by_place() {
    let columns =
        schema(&[column("a", SqlType::Int), column("b", SqlType::Int), column("c", SqlType::STRING)]);
    let mut spec = spec(&columns);
    spec.projection = vec![2, 0];
    let mut decoder = csv().decoder(&spec).unwrap();
    assert_eq!(show(&read_in(&mut *decoder, b"1,not read,x\n", 3).unwrap()), ["+I[x, 1]"]);
}

#[test]
fn members_of_rows() {
    let row = SqlType::Row(vec![column("x", SqlType::Int), column("y", SqlType::STRING)]);
    let columns = schema(&[column("r", row), column("s", SqlType::STRING)]);
    assert_eq!(rows(&csv(), &columns, "1;a,x\n,y\n"), ["+I[+I[1, a], x]", "+I[null, y]"]);
    assert!(error(&csv(), &columns, "1,x\n").contains("column 'r' is ROW<"));
}
