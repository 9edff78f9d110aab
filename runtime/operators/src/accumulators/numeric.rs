//! Kernels of the functions whose accumulators have a fixed width.

use super::columns::Value;
use super::fixed::Kernel;
use arrow::datatypes::{ArrowNativeType, i256};
use std::marker::PhantomData;

/// COUNT. Words: count.
#[derive(Clone, Copy)]
pub(crate) struct Count;

impl Kernel for Count {
    type In = i64;
    type Out = i64;
    const WORDS: usize = 1;

    #[inline(always)]
    fn add(&self, words: &mut [u64], _value: i64) {
        words[0] = words[0].wrapping_add(1);
    }

    #[inline(always)]
    fn retract(&self, words: &mut [u64], _value: i64) {
        words[0] = words[0].wrapping_sub(1);
    }

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<i64> {
        Some(words[0] as i64)
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        words[0] = words[0].wrapping_add(other[0]);
    }
}

/// Sums as Flink's `+` has them.
pub(crate) trait Summand: Value + ArrowNativeType {
    /// Taking a value away leaves what was there before it was added.
    const FORGETS: bool;

    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// False for a sum that went out of range and is NULL.
    fn in_range(self) -> bool {
        true
    }
}

/// Integers wrap. A narrower type wraps when its result is cut: both are arithmetic modulo a power of two.
impl Summand for i64 {
    const FORGETS: bool = true;

    #[inline(always)]
    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: i64) -> i64 {
        self.wrapping_sub(other)
    }
}

impl Summand for f64 {
    const FORGETS: bool = false;

    #[inline(always)]
    fn plus(self, other: f64) -> f64 {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: f64) -> f64 {
        self - other
    }
}

/// One more than the largest DECIMAL of 38 digits.
const DECIMAL_LIMIT: i128 = 10_i128.pow(38);
/// A DECIMAL sum that went out of range: NULL, and the next value starts a new sum, as in Flink.
pub(crate) const OUT_OF_RANGE: i128 = i128::MIN;

impl Summand for i128 {
    const FORGETS: bool = false;

    #[inline(always)]
    fn plus(self, other: i128) -> i128 {
        if self == OUT_OF_RANGE {
            return other;
        }
        match self.checked_add(other) {
            Some(sum) if -DECIMAL_LIMIT < sum && sum < DECIMAL_LIMIT => sum,
            _ => OUT_OF_RANGE,
        }
    }

    #[inline(always)]
    fn minus(self, other: i128) -> i128 {
        if other == OUT_OF_RANGE { self } else { self.plus(-other) }
    }

    #[inline(always)]
    fn in_range(self) -> bool {
        self != OUT_OF_RANGE
    }
}

/// SUM. Words: sum, count of the values in it. NULL over no values, or 0 for `$SUM0`.
#[derive(Clone, Copy)]
pub(crate) struct Sum<T> {
    zero_if_none: bool,
    /// FLOAT: each step is rounded to 32 bits
    single: bool,
    of: PhantomData<T>,
}

impl<T> Sum<T> {
    pub(crate) fn new(zero_if_none: bool, single: bool) -> Self {
        Sum { zero_if_none, single, of: PhantomData }
    }
}

/// Rounds a FLOAT's sum.
pub(crate) trait Round {
    fn round(self, single: bool) -> Self;
}

impl Round for i64 {
    #[inline(always)]
    fn round(self, _single: bool) -> i64 {
        self
    }
}

impl Round for i128 {
    #[inline(always)]
    fn round(self, _single: bool) -> i128 {
        self
    }
}

impl Round for f64 {
    #[inline(always)]
    fn round(self, single: bool) -> f64 {
        if single { f64::from(self as f32) } else { self }
    }
}

impl<T: Summand + Round> Kernel for Sum<T> {
    type In = T;
    type Out = T;
    const WORDS: usize = T::WORDS + 1;
    const FORGETS: bool = T::FORGETS;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: T) {
        T::load(words).plus(value).round(self.single).store(words);
        words[T::WORDS] = words[T::WORDS].wrapping_add(1);
    }

    #[inline(always)]
    fn retract(&self, words: &mut [u64], value: T) {
        T::load(words).minus(value).round(self.single).store(words);
        words[T::WORDS] = words[T::WORDS].wrapping_sub(1);
    }

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<T> {
        let sum = T::load(words);
        if words[T::WORDS] == 0 {
            return self.zero_if_none.then(T::default);
        }
        sum.in_range().then_some(sum)
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        // Rows that were added and taken back may leave a sum of no rows.
        if other[..=T::WORDS].iter().any(|word| *word != 0) {
            T::load(words).plus(T::load(other)).round(self.single).store(words);
            words[T::WORDS] = words[T::WORDS].wrapping_add(other[T::WORDS]);
        }
    }
}

/// A sum divided by a count, as Flink does for the type.
pub(crate) trait Average: Summand + Round {
    type Scaling: Copy + Send + 'static;
    fn divide(self, count: i64, scaling: Self::Scaling) -> Self;
}

/// Cut towards zero.
impl Average for i64 {
    type Scaling = ();

    #[inline(always)]
    fn divide(self, count: i64, (): ()) -> i64 {
        self.wrapping_div(count)
    }
}

impl Average for f64 {
    type Scaling = ();

    #[inline(always)]
    fn divide(self, count: i64, (): ()) -> f64 {
        self / count as f64
    }
}

/// A quotient, rounded half away from zero.
pub(super) fn divided(value: i256, by: i256) -> i256 {
    let (quotient, rest) = (value.wrapping_div(by), value.wrapping_rem(by));
    let away = rest.wrapping_abs().wrapping_mul(i256::from_i128(2)) >= by.wrapping_abs();
    let step = if value.is_negative() == by.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    if away { quotient.wrapping_add(step) } else { quotient }
}

/// To a scale of so many digits more, rounded half away from zero.
impl Average for i128 {
    type Scaling = u32;

    fn divide(self, count: i64, digits: u32) -> i128 {
        let count = i128::from(count);
        let factor = 10_i128.pow(digits);
        let Some(scaled) = self.checked_mul(factor) else {
            // 10^38 times 10^6 does not fit 128 bits.
            let scaled = i256::from_i128(self).wrapping_mul(i256::from_i128(factor));
            return divided(scaled, i256::from_i128(count)).to_i128().unwrap_or(OUT_OF_RANGE);
        };
        let (quotient, rest) = (scaled / count, scaled % count);
        if rest.abs() * 2 < count.abs() {
            quotient
        } else if scaled.is_negative() == count.is_negative() {
            quotient + 1
        } else {
            quotient - 1
        }
    }
}

/// AVG. Words: sum, count.
#[derive(Clone, Copy)]
pub(crate) struct Avg<T: Average> {
    pub(crate) scaling: T::Scaling,
}

impl<T: Average> Kernel for Avg<T> {
    type In = T;
    type Out = T;
    const WORDS: usize = T::WORDS + 1;
    const FORGETS: bool = T::FORGETS;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: T) {
        T::load(words).plus(value).store(words);
        words[T::WORDS] = words[T::WORDS].wrapping_add(1);
    }

    #[inline(always)]
    fn retract(&self, words: &mut [u64], value: T) {
        T::load(words).minus(value).store(words);
        words[T::WORDS] = words[T::WORDS].wrapping_sub(1);
    }

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<T> {
        let (sum, count) = (T::load(words), words[T::WORDS] as i64);
        if count == 0 || !sum.in_range() {
            return None;
        }
        Some(sum.divide(count, self.scaling)).filter(|average| average.in_range())
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        // Rows that were added and taken back may leave a sum of no rows.
        if other[..=T::WORDS].iter().any(|word| *word != 0) {
            T::load(words).plus(T::load(other)).store(words);
            words[T::WORDS] = words[T::WORDS].wrapping_add(other[T::WORDS]);
        }
    }
}

/// MIN, MAX, FIRST_VALUE, LAST_VALUE, SINGLE_VALUE over rows that are never taken back. Words: value, number
/// of values seen (as far as it matters: 0, 1, or 2 for more).
#[derive(Clone, Copy)]
pub(crate) struct One<T, const KEEP: u8> {
    of: PhantomData<T>,
}

impl<T, const KEEP: u8> One<T, KEEP> {
    pub(crate) fn new() -> Self {
        One { of: PhantomData }
    }
}

impl<T: Value + ArrowNativeType, const KEEP: u8> Kernel for One<T, KEEP> {
    type In = T;
    type Out = T;
    const WORDS: usize = T::WORDS + 1;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: T) {
        let seen = words[T::WORDS] != 0;
        let replace = match KEEP {
            MIN => value < T::load(words),
            MAX => value > T::load(words),
            LAST => true,
            _ => false,
        };
        if !seen || replace {
            value.store(words);
        }
        words[T::WORDS] = if seen && KEEP == SINGLE { 2 } else { 1 };
    }

    /// SINGLE_VALUE alone is let over an input that retracts: an update takes the old value back first.
    #[inline(always)]
    fn retract(&self, words: &mut [u64], _value: T) {
        words.fill(0);
    }

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<T> {
        (words[T::WORDS] != 0).then(|| T::load(words))
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        if other[T::WORDS] != 0 {
            self.add(words, T::load(other));
        }
    }

    #[inline(always)]
    fn is_broken(&self, words: &[u64]) -> bool {
        KEEP == SINGLE && words[T::WORDS] == 2
    }
}

pub(crate) const MIN: u8 = 0;
pub(crate) const MAX: u8 = 1;
pub(crate) const FIRST: u8 = 2;
pub(crate) const LAST: u8 = 3;
pub(crate) const SINGLE: u8 = 4;

/// RANK, and DENSE_RANK, of rows that come in their order. Words: number of rows, rank, what the last one was ordered by.
#[derive(Clone, Copy)]
pub(crate) struct RankOf<const DENSE: bool>;

impl<const DENSE: bool> Kernel for RankOf<DENSE> {
    type In = i64;
    type Out = i64;
    const WORDS: usize = 3;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: i64) {
        words[0] += 1;
        if words[0] == 1 || words[2] != value as u64 {
            words[1] = if DENSE { words[1] + 1 } else { words[0] };
            words[2] = value as u64;
        }
    }

    /// Not called: rows of OVER without a frame are not counted out.
    fn retract(&self, _words: &mut [u64], _value: i64) {}

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<i64> {
        Some(words[1] as i64)
    }

    /// Not called: only windows merge, and they have no ranks.
    fn merge(&self, _words: &mut [u64], _other: &[u64]) {}
}

/// BIT_AND, BIT_OR, BIT_XOR, and BOOL_AND, BOOL_OR over 0 and 1. Words: value, whether there is one.
#[derive(Clone, Copy)]
pub(crate) struct Bits<const OP: u8>;

pub(crate) const AND: u8 = 0;
pub(crate) const OR: u8 = 1;
pub(crate) const XOR: u8 = 2;

impl<const OP: u8> Kernel for Bits<OP> {
    type In = i64;
    type Out = i64;
    const WORDS: usize = 2;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: i64) {
        let value = value as u64;
        words[0] = match OP {
            _ if words[1] == 0 => value,
            AND => words[0] & value,
            OR => words[0] | value,
            _ => words[0] ^ value,
        };
        words[1] = 1;
    }

    /// Not called: these functions cannot take a row back and are refused over an input that retracts.
    fn retract(&self, _words: &mut [u64], _value: i64) {}

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<i64> {
        (words[1] != 0).then_some(words[0] as i64)
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        if other[1] != 0 {
            self.add(words, other[0] as i64);
        }
    }
}

/// The variance family, by Flink's own rewriting: `(SUM(x*x) - SUM(x)*SUM(x)/n) / n`, and its square root.
/// Words: sum of squares, sum, count.
#[derive(Clone, Copy)]
pub(crate) struct Variance {
    /// divides by n - 1; NULL for one value
    pub(crate) sample: bool,
    pub(crate) square_root: bool,
}

impl Kernel for Variance {
    type In = f64;
    type Out = f64;
    const WORDS: usize = 3;
    const FORGETS: bool = false;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: f64) {
        (f64::load(words) + value * value).store(words);
        (f64::load(&words[1..]) + value).store(&mut words[1..]);
        words[2] = words[2].wrapping_add(1);
    }

    #[inline(always)]
    fn retract(&self, words: &mut [u64], value: f64) {
        (f64::load(words) - value * value).store(words);
        (f64::load(&words[1..]) - value).store(&mut words[1..]);
        words[2] = words[2].wrapping_sub(1);
    }

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<f64> {
        let (squares, sum, count) = (f64::load(words), f64::load(&words[1..]), words[2] as i64);
        let divisor = if self.sample { count - 1 } else { count };
        if count == 0 || divisor == 0 {
            return None;
        }
        let variance = (squares - sum * sum / count as f64) / divisor as f64;
        Some(if self.square_root { variance.powf(0.5) } else { variance })
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        (f64::load(words) + f64::load(other)).store(words);
        (f64::load(&words[1..]) + f64::load(&other[1..])).store(&mut words[1..]);
        words[2] = words[2].wrapping_add(other[2]);
    }
}

/// The variance family over integers, each step in the type of the argument and cut towards zero, as Flink's rewriting
/// has it. Words: sum of squares, sum, count.
#[derive(Clone, Copy)]
pub(crate) struct IntVariance {
    pub(crate) sample: bool,
    pub(crate) square_root: bool,
    /// width of the type, beyond which values wrap
    pub(crate) bits: u32,
}

impl IntVariance {
    fn wrap(&self, value: i64) -> i64 {
        let unused = 64 - self.bits;
        value << unused >> unused
    }
}

impl Kernel for IntVariance {
    type In = i64;
    type Out = i64;
    const WORDS: usize = 3;

    #[inline(always)]
    fn add(&self, words: &mut [u64], value: i64) {
        i64::load(words).wrapping_add(value.wrapping_mul(value)).store(words);
        i64::load(&words[1..]).wrapping_add(value).store(&mut words[1..]);
        words[2] = words[2].wrapping_add(1);
    }

    #[inline(always)]
    fn retract(&self, words: &mut [u64], value: i64) {
        i64::load(words).wrapping_sub(value.wrapping_mul(value)).store(words);
        i64::load(&words[1..]).wrapping_sub(value).store(&mut words[1..]);
        words[2] = words[2].wrapping_sub(1);
    }

    #[inline(always)]
    fn result(&self, words: &[u64]) -> Option<i64> {
        let (squares, sum) = (self.wrap(i64::load(words)), self.wrap(i64::load(&words[1..])));
        let count = words[2] as i64;
        let divisor = if self.sample { count - 1 } else { count };
        if count == 0 || divisor == 0 {
            return None;
        }
        let mean_square = self.wrap(sum.wrapping_mul(sum)).wrapping_div(count);
        let variance = squares.wrapping_sub(mean_square).wrapping_div(divisor);
        Some(self.wrap(if self.square_root { (variance as f64).powf(0.5) as i64 } else { variance }))
    }

    #[inline(always)]
    fn merge(&self, words: &mut [u64], other: &[u64]) {
        i64::load(words).wrapping_add(i64::load(other)).store(words);
        i64::load(&words[1..]).wrapping_add(i64::load(&other[1..])).store(&mut words[1..]);
        words[2] = words[2].wrapping_add(other[2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_averages_round_half_away_from_zero() {
        // 3.35 / 2 = 1.675; scale 2 to 6
        assert_eq!(335_i128.divide(2, 4), 1_675_000);
        assert_eq!(1_i128.divide(3, 4), 3_333);
        assert_eq!(2_i128.divide(3, 4), 6_667);
        assert_eq!((-1_i128).divide(2, 0), -1);
        assert_eq!(1_i128.divide(2, 0), 1);
        let large = 10_i128.pow(38) - 1;
        assert_eq!(large.divide(1, 6), OUT_OF_RANGE);
        assert_eq!(large.divide(1_000_000, 6), large);
        assert_eq!((-large).divide(2_000_000, 6), -(large + 1) / 2);
    }

    #[test]
    fn a_decimal_sum_out_of_range_is_null_and_starts_anew() {
        let sum = Sum::<i128>::new(false, false);
        let mut words = [0; 3];
        sum.add(&mut words, DECIMAL_LIMIT - 1);
        sum.add(&mut words, 1);
        assert_eq!(sum.result(&words), None);
        sum.add(&mut words, 7);
        assert_eq!(sum.result(&words), Some(7));
    }

    #[test]
    fn integers_wrap() {
        let sum = Sum::<i64>::new(false, false);
        let mut words = [0; 2];
        assert_eq!(sum.result(&words), None);
        sum.add(&mut words, i64::MAX);
        sum.add(&mut words, 1);
        assert_eq!(sum.result(&words), Some(i64::MIN));
        assert_eq!(Avg::<i64> { scaling: () }.result(&words), Some(i64::MIN / 2));
    }
}
