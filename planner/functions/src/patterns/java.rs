//! Java's regular expressions in the syntax of the `regex` crate, and of `fancy-regex`, which backtracks.
//!
//! What is written alike but means something else is rewritten: `\d`, `\w` and `\s` know ASCII only, `.` stops at every
//! line terminator, `\Q..\E` quotes. What cannot be done in linear time (look-around, back references, possessive
//! quantifiers) is left to the second one, and so is `$` where a text ends with a line terminator.

use datafusion_common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use fancy_regex::{CompileError, Error as Fault, RegexBuilder, RuntimeError};
use regex::{CaptureLocations, Regex};
use std::ops::Range;

/// Steps back that one search may take: a fraction of a second. Alternatives may multiply with each character.
const MOST_STEPS: usize = 10_000_000;

/// Compiles a regular expression of Java for the `regex` crate. Errors: it is malformed, or uses what that cannot do.
pub(in super::super) fn compile_java(pattern: &str) -> Result<Regex> {
    let translated = match translate(pattern, Form::Linear) {
        Ok(translated) => translated,
        Err(feature) => return Err(unsupported(pattern, feature)),
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

fn unsupported(pattern: &str, feature: &str) -> DataFusionError {
    exec_datafusion_err!("the regular expression '{pattern}' uses {feature}, which is not supported")
}

/// A regular expression of Java.
#[derive(Debug)]
pub(super) struct JavaRegex {
    pattern: String,
    /// in linear time, where there is such a form
    plain: Option<Regex>,
    /// Where there is no plain one, and where that would be wrong for a text that ends with a line terminator: `$` stands
    /// before that one, too.
    exact: Option<fancy_regex::Regex>,
}

/// Where the groups of a match are.
#[derive(Debug)]
pub(super) struct Groups {
    plain: Option<CaptureLocations>,
    exact: Vec<Option<Range<usize>>>,
    is_plain: bool,
}

impl Groups {
    /// The bytes of a group; `None` if it has none, or is none.
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        match (&self.plain, self.is_plain) {
            (Some(places), true) => places.get(group).map(|(start, end)| start..end),
            _ => self.exact.get(group).cloned().flatten(),
        }
    }
}

impl JavaRegex {
    /// `None`: Java would not take the pattern, which makes the results of Flink's functions NULL. Errors: it uses what is
    /// not supported.
    pub fn new(pattern: &str) -> Result<Option<JavaRegex>> {
        let plain = match translate(pattern, Form::Linear).map(|linear| Regex::new(&linear)) {
            Ok(Ok(plain)) => Some(plain),
            Ok(Err(regex::Error::Syntax(_))) => return Ok(None),
            Ok(Err(error)) => return exec_err!("the regular expression '{pattern}' is too large: {error}"),
            Err(_) => None,
        };
        let exact = match plain.is_some() && !pattern.contains('$') {
            true => None,
            false => match backtracking(pattern) {
                Ok(None) if plain.is_none() => return Ok(None),
                Err(error) if plain.is_none() => return Err(error),
                exact => exact.ok().flatten(),
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
            (None, exact) => exact.as_ref().map_or(1, fancy_regex::Regex::captures_len),
        }
    }

    /// Room for the groups of matches.
    pub fn groups(&self) -> Groups {
        let plain = self.plain.as_ref().map(Regex::capture_locations);
        Groups { plain, exact: Vec::new(), is_plain: false }
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
        let Some(exact) = &self.exact else { return Ok(None) };
        let found = exact.find_from_pos(text, from).map_err(|fault| self.failed(text, &fault))?;
        Ok(found.map(|found| found.range()))
    }

    pub fn is_match(&self, text: &str) -> Result<bool> {
        match self.plain_for(text) {
            Some(plain) => Ok(plain.is_match(text)),
            None => Ok(self.find_at(text, 0)?.is_some()),
        }
    }

    /// As [`JavaRegex::find_at`], with the groups of the match.
    pub fn groups_at(&self, text: &str, from: usize, groups: &mut Groups) -> Result<bool> {
        if let (Some(plain), Some(places)) = (self.plain_for(text), &mut groups.plain) {
            groups.is_plain = true;
            return Ok(plain.captures_read_at(places, text, from).is_some());
        }
        groups.is_plain = false;
        groups.exact.clear();
        let Some(exact) = &self.exact else { return Ok(false) };
        let found = exact.captures_from_pos(text, from).map_err(|fault| self.failed(text, &fault))?;
        let Some(found) = found else { return Ok(false) };
        groups.exact.extend(found.iter().map(|group| group.map(|group| group.range())));
        Ok(true)
    }

    fn failed(&self, text: &str, fault: &Fault) -> DataFusionError {
        match fault {
            Fault::RuntimeError(RuntimeError::BacktrackLimitExceeded | RuntimeError::StackOverflow) => {
                self.ran_away(text)
            }
            fault => exec_datafusion_err!("the regular expression '{}': {fault}", self.pattern),
        }
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

/// The form that backtracks; `None` if Java would not take the pattern.
fn backtracking(pattern: &str) -> Result<Option<fancy_regex::Regex>> {
    let translated = match translate(pattern, Form::Backtracking) {
        Ok(translated) => translated,
        Err(feature) => return Err(unsupported(pattern, feature)),
    };
    match RegexBuilder::new(&translated).backtrack_limit(MOST_STEPS).build() {
        Ok(regex) => Ok(Some(regex)),
        Err(Fault::CompileError(error)) if matches!(*error, CompileError::LookBehindNotConst) => {
            Err(unsupported(pattern, "look-behind of varying length"))
        }
        Err(_) => Ok(None),
    }
}

/// What a pattern is translated for.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// the `regex` crate
    Linear,
    /// `fancy-regex`
    Backtracking,
}

impl Form {
    /// Whether it can do what the other cannot.
    fn backtracks(self, feature: &'static str) -> Result<(), &'static str> {
        if self == Form::Backtracking { Ok(()) } else { Err(feature) }
    }
}

/// Flags as far as they change what is written. Java ends them with their group; here they hold from where they stand.
#[derive(Default)]
struct Flags {
    dot_all: bool,
    lines: bool,
    /// letters of ASCII alone are of any case
    ascii_case: bool,
}

/// `$` at the end, and before a line terminator that is the last thing in the text.
const END: &str = r"(?:\z|(?<!\r)(?=\n\z)|(?=(?:\r\n|[\r\x{85}\x{2028}\x{2029}])\z))";
/// `$` at the end of each line.
const LINE_END: &str = r"(?:\z|(?<!\r)(?=\n)|(?=[\r\x{85}\x{2028}\x{2029}]))";
/// `^` at the start of each line, of which one that nothing follows is none.
const LINE_START: &str = r"(?:\A|(?<=[\n\x{85}\x{2028}\x{2029}])|(?<=\r)(?!\n))(?!\z)";

/// Classes by the names that Java gives them in `\p{..}`, as ASCII ranges.
fn posix_class(name: &str) -> Option<&'static str> {
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
fn translate(pattern: &str, form: Form) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_u32;
    let mut flags = Flags::default();
    while let Some(character) = rest.next() {
        match character {
            '\\' => escape(&mut rest, &mut out, form)?,
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
                group_start(&mut rest, &mut out, &mut flags, form)?;
            }
            '.' if depth == 0 && !flags.dot_all => out.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            '^' if depth == 0 && flags.lines => out.push_str(LINE_START),
            '$' if depth == 0 && flags.lines => out.push_str(LINE_END),
            '$' if depth == 0 && form == Form::Backtracking => out.push_str(END),
            '*' | '+' | '?' | '}' if depth == 0 => {
                out.push(character);
                if rest.peek() == Some(&'+') {
                    form.backtracks("possessive quantifiers")?;
                    if character == '}' {
                        return Err("a possessive quantifier with counts");
                    }
                }
            }
            _ if flags.ascii_case && character.is_alphabetic() && !character.is_ascii() => {
                if depth > 0 {
                    return Err("the flag i with classes of letters beyond ASCII");
                }
                form.backtracks("the flag i with letters beyond ASCII")?;
                out.extend(["(?-i:", character.encode_utf8(&mut [0; 4]), ")"]);
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
    flags: &mut Flags,
    form: Form,
) -> Result<(), &'static str> {
    out.extend(rest.next());
    let mut ahead = rest.clone();
    match (ahead.next(), ahead.next()) {
        (Some('=' | '!'), _) => return form.backtracks("look-ahead"),
        (Some('<'), Some('=' | '!')) => return form.backtracks("look-behind"),
        (Some('>'), _) => return form.backtracks("atomic groups"),
        (Some('(' | '&' | 'R' | '|' | 'P'), _) => return Err("a group that Java does not have"),
        _ => {}
    }
    let written: String =
        std::iter::from_fn(|| rest.next_if(|flag| flag.is_ascii_alphabetic() || *flag == '-')).collect();
    let on = written.split('-').next().unwrap_or("");
    match written.chars().find(|flag| matches!(flag, 'd' | 'U')) {
        Some('d') => return Err("the flag d"),
        Some(_) => return Err("the flag U"),
        None => {}
    }
    if on.contains('m') {
        form.backtracks("the flag m")?;
        flags.lines = true;
    }
    flags.dot_all |= on.contains('s');
    flags.ascii_case |= on.contains('i') && !on.contains('u');
    // The crates' letters of any case are those of Unicode.
    let kept: String = written.chars().filter(|flag| !matches!(flag, 'u' | 'm')).collect();
    match kept.trim_end_matches('-') {
        // Flags that are none to the crates leave an empty group behind.
        "" if rest.peek() == Some(&')') => out.push(':'),
        kept => out.push_str(kept),
    }
    Ok(())
}

/// Behind a backslash.
fn escape(rest: &mut Rest<'_>, out: &mut String, form: Form) -> Result<(), &'static str> {
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
        'Z' => {
            form.backtracks(r"\Z")?;
            out.push_str(END);
        }
        'G' => {
            form.backtracks(r"\G")?;
            out.push_str(r"\G");
        }
        'R' => out.push_str(r"(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])"),
        'e' => out.push_str(r"\x1B"),
        '0' => octal(rest, out)?,
        '1'..='9' => {
            form.backtracks("back references")?;
            out.push('\\');
            out.push(letter);
        }
        'k' => {
            form.backtracks("back references")?;
            out.push_str(r"\k");
        }
        'K' | 'g' | 'y' | 'c' | 'O' | 'X' | 'H' | 'N' => return Err("an escape that is not supported"),
        'p' | 'P' => property(rest, out, letter == 'P')?,
        _ => {
            out.push('\\');
            out.push(letter);
        }
    }
    Ok(())
}

/// Behind `\0`: one to three octal digits, up to 377.
fn octal(rest: &mut Rest<'_>, out: &mut String) -> Result<(), &'static str> {
    let (mut value, mut digits) = (0_u32, 0);
    while let Some(digit) = rest.peek().and_then(|character| character.to_digit(8)) {
        if digits == 3 || value * 8 + digit > 0o377 {
            break;
        }
        (value, digits) = (value * 8 + digit, digits + 1);
        rest.next();
    }
    if digits == 0 {
        return Err("an octal escape without digits");
    }
    out.push_str(&format!(r"\x{{{value:x}}}"));
    Ok(())
}

/// Behind `\p` or `\P`.
fn property(rest: &mut Rest<'_>, out: &mut String, negated: bool) -> Result<(), &'static str> {
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
            let name = match name.as_str() {
                "javaLowerCase" => "Lowercase",
                "javaUpperCase" => "Uppercase",
                "javaAlphabetic" => "Alphabetic",
                "javaLetter" => "L",
                "javaDigit" => "Nd",
                name => name.strip_prefix("Is").unwrap_or(name),
            };
            let class = format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' });
            if Regex::new(&class).is_err() {
                return Err("a class of characters that is not known here");
            }
            out.push_str(&class);
        }
    }
    Ok(())
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

    fn found(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
        let regex = JavaRegex::new(pattern).unwrap().unwrap_or_else(|| panic!("{pattern} is malformed"));
        let mut groups = regex.groups();
        regex.groups_at(text, 0, &mut groups).unwrap().then(|| {
            (0..regex.groups_len())
                .map(|group| groups.get(group).map(|part| text[part].to_string()))
                .collect()
        })
    }

    #[test]
    fn finds_what_java_finds() {
        let cases: [(&str, &str, Option<&str>); 43] = [
            ("foo(?=bar)", "foobaz foobar", Some("foo")),
            ("foo(?!bar)", "foobar foobaz", Some("foo")),
            ("(?<=a)b", "b ab", Some("b")),
            ("(?<!a)b", "ab cb", Some("b")),
            ("(?<=a{1,3})b", "aaab", Some("b")),
            (r"(a+)b\1", "aabaa", Some("aabaa")),
            (r"(?<x>a|b)\k<x>", "abb", Some("bb")),
            ("a++a", "aaa", None),
            ("a*+b", "aaab", Some("aaab")),
            ("(?>a|ab)c", "abc", None),
            ("(?>ab|a)c", "abc", Some("abc")),
            ("a{2}", "aaa", Some("aa")),
            ("(a|ab)(c|bcd)", "abcd", Some("abcd")),
            ("(a*)*b", "aaab", Some("aaab")),
            ("(a|b)*?c", "abc", Some("abc")),
            ("x*", "aaa", Some("")),
            ("[a-z&&[^aeiou]]+", "aeibcd", Some("bcd")),
            ("[^a&&[ab]]", "ab", Some("b")),
            ("[a-c[x-z]]+", "dxaz", Some("xaz")),
            ("[]a]+", "b]a", Some("]a")),
            (r"\Qa.b\E+", "xa.bbb", Some("a.bbb")),
            ("(?i)ABC(?-i)d", "abcd", Some("abcd")),
            ("(?i:a)b", "Ab", Some("Ab")),
            ("(?i)é", "É", None),
            ("(?iu)é", "É", Some("É")),
            ("a.c", "a\nc", None),
            ("(?s)a.c", "a\nc", Some("a\nc")),
            ("(?m)^b$", "a\r\nb\r\nc", Some("b")),
            ("a$", "a\n", Some("a")),
            (r"a\z", "a\n", None),
            (r"a\Z", "a\n", Some("a")),
            (r"\Ab", "ab", None),
            (r"\d{3}(?=\D|$)", "12345", Some("345")),
            (r"\p{Lu}\p{javaLowerCase}+", "aBcd", Some("Bcd")),
            (r"[\w&&[^\d_]]+", "1a_b", Some("a")),
            (r"\x41\u0042\x{43}", "ABC", Some("ABC")),
            (r"\0101", "A", Some("A")),
            ("(?x) a b # c\n c", "abc", Some("abc")),
            (r"(a)?b\1", "b", None),
            ("(?=(a+))a*b\\1", "baaabac", Some("aba")),
            ("a??b", "ab", Some("ab")),
            ("(?<!^)b", "bb", Some("b")),
            ("😀(?=é)", "é😀é", Some("😀")),
        ];
        for (pattern, text, expected) in cases {
            let whole = found(pattern, text).and_then(|groups| groups[0].clone());
            assert_eq!(whole.as_deref(), expected, "{pattern} in {text:?}");
        }
    }

    #[test]
    fn groups_keep_what_they_matched_last() {
        let groups = |pattern, text| found(pattern, text).unwrap();
        let some = |text: &str| Some(text.to_string());
        assert_eq!(groups("(a)|(b)(?=c)", "bc"), [some("b"), None, some("b")]);
        assert_eq!(groups("(?:(a)|b)*+", "ab"), [some("ab"), some("a")]);
        assert_eq!(groups("(?!(a))b", "b"), [some("b"), None]);
        assert_eq!(groups("(?=(a))(?:ab|ac)", "ac"), [some("ac"), some("a")]);
    }

    #[test]
    fn what_java_refuses_is_no_pattern() {
        for pattern in ["(", ")", "*", "[a", "[z-a]", "a{2,1}", r"\k<x>"] {
            assert!(JavaRegex::new(pattern).unwrap().is_none(), "{pattern}");
        }
        for pattern in ["(?U)a", "a{2,3}+a", "(?i)[é]", "(?(1)a|b)"] {
            assert!(JavaRegex::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_plain_is_searched_for_by_backtracking() {
        let regex = JavaRegex::new(r"(\w)\1(?!\1)").unwrap().unwrap();
        assert!(regex.plain.is_none());
        assert_eq!(regex.find_at("aaabb", 0).unwrap(), Some(1..3));
        assert_eq!(regex.find_at("aaabb", 3).unwrap(), Some(3..5));
        assert!(JavaRegex::new("a(").unwrap().is_none());
        assert!(JavaRegex::new("(?U)a").is_err());
        let hopeless = JavaRegex::new(r"^(?:(a|a)\1?)*$").unwrap().unwrap();
        let error = hopeless.is_match(&("a".repeat(60) + "b")).unwrap_err().to_string();
        assert!(error.contains("too many ways"), "{error}");
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        for pattern in ["(?=a)", "(?<!a)b", r"(a)\1", "a*+", "(?>a)", "(", "*"] {
            assert!(compile_java(pattern).is_err(), "{pattern}");
        }
    }
}
