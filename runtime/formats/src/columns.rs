//! Arrow columns while they are being built, row by row, with a way back to the last whole row.

use crate::FormatError;
use arrow::array::{
    ArrayData, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, NullArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, FieldRef, SchemaRef};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;

/// Texts or byte strings one after another.
pub(crate) struct Bytes {
    /// where each value ends, after a first 0
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Bytes {
    fn new() -> Self {
        Bytes { offsets: vec![0], data: Vec::new() }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Appends a value.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.end_value();
    }

    /// Where the value that is being written piece by piece goes; [`Bytes::end_value`] ends it.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Ends a value. A batch is flushed long before its text reaches 2 GiB, so that the offset fits.
    #[inline]
    pub(crate) fn end_value(&mut self) {
        self.offsets.push(self.data.len() as i32);
    }

    /// Forgets what has been written of a value that is not ended.
    pub(crate) fn abandon_value(&mut self) {
        self.data.truncate(self.offsets[self.offsets.len() - 1] as usize);
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.data.truncate(self.offsets[len] as usize);
    }

    /// Offsets and bytes; the next batch is expected to be about as large.
    fn take(&mut self) -> (Buffer, Buffer) {
        let mut offsets = Vec::with_capacity(self.offsets.len() + self.offsets.len() / 8);
        offsets.push(0);
        let data = Vec::with_capacity(self.data.len() + self.data.len() / 8);
        (
            Buffer::from_vec(std::mem::replace(&mut self.offsets, offsets)),
            Buffer::from_vec(std::mem::replace(&mut self.data, data)),
        )
    }
}

/// The values of a column that is being built; a NULL has some value too.
pub(crate) enum Values {
    Null(usize),
    Boolean(Vec<bool>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    Text(Bytes),
    Binary(Bytes),
    Date(Vec<i32>),
    Time(Vec<i32>),
    Timestamp(Vec<i64>),
    /// months
    IntervalMonths(Vec<i32>),
    /// milliseconds
    IntervalMillis(Vec<i64>),
    List {
        ends: Vec<i32>,
        element: Box<Column>,
    },
    Map {
        ends: Vec<i32>,
        entries: Box<[Column; 2]>,
    },
    Row {
        len: usize,
        members: Vec<Column>,
    },
}

/// A column that is being built.
pub(crate) struct Column {
    pub(crate) field: FieldRef,
    pub(crate) sql_type: SqlType,
    /// the rows that are NULL, ascending
    nulls: Vec<u32>,
    pub(crate) values: Values,
}

/// NULL where the column is declared NOT NULL.
#[derive(Debug)]
pub(crate) struct NotNullViolated;

impl Column {
    /// Errors: a type that no SQL type has.
    pub(crate) fn new(field: &FieldRef) -> Result<Column, FormatError> {
        let Some(sql_type) = SqlType::of_field(field) else { return Err(unsupported(field)) };
        let values = match field.data_type() {
            DataType::Null => Values::Null(0),
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float(Vec::new()),
            DataType::Float64 => Values::Double(Vec::new()),
            DataType::Decimal128(..) => Values::Decimal(Vec::new()),
            DataType::Utf8 => Values::Text(Bytes::new()),
            DataType::Binary => Values::Binary(Bytes::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Time32(_) => Values::Time(Vec::new()),
            DataType::Timestamp(..) => Values::Timestamp(Vec::new()),
            DataType::Interval(_) => Values::IntervalMonths(Vec::new()),
            DataType::Duration(_) => Values::IntervalMillis(Vec::new()),
            DataType::List(element) => {
                Values::List { ends: vec![0], element: Box::new(Column::new(element)?) }
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(fields) = entries.data_type() else { return Err(unsupported(field)) };
                let [key, value] = &fields[..] else { return Err(unsupported(field)) };
                Values::Map { ends: vec![0], entries: Box::new([Column::new(key)?, Column::new(value)?]) }
            }
            DataType::Struct(fields) => {
                Values::Row { len: 0, members: fields.iter().map(Column::new).collect::<Result<_, _>>()? }
            }
            _ => return Err(unsupported(field)),
        };
        Ok(Column { field: field.clone(), sql_type, nulls: Vec::new(), values })
    }

    /// Number of rows.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match &self.values {
            Values::Null(len) | Values::Row { len, .. } => *len,
            Values::Boolean(values) => values.len(),
            Values::Int8(values) => values.len(),
            Values::Int16(values) => values.len(),
            Values::Int32(values)
            | Values::Date(values)
            | Values::Time(values)
            | Values::IntervalMonths(values) => values.len(),
            Values::Int64(values) | Values::Timestamp(values) | Values::IntervalMillis(values) => {
                values.len()
            }
            Values::Float(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Decimal(values) => values.len(),
            Values::Text(bytes) | Values::Binary(bytes) => bytes.len(),
            Values::List { ends, .. } | Values::Map { ends, .. } => ends.len() - 1,
        }
    }

    /// Goes back to `len` rows; also drops what has been written of a row that is not ended.
    pub(crate) fn truncate(&mut self, len: usize) {
        while self.nulls.last().is_some_and(|row| *row as usize >= len) {
            self.nulls.pop();
        }
        match &mut self.values {
            Values::Null(count) => *count = len.min(*count),
            Values::Boolean(values) => values.truncate(len),
            Values::Int8(values) => values.truncate(len),
            Values::Int16(values) => values.truncate(len),
            Values::Int32(values)
            | Values::Date(values)
            | Values::Time(values)
            | Values::IntervalMonths(values) => values.truncate(len),
            Values::Int64(values) | Values::Timestamp(values) | Values::IntervalMillis(values) => {
                values.truncate(len);
            }
            Values::Float(values) => values.truncate(len),
            Values::Double(values) => values.truncate(len),
            Values::Decimal(values) => values.truncate(len),
            Values::Text(bytes) | Values::Binary(bytes) => bytes.truncate(len.min(bytes.len())),
            Values::List { ends, element } => {
                ends.truncate(len + 1);
                element.truncate(ends[ends.len() - 1] as usize);
            }
            Values::Map { ends, entries } => {
                ends.truncate(len + 1);
                entries.iter_mut().for_each(|column| column.truncate(ends[ends.len() - 1] as usize));
            }
            Values::Row { len: rows, members } => {
                *rows = len.min(*rows);
                members.iter_mut().for_each(|member| member.truncate(*rows));
            }
        }
    }

    /// Appends NULL.
    #[inline]
    pub(crate) fn push_null(&mut self) -> Result<(), NotNullViolated> {
        if !self.field.is_nullable() {
            return Err(NotNullViolated);
        }
        self.push_masked();
        Ok(())
    }

    /// Appends NULL whatever the column allows: for what lies under a NULL.
    fn push_masked(&mut self) {
        self.nulls.push(self.len() as u32);
        match &mut self.values {
            Values::Null(len) => *len += 1,
            Values::Boolean(values) => values.push(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values)
            | Values::Date(values)
            | Values::Time(values)
            | Values::IntervalMonths(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) | Values::IntervalMillis(values) => {
                values.push(0);
            }
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Text(bytes) | Values::Binary(bytes) => bytes.push(b""),
            Values::List { ends, .. } | Values::Map { ends, .. } => ends.push(ends[ends.len() - 1]),
            Values::Row { len, members } => {
                *len += 1;
                members.iter_mut().for_each(Column::push_masked);
            }
        }
    }

    /// Takes the rows as an Arrow array.
    pub(crate) fn take(&mut self) -> Result<ArrayRef, FormatError> {
        let len = self.len();
        let nulls = self.take_nulls(len);
        let data_type = self.field.data_type().clone();
        let array: ArrayRef = match &mut self.values {
            Values::Null(len) => Arc::new(NullArray::new(std::mem::take(len))),
            Values::Boolean(values) => {
                Arc::new(BooleanArray::new(BooleanBuffer::from(take_vec(values)), nulls))
            }
            Values::Int8(values) => primitive(data_type, take_vec(values), nulls)?,
            Values::Int16(values) => primitive(data_type, take_vec(values), nulls)?,
            Values::Int32(values)
            | Values::Date(values)
            | Values::Time(values)
            | Values::IntervalMonths(values) => primitive(data_type, take_vec(values), nulls)?,
            Values::Int64(values) | Values::Timestamp(values) | Values::IntervalMillis(values) => {
                primitive(data_type, take_vec(values), nulls)?
            }
            Values::Float(values) => primitive(data_type, take_vec(values), nulls)?,
            Values::Double(values) => primitive(data_type, take_vec(values), nulls)?,
            Values::Decimal(values) => primitive(data_type, take_vec(values), nulls)?,
            Values::Text(bytes) => {
                let (offsets, data) = bytes.take();
                let offsets = OffsetBuffer::new(offsets.into());
                // SAFETY: the decoders write only whole values that they have checked to be UTF-8 (a record is checked
                // before its fields are read, and escapes are written as encoded characters), and every offset is the
                // end of a value.
                Arc::new(unsafe { StringArray::new_unchecked(offsets, data, nulls) })
            }
            Values::Binary(bytes) => {
                let (offsets, data) = bytes.take();
                Arc::new(
                    BinaryArray::try_new(OffsetBuffer::new(offsets.into()), data, nulls).map_err(defect)?,
                )
            }
            Values::List { ends, element } => {
                let offsets = take_ends(ends);
                let values = element.take()?;
                Arc::new(ListArray::try_new(element.field.clone(), offsets, values, nulls).map_err(defect)?)
            }
            Values::Map { ends, entries } => {
                let DataType::Map(field, sorted) = data_type else { return Err(unsupported(&self.field)) };
                let DataType::Struct(fields) = field.data_type().clone() else {
                    return Err(unsupported(&self.field));
                };
                let columns = vec![entries[0].take()?, entries[1].take()?];
                let rows = StructArray::try_new(fields, columns, None).map_err(defect)?;
                Arc::new(MapArray::try_new(field, take_ends(ends), rows, nulls, sorted).map_err(defect)?)
            }
            Values::Row { len, members } => {
                let DataType::Struct(fields) = data_type else { return Err(unsupported(&self.field)) };
                let rows = std::mem::take(len);
                let columns = members.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields, columns, nulls, rows).map_err(defect)?)
            }
        };
        Ok(array)
    }

    fn take_nulls(&mut self, len: usize) -> Option<NullBuffer> {
        if self.nulls.is_empty() || matches!(self.values, Values::Null(_)) {
            self.nulls.clear();
            return None;
        }
        let mut bits = MutableBuffer::from_len_zeroed(len.div_ceil(8));
        bits.fill(0xff);
        for row in self.nulls.drain(..) {
            arrow::util::bit_util::unset_bit(&mut bits, row as usize);
        }
        Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, len)))
    }

    /// The value of a timestamp column, fraction digits beyond the Arrow unit cut off; `None` if it does not fit.
    #[inline]
    pub(crate) fn timestamp_units(&self, time: LocalDateTime) -> Option<i64> {
        match self.field.data_type() {
            DataType::Timestamp(unit, _) => time.to_units(*unit),
            _ => None,
        }
    }
}

fn unsupported(field: &FieldRef) -> FormatError {
    FormatError::UnsupportedType(format!(
        "column '{}' has type {}, which no format reads",
        field.name(),
        field.data_type()
    ))
}

fn defect(error: arrow::error::ArrowError) -> FormatError {
    FormatError::Internal(format!("a decoded column is not a valid array: {error}"))
}

/// Takes the values and leaves room for about as many.
fn take_vec<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

fn take_ends(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(std::mem::replace(ends, vec![0]).into())
}

fn primitive<T: ArrowNativeType>(
    data_type: DataType,
    values: Vec<T>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, FormatError> {
    let len = values.len();
    let data = ArrayData::builder(data_type).len(len).nulls(nulls).add_buffer(Buffer::from_vec(values));
    Ok(make_array(data.build().map_err(defect)?))
}

/// The columns of a projection.
pub(crate) struct Columns {
    schema: SchemaRef,
    pub(crate) columns: Vec<Column>,
    /// whole rows
    pub(crate) rows: usize,
}

impl Columns {
    /// `projection`: places in `all`.
    pub(crate) fn new(all: &SchemaRef, projection: &[usize]) -> Result<Columns, FormatError> {
        let schema = all
            .project(projection)
            .map_err(|error| FormatError::Internal(format!("projection {projection:?}: {error}")))?;
        let columns = schema.fields().iter().map(Column::new).collect::<Result<_, _>>()?;
        Ok(Columns { schema: Arc::new(schema), columns, rows: 0 })
    }

    /// Drops what has been written of rows that are not ended.
    pub(crate) fn roll_back(&mut self) {
        let rows = self.rows;
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// Takes the whole rows.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, FormatError> {
        let arrays = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).map_err(defect)
    }
}
