//! Columns of dates and times as points on a calendar and clock.

use super::super::arguments::Inputs;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Time32MillisecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, internal_err};
use weir_types::SqlType;
use weir_types::text::{LocalDateTime, TimeZone};

pub(super) const DAY_SECONDS: i64 = 86_400;

pub(super) fn is_point(sql_type: &SqlType) -> bool {
    use SqlType::{Date, Time, Timestamp, TimestampLtz};
    matches!(sql_type, Date | Time(_) | Timestamp(_) | TimestampLtz(_))
}

/// How a column of times is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// the zone of a TIMESTAMP_LTZ
    pub zone: Option<TimeZone>,
}

impl Reading {
    /// A TIMESTAMP_LTZ as clocks of the session's zone show it.
    pub fn local(inputs: &Inputs<'_>, index: usize) -> Reading {
        let ltz = matches!(inputs.types[index], SqlType::TimestampLtz(_));
        Reading { zone: ltz.then_some(inputs.context.time_zone) }
    }

    /// Everything as it is stored.
    pub fn stored() -> Reading {
        Reading { zone: None }
    }

    #[inline(always)]
    fn moment(self, stored: LocalDateTime) -> LocalDateTime {
        self.zone.map_or(stored, |zone| zone.to_local(stored))
    }
}

/// Calls `f` with the value of each row that is not NULL.
pub(super) fn map<O: ArrowPrimitiveType>(
    array: &ArrayRef,
    reading: Reading,
    f: impl Fn(LocalDateTime) -> O::Native,
) -> Result<PrimitiveArray<O>> {
    fn of_unit<T: ArrowPrimitiveType<Native = i64>, O: ArrowPrimitiveType>(
        array: &ArrayRef,
        unit: TimeUnit,
        reading: Reading,
        f: impl Fn(LocalDateTime) -> O::Native,
    ) -> PrimitiveArray<O> {
        array.as_primitive::<T>().unary(|value| f(reading.moment(LocalDateTime::of_units(value, unit))))
    }
    Ok(match array.data_type() {
        DataType::Date32 => array
            .as_primitive::<Date32Type>()
            .unary(|days| f(LocalDateTime { seconds: i64::from(days) * DAY_SECONDS, nanos: 0 })),
        DataType::Time32(_) => array
            .as_primitive::<Time32MillisecondType>()
            .unary(|millis| f(LocalDateTime::of_units(i64::from(millis), TimeUnit::Millisecond))),
        DataType::Timestamp(unit @ TimeUnit::Second, _) => {
            of_unit::<TimestampSecondType, O>(array, *unit, reading, f)
        }
        DataType::Timestamp(unit @ TimeUnit::Millisecond, _) => {
            of_unit::<TimestampMillisecondType, O>(array, *unit, reading, f)
        }
        DataType::Timestamp(unit @ TimeUnit::Microsecond, _) => {
            of_unit::<TimestampMicrosecondType, O>(array, *unit, reading, f)
        }
        DataType::Timestamp(unit @ TimeUnit::Nanosecond, _) => {
            of_unit::<TimestampNanosecondType, O>(array, *unit, reading, f)
        }
        other => return internal_err!("a time of type {other}"),
    })
}

/// The time in one row of a column.
pub(super) fn moment_at(array: &dyn Array, row: usize, reading: Reading) -> Result<LocalDateTime> {
    let stored = match array.data_type() {
        DataType::Date32 => LocalDateTime {
            seconds: i64::from(array.as_primitive::<Date32Type>().value(row)) * DAY_SECONDS,
            nanos: 0,
        },
        DataType::Time32(_) => {
            let millis = array.as_primitive::<Time32MillisecondType>().value(row);
            LocalDateTime::of_units(i64::from(millis), TimeUnit::Millisecond)
        }
        DataType::Timestamp(unit, _) => {
            let value = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
            };
            LocalDateTime::of_units(value, *unit)
        }
        other => return internal_err!("a time of type {other}"),
    };
    Ok(reading.moment(stored))
}
