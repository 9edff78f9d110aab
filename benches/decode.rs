//! Reading and writing formats: bids as Nexmark has them, 8 columns, about 234 bytes as JSON.

use arrow::datatypes::Schema;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use weir_formats::{DecoderSpec, Format, Position};
use weir_types::{ChangelogBatch, SqlType};

const ROWS: usize = 50_000;
const CHUNK: usize = 1 << 20;

fn bids() -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = String::new();
    for row in 0..ROWS {
        let extra: String = (0..30 + next() % 28).map(|_| char::from(b'a' + (next() % 26) as u8)).collect();
        writeln!(
            out,
            "{{\"auction\":{},\"bidder\":{},\"price\":{},\"channel\":\"channel-{}\",\"url\":\"https://www.nexmark.com/\
             itzn/qhpir/zsc/item.htm?query=1\",\"city\":\"Kent\",\"dateTime\":\"2015-07-14 23:{:02}:{:02}.{:03}\",\
             \"extra\":\"{extra}\"}}",
            next() % 100_000,
            next() % 100_000,
            next() % 100_000_000,
            next() % 10_000,
            row / 60_000 % 60,
            row / 1000 % 60,
            row % 1000
        )
        .expect("a String takes everything");
    }
    out
}

fn spec(projection: Vec<usize>) -> DecoderSpec {
    let columns = [
        ("auction", SqlType::BigInt),
        ("bidder", SqlType::BigInt),
        ("price", SqlType::BigInt),
        ("channel", SqlType::STRING),
        ("url", SqlType::STRING),
        ("city", SqlType::STRING),
        ("dateTime", SqlType::Timestamp(3)),
        ("extra", SqlType::STRING),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, sql_type)| sql_type.to_field(name, true)).collect();
    DecoderSpec {
        columns: Arc::new(Schema::new(fields)),
        projection,
        batch_rows: 8192,
        position: Position::default(),
    }
}

fn format(name: &str) -> Format {
    Format::named(name, &format!("{name}."), &BTreeMap::new()).expect("a format without options")
}

/// Decodes `text`, handing each batch to `consume`.
fn decode(format: &Format, spec: &DecoderSpec, text: &[u8], mut consume: impl FnMut(ChangelogBatch)) {
    let mut decoder = format.decoder(spec).expect("columns that the format can hold");
    for chunk in text.chunks(CHUNK) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = decoder.decode(rest).expect("well-formed records");
            rest = &rest[taken..];
            if decoder.is_full() {
                decoder.flush().expect("valid arrays").into_iter().for_each(&mut consume);
            }
        }
    }
    decoder.finish().expect("well-formed records");
    decoder.flush().expect("valid arrays").into_iter().for_each(&mut consume);
}

fn formats(criterion: &mut Criterion) {
    let json = bids();
    let all = spec((0..8).collect());
    let mut batches = Vec::new();
    decode(&format("json"), &all, json.as_bytes(), |batch| batches.push(batch));
    let mut group = criterion.benchmark_group("formats");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, projection) in [("8 of 8", (0..8).collect()), ("3 of 8", vec![0, 2, 6]), ("0 of 8", vec![])] {
        let spec = spec(projection);
        group.bench_function(format!("json decode, {name} columns"), |bencher| {
            bencher.iter(|| decode(&format("json"), &spec, json.as_bytes(), |batch| drop(black_box(batch))));
        });
    }
    for name in ["json", "csv", "debezium-json"] {
        let format = format(name);
        let mut text = Vec::new();
        group.bench_function(format!("{name} encode"), |bencher| {
            bencher.iter(|| {
                text.clear();
                let mut encoder = format.encoder(&all.columns).expect("columns that the format can hold");
                batches
                    .iter()
                    .for_each(|batch| encoder.encode(batch, &mut text).expect("rows that it can hold"));
            });
        });
        if name != "json" {
            group.bench_function(format!("{name} decode"), |bencher| {
                bencher.iter(|| decode(&format, &all, &text, |batch| drop(black_box(batch))));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = formats
}
criterion_main!(benches);
