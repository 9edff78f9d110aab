//! The `csv` format: RFC 4180, as Jackson reads and writes it for Flink.

mod decode;
mod encode;
mod fields;
mod options;
mod value;

pub use options::CsvOptions;

pub(crate) use decode::decoder;
pub(crate) use encode::encoder;
pub(crate) use options::{OPTIONS, check_columns};
