//! Functions of text. Positions count characters from 1.

mod codes;
mod cuts;
mod splits;
mod words;

use super::arguments::Inputs;
use super::definition::{Function, Parameter as P, Returns as R, Signature, Typing, call};
use arrow::array::{ArrayRef, NullBufferBuilder, StringArray, StringBuilder};
use arrow::buffer::{Buffer, OffsetBuffer};
use datafusion_common::Result;
use std::sync::Arc;

pub(super) use codes::FUNCTIONS as CODE_FUNCTIONS;
pub(super) use splits::FUNCTIONS as SPLIT_FUNCTIONS;

const TEXT_TO_TEXT: Typing = Typing::Signatures(&[call(&[P::Text], R::Argument(0))]);
const TEXT_TO_NULLABLE: Typing = Typing::Signatures(&[call(&[P::Text], R::Text).nullable()]);
const TEXT_TO_INT: Typing = Typing::Signatures(&[call(&[P::Text], R::Int)]);
const STARTS: Typing =
    Typing::Signatures(&[call(&[P::Text, P::Text], R::Boolean), call(&[P::Bytes, P::Bytes], R::Boolean)]);
const TEXT_INT: Typing = Typing::Signatures(&[call(&[P::Text, P::Int], R::Text).nullable()]);
const REPEAT: Typing = Typing::Signatures(&[call(&[P::Text, P::Int], R::Text)]);
const PAD: Typing = Typing::Signatures(&[call(&[P::Text, P::Int, P::Text], R::Text).nullable()]);
const THREE: Typing = Typing::Signatures(&[call(&[P::Text, P::Text, P::Text], R::Text)]);
const TRIM: Typing = Typing::Signatures(&[call(&[P::Text], R::Text), call(&[P::Text, P::Text], R::Text)]);
const SUBSTRING: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Int], R::Text).nullable(),
    call(&[P::Text, P::Int, P::Int], R::Text).nullable(),
]);
const OVERLAY: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text, P::Int], R::Text),
    call(&[P::Text, P::Text, P::Int, P::Int], R::Text),
]);
const CONCAT: Typing = Typing::Signatures(&[call(&[P::Text], R::Text).variadic()]);
const CONCAT_WS: &[Signature] =
    &[call(&[P::Text], R::Text), call(&[P::Text, P::Text], R::Text).variadic().nullable()];
const CONCAT_OPERATOR: Typing =
    Typing::Signatures(&[call(&[P::Text, P::Text], R::Text), call(&[P::Bytes, P::Bytes], R::Bytes)]);
const POSITION: Typing = Typing::Signatures(&[call(&[P::Text, P::Text], R::Int)]);
const LOCATE: Typing =
    Typing::Signatures(&[call(&[P::Text, P::Text], R::Int), call(&[P::Text, P::Text, P::Int], R::Int)]);
const INSTR: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text], R::Int),
    call(&[P::Text, P::Text, P::Int], R::Int),
    call(&[P::Text, P::Text, P::Int, P::Int], R::Int),
]);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("||", CONCAT_OPERATOR, words::concat_operator, "two texts together; NULL if one is"),
    Function::new("CONCAT", CONCAT, words::concat, "texts together; NULL if one is"),
    Function::new(
        "CONCAT_WS",
        Typing::Signatures(CONCAT_WS),
        words::concat_ws,
        "texts that are not NULL with a separator between: CONCAT_WS(separator, text, ..)",
    ),
    Function::new("CHAR_LENGTH", TEXT_TO_INT, words::char_length, "number of characters"),
    Function::new("CHARACTER_LENGTH", TEXT_TO_INT, words::char_length, "as CHAR_LENGTH"),
    Function::new("UPPER", TEXT_TO_TEXT, words::upper, "in capitals"),
    Function::new("LOWER", TEXT_TO_TEXT, words::lower, "in small letters"),
    Function::new("INITCAP", TEXT_TO_TEXT, words::initcap, "each word with one capital in front"),
    Function::new("REVERSE", TEXT_TO_NULLABLE, words::reverse, "the characters backwards"),
    Function::new("REPEAT", REPEAT, words::repeat, "the text several times"),
    Function::new("REPLACE", THREE, words::replace, "REPLACE(s, search, replacement)"),
    Function::new("TRANSLATE", THREE, words::translate, "TRANSLATE(s, from, to): characters one by one"),
    Function::new("OVERLAY", OVERLAY, words::overlay, "OVERLAY(s PLACING t FROM position [FOR length])"),
    Function::new("LPAD", PAD, words::lpad, "LPAD(s, length, pad): filled up in front, or cut"),
    Function::new("RPAD", PAD, words::rpad, "RPAD(s, length, pad): filled up behind, or cut"),
    Function::new("SUBSTRING", SUBSTRING, cuts::substring, "SUBSTRING(s FROM position [FOR length])"),
    Function::new("SUBSTR", SUBSTRING, cuts::substring, "as SUBSTRING(s, position[, length])"),
    Function::new("LEFT", TEXT_INT, cuts::left, "the first characters"),
    Function::new("RIGHT", TEXT_INT, cuts::right, "the last characters"),
    Function::new("TRIM", TRIM, cuts::trim, "TRIM([BOTH|LEADING|TRAILING] [characters FROM] s)"),
    Function::new("BTRIM", TRIM, cuts::trim, "without some characters (spaces) at both ends"),
    Function::new("LTRIM", TRIM, cuts::ltrim, "without some characters (spaces) in front"),
    Function::new("RTRIM", TRIM, cuts::rtrim, "without some characters (spaces) at the end"),
    Function::new("POSITION", POSITION, cuts::locate, "POSITION(search IN s); 0 if it is not there"),
    Function::new("INSTR", INSTR, cuts::instr, "INSTR(s, search[, from[, nth]]); 0 if it is not there")
        .fallible(),
    Function::new("LOCATE", LOCATE, cuts::locate, "LOCATE(search, s[, from]); 0 if it is not there"),
    Function::new(
        "STARTSWITH",
        STARTS,
        cuts::starts_with,
        "TRUE if the text starts with another, or bytes do",
    ),
    Function::new("ENDSWITH", STARTS, cuts::ends_with, "TRUE if the text ends with another, or bytes do"),
];

/// Texts that are parts of the arguments.
pub(super) fn slices<'a>(rows: usize, bytes: usize, slice: impl Fn(usize) -> Option<&'a str>) -> ArrayRef {
    let (mut lengths, mut data) = (Vec::with_capacity(rows), Vec::with_capacity(bytes));
    let mut valid = NullBufferBuilder::new(rows);
    for row in 0..rows {
        let text = slice(row);
        valid.append(text.is_some());
        let text = text.unwrap_or_default();
        lengths.push(text.len());
        data.extend_from_slice(text.as_bytes());
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    let texts = StringArray::try_new(offsets, Buffer::from_vec(data), valid.finish());
    Arc::new(texts.expect("whole texts one after the other"))
}

/// Texts that `write` makes, in a buffer that is empty at first; `false` is NULL.
pub(super) fn written(
    rows: usize,
    bytes: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<bool>,
) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(rows, bytes);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        match write(row, &mut text)? {
            true => builder.append_value(&text),
            false => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Bytes of a column of texts, as a guess for those of the result.
pub(super) fn bytes_of(inputs: &Inputs<'_>, array: &StringArray) -> usize {
    match array.value_offsets() {
        [first, .., last] if inputs.rows > 1 => (last - first) as usize,
        _ => inputs.rows * 16,
    }
}
