//! Checkpoints in their directories.

use serde::Serialize;
use weir_checkpoint::manifest::{Manifest, ManifestKind};
use weir_checkpoint::{CheckpointError, Directory, Environment, StoredCheckpoint};
use weir_types::JobError;

/// How deep below a directory checkpoints are looked for: `<dir>/<job-id>/chk-7`.
const DEPTH: usize = 2;

/// A checkpoint or savepoint that was found.
#[derive(Clone, Debug, Serialize)]
pub struct FoundCheckpoint {
    pub path: String,
    /// what its manifest says, or why it cannot be read
    #[serde(flatten)]
    pub contents: FoundContents,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundContents {
    Readable {
        id: u64,
        kind: ManifestKind,
        job_id: String,
        job: String,
        /// since 1970-01-01T00:00:00Z
        triggered_at_ms: i64,
        duration_ms: u64,
        state_bytes: u64,
        new_bytes: u64,
        in_flight_bytes: u64,
    },
    Damaged(String),
}

impl FoundCheckpoint {
    pub(super) fn of(stored: &StoredCheckpoint) -> FoundCheckpoint {
        let contents = FoundContents::of(&stored.manifest);
        FoundCheckpoint { path: stored.directory.show(""), contents }
    }
}

impl FoundContents {
    fn of(manifest: &Manifest) -> FoundContents {
        let statistics = &manifest.statistics;
        FoundContents::Readable {
            id: manifest.checkpoint.0,
            kind: manifest.kind,
            job_id: manifest.job.id.clone(),
            job: manifest.job.name.clone(),
            triggered_at_ms: statistics.triggered_at_ms,
            duration_ms: statistics.duration_ms,
            state_bytes: statistics.state_bytes,
            new_bytes: statistics.new_bytes,
            in_flight_bytes: statistics.in_flight_bytes,
        }
    }

    /// The oldest first, damaged ones last.
    fn order(&self) -> (bool, i64) {
        match self {
            FoundContents::Readable { triggered_at_ms, .. } => (false, *triggered_at_ms),
            FoundContents::Damaged(_) => (true, 0),
        }
    }
}

/// The checkpoints at `path` and below: of a job, or of all jobs of a directory.
///
/// Errors: `UserInput` for what is no directory, `Unavailable` if storage does not answer.
pub async fn list_checkpoints(
    path: &str,
    environment: &Environment,
) -> Result<Vec<FoundCheckpoint>, JobError> {
    let mut found = Vec::new();
    let root = Directory::open(path, environment)?;
    if !root.may_exist() {
        return Err(JobError::user_input(format!(
            "cannot list checkpoints in '{path}': there is no such directory"
        )));
    }
    let mut level = vec![root];
    for _ in 0..=DEPTH {
        let mut next = Vec::new();
        for directory in level {
            match StoredCheckpoint::open_in(directory.clone()).await {
                Ok(stored) => found.push(FoundCheckpoint::of(&stored)),
                Err(CheckpointError::Missing { .. }) => {
                    let below = directory.list().await?.into_iter().filter(|name| !name.starts_with('.'));
                    next.extend(below.map(|name| directory.join(&name)));
                }
                Err(error @ (CheckpointError::Truncated { .. } | CheckpointError::Corrupt { .. })) => {
                    let contents = FoundContents::Damaged(error.to_string());
                    found.push(FoundCheckpoint { path: directory.show(""), contents });
                }
                Err(error) => return Err(error.into()),
            }
        }
        level = next;
    }
    found.sort_by(|a, b| a.contents.order().cmp(&b.contents.order()).then_with(|| a.path.cmp(&b.path)));
    Ok(found)
}
