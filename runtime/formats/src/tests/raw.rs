use super::*;

fn one(sql_type: SqlType) -> SchemaRef {
    schema(&[column("v", sql_type)])
}

#[test]
fn lines_are_values() {
    let columns = one(SqlType::STRING);
    let raw = format("raw", &[]);
    let expected = ["+I[a b]", "+I[]", "+I[c]", "+I[last]"];
    assert_eq!(rows(&raw, &columns, "a b\n\nc\r\nlast"), expected);
    let batch = batch(&raw, &columns, "a b\n\nc");
    assert_eq!(write(&raw, &columns, &batch), "a b\n\nc\n");
}

#[test]
fn numbers_have_an_endianness() {
    let columns = one(SqlType::Int);
    for (endianness, bytes) in [("big-endian", [0u8, 0, 1, 2]), ("little-endian", [2, 1, 0, 0])] {
        let raw = format("raw", &[("endianness", endianness)]);
        let mut decoder = decoder(&raw, &columns);
        decoder.decode_record(&bytes).unwrap();
        let batch = decoder.flush().unwrap().unwrap();
        assert_eq!(show(std::slice::from_ref(&batch)), ["+I[258]"]);
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        raw.encoder(&columns).unwrap().encode_records(&batch, &mut out, &mut ends).unwrap();
        assert_eq!((out.as_slice(), ends.as_slice()), (&bytes[..], &[4][..]));
        let wrong = decoder.decode_record(b"123").unwrap_err().to_string();
        assert!(wrong.contains("column 'v' is INT, found 3 bytes"), "{wrong}");
        assert!(!wrong.contains("ignore-parse-errors"), "raw has no such option: {wrong}");
    }
}

#[test]
fn charsets() {
    let columns = one(SqlType::STRING);
    let latin = format("raw", &[("charset", "ISO-8859-1")]);
    let mut reader = decoder(&latin, &columns);
    reader.decode_record(b"\xe9").unwrap();
    let batch = reader.flush().unwrap().unwrap();
    assert_eq!(show(std::slice::from_ref(&batch)), ["+I[é]"]);
    let mut out = Vec::new();
    latin.encoder(&columns).unwrap().encode(&batch, &mut out).unwrap();
    assert_eq!(out, b"\xe9\n");
    assert_eq!(write(&format("raw", &[("charset", "US-ASCII")]), &columns, &batch), "?\n");
    let mut reader = decoder(&format("raw", &[]), &columns);
    assert!(reader.decode_record(b"a\xe9").unwrap_err().to_string().contains("byte 1 of it is not valid"));
}

#[test]
fn one_column_and_no_null() {
    let raw = format("raw", &[]);
    let two = schema(&[column("a", SqlType::Int), column("b", SqlType::STRING)]);
    assert!(raw.check_columns(&two).unwrap_err().to_string().contains("holds one column, but there are 2"));
    let wrong = raw.check_columns(&one(SqlType::Date)).unwrap_err().to_string();
    assert!(wrong.contains("cannot hold column 'v' of type DATE"), "{wrong}");
    let columns = one(SqlType::STRING);
    let null = batch(&format("json", &[]), &columns, "{}");
    let refused = raw.encoder(&columns).unwrap().encode(&null, &mut Vec::new()).unwrap_err();
    assert!(refused.to_string().contains("no form for NULL"), "{refused}");
}
