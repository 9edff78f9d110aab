//! Paths into JSON documents: `lax $.a[0]`, `strict $['b'][*]`. Without a mode a path is strict, as in Flink.

use super::document::Json;
use super::filter::Filter;
use datafusion_common::{Result, exec_err};

#[derive(Debug)]
pub(super) struct JsonPath {
    pub lax: bool,
    steps: Vec<Step>,
    /// one value at most: no wildcard, slice, list or descent
    definite: bool,
}

#[derive(Debug)]
pub(super) enum Step {
    Members(Vec<String>),
    Indexes(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    Wildcard,
    /// `..`: here and in everything below
    Descend,
    /// `[?(..)]`: the elements of an array for which it holds, or an object for which it does
    Filter(Filter),
    /// The same behind `..`: what has come is what it is asked about.
    FilterHere(Filter),
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found<'d, 'a> {
    One(&'d Json<'a>),
    Many(Vec<&'d Json<'a>>),
    /// nothing, or JSON's null, in lax mode
    Nothing,
    /// the same in strict mode, where it is an error
    Missing,
}

impl JsonPath {
    pub fn parse(text: &str) -> Result<JsonPath> {
        let trimmed = text.trim();
        let mode = trimmed.split_whitespace().next().unwrap_or("");
        let (lax, path) = match mode {
            _ if mode.eq_ignore_ascii_case("lax") => (true, trimmed[3..].trim_start()),
            _ if mode.eq_ignore_ascii_case("strict") => (false, trimmed[6..].trim_start()),
            _ => (false, trimmed),
        };
        let Some(steps) = path.strip_prefix('$').and_then(|rest| Steps { rest, ends: PATH_ENDS }.all())
        else {
            return exec_err!(
                "'{text}' is not a JSON path that is supported: use $, .name, ['name'], [index], [from:to], [*], .*, .. and \
                 [?(condition)] of comparisons, =~, !, && and ||"
            );
        };
        let definite = is_definite(&steps);
        Ok(JsonPath { lax, steps, definite })
    }

    /// Where the path leads in a document; in what is no JSON, or is `null`, it leads nowhere.
    pub fn find_in<'d, 'a>(&self, document: Option<&'d Json<'a>>) -> Found<'d, 'a> {
        match document {
            None if self.lax => Found::Nothing,
            None | Some(Json::Null) => Found::Missing,
            Some(document) => self.find(document),
        }
    }

    fn find<'d, 'a>(&self, document: &'d Json<'a>) -> Found<'d, 'a> {
        let mut current = vec![document];
        for (place, step) in self.steps.iter().enumerate() {
            if matches!(step, Step::Filter(_))
                && current.iter().all(|value| value.is_scalar())
                && is_definite(&self.steps[..place])
            {
                return if self.lax { Found::Nothing } else { Found::Missing };
            }
            let mut next = vec![];
            for value in current {
                step.apply(value, document, &mut next);
            }
            current = next;
        }
        match (self.definite, current.first()) {
            (false, _) => Found::Many(current),
            (true, Some(value)) if *value != &Json::Null => Found::One(value),
            // JSON's null is not there either, as in Flink.
            (true, _) if self.lax => Found::Nothing,
            (true, _) => Found::Missing,
        }
    }
}

/// True if a path of these steps leads to one value at most.
pub(super) fn is_definite(steps: &[Step]) -> bool {
    steps.iter().all(|step| match step {
        Step::Members(names) => names.len() == 1,
        Step::Indexes(indexes) => indexes.len() == 1,
        _ => false,
    })
}

impl Step {
    /// Appends to `next` where the step leads from `value`, which lies in `root`.
    pub fn apply<'d, 'a>(&self, value: &'d Json<'a>, root: &'d Json<'a>, next: &mut Vec<&'d Json<'a>>) {
        match (self, value) {
            (Step::Members(names), _) => next.extend(names.iter().filter_map(|name| value.member(name))),
            (Step::Indexes(indexes), Json::Array(elements)) => {
                let place = |index: &i64| match *index < 0 {
                    true => elements.len().checked_sub(index.unsigned_abs() as usize),
                    false => usize::try_from(*index).ok(),
                };
                next.extend(indexes.iter().filter_map(place).filter_map(|place| elements.get(place)));
            }
            (Step::Slice(start, end), Json::Array(elements)) => {
                let length = elements.len() as i64;
                let place = |index: i64| (if index < 0 { index + length } else { index }).clamp(0, length);
                let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(length)));
                if start < end {
                    next.extend(&elements[start as usize..end as usize]);
                }
            }
            (Step::Wildcard, Json::Array(elements)) => next.extend(elements),
            (Step::Wildcard, Json::Object(members)) => next.extend(members.iter().map(|(_, value)| value)),
            (Step::Descend, value) => {
                next.push(value);
                match value {
                    Json::Array(elements) => {
                        elements.iter().for_each(|element| self.apply(element, root, next))
                    }
                    Json::Object(members) => {
                        members.iter().for_each(|(_, value)| self.apply(value, root, next))
                    }
                    _ => {}
                }
            }
            (Step::Filter(filter), Json::Array(elements)) => {
                next.extend(elements.iter().filter(|element| filter.holds(element, root)));
            }
            (Step::Filter(filter), Json::Object(_)) | (Step::FilterHere(filter), _)
                if filter.holds(value, root) =>
            {
                next.push(value);
            }
            _ => {}
        }
    }
}

/// What a name without quotes ends at.
const PATH_ENDS: &[char] = &['.', '[', ' ', '(', ')', ']'];
pub(super) const FILTER_ENDS: &[char] = &['.', '[', ' ', '(', ')', ']', '=', '!', '<', '>', '&', '|', '~'];

/// Reads steps off the front of a text.
pub(super) struct Steps<'a> {
    pub rest: &'a str,
    pub ends: &'static [char],
}

impl Steps<'_> {
    /// `None`: something else than steps follows.
    fn all(mut self) -> Option<Vec<Step>> {
        let steps = self.leading()?;
        self.rest.is_empty().then_some(steps)
    }

    /// The steps up to what is none.
    pub fn leading(&mut self) -> Option<Vec<Step>> {
        let mut steps = vec![];
        loop {
            if let Some(rest) = self.rest.strip_prefix("..") {
                steps.push(Step::Descend);
                self.rest = rest;
                let step = if rest.starts_with('[') { self.bracket()? } else { self.name()? };
                steps.push(match step {
                    Step::Filter(filter) => Step::FilterHere(filter),
                    step => step,
                });
            } else if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                steps.push(self.name()?);
            } else if self.rest.starts_with('[') {
                steps.push(self.bracket()?);
            } else {
                return Some(steps);
            }
        }
    }

    fn name(&mut self) -> Option<Step> {
        if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            return Some(Step::Wildcard);
        }
        let end = self.rest.find(self.ends).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| Step::Members(vec![name.to_string()]))
    }

    fn bracket(&mut self) -> Option<Step> {
        self.rest = self.rest.strip_prefix('[')?.trim_start();
        let step = match self.rest.chars().next()? {
            '*' => {
                self.rest = &self.rest[1..];
                Step::Wildcard
            }
            '?' => {
                let (filter, rest) = Filter::parse(&self.rest[1..])?;
                self.rest = rest;
                Step::Filter(filter)
            }
            '\'' | '"' => Step::Members(self.list(Self::quoted)?),
            _ => {
                let end = self.rest.find(']')?;
                let inside = &self.rest[..end];
                match inside.split_once(':') {
                    Some((start, stop)) => {
                        self.rest = &self.rest[end..];
                        let bound = |text: &str| match text.trim() {
                            "" => Some(None),
                            digits => digits.parse().ok().map(Some),
                        };
                        Step::Slice(bound(start)?, bound(stop)?)
                    }
                    None => Step::Indexes(self.list(Self::index)?),
                }
            }
        };
        self.rest = self.rest.trim_start().strip_prefix(']')?;
        Some(step)
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = vec![one(self)?];
        while let Some(rest) = self.rest.trim_start().strip_prefix(',') {
            self.rest = rest.trim_start();
            items.push(one(self)?);
        }
        Some(items)
    }

    fn index(&mut self) -> Option<i64> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().ok()
    }

    pub fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let mut name = String::new();
        let mut characters = self.rest[1..].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '\\' => name.push(characters.next()?.1),
                _ if character == quote => {
                    self.rest = &self.rest[place + 2..];
                    return Some(name);
                }
                _ => name.push(character),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> String {
        let document = Json::parse(r#"{"a":{"b":[1,2,{"c":3}]},"d e":null,"f":"x"}"#).unwrap();
        match JsonPath::parse(path).unwrap().find(&document) {
            Found::One(value) => {
                let mut text = String::new();
                value.write(&mut text);
                text
            }
            Found::Many(values) => format!("{} values", values.len()),
            Found::Nothing => "nothing".into(),
            Found::Missing => "missing".into(),
        }
    }

    #[test]
    fn paths_lead_where_they_say() {
        let cases = [
            ("$.a.b[0]", "1"),
            ("strict $.a.b[-1].c", "3"),
            ("$['a']['b'][1]", "2"),
            ("$.a.b[*]", "3 values"),
            ("$.a.b[0,2]", "2 values"),
            ("$.a.b[1:]", "2 values"),
            ("$..c", "1 values"),
            ("$['d e']", "missing"),
            ("lax $['d e']", "nothing"),
            ("lax $.x", "nothing"),
            ("$.x", "missing"),
            ("$.f.g", "missing"),
            ("$.a[0]", "missing"),
            ("$.a.b[?(@ > 1)]", "1 values"),
            ("$.f[?(@ == 'x')]", "missing"),
            ("$.a[?(@.b)]", "1 values"),
        ];
        for (path, expected) in cases {
            assert_eq!(found(path), expected, "{path}");
        }
        for path in ["a", "$.", "$[", "$['a", "$[?@.a]", "$[?(@.a = 1)]", "$[?(@.a", "$.a b", ""] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
