//! Time zones by name or offset.

use super::LocalDateTime;
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone as _};
use std::fmt;
use std::str::FromStr;

/// A time zone as `table.local-time-zone` names it: `UTC`, `Europe/Berlin`, `GMT+08:00`, `-03:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(Rules);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// seconds east of UTC
    Fixed(i32),
    Named(chrono_tz::Tz),
}

/// No zone has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown time zone '{0}': use a name such as 'UTC' or 'Europe/Berlin', or an offset such as 'GMT+08:00'"
)]
pub struct UnknownTimeZone(pub String);

impl TimeZone {
    pub const UTC: TimeZone = TimeZone(Rules::Fixed(0));

    /// Seconds that local time is ahead of UTC at `seconds` since 1970-01-01T00:00:00Z.
    #[inline]
    pub fn offset_at(self, seconds: i64) -> i32 {
        match self.0 {
            Rules::Fixed(offset) => offset,
            Rules::Named(zone) => {
                let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
                zone.offset_from_utc_datetime(&time).fix().local_minus_utc()
            }
        }
    }

    /// What clocks of the zone show at `instant`, counted in UTC.
    #[inline]
    pub fn to_local(self, instant: LocalDateTime) -> LocalDateTime {
        let offset = i64::from(self.offset_at(instant.seconds));
        LocalDateTime { seconds: instant.seconds.saturating_add(offset), ..instant }
    }

    /// The instant, in UTC, at which clocks of the zone show `local`. As Java's `LocalDateTime.atZone`: of two the
    /// earlier one, and a time that is skipped is moved on by what is skipped.
    #[inline]
    pub fn to_utc(self, local: LocalDateTime) -> LocalDateTime {
        let offset = match self.0 {
            Rules::Fixed(offset) => offset,
            Rules::Named(zone) => {
                let time: NaiveDateTime =
                    DateTime::from_timestamp(local.seconds, 0).unwrap_or_default().naive_utc();
                match zone.offset_from_local_datetime(&time).earliest() {
                    Some(offset) => offset.fix().local_minus_utc(),
                    None => self.offset_at(local.seconds - 86_400),
                }
            }
        };
        LocalDateTime { seconds: local.seconds.saturating_sub(i64::from(offset)), ..local }
    }
}

/// `+8`, `-08:30`, `+0530`, `+01:02:03`: seconds east of UTC, at most 18 hours.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let number = |text: &str| -> Option<i32> {
        (matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let mut parts = [0; 3];
    if digits.len() == 4 && digits.is_ascii() && !digits.contains(':') {
        parts[0] = number(&digits[..2])?;
        parts[1] = number(&digits[2..])?;
    } else {
        let mut given = digits.split(':');
        for part in &mut parts {
            let Some(text) = given.next() else { break };
            *part = number(text)?;
        }
        if given.next().is_some() {
            return None;
        }
    }
    let [hours, minutes, seconds] = parts;
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(text: &str) -> Result<Self, UnknownTimeZone> {
        if matches!(text, "UTC" | "GMT" | "UT" | "Z" | "Etc/UTC") {
            return Ok(TimeZone::UTC);
        }
        let offset =
            ["UTC", "GMT", "UT", ""].iter().find_map(|prefix| parse_offset(text.strip_prefix(prefix)?));
        match (offset, text.parse()) {
            (Some(offset), _) => Ok(TimeZone(Rules::Fixed(offset))),
            (None, Ok(zone)) => Ok(TimeZone(Rules::Named(zone))),
            (None, Err(_)) => Err(UnknownTimeZone(text.to_string())),
        }
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Rules::Fixed(0) => f.write_str("UTC"),
            Rules::Named(zone) => f.write_str(zone.name()),
            Rules::Fixed(offset) => {
                let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
                write!(f, "GMT{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
                if seconds % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", seconds % 60) }
            }
        }
    }
}
