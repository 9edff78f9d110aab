//! Which events a batch is made of, and what others refer to: the newest person and auction at each moment.

use super::layout::Layout;
use super::options::{NexmarkOptions, Proportions};

/// Ids of persons and auctions begin here.
pub(super) const FIRST_ID: i64 = 1000;
/// One hot auction, seller and bidder in each hundred.
pub(super) const HOT_STEP: i64 = 100;
/// Cold bids go to the last 100 auctions, persons act while they are among the last 1000.
pub(super) const AUCTIONS_IN_FLIGHT: i64 = 100;
pub(super) const ACTIVE_PEOPLE: i64 = 1000;
/// Cold references may run ahead of what exists by this much.
pub(super) const LEAD: i64 = 10;

/// What an event is; the numbers are those of `event_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Person = 0,
    Auction = 1,
    Bid = 2,
}

/// One event, without its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub number: u64,
    pub kind: Kind,
    /// of the newest person at this event, from 0; its own for a person
    pub last_person: i64,
    /// of the newest auction at this event, from 0, or -1; its own for an auction
    pub last_auction: i64,
    /// milliseconds of event time
    pub time_ms: i64,
}

/// The events of one batch.
pub(super) struct Events<'a> {
    pub events: Vec<Event>,
    pub options: &'a NexmarkOptions,
}

impl<'a> Events<'a> {
    /// `rows` are numbers of the table's rows.
    pub fn new(rows: impl Iterator<Item = u64>, layout: &Layout, options: &'a NexmarkOptions) -> Self {
        let event = |row| Event::new(layout.event_of(row, &options.proportions), options);
        Events { events: rows.map(event).collect(), options }
    }
}

impl Event {
    #[inline]
    fn new(number: u64, options: &NexmarkOptions) -> Self {
        let Proportions { person, auction, .. } = options.proportions;
        let total = options.proportions.total();
        let (epoch, offset) = (number / total, number % total);
        let kind = if offset < person {
            Kind::Person
        } else if offset < person + auction {
            Kind::Auction
        } else {
            Kind::Bid
        };
        let last_person = epoch * person + offset.min(person - 1);
        let auctions_in_epoch = (offset + 1).saturating_sub(person).min(auction);
        // number * 1000 / rate without overflow, rounded down.
        let time_ms = number / options.rate * 1000 + number % options.rate * 1000 / options.rate;
        Event {
            number,
            kind,
            last_person: last_person as i64,
            last_auction: (epoch * auction + auctions_in_epoch) as i64 - 1,
            time_ms: options.base_ms + time_ms as i64,
        }
    }
}
