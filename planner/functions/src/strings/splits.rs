//! Texts in pieces.

use super::super::arguments::Inputs;
use super::super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use super::{bytes_of, slices};
use arrow::array::{ArrayRef, ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};
use datafusion_common::Result;
use regex::Regex;
use std::ops::Range;
use std::sync::Arc;
use weir_types::SqlType;

const SPLIT_INDEX: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text, P::Int], R::Text).nullable(),
    call(&[P::Text, P::Int, P::Int], R::Text).nullable(),
]);
const SPLIT: Typing = Typing::Signatures(&[call(&[P::Text, P::Text], R::TextArray)]);
const STR_TO_MAP: Typing = Typing::Signatures(&[
    call(&[P::Text], R::TextMap).nullable(),
    call(&[P::Text, P::Text, P::Text], R::TextMap).nullable(),
]);

pub(in super::super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "SPLIT_INDEX",
        SPLIT_INDEX,
        split_index,
        "SPLIT_INDEX(s, separator, index): a piece, from 0",
    ),
    Function::new("SPLIT", SPLIT, split, "SPLIT(s, separator): an array of pieces"),
    Function::new(
        "STR_TO_MAP",
        STR_TO_MAP,
        str_to_map,
        "STR_TO_MAP(s[, between pairs, between key and value])",
    ),
    Function::new("ELT", Typing::Custom(type_elt), elt, "ELT(index, s, ..): one of the texts, from 1"),
];

/// Piece `index` of a text; without a separator, white space separates.
fn piece<'a>(text: &'a str, separator: &str, index: usize) -> Option<&'a str> {
    let mut characters = separator.chars();
    match (text, characters.next(), characters.next()) {
        ("", ..) => None,
        (_, None, _) => text.split(char::is_whitespace).nth(index),
        (_, Some(single), None) => text.split(single).nth(index),
        _ => text.split(separator).nth(index),
    }
}

fn split_index(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, indexes) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(2)?);
    let bytes = bytes_of(inputs, texts.array) / 2;
    if !inputs.types[1].is_string() {
        let codes = inputs.primitives::<Int32Type>(1)?;
        return Ok(slices(inputs.rows, bytes, |row| {
            let separator = u32::try_from(codes.get(row)?).ok().filter(|code| (1..=255).contains(code))?;
            let index = usize::try_from(indexes.get(row)?).ok()?;
            let text = texts.get(row).filter(|text| !text.is_empty())?;
            text.split(char::from_u32(separator)?).nth(index)
        }));
    }
    let separators = inputs.texts(1)?;
    // One byte, many rows: the separator is looked at once.
    if let (Some(Some(&[separator])), Some(Some(index))) = (
        separators.constant().map(|text| text.map(|text| text.as_bytes())).map(SingleByte::of),
        indexes.constant(),
    ) && separator.is_ascii()
    {
        let Ok(index) = usize::try_from(index) else { return Ok(slices(inputs.rows, 0, |_| None)) };
        let offsets = texts.array.value_offsets();
        let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        let places = Places::of(separator, &texts.array.value_data()[first..last]);
        return Ok(slices(inputs.rows, bytes, |row| {
            let text = texts.get(row).filter(|text| !text.is_empty())?;
            let start = offsets[texts.index(row)] as usize - first;
            places.piece(start, start + text.len(), index).map(|piece| &text[piece])
        }));
    }
    Ok(slices(inputs.rows, bytes, |row| {
        let (separator, index) = (separators.get(row)?, usize::try_from(indexes.get(row)?).ok()?);
        piece(texts.get(row)?, separator, index)
    }))
}

/// Keeps a pattern match above readable.
struct SingleByte;

impl SingleByte {
    fn of(bytes: Option<&[u8]>) -> Option<&[u8; 1]> {
        bytes.and_then(|bytes| bytes.try_into().ok())
    }
}

/// Where an ASCII character stands in the bytes of a whole column: a bit for each byte, 64 a word.
struct Places(Vec<u64>);

impl Places {
    fn of(wanted: u8, bytes: &[u8]) -> Places {
        let (blocks, rest) = bytes.as_chunks::<64>();
        let mut last = [!wanted; 64];
        last[..rest.len()].copy_from_slice(rest);
        Places(blocks.iter().chain([&last]).map(|block| Self::of_block(wanted, block)).collect())
    }

    /// Eight bytes at a time: one that is `wanted` becomes zero, zeros become a high bit, high bits are gathered.
    fn of_block(wanted: u8, block: &[u8; 64]) -> u64 {
        const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let pattern = u64::from_le_bytes([wanted; 8]);
        block.as_chunks::<8>().0.iter().enumerate().fold(0, |word, (place, bytes)| {
            let differs = u64::from_le_bytes(*bytes) ^ pattern;
            let zeros = !(((differs & LOW_SEVEN) + LOW_SEVEN) | differs | LOW_SEVEN);
            word | ((zeros >> 7).wrapping_mul(GATHER) >> 56) << (8 * place)
        })
    }

    /// The place of number `skip` of those at or after `from`, counted from 0.
    #[inline]
    fn nth(&self, from: usize, mut skip: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = self.0.get(word)? & (u64::MAX << (from % 64));
        while bits.count_ones() as usize <= skip {
            skip -= bits.count_ones() as usize;
            word += 1;
            bits = *self.0.get(word)?;
        }
        for _ in 0..skip {
            bits &= bits - 1;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// Piece `index` of the text from `start` to `end`, counted from the start of the text.
    #[inline]
    fn piece(&self, start: usize, end: usize, index: usize) -> Option<Range<usize>> {
        let before = |place: &usize| *place < end;
        let first = match index.checked_sub(1) {
            Some(separator) => self.nth(start, separator).filter(before)? + 1,
            None => start,
        };
        let last = self.nth(first, 0).filter(before).unwrap_or(end);
        Some(first - start..last - start)
    }
}

fn split(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (inputs.texts(0)?, inputs.texts(1)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..inputs.rows {
        let (Some(text), Some(separator)) = (texts.get(row), separators.get(row)) else {
            lists.append_null();
            continue;
        };
        match separator {
            // no text has no pieces
            _ if text.is_empty() => {}
            "" => text.char_indices().for_each(|(place, character)| {
                lists.values().append_value(&text[place..place + character.len_utf8()]);
            }),
            _ => text.split(separator).for_each(|piece| lists.values().append_value(piece)),
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// The separators are regular expressions, as in Java's `String.split`.
fn str_to_map(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let separators = match inputs.len() {
        3 => Some((inputs.texts(1)?, inputs.texts(2)?)),
        _ => None,
    };
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    let mut compiled: Option<([String; 2], [Regex; 2])> = None;
    for row in 0..inputs.rows {
        let (pairs, values) = match &separators {
            Some((pairs, values)) => (pairs.get(row), values.get(row)),
            None => (Some(","), Some("=")),
        };
        let (Some(text), Some(pairs), Some(values)) = (texts.get(row), pairs, values) else {
            maps.append(false)?;
            continue;
        };
        if compiled.as_ref().is_none_or(|(known, _)| known[0] != pairs || known[1] != values) {
            let compile = super::super::patterns::compile_java;
            compiled = Some(([pairs.into(), values.into()], [compile(pairs)?, compile(values)?]));
        }
        let Some((_, [pair_regex, value_regex])) = &compiled else { continue };
        let mut entries: Vec<(&str, Option<&str>)> = vec![];
        for pair in pair_regex.split(text).filter(|pair| !pair.is_empty()) {
            let mut parts = value_regex.splitn(pair, 2);
            let (key, value) = (parts.next().unwrap_or(pair), parts.next());
            match entries.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        for (key, value) in entries {
            maps.keys().append_value(key);
            maps.values().append_option(value);
        }
        maps.append(true)?;
    }
    let maps: ArrayRef = Arc::new(maps.finish());
    let data_type = inputs.result.data_type();
    if *maps.data_type() == data_type { Ok(maps) } else { Ok(arrow::compute::cast(&maps, &data_type)?) }
}

fn type_elt(call: &Call<'_>) -> Result<Typed> {
    let Some((index, texts)) = call.types.split_first() else { return call.refuse("an index and texts") };
    let integer = index.is_integer() || *index == SqlType::Null;
    if texts.is_empty() || !integer || !texts.iter().all(|t| t.is_string() || *t == SqlType::Null) {
        return call.refuse("an index and texts");
    }
    let mut arguments = vec![SqlType::BigInt];
    arguments.extend(texts.iter().map(|_| SqlType::STRING));
    Ok(Typed { arguments, result: SqlType::STRING, nullable: true })
}

fn elt(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let indexes = inputs.primitives::<arrow::datatypes::Int64Type>(0)?;
    let texts = (1..inputs.len()).map(|index| inputs.texts(index)).collect::<Result<Vec<_>>>()?;
    debug_assert_eq!(inputs.result.data_type(), DataType::Utf8);
    Ok(slices(inputs.rows, inputs.rows * 16, |row| {
        let index = usize::try_from(indexes.get(row)?).ok()?.checked_sub(1)?;
        texts.get(index)?.get(row)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a look at each byte, over texts that begin and end anywhere in the words.
    #[test]
    fn pieces_are_those_of_a_plain_split() {
        let texts = [
            "a/b/c",
            "/",
            "//",
            "no separator",
            "/leads",
            "trails/",
            "\u{e4}/\u{20ac}/\u{1f600}",
            "\0/\x7f/\x01",
        ];
        let mut column = String::new();
        let mut places_of_texts = Vec::new();
        for round in 0..40 {
            for text in texts {
                let long = text.repeat(1 + round % 7);
                places_of_texts.push((column.len(), long.clone()));
                column.push_str(&long);
            }
        }
        let places = Places::of(b'/', column.as_bytes());
        for (start, text) in &places_of_texts {
            for index in 0..20 {
                let piece = places.piece(*start, start + text.len(), index).map(|piece| &text[piece]);
                assert_eq!(piece, text.split('/').nth(index), "piece {index} of '{text}'");
            }
        }
    }
}
