//! The text of dates and times: the proleptic Gregorian calendar, as in `java.time`.

use super::number::append_integer;
use arrow::datatypes::TimeUnit;

const SECONDS_PER_DAY: i64 = 86_400;

/// A point on a calendar and clock, without a zone: seconds since 1970-01-01T00:00:00 and nanoseconds after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalDateTime {
    pub seconds: i64,
    /// 0 to 999,999,999
    pub nanos: u32,
}

impl LocalDateTime {
    /// Of a value of an Arrow timestamp array.
    #[inline]
    pub fn of_units(value: i64, unit: TimeUnit) -> Self {
        let split = |per_second: i64, nanos_each: i64| LocalDateTime {
            seconds: value.div_euclid(per_second),
            nanos: (value.rem_euclid(per_second) * nanos_each) as u32,
        };
        match unit {
            TimeUnit::Second => LocalDateTime { seconds: value, nanos: 0 },
            TimeUnit::Millisecond => split(1_000, 1_000_000),
            TimeUnit::Microsecond => split(1_000_000, 1_000),
            TimeUnit::Nanosecond => split(1_000_000_000, 1),
        }
    }

    /// The value of an Arrow timestamp array, finer digits cut off; `None` when it does not fit into 64 bits.
    #[inline]
    pub fn to_units(self, unit: TimeUnit) -> Option<i64> {
        let join = |per_second: i64, nanos_each: u32| {
            self.seconds.checked_mul(per_second)?.checked_add(i64::from(self.nanos / nanos_each))
        };
        match unit {
            TimeUnit::Second => Some(self.seconds),
            TimeUnit::Millisecond => join(1_000, 1_000_000),
            TimeUnit::Microsecond => join(1_000_000, 1_000),
            TimeUnit::Nanosecond => join(1_000_000_000, 1),
        }
    }

    /// Nanoseconds cut off after `precision` digits.
    pub fn truncated(self, precision: u8) -> Self {
        let unit = 10u32.pow(9u32.saturating_sub(u32::from(precision)));
        LocalDateTime { nanos: self.nanos / unit * unit, ..self }
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        self.seconds.div_euclid(SECONDS_PER_DAY)
    }

    pub fn second_of_day(self) -> u32 {
        self.seconds.rem_euclid(SECONDS_PER_DAY) as u32
    }
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01.
#[inline]
pub fn civil_of_days(days: i64) -> (i64, u32, u32) {
    // Counted in years that begin on 1 March, so that the leap day is the last; eras of 400 years repeat.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_index + 2) / 5 + 1) as u32;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a date that exists.
#[inline]
pub fn days_of_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Number of days of a month (1 to 12).
#[inline]
pub fn days_of_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[inline]
fn two_digits(value: u32) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

/// Appends a DATE: `2020-01-02`, `-0001-12-31`, `+10000-01-01`.
#[inline]
pub fn append_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_of_days(days);
    if (0..=9999).contains(&year) {
        let ([a, b], [c, d]) = (two_digits(year as u32 / 100), two_digits(year as u32 % 100));
        let ([e, f], [g, h]) = (two_digits(month), two_digits(day));
        out.extend_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
        return;
    }
    if year > 9999 {
        out.push(b'+');
        append_integer(out, year);
    } else {
        out.push(b'-');
        out.extend_from_slice(format!("{:04}", year.unsigned_abs()).as_bytes());
    }
    let ([e, f], [g, h]) = (two_digits(month), two_digits(day));
    out.extend_from_slice(&[b'-', e, f, b'-', g, h]);
}

/// Appends `03:04:05`.
#[inline]
pub fn append_clock(out: &mut Vec<u8>, second_of_day: u32) {
    let [a, b] = two_digits(second_of_day / 3600);
    let [c, d] = two_digits(second_of_day / 60 % 60);
    let [e, f] = two_digits(second_of_day % 60);
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f]);
}

fn nine_digits(nanos: u32) -> [u8; 9] {
    let mut digits = [b'0'; 9];
    let mut rest = nanos;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Appends `.` and the digits of a fraction of a second: at least `precision` of them, more up to the last that is
/// not zero; nothing where there are none. With precision 0 this drops trailing zeros.
#[inline]
pub fn append_fraction(out: &mut Vec<u8>, nanos: u32, precision: u8) {
    if nanos == 0 && precision == 0 {
        return;
    }
    let digits = nine_digits(nanos);
    let significant = 9 - digits.iter().rev().take_while(|digit| **digit == b'0').count();
    out.push(b'.');
    out.extend_from_slice(&digits[..significant.max(usize::from(precision).min(9))]);
}

/// Appends a fraction of a second as Java's `LocalTime.toString` does: 0, 3, 6 or 9 digits.
fn append_fraction_in_groups(out: &mut Vec<u8>, nanos: u32) {
    if nanos != 0 {
        let len = if nanos.is_multiple_of(1_000_000) {
            3
        } else if nanos.is_multiple_of(1_000) {
            6
        } else {
            9
        };
        out.push(b'.');
        out.extend_from_slice(&nine_digits(nanos)[..len]);
    }
}

/// Appends date, `separator`, clock and fraction ([`append_fraction`]): with a space and the type's precision the CAST
/// form; with precision 0 that of the json and csv formats.
#[inline]
pub fn append_timestamp(out: &mut Vec<u8>, time: LocalDateTime, separator: u8, precision: u8) {
    append_date(out, time.days());
    out.push(separator);
    append_clock(out, time.second_of_day());
    append_fraction(out, time.nanos, precision);
}

/// Appends a time of day as Java's `LocalTime.toString`: `03:04` when seconds and fraction are zero.
fn append_java_time(out: &mut Vec<u8>, second_of_day: u32, nanos: u32) {
    append_clock(out, second_of_day);
    if second_of_day.is_multiple_of(60) && nanos == 0 {
        out.truncate(out.len() - 3);
    }
    append_fraction_in_groups(out, nanos);
}

/// Appends a TIMESTAMP as Java's `LocalDateTime.toString`: `2020-01-01T00:00`, `2020-01-01T00:00:00.500`.
pub fn append_java_local_date_time(out: &mut Vec<u8>, time: LocalDateTime) {
    append_date(out, time.days());
    out.push(b'T');
    append_java_time(out, time.second_of_day(), time.nanos);
}

/// Appends a TIMESTAMP_LTZ as Java's `Instant.toString`: `2020-01-01T00:00:00Z`, `2020-01-01T00:00:00.500Z`.
pub fn append_java_instant(out: &mut Vec<u8>, time: LocalDateTime) {
    append_date(out, time.days());
    out.push(b'T');
    append_clock(out, time.second_of_day());
    append_fraction_in_groups(out, time.nanos);
    out.push(b'Z');
}

/// Appends a TIME, milliseconds of the day, as Java's `LocalTime.toString`.
pub fn append_java_time_of_day(out: &mut Vec<u8>, millis: i32) {
    let millis = millis.rem_euclid(86_400_000) as u32;
    append_java_time(out, millis / 1000, millis % 1000 * 1_000_000);
}

/// Appends a TIME, milliseconds of the day, in the CAST form. As Flink writes it: no point for precision 0, else at
/// least one digit and no trailing zeros after it, at most `precision` digits.
pub fn append_time(out: &mut Vec<u8>, millis: i32, precision: u8) {
    let millis = millis.rem_euclid(86_400_000) as u32;
    append_clock(out, millis / 1000);
    if precision == 0 {
        return;
    }
    let digits = &nine_digits(millis % 1000 * 1_000_000)[..usize::from(precision.min(3))];
    let significant = digits.len() - digits.iter().rev().take_while(|digit| **digit == b'0').count();
    out.push(b'.');
    out.extend_from_slice(&digits[..significant.max(1)]);
}

/// Appends an INTERVAL YEAR TO MONTH in the CAST form: `+1-02`.
pub fn append_interval_months(out: &mut Vec<u8>, months: i32) {
    out.push(if months < 0 { b'-' } else { b'+' });
    let months = months.unsigned_abs();
    append_integer(out, months / 12);
    out.push(b'-');
    out.extend_from_slice(&two_digits(months % 12));
}

/// Appends an INTERVAL DAY TO SECOND in the CAST form: `+1 02:03:04.005`.
pub fn append_interval_millis(out: &mut Vec<u8>, millis: i64) {
    out.push(if millis < 0 { b'-' } else { b'+' });
    let millis = millis.unsigned_abs();
    append_integer(out, millis / 86_400_000);
    out.push(b' ');
    append_clock(out, (millis / 1000 % 86_400) as u32);
    append_fraction(out, (millis % 1000) as u32 * 1_000_000, 3);
}

/// Appends months as Java's `Period.toString`: `P1Y2M`, `P0D`.
pub fn append_java_period(out: &mut Vec<u8>, months: i32) {
    let (years, months) = (months / 12, months % 12);
    out.push(b'P');
    for (value, unit) in [(years, b'Y'), (months, b'M')] {
        if value != 0 {
            append_integer(out, value);
            out.push(unit);
        }
    }
    if years == 0 && months == 0 {
        out.extend_from_slice(b"0D");
    }
}

/// Appends milliseconds as Java's `Duration.toString`: `PT26H3M4.005S`, `PT0S`.
pub fn append_java_duration(out: &mut Vec<u8>, millis: i64) {
    if millis == 0 {
        out.extend_from_slice(b"PT0S");
        return;
    }
    out.extend_from_slice(b"PT");
    // Java counts whole seconds towards zero and writes the sign at each part.
    let seconds = millis / 1000;
    for (value, unit) in [(seconds / 3600, b'H'), (seconds % 3600 / 60, b'M')] {
        if value != 0 {
            append_integer(out, value);
            out.push(unit);
        }
    }
    let (rest, fraction) = (seconds % 60, millis % 1000);
    if rest == 0 && fraction == 0 {
        return;
    }
    if rest == 0 && fraction < 0 {
        out.push(b'-');
    }
    append_integer(out, rest);
    append_fraction(out, fraction.unsigned_abs() as u32 * 1_000_000, 0);
    out.push(b'S');
}
