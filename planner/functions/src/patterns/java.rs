//! Java's regular expressions in the syntax of the `regex` crate.
//!
//! What is written alike but means something else is rewritten: `\d`, `\w` and `\s` know ASCII only, `.` stops at every
//! line terminator, `\Q..\E` quotes. What the crate cannot do (look-around, back references, possessive
//! quantifiers and rarer things) is left to `backtrack`.

use super::backtrack::{Backtracking, Fault, Places, RunAway};
use datafusion_common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use regex::{CaptureLocations, Regex};
use std::ops::Range;

/// Compiles a regular expression of Java for the `regex` crate. Errors: it is malformed, or uses what that cannot do.
pub(in super::super) fn compile_java(pattern: &str) -> Result<Regex> {
    let translated = match translate(pattern) {
        Ok(translated) => translated,
        Err(feature) => {
            return exec_err!("the regular expression '{pattern}' uses {feature}, which is not supported");
        }
    };
    match Regex::new(&translated) {
        Ok(regex) => Ok(regex),
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or("").trim_start_matches("error: ");
            exec_err!("'{pattern}' is not a regular expression: {reason}")
        }
    }
}

/// A regular expression of Java.
#[derive(Debug)]
pub(super) struct JavaRegex {
    pattern: String,
    /// in linear time, where there is such a form
    plain: Option<Regex>,
    /// Where there is no plain one, and where that would be wrong for a text that ends with a line terminator: `$` stands
    /// before that one, too.
    exact: Option<Backtracking>,
}

/// Where the groups of a match are.
#[derive(Debug)]
pub(super) struct Groups {
    plain: Option<CaptureLocations>,
    exact: Places,
    is_plain: bool,
}

impl Groups {
    /// The bytes of a group; `None` if it has none, or is none.
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        let place = match (&self.plain, self.is_plain) {
            (Some(places), true) => places.get(group),
            _ => self.exact.get(group),
        };
        place.map(|(start, end)| start..end)
    }
}

impl JavaRegex {
    /// `None`: Java would not take the pattern, which makes the results of Flink's functions NULL. Errors: it uses what is
    /// not supported.
    pub fn new(pattern: &str) -> Result<Option<JavaRegex>> {
        let plain = translate(pattern).ok().and_then(|translated| Regex::new(&translated).ok());
        let ends_lines = pattern.contains('$');
        let exact = match plain.is_some() && !ends_lines {
            true => None,
            false => match Backtracking::new(pattern) {
                Ok(exact) => Some(exact),
                Err(_) if plain.is_some() => None,
                Err(Fault::Malformed(_)) => return Ok(None),
                Err(Fault::Unsupported(feature)) => {
                    return exec_err!(
                        "the regular expression '{pattern}' uses {feature}, which is not supported"
                    );
                }
            },
        };
        Ok(Some(JavaRegex { pattern: pattern.to_string(), plain, exact }))
    }

    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Groups, that of the whole match among them.
    pub fn groups_len(&self) -> usize {
        match (&self.plain, &self.exact) {
            (Some(plain), _) => plain.captures_len(),
            (None, exact) => exact.as_ref().map_or(1, Backtracking::groups),
        }
    }

    /// Room for the groups of matches.
    pub fn groups(&self) -> Groups {
        let plain = self.plain.as_ref().map(Regex::capture_locations);
        Groups { plain, exact: Places::default(), is_plain: false }
    }

    /// The plain form, if it is right for `text`.
    fn plain_for(&self, text: &str) -> Option<&Regex> {
        let ends_line = |text: &str| text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
        self.plain.as_ref().filter(|_| self.exact.is_none() || !ends_line(text))
    }

    /// The first match that starts at byte `from` or behind it. Errors: there are too many ways to match.
    pub fn find_at(&self, text: &str, from: usize) -> Result<Option<Range<usize>>> {
        if let Some(plain) = self.plain_for(text) {
            return Ok(plain.find_at(text, from).map(|found| found.range()));
        }
        let mut places = Places::default();
        let found = self.exact_at(text, from, &mut places)?;
        Ok(if found { places.get(0).map(|(start, end)| start..end) } else { None })
    }

    pub fn is_match(&self, text: &str) -> Result<bool> {
        match self.plain_for(text) {
            Some(plain) => Ok(plain.is_match(text)),
            None => self.exact_at(text, 0, &mut Places::default()),
        }
    }

    /// As [`JavaRegex::find_at`], with the groups of the match.
    pub fn groups_at(&self, text: &str, from: usize, groups: &mut Groups) -> Result<bool> {
        if let (Some(plain), Some(places)) = (self.plain_for(text), &mut groups.plain) {
            groups.is_plain = true;
            return Ok(plain.captures_read_at(places, text, from).is_some());
        }
        groups.is_plain = false;
        self.exact_at(text, from, &mut groups.exact)
    }

    fn exact_at(&self, text: &str, from: usize, places: &mut Places) -> Result<bool> {
        let Some(exact) = &self.exact else { return Ok(false) };
        exact.find_at(text, from, places).map_err(|RunAway| self.ran_away(text))
    }

    fn ran_away(&self, text: &str) -> DataFusionError {
        exec_datafusion_err!(
            "the regular expression '{}' has too many ways to match a text of {} characters: nested repetitions \
             multiply, make the inner ones possessive",
            self.pattern,
            text.chars().count()
        )
    }
}

/// Classes by the names that Java gives them in `\p{..}`, as ASCII ranges.
pub(super) fn posix_class(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "a-zA-Z",
        "Digit" => "0-9",
        "Alnum" => "a-zA-Z0-9",
        "Punct" => r"!-/:-@\[-`{-~",
        "Graph" => "!-~",
        "Print" => " -~",
        "Blank" => r" \t",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9a-fA-F",
        "Space" => r" \t\n\x0B\f\r",
        _ => return None,
    })
}

fn shorthand(letter: char) -> Option<(&'static str, bool)> {
    Some(match letter {
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        'w' => ("a-zA-Z0-9_", false),
        'W' => ("a-zA-Z0-9_", true),
        's' => (r" \t\n\x0B\f\r", false),
        'S' => (r" \t\n\x0B\f\r", true),
        'h' => (r" \t\xA0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000", false),
        'v' => (r"\n\x0B\f\r\x85\u2028\u2029", false),
        _ => return None,
    })
}

/// The pattern translated, or the name of what cannot be.
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_u32;
    let mut dot_all = false;
    while let Some(character) = rest.next() {
        match character {
            '\\' => escape(&mut rest, &mut out)?,
            '[' => {
                depth += 1;
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // The first bracket of a class may stand for itself.
                if rest.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' if depth > 0 => {
                depth -= 1;
                out.push(']');
            }
            // Operators of classes that Java does not have.
            '-' | '~' if depth > 0 && rest.peek() == Some(&character) => {
                out.push('\\');
                out.push(character);
            }
            '(' if depth == 0 && rest.peek() == Some(&'?') => {
                out.push('(');
                group_start(&mut rest, &mut out, &mut dot_all, pattern.is_ascii())?;
            }
            '.' if depth == 0 && !dot_all => out.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            '*' | '+' | '?' | '}' if depth == 0 => {
                out.push(character);
                if rest.peek() == Some(&'+') {
                    return Err("possessive quantifiers");
                }
            }
            _ => out.push(character),
        }
    }
    Ok(out)
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Behind `(`: at the question mark.
fn group_start(
    rest: &mut Rest<'_>,
    out: &mut String,
    dot_all: &mut bool,
    is_ascii: bool,
) -> Result<(), &'static str> {
    out.extend(rest.next());
    let mut ahead = rest.clone();
    match (ahead.next(), ahead.next()) {
        (Some('=' | '!'), _) => return Err("look-ahead"),
        (Some('<'), Some('=' | '!')) => return Err("look-behind"),
        (Some('>'), _) => return Err("atomic groups"),
        _ => {}
    }
    // Flags: lines of the crate end at \n only, and its cases are those of Unicode.
    while let Some(flag) = rest.next_if(|flag| flag.is_ascii_alphabetic() || *flag == '-') {
        match flag {
            's' => {
                *dot_all = true;
                out.push('s');
            }
            'd' | 'u' | 'U' | 'm' => return Err("the flags d, m, u and U"),
            'i' if !is_ascii => return Err("the flag i with letters beyond ASCII"),
            flag => out.push(flag),
        }
    }
    Ok(())
}

/// Behind a backslash.
fn escape(rest: &mut Rest<'_>, out: &mut String) -> Result<(), &'static str> {
    let Some(letter) = rest.next() else { return Err("a backslash at its end") };
    if let Some((class, negated)) = shorthand(letter) {
        let open = if negated { "[^" } else { "[" };
        out.push_str(open);
        out.push_str(class);
        out.push(']');
        return Ok(());
    }
    match letter {
        'Q' => {
            let mut quoted = String::new();
            while let Some(character) = rest.next() {
                if character == '\\' && rest.peek() == Some(&'E') {
                    rest.next();
                    break;
                }
                quoted.push(character);
            }
            out.push_str(&regex::escape(&quoted));
        }
        'E' => {}
        'Z' => return Err(r"\Z"),
        'G' => return Err(r"\G"),
        'R' => out.push_str(r"(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])"),
        'e' => out.push_str(r"\x1B"),
        '0' => return Err("octal escapes"),
        '1'..='9' | 'k' => return Err("back references"),
        'p' | 'P' => property(rest, out, letter == 'P'),
        _ => {
            out.push('\\');
            out.push(letter);
        }
    }
    Ok(())
}

/// Behind `\p` or `\P`.
fn property(rest: &mut Rest<'_>, out: &mut String, negated: bool) {
    let mut name = String::new();
    if rest.next_if_eq(&'{').is_some() {
        name.extend(std::iter::from_fn(|| rest.next_if(|character| *character != '}')));
        rest.next();
    } else {
        name.extend(rest.next());
    }
    match posix_class(&name) {
        Some(class) => {
            out.push_str(if negated { "[^" } else { "[" });
            out.push_str(class);
            out.push(']');
        }
        None => {
            let name = name.strip_prefix("Is").or(name.strip_prefix("In")).unwrap_or(&name);
            out.push_str(if negated { r"\P{" } else { r"\p{" });
            out.push_str(name);
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_what_java_means() {
        let cases: [(&str, &str, bool); 13] = [
            (r"^\d+$", "123", true),
            (r"^\d+$", "١٢٣", false),
            (r"^\w$", "é", false),
            (r"[\d.]+x", "1.5x", true),
            (r"[^\d]", "5", false),
            (r"\Qa.b\E", "axb", false),
            (r"\Qa.b\E", "a.b", true),
            ("a.c", "a\rc", false),
            ("(?s)a.c", "a\rc", true),
            (r"\p{Alpha}\p{Punct}", "a!", true),
            (r"[]a]+", "]", true),
            (r"\bfoo\b", "a foo b", true),
            (r"\bfoo\b", "éfoo", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(compile_java(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn an_end_of_line_may_stand_before_the_last_terminator() {
        let regex = JavaRegex::new("(b+)$").unwrap().unwrap();
        let mut groups = regex.groups();
        for (text, expected) in
            [("abb", Some(1..3)), ("abb\n", Some(1..3)), ("abb\n\n", None), ("b\r\n", Some(0..1))]
        {
            assert_eq!(regex.find_at(text, 0).unwrap(), expected, "{text:?}");
            assert_eq!(regex.groups_at(text, 0, &mut groups).unwrap(), expected.is_some());
            assert_eq!(expected.is_some(), regex.is_match(text).unwrap());
            if expected.is_some() {
                assert_eq!(groups.get(1), expected);
            }
        }
        assert_eq!(regex.groups_len(), 2);
    }

    #[test]
    fn what_is_not_plain_is_searched_for_by_backtracking() {
        let regex = JavaRegex::new(r"(\w)\1(?!\1)").unwrap().unwrap();
        assert!(regex.plain.is_none());
        assert_eq!(regex.find_at("aaabb", 0).unwrap(), Some(1..3));
        assert_eq!(regex.find_at("aaabb", 3).unwrap(), Some(3..5));
        assert!(JavaRegex::new("a(").unwrap().is_none());
        assert!(JavaRegex::new("(?U)a").is_err());
        let hopeless = JavaRegex::new(r"(?=a)(a+)+\1b").unwrap().unwrap();
        let error = hopeless.is_match(&"a".repeat(40)).unwrap_err().to_string();
        assert!(error.contains("too many ways"), "{error}");
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        for pattern in ["(?=a)", "(?<!a)b", r"(a)\1", "a*+", "(?>a)", "(", "*"] {
            assert!(compile_java(pattern).is_err(), "{pattern}");
        }
    }
}
