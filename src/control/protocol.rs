//! What is asked and answered. Fields may be added; whoever does not know one ignores it. What changes otherwise gets a
//! new [`VERSION`].

use crate::failure::Failure;
use crate::jobs::{CheckpointDetails, CheckpointsReport, JobReport};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub const VERSION: u32 = 1;

/// The longest question, in bytes.
pub const QUESTION_BYTES: u64 = 64 << 10;
/// The longest answer, in bytes.
pub const ANSWER_BYTES: u64 = 64 << 20;

/// Jobs are named by their ids, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    Jobs,
    Checkpoints {
        job: String,
    },
    CheckpointDetails {
        job: String,
        checkpoint: u64,
    },
    Savepoint {
        job: String,
        /// absolute, or a URL; `None`: that of the job's settings
        directory: Option<String>,
        canonical: bool,
    },
    Stop {
        job: String,
        directory: Option<String>,
        canonical: bool,
        drain: bool,
    },
    Cancel {
        job: String,
    },
    Checkpoint {
        job: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// those that run
    Jobs(Vec<JobReport>),
    Checkpoints(Box<CheckpointsReport>),
    CheckpointDetails(Box<CheckpointDetails>),
    /// of `Savepoint` and `Stop`
    Savepoint {
        path: String,
    },
    Checkpoint {
        id: u64,
        /// `None`: it is in memory
        path: Option<String>,
    },
    /// of `Cancel`: Flink's word for how the job ended
    Ended {
        status: String,
    },
    Refused(Refusal),
}

/// Why nothing came of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// who asked is wrong, and not what was asked for
    pub user: bool,
    pub message: String,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Refusal { user: matches!(failure, Failure::User(_)), message: failure.to_string() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal.user {
            true => Failure::User(refusal.message),
            false => Failure::Job(refusal.message),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    weir: u32,
    says: T,
}

/// What a line of any version has.
#[derive(Deserialize)]
struct AnyLine {
    weir: u32,
}

/// A line, with its end.
pub fn encode<T: Serialize>(says: T) -> String {
    let line = serde_json::to_string(&Line { weir: VERSION, says });
    // types with texts as keys and no maps of others are always written
    let mut line = line.unwrap_or_else(|error| format!("{{\"weir\":{VERSION},\"error\":\"{error}\"}}"));
    line.push('\n');
    line
}

/// What a line says.
///
/// Errors: a text that says what is wrong with it.
pub fn decode<T: DeserializeOwned>(line: &str) -> Result<T, String> {
    let version: AnyLine =
        serde_json::from_str(line).map_err(|error| format!("it is no message: {error}"))?;
    if version.weir != VERSION {
        return Err(format!(
            "it is of protocol version {}, not {VERSION}: another Weir wrote it",
            version.weir
        ));
    }
    let line: Line<T> = serde_json::from_str(line).map_err(|error| format!("it is no message: {error}"))?;
    Ok(line.says)
}
