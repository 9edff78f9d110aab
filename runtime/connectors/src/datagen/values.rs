//! Values of columns by row number.

use super::field::{FieldSpec, Values};
use crate::generator::timestamps;
use crate::random::{RandomStream, scale};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, IntervalYearMonthArray,
    ListArray, MapArray, StringArray, StructArray, Time32MillisecondArray, UInt32Array, make_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use std::fmt::Write;
use std::sync::Arc;
use weir_types::SqlType;

const DAY_MS: i64 = 86_400_000;

/// The field's values for the rows `numbers`.
pub(super) fn generate(field: &FieldSpec, numbers: &[u64], now_ms: i64) -> ArrayRef {
    let values = match &field.values {
        Values::Sequence { start, .. } => sequence(field, *start, numbers),
        Values::Boolean => {
            let bit = |row: usize| field.stream.bits(numbers[row]) & 1 == 1;
            Arc::new(BooleanArray::from(BooleanBuffer::collect_bool(numbers.len(), bit)))
        }
        Values::Integer { min, max } => integers(field, *min, *max, numbers),
        Values::Float { min, max } => {
            // Not min + u * (max - min), which overflows over the whole range.
            let value = |n: &u64| {
                let u = field.stream.unit(*n);
                min * (1.0 - u) + max * u
            };
            floats(&field.sql_type, numbers.iter().map(value))
        }
        Values::Text { length, var_len } => text(&field.stream, *length, *var_len, numbers),
        Values::Bytes { length, var_len } => bytes(&field.stream, *length, *var_len, numbers),
        Values::Now if field.sql_type == SqlType::Date => {
            Arc::new(Date32Array::from(vec![now_ms.div_euclid(DAY_MS) as i32; numbers.len()]))
        }
        Values::Now => {
            Arc::new(Time32MillisecondArray::from(vec![now_ms.rem_euclid(DAY_MS) as i32; numbers.len()]))
        }
        Values::Past { max_past_ms } => {
            let bound = max_past_ms.saturating_add(1);
            let past = numbers.iter().map(|n| now_ms - field.stream.below(*n, bound) as i64);
            timestamps(past.collect(), &field.sql_type)
        }
        Values::Array { length, element } => array(&field.sql_type, *length, element, numbers, now_ms),
        Values::Map { length, key, value } => map(&field.sql_type, *length, (key, value), numbers, now_ms),
        Values::Row(members) => row(&field.sql_type, members, numbers, now_ms),
    };
    with_nulls(field, values, numbers)
}

fn with_nulls(field: &FieldSpec, values: ArrayRef, numbers: &[u64]) -> ArrayRef {
    if field.nulls_below == 0 {
        return values;
    }
    let valid = |row: usize| field.null_stream.bits(numbers[row]) >= field.nulls_below;
    let valid = NullBuffer::new(BooleanBuffer::collect_bool(numbers.len(), valid));
    let data = values.into_data().into_builder().nulls(Some(valid));
    make_array(data.build().expect("the same values with a bitmap of the same length"))
}

fn integers(field: &FieldSpec, min: i128, max: i128, numbers: &[u64]) -> ArrayRef {
    let stream = field.stream;
    // The number of values; 0 stands for 2^64, all of BIGINT.
    let spread = (max - min + 1) as u64;
    let small = move |n: &u64| match spread {
        0 => stream.bits(*n) as i64,
        spread => (min as i64).wrapping_add(scale(stream.bits(*n), spread) as i64),
    };
    match field.sql_type {
        SqlType::TinyInt => Arc::new(Int8Array::from_iter_values(numbers.iter().map(|n| small(n) as i8))),
        SqlType::SmallInt => Arc::new(Int16Array::from_iter_values(numbers.iter().map(|n| small(n) as i16))),
        SqlType::Int => Arc::new(Int32Array::from_iter_values(numbers.iter().map(|n| small(n) as i32))),
        SqlType::Decimal { precision, scale } => {
            let wide = max - min >= i128::from(u64::MAX);
            let value = |n: &u64| match wide {
                false => min + i128::from(crate::random::scale(stream.bits(*n), spread)),
                true => {
                    let bits = u128::from(stream.bits(*n)) << 64 | u128::from(stream.bits(!*n));
                    min + (bits % ((max - min) as u128 + 1)) as i128
                }
            };
            decimals(precision, scale, numbers.iter().map(value).collect())
        }
        SqlType::IntervalYearMonth => {
            Arc::new(IntervalYearMonthArray::from_iter_values(numbers.iter().map(|n| small(n) as i32)))
        }
        SqlType::IntervalDayTime => {
            Arc::new(DurationMillisecondArray::from_iter_values(numbers.iter().map(small)))
        }
        _ => Arc::new(Int64Array::from(numbers.iter().map(small).collect::<Vec<i64>>())),
    }
}

fn decimals(precision: u8, scale: i8, values: Vec<i128>) -> ArrayRef {
    let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale);
    Arc::new(array.expect("precision and scale come from a declared type"))
}

fn floats(sql_type: &SqlType, values: impl Iterator<Item = f64>) -> ArrayRef {
    match sql_type {
        SqlType::Float => Arc::new(Float32Array::from_iter_values(values.map(|value| value as f32))),
        _ => Arc::new(Float64Array::from_iter_values(values)),
    }
}

/// The number of rows is at most the sequence's length, so that nothing overflows.
fn sequence(field: &FieldSpec, start: i64, numbers: &[u64]) -> ArrayRef {
    let values = numbers.iter().map(|n| start.wrapping_add(*n as i64));
    match field.sql_type {
        SqlType::TinyInt => Arc::new(Int8Array::from_iter_values(values.map(|value| value as i8))),
        SqlType::SmallInt => Arc::new(Int16Array::from_iter_values(values.map(|value| value as i16))),
        SqlType::Int => Arc::new(Int32Array::from_iter_values(values.map(|value| value as i32))),
        SqlType::Float | SqlType::Double => floats(&field.sql_type, values.map(|value| value as f64)),
        SqlType::Decimal { precision, scale } => {
            let unit = 10_i128.pow(scale.max(0) as u32);
            decimals(precision, scale, values.map(|value| i128::from(value) * unit).collect())
        }
        SqlType::Char(_) | SqlType::Varchar(_) => {
            let mut text = String::with_capacity(numbers.len() * 8);
            let mut lengths = Vec::with_capacity(numbers.len());
            for value in values {
                let before = text.len();
                // Writing to a String cannot fail.
                let _ = write!(text, "{value}");
                lengths.push(text.len() - before);
            }
            strings(lengths, text.into_bytes())
        }
        _ => Arc::new(Int64Array::from(values.collect::<Vec<i64>>())),
    }
}

fn strings(lengths: Vec<usize>, ascii: Vec<u8>) -> ArrayRef {
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(StringArray::try_new(offsets, ascii.into(), None).expect("digits and letters are ASCII"))
}

/// 1 to `length`, or just `length`.
fn lengths(stream: &RandomStream, length: usize, var_len: bool, numbers: &[u64]) -> Vec<usize> {
    // The complement keeps these numbers apart from those of the contents.
    let varied = |n: &u64| 1 + stream.below(!*n, length as u64) as usize;
    if var_len { numbers.iter().map(varied).collect() } else { vec![length; numbers.len()] }
}

/// Hexadecimal digits, as Flink's generator makes them.
fn text(stream: &RandomStream, length: usize, var_len: bool, numbers: &[u64]) -> ArrayRef {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let lengths = lengths(stream, length, var_len, numbers);
    let mut bytes = Vec::with_capacity(lengths.iter().sum());
    let words = length.div_ceil(16) as u64;
    for (n, length) in numbers.iter().zip(&lengths) {
        let mut left = *length;
        for word in 0..(*length as u64).div_ceil(16) {
            let bits = stream.bits(n.wrapping_mul(words).wrapping_add(word));
            let digits: [u8; 16] = std::array::from_fn(|digit| DIGITS[(bits >> (4 * digit)) as usize & 15]);
            let taken = left.min(16);
            bytes.extend_from_slice(&digits[..taken]);
            left -= taken;
        }
    }
    strings(lengths, bytes)
}

fn bytes(stream: &RandomStream, length: usize, var_len: bool, numbers: &[u64]) -> ArrayRef {
    let lengths = lengths(stream, length, var_len, numbers);
    let mut bytes = Vec::with_capacity(lengths.iter().sum());
    let words = length.div_ceil(8) as u64;
    for (n, length) in numbers.iter().zip(&lengths) {
        let mut left = *length;
        for word in 0..(*length as u64).div_ceil(8) {
            let taken = left.min(8);
            bytes.extend_from_slice(
                &stream.bits(n.wrapping_mul(words).wrapping_add(word)).to_le_bytes()[..taken],
            );
            left -= taken;
        }
    }
    Arc::new(BinaryArray::new(OffsetBuffer::from_lengths(lengths), bytes.into(), None))
}

/// The numbers of the members of collections: `width` for each row.
fn members_of(numbers: &[u64], width: usize) -> Vec<u64> {
    let width = width as u64;
    numbers.iter().flat_map(|n| (0..width).map(move |k| n.wrapping_mul(width).wrapping_add(k))).collect()
}

fn map(
    sql_type: &SqlType,
    length: usize,
    (key, value): (&FieldSpec, &FieldSpec),
    numbers: &[u64],
    now_ms: i64,
) -> ArrayRef {
    let DataType::Map(entries, sorted) = sql_type.data_type() else { unreachable!("a MAP is a map") };
    let DataType::Struct(fields) = entries.data_type() else { unreachable!("entries are rows") };
    let inner = members_of(numbers, length);
    let (keys, values) = (generate(key, &inner, now_ms), generate(value, &inner, now_ms));
    let (places, lengths) = last_of_equal(&keys, length, numbers.len());
    let picked = [keys, values].map(|column| take(&column, &places, None));
    let picked: Result<Vec<ArrayRef>, _> = picked.into_iter().collect();
    let entry = StructArray::new(fields.clone(), picked.expect("the places are among the members"), None);
    Arc::new(MapArray::new(entries, OffsetBuffer::from_lengths(lengths), entry, None, sorted))
}

/// Of `rows` times `width` keys those that do not come again in their row, and how many of each row.
fn last_of_equal(keys: &ArrayRef, width: usize, rows: usize) -> (UInt32Array, Vec<usize>) {
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())]);
    let encoded = converter.and_then(|converter| converter.convert_columns(std::slice::from_ref(keys)));
    let encoded = encoded.expect("keys of maps are of a type that is compared");
    let mut places = Vec::with_capacity(keys.len());
    let mut lengths = Vec::with_capacity(rows);
    for row in 0..rows {
        let (before, end) = (places.len(), (row + 1) * width);
        for place in row * width..end {
            if !(place + 1..end).any(|later| encoded.row(later) == encoded.row(place)) {
                places.push(place as u32);
            }
        }
        lengths.push(places.len() - before);
    }
    (UInt32Array::from(places), lengths)
}

fn array(sql_type: &SqlType, length: usize, element: &FieldSpec, numbers: &[u64], now_ms: i64) -> ArrayRef {
    let DataType::List(field) = sql_type.data_type() else { unreachable!("an ARRAY is a list") };
    let inner = members_of(numbers, length);
    let offsets = (0..=numbers.len()).map(|row| (row * length) as i32).collect::<Vec<_>>();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Arc::new(ListArray::new(field, offsets, generate(element, &inner, now_ms), None))
}

fn row(sql_type: &SqlType, members: &[FieldSpec], numbers: &[u64], now_ms: i64) -> ArrayRef {
    let DataType::Struct(fields) = sql_type.data_type() else { unreachable!("a ROW is a struct") };
    let members = members.iter().map(|member| generate(member, numbers, now_ms)).collect();
    let rows = StructArray::try_new_with_length(fields, members, None, numbers.len());
    Arc::new(rows.expect("members are made as the fields say"))
}
