//! Functions of JSON.

mod document;
mod filter;
mod make;
mod path;
mod query;
mod quote;

use super::definition::{Call, Function, Parameter as P, Returns as R, Typed, Typing, call};
use datafusion_common::Result;
use weir_types::SqlType;

const TEXT: Typing = Typing::Signatures(&[call(&[P::Text], R::Text)]);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new(
        "$IS_JSON",
        Typing::Signatures(&[call(&[P::Text, P::Text], R::Boolean).never_null()]),
        query::is_json,
        "s IS [NOT] JSON [VALUE|SCALAR|ARRAY|OBJECT]",
    ),
    Function::new(
        "$JSON_EXISTS",
        Typing::Signatures(&[call(&[P::Text, P::Text, P::Text], R::Boolean).nullable()]),
        query::exists,
        "JSON_EXISTS(json, path [TRUE|FALSE|UNKNOWN|ERROR ON ERROR])",
    )
    .fallible(),
    Function::new(
        "$JSON_VALUE",
        Typing::Custom(query::type_value),
        query::value,
        "JSON_VALUE(json, path [RETURNING type] [NULL|ERROR|DEFAULT x ON EMPTY] [.. ON ERROR])",
    )
    .fallible(),
    Function::new(
        "$JSON_QUERY",
        Typing::Custom(query::type_query),
        query::query,
        "JSON_QUERY(json, path [RETURNING type] [.. WRAPPER] [NULL|ERROR|EMPTY ARRAY|EMPTY OBJECT ON EMPTY] [.. ON ERROR])",
    )
    .fallible(),
    Function::new("JSON_STRING", Typing::Custom(type_string), make::string, "a value as JSON"),
    Function::new(
        "$JSON_OBJECT",
        Typing::Custom(type_object),
        make::object,
        "JSON_OBJECT(key VALUE value, .. [NULL|ABSENT ON NULL])",
    )
    .fallible(),
    Function::new(
        "$JSON_ARRAY",
        Typing::Custom(type_array),
        make::array,
        "JSON_ARRAY(value, .. [NULL|ABSENT ON NULL])",
    ),
    Function::new("JSON_QUOTE", TEXT, quote::quote, "text as a JSON string of ASCII characters"),
    Function::new("JSON_UNQUOTE", TEXT, quote::unquote, "the text of a JSON string; other text as it is"),
];

/// Values that have a form in JSON.
fn is_json_value(sql_type: &SqlType) -> bool {
    match sql_type {
        SqlType::Date
        | SqlType::Time(_)
        | SqlType::IntervalYearMonth
        | SqlType::IntervalDayTime
        | SqlType::Multiset(_) => false,
        SqlType::Array(member) => is_json_value(&member.sql_type),
        SqlType::Map(key, value) => key.sql_type.is_string() && is_json_value(&value.sql_type),
        SqlType::Row(fields) => fields.iter().all(|field| is_json_value(&field.sql_type)),
        _ => true,
    }
}

const VALUES: &str =
    "values of types that JSON has: text, numbers, BOOLEAN, BYTES, timestamps, arrays, maps, rows";

fn type_string(call: &Call<'_>) -> Result<Typed> {
    match call.types {
        [found] if is_json_value(found) => {
            Ok(Typed { arguments: vec![found.clone()], result: SqlType::STRING, nullable: call.nullable[0] })
        }
        _ => call.refuse(VALUES),
    }
}

/// `$JSON_OBJECT('flags', key, value, ..)`, see `make`.
fn type_object(call: &Call<'_>) -> Result<Typed> {
    if call.types.len().is_multiple_of(2) {
        return call.refuse("keys and values by turns");
    }
    let mut arguments = call.types.to_vec();
    for (index, argument) in arguments.iter_mut().enumerate().skip(1) {
        match index % 2 {
            1 if argument.is_string() => *argument = SqlType::STRING,
            1 => return call.refuse("keys that are text"),
            _ if is_json_value(argument) => {}
            _ => return call.refuse(VALUES),
        }
    }
    Ok(Typed { arguments, result: SqlType::STRING, nullable: false })
}

fn type_array(call: &Call<'_>) -> Result<Typed> {
    match call.types.iter().skip(1).all(is_json_value) {
        true => Ok(Typed { arguments: call.types.to_vec(), result: SqlType::STRING, nullable: false }),
        false => call.refuse(VALUES),
    }
}
