//! The line editor of the prompt: statements over several lines until `;`, history, completion.

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::HistoryHinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper, Hinter};
use std::borrow::Cow;
use std::path::PathBuf;

/// What the prompt can complete, as of the last statement.
#[derive(Debug, Default, Clone)]
pub struct Words {
    pub keywords: Vec<String>,
    pub functions: Vec<String>,
    pub tables: Vec<String>,
    pub columns: Vec<String>,
}

/// Says whether a text is complete: ends in `;` outside of strings, comments and statement sets.
pub type IsComplete = fn(&str) -> bool;

#[derive(Helper, Hinter)]
struct SqlHelper {
    words: Words,
    is_complete: IsComplete,
    #[rustyline(Hinter)]
    hinter: HistoryHinter,
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let done =
            text.is_empty() || text.starts_with('\\') || is_bare_command(text) || (self.is_complete)(text);
        Ok(if done { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// `quit`, `exit` and `help` work without a `;`, as in psql.
pub fn is_bare_command(text: &str) -> bool {
    ["quit", "exit", "help", "clear"].contains(&text.trim_end_matches(';').trim_end().to_lowercase().as_str())
}

impl Completer for SqlHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let start = line[..pos]
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map_or(0, |place| place + line[place..].chars().next().map_or(1, char::len_utf8));
        Ok((start, self.words.starting_with(&line[start..pos], &line[..start])))
    }
}

impl Words {
    /// Candidates for a word that begins with `prefix`, after `before`. Names keep their case; keywords and functions
    /// come in the case that was begun.
    fn starting_with(&self, prefix: &str, before: &str) -> Vec<String> {
        if prefix.is_empty() {
            return Vec::new();
        }
        let wanted = prefix.to_lowercase();
        let lower = prefix.chars().all(|c| !c.is_uppercase());
        let fits = |word: &&String| word.to_lowercase().starts_with(&wanted);
        let in_case = |word: &String| if lower { word.to_lowercase() } else { word.to_uppercase() };
        let last = before.split_whitespace().last().unwrap_or("").to_uppercase();
        let after_table_word = ["FROM", "JOIN", "INTO", "TABLE", "DESCRIBE", "DESC", "VIEW"]
            .contains(&last.trim_start_matches('('));
        let mut found: Vec<String> = self.tables.iter().filter(fits).cloned().collect();
        if !after_table_word {
            found.extend(self.columns.iter().filter(fits).cloned());
        }
        found.sort();
        found.dedup();
        let mut fixed: Vec<String> =
            self.keywords.iter().chain(&self.functions).filter(fits).map(in_case).collect();
        fixed.sort();
        fixed.dedup();
        if !after_table_word || found.is_empty() {
            found.extend(fixed);
        }
        found
    }
}

impl Highlighter for SqlHelper {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        false
    }
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Text(String),
    /// Ctrl-C: drop what was typed
    Interrupted,
    /// Ctrl-D on an empty line
    End,
}

/// The prompt.
pub struct Prompt {
    editor: Editor<SqlHelper, FileHistory>,
    history: Option<PathBuf>,
}

impl Prompt {
    /// `history` is read now and appended to after each statement; `None` keeps none.
    pub fn new(is_complete: IsComplete, history: Option<PathBuf>) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .max_history_size(10_000)?
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(SqlHelper {
            words: Words::default(),
            is_complete,
            hinter: HistoryHinter::default(),
        }));
        if let Some(path) = &history {
            // The first run has none; an unreadable one is not worth a failure.
            let _ = editor.load_history(path);
        }
        Ok(Prompt { editor, history })
    }

    pub fn set_words(&mut self, words: Words) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.words = words;
        }
    }

    pub fn read(&mut self) -> Result<Line, ReadlineError> {
        match self.editor.readline("weir> ") {
            Ok(text) => {
                if !text.trim().is_empty() {
                    self.editor.add_history_entry(text.as_str())?;
                    if let Some(path) = &self.history {
                        let _ = self.editor.append_history(path);
                    }
                }
                Ok(Line::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words {
            keywords: vec!["SELECT".into(), "SET".into(), "FROM".into()],
            functions: vec!["SESSION".into()],
            tables: vec!["seats".into(), "Bids".into()],
            columns: vec!["seat".into()],
        }
    }

    #[test]
    fn completes_names_before_words_in_the_case_begun() {
        assert_eq!(words().starting_with("se", ""), ["seat", "seats", "select", "session", "set"]);
        assert_eq!(words().starting_with("SEL", ""), ["SELECT"]);
        assert_eq!(words().starting_with("se", "SELECT * FROM "), ["seats"]);
        assert_eq!(words().starting_with("b", "select * from "), ["Bids"]);
        assert!(words().starting_with("", "select ").is_empty());
    }

    #[test]
    fn bare_commands() {
        assert!(is_bare_command("QUIT;") && is_bare_command("exit") && !is_bare_command("select"));
    }
}
