//! Reads JSON from the front of a record.

use super::index::next_quote;
use memchr::memchr2;
use std::borrow::Cow;

/// Arrays and objects inside of each other, at most: as many as Jackson takes.
const MAX_DEPTH: u32 = 1000;

/// Why a record, or a value of it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// where in the record
    pub at: usize,
    pub kind: TroubleKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It is not JSON: what is expected instead.
    Syntax(&'static str),
    /// The value is JSON but no value of the column's type.
    Value,
    /// NULL in a column that is NOT NULL.
    Null,
    /// The column has no value, and the options ask for one.
    Missing,
}

pub(super) type Parsed<T> = Result<T, Trouble>;

/// A string's content between its quotes.
#[derive(Clone, Copy)]
pub(super) struct RawString<'a> {
    pub content: &'a [u8],
    pub escaped: bool,
}

/// A number's text.
#[derive(Clone, Copy)]
pub(super) struct RawNumber<'a> {
    pub text: &'a [u8],
    /// no point and no exponent
    pub integer: bool,
}

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    /// where quotes are, if the record has no escapes
    quotes: Option<&'a [u64]>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], quotes: Option<&'a [u64]>) -> Self {
        Cursor { bytes, at: 0, quotes }
    }

    #[cold]
    pub(super) fn syntax<T>(&self, expected: &'static str) -> Parsed<T> {
        Err(Trouble { at: self.at, kind: TroubleKind::Syntax(expected) })
    }

    #[inline]
    pub(super) fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// Takes `byte` and the space before it.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Parsed<()> {
        if self.byte() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.skip_space();
        if self.byte() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.syntax(expected)
    }

    /// After a member or an element: true at the end (`close`), false after a comma.
    #[inline]
    pub(super) fn end_or_comma(&mut self, close: u8, expected: &'static str) -> Parsed<bool> {
        if !matches!(self.byte(), Some(byte) if byte == b',' || byte == close) {
            self.skip_space();
        }
        match self.byte() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            _ => self.syntax(expected),
        }
    }

    /// What comes next, after space.
    #[inline]
    pub(super) fn kind(&mut self) -> Parsed<Kind> {
        self.skip_space();
        match self.byte() {
            Some(b'"') => Ok(Kind::String),
            Some(b'0'..=b'9' | b'-') => Ok(Kind::Number),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => self.syntax("a value"),
        }
    }

    /// `true`, `false` or `null`.
    #[inline]
    pub(super) fn word(&mut self, word: &'static str) -> Parsed<()> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) == Some(word.as_bytes())
            && !self.bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric())
        {
            self.at = end;
            return Ok(());
        }
        self.syntax("a value")
    }

    /// A string, at its opening quote.
    #[inline]
    pub(super) fn string(&mut self) -> Parsed<RawString<'a>> {
        let begin = self.at + 1;
        if let Some(quotes) = self.quotes {
            let Some(end) = next_quote(quotes, begin) else {
                return self.syntax_at_end("the end of a string");
            };
            let content = &self.bytes[begin..end];
            self.at = end + 1;
            return Ok(RawString { content, escaped: false });
        }
        self.string_with_care()
    }

    fn syntax_at_end<T>(&mut self, expected: &'static str) -> Parsed<T> {
        self.at = self.bytes.len();
        self.syntax(expected)
    }

    fn string_with_care(&mut self) -> Parsed<RawString<'a>> {
        let begin = self.at + 1;
        let (mut at, mut escaped) = (begin, false);
        loop {
            let Some(found) = self.bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
                return self.syntax_at_end("the end of a string");
            };
            at += found;
            if self.bytes[at] == b'"' {
                break;
            }
            escaped = true;
            at += 2;
        }
        let content = &self.bytes[begin..at];
        if let Some(control) = content.iter().position(|byte| *byte < 0x20) {
            self.at = begin + control;
            return self.syntax("an escape in place of a control character");
        }
        self.at = at + 1;
        Ok(RawString { content, escaped })
    }

    /// The content of a string without escapes. `at`: where the content begins, for errors.
    pub(super) fn unescape(&self, raw: RawString<'a>) -> Parsed<Cow<'a, [u8]>> {
        if !raw.escaped {
            return Ok(Cow::Borrowed(raw.content));
        }
        let mut out = Vec::with_capacity(raw.content.len());
        self.unescape_into(raw, &mut out)?;
        Ok(Cow::Owned(out))
    }

    /// Appends the content of a string to `out`. A half of a surrogate pair becomes `?`, as Java encodes it.
    pub(super) fn unescape_into(&self, raw: RawString<'a>, out: &mut Vec<u8>) -> Parsed<()> {
        let mut rest = raw.content;
        while let Some(found) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..found]);
            let bad = |rest: &[u8]| {
                let at = rest.as_ptr() as usize - self.bytes.as_ptr() as usize;
                Err(Trouble { at, kind: TroubleKind::Syntax("a valid escape") })
            };
            let escape = &rest[found..];
            let simple = match escape.get(1) {
                Some(letter @ (b'"' | b'\\' | b'/')) => *letter,
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'u') => {
                    let Some(first) = hex4(escape) else { return bad(escape) };
                    let mut used = 6;
                    let mut letter = char::from_u32(first);
                    if (0xd800..0xdc00).contains(&first) {
                        let second = escape.get(6..).filter(|tail| tail.starts_with(b"\\u")).and_then(hex4);
                        if let Some(second @ 0xdc00..0xe000) = second {
                            letter = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                            used = 12;
                        }
                    }
                    let mut utf8 = [0; 4];
                    out.extend_from_slice(letter.unwrap_or('?').encode_utf8(&mut utf8).as_bytes());
                    rest = &escape[used..];
                    continue;
                }
                _ => return bad(escape),
            };
            out.push(simple);
            rest = &escape[2..];
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// A number, at its first character.
    pub(super) fn number(&mut self) -> Parsed<RawNumber<'a>> {
        let begin = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let digits = |cursor: &mut Self| {
            let from = cursor.at;
            while cursor.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                cursor.at += 1;
            }
            if cursor.at == from { cursor.syntax("a digit") } else { Ok(cursor.at - from) }
        };
        let leading_zero = self.byte() == Some(b'0');
        if digits(self)? > 1 && leading_zero {
            self.at = begin;
            return self.syntax("a number without leading zeros");
        }
        let mut integer = true;
        if self.byte() == Some(b'.') {
            integer = false;
            self.at += 1;
            digits(self)?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            digits(self)?;
        }
        if self.byte().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+'))
        {
            return self.syntax("the end of a number");
        }
        Ok(RawNumber { text: &self.bytes[begin..self.at], integer })
    }

    /// Passes a value by.
    #[inline]
    pub(super) fn skip_value(&mut self) -> Parsed<()> {
        match (self.byte(), self.quotes) {
            (Some(b'"'), Some(quotes)) => {
                if let Some(end) = next_quote(quotes, self.at + 1) {
                    self.at = end + 1;
                    return Ok(());
                }
            }
            (Some(b'1'..=b'9'), _) => {
                let rest = &self.bytes[self.at..];
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if let Some(b',' | b'}' | b']') = rest.get(digits) {
                    self.at += digits;
                    return Ok(());
                }
            }
            _ => {}
        }
        self.skip_nested(MAX_DEPTH)
    }

    fn skip_nested(&mut self, depth: u32) -> Parsed<()> {
        match self.kind()? {
            Kind::String => self.skip_string(),
            Kind::Number => self.number().map(|_| ()),
            Kind::True => self.word("true"),
            Kind::False => self.word("false"),
            Kind::Null => self.word("null"),
            Kind::Object | Kind::Array if depth == 0 => self.syntax("less than 1000 levels of nesting"),
            Kind::Object => {
                let mut members = self.members();
                while members.next_member(self)? {
                    self.skip_string()?;
                    self.expect(b':', "':'")?;
                    self.skip_nested(depth - 1)?;
                }
                Ok(())
            }
            Kind::Array => {
                let mut elements = self.elements();
                while elements.next_element(self)? {
                    self.skip_nested(depth - 1)?;
                }
                Ok(())
            }
        }
    }

    /// Passes a string by; its escapes are checked too.
    #[inline]
    fn skip_string(&mut self) -> Parsed<()> {
        let raw = self.string()?;
        if raw.escaped {
            self.unescape(raw)?;
        }
        Ok(())
    }

    /// The members of an object, at its `{`.
    #[inline]
    pub(super) fn members(&mut self) -> Members {
        self.at += 1;
        Members { first: true }
    }

    /// The elements of an array, at its `[`.
    #[inline]
    pub(super) fn elements(&mut self) -> Elements {
        self.at += 1;
        Elements { first: true }
    }
}

/// Walks through an object; between two calls the caller reads key, colon and value.
pub(super) struct Members {
    first: bool,
}

impl Members {
    /// True with the cursor at the opening quote of a key, false after the `}`.
    #[inline]
    pub(super) fn next_member(&mut self, cursor: &mut Cursor<'_>) -> Parsed<bool> {
        if self.first {
            self.first = false;
            cursor.skip_space();
            if cursor.byte() == Some(b'}') {
                cursor.at += 1;
                return Ok(false);
            }
        } else if cursor.end_or_comma(b'}', "',' or '}'")? {
            return Ok(false);
        }
        if cursor.byte() == Some(b'"') {
            return Ok(true);
        }
        cursor.skip_space();
        if cursor.byte() == Some(b'"') { Ok(true) } else { cursor.syntax("a member's name in quotes") }
    }
}

/// Walks through an array; between two calls the caller reads a value.
pub(super) struct Elements {
    first: bool,
}

impl Elements {
    /// True with the cursor before an element, false after the `]`.
    #[inline]
    pub(super) fn next_element(&mut self, cursor: &mut Cursor<'_>) -> Parsed<bool> {
        if self.first {
            self.first = false;
            cursor.skip_space();
            if cursor.byte() == Some(b']') {
                cursor.at += 1;
                return Ok(false);
            }
            return Ok(true);
        }
        Ok(!cursor.end_or_comma(b']', "',' or ']'")?)
    }
}

/// The number in `\u12ab`.
fn hex4(escape: &[u8]) -> Option<u32> {
    let digits = escape.get(2..6)?;
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}
