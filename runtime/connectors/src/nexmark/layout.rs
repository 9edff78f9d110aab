//! Which events a table has and under which columns.

use super::columns::{Column, Leaf};
use super::event::Kind;
use super::options::Proportions;
use crate::options::TableOptions;
use arrow::datatypes::DataType;
use weir_types::{ColumnKind, OptionError, SqlType, TableDescriptor};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// persons, auctions or bids, a column for each of their values
    One(Kind),
    /// `event_type`, and `person`, `auction` and `bid` as rows, of which one is not NULL
    All,
}

const LAYOUTS: [(&str, Layout); 4] = [
    ("person", Layout::One(Kind::Person)),
    ("auction", Layout::One(Kind::Auction)),
    ("bid", Layout::One(Kind::Bid)),
    ("events", Layout::All),
];

impl Kind {
    /// The columns of an event, in the order of Flink's Nexmark.
    fn leaves(self) -> &'static [(&'static str, Leaf)] {
        match self {
            Kind::Person => &[
                ("id", Leaf::PersonId),
                ("name", Leaf::Name),
                ("emailAddress", Leaf::EmailAddress),
                ("creditCard", Leaf::CreditCard),
                ("city", Leaf::City),
                ("state", Leaf::State),
                ("dateTime", Leaf::DateTime),
                ("extra", Leaf::PersonExtra),
            ],
            Kind::Auction => &[
                ("id", Leaf::AuctionId),
                ("itemName", Leaf::ItemName),
                ("description", Leaf::Description),
                ("initialBid", Leaf::InitialBid),
                ("reserve", Leaf::Reserve),
                ("dateTime", Leaf::DateTime),
                ("expires", Leaf::Expires),
                ("seller", Leaf::Seller),
                ("category", Leaf::Category),
                ("extra", Leaf::AuctionExtra),
            ],
            Kind::Bid => &[
                ("auction", Leaf::BidAuction),
                ("bidder", Leaf::Bidder),
                ("price", Leaf::Price),
                ("channel", Leaf::Channel),
                ("url", Leaf::Url),
                ("dateTime", Leaf::DateTime),
                ("extra", Leaf::BidExtra),
            ],
        }
    }

    fn leaf(self, name: &str) -> Option<Leaf> {
        self.leaves().iter().find(|(leaf, _)| *leaf == name).map(|(_, leaf)| *leaf)
    }
}

impl Layout {
    /// The layout that option `table` names, or else the only one that has all of the table's columns.
    pub fn of(table: &TableDescriptor, options: &TableOptions) -> Result<Layout, OptionError> {
        let layout = match options.text("table") {
            Some(name) => LAYOUTS
                .iter()
                .find(|(layout, _)| *layout == name)
                .map(|(_, layout)| *layout)
                .ok_or_else(|| {
                    options.malformed("table", format!("'{name}' is none of person, auction, bid, events"))
                })?,
            None => Layout::infer(table, options)?,
        };
        for column in &table.columns {
            match &column.kind {
                ColumnKind::Physical => {
                    layout.check(&column.name, &column.sql_type, options)?;
                    let is_row = matches!(column.sql_type, SqlType::Row(_));
                    if is_row && !column.nullable {
                        let message = format!(
                            "column {} is NOT NULL, and NULL for events of the other kinds",
                            column.name
                        );
                        return Err(options.table_error(message));
                    }
                }
                ColumnKind::Computed { .. } => {}
                ColumnKind::Metadata { key, .. } => {
                    let message = format!(
                        "connector 'nexmark' has no metadata, column {} asks for '{key}'",
                        column.name
                    );
                    return Err(options.table_error(message));
                }
            }
        }
        if layout == Layout::One(Kind::Bid)
            && options.parsed("bid.proportion", "a whole number")? == Some(0_u64)
        {
            return Err(options.malformed("bid.proportion", "a table of bids needs at least 1".into()));
        }
        Ok(layout)
    }

    fn infer(table: &TableDescriptor, options: &TableOptions) -> Result<Layout, OptionError> {
        let has_all = |layout: &Layout| table.physical_columns().all(|column| layout.names(&column.name));
        let mut fitting = LAYOUTS.iter().map(|(_, layout)| *layout).filter(has_all);
        match (fitting.next(), fitting.next()) {
            (Some(layout), None) => Ok(layout),
            (Some(_), Some(_)) => Err(options.table_error(
                "the columns fit several kinds of nexmark events: say which with 'table' = 'person', \
                 'auction', 'bid' or \
                 'events'",
            )),
            (None, _) => Err(options.table_error(
                "the columns are not those of one kind of nexmark event: say which with 'table' = \
                 'person', 'auction', \
                 'bid' or 'events' to learn what is wrong with them",
            )),
        }
    }

    fn names(&self, column: &str) -> bool {
        match self {
            Layout::One(kind) => kind.leaf(column).is_some(),
            Layout::All => ["event_type", "person", "auction", "bid", "dateTime"].contains(&column),
        }
    }

    fn check(&self, name: &str, sql_type: &SqlType, options: &TableOptions) -> Result<(), OptionError> {
        if self.column(name, sql_type).is_some() {
            return Ok(());
        }
        let mut known: Vec<&str> = match self {
            Layout::One(kind) => kind.leaves().iter().map(|(name, _)| *name).collect(),
            Layout::All => vec!["event_type", "person", "auction", "bid", "dateTime"],
        };
        if self.names(name) {
            let expected = match self {
                Layout::One(kind) => kind.leaf(name).map_or("", Leaf::expected).to_string(),
                Layout::All => match LAYOUTS.iter().find(|(layout, _)| *layout == name) {
                    Some((_, Layout::One(kind))) => kind.row_type(),
                    _ if name == "dateTime" => Leaf::DateTime.expected().into(),
                    _ => "INT".into(),
                },
            };
            return Err(
                options.table_error(format!("column {name} is {sql_type}, nexmark has it as {expected}"))
            );
        }
        let hint = match weir_types::nearest(name, known.iter().copied()) {
            Some(nearest) => format!(", did you mean '{nearest}'?"),
            None => {
                known.sort_unstable();
                format!("; it has: {}", known.join(", "))
            }
        };
        Err(options.table_error(format!("nexmark has no column '{name}'{hint}")))
    }

    /// How to generate the column; `None` if there is none of this name and type.
    pub fn column(&self, name: &str, sql_type: &SqlType) -> Option<Column> {
        let kind = match self {
            Layout::One(kind) => return Column::leaf(kind.leaf(name)?, sql_type),
            Layout::All => match name {
                "event_type" => return (*sql_type == SqlType::Int).then_some(Column::EventType),
                "dateTime" => return Column::leaf(Leaf::DateTime, sql_type),
                "person" => Kind::Person,
                "auction" => Kind::Auction,
                "bid" => Kind::Bid,
                _ => return None,
            },
        };
        let SqlType::Row(fields) = sql_type else { return None };
        let members = fields.iter().map(|field| Column::leaf(kind.leaf(&field.name)?, &field.sql_type));
        let DataType::Struct(arrow_fields) = sql_type.data_type() else { return None };
        Some(Column::Nested { kind, members: members.collect::<Option<_>>()?, fields: arrow_fields })
    }

    /// Rows of the table, and the events of all kinds among which they are.
    pub fn share(&self, proportions: &Proportions) -> (u64, u64) {
        match self {
            Layout::One(Kind::Person) => (proportions.person, proportions.total()),
            Layout::One(Kind::Auction) => (proportions.auction, proportions.total()),
            Layout::One(Kind::Bid) => (proportions.bid, proportions.total()),
            Layout::All => (1, 1),
        }
    }

    /// How many of an epoch's events come before those of the table.
    fn offset(&self, proportions: &Proportions) -> u64 {
        match self {
            Layout::One(Kind::Auction) => proportions.person,
            Layout::One(Kind::Bid) => proportions.person + proportions.auction,
            Layout::One(Kind::Person) | Layout::All => 0,
        }
    }

    /// The number of the event that is the table's row `row`.
    #[inline]
    pub fn event_of(&self, row: u64, proportions: &Proportions) -> u64 {
        let (rows, events) = self.share(proportions);
        if rows == events {
            return row;
        }
        row / rows * events + self.offset(proportions) + row % rows
    }

    /// The rows of the table among the first `events` events.
    pub fn rows_among(&self, events: u64, proportions: &Proportions) -> u64 {
        let (rows, epoch) = self.share(proportions);
        let rest = (events % epoch).saturating_sub(self.offset(proportions)).min(rows);
        events / epoch * rows + rest
    }
}

impl Kind {
    /// `ROW<id BIGINT, ..>`
    fn row_type(self) -> String {
        let members: Vec<_> =
            self.leaves().iter().map(|(name, leaf)| format!("{name} {}", leaf.expected())).collect();
        format!("a ROW<..> of some of: {}", members.join(", "))
    }
}
