//! Hyperbolic functions by the formulas that Java's `StrictMath` is specified with, whose last digit differs from other
//! libraries' now and then.

pub(super) fn sinh(x: f64) -> f64 {
    let (magnitude, half) = (x.abs(), if x < 0.0 { -0.5 } else { 0.5 });
    if magnitude < 22.0 {
        if magnitude < 2f64.powi(-28) {
            return x;
        }
        let t = magnitude.exp_m1();
        return match magnitude < 1.0 {
            true => half * (2.0 * t - t * t / (t + 1.0)),
            false => half * (t + t / (t + 1.0)),
        };
    }
    large(magnitude, half)
}

pub(super) fn cosh(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude < 0.5 * std::f64::consts::LN_2 {
        let t = magnitude.exp_m1();
        let w = 1.0 + t;
        return if magnitude < 2f64.powi(-55) { w } else { 1.0 + (t * t) / (w + w) };
    }
    if magnitude < 22.0 {
        let t = exp(magnitude);
        return 0.5 * t + 0.5 / t;
    }
    large(magnitude, 0.5)
}

/// The exponential of 0.3 to 22, whose last digit differs from the nearest number now and then: `x = k ln 2 + r` with a
/// short `r`, and a rational approximation of `exp(r)` whose coefficients are those that `StrictMath` is specified with.
fn exp(x: f64) -> f64 {
    /// ln 2 in two parts: products of the first with small integers are exact.
    const LN2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);
    const COEFFICIENTS: [f64; 5] = [
        1.666_666_666_666_660_2e-1,
        -2.777_777_777_701_559_3e-3,
        6.613_756_321_437_934e-5,
        -1.653_390_220_546_525_2e-6,
        4.138_136_797_057_238_5e-8,
    ];
    let k = match x {
        _ if x <= 0.5 * std::f64::consts::LN_2 => 0.0,
        _ if x < 1.5 * std::f64::consts::LN_2 => 1.0,
        _ => (x * std::f64::consts::LOG2_E + 0.5).trunc(),
    };
    let (high, low) = (x - k * LN2.0, k * LN2.1);
    let r = high - low;
    let t = r * r;
    let c = r - t * COEFFICIENTS.iter().rev().fold(0.0, |sum, coefficient| coefficient + t * sum);
    let power = match k {
        0.0 => 1.0 - (r * c / (c - 2.0) - r),
        _ => 1.0 - ((low - r * c / (2.0 - c)) - high),
    };
    power * k.exp2()
}

/// `half * exp(magnitude)`, in two steps where the exponential alone would overflow.
fn large(magnitude: f64, half: f64) -> f64 {
    if magnitude < f64::MAX.ln() {
        return half * magnitude.exp();
    }
    let w = (0.5 * magnitude).exp();
    half * w * w
}

pub(super) fn tanh(x: f64) -> f64 {
    let magnitude = x.abs();
    let z = if magnitude >= 22.0 {
        1.0
    } else if magnitude < 2f64.powi(-55) {
        return x * (1.0 + x);
    } else if magnitude >= 1.0 {
        1.0 - 2.0 / ((2.0 * magnitude).exp_m1() + 2.0)
    } else {
        let t = (-2.0 * magnitude).exp_m1();
        -t / (t + 2.0)
    };
    if x < 0.0 { -z } else { z }
}
