//! A JSON document in memory: numbers keep their digits. Members are written in the order of their names, as Flink does
//! it.

use std::borrow::Cow;
use std::cmp::Ordering;
use weir_types::text::number::append_decimal_java;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Collections inside collections at most; deeper documents count as malformed.
const MAX_DEPTH: usize = 512;

impl<'a> Json<'a> {
    /// The first value of `text`; what follows it is not looked at. `None`: there is none.
    pub fn parse(text: &'a str) -> Option<Json<'a>> {
        let mut reader = Reader { text, place: 0 };
        reader.value(0)
    }

    pub fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }

    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends the value as JSON, without spaces.
    pub fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(digits) => write_number(digits, out),
            Json::Text(text) => write_text(text, out),
            Json::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                let mut ordered: Vec<_> = members.iter().collect();
                ordered.sort_by(|(left, _), (right, _)| java_order(left, right));
                for (index, (name, value)) in ordered.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// The order of Java's strings, by UTF-16 code units: it differs from that of bytes above U+D7FF only.
pub(super) fn java_order(left: &str, right: &str) -> Ordering {
    match left.is_ascii() && right.is_ascii() {
        true => left.cmp(right),
        false => left.encode_utf16().cmp(right.encode_utf16()),
    }
}

/// Appends a number as Java's `BigDecimal` (with a point or an exponent) or `BigInteger` shows it.
pub(super) fn write_number(digits: &str, out: &mut String) {
    let plain = !digits.contains(['.', 'e', 'E']);
    let decimal = (!plain).then(|| decimal_of(digits)).flatten();
    match decimal {
        Some((unscaled, scale)) => {
            let mut bytes = Vec::with_capacity(32);
            append_decimal_java(&mut bytes, unscaled, scale);
            out.push_str(&String::from_utf8_lossy(&bytes));
        }
        None => out.push_str(digits),
    }
}

/// Unscaled value and scale; `None` for more digits than 128 bits hold.
fn decimal_of(digits: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((unscaled, i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?))
}

/// Appends a JSON string.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (place, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            8 => "\\b",
            12 => "\\f",
            0..32 => "",
            _ => continue,
        };
        out.push_str(&text[plain..place]);
        plain = place + 1;
        match escape {
            "" => out.push_str(&format!("\\u{byte:04X}")),
            escape => out.push_str(escape),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    place: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.place).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.place += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek()? == byte).then(|| self.place += 1)
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        self.text[self.place..].starts_with(word).then(|| {
            self.place += word.len();
            value
        })
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        self.blanks();
        match self.peek()? {
            _ if depth > MAX_DEPTH => None,
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Json::Text),
            b't' => self.word("true", Json::Boolean(true)),
            b'f' => self.word("false", Json::Boolean(false)),
            b'n' => self.word("null", Json::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        self.place += 1;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = vec![];
        if self.take(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.blanks();
            (self.peek()? == b'"').then_some(())?;
            let name = self.string()?;
            self.take(b':')?;
            let value = self.value(depth + 1)?;
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some(member) => member.1 = value,
                None => members.push((name, value)),
            }
            if self.take(b',').is_none() {
                return self.take(b'}').map(|()| Json::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        self.place += 1;
        let mut elements = vec![];
        if self.take(b']').is_some() {
            return Some(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if self.take(b',').is_none() {
                return self.take(b']').map(|()| Json::Array(elements));
            }
        }
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let start = self.place;
        let digits = |reader: &mut Self| {
            let from = reader.place;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.place += 1;
            }
            reader.place - from
        };
        if self.peek() == Some(b'-') {
            self.place += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = digits(self);
        if whole == 0 || (zero && whole > 1) {
            return None;
        }
        if self.peek() == Some(b'.') {
            self.place += 1;
            (digits(self) > 0).then_some(())?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.place += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.place += 1;
            }
            (digits(self) > 0).then_some(())?;
        }
        Some(Json::Number(&self.text[start..self.place]))
    }

    /// At a quotation mark.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.place += 1;
        let start = self.place;
        loop {
            match self.peek()? {
                b'"' => {
                    let text = &self.text[start..self.place];
                    self.place += 1;
                    return Some(Cow::Borrowed(text));
                }
                b'\\' => break,
                0..32 => return None,
                _ => self.place += 1,
            }
        }
        let mut text = self.text[start..self.place].to_string();
        loop {
            let from = self.place;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..32) {
                self.place += 1;
            }
            text.push_str(&self.text[from..self.place]);
            match self.peek()? {
                b'"' => {
                    self.place += 1;
                    return Some(Cow::Owned(text));
                }
                b'\\' => {
                    self.place += 1;
                    let character = self.escape()?;
                    text.push(character);
                }
                _ => return None,
            }
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.place += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code_unit()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                let rest = self.text.get(self.place..)?;
                if !rest.starts_with("\\u") {
                    return Some(char::REPLACEMENT_CHARACTER);
                }
                self.place += 2;
                let second = self.code_unit()?;
                let code = 0x10000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00);
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn code_unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.place..self.place + 4)?;
        self.place += 4;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written() {
        let cases = [
            (r#" {"a" : [1, -2.50, true, null], "b":{}} rest"#, r#"{"a":[1,-2.50,true,null],"b":{}}"#),
            (r#""\u00e9\n\ud83d\ude00\/""#, "\"é\\n😀/\""),
            (r#"{"b":1,"a":{"d":1,"c":2},"b":3}"#, r#"{"a":{"c":2,"d":1},"b":3}"#),
            ("1e5", "1E+5"),
            (
                "123456789012345678901234567890123456789012345",
                "123456789012345678901234567890123456789012345",
            ),
        ];
        for (text, expected) in cases {
            let mut written = String::new();
            Json::parse(text).unwrap().write(&mut written);
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn malformed_documents_are_refused() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "[1,]", "{\"a\"}", "01", "1.", "-", "\"a", "tru", "\"\\x\"", "\"\u{1}\"", &deep]
        {
            assert_eq!(Json::parse(text), None, "{}", &text[..text.len().min(20)]);
        }
    }
}
