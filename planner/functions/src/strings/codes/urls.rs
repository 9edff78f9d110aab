//! URLs.

use super::super::super::arguments::Inputs;
use super::super::{bytes_of, slices, written};
use arrow::array::ArrayRef;
use datafusion_common::Result;

/// As `java.net.URLEncoder`: letters, digits and `.-*_` stay, a space is `+`.
pub(super) fn encode(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let texts = inputs.texts(0)?;
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        for byte in text.bytes() {
            match byte {
                b' ' => out.push('+'),
                b'.' | b'-' | b'*' | b'_' => out.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
                _ => {
                    out.push('%');
                    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                    out.push(char::from(DIGITS[usize::from(byte & 15)]));
                }
            }
        }
        Ok(true)
    })
}

/// `None`: a percent sign without two hexadecimal digits.
fn decoded(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut nibble = || char::from(rest.next()?).to_digit(16).map(|digit| digit as u8);
                let high = nibble()?;
                high << 4 | nibble()?
            }
            _ => byte,
        });
    }
    Some(())
}

pub(super) fn decode(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let mut bytes = vec![];
    written(inputs.rows, bytes_of(inputs, texts.array), |row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        bytes.clear();
        if decoded(text, &mut bytes).is_none() {
            return Ok(false);
        }
        out.push_str(&String::from_utf8_lossy(&bytes));
        Ok(true)
    })
}

/// The parts of `protocol://authority/path?query#ref`; as `java.net.URL` sees them.
struct Url<'a> {
    protocol: &'a str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    file: &'a str,
    reference: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn of(text: &'a str) -> Option<Url<'a>> {
        let (protocol, rest) = text.trim().split_once(':')?;
        let known = ["http", "https", "ftp", "file", "jar"];
        if !known.iter().any(|known| protocol.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (rest, reference) = match rest.split_once('#') {
            Some((rest, reference)) => (rest, Some(reference)),
            None => (rest, None),
        };
        let (authority, file) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let (path, query) = match file.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (file, None),
        };
        Some(Url { protocol, authority, path, query, file, reference })
    }

    fn part(&self, name: &str) -> Option<&'a str> {
        match name {
            "HOST" => {
                let host = self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host);
                match host.rsplit_once(':') {
                    Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(name),
                    _ => Some(host),
                }
            }
            "PATH" => Some(self.path),
            "QUERY" => self.query,
            "REF" => self.reference,
            "PROTOCOL" => Some(self.protocol),
            "FILE" => Some(self.file),
            "AUTHORITY" => Some(self.authority).filter(|authority| !authority.is_empty()),
            "USERINFO" => self.authority.rsplit_once('@').map(|(user, _)| user),
            _ => None,
        }
    }
}

pub(super) fn parse(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, parts) = (inputs.texts(0)?, inputs.texts(1)?);
    let keys = if inputs.len() == 3 { Some(inputs.texts(2)?) } else { None };
    Ok(slices(inputs.rows, bytes_of(inputs, texts.array), |row| {
        let (url, part) = (Url::of(texts.get(row)?)?, parts.get(row)?);
        let Some(keys) = &keys else { return url.part(part) };
        let key = keys.get(row)?;
        if part != "QUERY" {
            return None;
        }
        url.query?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    }))
}
