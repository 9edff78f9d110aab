use super::number::*;
use super::parse::{ParsedDecimal, *};
use super::*;
use crate::{ChangelogBatch, RowKind, SqlField, SqlType};
use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, TimeUnit};
use std::sync::Arc;

fn text(append: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    append(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn doubles_are_written_as_java_does() {
    let cases = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (1e7, "1.0E7"),
        (9_999_999.0, "9999999.0"),
        (12_345_678.9, "1.23456789E7"),
        (1e-3, "0.001"),
        (1e-4, "1.0E-4"),
        (-1.5e-300, "-1.5E-300"),
        (1e23, "1.0E23"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
        (5e-324, "4.9E-324"),
        (1e-323, "9.9E-324"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
        (100.0, "100.0"),
        (123456.0, "123456.0"),
    ];
    for (value, expected) in cases {
        assert_eq!(text(|out| append_double(out, value)), expected);
    }
    for (value, expected) in
        [(0.1f32, "0.1"), (1e10, "1.0E10"), (1.4e-45, "1.4E-45"), (f32::MAX, "3.4028235E38")]
    {
        assert_eq!(text(|out| append_float(out, value)), expected);
    }
}

#[test]
fn decimals_have_three_forms() {
    let cases = [
        (908_092, 3, "908.092", "908.092", "908.092"),
        (500, 2, "5.00", "5.00", "5"),
        (0, 2, "0.00", "0.00", "0"),
        (0, 10, "0.0000000000", "0E-10", "0"),
        (1000, 10, "0.0000001000", "1.000E-7", "1E-7"),
        (100_000_000_000_000_000_000, 0, "100000000000000000000", "100000000000000000000", "1E+20"),
        (20_430_000, 3, "20430.000", "20430.000", "2.043E+4"),
        (-5, 1, "-0.5", "-0.5", "-0.5"),
        (-20_430_000, 3, "-20430.000", "-20430.000", "-2.043E+4"),
        (10i128.pow(38) - 1, 38, "0.99999999999999999999999999999999999999", "", ""),
    ];
    for (unscaled, scale, plain, java, stripped) in cases {
        assert_eq!(text(|out| append_decimal_plain(out, unscaled, scale)), plain);
        if !java.is_empty() {
            assert_eq!(text(|out| append_decimal_java(out, unscaled, scale)), java);
            assert_eq!(text(|out| append_decimal_stripped(out, unscaled, scale)), stripped);
        }
    }
}

#[test]
fn days_and_dates_agree_for_a_million_days() {
    let mut expected = (-400, 1, 1);
    for days in days_of(-400, 1, 1)..days_of(2400, 1, 1) {
        assert_eq!(datetime::civil_of_days(days), expected);
        assert_eq!(datetime::days_of_civil(expected.0, expected.1, expected.2), days);
        let (year, month, day) = expected;
        expected = if day < datetime::days_of_month(year, month) {
            (year, month, day + 1)
        } else if month < 12 {
            (year, month + 1, 1)
        } else {
            (year + 1, 1, 1)
        };
    }
    assert_eq!(days_of(1970, 1, 1), 0);
    assert_eq!(text(|out| datetime::append_date(out, days_of(10_000, 1, 1))), "+10000-01-01");
    assert_eq!(text(|out| datetime::append_date(out, days_of(-1, 12, 31))), "-0001-12-31");
    assert_eq!(text(|out| datetime::append_date(out, days_of(7, 2, 3))), "0007-02-03");
}

fn days_of(year: i64, month: u32, day: u32) -> i64 {
    datetime::days_of_civil(year, month, day)
}

#[test]
fn timestamps_have_a_cast_form_a_format_form_and_a_java_form() {
    let at = |text: &str| cast_timestamp(text).unwrap();
    let cast = |time: &str, precision| text(|out| datetime::append_timestamp(out, at(time), b' ', precision));
    assert_eq!(cast("2020-01-02 03:04:05.1", 3), "2020-01-02 03:04:05.100");
    assert_eq!(cast("2020-01-02 03:04:05", 0), "2020-01-02 03:04:05");
    assert_eq!(cast("2020-01-02", 9), "2020-01-02 00:00:00.000000000");
    assert_eq!(cast("2020-01-02 03:04:05.120", 1), "2020-01-02 03:04:05.12");
    let java = |time: &str| text(|out| datetime::append_java_local_date_time(out, at(time)));
    assert_eq!(java("2020-01-01"), "2020-01-01T00:00");
    assert_eq!(java("2020-01-01 0:0:1"), "2020-01-01T00:00:01");
    assert_eq!(java("2020-01-01 0:0:0.5"), "2020-01-01T00:00:00.500");
    assert_eq!(java("2020-01-01 0:0:0.0005"), "2020-01-01T00:00:00.000500");
    assert_eq!(java("2020-01-01 0:0:0.000000001"), "2020-01-01T00:00:00.000000001");
    assert_eq!(text(|out| datetime::append_java_instant(out, at("2020-01-01"))), "2020-01-01T00:00:00Z");
    let before_epoch = LocalDateTime::of_units(-1, TimeUnit::Millisecond);
    assert_eq!(text(|out| datetime::append_timestamp(out, before_epoch, b'T', 0)), "1969-12-31T23:59:59.999");
    assert_eq!(before_epoch.to_units(TimeUnit::Millisecond), Some(-1));
    assert_eq!(LocalDateTime { seconds: i64::MAX / 10, nanos: 0 }.to_units(TimeUnit::Nanosecond), None);
}

#[test]
fn times_and_intervals() {
    let time = |millis, precision| text(|out| datetime::append_time(out, millis, precision));
    assert_eq!(time(11_045_000, 0), "03:04:05");
    assert_eq!(time(11_045_100, 3), "03:04:05.1");
    assert_eq!(time(11_045_000, 3), "03:04:05.0");
    assert_eq!(text(|out| datetime::append_java_time_of_day(out, 11_040_000)), "03:04");
    assert_eq!(text(|out| datetime::append_java_time_of_day(out, 11_045_007)), "03:04:05.007");
    assert_eq!(text(|out| datetime::append_interval_months(out, -14)), "-1-02");
    assert_eq!(text(|out| datetime::append_interval_millis(out, 93_784_005)), "+1 02:03:04.005");
    assert_eq!(text(|out| datetime::append_java_period(out, 14)), "P1Y2M");
    assert_eq!(text(|out| datetime::append_java_duration(out, 93_784_005)), "PT26H3M4.005S");
    assert_eq!(text(|out| datetime::append_java_duration(out, -500)), "PT-0.5S");
}

#[test]
fn timestamps_are_read_as_cast_reads_them() {
    let seconds = |text| cast_timestamp(text).map(|time| time.seconds);
    assert_eq!(seconds("2020-1-2 3:4:5"), seconds("2020-01-02 03:04:05"));
    assert_eq!(
        cast_timestamp("1970-01-01 00:00:01.5").unwrap(),
        LocalDateTime { seconds: 1, nanos: 500_000_000 }
    );
    assert_eq!(seconds("2021-02-30"), seconds("2021-02-28"));
    assert_eq!(seconds("2021-02-28 24:00:00"), seconds("2021-03-01"));
    for bad in [
        "",
        "2020",
        "2020-01",
        "2020-13-01",
        "2020-01-32",
        "2020-01-01T00:00:00",
        "2020-01-01 00:00",
        "2020-01-01 25:00:00",
        " 2020-01-01",
        "2020-01-01 00:00:00.1234567890",
        "20200-01-01",
        "é020-01-01",
    ] {
        assert_eq!(seconds(bad), None, "{bad}");
    }
    assert_eq!(cast_date("2020-01-02"), Some(18_263));
    assert_eq!(cast_date("2020"), cast_date("2020-1-1"));
    assert_eq!(cast_date("2020-01-02 x"), Some(18_263));
    assert_eq!(cast_date("2021-02-29"), None);
    assert_eq!(cast_time("3:4:5.6785"), Some(11_045_679));
    assert_eq!(cast_time("24:00:00"), None);
    let sql = |text: &str, utc| sql_timestamp(text.as_bytes(), utc);
    assert_eq!(sql("2020-01-31 03:04:05.123456", false).unwrap().nanos, 123_456_000);
    assert_eq!(sql("2015-07-14 23:50:00.380", false), cast_timestamp("2015-07-14 23:50:00.38"));
    assert_eq!(sql("2015-07-14 23:50:00", true), None);
    assert_eq!(sql("2015-07-14 23:50:00Z", true), cast_timestamp("2015-07-14 23:50:00"));
    assert_eq!(sql("2015-07-14T23:50:00", false), None);
    assert_eq!(iso_timestamp(b"2015-07-14T23:50", false), cast_timestamp("2015-07-14 23:50:00"));
    assert_eq!(iso_timestamp(b"2015-02-30T23:50", false), None);
}

#[test]
fn numbers_are_read_as_java_reads_them() {
    assert_eq!(java_integer(b"-9223372036854775808"), Some(i64::MIN));
    assert_eq!(java_integer(b"9223372036854775808"), None);
    assert_eq!(java_integer(b"+7"), Some(7));
    for bad in [&b""[..], b"-", b"1.0", b" 1", b"1x", "١".as_bytes()] {
        assert_eq!(java_integer(bad), None);
    }
    assert_eq!(cast_integer(" 12.9 "), Some(12));
    assert_eq!(cast_integer("1.x"), None);
    assert_eq!(java_double("1e3"), Some(1000.0));
    assert_eq!(java_double("-Infinity"), Some(f64::NEG_INFINITY));
    for bad in ["inf", "nan", "", "1_0", "e1", "--1", "infinity"] {
        assert_eq!(java_double(bad), None, "{bad}");
    }
    let parse = |text: &str| decimal(text.as_bytes(), 5, 2);
    assert_eq!(parse("1.005"), ParsedDecimal::Value(101));
    assert_eq!(parse("-1.005"), ParsedDecimal::Value(-101));
    assert_eq!(parse("1.00499999999999999999999999999999999999999999"), ParsedDecimal::Value(100));
    assert_eq!(parse("12E1"), ParsedDecimal::Value(12_000));
    assert_eq!(parse("125e-3"), ParsedDecimal::Value(13));
    assert_eq!(parse("5e-3"), ParsedDecimal::Value(1));
    assert_eq!(parse("5e-4"), ParsedDecimal::Value(0));
    assert_eq!(parse("999.995"), ParsedDecimal::Overflow);
    assert_eq!(parse("1e2147483647"), ParsedDecimal::Overflow);
    assert_eq!(parse("0e2147483647"), ParsedDecimal::Value(0));
    for bad in ["", ".", "-", "1e", "1.2.3", "1 ", "1e99999999999", "NaN"] {
        assert_eq!(parse(bad), ParsedDecimal::Malformed, "{bad}");
    }
}

#[test]
fn zones_follow_java() {
    let zone = |name: &str| name.parse::<TimeZone>().unwrap();
    let at = |text: &str| cast_timestamp(text).unwrap();
    assert_eq!(zone("UTC"), TimeZone::UTC);
    assert_eq!(zone("GMT+08:00"), zone("+8"));
    assert_eq!(zone("GMT+08:00").to_string(), "GMT+08:00");
    let berlin = zone("Europe/Berlin");
    assert_eq!(berlin.to_utc(at("2021-01-01 12:00:00")), at("2021-01-01 11:00:00"));
    assert_eq!(berlin.to_utc(at("2021-03-28 02:30:00")), at("2021-03-28 01:30:00"));
    assert_eq!(berlin.to_utc(at("2021-10-31 02:30:00")), at("2021-10-31 00:30:00"));
    assert_eq!(berlin.to_local(at("2021-07-01 00:00:00")), at("2021-07-01 02:00:00"));
    for bad in ["Mars/Base", "+19:00", "UTC+", "GMT+8:99", "", "+1:2:3:4"] {
        assert!(bad.parse::<TimeZone>().is_err(), "{bad}");
    }
}

/// One NULL and then the value, made by Arrow's own cast from text.
fn column(sql_type: SqlType, value: &str) -> (ArrayRef, Field) {
    let strings: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![None, Some(value)]));
    let field = sql_type.to_field("c", true);
    (arrow::compute::cast(&strings, field.data_type()).unwrap(), field)
}

#[test]
fn columns_are_cast_and_printed() {
    let cases = [
        (SqlType::Boolean, "true", "TRUE", "true"),
        (SqlType::Double, "10000000", "1.0E7", "1.0E7"),
        (
            SqlType::Timestamp(3),
            "2020-01-02T03:04:05.1",
            "2020-01-02 03:04:05.100",
            "2020-01-02T03:04:05.100",
        ),
        (SqlType::Timestamp(1), "2020-01-02T03:04:05.1", "2020-01-02 03:04:05.1", "2020-01-02T03:04:05.100"),
        (SqlType::Timestamp(0), "2020-01-02T03:04:00", "2020-01-02 03:04:00", "2020-01-02T03:04"),
        (
            SqlType::TimestampLtz(3),
            "2020-01-02T03:04:05.1Z",
            "2020-01-02 11:04:05.100",
            "2020-01-02T03:04:05.100Z",
        ),
        (SqlType::Decimal { precision: 20, scale: 10 }, "0.0000001", "0.0000001000", "1.000E-7"),
        (SqlType::Date, "2020-01-02", "2020-01-02", "2020-01-02"),
        (SqlType::Varbinary(2), "ab", "ab", "[97, 98]"),
        (SqlType::STRING, "a, b", "a, b", "a, b"),
    ];
    let shanghai = "Asia/Shanghai".parse().unwrap();
    for (sql_type, value, cast, java) in cases {
        let (array, field) = column(sql_type, value);
        let strings = cast_to_string(&array, &field, shanghai).unwrap();
        assert!(strings.is_null(0));
        assert_eq!(strings.value(1), cast);
        let schema = Arc::new(Schema::new(vec![field]));
        let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
        let batch = ChangelogBatch::new(batch, Some(vec![RowKind::Insert, RowKind::Delete].into()));
        let writer = RowWriter::new(&batch).unwrap();
        assert_eq!(text(|out| writer.append(0, out)), "+I[null]");
        assert_eq!(text(|out| writer.append(1, out)), format!("-D[{java}]"));
    }
}

#[test]
fn collections_are_cast_and_printed() {
    use arrow::array::{Int32Builder, ListBuilder, MapBuilder, StringBuilder, StructArray};
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None]);
    list.append_null();
    let list: ArrayRef = Arc::new(list.finish());
    let field = Field::new("l", list.data_type().clone(), true);
    let strings = cast_to_string(&list, &field, TimeZone::UTC).unwrap();
    assert_eq!((strings.value(0), strings.is_null(1)), ("[1, NULL]", true));
    let sliced = cast_to_string(&list.slice(1, 1), &field, TimeZone::UTC).unwrap();
    assert!(sliced.is_null(0));

    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    let map: ArrayRef = Arc::new(map.finish());
    let field = Field::new("m", map.data_type().clone(), true);
    assert_eq!(cast_to_string(&map, &field, TimeZone::UTC).unwrap().value(0), "{k=1}");

    let row =
        SqlType::Row(vec![SqlField::new("a", SqlType::Int, true), SqlField::new("b", SqlType::STRING, true)]);
    let field = row.to_field("r", true);
    let arrow::datatypes::DataType::Struct(fields) = row.data_type() else { unreachable!() };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(arrow::array::Int32Array::from(vec![1])),
        Arc::new(arrow::array::StringArray::from(vec![None::<&str>])),
    ];
    let row: ArrayRef = Arc::new(StructArray::new(fields, columns, None));
    assert_eq!(cast_to_string(&row, &field, TimeZone::UTC).unwrap().value(0), "(1, NULL)");
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = ChangelogBatch::insert_only(RecordBatch::try_new(schema, vec![row]).unwrap());
    assert_eq!(text(|out| RowWriter::new(&batch).unwrap().append(0, out)), "+I[+I[1, null]]");

    let nulls = new_null_array(&arrow::datatypes::DataType::Null, 2);
    let strings =
        cast_to_string(&nulls, &Field::new("n", nulls.data_type().clone(), true), TimeZone::UTC).unwrap();
    assert_eq!(strings.null_count(), 2);
    assert!(
        cast_to_string(&nulls.slice(0, 0), &Field::new("n", nulls.data_type().clone(), true), TimeZone::UTC)
            .unwrap()
            .is_empty()
    );
}
