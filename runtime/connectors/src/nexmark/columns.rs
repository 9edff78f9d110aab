//! The values of events, a column at a time.

use super::event::{ACTIVE_PEOPLE, AUCTIONS_IN_FLIGHT, Event, Events, FIRST_ID, HOT_STEP, Kind, LEAD};
use super::text::{
    CITIES, COLD_CHANNEL_COUNT, FIRST_NAMES, HOT_CHANNEL_COUNT, LAST_NAMES, POOL, STATES, Vocabulary,
};
use crate::random::RandomStream;
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Fields;
use std::sync::Arc;
use weir_types::SqlType;

/// One value of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    PersonId,
    Name,
    EmailAddress,
    CreditCard,
    City,
    State,
    PersonExtra,
    AuctionId,
    ItemName,
    Description,
    InitialBid,
    Reserve,
    Expires,
    Seller,
    Category,
    AuctionExtra,
    BidAuction,
    Bidder,
    Price,
    Channel,
    Url,
    BidExtra,
    DateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueType {
    Bigint,
    Text,
    Time,
}

impl Leaf {
    fn value_type(self) -> ValueType {
        match self {
            Leaf::PersonId | Leaf::AuctionId | Leaf::InitialBid | Leaf::Reserve | Leaf::Seller => {
                ValueType::Bigint
            }
            Leaf::Category | Leaf::BidAuction | Leaf::Bidder | Leaf::Price => ValueType::Bigint,
            Leaf::DateTime | Leaf::Expires => ValueType::Time,
            Leaf::Name | Leaf::EmailAddress | Leaf::CreditCard | Leaf::City | Leaf::State => ValueType::Text,
            Leaf::ItemName | Leaf::Description | Leaf::Channel | Leaf::Url => ValueType::Text,
            Leaf::PersonExtra | Leaf::AuctionExtra | Leaf::BidExtra => ValueType::Text,
        }
    }

    /// The SQL type for messages.
    pub fn expected(self) -> &'static str {
        match self.value_type() {
            ValueType::Bigint => "BIGINT",
            ValueType::Text => "STRING",
            ValueType::Time => "TIMESTAMP(3)",
        }
    }
}

/// How to make one column of a batch.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Leaf { leaf: Leaf, sql_type: SqlType },
    EventType,
    Nested { kind: Kind, members: Vec<Column>, fields: Fields },
}

impl Column {
    /// A column of `leaf` as `sql_type`; `None` if that type cannot hold it.
    pub fn leaf(leaf: Leaf, sql_type: &SqlType) -> Option<Column> {
        let fits = match (leaf.value_type(), sql_type) {
            (ValueType::Bigint, SqlType::BigInt) => true,
            (ValueType::Text, SqlType::Varchar(SqlType::MAX_LENGTH)) => true,
            (ValueType::Time, SqlType::Timestamp(precision) | SqlType::TimestampLtz(precision)) => {
                *precision >= 3
            }
            _ => false,
        };
        fits.then(|| Column::Leaf { leaf, sql_type: sql_type.clone() })
    }

    pub fn generate(&self, events: &Events, vocabulary: &Vocabulary) -> ArrayRef {
        match self {
            Column::Leaf { leaf, sql_type } => generate_leaf(*leaf, sql_type, None, events, vocabulary),
            Column::EventType => {
                let kinds = events.events.iter().map(|event| event.kind as i32);
                Arc::new(Int32Array::from_iter_values(kinds))
            }
            Column::Nested { kind, members, fields } => {
                let present = NullBuffer::from_iter(events.events.iter().map(|event| event.kind == *kind));
                let children = members.iter().map(|member| match member {
                    Column::Leaf { leaf, sql_type } => {
                        generate_leaf(*leaf, sql_type, Some(*kind), events, vocabulary)
                    }
                    nested => nested.generate(events, vocabulary),
                });
                let len = events.events.len();
                let rows =
                    StructArray::try_new_with_length(fields.clone(), children.collect(), Some(present), len);
                Arc::new(rows.expect("members are made as the fields say"))
            }
        }
    }
}

/// `only`: leave the events of other kinds empty.
fn generate_leaf(
    leaf: Leaf,
    sql_type: &SqlType,
    only: Option<Kind>,
    events: &Events,
    vocabulary: &Vocabulary,
) -> ArrayRef {
    let wanted = Wanted { events: &events.events, only };
    match leaf.value_type() {
        ValueType::Bigint => Arc::new(Int64Array::from(bigints(leaf, wanted, events.options.seed))),
        ValueType::Time => times(leaf, sql_type, wanted, events),
        ValueType::Text => texts(leaf, wanted, events.options.seed, vocabulary),
    }
}

/// The events of a batch, of which some may be passed over.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    events: &'a [Event],
    only: Option<Kind>,
}

impl Wanted<'_> {
    #[inline(always)]
    fn numbers(self, value: impl Fn(&Event) -> i64) -> Vec<i64> {
        match self.only {
            None => self.events.iter().map(value).collect(),
            Some(kind) => {
                self.events.iter().map(|event| if event.kind == kind { value(event) } else { 0 }).collect()
            }
        }
    }

    /// `append` adds the bytes of one value, ASCII.
    #[inline(always)]
    fn texts(self, width: usize, append: impl Fn(&Event, &mut Vec<u8>)) -> ArrayRef {
        let mut bytes = Vec::with_capacity(self.events.len() * width);
        let mut offsets = Vec::with_capacity(self.events.len() + 1);
        offsets.push(0_i32);
        for event in self.events {
            if self.only.is_none_or(|kind| kind == event.kind) {
                append(event, &mut bytes);
            }
            offsets.push(bytes.len() as i32);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(StringArray::try_new(offsets, bytes.into(), None).expect("all texts are ASCII"))
    }
}

fn bigints(leaf: Leaf, wanted: Wanted, seed: u64) -> Vec<i64> {
    let stream = |name: &str| RandomStream::new(seed, name);
    match leaf {
        Leaf::PersonId => wanted.numbers(|event| event.last_person + FIRST_ID),
        Leaf::AuctionId => wanted.numbers(|event| event.last_auction + FIRST_ID),
        Leaf::InitialBid => {
            let prices = stream("initialBid");
            wanted.numbers(|event| price(&prices, event))
        }
        Leaf::Reserve => {
            let (initial, more) = (stream("initialBid"), stream("reserve"));
            wanted.numbers(|event| price(&initial, event) + price(&more, event))
        }
        Leaf::Category => {
            let categories = stream("category");
            wanted.numbers(|event| 10 + categories.below(event.number, 5) as i64)
        }
        Leaf::Seller => {
            let picks = stream("seller");
            wanted.numbers(|event| person(&picks, event, 0))
        }
        Leaf::Bidder => {
            let picks = stream("bidder");
            wanted.numbers(|event| person(&picks, event, 1))
        }
        Leaf::BidAuction => {
            let picks = stream("auction");
            wanted.numbers(|event| auction(&picks, event))
        }
        _ => {
            let prices = stream("price");
            wanted.numbers(|event| price(&prices, event))
        }
    }
}

/// `round(10^(6u) * 100)`
#[inline(always)]
fn price(prices: &RandomStream, event: &Event) -> i64 {
    let exponent = prices.unit(event.number) * 6.0 * std::f64::consts::LOG2_10;
    (exponent.exp2() * 100.0).round() as i64
}

/// Three of four times the hot person of this hundred (`hot` tells sellers and bidders apart), otherwise one of
/// the active people.
#[inline(always)]
fn person(picks: &RandomStream, event: &Event, hot: i64) -> i64 {
    let bits = picks.bits(event.number);
    if bits & 3 != 0 {
        return event.last_person / HOT_STEP * HOT_STEP + hot + FIRST_ID;
    }
    let people = event.last_person + 1;
    let active = people.min(ACTIVE_PEOPLE);
    people - active + narrow(bits, active + LEAD) + FIRST_ID
}

/// Half of the times the hot auction of this hundred, otherwise one of those in flight.
#[inline(always)]
fn auction(picks: &RandomStream, event: &Event) -> i64 {
    let bits = picks.bits(event.number);
    if bits & 1 != 0 {
        return event.last_auction.max(0) / HOT_STEP * HOT_STEP + FIRST_ID;
    }
    let oldest = (event.last_auction - AUCTIONS_IN_FLIGHT).max(0);
    oldest + narrow(bits, event.last_auction - oldest + 1 + LEAD) + FIRST_ID
}

/// The upper bits scaled to `0..bound`, for small bounds.
#[inline(always)]
fn narrow(bits: u64, bound: i64) -> i64 {
    (((bits >> 32) * bound as u64) >> 32) as i64
}

fn times(leaf: Leaf, sql_type: &SqlType, wanted: Wanted, events: &Events) -> ArrayRef {
    let ms = match leaf {
        Leaf::Expires => {
            let horizon = (1_666_000 / events.options.rate).max(1);
            let stream = RandomStream::new(events.options.seed, "expires");
            wanted.numbers(|event| event.time_ms + 1 + stream.below(event.number, 2 * horizon) as i64)
        }
        _ => wanted.numbers(|event| event.time_ms),
    };
    crate::generator::timestamps(ms, sql_type)
}

fn texts(leaf: Leaf, wanted: Wanted, seed: u64, vocabulary: &Vocabulary) -> ArrayRef {
    let stream = RandomStream::new(seed, &format!("{leaf:?}"));
    let second = RandomStream::new(seed, &format!("{leaf:?}.2"));
    let word = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
    let extra = |width: usize, shortest: usize, spread: u64| {
        wanted.texts(width, |event, out| {
            let bits = stream.bits(event.number);
            let length = shortest + narrow(bits, spread as i64) as usize;
            let start = bits as usize % POOL;
            out.extend_from_slice(&vocabulary.letters[start..start + length]);
        })
    };
    let words = |width: usize, spread: i64| {
        wanted.texts(width, |event, out| {
            let bits = stream.bits(event.number);
            let start = bits as usize % POOL;
            let text = &vocabulary.words[start..start + 3 + narrow(bits, spread) as usize];
            out.extend_from_slice(text.trim_ascii());
        })
    };
    match leaf {
        Leaf::PersonExtra => extra(128, 100, 50),
        Leaf::AuctionExtra => extra(392, 312, 156),
        Leaf::BidExtra => extra(72, 54, 28),
        Leaf::ItemName => words(12, 17),
        Leaf::Description => words(52, 97),
        Leaf::Name => wanted.texts(14, |event, out| {
            word(out, FIRST_NAMES[stream.below(event.number, 11) as usize]);
            out.push(b' ');
            word(out, LAST_NAMES[second.below(event.number, 9) as usize]);
        }),
        Leaf::EmailAddress => wanted.texts(16, |event, out| {
            for (stream, spread, end) in [(&stream, 5, "@"), (&second, 3, ".com")] {
                let bits = stream.bits(event.number);
                let start = bits as usize % POOL;
                out.extend_from_slice(&vocabulary.letters[start..start + 3 + narrow(bits, spread) as usize]);
                word(out, end);
            }
        }),
        Leaf::CreditCard => wanted.texts(19, |event, out| {
            let mut digits = stream.below(event.number, 10_000_000_000_000_000);
            let start = out.len();
            out.extend_from_slice(b"0000 0000 0000 0000");
            for place in (start..out.len()).rev().filter(|place| (place - start) % 5 != 4) {
                out[place] = b'0' + (digits % 10) as u8;
                digits /= 10;
            }
        }),
        Leaf::City => {
            wanted.texts(10, |event, out| word(out, CITIES[stream.below(event.number, 10) as usize]))
        }
        Leaf::State => {
            wanted.texts(2, |event, out| word(out, STATES[stream.below(event.number, 6) as usize]))
        }
        Leaf::Url => {
            let picks = RandomStream::new(seed, "channel");
            wanted.texts(72, |event, out| word(out, &vocabulary.channels[channel(&picks, event)].1))
        }
        _ => {
            let picks = RandomStream::new(seed, "channel");
            wanted.texts(12, |event, out| word(out, &vocabulary.channels[channel(&picks, event)].0))
        }
    }
}

/// Half of the times one of the hot channels. The same for a bid's channel and URL.
#[inline(always)]
fn channel(picks: &RandomStream, event: &Event) -> usize {
    let bits = picks.bits(event.number);
    match bits & 1 {
        1 => narrow(bits, HOT_CHANNEL_COUNT as i64) as usize,
        _ => HOT_CHANNEL_COUNT as usize + narrow(bits, COLD_CHANNEL_COUNT as i64) as usize,
    }
}
