use super::*;
use crate::Connectors;
use crate::testing::{
    START_MS, assert_restarts_exactly, block_on, concat, drain, initial_splits, read_all, reader_context,
    scan, table,
};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    Decimal128Type, DurationMillisecondType, Float64Type, Int8Type, Int32Type, Int64Type,
    IntervalYearMonthType, TimestampMillisecondType,
};
use weir_types::{ConnectorCatalog, SqlField, SqlType};

fn datagen(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> TableDescriptor {
    let fast = [("connector", "datagen"), ("rows-per-second", "2000000000")];
    table("d", columns, &[&fast, options].concat())
}

fn source(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> Arc<dyn Source> {
    Connectors::new().source(&scan(datagen(columns, options))).unwrap()
}

fn rows(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> RecordBatch {
    read_all(source(columns, &[&[("number-of-rows", "1000")], options].concat()).as_ref(), 300)
}

fn refused(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> String {
    Connectors::new().check(&datagen(columns, options)).unwrap_err().message
}

#[test]
fn every_scalar_type_has_values_in_its_range() {
    let types = [
        SqlType::Boolean,
        SqlType::TinyInt,
        SqlType::SmallInt,
        SqlType::Int,
        SqlType::BigInt,
        SqlType::Float,
        SqlType::Double,
        SqlType::Decimal { precision: 38, scale: 6 },
        SqlType::Decimal { precision: 5, scale: 2 },
        SqlType::Char(7),
        SqlType::Varchar(9),
        SqlType::STRING,
        SqlType::Binary(4),
        SqlType::Varbinary(20),
        SqlType::BYTES,
        SqlType::Date,
        SqlType::Time(0),
        SqlType::Timestamp(0),
        SqlType::Timestamp(3),
        SqlType::Timestamp(6),
        SqlType::TimestampLtz(9),
    ];
    let names: Vec<String> = (0..types.len()).map(|index| format!("c{index}")).collect();
    let columns: Vec<_> = names.iter().map(String::as_str).zip(types).collect();
    let rows = rows(&columns, &[]);
    assert_eq!(rows.num_rows(), 1000);
    assert!(rows.columns().iter().all(|column| column.null_count() == 0));
    let small = rows["c1"].as_primitive::<Int8Type>();
    assert!(small.iter().flatten().any(|v| v < -100) && small.iter().flatten().any(|v| v > 100));
    assert!(rows["c6"].as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite));
    let decimals = rows["c8"].as_primitive::<Decimal128Type>();
    assert!(decimals.iter().flatten().all(|v| (-99_999..=99_999).contains(&v)));
    assert!(rows["c9"].as_string::<i32>().iter().flatten().all(|text| text.len() == 7));
    assert!(
        rows["c11"]
            .as_string::<i32>()
            .iter()
            .flatten()
            .all(|text| { text.len() == 100 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) })
    );
}

#[test]
fn bounds_are_inclusive_and_reached() {
    let options =
        [("fields.a.min", "-1"), ("fields.a.max", "1"), ("fields.b.min", "2.5"), ("fields.b.max", "3.5")];
    let rows = rows(&[("a", SqlType::BigInt), ("b", SqlType::Double)], &options);
    let values = rows["a"].as_primitive::<Int64Type>();
    for value in -1..=1 {
        let count = values.iter().flatten().filter(|v| *v == value).count();
        assert!((250..420).contains(&count), "{value}: {count}");
    }
    assert!(rows["b"].as_primitive::<Float64Type>().iter().flatten().all(|v| (2.5..=3.5).contains(&v)));
}

#[test]
fn null_rate_and_lengths() {
    let options = [
        ("fields.a.null-rate", "0.25"),
        ("fields.b.length", "20"),
        ("fields.b.var-len", "true"),
        ("fields.c.null-rate", "1"),
    ];
    let rows = rows(&[("a", SqlType::Int), ("b", SqlType::STRING), ("c", SqlType::Int)], &options);
    assert!((200..300).contains(&rows["a"].null_count()), "{}", rows["a"].null_count());
    assert_eq!(rows["c"].null_count(), 1000);
    let lengths: Vec<usize> = rows["b"].as_string::<i32>().iter().flatten().map(str::len).collect();
    assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&1), Some(&20)));
}

#[test]
fn timestamps_count_back_from_the_clock() {
    let columns = [("a", SqlType::Timestamp(3)), ("b", SqlType::Timestamp(3))];
    let rows = rows(&columns, &[("fields.b.max-past", "10 s")]);
    let near = |ms: i64| (START_MS..START_MS + 1000).contains(&ms);
    assert!(rows["a"].as_primitive::<TimestampMillisecondType>().iter().flatten().all(near));
    let past = rows["b"].as_primitive::<TimestampMillisecondType>();
    assert!(past.iter().flatten().all(|ms| (START_MS - 10_000..START_MS + 1000).contains(&ms)));
    assert!(past.iter().flatten().any(|ms| ms < START_MS - 8_000));
}

#[test]
fn sequences_end_the_table() {
    let options = [
        ("fields.a.kind", "sequence"),
        ("fields.a.start", "-2"),
        ("fields.a.end", "7"),
        ("fields.b.kind", "sequence"),
        ("fields.b.start", "1"),
        ("fields.b.end", "1000000"),
    ];
    let columns = [("a", SqlType::Int), ("b", SqlType::STRING), ("c", SqlType::Boolean)];
    let table = datagen(&columns, &options);
    assert!(Connectors::new().check(&table).unwrap().bounded);
    assert!(!Connectors::new().check(&datagen(&columns, &[])).unwrap().bounded);
    let rows = read_all(Connectors::new().source(&scan(table)).unwrap().as_ref(), 3);
    assert_eq!(rows["a"].as_primitive::<Int32Type>().values(), &(-2..=7).collect::<Vec<_>>()[..]);
    let texts: Vec<_> = rows["b"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
}

#[test]
fn parallel_subtasks_split_sequences() {
    let options = [("fields.a.kind", "sequence"), ("fields.a.start", "1"), ("fields.a.end", "10")];
    let source = source(&[("a", SqlType::BigInt)], &options);
    let shares = block_on(async {
        let mut shares = Vec::new();
        for state in initial_splits(source.as_ref(), 3).await {
            let mut reader = source.reader(reader_context(100), vec![state]).await.unwrap();
            let rows = concat(&drain(reader.as_mut(), usize::MAX).await);
            shares.push(rows["a"].as_primitive::<Int64Type>().values().to_vec());
        }
        shares
    });
    assert_eq!(shares, [vec![1, 4, 7, 10], vec![2, 5, 8], vec![3, 6, 9]]);
}

#[test]
fn any_position_resumes_exactly() {
    let columns = [("a", SqlType::BigInt), ("b", SqlType::STRING)];
    let options = [("number-of-rows", "50"), ("fields.b.var-len", "true"), ("fields.a.null-rate", "0.5")];
    for batch_rows in [1, 7, 50] {
        assert_restarts_exactly(source(&columns, &options).as_ref(), batch_rows);
    }
}

#[test]
fn rows_and_arrays_nest() {
    let member = SqlField::new("city", SqlType::STRING, true);
    let columns = [
        ("r", SqlType::Row(vec![member, SqlField::new("n", SqlType::Int, true)])),
        ("l", SqlType::Array(Box::new(SqlField::new("item", SqlType::Int, true)))),
    ];
    let options = [
        ("fields.r.city.length", "4"),
        ("fields.r.n.max", "9"),
        ("fields.r.n.min", "0"),
        ("fields.l.length", "2"),
        ("fields.l.element.min", "1"),
        ("fields.l.element.max", "1"),
    ];
    let rows = rows(&columns, &options);
    let cities = rows["r"].as_struct().column(0).as_string::<i32>().clone();
    assert!(cities.iter().flatten().all(|text| text.len() == 4));
    let lists = rows["l"].as_list::<i32>();
    assert!((0..1000).all(|row| lists.value(row).as_primitive::<Int32Type>().values()[..] == [1, 1]));
}

fn map_of(key: SqlType) -> SqlType {
    let value = SqlField::new("value", SqlType::Boolean, true);
    SqlType::Map(Box::new(SqlField::new("key", key, false)), Box::new(value))
}

#[test]
fn maps_have_each_key_once() {
    let columns = [
        ("m", map_of(SqlType::Int)),
        ("s", SqlType::Multiset(Box::new(SqlField::new("key", SqlType::STRING, true)))),
    ];
    let options = [
        ("fields.m.length", "4"),
        ("fields.m.key.min", "1"),
        ("fields.m.key.max", "5"),
        ("fields.s.element.length", "2"),
    ];
    let rows = rows(&columns, &options);
    let maps = rows["m"].as_map();
    let mut sizes = [0; 5];
    for row in 0..1000 {
        let entries = maps.value(row);
        let mut keys = entries.column(0).as_primitive::<Int32Type>().values().to_vec();
        keys.sort_unstable();
        let found = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), found, "a key comes twice in row {row}");
        assert!(keys.iter().all(|key| (1..=5).contains(key)));
        sizes[found] += 1;
    }
    assert!(sizes[0] == 0 && sizes[2] > 0 && sizes[4] > 0, "{sizes:?}");
    let counts = rows["s"].as_map();
    assert!((0..1000).all(|row| (1..=3).contains(&counts.value(row).len())));
    let counts = counts.values().as_primitive::<Int32Type>();
    assert!(counts.values().iter().all(|count| (0..=10).contains(count)));
}

#[test]
fn intervals_have_bounds() {
    let columns = [("y", SqlType::IntervalYearMonth), ("d", SqlType::IntervalDayTime)];
    let options = [("fields.y.max", "12"), ("fields.d.min", "-5"), ("fields.d.max", "5")];
    let rows = rows(&columns, &options);
    let months = rows["y"].as_primitive::<IntervalYearMonthType>().values().to_vec();
    assert_eq!((months.iter().min(), months.iter().max()), (Some(&0), Some(&12)));
    let millis = rows["d"].as_primitive::<DurationMillisecondType>().values().to_vec();
    assert_eq!((millis.iter().min(), millis.iter().max()), (Some(&-5), Some(&5)));
}

#[test]
fn what_is_wrong_is_said() {
    let int = [("a", SqlType::Int)];
    for (columns, options, expected) in [
        (&int[..], &[("fields.a.mn", "1")][..], "did you mean 'fields.a.min'?"),
        (&int, &[("fields.b.min", "1")], "did you mean 'fields.a.min'?"),
        (&int, &[("fields.a.min", "99999999999")], "99999999999 does not fit INT"),
        (&int, &[("fields.a.min", "2"), ("fields.a.max", "1")], "it is below the minimum"),
        (&int, &[("fields.a.kind", "sequence")], "needs option 'fields.a.start'"),
        (&int, &[("fields.a.kind", "series")], "'series' is neither 'random' nor 'sequence'"),
        (&int, &[("fields.a.null-rate", "1.5")], "1.5 is not between 0 and 1"),
        (&[("a", SqlType::Char(3))], &[("fields.a.length", "4")], "the type's length is fixed at 3"),
        (&[("a", SqlType::Boolean)], &[("fields.a.kind", "sequence")], "BOOLEAN has no sequences"),
        (
            &[("a", SqlType::IntervalYearMonth)],
            &[("fields.a.min", "3000000000")],
            "3000000000 does not fit INTERVAL YEAR",
        ),
        (&[("a", map_of(SqlType::Int))], &[("fields.a.key.null-rate", "0.5")], "the column is NOT NULL"),
    ] {
        let message = refused(columns, options);
        assert!(message.contains(expected), "{message}");
    }
}
