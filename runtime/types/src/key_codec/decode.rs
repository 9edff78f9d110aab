//! Keys back to columns. Bytes are not trusted: they may come from a file.

use super::nested::{END, ESCAPED, NULL, PRESENT, retyped};
use super::{EncodedKeys, KeyData, KeyEncoder, KeyError, KeyShape, fixed_width};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, ListArray, MapArray, NullArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// Where reading stands within one key.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    key: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn corrupt(&self, what: &'static str) -> KeyError {
        KeyError::Corrupt { offset: self.offset, what }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], KeyError> {
        let end =
            self.offset.checked_add(length).ok_or_else(|| self.corrupt("a length beyond all bounds"))?;
        let bytes = self.key.get(self.offset..end).ok_or_else(|| self.corrupt("the key ends early"))?;
        self.offset = end;
        Ok(bytes)
    }

    fn marker(&mut self) -> Result<bool, KeyError> {
        match self.take(1)?[0] {
            NULL => Ok(false),
            PRESENT => Ok(true),
            _ => Err(KeyError::Corrupt { offset: self.offset - 1, what: "neither NULL nor a value" }),
        }
    }

    /// Up to eight bytes as a number.
    fn word(&mut self, width: usize) -> Result<u64, KeyError> {
        Ok(self.take(width)?.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)))
    }

    fn text(&mut self, out: &mut Vec<u8>) -> Result<(), KeyError> {
        loop {
            let rest = &self.key[self.offset..];
            let zero = memchr::memchr(0, rest).ok_or_else(|| self.corrupt("text without an end"))?;
            out.extend_from_slice(&rest[..zero]);
            self.offset += zero + 1;
            match self.take(1)?[0] {
                END => return Ok(()),
                ESCAPED => out.push(0),
                _ => return Err(self.corrupt("a zero that neither ends text nor belongs to it")),
            }
        }
    }
}

pub(super) fn decode(encoder: &KeyEncoder, keys: &EncodedKeys) -> Result<Vec<ArrayRef>, KeyError> {
    if keys.shape() != encoder.shape {
        return Err(KeyError::Columns(format!("keys of {:?} instead of {:?}", keys.shape(), encoder.shape)));
    }
    match keys.data() {
        KeyData::Word { column: false, .. } => Ok(Vec::new()),
        KeyData::Word { words, nulls, .. } => {
            Ok(vec![number_column(&encoder.columns[0], words, nulls.clone())])
        }
        KeyData::Fixed2 { words, .. } => decode_fixed(encoder, words),
        KeyData::Fixed3 { words, .. } => decode_fixed(encoder, words),
        KeyData::Bytes { offsets, bytes } => {
            let mut cursors: Vec<Cursor> = offsets
                .windows(2)
                .map(|ends| Cursor { key: &bytes[ends[0] as usize..ends[1] as usize], offset: 0 })
                .collect();
            let columns = encoder.columns.iter().map(|data_type| decode_column(data_type, &mut cursors));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            match cursors.iter().find(|cursor| cursor.offset != cursor.key.len()) {
                Some(cursor) => Err(cursor.corrupt("bytes after the last column")),
                None => Ok(columns),
            }
        }
    }
}

fn decode_fixed<const N: usize>(encoder: &KeyEncoder, keys: &[[u64; N]]) -> Result<Vec<ArrayRef>, KeyError> {
    let mut offset = 0;
    let mut columns = Vec::with_capacity(encoder.columns.len());
    for data_type in &encoder.columns {
        let width = fixed_width(data_type).expect("the shape says that all widths are fixed");
        let nulls = NullBuffer::from_iter(keys.iter().map(|key| extract(key, offset, 1) != 0));
        let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
        if width == 16 {
            let values = keys.iter().map(|key| {
                let value = u128::from(extract(key, offset + 1, 8)) << 64;
                (value | u128::from(extract(key, offset + 9, 8))) ^ 1 << 127
            });
            columns.push(decimal_column(data_type, values.map(|value| value as i128).collect(), nulls));
        } else {
            let words: Vec<u64> = keys.iter().map(|key| extract(key, offset + 1, width)).collect();
            columns.push(number_column(data_type, &words, nulls));
        }
        offset += 1 + width;
    }
    Ok(columns)
}

/// `width` bytes at byte `offset` of `key`.
#[inline]
fn extract<const N: usize>(key: &[u64; N], offset: usize, width: usize) -> u64 {
    if width == 0 {
        return 0;
    }
    let (word, bits) = (offset / 8, 8 * (offset % 8));
    let mut high = key[word] << bits;
    if bits + 8 * width > 64 {
        high |= key[word + 1] >> (64 - bits);
    }
    high >> (64 - 8 * width)
}

/// A column of up to eight bytes a value from the ordered words that encode it.
fn number_column(data_type: &DataType, words: &[u64], nulls: Option<NullBuffer>) -> ArrayRef {
    match data_type {
        DataType::Null => Arc::new(NullArray::new(words.len())),
        DataType::Boolean => {
            Arc::new(BooleanArray::new(words.iter().map(|&word| word != 0).collect(), nulls))
        }
        DataType::Int8 => {
            let values: ScalarBuffer<i8> = words.iter().map(|&word| (word as u8 ^ 0x80) as i8).collect();
            Arc::new(Int8Array::new(values, nulls))
        }
        DataType::Int16 => {
            let values: ScalarBuffer<i16> =
                words.iter().map(|&word| (word as u16 ^ 1 << 15) as i16).collect();
            Arc::new(Int16Array::new(values, nulls))
        }
        DataType::Float32 => {
            let values: ScalarBuffer<f32> = words
                .iter()
                .map(|&word| word as u32)
                .map(|bits| f32::from_bits(if bits >> 31 == 1 { bits ^ 1 << 31 } else { !bits }))
                .collect();
            Arc::new(Float32Array::new(values, nulls))
        }
        DataType::Float64 => {
            let values: ScalarBuffer<f64> = words
                .iter()
                .map(|&bits| f64::from_bits(if bits >> 63 == 1 { bits ^ 1 << 63 } else { !bits }))
                .collect();
            Arc::new(Float64Array::new(values, nulls))
        }
        other if fixed_width(other) == Some(4) => {
            let values: ScalarBuffer<i32> =
                words.iter().map(|&word| (word as u32 ^ 1 << 31) as i32).collect();
            retyped(&Int32Array::new(values, nulls), other.clone())
        }
        other => {
            let values: ScalarBuffer<i64> = words.iter().map(|&word| (word ^ 1 << 63) as i64).collect();
            retyped(&Int64Array::new(values, nulls), other.clone())
        }
    }
}

fn decimal_column(data_type: &DataType, values: Vec<i128>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(data_type.clone()))
}

/// Reads one value of `data_type` at each cursor and moves the cursors behind it.
fn decode_column(data_type: &DataType, cursors: &mut [Cursor]) -> Result<ArrayRef, KeyError> {
    let valid = cursors.iter_mut().map(Cursor::marker).collect::<Result<Vec<bool>, _>>()?;
    let nulls = Some(NullBuffer::from_iter(valid.iter().copied())).filter(|nulls| nulls.null_count() > 0);
    if let Some(width) = fixed_width(data_type) {
        if width == 16 {
            let mut values = Vec::with_capacity(cursors.len());
            for (cursor, valid) in cursors.iter_mut().zip(valid) {
                let value = u128::from(cursor.word(8)?) << 64 | u128::from(cursor.word(8)?);
                values.push(if valid { (value ^ 1 << 127) as i128 } else { 0 });
            }
            return Ok(decimal_column(data_type, values, nulls));
        }
        let words = cursors.iter_mut().map(|cursor| cursor.word(width)).collect::<Result<Vec<u64>, _>>()?;
        return Ok(number_column(data_type, &words, nulls));
    }
    match data_type {
        DataType::Utf8 | DataType::Binary => decode_text(data_type, cursors, &valid, nulls),
        DataType::Struct(fields) => {
            let mut present = present_cursors(cursors, &valid);
            let columns = fields.iter().map(|field| decode_column(field.data_type(), &mut present));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            put_back(cursors, &valid, &present);
            spread_struct(fields, columns, &valid, nulls)
        }
        DataType::List(element) => {
            let (offsets, values) = decode_elements(element.data_type(), cursors, &valid)?;
            let array = ListArray::try_new(element.clone(), offsets, values, nulls);
            Ok(Arc::new(array.map_err(|_| NOT_THESE_TYPES)?))
        }
        DataType::Map(entries, sorted) => {
            let (offsets, values) = decode_elements(entries.data_type(), cursors, &valid)?;
            let values = StructArray::from(values.to_data());
            let array = MapArray::try_new(entries.clone(), offsets, values, nulls, *sorted);
            Ok(Arc::new(array.map_err(|_| NOT_THESE_TYPES)?))
        }
        other => Err(KeyError::Unsupported(other.to_string())),
    }
}

/// Well-formed bytes with a NULL where the type has none.
const NOT_THESE_TYPES: KeyError = KeyError::Corrupt { offset: 0, what: "a NULL where the type has none" };

fn present_cursors<'a>(cursors: &[Cursor<'a>], valid: &[bool]) -> Vec<Cursor<'a>> {
    cursors.iter().zip(valid).filter(|(_, valid)| **valid).map(|(cursor, _)| *cursor).collect()
}

fn put_back<'a>(cursors: &mut [Cursor<'a>], valid: &[bool], present: &[Cursor<'a>]) {
    let present_of = cursors.iter_mut().zip(valid).filter(|(_, valid)| **valid);
    present_of.zip(present).for_each(|((cursor, _), moved)| *cursor = *moved);
}

fn decode_text(
    data_type: &DataType,
    cursors: &mut [Cursor],
    valid: &[bool],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, KeyError> {
    let mut values = Vec::new();
    let mut ends = vec![0_i32];
    for (cursor, valid) in cursors.iter_mut().zip(valid) {
        if *valid {
            cursor.text(&mut values)?;
        }
        let end = i32::try_from(values.len()).map_err(|_| cursor.corrupt("more than 2 GiB of text"))?;
        ends.push(end);
    }
    let offsets = OffsetBuffer::new(ends.into());
    if *data_type == DataType::Binary {
        return Ok(Arc::new(BinaryArray::new(offsets, values.into(), nulls)));
    }
    let array = StringArray::try_new(offsets, values.into(), nulls);
    Ok(Arc::new(array.map_err(|_| KeyError::Corrupt { offset: 0, what: "text that is not UTF-8" })?))
}

/// The elements of all arrays, and where each array's begin.
fn decode_elements(
    element: &DataType,
    cursors: &mut [Cursor],
    valid: &[bool],
) -> Result<(OffsetBuffer<i32>, ArrayRef), KeyError> {
    // Elements are read one by one since only reading one tells where the next begins; rare enough as a key.
    let mut elements = Vec::new();
    let mut ends = vec![0_i32];
    for (cursor, valid) in cursors.iter_mut().zip(valid) {
        while *valid && cursor.marker()? {
            elements.push(*cursor);
            skip(element, cursor)?;
        }
        ends.push(i32::try_from(elements.len()).map_err(|_| cursor.corrupt("too many elements"))?);
    }
    Ok((OffsetBuffer::new(ends.into()), decode_column(element, &mut elements)?))
}

pub(super) fn canonical_len(encoder: &KeyEncoder, bytes: &[u8]) -> Result<usize, KeyError> {
    let width = match encoder.shape {
        KeyShape::Word { width, column } => Some(usize::from(width) + usize::from(column)),
        KeyShape::Fixed2 { width } | KeyShape::Fixed3 { width } => Some(usize::from(width)),
        KeyShape::Bytes => None,
    };
    let mut cursor = Cursor { key: bytes, offset: 0 };
    match width {
        Some(width) => cursor.take(width).map(|_| ())?,
        None => encoder.columns.iter().try_for_each(|data_type| skip(data_type, &mut cursor))?,
    }
    Ok(cursor.offset)
}

/// Moves `cursor` behind a value of `data_type`.
fn skip(data_type: &DataType, cursor: &mut Cursor) -> Result<(), KeyError> {
    let valid = cursor.marker()?;
    if let Some(width) = fixed_width(data_type) {
        return cursor.take(width).map(|_| ());
    }
    if !valid {
        return Ok(());
    }
    match data_type {
        DataType::Utf8 | DataType::Binary => cursor.text(&mut Vec::new()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| skip(field.data_type(), cursor)),
        DataType::List(field) | DataType::Map(field, _) => {
            while cursor.marker()? {
                skip(field.data_type(), cursor)?;
            }
            Ok(())
        }
        other => Err(KeyError::Unsupported(other.to_string())),
    }
}

/// A ROW column from the fields of the rows that are not NULL.
fn spread_struct(
    fields: &arrow::datatypes::Fields,
    columns: Vec<ArrayRef>,
    valid: &[bool],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, KeyError> {
    if fields.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(valid.len(), nulls)));
    }
    let columns = if nulls.is_none() {
        columns
    } else {
        let mut next = 0_u32;
        let places = arrow::array::UInt32Array::from_iter(valid.iter().map(|valid| {
            let place = next;
            next += u32::from(*valid);
            valid.then_some(place)
        }));
        let spread = |column: &ArrayRef| arrow::compute::take(column, &places, None);
        columns.iter().map(spread).collect::<Result<Vec<_>, _>>().map_err(|_| NOT_THESE_TYPES)?
    };
    let array = StructArray::try_new(fields.clone(), columns, nulls);
    Ok(Arc::new(array.map_err(|_| NOT_THESE_TYPES)?))
}

pub(super) fn from_canonical(shape: KeyShape, offsets: &[u32], bytes: &[u8]) -> Result<KeyData, KeyError> {
    let corrupt = |what| KeyError::Corrupt { offset: 0, what };
    let in_order = offsets.is_sorted() && offsets.last().is_some_and(|&end| end as usize <= bytes.len());
    if !in_order {
        return Err(corrupt("offsets beyond the keys or out of order"));
    }
    let keys = offsets.windows(2).map(|ends| &bytes[ends[0] as usize..ends[1] as usize]);
    let width = match shape {
        KeyShape::Word { width, column } => usize::from(width) + usize::from(column),
        KeyShape::Fixed2 { width } | KeyShape::Fixed3 { width } => usize::from(width),
        KeyShape::Bytes => return Ok(KeyData::Bytes { offsets: offsets.to_vec(), bytes: bytes.to_vec() }),
    };
    if keys.clone().any(|key| key.len() != width) {
        return Err(corrupt("a key of another width than its columns have"));
    }
    Ok(match shape {
        KeyShape::Word { column: false, .. } => {
            KeyData::Word { width: 0, column: false, words: vec![0; offsets.len() - 1], nulls: None }
        }
        KeyShape::Word { width, column } => {
            if keys.clone().any(|key| key[0] > PRESENT) {
                return Err(corrupt("neither NULL nor a value"));
            }
            let nulls = NullBuffer::from_iter(keys.clone().map(|key| key[0] == PRESENT));
            let words = keys.map(|key| if key[0] == PRESENT { be_words::<1>(&key[1..])[0] } else { 0 });
            let words = words.map(|word| if width == 0 { 0 } else { word >> (64 - 8 * u32::from(width)) });
            let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
            KeyData::Word { width, column, words: words.collect(), nulls }
        }
        KeyShape::Fixed2 { width } => KeyData::Fixed2 { width, words: keys.map(be_words).collect() },
        KeyShape::Fixed3 { width } => KeyData::Fixed3 { width, words: keys.map(be_words).collect() },
        KeyShape::Bytes => KeyData::Bytes { offsets: offsets.to_vec(), bytes: bytes.to_vec() },
    })
}

fn be_words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (index, &byte) in bytes.iter().enumerate() {
        words[index / 8] |= u64::from(byte) << (56 - 8 * (index % 8));
    }
    words
}
