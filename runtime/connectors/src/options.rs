//! Reading a table's `WITH` clause: every option is asked for once, and what nobody asked for is an error.

use std::cell::RefCell;
use std::fmt::Display;
use std::str::FromStr;
use weir_types::{OptionError, TableDescriptor, parse_bytes, parse_duration_ms};

/// The options of one table. Remembers the names that were asked for, so that [`TableOptions::finish`] can tell
/// the unknown ones and suggest the nearest name.
pub(crate) struct TableOptions<'a> {
    table: &'a TableDescriptor,
    connector: &'static str,
    known: RefCell<Vec<String>>,
}

impl<'a> TableOptions<'a> {
    pub fn new(table: &'a TableDescriptor, connector: &'static str) -> Self {
        let known = RefCell::new(vec!["connector".to_string()]);
        TableOptions { table, connector, known }
    }

    /// The text of an option. Asking makes the name known.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.know(key);
        self.table.option(key)
    }

    /// Makes a name known that something else (a format, the planner) reads.
    pub fn know(&self, key: &str) {
        let mut known = self.known.borrow_mut();
        if !known.iter().any(|name| name == key) {
            known.push(key.to_string());
        }
    }

    /// The text of an option that must be there; `meaning` goes on in the message: `a directory or file`.
    pub fn required(&self, key: &str, meaning: &str) -> Result<&'a str, OptionError> {
        self.text(key).ok_or_else(|| {
            self.error(key, format!("connector '{}' needs option '{key}': {meaning}", self.connector))
        })
    }

    /// An option that parses; `expected` goes on in the message: `a whole number`.
    pub fn parsed<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, OptionError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let value = text.trim().parse();
        value.map(Some).map_err(|_| self.malformed(key, format!("'{text}' is not {expected}")))
    }

    pub fn boolean(&self, key: &str) -> Result<Option<bool>, OptionError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(self.malformed(key, format!("'{text}' is neither 'true' nor 'false'"))),
        }
    }

    /// Milliseconds of `10 s`.
    pub fn duration_ms(&self, key: &str) -> Result<Option<u64>, OptionError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        parse_duration_ms(text).map(Some).map_err(|reason| self.malformed(key, reason))
    }

    /// Bytes of `128 mb`.
    pub fn bytes(&self, key: &str) -> Result<Option<u64>, OptionError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        parse_bytes(text).map(Some).map_err(|reason| self.malformed(key, reason))
    }

    /// The options of every scan: those of watermarks are read by the planner, and checked here.
    pub fn scan(&self) -> Result<(), OptionError> {
        self.parallelism("scan.parallelism")?;
        self.duration_ms("scan.watermark.idle-timeout")?;
        match self.text("scan.watermark.emit.strategy") {
            None | Some("on-event" | "on-periodic") => Ok(()),
            Some(other) => Err(self.malformed(
                "scan.watermark.emit.strategy",
                format!("'{other}' is neither 'on-periodic' nor 'on-event'"),
            )),
        }
    }

    /// The options of every sink.
    pub fn sink(&self) -> Result<(), OptionError> {
        self.parallelism("sink.parallelism")
    }

    /// The planner reads it: it says of how many subtasks an operator is.
    fn parallelism(&self, key: &str) -> Result<(), OptionError> {
        match self.parsed::<u32>(key, "a whole number")? {
            Some(0) => Err(self.malformed(key, "it must be at least 1".into())),
            _ => Ok(()),
        }
    }

    /// An option whose value is wrong.
    pub fn malformed(&self, key: &str, reason: String) -> OptionError {
        self.error(key, format!("option '{key}' of connector '{}': {reason}", self.connector))
    }

    /// An option of Flink's that is not built, refused by name rather than called unknown.
    pub fn refuse(&self, keys: &[&str], instead: &str) -> Result<(), OptionError> {
        match keys.iter().find(|key| self.table.options.contains_key(**key)) {
            None => Ok(()),
            Some(key) => Err(self.error(
                key,
                format!("option '{key}' of connector '{}' is not supported: {instead}", self.connector),
            )),
        }
    }

    /// The table's name goes in front of every message.
    fn error(&self, key: &str, message: String) -> OptionError {
        OptionError { option: Some(key.into()), message: format!("table {}: {message}", self.table.name) }
    }

    /// An error about the table rather than one option.
    pub fn table_error(&self, message: impl Display) -> OptionError {
        OptionError { option: None, message: format!("table {}: {message}", self.table.name) }
    }

    /// Fails on the first option that nobody asked for.
    pub fn finish(self) -> Result<(), OptionError> {
        let known = self.known.borrow();
        let Some(key) = self.table.options.keys().find(|key| !known.contains(key)) else { return Ok(()) };
        let mut message = format!("unknown option '{key}' for connector '{}'", self.connector);
        match weir_types::nearest(key, known.iter().map(String::as_str)) {
            Some(name) => message.push_str(&format!(", did you mean '{name}'?")),
            None => {
                let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
                names.sort_unstable();
                message.push_str(&format!("; it has: {}", names.join(", ")));
            }
        }
        Err(self.error(key, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::table;

    fn read<T>(
        options: &[(&str, &str)],
        read: impl Fn(&TableOptions) -> Result<T, OptionError>,
    ) -> Result<T, String> {
        let table = table("t", &[], options);
        let options = TableOptions::new(&table, "filesystem");
        let value = read(&options).map_err(|error| error.message)?;
        options.finish().map_err(|error| error.message)?;
        Ok(value)
    }

    #[test]
    fn values_are_read() {
        let options =
            [("connector", "filesystem"), ("a", " 7 "), ("b", "TRUE"), ("c", "10 s"), ("d", "1 kb")];
        let values = read(&options, |options| {
            Ok((
                options.parsed::<u64>("a", "a whole number")?,
                options.boolean("b")?,
                options.duration_ms("c")?,
                options.bytes("d")?,
                options.text("e").map(String::from),
            ))
        });
        assert_eq!(values, Ok((Some(7), Some(true), Some(10_000), Some(1024), None)));
    }

    #[test]
    fn errors_name_the_option() {
        let wrong = read(&[("rows", "many")], |options| options.parsed::<u64>("rows", "a whole number"));
        assert_eq!(
            wrong,
            Err("table t: option 'rows' of connector 'filesystem': 'many' is not a whole number".into())
        );
        let missing = read(&[], |options| options.required("path", "where the files are").map(String::from));
        assert_eq!(
            missing,
            Err("table t: connector 'filesystem' needs option 'path': where the files are".into())
        );
        let unknown = read(&[("pth", "x")], |options| Ok(options.text("path").map(String::from)));
        assert_eq!(
            unknown,
            Err("table t: unknown option 'pth' for connector 'filesystem', did you mean 'path'?".into())
        );
        let far = read(&[("zzzzz", "x")], |options| Ok(options.text("path").map(String::from)));
        assert_eq!(
            far,
            Err("table t: unknown option 'zzzzz' for connector 'filesystem'; it has: connector, path".into())
        );
    }
}
