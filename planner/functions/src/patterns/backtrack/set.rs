//! Classes of characters.

use super::Fault;
use regex::Regex;

/// What upper and lower case mean to a match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fold {
    Exact,
    /// `(?i)`: letters from A to Z
    Ascii,
    /// `(?iu)`
    Unicode,
}

impl Fold {
    pub fn equal(self, a: char, b: char) -> bool {
        match self {
            Fold::Exact => a == b,
            Fold::Ascii => a.eq_ignore_ascii_case(&b),
            Fold::Unicode => a == b || lower(a) == lower(b),
        }
    }
}

/// A character in lower case, where that is one character.
fn lower(character: char) -> char {
    let one = |mut characters: std::char::ToLowercase| match (characters.next(), characters.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    };
    let upper = {
        let mut characters = character.to_uppercase();
        match (characters.next(), characters.next()) {
            (Some(only), None) => only,
            _ => character,
        }
    };
    one(upper.to_lowercase()).unwrap_or(upper)
}

/// Characters that any of the items has and all of the other sets have; with `negated` all but those.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub items: Vec<Item>,
    /// behind `&&`
    pub others: Vec<Set>,
    pub negated: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Item {
    /// both ends among them
    Range(char, char),
    Set(Set),
    /// matches texts of one character
    Property(Regex),
}

impl Set {
    pub fn of(items: Vec<Item>, negated: bool) -> Set {
        Set { items, others: vec![], negated }
    }

    pub fn ranges(ranges: &[(char, char)], negated: bool) -> Set {
        Set::of(ranges.iter().map(|(first, last)| Item::Range(*first, *last)).collect(), negated)
    }

    pub fn contains(&self, character: char, fold: Fold) -> bool {
        let any = self.items.iter().any(|item| item.contains(character, fold));
        (any && self.others.iter().all(|other| other.contains(character, fold))) != self.negated
    }
}

impl Item {
    fn contains(&self, character: char, fold: Fold) -> bool {
        let within = |character: char| match self {
            Item::Range(first, last) => (*first..=*last).contains(&character),
            Item::Property(regex) => regex.is_match(character.encode_utf8(&mut [0; 4])),
            Item::Set(_) => false,
        };
        match (self, fold) {
            (Item::Set(set), fold) => set.contains(character, fold),
            (_, Fold::Exact) => within(character),
            (_, Fold::Ascii) => {
                within(character)
                    || within(character.to_ascii_lowercase())
                    || within(character.to_ascii_uppercase())
            }
            (_, Fold::Unicode) => {
                within(character)
                    || character.to_lowercase().any(within)
                    || character.to_uppercase().any(within)
            }
        }
    }
}

/// `\d`, `\W` and their like.
pub(super) fn shorthand(letter: char) -> Option<Set> {
    const SPACES: &[(char, char)] = &[(' ', ' '), ('\t', '\r')];
    const WORD: &[(char, char)] = &[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')];
    const HORIZONTAL: &[(char, char)] = &[
        (' ', ' '),
        ('\t', '\t'),
        ('\u{a0}', '\u{a0}'),
        ('\u{1680}', '\u{1680}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{2000}', '\u{200a}'),
        ('\u{202f}', '\u{202f}'),
        ('\u{205f}', '\u{205f}'),
        ('\u{3000}', '\u{3000}'),
    ];
    const VERTICAL: &[(char, char)] = &[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')];
    let ranges = match letter.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        's' => SPACES,
        'w' => WORD,
        'h' => HORIZONTAL,
        'v' => VERTICAL,
        _ => return None,
    };
    Some(Set::ranges(ranges, letter.is_ascii_uppercase()))
}

/// `\p{name}`: names of POSIX in ASCII, those of Java and of Unicode.
pub(super) fn property(name: &str, negated: bool) -> Result<Set, Fault> {
    let class = match (super::super::java::posix_class(name), name) {
        (Some(class), _) => format!("[{class}]"),
        (None, "javaLowerCase") => r"\p{Lowercase}".to_string(),
        (None, "javaUpperCase") => r"\p{Uppercase}".to_string(),
        (None, "javaWhitespace") => r"[\p{White_Space}--\u{a0}\u{2007}\u{202f}\u{85}]".to_string(),
        (None, "javaLetter") => r"\p{L}".to_string(),
        (None, "javaDigit") => r"\p{Nd}".to_string(),
        (None, "javaLetterOrDigit") => r"[\p{L}\p{Nd}]".to_string(),
        (None, "L1") => r"[\x00-\u{ff}]".to_string(),
        (None, name) => format!(r"\p{{{}}}", name.strip_prefix("Is").unwrap_or(name)),
    };
    match Regex::new(&format!(r"\A(?s:{class})\z")) {
        Ok(regex) => Ok(Set::of(vec![Item::Property(regex)], negated)),
        Err(_) => Err(Fault::Unsupported(format!("the property '{name}'"))),
    }
}
