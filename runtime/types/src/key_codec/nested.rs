//! Values of variable width: strings, bytes, ROW, ARRAY, MAP. One value at a time; also the slow path of all
//! others.

use super::{KeyError, fixed_width};
use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};

pub(super) const NULL: u8 = 0;
pub(super) const PRESENT: u8 = 1;
/// Stands where another element could and says that there is none.
pub(super) const END: u8 = 0;
/// Follows a `00` that belongs to the text.
pub(super) const ESCAPED: u8 = 0xff;

/// # Errors
/// [`KeyError::Unsupported`] if values of `data_type` have no encoding.
pub(super) fn check(data_type: &DataType) -> Result<(), KeyError> {
    match data_type {
        DataType::Utf8 | DataType::Binary => Ok(()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check(field.data_type())),
        DataType::List(element) => check(element.data_type()),
        DataType::Map(entries, _) => check(entries.data_type()),
        other if fixed_width(other).is_some() => Ok(()),
        other => Err(KeyError::Unsupported(other.to_string())),
    }
}

/// The value in the low bytes of a word, so that unsigned order is the order of the values; for widths up to
/// 8.
#[inline]
pub(super) fn order_f32(value: f32) -> u32 {
    let bits = if value.is_nan() { f32::NAN.to_bits() & 0x7fff_ffff } else { value.to_bits() };
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[inline]
pub(super) fn order_f64(value: f64) -> u64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & (u64::MAX >> 1) } else { value.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

pub(super) fn push_escaped(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(zero) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(ESCAPED);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}

/// Appends the encoding of `array[row]`. The type has passed [`check`].
pub(super) fn encode_value(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    let data_type = array.data_type();
    if array.is_null(row) || *data_type == DataType::Null {
        out.push(NULL);
        out.extend(std::iter::repeat_n(0, fixed_width(data_type).unwrap_or(0)));
        return;
    }
    out.push(PRESENT);
    match data_type {
        DataType::Boolean => out.push(u8::from(array.as_boolean().value(row))),
        DataType::Utf8 => push_escaped(array.as_string::<i32>().value(row).as_bytes(), out),
        DataType::Binary => push_escaped(array.as_binary::<i32>().value(row), out),
        DataType::Struct(_) => {
            array.as_struct().columns().iter().for_each(|field| encode_value(field, row, out));
        }
        DataType::List(_) => {
            let element = array.as_list::<i32>().value(row);
            for index in 0..element.len() {
                out.push(PRESENT);
                encode_value(&element, index, out);
            }
            out.push(END);
        }
        DataType::Map(_, _) => encode_map(&(array.as_map().value(row)), out),
        _ => encode_number(array, row, out),
    }
}

fn encode_map(entries: &arrow::array::StructArray, out: &mut Vec<u8>) {
    let mut encoded: Vec<Vec<u8>> = (0..entries.len())
        .map(|index| {
            let mut entry = vec![PRESENT, PRESENT];
            encode_value(entries.column(0), index, &mut entry);
            encode_value(entries.column(1), index, &mut entry);
            entry
        })
        .collect();
    encoded.sort_unstable();
    encoded.iter().for_each(|entry| out.extend_from_slice(entry));
    out.push(END);
}

fn encode_number(array: &dyn Array, row: usize, out: &mut Vec<u8>) {
    match array.data_type() {
        DataType::Int8 => out.push(array.as_primitive::<Int8Type>().value(row) as u8 ^ 0x80),
        DataType::Int16 => {
            let value = array.as_primitive::<Int16Type>().value(row) as u16 ^ (1 << 15);
            out.extend_from_slice(&value.to_be_bytes());
        }
        DataType::Float32 => {
            out.extend_from_slice(&order_f32(array.as_primitive::<Float32Type>().value(row)).to_be_bytes());
        }
        DataType::Float64 => {
            out.extend_from_slice(&order_f64(array.as_primitive::<Float64Type>().value(row)).to_be_bytes());
        }
        DataType::Decimal128(_, _) => {
            let value = array.as_primitive::<arrow::datatypes::Decimal128Type>().value(row);
            out.extend_from_slice(&(value as u128 ^ (1 << 127)).to_be_bytes());
        }
        other if fixed_width(other) == Some(4) => {
            let value = as_int32(array).as_primitive::<Int32Type>().value(row) as u32 ^ (1 << 31);
            out.extend_from_slice(&value.to_be_bytes());
        }
        _ => {
            let value = as_int64(array).as_primitive::<Int64Type>().value(row) as u64 ^ (1 << 63);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// DATE, TIME and INT alike: an array of four-byte integers under its plain type; shares the buffers.
pub(super) fn as_int32(array: &dyn Array) -> ArrayRef {
    retyped(array, DataType::Int32)
}

/// TIMESTAMP, intervals and BIGINT alike: an array of eight-byte integers under its plain type; shares the
/// buffers.
pub(super) fn as_int64(array: &dyn Array) -> ArrayRef {
    retyped(array, DataType::Int64)
}

pub(super) fn retyped(array: &dyn Array, data_type: DataType) -> ArrayRef {
    let data = array.to_data().into_builder().data_type(data_type);
    // The layouts of the two types are the same: a validity bitmap and one buffer of integers of the same
    // width.
    make_array(data.build().expect("integers of the same width share their layout"))
}
