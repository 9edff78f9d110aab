//! IS JSON, JSON_EXISTS, JSON_VALUE and JSON_QUERY.

use super::super::arguments::{Inputs, Texts};
use super::super::definition::{Call, Typed};
use super::super::strings::written;
use super::document::{Json, write_number};
use super::path::{Found, JsonPath};
use crate::casts::type_of_text;
use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBuilder, Float64Builder, Int32Builder, ListBuilder, StringBuilder,
};
use arrow::datatypes::{DataType, Float64Type, Int32Type};
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

/// What is at the path. Text that is no JSON has nothing in it where the path is lax; nothing at all is in `null`.
fn find<'d, 'a>(path: &JsonPath, document: Option<&'d Json<'a>>) -> Found<'d, 'a> {
    match document {
        None if path.lax => Found::Nothing,
        None | Some(Json::Null) => Found::Missing,
        Some(document) => path.find(document),
    }
}

pub(super) fn exists(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, paths, on_error) = (inputs.texts(0)?, Paths::new(inputs)?, word(inputs, 2)?);
    let mut answers = BooleanBuilder::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)?) else {
            answers.append_null();
            continue;
        };
        let document = Json::parse(text);
        match (find(&path, document.as_ref()), on_error) {
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
    let result = type_of_text(returning)?;
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
        let document = Json::parse(text);
        let outcome = match find(&path, document.as_ref()) {
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
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows * 16);
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

/// `$JSON_QUERY(json, path, 'wrapper', 'on empty', 'on error', 'type')`
pub(super) fn type_query(call: &Call<'_>) -> Result<Typed> {
    let text = |found: &SqlType| found.is_string() || *found == SqlType::Null;
    let ([document, path, ..], Some(returning)) = (call.types, call.literal_text(5)) else {
        return call.refuse("a document and a path");
    };
    if call.types.len() != 6 || !text(document) || !text(path) {
        return call.refuse("a document and a path");
    }
    let result = type_of_text(returning)?;
    match &result {
        SqlType::Varchar(_) => {}
        SqlType::Array(element) if matches!(element.sql_type, SqlType::Varchar(_)) => {
            if [3, 4].iter().any(|clause| call.literal_text(*clause) == Some("EMPTY OBJECT")) {
                return plan_err!(
                    "JSON_QUERY that returns {result} cannot give EMPTY OBJECT: write EMPTY ARRAY"
                );
            }
        }
        _ => return plan_err!("JSON_QUERY returns STRING or ARRAY<STRING>, not {result}"),
    }
    Ok(Typed { arguments: vec![SqlType::STRING; 6], result, nullable: true })
}

/// What a path led to, before it is written in the form that is asked for.
enum Queried<'d, 'a> {
    Null,
    EmptyArray,
    EmptyObject,
    Value(&'d Json<'a>),
    /// one value, to be the only element of an array
    Wrapped(&'d Json<'a>),
    Elements(Vec<&'d Json<'a>>),
    WrappedElements(Vec<&'d Json<'a>>),
}

struct Query<'a> {
    wrapper: &'a str,
    on_empty: &'a str,
    on_error: &'a str,
    /// RETURNING ARRAY
    array: bool,
}

impl Query<'_> {
    fn instead<'d, 'a>(&self, behavior: &str, text: &str) -> Result<Queried<'d, 'a>> {
        match behavior {
            "ERROR" => exec_err!("JSON_QUERY: there is no array or object at the path in '{text}'"),
            "EMPTY ARRAY" => Ok(Queried::EmptyArray),
            "EMPTY OBJECT" => Ok(Queried::EmptyObject),
            _ => Ok(Queried::Null),
        }
    }

    fn find<'d, 'a>(
        &self,
        path: &JsonPath,
        document: Option<&'d Json<'a>>,
        text: &str,
    ) -> Result<Queried<'d, 'a>> {
        let found = find(path, document);
        let is_array = match &found {
            Found::Missing => return self.instead(self.on_error, text),
            Found::Nothing => return self.instead(self.on_empty, text),
            Found::One(value) => matches!(value, Json::Array(_)),
            Found::Many(_) => true,
        };
        let wrapped = match self.wrapper {
            "UNCONDITIONAL" => true,
            "CONDITIONAL" => !is_array,
            _ => false,
        };
        Ok(match found {
            Found::One(value) if wrapped => Queried::Wrapped(value),
            Found::One(value) if value.is_scalar() => {
                return self.instead(if path.lax { self.on_empty } else { self.on_error }, text);
            }
            Found::One(_) if self.array && !is_array => return self.instead(self.on_error, text),
            Found::One(value) => Queried::Value(value),
            Found::Many(values) if wrapped => Queried::WrappedElements(values),
            Found::Many(values) => Queried::Elements(values),
            Found::Missing | Found::Nothing => Queried::Null,
        })
    }
}

pub(super) fn query(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, paths) = (inputs.texts(0)?, Paths::new(inputs)?);
    let array = matches!(inputs.result, SqlType::Array(_));
    let query =
        Query { wrapper: word(inputs, 2)?, on_empty: word(inputs, 3)?, on_error: word(inputs, 4)?, array };
    if array {
        return query_arrays(inputs, &query, &texts, &paths);
    }
    let limit = match inputs.result {
        SqlType::Varchar(limit) => *limit as usize,
        other => return internal_err!("JSON_QUERY returns {other}"),
    };
    written(inputs.rows, inputs.rows * 32, |row, out| {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)?) else { return Ok(false) };
        let document = Json::parse(text);
        let start = out.len();
        match query.find(&path, document.as_ref(), text)? {
            Queried::Null => return Ok(false),
            Queried::EmptyArray => out.push_str("[]"),
            Queried::EmptyObject => out.push_str("{}"),
            Queried::Value(value) => value.write(out),
            Queried::Wrapped(value) => write_elements(&[value], out),
            Queried::Elements(values) => write_elements(&values, out),
            Queried::WrappedElements(values) => {
                out.push('[');
                write_elements(&values, out);
                out.push(']');
            }
        }
        if let Some((end, _)) = out[start..].char_indices().nth(limit) {
            out.truncate(start + end);
        }
        Ok(true)
    })
}

fn write_elements(values: &[&Json<'_>], out: &mut String) {
    out.push('[');
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        value.write(out);
    }
    out.push(']');
}

/// An array of texts: those of scalars, and JSON for what is an array or an object itself.
fn query_arrays(
    inputs: &Inputs<'_>,
    query: &Query<'_>,
    texts: &Texts<'_>,
    paths: &Paths<'_>,
) -> Result<ArrayRef> {
    let DataType::List(field) = inputs.result.data_type() else {
        return internal_err!("JSON_QUERY returns {}", inputs.result);
    };
    let mut arrays = ListBuilder::new(StringBuilder::new()).with_field(field);
    let mut buffer = String::new();
    for row in 0..inputs.rows {
        let (Some(text), Some(path)) = (texts.get(row), paths.get(row)?) else {
            arrays.append_null();
            continue;
        };
        let document = Json::parse(text);
        let elements = match query.find(&path, document.as_ref(), text)? {
            Queried::Value(Json::Array(elements)) => elements.iter().collect(),
            Queried::Value(value) | Queried::Wrapped(value) => vec![value],
            Queried::Elements(values) => values,
            Queried::WrappedElements(values) => {
                buffer.clear();
                write_elements(&values, &mut buffer);
                arrays.values().append_value(&buffer);
                vec![]
            }
            Queried::EmptyArray => vec![],
            Queried::Null | Queried::EmptyObject => {
                arrays.append_null();
                continue;
            }
        };
        for element in elements {
            append_text(element, &mut buffer, arrays.values());
        }
        arrays.append(true);
    }
    Ok(Arc::new(arrays.finish()))
}

fn append_text(value: &Json<'_>, buffer: &mut String, texts: &mut StringBuilder) {
    match value {
        Json::Null => texts.append_null(),
        Json::Text(text) => texts.append_value(text),
        value => {
            buffer.clear();
            value.write(buffer);
            texts.append_value(&*buffer);
        }
    }
}
