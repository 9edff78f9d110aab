//! JSON_QUOTE and JSON_UNQUOTE.

use super::super::arguments::Inputs;
use super::super::strings::{bytes_of, written};
use super::document::Json;
use arrow::array::ArrayRef;
use datafusion_common::Result;
use std::fmt::Write;

/// A JSON string in which everything but printable ASCII is escaped, and `/` too.
pub(super) fn quote(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    written(inputs.rows, bytes_of(inputs, texts.array) + 2 * inputs.rows, |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        out.push('"');
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(b'"') => out.push_str("\\\""),
                Ok(b'\\') => out.push_str("\\\\"),
                Ok(b'/') => out.push_str("\\/"),
                Ok(b'\n') => out.push_str("\\n"),
                Ok(b'\r') => out.push_str("\\r"),
                Ok(b'\t') => out.push_str("\\t"),
                Ok(8) => out.push_str("\\b"),
                Ok(12) => out.push_str("\\f"),
                Ok(byte @ 32..127) => out.push(char::from(byte)),
                _ => {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        out.push('"');
        Ok(true)
    })
}

pub(super) fn unquote(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        let quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
        match quoted.then(|| Json::parse(text)).flatten() {
            Some(Json::Text(unquoted)) => out.push_str(&unquoted),
            _ => out.push_str(text),
        }
        Ok(true)
    })
}
