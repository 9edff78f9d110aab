//! Dates and times under CAST.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Time32MillisecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::{LocalDateTime, TimeZone};

const DAY_SECONDS: i64 = 86_400;

/// Milliseconds of the day cut to a TIME's precision.
pub(super) fn cut_time(millis: i32, precision: u8) -> i32 {
    let unit = [1000, 100, 10, 1][usize::from(precision.min(3))];
    millis / unit * unit
}

pub(super) fn cast(array: &ArrayRef, from: &SqlType, to: &SqlType, zone: TimeZone) -> Result<ArrayRef> {
    let ltz = |sql_type: &SqlType| matches!(sql_type, SqlType::TimestampLtz(_));
    if let Some(same) = relabelled(array, from, to) {
        return same;
    }
    // Between a local and an instant the session's zone decides.
    let moved = move |time: LocalDateTime| match (ltz(from), ltz(to)) {
        (true, false) => zone.to_local(time),
        (false, true) => zone.to_utc(time),
        _ => time,
    };
    match array.data_type() {
        DataType::Date32 => write(array.as_primitive::<Date32Type>(), to, |days| {
            moved(LocalDateTime { seconds: i64::from(days) * DAY_SECONDS, nanos: 0 })
        }),
        DataType::Time32(_) => write(array.as_primitive::<Time32MillisecondType>(), to, |millis| {
            moved(LocalDateTime::of_units(i64::from(millis), TimeUnit::Millisecond))
        }),
        DataType::Timestamp(unit, _) => {
            let unit = *unit;
            let read = move |value| moved(LocalDateTime::of_units(value, unit));
            match unit {
                TimeUnit::Second => write(array.as_primitive::<TimestampSecondType>(), to, read),
                TimeUnit::Millisecond => write(array.as_primitive::<TimestampMillisecondType>(), to, read),
                TimeUnit::Microsecond => write(array.as_primitive::<TimestampMicrosecondType>(), to, read),
                TimeUnit::Nanosecond => write(array.as_primitive::<TimestampNanosecondType>(), to, read),
            }
        }
        other => internal_err!("cast of {other} to {to}"),
    }
}

/// The same values where no digit is lost and the unit is the same.
fn relabelled(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Option<Result<ArrayRef>> {
    let widens = match (from, to) {
        (SqlType::Timestamp(a), SqlType::Timestamp(b))
        | (SqlType::TimestampLtz(a), SqlType::TimestampLtz(b)) => a <= b,
        (SqlType::Time(a), SqlType::Time(b)) => a <= b,
        (SqlType::Date, SqlType::Date) => true,
        _ => false,
    };
    (widens && *array.data_type() == to.data_type()).then(|| Ok(array.clone()))
}

fn write<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    to: &SqlType,
    read: impl Fn(T::Native) -> LocalDateTime,
) -> Result<ArrayRef> {
    match *to {
        SqlType::Date => Ok(Arc::new(array.unary::<_, Date32Type>(|value| read(value).days() as i32))),
        SqlType::Time(precision) => Ok(Arc::new(array.unary::<_, Time32MillisecondType>(|value| {
            let time = read(value);
            cut_time(time.second_of_day() as i32 * 1000 + (time.nanos / 1_000_000) as i32, precision)
        }))),
        SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision) => {
            let DataType::Timestamp(unit, _) = to.data_type() else { return internal_err!("{to}") };
            let value = |value| match read(value).truncated(precision).to_units(unit) {
                Some(value) => Ok(value),
                None => exec_err!("a time is outside of the range of {to}{}", to.range_note()),
            };
            Ok(match unit {
                TimeUnit::Second => written(array.try_unary::<_, TimestampSecondType, _>(value)?, to),
                TimeUnit::Millisecond => {
                    written(array.try_unary::<_, TimestampMillisecondType, _>(value)?, to)
                }
                TimeUnit::Microsecond => {
                    written(array.try_unary::<_, TimestampMicrosecondType, _>(value)?, to)
                }
                TimeUnit::Nanosecond => written(array.try_unary::<_, TimestampNanosecondType, _>(value)?, to),
            })
        }
        ref other => internal_err!("cast of a time to {other}"),
    }
}

fn written<T: ArrowPrimitiveType>(array: PrimitiveArray<T>, to: &SqlType) -> ArrayRef {
    Arc::new(array.with_data_type(to.data_type()))
}
