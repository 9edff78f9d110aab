//! IS JSON, JSON_EXISTS, JSON_VALUE and JSON_QUERY.

use super::super::arguments::{Inputs, Texts};
use super::super::definition::{Call, Typed};
use super::super::strings::written;
use super::super::type_text::parse_type_text;
use super::document::{Json, write_number};
use super::path::{Found, JsonPath};
use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBuilder, Float64Builder, Int32Builder};
use arrow::datatypes::{Float64Type, Int32Type};
use datafusion_common::{Result, exec_err, internal_err, plan_err};
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::parse;

pub(super) fn is_json(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let kind = inputs.texts(1)?.constant().flatten().unwrap_or("VALUE");
    let fits = |document: Json<'_>| match kind {
        "SCALAR" => document.is_scalar(),
        "ARRAY" => matches!(document, Json::Array(_)),
        "OBJECT" => matches!(document, Json::Object(_)),
        _ => true,
    };
    let answers = (0..inputs.rows).map(|row| Some(texts.get(row).and_then(Json::parse).is_some_and(fits)));
    Ok(Arc::new(answers.collect::<BooleanArray>()))
}

/// The path of each row, parsed when it changes.
struct Paths<'a> {
    texts: Texts<'a>,
    constant: Option<Arc<JsonPath>>,
}

impl<'a> Paths<'a> {
    fn new(inputs: &Inputs<'a>) -> Result<Self> {
        let texts = inputs.texts(1)?;
        let constant = match texts.constant() {
            Some(Some(path)) => Some(inputs.cache.get_or_compile(path, JsonPath::parse)?),
            _ => None,
        };
        Ok(Paths { texts, constant })
    }

    fn get(&self, row: usize) -> Result<Option<Arc<JsonPath>>> {
        match (&self.constant, self.texts.get(row)) {
            (Some(path), _) => Ok(Some(path.clone())),
            (None, Some(path)) => Ok(Some(Arc::new(JsonPath::parse(path)?))),
            (None, None) => Ok(None),
        }
    }
}

/// A constant word among the arguments.
fn word<'a>(inputs: &Inputs<'a>, index: usize) -> Result<&'a str> {
    Ok(inputs.texts(index)?.constant().flatten().unwrap_or(""))
}

pub(super) fn exists(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, paths, on_error) = (inputs.texts(0)?, Paths::new(inputs)?, word(inputs, 2)?);
    let mut answers = BooleanBuilder::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)?) else {
            answers.append_null();
            continue;
        };
        // What is no JSON has nothing in it.
        let Some(document) = Json::parse(text) else {
            answers.append_value(false);
            continue;
        };
        match (path.find(&document), on_error) {
            (Found::One(_) | Found::Many(_), _) => answers.append_value(true),
            (Found::Nothing, _) => answers.append_value(false),
            (Found::Missing, "TRUE") => answers.append_value(true),
            (Found::Missing, "UNKNOWN") => answers.append_null(),
            (Found::Missing, "ERROR") => {
                return exec_err!("JSON_EXISTS: there is nothing at the path in '{text}'");
            }
            (Found::Missing, _) => answers.append_value(false),
        }
    }
    Ok(Arc::new(answers.finish()))
}

/// `$JSON_VALUE(json, path, 'type', 'on empty', default, 'on error', default)`
pub(super) fn type_value(call: &Call<'_>) -> Result<Typed> {
    let ([document, path, ..], Some(returning)) = (call.types, call.literal_text(2)) else {
        return call.refuse("a document and a path");
    };
    let text = |found: &SqlType| found.is_string() || *found == SqlType::Null;
    if call.types.len() != 7 || !text(document) || !text(path) {
        return call.refuse("a document and a path");
    }
    let result = parse_type_text(returning)?.sql_type;
    if !matches!(result, SqlType::Varchar(_) | SqlType::Int | SqlType::Double | SqlType::Boolean) {
        return plan_err!("JSON_VALUE returns STRING, INT, DOUBLE or BOOLEAN, not {result}");
    }
    let string = SqlType::STRING;
    let arguments = vec![
        string.clone(),
        string.clone(),
        string.clone(),
        string.clone(),
        result.clone(),
        string,
        result.clone(),
    ];
    Ok(Typed { arguments, result, nullable: true })
}

/// Where the value of a row comes from.
enum Outcome {
    /// it was appended
    Done,
    /// `DEFAULT .. ON EMPTY`
    EmptyDefault,
    /// `DEFAULT .. ON ERROR`
    ErrorDefault,
    Null,
}

/// How JSON_VALUE and JSON_QUERY treat what is not there.
struct Behavior<'a> {
    empty: &'a str,
    error: &'a str,
}

impl Behavior<'_> {
    fn on_empty(&self, text: &str) -> Result<Outcome> {
        match self.empty {
            "ERROR" => exec_err!("JSON_VALUE: there is nothing at the path in '{text}'"),
            "DEFAULT" => Ok(Outcome::EmptyDefault),
            _ => Ok(Outcome::Null),
        }
    }

    fn on_error(&self, text: &str) -> Result<Outcome> {
        match self.error {
            "ERROR" => exec_err!("JSON_VALUE: there is no value of the type at the path in '{text}'"),
            "DEFAULT" => Ok(Outcome::ErrorDefault),
            _ => Ok(Outcome::Null),
        }
    }
}

/// Reads each row's value with `take`, which says whether the value is of the type.
fn values(
    inputs: &Inputs<'_>,
    mut take: impl FnMut(usize, &Json<'_>) -> bool,
    mut other: impl FnMut(usize, Outcome),
) -> Result<()> {
    let (texts, paths) = (inputs.texts(0)?, Paths::new(inputs)?);
    let behavior = Behavior { empty: word(inputs, 3)?, error: word(inputs, 5)? };
    for row in 0..inputs.rows {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)?) else {
            other(row, Outcome::Null);
            continue;
        };
        let Some(document) = Json::parse(text) else {
            other(row, Outcome::Null);
            continue;
        };
        let outcome = match path.find(&document) {
            Found::One(value) if value.is_scalar() => match take(row, value) {
                true => Outcome::Done,
                // No clause answers for this, as in Flink.
                false => return exec_err!("JSON_VALUE: the value in '{text}' is no {}", inputs.result),
            },
            Found::Nothing => behavior.on_empty(text)?,
            Found::One(_) | Found::Many(_) if path.lax => behavior.on_empty(text)?,
            Found::One(_) | Found::Many(_) | Found::Missing => behavior.on_error(text)?,
        };
        other(row, outcome);
    }
    Ok(())
}

/// A builder's method that reads a default from one of the columns.
macro_rules! with_defaults {
    ($inputs:expr, $builder:ident, $column:ident $(::<$type:ty>)?, $take:expr) => {{
        let (on_empty, on_error) = ($inputs.$column$(::<$type>)?(4)?, $inputs.$column$(::<$type>)?(6)?);
        let taken = std::cell::RefCell::new(&mut $builder);
        values(
            $inputs,
            |_, value| match $take(value) {
                Some(found) => {
                    taken.borrow_mut().append_value(found);
                    true
                }
                None => false,
            },
            |row, outcome| match outcome {
                Outcome::Done => {}
                Outcome::EmptyDefault => taken.borrow_mut().append_option(on_empty.get(row)),
                Outcome::ErrorDefault => taken.borrow_mut().append_option(on_error.get(row)),
                Outcome::Null => taken.borrow_mut().append_null(),
            },
        )?;
        Ok(Arc::new($builder.finish()) as ArrayRef)
    }};
}

pub(super) fn value(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    match inputs.result {
        SqlType::Int => {
            let mut builder = Int32Builder::with_capacity(inputs.rows);
            with_defaults!(inputs, builder, primitives::<Int32Type>, |value: &Json<'_>| match value {
                Json::Number(digits) => digits.parse::<i32>().ok(),
                _ => None,
            })
        }
        SqlType::Double => {
            let mut builder = Float64Builder::with_capacity(inputs.rows);
            with_defaults!(inputs, builder, primitives::<Float64Type>, |value: &Json<'_>| match value {
                Json::Number(digits) => parse::java_double(digits),
                _ => None,
            })
        }
        SqlType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(inputs.rows);
            with_defaults!(inputs, builder, booleans, |value: &Json<'_>| match value {
                Json::Boolean(value) => Some(*value),
                _ => None,
            })
        }
        other if other.is_string() => text_values(inputs),
        other => internal_err!("JSON_VALUE returns {other}"),
    }
}

fn text_values(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (on_empty, on_error) = (inputs.texts(4)?, inputs.texts(6)?);
    let mut builder = arrow::array::StringBuilder::with_capacity(inputs.rows, inputs.rows * 16);
    let taken = std::cell::RefCell::new((&mut builder, String::new()));
    let take = |_: usize, value: &Json<'_>| {
        let (builder, buffer) = &mut *taken.borrow_mut();
        match value {
            Json::Text(text) => builder.append_value(text),
            Json::Boolean(value) => builder.append_value(if *value { "true" } else { "false" }),
            Json::Number(digits) => {
                buffer.clear();
                write_number(digits, buffer);
                builder.append_value(&*buffer);
            }
            _ => return false,
        }
        true
    };
    values(inputs, take, |row, outcome| {
        let builder = &mut taken.borrow_mut().0;
        match outcome {
            Outcome::Done => {}
            Outcome::EmptyDefault => builder.append_option(on_empty.get(row)),
            Outcome::ErrorDefault => builder.append_option(on_error.get(row)),
            Outcome::Null => builder.append_null(),
        }
    })?;
    let array = builder.finish();
    debug_assert_eq!(array.len(), inputs.rows);
    Ok(Arc::new(array))
}

pub(super) fn query(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, paths) = (inputs.texts(0)?, Paths::new(inputs)?);
    let (wrapper, on_empty, on_error) = (word(inputs, 2)?, word(inputs, 3)?, word(inputs, 4)?);
    let instead = |behavior: &str, text: &str, out: &mut String| match behavior {
        "ERROR" => exec_err!("JSON_QUERY: there is no array or object at the path in '{text}'"),
        "EMPTY ARRAY" => {
            out.push_str("[]");
            Ok(true)
        }
        "EMPTY OBJECT" => {
            out.push_str("{}");
            Ok(true)
        }
        _ => Ok(false),
    };
    written(inputs.rows, inputs.rows * 32, |row, out| {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)?) else { return Ok(false) };
        let Some(document) = Json::parse(text) else { return Ok(false) };
        let (value, scalar) = match path.find(&document) {
            Found::Missing => return instead(on_error, text, out),
            Found::Nothing => return instead(on_empty, text, out),
            Found::One(value) => (value.clone(), value.is_scalar()),
            Found::Many(values) => (Json::Array(values.into_iter().cloned().collect()), false),
        };
        let wrapped = match wrapper {
            "UNCONDITIONAL" => true,
            "CONDITIONAL" => !matches!(value, Json::Array(_)),
            _ => false,
        };
        if scalar && !wrapped {
            return instead(if path.lax { on_empty } else { on_error }, text, out);
        }
        if wrapped {
            out.push('[');
        }
        value.write(out);
        if wrapped {
            out.push(']');
        }
        Ok(true)
    })
}
