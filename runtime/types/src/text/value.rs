//! Values of arrays as text.

use super::datetime::{self, LocalDateTime};
use super::number;
use super::zone::TimeZone;
use crate::SqlType;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::array::{
    BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray, LargeStringArray, ListArray, MapArray,
    PrimitiveArray, StringViewArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowTimestampType, DataType, Date32Type, Decimal128Type, DurationMillisecondType, Field, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;

/// Which of Flink's two renderings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStyle {
    /// `CAST(.. AS STRING)`: `TRUE`, `2020-01-02 03:04:05.100`, `(1, x)`, NULL in collections as `NULL`;
    /// TIMESTAMP_LTZ in this zone.
    Cast(TimeZone),
    /// The values' Java classes, as the print connector shows them: `true`, `2020-01-02T03:04:05.100`, `+I[1, x]`,
    /// BYTES as `[0, -1]`, NULL as `null`.
    Java,
}

/// No text is defined for an Arrow type that no SQL type has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column '{column}' of type {data_type} has no text form")]
pub struct UnsupportedText {
    pub column: String,
    pub data_type: DataType,
}

impl From<UnsupportedText> for ArrowError {
    fn from(error: UnsupportedText) -> Self {
        ArrowError::NotYetImplemented(error.to_string())
    }
}

/// The values of one array as text; what depends on the type is decided when it is made.
pub struct ValueText<'a> {
    style: TextStyle,
    nulls: Option<&'a NullBuffer>,
    cells: Cells<'a>,
}

enum Cells<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float(&'a PrimitiveArray<Float32Type>),
    Double(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, i32),
    String(&'a StringArray),
    LargeString(&'a LargeStringArray),
    StringView(&'a StringViewArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time32MillisecondType>, u8),
    Timestamp { values: &'a [i64], unit: TimeUnit, precision: u8, ltz: bool },
    IntervalMonths(&'a PrimitiveArray<IntervalYearMonthType>),
    IntervalMillis(&'a PrimitiveArray<DurationMillisecondType>),
    List(&'a ListArray, Box<ValueText<'a>>),
    Map(&'a MapArray, Box<[ValueText<'a>; 2]>),
    Struct(Vec<ValueText<'a>>),
}

impl<'a> ValueText<'a> {
    /// `field` is that of `array`: it tells the precision where the Arrow type does not.
    pub fn new(array: &'a dyn Array, field: &Field, style: TextStyle) -> Result<Self, UnsupportedText> {
        let sql_type = SqlType::of_field(field);
        let cells = match array.data_type() {
            DataType::Null => Cells::Null,
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int8 => Cells::Int8(array.as_primitive()),
            DataType::Int16 => Cells::Int16(array.as_primitive()),
            DataType::Int32 => Cells::Int32(array.as_primitive()),
            DataType::Int64 => Cells::Int64(array.as_primitive()),
            DataType::Float32 => Cells::Float(array.as_primitive()),
            DataType::Float64 => Cells::Double(array.as_primitive()),
            DataType::Decimal128(_, scale) => Cells::Decimal(array.as_primitive(), i32::from(*scale)),
            DataType::Utf8 => Cells::String(array.as_string()),
            DataType::LargeUtf8 => Cells::LargeString(array.as_string()),
            DataType::Utf8View => Cells::StringView(array.as_string_view()),
            DataType::Binary => Cells::Binary(array.as_binary()),
            DataType::LargeBinary => Cells::LargeBinary(array.as_binary()),
            DataType::BinaryView => Cells::BinaryView(array.as_binary_view()),
            DataType::Date32 => Cells::Date(array.as_primitive()),
            DataType::Time32(TimeUnit::Millisecond) => {
                let precision = if let Some(SqlType::Time(precision)) = sql_type { precision } else { 0 };
                Cells::Time(array.as_primitive(), precision)
            }
            DataType::Timestamp(unit, zone) => {
                let precision = match sql_type {
                    Some(SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision)) => precision,
                    _ => 0,
                };
                let values = match unit {
                    TimeUnit::Second => timestamp_values::<TimestampSecondType>(array),
                    TimeUnit::Millisecond => timestamp_values::<TimestampMillisecondType>(array),
                    TimeUnit::Microsecond => timestamp_values::<TimestampMicrosecondType>(array),
                    TimeUnit::Nanosecond => timestamp_values::<TimestampNanosecondType>(array),
                };
                Cells::Timestamp { values, unit: *unit, precision, ltz: zone.is_some() }
            }
            DataType::Interval(IntervalUnit::YearMonth) => Cells::IntervalMonths(array.as_primitive()),
            DataType::Duration(TimeUnit::Millisecond) => Cells::IntervalMillis(array.as_primitive()),
            DataType::List(element) => {
                let list = array.as_list::<i32>();
                Cells::List(list, Box::new(ValueText::new(list.values(), element, style)?))
            }
            DataType::Map(entries, _) => {
                let map = array.as_map();
                let (DataType::Struct(fields), keys, values) =
                    (entries.data_type(), map.keys(), map.values())
                else {
                    return Err(Self::unsupported(array, field));
                };
                let keys = ValueText::new(keys, &fields[0], style)?;
                let values = ValueText::new(values, &fields[1], style)?;
                Cells::Map(map, Box::new([keys, values]))
            }
            DataType::Struct(fields) => Cells::Struct(
                array
                    .as_struct()
                    .columns()
                    .iter()
                    .zip(fields)
                    .map(|(column, field)| ValueText::new(column, field, style))
                    .collect::<Result<_, _>>()?,
            ),
            _ => return Err(Self::unsupported(array, field)),
        };
        Ok(ValueText { style, nulls: array.nulls(), cells })
    }

    fn unsupported(array: &dyn Array, field: &Field) -> UnsupportedText {
        UnsupportedText { column: field.name().clone(), data_type: array.data_type().clone() }
    }

    /// True if the value of `row` is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.cells, Cells::Null) || self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the value of `row`; NULL as the style's word for it.
    pub fn append(&self, row: usize, out: &mut Vec<u8>) {
        if !self.is_null(row) {
            self.append_value(row, out);
            return;
        }
        out.extend_from_slice(match self.style {
            TextStyle::Cast(_) => b"NULL",
            TextStyle::Java => b"null",
        });
    }

    /// Appends the value of `row`, which is not NULL.
    fn append_value(&self, row: usize, out: &mut Vec<u8>) {
        match &self.cells {
            Cells::Null => {}
            Cells::Boolean(array) => out.extend_from_slice(match (self.style, array.value(row)) {
                (TextStyle::Cast(_), true) => b"TRUE",
                (TextStyle::Cast(_), false) => b"FALSE",
                (TextStyle::Java, true) => b"true",
                (TextStyle::Java, false) => b"false",
            }),
            Cells::Int8(array) => number::append_integer(out, array.value(row)),
            Cells::Int16(array) => number::append_integer(out, array.value(row)),
            Cells::Int32(array) => number::append_integer(out, array.value(row)),
            Cells::Int64(array) => number::append_integer(out, array.value(row)),
            Cells::Float(array) => number::append_float(out, array.value(row)),
            Cells::Double(array) => number::append_double(out, array.value(row)),
            Cells::Decimal(array, scale) => match self.style {
                TextStyle::Cast(_) => number::append_decimal_plain(out, array.value(row), *scale),
                TextStyle::Java => number::append_decimal_java(out, array.value(row), *scale),
            },
            Cells::String(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Cells::LargeString(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Cells::StringView(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Cells::Binary(array) => self.append_binary(array.value(row), out),
            Cells::LargeBinary(array) => self.append_binary(array.value(row), out),
            Cells::BinaryView(array) => self.append_binary(array.value(row), out),
            Cells::Date(array) => datetime::append_date(out, i64::from(array.value(row))),
            Cells::Time(array, precision) => match self.style {
                TextStyle::Cast(_) => datetime::append_time(out, array.value(row), *precision),
                TextStyle::Java => datetime::append_java_time_of_day(out, array.value(row)),
            },
            Cells::Timestamp { values, unit, precision, ltz } => {
                let time = LocalDateTime::of_units(values[row], *unit);
                match (self.style, ltz) {
                    (TextStyle::Cast(_), false) => datetime::append_timestamp(out, time, b' ', *precision),
                    (TextStyle::Cast(zone), true) => {
                        datetime::append_timestamp(out, zone.to_local(time), b' ', *precision);
                    }
                    (TextStyle::Java, false) => datetime::append_java_local_date_time(out, time),
                    (TextStyle::Java, true) => datetime::append_java_instant(out, time),
                }
            }
            Cells::IntervalMonths(array) => match self.style {
                TextStyle::Cast(_) => datetime::append_interval_months(out, array.value(row)),
                TextStyle::Java => datetime::append_java_period(out, array.value(row)),
            },
            Cells::IntervalMillis(array) => match self.style {
                TextStyle::Cast(_) => datetime::append_interval_millis(out, array.value(row)),
                TextStyle::Java => datetime::append_java_duration(out, array.value(row)),
            },
            Cells::List(..) | Cells::Map(..) | Cells::Struct(_) => self.append_collection(row, out),
        }
    }

    fn append_collection(&self, row: usize, out: &mut Vec<u8>) {
        match &self.cells {
            Cells::List(array, elements) => {
                out.push(b'[');
                for (index, element) in range_of(array.offsets(), row).enumerate() {
                    separate(index, out);
                    elements.append(element, out);
                }
                out.push(b']');
            }
            Cells::Map(array, entries) => {
                out.push(b'{');
                for (index, entry) in range_of(array.offsets(), row).enumerate() {
                    separate(index, out);
                    entries[0].append(entry, out);
                    out.push(b'=');
                    entries[1].append(entry, out);
                }
                out.push(b'}');
            }
            Cells::Struct(members) => {
                let (open, close): (&[u8], u8) = match self.style {
                    TextStyle::Cast(_) => (b"(", b')'),
                    TextStyle::Java => (b"+I[", b']'),
                };
                out.extend_from_slice(open);
                for (index, member) in members.iter().enumerate() {
                    separate(index, out);
                    member.append(row, out);
                }
                out.push(close);
            }
            _ => {}
        }
    }

    fn append_binary(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.style {
            TextStyle::Cast(_) => out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
            TextStyle::Java => {
                out.push(b'[');
                for (index, byte) in bytes.iter().enumerate() {
                    separate(index, out);
                    number::append_integer(out, *byte as i8);
                }
                out.push(b']');
            }
        }
    }
}

fn timestamp_values<T: ArrowTimestampType>(array: &dyn Array) -> &[i64] {
    array.as_primitive::<T>().values()
}

fn range_of(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

/// `CAST(column AS STRING)`, TIMESTAMP_LTZ in `zone`; NULL stays NULL. A column that is text already is returned as it
/// is. Errors: an Arrow type that no SQL type has, or more than 2 GiB of text.
pub fn cast_to_string(array: &ArrayRef, field: &Field, zone: TimeZone) -> Result<StringArray, ArrowError> {
    if let Some(strings) = array.as_any().downcast_ref::<StringArray>() {
        return Ok(strings.clone());
    }
    let text = ValueText::new(array, field, TextStyle::Cast(zone))?;
    let rows = array.len();
    let mut bytes = Vec::with_capacity(rows * 16);
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0i32);
    for row in 0..rows {
        if !text.is_null(row) {
            text.append_value(row, &mut bytes);
        }
        let end = i32::try_from(bytes.len()).map_err(|_| {
            ArrowError::ComputeError(format!("cast of column '{}' to STRING exceeds 2 GiB", field.name()))
        })?;
        offsets.push(end);
    }
    let nulls = match array.data_type() {
        DataType::Null => Some(NullBuffer::new_null(rows)),
        _ => array.nulls().cloned(),
    };
    StringArray::try_new(OffsetBuffer::new(offsets.into()), bytes.into(), nulls)
}
