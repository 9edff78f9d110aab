//! Texts made of texts.

use super::super::arguments::Inputs;
use super::super::math::repeat as repeat_rows;
use super::cuts::{byte_of_char, count_chars};
use super::{bytes_of, written};
use arrow::array::{Array, ArrayRef, BinaryBuilder, Int32Array, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::Int32Type;
use datafusion_common::Result;
use std::sync::Arc;

pub(super) fn concat_operator(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    if inputs.types[0].is_string() {
        return concat(inputs);
    }
    let (left, right) = (inputs.blobs(0)?, inputs.blobs(1)?);
    let mut builder = BinaryBuilder::with_capacity(inputs.rows, inputs.rows * 16);
    let mut bytes = vec![];
    for row in 0..inputs.rows {
        match (left.get(row), right.get(row)) {
            (Some(left), Some(right)) => {
                bytes.clear();
                bytes.extend_from_slice(left);
                bytes.extend_from_slice(right);
                builder.append_value(&bytes);
            }
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

pub(super) fn concat(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let columns = (0..inputs.len()).map(|index| inputs.texts(index)).collect::<Result<Vec<_>>>()?;
    let bytes = columns.iter().map(|column| bytes_of(inputs, column.array)).sum();
    written(inputs.rows, bytes, |row, out| {
        for column in &columns {
            let Some(text) = column.get(row) else { return Ok(false) };
            out.push_str(text);
        }
        Ok(true)
    })
}

pub(super) fn concat_ws(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let separators = inputs.texts(0)?;
    let columns = (1..inputs.len()).map(|index| inputs.texts(index)).collect::<Result<Vec<_>>>()?;
    let bytes = columns.iter().map(|column| bytes_of(inputs, column.array)).sum();
    written(inputs.rows, bytes, |row, out| {
        let Some(separator) = separators.get(row) else { return Ok(false) };
        let mut first = true;
        for text in columns.iter().filter_map(|column| column.get(row)) {
            if !std::mem::take(&mut first) {
                out.push_str(separator);
            }
            out.push_str(text);
        }
        Ok(true)
    })
}

pub(super) fn char_length(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?.array;
    let lengths: Vec<i32> = if texts.is_ascii() {
        texts.value_offsets().windows(2).map(|pair| pair[1] - pair[0]).collect()
    } else {
        // The value of a NULL row is some text or none: counting it does no harm.
        (0..texts.len()).map(|row| count_chars(texts.value(row)) as i32).collect()
    };
    repeat_rows(inputs, Arc::new(Int32Array::new(lengths.into(), texts.nulls().cloned())))
}

/// All texts at once where every character is a byte.
fn change_case(
    inputs: &Inputs<'_>,
    ascii: impl Fn(&mut [u8]),
    unicode: impl Fn(&str) -> String,
) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?.array;
    let changed: StringArray = if texts.is_ascii() {
        let mut bytes = texts.value_data().to_vec();
        ascii(&mut bytes);
        // The offsets of the old bytes hold for the new ones.
        StringArray::try_new(texts.offsets().clone(), Buffer::from_vec(bytes), texts.nulls().cloned())?
    } else {
        texts.iter().map(|text| text.map(&unicode)).collect()
    };
    repeat_rows(inputs, Arc::new(changed))
}

pub(super) fn upper(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    change_case(inputs, <[u8]>::make_ascii_uppercase, str::to_uppercase)
}

pub(super) fn lower(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    change_case(inputs, <[u8]>::make_ascii_lowercase, str::to_lowercase)
}

/// Words are runs of ASCII letters and digits.
pub(super) fn initcap(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        let mut inside = false;
        for character in text.chars() {
            out.push(match inside {
                true => character.to_ascii_lowercase(),
                false => character.to_ascii_uppercase(),
            });
            inside = character.is_ascii_alphanumeric();
        }
        Ok(true)
    })
}

pub(super) fn reverse(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        out.extend(text.chars().rev());
        Ok(true)
    })
}

pub(super) fn repeat(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, times) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(1)?);
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let (Some(text), Some(times)) = (texts.get(row), times.get(row)) else { return Ok(false) };
        (0..times).for_each(|_| out.push_str(text));
        Ok(true)
    })
}

pub(super) fn replace(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, searches, replacements) = (inputs.texts(0)?, inputs.texts(1)?, inputs.texts(2)?);
    // Searching for one character is much cheaper than for a text.
    let single = searches.constant().flatten().and_then(|search| {
        let mut characters = search.chars();
        characters.next().filter(|_| characters.next().is_none())
    });
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let (Some(text), Some(search), Some(replacement)) =
            (texts.get(row), searches.get(row), replacements.get(row))
        else {
            return Ok(false);
        };
        let mut last = 0;
        let mut put = |place: usize, length: usize| {
            out.push_str(&text[last..place]);
            out.push_str(replacement);
            last = place + length;
        };
        match single {
            Some(character) => {
                text.match_indices(character).for_each(|(place, found)| put(place, found.len()));
            }
            None => text.match_indices(search).for_each(|(place, found)| put(place, found.len())),
        }
        out.push_str(&text[last..]);
        Ok(true)
    })
}

/// Characters without a counterpart go; a NULL among the characters is as no characters.
pub(super) fn translate(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, from, to) = (inputs.texts(0)?, inputs.texts(1)?, inputs.texts(2)?);
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        let (from, to) = (from.get(row).unwrap_or_default(), to.get(row).unwrap_or_default());
        for character in text.chars() {
            match from.chars().position(|candidate| candidate == character) {
                Some(index) => out.extend(to.chars().nth(index)),
                None => out.push(character),
            }
        }
        Ok(true)
    })
}

/// A start outside of the text leaves it as it is; no length, or a negative one, leaves nothing behind the new part.
pub(super) fn overlay(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, parts, starts) = (inputs.texts(0)?, inputs.texts(1)?, inputs.primitives::<Int32Type>(2)?);
    let lengths = if inputs.len() == 4 { Some(inputs.primitives::<Int32Type>(3)?) } else { None };
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let (Some(text), Some(part), Some(start)) = (texts.get(row), parts.get(row), starts.get(row)) else {
            return Ok(false);
        };
        let length = match &lengths {
            Some(lengths) => match lengths.get(row) {
                Some(length) => i64::from(length),
                None => return Ok(false),
            },
            None => count_chars(part) as i64,
        };
        let (start, total) = (i64::from(start), count_chars(text) as i64);
        if start <= 0 || start > total {
            out.push_str(text);
            return Ok(true);
        }
        out.push_str(&text[..byte_of_char(text, start as usize - 1)]);
        out.push_str(part);
        if length > 0 && start + length <= total {
            out.push_str(&text[byte_of_char(text, (start - 1 + length) as usize)..]);
        }
        Ok(true)
    })
}

pub(super) fn lpad(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    padded(inputs, true)
}

pub(super) fn rpad(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    padded(inputs, false)
}

fn padded(inputs: &Inputs<'_>, front: bool) -> Result<ArrayRef> {
    let (texts, lengths, pads) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(1)?, inputs.texts(2)?);
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let (Some(text), Some(length), Some(pad)) = (texts.get(row), lengths.get(row), pads.get(row)) else {
            return Ok(false);
        };
        if length < 0 || pad.is_empty() {
            return Ok(false);
        }
        let length = length as usize;
        let kept = &text[..byte_of_char(text, length)];
        let missing = length - count_chars(kept);
        if !front {
            out.push_str(kept);
        }
        out.extend(pad.chars().cycle().take(missing));
        if front {
            out.push_str(kept);
        }
        Ok(true)
    })
}
