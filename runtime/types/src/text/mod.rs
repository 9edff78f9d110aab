//! The text of SQL values: how values are written and how text is read, as Flink does it.
//!
//! Two renderings exist ([`TextStyle`]): that of `CAST(.. AS STRING)`, and that of the values' Java classes, which the
//! print connector shows. Formats have their own rules and build on the same parts ([`number`], [`datetime`],
//! [`parse`]).
//!
//! Everything appends to a buffer of the caller, and what depends on the type is decided once an array
//! ([`ValueText`]), not once a value.

pub mod datetime;
pub mod number;
pub mod parse;

mod row;
mod value;
mod zone;

pub use datetime::LocalDateTime;
pub use row::RowWriter;
pub use value::{TextStyle, UnsupportedText, ValueText, cast_to_string};
pub use zone::{TimeZone, UnknownTimeZone};

#[cfg(test)]
mod tests;
