//! Text as times.

use super::{DAYS, Item, JavaFormat, MONTHS};
use weir_types::text::LocalDateTime;
use weir_types::text::datetime::{days_of_civil, days_of_month};

/// Which of Java's formatters reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Strictness {
    /// `DateTimeFormatter`, lenient as Flink makes it: the whole text, values within their ranges
    DateTimeFormatter,
    /// `SimpleDateFormat`: any number of digits, text behind is ignored, values beyond their ranges carry over
    SimpleDateFormat,
}

#[derive(Default)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: Option<i64>,
}

/// Up to `max` digits, at least `min`, off the front of `text`.
fn number(text: &mut &str, min: usize, max: usize) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) if max > 2 => (-1, rest),
        _ => (1, *text),
    };
    let count = digits.bytes().take(max).take_while(u8::is_ascii_digit).count();
    if count < min || count == 0 {
        return None;
    }
    let (number, rest) = digits.split_at(count);
    *text = rest;
    number.parse::<i64>().ok().map(|number| sign * number)
}

/// The place of the name that `text` starts with, in full or by its first three letters, in any case if `lenient`.
fn name(text: &mut &str, names: &[&str], lenient: bool) -> Option<usize> {
    let starts = |name: &str| match lenient {
        true => text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)),
        false => text.starts_with(name),
    };
    let full = names.iter().position(|name| starts(name)).map(|place| (place, names[place].len()));
    let short = || names.iter().position(|name| starts(&name[..3])).map(|place| (place, 3));
    let (place, length) = full.or_else(short)?;
    *text = &text[length..];
    Some(place)
}

fn offset(text: &mut &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix('Z') {
        *text = rest;
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    *text = &text[1..];
    let hours = number(text, 2, 2)?;
    if let Some(rest) = text.strip_prefix(':') {
        *text = rest;
    }
    let minutes = number(text, 2, 2).unwrap_or(0);
    Some(sign * (hours * 3600 + minutes * 60))
}

impl JavaFormat {
    /// The time that `text` stands for, and its offset from UTC in seconds if it names one; `None`: it does not fit
    /// the pattern. Missing fields are those of 1970-01-01T00:00.
    pub fn parse(&self, text: &str, strictness: Strictness) -> Option<(LocalDateTime, Option<i64>)> {
        let lenient = strictness == Strictness::SimpleDateFormat;
        let mut rest = if lenient { text.trim_start() } else { text };
        let mut fields = Fields::default();
        for (index, item) in self.items.iter().enumerate() {
            let followed = self.items.get(index + 1).is_some_and(Item::is_number);
            fields.read(item, &mut rest, followed, lenient)?;
        }
        if !rest.is_empty() && !lenient {
            return None;
        }
        Some((fields.resolve(lenient)?, fields.offset))
    }
}

impl Fields {
    /// Takes one item off the front of `text`; `followed`: digits follow without a gap.
    fn read(&mut self, item: &Item, text: &mut &str, followed: bool, lenient: bool) -> Option<()> {
        // Any number of digits; where digits follow, as many as letters.
        let field = |text: &mut &str, width: usize| match followed {
            true => number(text, 1, width),
            false => number(text, 1, 9),
        };
        match item {
            Item::Text(expected) => *text = text.strip_prefix(expected.as_str())?,
            Item::Year(2) if !lenient => self.year = Some(2000 + number(text, 2, 2)?),
            Item::Year(2) => {
                let before = text.len();
                let year = field(text, 2)?;
                // Two digits are the year within 80 years before and 20 after today's; others are the year itself.
                let short = before - text.len() == 2;
                self.year = Some(if short { year + if year < 45 { 2000 } else { 1900 } } else { year });
            }
            Item::Year(width) => {
                self.year = Some(match followed {
                    true => number(text, 1, *width)?,
                    false => number(text, 1, 9)?,
                });
            }
            Item::Month(width @ (1 | 2)) => self.month = Some(field(text, *width)?),
            Item::Month(_) => self.month = Some(name(text, &MONTHS, lenient)? as i64 + 1),
            Item::Day(width) => self.day = Some(field(text, *width)?),
            Item::DayOfYear(width) => self.day_of_year = Some(field(text, *width)?),
            Item::DayOfWeek(_) => {
                name(text, &DAYS, lenient)?;
            }
            Item::Hour(width) => self.hour = Some(field(text, *width)?),
            Item::ClockHour(width) => self.hour = Some(field(text, *width)? % 24),
            Item::HalfHour(width) => self.half_hour = Some(field(text, *width)? % 12),
            Item::HalfHourFromZero(width) => self.half_hour = Some(field(text, *width)?),
            Item::Minute(width) => self.minute = field(text, *width)?,
            Item::Second(width) => self.second = field(text, *width)?,
            Item::Fraction(width) if lenient => self.nanos = field(text, *width)? * 1_000_000,
            Item::Fraction(width) => {
                let before = text.len();
                let digits = number(text, 0, if followed { *width } else { 9 }).unwrap_or(0);
                self.nanos = digits * 10i64.pow(9 - (before - text.len()).min(9) as u32);
            }
            Item::Nano(_) => self.nanos = number(text, 1, 9)?,
            Item::HalfDay => {
                let half = text.get(..2)?;
                let known = |word: &str| half.eq_ignore_ascii_case(word);
                self.afternoon = Some(match (known("AM"), known("PM")) {
                    (true, _) => false,
                    (_, true) => true,
                    _ => return None,
                });
                *text = &text[2..];
            }
            Item::Era => *text = text.strip_prefix("AD")?,
            Item::OffsetX(_) | Item::Offset(_) => self.offset = Some(offset(text)?),
            _ => return None,
        }
        Some(())
    }

    fn resolve(&self, lenient: bool) -> Option<LocalDateTime> {
        let (year, month) = (self.year.unwrap_or(1970), self.month.unwrap_or(1));
        let day = self.day.unwrap_or(1);
        let hour = match (self.hour, self.half_hour) {
            (Some(hour), _) => hour,
            (None, Some(half)) => half + if self.afternoon == Some(true) { 12 } else { 0 },
            (None, None) => 0,
        };
        if !lenient {
            let within = (1..=12).contains(&month)
                && (1..=31).contains(&day)
                && ((0..24).contains(&hour) || (hour, self.minute, self.second, self.nanos) == (24, 0, 0, 0))
                && (0..60).contains(&self.minute)
                && (0..60).contains(&self.second);
            if !within {
                return None;
            }
        }
        let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) as u32 + 1);
        let days = match self.day_of_year {
            Some(day) => days_of_civil(year, 1, 1) + day - 1,
            // Java moves the 31st of a short month to its last day, and only a lenient reader goes on into the next.
            None if lenient => days_of_civil(year, month, 1) + day - 1,
            None => days_of_civil(year, month, (day as u32).min(days_of_month(year, month))),
        };
        let seconds = days
            .checked_mul(86_400)?
            .checked_add(hour.checked_mul(3600)?)?
            .checked_add(self.minute.checked_mul(60)?)?
            .checked_add(self.second)?;
        let nanos = self.nanos.rem_euclid(1_000_000_000) as u32;
        Some(LocalDateTime { seconds: seconds + self.nanos.div_euclid(1_000_000_000), nanos })
    }
}
