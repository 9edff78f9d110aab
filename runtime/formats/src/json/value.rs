//! JSON values to values of columns, with the coercions of Flink's json format.

use super::cursor::{Cursor, Kind, Parsed, RawNumber, RawString, Trouble, TroubleKind};
use super::document;
use super::options::TimestampStandard;
use super::shape::{Expected, ObjectShape, Shape};
use crate::columns::{Column, Values};
use arrow::datatypes::DataType;
use base64::Engine;
use std::borrow::Cow;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;
use weir_types::text::parse::{self, ParsedDecimal};

/// What of the options matters to single values.
pub(super) struct Rules {
    /// a value that cannot be read becomes NULL
    pub ignore_errors: bool,
    pub fail_on_missing: bool,
    pub standard: TimestampStandard,
    /// some column is DECIMAL: numbers inside of objects that are read as text keep their digits
    pub exact_numbers: bool,
}

fn value_error<T>(at: usize) -> Parsed<T> {
    Err(Trouble { at, kind: TroubleKind::Value })
}

/// Appends a NULL to `column` for what stands at `at`.
fn push_null(column: &mut Column, at: usize) -> Parsed<()> {
    column.push_null().map_err(|_| Trouble { at, kind: TroubleKind::Null })
}

/// Reads the next value into `column`. After an error `column` has no part of it.
#[inline]
pub(super) fn decode(
    cursor: &mut Cursor<'_>,
    column: &mut Column,
    shape: &mut Shape,
    rules: &Rules,
) -> Parsed<()> {
    if let Some(b' ' | b'\t' | b'\n' | b'\r') = cursor.byte() {
        cursor.skip_space();
    }
    let begin = cursor.at;
    let result = match (&mut column.values, cursor.byte()) {
        // The common cases, inline.
        (Values::Int64(values), Some(b'0'..=b'9')) => match short_integer(cursor) {
            Some(value) => {
                values.push(value);
                return Ok(());
            }
            None => decode_slow(cursor, column, shape, rules),
        },
        (Values::Text(text), Some(b'"')) => match cursor.string() {
            Ok(raw) if !raw.escaped => {
                text.push(raw.content);
                return Ok(());
            }
            Ok(raw) => {
                let result = cursor.unescape_into(raw, text.buffer());
                if result.is_ok() {
                    text.end_value()
                } else {
                    text.abandon_value()
                }
                result
            }
            Err(trouble) => Err(trouble),
        },
        (Values::Timestamp(values), Some(b'"')) => {
            match short_timestamp(cursor, column.field.data_type(), &column.sql_type, rules) {
                Some(value) => {
                    values.push(value);
                    return Ok(());
                }
                None => decode_slow(cursor, column, shape, rules),
            }
        }
        _ => decode_slow(cursor, column, shape, rules),
    };
    match result {
        Err(trouble) if rules.ignore_errors && trouble.kind == TroubleKind::Value => {
            cursor.at = begin;
            cursor.skip_value()?;
            push_null(column, begin)
        }
        result => result,
    }
}

/// An integer of at most 18 digits that is followed by the end of a member; takes nothing otherwise.
#[inline]
fn short_integer(cursor: &mut Cursor<'_>) -> Option<i64> {
    let rest = &cursor.bytes[cursor.at..];
    let mut value = 0i64;
    for (count, byte) in rest.iter().enumerate().take(19) {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + i64::from(digit);
            continue;
        }
        let leading_zero = rest[0] == b'0' && count > 1;
        if matches!(byte, b',' | b'}' | b']' | b' ') && count <= 18 && !leading_zero {
            cursor.at += count;
            return Some(value);
        }
        return None;
    }
    None
}

/// A timestamp without escapes, in the units of `data_type`; takes nothing if it is none.
#[inline]
fn short_timestamp(
    cursor: &mut Cursor<'_>,
    data_type: &DataType,
    sql_type: &SqlType,
    rules: &Rules,
) -> Option<i64> {
    let DataType::Timestamp(unit, _) = data_type else { return None };
    let begin = cursor.at;
    let utc = matches!(sql_type, SqlType::TimestampLtz(_));
    let read = |raw: RawString<'_>| match rules.standard {
        _ if raw.escaped => None,
        TimestampStandard::Sql => parse::sql_timestamp(raw.content, utc),
        TimestampStandard::Iso8601 => parse::iso_timestamp(raw.content, utc),
    };
    let time = cursor.string().ok().and_then(read);
    let value = time.and_then(|time| time.to_units(*unit));
    if value.is_none() {
        cursor.at = begin;
    }
    value
}

#[inline(never)]
fn decode_slow(cursor: &mut Cursor<'_>, column: &mut Column, shape: &mut Shape, rules: &Rules) -> Parsed<()> {
    let kind = cursor.kind()?;
    let begin = cursor.at;
    if kind == Kind::Null {
        cursor.word("null")?;
        return push_null(column, begin);
    }
    match &mut column.values {
        Values::List { .. } | Values::Map { .. } | Values::Row { .. } => {
            return decode_collection(cursor, column, shape, rules, kind);
        }
        Values::Null(_) => {
            cursor.skip_value()?;
            return push_null(column, begin);
        }
        Values::Text(_) if kind != Kind::String => {
            let exact = rules.exact_numbers;
            let Values::Text(text) = &mut column.values else { return value_error(begin) };
            let result = document::append(cursor, exact, text.buffer());
            if result.is_ok() {
                text.end_value()
            } else {
                text.abandon_value()
            }
            return result;
        }
        _ => {}
    }
    let scalar = Scalar::read(cursor, kind)?;
    match scalar.push(column, rules) {
        Some(Pushed::Value) => Ok(()),
        Some(Pushed::Null) => push_null(column, begin),
        None => value_error(begin),
    }
}

/// A value that is neither an object nor an array nor null.
enum Scalar<'a> {
    Text(Cow<'a, [u8]>),
    Number(RawNumber<'a>),
    Boolean(bool),
}

/// What a value became.
enum Pushed {
    Value,
    /// a number with too many digits for its DECIMAL
    Null,
}

impl<'a> Scalar<'a> {
    /// An object or an array is passed by and no value of a scalar type.
    fn read(cursor: &mut Cursor<'a>, kind: Kind) -> Parsed<Scalar<'a>> {
        match kind {
            Kind::String => {
                let raw = cursor.string()?;
                Ok(Scalar::Text(cursor.unescape(raw)?))
            }
            Kind::Number => Ok(Scalar::Number(cursor.number()?)),
            Kind::True => cursor.word("true").map(|()| Scalar::Boolean(true)),
            Kind::False => cursor.word("false").map(|()| Scalar::Boolean(false)),
            Kind::Object | Kind::Array | Kind::Null => {
                let at = cursor.at;
                cursor.skip_value()?;
                value_error(at)
            }
        }
    }

    /// `None`: no value of the column's type.
    fn push(&self, column: &mut Column, rules: &Rules) -> Option<Pushed> {
        let units = match (&column.values, self.timestamp(column, rules)) {
            (Values::Timestamp(_), time) => Some(column.timestamp_units(time?)?),
            _ => None,
        };
        let sql_type = &column.sql_type;
        match &mut column.values {
            Values::Boolean(values) => values.push(self.boolean()),
            Values::Int8(values) => values.push(i8::try_from(self.integer(false)?).ok()?),
            Values::Int16(values) => values.push(i16::try_from(self.integer(false)?).ok()?),
            Values::Int32(values) | Values::IntervalMonths(values) => {
                values.push(i32::try_from(self.integer(true)?).ok()?);
            }
            Values::Int64(values) | Values::IntervalMillis(values) => values.push(self.integer(true)?),
            Values::Float(values) => values.push(match self {
                Scalar::Number(number) => fast_float2::parse(number.text).ok()?,
                other => parse::java_float(other.text()?)?,
            }),
            Values::Double(values) => values.push(match self {
                Scalar::Number(number) => fast_float2::parse(number.text).ok()?,
                other => parse::java_double(other.text()?)?,
            }),
            Values::Decimal(values) => {
                let SqlType::Decimal { precision, scale } = sql_type else { return None };
                let text = match self {
                    Scalar::Number(number) => number.text,
                    other => other.text()?.trim().as_bytes(),
                };
                match parse::decimal(text, *precision, *scale) {
                    ParsedDecimal::Value(value) => values.push(value),
                    ParsedDecimal::Overflow => return Some(Pushed::Null),
                    ParsedDecimal::Malformed => return None,
                }
            }
            Values::Text(text) => text.push(self.text()?.as_bytes()),
            Values::Binary(bytes) => {
                let Scalar::Text(text) = self else { return None };
                bytes.push(&base64::engine::general_purpose::STANDARD.decode(text).ok()?);
            }
            Values::Date(values) => values.push(parse::iso_date(self.text()?.as_bytes())?),
            Values::Time(values) => values.push(parse::sql_time(self.text()?.as_bytes())?),
            Values::Timestamp(values) => values.push(units?),
            Values::Null(_) | Values::List { .. } | Values::Map { .. } | Values::Row { .. } => return None,
        }
        Some(Pushed::Value)
    }

    fn text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) => std::str::from_utf8(text).ok(),
            Scalar::Number(number) => std::str::from_utf8(number.text).ok(),
            Scalar::Boolean(value) => Some(if *value { "true" } else { "false" }),
        }
    }

    /// As Java's `Boolean.parseBoolean`: whatever is not `true` is false.
    fn boolean(&self) -> bool {
        self.text().is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// `cut`: a number with a fraction is cut towards zero, which Flink does for INT and BIGINT only, and only for
    /// numbers, not for texts.
    fn integer(&self, cut: bool) -> Option<i64> {
        match self {
            Scalar::Text(_) | Scalar::Boolean(_) => parse::java_integer(self.text()?.trim().as_bytes()),
            Scalar::Number(number) if number.integer => parse::java_integer(number.text),
            Scalar::Number(number) if cut => {
                let value: f64 = fast_float2::parse(number.text).ok()?;
                (value >= i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
            }
            Scalar::Number(_) => None,
        }
    }

    fn timestamp(&self, column: &Column, rules: &Rules) -> Option<LocalDateTime> {
        if !matches!(column.values, Values::Timestamp(_)) {
            return None;
        }
        let utc = matches!(column.sql_type, SqlType::TimestampLtz(_));
        let text = self.text()?.as_bytes();
        match rules.standard {
            TimestampStandard::Sql => parse::sql_timestamp(text, utc),
            TimestampStandard::Iso8601 => parse::iso_timestamp(text, utc),
        }
    }
}

fn decode_collection(
    cursor: &mut Cursor<'_>,
    column: &mut Column,
    shape: &mut Shape,
    rules: &Rules,
    kind: Kind,
) -> Parsed<()> {
    let begin = cursor.at;
    let len = column.len();
    let result = match (&mut column.values, shape) {
        (Values::List { ends, element }, Shape::Elements(shape)) if kind == Kind::Array => {
            decode_list(cursor, element, shape, rules).map(|()| ends.push(element.len() as i32))
        }
        (Values::Map { ends, entries }, Shape::Entries(shape)) if kind == Kind::Object => {
            decode_map(cursor, entries, shape, rules).map(|()| ends.push(entries[0].len() as i32))
        }
        (Values::Row { len, members }, Shape::Object(shape)) if kind == Kind::Object => {
            decode_object(cursor, members, shape, *len, rules).map(|()| *len += 1)
        }
        _ => {
            cursor.skip_value()?;
            value_error(begin)
        }
    };
    if result.is_err() {
        column.truncate(len);
    }
    result
}

fn decode_list(
    cursor: &mut Cursor<'_>,
    element: &mut Column,
    shape: &mut Shape,
    rules: &Rules,
) -> Parsed<()> {
    let mut elements = cursor.elements();
    while elements.next_element(cursor)? {
        decode(cursor, element, shape, rules)?;
    }
    Ok(())
}

/// Of several members with the same name the last counts.
fn decode_map(
    cursor: &mut Cursor<'_>,
    entries: &mut [Column; 2],
    shape: &mut Shape,
    rules: &Rules,
) -> Parsed<()> {
    let mut seen: Vec<Cow<'_, [u8]>> = Vec::new();
    // A first look at the names, to know which ones come again.
    let mut scout = *cursor;
    let mut members = scout.members();
    while members.next_member(&mut scout)? {
        let raw = scout.string()?;
        seen.push(scout.unescape(raw)?);
        scout.expect(b':', "':'")?;
        scout.skip_value()?;
    }
    let mut last = seen.iter().enumerate().collect::<Vec<_>>();
    last.sort_by_key(|(place, key)| (*key, *place));
    let mut repeated = vec![false; seen.len()];
    for pair in last.windows(2) {
        repeated[pair[0].0] = pair[0].1 == pair[1].1;
    }
    let [keys, values] = entries;
    let mut members = cursor.members();
    for (key, repeated) in seen.iter().zip(repeated) {
        members.next_member(cursor)?;
        cursor.string()?;
        cursor.expect(b':', "':'")?;
        if repeated {
            cursor.skip_value()?;
            continue;
        }
        decode(cursor, values, shape, rules)?;
        if let Values::Text(text) = &mut keys.values {
            text.push(key);
        }
    }
    members.next_member(cursor)?;
    Ok(())
}

/// Reads an object, at its `{`, as row `row` of `columns`; columns without a member become NULL. After an error the
/// columns may have parts of it.
#[inline]
pub(super) fn decode_object(
    cursor: &mut Cursor<'_>,
    columns: &mut [Column],
    shape: &mut ObjectShape,
    row: usize,
    rules: &Rules,
) -> Parsed<()> {
    let begin = cursor.at;
    let mut expected = Expected::default();
    let mut found = 0;
    let mut members = cursor.members();
    while members.next_member(cursor)? {
        let Some(place) = shape.key(cursor, &mut expected)? else {
            cursor.skip_value()?;
            continue;
        };
        let column = &mut columns[place];
        // Of several members with the same name the last counts.
        if column.len() > row {
            column.truncate(row);
        } else {
            found += 1;
        }
        decode(cursor, column, &mut shape.members[place], rules)?;
    }
    if found < columns.len() {
        for column in columns.iter_mut().filter(|column| column.len() == row) {
            if rules.fail_on_missing {
                return Err(Trouble { at: begin, kind: TroubleKind::Missing });
            }
            push_null(column, begin)?;
        }
    }
    Ok(())
}
