//! The `json` format: one object a line.
//!
//! Reading is made for speed: one pass finds the quotes of a record ([`index`]), members are expected in the order of
//! the records before ([`shape`]), members that nobody wants are passed by, and the rest goes straight into Arrow
//! columns ([`value`]). Records with escapes or control characters take the same way with a closer look at strings.

mod cursor;
mod decode;
mod document;
mod encode;
mod index;
mod options;
mod shape;
mod value;

pub(crate) mod change;

pub use options::{JsonOptions, MapNullKeyMode, TimestampStandard};

pub(crate) use decode::decoder;
pub(crate) use encode::{ObjectWriter, append_json_string, encoder};
pub(crate) use options::{OPTIONS, check_columns, shared};
