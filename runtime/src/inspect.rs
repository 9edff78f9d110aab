//! Checkpoints and savepoints that lie somewhere, opened to look at, without the job that they are of.
//!
//! Read first: [`CheckpointReport`] (what one holds, measured), `table` (its parts as tables that SQL reads).
//! What is told comes from the manifest and from a scan of the entries; nothing is derived from the statement.

mod catalog;
mod check;
mod places;
mod remove;
mod report;
mod source;
mod table;
mod texts;

pub use check::{CheckSummary, check_checkpoints};
pub use places::{FoundCheckpoint, FoundContents, list_checkpoints};
pub use remove::{Removed, remove_checkpoint};
pub use report::{
    CheckpointReport, CommittableReport, KeyGroupReport, KeyReport, NamespaceReport, OperatorMeasure,
    OperatorStateReport, PositionReport, StateReport, SubtaskReport,
};

pub(crate) use catalog::Catalog;
pub(crate) use source::WithCheckpoints;

use weir_checkpoint::StoredCheckpoint;
use weir_checkpoint::manifest::KeyedManifest;
use weir_state::{RestoredSnapshot, StateError, StateFile};
use weir_types::{Classify, JobError};

/// The keyed state of one subtask as segments, of one state or of all of them (`None`), and the files of states that are
/// kept in files.
///
/// Errors: `Unavailable` and `Data`, with the file.
pub(crate) async fn segments_of(
    stored: &StoredCheckpoint,
    keyed: &KeyedManifest,
    state: Option<&str>,
) -> Result<(RestoredSnapshot, Vec<StateFile>), JobError> {
    let mut wanted = keyed.clone();
    // A canonical file is whole; its state is picked by whoever reads.
    if let Some(state) = state.filter(|_| keyed.canonical.is_empty()) {
        let place = keyed.states.iter().position(|candidate| candidate.name == state);
        wanted.segments = Default::default();
        for entry in keyed.segments.iter().filter(|entry| Some(entry.state) == place) {
            wanted.segments.push(entry.state, &entry.segment, entry.place);
        }
    }
    stored.keyed_in_segments(&wanted, state).await.map_err(JobError::from)
}

fn failed(what: &str, error: StateError) -> JobError {
    JobError::new(error.kind(), format!("{what}: {error}"))
}
