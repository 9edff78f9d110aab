//! `weir sql`: a prompt.

mod editor;

use crate::arguments::SqlArguments;
use crate::failure::Failure;
use crate::script;
use crate::session::{Flow, Session};
use editor::{Line, Prompt, Words, is_bare_command};
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

/// What `\?` and HELP print.
pub const HELP: &str = "\
Statements end with `;` and may span lines. Ctrl-C stops a running query, or drops what was typed; Ctrl-D leaves.

  SELECT ..                        runs a query and shows its rows as they come
  INSERT INTO t SELECT ..          runs a job: in the background if its input never ends
  CREATE TABLE / VIEW, DROP, SHOW TABLES, DESCRIBE t, SHOW CREATE TABLE t
  SET 'key' = 'value'; SET; RESET  settings; 'sql-client.execution.result-mode' is tableau, table or changelog
  EXPLAIN [CHANGELOG_MODE] ..      the plan, its operators and the state that they keep
  SHOW JOBS, SHOW CHECKPOINTS, CREATE SAVEPOINT ['dir'] FOR JOB 'id', STOP JOB 'id' [WITH SAVEPOINT ['dir']]

  \\?            this help          \\d            tables        \\d NAME       columns of a table
  \\i FILE       run a file         \\df           functions     \\q            quit";

pub fn sql(arguments: &SqlArguments) -> Result<(), Failure> {
    let variables = script::variables(&arguments.session)?;
    let interactive = arguments.execute.is_none() && std::io::stdin().is_terminal();
    let mut session = Session::new(&script::settings(&arguments.session)?, arguments.json, interactive)?;
    for file in &arguments.init {
        session.execute_script(&script::read(file, &variables)?)?;
    }
    if let Some(text) = &arguments.execute {
        let text = variables.substitute(text).map_err(Failure::User)?;
        let result = session.execute_script(&text).map(|_| ());
        return session.finish(result);
    }
    if interactive {
        return prompt(&mut session);
    }
    let result = piped(&mut session);
    session.finish(result)
}

/// Statements from standard input that is no terminal: each runs as soon as it is complete.
fn piped(session: &mut Session) -> Result<(), Failure> {
    let mut text = String::new();
    let mut lines = std::io::stdin().lock().lines();
    while let Some(line) = session.while_reading(|| lines.next())? {
        let line = line.map_err(|error| Failure::User(format!("read standard input: {error}")))?;
        text.push_str(&line);
        text.push('\n');
        if weir_planner::is_complete(&text)
            && session.execute_script(&std::mem::take(&mut text))? == Flow::Quit
        {
            return Ok(());
        }
    }
    if !text.trim().is_empty() {
        session.execute_script(&text)?;
    }
    Ok(())
}

/// Where the history is kept: `$WEIR_HISTORY`, else a file in the home folder.
fn history_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_HISTORY") {
        return (!path.is_empty()).then(|| path.into());
    }
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".weir_history"))
}

fn words(session: &Session) -> Words {
    let planner = session.planner();
    Words {
        keywords: planner.keywords(),
        functions: planner.function_names(),
        tables: planner.table_names(),
        columns: planner.column_names(),
    }
}

fn prompt(session: &mut Session) -> Result<(), Failure> {
    let mut prompt = Prompt::new(weir_planner::is_complete, history_file())
        .map_err(|error| Failure::User(format!("open the prompt: {error}")))?;
    println!("Weir {}. \\? for help, \\q to quit.", env!("CARGO_PKG_VERSION"));
    loop {
        session.tell_news();
        prompt.set_words(words(session));
        let line =
            prompt.read().map_err(|error| Failure::User(format!("read from the terminal: {error}")))?;
        let text = match line {
            Line::Text(text) => text,
            Line::Interrupted => continue,
            Line::End => return Ok(()),
        };
        match typed(session, text.trim()) {
            Ok(Flow::Continue) | Err(Failure::Interrupted(_)) => {}
            Ok(Flow::Quit) => return Ok(()),
            Err(failure) => say!("error: {failure}"),
        }
    }
}

/// One entry at the prompt: a command or statements.
fn typed(session: &mut Session, text: &str) -> Result<Flow, Failure> {
    let Some(command) = text.strip_prefix('\\') else {
        return match text.trim_end_matches(';').trim_end().to_lowercase().as_str() {
            "" => Ok(Flow::Continue),
            "quit" | "exit" => Ok(Flow::Quit),
            _ if is_bare_command(text) => session.execute_script(&format!("{};", text.trim_end_matches(';'))),
            _ => session.execute_script(text),
        };
    };
    let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let argument = argument.trim().trim_end_matches(';');
    match (name.trim_end_matches(';'), argument) {
        ("?" | "h" | "help", _) => {
            println!("{HELP}");
            Ok(Flow::Continue)
        }
        ("q" | "quit", _) => Ok(Flow::Quit),
        ("d", "") => session.execute_script("SHOW TABLES;"),
        ("d", table) => session.execute_script(&format!("DESCRIBE {table};")),
        ("df", _) => session.execute_script("SHOW FUNCTIONS;"),
        ("i", "") => Err(Failure::User("\\i: which file?".into())),
        ("i", file) => {
            let text = script::read(std::path::Path::new(file), &crate::variables::Variables::default())?;
            session.execute_script(&text)
        }
        (other, _) => Err(Failure::User(format!("\\{other}: no such command, \\? lists them"))),
    }
}
