//! Literals: their types are read off their text.

use crate::PlanError;
use crate::parser::{LOCAL_TIMESTAMP, call_of as function, text};
use arrow::datatypes::TimeUnit;
use datafusion_common::{DataFusionError, Result, plan_err};
use sqlparser::ast::{
    DataType, DateTimeField, Expr, Interval, TimezoneInfo, TypedString, UnaryOperator, Value, ValueWithSpan,
};
use sqlparser::tokenizer::Span;
use weir_types::SqlType;
use weir_types::text::parse;

/// `TIMESTAMP '..'`, `DATE '..'`, `TIME '..'`: as precise as they are written.
pub(super) fn typed(literal: &TypedString) -> Result<Expr> {
    let Some(written) = literal.value.clone().into_string() else {
        return plan_err!("a {} literal is a string", literal.data_type);
    };
    let fraction = written.rsplit_once('.').map_or(0, |(_, digits)| digits.len().min(9) as u8);
    let (sql_type, valid) = match &literal.data_type {
        DataType::Date => {
            (SqlType::Date, written.matches('-').count() == 2 && parse::cast_date(&written).is_some())
        }
        // Its type is TIME(0), as that of all times in a query: the fraction is there nevertheless.
        DataType::Time(..) if fraction > 0 && parse::cast_time(&written).is_some() => {
            return Ok(function("$TIME", vec![text(written)]));
        }
        DataType::Time(..) => (SqlType::Time(0), parse::cast_time(&written).is_some()),
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            let (sql_type, time) = (SqlType::Timestamp(fraction), parse::cast_timestamp(&written));
            if fraction > 6 && time.is_some_and(|time| time.to_units(TimeUnit::Nanosecond).is_none()) {
                let message = format!(
                    "'{written}' is outside of the range of {sql_type}{}: six digits of a second have all years",
                    sql_type.range_note()
                );
                return Err(located(message, literal.value.span));
            }
            (sql_type, time.is_some())
        }
        DataType::Custom(name, _) if name.to_string() == LOCAL_TIMESTAMP => {
            (SqlType::TimestampLtz(fraction), parse::cast_timestamp(&written).is_some())
        }
        other => return plan_err!("there are no literals of type {other}: use CAST('{written}' AS {other})"),
    };
    if !valid {
        return plan_err!("'{written}' is not a {} literal", literal.data_type);
    }
    Ok(function("$CAST", vec![text(written), text(sql_type.to_string())]))
}

fn located(message: String, span: Span) -> DataFusionError {
    DataFusionError::External(Box::new(PlanError::invalid(message).at(span)))
}

/// Numbers in scientific notation or without a digit before the point, and escaped text.
pub(super) fn value(value: &mut ValueWithSpan) -> Result<Option<Expr>> {
    match &value.value {
        Value::Number(number, _) if number.contains(['e', 'E']) => {
            if number.parse::<f64>().is_ok_and(f64::is_infinite) {
                return Err(located(format!("{number} is outside of the range of DOUBLE"), value.span));
            }
            Ok(Some(function("$CAST", vec![text(number.clone()), text("DOUBLE")])))
        }
        Value::Number(number, _) if too_long(number) => Err(located(digits_of(number), value.span)),
        Value::Number(number, long) if number.ends_with('.') => {
            value.value = Value::Number(number.trim_end_matches('.').to_string(), *long);
            Ok(None)
        }
        // As many digits as are written, zeros in front too.
        Value::Number(number, _) if number.contains('.') && !is_plain(number) => {
            let digits = number.len() - 1;
            let scale = digits - number.find('.').unwrap_or(0);
            Ok(Some(function(
                "$CAST",
                vec![text(number.clone()), text(format!("DECIMAL({digits}, {scale})"))],
            )))
        }
        Value::UnicodeStringLiteral(written) | Value::NationalStringLiteral(written) => {
            value.value = Value::SingleQuotedString(written.clone());
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Digits of a DECIMAL at most.
const MAX_DIGITS: usize = 38;

/// True for a number whose digits, the point left out, make more than 64 bits: Flink takes no such literal.
fn too_long(number: &str) -> bool {
    // The least BIGINT has the digits of this one.
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    !digits.is_empty() && digits.parse::<u64>().map_or(true, |digits| digits > 1 << 63)
}

/// What is wrong with such a number, and what to write.
fn digits_of(number: &str) -> String {
    let scale = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = number.trim_start_matches(['0', '.']).chars().filter(char::is_ascii_digit).count();
    let digits = digits.max(scale);
    match digits <= MAX_DIGITS {
        true => format!(
            "{number} has more digits than a number may have here: write CAST('{number}' AS DECIMAL({digits}, {scale}))"
        ),
        false => format!("{number} has more than {MAX_DIGITS} digits, which no type holds"),
    }
}

/// True for a number whose type can be told from its value: `0.5`, `12.50`.
fn is_plain(number: &str) -> bool {
    match number.as_bytes() {
        [b'0', b'.', ..] => true,
        [b'0' | b'.', ..] => false,
        _ => true,
    }
}

/// Months or milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Months(i64),
    Millis(i64),
}

/// One field of an interval: its place in `1-2` or `1 02:03:04.5`, and its length.
fn field_length(field: &DateTimeField) -> Option<(usize, Length)> {
    use DateTimeField as F;
    Some(match field {
        F::Year | F::Years => (0, Length::Months(12)),
        F::Month | F::Months => (1, Length::Months(1)),
        F::Day | F::Days => (2, Length::Millis(86_400_000)),
        F::Hour | F::Hours => (3, Length::Millis(3_600_000)),
        F::Minute | F::Minutes => (4, Length::Millis(60_000)),
        F::Second | F::Seconds => (5, Length::Millis(1000)),
        _ => return None,
    })
}

const FIELDS: [Length; 6] = [
    Length::Months(12),
    Length::Months(1),
    Length::Millis(86_400_000),
    Length::Millis(3_600_000),
    Length::Millis(60_000),
    Length::Millis(1000),
];

/// An interval in one unit: months or seconds. What is not a literal stays as it is.
pub(super) fn normalise_interval(interval: &mut Interval) -> Result<()> {
    let (written, negated) = match &*interval.value {
        Expr::Value(value) => (value.clone().into_string(), false),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(value) => (value.clone().into_string(), true),
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let (Some(written), Some(leading)) = (written, interval.leading_field.clone()) else { return Ok(()) };
    if matches!(leading, DateTimeField::Week(_) | DateTimeField::Weeks | DateTimeField::Quarter) {
        // Flink takes a week for an hour and a quarter for a month.
        return plan_err!("intervals of {leading} are not supported: write them in DAY or MONTH");
    }
    let Some(length) = interval_length(&written, &leading, interval.last_field.as_ref()) else {
        let last = interval.last_field.as_ref().map_or(String::new(), |last| format!(" TO {last}"));
        return plan_err!("'{written}' is not an interval of {leading}{last}");
    };
    let sign = if negated { -1 } else { 1 };
    let (value, field) = match length {
        Length::Months(months) => ((sign * months).to_string(), DateTimeField::Month),
        Length::Millis(millis) => {
            let (minus, millis) = (if sign * millis < 0 { "-" } else { "" }, millis.unsigned_abs());
            (format!("{minus}{}.{:03}", millis / 1000, millis % 1000), DateTimeField::Second)
        }
    };
    *interval.value = text(value);
    interval.leading_field = Some(field);
    interval.leading_precision = None;
    interval.last_field = None;
    interval.fractional_seconds_precision = None;
    Ok(())
}

/// `None`: the text is not of the form that the fields ask for.
fn interval_length(written: &str, leading: &DateTimeField, last: Option<&DateTimeField>) -> Option<Length> {
    let (first, unit) = field_length(leading)?;
    let (sign, digits) = match written.trim().strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, written.trim().strip_prefix('+').unwrap_or(written.trim())),
    };
    let Some(last) = last else {
        return match unit {
            Length::Months(months) => Some(Length::Months(sign * digits.parse::<i64>().ok()? * months)),
            Length::Millis(millis) => Some(Length::Millis(sign * scaled(digits, millis, first == 5)?)),
        };
    };
    let (last, _) = field_length(last)?;
    let parts: Vec<&str> = digits.split(['-', ' ', ':']).collect();
    if last < first || parts.len() != last - first + 1 {
        return None;
    }
    let (mut months, mut millis) = (0, 0);
    for (part, place) in parts.into_iter().zip(first..) {
        match FIELDS[place] {
            Length::Months(unit) => months += part.parse::<i64>().ok()? * unit,
            Length::Millis(unit) => millis += scaled(part, unit, place == 5)?,
        }
    }
    Some(if last < 2 { Length::Months(sign * months) } else { Length::Millis(sign * millis) })
}

/// A number of units; only seconds have a fraction.
fn scaled(digits: &str, unit_ms: i64, fraction: bool) -> Option<i64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if !part.is_empty() && !fraction {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit_ms)?;
    let mut millis = 0;
    for place in 0..3 {
        let digit =
            part.as_bytes().get(place).map_or(Some(0), |byte| char::from(*byte).to_digit(10).map(i64::from));
        millis = millis * 10 + digit?;
    }
    whole.checked_add(millis)
}
