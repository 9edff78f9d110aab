//! `weir`: Flink SQL at a prompt, from files, and explained.
//!
//! This room talks to a person and owns no semantics: `planner` says what a statement means, `runtime` runs it.

#[macro_use]
mod say;

mod arguments;
mod checkpoint_command;
#[cfg(unix)]
mod control;
mod explain;
mod failure;
mod jobs;
#[cfg(unix)]
mod jobs_command;
#[cfg(not(unix))]
#[path = "no_jobs_command.rs"]
mod jobs_command;
mod memory;
mod progress;
mod render;
mod repl;
mod run;
mod script;
mod session;
mod signals;
mod variables;

use arguments::{Arguments, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

/// Bytes of stack for the thread that plans: expressions nest as deeply as the text does. Only what is used is taken.
const STACK: usize = 256 << 20;

fn main() -> ExitCode {
    memory::keep_freed();
    let planning = std::thread::Builder::new().name("weir".into()).stack_size(STACK).spawn(command);
    match planning.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => {
            say!("error: could not start a thread with {} MiB of stack: {error}", STACK >> 20);
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
fn command() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { 1 } else { 0 };
            // Nobody is left to be told when this fails.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if let Err(failure) = arm_failpoint() {
        say!("error: {failure}");
        return ExitCode::from(failure.exit_code());
    }
    let result = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Sql(arguments) => repl::sql(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Jobs(arguments) => jobs_command::jobs(&arguments),
        Command::Stop(arguments) => jobs_command::stop(&arguments),
        Command::Cancel(argument) => jobs_command::cancel(&argument),
        Command::Checkpoint(command) => checkpoint_command::checkpoint(&command),
        Command::Savepoint(command) => checkpoint_command::savepoint(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::ReaderGone | Failure::Told(_)) {
                say!("error: {failure}");
            }
            if let Failure::Interrupted(signal) = failure {
                signals::end(signal);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Tests have the process die where `WEIR_FAILPOINT` says, and read as slowly as `WEIR_PACE` says. Binaries that were built
/// along with them can, and do so only if the variable is set; others refuse it.
fn arm_failpoint() -> Result<(), Failure> {
    if let Ok(text) = std::env::var("WEIR_PACE") {
        let set = weir_runtime::types::set_source_pace(&text);
        set.map_err(|message| Failure::User(format!("WEIR_PACE: {message}")))?;
    }
    let Ok(text) = std::env::var("WEIR_FAILPOINT") else { return Ok(()) };
    let armed = weir_runtime::types::arm_failpoint(&text);
    armed.map_err(|message| Failure::User(format!("WEIR_FAILPOINT: {message}")))
}
