//! Numbers and booleans under CAST. Integers wrap as in Java, floating-point numbers saturate and lose their fraction,
//! decimals are rounded half up and NULL where they do not fit.

use super::super::decimal::{POWERS, fits, rescale};
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::number::append_double;
use weir_types::text::parse::{self, ParsedDecimal};

/// A column of numbers as what a cast reads.
enum Source<'a> {
    Integers(PrimitiveArray<Int64Type>),
    Floats(&'a PrimitiveArray<Float32Type>),
    Doubles(&'a PrimitiveArray<Float64Type>),
    Decimals(&'a PrimitiveArray<Decimal128Type>, i8),
}

pub(super) fn cast(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let integers = |array: &ArrayRef| -> Result<PrimitiveArray<Int64Type>> {
        Ok(arrow::compute::cast(array, &arrow::datatypes::DataType::Int64)?.as_primitive().clone())
    };
    let source = match from {
        SqlType::Boolean | SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => {
            Source::Integers(integers(array)?)
        }
        SqlType::Float => Source::Floats(array.as_primitive()),
        SqlType::Double => Source::Doubles(array.as_primitive()),
        SqlType::Decimal { scale, .. } => Source::Decimals(array.as_primitive(), *scale),
        other => return internal_err!("cast of {other} to {to}"),
    };
    Ok(match to {
        SqlType::Boolean => Arc::new(source.booleans()),
        SqlType::TinyInt => source.integers::<Int8Type>(|value| value as i8, |value| value as i32 as i8),
        SqlType::SmallInt => source.integers::<Int16Type>(|value| value as i16, |value| value as i32 as i16),
        SqlType::Int => source.integers::<Int32Type>(|value| value as i32, |value| value as i32),
        SqlType::BigInt => source.integers::<Int64Type>(|value| value, |value| value as i64),
        SqlType::Float => source.floats(),
        SqlType::Double => source.doubles(),
        SqlType::Decimal { precision, scale } => {
            let decimals = source.decimals(*precision, *scale)?;
            Arc::new(decimals.with_precision_and_scale(*precision, *scale)?)
        }
        other => return internal_err!("cast of {from} to {other}"),
    })
}

impl Source<'_> {
    fn booleans(&self) -> BooleanArray {
        fn not_zero<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> BooleanArray
        where
            T::Native: Default,
        {
            BooleanArray::from_unary(array, |value| value != T::Native::default())
        }
        match self {
            Source::Integers(array) => not_zero(array),
            Source::Floats(array) => not_zero(array),
            Source::Doubles(array) => not_zero(array),
            Source::Decimals(array, _) => not_zero(array),
        }
    }

    fn integers<T: ArrowPrimitiveType>(
        &self,
        narrow: impl Fn(i64) -> T::Native,
        saturate: impl Fn(f64) -> T::Native,
    ) -> ArrayRef {
        let array: PrimitiveArray<T> = match self {
            Source::Integers(array) => array.unary(narrow),
            Source::Floats(array) => array.unary(|value| saturate(f64::from(value))),
            Source::Doubles(array) => array.unary(saturate),
            Source::Decimals(array, scale) => {
                let unit = POWERS[scale.clamp(&0, &38).unsigned_abs() as usize];
                array.unary(|value| narrow((value / unit) as i64))
            }
        };
        Arc::new(array)
    }

    fn floats(&self) -> ArrayRef {
        let array: PrimitiveArray<Float32Type> = match self {
            Source::Integers(array) => array.unary(|value| value as f32),
            Source::Floats(array) => (*array).clone(),
            Source::Doubles(array) => array.unary(|value| value as f32),
            Source::Decimals(array, scale) => array.unary(|value| float_of_decimal(value, *scale)),
        };
        Arc::new(array)
    }

    fn doubles(&self) -> ArrayRef {
        let array: PrimitiveArray<Float64Type> = match self {
            Source::Integers(array) => array.unary(|value| value as f64),
            Source::Floats(array) => array.unary(f64::from),
            Source::Doubles(array) => (*array).clone(),
            Source::Decimals(array, scale) => array.unary(|value| double_of_decimal(value, *scale)),
        };
        Arc::new(array)
    }

    fn decimals(&self, precision: u8, scale: i8) -> Result<PrimitiveArray<Decimal128Type>> {
        let fitting = |value: Option<i128>| value.filter(|value| fits(*value, precision));
        Ok(match self {
            Source::Integers(array) => array.unary_opt(|value| fitting(rescale(i128::from(value), 0, scale))),
            Source::Decimals(array, from) => array.unary_opt(|value| fitting(rescale(value, *from, scale))),
            Source::Floats(array) => {
                decimals_of_doubles(array.iter().map(|value| value.map(f64::from)), precision, scale)?
            }
            Source::Doubles(array) => decimals_of_doubles(array.iter(), precision, scale)?,
        })
    }
}

/// The decimal that a DOUBLE's text stands for, rounded half up.
fn decimals_of_doubles(
    values: impl Iterator<Item = Option<f64>>,
    precision: u8,
    scale: i8,
) -> Result<PrimitiveArray<Decimal128Type>> {
    let mut text = Vec::with_capacity(32);
    let decimal = |value: Option<f64>| {
        let Some(value) = value else { return Ok(None) };
        text.clear();
        append_double(&mut text, value);
        match parse::decimal(&text, precision, scale) {
            ParsedDecimal::Value(value) => Ok(Some(value)),
            ParsedDecimal::Overflow => Ok(None),
            ParsedDecimal::Malformed => exec_err!("cannot cast {value} to DECIMAL({precision}, {scale})"),
        }
    };
    values.map(decimal).collect()
}

/// The nearest DOUBLE, as Java's `BigDecimal.doubleValue`.
pub(crate) fn double_of_decimal(value: i128, scale: i8) -> f64 {
    // Both exact: the quotient is the nearest number.
    if value.unsigned_abs() < 1 << 53 && (0..=22).contains(&scale) {
        return value as f64 / POWERS[scale as usize] as f64;
    }
    format!("{value}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

fn float_of_decimal(value: i128, scale: i8) -> f32 {
    format!("{value}e{}", -i32::from(scale)).parse().unwrap_or(f32::NAN)
}
