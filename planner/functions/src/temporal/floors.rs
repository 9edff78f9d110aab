//! `FLOOR(time TO unit)` and `CEIL(time TO unit)`. Weeks start on Sunday.

use super::super::arguments::Inputs;
use super::super::arithmetic::add_months;
use super::super::definition::{Call, Typed};
use super::super::math::repeat;
use super::moments::{self, DAY_SECONDS, Reading, is_point};
use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{
    DataType, Date32Type, Time32MillisecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, internal_err, plan_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;
use weir_types::text::datetime::{civil_of_days, days_of_civil};

#[derive(Clone, Copy)]
enum Unit {
    Months(i64),
    Week,
    Seconds(i64),
    Nanos(u32),
}

impl Unit {
    fn parse(name: &str) -> Option<Unit> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MILLENNIUM" => Unit::Months(12_000),
            "CENTURY" => Unit::Months(1200),
            "DECADE" => Unit::Months(120),
            "YEAR" => Unit::Months(12),
            "QUARTER" => Unit::Months(3),
            "MONTH" => Unit::Months(1),
            "WEEK" => Unit::Week,
            "DAY" => Unit::Seconds(DAY_SECONDS),
            "HOUR" => Unit::Seconds(3600),
            "MINUTE" => Unit::Seconds(60),
            "SECOND" => Unit::Seconds(1),
            "MILLISECOND" => Unit::Nanos(1_000_000),
            "MICROSECOND" => Unit::Nanos(1_000),
            "NANOSECOND" => Unit::Nanos(1),
            _ => return None,
        })
    }

    fn floor(self, time: LocalDateTime) -> LocalDateTime {
        let seconds = match self {
            Unit::Months(length) => {
                let (year, month, _) = civil_of_days(time.days());
                let index = year * 12 + i64::from(month) - 1;
                // Centuries and millennia start with year 1, decades with year 0.
                let shift = if length >= 1200 { 12 } else { 0 };
                let start = (index - shift).div_euclid(length) * length + shift;
                days_of_civil(start.div_euclid(12), start.rem_euclid(12) as u32 + 1, 1) * DAY_SECONDS
            }
            Unit::Week => (time.days() - (time.days() + 4).rem_euclid(7)) * DAY_SECONDS,
            Unit::Seconds(length) => time.seconds.div_euclid(length) * length,
            Unit::Nanos(length) => return LocalDateTime { nanos: time.nanos / length * length, ..time },
        };
        LocalDateTime { seconds, nanos: 0 }
    }

    fn ceil(self, time: LocalDateTime) -> LocalDateTime {
        let floor = self.floor(time);
        if floor == time {
            return time;
        }
        match self {
            Unit::Months(length) => {
                LocalDateTime { seconds: add_months(floor.days(), length) * DAY_SECONDS, nanos: 0 }
            }
            Unit::Week => LocalDateTime { seconds: floor.seconds + 7 * DAY_SECONDS, nanos: 0 },
            Unit::Seconds(length) => LocalDateTime { seconds: floor.seconds + length, nanos: 0 },
            Unit::Nanos(length) => match floor.nanos + length {
                nanos if nanos >= 1_000_000_000 => LocalDateTime { seconds: floor.seconds + 1, nanos: 0 },
                nanos => LocalDateTime { nanos, ..floor },
            },
        }
    }
}

pub(super) fn type_floor(call: &Call<'_>) -> Result<Typed> {
    let (Some(name), [found, _]) = (call.literal_text(1), call.types) else {
        return call.refuse("a time and a unit");
    };
    let unit = Unit::parse(name);
    let possible = match (unit, found) {
        (Some(Unit::Months(_) | Unit::Week), SqlType::Time(_)) => false,
        (Some(_), found) => is_point(found) || *found == SqlType::Null,
        (None, _) => false,
    };
    if !possible {
        let name_of_call = call.name.trim_start_matches('$');
        return plan_err!("cannot apply {name_of_call} to {found} TO {name}");
    }
    let result = if *found == SqlType::Null { SqlType::Timestamp(3) } else { found.clone() };
    Ok(Typed { arguments: vec![result.clone(), SqlType::STRING], result, nullable: call.nullable[0] })
}

pub(super) fn floor(inputs: &Inputs<'_>, up: bool) -> Result<ArrayRef> {
    let name = inputs.texts(1)?.constant().flatten().unwrap_or("");
    let Some(unit) = Unit::parse(name) else { return plan_err!("there is no unit '{name}'") };
    let reading = Reading::local(inputs, 0);
    let rounded = move |time| {
        let rounded = if up { unit.ceil(time) } else { unit.floor(time) };
        reading.zone.map_or(rounded, |zone| zone.to_utc(rounded))
    };
    let array = &inputs.columns[0].array;
    let rounded: ArrayRef = match array.data_type() {
        DataType::Date32 => {
            Arc::new(moments::map::<Date32Type>(array, reading, |time| rounded(time).days() as i32)?)
        }
        DataType::Time32(_) => Arc::new(moments::map::<Time32MillisecondType>(array, reading, |time| {
            let time = rounded(time);
            (time.seconds * 1000 + i64::from(time.nanos / 1_000_000)) as i32
        })?),
        DataType::Timestamp(TimeUnit::Second, _) => {
            units::<TimestampSecondType>(inputs, TimeUnit::Second, rounded)?
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            units::<TimestampMillisecondType>(inputs, TimeUnit::Millisecond, rounded)?
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            units::<TimestampMicrosecondType>(inputs, TimeUnit::Microsecond, rounded)?
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            units::<TimestampNanosecondType>(inputs, TimeUnit::Nanosecond, rounded)?
        }
        other => return internal_err!("a time of type {other}"),
    };
    repeat(inputs, rounded)
}

fn units<T: ArrowPrimitiveType<Native = i64>>(
    inputs: &Inputs<'_>,
    unit: TimeUnit,
    rounded: impl Fn(LocalDateTime) -> LocalDateTime,
) -> Result<ArrayRef> {
    let reading = Reading::local(inputs, 0);
    // Rounding stays within the years that the type has, but for its very ends.
    let value = |time| rounded(time).to_units(unit).unwrap_or(i64::MAX);
    let array = moments::map::<T>(&inputs.columns[0].array, reading, value)?;
    Ok(Arc::new(array.with_data_type(inputs.result.data_type())))
}
