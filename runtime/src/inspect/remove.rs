//! Checkpoints removed, with what belongs to them alone.

use std::collections::BTreeSet;
use weir_checkpoint::manifest::{MANIFEST, ManifestKind};
use weir_checkpoint::{CheckpointError, Directory, Environment, StoredCheckpoint};
use weir_types::JobError;

/// The directory of a job's files that several checkpoints use.
const SHARED: &str = "../shared";

/// What came of removing a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// files that are gone, the manifest included
    pub files: u64,
    /// what may have belonged to it and is still there, and what to do about it
    pub left: Option<String>,
}

/// A checkpoint that is to go, or what is left of one.
struct Doomed {
    directory: Directory,
    /// its files, relative to the directory; `None`: its manifest is damaged
    files: Option<Vec<String>>,
    /// a savepoint is complete in itself
    alone: bool,
}

/// What the other checkpoints of a job need.
#[derive(Default)]
struct Neighbours {
    /// files, as they are shown
    needed: BTreeSet<String>,
    /// one that cannot be read, and why
    unread: Option<(String, CheckpointError)>,
}

/// Removes a checkpoint: its manifest, then those of its files that no other checkpoint of the job needs.
///
/// Of one whose manifest is damaged these are the files in its own directory. What it may have had in the job's directory of
/// shared files is told, and removed with `force`, as everything there that no checkpoint of the job names. With `force` it
/// also goes if a neighbour cannot be read, and takes along only what is in its own directory.
///
/// Errors: `UserInput` if there is none at `path` itself, if its job runs, or, without `force`, if a neighbour cannot be read,
/// since what that needs is not known then; `Unavailable`.
pub async fn remove_checkpoint(
    path: &str,
    force: bool,
    environment: &Environment,
) -> Result<Removed, JobError> {
    let refuse = |reason: String| JobError::user_input(format!("cannot remove '{path}': {reason}"));
    let doomed = open(path, environment).await?;
    if let Some(process) = doomed.directory.join("..").occupied_by() {
        return Err(refuse(format!(
            "its job is running ({process}), and later checkpoints may need the files of this one; stop the job first, or let \
             'execution.checkpointing.num-retained' do it"
        )));
    }
    let neighbours = match doomed.alone {
        true => Neighbours::default(),
        false => neighbours(&doomed.directory).await?,
    };
    if let Some((neighbour, error)) = neighbours.unread.as_ref().filter(|_| !force) {
        return Err(refuse(format!(
            "its neighbour '{neighbour}' cannot be read, so it is not known which files that needs: {error}; with --force this \
             one goes with what is in its own directory, and the rest of its files stays"
        )));
    }
    doomed.remove(&neighbours, force).await
}

async fn open(path: &str, environment: &Environment) -> Result<Doomed, JobError> {
    let trimmed = path.trim_end_matches('/');
    let directory = Directory::open(trimmed.strip_suffix(MANIFEST).unwrap_or(trimmed), environment)?;
    match StoredCheckpoint::open_in(directory.clone()).await {
        Ok(stored) => {
            let files = stored.manifest.files.iter().map(|file| file.path.clone()).collect();
            let alone = stored.manifest.kind != ManifestKind::Checkpoint;
            Ok(Doomed { directory, files: Some(files), alone })
        }
        Err(CheckpointError::Truncated { .. } | CheckpointError::Corrupt { .. }) => {
            Ok(Doomed { directory, files: None, alone: false })
        }
        Err(CheckpointError::Missing { .. }) => Err(JobError::user_input(format!(
            "cannot remove '{path}': it is no checkpoint; name the directory of one, such as <dir>/<job-id>/chk-7"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// What checkpoints beside this one need.
async fn neighbours(directory: &Directory) -> Result<Neighbours, JobError> {
    let mut neighbours = Neighbours::default();
    for (neighbour, opened) in StoredCheckpoint::beside(directory).await? {
        match opened {
            Ok(other) => {
                neighbours.needed.extend(other.manifest.files.iter().map(|file| neighbour.show(&file.path)));
            }
            Err(error) => neighbours.unread = Some((neighbour.show(""), error)),
        }
    }
    Ok(neighbours)
}

impl Doomed {
    async fn remove(&self, neighbours: &Neighbours, force: bool) -> Result<Removed, JobError> {
        let directory = &self.directory;
        let is_free = |file: &str| !neighbours.needed.contains(&directory.show(file));
        let own = match &self.files {
            // what a neighbour that cannot be read needs is not in the directory of this one, as far as can be known
            Some(files) if neighbours.unread.is_some() => {
                files.iter().filter(|file| !file.contains('/')).cloned().collect()
            }
            Some(files) => files.clone(),
            None => directory.list().await?.into_iter().filter(|name| name != MANIFEST).collect::<Vec<_>>(),
        };
        let mut left = Vec::new();
        if self.files.is_none() && neighbours.unread.is_none() {
            let shared = directory.join(SHARED).list().await?.into_iter();
            left.extend(shared.map(|name| format!("{SHARED}/{name}")).filter(|file| is_free(file)));
        }
        directory.delete(MANIFEST).await?;
        let mut removed = Removed { files: 1, left: None };
        let also = if force { std::mem::take(&mut left) } else { Vec::new() };
        for file in own.iter().chain(&also).filter(|file| is_free(file)) {
            directory.delete(file).await?;
            removed.files += 1;
        }
        directory.remove_if_empty().await;
        if !also.is_empty() {
            directory.join(SHARED).remove_if_empty().await;
        }
        removed.left = (!left.is_empty()).then(|| {
            let (count, shared) = (left.len(), directory.show(SHARED));
            format!(
                "its manifest is damaged, so it is not known which files in '{shared}' were its own: {count} there are named by \
                 no checkpoint of the job. Unless a job elsewhere claimed one, they can be deleted; `weir checkpoint rm \
                 --force` of a damaged checkpoint does that"
            )
        });
        Ok(removed)
    }
}
