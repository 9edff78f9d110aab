//! The options of a table that is looked up. Their names and meanings are Flink's (FLIP-221).

use crate::options::TableOptions;
use weir_types::OptionError;

const PARTIAL: [&str; 4] = [
    "lookup.partial-cache.expire-after-access",
    "lookup.partial-cache.expire-after-write",
    "lookup.partial-cache.max-rows",
    "lookup.partial-cache.cache-missing-key",
];
const FULL: [&str; 5] = [
    "lookup.full-cache.reload-strategy",
    "lookup.full-cache.periodic-reload.interval",
    "lookup.full-cache.periodic-reload.schedule-mode",
    "lookup.full-cache.timed-reload.iso-time",
    "lookup.full-cache.timed-reload.interval-in-days",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookupOptions {
    pub cache: LookupCache,
    /// `lookup.max-retries`: of a lookup that fails because the table does not answer
    pub max_retries: u32,
}

/// `lookup.cache`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupCache {
    None,
    Partial(PartialOptions),
    /// `None`: the rows that were there when the job started
    Full {
        reload: Option<Reload>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialOptions {
    pub expire_after_access_ms: Option<u64>,
    pub expire_after_write_ms: Option<u64>,
    /// keys, at most
    pub max_rows: Option<u64>,
    /// whether it is remembered of a key that it has no rows
    pub cache_missing_key: bool,
}

/// When all rows are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    Periodic {
        interval_ms: u64,
        /// counted from the beginning of the last load, not from its end
        fixed_rate: bool,
    },
    /// at a time of the day
    Timed {
        /// milliseconds after midnight in UTC
        at_ms: i64,
        /// days from one load to the next
        days: u32,
    },
}

pub(super) const DAY_MS: i64 = 86_400_000;

impl LookupOptions {
    /// `default`: what a table does that does not say.
    pub fn read(options: &TableOptions, default: LookupCache) -> Result<Self, OptionError> {
        let retries = options.parsed::<u32>("lookup.max-retries", "a whole number from 0")?;
        let kind = options.text("lookup.cache").map(|text| text.trim().to_ascii_uppercase());
        let own: &[&str] = match kind.as_deref() {
            Some("PARTIAL") => &PARTIAL,
            Some("FULL") => &FULL,
            _ => &[],
        };
        for (key, cache) in
            PARTIAL.iter().map(|key| (key, "PARTIAL")).chain(FULL.iter().map(|key| (key, "FULL")))
        {
            if options.text(key).is_some() && !own.contains(key) {
                return Err(options.malformed(key, format!("it needs 'lookup.cache' = '{cache}'")));
            }
        }
        let cache = match kind.as_deref() {
            None => default,
            Some("NONE") => LookupCache::None,
            Some("PARTIAL") => LookupCache::Partial(partial(options)?),
            Some("FULL") => LookupCache::Full { reload: Some(reload(options)?) },
            Some(other) => {
                return Err(options.malformed(
                    "lookup.cache",
                    format!("'{other}' is neither 'NONE', 'PARTIAL' nor 'FULL'"),
                ));
            }
        };
        Ok(LookupOptions { cache, max_retries: retries.unwrap_or(3) })
    }
}

fn partial(options: &TableOptions) -> Result<PartialOptions, OptionError> {
    let max_rows = options.parsed::<u64>(PARTIAL[2], "a whole number")?;
    if max_rows == Some(0) {
        return Err(
            options.malformed(PARTIAL[2], "it must be above 0: 'lookup.cache' = 'NONE' keeps none".into())
        );
    }
    Ok(PartialOptions {
        expire_after_access_ms: options.duration_ms(PARTIAL[0])?,
        expire_after_write_ms: options.duration_ms(PARTIAL[1])?,
        max_rows,
        cache_missing_key: options.boolean(PARTIAL[3])?.unwrap_or(true),
    })
}

fn reload(options: &TableOptions) -> Result<Reload, OptionError> {
    let strategy = options.text(FULL[0]).map(|text| text.trim().to_ascii_uppercase());
    let (timed, others) = match strategy.as_deref() {
        None | Some("PERIODIC") => (false, &FULL[3..]),
        Some("TIMED") => (true, &FULL[1..3]),
        Some(other) => {
            return Err(options.malformed(FULL[0], format!("'{other}' is neither 'PERIODIC' nor 'TIMED'")));
        }
    };
    if let Some(key) = others.iter().find(|key| options.text(key).is_some()) {
        let other = if timed { "PERIODIC" } else { "TIMED" };
        return Err(options.malformed(key, format!("it needs '{}' = '{other}'", FULL[0])));
    }
    if timed { timed_reload(options) } else { periodic_reload(options) }
}

fn timed_reload(options: &TableOptions) -> Result<Reload, OptionError> {
    let Some(text) = options.text(FULL[3]) else {
        let message = "it is missing: 'TIMED' reads all rows again at this time of the day, such as '03:00Z'";
        return Err(options.malformed(FULL[3], message.into()));
    };
    let Some(at_ms) = iso_time(text.trim()) else {
        let message = format!("'{text}' is no time of the day such as '03:00', '03:00:30Z' or '03:00+01:00'");
        return Err(options.malformed(FULL[3], message));
    };
    let days = options.parsed::<u32>(FULL[4], "a whole number of days")?.unwrap_or(1);
    match days {
        0 => Err(options.malformed(FULL[4], "it must be above 0".into())),
        days => Ok(Reload::Timed { at_ms, days }),
    }
}

/// `03:00`, `03:00:30.5`, each with an offset behind it or of UTC, as milliseconds after midnight in UTC.
fn iso_time(text: &str) -> Option<i64> {
    let (time, offset) = match text.find(['Z', '+', '-']) {
        Some(place) => text.split_at(place),
        None => (text, "Z"),
    };
    let offset_ms = match offset.split_at_checked(1)? {
        ("Z", "") => 0,
        ("+", ahead) => clock_ms(ahead)?,
        ("-", behind) => -clock_ms(behind)?,
        _ => return None,
    };
    time.contains(':').then(|| clock_ms(time))?.map(|ms| (ms - offset_ms).rem_euclid(DAY_MS))
}

/// `03`, `03:00`, `03:00:30`, `03:00:30.125` in milliseconds; digits after the third of a fraction are cut.
fn clock_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = whole.split(':');
    let mut part = |below: i64| match parts.next() {
        Some(part) if part.len() == 2 && digits(part) => part.parse().ok().filter(|value| *value < below),
        Some(_) => None,
        None => Some(0),
    };
    let ms = part(24)? * 3_600_000 + part(60)? * 60_000 + part(60)? * 1_000;
    let seconds = whole.len() == 8 || fraction.is_empty();
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let rest =
        (parts.next().is_none() && seconds && digits(&fraction)).then(|| fraction.parse::<i64>().ok())?;
    Some(ms + rest?)
}

fn periodic_reload(options: &TableOptions) -> Result<Reload, OptionError> {
    let fixed_rate = match options.text(FULL[2]).map(|text| text.trim().to_ascii_uppercase()).as_deref() {
        None | Some("FIXED_DELAY") => false,
        Some("FIXED_RATE") => true,
        Some(other) => {
            return Err(
                options.malformed(FULL[2], format!("'{other}' is neither 'FIXED_DELAY' nor 'FIXED_RATE'"))
            );
        }
    };
    match options.duration_ms(FULL[1])? {
        Some(interval_ms @ 1..) => Ok(Reload::Periodic { interval_ms, fixed_rate }),
        Some(0) => Err(options.malformed(FULL[1], "it must be above 0".into())),
        None => Err(options.malformed(
            FULL[1],
            "it is missing: 'lookup.cache' = 'FULL' says how often all rows are read again; without 'lookup.cache' they are \
             read once"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_are_of_utc_or_say_how_far_from_it() {
        let hours = |hours: i64| Some(hours * 3_600_000);
        assert_eq!(iso_time("03:00"), hours(3));
        assert_eq!(iso_time("03:00:00Z"), hours(3));
        assert_eq!(iso_time("03:00+01:00"), hours(2));
        assert_eq!(iso_time("03:00:00-08"), hours(11));
        assert_eq!(iso_time("00:30+01:00"), Some(84_600_000), "the day before");
        assert_eq!(iso_time("00:00:01.5"), Some(1_500));
        for text in ["", "3:00", "03", "24:00", "03:60", "03:00:00:00", "03:00 Z", "03:00+", "03:00.5", "x"] {
            assert_eq!(iso_time(text), None, "{text}");
        }
    }
}
