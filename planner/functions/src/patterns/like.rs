//! LIKE and SIMILAR TO.

use super::super::arguments::{Inputs, Texts};
use arrow::array::{ArrayRef, BooleanArray};
use datafusion_common::{Result, exec_err};
use regex::Regex;
use std::sync::Arc;

/// A pattern of LIKE, by what it takes to match it.
#[derive(Debug)]
enum LikePattern {
    Everything,
    Equal(String),
    Start(String),
    End(String),
    Within(String),
    /// start and end, not overlapping
    Around(String, String),
    General(Regex),
}

enum Part {
    /// `%`
    Any,
    /// `_`
    One,
    Text(String),
}

/// The parts of a pattern. Without an escape character nothing is escaped.
fn parts(pattern: &str, escape: Option<char>) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = vec![];
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            _ if Some(character) == escape => match characters.next() {
                Some(next) if next == '%' || next == '_' || Some(next) == escape => next,
                _ => return exec_err!("'{pattern}' has an escape character that escapes nothing"),
            },
            '%' => {
                if !matches!(parts.last(), Some(Part::Any)) {
                    parts.push(Part::Any);
                }
                continue;
            }
            '_' => {
                parts.push(Part::One);
                continue;
            }
            literal => literal,
        };
        match parts.last_mut() {
            Some(Part::Text(text)) => text.push(literal),
            _ => parts.push(Part::Text(literal.to_string())),
        }
    }
    Ok(parts)
}

impl LikePattern {
    fn new(pattern: &str, escape: Option<char>) -> Result<Self> {
        let parts = parts(pattern, escape)?;
        Ok(match &parts[..] {
            [] => LikePattern::Equal(String::new()),
            [Part::Any] => LikePattern::Everything,
            [Part::Text(text)] => LikePattern::Equal(text.clone()),
            [Part::Text(text), Part::Any] => LikePattern::Start(text.clone()),
            [Part::Any, Part::Text(text)] => LikePattern::End(text.clone()),
            [Part::Any, Part::Text(text), Part::Any] => LikePattern::Within(text.clone()),
            [Part::Text(start), Part::Any, Part::Text(end)] => {
                LikePattern::Around(start.clone(), end.clone())
            }
            parts => {
                let mut regex = String::from("(?s)^");
                for part in parts {
                    match part {
                        Part::Any => regex.push_str(".*"),
                        Part::One => regex.push('.'),
                        Part::Text(text) => regex.push_str(&regex::escape(text)),
                    }
                }
                regex.push('$');
                LikePattern::General(compiled(&regex)?)
            }
        })
    }

    #[inline]
    fn matches(&self, text: &str) -> bool {
        match self {
            LikePattern::Everything => true,
            LikePattern::Equal(equal) => text == equal,
            LikePattern::Start(start) => text.starts_with(start.as_str()),
            LikePattern::End(end) => text.ends_with(end.as_str()),
            LikePattern::Within(part) => text.contains(part.as_str()),
            LikePattern::Around(start, end) => {
                text.len() >= start.len() + end.len()
                    && text.starts_with(start.as_str())
                    && text.ends_with(end.as_str())
            }
            LikePattern::General(regex) => regex.is_match(text),
        }
    }
}

fn compiled(regex: &str) -> Result<Regex> {
    Regex::new(regex).or_else(|error| exec_err!("a pattern is too large: {error}"))
}

fn escape_of(escapes: &Option<Texts<'_>>, row: usize) -> Result<Option<char>> {
    let Some(escape) = escapes.as_ref().and_then(|escapes| escapes.get(row)) else { return Ok(None) };
    let mut characters = escape.chars();
    match (characters.next(), characters.next()) {
        (Some(escape), None) => Ok(Some(escape)),
        _ => exec_err!("the escape character is one character, not '{escape}'"),
    }
}

/// Matches texts with patterns that `compile` makes of a pattern and an escape character.
fn matched<T: Send + Sync + 'static>(
    inputs: &Inputs<'_>,
    compile: impl Fn(&str, Option<char>) -> Result<T>,
    test: impl Fn(&T, &str) -> bool,
) -> Result<ArrayRef> {
    let (texts, patterns) = (inputs.texts(0)?, inputs.texts(1)?);
    let escapes = if inputs.len() == 3 { Some(inputs.texts(2)?) } else { None };
    let constant_escape = escapes.as_ref().is_none_or(Texts::is_constant);
    if let (Some(Some(pattern)), true) = (patterns.constant(), constant_escape) {
        let escape = escape_of(&escapes, 0)?;
        let pattern = inputs.cache.get_or_compile(pattern, |pattern| compile(pattern, escape))?;
        let results = (0..inputs.rows).map(|row| texts.get(row).map(|text| test(&pattern, text)));
        return Ok(Arc::new(results.collect::<BooleanArray>()));
    }
    let mut results = Vec::with_capacity(inputs.rows);
    let mut last: Option<(&str, Option<char>, T)> = None;
    for row in 0..inputs.rows {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)) else {
            results.push(None);
            continue;
        };
        let escape = escape_of(&escapes, row)?;
        if last.as_ref().is_none_or(|(known, with, _)| *known != pattern || *with != escape) {
            last = Some((pattern, escape, compile(pattern, escape)?));
        }
        results.push(last.as_ref().map(|(_, _, compiled)| test(compiled, text)));
    }
    Ok(Arc::new(BooleanArray::from(results)))
}

pub(super) fn like(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    matched(inputs, LikePattern::new, LikePattern::matches)
}

/// SIMILAR TO as a regular expression: `%` and `_` as in LIKE; all else is passed on, but for `\` and `$`.
fn similar_pattern(pattern: &str, escape: Option<char>) -> Result<Regex> {
    let mut regex = String::from("(?s)^(?:");
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            _ if Some(character) == escape => match rest.chars().next() {
                Some(next) => {
                    rest = &rest[next.len_utf8()..];
                    regex.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
                }
                None => return exec_err!("'{pattern}' ends with its escape character"),
            },
            '[' if in_class && rest.starts_with(':') => {
                let Some((name, after)) = rest[1..].split_once(":]") else {
                    return exec_err!("'{pattern}' is not a pattern of SIMILAR TO");
                };
                rest = after;
                match name.to_lowercase().as_str() {
                    "whitespace" => regex.push_str("[:space:]"),
                    name => regex.push_str(&format!("[:{name}:]")),
                }
            }
            '[' | ']' => {
                in_class = character == '[';
                regex.push(character);
            }
            '%' if !in_class => regex.push_str(".*"),
            '_' if !in_class => regex.push('.'),
            '\\' | '$' => {
                regex.push('\\');
                regex.push(character);
            }
            other => regex.push(other),
        }
    }
    regex.push_str(")$");
    Regex::new(&regex).or_else(|_| exec_err!("'{pattern}' is not a pattern of SIMILAR TO"))
}

pub(super) fn similar(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    matched(inputs, similar_pattern, |regex, text| regex.is_match(text))
}
