//! ROUND, TRUNCATE, CEIL and FLOOR.

use super::super::arguments::Inputs;
use super::super::decimal::{POWERS, divide_half_up, fits, rescale, round_type};
use super::super::definition::{Call, Typed};
use super::repeat;
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, PrimitiveBuilder};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use datafusion_common::{Result, internal_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::number::{append_double, append_float};
use weir_types::text::parse::{self, ParsedDecimal};

pub(super) fn type_floor(call: &Call<'_>) -> Result<Typed> {
    let [found] = call.types else { return call.refuse("one number, or a time TO a unit") };
    let (argument, result) = match found {
        SqlType::Null => (SqlType::Double, SqlType::Double),
        SqlType::Decimal { precision, .. } => {
            (found.clone(), SqlType::Decimal { precision: *precision, scale: 0 })
        }
        number if number.is_numeric() => (number.clone(), number.clone()),
        _ => return call.refuse("one number, or a time TO a unit"),
    };
    Ok(Typed { arguments: vec![argument], result, nullable: call.any_nullable() })
}

pub(super) fn type_round(call: &Call<'_>) -> Result<Typed> {
    let number = match call.types {
        [SqlType::Null] | [SqlType::Null, _] => SqlType::Double,
        [number] if number.is_numeric() => number.clone(),
        [number, digits] if number.is_numeric() && (digits.is_integer() || *digits == SqlType::Null) => {
            number.clone()
        }
        _ => return call.refuse("a number and how many digits to keep"),
    };
    let digits = if call.types.len() == 1 { Some(0) } else { call.literal_int(1) };
    let result = match (&number, digits) {
        (SqlType::Decimal { precision, scale }, Some(digits)) => round_type(*precision, *scale, digits),
        (number, _) => number.clone(),
    };
    let mut arguments = vec![number, SqlType::Int];
    arguments.truncate(call.types.len());
    Ok(Typed { arguments, result, nullable: call.any_nullable() })
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    HalfUp,
    Down,
}

pub(super) fn round(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    rounded(inputs, Mode::HalfUp)
}

pub(super) fn truncate(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    rounded(inputs, Mode::Down)
}

fn rounded(inputs: &Inputs<'_>, mode: Mode) -> Result<ArrayRef> {
    match &inputs.types[0] {
        SqlType::TinyInt => integers::<Int8Type>(inputs, mode, |value| value as i8),
        SqlType::SmallInt => integers::<Int16Type>(inputs, mode, |value| value as i16),
        SqlType::Int => integers::<Int32Type>(inputs, mode, |value| value as i32),
        SqlType::BigInt => integers::<Int64Type>(inputs, mode, |value| value),
        SqlType::Float => {
            let mut text = Vec::with_capacity(32);
            each::<Float32Type>(inputs, |value, digits| {
                text.clear();
                append_float(&mut text, value);
                Some(round_text(&text, digits, mode).map_or(value, |rounded| rounded as f32))
            })
        }
        SqlType::Double => {
            let mut text = Vec::with_capacity(32);
            each::<Float64Type>(inputs, |value, digits| {
                text.clear();
                append_double(&mut text, value);
                Some(round_text(&text, digits, mode).unwrap_or(value))
            })
        }
        SqlType::Decimal { scale, .. } => {
            let SqlType::Decimal { precision, scale: to } = *inputs.result else {
                return internal_err!("ROUND makes {}", inputs.result);
            };
            let from = *scale;
            each::<Decimal128Type>(inputs, |value, digits| {
                let rounded = round_unscaled(value, i64::from(from) - i64::from(digits), mode);
                rescale(rounded, from, to).filter(|value| fits(*value, precision))
            })
        }
        other => internal_err!("ROUND of {other}"),
    }
}

/// `value` with its last `places` digits rounded to zeros.
fn round_unscaled(value: i128, places: i64, mode: Mode) -> i128 {
    match places {
        ..=0 => value,
        1..=38 => {
            let unit = POWERS[places as usize];
            match mode {
                Mode::HalfUp => divide_half_up(value, unit).saturating_mul(unit),
                Mode::Down => value / unit * unit,
            }
        }
        _ => 0,
    }
}

fn integers<T: ArrowPrimitiveType<Native: Into<i64>>>(
    inputs: &Inputs<'_>,
    mode: Mode,
    narrow: impl Fn(i64) -> T::Native,
) -> Result<ArrayRef> {
    each::<T>(inputs, |value, digits| {
        let rounded = round_unscaled(i128::from(value.into()), -i64::from(digits), mode);
        Some(narrow(rounded as i64))
    })
}

/// The number that a text stands for, rounded as a decimal; `None`: as it is.
fn round_text(text: &[u8], digits: i32, mode: Mode) -> Option<f64> {
    let digits = digits.clamp(-38, 38);
    // One digit more than wanted decides, and those behind it must not: they are cut off first.
    let scale = i8::try_from(digits.max(0)).ok()?;
    let value = match mode {
        Mode::HalfUp => parse::decimal(text, 38, scale),
        Mode::Down => match parse::decimal(text, 38, (scale + 18).min(37)) {
            ParsedDecimal::Value(value) => {
                ParsedDecimal::Value(value / POWERS[((scale + 18).min(37) - scale) as usize])
            }
            other => other,
        },
    };
    let ParsedDecimal::Value(value) = value else { return None };
    let value = round_unscaled(value, i64::from(-digits).max(0), mode);
    Some(super::super::casts::double_of_decimal(value, scale))
}

fn each<T: ArrowPrimitiveType>(
    inputs: &Inputs<'_>,
    mut f: impl FnMut(T::Native, i32) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let numbers = inputs.primitives::<T>(0)?;
    let digits = if inputs.len() == 1 { None } else { Some(inputs.primitives::<Int32Type>(1)?) };
    let mut builder =
        PrimitiveBuilder::<T>::with_capacity(inputs.rows).with_data_type(inputs.result.data_type());
    for row in 0..inputs.rows {
        let digits = digits.as_ref().map_or(Some(0), |digits| digits.get(row));
        match (numbers.get(row), digits) {
            (Some(number), Some(digits)) => builder.append_option(f(number, digits)),
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

pub(super) fn ceil(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    whole(inputs, f64::ceil, |value, unit| value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0))
}

pub(super) fn floor(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    whole(inputs, f64::floor, i128::div_euclid)
}

fn whole(
    inputs: &Inputs<'_>,
    double: impl Fn(f64) -> f64,
    decimal: impl Fn(i128, i128) -> i128,
) -> Result<ArrayRef> {
    let array = &inputs.columns[0].array;
    let whole: ArrayRef = match inputs.types[0] {
        SqlType::Float => Arc::new(
            array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|x| double(f64::from(x)) as f32),
        ),
        SqlType::Double => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(double)),
        SqlType::Decimal { scale, .. } => {
            let unit = POWERS[scale.clamp(0, 38) as usize];
            let array: PrimitiveArray<Decimal128Type> =
                array.as_primitive::<Decimal128Type>().unary(|value| decimal(value, unit));
            Arc::new(array.with_data_type(inputs.result.data_type()))
        }
        _ => array.clone(),
    };
    repeat(inputs, whole)
}
