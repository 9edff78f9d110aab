//! Errors of this room, with the place in the text that they are about.

use sqlparser::tokenizer::Span;
use std::fmt::{self, Write};
use std::sync::Arc;
use unicode_width::UnicodeWidthChar;
use weir_types::{Classify, ErrorKind};

/// A place in a script: line and column count from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
    /// characters on that line; at least 1
    pub length: u64,
}

impl Position {
    /// Where `span` begins; `None` for the empty span that the parser gives to what has no place.
    pub fn of(span: Span) -> Option<Position> {
        if span.start.line == 0 {
            return None;
        }
        let length = match span.end.line == span.start.line {
            true => span.end.column.saturating_sub(span.start.column).max(1),
            false => 1,
        };
        Some(Position { line: span.start.line, column: span.start.column, length })
    }
}

/// Whose error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanErrorKind {
    /// The text is not SQL.
    Syntax,
    /// The text is SQL, but names, types, options or settings are wrong.
    Invalid,
    /// The text is right Flink SQL that Weir does not run yet.
    NotSupported,
    /// A defect of Weir.
    Internal,
}

/// Why a statement cannot be planned.
#[derive(Clone, Debug)]
pub struct PlanError {
    pub kind: PlanErrorKind,
    /// lower case, without a full stop; may have several lines
    pub message: String,
    pub position: Option<Position>,
    /// the script that `position` points into
    source: Option<Arc<str>>,
    /// it is about the hint behind `position`
    in_hint: bool,
}

impl PlanError {
    pub fn new(kind: PlanErrorKind, message: impl Into<String>) -> Self {
        PlanError { kind, message: message.into(), position: None, source: None, in_hint: false }
    }

    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new(PlanErrorKind::Syntax, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(PlanErrorKind::Invalid, message)
    }

    /// `what` is not supported yet.
    pub fn not_supported(what: impl fmt::Display) -> Self {
        Self::new(PlanErrorKind::NotSupported, format!("not supported yet: {what}"))
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(PlanErrorKind::Internal, message)
    }

    /// The same error about the text at `span`, unless it has a place already.
    pub fn at(mut self, span: Span) -> Self {
        self.position = self.position.or(Position::of(span));
        self
    }

    pub fn at_position(mut self, position: Option<Position>) -> Self {
        self.position = self.position.or(position);
        self
    }

    /// The same error with what was being done in front: `{context}: {message}`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// For an error in text that is not the statement's own, such as the query of a view: the place means nothing to
    /// whoever wrote the statement.
    pub fn without_position(mut self) -> Self {
        self.position = None;
        self.source = None;
        self
    }

    /// For an error about the hint of a table, whose name is all that has a place: the error points at the hint, or at
    /// the option in it that the message names, as soon as its text is known.
    pub fn in_hint(mut self) -> Self {
        self.in_hint = true;
        self
    }

    /// Lets [`PlanError::render`] show the line.
    pub fn with_source(mut self, source: &Arc<str>) -> Self {
        if self.source.is_none() {
            if let Some(position) = self.position.filter(|_| self.in_hint) {
                self.position = hint_position(source, position, &self.message).or(self.position);
            }
            self.source = Some(source.clone());
        }
        self
    }

    /// The message, and below it the line of the text with a caret under the place:
    ///
    /// ```text
    /// table 'ordrs' does not exist, did you mean 'orders'?
    ///  --> line 2, column 15
    ///   |
    /// 2 | SELECT * FROM ordrs
    ///   |               ^^^^^
    /// ```
    pub fn render(&self) -> String {
        let mut text = self.message.clone();
        let Some(position) = self.position else { return text };
        let place = format!("line {}, column {}", position.line, position.column);
        let line = usize::try_from(position.line).ok();
        let line = self.source.as_deref().zip(line).and_then(|(source, line)| source.lines().nth(line - 1));
        let Some(line) = line else {
            // Writing to a String does not fail.
            let _ = write!(text, "\n --> {place}");
            return text;
        };
        let number = position.line.to_string();
        let margin = " ".repeat(number.len());
        let before = usize::try_from(position.column - 1).unwrap_or(usize::MAX);
        let indent: String = line.chars().take(before).map(blank).collect();
        let rest = line.chars().skip(before);
        let length = closed_length(rest.clone(), usize::try_from(position.length).unwrap_or(1));
        let carets = "^".repeat(rest.take(length).map(cells).sum::<usize>().max(1));
        let _ =
            write!(text, "\n{margin}--> {place}\n{margin} |\n{number} | {line}\n{margin} | {indent}{carets}");
        text
    }
}

/// Cells of a terminal that a character takes: wide ones take two, marks upon the letter before them none.
fn cells(letter: char) -> usize {
    letter.width().unwrap_or(0)
}

/// What is as wide as `letter`. Tabs stay tabs, so that the caret stands right whatever their width.
fn blank(letter: char) -> &'static str {
    match (letter, cells(letter)) {
        ('\t', _) => "\t",
        (_, 0) => "",
        (_, 1) => " ",
        _ => "  ",
    }
}

/// How many of the characters of `rest` to point at: `length`, and on to the parentheses that close what those open. The
/// parser counts a call up to its last argument.
fn closed_length(rest: impl Iterator<Item = char>, length: usize) -> usize {
    let mut open = 0_i32;
    let mut closed = 0;
    for (index, letter) in rest.enumerate() {
        if index >= length && open <= 0 {
            break;
        }
        open += i32::from(letter == '(') - i32::from(letter == ')');
        if index < length || open == 0 {
            closed = index + 1;
        }
    }
    closed.max(1)
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.position {
            Some(Position { line, column, .. }) => write!(f, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PlanError {}

impl Classify for PlanError {
    fn kind(&self) -> ErrorKind {
        match self.kind {
            PlanErrorKind::Internal => ErrorKind::Internal,
            _ => ErrorKind::UserInput,
        }
    }
}

/// Where in `source` the hint behind `name` is, or a string of it that `message` quotes.
fn hint_position(source: &str, name: Position, message: &str) -> Option<Position> {
    let line = usize::try_from(name.line).ok()?.checked_sub(1)?;
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let in_line = usize::try_from(name.column).ok()?.checked_sub(1)?;
    let place = before + source[before..].char_indices().nth(in_line)?.0;
    let start = place + source[place..].find("/*+")?;
    let end = start + source[start..].find("*/")? + 2;
    let hint = &source[start..end];
    let quoted = message.split('\'').skip(1).step_by(2).map(|word| format!("'{word}'"));
    let found = quoted.filter_map(|word| Some((start + hint.find(&word)?, word))).next();
    let (place, text) = found.unwrap_or_else(|| (start, hint.lines().next().unwrap_or_default().to_string()));
    let line_start = source[..place].rfind('\n').map_or(0, |newline| newline + 1);
    Some(Position {
        line: source[..place].matches('\n').count() as u64 + 1,
        column: source[line_start..place].chars().count() as u64 + 1,
        length: text.chars().count().max(1) as u64,
    })
}
