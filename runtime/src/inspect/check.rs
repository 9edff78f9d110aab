//! Checkpoints read whole, to see whether they are sound.

use super::places::list_checkpoints;
use super::{FoundCheckpoint, FoundContents, segments_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use weir_checkpoint::manifest::{FileRecord, KeyedManifest, MANIFEST};
use weir_checkpoint::{CheckpointError, Directory, Environment, StoredCheckpoint};
use weir_state::{EntryLayout, OperatorStateBackend};
use weir_types::JobError;

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

/// Reads everything that a checkpoint consists of: all bytes of its files, by the checksums that its manifest has of them, and
/// then what is in them, decoded: types, keys in their key groups, numbers of entries. `path` is that of a checkpoint, or of a
/// directory with some, of a job or of several: all below are checked.
///
/// Errors: `UserInput` if there is none, `Unavailable` if storage does not answer; what is wrong inside is among the problems.
pub async fn check_checkpoints(path: &str, environment: &Environment) -> Result<Vec<CheckSummary>, JobError> {
    let trimmed = path.trim_end_matches('/');
    let own = Directory::open(trimmed.strip_suffix(MANIFEST).unwrap_or(trimmed), environment)?;
    let found = match StoredCheckpoint::open_in(own).await {
        Err(CheckpointError::Missing { .. }) => list_checkpoints(path, environment).await?,
        // of one that was named it is said why it cannot be opened
        opened => vec![FoundCheckpoint::of(&opened?)],
    };
    let mut checker = Checker { environment, files: BTreeMap::new() };
    let mut summaries = Vec::with_capacity(found.len());
    for FoundCheckpoint { path, contents } in found {
        summaries.push(match contents {
            FoundContents::Damaged(problem) => {
                CheckSummary { path, files: 1, problems: vec![problem], ..CheckSummary::default() }
            }
            FoundContents::Readable { .. } => checker.check(&path).await?,
        });
    }
    if summaries.is_empty() {
        // says what a checkpoint is
        StoredCheckpoint::open(path, environment).await?;
    }
    Ok(summaries)
}

/// Checks checkpoints that may have files in common, which are read once.
struct Checker<'a> {
    environment: &'a Environment,
    /// what is wrong with each, by its path and what it should be
    files: BTreeMap<(String, u64, bool), Option<String>>,
}

/// What is wrong with a checkpoint.
#[derive(Default)]
struct Problems {
    texts: Vec<String>,
    /// the files that they are of, by their places in the manifest
    of_files: BTreeMap<u32, usize>,
}

impl Problems {
    /// Something was not as it should be that lies in some of `files`: if it is known what is wrong with one of these, that is
    /// the reason, and which part it is in is told with it.
    fn add(&mut self, problem: String, files: &BTreeSet<u32>) {
        let reason = files.iter().find_map(|file| self.of_files.get(file));
        match reason.and_then(|reason| self.texts.get_mut(*reason)) {
            Some(text) if problem.contains("segment ") => *text = format!("{text}; {problem}"),
            Some(_) => {}
            None => self.texts.push(problem),
        }
    }
}

impl Checker<'_> {
    async fn check(&mut self, path: &str) -> Result<CheckSummary, JobError> {
        let stored = StoredCheckpoint::open(path, self.environment).await?;
        let mut summary = CheckSummary { path: stored.directory.show(""), ..CheckSummary::default() };
        let mut problems = Problems::default();
        for (place, file) in stored.manifest.files.iter().enumerate() {
            summary.files += 1;
            if let Some(problem) = self.file(&stored, file).await? {
                problems.of_files.insert(place as u32, problems.texts.len());
                problems.texts.push(problem);
            }
        }
        for operator in &stored.manifest.operators {
            for subtask in &operator.subtasks {
                if let Some(place) = &subtask.operator_state {
                    let read = stored.bytes(place).await.map_err(JobError::from);
                    let decoded = read.and_then(|bytes| {
                        let restored = OperatorStateBackend::restore(&[bytes], 0, 1, &stored.show(place));
                        restored.map_err(JobError::from)
                    });
                    if let Err(error) = decoded {
                        problems.add(error.to_string(), &place.file.into_iter().collect());
                    }
                }
                if let Some(keyed) = &subtask.keyed {
                    let files = stored.files_of(keyed);
                    let damaged = |file| problems.of_files.contains_key(&file);
                    let parts = stored.check_parts(keyed, damaged).await;
                    let is_sound = parts.is_empty() && !files.iter().any(|file| damaged(*file));
                    parts.into_iter().for_each(|error| problems.add(error.to_string(), &files));
                    let entries = check_entries(&stored, keyed, &mut summary).await;
                    // what has been found is not told again in other words
                    match entries {
                        _ if !is_sound => {}
                        Ok(found) => problems.texts.extend(found),
                        Err(error) => problems.texts.push(error.to_string()),
                    }
                }
            }
        }
        summary.problems = problems.texts;
        Ok(summary)
    }

    /// What is wrong with a file.
    async fn file(
        &mut self,
        stored: &StoredCheckpoint,
        file: &FileRecord,
    ) -> Result<Option<String>, JobError> {
        let known = (stored.directory.show(&file.path), file.bytes, file.checksums.is_some());
        if let Some(problem) = self.files.get(&known) {
            return Ok(problem.clone());
        }
        let problem = match stored.check_file(file).await {
            Ok(()) => None,
            Err(error @ CheckpointError::Storage { .. }) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        self.files.insert(known, problem.clone());
        Ok(problem)
    }
}

/// What is wrong with the entries of a keyed state.
async fn check_entries(
    stored: &StoredCheckpoint,
    keyed: &KeyedManifest,
    summary: &mut CheckSummary,
) -> Result<Vec<String>, JobError> {
    let (snapshot, _) = segments_of(stored, keyed, None).await?;
    let mut problems = Vec::new();
    for state in &snapshot.index.states {
        let layout = EntryLayout::new(&snapshot.index, state)?;
        for segment in &state.segments {
            let Some(bytes) = snapshot.segments.get(&segment.id) else { continue };
            summary.segments += 1;
            let batch = match layout.batch(bytes, &snapshot.file) {
                Ok(batch) => batch,
                Err(error) => {
                    problems.push(error.to_string());
                    continue;
                }
            };
            summary.entries += batch.num_rows() as u64;
            // encoding them again compares the key groups
            if let Err(error) = layout.segments(&batch) {
                problems.push(format!("{}: state {}: {error}", snapshot.file, state.name));
            }
            if batch.num_rows() != segment.rows as usize {
                let (found, said) = (batch.num_rows(), segment.rows);
                problems.push(format!(
                    "{}: state {}: a segment of {found} entries where the manifest says {said}",
                    snapshot.file, state.name
                ));
            }
        }
    }
    Ok(problems)
}
