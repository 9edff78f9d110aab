//! Fields to values of columns, with the coercions of Flink's csv format.

use super::options::CsvOptions;
use crate::columns::{Column, Values};
use base64::Engine;
use weir_types::SqlType;
use weir_types::text::parse::{self, ParsedDecimal};

/// What a field became.
pub(super) enum Pushed {
    Value,
    /// a number with too many digits for its DECIMAL, a ROW without members
    Null,
}

/// Appends the value of a field that is not NULL. `None`: no value of the column's type; the column may have a part of
/// it.
pub(super) fn push(bytes: &[u8], column: &mut Column, options: &CsvOptions) -> Option<Pushed> {
    // The common case: text needs no look at all.
    if let Values::Text(values) = &mut column.values {
        values.push(bytes);
        return Some(Pushed::Value);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    match &column.values {
        Values::List { .. } | Values::Row { .. } => push_collection(text, column, options),
        _ => push_scalar(text, column),
    }
}

fn push_scalar(text: &str, column: &mut Column) -> Option<Pushed> {
    let integer = || parse::java_integer(text.trim().as_bytes());
    let units = match (&column.values, &column.sql_type) {
        (Values::Timestamp(_), sql_type) => {
            let utc = matches!(sql_type, SqlType::TimestampLtz(_));
            Some(column.timestamp_units(parse::sql_timestamp(text.trim().as_bytes(), utc)?)?)
        }
        _ => None,
    };
    match &mut column.values {
        Values::Boolean(values) => values.push(text.trim().eq_ignore_ascii_case("true")),
        Values::Int8(values) => values.push(i8::try_from(integer()?).ok()?),
        Values::Int16(values) => values.push(i16::try_from(integer()?).ok()?),
        Values::Int32(values) | Values::IntervalMonths(values) => {
            values.push(i32::try_from(integer()?).ok()?)
        }
        Values::Int64(values) | Values::IntervalMillis(values) => values.push(integer()?),
        Values::Float(values) => values.push(parse::java_float(text)?),
        Values::Double(values) => values.push(parse::java_double(text)?),
        Values::Decimal(values) => {
            let SqlType::Decimal { precision, scale } = column.sql_type else { return None };
            match parse::decimal(text.as_bytes(), precision, scale) {
                ParsedDecimal::Value(value) => values.push(value),
                ParsedDecimal::Overflow => return Some(Pushed::Null),
                ParsedDecimal::Malformed => return None,
            }
        }
        Values::Text(values) => values.push(text.as_bytes()),
        Values::Binary(values) => {
            values.push(&base64::engine::general_purpose::STANDARD.decode(text).ok()?);
        }
        Values::Date(values) => {
            // Year, month and day, each of which may lack its leading zeros.
            let whole = text.matches('-').count() == 2 && !text.contains(' ');
            values.push(parse::cast_date(text).filter(|_| whole)?);
        }
        Values::Time(values) => {
            let SqlType::Time(precision) = column.sql_type else { return None };
            let unit = 10i32.pow(3 - u32::from(precision.min(3)));
            values.push(parse::iso_time(text.as_bytes())? / unit * unit);
        }
        Values::Timestamp(values) => values.push(units?),
        Values::Null(_) => return Some(Pushed::Null),
        Values::List { .. } | Values::Map { .. } | Values::Row { .. } => return None,
    }
    Some(Pushed::Value)
}

fn push_collection(text: &str, column: &mut Column, options: &CsvOptions) -> Option<Pushed> {
    let empty = text.trim().is_empty();
    let parts = text.split(options.array_element_delimiter.as_str());
    match &mut column.values {
        Values::List { ends, element } => {
            for part in parts.filter(|_| !empty) {
                push_part(part, element, options)?;
            }
            ends.push(element.len() as i32);
        }
        Values::Row { len, members } => {
            if empty {
                return Some(Pushed::Null);
            }
            let mut parts = parts;
            for member in members.iter_mut() {
                match parts.next() {
                    Some(part) => push_part(part, member, options)?,
                    None if options.ignore_parse_errors => member.push_null().ok()?,
                    None => return None,
                }
            }
            if parts.next().is_some() && !options.ignore_parse_errors {
                return None;
            }
            *len += 1;
        }
        _ => return None,
    }
    Some(Pushed::Value)
}

/// Appends an element of an ARRAY or a member of a ROW.
fn push_part(part: &str, column: &mut Column, options: &CsvOptions) -> Option<()> {
    if options.null_literal.as_deref() == Some(part) {
        return column.push_null().ok();
    }
    match push_scalar(part, column) {
        Some(Pushed::Value) => Some(()),
        Some(Pushed::Null) => column.push_null().ok(),
        None if options.ignore_parse_errors => column.push_null().ok(),
        None => None,
    }
}
