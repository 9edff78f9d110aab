//! Columns to keys, one column at a time.

use super::nested::{NULL, PRESENT, as_int32, as_int64, encode_value, order_f32, order_f64, push_escaped};
use super::{KeyData, KeyEncoder, KeyError, KeyShape, fixed_width};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};

pub(super) fn encode(encoder: &KeyEncoder, columns: &[ArrayRef], rows: usize) -> Result<KeyData, KeyError> {
    if columns.len() != encoder.columns.len() {
        let (given, wanted) = (columns.len(), encoder.columns.len());
        return Err(KeyError::Columns(format!("{given} columns instead of {wanted}")));
    }
    for (column, data_type) in columns.iter().zip(&encoder.columns) {
        if column.len() != rows {
            return Err(KeyError::Columns(format!("a column of {} rows instead of {rows}", column.len())));
        }
        if column.data_type() != data_type {
            return Err(KeyError::Columns(format!(
                "a column of {} instead of {data_type}",
                column.data_type()
            )));
        }
    }
    Ok(match encoder.shape {
        KeyShape::Word { column: false, .. } => {
            KeyData::Word { width: 0, column: false, words: vec![0; rows], nulls: None }
        }
        KeyShape::Word { width, .. } => encode_words(&columns[0], width),
        KeyShape::Fixed2 { width } => KeyData::Fixed2 { width, words: encode_fixed::<2>(columns, rows) },
        KeyShape::Fixed3 { width } => KeyData::Fixed3 { width, words: encode_fixed::<3>(columns, rows) },
        KeyShape::Bytes => encode_bytes(columns, rows)?,
    })
}

/// The values of a column of up to eight bytes a value, ordered as unsigned numbers. Of a NULL: anything.
fn ordered_words(column: &ArrayRef) -> Vec<u64> {
    match column.data_type() {
        DataType::Null => vec![0; column.len()],
        DataType::Boolean => column.as_boolean().values().iter().map(u64::from).collect(),
        DataType::Int8 => {
            let values = column.as_primitive::<Int8Type>().values();
            values.iter().map(|&value| u64::from(value as u8 ^ 0x80)).collect()
        }
        DataType::Int16 => {
            let values = column.as_primitive::<Int16Type>().values();
            values.iter().map(|&value| u64::from(value as u16 ^ (1 << 15))).collect()
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            values.iter().map(|&value| u64::from(order_f32(value))).collect()
        }
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().values().iter().map(|&value| order_f64(value)).collect()
        }
        other if fixed_width(other) == Some(4) => {
            let plain = as_int32(column);
            let values = plain.as_primitive::<Int32Type>().values();
            values.iter().map(|&value| u64::from(value as u32 ^ (1 << 31))).collect()
        }
        _ => {
            let plain = as_int64(column);
            let values = plain.as_primitive::<Int64Type>().values();
            values.iter().map(|&value| value as u64 ^ (1 << 63)).collect()
        }
    }
}

fn encode_words(column: &ArrayRef, width: u8) -> KeyData {
    let mut words = ordered_words(column);
    let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    if let Some(nulls) = &nulls {
        for (word, valid) in words.iter_mut().zip(nulls.iter()) {
            if !valid {
                *word = 0;
            }
        }
    }
    KeyData::Word { width, column: true, words, nulls }
}

/// Canonical bytes of fixed width, in `N` words a key.
fn encode_fixed<const N: usize>(columns: &[ArrayRef], rows: usize) -> Vec<[u64; N]> {
    let mut keys = vec![[0_u64; N]; rows];
    let mut offset = 0;
    for column in columns {
        let width = fixed_width(column.data_type()).expect("the shape says that all widths are fixed");
        let nulls = column.logical_nulls();
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        if width == 16 {
            let values = column.as_primitive::<Decimal128Type>().values();
            for (row, key) in keys.iter_mut().enumerate() {
                if valid(row) {
                    let value = values[row] as u128 ^ (1 << 127);
                    place(key, offset, 1, 1);
                    place(key, offset + 1, 8, (value >> 64) as u64);
                    place(key, offset + 9, 8, value as u64);
                }
            }
        } else {
            let values = ordered_words(column);
            for (row, key) in keys.iter_mut().enumerate() {
                if valid(row) {
                    place(key, offset, 1, 1);
                    place(key, offset + 1, width, values[row]);
                }
            }
        }
        offset += 1 + width;
    }
    keys
}

/// Puts the low `width` bytes of `value` at byte `offset` of `key`, where zeros are.
#[inline]
fn place<const N: usize>(key: &mut [u64; N], offset: usize, width: usize, value: u64) {
    if width == 0 {
        return;
    }
    let high = value << (64 - 8 * width);
    let (word, bits) = (offset / 8, 8 * (offset % 8));
    key[word] |= high >> bits;
    if bits + 8 * width > 64 {
        key[word + 1] |= high << (64 - bits);
    }
}

/// A column that is ready to be written row by row.
enum Part<'a> {
    Fixed {
        width: usize,
        values: Vec<u64>,
        column: &'a ArrayRef,
    },
    Decimal(&'a ArrayRef),
    /// the bytes and offsets of all values together; whether any byte of them is zero
    Text {
        values: &'a [u8],
        offsets: &'a [i32],
        column: &'a ArrayRef,
        has_zero: bool,
    },
    /// already encoded
    Nested {
        offsets: Vec<usize>,
        bytes: Vec<u8>,
    },
}

impl<'a> Part<'a> {
    fn new(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Decimal128(_, _) => Part::Decimal(column),
            DataType::Utf8 => {
                let array = column.as_string::<i32>();
                Part::text(array.value_data(), array.value_offsets(), column)
            }
            DataType::Binary => {
                let array = column.as_binary::<i32>();
                Part::text(array.value_data(), array.value_offsets(), column)
            }
            other => match fixed_width(other) {
                Some(width) => Part::Fixed { width, values: ordered_words(column), column },
                None => {
                    let (mut offsets, mut bytes) = (vec![0], Vec::new());
                    for row in 0..column.len() {
                        encode_value(column, row, &mut bytes);
                        offsets.push(bytes.len());
                    }
                    Part::Nested { offsets, bytes }
                }
            },
        }
    }

    fn text(values: &'a [u8], offsets: &'a [i32], column: &'a ArrayRef) -> Self {
        let used = &values[offsets[0].as_usize()..offsets[offsets.len() - 1].as_usize()];
        Part::Text { values, offsets, column, has_zero: memchr::memchr(0, used).is_some() }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Part::Fixed { width, values, column } => {
                let valid = column.is_valid(row) && *column.data_type() != DataType::Null;
                let word = if valid { values[row] } else { 0 };
                let mut bytes = [0; 9];
                bytes[0] = u8::from(valid);
                bytes[1..].copy_from_slice(&(word << (64 - 8 * (*width).max(1))).to_be_bytes());
                out.extend_from_slice(&bytes[..1 + width]);
            }
            Part::Decimal(column) => encode_value(column, row, out),
            Part::Text { column, .. } if column.is_null(row) => out.push(NULL),
            Part::Text { values, offsets, has_zero, .. } => {
                let value = &values[offsets[row].as_usize()..offsets[row + 1].as_usize()];
                out.push(PRESENT);
                if *has_zero {
                    push_escaped(value, out);
                } else {
                    out.extend_from_slice(value);
                    out.extend_from_slice(&[0, 0]);
                }
            }
            Part::Nested { offsets, bytes } => out.extend_from_slice(&bytes[offsets[row]..offsets[row + 1]]),
        }
    }

    fn size_hint(&self) -> usize {
        match self {
            Part::Fixed { width, values, .. } => (1 + width) * values.len(),
            Part::Decimal(column) => 17 * column.len(),
            Part::Text { offsets, .. } => {
                (offsets[offsets.len() - 1] - offsets[0]).as_usize() + 3 * offsets.len()
            }
            Part::Nested { bytes, .. } => bytes.len(),
        }
    }
}

fn encode_bytes(columns: &[ArrayRef], rows: usize) -> Result<KeyData, KeyError> {
    let parts: Vec<Part> = columns.iter().map(Part::new).collect();
    let mut bytes = Vec::with_capacity(parts.iter().map(Part::size_hint).sum());
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    for row in 0..rows {
        for part in &parts {
            part.write(row, &mut bytes);
        }
        offsets.push(bytes.len() as u32);
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err(KeyError::Columns(format!(
            "{} bytes of keys in one batch, more than 4 GiB",
            bytes.len()
        )));
    }
    Ok(KeyData::Bytes { offsets, bytes })
}
