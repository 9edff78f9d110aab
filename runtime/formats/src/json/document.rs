//! A JSON value of any kind as the text of a STRING column, as Jackson writes a tree: without spaces.

use super::cursor::{Cursor, Kind, Parsed, RawNumber};
use super::encode::append_json_string;
use weir_types::text::number;

/// Reads a value and appends it to `out`. A scalar is appended as it stands; inside of an object or an array, numbers
/// with a fraction are written as DOUBLE, or as DECIMAL if `exact`.
pub(super) fn append(cursor: &mut Cursor<'_>, exact: bool, out: &mut Vec<u8>) -> Parsed<()> {
    match cursor.kind()? {
        Kind::String => {
            let raw = cursor.string()?;
            cursor.unescape_into(raw, out)
        }
        Kind::Number => {
            out.extend_from_slice(cursor.number()?.text);
            Ok(())
        }
        Kind::Object | Kind::Array => {
            // Checks the nesting first, so that the recursion below has an end.
            let mut scout = *cursor;
            scout.skip_value()?;
            append_nested(cursor, exact, out)
        }
        _ => append_nested(cursor, exact, out),
    }
}

fn append_nested(cursor: &mut Cursor<'_>, exact: bool, out: &mut Vec<u8>) -> Parsed<()> {
    match cursor.kind()? {
        Kind::String => append_string(cursor, out),
        Kind::Number => {
            append_number(cursor.number()?, exact, out);
            Ok(())
        }
        Kind::True => append_word(cursor, "true", out),
        Kind::False => append_word(cursor, "false", out),
        Kind::Null => append_word(cursor, "null", out),
        Kind::Object => {
            out.push(b'{');
            let (mut members, mut first) = (cursor.members(), true);
            while members.next_member(cursor)? {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                append_string(cursor, out)?;
                cursor.expect(b':', "':'")?;
                out.push(b':');
                append_nested(cursor, exact, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        Kind::Array => {
            out.push(b'[');
            let (mut elements, mut first) = (cursor.elements(), true);
            while elements.next_element(cursor)? {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                append_nested(cursor, exact, out)?;
            }
            out.push(b']');
            Ok(())
        }
    }
}

fn append_word(cursor: &mut Cursor<'_>, word: &'static str, out: &mut Vec<u8>) -> Parsed<()> {
    cursor.word(word)?;
    out.extend_from_slice(word.as_bytes());
    Ok(())
}

fn append_string(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Parsed<()> {
    let raw = cursor.string()?;
    append_json_string(&cursor.unescape(raw)?, out);
    Ok(())
}

fn append_number(raw: RawNumber<'_>, exact: bool, out: &mut Vec<u8>) {
    if raw.integer {
        out.extend_from_slice(if raw.text == b"-0" { b"0" } else { raw.text });
        return;
    }
    match exact.then(|| exact_decimal(raw.text)) {
        Some(Some((unscaled, scale))) => number::append_decimal_stripped(out, unscaled, scale),
        // More digits than 38: as they stand.
        Some(None) => out.extend_from_slice(raw.text),
        None => match fast_float2::parse::<f64, _>(raw.text) {
            Ok(value) if value.is_finite() => number::append_double(out, value),
            _ => out.extend_from_slice(raw.text),
        },
    }
}

/// Unscaled value and scale of a JSON number.
fn exact_decimal(text: &[u8]) -> Option<(i128, i32)> {
    let (mut unscaled, mut scale, mut fraction) = (0i128, 0i32, false);
    let mut negative = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'-' => negative = true,
            b'.' => fraction = true,
            b'e' | b'E' => {
                let exponent = weir_types::text::parse::java_integer(&text[at + 1..])?;
                scale = scale.checked_sub(i32::try_from(exponent).ok()?)?;
                break;
            }
            digit => {
                unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit.wrapping_sub(b'0')))?;
                scale += i32::from(fraction);
            }
        }
    }
    Some((if negative { -unscaled } else { unscaled }, scale))
}
