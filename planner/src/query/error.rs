//! DataFusion's errors as errors of this room.

use crate::{PlanError, PlanErrorKind, Position};
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, SchemaError, Span};
use std::str::FromStr;
use weir_types::SqlType;

/// What went wrong, in this room's words, with the place where DataFusion knows it.
pub(super) fn plan_error(error: DataFusionError) -> PlanError {
    let position = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(position_of);
    translate(&error).at_position(position)
}

/// A place in the text, as DataFusion notes it.
pub(super) fn position_of(span: Span) -> Position {
    let length = match span.start.line == span.end.line {
        true => span.end.column.saturating_sub(span.start.column).max(1),
        false => 1,
    };
    Position { line: span.start.line, column: span.start.column, length }
}

fn translate(error: &DataFusionError) -> PlanError {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<PlanError>() {
            Some(error) => error.clone(),
            None => PlanError::internal(inner.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => translate(inner),
        DataFusionError::Shared(inner) => translate(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => plan_error_of(first),
            None => PlanError::internal(error.to_string()),
        },
        DataFusionError::NotImplemented(message) => {
            let message = message_of(message);
            match message.strip_prefix("not supported yet: ") {
                Some(what) => PlanError::not_supported(what),
                // What follows is the syntax tree.
                None if message.starts_with("unsupported ast node") => {
                    PlanError::not_supported("this expression")
                }
                None => PlanError::not_supported(in_sql_types(&message)),
            }
        }
        DataFusionError::Plan(message) if message.starts_with("Invalid function '") => {
            unknown_function(message)
        }
        DataFusionError::Plan(message) if message.contains(NOT_GROUPED) => not_grouped(message),
        DataFusionError::Internal(message) => PlanError::internal(message_of(message)),
        DataFusionError::SchemaError(schema, _) => schema_error(schema),
        DataFusionError::ArrowError(arrow, _) => PlanError::invalid(arrow.to_string()),
        other => PlanError::invalid(in_sql_words(&message_of(&other.message()))),
    }
}

/// What DataFusion says of NOT before the type that it found.
const NOT_A_CONDITION: &str = "unary operator 'NOT' requires a boolean expression, got ";

fn in_sql_words(message: &str) -> String {
    let of_query = message.strip_prefix("expr type ").and_then(|rest| rest.strip_suffix(" in InSubquery"));
    if let Some((value, column)) = of_query.and_then(|types| types.split_once(" can't cast to ")) {
        let (value, column) = (in_sql_types(value), in_sql_types(column));
        return format!(
            "cannot look for {value} IN a query of {column}: cast one of them to the other's type"
        );
    }
    match message.strip_prefix(NOT_A_CONDITION) {
        Some(found) => format!("cannot apply NOT to ({}): expected a BOOLEAN", in_sql_types(found)),
        None => in_sql_types(message),
    }
}

/// `message` with SQL's names for Arrow's types, and literals as they are written in SQL. What is quoted stays as it is.
fn in_sql_types(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let (mut rest, mut is_quoted, mut in_word) = (message, false, false);
    while let Some(letter) = rest.chars().next() {
        // An apostrophe within a word is no quote.
        is_quoted ^= letter == '\'' && (is_quoted || !in_word);
        let found = if is_quoted || in_word { None } else { sql_type_at(rest) };
        in_word = letter.is_alphanumeric() || matches!(letter, '_' | '.');
        match found {
            Some((length, name)) => {
                text.push_str(&name);
                rest = &rest[length..];
            }
            None => {
                text.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    text
}

/// The type or the literal that `text` begins with: how many bytes it takes, and how SQL writes it.
fn sql_type_at(text: &str) -> Option<(usize, String)> {
    let word = text.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(text.len());
    let name = |text: &str| {
        let data_type = DataType::from_str(text).ok()?;
        SqlType::of_data_type(&data_type).map(|sql_type| sql_type.to_string())
    };
    let Some(end) = text[word..].starts_with('(').then(|| closing(&text[word..])).flatten() else {
        return Some((word, name(&text[..word])?));
    };
    let whole = word + end;
    match name(&text[..whole]) {
        Some(name) => Some((whole, name)),
        // a literal: Int64(1), Utf8("a")
        None => name(&text[..word]).map(|_| (whole, text[word + 1..whole - 1].replace('"', "'"))),
    }
}

/// How many bytes of `text`, which opens a parenthesis, go up to the one that closes it.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_i32;
    for (place, letter) in text.char_indices() {
        open += i32::from(letter == '(') - i32::from(letter == ')');
        if open == 0 {
            return Some(place + 1);
        }
    }
    None
}

fn plan_error_of(error: &DataFusionError) -> PlanError {
    let position = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(position_of);
    translate(error).at_position(position)
}

/// Without the backtrace, beginning with a small letter.
fn message_of(message: &str) -> String {
    let message = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or(message).trim();
    let message = message.trim_end_matches('.');
    let mut chars = message.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => message.to_string(),
    }
}

/// `Invalid function 'x'.` and, on the next line, `Did you mean 'y'?`
fn unknown_function(message: &str) -> PlanError {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let name = quoted.next().unwrap_or_default();
    let known = quoted.next().map(str::to_uppercase);
    let nearest = weir_types::did_you_mean(name, known.as_deref());
    PlanError::invalid(format!("function '{}' does not exist{nearest}", name.to_uppercase()))
}

/// What DataFusion says of a column that is neither a key nor aggregated.
const NOT_GROUPED: &str = "must appear in the GROUP BY clause";

fn not_grouped(message: &str) -> PlanError {
    let quoted = message.split(NOT_GROUPED).next().and_then(|before| before.split('"').nth(1));
    let column = quoted.and_then(|name| name.rsplit('.').next()).unwrap_or_default();
    PlanError::invalid(format!(
        "column '{column}' is neither in GROUP BY nor in an aggregation: group by it too, or say which of its values is \
         meant, as in MAX({column})"
    ))
}

fn schema_error(error: &SchemaError) -> PlanError {
    let message = match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name.as_str();
            let known = valid_fields.iter().map(|column| column.name.as_str());
            format!("column '{name}' does not exist{}", weir_types::did_you_mean(name, known))
        }
        SchemaError::AmbiguousReference { field } => {
            format!("column '{}' is ambiguous: write the table before it", field.name)
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("there are two columns '{name}': give one of them another name")
        }
    };
    PlanError::new(PlanErrorKind::Invalid, message)
}

/// An error of this room on its way through DataFusion.
pub(super) fn external(error: PlanError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_in_sql() {
        let cases = [
            ("got Int64", "got BIGINT"),
            ("Int64 = Timestamp(ms), or Utf8.", "BIGINT = TIMESTAMP(3), or STRING."),
            ("but got Decimal128(2, 1)", "but got DECIMAL(2, 1)"),
            ("the argument Int64(1) of 'Int64'", "the argument 1 of 'Int64'"),
            ("Utf8(\"a\") and t.Int64 and MyUtf8", "'a' and t.Int64 and MyUtf8"),
            ("nothing (of the kind", "nothing (of the kind"),
            ("can't cast to Timestamp(ms) in", "can't cast to TIMESTAMP(3) in"),
        ];
        for (message, expected) in cases {
            assert_eq!(in_sql_types(message), expected);
        }
        assert_eq!(
            in_sql_words("unary operator 'NOT' requires a boolean expression, got Float64"),
            "cannot apply NOT to (DOUBLE): expected a BOOLEAN"
        );
    }
}
