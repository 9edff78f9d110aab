//! Checkpoints in their directories: listed, checked, removed.

use super::segments_of;
use serde::Serialize;
use std::collections::BTreeSet;
use weir_checkpoint::manifest::{MANIFEST, Manifest, ManifestKind};
use weir_checkpoint::{CheckpointError, Directory, Environment, StoredCheckpoint};
use weir_state::{EntryLayout, OperatorStateBackend};
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
                Ok(stored) => {
                    let contents = FoundContents::of(&stored.manifest);
                    found.push(FoundCheckpoint { path: directory.show(""), contents });
                }
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

/// What a check has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckSummary {
    pub path: String,
    pub files: u64,
    pub segments: u64,
    pub entries: u64,
    /// each names the file and what is wrong with it; none: all is well
    pub problems: Vec<String>,
}

/// Reads everything that a checkpoint consists of and decodes it: sizes, checksums, types, keys in their key groups,
/// numbers of entries.
///
/// Errors: as for opening it; what is wrong inside is among the problems.
pub async fn check_checkpoint(path: &str, environment: &Environment) -> Result<CheckSummary, JobError> {
    let stored = StoredCheckpoint::open(path, environment).await?;
    let mut summary = CheckSummary { path: stored.directory.show(""), ..CheckSummary::default() };
    for file in &stored.manifest.files {
        summary.files += 1;
        let shown = stored.directory.show(&file.path);
        match stored.directory.size(&file.path).await? {
            Some(size) if size >= file.bytes => {}
            Some(size) => {
                summary
                    .problems
                    .push(format!("{shown}: it has {size} bytes where {} are expected", file.bytes));
            }
            None => summary.problems.push(format!("{shown}: there is no such file")),
        }
    }
    for operator in &stored.manifest.operators {
        for subtask in &operator.subtasks {
            if let Some(place) = &subtask.operator_state {
                let read = stored.bytes(place).await.map_err(JobError::from);
                let decoded = read.and_then(|bytes| {
                    OperatorStateBackend::restore(&[bytes], 0, 1, &stored.show(place)).map_err(JobError::from)
                });
                summary.problems.extend(decoded.err().map(|error| error.to_string()));
            }
            let Some(keyed) = &subtask.keyed else { continue };
            if let Err(error) = check_keyed(&stored, keyed, &mut summary).await {
                summary.problems.push(error.to_string());
            }
        }
    }
    Ok(summary)
}

async fn check_keyed(
    stored: &StoredCheckpoint,
    keyed: &weir_checkpoint::manifest::KeyedManifest,
    summary: &mut CheckSummary,
) -> Result<(), JobError> {
    let (snapshot, _) = segments_of(stored, keyed, None).await?;
    for state in &snapshot.index.states {
        let layout = EntryLayout::new(&snapshot.index, state)?;
        for segment in &state.segments {
            let Some(bytes) = snapshot.segments.get(&segment.id) else { continue };
            summary.segments += 1;
            let batch = match layout.batch(bytes, &snapshot.file) {
                Ok(batch) => batch,
                Err(error) => {
                    summary.problems.push(error.to_string());
                    continue;
                }
            };
            summary.entries += batch.num_rows() as u64;
            // encoding them again compares the key groups
            if let Err(error) = layout.segments(&batch) {
                summary.problems.push(format!("{}: state {}: {error}", snapshot.file, state.name));
            }
            if batch.num_rows() != segment.rows as usize {
                let (found, said) = (batch.num_rows(), segment.rows);
                summary.problems.push(format!(
                    "{}: state {}: a segment of {found} entries where the manifest says {said}",
                    snapshot.file, state.name
                ));
            }
        }
    }
    Ok(())
}

/// Removes a checkpoint: its manifest, then those of its files that no other checkpoint of the job needs. Gives the
/// number of files that went.
///
/// Errors: `UserInput` if there is none at `path` itself, if its job runs, or if a neighbour cannot be read, since what that
/// needs is not known then; `Unavailable`.
pub async fn remove_checkpoint(path: &str, environment: &Environment) -> Result<u64, JobError> {
    let trimmed = path.trim_end_matches('/');
    let directory = Directory::open(trimmed.strip_suffix(MANIFEST).unwrap_or(trimmed), environment)?;
    let stored = StoredCheckpoint::open_in(directory.clone()).await.map_err(|error| match error {
        CheckpointError::Missing { .. } => JobError::user_input(format!(
            "cannot remove '{path}': it is no checkpoint; name the directory of one, such as <dir>/<job-id>/chk-7"
        )),
        error => error.into(),
    })?;
    let mut needed: BTreeSet<String> = BTreeSet::new();
    if let Some(process) = directory.join("..").occupied_by() {
        return Err(JobError::user_input(format!(
            "cannot remove '{path}': its job is running ({process}), and later checkpoints may need the files of this one; \
             stop the job first, or let 'execution.checkpointing.num-retained' do it"
        )));
    }
    for (neighbour, opened) in stored.siblings().await? {
        match opened {
            Ok(other) => needed.extend(other.manifest.files.iter().map(|file| neighbour.show(&file.path))),
            Err(error) => {
                return Err(JobError::user_input(format!(
                    "cannot remove '{path}': its neighbour '{}' cannot be read, so it is not known which files that \
                     needs: {error}; remove them by hand",
                    neighbour.show("")
                )));
            }
        }
    }
    directory.delete(MANIFEST).await?;
    let mut removed = 1;
    for file in &stored.manifest.files {
        if !needed.contains(&directory.show(&file.path)) {
            directory.delete(&file.path).await?;
            removed += 1;
        }
    }
    directory.remove_if_empty().await;
    Ok(removed)
}
