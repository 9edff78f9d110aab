//! The text of numbers.
//!
//! DOUBLE and FLOAT are written as Java's `Double.toString` does (JDK 19 and later: the shortest digits that read back
//! as the same number, at least two of them); DECIMAL as `BigDecimal` in three ways.

/// Appends an integer.
#[inline]
pub fn append_integer<I: itoa::Integer>(out: &mut Vec<u8>, value: I) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a DOUBLE: `1.0`, `0.001`, `1.0E7`, `1.0E-4`, `NaN`, `-Infinity`.
pub fn append_double(out: &mut Vec<u8>, value: f64) {
    let subnormal = (value != 0.0 && value.abs() < f64::MIN_POSITIVE).then(|| format!("{value:.1e}"));
    let two_digits = subnormal.filter(|text| text.parse() == Ok(value));
    append_shortest(out, value, value, two_digits.as_deref());
}

/// Appends a FLOAT; as [`append_double`], with the digits of a 32-bit number.
pub fn append_float(out: &mut Vec<u8>, value: f32) {
    let subnormal = (value != 0.0 && value.abs() < f32::MIN_POSITIVE).then(|| format!("{value:.1e}"));
    let two_digits = subnormal.filter(|text| text.parse() == Ok(value));
    append_shortest(out, value, f64::from(value), two_digits.as_deref());
}

/// `wide` is `value` as a DOUBLE. The smallest numbers have less than two digits of precision; Java still writes the two that
/// are nearest, which are `two_digits`.
fn append_shortest<F: zmij::Float>(out: &mut Vec<u8>, value: F, wide: f64, two_digits: Option<&str>) {
    if let Some(special) = special_text(wide) {
        out.extend_from_slice(special);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(value);
    if (1e-3..1e7).contains(&wide.abs()) || wide == 0.0 {
        out.extend_from_slice(shortest.as_bytes());
        return;
    }
    let digits = Digits::of(shortest);
    match two_digits {
        Some(two_digits) if digits.count() < 2 => append_scientific(out, &Digits::of(two_digits)),
        _ => append_scientific(out, &digits),
    }
}

fn special_text(value: f64) -> Option<&'static [u8]> {
    if value.is_finite() {
        None
    } else if value.is_nan() {
        Some(b"NaN")
    } else if value > 0.0 {
        Some(b"Infinity")
    } else {
        Some(b"-Infinity")
    }
}

/// The significant digits of a number and the power of ten of the first one.
struct Digits {
    negative: bool,
    digits: [u8; 24],
    len: usize,
    exponent: i32,
}

impl Digits {
    /// Of a decimal text with digits, a point and an exponent, each optional; not zero.
    fn of(text: &str) -> Digits {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
            None => (text, 0),
        };
        let mut found = Digits { negative: false, digits: [b'0'; 24], len: 0, exponent };
        let (mut point_seen, mut first_power) = (false, -1);
        for byte in mantissa.bytes() {
            match byte {
                b'-' => found.negative = true,
                b'.' => point_seen = true,
                b'0' if found.len == 0 => first_power -= i32::from(point_seen),
                _ => {
                    first_power += i32::from(!point_seen);
                    if let Some(slot) = found.digits.get_mut(found.len) {
                        *slot = byte;
                        found.len += 1;
                    }
                }
            }
        }
        while found.len > 1 && found.digits[found.len - 1] == b'0' {
            found.len -= 1;
        }
        found.exponent += first_power;
        found
    }

    fn count(&self) -> usize {
        self.len
    }
}

fn append_scientific(out: &mut Vec<u8>, digits: &Digits) {
    if digits.negative {
        out.push(b'-');
    }
    out.push(digits.digits[0]);
    out.push(b'.');
    out.extend_from_slice(if digits.len > 1 { &digits.digits[1..digits.len] } else { b"0" });
    out.push(b'E');
    append_integer(out, digits.exponent);
}

/// Appends a DECIMAL with all digits of its scale: `5.00`, `0.0000001000`. Java's `BigDecimal.toPlainString`; a
/// negative scale adds zeros.
pub fn append_decimal_plain(out: &mut Vec<u8>, unscaled: i128, scale: i32) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs()).as_bytes();
    if scale <= 0 {
        out.extend_from_slice(digits);
        if unscaled != 0 {
            out.resize(out.len() + scale.unsigned_abs() as usize, b'0');
        }
        return;
    }
    let scale = scale as usize;
    match digits.len().checked_sub(scale) {
        Some(whole) if whole > 0 => {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
        _ => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + scale - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
    }
}

/// Appends a DECIMAL as Java's `BigDecimal.toString`: plain unless the scale is negative or more than six zeros would
/// follow the point, then `1.000E-7`.
pub fn append_decimal_java(out: &mut Vec<u8>, unscaled: i128, scale: i32) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs()).as_bytes();
    let exponent = digits.len() as i32 - 1 - scale;
    if scale >= 0 && exponent >= -6 {
        append_decimal_plain(out, unscaled, scale);
        return;
    }
    if unscaled < 0 {
        out.push(b'-');
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    if exponent != 0 {
        out.push(b'E');
        if exponent > 0 {
            out.push(b'+');
        }
        append_integer(out, exponent);
    }
}

/// Unscaled value and scale without trailing zeros, as `BigDecimal.stripTrailingZeros`; zero has scale 0.
pub fn strip_trailing_zeros(mut unscaled: i128, mut scale: i32) -> (i128, i32) {
    if unscaled == 0 {
        return (0, 0);
    }
    // Most values fit into 64 bits, where a division is far cheaper.
    if let Ok(mut small) = i64::try_from(unscaled) {
        while small % 10 == 0 {
            small /= 10;
            scale -= 1;
        }
        return (i128::from(small), scale);
    }
    while unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    (unscaled, scale)
}

/// Appends a DECIMAL as the json and csv formats do: stripped of trailing zeros, then as Java's
/// `BigDecimal.toString`: `5`, `971.56`, `2.043E+4`, `1E-7`.
pub fn append_decimal_stripped(out: &mut Vec<u8>, unscaled: i128, scale: i32) {
    let (unscaled, scale) = strip_trailing_zeros(unscaled, scale);
    append_decimal_java(out, unscaled, scale);
}
