//! Reading and checking the options of a format.

use std::collections::BTreeMap;
use weir_types::OptionError;

/// One option of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// without the format's name in front
    pub key: &'static str,
    /// empty: none
    pub default: &'static str,
    pub description: &'static str,
}

pub(crate) const fn option(
    key: &'static str,
    default: &'static str,
    description: &'static str,
) -> OptionSpec {
    OptionSpec { key, default, description }
}

/// The options of one format in a table's `WITH` clause, all of them known.
pub(crate) struct FormatOptions<'a> {
    prefix: String,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> FormatOptions<'a> {
    /// Takes what stands in `options` under `prefix` (`json.`); refuses keys that are not in `known`.
    pub(crate) fn of(
        format: &str,
        prefix: &str,
        known: &[OptionSpec],
        options: &'a BTreeMap<String, String>,
    ) -> Result<Self, OptionError> {
        let mut values = BTreeMap::new();
        for (full_key, value) in options {
            let Some(key) = full_key.strip_prefix(prefix) else { continue };
            if !known.iter().any(|option| option.key == key) {
                return Err(unknown(format, prefix, full_key, key, known));
            }
            values.insert(key, value.as_str());
        }
        Ok(FormatOptions { prefix: prefix.to_string(), values })
    }

    fn wrong(&self, key: &str, message: impl std::fmt::Display) -> OptionError {
        let option = format!("{}{key}", self.prefix);
        OptionError { message: format!("option '{option}' {message}"), option: Some(option) }
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).copied()
    }

    pub(crate) fn boolean(&self, key: &str, default: bool) -> Result<bool, OptionError> {
        match self.text(key) {
            None => Ok(default),
            Some(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(self.wrong(key, format_args!("is '{text}', it must be 'true' or 'false'"))),
        }
    }

    /// One of `choices`, compared without case; the first is the default.
    pub(crate) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, OptionError> {
        let Some(text) = self.text(key) else { return Ok(choices[0].1) };
        match choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| format!("'{name}'")).collect();
                Err(self.wrong(key, format_args!("is '{text}', it must be one of {}", names.join(", "))))
            }
        }
    }

    /// One ASCII character.
    pub(crate) fn character(&self, key: &str) -> Result<Option<u8>, OptionError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match *unescape(text).as_bytes() {
            [byte] if byte.is_ascii() && byte != b'\n' && byte != b'\r' => Ok(Some(byte)),
            _ => Err(self.wrong(key, format_args!("is '{text}', it must be one ASCII character"))),
        }
    }

    /// Refuses `key` for a reason that the format knows.
    pub(crate) fn refuse(&self, key: &str, reason: &str) -> OptionError {
        self.wrong(key, reason)
    }
}

/// Java's escapes, which Flink allows in delimiters: `\t`, `\\`, `\u0001`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match rest.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                    Some(letter) => out.push(letter),
                    None => return text.to_string(),
                }
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

fn unknown(format: &str, prefix: &str, full_key: &str, key: &str, known: &[OptionSpec]) -> OptionError {
    let advice = match weir_types::nearest(key, known.iter().map(|option| option.key)) {
        Some(nearest) => format!("did you mean '{prefix}{nearest}'?"),
        None if known.is_empty() => "it has none".to_string(),
        None => {
            let keys: Vec<_> = known.iter().map(|option| format!("'{prefix}{}'", option.key)).collect();
            format!("known are {}", keys.join(", "))
        }
    };
    OptionError {
        option: Some(full_key.to_string()),
        message: format!("unknown option '{full_key}' for format '{format}', {advice}"),
    }
}
