//! From a checkpoint to a job that goes on where it was, at whatever parallelism.

use crate::RuntimeError;
use crate::in_flight::{self, Dealer};
use crate::status::Notice;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use weir_checkpoint::manifest::{KeyedManifest, OperatorManifest};
use weir_checkpoint::{CheckpointError, CommitPermit, CopiesRead, StoredCheckpoint};
use weir_connectors::SplitState;
use weir_operators::OperatorContext;
use weir_state::OperatorStateBackend;
use weir_types::{
    ChangelogBatch, JobGraph, KeyGroupRange, OperatorId, RecoverySettings, SplitId, SubtaskIndex,
};

/// The checkpoint that an attempt at a job begins with.
#[derive(Clone)]
pub(crate) struct Restore {
    stored: Arc<StoredCheckpoint>,
    ignore_unclaimed: bool,
    /// the checkpoint whose rows on their way are left behind
    without_in_flight: Option<u64>,
}

/// How far a source had been read by all its subtasks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    pub splits: Vec<SplitState>,
    pub finished: Vec<SplitId>,
}

/// State that no operator of the job has asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unclaimed {
    pub operator: OperatorId,
    pub what: String,
}

impl Positions {
    /// Nothing has been read.
    pub(crate) fn beginning(splits: Vec<SplitId>) -> Self {
        let state = |split| SplitState { split, position: None };
        Positions { splits: splits.into_iter().map(state).collect(), finished: Vec::new() }
    }
}

impl Restore {
    pub(crate) fn new(stored: StoredCheckpoint, settings: &RecoverySettings) -> Self {
        let RecoverySettings { ignore_unclaimed, without_in_flight, .. } = *settings;
        Restore { stored: Arc::new(stored), ignore_unclaimed, without_in_flight }
    }

    pub(crate) fn stored(&self) -> &StoredCheckpoint {
        &self.stored
    }

    /// Where it comes from, for messages.
    pub(crate) fn path(&self) -> String {
        self.stored.directory.show("")
    }

    /// What was prepared and may not be visible yet.
    pub(crate) fn permit(&self) -> Option<CommitPermit> {
        self.stored.permit()
    }

    /// What the checkpoint has for operators that the job does not have.
    pub(crate) fn without_operator(&self, graph: &JobGraph) -> Vec<Unclaimed> {
        let known: BTreeSet<&OperatorId> = graph.nodes.iter().map(|node| &node.id).collect();
        let manifest = &self.stored.manifest;
        let mut unclaimed = Vec::new();
        for operator in manifest.operators.iter().filter(|operator| !known.contains(&operator.id)) {
            unclaimed.push(Unclaimed { operator: operator.id.clone(), what: describe(operator) });
        }
        for committables in manifest.committables.iter().filter(|list| !known.contains(&list.operator)) {
            let what = "output that waits to be committed".to_string();
            unclaimed.push(Unclaimed { operator: committables.operator.clone(), what });
        }
        unclaimed
    }

    /// What is to be said of state that the job has no place for, if that is to be ignored and there is any.
    ///
    /// # Errors
    /// [`RuntimeError::Unclaimed`] if there is any, and it is not to be ignored.
    pub(crate) fn judge(&self, mut unclaimed: Vec<Unclaimed>) -> Result<Option<String>, RuntimeError> {
        // every subtask says so
        unclaimed.sort();
        unclaimed.dedup();
        if unclaimed.is_empty() {
            return Ok(None);
        }
        let mut list = String::new();
        for part in unclaimed.chunk_by(|one, other| one.operator == other.operator) {
            self.list(&mut list, part);
        }
        let path = self.path();
        match self.ignore_unclaimed {
            true => Ok(Some(format!(
                "state of {path} is left behind, as 'execution.state-recovery.ignore-unclaimed-state' says: the job has \
                 no place for{list}"
            ))),
            false => {
                // the manifest of a job that was built by hand has none
                let sql = self.stored.manifest.job.sql.split_whitespace().collect::<Vec<_>>().join(" ");
                let was = if sql.is_empty() { sql } else { format!("\nthe statement was: {sql}") };
                Err(RuntimeError::Unclaimed { path, list: format!("{list}{was}") })
            }
        }
    }

    /// What one operator of the checkpoint keeps that the job does not want, with the clause that it is of.
    fn list(&self, list: &mut String, unclaimed: &[Unclaimed]) {
        let Some(Unclaimed { operator, .. }) = unclaimed.first() else { return };
        let record = self.stored.manifest.job.operators.iter().find(|record| record.id == *operator);
        let label = record.map_or(String::new(), |record| format!(", {}", record.label));
        let what: Vec<&str> = unclaimed.iter().map(|unclaimed| unclaimed.what.as_str()).collect();
        // writing to a string does not fail
        let _ = write!(list, "\n  {operator}{label}: {}", what.join(", "));
        if let Some(note) = record.and_then(|record| record.note.as_ref()) {
            let of = note.unbounded_clause.as_ref().map_or(String::new(), |clause| format!("of {clause}: "));
            let _ = write!(list, "\n    {of}{}", note.keeps);
        }
    }

    /// What there is to say when everybody has its state.
    pub(crate) fn notice(&self, graph: &JobGraph) -> Notice {
        let manifest = &self.stored.manifest;
        let known = |operator: &&OperatorManifest| graph.nodes.iter().any(|node| node.id == operator.id);
        Notice::Restored {
            path: self.path(),
            checkpoint: manifest.checkpoint,
            operators: manifest.operators.iter().filter(known).count(),
            bytes: manifest.statistics.state_bytes,
            local_files: 0,
        }
    }

    /// What there is to say once everybody has its state: of second copies that could not be used, and `restored`, as
    /// [`Restore::notice`] gave it, with those that could.
    pub(crate) fn notices(&self, restored: Notice) -> [Option<Notice>; 2] {
        let copies = self.stored.directory.copies_read();
        let restored = match restored {
            Notice::Restored { path, checkpoint, operators, bytes, .. } => {
                Notice::Restored { path, checkpoint, operators, bytes, local_files: copies.files }
            }
            other => other,
        };
        [warning(&copies, &self.path()), Some(restored)]
    }

    /// How far the source `operator` had been read; `None` if the checkpoint does not know it.
    pub(crate) fn positions(&self, operator: &OperatorId) -> Option<Positions> {
        #[cfg(test)]
        if crate::sabotage::is(crate::sabotage::Sabotage::ForgetPositions) {
            return None;
        }
        let subtasks = &self.stored.manifest.operator(operator)?.subtasks;
        let mut positions = Positions::default();
        let mut known = false;
        for source in subtasks.iter().filter_map(|subtask| subtask.source.as_ref()) {
            known = true;
            positions.finished.extend(source.finished.iter().cloned());
            let state = |split: &weir_checkpoint::SplitPosition| SplitState {
                split: split.split.clone(),
                position: split.position.clone(),
            };
            positions.splits.extend(source.splits.iter().map(state));
        }
        positions.splits.sort_by(|left, right| left.split.cmp(&right.split));
        positions.finished.sort_unstable();
        positions.finished.dedup();
        known.then_some(positions)
    }

    /// Gives one subtask of an operator what belongs to it.
    pub(crate) async fn fill(
        &self,
        operator: &OperatorId,
        context: &mut OperatorContext,
    ) -> Result<(), CheckpointError> {
        let Some(kept) = self.stored.manifest.operator(operator) else { return Ok(()) };
        let range = context.keyed.key_groups();
        let mut snapshots = Vec::new();
        for keyed in kept.subtasks.iter().filter_map(|subtask| subtask.keyed.as_ref()) {
            if overlaps(keyed, range) {
                snapshots.push(self.stored.keyed(keyed).await?);
            }
        }
        context.keyed.restore(snapshots)?;
        let mut states = Vec::new();
        for place in kept.subtasks.iter().filter_map(|subtask| subtask.operator_state.as_ref()) {
            states.push(self.stored.bytes(place).await?);
        }
        let file = kept.subtasks.iter().find_map(|subtask| subtask.operator_state.as_ref());
        let file = file.map_or(String::new(), |place| self.stored.show(place));
        context.operator_state =
            OperatorStateBackend::restore(&states, context.subtask.0, context.parallelism, &file)?;
        Ok(())
    }
}

impl Restore {
    /// The rows that were on their way to `operator` and belong to `subtask`, by the operator's input.
    pub(crate) async fn in_flight(
        &self,
        operator: &OperatorId,
        dealers: &[Dealer],
        subtask: SubtaskIndex,
    ) -> Result<Vec<(usize, ChangelogBatch)>, CheckpointError> {
        let left_behind = self.without_in_flight == Some(self.stored.manifest.checkpoint.0);
        let kept = self.stored.manifest.operator(operator).filter(|_| !left_behind);
        let Some(kept) = kept else { return Ok(Vec::new()) };
        let mut rows = Vec::new();
        let mut place = 0;
        for in_flight in kept.subtasks.iter().flat_map(|subtask| &subtask.in_flight) {
            let input = in_flight.input as usize;
            let file = self.stored.show(&in_flight.place);
            let Some(dealer) = dealers.get(input) else {
                let what =
                    format!("rows on their way to input {input} of {operator}, which has no such input");
                return Err(CheckpointError::Location(format!("cannot restore {file}: {what}")));
            };
            let bytes = self.stored.bytes(&in_flight.place).await?;
            for batch in in_flight::decode(&bytes, &dealer.schema, &file)? {
                rows.extend(dealer.own(subtask.0, place, batch)?.map(|batch| (input, batch)));
                place += 1;
            }
        }
        Ok(rows)
    }
}

fn overlaps(keyed: &KeyedManifest, range: KeyGroupRange) -> bool {
    // another number of key groups is an error that the state room words
    keyed.key_groups.start < range.end && range.start < keyed.key_groups.end || range.is_empty()
}

/// Second copies that are named when they cannot be used.
const NAMED_COPIES: usize = 3;

/// What there is to say of second copies that could not be used.
fn warning(copies: &CopiesRead, path: &str) -> Option<Notice> {
    let (count, files) = match copies.passed_over.len() {
        0 => return None,
        1 => ("a local copy".to_string(), "the file itself was"),
        many => (format!("{many} local copies"), "the files themselves were"),
    };
    let mut named = copies.passed_over[..copies.passed_over.len().min(NAMED_COPIES)].join("; ");
    if copies.passed_over.len() > NAMED_COPIES {
        named.push_str("; and others");
    }
    Some(Notice::Warning(format!("{count} of {path} could not be used, and {files} read: {named}")))
}

/// What an operator keeps, in a few words.
fn describe(operator: &OperatorManifest) -> String {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    let mut about = "";
    let mut others = BTreeSet::new();
    for subtask in &operator.subtasks {
        if let Some(keyed) = &subtask.keyed {
            for state in &keyed.states {
                states.entry(&state.name).or_default();
            }
            // Changes replace most of what is counted already.
            if keyed.segments.has_changes() {
                about = "about ";
            }
            for entry in keyed.segments.iter().filter(|entry| !entry.segment.changes) {
                let name = keyed.states.get(entry.state).map_or("", |state| &state.name);
                *states.entry(name).or_default() += u64::from(entry.segment.rows);
            }
        }
        if subtask.source.is_some() {
            others.insert("how far it has been read");
        }
        if subtask.operator_state.is_some() {
            others.insert("operator state");
        }
        if !subtask.in_flight.is_empty() {
            others.insert("rows on their way to it");
        }
    }
    let states = states.into_iter().map(|(name, rows)| format!("state {name} with {about}{rows} entries"));
    states.chain(others.into_iter().map(str::to_string)).collect::<Vec<_>>().join(", ")
}
