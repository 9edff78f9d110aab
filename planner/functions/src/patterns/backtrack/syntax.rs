//! Patterns as Java reads them (`java.util.regex.Pattern`, Java 17).

use super::Fault;
use super::program::{Around, Assertion};
use super::set::{Fold, Item, Set, property, shorthand};

#[derive(Clone, Debug)]
pub(super) enum Node {
    Character(char, Fold),
    Set(Set, Fold),
    Assert(Assertion),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Group(Box<Node>, usize),
    Around(Box<Node>, Around),
    Back(usize, Fold),
    Repeat { node: Box<Node>, least: u32, most: Option<u32>, greed: Greed },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// A pattern as it was read.
#[derive(Debug)]
pub(super) struct Pattern {
    pub node: Node,
    /// the whole match among them
    pub groups: usize,
}

#[derive(Clone, Copy)]
struct Flags {
    fold_case: bool,
    unicode_case: bool,
    dot_all: bool,
    multi_line: bool,
    comments: bool,
    unix_lines: bool,
}

impl Flags {
    fn fold(self) -> Fold {
        match (self.fold_case, self.unicode_case) {
            (false, _) => Fold::Exact,
            (true, false) => Fold::Ascii,
            (true, true) => Fold::Unicode,
        }
    }
}

struct Parser {
    characters: Vec<char>,
    at: usize,
    groups: usize,
    names: Vec<(String, usize)>,
    flags: Flags,
}

type Parsed<T> = Result<T, Fault>;

fn malformed<T>(message: impl Into<String>) -> Parsed<T> {
    Err(Fault::Malformed(message.into()))
}

pub(super) fn parse(pattern: &str) -> Parsed<Pattern> {
    let flags = Flags {
        fold_case: false,
        unicode_case: false,
        dot_all: false,
        multi_line: false,
        comments: false,
        unix_lines: false,
    };
    let mut parser = Parser { characters: unquoted(pattern), at: 0, groups: 1, names: vec![], flags };
    let node = parser.either()?;
    match parser.peek() {
        None => Ok(Pattern { node, groups: parser.groups }),
        Some(_) => malformed("a ) closes nothing"),
    }
}

/// `\Q..\E` with each character quoted by itself.
fn unquoted(pattern: &str) -> Vec<char> {
    let mut characters = vec![];
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let (quoted, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            for character in quoted.chars() {
                if character.is_ascii() && !character.is_ascii_alphanumeric() {
                    characters.push('\\');
                }
                characters.push(character);
            }
            rest = behind;
            continue;
        }
        // A backslash that is quoted quotes nothing.
        let taken = if character == '\\' { 2 } else { 1 };
        let length: usize = rest.chars().take(taken).map(char::len_utf8).sum();
        characters.extend(rest[..length].chars());
        rest = &rest[length..];
    }
    characters
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn advance(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += 1;
        Some(character)
    }

    fn take(&mut self, text: &str) -> bool {
        let found =
            text.chars().enumerate().all(|(n, wanted)| self.characters.get(self.at + n) == Some(&wanted));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    fn expect(&mut self, text: &str, what: &str) -> Parsed<()> {
        if self.take(text) { Ok(()) } else { malformed(what) }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.peek().filter(|c| wanted(*c)).inspect(|_| self.at += 1)).collect()
    }

    /// Blanks and comments, where they mean nothing.
    fn skip_comments(&mut self) {
        while self.flags.comments {
            match self.peek() {
                Some('#') => {
                    drop(self.take_while(|c| !matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')))
                }
                Some(' ' | '\t'..='\r') => self.at += 1,
                _ => return,
            }
        }
    }

    fn either(&mut self) -> Parsed<Node> {
        let mut branches = vec![self.sequence()?];
        while self.take("|") {
            branches.push(self.sequence()?);
        }
        Ok(match branches.len() {
            1 => branches.remove(0),
            _ => Node::Either(branches),
        })
    }

    fn sequence(&mut self) -> Parsed<Node> {
        let mut nodes = vec![];
        loop {
            self.skip_comments();
            if matches!(self.peek(), None | Some('|' | ')')) {
                return Ok(Node::Sequence(nodes));
            }
            if let Some(node) = self.atom()? {
                self.skip_comments();
                nodes.push(self.repeated(node)?);
            }
        }
    }

    /// `None` for flags, which take nothing.
    fn atom(&mut self) -> Parsed<Option<Node>> {
        let Some(character) = self.advance() else { return malformed("the pattern ends too early") };
        let (flags, unix) = (self.flags, self.flags.unix_lines);
        Ok(Some(match character {
            '(' => return self.group(),
            '[' => Node::Set(self.class()?, flags.fold()),
            '.' if flags.dot_all => Node::Set(Set::of(vec![], true), Fold::Exact),
            '.' if unix => Node::Set(Set::ranges(&[('\n', '\n')], true), Fold::Exact),
            '.' => {
                let ends = [('\n', '\n'), ('\r', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')];
                Node::Set(Set::ranges(&ends, true), Fold::Exact)
            }
            '^' if flags.multi_line => Node::Assert(Assertion::LineStart { unix }),
            '^' => Node::Assert(Assertion::Start),
            '$' if flags.multi_line => Node::Assert(Assertion::LineEnd { unix }),
            '$' => Node::Assert(Assertion::LastLineEnd { unix }),
            '\\' => self.escape()?,
            '*' | '+' | '?' => return malformed(format!("{character} repeats nothing")),
            '{' => return malformed("{ repeats nothing"),
            character => Node::Character(character, flags.fold()),
        }))
    }

    fn repeated(&mut self, node: Node) -> Parsed<Node> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted(node),
            _ => return Ok(node),
        };
        self.at += 1;
        Ok(self.with_greed(node, least, most))
    }

    fn with_greed(&mut self, node: Node, least: u32, most: Option<u32>) -> Node {
        let greed = match () {
            () if self.take("?") => Greed::Lazy,
            () if self.take("+") => Greed::Possessive,
            () => Greed::Greedy,
        };
        Node::Repeat { node: Box::new(node), least, most, greed }
    }

    /// `{n}`, `{n,}`, `{n,m}`
    fn counted(&mut self, node: Node) -> Parsed<Node> {
        self.at += 1;
        let number = |digits: &str| match digits.parse::<u32>() {
            Ok(number) if number <= i32::MAX as u32 => Ok(number),
            _ => malformed(format!("'{digits}' is not how often something is repeated")),
        };
        let least = number(&self.take_while(|c| c.is_ascii_digit()))?;
        let most = match self.take(",") {
            false => Some(least),
            true => match self.take_while(|c| c.is_ascii_digit()) {
                digits if digits.is_empty() => None,
                digits => Some(number(&digits)?),
            },
        };
        self.expect("}", "a { is not closed")?;
        if most.is_some_and(|most| most < least) {
            return malformed("the numbers of a repetition are the wrong way round");
        }
        Ok(self.with_greed(node, least, most))
    }

    /// Behind `(`.
    fn group(&mut self) -> Parsed<Option<Node>> {
        let before = self.flags;
        let behind = |negated| Around::Behind { negated, shortest: 0, longest: 0 };
        let around = match () {
            () if self.take("?=") => Some(Around::Ahead { negated: false }),
            () if self.take("?!") => Some(Around::Ahead { negated: true }),
            () if self.take("?<=") => Some(behind(false)),
            () if self.take("?<!") => Some(behind(true)),
            () if self.take("?>") => Some(Around::Atomic),
            () => None,
        };
        let mut group = None;
        if around.is_none() {
            if self.take("?<") {
                let name = self.take_while(|c| c.is_ascii_alphanumeric());
                self.expect(">", "the name of a group ends with >")?;
                if name.is_empty() || self.names.iter().any(|(known, _)| *known == name) {
                    return malformed(format!("'{name}' is not a new name for a group"));
                }
                self.names.push((name, self.groups));
                group = Some(self.groups);
            } else if self.take("?") {
                if self.flags()? {
                    return Ok(None);
                }
            } else {
                group = Some(self.groups);
            }
            self.groups += usize::from(group.is_some());
        }
        let node = self.either()?;
        self.expect(")", "a ( is not closed")?;
        self.flags = before;
        Ok(Some(match (around, group) {
            (Some(around), _) => Node::Around(Box::new(node), around),
            (None, Some(group)) => Node::Group(Box::new(node), group),
            (None, None) => node,
        }))
    }

    /// `i-s:` or `i-s)` behind `(?`: true if they are for what follows the group.
    fn flags(&mut self) -> Parsed<bool> {
        let mut on = true;
        loop {
            match self.advance() {
                Some('-') => on = false,
                Some('i') => self.flags.fold_case = on,
                Some('u') => self.flags.unicode_case = on,
                Some('s') => self.flags.dot_all = on,
                Some('m') => self.flags.multi_line = on,
                Some('x') => self.flags.comments = on,
                Some('d') => self.flags.unix_lines = on,
                Some('U') => return Err(Fault::Unsupported("the flag U".into())),
                Some(':') => return Ok(false),
                Some(')') => return Ok(true),
                _ => return malformed("what follows (? is no group"),
            }
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Parsed<Node> {
        let Some(letter) = self.advance() else { return malformed("a backslash stands at the end") };
        let (fold, unix) = (self.flags.fold(), self.flags.unix_lines);
        Ok(match letter {
            'b' => Node::Assert(Assertion::Word { negated: false }),
            'B' => Node::Assert(Assertion::Word { negated: true }),
            'A' => Node::Assert(Assertion::Start),
            'G' => Node::Assert(Assertion::SearchStart),
            'Z' => Node::Assert(Assertion::LastLineEnd { unix }),
            'z' => Node::Assert(Assertion::End),
            'R' => line_break(),
            'X' | 'N' => return Err(Fault::Unsupported(format!("\\{letter}"))),
            'k' => {
                self.expect("<", "a name in < and > follows \\k")?;
                let name = self.take_while(|c| c != '>');
                self.expect(">", "a name in < and > follows \\k")?;
                match self.names.iter().find(|(known, _)| *known == name) {
                    Some((_, group)) => Node::Back(*group, fold),
                    None => return malformed(format!("there is no group '{name}'")),
                }
            }
            '1'..='9' => self.back_reference(letter),
            _ => match self.class_escape(letter)? {
                Item::Range(character, _) => Node::Character(character, fold),
                Item::Set(set) => Node::Set(set, fold),
                item => Node::Set(Set::of(vec![item], false), fold),
            },
        })
    }

    /// More digits belong to it as long as there is such a group.
    fn back_reference(&mut self, first: char) -> Node {
        let mut group = first.to_digit(10).unwrap_or(0) as usize;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let longer = group * 10 + digit as usize;
            if longer >= self.groups {
                break;
            }
            group = longer;
            self.at += 1;
        }
        Node::Back(group, self.flags.fold())
    }

    /// An escape that means the same in a class and outside: one character, as a range, or a set of them.
    fn class_escape(&mut self, letter: char) -> Parsed<Item> {
        if let Some(set) = shorthand(letter) {
            return Ok(Item::Set(set));
        }
        let character = match letter {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'c' => match self.advance() {
                Some(control) => char::from_u32(u32::from(control) ^ 64).unwrap_or(control),
                None => return malformed("a control character follows \\c"),
            },
            '0' => self.octal()?,
            'x' | 'u' => self.hexadecimal(letter)?,
            'p' | 'P' => return self.property(letter == 'P').map(Item::Set),
            letter if letter.is_ascii_alphabetic() => {
                return malformed(format!("there is no escape \\{letter}"));
            }
            literal => literal,
        };
        Ok(Item::Range(character, character))
    }

    /// Up to three digits, `\0377` at most.
    fn octal(&mut self) -> Parsed<char> {
        let mut value = 0;
        for count in 0..3 {
            let digit = self.peek().and_then(|c| c.to_digit(8)).filter(|digit| value * 8 + digit <= 0o377);
            match digit {
                Some(digit) => value = value * 8 + digit,
                None if count == 0 => return malformed("octal digits follow \\0"),
                None => break,
            }
            self.at += 1;
        }
        char::from_u32(value).map_or_else(|| malformed("no such character"), Ok)
    }

    /// `\x41`, `\x{1F600}`, `A`; two halves of a surrogate pair are one character.
    fn hexadecimal(&mut self, letter: char) -> Parsed<char> {
        let no_character = || malformed("no character has this number");
        if letter == 'x' && self.take("{") {
            let digits = self.take_while(|c| c != '}');
            self.expect("}", "a { is not closed")?;
            let value = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
            return value.map_or_else(no_character, Ok);
        }
        let first = self.hexadecimal_digits(if letter == 'x' { 2 } else { 4 })?;
        if (0xd800..0xdc00).contains(&first) && self.take(r"\u") {
            let second = self.hexadecimal_digits(4)?;
            let pair = char::decode_utf16([first as u16, second as u16]).next().and_then(Result::ok);
            return pair.map_or_else(no_character, Ok);
        }
        char::from_u32(first).map_or_else(no_character, Ok)
    }

    fn hexadecimal_digits(&mut self, count: usize) -> Parsed<u32> {
        let mut value = 0;
        for _ in 0..count {
            match self.advance().and_then(|c| c.to_digit(16)) {
                Some(digit) => value = value * 16 + digit,
                None => return malformed(format!("{count} hexadecimal digits are expected")),
            }
        }
        Ok(value)
    }

    fn property(&mut self, negated: bool) -> Parsed<Set> {
        if !self.take("{") {
            return match self.advance() {
                Some(name) => property(&name.to_string(), negated),
                None => malformed("a property follows \\p"),
            };
        }
        let name = self.take_while(|c| c != '}');
        self.expect("}", "a { is not closed")?;
        property(&name, negated)
    }

    /// Behind `[`.
    fn class(&mut self) -> Parsed<Set> {
        let negated = self.take("^");
        let mut parts: Vec<Vec<Item>> = vec![vec![]];
        let mut is_first = true;
        loop {
            self.skip_comments();
            let item = match self.peek() {
                None => return malformed("a [ is not closed"),
                Some(']') if !is_first => {
                    self.at += 1;
                    break;
                }
                Some('[') => {
                    self.at += 1;
                    Item::Set(self.class()?)
                }
                Some('&') if self.take("&&") => {
                    parts.push(vec![]);
                    continue;
                }
                Some(_) => self.range()?,
            };
            is_first = false;
            if let Some(part) = parts.last_mut() {
                part.push(item);
            }
        }
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let items = parts.next().unwrap_or_default();
        Ok(Set { items, others: parts.map(|part| Set::of(part, false)).collect(), negated })
    }

    /// One character of a class, a range of them, or an escape.
    fn range(&mut self) -> Parsed<Item> {
        let first = match self.class_character()? {
            Item::Range(first, _) => first,
            set => return Ok(set),
        };
        let next = self.characters.get(self.at + 1);
        if self.peek() != Some('-') || matches!(next, None | Some(']' | '[')) {
            return Ok(Item::Range(first, first));
        }
        self.at += 1;
        match self.class_character()? {
            Item::Range(last, _) if first <= last => Ok(Item::Range(first, last)),
            _ => malformed("a range of characters is the wrong way round"),
        }
    }

    fn class_character(&mut self) -> Parsed<Item> {
        match self.advance() {
            Some('\\') => match self.advance() {
                Some(letter) => self.class_escape(letter),
                None => malformed("a backslash stands at the end"),
            },
            Some(character) => Ok(Item::Range(character, character)),
            None => malformed("a [ is not closed"),
        }
    }
}

/// `\R`
fn line_break() -> Node {
    let one = Set::ranges(&[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')], false);
    let both = ['\r', '\n'].map(|character| Node::Character(character, Fold::Exact)).to_vec();
    Node::Either(vec![Node::Sequence(both), Node::Set(one, Fold::Exact)])
}
