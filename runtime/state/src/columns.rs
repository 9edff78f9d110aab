//! Fields of many slots as Arrow columns, and back.

use crate::StateError;
use crate::descriptor::FieldKind;
use crate::rows::{Column, FieldValue, Rows};
use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryArray, BooleanArray, NullArray, StringArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowNativeType, ArrowPrimitiveType, DataType};
use arrow::datatypes::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use std::sync::Arc;

impl Rows<'_> {
    /// Field `field` of the entries at `slots`, in that order, as a column of the field's SQL type.
    ///
    /// # Errors
    /// [`StateError::Value`] for bytes that are no value of that type, which somebody set or restored.
    pub fn gather(&self, field: usize, slots: &[u32]) -> Result<ArrayRef, StateError> {
        let (data_type, nested) = &self.table().layout().types[field];
        let nulls = self.null_buffer(field, slots);
        Ok(match self.table().layout().fields[field].kind {
            FieldKind::Bool if *data_type == DataType::Null => Arc::new(NullArray::new(slots.len())),
            FieldKind::Bool => {
                let column = self.column::<u8>(field);
                let values = slots.iter().map(|&slot| column.get(slot) != 0).collect();
                Arc::new(BooleanArray::new(values, nulls))
            }
            FieldKind::I8 => self.gather_numbers::<i8>(field, slots, data_type, nulls),
            FieldKind::I16 => self.gather_numbers::<i16>(field, slots, data_type, nulls),
            FieldKind::I32 => self.gather_numbers::<i32>(field, slots, data_type, nulls),
            FieldKind::I64 => self.gather_numbers::<i64>(field, slots, data_type, nulls),
            FieldKind::I128 => self.gather_numbers::<i128>(field, slots, data_type, nulls),
            FieldKind::F32 => self.gather_numbers::<f32>(field, slots, data_type, nulls),
            FieldKind::F64 => self.gather_numbers::<f64>(field, slots, data_type, nulls),
            FieldKind::Bytes => {
                let (mut offsets, mut bytes) = (vec![0_i32], Vec::new());
                for &slot in slots {
                    match (self.bytes(slot, field), nested) {
                        (Some(value), _) => bytes.extend_from_slice(&value),
                        // the encoding of NULL
                        (None, Some(_)) => bytes.push(0),
                        (None, None) => {}
                    }
                    let end = i32::try_from(bytes.len());
                    offsets.push(end.map_err(|_| StateError::Value(too_long(data_type)))?);
                }
                if let Some(encoder) = nested {
                    let offsets: Vec<u32> = offsets.into_iter().map(|offset| offset as u32).collect();
                    let column =
                        encoder.from_canonical(&offsets, &bytes).and_then(|keys| encoder.decode(&keys));
                    let column = column.map_err(|error| StateError::Value(error.to_string()))?;
                    return Ok(column.into_iter().next().expect("the encoder has one column"));
                }
                let offsets = OffsetBuffer::new(offsets.into());
                match data_type {
                    DataType::Binary => Arc::new(BinaryArray::new(offsets, bytes.into(), nulls)),
                    _ => Arc::new(
                        StringArray::try_new(offsets, bytes.into(), nulls)
                            .map_err(|error| StateError::Value(error.to_string()))?,
                    ),
                }
            }
        })
    }

    fn null_buffer(&self, field: usize, slots: &[u32]) -> Option<NullBuffer> {
        self.table().layout().fields[field].null_flag?;
        let nulls = self.nulls(field);
        let buffer = NullBuffer::from_iter(slots.iter().map(|&slot| !nulls.is_null(slot)));
        Some(buffer).filter(|buffer| buffer.null_count() > 0)
    }

    fn gather_numbers<T: FieldValue + ArrowNativeType>(
        &self,
        field: usize,
        slots: &[u32],
        data_type: &DataType,
        nulls: Option<NullBuffer>,
    ) -> ArrayRef {
        let column: Column<T> = self.column(field);
        let values: Vec<T> = slots.iter().map(|&slot| column.get(slot)).collect();
        let data = ArrayData::builder(data_type.clone()).len(slots.len()).nulls(nulls);
        let data = data.add_buffer(Buffer::from_vec(values)).build();
        make_array(data.expect("numbers of the width of the type, one for each slot"))
    }

    /// Sets field `field` of the entries at `slots` to the values of `column`, one for each. Of a slot that
    /// comes twice the last value stays.
    ///
    /// # Panics
    /// If the column has another type or length, or a NULL for a field that is NOT NULL.
    pub fn scatter(&mut self, field: usize, slots: &[u32], column: &ArrayRef) {
        let layout = self.table().layout().clone();
        let (data_type, nested) = &layout.types[field];
        assert!(
            column.data_type() == data_type && column.len() == slots.len(),
            "{} values of {} for {} slots of field {field}, of {data_type}",
            column.len(),
            column.data_type(),
            slots.len()
        );
        match layout.fields[field].kind {
            FieldKind::Bool if *data_type == DataType::Null => {}
            FieldKind::Bool => {
                let target = self.column::<u8>(field);
                let values = column.as_boolean();
                for (row, &slot) in slots.iter().enumerate() {
                    target.set_option(slot, values.is_valid(row).then(|| u8::from(values.value(row))));
                }
            }
            FieldKind::I8 => self.scatter_numbers::<Int8Type>(field, slots, column),
            FieldKind::I16 => self.scatter_numbers::<Int16Type>(field, slots, column),
            FieldKind::I32 => self.scatter_numbers::<Int32Type>(field, slots, column),
            FieldKind::I64 => self.scatter_numbers::<Int64Type>(field, slots, column),
            FieldKind::I128 => self.scatter_numbers::<arrow::datatypes::Decimal128Type>(field, slots, column),
            FieldKind::F32 => self.scatter_numbers::<Float32Type>(field, slots, column),
            FieldKind::F64 => self.scatter_numbers::<Float64Type>(field, slots, column),
            FieldKind::Bytes => match (data_type, nested) {
                (_, Some(encoder)) => {
                    let keys = encoder.encode(std::slice::from_ref(column), column.len());
                    let keys = keys.expect("the type was checked above, and a batch holds less than 4 GiB");
                    let mut value = Vec::new();
                    for (row, &slot) in slots.iter().enumerate() {
                        value.clear();
                        keys.write_canonical(row, &mut value);
                        self.set_bytes(slot, field, column.is_valid(row).then_some(&value));
                    }
                }
                (DataType::Binary, None) => {
                    let values = column.as_binary::<i32>();
                    slots.iter().zip(values).for_each(|(&slot, value)| self.set_bytes(slot, field, value));
                }
                _ => {
                    let values = column.as_string::<i32>();
                    for (&slot, value) in slots.iter().zip(values) {
                        self.set_bytes(slot, field, value.map(str::as_bytes));
                    }
                }
            },
        }
    }

    fn scatter_numbers<T: ArrowPrimitiveType>(&mut self, field: usize, slots: &[u32], column: &ArrayRef)
    where
        T::Native: FieldValue,
    {
        let target = self.column::<T::Native>(field);
        // DATE is kept as INT, TIMESTAMP as BIGINT: the buffer is the same.
        let data = column.to_data();
        let values = &data.buffer::<T::Native>(0)[..slots.len()];
        match column.logical_nulls() {
            None => {
                for (&slot, &value) in slots.iter().zip(values) {
                    target.set_option(slot, Some(value));
                }
            }
            Some(nulls) => {
                for ((&slot, &value), valid) in slots.iter().zip(values).zip(nulls.iter()) {
                    target.set_option(slot, valid.then_some(value));
                }
            }
        }
    }
}

fn too_long(data_type: &DataType) -> String {
    format!("more than 2 GiB of {data_type} in one batch")
}
