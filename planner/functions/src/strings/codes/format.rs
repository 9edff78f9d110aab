//! PRINTF: the conversions of `java.util.Formatter` that make sense of SQL values.

use super::super::super::arguments::Inputs;
use super::super::written;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use datafusion_common::{Result, exec_err};
use std::fmt::Write;
use weir_types::SqlType;
use weir_types::text::{TextStyle, ValueText};

/// `%[index$][flags][width][.precision]conversion`
struct Conversion<'a> {
    index: Option<usize>,
    flags: &'a str,
    width: usize,
    precision: Option<usize>,
    kind: char,
}

/// The conversion at the start of `text` (behind the percent sign) and what follows it.
fn conversion(text: &str) -> Option<(Conversion<'_>, &str)> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (mut rest, mut index) = (text, None);
    let leading = digits(rest);
    if leading > 0 && rest[leading..].starts_with('$') {
        index = rest[..leading].parse().ok();
        rest = &rest[leading + 1..];
    }
    let flags = rest.len() - rest.trim_start_matches(['-', '+', ' ', '0', ',', '(', '#']).len();
    let (flags, after) = rest.split_at(flags);
    let (width, after) = after.split_at(digits(after));
    let (precision, after) = match after.strip_prefix('.') {
        Some(after) => {
            let (precision, after) = after.split_at(digits(after));
            (Some(precision.parse().ok()?), after)
        }
        None => (None, after),
    };
    let kind = after.chars().next()?;
    let conversion = Conversion { index, flags, width: width.parse().unwrap_or(0), precision, kind };
    Some((conversion, &after[kind.len_utf8()..]))
}

fn integer(array: &dyn Array, row: usize) -> Option<i64> {
    match array.data_type() {
        DataType::Int8 => Some(i64::from(array.as_primitive::<Int8Type>().value(row))),
        DataType::Int16 => Some(i64::from(array.as_primitive::<Int16Type>().value(row))),
        DataType::Int32 => Some(i64::from(array.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row)),
        _ => None,
    }
}

fn number(array: &dyn Array, sql_type: &SqlType, row: usize) -> Option<f64> {
    match (array.data_type(), sql_type) {
        (DataType::Float32, _) => Some(f64::from(array.as_primitive::<Float32Type>().value(row))),
        (DataType::Float64, _) => Some(array.as_primitive::<Float64Type>().value(row)),
        (DataType::Decimal128(_, scale), _) => {
            let value = array.as_primitive::<arrow::datatypes::Decimal128Type>().value(row);
            Some(super::super::super::casts::double_of_decimal(value, *scale))
        }
        _ => None,
    }
}

impl Conversion<'_> {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// Appends `body` with its sign, filled up to the width.
    fn fill(&self, negative: bool, body: &str, numeric: bool, out: &mut String) {
        let sign = match negative {
            true => "-",
            false if numeric && self.has('+') => "+",
            false if numeric && self.has(' ') => " ",
            false => "",
        };
        let missing = self.width.saturating_sub(sign.len() + body.chars().count());
        let zeros = numeric && self.has('0') && !self.has('-');
        if !zeros && !self.has('-') {
            out.extend(std::iter::repeat_n(' ', missing));
        }
        out.push_str(sign);
        if zeros {
            out.extend(std::iter::repeat_n('0', missing));
        }
        out.push_str(body);
        if self.has('-') {
            out.extend(std::iter::repeat_n(' ', missing));
        }
    }

    fn grouped(&self, digits: &str) -> String {
        if !self.has(',') {
            return digits.to_string();
        }
        let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped + fraction
    }

    /// False if the value does not go with the conversion: then PRINTF is NULL.
    fn apply(&self, value: &Value<'_, '_>, row: usize, out: &mut String) -> Result<bool> {
        let body = match self.kind {
            's' | 'S' => {
                let mut bytes = vec![];
                value.text.append(row, &mut bytes);
                let mut text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some(limit) = self.precision {
                    text = text.chars().take(limit).collect();
                }
                if self.kind == 'S' {
                    text = text.to_uppercase();
                }
                self.fill(false, &text, false, out);
                return Ok(true);
            }
            _ if value.array.is_null(row) => {
                self.fill(false, "null", false, out);
                return Ok(true);
            }
            'd' => {
                let Some(number) = integer(value.array, row) else { return Ok(false) };
                let digits = self.grouped(&number.unsigned_abs().to_string());
                self.fill(number < 0, &digits, true, out);
                return Ok(true);
            }
            'x' | 'X' | 'o' => {
                let Some(number) = integer(value.array, row) else { return Ok(false) };
                // Java shows the two's complement of the argument's own width.
                let bits = match value.array.data_type() {
                    DataType::Int8 => number as u8 as u64,
                    DataType::Int16 => number as u16 as u64,
                    DataType::Int32 => number as u32 as u64,
                    _ => number as u64,
                };
                match self.kind {
                    'x' => format!("{bits:x}"),
                    'X' => format!("{bits:X}"),
                    _ => format!("{bits:o}"),
                }
            }
            'f' | 'e' | 'E' => {
                let Some(number) = number(value.array, value.sql_type, row) else { return Ok(false) };
                let digits = self.precision.unwrap_or(6);
                let text = match self.kind {
                    'f' => self.grouped(&half_up(number.abs(), digits)),
                    kind => scientific(number.abs(), digits, kind),
                };
                self.fill(number.is_sign_negative() && number != 0.0, &text, true, out);
                return Ok(true);
            }
            'b' | 'B' => match value.array.data_type() {
                DataType::Boolean => value.array.as_boolean().value(row).to_string(),
                _ => "true".to_string(),
            },
            'c' => match integer(value.array, row).and_then(|code| char::from_u32(code as u32)) {
                Some(character) => character.to_string(),
                None => return Ok(false),
            },
            other => return exec_err!("PRINTF does not know the conversion '%{other}'"),
        };
        self.fill(false, &body, matches!(self.kind, 'x' | 'X' | 'o'), out);
        Ok(true)
    }
}

/// Digits behind the point, rounded half up as Java does, on the shortest text of the number.
fn half_up(number: f64, digits: usize) -> String {
    use weir_types::text::number::{append_decimal_plain, append_double};
    use weir_types::text::parse::{ParsedDecimal, decimal};
    let mut text = vec![];
    append_double(&mut text, number);
    match i8::try_from(digits).map(|scale| decimal(&text, 38, scale)) {
        Ok(ParsedDecimal::Value(value)) => {
            let mut plain = vec![];
            append_decimal_plain(&mut plain, value, digits as i32);
            String::from_utf8_lossy(&plain).into_owned()
        }
        _ => format!("{number:.digits$}"),
    }
}

fn scientific(number: f64, digits: usize, kind: char) -> String {
    let text = format!("{number:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write!(out, "{mantissa}{kind}{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    out
}

struct Value<'a, 'b> {
    array: &'a dyn Array,
    sql_type: &'b SqlType,
    text: ValueText<'a>,
}

pub(super) fn printf(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let formats = inputs.texts(0)?;
    let arrays = (1..inputs.len()).map(|index| inputs.expanded(index)).collect::<Result<Vec<_>>>()?;
    let mut values = vec![];
    for (array, sql_type) in arrays.iter().zip(&inputs.types[1..]) {
        let field = sql_type.to_field("value", true).with_data_type(array.data_type().clone());
        let text = ValueText::new(array.as_ref(), &field, TextStyle::Java).map_err(ArrowError::from)?;
        values.push(Value { array: array.as_ref(), sql_type, text });
    }
    written(inputs.rows, inputs.rows * 24, |row, out| {
        let Some(mut rest) = formats.get(row) else { return Ok(false) };
        let mut next = 0;
        while let Some(place) = rest.find('%') {
            out.push_str(&rest[..place]);
            let Some((conversion, after)) = conversion(&rest[place + 1..]) else { return Ok(false) };
            rest = after;
            match conversion.kind {
                '%' => out.push('%'),
                'n' => out.push('\n'),
                _ => {
                    let index = conversion.index.map_or(next, |index| index.wrapping_sub(1));
                    next += usize::from(conversion.index.is_none());
                    let Some(value) = values.get(index) else { return Ok(false) };
                    if !conversion.apply(value, row, out)? {
                        return Ok(false);
                    }
                }
            }
        }
        out.push_str(rest);
        Ok(true)
    })
}
