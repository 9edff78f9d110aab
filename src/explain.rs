//! `weir explain`: how statements would run.

use crate::arguments::ExplainArguments;
use crate::failure::Failure;
use crate::script;
use crate::session::Session;
use std::io::Write;
use weir_planner::ExplainDetail;

pub fn explain(arguments: &ExplainArguments) -> Result<(), Failure> {
    let variables = script::variables(&arguments.session)?;
    let mut session = Session::new(&script::settings(&arguments.session)?, arguments.json, false)?;
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
    let detail = if arguments.checkpoint { ExplainDetail::Checkpoint } else { ExplainDetail::ChangelogMode };
    let operators_alone = arguments.json && !arguments.checkpoint;
    for text in texts {
        for statement in session.planner().parse(&text)? {
            if !statement.is_query_or_insert() {
                session.execute(&statement)?;
            } else if operators_alone {
                let operators = session.planner().explain(&statement, &[ExplainDetail::JsonAlone])?;
                writeln!(std::io::stdout().lock(), "{operators}")?;
            } else {
                session.execute(&statement.explained(detail))?;
            }
        }
    }
    Ok(())
}
