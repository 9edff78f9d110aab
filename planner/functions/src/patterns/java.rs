//! Java's regular expressions in the syntax of the `regex` crate.
//!
//! What is written alike but means something else is rewritten: `\d`, `\w`, `\s` and `\b` know ASCII only, `.` stops at
//! every line terminator, `\Q..\E` quotes. What the crate cannot do (look-around, back references, possessive
//! quantifiers) is refused.

use datafusion_common::{Result, exec_err};
use regex::Regex;

/// Compiles a regular expression of Java. Errors: it is malformed, or uses what is not supported.
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
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_u32;
    let mut dot_all = false;
    while let Some(character) = rest.next() {
        match character {
            '\\' => escape(&mut rest, &mut out, depth > 0)?,
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
                group_start(&mut rest, &mut out, &mut dot_all)?;
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
fn group_start(rest: &mut Rest<'_>, out: &mut String, dot_all: &mut bool) -> Result<(), &'static str> {
    out.extend(rest.next());
    let mut ahead = rest.clone();
    match (ahead.next(), ahead.next()) {
        (Some('=' | '!'), _) => return Err("look-ahead"),
        (Some('<'), Some('=' | '!')) => return Err("look-behind"),
        (Some('>'), _) => return Err("atomic groups"),
        _ => {}
    }
    // Flags: `d` and `u` are no flags of the crate, and change nothing that is not said otherwise.
    while let Some(flag) = rest.next_if(|flag| flag.is_ascii_alphabetic() || *flag == '-') {
        match flag {
            's' => {
                *dot_all = true;
                out.push('s');
            }
            'd' | 'u' | 'U' => return Err("the flags d, u and U"),
            flag => out.push(flag),
        }
    }
    Ok(())
}

/// Behind a backslash.
fn escape(rest: &mut Rest<'_>, out: &mut String, in_class: bool) -> Result<(), &'static str> {
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
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        'B' if !in_class => out.push_str(r"(?-u:\B)"),
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
        let cases: [(&str, &str, bool); 12] = [
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
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(compile_java(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        for pattern in ["(?=a)", "(?<!a)b", r"(a)\1", "a*+", "(?>a)", "(", "*"] {
            assert!(compile_java(pattern).is_err(), "{pattern}");
        }
    }
}
