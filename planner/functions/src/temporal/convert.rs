//! Times to text and text to times.

use super::super::arguments::{Inputs, Texts};
use super::super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use super::super::strings::written;
use super::from_texts;
use super::java_format::{JavaFormat, Strictness};
use super::moments::{self, Reading};
use arrow::array::{
    ArrayRef, Date32Array, Int64Array, PrimitiveArray, StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType};
use datafusion_common::{Result, exec_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::{LocalDateTime, TimeZone, parse};

const DEFAULT: &str = "yyyy-MM-dd HH:mm:ss";

/// The first millisecond of the year 0, the last one of 9999.
const MIN_MILLIS: i64 = -62_167_219_200_000;
const MAX_MILLIS: i64 = 253_402_300_799_999;

const TO_DATE: Typing =
    Typing::Signatures(&[from_texts(&[P::Text], R::Date), from_texts(&[P::Text, P::Text], R::Date)]);
const TO_TIMESTAMP: Typing = Typing::Signatures(&[
    from_texts(&[P::Text], R::Timestamp(3)),
    from_texts(&[P::Text, P::Text], R::Timestamp(3)),
]);
const TO_TIMESTAMP_LTZ: Typing = Typing::Signatures(&[
    from_texts(&[P::BigInt], R::TimestampLtz(3)),
    from_texts(&[P::BigInt, P::Int], R::TimestampLtz(3)),
    from_texts(&[P::Double], R::TimestampLtz(3)),
    from_texts(&[P::Double, P::Int], R::TimestampLtz(3)),
    from_texts(&[P::Text], R::TimestampLtz(3)),
    from_texts(&[P::Text, P::Text], R::TimestampLtz(3)),
    from_texts(&[P::Text, P::Text, P::Text], R::TimestampLtz(3)),
]);
const UNIX_TIMESTAMP: Typing = Typing::Signatures(&[
    call(&[P::Text], R::BigInt),
    call(&[P::Text, P::Text], R::BigInt),
    call(&[], R::BigInt),
]);
const FROM_UNIXTIME: Typing =
    Typing::Signatures(&[from_texts(&[P::BigInt], R::Text), from_texts(&[P::BigInt, P::Text], R::Text)]);
const CONVERT_TZ: Typing = Typing::Signatures(&[from_texts(&[P::Text, P::Text, P::Text], R::Text)]);

pub(in super::super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "DATE_FORMAT",
        Typing::Custom(type_date_format),
        date_format,
        "DATE_FORMAT(time, pattern) with the patterns of Java's DateTimeFormatter",
    ),
    Function::new("TO_DATE", TO_DATE, to_date, "TO_DATE(s[, pattern]); NULL for other text"),
    Function::new(
        "TO_TIMESTAMP",
        TO_TIMESTAMP,
        to_timestamp,
        "TO_TIMESTAMP(s[, pattern]); NULL for other text",
    ),
    Function::new(
        "TO_TIMESTAMP_LTZ",
        TO_TIMESTAMP_LTZ,
        to_timestamp_ltz,
        "TO_TIMESTAMP_LTZ(number[, 0|3]) since the epoch, or TO_TIMESTAMP_LTZ(s[, pattern[, zone]])",
    )
    .fallible(),
    Function::new(
        "UNIX_TIMESTAMP",
        UNIX_TIMESTAMP,
        unix_timestamp,
        "UNIX_TIMESTAMP([s[, pattern]]): seconds since the epoch, of now without text",
    )
    .volatile(),
    Function::new("FROM_UNIXTIME", FROM_UNIXTIME, from_unixtime, "FROM_UNIXTIME(seconds[, pattern])"),
    Function::new(
        "CONVERT_TZ",
        CONVERT_TZ,
        convert_tz,
        "CONVERT_TZ(s, from zone, to zone); NULL for other text",
    ),
];

fn type_date_format(call: &Call<'_>) -> Result<Typed> {
    let [found, pattern] = call.types else { return call.refuse("a timestamp and a pattern") };
    let argument = match found {
        SqlType::Null => SqlType::Timestamp(3),
        found if found.is_string() || matches!(found, SqlType::Timestamp(_) | SqlType::TimestampLtz(_)) => {
            found.clone()
        }
        _ => return call.refuse("a timestamp and a pattern"),
    };
    if !pattern.is_string() && *pattern != SqlType::Null {
        return call.refuse("a timestamp and a pattern");
    }
    Ok(Typed { arguments: vec![argument, SqlType::STRING], result: SqlType::STRING, nullable: true })
}

/// The pattern of each row, compiled when it changes.
struct Formats<'a> {
    patterns: Option<Texts<'a>>,
    constant: Option<Arc<JavaFormat>>,
    last: Option<(&'a str, Arc<JavaFormat>)>,
}

impl<'a> Formats<'a> {
    /// The patterns in column `index`, or `default` if there is no such column.
    fn new(inputs: &Inputs<'a>, index: usize, default: &str) -> Result<Self> {
        if index >= inputs.len() {
            let constant = inputs.cache.get_or_compile(default, JavaFormat::compile)?;
            return Ok(Formats { patterns: None, constant: Some(constant), last: None });
        }
        let patterns = inputs.texts(index)?;
        let constant = match patterns.constant() {
            Some(Some(pattern)) => Some(inputs.cache.get_or_compile(pattern, JavaFormat::compile)?),
            _ => None,
        };
        Ok(Formats { patterns: Some(patterns), constant, last: None })
    }

    fn get(&mut self, row: usize) -> Result<Option<Arc<JavaFormat>>> {
        if let Some(format) = &self.constant {
            return Ok(Some(format.clone()));
        }
        let Some(pattern) = self.patterns.as_ref().and_then(|patterns| patterns.get(row)) else {
            return Ok(None);
        };
        match &self.last {
            Some((known, format)) if *known == pattern => Ok(Some(format.clone())),
            _ => {
                let format = Arc::new(JavaFormat::compile(pattern)?);
                self.last = Some((pattern, format.clone()));
                Ok(Some(format))
            }
        }
    }
}

fn date_format(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let mut formats = Formats::new(inputs, 1, DEFAULT)?;
    if formats.constant.as_ref().is_some_and(|format| format.names_zone()) {
        return exec_err!("DATE_FORMAT writes no zones: the pattern has one of the letters X, x, Z and V");
    }
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows * 20);
    let mut text = Vec::with_capacity(32);
    if inputs.types[0].is_string() {
        let (texts, reader) = (inputs.texts(0)?, JavaFormat::compile(DEFAULT)?);
        for row in 0..inputs.rows {
            let time = texts.get(row).and_then(|text| reader.parse(text, Strictness::SimpleDateFormat));
            match (time, formats.get(row)?) {
                (Some((time, _)), Some(format)) => {
                    text.clear();
                    format.append(&mut text, time, TimeZone::UTC, 0);
                    builder.append_value(String::from_utf8_lossy(&text));
                }
                _ => builder.append_null(),
            }
        }
        return Ok(Arc::new(builder.finish()));
    }
    let column = inputs.any(0);
    let zone = match inputs.types[0] {
        SqlType::TimestampLtz(_) => inputs.context.time_zone,
        _ => TimeZone::UTC,
    };
    // Times come roughly in order: where the pattern shows no more than days, most rows have the text of the row
    // before.
    let constant = formats.constant.clone();
    let grain = constant.as_ref().and_then(|format| format.grain_seconds());
    let (mut shown, mut written) = (None, String::new());
    for row in 0..inputs.rows {
        let other = if constant.is_none() { formats.get(row)? } else { None };
        let Some(format) = constant.as_ref().or(other.as_ref()).filter(|_| !column.is_null(row)) else {
            builder.append_null();
            continue;
        };
        let instant = moments::moment_at(column.array, column.index(row), Reading::stored())?;
        let local = zone.to_local(instant);
        let stretch = grain.map(|grain| local.seconds.div_euclid(grain));
        if stretch.is_none() || stretch != shown {
            text.clear();
            format.append(&mut text, local, zone, zone.offset_at(instant.seconds));
            written.clear();
            written.push_str(std::str::from_utf8(&text).unwrap_or_default());
            shown = stretch;
        }
        builder.append_value(&written);
    }
    Ok(Arc::new(builder.finish()))
}

/// Reads texts by the pattern in column 1; without one, as CAST does.
fn read_times(
    inputs: &Inputs<'_>,
    plain: impl Fn(&str) -> Option<LocalDateTime>,
    strictness: Strictness,
) -> Result<Vec<Option<LocalDateTime>>> {
    let texts = inputs.texts(0)?;
    if inputs.len() == 1 {
        return Ok((0..inputs.rows).map(|row| texts.get(row).and_then(&plain)).collect());
    }
    let mut formats = Formats::new(inputs, 1, DEFAULT)?;
    let mut times = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        times.push(match (texts.get(row), formats.get(row)?) {
            (Some(text), Some(format)) => format.parse(text, strictness).map(|(time, _)| time),
            _ => None,
        });
    }
    Ok(times)
}

fn to_date(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let plain = |text: &str| {
        let days = parse::cast_date(text)?;
        Some(LocalDateTime { seconds: i64::from(days) * moments::DAY_SECONDS, nanos: 0 })
    };
    let times = read_times(inputs, plain, Strictness::SimpleDateFormat)?;
    Ok(Arc::new(times.into_iter().map(|time| time.map(|time| time.days() as i32)).collect::<Date32Array>()))
}

fn to_millis(time: Option<LocalDateTime>) -> Option<i64> {
    time.and_then(|time| time.to_units(TimeUnit::Millisecond))
}

fn to_timestamp(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let times = read_times(inputs, parse::cast_timestamp, Strictness::DateTimeFormatter)?;
    Ok(Arc::new(times.into_iter().map(to_millis).collect::<TimestampMillisecondArray>()))
}

fn zone_of(name: &str) -> Result<TimeZone> {
    match name.parse() {
        Ok(zone) => Ok(zone),
        Err(error) => exec_err!("{error}"),
    }
}

fn to_timestamp_ltz(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let millis: PrimitiveArray<TimestampMillisecondType> = if inputs.types[0].is_string() {
        let times = match inputs.len() {
            3 => times_in_zones(inputs)?,
            _ => read_times(inputs, parse::cast_timestamp, Strictness::DateTimeFormatter)?,
        };
        times.into_iter().map(to_millis).collect()
    } else {
        let precisions = if inputs.len() == 2 { Some(inputs.primitives::<Int32Type>(1)?) } else { None };
        let scaled = |number: Option<i64>, row: usize| {
            let precision = precisions.as_ref().map_or(Some(3), |precisions| precisions.get(row));
            match (number, precision) {
                (Some(number), Some(3)) => Ok(Some(number)),
                (Some(number), Some(0)) => Ok(number.checked_mul(1000)),
                (Some(_), Some(other)) => exec_err!("TO_TIMESTAMP_LTZ takes precision 0 or 3, not {other}"),
                _ => Ok(None),
            }
        };
        match inputs.types[0] {
            SqlType::Double => {
                let numbers = inputs.primitives::<Float64Type>(0)?;
                // Seconds keep their fraction.
                let millis = |row| match scaled(Some(1), row)? {
                    Some(unit) => {
                        let unit = if unit == 1000 { 1000.0 } else { 1.0 };
                        Ok(numbers.get(row).map(|number| (number * unit) as i64))
                    }
                    None => Ok(None),
                };
                (0..inputs.rows).map(millis).collect::<Result<_>>()?
            }
            _ => {
                let numbers = inputs.primitives::<Int64Type>(0)?;
                (0..inputs.rows).map(|row| scaled(numbers.get(row), row)).collect::<Result<_>>()?
            }
        }
    };
    // Other years than 0 to 9999 are none that a text could show.
    let is_shown = |millis: &i64| (MIN_MILLIS..=MAX_MILLIS).contains(millis);
    let millis: TimestampMillisecondArray = millis.iter().map(|millis| millis.filter(is_shown)).collect();
    Ok(Arc::new(millis.with_timezone(SqlType::LTZ_ZONE)))
}

fn times_in_zones(inputs: &Inputs<'_>) -> Result<Vec<Option<LocalDateTime>>> {
    let (texts, zones) = (inputs.texts(0)?, inputs.texts(2)?);
    let mut formats = Formats::new(inputs, 1, DEFAULT)?;
    let mut times = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        times.push(match (texts.get(row), formats.get(row)?, zones.get(row)) {
            (Some(text), Some(format), Some(zone)) => {
                let zone = zone_of(zone)?;
                format.parse(text, Strictness::DateTimeFormatter).map(|(time, _)| zone.to_utc(time))
            }
            _ => None,
        });
    }
    Ok(times)
}

/// The instant of a local time: at the offset that its text names, or in `zone`.
fn instant(parsed: (LocalDateTime, Option<i64>), zone: TimeZone) -> LocalDateTime {
    match parsed {
        (time, Some(offset)) => LocalDateTime { seconds: time.seconds - offset, ..time },
        (time, None) => zone.to_utc(time),
    }
}

fn unix_timestamp(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    if inputs.len() == 0 {
        let now = inputs.context.clock.now_ms().div_euclid(1000);
        return Ok(Arc::new(Int64Array::from_value(now, inputs.rows)));
    }
    let (texts, zone) = (inputs.texts(0)?, inputs.context.time_zone);
    let mut formats = Formats::new(inputs, 1, DEFAULT)?;
    let mut seconds = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        seconds.push(match (texts.get(row), formats.get(row)?) {
            // Flink's answer for text that does not fit.
            (Some(text), Some(format)) => Some(match format.parse(text, Strictness::SimpleDateFormat) {
                Some(parsed) => instant(parsed, zone).seconds,
                None => i64::MIN,
            }),
            _ => None,
        });
    }
    Ok(Arc::new(Int64Array::from(seconds)))
}

fn from_unixtime(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (seconds, zone) = (inputs.primitives::<Int64Type>(0)?, inputs.context.time_zone);
    let mut formats = Formats::new(inputs, 1, DEFAULT)?;
    let mut bytes = vec![];
    written(inputs.rows, inputs.rows * 20, |row, out| {
        let (Some(seconds), Some(format)) = (seconds.get(row), formats.get(row)?) else { return Ok(false) };
        let time = LocalDateTime { seconds, nanos: 0 };
        bytes.clear();
        format.append(&mut bytes, zone.to_local(time), zone, zone.offset_at(seconds));
        out.push_str(&String::from_utf8_lossy(&bytes));
        Ok(true)
    })
}

fn convert_tz(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, from, to) = (inputs.texts(0)?, inputs.texts(1)?, inputs.texts(2)?);
    let format = inputs.cache.get_or_compile(DEFAULT, JavaFormat::compile)?;
    let mut bytes = vec![];
    written(inputs.rows, inputs.rows * 20, |row, out| {
        let (Some(text), Some(from), Some(to)) = (texts.get(row), from.get(row), to.get(row)) else {
            return Ok(false);
        };
        let Some(parsed) = format.parse(text, Strictness::SimpleDateFormat) else { return Ok(false) };
        let (from, to) = (zone_of(from)?, zone_of(to)?);
        let time = instant(parsed, from);
        bytes.clear();
        format.append(&mut bytes, to.to_local(time), to, 0);
        out.push_str(&String::from_utf8_lossy(&bytes));
        Ok(true)
    })
}
