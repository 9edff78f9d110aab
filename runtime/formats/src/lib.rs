//! Formats: bytes to batches and back, as `'format' = '..'` names them.
//!
//! Read first: [`Format`] (a format with its checked options), [`Decoder`] and [`Encoder`].
//!
//! | format | reads | writes |
//! | --- | --- | --- |
//! | `json` | one object a line | `+I` |
//! | `csv` | RFC 4180 with Flink's options | `+I` |
//! | `raw` | one line, one value | `+I` |
//! | `debezium-json` | `before`, `after`, `op`: `+I -U +U -D` | `c` and `d` |
//!
//! Invariants:
//! - A row is decoded completely or not at all: after an error, or a skipped record, no column has a part of it.
//! - How a stream is cut into chunks changes neither rows nor positions.
//! - Only the columns that are asked for are built.
//! - Malformed bytes are an error with a line and an offset, never a panic.
//!
//! This room deliberately does not know files, sockets or topics: whoever feeds it adds their names to its errors.

mod cells;
mod columns;
mod csv;
mod debezium;
mod decoder;
mod encoder;
mod error;
mod format;
mod framing;
mod json;
mod options;
mod raw;
mod stream;

pub use decoder::{Decoder, DecoderSpec, Position};
pub use encoder::{Encoder, RowEnd};
pub use error::FormatError;
pub use format::Format;
pub use options::OptionSpec;

pub use csv::CsvOptions;
pub use debezium::DebeziumJsonOptions;
pub use json::{JsonOptions, MapNullKeyMode, TimestampStandard};
pub use raw::{Charset, RawOptions};

#[cfg(test)]
mod tests;
