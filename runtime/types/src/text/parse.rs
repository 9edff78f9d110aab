//! Text to values, by the rules of Flink's CAST from STRING and of the formats.
//!
//! Nothing here allocates for what is well formed; `None` means that the text is no value of the type.

use super::LocalDateTime;
use super::datetime::{days_of_civil, days_of_month};
use std::borrow::Cow;

/// BOOLEAN of CAST: `true`, `t`, `yes`, `y`, `1` and their opposites, in any case, spaces around them ignored.
pub fn cast_boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    let is = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// An integer as Java's `Long.parseLong`: an optional sign and digits, nothing else. The caller checks the range of
/// narrower types.
#[inline]
pub fn java_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Counted downwards, since the smallest number has no positive counterpart.
    let mut value = 0i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// An integer as CAST reads it: as [`java_integer`], spaces around it and digits after a point ignored (`12.9` is 12).
pub fn cast_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let Some((whole, fraction)) = text.split_once('.') else { return java_integer(text.as_bytes()) };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "" => Some(0),
        "-" | "+" => (!fraction.is_empty()).then_some(0),
        _ => java_integer(whole.as_bytes()),
    }
}

/// The text of a floating-point number as Java's `Double.parseDouble` takes it, in a form that Rust takes too.
fn java_float_text(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "NaN" || unsigned == "Infinity" {
        return Some(Cow::Borrowed(text));
    }
    // Java takes the suffixes of its literals.
    let body = unsigned.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(unsigned);
    let numeric = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let begins = body.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    let text = &text[..text.len() - (unsigned.len() - body.len())];
    (begins && body.bytes().all(numeric)).then_some(Cow::Borrowed(text))
}

/// A DOUBLE as Java's `Double.parseDouble`, without hexadecimal literals.
pub fn java_double(text: &str) -> Option<f64> {
    java_float_text(text)?.parse().ok()
}

/// A FLOAT as Java's `Float.parseFloat`, without hexadecimal literals.
pub fn java_float(text: &str) -> Option<f32> {
    java_float_text(text)?.parse().ok()
}

/// What became of a text that was read as DECIMAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsedDecimal {
    /// unscaled, rounded half away from zero
    Value(i128),
    /// more digits before the point than the type has: NULL in Flink's formats and TRY_CAST
    Overflow,
    /// no number
    Malformed,
}

/// A DECIMAL(`precision`, `scale`) as Java's `new BigDecimal(text)` reads it, rounded half up. No spaces:
/// CAST trims first.
pub fn decimal(text: &[u8], precision: u8, scale: i8) -> ParsedDecimal {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        None => (unsigned, 0),
        Some(at) => match java_integer(&unsigned[at + 1..]).and_then(|value| i32::try_from(value).ok()) {
            Some(exponent) => (&unsigned[..at], i64::from(exponent)),
            None => return ParsedDecimal::Malformed,
        },
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..point], mantissa.get(point + 1..).unwrap_or_default());
    let is_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return ParsedDecimal::Malformed;
    }
    // The digits to keep are those up to `scale` places after the point, which the exponent moves.
    let kept = whole.len() as i64 + exponent + i64::from(scale);
    let digits = whole.iter().chain(fraction);
    let total = (whole.len() + fraction.len()) as i64;
    let mut value = 0i128;
    for digit in digits.clone().take(kept.clamp(0, total) as usize) {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(i128::from(digit - b'0')));
        let Some(next) = next else { return ParsedDecimal::Overflow };
        value = next;
    }
    if value != 0 {
        for _ in total..kept {
            let Some(next) = value.checked_mul(10) else { return ParsedDecimal::Overflow };
            value = next;
        }
    }
    if (0..total).contains(&kept) && digits.clone().nth(kept as usize).is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    if value >= 10i128.pow(u32::from(precision.min(38))) {
        return ParsedDecimal::Overflow;
    }
    ParsedDecimal::Value(if negative { -value } else { value })
}

/// What is done with a day that its month does not have, and with 24:00:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// refused
    Strict,
    /// moved to the last day of the month, and to the next day: Java's `ResolverStyle.SMART`
    Smart,
}

/// Reads from the front of a text.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    /// Takes `byte` if it comes next.
    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// The number that `min` to `max` digits make.
    #[inline]
    fn digits(&mut self, min: usize, max: usize) -> Option<u32> {
        let mut value = 0;
        let mut count = 0;
        while count < max {
            match self.0.first() {
                Some(digit @ b'0'..=b'9') => value = value * 10 + u32::from(digit - b'0'),
                _ => break,
            }
            self.0 = &self.0[1..];
            count += 1;
        }
        (count >= min).then_some(value)
    }

    /// Nanoseconds of up to nine digits after a point; 0 without a point.
    fn fraction(&mut self) -> Option<u32> {
        if !self.take(b'.') {
            return Some(0);
        }
        let before = self.0.len();
        let value = self.digits(0, 9)?;
        Some(value * 10u32.pow(9 - (before - self.0.len()) as u32))
    }

    /// A year of four digits; more only after a sign.
    fn year(&mut self) -> Option<i64> {
        match self.0.first()? {
            sign @ (b'+' | b'-') => {
                let negative = *sign == b'-';
                self.0 = &self.0[1..];
                let before = self.0.len();
                let year = i64::from(self.digits(4, 9)?);
                let exceeds = before - self.0.len() > 4;
                (negative || exceeds).then_some(if negative { -year } else { year })
            }
            _ => {
                let year = self.digits(4, 4)?;
                Some(i64::from(year))
            }
        }
    }
}

/// Seconds since 1970-01-01T00:00:00 of midnight.
fn resolve_date(year: i64, month: u32, day: u32, resolve: Resolve) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let last = days_of_month(year, month);
    if day > last && resolve == Resolve::Strict {
        return None;
    }
    Some(days_of_civil(year, month, day.min(last)) * 86_400)
}

fn resolve_clock(hour: u32, minute: u32, second: u32, nanos: u32, resolve: Resolve) -> Option<i64> {
    if (hour, minute, second, nanos) == (24, 0, 0, 0) && resolve == Resolve::Smart {
        return Some(86_400);
    }
    (hour < 24 && minute < 60 && second < 60).then_some(i64::from(hour * 3600 + minute * 60 + second))
}

/// A TIMESTAMP as CAST reads it: `2020-1-2`, `2020-01-02 3:4:5.678`; no `T`. [`LocalDateTime::truncated`] cuts it to
/// the precision.
pub fn cast_timestamp(text: &str) -> Option<LocalDateTime> {
    let mut scanner = Scanner(text.as_bytes());
    let year = scanner.year().filter(|year| *year > 0)?;
    scanner.expect(b'-')?;
    let month = scanner.digits(1, 2)?;
    scanner.expect(b'-')?;
    let day = scanner.digits(1, 2)?;
    let date = resolve_date(year, month, day, Resolve::Smart)?;
    if scanner.0.is_empty() {
        return Some(LocalDateTime { seconds: date, nanos: 0 });
    }
    scanner.expect(b' ')?;
    let hour = scanner.digits(1, 2)?;
    scanner.expect(b':')?;
    let minute = scanner.digits(1, 2)?;
    scanner.expect(b':')?;
    let second = scanner.digits(1, 2)?;
    let nanos = scanner.fraction()?;
    let clock = resolve_clock(hour, minute, second, nanos, Resolve::Smart)?;
    scanner.0.is_empty().then_some(LocalDateTime { seconds: date + clock, nanos })
}

/// A DATE, in days since 1970-01-01, as CAST reads it: `2020-01-02`, `2020-1`, `2020`; what follows a space is
/// ignored.
pub fn cast_date(text: &str) -> Option<i32> {
    let text = match text.find(' ') {
        Some(space) if space > 0 => &text[..space],
        _ => text,
    };
    let mut parts = text.splitn(3, '-').map(small_number);
    let year = parts.next()??;
    let month = parts.next().unwrap_or(Some(1))?;
    let day = parts.next().unwrap_or(Some(1))?;
    if year > 9999 {
        return None;
    }
    let seconds = resolve_date(i64::from(year), month, day, Resolve::Strict)?;
    i32::try_from(seconds / 86_400).ok()
}

/// Digits with spaces around them.
fn small_number(text: &str) -> Option<u32> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A TIME, in milliseconds of the day, as CAST reads it: `3`, `03:04`, `03:04:05.678`; more digits are rounded.
/// Refused where Flink would compute a time outside the day.
pub fn cast_time(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, ':');
    let hour = small_number(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), small_number)?;
    let (second, fraction) = match parts.next() {
        None => (0, ""),
        Some(seconds) => match seconds.split_once('.') {
            None => (small_number(seconds)?, ""),
            Some((whole, fraction)) => (small_number(whole)?, fraction.trim()),
        },
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digit = |place: usize| fraction.as_bytes().get(place).map_or(0, |digit| i32::from(digit - b'0'));
    let millis = digit(0) * 100 + digit(1) * 10 + digit(2) + i32::from(digit(3) >= 5);
    let clock = resolve_clock(hour, minute, second, 0, Resolve::Strict)?;
    Some((clock as i32 * 1000 + millis).min(86_399_999))
}

/// A DATE, in days since 1970-01-01, as Java's `ISO_LOCAL_DATE`: `2020-01-02`.
pub fn iso_date(text: &[u8]) -> Option<i32> {
    let mut scanner = Scanner(text);
    let seconds = scan_iso_date(&mut scanner, Resolve::Strict)?;
    if scanner.0.is_empty() { i32::try_from(seconds / 86_400).ok() } else { None }
}

fn scan_iso_date(scanner: &mut Scanner<'_>, resolve: Resolve) -> Option<i64> {
    let year = scanner.year()?;
    scanner.expect(b'-')?;
    let month = scanner.digits(2, 2)?;
    scanner.expect(b'-')?;
    let day = scanner.digits(2, 2)?;
    resolve_date(year, month, day, resolve)
}

/// How a time of day ends: `HH:mm:ss[.fraction]`, with the seconds left out in ISO texts where they are zero.
fn scan_clock(scanner: &mut Scanner<'_>, seconds_optional: bool, resolve: Resolve) -> Option<(i64, u32)> {
    let hour = scanner.digits(2, 2)?;
    scanner.expect(b':')?;
    let minute = scanner.digits(2, 2)?;
    let (mut second, mut nanos) = (0, 0);
    if scanner.take(b':') {
        second = scanner.digits(2, 2)?;
        nanos = scanner.fraction()?;
    } else if !seconds_optional {
        return None;
    }
    Some((resolve_clock(hour, minute, second, nanos, resolve)?, nanos))
}

/// A TIME, in milliseconds of the day, as the json format reads it: `03:04:05[.678]`; finer digits are cut off.
pub fn sql_time(text: &[u8]) -> Option<i32> {
    let mut scanner = Scanner(text);
    let (seconds, nanos) = scan_clock(&mut scanner, false, Resolve::Strict)?;
    scanner.0.is_empty().then_some(seconds as i32 * 1000 + (nanos / 1_000_000) as i32)
}

/// A TIME as Java's `LocalTime.parse`: `03:04[:05[.678]]`.
pub fn iso_time(text: &[u8]) -> Option<i32> {
    let mut scanner = Scanner(text);
    let (seconds, nanos) = scan_clock(&mut scanner, true, Resolve::Strict)?;
    scanner.0.is_empty().then_some(seconds as i32 * 1000 + (nanos / 1_000_000) as i32)
}

/// A TIMESTAMP of the formats' SQL standard: `2020-01-02 03:04:05[.678]`, and `Z` at the end if `utc`.
#[inline]
pub fn sql_timestamp(text: &[u8], utc: bool) -> Option<LocalDateTime> {
    if let Some(time) = fixed_timestamp(text, b' ', utc) {
        return Some(time);
    }
    scan_timestamp(text, b' ', false, utc, Resolve::Smart)
}

/// A TIMESTAMP of the formats' ISO-8601 standard: `2020-01-02T03:04[:05[.678]]`, and `Z` at the end if `utc`.
#[inline]
pub fn iso_timestamp(text: &[u8], utc: bool) -> Option<LocalDateTime> {
    if let Some(time) = fixed_timestamp(text, b'T', utc) {
        return Some(time);
    }
    scan_timestamp(text, b'T', true, utc, if utc { Resolve::Smart } else { Resolve::Strict })
}

fn scan_timestamp(
    text: &[u8],
    separator: u8,
    seconds_optional: bool,
    utc: bool,
    resolve: Resolve,
) -> Option<LocalDateTime> {
    let mut scanner = Scanner(text);
    let date = scan_iso_date(&mut scanner, resolve)?;
    scanner.expect(separator)?;
    let (clock, nanos) = scan_clock(&mut scanner, seconds_optional, resolve)?;
    if utc {
        scanner.expect(b'Z')?;
    }
    scanner.0.is_empty().then_some(LocalDateTime { seconds: date + clock, nanos })
}

/// The values of the digits of `text` where `shape` has a `0`, if it has a digit there and is equal to `shape`
/// everywhere else.
#[inline(always)]
fn shaped(text: &[u8; 8], shape: &[u8; 8]) -> Option<[u8; 8]> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let values = u64::from_ne_bytes(*text) ^ u64::from_ne_bytes(*shape);
    // What is added takes a digit's value above 9, and any difference elsewhere, to the high bit. A carry out of a byte
    // comes only from one whose own high bit is set already.
    let room = u64::from_ne_bytes(shape.map(|expected| if expected == b'0' { 0x76 } else { 0x7f }));
    let wrong = (values | values.wrapping_add(room)) & HIGH;
    (wrong == 0).then(|| values.to_ne_bytes())
}

/// The common shape: 19 characters, or 23 with milliseconds, every number within its range in any month. Whatever
/// else goes the long way.
#[inline]
fn fixed_timestamp(text: &[u8], separator: u8, utc: bool) -> Option<LocalDateTime> {
    let text = if utc { text.strip_suffix(b"Z")? } else { text };
    let (head, tail) = text.split_at_checked(19)?;
    // Eight characters at a time: the last two overlap.
    let date = shaped(head.first_chunk()?, b"0000-00-")?;
    let middle = shaped(head[8..].first_chunk()?, &[b'0', b'0', separator, b'0', b'0', b':', b'0', b'0'])?;
    let clock = shaped(head.last_chunk()?, b"00:00:00")?;
    let two = |digits: &[u8; 8], at: usize| u32::from(digits[at]) * 10 + u32::from(digits[at + 1]);
    let year = two(&date, 0) * 100 + two(&date, 2);
    let (month, day) = (two(&date, 5), two(&middle, 0));
    let (hour, minute, second) = (two(&clock, 0), two(&clock, 3), two(&clock, 6));
    let in_range = month.wrapping_sub(1) < 12 && day.wrapping_sub(1) < 28;
    if !in_range || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanos = match *tail {
        [] => 0,
        [b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            let value = |digit: u8| u32::from(digit - b'0');
            (value(a) * 100 + value(b) * 10 + value(c)) * 1_000_000
        }
        _ => return None,
    };
    let days = days_of_civil(i64::from(year), month, day);
    Some(LocalDateTime { seconds: days * 86_400 + i64::from(hour * 3600 + minute * 60 + second), nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_reads_what_the_long_way_reads() {
        let text = b"2020-11-22 13:45:59.678";
        let mut short = 0;
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut changed = *text;
                changed[at] = byte;
                let long = scan_timestamp(&changed, b' ', false, false, Resolve::Smart);
                if let Some(time) = fixed_timestamp(&changed, b' ', false) {
                    assert_eq!(Some(time), long, "byte {at} is {byte}");
                    short += 1;
                }
            }
        }
        assert!(short > text.len(), "{short} texts went the short way");
    }
}
