//! `${NAME}` and `${NAME:-default}` in SQL text, and `$${` for `${` itself.

use std::collections::BTreeMap;

/// The values given with `-D NAME=VALUE`.
#[derive(Debug, Default, Clone)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// From `NAME=VALUE` texts; a text without `=` or with an empty name is an error.
    pub fn from_definitions(definitions: &[String]) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for definition in definitions {
            match definition.split_once('=') {
                Some((name, value)) if is_name(name) => values.insert(name.to_string(), value.to_string()),
                _ => return Err(format!("'-D {definition}': expected NAME=VALUE")),
            };
        }
        Ok(Variables(values))
    }

    /// `text` with each `${..}` replaced, but for those in comments; `$${` stands for `${`. A name without value and
    /// default is an error that says where it stands. A default may itself hold variables, and quotes and braces that
    /// balance.
    pub fn substitute(&self, text: &str) -> Result<String, String> {
        self.substitute_in(text, &mut Place::Sql)
    }

    /// As [`substitute`](Self::substitute), for text that begins at `place`, which moves on to where it ends.
    fn substitute_in(&self, text: &str, place: &mut Place) -> Result<String, String> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if rest.starts_with("$${") && !place.is_comment() {
                result.push_str("${");
                rest = &rest[3..];
            } else if rest.starts_with("${") && !place.is_comment() {
                let body = &rest[2..];
                let line = || line_of(text, text.len() - rest.len());
                let Some(end) = closing_brace(body) else {
                    return Err(format!("line {}: '${{' without '}}'", line()));
                };
                let (name, default) = match body[..end].split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (&body[..end], None),
                };
                match (self.0.get(name), default) {
                    (Some(value), _) => result.push_str(value),
                    (None, Some(default)) => result.push_str(&self.substitute_in(default, place)?),
                    (None, None) => {
                        return Err(format!(
                            "line {}: ${{{name}}} has no value: give it with -D {name}=VALUE, or write $${{{name}}} for \
                             the text itself",
                            line()
                        ));
                    }
                }
                rest = &body[end + 1..];
            } else {
                let length = place.step(rest, letter);
                result.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
        Ok(result)
    }
}

/// What a place in a script belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Sql,
    /// in single quotes or backticks
    Quoted(char),
    LineComment,
    BlockComment,
}

impl Place {
    fn is_comment(self) -> bool {
        matches!(self, Place::LineComment | Place::BlockComment)
    }

    /// Moves over what `rest` begins with, `letter` or a mark of two, and gives its length. A hint is no comment.
    fn step(&mut self, rest: &str, letter: char) -> usize {
        let (next, length) = match *self {
            Place::Sql if rest.starts_with("--") => (Place::LineComment, 2),
            Place::Sql if rest.starts_with("/*") && !rest.starts_with("/*+") => (Place::BlockComment, 2),
            Place::Sql if matches!(letter, '\'' | '`') => (Place::Quoted(letter), 1),
            Place::Quoted(quote) if quote == letter => (Place::Sql, 1),
            Place::LineComment if letter == '\n' => (Place::Sql, 1),
            Place::BlockComment if rest.starts_with("*/") => (Place::Sql, 2),
            same => (same, letter.len_utf8()),
        };
        *self = next;
        length
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '-')
}

/// The place of the `}` that closes a body, past those that the body opens itself.
fn closing_brace(body: &str) -> Option<usize> {
    let mut open = 0;
    for (place, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(place),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn line_of(text: &str, place: usize) -> usize {
    text[..place].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substitute(text: &str) -> Result<String, String> {
        Variables::from_definitions(&["DATA=dir".into(), "S=a=b".into()]).unwrap().substitute(text)
    }

    #[test]
    fn values_and_defaults() {
        assert_eq!(substitute("'${DATA}/bid' ${S}").unwrap(), "'dir/bid' a=b");
        assert_eq!(
            substitute("WITH (${SINK:-'connector' = 'blackhole'})").unwrap(),
            "WITH ('connector' = 'blackhole')"
        );
        assert_eq!(substitute("${A:-${B:-x}y}").unwrap(), "xy");
        assert_eq!(substitute("no $ {variables}").unwrap(), "no $ {variables}");
        assert_eq!(substitute("${A:-}").unwrap(), "");
    }

    #[test]
    fn comments_are_left_alone_and_hints_are_not() {
        for text in ["-- don't ${NOPE}\n1", "/* ${NOPE\n */ '--' -- ${", "`--` /* ' */ -- ${NOPE}"] {
            assert_eq!(substitute(text).unwrap(), text);
        }
        assert_eq!(substitute("'--' ${S} -- '\n${S}").unwrap(), "'--' a=b -- '\na=b");
        assert_eq!(substitute("/*+ OPTIONS('path'='${DATA}') */").unwrap(), "/*+ OPTIONS('path'='dir') */");
        assert_eq!(substitute("'${A:-/* x}' ${S}").unwrap(), "'/* x' a=b");
    }

    #[test]
    fn two_dollars_stand_for_one() {
        assert_eq!(substitute("'$${DATA} ${DATA} $$ $$$'").unwrap(), "'${DATA} dir $$ $$$'");
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        assert_eq!(
            substitute("a\n${NOPE}").unwrap_err(),
            "line 2: ${NOPE} has no value: give it with -D NOPE=VALUE, or write $${NOPE} for the text itself"
        );
        assert_eq!(substitute("${DATA").unwrap_err(), "line 1: '${' without '}'");
        assert!(Variables::from_definitions(&["=x".into()]).is_err());
        assert!(Variables::from_definitions(&["x".into()]).is_err());
    }
}
