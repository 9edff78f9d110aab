//! JSON_OBJECTAGG: members of an object, ordered by their keys as Flink writes them.

use super::bytes::{ByteResults, BytesKernel, items};
use std::cmp::Ordering;

/// Words: 1 where a key came twice or was NULL. Held: items key, value, ordered by key; a value is JSON, NULL is `null`.
pub(crate) struct JsonObject;

pub(crate) const DUPLICATE_KEY: &str = "JSON_OBJECTAGG met a key that is NULL or that the group has already: keys of an object are not NULL and distinct";

/// Order of Java's strings: by UTF-16 code units, which differs from that of bytes above U+D7FF only.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        return left.cmp(right);
    }
    match (std::str::from_utf8(left), std::str::from_utf8(right)) {
        (Ok(left), Ok(right)) => left.encode_utf16().cmp(right.encode_utf16()),
        _ => left.cmp(right),
    }
}

/// The offset of the member `key` and that behind it, or of the place where it belongs.
fn find(held: &[u8], key: &[u8]) -> Result<(usize, usize), usize> {
    let mut offset = 0;
    while let Some((Some(found), middle)) = items::next(held, offset) {
        let end = items::next(held, middle).map_or(held.len(), |(_, end)| end);
        match compare(found, key) {
            Ordering::Less => offset = end,
            Ordering::Equal => return Ok((offset, end)),
            Ordering::Greater => break,
        }
    }
    Err(offset)
}

fn insert(words: &mut [u64], held: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    match find(held, key) {
        Ok(_) => words[0] = 1,
        Err(place) => {
            let mut member = Vec::with_capacity(key.len() + value.map_or(0, <[u8]>::len) + 8);
            items::push(&mut member, Some(key));
            items::push(&mut member, value);
            held.splice(place..place, member);
        }
    }
}

impl BytesKernel for JsonObject {
    const WORDS: usize = 1;
    const GROWS: bool = true;

    fn add(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, second: Option<&[u8]>) {
        match value {
            Some(key) => insert(words, held, key, second),
            None => words[0] = 1,
        }
    }

    fn retract(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        if let Some(Ok((start, end))) = value.map(|key| find(held, key)) {
            held.drain(start..end);
        }
    }

    fn result(&self, _words: &[u64], held: &[u8], results: &mut ByteResults) {
        results.push_with(|text| {
            let start = text.len();
            let mut all = items::iter(held);
            while let (Some(key), Some(value)) = (all.next(), all.next()) {
                text.push(if text.len() == start { b'{' } else { b',' });
                write_key(&String::from_utf8_lossy(key.unwrap_or_default()), text);
                text.push(b':');
                text.extend_from_slice(value.unwrap_or(b"null"));
            }
            text.extend_from_slice(if text.len() == start { b"{}" } else { b"}" });
        });
    }

    fn merge(&self, words: &mut [u64], held: &mut Vec<u8>, other_words: &[u64], other: &[u8]) {
        words[0] |= other_words[0];
        if held.is_empty() {
            held.extend_from_slice(other);
            return;
        }
        let mut all = items::iter(other);
        while let (Some(key), Some(value)) = (all.next(), all.next()) {
            insert(words, held, key.unwrap_or_default(), value);
        }
    }

    fn is_broken(&self, words: &[u64]) -> bool {
        words[0] == 1
    }
}

/// A JSON string, escaped as Jackson does: control characters, quotes and backslashes only.
fn write_key(key: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    for byte in key.bytes() {
        match byte {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0x08 => text.extend_from_slice(b"\\b"),
            0x0c => text.extend_from_slice(b"\\f"),
            0..=0x1f => text.extend_from_slice(format!("\\u{byte:04X}").as_bytes()),
            byte => text.push(byte),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(mut keys: Vec<&str>) -> Vec<&str> {
        keys.sort_by(|left, right| compare(left.as_bytes(), right.as_bytes()));
        keys
    }

    #[test]
    fn keys_are_ordered_as_java_orders_strings() {
        assert_eq!(order(vec!["b", "a", "B", "é", "aa"]), ["B", "a", "aa", "b", "é"]);
        // A surrogate pair begins with D83D, which is below FF01.
        assert_eq!(order(vec!["\u{ff01}", "\u{1f600}"]), ["\u{1f600}", "\u{ff01}"]);
    }

    #[test]
    fn keys_are_escaped() {
        let mut text = Vec::new();
        write_key("x\"y\\\u{1}é\n", &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), "\"x\\\"y\\\\\\u0001é\\n\"");
    }
}
