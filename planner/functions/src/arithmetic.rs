//! `+ - * / %` and unary minus over numbers, dates, times and intervals.

mod times;

use super::arguments::Inputs;
use super::coercion::common_number;
use super::decimal::{self, Operation, map2, try_map2};
use super::definition::{Call, Function, Typed, Typing};
use arrow::array::{ArrayRef, ArrowNativeTypeOp, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalYearMonthType,
};
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::SqlType;

pub(super) use times::add_months;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("+", Typing::Custom(|call| type_operation(call, Operation::Add)), add, "sum"),
    Function::new(
        "-",
        Typing::Custom(|call| type_operation(call, Operation::Subtract)),
        subtract,
        "difference",
    ),
    Function::new("*", Typing::Custom(|call| type_operation(call, Operation::Multiply)), multiply, "product"),
    Function::new("/", Typing::Custom(|call| type_operation(call, Operation::Divide)), divide, "quotient")
        .fallible(),
    Function::new(
        "%",
        Typing::Custom(|call| type_operation(call, Operation::Remainder)),
        remainder,
        "remainder",
    )
    .fallible(),
    Function::new(
        "MOD",
        Typing::Custom(|call| type_operation(call, Operation::Remainder)),
        remainder,
        "remainder",
    )
    .fallible(),
    Function::new("$NEGATE", Typing::Custom(type_negate), negate, "unary minus"),
];

fn type_operation(call: &Call<'_>, operation: Operation) -> Result<Typed> {
    let [left, right] = call.types else { return call.refuse("two operands") };
    if [left, right].contains(&&SqlType::Null) {
        return call.refuse("operands that have a type, such as CAST(NULL AS INT), no bare NULL");
    }
    let inexact = |sql_type: &SqlType| matches!(sql_type, SqlType::Float | SqlType::Double);
    if operation == Operation::Remainder && (inexact(left) || inexact(right)) {
        return call.refuse("whole numbers or DECIMAL");
    }
    let typed = match left.is_numeric() && right.is_numeric() {
        true => type_numbers(left, right, operation),
        false => times::type_times(left, right, operation),
    };
    match typed {
        Some((arguments, result)) => Ok(Typed { arguments, result, nullable: call.any_nullable() }),
        None if operation == Operation::Subtract
            && left == right
            && matches!(left, SqlType::Timestamp(_)) =>
        {
            call.refuse("numbers, or a time and an interval; for the time between two use TIMESTAMPDIFF")
        }
        None => call.refuse("numbers, or a time and an interval"),
    }
}

fn type_numbers(left: &SqlType, right: &SqlType, operation: Operation) -> Option<(Vec<SqlType>, SqlType)> {
    let exact = |sql_type: &SqlType| !matches!(sql_type, SqlType::Float | SqlType::Double);
    let decimal = |sql_type: &SqlType| matches!(sql_type, SqlType::Decimal { .. });
    if exact(left) && exact(right) && (decimal(left) || decimal(right)) {
        let operand = |sql_type: &SqlType| if decimal(sql_type) { sql_type.clone() } else { SqlType::BigInt };
        return Some((vec![operand(left), operand(right)], decimal::result_type(operation, left, right)?));
    }
    let common = common_number(left, right)?;
    // The remainder of integers has the type of the divisor.
    let result = match operation {
        Operation::Remainder if right.is_integer() && left.is_integer() => right.clone(),
        _ => common.clone(),
    };
    Some((vec![common.clone(), common], result))
}

fn type_negate(call: &Call<'_>) -> Result<Typed> {
    let result = match call.types {
        [SqlType::Null] => SqlType::Int,
        [found] if found.is_numeric() => found.clone(),
        [found @ (SqlType::IntervalYearMonth | SqlType::IntervalDayTime)] => found.clone(),
        _ => return call.refuse("a number or an interval"),
    };
    Ok(Typed { arguments: vec![result.clone()], result, nullable: call.any_nullable() })
}

/// The kernel of one operation over two columns of one native type.
macro_rules! numbers {
    ($inputs:expr, $integer:ident, $float:ident) => {
        match &$inputs.types[0] {
            SqlType::TinyInt => $integer::<Int8Type>($inputs),
            SqlType::SmallInt => $integer::<Int16Type>($inputs),
            SqlType::Int => $integer::<Int32Type>($inputs),
            SqlType::BigInt => $integer::<Int64Type>($inputs),
            SqlType::Float => $float::<Float32Type>($inputs),
            SqlType::Double => $float::<Float64Type>($inputs),
            other => internal_err!("arithmetic on {other}"),
        }
    };
}

fn is_decimal(inputs: &Inputs<'_>) -> bool {
    matches!(inputs.result, SqlType::Decimal { .. })
}

fn add(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn kernel<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let (a, b) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
        Ok(Arc::new(map2::<T, T, T>(&a, &b, inputs.rows, |a, b| a.add_wrapping(b))))
    }
    if times::is_time(inputs) {
        return times::evaluate(inputs, 1);
    }
    if is_decimal(inputs) {
        decimal::evaluate(Operation::Add, inputs)
    } else {
        numbers!(inputs, kernel, kernel)
    }
}

fn subtract(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn kernel<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let (a, b) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
        Ok(Arc::new(map2::<T, T, T>(&a, &b, inputs.rows, |a, b| a.sub_wrapping(b))))
    }
    if times::is_time(inputs) {
        return times::evaluate(inputs, -1);
    }
    if is_decimal(inputs) {
        decimal::evaluate(Operation::Subtract, inputs)
    } else {
        numbers!(inputs, kernel, kernel)
    }
}

fn multiply(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn kernel<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let (a, b) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
        Ok(Arc::new(map2::<T, T, T>(&a, &b, inputs.rows, |a, b| a.mul_wrapping(b))))
    }
    if times::is_time(inputs) {
        return times::multiply(inputs);
    }
    if is_decimal(inputs) {
        decimal::evaluate(Operation::Multiply, inputs)
    } else {
        numbers!(inputs, kernel, kernel)
    }
}

fn divide(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn integer<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        divided::<T>(inputs, |a, b| a.div_wrapping(b))
    }
    fn float<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let (a, b) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
        // Flink computes a quotient of constants while it plans, in decimal, where there is no Infinity.
        if let (Some(Some(_)), Some(Some(divisor))) = (a.constant(), b.constant())
            && divisor.is_zero()
        {
            return exec_err!("division by zero");
        }
        Ok(Arc::new(map2::<T, T, T>(&a, &b, inputs.rows, |a, b| a.div_wrapping(b))))
    }
    if is_decimal(inputs) {
        decimal::evaluate(Operation::Divide, inputs)
    } else {
        numbers!(inputs, integer, float)
    }
}

/// Division of integers; by zero it fails.
fn divided<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(
    inputs: &Inputs<'_>,
    f: impl Fn(T::Native, T::Native) -> T::Native,
) -> Result<ArrayRef> {
    let (a, b) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
    let array: PrimitiveArray<T> = match b.constant() {
        Some(Some(divisor)) if !divisor.is_zero() => map2::<T, T, T>(&a, &b, inputs.rows, f),
        _ => try_map2::<T, T, T>(&a, &b, inputs.rows, |a, b| match b.is_zero() {
            true => exec_err!("division by zero"),
            false => Ok(Some(f(a, b))),
        })?,
    };
    Ok(Arc::new(array))
}

fn remainder(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn integer<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        divided::<T>(inputs, |a, b| a.mod_wrapping(b))
    }
    fn float<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let (a, b) = (inputs.primitives::<T>(0)?, inputs.primitives::<T>(1)?);
        Ok(Arc::new(map2::<T, T, T>(&a, &b, inputs.rows, |a, b| a.mod_wrapping(b))))
    }
    if is_decimal(inputs) {
        return decimal::evaluate(Operation::Remainder, inputs);
    }
    let array = numbers!(inputs, integer, float)?;
    let data_type = inputs.result.data_type();
    if *array.data_type() == data_type { Ok(array) } else { Ok(arrow::compute::cast(&array, &data_type)?) }
}

fn negate(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    fn kernel<T: ArrowPrimitiveType<Native: ArrowNativeTypeOp>>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
        let array = inputs.primitives::<T>(0)?.array;
        Ok(Arc::new(
            array
                .unary::<_, T>(|value| value.neg_wrapping())
                .with_data_type(arrow::array::Array::data_type(array).clone()),
        ))
    }
    let array = match &inputs.types[0] {
        SqlType::Decimal { .. } => kernel::<Decimal128Type>(inputs),
        SqlType::IntervalYearMonth => kernel::<IntervalYearMonthType>(inputs),
        SqlType::IntervalDayTime => kernel::<DurationMillisecondType>(inputs),
        _ => numbers!(inputs, kernel, kernel),
    }?;
    if inputs.columns[0].constant && inputs.rows != 1 {
        let places = arrow::array::UInt32Array::from_value(0, inputs.rows);
        return Ok(arrow::compute::take(&array, &places, None)?);
    }
    Ok(array)
}
