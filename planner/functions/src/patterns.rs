//! LIKE, SIMILAR TO and regular expressions.

mod java;
mod like;

use super::arguments::Inputs;
use super::definition::{Function, Parameter as P, Returns as R, Typing, call};
use super::strings::{bytes_of, slices, written};
use arrow::array::{ArrayRef, BooleanArray, Int32Array, ListBuilder, StringBuilder};
use arrow::datatypes::Int32Type;
use datafusion_common::Result;
use regex::{CaptureLocations, Match, Regex};
use std::sync::Arc;

pub(super) use java::compile_java;

const LIKE: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text], R::Boolean),
    call(&[P::Text, P::Text, P::Text], R::Boolean),
]);
const EXTRACT: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text], R::Text).nullable(),
    call(&[P::Text, P::Text, P::Int], R::Text).nullable(),
]);
const EXTRACT_ALL: Typing = Typing::Signatures(&[
    call(&[P::Text, P::Text], R::TextArray).nullable(),
    call(&[P::Text, P::Text, P::Int], R::TextArray).nullable(),
]);
const INT: Typing = Typing::Signatures(&[call(&[P::Text, P::Text], R::Int).nullable()]);
const SUBSTR: Typing = Typing::Signatures(&[call(&[P::Text, P::Text], R::Text).nullable()]);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("$LIKE", LIKE, like::like, "s LIKE pattern [ESCAPE c]").fallible(),
    Function::new("$SIMILAR", LIKE, like::similar, "s SIMILAR TO pattern [ESCAPE c]").fallible(),
    Function::new(
        "REGEXP",
        Typing::Signatures(&[call(&[P::Text, P::Text], R::Boolean)]),
        regexp,
        "TRUE if a part of the text matches",
    )
    .fallible(),
    Function::new("REGEXP_EXTRACT", EXTRACT, extract, "REGEXP_EXTRACT(s, regex[, group]) of the first match")
        .fallible(),
    Function::new("REGEXP_EXTRACT_ALL", EXTRACT_ALL, extract_all, "REGEXP_EXTRACT_ALL(s, regex[, group])")
        .fallible(),
    Function::new(
        "REGEXP_REPLACE",
        Typing::Signatures(&[call(&[P::Text, P::Text, P::Text], R::Text)]),
        replace,
        "REGEXP_REPLACE(s, regex, replacement) of every match; the replacement is plain text",
    )
    .fallible(),
    Function::new("REGEXP_COUNT", INT, count, "number of matches").fallible(),
    Function::new("REGEXP_INSTR", INT, instr, "where the first match starts; 0 without one").fallible(),
    Function::new("REGEXP_SUBSTR", SUBSTR, substr, "the first match").fallible(),
];

/// The regular expression of each row, compiled when it changes.
struct Regexes<'a> {
    patterns: super::arguments::Texts<'a>,
    constant: Option<Arc<Regex>>,
    last: Option<(&'a str, Arc<Regex>)>,
}

impl<'a> Regexes<'a> {
    fn new(inputs: &Inputs<'a>, index: usize) -> Result<Self> {
        let patterns = inputs.texts(index)?;
        let constant = match patterns.constant() {
            Some(Some(pattern)) => Some(inputs.cache.get_or_compile(pattern, compile_java)?),
            _ => None,
        };
        Ok(Regexes { patterns, constant, last: None })
    }

    fn get(&mut self, row: usize) -> Result<Option<Arc<Regex>>> {
        if let Some(regex) = &self.constant {
            return Ok(Some(regex.clone()));
        }
        let Some(pattern) = self.patterns.get(row) else { return Ok(None) };
        match &self.last {
            Some((known, regex)) if *known == pattern => Ok(Some(regex.clone())),
            _ => {
                let regex = Arc::new(compile_java(pattern)?);
                self.last = Some((pattern, regex.clone()));
                Ok(Some(regex))
            }
        }
    }
}

/// All matches as Java finds them: an empty one may follow right behind another.
fn matches<'r, 't>(regex: &'r Regex, text: &'t str) -> impl Iterator<Item = Match<'t>> + use<'r, 't> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let found = regex.find_at(text, next?)?;
        next = match found.is_empty() {
            false => Some(found.end()),
            true => text[found.end()..].chars().next().map(|character| found.end() + character.len_utf8()),
        };
        Some(found)
    })
}

fn regexp(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let mut matches = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        matches.push(match (texts.get(row), regexes.get(row)?) {
            // An empty pattern matches nothing.
            (Some(text), Some(regex)) => Some(!regex.as_str().is_empty() && regex.is_match(text)),
            _ => None,
        });
    }
    Ok(Arc::new(BooleanArray::from(matches)))
}

/// The part of the text that a group of the first match has; `None` without match or group.
fn group<'a>(regex: &Regex, places: &mut CaptureLocations, text: &'a str, group: usize) -> Option<&'a str> {
    if group == 0 {
        return regex.find(text).map(|found| found.as_str());
    }
    regex.captures_read(places, text)?;
    places.get(group).map(|(start, end)| &text[start..end])
}

fn extract(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let groups = if inputs.len() == 3 { Some(inputs.primitives::<Int32Type>(2)?) } else { None };
    let bytes = bytes_of(inputs, texts.array) / 2;
    if let (Some(regex), constant) =
        (&regexes.constant, groups.as_ref().map_or(Some(Some(0)), |g| g.constant()))
        && let Some(constant) = constant
    {
        let Some(wanted) = constant.and_then(|group| usize::try_from(group).ok()) else {
            return Ok(slices(inputs.rows, 0, |_| None));
        };
        let mut places = regex.capture_locations();
        let mut builder = StringBuilder::with_capacity(inputs.rows, bytes);
        for row in 0..inputs.rows {
            builder.append_option(texts.get(row).and_then(|text| group(regex, &mut places, text, wanted)));
        }
        return Ok(Arc::new(builder.finish()));
    }
    let mut builder = StringBuilder::with_capacity(inputs.rows, bytes);
    for row in 0..inputs.rows {
        let wanted = match &groups {
            Some(groups) => groups.get(row).and_then(|group| usize::try_from(group).ok()),
            None => Some(0),
        };
        match (texts.get(row), regexes.get(row)?, wanted) {
            (Some(text), Some(regex), Some(wanted)) => {
                builder.append_option(group(&regex, &mut regex.capture_locations(), text, wanted));
            }
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn extract_all(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let groups = if inputs.len() == 3 { Some(inputs.primitives::<Int32Type>(2)?) } else { None };
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..inputs.rows {
        let wanted = match &groups {
            Some(groups) => groups.get(row).and_then(|group| usize::try_from(group).ok()),
            None => Some(1),
        };
        match (texts.get(row), regexes.get(row)?, wanted) {
            (Some(text), Some(regex), Some(wanted)) if wanted < regex.captures_len() => {
                let mut places = regex.capture_locations();
                for found in matches(&regex, text) {
                    regex.captures_read_at(&mut places, text, found.start());
                    lists.values().append_option(places.get(wanted).map(|(start, end)| &text[start..end]));
                }
                lists.append(true);
            }
            _ => lists.append_null(),
        }
    }
    Ok(Arc::new(lists.finish()))
}

fn replace(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes, replacements) = (inputs.texts(0)?, Regexes::new(inputs, 1)?, inputs.texts(2)?);
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let (Some(text), Some(regex), Some(replacement)) =
            (texts.get(row), regexes.get(row)?, replacements.get(row))
        else {
            return Ok(false);
        };
        let mut last = 0;
        for found in matches(&regex, text) {
            out.push_str(&text[last..found.start()]);
            out.push_str(replacement);
            last = found.end();
        }
        out.push_str(&text[last..]);
        Ok(true)
    })
}

fn integers(inputs: &Inputs<'_>, f: impl Fn(&Regex, &str) -> i32) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let mut numbers = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        numbers.push(match (texts.get(row), regexes.get(row)?) {
            (Some(text), Some(regex)) => Some(f(&regex, text)),
            _ => None,
        });
    }
    Ok(Arc::new(Int32Array::from(numbers)))
}

fn count(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    integers(inputs, |regex, text| matches(regex, text).count() as i32)
}

fn instr(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    integers(inputs, |regex, text| {
        regex.find(text).map_or(0, |found| text[..found.start()].encode_utf16().count() as i32 + 1)
    })
}

fn substr(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let mut builder = StringBuilder::with_capacity(inputs.rows, bytes_of(inputs, texts.array) / 2);
    for row in 0..inputs.rows {
        match (texts.get(row), regexes.get(row)?) {
            (Some(text), Some(regex)) => builder.append_option(regex.find(text).map(|found| found.as_str())),
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
