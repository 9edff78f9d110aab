//! `${NAME}` and `${NAME:-default}` in SQL text.

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

    /// `text` with each `${..}` replaced. A name without value and default is an error that says where it stands.
    /// A default may itself hold variables, and quotes and braces that balance.
    pub fn substitute(&self, text: &str) -> Result<String, String> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            result.push_str(&rest[..start]);
            let body = &rest[start + 2..];
            let Some(end) = closing_brace(body) else {
                let line = line_of(text, text.len() - rest.len() + start);
                return Err(format!("line {line}: '${{' without '}}'"));
            };
            let (name, default) = match body[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&body[..end], None),
            };
            match (self.0.get(name), default) {
                (Some(value), _) => result.push_str(value),
                (None, Some(default)) => result.push_str(&self.substitute(default)?),
                (None, None) => {
                    let line = line_of(text, text.len() - rest.len() + start);
                    return Err(format!(
                        "line {line}: ${{{name}}} has no value: give it with -D {name}=VALUE"
                    ));
                }
            }
            rest = &body[end + 1..];
        }
        result.push_str(rest);
        Ok(result)
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
    fn what_is_missing_is_named_with_its_line() {
        assert_eq!(
            substitute("a\n${NOPE}").unwrap_err(),
            "line 2: ${NOPE} has no value: give it with -D NOPE=VALUE"
        );
        assert_eq!(substitute("${DATA").unwrap_err(), "line 1: '${' without '}'");
        assert!(Variables::from_definitions(&["=x".into()]).is_err());
        assert!(Variables::from_definitions(&["x".into()]).is_err());
    }
}
