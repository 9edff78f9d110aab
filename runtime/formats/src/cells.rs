//! The columns of a batch that is being written.

use crate::FormatError;
use crate::json::append_json_string;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::array::{BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMillisecondType, Field, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType, Time32MillisecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

/// One column of a batch.
pub(crate) struct Cell<'a> {
    nulls: Option<&'a NullBuffer>,
    pub(crate) values: Values<'a>,
}

/// Its array, looked up once.
pub(crate) enum Values<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float(&'a PrimitiveArray<Float32Type>),
    Double(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, i32),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time32MillisecondType>),
    Timestamp {
        values: &'a [i64],
        unit: TimeUnit,
        utc: bool,
    },
    IntervalMonths(&'a PrimitiveArray<IntervalYearMonthType>),
    IntervalMillis(&'a PrimitiveArray<DurationMillisecondType>),
    List(&'a ListArray, Box<Cell<'a>>),
    Map(&'a MapArray, &'a StringArray, Box<Cell<'a>>),
    /// `keys`: `"name":` of each member
    Row {
        keys: Vec<Vec<u8>>,
        members: Vec<Cell<'a>>,
    },
}

impl<'a> Cell<'a> {
    /// The columns of a batch. Errors: a type that no SQL type has.
    pub(crate) fn all(rows: &'a RecordBatch) -> Result<Vec<Cell<'a>>, FormatError> {
        rows.columns().iter().map(Cell::new).collect()
    }

    pub(crate) fn new(array: &'a ArrayRef) -> Result<Cell<'a>, FormatError> {
        let unsupported =
            || FormatError::UnsupportedType(format!("no format writes type {}", array.data_type()));
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int8 => Values::Int8(array.as_primitive()),
            DataType::Int16 => Values::Int16(array.as_primitive()),
            DataType::Int32 => Values::Int32(array.as_primitive()),
            DataType::Int64 => Values::Int64(array.as_primitive()),
            DataType::Float32 => Values::Float(array.as_primitive()),
            DataType::Float64 => Values::Double(array.as_primitive()),
            DataType::Decimal128(_, scale) => Values::Decimal(array.as_primitive(), i32::from(*scale)),
            DataType::Utf8 => Values::Text(array.as_string()),
            DataType::Binary => Values::Binary(array.as_binary()),
            DataType::Date32 => Values::Date(array.as_primitive()),
            DataType::Time32(TimeUnit::Millisecond) => Values::Time(array.as_primitive()),
            DataType::Timestamp(unit, zone) => {
                Values::Timestamp { values: timestamp_values(array, *unit), unit: *unit, utc: zone.is_some() }
            }
            DataType::Interval(IntervalUnit::YearMonth) => Values::IntervalMonths(array.as_primitive()),
            DataType::Duration(TimeUnit::Millisecond) => Values::IntervalMillis(array.as_primitive()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list, Box::new(Cell::new(list.values())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let keys = map.keys().as_string_opt::<i32>().ok_or_else(unsupported)?;
                Values::Map(map, keys, Box::new(Cell::new(map.values())?))
            }
            DataType::Struct(fields) => Values::Row {
                keys: fields.iter().map(|field| json_key(field)).collect(),
                members: array.as_struct().columns().iter().map(Cell::new).collect::<Result<_, _>>()?,
            },
            _ => return Err(unsupported()),
        };
        Ok(Cell { nulls: array.nulls(), values })
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

/// `"name":`
pub(crate) fn json_key(field: &Field) -> Vec<u8> {
    let mut key = Vec::new();
    append_json_string(field.name().as_bytes(), &mut key);
    key.push(b':');
    key
}

/// The values of a timestamp array of this unit.
fn timestamp_values(array: &dyn Array, unit: TimeUnit) -> &[i64] {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    }
}
