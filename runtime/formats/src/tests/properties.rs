//! Random rows, random cuts, random damage; all seeded.

use super::*;

/// A small generator; the sequence is fixed by the seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn text(&mut self) -> String {
        const LETTERS: [&str; 14] =
            ["a", "Z", "\\\"", "\\\\", ",", ";", " ", "é", "😀", "\\n", "\\u0001", "'", "#", "x"];
        (0..self.below(40)).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }

    /// The JSON text of some value of a type.
    fn value(&mut self, sql_type: &SqlType) -> String {
        if self.below(6) == 0 {
            return "null".into();
        }
        let small = self.below(100_000);
        let negative = if self.below(2) == 0 { "-" } else { "" };
        match sql_type {
            SqlType::Boolean => (self.below(2) == 0).to_string(),
            SqlType::TinyInt => (self.next() as i8).to_string(),
            SqlType::Int => (self.next() as i32).to_string(),
            SqlType::BigInt => ((self.next() >> self.below(64)) as i64).to_string(),
            SqlType::Double => {
                format!("{negative}{}.{}E{}", small, self.below(1000), self.below(30) as i32 - 15)
            }
            SqlType::Decimal { .. } => format!("{negative}{small}.{:02}", self.below(100)),
            SqlType::Date => {
                format!("\"20{:02}-0{}-1{}\"", self.below(100), 1 + self.below(9), self.below(10))
            }
            SqlType::Timestamp(_) => {
                format!(
                    "\"2021-03-04 05:{:02}:{:02}.{:03}\"",
                    self.below(60),
                    self.below(60),
                    self.below(1000)
                )
            }
            SqlType::Array(element) => {
                let elements: Vec<_> =
                    (0..1 + self.below(3)).map(|_| self.value(&element.sql_type)).collect();
                format!("[{}]", elements.join(","))
            }
            SqlType::Map(_, value) => {
                let entries: Vec<_> = (0..self.below(3))
                    .map(|key| format!("\"k{key}\":{}", self.value(&value.sql_type)))
                    .collect();
                format!("{{{}}}", entries.join(","))
            }
            SqlType::Row(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|member| format!("\"{}\":{}", member.name, self.value(&member.sql_type)))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
            _ => format!("\"{}\"", self.text()),
        }
    }

    fn record(&mut self, columns: &[SqlField]) -> String {
        let members: Vec<_> = columns
            .iter()
            .map(|column| format!("\"{}\":{}", column.name, self.value(&column.sql_type)))
            .collect();
        format!("{{{}}}\n", members.join(","))
    }
}

fn flat() -> Vec<SqlField> {
    vec![
        column("b", SqlType::Boolean),
        column("y", SqlType::TinyInt),
        column("i", SqlType::Int),
        column("a long name of a column", SqlType::BigInt),
        column("s", SqlType::STRING),
        column("d", SqlType::Double),
        column("m", decimal(12, 2)),
        column("dt", SqlType::Date),
        column("ts", SqlType::Timestamp(3)),
    ]
}

fn nested() -> Vec<SqlField> {
    let inner =
        SqlType::Row(vec![column("x", array_of(SqlType::STRING)), column("y", map_of(SqlType::Double))]);
    let mut columns = flat();
    columns.push(column("r", inner.clone()));
    columns.push(column("l", array_of(inner)));
    columns.push(column("p", map_of(array_of(SqlType::Int))));
    columns
}

#[test]
fn what_json_writes_it_reads_again() {
    let mut random = Random(7);
    let (fields, json) = (nested(), format("json", &[]));
    let columns = schema(&fields);
    for _ in 0..50 {
        let text: String = (0..20).map(|_| random.record(&fields)).collect();
        let first = batch(&json, &columns, &text);
        let written = write(&json, &columns, &first);
        let second = batch(&json, &columns, &written);
        assert_eq!(first, second);
        assert_eq!(write(&json, &columns, &second), written);
    }
}

#[test]
fn what_csv_writes_it_reads_again() {
    let mut random = Random(8);
    let mut fields = flat();
    fields.push(column("l", array_of(SqlType::Int)));
    let (columns, json) = (schema(&fields), format("json", &[]));
    let formats = [
        format("csv", &[("null-literal", "NULL")]),
        format("csv", &[("null-literal", "-"), ("field-delimiter", ";"), ("array-element-delimiter", "|")]),
        format("csv", &[("null-literal", "NULL"), ("escape-character", "\\"), ("quote-character", "'")]),
    ];
    for round in 0..60 {
        let csv = &formats[round % formats.len()];
        // An array of one NULL and NULL itself have the same text.
        let text: String = (0..20).map(|_| random.record(&fields).replace("[null]", "[0]")).collect();
        let first = batch(&json, &columns, &text);
        let written = write(csv, &columns, &first);
        let read = read_in(&mut *decoder(csv, &columns), written.as_bytes(), 1 + random.below(50)).unwrap();
        assert_eq!(show(&read), show(&[first]), "{written}");
    }
}

#[test]
fn chunks_do_not_matter() {
    let mut random = Random(9);
    let fields = nested();
    let columns = schema(&fields);
    let text: String = (0..12).map(|_| random.record(&fields)).collect::<String>() + "{\"i\":1}";
    let mut spec = spec(&columns);
    spec.batch_rows = 5;
    let json = format("json", &[]);
    let whole = read_in(&mut *json.decoder(&spec).unwrap(), text.as_bytes(), usize::MAX).unwrap();
    assert_eq!(whole.iter().map(ChangelogBatch::num_rows).collect::<Vec<_>>(), [5, 5, 3]);
    for chunk in 1..text.len() {
        let mut decoder = json.decoder(&spec).unwrap();
        assert_eq!(read_in(&mut *decoder, text.as_bytes(), chunk).unwrap(), whole);
        assert_eq!(decoder.position().offset, text.len() as u64);
    }
}

/// Damages a text at a few places.
fn damage(random: &mut Random, text: &[u8]) -> Vec<u8> {
    const BYTES: &[u8] = b"\"\\{}[]:,0-.eEtfnu \n\r\t\xff\x80\xc3\x00';#";
    let mut bytes = text.to_vec();
    for _ in 0..1 + random.below(4) {
        let (at, other) = (random.below(bytes.len()), random.below(bytes.len()));
        match random.below(5) {
            0 => bytes[at] = BYTES[random.below(BYTES.len())],
            1 => bytes.insert(at, BYTES[random.below(BYTES.len())]),
            2 => drop(bytes.drain(at.min(other)..(at.min(other) + 8).min(at.max(other)))),
            3 => bytes.truncate(at.max(1)),
            _ => bytes[at] = random.next() as u8,
        }
    }
    bytes
}

/// Damaged records are errors or rows; strict and lenient readers agree on what is fine, and a lenient reader goes on.
#[test]
fn damaged_bytes_never_panic() {
    let mut random = Random(10);
    let fields = nested();
    let columns = schema(&fields);
    let wrap = |record: &str| format!("{{\"before\":{0},\"after\":{0},\"op\":\"u\"}}\n", record.trim_end());
    for round in 0..6000 {
        let name = ["json", "debezium-json", "csv"][round % 3];
        let columns = if name == "csv" { schema(&flat()) } else { columns.clone() };
        let records: Vec<String> =
            (0..3).map(|_| random.record(if name == "csv" { &fields[..9] } else { &fields })).collect();
        let text: String = match name {
            "json" => records.concat(),
            "csv" => write(
                &format("csv", &[]),
                &columns,
                &batch(&format("json", &[]), &columns, &records.concat()),
            ),
            _ => records.iter().map(|record| wrap(record)).collect(),
        };
        let bytes = damage(&mut random, text.as_bytes());
        let chunk = 1 + random.below(bytes.len());
        let strict = read_in(&mut *decoder(&format(name, &[]), &columns), &bytes, chunk);
        let mut lenient = decoder(&format(name, &[("ignore-parse-errors", "true")]), &columns);
        let read = read_in(&mut *lenient, &bytes, chunk).unwrap();
        assert_eq!(lenient.position().offset, bytes.len() as u64);
        show(&read);
        if let Ok(batches) = strict {
            assert_eq!(lenient.skipped_records(), 0);
            assert_eq!(show(&batches), show(&read));
        }
    }
}

/// A generic parser accepts what this one accepts, and refuses what it refuses.
#[test]
fn json_agrees_with_another_parser() {
    let mut random = Random(11);
    let fields = nested();
    let columns = schema(&[column("none of them", SqlType::Int)]);
    let json = format("json", &[]);
    let mut accepted = 0;
    for _ in 0..4000 {
        let record = random.record(&fields);
        let mut bytes = damage(&mut random, record.trim_end().as_bytes());
        bytes.retain(|byte| *byte != b'\n' && *byte != b'\r');
        let expected = match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(value) => value.is_object(),
            Err(error) if error.to_string().contains("out of range") => continue,
            Err(_) => false,
        };
        let ours = decoder(&json, &columns).decode_record(&bytes).is_ok();
        // Half a surrogate pair, which the other parser refuses, does not occur in these records.
        assert_eq!(ours, expected || bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
        accepted += usize::from(ours);
    }
    assert!(accepted > 100, "the test must see both kinds, {accepted}");
}
