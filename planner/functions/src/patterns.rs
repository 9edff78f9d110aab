//! LIKE, SIMILAR TO and regular expressions.

mod java;
mod like;

use super::arguments::Inputs;
use super::definition::{Function, Parameter as P, Returns as R, Typing, call};
use super::strings::{bytes_of, written};
use arrow::array::{ArrayRef, BooleanArray, Int32Array, ListBuilder, StringBuilder};
use arrow::datatypes::Int32Type;
use datafusion_common::{Result, exec_err};
use java::{Groups, JavaRegex};
use std::ops::Range;
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

/// The regular expression of each row, compiled when it changes. One that is malformed is NULL.
struct Regexes<'a> {
    patterns: super::arguments::Texts<'a>,
    /// of all rows
    constant: Option<Arc<Option<JavaRegex>>>,
    last: Option<(&'a str, Arc<Option<JavaRegex>>)>,
}

impl<'a> Regexes<'a> {
    fn new(inputs: &Inputs<'a>, index: usize) -> Result<Self> {
        let patterns = inputs.texts(index)?;
        let constant = match patterns.constant() {
            Some(Some(pattern)) => Some(inputs.cache.get_or_compile(pattern, JavaRegex::new)?),
            _ => None,
        };
        Ok(Regexes { patterns, constant, last: None })
    }

    fn get(&mut self, row: usize) -> Result<Option<&JavaRegex>> {
        if let Some(regex) = &self.constant {
            return Ok(regex.as_ref().as_ref());
        }
        let Some(pattern) = self.patterns.get(row) else { return Ok(None) };
        if self.last.as_ref().is_none_or(|(known, _)| *known != pattern) {
            self.last = Some((pattern, Arc::new(JavaRegex::new(pattern)?)));
        }
        Ok(self.last.as_ref().and_then(|(_, regex)| regex.as_ref().as_ref()))
    }
}

/// The match at `from` or behind it, and where to look for the next one, as Java does: an empty match may follow right
/// behind another.
fn next_match(regex: &JavaRegex, text: &str, from: usize) -> Result<Option<(Range<usize>, Option<usize>)>> {
    let Some(found) = regex.find_at(text, from)? else { return Ok(None) };
    let next = match found.is_empty() {
        false => Some(found.end),
        true => text[found.end..].chars().next().map(|character| found.end + character.len_utf8()),
    };
    Ok(Some((found, next)))
}

/// Calls `f` with each match.
fn for_each_match(
    regex: &JavaRegex,
    text: &str,
    mut f: impl FnMut(Range<usize>) -> Result<()>,
) -> Result<()> {
    let mut from = Some(0);
    while let Some(place) = from {
        let Some((found, next)) = next_match(regex, text, place)? else { break };
        f(found)?;
        from = next;
    }
    Ok(())
}

fn regexp(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let mut matches = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        let null = regexes.patterns.get(row).is_none();
        matches.push(match (texts.get(row), regexes.get(row)?) {
            // An empty pattern matches nothing.
            (Some(text), Some(regex)) => Some(!regex.as_str().is_empty() && regex.is_match(text)?),
            // Nor does one that is malformed.
            (Some(_), None) if !null => Some(false),
            _ => None,
        });
    }
    Ok(Arc::new(BooleanArray::from(matches)))
}

/// The part of the text that a group of the first match has; `None` without match or group.
fn group<'a>(regex: &JavaRegex, groups: &mut Groups, text: &'a str, group: usize) -> Result<Option<&'a str>> {
    let found = match group {
        0 => regex.find_at(text, 0)?,
        _ if regex.groups_at(text, 0, groups)? => groups.get(group),
        _ => None,
    };
    Ok(found.map(|found| &text[found]))
}

fn extract(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let wanted = if inputs.len() == 3 { Some(inputs.primitives::<Int32Type>(2)?) } else { None };
    let bytes = bytes_of(inputs, texts.array) / 2;
    let constant = regexes.constant.clone();
    // Room for groups is kept from row to row where the expression is the same.
    let mut room = constant.as_ref().and_then(|regex| regex.as_ref().as_ref().map(JavaRegex::groups));
    let mut builder = StringBuilder::with_capacity(inputs.rows, bytes);
    for row in 0..inputs.rows {
        let wanted = match &wanted {
            Some(groups) => groups.get(row).and_then(|group| usize::try_from(group).ok()),
            None => Some(0),
        };
        match (texts.get(row), regexes.get(row)?, wanted) {
            (Some(text), Some(regex), Some(wanted)) => {
                let found = match &mut room {
                    Some(room) => group(regex, room, text, wanted)?,
                    None => group(regex, &mut regex.groups(), text, wanted)?,
                };
                builder.append_option(found);
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
            (Some(text), Some(regex), Some(wanted)) if wanted < regex.groups_len() => {
                let mut places = regex.groups();
                for_each_match(regex, text, |found| {
                    regex.groups_at(text, found.start, &mut places)?;
                    lists.values().append_option(places.get(wanted).map(|part| &text[part]));
                    Ok(())
                })?;
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
        let pattern = regexes.patterns.get(row);
        let (Some(text), Some(pattern), Some(replacement)) = (texts.get(row), pattern, replacements.get(row))
        else {
            return Ok(false);
        };
        // Flink's result is NULL, in a column that is NOT NULL.
        let Some(regex) = regexes.get(row)? else {
            return exec_err!("REGEXP_REPLACE: '{pattern}' is not a regular expression");
        };
        let mut last = 0;
        for_each_match(regex, text, |found| {
            out.push_str(&text[last..found.start]);
            out.push_str(replacement);
            last = found.end;
            Ok(())
        })?;
        out.push_str(&text[last..]);
        Ok(true)
    })
}

fn integers(inputs: &Inputs<'_>, f: impl Fn(&JavaRegex, &str) -> Result<i32>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let mut numbers = Vec::with_capacity(inputs.rows);
    for row in 0..inputs.rows {
        numbers.push(match (texts.get(row), regexes.get(row)?) {
            (Some(text), Some(regex)) => Some(f(regex, text)?),
            _ => None,
        });
    }
    Ok(Arc::new(Int32Array::from(numbers)))
}

fn count(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    integers(inputs, |regex, text| {
        let mut count = 0;
        for_each_match(regex, text, |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    })
}

fn instr(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    integers(inputs, |regex, text| {
        let found = regex.find_at(text, 0)?;
        Ok(found.map_or(0, |found| text[..found.start].encode_utf16().count() as i32 + 1))
    })
}

fn substr(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, mut regexes) = (inputs.texts(0)?, Regexes::new(inputs, 1)?);
    let mut builder = StringBuilder::with_capacity(inputs.rows, bytes_of(inputs, texts.array) / 2);
    for row in 0..inputs.rows {
        match (texts.get(row), regexes.get(row)?) {
            (Some(text), Some(regex)) => {
                builder.append_option(regex.find_at(text, 0)?.map(|found| &text[found]));
            }
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
