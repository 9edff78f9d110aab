//! Exact decimal arithmetic: result types by Flink's `LogicalTypeMerging`, values half up, NULL on overflow.

use super::arguments::{Inputs, Primitives};
use super::coercion::{MAX_PRECISION, as_decimal};
use arrow::array::{Array, ArrayRef, Decimal128Array, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Int64Type, i256};
use datafusion_common::{Result, exec_err, internal_err};
use std::sync::Arc;
use weir_types::SqlType;

/// 10 to the power of its place.
pub(super) const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut power = 1;
    while power < 39 {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Precision and scale cut to 38 digits: the scale gives way, down to 6.
fn adjusted(precision: i32, scale: i32) -> SqlType {
    let max = i32::from(MAX_PRECISION);
    if precision <= max {
        return SqlType::Decimal { precision: precision as u8, scale: scale as i8 };
    }
    let whole = precision - scale;
    let scale = (max - whole).max(scale.min(6));
    SqlType::Decimal { precision: MAX_PRECISION, scale: scale as i8 }
}

/// The type of `left operation right` for exact numbers of which at least one is DECIMAL.
pub(super) fn result_type(operation: Operation, left: &SqlType, right: &SqlType) -> Option<SqlType> {
    let ((p1, s1), (p2, s2)) = (as_decimal(left)?, as_decimal(right)?);
    let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
    Some(match operation {
        Operation::Add | Operation::Subtract => {
            let scale = s1.max(s2);
            adjusted((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        Operation::Multiply => adjusted(p1 + p2 + 1, s1 + s2),
        Operation::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            adjusted(p1 - s1 + s2 + scale, scale)
        }
        Operation::Remainder => {
            let scale = s1.max(s2);
            adjusted((p1 - s1).min(p2 - s2) + scale, scale)
        }
    })
}

/// The type of ROUND(x, digits) and TRUNCATE(x, digits).
pub(super) fn round_type(precision: u8, scale: i8, digits: i64) -> SqlType {
    if digits >= i64::from(scale) {
        return SqlType::Decimal { precision, scale };
    }
    let whole = 1 + i64::from(precision) - i64::from(scale);
    let scale = digits.max(0);
    SqlType::Decimal { precision: (whole + scale).clamp(1, 38) as u8, scale: scale as i8 }
}

/// True if `value` has at most `precision` digits.
#[inline(always)]
pub(super) fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < POWERS[usize::from(precision.min(38))].unsigned_abs()
}

/// `value / divisor`, rounded half away from zero; `divisor` is positive.
#[inline(always)]
pub(super) fn divide_half_up(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    match rest.unsigned_abs() >= (divisor.unsigned_abs() - rest.unsigned_abs()) {
        true => quotient + value.signum(),
        false => quotient,
    }
}

/// The unscaled value at another scale, rounded half up; `None` on overflow of 128 bits.
#[inline]
pub(super) fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let difference = i16::from(to) - i16::from(from);
    match difference {
        0 => Some(value),
        1..=38 => value.checked_mul(POWERS[difference as usize]),
        -38..0 => Some(divide_half_up(value, POWERS[-difference as usize])),
        _ => (value == 0 || difference < 0).then_some(0),
    }
}

/// A decimal or a BIGINT as unscaled values.
enum Operand<'a> {
    Decimal(Primitives<'a, Decimal128Type>, i8),
    BigInt(Primitives<'a, Int64Type>),
}

impl Operand<'_> {
    fn scale(&self) -> i8 {
        match self {
            Operand::Decimal(_, scale) => *scale,
            Operand::BigInt(_) => 0,
        }
    }
}

fn operand<'a>(inputs: &Inputs<'a>, index: usize) -> Result<Operand<'a>> {
    match &inputs.types[index] {
        SqlType::Decimal { scale, .. } => Ok(Operand::Decimal(inputs.primitives(index)?, *scale)),
        SqlType::BigInt => Ok(Operand::BigInt(inputs.primitives(index)?)),
        other => internal_err!("decimal arithmetic on {other}"),
    }
}

/// `+ - * / %` over DECIMAL and BIGINT.
pub(super) fn evaluate(operation: Operation, inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let SqlType::Decimal { precision, scale } = *inputs.result else {
        return internal_err!("decimal arithmetic makes {}", inputs.result);
    };
    let (left, right) = (operand(inputs, 0)?, operand(inputs, 1)?);
    let step = Step { operation, s1: left.scale(), s2: right.scale(), precision, scale };
    let rows = inputs.rows;
    let array = match (&left, &right) {
        (Operand::Decimal(a, _), Operand::Decimal(b, _)) => step.run(a, b, rows),
        (Operand::Decimal(a, _), Operand::BigInt(b)) => step.run(a, b, rows),
        (Operand::BigInt(a), Operand::Decimal(b, _)) => step.run(a, b, rows),
        (Operand::BigInt(a), Operand::BigInt(b)) => step.run(a, b, rows),
    }?;
    Ok(Arc::new(array.with_precision_and_scale(precision, scale)?))
}

struct Step {
    operation: Operation,
    s1: i8,
    s2: i8,
    precision: u8,
    scale: i8,
}

/// NULL where one of the columns is.
pub(super) fn nulls_of<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    left: &Primitives<'_, A>,
    right: &Primitives<'_, B>,
    rows: usize,
) -> Option<NullBuffer> {
    fn of<T: ArrowPrimitiveType>(column: &Primitives<'_, T>, rows: usize) -> Option<NullBuffer> {
        match column.is_constant() {
            true => column.array.is_null(0).then(|| NullBuffer::new_null(rows)),
            false => column.array.nulls().cloned(),
        }
    }
    NullBuffer::union(of(left, rows).as_ref(), of(right, rows).as_ref())
}

/// One value a row, computed for NULL rows too: `f` must not fail on any values.
pub(super) fn map2<A, B, O>(
    left: &Primitives<'_, A>,
    right: &Primitives<'_, B>,
    rows: usize,
    f: impl Fn(A::Native, B::Native) -> O::Native,
) -> PrimitiveArray<O>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let nulls = nulls_of(left, right, rows);
    let (a, b) = (left.array.values(), right.array.values());
    let values: Vec<O::Native> = match (left.is_constant(), right.is_constant()) {
        (false, false) => a.iter().zip(b.iter()).map(|(a, b)| f(*a, *b)).collect(),
        (false, true) => {
            let b = b[0];
            a.iter().map(|a| f(*a, b)).collect()
        }
        (true, false) => {
            let a = a[0];
            b.iter().map(|b| f(a, *b)).collect()
        }
        (true, true) => vec![f(a[0], b[0]); rows],
    };
    PrimitiveArray::new(values.into(), nulls)
}

/// One value a row that is not NULL; `f` may fail, or give NULL.
pub(super) fn try_map2<A, B, O>(
    left: &Primitives<'_, A>,
    right: &Primitives<'_, B>,
    rows: usize,
    f: impl Fn(A::Native, B::Native) -> Result<Option<O::Native>>,
) -> Result<PrimitiveArray<O>>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let mut builder = arrow::array::PrimitiveBuilder::<O>::with_capacity(rows);
    for row in 0..rows {
        match (left.get(row), right.get(row)) {
            (Some(a), Some(b)) => builder.append_option(f(a, b)?),
            _ => builder.append_null(),
        }
    }
    Ok(builder.finish())
}

impl Step {
    fn run<A, B>(
        &self,
        left: &Primitives<'_, A>,
        right: &Primitives<'_, B>,
        rows: usize,
    ) -> Result<Decimal128Array>
    where
        A: ArrowPrimitiveType<Native: Into<i128>>,
        B: ArrowPrimitiveType<Native: Into<i128>>,
    {
        // Where all digits of the exact result have a place nothing can overflow or be rounded.
        let roomy = self.precision < MAX_PRECISION;
        let common = self.s1.max(self.s2);
        match self.operation {
            Operation::Multiply if roomy && self.scale == self.s1 + self.s2 => {
                Ok(map2(left, right, rows, |a, b| a.into().wrapping_mul(b.into())))
            }
            Operation::Add | Operation::Subtract if roomy && self.scale == common => {
                let up1 = POWERS[(common - self.s1) as usize];
                let sign = if self.operation == Operation::Add { 1 } else { -1 };
                let up2 = sign * POWERS[(common - self.s2) as usize];
                Ok(map2(left, right, rows, |a, b| {
                    a.into().wrapping_mul(up1).wrapping_add(b.into().wrapping_mul(up2))
                }))
            }
            _ => try_map2(left, right, rows, |a, b| self.one(a.into(), b.into())),
        }
    }

    /// One value in full generality.
    fn one(&self, a: i128, b: i128) -> Result<Option<i128>> {
        if b == 0 && matches!(self.operation, Operation::Divide | Operation::Remainder) {
            return exec_err!("division by zero");
        }
        let value = match self.operation {
            Operation::Divide => self.divide(a, b),
            _ => self.exact(a, b),
        };
        Ok(value.filter(|value| fits(*value, self.precision)))
    }

    fn exact(&self, a: i128, b: i128) -> Option<i128> {
        let common = self.s1.max(self.s2);
        let (wide_a, wide_b) = (i256::from_i128(a), i256::from_i128(b));
        let up =
            |value: i256, scale: i8| value.checked_mul(i256::from_i128(POWERS[(common - scale) as usize]));
        let (value, scale) = match self.operation {
            Operation::Multiply => (wide_a.checked_mul(wide_b)?, self.s1 + self.s2),
            Operation::Add => (up(wide_a, self.s1)?.checked_add(up(wide_b, self.s2)?)?, common),
            Operation::Subtract => (up(wide_a, self.s1)?.checked_sub(up(wide_b, self.s2)?)?, common),
            _ => (up(wide_a, self.s1)?.checked_rem(up(wide_b, self.s2)?)?, common),
        };
        narrow(value, scale, self.scale)
    }

    fn divide(&self, a: i128, b: i128) -> Option<i128> {
        // a / 10^s1 / (b / 10^s2) * 10^scale
        let shift = i32::from(self.scale) + i32::from(self.s2) - i32::from(self.s1);
        let (numerator, denominator) = if b < 0 { (a.checked_neg()?, b.checked_neg()?) } else { (a, b) };
        if (0..=38).contains(&shift)
            && let Some(numerator) = numerator.checked_mul(POWERS[shift as usize])
        {
            return Some(divide_half_up(numerator, denominator));
        }
        let (mut numerator, mut denominator) = (i256::from_i128(numerator), i256::from_i128(denominator));
        let power = |digits: i32| i256::from_i128(10).checked_pow(digits.unsigned_abs());
        match shift >= 0 {
            true => numerator = numerator.checked_mul(power(shift)?)?,
            false => denominator = denominator.checked_mul(power(shift)?)?,
        }
        wide_half_up(numerator, denominator)?.to_i128()
    }
}

/// `value / divisor`, rounded half away from zero; `divisor` is positive.
fn wide_half_up(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let rest = value.checked_rem(divisor)?.wrapping_abs();
    match rest >= divisor.checked_sub(rest)? {
        true if value < i256::ZERO => quotient.checked_sub(i256::ONE),
        true => quotient.checked_add(i256::ONE),
        false => Some(quotient),
    }
}

fn narrow(value: i256, from: i8, to: i8) -> Option<i128> {
    match from.cmp(&to) {
        std::cmp::Ordering::Greater => {
            let divisor = i256::from_i128(10).checked_pow(u32::from((from - to).unsigned_abs()))?;
            wide_half_up(value, divisor)?.to_i128()
        }
        std::cmp::Ordering::Equal => value.to_i128(),
        std::cmp::Ordering::Less => rescale(value.to_i128()?, from, to),
    }
}
