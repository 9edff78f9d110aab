//! A script cut into statements.

use super::dialect::FlinkDialect;
use crate::{PlanError, Position};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace};
use std::sync::Arc;

/// How far a text that a person is still typing has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing but blanks and comments.
    Empty,
    /// The last statement has no semicolon yet: a string, a comment or a STATEMENT SET may still be open.
    Incomplete,
    /// Every statement has ended.
    Complete,
}

/// Whether `text` ends in the middle of a statement.
pub fn completeness(text: &str) -> Completeness {
    let mut tokens = vec![];
    match Tokenizer::new(&FlinkDialect, text).tokenize_with_location_into_buf(&mut tokens) {
        Ok(()) => match pieces(&tokens) {
            pieces if pieces.iter().any(|piece| !piece.ended && !piece.is_command(&tokens)) => {
                Completeness::Incomplete
            }
            pieces if pieces.is_empty() => Completeness::Empty,
            _ => Completeness::Complete,
        },
        Err(error) if is_unterminated(&error) => Completeness::Incomplete,
        // Parsing will say what is wrong.
        Err(_) => Completeness::Complete,
    }
}

fn is_unterminated(error: &TokenizerError) -> bool {
    ["Unterminated", "before EOF", "Unexpected EOF"].iter().any(|part| error.message.contains(part))
}

/// A script as tokens.
pub(super) struct Script {
    pub source: Arc<str>,
    tokens: Vec<TokenWithSpan>,
    /// byte where each line starts
    lines: Vec<usize>,
}

/// The tokens of one statement, blanks and comments included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// places in the tokens: from the first that is no blank to the last, half-open, without the semicolon
    start: usize,
    end: usize,
    /// a semicolon follows
    ended: bool,
}

impl Piece {
    /// A command of the prompt, which needs no semicolon.
    fn is_command(&self, tokens: &[TokenWithSpan]) -> bool {
        let word = |word: &&str| is_word(&tokens[self.start], word);
        self.end == self.start + 1 && ["QUIT", "EXIT", "CLEAR", "HELP"].iter().any(word)
    }
}

impl Script {
    pub fn new(text: &str) -> Result<Script, PlanError> {
        let source: Arc<str> = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut tokens = vec![];
        let result = Tokenizer::new(&FlinkDialect, text).tokenize_with_location_into_buf(&mut tokens);
        if let Err(error) = result {
            return Err(unreadable(text, &tokens, error).with_source(&source));
        }
        let quoted = tokens.iter().find(|token| matches!(token.token, Token::DoubleQuotedString(_)));
        if let Some(token) = quoted {
            let message =
                "double quotes mean nothing here: write a name in backticks and a string in single quotes";
            return Err(PlanError::syntax(message).at(token.span).with_source(&source));
        }
        let script = Script { source, tokens, lines };
        match script.tokens.iter().find_map(|token| script.misread(token)) {
            Some(error) => Err(error.with_source(&script.source)),
            None => Ok(script),
        }
    }

    /// Tokens of other languages that the tokenizer takes for something in SQL.
    fn misread(&self, token: &TokenWithSpan) -> Option<PlanError> {
        let message = match &token.token {
            Token::DoubleEq => "'==' is no operator: write =".to_string(),
            Token::HexStringLiteral(digits) if self.text(token.span, token.span).starts_with('0') => {
                format!("numbers are written in decimal digits: 0x{digits} is none, and x'{digits}' is bytes")
            }
            _ => return None,
        };
        Some(PlanError::syntax(message).at(token.span))
    }

    /// The tokens of each statement.
    pub fn statements(&self) -> Vec<&[TokenWithSpan]> {
        pieces(&self.tokens).into_iter().map(|piece| &self.tokens[piece.start..piece.end]).collect()
    }

    /// The byte of a place that a token gave.
    pub fn byte(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.lines.get(line) else { return self.source.len() };
        let before = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let rest = &self.source[*start..];
        start + rest.char_indices().nth(before).map_or(rest.len(), |(at, _)| at)
    }

    /// The text from the start of `first` to the end of `last`.
    pub fn text(&self, first: Span, last: Span) -> &str {
        &self.source[self.byte(first.start)..self.byte(last.end)]
    }
}

/// The tokenizer stopped where the text ended: the error belongs where the string or comment began, right after the
/// last token.
fn unreadable(text: &str, tokens: &[TokenWithSpan], error: TokenizerError) -> PlanError {
    let start = tokens.last().map_or(Location::new(1, 1), |token| token.span.end);
    let offset = text
        .lines()
        .nth(start.line as usize - 1)
        .and_then(|line| line.chars().nth(usize::try_from(start.column).ok()? - 1));
    let what = match offset {
        Some('\'') => "a string is not closed: its ' is missing",
        Some('`') => "a name is not closed: its ` is missing",
        Some('/') => "a comment is not closed: its */ is missing",
        _ if is_unterminated(&error) => "the text ends in the middle of a string, a name or a comment",
        _ => {
            let position = Position { line: error.location.line, column: error.location.column, length: 1 };
            return PlanError::syntax(super::error::lower_first(&error.message)).at_position(Some(position));
        }
    };
    PlanError::syntax(what).at(Span::new(start, start))
}

pub(super) fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Whitespace(_))
}

/// The text of a hint: `/*+ .. */`.
pub(super) fn hint_text(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Whitespace(Whitespace::MultiLineComment(text)) => text.strip_prefix('+'),
        _ => None,
    }
}

pub(super) fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found)
        if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// Cuts at semicolons, except for those inside `BEGIN STATEMENT SET; ..; END` and `STATEMENT SET BEGIN ..; END`. Hints
/// belong to a statement even where they stand at its edge.
fn pieces(tokens: &[TokenWithSpan]) -> Vec<Piece> {
    let mut pieces = vec![];
    let mut piece: Option<Piece> = None;
    let mut words: Vec<usize> = vec![];
    let mut in_set = false;
    let mut starts_part = true;
    for (index, token) in tokens.iter().enumerate() {
        if is_blank(token) && hint_text(token).is_none() {
            continue;
        }
        if token.token == Token::SemiColon && !in_set {
            pieces.extend(piece.take().map(|piece| Piece { ended: true, ..piece }));
            words.clear();
            continue;
        }
        let start = piece.map_or(index, |piece| piece.start);
        piece = Some(Piece { start, end: index + 1, ended: false });
        if is_blank(token) {
            continue;
        }
        words.push(index);
        if !in_set {
            in_set = opens_set(tokens, &words);
            starts_part = in_set;
        } else if token.token == Token::SemiColon {
            starts_part = true;
        } else {
            // END of a CASE is never the first word of a statement.
            in_set = !(starts_part && is_word(token, "END"));
            starts_part = false;
        }
    }
    pieces.extend(piece);
    pieces
}

/// True right after `[EXECUTE | EXPLAIN ..] STATEMENT SET BEGIN` and after `BEGIN STATEMENT SET`.
fn opens_set(tokens: &[TokenWithSpan], words: &[usize]) -> bool {
    let ends_with = |expected: &[&str]| {
        words.len() >= expected.len()
            && words[words.len() - expected.len()..]
                .iter()
                .zip(expected)
                .all(|(index, word)| is_word(&tokens[*index], word))
    };
    let first = |expected: &[&str]| expected.iter().any(|word| is_word(&tokens[words[0]], word));
    match words.len() {
        3 if ends_with(&["BEGIN", "STATEMENT", "SET"]) => true,
        _ => first(&["EXECUTE", "EXPLAIN", "STATEMENT"]) && ends_with(&["STATEMENT", "SET", "BEGIN"]),
    }
}
