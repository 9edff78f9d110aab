//! Text of scripts: files, standard input, variables.

use crate::arguments::SessionArguments;
use crate::failure::Failure;
use crate::variables::Variables;
use std::io::Read;
use std::path::Path;
use std::str::Utf8Error;

/// The text of a file, or of standard input for `-`, with its variables replaced.
pub fn read(path: &Path, variables: &Variables) -> Result<String, Failure> {
    let (name, bytes) = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        (String::from("standard input"), std::io::stdin().read_to_end(&mut bytes).map(|_| bytes))
    } else {
        (path.display().to_string(), std::fs::read(path))
    };
    let bytes = bytes.map_err(|error| Failure::User(format!("read {name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        Failure::User(format!("read {name}: {}", not_utf8(error.as_bytes(), &error.utf8_error())))
    })?;
    // the mark that editors of some systems put in front of UTF-8
    let text = text.strip_prefix('\u{feff}').map_or(text.as_str(), |rest| rest);
    variables.substitute(text).map_err(|error| Failure::User(format!("{name}, {error}")))
}

/// What is wrong with a text, and where.
fn not_utf8(bytes: &[u8], error: &Utf8Error) -> String {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return String::from("it is UTF-16: save it as UTF-8");
    }
    let place = error.valid_up_to();
    let line = bytes[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!(
        "byte {place}, 0x{:02x} in line {line}, is not UTF-8: save the text as UTF-8, or take the byte out",
        bytes[place]
    )
}

pub fn variables(arguments: &SessionArguments) -> Result<Variables, Failure> {
    Variables::from_definitions(&arguments.define).map_err(Failure::User)
}

/// The pairs of `--set KEY=VALUE`.
pub fn settings(arguments: &SessionArguments) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_string(), value.to_string())),
        _ => Err(Failure::User(format!("'--set {text}': expected KEY=VALUE"))),
    };
    arguments.set.iter().map(pair).collect()
}
