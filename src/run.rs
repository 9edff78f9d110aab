//! `weir run`: the statements of files, in one session.

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::script;
use crate::session::{Flow, Session};

pub fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let variables = script::variables(&arguments.session)?;
    let mut session = Session::new(&script::settings(&arguments.session)?, arguments.json, false)?;
    for file in &arguments.files {
        let text = script::read(file, &variables)?;
        let flow = session.execute_script(&text).map_err(|failure| in_file(failure, file))?;
        if flow == Flow::Quit {
            break;
        }
    }
    session.wait_for_jobs()
}

/// Where several files run, a person wants to know which one it was.
fn in_file(failure: Failure, file: &std::path::Path) -> Failure {
    if file.as_os_str() == "-" {
        return failure;
    }
    match failure {
        Failure::User(message) => Failure::User(format!("{}: {message}", file.display())),
        other => other,
    }
}
