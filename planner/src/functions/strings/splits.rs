//! Texts in pieces.

use super::super::arguments::Inputs;
use super::super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use super::{bytes_of, slices};
use arrow::array::{ArrayRef, ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow::datatypes::{DataType, Int32Type};
use datafusion_common::Result;
use regex::Regex;
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
        return Ok(slices(inputs.rows, bytes, |row| {
            let text = texts.get(row).filter(|text| !text.is_empty())?;
            text.split(char::from(separator)).nth(index)
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

fn split(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (inputs.texts(0)?, inputs.texts(1)?);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..inputs.rows {
        let (Some(text), Some(separator)) = (texts.get(row), separators.get(row)) else {
            lists.append_null();
            continue;
        };
        match separator {
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
