//! Conditions in JSON paths: `[?(@.price > 10 && !(@.isbn == null))]`. They compare as Jayway's JsonPath does, which is
//! what Flink asks.

use super::super::patterns::compile_java;
use super::document::{Json, java_order, write_number};
use super::path::{FILTER_ENDS, Step, Steps, is_definite};
use regex::Regex;
use std::cmp::Ordering;
use weir_types::text::parse::java_double;

#[derive(Debug)]
pub(super) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Not(Box<Filter>),
    /// there is a value at the path
    Exists(Operand),
    Compare(Operand, Comparison, Operand),
    /// the whole text of the operand is of the pattern
    Matches(Operand, Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    /// `===`: of one type and equal
    SameEqual,
    /// `!==`
    SameNotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Longer ones before those that they begin with.
const COMPARISONS: [(&str, Comparison); 8] = [
    ("===", Comparison::SameEqual),
    ("!==", Comparison::SameNotEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessEqual),
    (">=", Comparison::GreaterEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

#[derive(Debug)]
pub(super) enum Operand {
    /// from `$`, or from what the condition is asked about
    Path {
        from_root: bool,
        steps: Vec<Step>,
    },
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
}

/// A value to compare.
enum Value<'v> {
    Undefined,
    Null,
    Boolean(bool),
    Number(&'v str),
    Text(&'v str),
    /// an array or an object
    Collection(&'v Json<'v>),
    /// what a path with several ends leads to
    Many,
}

impl Filter {
    /// A condition in parentheses at the front of `text`, and what follows it.
    pub fn parse(text: &str) -> Option<(Filter, &str)> {
        let mut reader = Reader { rest: text.trim_start() };
        reader.rest.starts_with('(').then_some(())?;
        let filter = reader.primary()?;
        Some((filter, reader.rest))
    }

    pub fn holds(&self, here: &Json<'_>, root: &Json<'_>) -> bool {
        match self {
            Filter::Any(filters) => filters.iter().any(|filter| filter.holds(here, root)),
            Filter::All(filters) => filters.iter().all(|filter| filter.holds(here, root)),
            Filter::Not(filter) => !filter.holds(here, root),
            Filter::Exists(operand) => !matches!(operand.value(here, root), Value::Undefined),
            Filter::Compare(left, comparison, right) => {
                compare(&left.value(here, root), *comparison, &right.value(here, root))
            }
            Filter::Matches(operand, pattern) => {
                let text = operand.value(here, root).text();
                pattern.find(&text).is_some_and(|found| found.len() == text.len())
            }
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, here: &'v Json<'v>, root: &'v Json<'v>) -> Value<'v> {
        match self {
            Operand::Null => Value::Null,
            Operand::Boolean(value) => Value::Boolean(*value),
            Operand::Number(digits) => Value::Number(digits),
            Operand::Text(text) => Value::Text(text),
            Operand::Path { from_root, steps } => {
                let mut current = vec![if *from_root { root } else { here }];
                for step in steps {
                    let mut next = vec![];
                    current.into_iter().for_each(|value| step.apply(value, root, &mut next));
                    current = next;
                }
                match (is_definite(steps), current.first()) {
                    (false, _) => Value::Many,
                    (true, None) => Value::Undefined,
                    (true, Some(value)) => Value::of(value),
                }
            }
        }
    }
}

impl<'v> Value<'v> {
    fn of(value: &'v Json<'v>) -> Value<'v> {
        match value {
            Json::Null => Value::Null,
            Json::Boolean(value) => Value::Boolean(*value),
            Json::Number(digits) => Value::Number(digits),
            Json::Text(text) => Value::Text(text),
            Json::Array(_) | Json::Object(_) => Value::Collection(value),
        }
    }

    /// What a pattern is matched with.
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.to_string(),
            Value::Number(digits) => number_text(digits),
            Value::Boolean(value) => value.to_string(),
            _ => String::new(),
        }
    }
}

fn number_text(digits: &str) -> String {
    let mut text = String::new();
    write_number(digits, &mut text);
    text
}

fn order_of_numbers(left: &str, right: &str) -> Option<Ordering> {
    match (left.parse::<i128>(), right.parse::<i128>()) {
        (Ok(left), Ok(right)) => Some(left.cmp(&right)),
        _ => java_double(left)?.partial_cmp(&java_double(right)?),
    }
}

/// A number and a text are equal if the number of the one, or the text of the other, is: the left side decides which.
fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        (Value::Number(left), Value::Number(right)) | (Value::Number(left), Value::Text(right)) => {
            order_of_numbers(left, right) == Some(Ordering::Equal)
        }
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::Text(left), Value::Number(right)) => *left == number_text(right),
        (Value::Collection(left), Value::Collection(right)) => left == right,
        _ => false,
    }
}

fn compare(left: &Value<'_>, comparison: Comparison, right: &Value<'_>) -> bool {
    let same_type = || std::mem::discriminant(left) == std::mem::discriminant(right);
    let order = || match (left, right) {
        (Value::Number(left), Value::Number(right)) => order_of_numbers(left, right),
        (Value::Text(left), Value::Text(right)) => Some(java_order(left, right)),
        _ => None,
    };
    match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::NotEqual => !equal(left, right),
        Comparison::SameEqual => same_type() && equal(left, right),
        Comparison::SameNotEqual => !(same_type() && equal(left, right)),
        Comparison::Less => order().is_some_and(Ordering::is_lt),
        Comparison::LessEqual => order().is_some_and(Ordering::is_le),
        Comparison::Greater => order().is_some_and(Ordering::is_gt),
        Comparison::GreaterEqual => order().is_some_and(Ordering::is_ge),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest.trim_start().strip_prefix(token);
        if let Some(rest) = found {
            self.rest = rest;
        }
        found.is_some()
    }

    fn any(&mut self) -> Option<Filter> {
        let mut filters = vec![self.all()?];
        while self.take("||") {
            filters.push(self.all()?);
        }
        Some(if filters.len() == 1 { filters.remove(0) } else { Filter::Any(filters) })
    }

    fn all(&mut self) -> Option<Filter> {
        let mut filters = vec![self.primary()?];
        while self.take("&&") {
            filters.push(self.primary()?);
        }
        Some(if filters.len() == 1 { filters.remove(0) } else { Filter::All(filters) })
    }

    fn primary(&mut self) -> Option<Filter> {
        if self.take("!") {
            return Some(Filter::Not(Box::new(self.primary()?)));
        }
        if self.take("(") {
            let inside = self.any()?;
            return self.take(")").then_some(inside);
        }
        let left = self.operand()?;
        if self.take("=~") {
            let pattern = self.pattern()?;
            return Some(Filter::Matches(left, pattern));
        }
        match COMPARISONS.iter().find(|(token, _)| self.take(token)) {
            Some((_, comparison)) => Some(Filter::Compare(left, *comparison, self.operand()?)),
            None => matches!(left, Operand::Path { .. }).then_some(Filter::Exists(left)),
        }
    }

    fn operand(&mut self) -> Option<Operand> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        if let '@' | '$' = first {
            let mut steps = Steps { rest: &self.rest[1..], ends: FILTER_ENDS };
            let path = steps.leading()?;
            self.rest = steps.rest;
            return Some(Operand::Path { from_root: first == '$', steps: path });
        }
        if let '\'' | '"' = first {
            let mut steps = Steps { rest: self.rest, ends: FILTER_ENDS };
            let text = steps.quoted()?;
            self.rest = steps.rest;
            return Some(Operand::Text(text));
        }
        let words =
            [("null", Operand::Null), ("true", Operand::Boolean(true)), ("false", Operand::Boolean(false))];
        for (word, operand) in words {
            if self.take(word) {
                return Some(operand);
            }
        }
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'e' | 'E'));
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        java_double(digits)?;
        self.rest = rest;
        Some(Operand::Number(digits.to_string()))
    }

    /// `/regular expression/flags`
    fn pattern(&mut self) -> Option<Regex> {
        let text = self.rest.trim_start().strip_prefix('/')?;
        let mut escaped = false;
        let end = text.find(|character: char| {
            let ends = character == '/' && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        })?;
        let (pattern, rest) = (&text[..end], &text[end + 1..]);
        let flags = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (flags, rest) = rest.split_at(flags);
        if !flags.chars().all(|flag| matches!(flag, 'i' | 's' | 'm')) {
            return None;
        }
        let flags = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
        self.rest = rest;
        // The whole text has to match, whichever branch of an alternative does.
        compile_java(&format!("{flags}^(?:{pattern})$")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of `array` for which `condition` holds, as Flink answered.
    fn kept(array: &str, condition: &str) -> String {
        let document = Json::parse(array).unwrap();
        let (filter, rest) = Filter::parse(condition).unwrap_or_else(|| panic!("{condition}"));
        assert_eq!(rest, "", "{condition}");
        let Json::Array(elements) = &document else { panic!("an array") };
        let mut text = String::new();
        for element in elements.iter().filter(|element| filter.holds(element, &document)) {
            element.write(&mut text);
        }
        text
    }

    #[test]
    fn conditions_hold_as_in_flink() {
        let mixed = r#"[{"b":1},{"b":"5"},{"c":1}]"#;
        assert_eq!(kept(mixed, "(@.b == 5)"), r#"{"b":"5"}"#);
        assert_eq!(kept(mixed, "(@.b == '1')"), r#"{"b":1}"#);
        assert_eq!(kept(mixed, "('1' == @.b)"), r#"{"b":1}"#);
        assert_eq!(kept(mixed, "(@.b != 7)"), r#"{"b":1}{"b":"5"}{"c":1}"#);
        assert_eq!(kept(mixed, "(@.b > 0)"), r#"{"b":1}"#);
        assert_eq!(kept(mixed, "(@.b)"), r#"{"b":1}{"b":"5"}"#);
        assert_eq!(kept(mixed, "(@.b === 1)"), r#"{"b":1}"#);
        let numbers = "[1,2,3,-4,1.0]";
        assert_eq!(kept(numbers, "(@ >= 2 && @ < 4)"), "23");
        assert_eq!(kept(numbers, "(@ == 1 || @ == 3)"), "131.0");
        assert_eq!(kept(numbers, "(!(@ > 1))"), "1-41.0");
        assert_eq!(kept(numbers, "((@ > 1 && @<3)||@==-4)"), "2-4");
        assert_eq!(kept(numbers, "(@ > 1.5)"), "23");
        assert_eq!(kept(numbers, "(@ == $[1])"), "2");
        let others = r#"[{"b":null},{"b":true},{"b c":2},[3,4],{}]"#;
        assert_eq!(kept(others, "(@.b == null)"), r#"{"b":null}"#);
        assert_eq!(kept(others, "(@.b == true)"), r#"{"b":true}"#);
        assert_eq!(kept(others, "(@['b c']==2)"), r#"{"b c":2}"#);
        assert_eq!(kept(others, "(@[0]==3)"), "[3,4]");
        let texts = r#"["abc","Abd","xabcx"]"#;
        assert_eq!(kept(texts, "(@ =~ /a.*/i)"), r#""abc""Abd""#);
        assert_eq!(kept(texts, "(@ =~ /abc|abcx/)"), r#""abc""#);
        assert_eq!(kept(texts, "(@ > 'Abd')"), r#""abc""xabcx""#);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "@.b == 1",
            "(@.b = 1)",
            "(@.b <> 1)",
            "(@.b == 1 or @.b == 2)",
            "(5)",
            "(@.b == )",
            "(@.b =~ abc)",
        ] {
            assert!(Filter::parse(text).is_none_or(|(_, rest)| !rest.is_empty()), "{text}");
        }
    }
}
