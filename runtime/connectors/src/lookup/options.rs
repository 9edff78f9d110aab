//! The options of a table that is looked up. Their names and meanings are Flink's (FLIP-221).

use crate::options::TableOptions;
use weir_types::OptionError;

const PARTIAL: [&str; 4] = [
    "lookup.partial-cache.expire-after-access",
    "lookup.partial-cache.expire-after-write",
    "lookup.partial-cache.max-rows",
    "lookup.partial-cache.cache-missing-key",
];
const FULL: [&str; 3] = [
    "lookup.full-cache.reload-strategy",
    "lookup.full-cache.periodic-reload.interval",
    "lookup.full-cache.periodic-reload.schedule-mode",
];
const TIMED: [&str; 2] =
    ["lookup.full-cache.timed-reload.iso-time", "lookup.full-cache.timed-reload.interval-in-days"];

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reload {
    pub interval_ms: u64,
    /// counted from the beginning of the last load, not from its end
    pub fixed_rate: bool,
}

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
        options.refuse(&TIMED, "write 'lookup.full-cache.periodic-reload.interval'")?;
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
    match options.text(FULL[0]).map(|text| text.trim().to_ascii_uppercase()).as_deref() {
        None | Some("PERIODIC") => {}
        Some("TIMED") => {
            let message = "'TIMED' is not supported: write 'PERIODIC' and an interval".to_string();
            return Err(options.malformed(FULL[0], message));
        }
        Some(other) => {
            return Err(options.malformed(FULL[0], format!("'{other}' is neither 'PERIODIC' nor 'TIMED'")));
        }
    }
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
        Some(interval_ms @ 1..) => Ok(Reload { interval_ms, fixed_rate }),
        Some(0) => Err(options.malformed(FULL[1], "it must be above 0".into())),
        None => Err(options.malformed(
            FULL[1],
            "it is missing: 'lookup.cache' = 'FULL' says how often all rows are read again; without 'lookup.cache' they are \
             read once"
                .into(),
        )),
    }
}
