//! The variance family over decimals, each step in the type that Flink's arithmetic gives it.
//!
//! Flink computes `(SUM(x * x) - SUM(x) * SUM(x) / COUNT(x)) / COUNT(x)`, where a result that needs more than 38 digits loses
//! digits behind the point, but for six: so squares, quotients and the difference are rounded to scales of their own.

use super::columns::Value;
use super::fixed::Kernel;
use super::numeric::{OUT_OF_RANGE, Summand, divided};
use arrow::datatypes::i256;

/// Digits of a DECIMAL at most.
const MAX_PRECISION: i32 = 38;
/// Digits behind the point that a result keeps, if it has as many.
const KEPT_SCALE: i32 = 6;

/// Words: sum of squares, sum, count.
#[derive(Clone, Copy)]
pub(crate) struct DecimalVariance {
    sample: bool,
    square_root: bool,
    /// of the argument
    scale: i32,
    /// of a square
    squares: i32,
    /// of the square of the sum
    square: i32,
    /// of that divided by the count
    quotient: i32,
    /// of the difference
    difference: i32,
    /// of the variance
    variance: i32,
    /// of the result
    output: i32,
}

/// The scale of a result that would have so many digits.
fn fitted(precision: i32, scale: i32) -> i32 {
    match precision <= MAX_PRECISION {
        true => scale,
        false => (MAX_PRECISION - (precision - scale)).max(scale.min(KEPT_SCALE)),
    }
}

/// The scale of a DECIMAL(38, scale) divided by a BIGINT.
fn quotient_scale(scale: i32) -> i32 {
    let full = (scale + 20).max(KEPT_SCALE);
    fitted(MAX_PRECISION - scale + full, full)
}

impl DecimalVariance {
    /// Over DECIMAL(precision, scale), to a scale of `output`.
    pub(crate) fn new(sample: bool, square_root: bool, precision: u8, scale: i8, output: i8) -> Self {
        let (precision, scale) = (i32::from(precision), i32::from(scale));
        let squares = fitted(2 * precision + 1, 2 * scale);
        let square = fitted(2 * MAX_PRECISION + 1, 2 * scale);
        let quotient = quotient_scale(square);
        let longer = squares.max(quotient);
        let whole = (MAX_PRECISION - squares).max(MAX_PRECISION - quotient) + 1;
        let difference = fitted(whole + longer, longer);
        let variance = quotient_scale(difference);
        DecimalVariance {
            sample,
            square_root,
            scale,
            squares,
            square,
            quotient,
            difference,
            variance,
            output: i32::from(output),
        }
    }

    pub(crate) fn scale_of_squares(&self) -> i8 {
        self.squares as i8
    }

    fn square_of(&self, value: i128) -> i128 {
        let exact = i256::from_i128(value).wrapping_mul(i256::from_i128(value));
        rescaled(exact, 2 * self.scale, self.squares).unwrap_or(OUT_OF_RANGE)
    }
}

fn power(digits: i32) -> Option<i256> {
    let ten = i256::from_i128(10);
    (0..digits).try_fold(i256::ONE, |product, _| product.checked_mul(ten))
}

/// The same number with another scale; `None` if it has too many digits.
fn rescaled(value: i256, from: i32, to: i32) -> Option<i128> {
    quotient(value, from, i256::ONE, to)
}

/// `value / by`, both scales given; `None` if it has too many digits.
fn quotient(value: i256, from: i32, by: i256, to: i32) -> Option<i128> {
    let scaled = value.checked_mul(power((to - from).max(0))?)?;
    let divisor = by.checked_mul(power((from - to).max(0))?)?;
    divided(scaled, divisor).to_i128().filter(|value| value.unsigned_abs() < 10_u128.pow(38))
}

impl Kernel for DecimalVariance {
    type In = i128;
    type Out = i128;
    const WORDS: usize = 5;
    const FORGETS: bool = false;

    fn add(&self, words: &mut [u64], value: i128) {
        i128::load(words).plus(self.square_of(value)).store(words);
        i128::load(&words[2..]).plus(value).store(&mut words[2..]);
        words[4] = words[4].wrapping_add(1);
    }

    fn retract(&self, words: &mut [u64], value: i128) {
        i128::load(words).minus(self.square_of(value)).store(words);
        i128::load(&words[2..]).minus(value).store(&mut words[2..]);
        words[4] = words[4].wrapping_sub(1);
    }

    fn result(&self, words: &[u64]) -> Option<i128> {
        let (squares, sum, count) = (i128::load(words), i128::load(&words[2..]), words[4] as i64);
        let divisor = if self.sample { count - 1 } else { count };
        if count == 0 || divisor == 0 || !squares.in_range() || !sum.in_range() {
            return None;
        }
        let square = i256::from_i128(sum).wrapping_mul(i256::from_i128(sum));
        let square = rescaled(square, 2 * self.scale, self.square)?;
        let by = |count: i64| i256::from_i128(i128::from(count));
        let mean = quotient(i256::from_i128(square), self.square, by(count), self.quotient)?;
        // Both with as many digits as the longer one has: the difference is exact until it is cut.
        let longer = self.squares.max(self.quotient);
        let widened = |value: i128, scale: i32| i256::from_i128(value).checked_mul(power(longer - scale)?);
        let difference = widened(squares, self.squares)?.checked_sub(widened(mean, self.quotient)?)?;
        let difference = rescaled(difference, longer, self.difference)?;
        let variance = quotient(i256::from_i128(difference), self.difference, by(divisor), self.variance)?;
        if !self.square_root {
            return rescaled(i256::from_i128(variance), self.variance, self.output);
        }
        let root = (variance as f64 / 10_f64.powi(self.variance)).powf(0.5);
        decimal_of(root, self.output)
    }

    fn merge(&self, words: &mut [u64], other: &[u64]) {
        i128::load(words).plus(i128::load(other)).store(words);
        i128::load(&words[2..]).plus(i128::load(&other[2..])).store(&mut words[2..]);
        words[4] = words[4].wrapping_add(other[4]);
    }
}

/// The shortest digits that mean `value`, rounded to `scale`; `None` for what is no number.
fn decimal_of(value: f64, scale: i32) -> Option<i128> {
    let text = format!("{value}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    rescaled(i256::from_i128(digits), fraction.len() as i32, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// VAR_POP, VAR_SAMP, STDDEV_POP and STDDEV_SAMP of values with `scale` digits behind the point.
    fn family(precision: u8, scale: i8, values: &[i128]) -> [Option<i128>; 4] {
        let output = scale.max(6);
        [(false, false), (true, false), (false, true), (true, true)].map(|(sample, square_root)| {
            let kernel = DecimalVariance::new(sample, square_root, precision, scale, output);
            let mut words = [0; 5];
            for value in values {
                kernel.add(&mut words, *value);
            }
            kernel.add(&mut words, 77);
            kernel.retract(&mut words, 77);
            kernel.result(&words)
        })
    }

    /// The answers of Flink 2.2.1 over 1.10, 2.25 and 4.
    #[test]
    fn each_step_is_rounded_as_flink_rounds_it() {
        assert_eq!(
            family(10, 2, &[110, 225, 400]),
            [Some(1_421_667), Some(2_132_500), Some(1_192_337), Some(1_460_308)]
        );
        assert_eq!(
            family(20, 8, &[110_000_000, 225_000_000, 400_000_000]),
            [Some(142_166_700), Some(213_250_000), Some(119_233_678), Some(146_030_819)]
        );
        let unit = 10_i128.pow(16);
        assert_eq!(
            family(38, 18, &[110 * unit, 225 * unit, 400 * unit]),
            [
                Some(1_421_667_000_000_000_000),
                Some(2_132_500_000_000_000_000),
                Some(1_192_336_781_282_872_200),
                Some(1_460_308_186_651_023_200),
            ]
        );
    }

    #[test]
    fn one_value_has_no_sample_and_none_has_nothing() {
        assert_eq!(family(10, 2, &[110]), [Some(0), None, Some(0), None]);
        assert_eq!(family(10, 2, &[]), [None; 4]);
        assert_eq!(
            family(5, 0, &[1, 3]),
            [Some(1_000_000), Some(2_000_000), Some(1_000_000), Some(1_414_214)]
        );
    }

    #[test]
    fn what_does_not_fit_is_null() {
        let kernel = DecimalVariance::new(false, false, 38, 0, 6);
        let mut words = [0; 5];
        kernel.add(&mut words, 10_i128.pow(38) - 1);
        assert_eq!(kernel.result(&words), None);
    }
}
