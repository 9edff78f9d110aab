//! JSON out of values.
//!
//! The first argument of `$JSON_OBJECT` and `$JSON_ARRAY` is made by desugaring: `N` or `A` for NULL or ABSENT ON NULL,
//! then a letter a value: `j` if it is JSON itself, being the result of such a call, `v` otherwise.

use super::super::arguments::Inputs;
use super::super::strings::written;
use super::document::{Json, java_order, write_text};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal128Type, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion_common::{Result, exec_err, internal_err};
use weir_types::SqlType;
use weir_types::text::LocalDateTime;
use weir_types::text::datetime::append_timestamp;
use weir_types::text::number::{append_decimal_java, append_double, append_float, append_integer};
use weir_types::text::parse::{ParsedDecimal, decimal};

/// Appends the value in `row` of `array` as JSON.
fn write_value(array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    let mut bytes = vec![];
    match array.data_type() {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => append_integer(&mut bytes, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => append_integer(&mut bytes, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => append_integer(&mut bytes, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => append_integer(&mut bytes, array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => {
            append_float(&mut bytes, array.as_primitive::<Float32Type>().value(row));
            exponent_as_java(&mut bytes);
        }
        DataType::Float64 => {
            append_double(&mut bytes, array.as_primitive::<Float64Type>().value(row));
            exponent_as_java(&mut bytes);
        }
        DataType::Decimal128(_, scale) => {
            append_decimal_java(
                &mut bytes,
                array.as_primitive::<Decimal128Type>().value(row),
                i32::from(*scale),
            );
        }
        DataType::Utf8 => write_text(array.as_string::<i32>().value(row), out),
        DataType::Binary => {
            out.push('"');
            STANDARD.encode_string(array.as_binary::<i32>().value(row), out);
            out.push('"');
        }
        DataType::Timestamp(unit, zone) => {
            let value = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().value(row),
            };
            bytes.push(b'"');
            append_timestamp(&mut bytes, LocalDateTime::of_units(value, *unit), b'T', 0);
            bytes.extend_from_slice(if zone.is_some() { b"Z\"" } else { b"\"" });
        }
        DataType::List(_) | DataType::Map(..) | DataType::Struct(_) => write_collection(array, row, out)?,
        DataType::Null => out.push_str("null"),
        other => return internal_err!("JSON of {other}"),
    }
    // Everything appended above is ASCII.
    out.push_str(&String::from_utf8_lossy(&bytes));
    Ok(())
}

/// `1.0E10` as `1.0E+10`: JSON's numbers pass through Java's BigDecimal.
fn exponent_as_java(bytes: &mut Vec<u8>) {
    if bytes.contains(&b'E')
        && let ParsedDecimal::Value(_) = decimal(bytes, 38, 0)
        && let Some(place) = bytes.iter().position(|byte| *byte == b'E')
        && bytes.get(place + 1) != Some(&b'-')
    {
        bytes.insert(place + 1, b'+');
    }
}

fn write_collection(array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
    let separate = |index: usize, out: &mut String| {
        if index > 0 {
            out.push(',');
        }
    };
    match array.data_type() {
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            out.push('[');
            for index in 0..elements.len() {
                separate(index, out);
                write_value(elements.as_ref(), index, out)?;
            }
            out.push(']');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let mut ordered: Vec<usize> = (0..entries.len()).collect();
            ordered.sort_by(|left, right| java_order(keys.value(*left), keys.value(*right)));
            out.push('{');
            for (index, entry) in ordered.into_iter().enumerate() {
                separate(index, out);
                write_text(keys.value(entry), out);
                out.push(':');
                write_value(values.as_ref(), entry, out)?;
            }
            out.push('}');
        }
        DataType::Struct(fields) => {
            let mut ordered: Vec<(&FieldRef, &ArrayRef)> =
                fields.iter().zip(array.as_struct().columns()).collect();
            ordered.sort_by(|(left, _), (right, _)| java_order(left.name(), right.name()));
            out.push('{');
            for (index, (field, column)) in ordered.into_iter().enumerate() {
                separate(index, out);
                write_text(field.name(), out);
                out.push(':');
                write_value(column.as_ref(), row, out)?;
            }
            out.push('}');
        }
        other => return internal_err!("JSON of {other}"),
    }
    Ok(())
}

pub(super) fn string(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let column = inputs.any(0);
    written(inputs.rows, inputs.rows * 16, |row, out| {
        if column.is_null(row) {
            return Ok(false);
        }
        write_value(column.array, column.index(row), out)?;
        Ok(true)
    })
}

/// The document that a text is, as it is written by all that makes JSON.
pub(super) fn json(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    written(inputs.rows, inputs.rows * 16, |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        match Json::parse(text) {
            Some(document) => document.write(out),
            None => return exec_err!("JSON: '{text}' is no JSON"),
        }
        Ok(true)
    })
}

/// Whether NULL is written, and for each value whether it is JSON itself.
fn flags<'a>(inputs: &Inputs<'a>) -> Result<(bool, &'a [u8])> {
    let flags = inputs.texts(0)?.constant().flatten().unwrap_or("N");
    Ok((flags.starts_with('N'), &flags.as_bytes()[1..]))
}

/// Appends the value of a column, JSON as it is.
fn write_member(inputs: &Inputs<'_>, index: usize, row: usize, json: bool, out: &mut String) -> Result<()> {
    let column = inputs.any(index);
    if json && !column.is_null(row) {
        out.push_str(inputs.texts(index)?.get(row).unwrap_or("null"));
        return Ok(());
    }
    write_value(column.array, column.index(row), out)
}

/// A NULL that no type was given has an array without a bitmap.
fn is_null(inputs: &Inputs<'_>, index: usize, row: usize) -> bool {
    inputs.types[index] == SqlType::Null || inputs.any(index).is_null(row)
}

pub(super) fn object(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (null_on_null, json) = flags(inputs)?;
    let keys = (1..inputs.len()).step_by(2).map(|key| inputs.texts(key)).collect::<Result<Vec<_>>>()?;
    let mut members: Vec<(&str, usize)> = Vec::with_capacity(keys.len());
    written(inputs.rows, inputs.rows * 32, |row, out| {
        members.clear();
        for (member, key) in keys.iter().enumerate() {
            if !null_on_null && is_null(inputs, 2 + 2 * member, row) {
                continue;
            }
            let Some(name) = key.get(row) else {
                return exec_err!("JSON_OBJECT: a key is NULL");
            };
            // Of equal keys the last one counts.
            members.retain(|(known, _)| *known != name);
            members.push((name, member));
        }
        members.sort_by(|(left, _), (right, _)| java_order(left, right));
        out.push('{');
        for (place, (name, member)) in members.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            write_member(inputs, 2 + 2 * member, row, json.get(*member) == Some(&b'j'), out)?;
        }
        out.push('}');
        Ok(true)
    })
}

pub(super) fn array(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (null_on_null, json) = flags(inputs)?;
    written(inputs.rows, inputs.rows * 32, |row, out| {
        out.push('[');
        for value in 1..inputs.len() {
            if !null_on_null && is_null(inputs, value, row) {
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            write_member(inputs, value, row, json.get(value - 1) == Some(&b'j'), out)?;
        }
        out.push(']');
        Ok(true)
    })
}
