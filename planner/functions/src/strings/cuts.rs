//! Parts of texts, and where they are.

use super::super::arguments::Inputs;
use super::{bytes_of, slices};
use arrow::array::{ArrayRef, BooleanArray, Int32Array};
use arrow::datatypes::Int32Type;
use datafusion_common::{Result, exec_err};
use std::sync::Arc;

/// The byte at which character `index` starts, or the end.
#[inline]
pub(super) fn byte_of_char(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

pub(super) fn count_chars(text: &str) -> usize {
    // Every byte but those that go on with a character.
    text.bytes().filter(|byte| (*byte as i8) >= -0x40).count()
}

/// The part of `text` from `position` (from 1, from the end if negative; 0 is 1) over `length` characters.
fn part(text: &str, position: i32, length: Option<i32>) -> Option<&str> {
    let length = match length {
        Some(length) if length < 0 => return None,
        Some(length) => length as usize,
        None => usize::MAX,
    };
    let start = match position {
        1.. => position as usize - 1,
        0 => 0,
        _ => match count_chars(text).checked_sub(position.unsigned_abs() as usize) {
            Some(start) => start,
            None => return Some(""),
        },
    };
    let rest = &text[byte_of_char(text, start)..];
    Some(if length == usize::MAX { rest } else { &rest[..byte_of_char(rest, length)] })
}

pub(super) fn substring(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, positions) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(1)?);
    let lengths = if inputs.len() == 3 { Some(inputs.primitives::<Int32Type>(2)?) } else { None };
    Ok(slices(inputs.rows, bytes_of(inputs, texts.array), |row| {
        let (text, position) = (texts.get(row)?, positions.get(row)?);
        let length = match &lengths {
            Some(lengths) => Some(lengths.get(row)?),
            None => None,
        };
        part(text, position, length)
    }))
}

pub(super) fn left(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, lengths) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(1)?);
    Ok(slices(inputs.rows, bytes_of(inputs, texts.array), |row| {
        let (text, length) = (texts.get(row)?, lengths.get(row)?);
        Some(&text[..byte_of_char(text, length.max(0) as usize)])
    }))
}

pub(super) fn right(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, lengths) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(1)?);
    Ok(slices(inputs.rows, bytes_of(inputs, texts.array), |row| {
        let (text, length) = (texts.get(row)?, lengths.get(row)?);
        let start = count_chars(text).saturating_sub(length.max(0) as usize);
        Some(&text[byte_of_char(text, start)..])
    }))
}

pub(super) fn trim(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    trimmed(inputs, true, true)
}

pub(super) fn ltrim(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    trimmed(inputs, true, false)
}

pub(super) fn rtrim(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    trimmed(inputs, false, true)
}

fn trimmed(inputs: &Inputs<'_>, start: bool, end: bool) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let characters = if inputs.len() == 2 { Some(inputs.texts(1)?) } else { None };
    Ok(slices(inputs.rows, bytes_of(inputs, texts.array), |row| {
        let mut text = texts.get(row)?;
        let set = match &characters {
            Some(characters) => characters.get(row)?,
            None => " ",
        };
        let within = |character: char| set.contains(character);
        if start {
            text = text.trim_start_matches(within);
        }
        if end {
            text = text.trim_end_matches(within);
        }
        Some(text)
    }))
}

/// The place of `search` in `text`, from character `from`; both count from 1; 0 if it is not there.
fn place(search: &str, text: &str, from: i32) -> i32 {
    if search.is_empty() {
        return 1;
    }
    let start = byte_of_char(text, (from.max(1) - 1) as usize);
    match text[start..].find(search) {
        Some(byte) => count_chars(&text[..start + byte]) as i32 + 1,
        None => 0,
    }
}

pub(super) fn locate(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let from = if inputs.len() == 3 { Some(inputs.primitives::<Int32Type>(2)?) } else { None };
    let (searches, texts) = (inputs.texts(0)?, inputs.texts(1)?);
    let places = (0..inputs.rows).map(|row| {
        let from = match &from {
            Some(from) => from.get(row)?,
            None => 1,
        };
        Some(place(searches.get(row)?, texts.get(row)?, from))
    });
    Ok(Arc::new(places.collect::<Int32Array>()))
}

/// As [`place`], of the match number `nth`; matches may overlap. A negative `from` counts from the end, and matches
/// that begin there or before are counted backwards.
fn nth_place(search: &str, text: &str, from: i32, nth: i32) -> i32 {
    if search.is_empty() {
        return 1;
    }
    let matches = |place: &usize| text[byte_of_char(text, *place)..].starts_with(search);
    let length = count_chars(text);
    let nth = nth.max(1) as usize - 1;
    let (from, distance) = (i64::from(from), from.unsigned_abs() as usize);
    let found = match from {
        0 => None,
        1.. => (distance - 1..length).filter(matches).nth(nth),
        _ => (0..(length + 1).saturating_sub(distance)).rev().filter(matches).nth(nth),
    };
    found.map_or(0, |place| place as i32 + 1)
}

pub(super) fn instr(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, searches) = (inputs.texts(0)?, inputs.texts(1)?);
    if inputs.len() == 2 {
        let places = (0..inputs.rows).map(|row| Some(place(searches.get(row)?, texts.get(row)?, 1)));
        return Ok(Arc::new(places.collect::<Int32Array>()));
    }
    let starts = inputs.primitives::<Int32Type>(2)?;
    let numbers = if inputs.len() == 4 { Some(inputs.primitives::<Int32Type>(3)?) } else { None };
    let mut places = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        let nth = numbers.as_ref().map_or(Some(1), |numbers| numbers.get(row));
        let (Some(text), Some(search), Some(from), Some(nth)) =
            (texts.get(row), searches.get(row), starts.get(row), nth)
        else {
            places.push(None);
            continue;
        };
        if nth < 1 {
            return exec_err!("INSTR counts matches from 1, not {nth}");
        }
        places.push(Some(nth_place(search, text, from, nth)));
    }
    Ok(Arc::new(Int32Array::from(places)))
}

/// Two texts or two strings of bytes: of texts, too, bytes tell.
fn test(inputs: &Inputs<'_>, test: impl Fn(&[u8], &[u8]) -> bool) -> Result<ArrayRef> {
    let rows = 0..inputs.rows;
    let results: BooleanArray = if inputs.types[0].is_string() {
        let (texts, others) = (inputs.texts(0)?, inputs.texts(1)?);
        rows.map(|row| Some(test(texts.get(row)?.as_bytes(), others.get(row)?.as_bytes()))).collect()
    } else {
        let (blobs, others) = (inputs.blobs(0)?, inputs.blobs(1)?);
        rows.map(|row| Some(test(blobs.get(row)?, others.get(row)?))).collect()
    };
    Ok(Arc::new(results))
}

pub(super) fn starts_with(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    test(inputs, |text, start| text.starts_with(start))
}

pub(super) fn ends_with(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    test(inputs, |text, end| text.ends_with(end))
}
