//! Kernels of the functions that keep bytes per group.

use super::bytes::{ByteResults, BytesKernel, items};
use super::numeric::{FIRST, LAST, MAX, MIN, SINGLE};

/// MIN, MAX, FIRST_VALUE, LAST_VALUE, SINGLE_VALUE of values that are bytes, over rows that are never taken
/// back. Words: 0 for no value, 1 for one, 2 for more where only one may be. Held: the value.
pub(crate) struct OneOfBytes<const KEEP: u8>;

impl<const KEEP: u8> BytesKernel for OneOfBytes<KEEP> {
    const WORDS: usize = 1;
    const GROWS: bool = false;

    fn add(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        let Some(value) = value else { return };
        let seen = words[0] != 0;
        let replace = match KEEP {
            MIN => value < &held[..],
            MAX => value > &held[..],
            LAST => true,
            FIRST | SINGLE => false,
            _ => false,
        };
        if !seen || replace {
            held.clear();
            held.extend_from_slice(value);
        }
        words[0] = if seen && KEEP == SINGLE { 2 } else { 1 };
    }

    /// SINGLE_VALUE alone is let over an input that retracts: an update takes the old value back first.
    fn retract(&self, words: &mut [u64], held: &mut Vec<u8>, _value: Option<&[u8]>, _second: Option<&[u8]>) {
        words[0] = 0;
        held.clear();
    }

    fn result(&self, words: &[u64], held: &[u8], results: &mut ByteResults) {
        if words[0] == 0 { results.push_null() } else { results.push(held) }
    }

    fn merge(&self, words: &mut [u64], held: &mut Vec<u8>, other_words: &[u64], other: &[u8]) {
        if other_words[0] != 0 {
            self.add(words, held, Some(other), None);
        }
    }

    fn is_broken(&self, words: &[u64]) -> bool {
        KEEP == SINGLE && words[0] == 2
    }
}

/// LISTAGG over rows that are never taken back. Words: 0 for no value, else the length of the separator plus
/// 1. Held: the separator, then the text so far.
pub(crate) struct Concatenated;

/// The separator of LISTAGG without a second argument.
const COMMA: &[u8] = b",";

impl BytesKernel for Concatenated {
    const WORDS: usize = 1;
    const GROWS: bool = true;

    fn add(&self, words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, second: Option<&[u8]>) {
        let Some(value) = value else { return };
        let separator = second.unwrap_or(COMMA);
        if words[0] == 0 {
            words[0] = separator.len() as u64 + 1;
            held.clear();
        }
        held.extend_from_slice(separator);
        held.extend_from_slice(value);
    }

    /// Not called: over an input that retracts LISTAGG keeps a list.
    fn retract(
        &self,
        _words: &mut [u64],
        _held: &mut Vec<u8>,
        _value: Option<&[u8]>,
        _second: Option<&[u8]>,
    ) {
    }

    fn result(&self, words: &[u64], held: &[u8], results: &mut ByteResults) {
        match words[0].checked_sub(1) {
            Some(separator) => results.push(&held[separator as usize..]),
            None => results.push_null(),
        }
    }

    fn merge(&self, words: &mut [u64], held: &mut Vec<u8>, other_words: &[u64], other: &[u8]) {
        if words[0] == 0 {
            words[0] = other_words[0];
        }
        held.extend_from_slice(other);
    }
}

/// The values in the order of their arrival; a row that is taken back removes the first equal one. Held:
/// items, or for [`JOIN`] pairs of separator and value.
pub(crate) struct Listed<const FORM: u8>;

/// ARRAY_AGG: all of them
pub(crate) const ARRAY: u8 = 0;
/// FIRST_VALUE over an input that retracts
pub(crate) const FIRST_OF_LIST: u8 = 1;
/// LAST_VALUE over an input that retracts
pub(crate) const LAST_OF_LIST: u8 = 2;
/// LISTAGG over an input that retracts
pub(crate) const JOIN: u8 = 3;
/// JSON_ARRAYAGG: the values are JSON, NULL is `null`
pub(crate) const JSON_ARRAY: u8 = 4;

impl<const FORM: u8> Listed<FORM> {
    /// Removes the pair with this value.
    fn remove_pair(held: &mut Vec<u8>, value: Option<&[u8]>) {
        let mut offset = 0;
        while let Some((_, middle)) = items::next(held, offset) {
            let Some((found, end)) = items::next(held, middle) else { return };
            if found == value {
                held.drain(offset..end);
                return;
            }
            offset = end;
        }
    }
}

impl<const FORM: u8> BytesKernel for Listed<FORM> {
    const WORDS: usize = 0;
    const GROWS: bool = !matches!(FORM, FIRST_OF_LIST | LAST_OF_LIST);

    fn add(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, second: Option<&[u8]>) {
        if FORM == JOIN {
            items::push(held, Some(second.unwrap_or(COMMA)));
        }
        items::push(held, value);
    }

    fn retract(&self, _words: &mut [u64], held: &mut Vec<u8>, value: Option<&[u8]>, _second: Option<&[u8]>) {
        if FORM == JOIN {
            Self::remove_pair(held, value);
        } else {
            items::remove(held, value);
        }
    }

    fn result(&self, _words: &[u64], held: &[u8], results: &mut ByteResults) {
        if FORM == JSON_ARRAY {
            return results.push_with(|text| write_json_array(held, text));
        }
        if held.is_empty() {
            return results.push_null();
        }
        let one = |item: Option<Option<&[u8]>>, results: &mut ByteResults| match item.flatten() {
            Some(value) => results.push(value),
            None => results.push_null(),
        };
        match FORM {
            ARRAY => results.push(held),
            FIRST_OF_LIST => one(items::iter(held).next(), results),
            LAST_OF_LIST => one(items::iter(held).last(), results),
            _ => results.push_with(|text| {
                // The first item is the separator in front of the first value.
                items::iter(held).skip(1).flatten().for_each(|item| text.extend_from_slice(item));
            }),
        }
    }

    fn merge(&self, _words: &mut [u64], held: &mut Vec<u8>, _other_words: &[u64], other: &[u8]) {
        held.extend_from_slice(other);
    }
}

/// Items as the elements of a JSON array.
fn write_json_array(held: &[u8], text: &mut Vec<u8>) {
    let start = text.len();
    for item in items::iter(held) {
        text.push(if text.len() == start { b'[' } else { b',' });
        text.extend_from_slice(item.unwrap_or(b"null"));
    }
    text.extend_from_slice(if text.len() == start { b"[]" } else { b"]" });
}
