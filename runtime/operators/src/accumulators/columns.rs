//! Argument and result columns as vectors of the few native types that accumulators compute with.

use crate::OperatorError;
use arrow::array::types::*;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// The native type that values of a SQL type are accumulated in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// BOOLEAN, integers, times, day-time and year-month intervals
    Int,
    /// FLOAT, DOUBLE
    Float,
    Decimal,
    /// everything else: bytes
    Bytes,
}

impl Native {
    pub(crate) fn of(data_type: &DataType) -> Native {
        match data_type {
            DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Time32(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_)
            | DataType::Interval(IntervalUnit::YearMonth) => Native::Int,
            DataType::Float32 | DataType::Float64 => Native::Float,
            DataType::Decimal128(_, _) => Native::Decimal,
            _ => Native::Bytes,
        }
    }
}

/// A value that is kept in words of 64 bits.
pub(crate) trait Value: Copy + Default + PartialEq + PartialOrd + Send + 'static {
    const WORDS: usize;
    fn load(words: &[u64]) -> Self;
    fn store(self, words: &mut [u64]);
    /// The values of a column whose [`Native`] is this type.
    fn column(column: &dyn Array) -> Result<ScalarBuffer<Self>, OperatorError>
    where
        Self: arrow::datatypes::ArrowNativeType;
    /// A column of `data_type`; integers that do not fit wrap, as Flink's do.
    fn array(
        values: Vec<Self>,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> Result<ArrayRef, OperatorError>;
}

fn mismatch(what: &str, data_type: &DataType) -> OperatorError {
    OperatorError::Internal(format!("{what} of type {data_type} in an accumulator of another type"))
}

impl Value for i64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn load(words: &[u64]) -> i64 {
        words[0] as i64
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        words[0] = self as u64;
    }

    fn column(column: &dyn Array) -> Result<ScalarBuffer<i64>, OperatorError> {
        fn widen<T: ArrowPrimitiveType>(column: &dyn Array) -> ScalarBuffer<i64>
        where
            T::Native: Into<i64>,
        {
            column
                .as_primitive::<T>()
                .values()
                .iter()
                .map(|value| (*value).into())
                .collect::<Vec<i64>>()
                .into()
        }
        fn same<T: ArrowPrimitiveType<Native = i64>>(column: &dyn Array) -> ScalarBuffer<i64> {
            column.as_primitive::<T>().values().clone()
        }
        Ok(match column.data_type() {
            DataType::Boolean => {
                let bits = column.as_boolean().values();
                bits.iter().map(i64::from).collect::<Vec<i64>>().into()
            }
            DataType::Int8 => widen::<Int8Type>(column),
            DataType::Int16 => widen::<Int16Type>(column),
            DataType::Int32 => widen::<Int32Type>(column),
            DataType::Int64 => same::<Int64Type>(column),
            DataType::Date32 => widen::<Date32Type>(column),
            DataType::Time32(TimeUnit::Second) => widen::<Time32SecondType>(column),
            DataType::Time32(TimeUnit::Millisecond) => widen::<Time32MillisecondType>(column),
            DataType::Interval(IntervalUnit::YearMonth) => widen::<IntervalYearMonthType>(column),
            DataType::Timestamp(TimeUnit::Second, _) => same::<TimestampSecondType>(column),
            DataType::Timestamp(TimeUnit::Millisecond, _) => same::<TimestampMillisecondType>(column),
            DataType::Timestamp(TimeUnit::Microsecond, _) => same::<TimestampMicrosecondType>(column),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => same::<TimestampNanosecondType>(column),
            DataType::Duration(TimeUnit::Second) => same::<DurationSecondType>(column),
            DataType::Duration(TimeUnit::Millisecond) => same::<DurationMillisecondType>(column),
            DataType::Duration(TimeUnit::Microsecond) => same::<DurationMicrosecondType>(column),
            DataType::Duration(TimeUnit::Nanosecond) => same::<DurationNanosecondType>(column),
            other => return Err(mismatch("an argument", other)),
        })
    }

    fn array(
        values: Vec<i64>,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> Result<ArrayRef, OperatorError> {
        /// `narrow` of each value, as a column of `data_type`.
        fn cut<T: ArrowPrimitiveType>(
            values: Vec<i64>,
            nulls: Option<NullBuffer>,
            data_type: &DataType,
            narrow: impl Fn(i64) -> T::Native,
        ) -> ArrayRef {
            let values: Vec<T::Native> = values.into_iter().map(narrow).collect();
            Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
        }
        fn same<T: ArrowPrimitiveType<Native = i64>>(
            values: Vec<i64>,
            nulls: Option<NullBuffer>,
            data_type: &DataType,
        ) -> ArrayRef {
            Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
        }
        let (v, n, t) = (values, nulls, data_type);
        Ok(match data_type {
            DataType::Boolean => {
                let bits: BooleanBuffer = v.into_iter().map(|value| value != 0).collect();
                Arc::new(BooleanArray::new(bits, n))
            }
            DataType::Int8 => cut::<Int8Type>(v, n, t, |value| value as i8),
            DataType::Int16 => cut::<Int16Type>(v, n, t, |value| value as i16),
            DataType::Int32 => cut::<Int32Type>(v, n, t, |value| value as i32),
            DataType::Int64 => same::<Int64Type>(v, n, t),
            DataType::Float32 => cut::<Float32Type>(v, n, t, |value| value as f32),
            DataType::Float64 => cut::<Float64Type>(v, n, t, |value| value as f64),
            DataType::Date32 => cut::<Date32Type>(v, n, t, |value| value as i32),
            DataType::Time32(TimeUnit::Second) => cut::<Time32SecondType>(v, n, t, |value| value as i32),
            DataType::Time32(TimeUnit::Millisecond) => {
                cut::<Time32MillisecondType>(v, n, t, |value| value as i32)
            }
            DataType::Interval(IntervalUnit::YearMonth) => {
                cut::<IntervalYearMonthType>(v, n, t, |value| value as i32)
            }
            DataType::Timestamp(TimeUnit::Second, _) => same::<TimestampSecondType>(v, n, t),
            DataType::Timestamp(TimeUnit::Millisecond, _) => same::<TimestampMillisecondType>(v, n, t),
            DataType::Timestamp(TimeUnit::Microsecond, _) => same::<TimestampMicrosecondType>(v, n, t),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => same::<TimestampNanosecondType>(v, n, t),
            DataType::Duration(TimeUnit::Second) => same::<DurationSecondType>(v, n, t),
            DataType::Duration(TimeUnit::Millisecond) => same::<DurationMillisecondType>(v, n, t),
            DataType::Duration(TimeUnit::Microsecond) => same::<DurationMicrosecondType>(v, n, t),
            DataType::Duration(TimeUnit::Nanosecond) => same::<DurationNanosecondType>(v, n, t),
            other => return Err(mismatch("a result", other)),
        })
    }
}

impl Value for f64 {
    const WORDS: usize = 1;

    #[inline(always)]
    fn load(words: &[u64]) -> f64 {
        f64::from_bits(words[0])
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        words[0] = self.to_bits();
    }

    fn column(column: &dyn Array) -> Result<ScalarBuffer<f64>, OperatorError> {
        match column.data_type() {
            DataType::Float64 => Ok(column.as_primitive::<Float64Type>().values().clone()),
            DataType::Float32 => {
                let values = column.as_primitive::<Float32Type>().values();
                Ok(values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>().into())
            }
            DataType::Decimal128(_, scale) => {
                let divisor = 10_f64.powi(i32::from(*scale));
                let values = column.as_primitive::<Decimal128Type>().values();
                Ok(values.iter().map(|value| *value as f64 / divisor).collect::<Vec<f64>>().into())
            }
            _ => {
                let values = i64::column(column)?;
                Ok(values.iter().map(|value| *value as f64).collect::<Vec<f64>>().into())
            }
        }
    }

    fn array(
        values: Vec<f64>,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> Result<ArrayRef, OperatorError> {
        match data_type {
            DataType::Float64 => Ok(Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), nulls))),
            DataType::Float32 => {
                let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
                Ok(Arc::new(PrimitiveArray::<Float32Type>::new(values.into(), nulls)))
            }
            other => Err(mismatch("a result", other)),
        }
    }
}

impl Value for i128 {
    const WORDS: usize = 2;

    #[inline(always)]
    fn load(words: &[u64]) -> i128 {
        (u128::from(words[0]) | u128::from(words[1]) << 64) as i128
    }

    #[inline(always)]
    fn store(self, words: &mut [u64]) {
        words[0] = self as u64;
        words[1] = (self >> 64) as u64;
    }

    fn column(column: &dyn Array) -> Result<ScalarBuffer<i128>, OperatorError> {
        match column.data_type() {
            DataType::Decimal128(_, _) => Ok(column.as_primitive::<Decimal128Type>().values().clone()),
            other => Err(mismatch("an argument", other)),
        }
    }

    fn array(
        values: Vec<i128>,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> Result<ArrayRef, OperatorError> {
        match data_type {
            DataType::Decimal128(_, _) => Ok(Arc::new(
                PrimitiveArray::<Decimal128Type>::new(values.into(), nulls).with_data_type(data_type.clone()),
            )),
            other => Err(mismatch("a result", other)),
        }
    }
}
