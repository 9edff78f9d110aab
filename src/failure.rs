//! Why the binary ends early, and with which exit code.

use crate::signals::Signal;
use weir_planner::PlanError;
use weir_runtime::{ErrorKind, JobError};

/// What a person is told, and whose fault it was.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The statement, an option or a file is wrong.
    #[error("{0}")]
    User(String),
    /// A job failed while it ran.
    #[error("{0}")]
    Job(String),
    /// Ctrl-C, or SIGTERM.
    #[error("{}", .0.message())]
    Interrupted(Signal),
    /// It has been said, and this is the exit code.
    #[error("a job has failed")]
    Told(u8),
    /// Whoever reads the results has gone (`weir .. | head`): nothing to say, and nothing failed.
    #[error("the reader of the results has gone")]
    ReaderGone,
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::User(_) => 1,
            Failure::Job(_) => 2,
            Failure::Interrupted(signal) => signal.exit_code(),
            Failure::Told(code) => *code,
            Failure::ReaderGone => 0,
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Failure::User(error.render())
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        match error.kind {
            ErrorKind::UserInput => Failure::User(error.message),
            ErrorKind::ReaderGone => Failure::ReaderGone,
            _ => Failure::Job(error.message),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Job(format!("write results: {error}")),
        }
    }
}
