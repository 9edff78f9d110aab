use super::*;
use crate::Connectors;
use crate::testing::{
    assert_restarts_exactly, block_on, concat, drain, initial_splits, read_all, reader_context, scan, table,
};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMillisecondType};
use std::collections::BTreeSet;
use weir_types::{ConnectorCatalog, SqlField, SqlType};

const BID: [(&str, SqlType); 7] = [
    ("auction", SqlType::BigInt),
    ("bidder", SqlType::BigInt),
    ("price", SqlType::BigInt),
    ("channel", SqlType::STRING),
    ("url", SqlType::STRING),
    ("dateTime", SqlType::Timestamp(3)),
    ("extra", SqlType::STRING),
];
const PERSON: [(&str, SqlType); 8] = [
    ("id", SqlType::BigInt),
    ("name", SqlType::STRING),
    ("emailAddress", SqlType::STRING),
    ("creditCard", SqlType::STRING),
    ("city", SqlType::STRING),
    ("state", SqlType::STRING),
    ("dateTime", SqlType::Timestamp(3)),
    ("extra", SqlType::STRING),
];
const AUCTION: [(&str, SqlType); 10] = [
    ("id", SqlType::BigInt),
    ("itemName", SqlType::STRING),
    ("description", SqlType::STRING),
    ("initialBid", SqlType::BigInt),
    ("reserve", SqlType::BigInt),
    ("dateTime", SqlType::Timestamp(3)),
    ("expires", SqlType::Timestamp(3)),
    ("seller", SqlType::BigInt),
    ("category", SqlType::BigInt),
    ("extra", SqlType::STRING),
];

fn nexmark(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> TableDescriptor {
    table("n", columns, &[&[("connector", "nexmark")], options].concat())
}

fn source(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> Arc<dyn Source> {
    Connectors::new().source(&scan(nexmark(columns, options))).unwrap()
}

fn rows(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> RecordBatch {
    read_all(source(columns, options).as_ref(), 1000)
}

fn longs<'a>(rows: &'a RecordBatch, column: &str) -> &'a [i64] {
    rows[column].as_primitive::<Int64Type>().values()
}

fn times<'a>(rows: &'a RecordBatch, column: &str) -> &'a [i64] {
    rows[column].as_primitive::<TimestampMillisecondType>().values()
}

fn events_table() -> Vec<(&'static str, SqlType)> {
    let row = |columns: &[(&str, SqlType)]| {
        SqlType::Row(
            columns.iter().map(|(name, sql_type)| SqlField::new(*name, sql_type.clone(), true)).collect(),
        )
    };
    vec![
        ("event_type", SqlType::Int),
        ("person", row(&PERSON)),
        ("auction", row(&AUCTION)),
        ("bid", row(&BID)),
        ("dateTime", SqlType::Timestamp(3)),
    ]
}

#[test]
fn the_numbers_of_events_follow_the_rules() {
    for (events, persons, auctions, bids) in
        [(50, 1, 3, 46), (1, 1, 0, 0), (3, 1, 2, 0), (105, 3, 9, 93), (0, 0, 0, 0)]
    {
        let options = [("events", events.to_string())];
        let options = [("events", options[0].1.as_str())];
        // 0 events means no bound: nothing to read to the end then.
        if events == 0 {
            let table = nexmark(&BID, &options);
            assert!(!Connectors::new().check(&table).unwrap().bounded);
            continue;
        }
        assert_eq!(rows(&PERSON, &options).num_rows(), persons);
        assert_eq!(rows(&AUCTION, &options).num_rows(), auctions);
        assert_eq!(rows(&BID, &options).num_rows(), bids);
        assert_eq!(rows(&events_table(), &options).num_rows(), events);
    }
}

#[test]
fn ids_and_times_rise() {
    let options = [("events", "5000"), ("rate", "100"), ("base-time", "2015-07-14 23:50:00")];
    let auctions = rows(&AUCTION, &options);
    assert_eq!(longs(&auctions, "id"), (1000..1300).collect::<Vec<_>>());
    let persons = rows(&PERSON, &options);
    assert_eq!(longs(&persons, "id"), (1000..1100).collect::<Vec<_>>());
    let base = 1_436_917_800_000;
    let expected: Vec<i64> = (0..100).map(|epoch| base + epoch * 500).collect();
    assert_eq!(times(&persons, "dateTime"), expected);
    for row in 0..auctions.num_rows() {
        assert!(times(&auctions, "expires")[row] > times(&auctions, "dateTime")[row]);
        assert!(longs(&auctions, "reserve")[row] > longs(&auctions, "initialBid")[row]);
        assert!((10..15).contains(&longs(&auctions, "category")[row]));
    }
}

#[test]
fn bids_are_hot_and_priced_by_the_rules() {
    let bids = rows(&BID, &[("events", "100000")]);
    let hot =
        |ids: &[i64], offset| ids.iter().filter(|id| *id % 100 == offset).count() as f64 / ids.len() as f64;
    // Half are hot; one in about a hundred of the others is by chance.
    assert!((0.49..0.52).contains(&hot(longs(&bids, "auction"), 0)), "{}", hot(longs(&bids, "auction"), 0));
    assert!((0.74..0.77).contains(&hot(longs(&bids, "bidder"), 1)), "{}", hot(longs(&bids, "bidder"), 1));
    let prices = longs(&bids, "price");
    assert!(prices.iter().all(|price| (100..=100_000_000).contains(price)));
    let below_thousand = prices.iter().filter(|price| **price < 100_000).count() as f64 / prices.len() as f64;
    assert!((0.49..0.51).contains(&below_thousand), "{below_thousand}");
    // A bid is for an auction that exists, or is about to.
    let (auctions, times) = (longs(&bids, "auction"), times(&bids, "dateTime"));
    assert!(auctions.iter().zip(times).all(|(auction, ms)| {
        let newest = 1000 + (ms - times[0]) * 10 / 50 * 3 + 3;
        (newest - 130..=newest + 20).contains(auction)
    }));
    let channels: BTreeSet<&str> = bids["channel"].as_string::<i32>().iter().flatten().collect();
    assert!(channels.contains("Google") && channels.contains("channel-17") && channels.len() > 9_000);
    let urls: BTreeSet<(&str, &str)> = (0..bids.num_rows())
        .map(|row| (bids["channel"].as_string::<i32>().value(row), bids["url"].as_string::<i32>().value(row)))
        .collect();
    assert_eq!(urls.len(), channels.len(), "a channel has one URL");
    assert!(urls.iter().all(|(_, url)| url.starts_with("https://www.nexmark.com/")));
    let extra = bids["extra"].as_string::<i32>();
    assert!(extra.iter().flatten().all(|text| (54..82).contains(&text.len())));
}

#[test]
fn people_look_like_people() {
    let persons = rows(&PERSON, &[("events", "5000")]);
    let card = persons["creditCard"].as_string::<i32>();
    assert!(card.iter().flatten().all(|text| {
        text.len() == 19 && text.bytes().enumerate().all(|(at, byte)| (at % 5 == 4) == (byte == b' '))
    }));
    let email = persons["emailAddress"].as_string::<i32>();
    assert!(email.iter().flatten().all(|text| text.contains('@') && text.ends_with(".com")));
    let states: BTreeSet<&str> = persons["state"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(states, BTreeSet::from(["AZ", "CA", "ID", "OR", "WA", "WY"]));
}

#[test]
fn the_combined_layout_has_the_same_events() {
    let options = [("events", "1000"), ("seed", "3")];
    let all = rows(&events_table(), &options);
    let kinds = all["event_type"].as_primitive::<Int32Type>();
    for (kind, column, flat) in [
        (0, "person", rows(&PERSON, &options)),
        (1, "auction", rows(&AUCTION, &options)),
        (2, "bid", rows(&BID, &options)),
    ] {
        let nested = all[column].as_struct();
        let present = (0..all.num_rows()).filter(|row| kinds.value(*row) == kind).map(|row| row as u32);
        let indices = arrow::array::UInt32Array::from_iter_values(present);
        assert!((0..all.num_rows()).all(|row| nested.is_valid(row) == (kinds.value(row) == kind)));
        let nested = take_record_batch(&RecordBatch::from(&without_nulls(nested)), &indices).unwrap();
        assert_eq!(nested.columns(), flat.columns());
    }
}

fn without_nulls(rows: &arrow::array::StructArray) -> arrow::array::StructArray {
    let (fields, columns, _) = rows.clone().into_parts();
    arrow::array::StructArray::new(fields, columns, None)
}

fn sorted(rows: &RecordBatch) -> RecordBatch {
    let columns: Vec<SortColumn> = rows
        .columns()
        .iter()
        .map(|values| SortColumn { values: Arc::clone(values), options: None })
        .collect();
    take_record_batch(rows, &lexsort_to_indices(&columns, None).unwrap()).unwrap()
}

#[test]
fn parallel_shares_are_the_same_rows() {
    for disorder in ["0 s", "2 s"] {
        let source = source(&BID, &[("events", "3000"), ("rate", "200"), ("disorder", disorder)]);
        let single = read_all(source.as_ref(), 100);
        let parallel = block_on(async {
            let mut all = Vec::new();
            for state in initial_splits(source.as_ref(), 3).await {
                let mut reader = source.reader(reader_context(64), vec![state]).await.unwrap();
                all.extend(drain(reader.as_mut(), usize::MAX).await);
            }
            concat(&all)
        });
        assert_eq!(sorted(&single), sorted(&parallel));
    }
}

#[test]
fn disorder_reorders_and_stays_within_its_bound() {
    for events in ["2048", "3001", "57"] {
        let options = [("events", events), ("rate", "100")];
        let ordered = rows(&BID, &options);
        let shuffled = rows(&BID, &[("events", events), ("rate", "100"), ("disorder", "3 s")]);
        assert_eq!(sorted(&ordered), sorted(&shuffled), "the same rows");
        assert_ne!(ordered, shuffled);
        let mut newest = 0;
        let late = times(&shuffled, "dateTime").iter().map(|ms| {
            newest = newest.max(*ms);
            newest - ms
        });
        let late = late.max().unwrap();
        assert!(late > 0 && late < 3000, "{late} ms");
    }
}

#[test]
fn any_position_resumes_exactly() {
    let source = source(&BID, &[("events", "500"), ("disorder", "1 s"), ("rate", "100")]);
    for batch_rows in [1, 7, 100] {
        assert_restarts_exactly(source.as_ref(), batch_rows);
    }
}

#[test]
fn seeds_differ_and_repeat() {
    let first = rows(&BID, &[("events", "500"), ("seed", "1")]);
    assert_eq!(first, rows(&BID, &[("events", "500")]));
    assert_ne!(first, rows(&BID, &[("events", "500"), ("seed", "2")]));
}

#[test]
fn no_columns_still_count() {
    let mut spec = scan(nexmark(&BID, &[("events", "500")]));
    spec.projection.clear();
    let source = Connectors::new().source(&spec).unwrap();
    assert_eq!(
        block_on(async {
            let splits = initial_splits(source.as_ref(), 1).await;
            let mut reader = source.reader(reader_context(100), splits).await.unwrap();
            drain(reader.as_mut(), usize::MAX).await.iter().map(|(_, rows)| rows.num_rows()).sum::<usize>()
        }),
        460
    );
}

fn refused(columns: &[(&str, SqlType)], options: &[(&str, &str)]) -> String {
    Connectors::new().check(&nexmark(columns, options)).unwrap_err().message
}

#[test]
fn flinks_names_of_options_work() {
    let options = [
        ("first-event.rate", "100"),
        ("next-event.rate", "100"),
        ("events.num", "1000"),
        ("person.proportion", "1"),
        ("auction.proportion", "3"),
        ("bid.proportion", "6"),
    ];
    assert_eq!(rows(&BID, &options).num_rows(), 600);
}

#[test]
fn what_is_wrong_is_said() {
    let message = refused(&[("id", SqlType::BigInt), ("extra", SqlType::STRING)], &[]);
    assert!(message.contains("fit several kinds"), "{message}");
    let message = refused(&[("auctoin", SqlType::BigInt)], &[("table", "bid")]);
    assert!(message.contains("no column 'auctoin', did you mean 'auction'?"), "{message}");
    let message = refused(&[("price", SqlType::Int)], &[]);
    assert!(message.contains("column price is INT, nexmark has it as BIGINT"), "{message}");
    let message = refused(&BID, &[("rat", "5")]);
    assert!(
        message.contains("unknown option 'rat' for connector 'nexmark', did you mean 'rate'?"),
        "{message}"
    );
    let message = refused(&BID, &[("rate", "0")]);
    assert!(message.contains("between 1 and"), "{message}");
    let message = refused(&BID, &[("rate", "5"), ("next-event.rate", "5")]);
    assert!(message.contains("the same as 'rate'"), "{message}");
    let mut table = nexmark(&events_table(), &[]);
    table.columns[1].nullable = false;
    let message = Connectors::new().check(&table).unwrap_err().message;
    assert!(message.contains("column person is NOT NULL"), "{message}");
    let message = refused(&[("event_type", SqlType::BigInt)], &[]);
    assert!(message.contains("nexmark has it as INT"), "{message}");
}
