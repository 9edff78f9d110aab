use super::*;
use crate::{SqlField, SqlType, key_hash};
use arrow::array::{
    Array, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortColumn, lexsort_to_indices};
use arrow::datatypes::{Field, Int32Type};
use std::sync::Arc;

fn encoder(columns: &[ArrayRef]) -> KeyEncoder {
    let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    KeyEncoder::new(&types).unwrap()
}

fn canonical(keys: &EncodedKeys, row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    keys.write_canonical(row, &mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(columns: &[ArrayRef]) -> Vec<String> {
    let keys = encoder(columns).encode(columns, columns[0].len()).unwrap();
    (0..keys.len()).map(|row| hex(&canonical(&keys, row))).collect()
}

/// Everything must hold whatever path the shape takes: the hash is that of the canonical bytes, and columns
/// come back.
fn check(columns: &[ArrayRef]) {
    let encoder = encoder(columns);
    let rows = columns[0].len();
    let keys = encoder.encode(columns, rows).unwrap();
    assert_eq!(keys.shape(), encoder.shape());
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for row in 0..rows {
        assert_eq!(
            keys.hashes()[row],
            key_hash(&canonical(&keys, row)),
            "hash of row {row} of {:?}",
            keys.shape()
        );
        let start = bytes.len();
        keys.write_canonical(row, &mut bytes);
        offsets.push(bytes.len() as u32);
        let followed = [&bytes[start..], &[1, 0, 0xff]].concat();
        assert_eq!(encoder.canonical_len(&followed).unwrap(), bytes.len() - start);
        assert!(bytes.len() == start || encoder.canonical_len(&bytes[start..bytes.len() - 1]).is_err());
    }
    let again = encoder.from_canonical(&offsets, &bytes).unwrap();
    assert_eq!(again.hashes(), keys.hashes());
    for keys in [&keys, &again] {
        let decoded = encoder.decode(keys).unwrap();
        assert_eq!(decoded.len(), columns.len());
        for (decoded, column) in decoded.iter().zip(columns) {
            assert_eq!(decoded, column, "{:?}", keys.shape());
        }
    }
    let picked: Vec<u32> = (0..rows as u32).rev().collect();
    let taken = keys.take(&picked);
    for (position, &row) in picked.iter().enumerate() {
        assert_eq!(canonical(&taken, position), canonical(&keys, row as usize));
    }
}

/// A column of each type, NULL included.
fn all_columns() -> Vec<ArrayRef> {
    let structs = StructArray::try_from(vec![
        ("a", Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(0)])) as ArrayRef),
        ("b", Arc::new(StringArray::from(vec![Some("x"), Some(""), None, None]))),
    ])
    .unwrap();
    let (fields, arrays, _) = structs.into_parts();
    let structs = StructArray::new(fields, arrays, None);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(-1)]),
    ]);
    vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
        Arc::new(Int8Array::from(vec![Some(-128), None, Some(127), Some(0)])),
        Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX), Some(0)])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX), Some(-1)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX), Some(0)])),
        Arc::new(Float32Array::from(vec![Some(f32::NEG_INFINITY), None, Some(1.5), Some(-0.0)])),
        Arc::new(Float64Array::from(vec![Some(f64::MIN), None, Some(f64::NAN), Some(0.0)])),
        Arc::new(
            Decimal128Array::from(vec![Some(-12345), None, Some(i128::from(i64::MAX) * 7), Some(0)])
                .with_precision_and_scale(30, 2)
                .unwrap(),
        ),
        Arc::new(StringArray::from(vec![Some(""), None, Some("a\0b"), Some("ä long text beyond any word")])),
        Arc::new(BinaryArray::from_opt_vec(vec![Some(&[0, 0][..]), None, Some(&[255]), Some(&[])])),
        Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000), Some(0)])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(-1), None, Some(1_700_000_000_000), Some(0)])),
        Arc::new(structs),
        Arc::new(lists),
    ]
}

#[test]
fn single_columns_come_back() {
    for column in all_columns() {
        check(std::slice::from_ref(&column));
        check(&[column.slice(1, 3)]);
        check(&[column.slice(0, 0)]);
    }
}

#[test]
fn pairs_of_columns_come_back_whatever_their_shape() {
    let columns = all_columns();
    let mut shapes = [0; 3];
    for first in &columns {
        for second in &columns {
            check(&[first.clone(), second.clone()]);
            match encoder(&[first.clone(), second.clone()]).shape() {
                KeyShape::Word { .. } => unreachable!("two columns"),
                KeyShape::Fixed2 { .. } => shapes[0] += 1,
                KeyShape::Fixed3 { .. } => shapes[1] += 1,
                KeyShape::Bytes => shapes[2] += 1,
            }
        }
    }
    assert!(shapes.iter().all(|&count| count > 10), "all shapes are tried: {shapes:?}");
    check(&columns);
}

#[test]
fn no_column_is_one_key() {
    let encoder = KeyEncoder::new(&[]).unwrap();
    let keys = encoder.encode(&[], 3).unwrap();
    assert_eq!(keys.hashes(), [key_hash(&[]); 3]);
    assert!(canonical(&keys, 1).is_empty());
    assert!(encoder.decode(&keys).unwrap().is_empty());
    assert_eq!(encoder.from_canonical(&[0, 0], &[]).unwrap().len(), 1);
}

/// Persisted state is found by these bytes: a change of any of them loses it.
#[test]
fn golden_vectors() {
    let golden = [
        "0101 0000 0100 0101",
        "0100 0000 01ff 0180",
        "010000 000000 01ffff 018000",
        "0100000000 0000000000 01ffffffff 017fffffff",
        "010000000000000000 000000000000000000 01ffffffffffffffff 018000000000000000",
        "01007fffff 0000000000 01bfc00000 017fffffff",
        "010010000000000000 000000000000000000 01fff8000000000000 018000000000000000",
        "017fffffffffffffffffffffffffffcfc7 0000000000000000000000000000000000 \
         0180000000000000037ffffffffffffff9 0180000000000000000000000000000000",
        "010000 00 016100ff620000 01c3a4206c6f6e672074657874206265796f6e6420616e7920776f72640000",
        "0100ff00ff0000 00 01ff0000 010000",
        "017fffffff 0000000000 0180004e20 0180000000",
        "017fffffffffffffff 000000000000000000 018000018bcfe56800 018000000000000000",
        "01018000000101780000 010000000000010000 01018000000300 01018000000000",
        "0101018000000101000000000000 00 0100 0101017fffffff00",
    ];
    let columns = all_columns();
    assert_eq!(columns.len(), golden.len());
    for (text, column) in golden.iter().zip(&columns) {
        assert_eq!(encoded(std::slice::from_ref(column)).join(" "), *text, "{}", column.data_type());
    }
    let keys = encoder(&columns[4..5]).encode(&columns[4..5], 4).unwrap();
    assert_eq!(keys.hashes(), GOLDEN_HASHES);
}

const GOLDEN_HASHES: [u64; 4] =
    [0x3294_bf2e_84d8_dc01, 0x5527_995c_1f35_d96b, 0x271a_fae9_30bf_16fb, 0xf441_c1b0_eaa2_e396];

#[test]
fn bytes_are_ordered_as_values_are() {
    let columns = all_columns();
    // Arrow sorts neither structs nor lists by all of their members.
    for column in &columns[..12] {
        let sorted =
            lexsort_to_indices(&[SortColumn { values: column.clone(), options: None }], None).unwrap();
        let keys = encoded(std::slice::from_ref(column));
        let mut ordered: Vec<usize> = (0..keys.len()).collect();
        ordered.sort_by_key(|&row| keys[row].clone());
        let sorted: Vec<usize> = sorted.values().iter().map(|&row| row as usize).collect();
        assert_eq!(ordered, sorted, "{}", column.data_type());
    }
    let texts = ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "a\u{1}", "aa", "b"];
    let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    assert!(encoded(&[column]).is_sorted());
}

/// Every NaN is one key; -0 and 0 are two, as in Flink, which compares the bits.
#[test]
fn not_a_number_is_one_key() {
    let other = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 5);
    let column: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, other, 0.0, -0.0]));
    let keys = encoded(&[column]);
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[2], keys[3]);
}

/// A map is the same key in whatever order its entries came.
#[test]
fn order_of_map_entries_does_not_matter() {
    let sql_type = SqlType::Map(
        Box::new(SqlField::new("key", SqlType::STRING, false)),
        Box::new(SqlField::new("value", SqlType::Int, true)),
    );
    let DataType::Map(entries, _) = sql_type.data_type() else { unreachable!() };
    let DataType::Struct(fields) = entries.data_type().clone() else { unreachable!() };
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "a", "b"]));
    let values: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(1), Some(1), None]));
    let structs = StructArray::new(fields, vec![keys, values], None);
    let map = MapArray::new(entries, OffsetBuffer::new(vec![0, 2, 4].into()), structs, None, false);
    let column: ArrayRef = Arc::new(map);
    let keys = encoded(std::slice::from_ref(&column));
    assert_eq!(keys[0], keys[1]);
    check(&[column.slice(1, 1)]);
}

#[test]
fn key_groups_do_not_depend_on_the_path() {
    let values: Vec<i64> = (0..1000).map(|value| value * 7919).collect();
    let column: ArrayRef = Arc::new(Int64Array::from(values));
    let columns = [column];
    let keys = encoder(&columns).encode(&columns, 1000).unwrap();
    for (row, group) in keys.key_groups(128).into_iter().enumerate() {
        assert_eq!(group, crate::key_group_of(key_hash(&canonical(&keys, row)), 128));
    }
}

#[test]
fn wrong_columns_are_refused() {
    let encoder = KeyEncoder::new(&[DataType::Int64]).unwrap();
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    assert!(matches!(encoder.encode(&[column], 1), Err(KeyError::Columns(_))));
    assert!(matches!(encoder.encode(&[], 1), Err(KeyError::Columns(_))));
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert!(matches!(encoder.encode(&[column], 2), Err(KeyError::Columns(_))));
    let unsupported =
        DataType::Union(arrow::datatypes::UnionFields::empty(), arrow::datatypes::UnionMode::Dense);
    assert!(matches!(KeyEncoder::new(&[unsupported]), Err(KeyError::Unsupported(_))));
}

/// Any bytes decode to columns or to an error, and never panic.
#[test]
fn decodes_anything_without_panic() {
    let item = Arc::new(Field::new("item", DataType::Utf8, false));
    let types = [
        vec![DataType::Utf8, DataType::Int32],
        vec![DataType::List(item)],
        all_columns().iter().map(|column| column.data_type().clone()).collect(),
        vec![DataType::Int64],
        vec![DataType::Int64, DataType::Int64],
        vec![DataType::Float64, DataType::Boolean],
    ];
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let mut refused = 0;
    for round in 0..20_000 {
        let encoder = KeyEncoder::new(&types[round % types.len()]).unwrap();
        let length = random() % 40;
        // Mostly bytes that mean something.
        let bytes: Vec<u8> =
            (0..length).map(|_| [0, 1, 1, 0xff, random() as u8][random() as usize % 5]).collect();
        match encoder.from_canonical(&[0, length], &bytes).and_then(|keys| encoder.decode(&keys)) {
            Ok(columns) => assert!(columns.iter().all(|column| column.len() == 1)),
            Err(_) => refused += 1,
        }
    }
    assert!((1_000..20_000).contains(&refused), "{refused} of 20000 refused");
    assert!(KeyEncoder::new(&[DataType::Int64]).unwrap().from_canonical(&[5, 3], &[0; 9]).is_err());
}
