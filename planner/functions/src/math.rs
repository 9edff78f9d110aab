//! Functions of numbers.

mod hyperbolic;
mod random;
mod rounding;

use super::arguments::Inputs;
use super::decimal::POWERS;
use super::definition::{
    Call, Function, Nulls, Parameter as P, Returns as R, Signature, Typed, Typing, call,
};
use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray, StringBuilder};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion_common::{Result, internal_err};
use std::fmt::Write;
use std::sync::Arc;
use weir_types::SqlType;

const DOUBLE_1: Typing = Typing::Signatures(&[call(&[P::Double], R::Double)]);
const DOUBLE_2: Typing = Typing::Signatures(&[call(&[P::Double, P::Double], R::Double)]);
const LOG: Typing =
    Typing::Signatures(&[call(&[P::Double], R::Double), call(&[P::Double, P::Double], R::Double)]);
const SAME: Typing = Typing::Custom(type_same);
const CONSTANT: Typing = Typing::Signatures(&[call(&[], R::Double)]);
const HEX: Typing =
    Typing::Signatures(&[call(&[P::BigInt], R::Text), call(&[P::Text], R::Text), call(&[P::Bytes], R::Text)]);
const RAND: Typing = Typing::Signatures(&[call(&[], R::Double), call(&[P::Int], R::Double)]);
const RAND_INTEGER: Typing = Typing::Signatures(&[call(&[P::Int], R::Int), call(&[P::Int, P::Int], R::Int)]);
const NO_ARGUMENT_TEXT: &[Signature] = &[call(&[], R::Text)];

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("ABS", SAME, abs, "absolute value"),
    Function::new("SIGN", SAME, sign, "-1, 0 or 1, in the type of the argument"),
    Function::new("CEIL", Typing::Custom(rounding::type_floor), rounding::ceil, "the next whole number"),
    Function::new("CEILING", Typing::Custom(rounding::type_floor), rounding::ceil, "as CEIL"),
    Function::new("FLOOR", Typing::Custom(rounding::type_floor), rounding::floor, "the whole number before"),
    Function::new(
        "ROUND",
        Typing::Custom(rounding::type_round),
        rounding::round,
        "rounded half away from zero",
    ),
    Function::new(
        "TRUNCATE",
        Typing::Custom(rounding::type_round),
        rounding::truncate,
        "cut after some digits",
    ),
    Function::new("POWER", DOUBLE_2, |i| double2(i, f64::powf), "a number to the power of another"),
    Function::new("SQRT", DOUBLE_1, |i| double1(i, f64::sqrt), "square root"),
    Function::new("LN", DOUBLE_1, |i| double1(i, f64::ln), "natural logarithm"),
    Function::new("LOG10", DOUBLE_1, |i| double1(i, f64::log10), "logarithm to base 10"),
    Function::new("LOG2", DOUBLE_1, |i| double1(i, |x| x.ln() / 2f64.ln()), "logarithm to base 2"),
    Function::new("LOG", LOG, log, "LOG(x) natural, LOG(base, x) to a base"),
    Function::new("EXP", DOUBLE_1, |i| double1(i, f64::exp), "e to the power of a number"),
    Function::new("SIN", DOUBLE_1, |i| double1(i, f64::sin), "sine"),
    Function::new("COS", DOUBLE_1, |i| double1(i, f64::cos), "cosine"),
    Function::new("TAN", DOUBLE_1, |i| double1(i, f64::tan), "tangent"),
    Function::new("COT", DOUBLE_1, |i| double1(i, |x| 1.0 / x.tan()), "cotangent"),
    Function::new("ASIN", DOUBLE_1, |i| double1(i, f64::asin), "arc sine"),
    Function::new("ACOS", DOUBLE_1, |i| double1(i, f64::acos), "arc cosine"),
    Function::new("ATAN", DOUBLE_1, |i| double1(i, f64::atan), "arc tangent"),
    Function::new("ATAN2", DOUBLE_2, |i| double2(i, f64::atan2), "angle of the point (x, y), given as y, x"),
    Function::new("SINH", DOUBLE_1, |i| double1(i, hyperbolic::sinh), "hyperbolic sine"),
    Function::new("COSH", DOUBLE_1, |i| double1(i, hyperbolic::cosh), "hyperbolic cosine"),
    Function::new("TANH", DOUBLE_1, |i| double1(i, hyperbolic::tanh), "hyperbolic tangent"),
    Function::new(
        "DEGREES",
        DOUBLE_1,
        |i| double1(i, |x| x * (180.0 / std::f64::consts::PI)),
        "radians as degrees",
    ),
    Function::new(
        "RADIANS",
        DOUBLE_1,
        |i| double1(i, |x| x / 180.0 * std::f64::consts::PI),
        "degrees as radians",
    ),
    Function::new("PI", CONSTANT, |i| constant(i, std::f64::consts::PI), "3.141592653589793"),
    Function::new("E", CONSTANT, |i| constant(i, std::f64::consts::E), "2.718281828459045"),
    Function::new("BIN", Typing::Signatures(&[call(&[P::BigInt], R::Text)]), bin, "an integer in binary"),
    Function::new("HEX", HEX, hex, "an integer or text in hexadecimal"),
    Function::new("RAND", RAND, random::rand, "a random DOUBLE in [0, 1); RAND(seed) repeats itself")
        .volatile(),
    Function::new(
        "RAND_INTEGER",
        RAND_INTEGER,
        random::rand_integer,
        "RAND_INTEGER([seed,] bound): in [0, bound)",
    )
    .volatile(),
    Function::new("UUID", Typing::Signatures(NO_ARGUMENT_TEXT), random::uuid, "a random UUID").volatile(),
];

/// One number of any type, the same type as the result.
fn type_same(call: &Call<'_>) -> Result<Typed> {
    let result = match call.types {
        [SqlType::Null] => SqlType::Double,
        [found] if found.is_numeric() => found.clone(),
        _ => return call.refuse("one number"),
    };
    Ok(Typed { arguments: vec![result.clone()], result, nullable: Nulls::Strict.of(call) })
}

/// A kernel over the first argument alone, repeated where it is constant.
pub(super) fn repeat(inputs: &Inputs<'_>, array: ArrayRef) -> Result<ArrayRef> {
    if array.len() == inputs.rows {
        return Ok(array);
    }
    let places = arrow::array::UInt32Array::from_value(0, inputs.rows);
    Ok(arrow::compute::take(&array, &places, None)?)
}

fn double1(inputs: &Inputs<'_>, f: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let array: PrimitiveArray<Float64Type> = inputs.primitives::<Float64Type>(0)?.array.unary(f);
    repeat(inputs, Arc::new(array))
}

fn double2(inputs: &Inputs<'_>, f: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (a, b) = (inputs.primitives::<Float64Type>(0)?, inputs.primitives::<Float64Type>(1)?);
    Ok(Arc::new(super::decimal::map2::<_, _, Float64Type>(&a, &b, inputs.rows, f)))
}

fn log(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    match inputs.len() {
        1 => double1(inputs, f64::ln),
        _ => double2(inputs, |base, x| x.ln() / base.ln()),
    }
}

fn constant(inputs: &Inputs<'_>, value: f64) -> Result<ArrayRef> {
    Ok(Arc::new(PrimitiveArray::<Float64Type>::from_value(value, inputs.rows)))
}

/// A kernel for each type of number.
macro_rules! by_type {
    ($inputs:expr, $kernel:ident) => {
        match &$inputs.types[0] {
            SqlType::TinyInt => $kernel::<Int8Type>($inputs),
            SqlType::SmallInt => $kernel::<Int16Type>($inputs),
            SqlType::Int => $kernel::<Int32Type>($inputs),
            SqlType::BigInt => $kernel::<Int64Type>($inputs),
            SqlType::Float => $kernel::<Float32Type>($inputs),
            SqlType::Double => $kernel::<Float64Type>($inputs),
            SqlType::Decimal { .. } => $kernel::<Decimal128Type>($inputs),
            other => internal_err!("a number of type {other}"),
        }
    };
}

fn abs(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn kernel<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let array = inputs.primitives::<T>(0)?.array;
        let zero = T::Native::ZERO;
        let absolute =
            array.unary::<_, T>(|value| if value.is_lt(zero) { value.neg_wrapping() } else { value });
        repeat(inputs, Arc::new(absolute.with_data_type(array.data_type().clone())))
    }
    by_type!(inputs, kernel)
}

fn sign(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn kernel<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let array = inputs.primitives::<T>(0)?.array;
        let (zero, one) = (T::Native::ZERO, T::Native::ONE);
        let signs = array.unary::<_, T>(|value| {
            // NaN and both zeros are their own signs: no total order here
            if value < zero {
                one.neg_wrapping()
            } else if value > zero {
                one
            } else {
                value
            }
        });
        repeat(inputs, Arc::new(signs))
    }
    if let SqlType::Decimal { scale, .. } = inputs.types[0] {
        let array = inputs.columns[0].array.as_primitive::<Decimal128Type>();
        let unit = POWERS[scale.clamp(0, 38) as usize];
        let signs: PrimitiveArray<Decimal128Type> = array.unary(|value| value.signum() * unit);
        return repeat(inputs, Arc::new(signs.with_data_type(array.data_type().clone())));
    }
    by_type!(inputs, kernel)
}

fn bin(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let numbers = inputs.primitives::<Int64Type>(0)?;
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows * 16);
    for row in 0..inputs.rows {
        match numbers.get(row) {
            Some(number) => {
                // Writing to a builder does not fail.
                let _ = write!(builder, "{number:b}");
                builder.append_value("");
            }
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn hex(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows * 16);
    if inputs.types[0] == SqlType::BigInt {
        let numbers = inputs.primitives::<Int64Type>(0)?;
        for row in 0..inputs.rows {
            match numbers.get(row) {
                Some(number) => {
                    let _ = write!(builder, "{number:X}");
                    builder.append_value("");
                }
                None => builder.append_null(),
            }
        }
        return Ok(Arc::new(builder.finish()));
    }
    let mut append = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => {
            for byte in bytes {
                let pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                let _ = builder.write_str(std::str::from_utf8(&pair).unwrap_or("??"));
            }
            builder.append_value("");
        }
        None => builder.append_null(),
    };
    if inputs.types[0].is_string() {
        let texts = inputs.texts(0)?;
        (0..inputs.rows).for_each(|row| append(texts.get(row).map(str::as_bytes)));
    } else {
        let blobs = inputs.blobs(0)?;
        (0..inputs.rows).for_each(|row| append(blobs.get(row)));
    }
    Ok(Arc::new(builder.finish()))
}
