//! sqlparser's errors as errors of this room.

use crate::PlanError;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Span, TokenWithSpan};

/// `error` about one of `tokens`. What has no place, such as the end of the text, is put after the last token.
pub(super) fn convert(error: ParserError, tokens: &[TokenWithSpan]) -> PlanError {
    let end = tokens.last().map_or(Span::empty(), |token| Span::new(token.span.end, token.span.end));
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => {
            let first = tokens.first().map_or(Span::empty(), |token| token.span);
            return PlanError::syntax("the statement is nested too deeply").at(first);
        }
    };
    let (message, location) = split_location(&message);
    let message =
        lower_first(&message.replace("Expected: ", "expected ").replace(", found: EOF", ", found the end"))
            .replace(", found: ", ", found ");
    let error = match message.strip_prefix("not supported yet: ") {
        Some(what) => PlanError::not_supported(what),
        None => PlanError::syntax(message),
    };
    let Some(location) = location else { return error.at(end) };
    let token = tokens.iter().find(|token| token.span.start == location);
    error.at(token.map_or(Span::new(location, location), |token| token.span))
}

/// sqlparser writes places into its messages: `.. at Line: 3, Column: 10`.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let parse = || {
        let (before, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((before, Location::new(line.parse().ok()?, column.parse().ok()?)))
    };
    match parse() {
        Some((before, location)) => (before, Some(location)),
        None => (message, None),
    }
}

pub(super) fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|first| first.to_lowercase().collect::<String>()).unwrap_or_default();
    let text = first + chars.as_str();
    text.trim_end_matches('.').to_string()
}
