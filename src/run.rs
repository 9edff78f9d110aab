//! `weir run`: the statements of files, in one session.

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::script;
use crate::session::{Flow, RECOVERY_PATH, Session, empty_recovery_path};
use crate::variables::Variables;

pub fn run(arguments: &RunArguments) -> Result<(), Failure> {
    if arguments.from.as_ref().is_some_and(|path| path.trim().is_empty()) {
        return Err(empty_recovery_path("--from", "no --from"));
    }
    let variables = script::variables(&arguments.session)?;
    let mut settings = script::settings(&arguments.session)?;
    settings.extend(arguments.from.iter().map(|path| (RECOVERY_PATH.to_string(), path.clone())));
    let mut session = Session::new(&settings, arguments.json, false)?;
    let result = run_files(arguments, &variables, &mut session);
    session.finish(result)
}

fn run_files(arguments: &RunArguments, variables: &Variables, session: &mut Session) -> Result<(), Failure> {
    for file in &arguments.files {
        let text = script::read(file, variables)?;
        let flow = session.execute_script(&text).map_err(|failure| in_file(failure, file))?;
        if flow == Flow::Quit {
            break;
        }
    }
    Ok(())
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
