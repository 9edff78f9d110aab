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
        let t = magnitude.exp();
        return 0.5 * t + 0.5 / t;
    }
    large(magnitude, 0.5)
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
