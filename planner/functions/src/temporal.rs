//! Functions of dates and times. A TIMESTAMP_LTZ is read in the session's zone.

mod clock;
mod convert;
mod differences;
mod fields;
mod floors;
mod java_format;
mod moments;

use super::definition::{Call, Function, Parameter as P, Returns as R, Signature, Typed, Typing, call};
use datafusion_common::{Result, internal_err};
use weir_types::SqlType;

pub(super) use convert::FUNCTIONS as FORMAT_FUNCTIONS;

const POINT: Typing = Typing::Custom(type_part);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("CURRENT_TIMESTAMP", NOW_LTZ, clock::timestamp, "the time when the row is processed")
        .volatile(),
    Function::new("NOW", NOW_LTZ, clock::timestamp, "as CURRENT_TIMESTAMP").volatile(),
    Function::new("CURRENT_ROW_TIMESTAMP", NOW_LTZ, clock::timestamp, "as CURRENT_TIMESTAMP").volatile(),
    Function::new("PROCTIME", NOW_LTZ, clock::timestamp, "processing time, a time attribute").volatile(),
    Function::new("LOCALTIMESTAMP", NOW_LOCAL, clock::local_timestamp, "the time in the session's zone")
        .volatile(),
    Function::new("CURRENT_DATE", TODAY, clock::date, "the date in the session's zone").volatile(),
    Function::new("CURRENT_TIME", NOW_TIME, clock::time, "the time of day in the session's zone").volatile(),
    Function::new("LOCALTIME", NOW_TIME, clock::time, "as CURRENT_TIME").volatile(),
    Function::new(
        CURRENT_WATERMARK,
        Typing::Custom(type_watermark),
        |_| internal_err!("CURRENT_WATERMARK is read off its operator"),
        "CURRENT_WATERMARK(rowtime): how far event time has come where the row is; NULL before the first watermark",
    )
    .volatile(),
    Function::new(
        "EXTRACT",
        Typing::Custom(fields::type_extract),
        fields::extract,
        "EXTRACT(unit FROM time)",
    ),
    Function::new("YEAR", POINT, |i| fields::part(i, "YEAR"), "the year of a date or timestamp"),
    Function::new("QUARTER", POINT, |i| fields::part(i, "QUARTER"), "the quarter, 1 to 4"),
    Function::new("MONTH", POINT, |i| fields::part(i, "MONTH"), "the month, 1 to 12"),
    Function::new("WEEK", POINT, |i| fields::part(i, "WEEK"), "the week of ISO 8601, 1 to 53"),
    Function::new("DAYOFYEAR", POINT, |i| fields::part(i, "DOY"), "the day of the year, 1 to 366"),
    Function::new("DAYOFMONTH", POINT, |i| fields::part(i, "DAY"), "the day of the month, 1 to 31"),
    Function::new("DAYOFWEEK", POINT, |i| fields::part(i, "DOW"), "the day of the week, from 1 for Sunday"),
    Function::new("HOUR", POINT, |i| fields::part(i, "HOUR"), "the hour, 0 to 23"),
    Function::new("MINUTE", POINT, |i| fields::part(i, "MINUTE"), "the minute, 0 to 59"),
    Function::new("SECOND", POINT, |i| fields::part(i, "SECOND"), "the second, 0 to 59"),
    Function::new(
        "$FLOOR",
        Typing::Custom(floors::type_floor),
        |i| floors::floor(i, false),
        "FLOOR(time TO unit)",
    ),
    Function::new(
        "$CEIL",
        Typing::Custom(floors::type_floor),
        |i| floors::floor(i, true),
        "CEIL(time TO unit)",
    ),
    Function::new(
        "TIMESTAMPADD",
        Typing::Custom(differences::type_add),
        differences::add,
        "TIMESTAMPADD(unit, number, time)",
    ),
    Function::new(
        "TIMESTAMPDIFF",
        Typing::Custom(differences::type_difference),
        differences::difference,
        "TIMESTAMPDIFF(unit, from, to): whole units",
    ),
    Function::new(
        "$MINUS",
        Typing::Custom(differences::type_minus),
        differences::minus,
        "(time - time) unit: the time between, as an interval",
    ),
    Function::new(
        "$OVERLAPS",
        Typing::Custom(differences::type_overlaps),
        differences::overlaps,
        "(start, end) OVERLAPS (start, end)",
    ),
];

const NOW_LTZ: Typing = Typing::Signatures(&[call(&[], R::TimestampLtz(3))]);
const NOW_LOCAL: Typing = Typing::Signatures(&[call(&[], R::Timestamp(3))]);
const TODAY: Typing = Typing::Signatures(&[call(&[], R::Date)]);
const NOW_TIME: Typing = Typing::Signatures(&[call(&[], R::Time)]);

/// The name of the function that a query's operators answer themselves.
pub const CURRENT_WATERMARK: &str = "CURRENT_WATERMARK";

/// Which column it is has to be looked up in the plan: only a time attribute has a watermark.
fn type_watermark(call: &Call<'_>) -> Result<Typed> {
    let result = match call.types {
        [SqlType::Timestamp(_)] => SqlType::Timestamp(3),
        [SqlType::TimestampLtz(_)] => SqlType::TimestampLtz(3),
        _ => return call.refuse("one rowtime attribute"),
    };
    Ok(Typed { arguments: call.types.to_vec(), result, nullable: true })
}

/// One date or timestamp (or time of day) gives a BIGINT.
fn type_part(call: &Call<'_>) -> Result<Typed> {
    let argument = match call.types {
        [SqlType::Null] => SqlType::Timestamp(3),
        [found] if moments::is_point(found) => found.clone(),
        _ => return call.refuse("a date or a timestamp"),
    };
    Ok(Typed { arguments: vec![argument], result: SqlType::BigInt, nullable: call.any_nullable() })
}

/// Texts in, a value that may be NULL out.
const fn from_texts(parameters: &'static [P], result: R) -> Signature {
    call(parameters, result).nullable()
}
