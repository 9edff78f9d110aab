//! Times as text.

use super::{DAYS, Item, JavaFormat, MONTHS};
use weir_types::text::datetime::{append_date, civil_of_days, days_of_civil};
use weir_types::text::{LocalDateTime, TimeZone};

/// Appends `value` with at least `width` digits.
fn pad(out: &mut Vec<u8>, value: i64, width: usize) {
    let digits = value.unsigned_abs();
    if value < 0 {
        out.push(b'-');
    }
    if width == 2 && digits < 100 {
        out.extend_from_slice(&[b'0' + (digits / 10) as u8, b'0' + (digits % 10) as u8]);
        return;
    }
    let count = digits.checked_ilog10().map_or(1, |power| power as usize + 1);
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(count)));
    weir_types::text::number::append_integer(out, digits);
}

/// `Z` (if `letter`) or `+hh`, `+hhmm`, `+hh:mm` by the number of letters.
fn append_offset(out: &mut Vec<u8>, seconds: i32, count: usize, letter: bool) {
    if letter && seconds == 0 {
        out.push(b'Z');
        return;
    }
    out.push(if seconds < 0 { b'-' } else { b'+' });
    let minutes = i64::from(seconds.unsigned_abs() / 60);
    pad(out, minutes / 60, 2);
    if count == 1 && minutes % 60 == 0 {
        return;
    }
    if count == 3 {
        out.push(b':');
    }
    pad(out, minutes % 60, 2);
}

/// Year and week that the US count: from Sunday, and the first is that of 1 January.
fn us_week(days: i64) -> (i64, i64) {
    let sunday = |days: i64| days - (days + 4).rem_euclid(7);
    // The last days of December belong to the week of the next 1 January.
    let (year, ..) = civil_of_days(sunday(days) + 6);
    (year, (sunday(days) - sunday(days_of_civil(year, 1, 1))) / 7 + 1)
}

impl JavaFormat {
    /// Appends `time` as clocks of `zone` show it, where the instant is `offset` seconds behind.
    pub fn append(&self, out: &mut Vec<u8>, time: LocalDateTime, zone: TimeZone, offset: i32) {
        let days = time.days();
        // The pattern that queries use most, without a look at each item.
        if let [Item::Year(4), Item::Text(a), Item::Month(2), Item::Text(b), Item::Day(2), rest @ ..] =
            &self.items[..]
            && a == "-"
            && b == "-"
            && (0..=9999).contains(&civil_of_days(days).0)
        {
            append_date(out, days);
            return append_items(rest, out, time, days, zone, offset);
        }
        append_items(&self.items, out, time, days, zone, offset);
    }
}

fn append_items(
    items: &[Item],
    out: &mut Vec<u8>,
    time: LocalDateTime,
    days: i64,
    zone: TimeZone,
    offset: i32,
) {
    let second = i64::from(time.second_of_day());
    let (hour, minute) = (second / 3600, second / 60 % 60);
    for item in items {
        match item {
            Item::Text(text) => out.extend_from_slice(text.as_bytes()),
            Item::Hour(width) => pad(out, hour, *width),
            Item::ClockHour(width) => pad(out, if hour == 0 { 24 } else { hour }, *width),
            Item::HalfHour(width) => pad(out, (hour + 11) % 12 + 1, *width),
            Item::HalfHourFromZero(width) => pad(out, hour % 12, *width),
            Item::Minute(width) => pad(out, minute, *width),
            Item::Second(width) => pad(out, second % 60, *width),
            Item::Fraction(width) => {
                let digits = (*width).min(9) as u32;
                pad(out, i64::from(time.nanos / 10u32.pow(9 - digits)), digits as usize);
            }
            Item::MilliOfDay(width) => pad(out, second * 1000 + i64::from(time.nanos / 1_000_000), *width),
            Item::NanoOfDay(width) => pad(out, second * 1_000_000_000 + i64::from(time.nanos), *width),
            Item::Nano(width) => pad(out, i64::from(time.nanos), *width),
            Item::HalfDay => out.extend_from_slice(if hour < 12 { b"AM" } else { b"PM" }),
            Item::OffsetX(count) => append_offset(out, offset, *count, true),
            Item::Offset(count) => append_offset(out, offset, *count, false),
            Item::ZoneId => out.extend_from_slice(zone.to_string().as_bytes()),
            other => append_date_item(other, out, days),
        }
    }
}

fn append_date_item(item: &Item, out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_of_days(days);
    let month_name = MONTHS[month as usize - 1];
    let weekday = (days + 3).rem_euclid(7);
    let day_name = DAYS[weekday as usize];
    let quarter = (month - 1) / 3 + 1;
    match item {
        Item::Year(2) => pad(out, year.rem_euclid(100), 2),
        Item::Year(width) => {
            if *width >= 4 && year > 10i64.pow(*width as u32) - 1 {
                out.push(b'+');
            }
            pad(out, year, *width);
        }
        Item::Month(width @ (1 | 2)) => pad(out, i64::from(month), *width),
        Item::Month(3) => out.extend_from_slice(&month_name.as_bytes()[..3]),
        Item::Month(4) => out.extend_from_slice(month_name.as_bytes()),
        Item::Month(_) => out.push(month_name.as_bytes()[0]),
        Item::Day(width) => pad(out, i64::from(day), *width),
        Item::DayOfYear(width) => pad(out, days - days_of_civil(year, 1, 1) + 1, *width),
        Item::DayOfWeek(1..=3) => out.extend_from_slice(&day_name.as_bytes()[..3]),
        Item::DayOfWeek(4) => out.extend_from_slice(day_name.as_bytes()),
        Item::DayOfWeek(_) => out.push(day_name.as_bytes()[0]),
        Item::Quarter(width @ (1 | 2)) => pad(out, i64::from(quarter), *width),
        Item::Quarter(3) => out.extend_from_slice(&[b'Q', b'0' + quarter as u8]),
        Item::Quarter(_) => {
            let ordinal = ["1st", "2nd", "3rd", "4th"][quarter as usize - 1];
            out.extend_from_slice(ordinal.as_bytes());
            out.extend_from_slice(b" quarter");
        }
        Item::Week(width) => pad(out, us_week(days).1, *width),
        Item::WeekYear(2) => pad(out, us_week(days).0.rem_euclid(100), 2),
        Item::WeekYear(width) => pad(out, us_week(days).0, *width),
        Item::WeekDay(width) => pad(out, (days + 4).rem_euclid(7) + 1, *width),
        Item::Era => out.extend_from_slice(if year > 0 { b"AD" } else { b"BC" }),
        _ => {}
    }
}
