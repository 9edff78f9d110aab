//! Dates, times and intervals under `+`, `-` and `*`.

use super::super::arguments::{Inputs, Primitives};
use super::super::decimal::{Operation, map2, try_map2};
use arrow::array::ArrayRef;
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, DurationMillisecondType, Int64Type, IntervalYearMonthType,
    Time32MillisecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;
use weir_types::text::datetime::{civil_of_days, days_of_civil, days_of_month};

const DAY_MS: i64 = 86_400_000;

fn is_interval(sql_type: &SqlType) -> bool {
    matches!(sql_type, SqlType::IntervalYearMonth | SqlType::IntervalDayTime)
}

fn is_point(sql_type: &SqlType) -> bool {
    use SqlType::{Date, Time, Timestamp, TimestampLtz};
    matches!(sql_type, Date | Time(_) | Timestamp(_) | TimestampLtz(_))
}

/// Arguments and result of an operation on times, if there is one.
pub(super) fn type_times(
    left: &SqlType,
    right: &SqlType,
    operation: Operation,
) -> Option<(Vec<SqlType>, SqlType)> {
    let pair = vec![left.clone(), right.clone()];
    match (operation, left, right) {
        // A time of day has no months.
        (_, SqlType::Time(_), SqlType::IntervalYearMonth)
        | (_, SqlType::IntervalYearMonth, SqlType::Time(_)) => None,
        (Operation::Add | Operation::Subtract, point, interval)
            if is_point(point) && is_interval(interval) =>
        {
            Some((pair, left.clone()))
        }
        (Operation::Add, interval, point) if is_interval(interval) && is_point(point) => {
            Some((pair, right.clone()))
        }
        (Operation::Add | Operation::Subtract, a, b) if a == b && is_interval(a) => {
            Some((pair, left.clone()))
        }
        (Operation::Multiply, interval, number) if is_interval(interval) && number.is_integer() => {
            Some((vec![left.clone(), SqlType::BigInt], left.clone()))
        }
        (Operation::Multiply, number, interval) if is_interval(interval) && number.is_integer() => {
            Some((vec![SqlType::BigInt, right.clone()], right.clone()))
        }
        _ => None,
    }
}

pub(super) fn is_time(inputs: &Inputs<'_>) -> bool {
    inputs.types.iter().any(is_interval)
}

/// Days since the epoch, `months` later; a day that the month does not have is its last.
#[inline]
pub(crate) fn add_months(days: i64, months: i64) -> i64 {
    let (year, month, day) = civil_of_days(days);
    let total = year * 12 + i64::from(month) - 1 + months;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    days_of_civil(year, month, day.min(days_of_month(year, month)))
}

/// `point + sign * interval`, or the sum of two intervals.
pub(super) fn evaluate(inputs: &Inputs<'_>, sign: i64) -> Result<ArrayRef> {
    if is_interval(&inputs.types[0]) && is_interval(&inputs.types[1]) {
        return intervals(inputs, sign);
    }
    let (point, interval) = if is_interval(&inputs.types[1]) { (0, 1) } else { (1, 0) };
    let months = inputs.types[interval] == SqlType::IntervalYearMonth;
    match inputs.types[point].data_type() {
        arrow::datatypes::DataType::Timestamp(unit, zone) => {
            let array = match unit {
                TimeUnit::Second => timestamps::<TimestampSecondType>(inputs, point, interval, sign, unit),
                TimeUnit::Millisecond => {
                    timestamps::<TimestampMillisecondType>(inputs, point, interval, sign, unit)
                }
                TimeUnit::Microsecond => {
                    timestamps::<TimestampMicrosecondType>(inputs, point, interval, sign, unit)
                }
                TimeUnit::Nanosecond => {
                    timestamps::<TimestampNanosecondType>(inputs, point, interval, sign, unit)
                }
            }?;
            match zone {
                Some(_) => Ok(arrow::compute::cast(&array, &inputs.result.data_type())?),
                None => Ok(array),
            }
        }
        arrow::datatypes::DataType::Date32 if months => {
            let (days, months) = (
                inputs.primitives::<Date32Type>(point)?,
                inputs.primitives::<IntervalYearMonthType>(interval)?,
            );
            Ok(Arc::new(map2::<_, _, Date32Type>(&days, &months, inputs.rows, |days, months| {
                add_months(i64::from(days), sign * i64::from(months)) as i32
            })))
        }
        arrow::datatypes::DataType::Date32 => {
            let (days, millis) = (
                inputs.primitives::<Date32Type>(point)?,
                inputs.primitives::<DurationMillisecondType>(interval)?,
            );
            Ok(Arc::new(map2::<_, _, Date32Type>(&days, &millis, inputs.rows, |days, millis| {
                days.wrapping_add((sign * (millis / DAY_MS)) as i32)
            })))
        }
        _ => {
            let (time, millis) = (
                inputs.primitives::<Time32MillisecondType>(point)?,
                inputs.primitives::<DurationMillisecondType>(interval)?,
            );
            Ok(Arc::new(map2::<_, _, Time32MillisecondType>(&time, &millis, inputs.rows, |time, millis| {
                (i64::from(time).wrapping_add(sign.wrapping_mul(millis))).rem_euclid(DAY_MS) as i32
            })))
        }
    }
}

fn intervals(inputs: &Inputs<'_>, sign: i64) -> Result<ArrayRef> {
    if inputs.types[0] == SqlType::IntervalYearMonth {
        type Months = IntervalYearMonthType;
        let (a, b) = (inputs.primitives::<Months>(0)?, inputs.primitives::<Months>(1)?);
        let sum =
            map2::<_, _, Months>(&a, &b, inputs.rows, |a, b| a.wrapping_add(b.wrapping_mul(sign as i32)));
        return Ok(Arc::new(sum));
    }
    type Millis = DurationMillisecondType;
    let (a, b) = (inputs.primitives::<Millis>(0)?, inputs.primitives::<Millis>(1)?);
    Ok(Arc::new(map2::<_, _, Millis>(&a, &b, inputs.rows, |a, b| a.wrapping_add(b.wrapping_mul(sign)))))
}

fn timestamps<T: ArrowPrimitiveType<Native = i64>>(
    inputs: &Inputs<'_>,
    point: usize,
    interval: usize,
    sign: i64,
    unit: TimeUnit,
) -> Result<ArrayRef> {
    let time = inputs.primitives::<T>(point)?;
    if inputs.types[interval] == SqlType::IntervalDayTime {
        let millis = inputs.primitives::<DurationMillisecondType>(interval)?;
        if unit == TimeUnit::Nanosecond {
            return nanoseconds::<T>(inputs, &time, &millis, sign);
        }
        // A whole number of units for all precisions but 0, where the rest of a second is cut off.
        let (times, over) = match unit {
            TimeUnit::Second => (1, 1000),
            TimeUnit::Millisecond => (1, 1),
            TimeUnit::Microsecond | TimeUnit::Nanosecond => (1000, 1),
        };
        let array = map2::<T, _, T>(&time, &millis, inputs.rows, |time, millis| match over {
            1 => time.wrapping_add(sign * millis.wrapping_mul(times)),
            _ => time.wrapping_mul(over).wrapping_add(sign * millis).div_euclid(over),
        });
        return Ok(Arc::new(array));
    }
    let months = inputs.primitives::<IntervalYearMonthType>(interval)?;
    // Months of a TIMESTAMP_LTZ are counted in UTC, whatever the session's zone.
    let array = try_map2::<T, _, T>(&time, &months, inputs.rows, |time, months| {
        let mut time = LocalDateTime::of_units(time, unit);
        let days = add_months(time.days(), sign * i64::from(months));
        time.seconds = days * 86_400 + i64::from(time.second_of_day());
        match time.to_units(unit) {
            Some(value) => Ok(Some(value)),
            None => exec_err!(
                "adding {} months leaves the range of {}{}",
                sign * i64::from(months),
                inputs.result,
                inputs.result.range_note()
            ),
        }
    })?;
    Ok(Arc::new(array))
}

/// As [`timestamps`]: years within 64 bits of nanoseconds are few.
fn nanoseconds<T: ArrowPrimitiveType<Native = i64>>(
    inputs: &Inputs<'_>,
    time: &Primitives<'_, T>,
    millis: &Primitives<'_, DurationMillisecondType>,
    sign: i64,
) -> Result<ArrayRef> {
    let sum = |time: i64, millis: i64| {
        millis.checked_mul(sign * 1_000_000).and_then(|nanos| time.checked_add(nanos))
    };
    let array = try_map2::<T, _, T>(time, millis, inputs.rows, |time, millis| match sum(time, millis) {
        Some(value) => Ok(Some(value)),
        None => exec_err!(
            "adding {} ms leaves the range of {}{}",
            sign * millis,
            inputs.result,
            inputs.result.range_note()
        ),
    })?;
    Ok(Arc::new(array))
}

/// An interval times an integer.
pub(super) fn multiply(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (interval, number) = if is_interval(&inputs.types[0]) { (0, 1) } else { (1, 0) };
    let factor = inputs.primitives::<Int64Type>(number)?;
    match inputs.types[interval] {
        SqlType::IntervalYearMonth => {
            type Months = IntervalYearMonthType;
            let months = inputs.primitives::<Months>(interval)?;
            let product = map2::<_, _, Months>(&months, &factor, inputs.rows, |months, factor| {
                i64::from(months).wrapping_mul(factor) as i32
            });
            Ok(Arc::new(product))
        }
        SqlType::IntervalDayTime => {
            type Millis = DurationMillisecondType;
            let millis = inputs.primitives::<Millis>(interval)?;
            Ok(Arc::new(map2::<_, _, Millis>(&millis, &factor, inputs.rows, |a, b| a.wrapping_mul(b))))
        }
        ref other => internal_err!("an interval of type {other}"),
    }
}
