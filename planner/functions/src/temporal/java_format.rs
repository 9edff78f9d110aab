//! Patterns of `java.time.format.DateTimeFormatter` and `java.text.SimpleDateFormat`, compiled once.

mod parse;
mod write;

use datafusion_common::{Result, exec_err};

pub(super) use parse::Strictness;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct JavaFormat {
    items: Vec<Item>,
}

/// A run of one letter, or text.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Text(String),
    /// `y` and `u`
    Year(usize),
    /// `M` and `L`
    Month(usize),
    Day(usize),
    DayOfYear(usize),
    /// `E`
    DayOfWeek(usize),
    /// `H`: 0 to 23
    Hour(usize),
    /// `k`: 1 to 24
    ClockHour(usize),
    /// `h`: 1 to 12
    HalfHour(usize),
    /// `K`: 0 to 11
    HalfHourFromZero(usize),
    Minute(usize),
    Second(usize),
    /// digits of the second's fraction
    Fraction(usize),
    Nano(usize),
    /// `a`
    HalfDay,
    /// `Q` and `q`
    Quarter(usize),
    /// `w`: the week of the year by the rules of the US
    Week(usize),
    /// `Y`: the year that the week belongs to
    WeekYear(usize),
    /// `e` and `c`: the day of the week, from 1 for Sunday
    WeekDay(usize),
    /// `A`
    MilliOfDay(usize),
    /// `N`
    NanoOfDay(usize),
    /// `G`
    Era,
    /// `X`: `Z` for zero
    OffsetX(usize),
    /// `x`, and `Z` of one to three letters: `+0000`
    Offset(usize),
    /// `VV`
    ZoneId,
}

impl Item {
    fn of_letter(letter: char, count: usize) -> Option<Item> {
        Some(match letter {
            'y' | 'u' => Item::Year(count),
            'M' | 'L' => Item::Month(count),
            'd' => Item::Day(count),
            'D' => Item::DayOfYear(count),
            'E' => Item::DayOfWeek(count),
            'H' => Item::Hour(count),
            'k' => Item::ClockHour(count),
            'h' => Item::HalfHour(count),
            'K' => Item::HalfHourFromZero(count),
            'm' => Item::Minute(count),
            's' => Item::Second(count),
            'S' => Item::Fraction(count),
            'n' => Item::Nano(count),
            'a' => Item::HalfDay,
            'Q' | 'q' => Item::Quarter(count),
            'w' => Item::Week(count),
            'Y' => Item::WeekYear(count),
            'e' | 'c' if count <= 2 => Item::WeekDay(count),
            'A' => Item::MilliOfDay(count),
            'N' => Item::NanoOfDay(count),
            'G' => Item::Era,
            'X' if count <= 3 => Item::OffsetX(count),
            'x' if count <= 3 => Item::Offset(count),
            'Z' if count <= 3 => Item::Offset(2),
            'Z' if count == 5 => Item::OffsetX(3),
            'V' if count == 2 => Item::ZoneId,
            _ => return None,
        })
    }

    /// See [`JavaFormat::grain_seconds`].
    fn grain_seconds(&self) -> Option<i64> {
        match self {
            Item::Fraction(_) | Item::Nano(_) | Item::MilliOfDay(_) | Item::NanoOfDay(_) => None,
            Item::OffsetX(_) | Item::Offset(_) | Item::ZoneId => None,
            Item::Second(_) => Some(1),
            Item::Minute(_) => Some(60),
            Item::Hour(_) | Item::ClockHour(_) | Item::HalfHour(_) | Item::HalfHourFromZero(_) => Some(3_600),
            Item::HalfDay => Some(3_600),
            _ => Some(86_400),
        }
    }

    /// True if the item is read as digits, which decides how many the item before may take.
    fn is_number(&self) -> bool {
        match self {
            Item::Month(count) | Item::Quarter(count) => *count <= 2,
            Item::Text(_) | Item::DayOfWeek(_) | Item::HalfDay | Item::Era => false,
            Item::OffsetX(_) | Item::Offset(_) | Item::ZoneId => false,
            _ => true,
        }
    }
}

impl JavaFormat {
    /// Errors: letters that have no meaning here, a quote that is not closed.
    pub fn compile(pattern: &str) -> Result<JavaFormat> {
        let mut items: Vec<Item> = vec![];
        let text = |items: &mut Vec<Item>, character: char| match items.last_mut() {
            Some(Item::Text(text)) => text.push(character),
            _ => items.push(Item::Text(character.to_string())),
        };
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\'' if characters.next_if_eq(&'\'').is_some() => text(&mut items, '\''),
                '\'' => loop {
                    match characters.next() {
                        Some('\'') if characters.next_if_eq(&'\'').is_some() => text(&mut items, '\''),
                        Some('\'') => break,
                        Some(quoted) => text(&mut items, quoted),
                        None => return exec_err!("'{pattern}' is not a date pattern: a quote is not closed"),
                    }
                },
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while characters.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    match Item::of_letter(letter, count) {
                        Some(item) => items.push(item),
                        None => {
                            let run = String::from(letter).repeat(count);
                            return exec_err!("'{pattern}' is not a date pattern: '{run}' is not supported");
                        }
                    }
                }
                '[' | ']' | '{' | '}' | '#' => {
                    return exec_err!("'{pattern}' is not a date pattern: '{character}' is not supported");
                }
                other => text(&mut items, other),
            }
        }
        Ok(JavaFormat { items })
    }
}

impl JavaFormat {
    /// The longest stretch of local time, from its multiples on, in which the text stays the same: a day, an hour, a
    /// minute or a second. `None`: it may change within a second, or with the zone.
    pub fn grain_seconds(&self) -> Option<i64> {
        self.items.iter().map(Item::grain_seconds).try_fold(86_400, |least, grain| Some(least.min(grain?)))
    }

    /// True if the text has an offset from UTC or the name of a zone.
    pub fn names_zone(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::OffsetX(_) | Item::Offset(_) | Item::ZoneId))
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From Monday.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
