//! Tests of the room's public face.

mod csv;
mod debezium;
mod json;
mod options;
mod properties;
mod raw;

use crate::{Decoder, DecoderSpec, Format, FormatError, Position};
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::text::RowWriter;
use weir_types::{ChangelogBatch, SqlField, SqlType};

/// A column `name TYPE`.
fn column(name: &str, sql_type: SqlType) -> SqlField {
    SqlField::new(name, sql_type, true)
}

fn schema(columns: &[SqlField]) -> SchemaRef {
    let fields: Vec<_> =
        columns.iter().map(|column| column.sql_type.to_field(&column.name, column.nullable)).collect();
    Arc::new(Schema::new(fields))
}

/// A format with options such as `ignore-parse-errors`.
fn format(name: &str, options: &[(&str, &str)]) -> Format {
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| (format!("{name}.{key}"), value.to_string())).collect();
    Format::named(name, &format!("{name}."), &options).unwrap()
}

fn spec(columns: &SchemaRef) -> DecoderSpec {
    DecoderSpec {
        columns: columns.clone(),
        projection: (0..columns.fields().len()).collect(),
        batch_rows: 1000,
        position: Position::default(),
    }
}

fn decoder(format: &Format, columns: &SchemaRef) -> Box<dyn Decoder> {
    format.decoder(&spec(columns)).unwrap()
}

/// Everything that `bytes` hold, fed in chunks of `chunk` bytes.
fn read_in(
    decoder: &mut dyn Decoder,
    bytes: &[u8],
    chunk: usize,
) -> Result<Vec<ChangelogBatch>, FormatError> {
    let mut batches = Vec::new();
    for piece in bytes.chunks(chunk.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = decoder.decode(rest)?;
            rest = &rest[taken..];
            if decoder.is_full() {
                batches.extend(decoder.flush()?);
            }
        }
    }
    decoder.finish()?;
    batches.extend(decoder.flush()?);
    Ok(batches)
}

/// Each row as the print connector shows it.
fn show(batches: &[ChangelogBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let writer = RowWriter::new(batch).unwrap();
        for row in 0..batch.num_rows() {
            let mut out = Vec::new();
            writer.append(row, &mut out);
            rows.push(String::from_utf8(out).unwrap());
        }
    }
    rows
}

/// The rows that `text` holds.
fn rows(format: &Format, columns: &SchemaRef, text: &str) -> Vec<String> {
    show(&read_in(&mut *decoder(format, columns), text.as_bytes(), usize::MAX).unwrap())
}

/// What is wrong with `text`.
fn error(format: &Format, columns: &SchemaRef, text: &str) -> String {
    match read_in(&mut *decoder(format, columns), text.as_bytes(), usize::MAX) {
        Err(error) => error.to_string(),
        Ok(batches) => panic!("{:?} from {text:?}", show(&batches)),
    }
}

/// The first batch that `text` holds, written again in `format`.
fn write(format: &Format, columns: &SchemaRef, batch: &ChangelogBatch) -> String {
    let mut out = Vec::new();
    format.encoder(columns).unwrap().encode(batch, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn batch(format: &Format, columns: &SchemaRef, text: &str) -> ChangelogBatch {
    read_in(&mut *decoder(format, columns), text.as_bytes(), usize::MAX).unwrap().remove(0)
}

fn array_of(sql_type: SqlType) -> SqlType {
    SqlType::Array(Box::new(SqlField::new("item", sql_type, true)))
}

fn map_of(value: SqlType) -> SqlType {
    let key = SqlField::new("key", SqlType::STRING, false);
    SqlType::Map(Box::new(key), Box::new(SqlField::new("value", value, true)))
}

fn decimal(precision: u8, scale: i8) -> SqlType {
    SqlType::Decimal { precision, scale }
}

/// One column of each type; what [`GOLDEN_JSON`] holds.
fn all_types() -> SchemaRef {
    let row = SqlType::Row(vec![column("EXPR$0", SqlType::Int), column("EXPR$1", SqlType::STRING)]);
    schema(&[
        column("d1", SqlType::Double),
        column("d2", SqlType::Double),
        column("d3", SqlType::Double),
        column("d4", SqlType::Double),
        column("d5", SqlType::Double),
        column("f1", SqlType::Float),
        column("f2", SqlType::Float),
        column("m1", decimal(23, 3)),
        column("m2", decimal(10, 2)),
        column("m3", decimal(10, 2)),
        column("m4", decimal(20, 10)),
        column("m5", decimal(30, 0)),
        column("t0", SqlType::Timestamp(0)),
        column("t1", SqlType::Timestamp(3)),
        column("t2", SqlType::Timestamp(3)),
        column("t3", SqlType::Timestamp(6)),
        column("t4", SqlType::Timestamp(3)),
        column("z1", SqlType::TimestampLtz(3)),
        column("dt", SqlType::Date),
        column("tm", SqlType::Time(0)),
        column("b", SqlType::Boolean),
        column("nul", SqlType::Int),
        column("s", SqlType::STRING),
        column("e", SqlType::STRING),
        column("bin", SqlType::BYTES),
        column("arr", array_of(SqlType::Int)),
        column("mp", map_of(SqlType::Int)),
        column("rw", row),
    ])
}

/// What Flink wrote for one row of [`all_types`].
const GOLDEN_JSON: &str = concat!(
    r#"{"d1":1.0,"d2":1.0E7,"d3":1.23456789E7,"d4":0.001,"d5":1.0E-4,"f1":0.1,"f2":1.0E10,"m1":908.092,"m2":5,"m3":0,"#,
    r#""m4":1E-7,"m5":1E+20,"t0":"2020-01-02 03:04:05","t1":"2020-01-02 03:04:05","t2":"2020-01-02 03:04:05.1","#,
    r#""t3":"2020-01-02 03:04:05.123456","t4":"2020-01-02 03:04:00","z1":"2020-01-02 03:04:05.1Z","dt":"2020-01-02","#,
    r#""tm":"03:04:05","b":true,"nul":null,"s":"q\"\\,é","e":"","bin":"AP8=","arr":[1,2],"mp":{"k":1},"#,
    r#""rw":{"EXPR$0":1,"EXPR$1":"x"}}"#,
    "\n"
);
