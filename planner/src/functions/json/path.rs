//! Paths into JSON documents: `lax $.a[0]`, `strict $['b'][*]`. Without a mode a path is strict, as in Flink.

use super::document::Json;
use datafusion_common::{Result, exec_err};

#[derive(Debug)]
pub(super) struct JsonPath {
    pub lax: bool,
    steps: Vec<Step>,
    /// one value at most: no wildcard, slice, list or descent
    definite: bool,
}

#[derive(Debug)]
enum Step {
    Members(Vec<String>),
    Indexes(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    Wildcard,
    /// `..`: here and in everything below
    Descend,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found<'d, 'a> {
    One(&'d Json<'a>),
    Many(Vec<&'d Json<'a>>),
    /// nothing, or JSON's null
    Nothing,
    /// an error in strict mode
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
        let Some(steps) = path.strip_prefix('$').and_then(|rest| Steps(rest).all()) else {
            return exec_err!(
                "'{text}' is not a JSON path that is supported: use $, .name, ['name'], [index], [from:to], [*], .* and .."
            );
        };
        let single = |step: &Step| match step {
            Step::Members(names) => names.len() == 1,
            Step::Indexes(indexes) => indexes.len() == 1,
            _ => false,
        };
        let definite = steps.iter().all(single);
        Ok(JsonPath { lax, steps, definite })
    }

    pub fn find<'d, 'a>(&self, document: &'d Json<'a>) -> Found<'d, 'a> {
        let mut current = vec![document];
        for step in &self.steps {
            let mut next = vec![];
            for value in current {
                step.apply(value, &mut next);
            }
            current = next;
        }
        match (self.definite, current.first()) {
            (false, _) => Found::Many(current),
            (true, Some(Json::Null)) => Found::Nothing,
            (true, Some(value)) => Found::One(value),
            (true, None) if self.lax => Found::Nothing,
            (true, None) => Found::Missing,
        }
    }
}

impl Step {
    fn apply<'d, 'a>(&self, value: &'d Json<'a>, next: &mut Vec<&'d Json<'a>>) {
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
                    Json::Array(elements) => elements.iter().for_each(|element| self.apply(element, next)),
                    Json::Object(members) => members.iter().for_each(|(_, value)| self.apply(value, next)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

struct Steps<'a>(&'a str);

impl Steps<'_> {
    fn all(mut self) -> Option<Vec<Step>> {
        let mut steps = vec![];
        while !self.0.is_empty() {
            if let Some(rest) = self.0.strip_prefix("..") {
                steps.push(Step::Descend);
                self.0 = rest;
                match rest.starts_with('[') {
                    true => steps.push(self.bracket()?),
                    false => steps.push(self.name()?),
                }
            } else if let Some(rest) = self.0.strip_prefix('.') {
                self.0 = rest;
                steps.push(self.name()?);
            } else {
                steps.push(self.bracket()?);
            }
        }
        Some(steps)
    }

    fn name(&mut self) -> Option<Step> {
        if let Some(rest) = self.0.strip_prefix('*') {
            self.0 = rest;
            return Some(Step::Wildcard);
        }
        let end = self.0.find(['.', '[', ' ', '(', ')', ']']).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        (!name.is_empty()).then(|| Step::Members(vec![name.to_string()]))
    }

    fn bracket(&mut self) -> Option<Step> {
        self.0 = self.0.strip_prefix('[')?.trim_start();
        let step = match self.0.chars().next()? {
            '*' => {
                self.0 = &self.0[1..];
                Step::Wildcard
            }
            '\'' | '"' => Step::Members(self.list(Self::quoted)?),
            _ => {
                let end = self.0.find(']')?;
                let inside = &self.0[..end];
                match inside.split_once(':') {
                    Some((start, stop)) => {
                        self.0 = &self.0[end..];
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
        self.0 = self.0.trim_start().strip_prefix(']')?;
        Some(step)
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = vec![one(self)?];
        while let Some(rest) = self.0.trim_start().strip_prefix(',') {
            self.0 = rest.trim_start();
            items.push(one(self)?);
        }
        Some(items)
    }

    fn index(&mut self) -> Option<i64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits.parse().ok()
    }

    fn quoted(&mut self) -> Option<String> {
        let quote = self.0.chars().next()?;
        let mut name = String::new();
        let mut characters = self.0[1..].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '\\' => name.push(characters.next()?.1),
                _ if character == quote => {
                    self.0 = &self.0[place + 2..];
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
            ("$['d e']", "nothing"),
            ("lax $.x", "nothing"),
            ("$.x", "missing"),
            ("$.f.g", "missing"),
            ("$.a[0]", "missing"),
        ];
        for (path, expected) in cases {
            assert_eq!(found(path), expected, "{path}");
        }
        for path in ["a", "$.", "$[", "$['a", "$[?(@.a)]", "$.a b", ""] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
