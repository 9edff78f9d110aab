//! The options of a nexmark table.

use crate::options::TableOptions;
use chrono::NaiveDateTime;
use weir_types::OptionError;

/// 2015-07-15T00:00:00, where the public generator begins.
const DEFAULT_BASE_MS: i64 = 1_436_918_400_000;

/// How many of each `total()` events are of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proportions {
    pub person: u64,
    pub auction: u64,
    pub bid: u64,
}

impl Proportions {
    pub fn total(&self) -> u64 {
        self.person + self.auction + self.bid
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NexmarkOptions {
    pub seed: u64,
    /// events of all kinds a second of event time, at least 1
    pub rate: u64,
    /// events of all kinds; `None`: without end
    pub events: Option<u64>,
    /// rows come at most about this much out of order
    pub disorder_ms: u64,
    /// hold events back until as much wall-clock time as event time has passed
    pub throttle: bool,
    pub base_ms: i64,
    pub proportions: Proportions,
}

/// An option under either of two names: ours, and that of Flink's Nexmark.
fn either(options: &TableOptions, ours: &str, flinks: &str) -> Result<Option<u64>, OptionError> {
    let values = (options.parsed(ours, "a whole number")?, options.parsed::<u64>(flinks, "a whole number")?);
    match values {
        (Some(_), Some(_)) => {
            Err(options.malformed(flinks, format!("it means the same as '{ours}': leave one of them out")))
        }
        (ours, flinks) => Ok(ours.or(flinks)),
    }
}

impl NexmarkOptions {
    pub fn read(options: &TableOptions) -> Result<Self, OptionError> {
        let rate = either(options, "rate", "next-event.rate")?.unwrap_or(10_000);
        if rate == 0 || rate > 1_000_000_000 {
            return Err(
                options.malformed("rate", "it must be between 1 and 1000000000 events a second".into())
            );
        }
        if let Some(first) = options.parsed::<u64>("first-event.rate", "a whole number")?
            && first != rate
        {
            let reason =
                format!("a rate that changes is not supported: write '{rate}', as for the next events");
            return Err(options.malformed("first-event.rate", reason));
        }
        // In Flink's Nexmark 0 events means no bound.
        let events = either(options, "events", "events.num")?.filter(|events| *events > 0);
        if events.is_some_and(|events| events > 1 << 50) {
            return Err(options.malformed("events", "at most 2^50 events: leave it out for no bound".into()));
        }
        let proportion = |key: &str, default: u64| -> Result<u64, OptionError> {
            let value = options.parsed(key, "a whole number")?.unwrap_or(default);
            let small = value <= 1_000_000;
            small.then_some(value).ok_or_else(|| options.malformed(key, "at most 1000000".into()))
        };
        let proportions = Proportions {
            person: proportion("person.proportion", 1)?,
            auction: proportion("auction.proportion", 3)?,
            bid: proportion("bid.proportion", 46)?,
        };
        if proportions.person == 0 || proportions.auction == 0 {
            let reason = "persons and auctions are what others refer to: at least 1 of each".into();
            return Err(options.malformed("person.proportion", reason));
        }
        Ok(NexmarkOptions {
            seed: options.parsed("seed", "a whole number")?.unwrap_or(1),
            rate,
            events,
            disorder_ms: options.duration_ms("disorder")?.unwrap_or(0),
            throttle: options.boolean("throttle")?.unwrap_or(false),
            base_ms: base_ms(options)?,
            proportions,
        })
    }
}

fn base_ms(options: &TableOptions) -> Result<i64, OptionError> {
    let Some(text) = options.text("base-time") else { return Ok(DEFAULT_BASE_MS) };
    let parsed = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text.trim(), format).ok())
        .filter(|time| time.and_utc().timestamp().unsigned_abs() < 100_000_000_000);
    parsed.map(|time| time.and_utc().timestamp_millis()).ok_or_else(|| {
        options.malformed("base-time", format!("'{text}' is not a timestamp such as '2015-07-15 00:00:00'"))
    })
}
