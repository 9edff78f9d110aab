//! Text of scripts: files, standard input, variables.

use crate::arguments::SessionArguments;
use crate::failure::Failure;
use crate::variables::Variables;
use std::io::Read;
use std::path::Path;

/// The text of a file, or of standard input for `-`, with its variables replaced.
pub fn read(path: &Path, variables: &Variables) -> Result<String, Failure> {
    let (name, text) = if path.as_os_str() == "-" {
        let mut text = String::new();
        (String::from("standard input"), std::io::stdin().read_to_string(&mut text).map(|_| text))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let text = text.map_err(|error| Failure::User(format!("read {name}: {error}")))?;
    // the mark that editors of some systems put in front of UTF-8
    let text = text.strip_prefix('\u{feff}').map_or(text.as_str(), |rest| rest);
    variables.substitute(text).map_err(|error| Failure::User(format!("{name}, {error}")))
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
