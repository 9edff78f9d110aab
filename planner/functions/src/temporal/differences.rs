//! TIMESTAMPADD, TIMESTAMPDIFF and OVERLAPS.

use super::super::arguments::Inputs;
use super::super::arithmetic::add_months;
use super::super::definition::{Call, Typed};
use super::moments::{DAY_SECONDS, Reading, is_point, moment_at};
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, PrimitiveArray};
use arrow::datatypes::{DurationMillisecondType, Int64Type, IntervalYearMonthType, TimeUnit};
use datafusion_common::{Result, plan_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Months(i64),
    Millis(i64),
}

fn unit(name: &str) -> Result<Unit> {
    let name = name.to_uppercase();
    Ok(match name.strip_prefix("SQL_TSI_").unwrap_or(&name) {
        "YEAR" => Unit::Months(12),
        "QUARTER" => Unit::Months(3),
        "MONTH" => Unit::Months(1),
        "WEEK" => Unit::Millis(7 * 86_400_000),
        "DAY" => Unit::Millis(86_400_000),
        "HOUR" => Unit::Millis(3_600_000),
        "MINUTE" => Unit::Millis(60_000),
        "SECOND" => Unit::Millis(1000),
        "MILLISECOND" => Unit::Millis(1),
        _ => return plan_err!("there is no unit '{name}' to count in"),
    })
}

fn literal_unit(call: &Call<'_>) -> Result<Unit> {
    match call.literal_text(0) {
        Some(name) => unit(name),
        None => call.refuse("a unit of time first"),
    }
}

pub(super) fn type_add(call: &Call<'_>) -> Result<Typed> {
    let [_, number, time] = call.types else { return call.refuse("a unit, a number and a time") };
    let unit = literal_unit(call)?;
    if !(number.is_integer() || *number == SqlType::Null) || !(is_point(time) || *time == SqlType::Null) {
        return call.refuse("a unit, a number and a time");
    }
    let (argument, result) = match (time, unit) {
        (SqlType::Null, _) => (SqlType::Timestamp(3), SqlType::Timestamp(3)),
        (SqlType::Date, Unit::Millis(length)) if length % 86_400_000 != 0 => {
            (SqlType::Timestamp(6), SqlType::Timestamp(6))
        }
        (time, _) => (time.clone(), time.clone()),
    };
    let nullable = call.nullable[1] || call.nullable[2];
    Ok(Typed { arguments: vec![SqlType::STRING, SqlType::BigInt, argument], result, nullable })
}

pub(super) fn add(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let unit = unit(inputs.texts(0)?.constant().flatten().unwrap_or(""))?;
    let numbers = inputs.primitives::<Int64Type>(1)?;
    let times = inputs.any(2);
    // A TIMESTAMP_LTZ moves along UTC.
    let mut values = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        let Some(number) = numbers.get(row).filter(|_| !times.is_null(row)) else {
            values.push(None);
            continue;
        };
        let mut time = moment_at(times.array, times.index(row), Reading::stored())?;
        match unit {
            Unit::Months(length) => {
                let days = add_months(time.days(), number.saturating_mul(length));
                time.seconds = days * DAY_SECONDS + i64::from(time.second_of_day());
            }
            Unit::Millis(length) => {
                let millis = number.saturating_mul(length);
                let nanos = i64::from(time.nanos) + millis.rem_euclid(1000) * 1_000_000;
                time.seconds = time.seconds.saturating_add(millis.div_euclid(1000)) + nanos / 1_000_000_000;
                time.nanos = (nanos % 1_000_000_000) as u32;
            }
        }
        values.push(stored(time, inputs.result));
    }
    // Date32 and Time32 are made from their 64-bit values.
    let data_type = inputs.result.data_type();
    let array: ArrayRef = Arc::new(Int64Array::from(values));
    Ok(match data_type {
        arrow::datatypes::DataType::Timestamp(..) => arrow::compute::cast(&array, &data_type)?,
        _ => {
            let narrow = arrow::compute::cast(&array, &arrow::datatypes::DataType::Int32)?;
            arrow::compute::cast(&narrow, &data_type)?
        }
    })
}

/// The value of a column of type `sql_type`.
fn stored(time: LocalDateTime, sql_type: &SqlType) -> Option<i64> {
    match sql_type.data_type() {
        arrow::datatypes::DataType::Timestamp(unit, _) => time.to_units(unit),
        arrow::datatypes::DataType::Date32 => Some(time.days()),
        _ => Some(i64::from(time.second_of_day()) * 1000 + i64::from(time.nanos / 1_000_000)),
    }
}

pub(super) fn type_difference(call: &Call<'_>) -> Result<Typed> {
    let [_, from, to] = call.types else { return call.refuse("a unit and two times") };
    literal_unit(call)?;
    let point = |found: &SqlType| match found {
        SqlType::Null => Some(SqlType::Timestamp(3)),
        found if is_point(found) && !matches!(found, SqlType::Time(_)) => Some(found.clone()),
        _ => None,
    };
    let (Some(from), Some(to)) = (point(from), point(to)) else { return call.refuse("a unit and two times") };
    let nullable = call.nullable[1] || call.nullable[2];
    Ok(Typed { arguments: vec![SqlType::STRING, from, to], result: SqlType::Int, nullable })
}

/// Whole months from the day `from` to the day `to`.
fn months_between_days(to: i64, from: i64) -> i64 {
    if to < from {
        return -months_between_days(from, to);
    }
    // No month has more than 31 days: the first guess is never too large.
    let mut months = (to - from) / 31;
    loop {
        if add_months(from, months) >= to || add_months(from, months + 1) > to {
            return months;
        }
        months += 1;
    }
}

fn months_between(to: LocalDateTime, from: LocalDateTime) -> i64 {
    let months = months_between_days(to.days(), from.days());
    let day = add_months(from.days(), months);
    let earlier = (to.second_of_day(), to.nanos / 1_000_000) < (from.second_of_day(), from.nanos / 1_000_000);
    months - i64::from(day == to.days() && earlier)
}

pub(super) fn difference(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let unit = unit(inputs.texts(0)?.constant().flatten().unwrap_or(""))?;
    let (starts, ends) = (inputs.any(1), inputs.any(2));
    // Between two TIMESTAMP_LTZ time passes, whatever the clocks on the wall do meanwhile; months are those of UTC.
    let instants = inputs.types[1..].iter().all(|found| matches!(found, SqlType::TimestampLtz(_)));
    let read = |index| if instants { Reading::stored() } else { Reading::local(inputs, index) };
    let (read_start, read_end) = (read(1), read(2));
    let mut values = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        if starts.is_null(row) || ends.is_null(row) {
            values.push(None);
            continue;
        }
        let start = moment_at(starts.array, starts.index(row), read_start)?;
        let end = moment_at(ends.array, ends.index(row), read_end)?;
        let whole = match unit {
            Unit::Months(length) => months_between(end, start) / length,
            Unit::Millis(length) => millis(end).wrapping_sub(millis(start)) / length,
        };
        values.push(Some(whole as i32));
    }
    Ok(Arc::new(Int32Array::from(values)))
}

/// `(a - b) unit` is an interval of months or of milliseconds: which one is all that the unit says.
pub(super) fn type_minus(call: &Call<'_>) -> Result<Typed> {
    let result = match literal_unit(call)? {
        Unit::Months(_) => SqlType::IntervalYearMonth,
        Unit::Millis(_) => SqlType::IntervalDayTime,
    };
    let typed = type_difference(call)?;
    Ok(Typed { result, ..typed })
}

pub(super) fn minus(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (ends, starts) = (inputs.any(1), inputs.any(2));
    let instants = inputs.types[1..].iter().all(|found| matches!(found, SqlType::TimestampLtz(_)));
    let read = |index| if instants { Reading::stored() } else { Reading::local(inputs, index) };
    let (read_end, read_start) = (read(1), read(2));
    let moments = |row: usize| -> Result<Option<(LocalDateTime, LocalDateTime)>> {
        if starts.is_null(row) || ends.is_null(row) {
            return Ok(None);
        }
        let end = moment_at(ends.array, ends.index(row), read_end)?;
        Ok(Some((end, moment_at(starts.array, starts.index(row), read_start)?)))
    };
    let pairs = (0..inputs.rows).map(moments);
    if *inputs.result == SqlType::IntervalYearMonth {
        let months = |(end, start)| months_between(end, start) as i32;
        let months = pairs.map(|pair| Ok(pair?.map(months))).collect::<Result<Vec<_>>>()?;
        return Ok(Arc::new(PrimitiveArray::<IntervalYearMonthType>::from(months)));
    }
    let between = |(end, start)| millis(end).wrapping_sub(millis(start));
    let between = pairs.map(|pair| Ok(pair?.map(between))).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(PrimitiveArray::<DurationMillisecondType>::from(between)))
}

fn millis(time: LocalDateTime) -> i64 {
    time.to_units(TimeUnit::Millisecond).unwrap_or(i64::MAX)
}

pub(super) fn type_overlaps(call: &Call<'_>) -> Result<Typed> {
    let interval = |found: &SqlType| matches!(found, SqlType::IntervalYearMonth | SqlType::IntervalDayTime);
    let [a, b, c, d] = call.types else { return call.refuse("two periods") };
    let fits = is_point(a) && is_point(c) && (is_point(b) || interval(b)) && (is_point(d) || interval(d));
    if !fits {
        return call.refuse("(start, end) OVERLAPS (start, end), where an end may be an INTERVAL");
    }
    Ok(Typed { arguments: call.types.to_vec(), result: SqlType::Boolean, nullable: call.any_nullable() })
}

/// The end of a period in milliseconds: a point, or as long after the start as an interval says.
fn end_of(inputs: &Inputs<'_>, index: usize, row: usize, start: LocalDateTime) -> Result<i64> {
    let column = inputs.any(index);
    let place = column.index(row);
    Ok(match inputs.types[index] {
        SqlType::IntervalDayTime => {
            millis(start).saturating_add(column.array.as_primitive::<DurationMillisecondType>().value(place))
        }
        SqlType::IntervalYearMonth => {
            let months = column.array.as_primitive::<IntervalYearMonthType>().value(place);
            let days = add_months(start.days(), i64::from(months));
            millis(LocalDateTime { seconds: days * DAY_SECONDS + i64::from(start.second_of_day()), ..start })
        }
        _ => millis(moment_at(column.array, place, Reading::local(inputs, index))?),
    })
}

pub(super) fn overlaps(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let mut values = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        if (0..4).any(|index| inputs.any(index).is_null(row)) {
            values.push(None);
            continue;
        }
        let period = |index: usize| -> Result<(i64, i64)> {
            let column = inputs.any(index);
            let start = moment_at(column.array, column.index(row), Reading::local(inputs, index))?;
            let (start, end) = (millis(start), end_of(inputs, index + 1, row, start)?);
            Ok((start.min(end), start.max(end)))
        };
        let ((start, end), (other_start, other_end)) = (period(0)?, period(2)?);
        values.push(Some(start <= other_end && other_start <= end));
    }
    Ok(Arc::new(BooleanArray::from(values)))
}
