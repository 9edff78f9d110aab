//! Timestamps of any precision as milliseconds.

use crate::OperatorError;
use arrow::array::{Array, AsArray, Int64Array, PrimitiveArray};
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::{
    ArrowTimestampType, DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

/// The column's times in milliseconds since the epoch, cut towards the past; NULL stays NULL. Milliseconds
/// are not copied.
pub(crate) fn to_millis(column: &dyn Array) -> Result<Int64Array, OperatorError> {
    fn typed<T: ArrowTimestampType>(column: &dyn Array, convert: impl Fn(i64) -> i64) -> Int64Array {
        let column: &PrimitiveArray<T> = column.as_primitive();
        unary(column, convert)
    }
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            Ok(typed::<TimestampSecondType>(column, |seconds| seconds.saturating_mul(1_000)))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let column: &PrimitiveArray<TimestampMillisecondType> = column.as_primitive();
            Ok(Int64Array::new(column.values().clone(), column.nulls().cloned()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(typed::<TimestampMicrosecondType>(column, |micros| micros.div_euclid(1_000)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Ok(typed::<TimestampNanosecondType>(column, |nanos| nanos.div_euclid(1_000_000)))
        }
        other => Err(OperatorError::Internal(format!("a time attribute is {other}, not a TIMESTAMP"))),
    }
}

/// The times of a rowtime column in milliseconds. Fails on NULL, as Flink does: such a row has no place in
/// event time.
pub(crate) fn rowtime_millis(column: &dyn Array, name: &str) -> Result<Int64Array, OperatorError> {
    if column.null_count() > 0 {
        let row = (0..column.len()).find(|row| column.is_null(*row)).unwrap_or(0);
        return Err(OperatorError::Evaluation(format!(
            "rowtime column `{name}` is NULL in row {row} of a batch: a rowtime must not be NULL; filter such rows \
             out before the watermark is declared, or give them a time with COALESCE in a computed column",
        )));
    }
    to_millis(column)
}
