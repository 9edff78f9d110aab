//! `weir explain`: how statements would run.

use crate::arguments::ExplainArguments;
use crate::failure::Failure;
use crate::script;
use crate::session::Session;

pub fn explain(arguments: &ExplainArguments) -> Result<(), Failure> {
    let variables = script::variables(&arguments.session)?;
    let json = arguments.checkpoint && arguments.json;
    let mut session = Session::new(&script::settings(&arguments.session)?, json, false)?;
    let mut texts = Vec::new();
    for file in &arguments.files {
        texts.push(script::read(file, &variables)?);
    }
    if let Some(text) = &arguments.execute {
        texts.push(variables.substitute(text).map_err(Failure::User)?);
    }
    if texts.is_empty() {
        return Err(Failure::User("nothing to explain: name a file, or give a statement with -e".into()));
    }
    for text in texts {
        for statement in session.planner().parse(&text)? {
            if statement.is_query_or_insert() {
                let details = match (arguments.checkpoint, arguments.json) {
                    (true, _) => "EXPLAIN CHECKPOINT",
                    (false, true) => "EXPLAIN JSON_EXECUTION_PLAN",
                    (false, false) => "EXPLAIN CHANGELOG_MODE",
                };
                session.execute_script(&format!("{details} {};", statement.text()))?;
            } else {
                session.execute(&statement)?;
            }
        }
    }
    Ok(())
}
