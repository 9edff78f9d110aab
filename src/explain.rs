//! `weir explain`: how statements would run.

use crate::arguments::ExplainArguments;
use crate::failure::Failure;
use crate::script;
use crate::session::Session;
use weir_planner::ExplainDetail;

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
    let detail = match (arguments.checkpoint, arguments.json) {
        (true, _) => ExplainDetail::Checkpoint,
        (false, true) => ExplainDetail::JsonExecutionPlan,
        (false, false) => ExplainDetail::ChangelogMode,
    };
    for text in texts {
        for statement in session.planner().parse(&text)? {
            if statement.is_query_or_insert() {
                session.execute(&statement.explained(detail))?;
            } else {
                session.execute(&statement)?;
            }
        }
    }
    Ok(())
}
