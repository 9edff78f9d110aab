//! The zone in which windows of TIMESTAMP_LTZ are aligned.

use crate::OperatorError;
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use std::str::FromStr;

const HOUR_MS: i64 = 3_600_000;
/// Offsets are looked up once for times that share such a stretch, if it begins and ends with the same
/// offset.
const STRETCH_MS: i64 = 900_000;

/// Translates between points of time (milliseconds of UTC) and the wall clock of a zone (the same count as if
/// the wall clock showed UTC). Windows of a TIMESTAMP_LTZ are laid out on the wall clock, as in Flink's
/// `TimeWindowUtil`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// No shift: UTC, or times of no zone.
    None,
    Fixed {
        offset_ms: i64,
    },
    Named(Tz),
}

fn naive(ms: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_millis(ms).map(|time| time.naive_utc())
}

/// `+08:00`, `-0530`, `UTC+8`, `GMT-03:30`.
fn fixed_offset_ms(name: &str) -> Option<i64> {
    let rest = name.trim_start_matches("UTC").trim_start_matches("GMT");
    let sign = match rest.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = rest[1..].replace(':', "");
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) =
        if digits.len() <= 2 { (&digits[..], "0") } else { digits.split_at(digits.len() - 2) };
    let (hours, minutes) = (i64::from_str(hours).ok()?, i64::from_str(minutes).ok()?);
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

impl Zone {
    /// A zone by its IANA name or its offset (`Asia/Shanghai`, `+08:00`, `UTC`); `None` is no shift.
    pub(crate) fn parse(name: Option<&str>) -> Result<Self, OperatorError> {
        let Some(name) = name else { return Ok(Zone::None) };
        if matches!(name, "UTC" | "Z" | "GMT" | "Etc/UTC") {
            return Ok(Zone::None);
        }
        match (fixed_offset_ms(name), Tz::from_str(name)) {
            (Some(0), _) => Ok(Zone::None),
            (Some(offset_ms), _) => Ok(Zone::Fixed { offset_ms }),
            (None, Ok(zone)) => Ok(Zone::Named(zone)),
            (None, Err(_)) => Err(OperatorError::unsupported(format!(
                "time zone '{name}' is not known: use an IANA name such as 'Europe/Berlin', or an offset such as \
                 '+08:00', for 'table.local-time-zone'"
            ))),
        }
    }

    fn offset_at(zone: Tz, ms: i64) -> i64 {
        match naive(ms) {
            Some(utc) => i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * 1_000,
            None => 0,
        }
    }

    /// The wall clock at a point of time.
    pub(crate) fn to_local(self, ms: i64) -> i64 {
        match self {
            Zone::None => ms,
            Zone::Fixed { offset_ms } => ms.saturating_add(offset_ms),
            Zone::Named(zone) => ms.saturating_add(Self::offset_at(zone, ms)),
        }
    }

    /// [`Zone::to_local`] of many, in place.
    pub(crate) fn to_local_all(self, times_ms: &mut [i64]) {
        match self {
            Zone::None => {}
            Zone::Fixed { offset_ms } => {
                times_ms.iter_mut().for_each(|ms| *ms = ms.saturating_add(offset_ms));
            }
            Zone::Named(zone) => {
                let (mut start, mut end, mut offset_ms) = (0, i64::MIN, 0);
                for ms in times_ms {
                    if *ms < start || *ms >= end {
                        start = ms.saturating_sub(ms.rem_euclid(STRETCH_MS));
                        end = start.saturating_add(STRETCH_MS);
                        offset_ms = Self::offset_at(zone, *ms);
                        let even = Self::offset_at(zone, start) == offset_ms
                            && Self::offset_at(zone, end - 1) == offset_ms;
                        if !even {
                            (start, end) = (*ms, ms.saturating_add(1));
                        }
                    }
                    *ms = ms.saturating_add(offset_ms);
                }
            }
        }
    }

    /// The point of time at which the wall clock shows `ms`: the earlier one where it does so twice; where it
    /// never does, as if the clock had not yet been set forward (Java's `LocalDateTime.atZone`).
    pub(crate) fn to_epoch(self, ms: i64) -> i64 {
        match self {
            _ if ms == i64::MAX => ms,
            Zone::None => ms,
            Zone::Fixed { offset_ms } => ms.saturating_sub(offset_ms),
            Zone::Named(zone) => {
                let Some(local) = naive(ms) else { return ms };
                match zone.offset_from_local_datetime(&local) {
                    LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
                        ms - i64::from(offset.fix().local_minus_utc()) * 1_000
                    }
                    // In a gap the offset before it holds: that of a day earlier, transitions being farther
                    // apart.
                    LocalResult::None => {
                        let before = zone.offset_from_local_datetime(&(local - TimeDelta::days(1)));
                        let offset = before.earliest().map_or(0, |offset| offset.fix().local_minus_utc());
                        ms - i64::from(offset) * 1_000
                    }
                }
            }
        }
    }

    /// The point of time at which a timer for the wall clock's `ms` fires: the later one where the clock
    /// shows it twice, so that a window is complete (Flink's `toEpochMillsForTimer`). Never earlier for a
    /// later `ms`; Flink's timers of windows that end in the hour that a clock skips go off an hour too
    /// early, before the window's rows have come.
    pub(crate) fn to_epoch_for_timer(self, ms: i64) -> i64 {
        let Zone::Named(_) = self else { return self.to_epoch(ms) };
        if ms == i64::MAX {
            return ms;
        }
        let (this, next) = (self.to_epoch(ms), self.to_epoch(ms.saturating_add(HOUR_MS)));
        if next - this > HOUR_MS { next - HOUR_MS } else { this }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> i64 {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        time.and_utc().timestamp_millis()
    }

    #[test]
    fn names_and_offsets() {
        assert_eq!(Zone::parse(None).unwrap(), Zone::None);
        assert_eq!(Zone::parse(Some("UTC")).unwrap(), Zone::None);
        assert_eq!(Zone::parse(Some("+08:00")).unwrap(), Zone::Fixed { offset_ms: 8 * HOUR_MS });
        assert_eq!(Zone::parse(Some("GMT-03:30")).unwrap(), Zone::Fixed { offset_ms: -12_600_000 });
        assert_eq!(Zone::parse(Some("UTC+8")).unwrap(), Zone::Fixed { offset_ms: 8 * HOUR_MS });
        assert!(Zone::parse(Some("Mars/Olympus")).is_err());
    }

    #[test]
    fn shanghai_is_eight_hours_ahead() {
        let zone = Zone::parse(Some("Asia/Shanghai")).unwrap();
        assert_eq!(zone.to_local(utc("2020-01-01 16:00:00")), utc("2020-01-02 00:00:00"));
        assert_eq!(zone.to_epoch(utc("2020-01-02 00:00:00")), utc("2020-01-01 16:00:00"));
    }

    /// 2021-11-07 01:00 to 02:00 comes twice in Los Angeles; 2021-03-14 02:00 to 03:00 never.
    #[test]
    fn clocks_that_are_set_back_and_forward() {
        let zone = Zone::parse(Some("America/Los_Angeles")).unwrap();
        let twice = utc("2021-11-07 01:30:00");
        assert_eq!(zone.to_epoch(twice), utc("2021-11-07 08:30:00"));
        assert_eq!(zone.to_epoch_for_timer(twice), utc("2021-11-07 09:30:00"));
        let never = utc("2021-03-14 02:30:00");
        assert_eq!(zone.to_epoch(never), utc("2021-03-14 10:30:00"));
        assert_eq!(zone.to_epoch_for_timer(never), utc("2021-03-14 10:30:00"));
    }

    #[test]
    fn many_times_shift_as_each_does() {
        for name in ["America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe", "+05:45"] {
            let zone = Zone::parse(Some(name)).unwrap();
            let start = utc("2021-01-01 00:00:00");
            let times: Vec<i64> = (0..40_000).map(|index| start + index * 421_337).collect();
            let mut shifted = times.clone();
            zone.to_local_all(&mut shifted);
            let one_by_one: Vec<i64> = times.iter().map(|ms| zone.to_local(*ms)).collect();
            assert_eq!(shifted, one_by_one, "{name}");
        }
    }
}
