//! Texts as codes, and encodings of texts.

mod format;
mod urls;

use super::super::arguments::Inputs;
use super::super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use super::super::math::repeat;
use super::{bytes_of, written};
use arrow::array::{ArrayRef, BinaryBuilder, BooleanArray, Int32Array, StringBuilder};
use arrow::datatypes::Int64Type;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion_common::{Result, exec_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::parse;

const TEXT: Typing = Typing::Signatures(&[call(&[P::Text], R::Text)]);
const TEXT_NULLABLE: Typing = Typing::Signatures(&[call(&[P::Text], R::Text).nullable()]);
const BASE64: Typing = Typing::Signatures(&[call(&[P::Text], R::Text), call(&[P::Bytes], R::Text)]);
const PARSE_URL: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text], R::Text).nullable(),
    call(&[P::Text, P::Text, P::Text], R::Text).nullable(),
]);

pub(in super::super) static FUNCTIONS: &[Function] = &[
    Function::new("TO_BASE64", BASE64, to_base64, "text or bytes in base 64"),
    Function::new("FROM_BASE64", TEXT, from_base64, "the text that base 64 stands for").fallible(),
    Function::new(
        "ASCII",
        Typing::Signatures(&[call(&[P::Text], R::Int)]),
        ascii,
        "the first byte, -128 to 127",
    ),
    Function::new(
        "CHR",
        Typing::Signatures(&[call(&[P::BigInt], R::Text).nullable()]),
        chr,
        "the character of a code, modulo 256",
    ),
    Function::new(
        "ENCODE",
        Typing::Signatures(&[call(&[P::Text, P::Text], R::Bytes)]),
        encode,
        "ENCODE(s, charset): US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE or UTF-16",
    )
    .fallible(),
    Function::new(
        "DECODE",
        Typing::Signatures(&[call(&[P::Bytes, P::Text], R::Text)]),
        decode,
        "DECODE(bytes, charset): the reverse of ENCODE",
    )
    .fallible(),
    Function::new(
        "UNHEX",
        Typing::Signatures(&[call(&[P::Text], R::Bytes).nullable()]),
        unhex,
        "the bytes that hexadecimal digits stand for; NULL for others",
    ),
    Function::new("URL_ENCODE", TEXT_NULLABLE, urls::encode, "application/x-www-form-urlencoded"),
    Function::new(
        "URL_DECODE",
        TEXT_NULLABLE,
        urls::decode,
        "the reverse of URL_ENCODE; NULL for malformed text",
    ),
    Function::new(
        "PARSE_URL",
        PARSE_URL,
        urls::parse,
        "PARSE_URL(url, part[, key]): HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY, USERINFO",
    ),
    Function::new("PRINTF", Typing::Custom(type_printf), format::printf, "PRINTF(format, value, ..) as Java"),
    Function::new(
        "IS_DECIMAL",
        Typing::Custom(type_test),
        is_decimal,
        "TRUE for numbers and text that is one",
    ),
    Function::new("IS_DIGIT", Typing::Custom(type_test), is_digit, "TRUE for text of digits only"),
    Function::new("IS_ALPHA", Typing::Custom(type_test), is_alpha, "TRUE for text of letters only"),
];

fn type_printf(call: &Call<'_>) -> Result<Typed> {
    match call.types.first() {
        Some(format) if format.is_string() || *format == SqlType::Null => {}
        _ => return call.refuse("a format and values"),
    }
    let mut arguments = call.types.to_vec();
    arguments[0] = SqlType::STRING;
    Ok(Typed { arguments, result: SqlType::STRING, nullable: true })
}

fn type_test(call: &Call<'_>) -> Result<Typed> {
    match call.types {
        [_] => Ok(Typed { arguments: call.types.to_vec(), result: SqlType::Boolean, nullable: false }),
        _ => call.refuse("one value"),
    }
}

fn test(inputs: &Inputs<'_>, numbers: bool, test: impl Fn(&str) -> bool) -> Result<ArrayRef> {
    if !inputs.types[0].is_string() {
        let column = inputs.any(0);
        let answer = numbers && inputs.types[0].is_numeric();
        let results = (0..inputs.rows).map(|row| Some(answer && !column.is_null(row)));
        return Ok(Arc::new(results.collect::<BooleanArray>()));
    }
    let texts = inputs.texts(0)?;
    Ok(Arc::new(
        (0..inputs.rows).map(|row| Some(texts.get(row).is_some_and(&test))).collect::<BooleanArray>(),
    ))
}

fn is_decimal(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    test(inputs, true, |text| parse::java_double(text).is_some())
}

fn is_digit(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    test(inputs, inputs.types[0].is_integer(), |text| !text.is_empty() && text.chars().all(char::is_numeric))
}

fn is_alpha(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    test(inputs, false, |text| !text.is_empty() && text.chars().all(char::is_alphabetic))
}

fn to_base64(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let text = inputs.types[0].is_string();
    let (texts, blobs) =
        (text.then(|| inputs.texts(0)).transpose()?, (!text).then(|| inputs.blobs(0)).transpose()?);
    written(inputs.rows, inputs.rows * 24, |row, out| {
        let bytes = match (&texts, &blobs) {
            (Some(texts), _) => texts.get(row).map(str::as_bytes),
            (None, Some(blobs)) => blobs.get(row),
            (None, None) => None,
        };
        let Some(bytes) = bytes else { return Ok(false) };
        STANDARD.encode_string(bytes, out);
        Ok(true)
    })
}

fn from_base64(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let mut bytes = vec![];
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        bytes.clear();
        let lenient = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
                .with_decode_allow_trailing_bits(true),
        );
        if lenient.decode_vec(text, &mut bytes).is_err() {
            return exec_err!("FROM_BASE64 of '{text}', which is not base 64");
        }
        out.push_str(&String::from_utf8_lossy(&bytes));
        Ok(true)
    })
}

fn ascii(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?.array;
    let codes =
        texts.iter().map(|text| text.map(|text| text.bytes().next().map_or(0, |byte| i32::from(byte as i8))));
    repeat(inputs, Arc::new(codes.collect::<Int32Array>()))
}

fn chr(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let codes = inputs.primitives::<Int64Type>(0)?;
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows);
    for row in 0..inputs.rows {
        match codes.get(row) {
            Some(code) if code < 0 => builder.append_value(""),
            Some(code) => builder.append_value(char::from((code & 255) as u8).encode_utf8(&mut [0; 4])),
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

#[derive(Clone, Copy)]
enum Charset {
    Ascii,
    Latin1,
    Utf8,
    /// big endian; with a mark in front when encoded if `.1`
    Utf16Be(bool),
    Utf16Le,
}

fn charset(name: &str) -> Result<Charset> {
    Ok(match name.to_uppercase().as_str() {
        "US-ASCII" => Charset::Ascii,
        "ISO-8859-1" => Charset::Latin1,
        "UTF-8" => Charset::Utf8,
        "UTF-16BE" => Charset::Utf16Be(false),
        "UTF-16LE" => Charset::Utf16Le,
        "UTF-16" => Charset::Utf16Be(true),
        _ => return exec_err!("unknown charset '{name}'"),
    })
}

fn encode(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, charsets) = (inputs.texts(0)?, inputs.texts(1)?);
    let mut builder = BinaryBuilder::with_capacity(inputs.rows, bytes_of(inputs, texts.array));
    let mut bytes = vec![];
    for row in 0..inputs.rows {
        let (Some(text), Some(name)) = (texts.get(row), charsets.get(row)) else {
            builder.append_null();
            continue;
        };
        bytes.clear();
        let narrow = |limit: u32| {
            move |character: char| {
                if u32::from(character) < limit { u32::from(character) as u8 } else { b'?' }
            }
        };
        match charset(name)? {
            Charset::Ascii => bytes.extend(text.chars().map(narrow(128))),
            Charset::Latin1 => bytes.extend(text.chars().map(narrow(256))),
            Charset::Utf8 => bytes.extend_from_slice(text.as_bytes()),
            Charset::Utf16Be(mark) => {
                if mark {
                    bytes.extend_from_slice(&[0xfe, 0xff]);
                }
                bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Charset::Utf16Le => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        }
        builder.append_value(&bytes);
    }
    Ok(Arc::new(builder.finish()))
}

fn decode(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (blobs, charsets) = (inputs.blobs(0)?, inputs.texts(1)?);
    written(inputs.rows, inputs.rows * 16, |row, out| {
        let (Some(bytes), Some(name)) = (blobs.get(row), charsets.get(row)) else { return Ok(false) };
        let ascii = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER };
        let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
            let units: Vec<u16> =
                bytes.chunks(2).map(|pair| read([pair[0], *pair.get(1).unwrap_or(&0)])).collect();
            String::from_utf16_lossy(&units)
        };
        match charset(name)? {
            Charset::Ascii => out.extend(bytes.iter().map(ascii)),
            Charset::Latin1 => out.extend(bytes.iter().map(|byte| char::from(*byte))),
            Charset::Utf8 => out.push_str(&String::from_utf8_lossy(bytes)),
            Charset::Utf16Be(true) => match bytes {
                [0xff, 0xfe, rest @ ..] => out.push_str(&wide(rest, u16::from_le_bytes)),
                [0xfe, 0xff, rest @ ..] | rest => out.push_str(&wide(rest, u16::from_be_bytes)),
            },
            Charset::Utf16Be(false) => out.push_str(&wide(bytes, u16::from_be_bytes)),
            Charset::Utf16Le => out.push_str(&wide(bytes, u16::from_le_bytes)),
        }
        Ok(true)
    })
}

fn unhex(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let mut builder = BinaryBuilder::with_capacity(inputs.rows, bytes_of(inputs, texts.array) / 2);
    let mut bytes = vec![];
    for row in 0..inputs.rows {
        bytes.clear();
        let nibble = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let whole = texts.get(row).and_then(|text| {
            // The first of an odd number of digits is lost, as in Flink: its byte is zero.
            let (first, rest) = text.as_bytes().split_at(text.len() % 2);
            if let [single] = first {
                nibble(*single)?;
                bytes.push(0);
            }
            for pair in rest.chunks_exact(2) {
                bytes.push(nibble(pair[0])? << 4 | nibble(pair[1])?);
            }
            Some(())
        });
        match whole {
            Some(()) => builder.append_value(&bytes),
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
