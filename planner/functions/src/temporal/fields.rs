//! Fields of dates, times and intervals.

use super::super::arguments::Inputs;
use super::super::definition::{Call, Typed};
use super::super::math::repeat;
use super::moments::{self, Reading, is_point};
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DurationMillisecondType, Int64Type, IntervalYearMonthType};
use datafusion_common::{Result, plan_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;
use weir_types::text::datetime::{civil_of_days, days_of_civil};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfYear,
    DayOfWeek,
    IsoDayOfWeek,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

impl Field {
    fn parse(name: &str) -> Option<Field> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MILLENNIUM" => Field::Millennium,
            "CENTURY" => Field::Century,
            "DECADE" => Field::Decade,
            "YEAR" => Field::Year,
            "ISOYEAR" => Field::IsoYear,
            "QUARTER" => Field::Quarter,
            "MONTH" => Field::Month,
            "WEEK" => Field::Week,
            "DAY" => Field::Day,
            "DOY" => Field::DayOfYear,
            "DOW" => Field::DayOfWeek,
            "ISODOW" => Field::IsoDayOfWeek,
            "HOUR" => Field::Hour,
            "MINUTE" => Field::Minute,
            "SECOND" => Field::Second,
            "MILLISECOND" => Field::Millisecond,
            "MICROSECOND" => Field::Microsecond,
            "NANOSECOND" => Field::Nanosecond,
            "EPOCH" => Field::Epoch,
            _ => return None,
        })
    }

    fn of_time(self) -> bool {
        use Field::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
        matches!(self, Hour | Minute | Second | Millisecond | Microsecond | Nanosecond)
    }

    fn of_moment(self, time: LocalDateTime) -> i64 {
        let second = i64::from(time.second_of_day());
        match self {
            Field::Hour => second / 3600,
            Field::Minute => second / 60 % 60,
            Field::Second => second % 60,
            Field::Millisecond => i64::from(time.nanos / 1_000_000),
            Field::Microsecond => i64::from(time.nanos / 1_000),
            Field::Nanosecond => i64::from(time.nanos),
            Field::Epoch => time.seconds,
            _ => self.of_days(time.days()),
        }
    }

    fn of_days(self, days: i64) -> i64 {
        let (year, month, day) = civil_of_days(days);
        match self {
            Field::Millennium => (year + 999).div_euclid(1000),
            Field::Century => (year + 99).div_euclid(100),
            Field::Decade => year.div_euclid(10),
            Field::Year => year,
            Field::IsoYear => iso_week(days).0,
            Field::Quarter => i64::from(month - 1) / 3 + 1,
            Field::Month => i64::from(month),
            Field::Week => iso_week(days).1,
            Field::Day => i64::from(day),
            Field::DayOfYear => days - days_of_civil(year, 1, 1) + 1,
            Field::DayOfWeek => (days + 4).rem_euclid(7) + 1,
            _ => (days + 3).rem_euclid(7) + 1,
        }
    }

    /// Of months and milliseconds of an interval.
    fn of_months(self, months: i64) -> Option<i64> {
        Some(match self {
            Field::Year => months / 12,
            Field::Quarter => months % 12 / 3 + 1,
            Field::Month => months % 12,
            Field::Decade => months / 120,
            Field::Century => months / 1200,
            Field::Millennium => months / 12_000,
            _ => return None,
        })
    }

    fn of_millis(self, millis: i64) -> Option<i64> {
        Some(match self {
            Field::Day => millis / 86_400_000,
            Field::Hour => millis % 86_400_000 / 3_600_000,
            Field::Minute => millis % 3_600_000 / 60_000,
            Field::Second => millis % 60_000 / 1000,
            Field::Millisecond => millis % 1000,
            Field::Epoch => millis / 1000,
            _ => return None,
        })
    }
}

/// Year and week of ISO 8601: the week belongs to the year of its Thursday.
pub(super) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, ..) = civil_of_days(thursday);
    (year, (thursday - days_of_civil(year, 1, 1)) / 7 + 1)
}

pub(super) fn type_extract(call: &Call<'_>) -> Result<Typed> {
    let (Some(name), [_, found]) = (call.literal_text(0), call.types) else {
        return call.refuse("a unit and a time");
    };
    let Some(field) = Field::parse(name) else { return plan_err!("there is no unit '{name}' to EXTRACT") };
    let possible = match found {
        SqlType::Time(_) => field.of_time(),
        SqlType::IntervalYearMonth => field.of_months(0).is_some(),
        SqlType::IntervalDayTime => field.of_millis(0).is_some(),
        other => is_point(other) || *other == SqlType::Null,
    };
    if !possible {
        return plan_err!("cannot EXTRACT {} FROM {found}", name.to_uppercase());
    }
    let found = if *found == SqlType::Null { SqlType::Timestamp(3) } else { found.clone() };
    Ok(Typed { arguments: vec![SqlType::STRING, found], result: SqlType::BigInt, nullable: call.nullable[1] })
}

pub(super) fn extract(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let name = inputs.texts(0)?.constant().flatten().unwrap_or("");
    fields(inputs, 1, name)
}

pub(super) fn part(inputs: &Inputs<'_>, name: &str) -> Result<ArrayRef> {
    fields(inputs, 0, name)
}

fn fields(inputs: &Inputs<'_>, index: usize, name: &str) -> Result<ArrayRef> {
    let Some(field) = Field::parse(name) else { return plan_err!("there is no unit '{name}' to EXTRACT") };
    let array = &inputs.columns[index].array;
    let values = match inputs.types[index] {
        SqlType::IntervalYearMonth => array
            .as_primitive::<IntervalYearMonthType>()
            .unary::<_, Int64Type>(|months| field.of_months(i64::from(months)).unwrap_or_default()),
        SqlType::IntervalDayTime => array
            .as_primitive::<DurationMillisecondType>()
            .unary::<_, Int64Type>(|millis| field.of_millis(millis).unwrap_or_default()),
        _ => {
            let reading =
                if field == Field::Epoch { Reading::stored() } else { Reading::local(inputs, index) };
            match field {
                // The match on the field is taken out of the loop for what queries ask most.
                Field::Hour => {
                    moments::map::<Int64Type>(array, reading, |time| i64::from(time.second_of_day() / 3600))?
                }
                Field::Minute => moments::map::<Int64Type>(array, reading, |time| {
                    i64::from(time.second_of_day() / 60 % 60)
                })?,
                _ => moments::map::<Int64Type>(array, reading, |time| field.of_moment(time))?,
            }
        }
    };
    repeat(inputs, Arc::new(values))
}
