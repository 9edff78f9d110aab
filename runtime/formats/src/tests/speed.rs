//! Figures for a quick look: `cargo test --release -- --ignored speed --nocapture`.

use super::*;

/// Seconds that this thread has been on a processor, so that a busy machine does not count.
fn now() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Lines like those of Nexmark's bids: 8 columns, about 234 bytes.
fn bids(count: usize) -> Vec<u8> {
    use std::io::Write;
    let mut out = Vec::new();
    let mut state = 88172645463325252u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for row in 0..count {
        let (a, b, c) = (next() % 100_000 + 1000, next() % 100_000 + 1000, next() % 100_000_000);
        let letters: String = (0..54 + next() % 28).map(|_| char::from(b'a' + (next() % 26) as u8)).collect();
        writeln!(
            out,
            "{{\"auction\":{a},\"bidder\":{b},\"price\":{c},\"channel\":\"channel-{}\",\
             \"url\":\"https://www.nexmark.com/itzn/qhpir/zsc/item.htm?query=1&channel_id={}\",\
             \"dateTime\":\"2015-07-14 23:{:02}:{:02}.{:03}\",\"extra\":\"{letters}\"}}",
            next() % 10_000,
            next() % (1 << 31),
            row / 60_000 % 60,
            row / 1000 % 60,
            row % 1000
        )
        .unwrap();
    }
    out
}

fn bid() -> SchemaRef {
    schema(&[
        column("auction", SqlType::BigInt),
        column("bidder", SqlType::BigInt),
        column("price", SqlType::BigInt),
        column("channel", SqlType::STRING),
        column("url", SqlType::STRING),
        column("dateTime", SqlType::Timestamp(3)),
        column("extra", SqlType::STRING),
    ])
}

fn measure(name: &str, bytes: &[u8], rows: usize, mut work: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let begin = now();
        work();
        best = best.min(now() - begin);
    }
    let (million, megabytes) = (rows as f64 / best / 1e6, bytes.len() as f64 / best / 1e6);
    println!("{name:32} {million:6.2} M rows/s {megabytes:8.0} MB/s");
}

#[test]
#[ignore = "measures"]
fn speed() {
    let rows = 200_000;
    let bytes = bids(rows);
    let columns = bid();
    let json = format("json", &[]);
    for (name, projection) in
        [("all columns", (0..7).collect::<Vec<_>>()), ("3 columns", vec![0, 2, 5]), ("none", vec![])]
    {
        let mut spec = spec(&columns);
        spec.batch_rows = 8192;
        spec.projection = projection;
        measure(&format!("json decode, {name}"), &bytes, rows, || {
            let mut decoder = json.decoder(&spec).unwrap();
            let read: usize =
                read_in(&mut *decoder, &bytes, 1 << 20).unwrap().iter().map(|batch| batch.num_rows()).sum();
            assert_eq!(read, rows);
        });
    }
    let batches = read_in(&mut *decoder(&json, &columns), &bytes, 1 << 20).unwrap();
    for name in ["json", "csv", "debezium-json"] {
        let format = format(name, &[]);
        let mut text = Vec::with_capacity(bytes.len() * 2);
        measure(&format!("{name} encode"), &bytes, rows, || {
            text.clear();
            let mut encoder = format.encoder(&columns).unwrap();
            batches.iter().for_each(|batch| encoder.encode(batch, &mut text).unwrap());
        });
        if name != "json" {
            measure(&format!("{name} decode"), &text.clone(), rows, || {
                read_in(&mut *decoder(&format, &columns), &text, 1 << 20).unwrap();
            });
        }
    }
}
